//! What every pod of ours keeps to, whatever the user sets.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};

use super::{CAMPUS, FULL, SIDECAR, release, world};

/// Templates of every Deployment of a manifest, by Deployment name.
fn templates(yaml: &str) -> Vec<(String, PodTemplateSpec)> {
    let world = world(yaml);
    let topology = world.topology_with(&release(), &[]).unwrap();
    let servers =
        (0..world.servers.len()).map(|i| world.server_with(i, &release(), &[]).unwrap().deployment);
    topology
        .deployments
        .into_iter()
        .chain(servers)
        .map(|deployment| {
            let name = deployment.metadata.name.unwrap();
            let spec = deployment.spec.unwrap();
            let labels = spec
                .template
                .metadata
                .as_ref()
                .unwrap()
                .labels
                .clone()
                .unwrap();
            for (key, value) in spec.selector.match_labels.unwrap() {
                assert_eq!(labels[&key], value, "{name} selects its own pods");
            }
            (name, spec.template)
        })
        .collect()
}

fn ours(spec: &PodSpec) -> &Container {
    spec.init_containers
        .iter()
        .flatten()
        .chain(&spec.containers)
        .find(|container| ["relay", "origin"].contains(&container.name.as_str()))
        .unwrap()
}

#[test]
fn every_container_of_ours_is_restricted() {
    for (name, template) in [CAMPUS, FULL, SIDECAR].into_iter().flat_map(templates) {
        let spec = template.spec.unwrap();
        let context = ours(&spec).security_context.clone().unwrap();
        assert_eq!(context.run_as_non_root, Some(true), "{name}");
        assert_eq!(context.run_as_user, Some(65532), "{name}");
        assert_eq!(context.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(context.read_only_root_filesystem, Some(true), "{name}");
        assert_eq!(
            context.capabilities.unwrap().drop.unwrap(),
            ["ALL"],
            "{name}"
        );
        assert_eq!(
            context.seccomp_profile.unwrap().type_,
            "RuntimeDefault",
            "{name}"
        );
        assert_eq!(spec.automount_service_account_token, Some(false), "{name}");
        assert!(spec.service_account_name.is_some(), "{name}");
        let requests = ours(&spec).resources.clone().unwrap().requests.unwrap();
        assert!(requests.contains_key("cpu"), "{name}");
    }
}

#[test]
fn only_readiness_asks_for_more_than_the_process() {
    for (name, template) in [CAMPUS, FULL, SIDECAR].into_iter().flat_map(templates) {
        let spec = template.spec.unwrap();
        let container = ours(&spec);
        let asks = |probe: &Option<k8s_openapi::api::core::v1::Probe>| {
            probe.clone().unwrap().http_get.unwrap().path.unwrap()
        };
        assert_eq!(asks(&container.startup_probe), "/healthz", "{name}");
        assert_eq!(asks(&container.liveness_probe), "/healthz", "{name}");
        assert_eq!(asks(&container.readiness_probe), "/readyz", "{name}");
    }
}

#[test]
fn a_pod_has_time_to_leave() {
    let all: Vec<(String, PodTemplateSpec)> = [CAMPUS, FULL, SIDECAR]
        .into_iter()
        .flat_map(templates)
        .collect();
    for (name, seconds, drain) in [
        ("campus-root", 18, "10s"),
        ("campus-edge", 18, "10s"),
        ("lisbon-origin", 18, "10s"),
        ("forest-root", 98, "90s"),
        ("forest-trunk", 9, "250ms"),
        ("cedar-origin", 28, "20s"),
        // The user's twelve, then ours.
        ("oak-origin", 30, "10s"),
    ] {
        let (_, template) = all.iter().find(|(own, _)| own == name).unwrap();
        let spec = template.spec.as_ref().unwrap();
        assert_eq!(
            spec.termination_grace_period_seconds,
            Some(seconds),
            "{name}"
        );
        assert_eq!(argument(ours(spec), "drain-timeout"), drain, "{name}");
        assert_eq!(argument(ours(spec), "lame-duck"), "3s", "{name}");
    }
}

#[test]
fn user_labels_never_change_what_selects_a_pod() {
    // Validation refuses them; a builder does not rely on that.
    let mut world = world(FULL);
    let pod = world.topology.spec.rendezvous.pod.as_mut().unwrap();
    for (key, value) in [
        ("banyan.media/tier", "edge"),
        ("banyan.media/content-server", "cedar"),
    ] {
        pod.labels.insert(key.to_owned(), value.to_owned());
    }
    let model = banyan_api::validate::topology(&super::world(FULL).topology).unwrap();
    let children = crate::build::topology(&crate::build::TopologyInput {
        object: &world.topology,
        model: &model,
        release: &release(),
        stored: &[],
        configs: &Default::default(),
    });
    let deployment = children.unwrap().deployments.remove(0);
    let template = deployment.spec.unwrap().template;
    let labels = template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["banyan.media/tier"], "root");
    assert_eq!(labels["team"], "video");
    assert_eq!(labels.get("banyan.media/content-server"), None);
}

#[test]
fn memory_for_media_follows_the_limit() {
    for (yaml, name, expected) in [
        (CAMPUS, "campus-edge", Some("536870912")),
        (FULL, "forest-root", Some("402653184")),
        (CAMPUS, "lisbon-origin", None),
    ] {
        let all = templates(yaml);
        let (_, template) = all.iter().find(|(own, _)| own == name).unwrap();
        let container = ours(template.spec.as_ref().unwrap());
        let budget = container
            .env
            .iter()
            .flatten()
            .find(|env| env.name == "BANYAN_MEMORY_BUDGET")
            .and_then(|env| env.value.as_deref());
        assert_eq!(budget, expected, "{name}");
    }
}

#[test]
fn the_whole_config_folder_is_mounted_so_that_it_is_kept_fresh() {
    for (name, template) in [CAMPUS, SIDECAR].into_iter().flat_map(templates) {
        let spec = template.spec.unwrap();
        let mounts = ours(&spec).volume_mounts.clone().unwrap();
        let mount = mounts
            .iter()
            .find(|mount| mount.name == "banyan-config")
            .unwrap();
        assert_eq!(
            (mount.sub_path.as_ref(), mount.read_only),
            (None, Some(true)),
            "{name}"
        );
        let config = argument(ours(&spec), "config");
        assert!(
            config.starts_with(&format!("{}/", mount.mount_path)),
            "{config}"
        );
    }
}

/// The value of an argument.
fn argument(container: &Container, key: &str) -> String {
    let arguments = container.args.clone().unwrap();
    let at = arguments.iter().position(|a| *a == format!("--{key}"));
    arguments[at.unwrap_or_else(|| panic!("--{key} must be given")) + 1].clone()
}
