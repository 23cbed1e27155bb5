//! The ContentServer controller.

mod apply;
mod dereference;
mod update_status;
mod validate;

use std::sync::Arc;

use banyan_api::ContentServer;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;

use self::dereference::Found;
use self::update_status::Outcome;
use super::{Done, Error, counted, failure, key, present, retry};
use crate::build;
use crate::context::{Context, RESYNC};

pub(crate) const CONTROLLER: &str = "server";

/// Makes one server so.
pub(super) async fn reconcile(
    object: Arc<DeserializeGuard<ContentServer>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let key = key(&*object);
    let steps = steps(&object, &context);
    let memory = (&context.servers, &*context.waiting_servers);
    counted(&context, CONTROLLER, memory, &key, steps).await
}

/// A reconcile failed.
pub(super) fn failed(
    object: Arc<DeserializeGuard<ContentServer>>,
    error: &Error,
    context: Arc<Context>,
) -> Action {
    retry(&context, CONTROLLER, &context.servers, key(&*object), error)
}

async fn steps(
    object: &DeserializeGuard<ContentServer>,
    context: &Context,
) -> Result<Action, Error> {
    let Some(object) = present(object, context).await? else {
        return Ok(Action::await_change());
    };
    let done = carry_out(object, context).await;
    let server = key(object);
    if context.updates.set(&server, done.updates) {
        let topology = object.spec.topology.clone();
        context.concerned.topology((server.0, topology)).await;
    }
    if let Some(Error::Unread(_)) = done.error {
        // Too early to say anything.
        return done.error.map_or(Ok(Action::await_change()), Err);
    }
    let (seen, again) = dereference::seen(object, context);
    let outcome = Outcome {
        refusals: &done.refusals,
        failures: &done.failures,
        seen: seen.as_ref(),
    };
    let revisit = update_status::update(object, &outcome, context).await?;
    match done.error {
        Some(error) => Err(error),
        None => {
            let soonest = revisit.into_iter().chain(again).min();
            Ok(Action::requeue(soonest.map_or(RESYNC, |at| at.min(RESYNC))))
        }
    }
}

async fn carry_out(object: &ContentServer, context: &Context) -> Done {
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
    let configs = dereference::configs(object, context);
    if configs.is_empty() {
        // Members learn of a server with its topology. One that is refused keeps what it has.
        return match banyan_api::validate::topology(valid.topology) {
            Ok(_) => done.failed(Error::Unread(
                "its topology was not told of it yet".to_owned(),
            )),
            Err(_) => done,
        };
    }
    let input = build::ServerInput {
        object: found.object,
        model: &valid.model,
        topology: valid.topology,
        release: &context.release,
        stored: &found.revisions,
        configs: &configs,
    };
    let children = match build::server(&input) {
        Ok(children) => children,
        Err(error) => return done.failed(error.into()),
    };
    let mut done = Done {
        updates: children.updates.clone(),
        ..done
    };
    if valid.topology.spec.paused {
        return done;
    }
    let errors = apply::apply(&found, &children, context).await;
    done.failures.extend(errors.iter().map(failure));
    done.error = errors.into_iter().next().map(Error::Apply);
    done
}
