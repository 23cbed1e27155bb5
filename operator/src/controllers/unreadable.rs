//! An object that is stored but cannot be read, perhaps by a newer version: it says so in its own status, and no other
//! object is harmed.

use banyan_api::{conditions, reasons};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::api::{Api, Patch, PatchParams};
use kube::core::error_boundary::InvalidObject;
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use crate::apply::Error;
use crate::apply::writes::Target;
use crate::context::Context;

/// Tells an unreadable object's owner why, once.
pub(super) async fn tell<K: Resource<DynamicType = ()>>(
    object: &InvalidObject,
    context: &Context,
) -> Result<(), Error> {
    let kind = K::kind(&()).into_owned();
    let meta = &object.metadata;
    let (namespace, name) = (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    );
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let live = match api.get_opt(&name).await {
        Ok(Some(live)) => live,
        Ok(None) => return Ok(()),
        Err(error) => return Err(Error::of("get", &kind, &name, &error)),
    };
    let message = format!("the object cannot be read: {}", object.error);
    let told = live.data["status"]["conditions"]
        .as_array()
        .is_some_and(|all| all.iter().any(|one| one["message"] == json!(message)));
    if told {
        return Ok(());
    }
    tracing::warn!(kind, namespace, name, message, "unreadable");
    let condition = |type_: &str| -> Value {
        json!({
            "type": type_,
            "status": "False",
            "reason": reasons::INVALID,
            "message": message,
            "observedGeneration": meta.generation.unwrap_or(0),
            "lastTransitionTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        })
    };
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"conditions": [condition(conditions::ACCEPTED), condition(conditions::READY)]},
    });
    let target = Target {
        verb: "patch",
        kind: &kind,
        name: &name,
    };
    let params = PatchParams::apply("banyan-operator/status").force();
    let patch = Patch::Apply(&patch);
    context
        .writes
        .must(target, api.patch_status(&name, &params, &patch))
        .await
        .map(drop)
}
