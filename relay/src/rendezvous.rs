//! `Rendezvous.Beat`: content servers tell roots that they live; roots echo at once.
//!
//! The identity of the call decides whose beat it is; a beat says nothing of names. A beat that
//! cannot be true, that comes again, or that comes on a call older than the sender's newest, ends its
//! call with `INVALID_ARGUMENT` and is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::v1::{self, beat_reply, beat_request, rendezvous_server::Rendezvous};
use futures::{Stream, StreamExt, stream};
use tokio::time::MissedTickBehavior;
use tonic::{Request, Response, Status, Streaming};

use crate::clock::Instant;
use crate::core::{Core, Role};

pub struct Listening {
    core: Arc<Core>,
}

impl Listening {
    pub fn new(core: Arc<Core>) -> Listening {
        Listening { core }
    }
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::BeatReply, Status>> + Send>>;

#[tonic::async_trait]
impl Rendezvous for Listening {
    type BeatStream = Replies;

    async fn beat(
        &self,
        request: Request<Streaming<v1::BeatRequest>>,
    ) -> Result<Response<Replies>, Status> {
        Ok(Response::new(
            listen(self.core.clone(), request.into_inner()).await?,
        ))
    }
}

/// One content server's call: Welcome, then an echo for every beat.
pub(crate) async fn listen(
    core: Arc<Core>,
    mut beats: impl Stream<Item = Result<v1::BeatRequest, Status>> + Send + Unpin + 'static,
) -> Result<Replies, Status> {
    if core.options.role != Role::Root {
        return Err(Status::unimplemented(
            "only roots listen to content servers",
        ));
    }
    let Some(first) = beats.next().await else {
        return Err(Status::unauthenticated("call began without Hello"));
    };
    let Some(beat_request::Body::Hello(hello)) = first?.body else {
        return Err(Status::unauthenticated("call began without Hello"));
    };
    let identity = core.authenticator().authenticate(Some(&hello)).await?;
    let source = identity.member;
    if core.config().roots.iter().any(|root| root.name == source) {
        core.counters.beats_refused.inc();
        return Err(Status::permission_denied(format!(
            "{source:?} is a root; only content servers beat"
        )));
    }
    let call = core.beat_call_began(&source);
    let welcome = v1::BeatReply {
        body: Some(beat_reply::Body::Welcome(v1::Welcome {
            identity: core.member().to_owned(),
            slot: source.clone(),
            ..Default::default()
        })),
    };
    // A root on its way out ends the call: a content server would never.
    let (shutdown, closed) = (core.shutdown.clone(), core.calls_closed.clone());
    let over = async move {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = closed.cancelled() => {}
        }
    };
    let echoes = stream::unfold(Some((core, beats, source)), move |state| async move {
        let (core, mut beats, source) = state?;
        match beats.next().await? {
            Ok(request) => match echo(&core, &source, call, request) {
                Ok(reply) => Some((Ok(reply), Some((core, beats, source)))),
                Err(status) => Some((Err(status), None)),
            },
            Err(status) => Some((Err(status), None)),
        }
    });
    Ok(Box::pin(
        stream::iter([Ok(welcome)])
            .chain(echoes)
            .take_until(Box::pin(over)),
    ))
}

fn echo(
    core: &Core,
    source: &str,
    call: u64,
    request: v1::BeatRequest,
) -> Result<v1::BeatReply, Status> {
    let beat = match request.body {
        Some(beat_request::Body::Beat(beat)) => beat,
        Some(beat_request::Body::Hello(_)) => {
            core.counters.beats_refused.inc();
            return Err(Status::invalid_argument(
                "Hello came twice; a call has one identity",
            ));
        }
        // A body this version does not know.
        None => v1::Beat::default(),
    };
    let (sequence, sent_unix_ns) = (beat.sequence, beat.sent_unix_ns);
    core.beat(source, call, beat)
        .map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(v1::BeatReply {
        body: Some(beat_reply::Body::Echo(v1::Echo {
            sequence,
            sent_unix_ns,
            echoed_unix_ns: core.clock.unix().as_nanos() as u64,
            roots: core.root_list(),
        })),
    })
}

/// How often a root decides who feeds each stream: a lost heartbeat is told within it.
const DECIDE_EVERY: Duration = Duration::from_millis(500);

/// A root's decisions, until the core stops.
pub(crate) async fn select(core: Arc<Core>) {
    let mut ticks = tokio::time::interval(DECIDE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        core.select_origins(Instant::now());
    }
}
