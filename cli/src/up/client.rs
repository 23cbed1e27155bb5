//! Small questions to members over HTTP.

use std::time::Duration;

use anyhow::Context;
use banyan_control::http::CHANGE_HEADER;
use bytes::Bytes;
use http::{Request, Uri};
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

    /// A text, whatever is in it.
    pub(crate) async fn text(&self, url: &str) -> anyhow::Result<String> {
        let (status, body) = self.get(url).await?;
        anyhow::ensure!(status.is_success(), "{url} answered {status}");
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Asks for a change; gives the status and the text of the answer.
    pub(crate) async fn change(&self, url: &str) -> anyhow::Result<(http::StatusCode, String)> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        let request = Request::post(uri)
            .header(CHANGE_HEADER, "1")
            .body(Empty::new())?;
        let (status, body) = self.exchange(url, request).await?;
        Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
    }

    async fn get(&self, url: &str) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        self.exchange(url, Request::get(uri).body(Empty::new())?)
            .await
    }

    async fn exchange(
        &self,
        url: &str,
        request: Request<Empty<Bytes>>,
    ) -> anyhow::Result<(http::StatusCode, Bytes)> {
        let exchange = async {
            let response = self.0.request(request).await;
            let response = response.with_context(|| format!("{url} does not answer"))?;
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
