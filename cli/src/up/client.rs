//! Small questions to members over HTTP.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;

#[derive(Clone)]
pub(crate) struct Client(Pool<HttpConnector, Empty<Bytes>>);

impl Client {
    pub(crate) fn new() -> Self {
        Self(Pool::builder(TokioExecutor::new()).build_http())
    }

    /// Whether the answer is a success.
    pub(crate) async fn is_ok(&self, url: &str) -> bool {
        matches!(self.get(url).await, Ok((status, _)) if status.is_success())
    }

    pub(crate) async fn json<T: DeserializeOwned>(&self, url: &str) -> anyhow::Result<T> {
        let (status, body) = self.get(url).await?;
        anyhow::ensure!(status.is_success(), "{url} answered {status}");
        serde_json::from_slice(&body).with_context(|| format!("{url} answered no such JSON"))
    }

    async fn get(&self, url: &str) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let exchange = async {
            let response = self.0.get(uri).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
            anyhow::Ok((status, body))
        };
        tokio::time::timeout(PATIENCE, exchange)
            .await
            .with_context(|| format!("{url} did not answer in time"))?
    }
}

const PATIENCE: Duration = Duration::from_secs(2);
const LARGEST: usize = 8 * 1024 * 1024;
