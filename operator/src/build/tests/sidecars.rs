//! The user's pod with the origin beside it: what joins, what stays, what is refused.

use serde_json::{Value, json};

use super::{SIDECAR, World, release, world};
use crate::build::Error;

fn sidecar(change: impl FnOnce(&mut Value)) -> World {
    let mut world = world(SIDECAR);
    let workload = world.servers[0].spec.workload.sidecar.as_mut().unwrap();
    change(&mut workload.pod_template.0);
    world
}

#[test]
fn the_origin_waits_for_nobody_and_nobody_waits_for_preparation() {
    let children = world(SIDECAR).server_with(0, &release(), &[]).unwrap();
    let spec = children.deployment.spec.unwrap().template.spec.unwrap();
    let init = spec.init_containers.unwrap();
    assert_eq!(init[0].name, "origin");
    assert_eq!(init[0].restart_policy.as_deref(), Some("Always"));
    let startup = init[0].startup_probe.clone().unwrap().http_get.unwrap();
    assert_eq!(startup.path.as_deref(), Some("/healthz"));
    assert_eq!(init[1].name, "prepare", "the user's own stay");
    let media = init[0].volume_mounts.as_ref().unwrap().iter();
    let media = media
        .clone()
        .find(|mount| mount.mount_path == "/media")
        .unwrap();
    assert_eq!(
        (media.name.as_str(), media.read_only),
        ("films", Some(true))
    );
}

#[test]
fn what_the_user_wrote_stays_but_for_what_selects() {
    let children = world(SIDECAR).server_with(0, &release(), &[]).unwrap();
    assert_eq!(
        children.policy, None,
        "the user says what reaches the user's pod"
    );
    assert!(children.account.is_some());
    let template = children.deployment.spec.unwrap().template;
    let metadata = template.metadata.unwrap();
    let labels = metadata.labels.unwrap();
    assert_eq!(labels["app"], "studio");
    assert_eq!(labels["banyan.media/content-server"], "oak");
    assert_eq!(labels.get("banyan.media/tier"), None);
    let annotations = metadata.annotations.unwrap();
    assert_eq!(annotations["example.org/note"], "mine");
    assert_eq!(annotations.get("banyan.media/slot"), None);
    let spec = template.spec.unwrap();
    assert_eq!(spec.security_context.unwrap().fs_group, Some(1000));
    let requests = spec.containers[0]
        .resources
        .clone()
        .unwrap()
        .requests
        .unwrap();
    assert_eq!(requests["cpu"].0, "2");
}

#[test]
fn an_account_of_the_users_is_used() {
    let world = sidecar(|template| template["spec"]["serviceAccountName"] = json!("studio"));
    let children = world.server_with(0, &release(), &[]).unwrap();
    assert_eq!(children.account, None);
    let spec = children.deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(spec.service_account_name.as_deref(), Some("studio"));
    assert_eq!(spec.automount_service_account_token, None);
}

#[test]
fn a_template_that_cannot_be_joined_is_refused_with_a_sentence() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 11] = [
        (
            |t| t["spec"]["volumes"] = json!([]),
            "mediaVolume is \"films\", which the template does not have; podTemplate.spec.volumes has none",
        ),
        (
            |t| t["spec"]["volumes"][0]["name"] = json!("movies"),
            "mediaVolume is \"films\", which the template does not have; accepted are volumes of the template: movies",
        ),
        (
            |t| t["spec"]["containers"][0]["name"] = json!("origin"),
            "podTemplate.spec.containers has a container \"origin\", the name of the origin's own; accepted is any other name",
        ),
        (
            |t| t["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(8080),
            "podTemplate.spec.containers has container \"studio\" listening on port 8080, which the origin in the same pod needs; accepted are ports but 7400 and 8080",
        ),
        (
            |t| t["spec"]["volumes"][0]["name"] = json!("banyan-cache"),
            "podTemplate.spec.volumes has a volume \"banyan-cache\", a name that the origin's own volume has; accepted is any other name",
        ),
        (
            |t| t["spec"]["containers"] = json!([]),
            "podTemplate.spec.containers is empty; accepted are the containers of a media server",
        ),
        (
            |t| t["spec"]["restartPolicy"] = json!("Never"),
            "podTemplate.spec.restartPolicy is \"Never\"; accepted is Always",
        ),
        (
            |t| t["spec"]["containers"][0]["imagePullPolcy"] = json!("Always"),
            "podTemplate.spec.containers[0].imagePullPolcy is not a field of a pod template",
        ),
        (
            |t| *t = json!({"sepc": {}}),
            "podTemplate.sepc is not a field of a pod template",
        ),
        (
            |t| *t = json!("nginx"),
            "podTemplate is not an object; accepted is a pod template",
        ),
        (
            |t| t["spec"]["containers"] = json!("nginx"),
            "podTemplate is not a pod template: invalid type",
        ),
    ];
    for (change, expected) in cases {
        let error = sidecar(change).server_with(0, &release(), &[]).unwrap_err();
        assert_eq!(error.reason(), "InvalidTemplate");
        let text = error.to_string();
        let rest = text.strip_prefix("spec.workload.sidecar.").unwrap();
        assert!(rest.starts_with(expected), "{rest}");
    }
}

#[test]
fn a_workload_without_pods_is_not_built() {
    let mut world = world(SIDECAR);
    world.servers[0].spec.workload.sidecar = None;
    let error = world.server_with(0, &release(), &[]).unwrap_err();
    assert_eq!(error, Error::Workload);
    world.servers[0].metadata.uid = None;
    let error = world.server_with(0, &release(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ContentServer \"oak\" has no UID; only objects of an API server are built"
    );
}
