//! `Control.Attach`: one call per member, driven by its own reply stream, so nothing is spawned.
//!
//! The first message is Hello; the [`Authenticator`] decides who calls, the state machine whether
//! that member belongs here. Then reports and acks go in and plans go out until either side ends
//! the call. The call's end, however it comes, is told to the state machine by a guard.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::trust::Authenticator;
use banyan_proto::v1::{self, attach_reply, attach_request};
use futures::{Stream, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::service::Shared;
use crate::topology::{Refusal, Session};

/// Serves [`v1::control_server::Control`].
pub struct Attach {
    shared: Arc<Shared>,
    authenticator: Arc<dyn Authenticator>,
    shutdown: CancellationToken,
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::AttachReply, Status>> + Send>>;

impl Attach {
    pub(crate) fn new(
        shared: Arc<Shared>,
        authenticator: Arc<dyn Authenticator>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            shared,
            authenticator,
            shutdown,
        }
    }

    async fn admit(
        &self,
        inbound: &mut Streaming<v1::AttachRequest>,
    ) -> Result<(Guard, v1::Welcome), Status> {
        let first = tokio::time::timeout(HELLO, inbound.message())
            .await
            .map_err(|_| Status::unauthenticated("no Hello within 5 s"))??;
        let hello = match first.and_then(|message| message.body) {
            Some(attach_request::Body::Hello(hello)) => Some(hello),
            _ => None,
        };
        let identity = self
            .authenticator
            .authenticate(hello.as_ref())
            .await
            .inspect_err(|_| self.shared.with(|topology, _| topology.handle_stranger()))?;
        let hello = hello.unwrap_or_default();
        let attached = self
            .shared
            .with(|topology, now| topology.handle_hello(&identity.member, &hello, now))
            .map_err(status)?;
        if attached.replaced.is_some() {
            self.shared.wake_calls();
        }
        tracing::info!(member = %identity.member, boot_id = %hello.boot_id, "attached");
        let guard = Guard {
            shared: self.shared.clone(),
            session: attached.session,
            member: identity.member,
        };
        Ok((guard, attached.welcome))
    }
}

#[tonic::async_trait]
impl v1::control_server::Control for Attach {
    type AttachStream = Replies;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Replies>, Status> {
        if self.shutdown.is_cancelled() {
            return Err(stopping());
        }
        let mut inbound = request.into_inner();
        let (guard, welcome) = self.admit(&mut inbound).await?;
        let call = Call {
            wake: self.shared.calls(),
            guard,
            inbound,
            welcome: Some(welcome),
            shutdown: self.shutdown.clone(),
        };
        let replies = stream::unfold(Some(call), |call| async move {
            let mut call = call?;
            match call.next().await? {
                Ok(body) => Some((Ok(v1::AttachReply { body: Some(body) }), Some(call))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(replies)))
    }
}

struct Call {
    guard: Guard,
    inbound: Streaming<v1::AttachRequest>,
    welcome: Option<v1::Welcome>,
    wake: watch::Receiver<u64>,
    shutdown: CancellationToken,
}

impl Call {
    /// The next reply; `None` when the member ended the call.
    async fn next(&mut self) -> Option<Result<attach_reply::Body, Status>> {
        if let Some(welcome) = self.welcome.take() {
            return Some(Ok(attach_reply::Body::Welcome(welcome)));
        }
        loop {
            if let Some(plan) = self.guard.poll_plan() {
                return Some(Ok(attach_reply::Body::Plan(plan)));
            }
            if let Some(away) = self.guard.poll_drain() {
                return Some(Ok(attach_reply::Body::Drain(away)));
            }
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return Some(Err(stopping())),
                _ = self.wake.changed() => {
                    if !self.guard.is_current() {
                        return Some(Err(status(Refusal::StaleSession)));
                    }
                }
                message = self.inbound.message() => match message {
                    Ok(Some(message)) => {
                        if let Err(refusal) = self.guard.handle(message) {
                            return Some(Err(refusal));
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => {
                        tracing::info!(member = %self.guard.member, %error, "call broke");
                        return None;
                    }
                },
            }
        }
    }
}

/// Tells the state machine that the call is over, whatever ended it.
struct Guard {
    shared: Arc<Shared>,
    session: Session,
    member: String,
}

impl Guard {
    fn poll_plan(&self) -> Option<v1::Plan> {
        self.shared
            .with(|topology, _| topology.poll_plan(self.session))
    }

    fn poll_drain(&self) -> Option<v1::GoAway> {
        self.shared
            .with(|topology, _| topology.poll_drain(self.session))
    }

    fn is_current(&self) -> bool {
        self.shared
            .with(|topology, _| topology.is_current(self.session))
    }

    fn handle(&self, message: v1::AttachRequest) -> Result<(), Status> {
        let result = self.shared.with(|topology, now| match message.body {
            Some(attach_request::Body::Report(report)) => {
                topology.handle_report(self.session, report, now)
            }
            Some(attach_request::Body::Ack(ack)) => topology.handle_ack(self.session, &ack),
            // A second Hello says nothing new, and a body of a later protocol nothing we know.
            Some(attach_request::Body::Hello(_)) | None => Ok(()),
        });
        match result {
            Err(refusal) if refusal.is_harmless() => {
                tracing::debug!(member = %self.member, %refusal, "report dropped");
                Ok(())
            }
            Err(refusal) => {
                tracing::warn!(member = %self.member, %refusal, reason = refusal.reason(), "call refused");
                Err(status(refusal))
            }
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared
            .with(|topology, now| topology.handle_disconnect(self.session, now));
        tracing::info!(member = %self.member, "detached");
    }
}

fn stopping() -> Status {
    Status::unavailable("the control plane is stopping")
}

/// Refusals as the wire says them.
fn status(refusal: Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::Unauthenticated => Status::unauthenticated(message),
        Refusal::UnknownMember { .. } | Refusal::IdentityMismatch { .. } => {
            Status::permission_denied(message)
        }
        Refusal::StaleSession => Status::aborted(message),
        Refusal::StaleReport { .. }
        | Refusal::OversizedReport { .. }
        | Refusal::ImpossibleReport { .. } => Status::invalid_argument(message),
        Refusal::TooManyReports { .. } => Status::resource_exhausted(message),
    }
}

/// A caller that does not say who it is holds a stream for no longer than this.
const HELLO: Duration = Duration::from_secs(5);
