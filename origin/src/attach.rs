//! The control plane, when there is one: reports go up once a second, newer configuration comes down.
//!
//! Its absence changes nothing: the server runs on what it has.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::redirect::Target;
use banyan_proto::report::Said;
use banyan_proto::transport;
use banyan_proto::trust::ServiceAccount;
use banyan_proto::v1::{self, attach_reply, attach_request, control_client::ControlClient};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::beat::Backoff;
use crate::config::{self, Settings};
use crate::status::Member;

/// The task that keeps attached.
pub(crate) struct Attachment {
    pub(crate) target: Target,
    /// Who this is, as the control plane asks it; `None` = the holder of the run's secret.
    pub(crate) account: Option<ServiceAccount>,
    pub(crate) member: Arc<Member>,
    pub(crate) settings: watch::Sender<Arc<Settings>>,
    /// Newest plan applied.
    pub(crate) plan: (u64, u64),
}

impl Attachment {
    pub(crate) async fn run(mut self) {
        let mut backoff = Backoff::new();
        let mut told = false;
        loop {
            let began = Instant::now();
            let ended = self.attach().await;
            let ended = ended
                .err()
                .unwrap_or_else(|| Status::unavailable("the call ended"));
            let reason = ended.message().to_owned();
            if self.target.ended(&ended) {
                continue;
            }
            // Control may be away for long; once per absence is enough.
            if !told || began.elapsed() > TELL_AGAIN {
                tracing::info!(
                    control = self.target.uri(),
                    reason,
                    "not attached; going on without"
                );
                told = true;
            }
            backoff.wait(began.elapsed()).await;
        }
    }

    fn hello(&self) -> Result<v1::Hello, Status> {
        let hello = match &self.account {
            None => self.member.hello(),
            Some(account) => account
                .hello(&self.member.boot_id)
                .map_err(|error| Status::unavailable(error.to_string()))?,
        };
        Ok(v1::Hello {
            last_slot: self.member.name.clone(),
            ..hello
        })
    }

    async fn attach(&mut self) -> Result<(), Status> {
        let hello = self.hello()?;
        let endpoint = transport::endpoint(self.target.uri())
            .map_err(|e| Status::invalid_argument(e.to_string()))?;
        let channel = endpoint
            .connect()
            .await
            .map_err(|e| Status::unavailable(e.to_string()))?;
        let (send, receive) = mpsc::channel(QUEUED);
        let _ = send.try_send(request(attach_request::Body::Hello(hello)));
        let mut client = ControlClient::new(channel);
        let call = client.attach(ReceiverStream::new(receive));
        let mut replies = tokio::time::timeout(ANSWER, call)
            .await
            .map_err(|_| Status::deadline_exceeded("control did not answer"))??
            .into_inner();
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sequence = 0;
        let mut said = Said::default();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    sequence += 1;
                    let report = said.shorten(self.member.report(sequence));
                    if send.try_send(request(attach_request::Body::Report(report))).is_err() {
                        return Err(Status::deadline_exceeded("control takes no reports"));
                    }
                }
                reply = replies.message() => match reply?.map(|reply| reply.body) {
                    Some(Some(attach_reply::Body::Welcome(welcome))) => {
                        if let Some(config) = welcome.config
                            && let Err(reason) = self.accept(config)
                        {
                            tracing::warn!(reason, "configuration from control refused");
                        }
                    }
                    Some(Some(attach_reply::Body::Plan(plan))) => {
                        let ack = self.plan(plan);
                        let _ = send.try_send(request(attach_request::Body::Ack(ack)));
                    }
                    Some(Some(attach_reply::Body::Drain(_))) => self.member.drain(),
                    Some(Some(attach_reply::Body::Kept(kept))) => said.handle_kept(kept),
                    // Of a later protocol.
                    Some(None) => {}
                    None => return Ok(()),
                },
            }
        }
    }

    /// Applies a newer plan as a whole, or refuses it as a whole with the reason.
    fn plan(&mut self, plan: v1::Plan) -> v1::PlanAck {
        let (term, version) = (plan.term, plan.version);
        let ack = |accepted, reason| v1::PlanAck {
            term,
            version,
            accepted,
            reason,
        };
        if (term, version) == self.plan {
            // The same plan again, after a reconnection: it is in force.
            return ack(true, String::new());
        }
        if (term, version) < self.plan {
            return ack(
                false,
                format!(
                    "plan {term}/{version} is older than {}/{}",
                    self.plan.0, self.plan.1
                ),
            );
        }
        match plan.config.map_or(Ok(()), |config| self.accept(config)) {
            Ok(()) => {
                self.plan = (term, version);
                ack(true, String::new())
            }
            Err(reason) => ack(false, reason),
        }
    }

    /// An older generation is no error: what runs is newer. Of equal ones the control plane's word counts more than the
    /// file's; what says the same changes nothing.
    fn accept(&self, config: v1::Config) -> Result<(), String> {
        if config.generation < self.settings.borrow().generation {
            return Ok(());
        }
        let settings = config::check(config, self.member.topology()).map_err(|e| e.to_string())?;
        if settings == **self.settings.borrow() {
            return Ok(());
        }
        if settings.wanted.epoch != self.settings.borrow().wanted.epoch {
            return Err(format!(
                "epoch {} differs from {}; it stays for the life of a stream",
                settings.wanted.epoch,
                self.settings.borrow().wanted.epoch
            ));
        }
        tracing::info!(
            generation = settings.generation,
            "newer configuration applied"
        );
        self.settings.send_replace(Arc::new(settings));
        Ok(())
    }
}

fn request(body: attach_request::Body) -> v1::AttachRequest {
    v1::AttachRequest { body: Some(body) }
}

const REPORT_EVERY: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(3);
const TELL_AGAIN: Duration = Duration::from_secs(10);
const QUEUED: usize = 8;
