//! The user's own pod with the origin beside it, as a native sidecar.
//!
//! The origin is the first init container and keeps running: it starts without waiting for anything of the user's, and
//! the user's containers wait only until it answers, not until it has prepared anything. What the user wrote stays,
//! but for the labels that select the pod.

use banyan_api::content_server::{PodTemplate, Sidecar};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use serde_json::Value;

use super::owner::Owner;
use super::{Error, ServerInput, labels, names, origin, security, settings, volumes};
use crate::release::{GRPC_PORT, HTTP_PORT};

/// A pod template and whether it runs under an account of ours.
pub(super) struct Built {
    pub(super) template: PodTemplateSpec,
    pub(super) own_account: bool,
}

/// Joins the origin to the user's pod.
pub(super) fn build(
    owner: &Owner,
    input: &ServerInput<'_>,
    sidecar: &Sidecar,
) -> Result<Built, Error> {
    let mut template = read(&sidecar.pod_template)?;
    let mut spec = template.spec.take().unwrap_or_default();
    check(&spec, sidecar)?;
    let drain = origin::default_drain();
    let mut container = origin::container(owner, input, drain);
    container.restart_policy = Some("Always".to_owned());
    container.resources = Some(settings::resources(None, origin::AMOUNTS));
    container.volume_mounts = Some(origin::mounts(&sidecar.media_volume));
    container.security_context = Some(security::container());
    spec.init_containers
        .get_or_insert_default()
        .insert(0, container);
    spec.volumes.get_or_insert_default().extend([
        volumes::config(names::server(&owner.name)),
        volumes::token(),
        volumes::cache(sidecar.cache.as_ref()),
        volumes::tmp(),
    ]);
    // Sidecars are told to leave once the others have gone: both need their time.
    let theirs = spec
        .termination_grace_period_seconds
        .unwrap_or(KUBERNETES_GRACE);
    spec.termination_grace_period_seconds = Some(theirs + drain.grace());
    let own_account = spec.service_account_name.is_none();
    if own_account {
        spec.service_account_name = Some(names::server(&owner.name));
        spec.automount_service_account_token.get_or_insert(false);
    }
    template.spec = Some(spec);
    let metadata = template.metadata.get_or_insert_default();
    let all = metadata.labels.get_or_insert_default();
    all.retain(|key, _| !settings::reserved(key));
    all.extend(labels::of_server_pods(
        &owner.name,
        &input.object.spec.topology,
    ));
    if let Some(annotations) = &mut metadata.annotations {
        annotations.retain(|key, _| !settings::reserved(key));
    }
    Ok(Built {
        template,
        own_account,
    })
}

/// What Kubernetes takes when a template does not say.
const KUBERNETES_GRACE: i64 = 30;

/// Reads the template as a Deployment would, and refuses what a Deployment would drop.
fn read(written: &PodTemplate) -> Result<PodTemplateSpec, Error> {
    let mut written = written.0.clone();
    drop_nulls(&mut written);
    let refuse = |problem: String| Err(template("podTemplate", problem));
    if !written.is_object() {
        return refuse("is not an object; accepted is a pod template".to_owned());
    }
    let read: PodTemplateSpec = match serde_json::from_value(written.clone()) {
        Ok(read) => read,
        Err(error) => return refuse(format!("is not a pod template: {error}")),
    };
    let known = serde_json::to_value(&read).expect("a pod template must be JSON");
    match unknown(&written, &known, String::new()) {
        Some(path) => Err(template(
            &format!("podTemplate{path}"),
            "is not a field of a pod template".to_owned(),
        )),
        None => Ok(read),
    }
}

/// Why the origin cannot join this pod.
fn check(spec: &PodSpec, sidecar: &Sidecar) -> Result<(), Error> {
    if spec.containers.is_empty() {
        let problem = "is empty; accepted are the containers of a media server".to_owned();
        return Err(template("podTemplate.spec.containers", problem));
    }
    if let Some(policy) = spec.restart_policy.as_deref().filter(|p| *p != "Always") {
        return Err(template(
            "podTemplate.spec.restartPolicy",
            format!("is {policy:?}; accepted is Always"),
        ));
    }
    let volume_names: Vec<&str> = spec
        .volumes
        .iter()
        .flatten()
        .map(|volume| volume.name.as_str())
        .collect();
    for ours in [
        volumes::CONFIG,
        volumes::TOKEN,
        volumes::CACHE,
        volumes::TMP,
    ] {
        if volume_names.contains(&ours) {
            return Err(template(
                "podTemplate.spec.volumes",
                format!(
                    "has a volume {ours:?}, a name that the origin's own volume has; accepted is any other name"
                ),
            ));
        }
    }
    if !volume_names.contains(&sidecar.media_volume.as_str()) {
        let accepted = if volume_names.is_empty() {
            "podTemplate.spec.volumes has none".to_owned()
        } else {
            format!(
                "accepted are volumes of the template: {}",
                volume_names.join(", ")
            )
        };
        return Err(template(
            "mediaVolume",
            format!(
                "is {:?}, which the template does not have; {accepted}",
                sidecar.media_volume
            ),
        ));
    }
    let init = spec.init_containers.iter().flatten();
    for container in init.chain(&spec.containers) {
        check_container(container)?;
    }
    Ok(())
}

fn check_container(container: &Container) -> Result<(), Error> {
    let name = &container.name;
    let at = "podTemplate.spec.containers";
    if name == names::ORIGIN {
        return Err(template(
            at,
            format!(
                "has a container {name:?}, the name of the origin's own; accepted is any other name"
            ),
        ));
    }
    let taken = [GRPC_PORT, HTTP_PORT].map(i32::from);
    let ports = container.ports.iter().flatten();
    match ports
        .map(|port| port.container_port)
        .find(|port| taken.contains(port))
    {
        Some(port) => Err(template(
            at,
            format!(
                "has container {name:?} listening on port {port}, which the origin in the same pod needs; accepted are ports but {GRPC_PORT} and {HTTP_PORT}"
            ),
        )),
        None => Ok(()),
    }
}

fn template(field: &str, problem: String) -> Error {
    Error::Template {
        field: field.to_owned(),
        problem,
    }
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Path of the first field of `written` that `known` does not have.
fn unknown(written: &Value, known: &Value, path: String) -> Option<String> {
    match (written, known) {
        (Value::Object(written), Value::Object(known)) => {
            written.iter().find_map(|(key, value)| {
                let path = format!("{path}.{key}");
                match known.get(key) {
                    Some(known) => unknown(value, known, path),
                    None => Some(path),
                }
            })
        }
        (Value::Array(written), Value::Array(known)) => written
            .iter()
            .zip(known)
            .enumerate()
            .find_map(|(index, (value, known))| unknown(value, known, format!("{path}[{index}]"))),
        _ => None,
    }
}
