//! The way to the control plane: Hello, reports, plans. Its absence changes nothing for media.
//!
//! One task, for as long as the member lives; it owns its retries. A plan is taken whole or not at
//! all, and only when newer; one that says what is so already changes nothing, whatever its term.
//! Where it ranks parents anew, tracks move gently to the first of them.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::redirect::Target;
use banyan_proto::report::Said;
use banyan_proto::transport;
use banyan_proto::v1::{self, attach_reply, attach_request::Body, control_client::ControlClient};
use rand::Rng;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::config::Control;
use crate::core::Core;

const REPORT_EVERY: Duration = Duration::from_secs(1);

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// A control plane that does not answer the first message in this time is tried again.
const WELCOME_PATIENCE: Duration = Duration::from_secs(5);

/// Reports wait in no queue: a control plane that does not read is told less often.
const OUTBOX: usize = 4;

/// The newest plan taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Taken {
    term: u64,
    version: u64,
}

/// Attaches to `control` until the core stops.
pub(crate) async fn run(core: Arc<Core>, control: Control) {
    let mut target = Target::new(&control.uri);
    let mut taken = Taken::default();
    let mut retry = RETRY_FIRST;
    loop {
        let ended = match hello(&core, &control) {
            Ok(hello) => attach(&core, target.uri(), hello, &mut taken, &mut retry).await,
            Err(error) => Err(error),
        };
        let error = match ended {
            Ok(()) => Status::unavailable("control ended the call"),
            Err(error) => error,
        };
        tracing::debug!(
            control = target.uri(),
            error = error.message(),
            "not attached"
        );
        if target.ended(&error) {
            continue;
        }
        let jitter = rand::rng().random_range(0.5..1.0);
        sleep(retry.mul_f64(jitter)).await;
        retry = (retry * 2).min(RETRY_LONGEST);
    }
}

/// Who this is, as the control plane asks it.
fn hello(core: &Core, control: &Control) -> Result<v1::Hello, Status> {
    let hello = match &control.account {
        None => core.hello(),
        Some(account) => account
            .hello(&core.options.boot_id)
            .map_err(|error| Status::unavailable(error.to_string()))?,
    };
    Ok(v1::Hello {
        last_slot: core.member().to_owned(),
        ..hello
    })
}

async fn attach(
    core: &Arc<Core>,
    uri: &str,
    hello: v1::Hello,
    taken: &mut Taken,
    retry: &mut Duration,
) -> Result<(), Status> {
    let endpoint =
        transport::endpoint(uri).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut client = ControlClient::new(channel);
    let (outbox, inbox) = mpsc::channel(OUTBOX);
    let send = |body: Body| {
        let message = v1::AttachRequest { body: Some(body) };
        // Full: control is slow; the next report says all of it that control has not confirmed.
        let _ = outbox.try_send(message);
    };
    send(Body::Hello(hello));
    let mut replies =
        tokio::time::timeout(WELCOME_PATIENCE, client.attach(ReceiverStream::new(inbox)))
            .await
            .map_err(|_| Status::deadline_exceeded("control did not answer"))??
            .into_inner();
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0;
    let mut said = Said::default();
    loop {
        tokio::select! {
            reply = replies.message() => match reply?.map(|reply| reply.body) {
                Some(Some(attach_reply::Body::Welcome(welcome))) => {
                    tracing::info!(control = uri, slot = welcome.slot, "attached");
                    *retry = RETRY_FIRST;
                    if let Some(config) = welcome.config
                        && let Err(reason) = adopt(core, config)
                    {
                        tracing::warn!(reason, "configuration of control refused");
                    }
                }
                Some(Some(attach_reply::Body::Plan(plan))) => {
                    send(Body::Ack(consider(core, plan, taken)));
                }
                Some(Some(attach_reply::Body::Drain(away))) => {
                    tracing::info!(reason = away.reason, "told to drain");
                    core.ask_to_leave();
                }
                Some(Some(attach_reply::Body::Kept(kept))) => said.handle_kept(kept),
                Some(None) => {}
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                sequence += 1;
                send(Body::Report(said.shorten(core.report(sequence))));
            }
        }
    }
}

fn consider(core: &Core, plan: v1::Plan, taken: &mut Taken) -> v1::PlanAck {
    let offered = Taken {
        term: plan.term,
        version: plan.version,
    };
    let verdict = if offered == *taken {
        Ok(()) // told again after a lost connection
    } else if offered < *taken {
        Err(format!(
            "plan {}.{} is not newer than {}.{}",
            offered.term, offered.version, taken.term, taken.version
        ))
    } else {
        plan.config
            .ok_or_else(|| "plan carries no configuration".to_owned())
            .and_then(|config| adopt(core, config))
    };
    match &verdict {
        Ok(()) => *taken = offered,
        Err(reason) => {
            core.counters.plans_refused.inc();
            tracing::warn!(reason, "plan refused");
        }
    }
    v1::PlanAck {
        term: plan.term,
        version: plan.version,
        accepted: verdict.is_ok(),
        reason: verdict.err().unwrap_or_default(),
    }
}

/// Takes a configuration whole, or says why not. Members of equal generation keep what they have.
fn adopt(core: &Core, config: v1::Config) -> Result<(), String> {
    let mine = core.config();
    let config = core.as_fixed(config);
    if config.generation < mine.generation {
        return Err(format!(
            "generation {} is older than {}",
            config.generation, mine.generation
        ));
    }
    crate::config::check(&config, core.member(), core.options.role)
        .map_err(|error| error.to_string())?;
    if config.epoch != mine.epoch {
        return Err(format!(
            "epoch {} differs from {}; it cannot change while a topology lives",
            config.epoch, mine.epoch
        ));
    }
    if config != *mine {
        core.configure(config);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
