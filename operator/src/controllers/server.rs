//! The ContentServer controller.

mod apply;
mod dereference;
mod validate;

use std::sync::Arc;

use banyan_api::ContentServer;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;

use self::dereference::Found;
use super::{Error, counted, key, retry};
use crate::build;
use crate::context::{Context, RESYNC};

const CONTROLLER: &str = "server";

/// Makes one server so.
pub(super) async fn reconcile(
    object: Arc<DeserializeGuard<ContentServer>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let key = key(&*object);
    let steps = steps(&object, &context);
    counted(&context, CONTROLLER, &context.servers, &key, steps).await
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
    let Ok(object) = &object.0 else {
        return Ok(Action::await_change());
    };
    if object.metadata.deletion_timestamp.is_some() {
        // Owner references clear up.
        return Ok(Action::await_change());
    }
    let found = dereference::find(object, context)?;
    let Ok(valid) = validate::check(&found) else {
        return Ok(Action::await_change());
    };
    let children = build::server(&build::ServerInput {
        object: found.object,
        model: &valid.model,
        topology: valid.topology,
        release: &context.release,
        stored: &found.revisions,
        configs: &found.configs,
    })?;
    if !valid.topology.spec.paused {
        apply::apply(&found, &children, context).await?;
    }
    Ok(Action::requeue(RESYNC))
}
