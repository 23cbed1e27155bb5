//! How a member reaches another one: dialled gRPC here, memory in simulations, and later sockets
//! that a content server opened from outside.

use std::sync::Arc;

use banyan_proto::client::{CatalogReader, MediaClient, MediaReader};
use banyan_proto::transport;
use banyan_proto::v1::{self, measure_client::MeasureClient};
use futures::future::BoxFuture;
use tonic::Status;
use tonic::transport::Channel;

pub use banyan_proto::client::Incoming;

/// Makes links to peers.
pub trait Connector: Send + Sync + 'static {
    /// A link to `peer`; connects on first use and again after a failure.
    fn link(&self, peer: &v1::Peer) -> Result<Arc<dyn Link>, Status>;
}

/// One peer's Media service, over one connection.
pub trait Link: Send + Sync + 'static {
    fn subscribe(
        &self,
        request: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>>;

    fn fetch(
        &self,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>>;

    fn catalog(
        &self,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<Box<dyn CatalogSource>, Status>>;

    /// One small question, for the time that its answer takes.
    fn probe(
        &self,
        _request: v1::ProbeRequest,
    ) -> BoxFuture<'static, Result<v1::ProbeReply, Status>> {
        Box::pin(async { Err(Status::unimplemented("this link is not measured")) })
    }
}

/// Messages of one `Subscribe` or `Fetch`. Dropping it cancels the call; `next` is cancel-safe.
pub trait MediaSource: Send {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Incoming>, Status>>;
}

/// Messages of one `Catalog`.
pub trait CatalogSource: Send {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<v1::catalog_message::Body>, Status>>;
}

/// Dials peers by their URI.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dialled;

impl Connector for Dialled {
    fn link(&self, peer: &v1::Peer) -> Result<Arc<dyn Link>, Status> {
        let endpoint = transport::endpoint(&peer.uri)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let channel = endpoint.connect_lazy();
        Ok(Arc::new(DialledLink {
            measure: MeasureClient::new(channel.clone()),
            client: MediaClient::new(channel),
        }))
    }
}

struct DialledLink {
    client: MediaClient,
    measure: MeasureClient<Channel>,
}

impl Link for DialledLink {
    fn subscribe(
        &self,
        request: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        let client = self.client.clone();
        Box::pin(async move {
            let reader = client.subscribe(request).await?;
            Ok(Box::new(reader) as Box<dyn MediaSource>)
        })
    }

    fn fetch(
        &self,
        request: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        let client = self.client.clone();
        Box::pin(async move {
            let reader = client.fetch(request).await?;
            Ok(Box::new(reader) as Box<dyn MediaSource>)
        })
    }

    fn catalog(
        &self,
        request: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<Box<dyn CatalogSource>, Status>> {
        let client = self.client.clone();
        Box::pin(async move {
            let reader = client.catalog(request).await?;
            Ok(Box::new(reader) as Box<dyn CatalogSource>)
        })
    }

    fn probe(
        &self,
        request: v1::ProbeRequest,
    ) -> BoxFuture<'static, Result<v1::ProbeReply, Status>> {
        let mut measure = self.measure.clone();
        Box::pin(async move { Ok(measure.probe(request).await?.into_inner()) })
    }
}

impl MediaSource for MediaReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Incoming>, Status>> {
        Box::pin(MediaReader::next(self))
    }
}

impl CatalogSource for CatalogReader {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<v1::catalog_message::Body>, Status>> {
        Box::pin(CatalogReader::next(self))
    }
}
