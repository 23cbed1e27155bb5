//! The one way to the API server for everything that changes something: only while leading, counted, bounded in time.

use crate::lease::fence::{Fence, WRITE_TIMEOUT};
use crate::metrics::Metrics;

use super::error::Error;

/// Passes writes. Cheap to clone.
#[derive(Clone)]
pub struct Writes {
    fence: Fence,
    metrics: Metrics,
}

/// What is written, for counters and messages.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// `create`, `patch` or `delete`.
    pub verb: &'static str,
    /// Kind of the object.
    pub kind: &'a str,
    /// Name of the object.
    pub name: &'a str,
}

impl Writes {
    /// Writes behind this fence.
    pub fn new(fence: Fence, metrics: Metrics) -> Self {
        Self { fence, metrics }
    }

    /// Sends one write. The outer error is ours: not sent, or no answer; the inner one is the API server's.
    pub async fn send<T>(
        &self,
        target: Target<'_>,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<kube::Result<T>, Error> {
        if !self.fence.leading() {
            return Err(Error::NotLeading);
        }
        self.metrics.write(target.verb, target.kind);
        match tokio::time::timeout(WRITE_TIMEOUT, write).await {
            Ok(result) => Ok(result),
            Err(_) => Err(Error::Failed {
                verb: target.verb,
                kind: target.kind.to_owned(),
                name: target.name.to_owned(),
                message: format!("no answer within {} s", WRITE_TIMEOUT.as_secs()),
            }),
        }
    }

    /// Sends one write whose refusal is an error.
    pub async fn must<T>(
        &self,
        target: Target<'_>,
        write: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        self.send(target, write)
            .await?
            .map_err(|error| Error::of(target.verb, target.kind, target.name, &error))
    }
}
