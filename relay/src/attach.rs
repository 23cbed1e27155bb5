//! The way to the control plane: Hello, reports, plans. Its absence changes nothing for media.
//!
//! One task, for as long as the member lives; it owns its retries. A plan is taken whole or not at
//! all, and only when newer; one that says what is so already changes nothing, whatever its term.
//! Where it ranks parents anew, tracks move gently to the first of them.

use std::sync::Arc;
use std::time::Duration;

use banyan_proto::redirect::Target;
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
        // Full: control is slow; the next report says all of it again.
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
                Some(None) => {}
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                sequence += 1;
                send(Body::Report(core.report(sequence)));
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
mod tests {
    use super::*;

    fn plan(term: u64, version: u64, parents: &[&str]) -> v1::Plan {
        let mut config = crate::testing::config(&[], &[]);
        config.parents = parents
            .iter()
            .map(|name| crate::testing::peer(name))
            .collect();
        v1::Plan {
            term,
            version,
            config: Some(config),
        }
    }

    #[tokio::test]
    async fn only_newer_whole_plans_are_taken_and_every_one_is_answered() {
        let core = crate::testing::lone_core("edge-7");
        let mut taken = Taken::default();
        let mut consider = |plan| consider(&core, plan, &mut taken);
        assert!(consider(plan(2, 1, &["mid-0"])).accepted);
        let old = consider(plan(1, 9, &["mid-1"]));
        assert!(!old.accepted && old.reason.contains("1.9"), "{old:?}");
        assert!(consider(plan(2, 1, &["mid-1"])).accepted, "told again");
        let looped = consider(plan(2, 2, &["edge-7"]));
        assert!(
            !looped.accepted && looped.reason.contains("edge-7"),
            "{looped:?}"
        );
        assert_eq!(core.config().parents[0].name, "mid-0");
        assert!(consider(plan(3, 0, &["mid-2"])).accepted);
        assert_eq!(core.config().parents[0].name, "mid-2");
        assert_eq!(core.counters.plans_refused.value(), 2);
    }

    #[tokio::test]
    async fn a_new_control_plane_that_says_the_same_disturbs_nothing() {
        let core = crate::testing::lone_core("edge-7");
        let mut taken = Taken::default();
        assert!(consider(&core, plan(2, 4, &["mid-0", "mid-1"]), &mut taken).accepted);
        let changes = core.config_changes();
        assert!(consider(&core, plan(3, 1, &["mid-0", "mid-1"]), &mut taken).accepted);
        assert!(!changes.has_changed().unwrap(), "nobody looks for a change");
        assert!(consider(&core, plan(3, 2, &["mid-1", "mid-0"]), &mut taken).accepted);
        assert!(changes.has_changed().unwrap());
        let old = consider(&core, plan(2, 9, &["mid-0"]), &mut taken);
        assert!(!old.accepted, "of a control plane before this one");
        let names: Vec<_> = core.report(1).parents;
        assert_eq!(names, ["mid-1", "mid-0"], "reports say what is configured");
    }

    #[tokio::test]
    async fn a_plan_that_cannot_be_followed_is_refused_whole_and_counted() {
        let core = crate::testing::lone_core("edge-7");
        let mut taken = Taken::default();
        assert!(consider(&core, plan(2, 1, &["mid-0"]), &mut taken).accepted);
        let broken = |change: &dyn Fn(&mut v1::Config)| {
            let mut plan = plan(2, 2, &["mid-1"]);
            change(plan.config.as_mut().unwrap());
            plan
        };
        let cases: [(v1::Plan, &str); 6] = [
            (broken(&|c| c.parents.clear()), "at least one parent"),
            (
                broken(&|c| c.parents[0].uri = "mid-1:3".to_owned()),
                "mid-1",
            ),
            (broken(&|c| c.parents[0].name = "Mid 1".to_owned()), "Mid 1"),
            (broken(&|c| c.epoch += 1), "epoch"),
            (
                broken(&|c| c.parents.push(crate::testing::peer("edge-7"))),
                "itself",
            ),
            (
                v1::Plan {
                    config: None,
                    ..plan(2, 2, &[])
                },
                "no configuration",
            ),
        ];
        for (case, part) in cases {
            let ack = consider(&core, case, &mut taken);
            assert!(!ack.accepted && ack.reason.contains(part), "{ack:?}");
        }
        assert_eq!(core.config().parents[0].name, "mid-0");
        assert_eq!(core.counters.plans_refused.value(), 6);
        assert!(consider(&core, plan(2, 2, &["mid-1"]), &mut taken).accepted);
    }
}
