//! The StreamTopology controller.

mod apply;
mod dereference;
mod validate;

use std::sync::Arc;

use banyan_api::StreamTopology;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;

use self::dereference::Found;
use super::{Error, counted, key, retry};
use crate::build;
use crate::context::{Context, RESYNC};

const CONTROLLER: &str = "topology";

/// Makes one topology so.
pub(super) async fn reconcile(
    object: Arc<DeserializeGuard<StreamTopology>>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    let key = key(&*object);
    let steps = steps(&object, &context);
    counted(&context, CONTROLLER, &context.topologies, &key, steps).await
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
    let children = build::topology(&build::TopologyInput {
        object: found.object,
        model: &valid.model,
        release: &context.release,
        stored: &found.revisions,
        configs: &found.configs,
    })?;
    if !object.spec.paused {
        apply::apply(&found, &children, context).await?;
    }
    Ok(Action::requeue(RESYNC))
}
