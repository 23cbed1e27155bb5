//! A viewer straight over gRPC: one `Media.Subscribe` per track, as a relay would make it.
//!
//! On a failed or silent call it resumes after its last position at the next member, which is a switch
//! when there is another.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_media::{Kind, Position, boxes};
use banyan_proto::client::{Incoming, MediaClient};
use banyan_proto::transport::endpoint;
use banyan_proto::trust::RunSecret;
use banyan_proto::v1::{self, catalog_message, media_message, subscribe_request};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::choose::{Candidate, Wanted};
use super::hls::scale;
use super::meter::{Chunk, Meter, Stretch};
use super::quality::Picture;

/// Who serves the stream, and how to be let in.
pub(super) struct Link {
    pub(super) uris: Vec<String>,
    pub(super) stream: String,
    /// Index of the member to begin with.
    pub(super) first: usize,
    pub(super) secret: RunSecret,
}

/// Plays until `stop`.
pub(super) async fn watch(
    link: Arc<Link>,
    wanted: &Wanted,
    meter: &Arc<Meter>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let playing = async {
        let offer = link.offer(meter).await?;
        let chosen = wanted.choose(&candidates(&offer))?;
        let names: Vec<String> = chosen.iter().map(|track| track.name.clone()).collect();
        let videos: Vec<bool> = chosen.iter().map(|one| one.kind == Kind::Video).collect();
        let target = Duration::from_millis(offer.target_duration_ms.into());
        meter.begin(&names, HOLD_BACK * target);
        let mut tasks = JoinSet::new();
        for (index, (name, video)) in names.into_iter().zip(videos).enumerate() {
            let track = Track {
                link: link.clone(),
                meter: meter.clone(),
                index,
                name,
                video,
                last: None,
                epoch: offer.epoch,
                timescale: 0,
                history: true,
            };
            tasks.spawn(track.run());
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        outcome = playing => outcome.map_err(plain),
        () = stop.cancelled() => Ok(()),
    }
}

fn candidates(offer: &v1::Offer) -> Vec<Candidate> {
    let kind = |track: &v1::Track| match track.kind() {
        v1::TrackKind::Video => Some(Kind::Video),
        v1::TrackKind::Audio => Some(Kind::Audio),
        _ => None,
    };
    offer
        .tracks
        .iter()
        .filter_map(|track| {
            Some(Candidate {
                name: track.name.clone(),
                kind: kind(track)?,
                bandwidth: track.peak_bandwidth,
                rate: track.peak_bandwidth,
            })
        })
        .collect()
}

// === impl Link ===

impl Link {
    async fn client(&self, turn: usize) -> anyhow::Result<MediaClient> {
        let uri = self.uri(turn);
        let channel = endpoint(uri)?
            .connect()
            .await
            .with_context(|| format!("connecting to {uri}"))?;
        Ok(MediaClient::new(channel))
    }

    fn uri(&self, turn: usize) -> &str {
        &self.uris[turn % self.uris.len()]
    }

    fn hello(&self) -> Option<v1::Hello> {
        Some(self.secret.hello("play", "play"))
    }

    /// The stream's offer, from the first member that has it.
    async fn offer(&self, meter: &Meter) -> anyhow::Result<v1::Offer> {
        let mut turn = self.first;
        loop {
            match self.try_offer(turn).await {
                Ok(offer) => return Ok(offer),
                Err(error) if fatal(&error) => return Err(error),
                Err(error) => meter.retried(&format!("{:#}", plain(error))),
            }
            turn += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_offer(&self, turn: usize) -> anyhow::Result<v1::Offer> {
        let client = self.client(turn).await?;
        let mut catalog = client
            .catalog(v1::CatalogRequest {
                hello: self.hello(),
            })
            .await?;
        loop {
            let body = tokio::time::timeout(SILENCE, catalog.next())
                .await
                .context("the catalogue fell silent")??
                .context("the catalogue ended")?;
            if let catalog_message::Body::Snapshot(snapshot) = body {
                let known: Vec<_> = snapshot
                    .offers
                    .iter()
                    .map(|offer| offer.stream.clone())
                    .collect();
                return snapshot
                    .offers
                    .into_iter()
                    .find(|offer| offer.stream == self.stream)
                    .with_context(|| {
                        format!(
                            "no stream {:?} there; offered: {}",
                            self.stream,
                            known.join(", ")
                        )
                    });
            }
        }
    }
}

/// One track being played.
struct Track {
    link: Arc<Link>,
    meter: Arc<Meter>,
    index: usize,
    name: String,
    video: bool,
    /// The newest position, as a resume needs it.
    last: Option<v1::After>,
    epoch: u64,
    timescale: u32,
    /// Chunks still come from before this viewer.
    history: bool,
}

// === impl Track ===

impl Track {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut turn = self.link.first;
        // Members in a row that would not go on from where this viewer is.
        let mut refusals = 0;
        loop {
            match self.follow(turn).await {
                Ok(()) => return Ok(()),
                Err(error) if fatal(&error) => return Err(error),
                Err(error) => {
                    refusals = if refused_resume(&error) {
                        refusals + 1
                    } else {
                        0
                    };
                    if refusals >= self.link.uris.len() {
                        // One may be behind. Where all refuse, the run is another: only live is left.
                        self.last = None;
                        refusals = 0;
                    }
                    let error = plain(error);
                    tracing::debug!(track = self.name, %error, "a subscription ended");
                    self.meter.retried(&format!("{error:#}"));
                    if self.link.uris.len() > 1 {
                        self.meter
                            .switched(self.link.uri(turn), self.link.uri(turn + 1));
                        turn += 1;
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes what one member sends; Ok = the stream ended.
    async fn follow(&mut self, turn: usize) -> anyhow::Result<()> {
        let client = self.link.client(turn).await?;
        let from = match &self.last {
            Some(after) => subscribe_request::From::After(after.clone()),
            None => subscribe_request::From::Live(v1::Live {}),
        };
        let mut reader = client
            .subscribe(v1::SubscribeRequest {
                hello: self.link.hello(),
                stream: self.link.stream.clone(),
                track: self.name.clone(),
                from: Some(from),
            })
            .await?;
        let mut head = None;
        loop {
            let message = tokio::time::timeout(SILENCE, reader.next())
                .await
                .context("the subscription fell silent")??
                .context("the subscription ended")?;
            match message {
                Incoming::Chunk {
                    head: chunk,
                    payload,
                } => self.chunk(turn, &chunk, &payload, head),
                Incoming::Message(body) => match body {
                    media_message::Body::Description(description) => {
                        self.epoch = description.epoch;
                        self.timescale =
                            description.track.map_or(1, |track| track.timescale.max(1));
                    }
                    media_message::Body::Index(index) => {
                        head = Some(Position::new(index.head_number, index.head_part));
                    }
                    media_message::Body::Init(init) => {
                        self.meter.bytes(init.data.len() as u64);
                        if let Err(error) = boxes::inspect_init(&init.data) {
                            self.meter.fault(format!("init of {}: {error}", self.name));
                        }
                    }
                    media_message::Body::Gap(gap) => self.meter.fault(format!(
                        "gap in {} from {}.{} to {}.{}: {}",
                        self.name,
                        gap.from_number,
                        gap.from_part,
                        gap.to_number,
                        gap.to_part,
                        gap.reason
                    )),
                    media_message::Body::End(_) => return Ok(()),
                    media_message::Body::GoAway(away) => {
                        bail!("the member goes away: {}", away.reason)
                    }
                    media_message::Body::Welcome(_)
                    | media_message::Body::KeepAlive(_)
                    | media_message::Body::Chunk(_) => {}
                },
            }
        }
    }

    fn chunk(
        &mut self,
        turn: usize,
        head: &v1::ChunkHead,
        payload: &[u8],
        newest: Option<Position>,
    ) {
        let position = Position::new(head.number, head.part);
        self.meter.bytes(payload.len() as u64);
        let picture = self.video.then(|| Picture {
            rendition: &self.name,
            bytes: payload.len() as u64,
            length: scale(head.duration.into(), self.timescale),
        });
        self.meter.chunk(
            self.index,
            &Chunk {
                source: self.link.uri(turn),
                run: &head.run,
                position,
                last_in_segment: head.last_in_segment,
                picture,
            },
        );
        match boxes::inspect_chunk(payload) {
            Ok(facts)
                if facts.decode_time == head.start
                    && facts.duration == u64::from(head.duration) => {}
            Ok(facts) => self.meter.fault(format!(
                "{} {position}: the head says {}+{}, the boxes say {}+{}",
                self.name, head.start, head.duration, facts.decode_time, facts.duration
            )),
            Err(error) => self
                .meter
                .fault(format!("{} {position}: {error}", self.name)),
        }
        self.history &= newest.is_some_and(|newest| position <= newest);
        let epoch = self.epoch.saturating_mul(1_000_000_000);
        let from = epoch.saturating_add(scale(head.start, self.timescale));
        let length = scale(head.duration.into(), self.timescale);
        let live = !self.history;
        self.meter.stretch(
            self.index,
            &Stretch {
                from,
                to: from.saturating_add(length),
                live,
            },
        );
        let (hashed_number, sha256) = match &self.last {
            _ if !head.sha256.is_empty() => (head.number, head.sha256.clone()),
            Some(last) if last.run == head.run => (last.hashed_number, last.sha256.clone()),
            _ => Default::default(),
        };
        self.last = Some(v1::After {
            run: head.run.clone(),
            number: head.number,
            part: head.part,
            hashed_number,
            sha256,
            discontinuity_sequence: head.discontinuity_sequence,
        });
    }
}

/// A status is told by its sentence; its code is for machines.
fn plain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Status>() {
        Some(status) if !status.message().is_empty() => anyhow::anyhow!("{}", status.message()),
        _ => error,
    }
}

/// Asking again, or another, changes nothing.
fn fatal(error: &anyhow::Error) -> bool {
    code(error).is_some_and(|code| {
        matches!(
            code,
            Code::Unauthenticated | Code::PermissionDenied | Code::InvalidArgument
        )
    })
}

fn refused_resume(error: &anyhow::Error) -> bool {
    code(error).is_some_and(|code| matches!(code, Code::OutOfRange | Code::FailedPrecondition))
}

fn code(error: &anyhow::Error) -> Option<Code> {
    error.downcast_ref::<Status>().map(Status::code)
}

/// A member beats every 100 ms; this long without a word is a dead one.
const SILENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(50);

/// The model player keeps as much between itself and the live edge as an HLS player.
const HOLD_BACK: u32 = 3;
