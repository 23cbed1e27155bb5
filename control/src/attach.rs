//! `Control.Attach`: one call per member, driven by its own reply stream, so nothing is spawned.
//!
//! The first message is Hello; the [`Directory`] decides who calls and of which topology, the state
//! machine whether that member belongs there. Then reports and acks go in and plans go out until either
//! side ends the call. The call's end, however it comes, is told to the state machine by a guard.
//!
//! A member that starts without name and configuration says so ([`BOOT`]); it is told both as soon as
//! there is a configuration that holds, and nothing else.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::trust::BOOT;
use banyan_proto::v1::{self, attach_reply, attach_request};
use futures::future::BoxFuture;
use futures::{Stream, StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::service::{Handle, Shared};
use crate::topology::{Refusal, Session};

/// Serves [`v1::control_server::Control`].
pub struct Attach {
    directory: Arc<dyn Directory>,
    shutdown: CancellationToken,
}

/// Who a caller is, where many topologies are served.
pub trait Directory: Send + Sync {
    /// Checks the first message of a call. Errors are `UNAUTHENTICATED` with a sentence, or `UNAVAILABLE` where the
    /// caller is to come again.
    fn admit<'a>(&'a self, hello: Option<&'a v1::Hello>)
    -> BoxFuture<'a, Result<Admitted, Status>>;
}

/// A caller whose credential held.
#[derive(Clone)]
pub struct Admitted {
    /// Slot, or the content server's name.
    pub member: String,
    /// The topology it belongs to.
    pub topology: Handle,
}

type Replies = Pin<Box<dyn Stream<Item = Result<v1::AttachReply, Status>> + Send>>;

impl Attach {
    pub(crate) fn new(directory: Arc<dyn Directory>, shutdown: CancellationToken) -> Self {
        Self {
            directory,
            shutdown,
        }
    }

    async fn admit(&self, inbound: &mut Streaming<v1::AttachRequest>) -> Result<Admission, Status> {
        let first = tokio::time::timeout(HELLO, inbound.message())
            .await
            .map_err(|_| Status::unauthenticated("no Hello within 5 s"))??;
        let hello = match first.and_then(|message| message.body) {
            Some(attach_request::Body::Hello(hello)) => Some(hello),
            _ => None,
        };
        let Admitted { member, topology } = self.directory.admit(hello.as_ref()).await?;
        let shared = topology.shared();
        let hello = hello.unwrap_or_default();
        if hello.features.iter().any(|feature| feature == BOOT) {
            let welcome = introduce(&shared, &member).await?;
            tracing::info!(%member, "told a new member who it is");
            return Ok(Admission::Introduced(welcome));
        }
        let attached = shared
            .with(|topology, now| topology.handle_hello(&member, &hello, now))
            .map_err(status)?;
        if attached.replaced.is_some() {
            shared.wake_calls();
        }
        tracing::info!(%member, boot_id = %hello.boot_id, "attached");
        let guard = Guard {
            shared,
            session: attached.session,
            member,
        };
        Ok(Admission::Attached(guard, attached.welcome))
    }
}

enum Admission {
    /// A call that lasts.
    Attached(Guard, v1::Welcome),
    /// A member that has been told who it is, and will call again.
    Introduced(v1::Welcome),
}

/// Waits for a configuration that the member can start with.
async fn introduce(shared: &Shared, member: &str) -> Result<v1::Welcome, Status> {
    let mut changes = shared.calls();
    let told = async {
        loop {
            changes.mark_unchanged();
            match shared.with(|topology, _| topology.introduce(member)) {
                Ok(Some(welcome)) => return Ok(welcome),
                Ok(None) => {}
                Err(refusal) => return Err(status(refusal)),
            }
            if changes.changed().await.is_err() {
                return Err(stopping());
            }
        }
    };
    tokio::time::timeout(NOTHING_ABOVE, told)
        .await
        .unwrap_or_else(|_| {
            Err(Status::unavailable(format!(
                "nothing is above {member:?} yet; it is told its configuration when there is"
            )))
        })
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
        let (guard, welcome) = match self.admit(&mut inbound).await? {
            Admission::Attached(guard, welcome) => (guard, welcome),
            Admission::Introduced(welcome) => {
                let body = Some(attach_reply::Body::Welcome(welcome));
                let only = stream::iter([Ok(v1::AttachReply { body })]);
                return Ok(Response::new(only.boxed()));
            }
        };
        let call = Call {
            wake: guard.shared.calls(),
            shutdown: guard.shared.shutdown().clone(),
            stopping: self.shutdown.clone(),
            guard,
            inbound,
            welcome: Some(welcome),
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
    /// The end of the topology.
    shutdown: CancellationToken,
    /// The end of the service.
    stopping: CancellationToken,
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
            if let Some(kept) = self.guard.poll_kept() {
                return Some(Ok(attach_reply::Body::Kept(kept)));
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return Some(Err(stopping())),
                () = self.shutdown.cancelled() => return Some(Err(gone())),
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

    fn poll_kept(&self) -> Option<v1::Kept> {
        self.shared
            .with(|topology, _| topology.poll_kept(self.session))
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

fn gone() -> Status {
    Status::unavailable("this topology is no longer served here")
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
        // The next call says everything.
        Refusal::UnknownOffers { .. } => Status::failed_precondition(message),
        Refusal::StaleReport { .. }
        | Refusal::OversizedReport { .. }
        | Refusal::ImpossibleReport { .. } => Status::invalid_argument(message),
        Refusal::TooManyReports { .. } => Status::resource_exhausted(message),
    }
}

/// A caller that does not say who it is holds a stream for no longer than this.
const HELLO: Duration = Duration::from_secs(5);

/// Shorter than a new member waits for an answer, so that it hears why there is none.
const NOTHING_ABOVE: Duration = Duration::from_secs(2);
