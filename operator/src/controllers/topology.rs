//! The StreamTopology controller.

mod apply;
mod dereference;
mod told;
mod update_status;
mod validate;

use std::sync::Arc;

use banyan_api::StreamTopology;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;

use self::dereference::Found;
use self::update_status::Outcome;
use super::{Done, Error, counted, failure, key, present, retry};
use crate::build;
use crate::context::{Context, RESYNC};

pub(crate) const CONTROLLER: &str = "topology";

/// Makes one topology so.
pub(super) async fn reconcile(
    object: Arc<DeserializeGuard<StreamTopology>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let key = key(&*object);
    let steps = steps(&object, &context);
    let memory = (&context.topologies, &*context.waiting_topologies);
    counted(&context, CONTROLLER, memory, &key, steps).await
}

/// A reconcile failed.
pub(super) fn failed(
    object: Arc<DeserializeGuard<StreamTopology>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    retry(
        &context,
        CONTROLLER,
        &context.topologies,
        key(&*object),
        error,
    )
}

async fn steps(
    object: &DeserializeGuard<StreamTopology>,
    context: &Context,
) -> Result<Action, Error> {
    let Some(object) = present(object, context).await? else {
        return Ok(Action::await_change());
    };
    let done = carry_out(object, context).await;
    if let Some(Error::Unread(_)) = done.error {
        // Too early to say anything.
        return done.error.map_or(Ok(Action::await_change()), Err);
    }
    let (seen, revisit) = dereference::seen(object, context);
    let outcome = Outcome {
        refusals: &done.refusals,
        failures: &done.failures,
        updates: &done.updates,
        seen: seen.as_ref(),
    };
    update_status::update(object, &outcome, context).await?;
    match done.error {
        Some(error) => Err(error),
        None => Ok(Action::requeue(revisit.map_or(RESYNC, |at| at.min(RESYNC)))),
    }
}

async fn carry_out(object: &StreamTopology, context: &Context) -> Done {
    let done = Done::default();
    let found = match dereference::find(object, context) {
        Ok(found) => found,
        Err(error) => return done.failed(error),
    };
    let valid = match validate::check(&found) {
        Ok(valid) => valid,
        // What is there stays as it is.
        Err(refusals) => return Done { refusals, ..done },
    };
    let first = context.first_told(&found.owner.uid);
    if first || !object.spec.paused {
        let desired = told::desired(&found, &valid);
        let (namespace, name) = (&found.owner.namespace, &found.name);
        context.members.set_topology(namespace, name, Some(desired));
    }
    let configs = context.members.configs(&found.owner.namespace, &found.name);
    let input = build::TopologyInput {
        object: found.object,
        model: &valid.model,
        release: &context.release,
        stored: &found.revisions,
        configs: &configs,
    };
    let children = match build::topology(&input) {
        Ok(children) => children,
        Err(error) => return done.failed(error.into()),
    };
    let mut done = Done {
        updates: found.updates(&children, context),
        ..done
    };
    if object.spec.paused {
        return done;
    }
    let errors = apply::apply(&found, &children, context).await;
    done.failures.extend(errors.iter().map(failure));
    done.error = errors.into_iter().next().map(Error::Apply);
    done
}
