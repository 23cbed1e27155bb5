//! The Media service of a content server: what is prepared, released on the channel clock.

mod catalog;
mod fetch;
mod subscription;
mod traffic;

use std::sync::Arc;

use banyan_media::Kind;
use banyan_proto::server::{FrameStream, MediaService};
use banyan_proto::trust::{Authenticator, Identity};
use banyan_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use self::subscription::Subscription;
pub(crate) use self::traffic::{TrackTraffic, Traffic};
use crate::catalog::Catalog;
use crate::channel::{Channel, Place, Track};
use crate::record::Events;
use crate::time::Clock;

/// Serves children; knows nothing of preparation beyond what the store holds.
pub(crate) struct Service {
    /// This server's name: the path of everything it sends.
    pub(crate) member: String,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) trust: Arc<dyn Authenticator>,
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) events: Arc<Events>,
    /// Raised when the server leaves: children are told to go.
    pub(crate) leaving: CancellationToken,
}

impl MediaService for Service {
    async fn subscribe(&self, request: v1::SubscribeRequest) -> Result<FrameStream, Status> {
        let caller = self.trust.authenticate(request.hello.as_ref()).await?;
        if self.leaving.is_cancelled() {
            return Err(Status::unavailable("this content server is leaving"));
        }
        let (channel, track) = self.find(&request.stream, &request.track)?;
        let from = match &request.from {
            Some(v1::subscribe_request::From::After(after)) => {
                self.after(&channel, &track, after).await?
            }
            Some(v1::subscribe_request::From::Live(_)) | None => self.live(&channel, track.kind)?,
        };
        let session = self.traffic.enter(
            &channel.stream,
            &track.facts.name,
            &channel.run,
            &caller.member,
        );
        let subscription =
            Subscription::new(self, self.welcome(&caller), channel, track, from, session);
        Ok(subscription.into_stream())
    }

    async fn fetch(&self, request: v1::FetchRequest) -> Result<FrameStream, Status> {
        let caller = self.trust.authenticate(request.hello.as_ref()).await?;
        fetch::fetch(self, &caller, request).await
    }

    async fn catalog(&self, request: v1::CatalogRequest) -> Result<FrameStream, Status> {
        let caller = self.trust.authenticate(request.hello.as_ref()).await?;
        let welcome = self.welcome(&caller);
        Ok(catalog::stream(
            self.catalog.watch(),
            welcome,
            self.member.clone(),
            self.leaving.clone(),
        ))
    }
}

impl Service {
    fn welcome(&self, caller: &Identity) -> v1::Welcome {
        v1::Welcome {
            identity: self.member.clone(),
            slot: caller.member.clone(),
            ..Default::default()
        }
    }

    fn find(&self, stream: &str, track: &str) -> Result<(Arc<Channel>, Arc<Track>), Status> {
        let Some(channel) = self.catalog.channel(stream) else {
            return Err(self.no_stream(stream));
        };
        let Some(found) = channel.track(track) else {
            let names: Vec<&str> = channel.tracks().map(|t| t.facts.name.as_str()).collect();
            return Err(Status::not_found(format!(
                "stream {stream:?} has no track {track:?}; it has {}",
                names.join(", ")
            )));
        };
        let found = Arc::clone(found);
        Ok((channel, found))
    }

    fn no_stream(&self, stream: &str) -> Status {
        if self.traffic.is_expected(stream) {
            return Status::unavailable(format!(
                "stream {stream:?} is being prepared and not offered yet"
            ));
        }
        Status::not_found(format!(
            "stream {stream:?} is not a content of {:?}",
            self.member
        ))
    }

    /// The newest independent chunk: the start of the segment that the head is in.
    fn live(&self, channel: &Channel, kind: Kind) -> Result<Place, Status> {
        Ok((self.head(channel, kind)?.0, 0))
    }

    fn head(&self, channel: &Channel, kind: Kind) -> Result<Place, Status> {
        channel.head(kind, self.clock.now()).ok_or_else(|| {
            Status::unavailable(format!(
                "stream {:?} begins at {} (Unix seconds)",
                channel.stream, channel.epoch
            ))
        })
    }

    /// The place after `after`, once it is clear that both mean the same stream of bytes.
    async fn after(
        &self,
        channel: &Channel,
        track: &Track,
        after: &v1::After,
    ) -> Result<Place, Status> {
        if after.run != channel.run {
            return Err(Status::failed_precondition(format!(
                "run {:?} is not served here; stream {:?} is in run {:?}",
                after.run, channel.stream, channel.run
            )));
        }
        let Some(n) = after.number.checked_sub(channel.epoch) else {
            return Err(Status::out_of_range(format!(
                "segment {} lies before the stream's first, {}",
                after.number, channel.epoch
            )));
        };
        if after.part >= channel.timeline.parts {
            return Err(Status::invalid_argument(format!(
                "part {} does not exist; segments have parts 0 to {}",
                after.part,
                channel.timeline.parts - 1
            )));
        }
        let head = self.head(channel, track.kind)?;
        if n > head.0 + AHEAD {
            return Err(Status::out_of_range(format!(
                "segment {} is {} segments in the future; up to {AHEAD} are accepted",
                after.number,
                n - head.0
            )));
        }
        self.check_hash(channel, track, after, head).await?;
        Ok(channel.next((n, after.part)))
    }

    async fn check_hash(
        &self,
        channel: &Channel,
        track: &Track,
        after: &v1::After,
        head: Place,
    ) -> Result<(), Status> {
        if after.sha256.is_empty() {
            return Ok(());
        }
        let n = after
            .hashed_number
            .checked_sub(channel.epoch)
            .filter(|n| *n <= head.0 + AHEAD);
        let Some(n) = n else {
            return Err(Status::failed_precondition(format!(
                "segment {} cannot have been received: it does not exist yet",
                after.hashed_number
            )));
        };
        // What is not prepared here cannot disagree.
        let Ok(segment) = track.segment(n).await else {
            return Ok(());
        };
        if after.sha256[..] == segment.sha256 {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "segment {} of {:?} has other bytes here: its SHA-256 differs, so this is another encoding",
            after.hashed_number, channel.stream
        )))
    }
}

/// Segments that a caller may be ahead of this server's clock.
pub(crate) const AHEAD: u64 = 3;
