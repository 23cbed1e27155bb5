//! Stored pod templates: what rolls pods, and what only shows as an update.

use banyan_api::quantity::TimeSpan;
use banyan_api::stream_topology::UpgradePolicy;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use proptest::prelude::*;

use super::{CAMPUS, FULL, SIDECAR, World, release, world};
use crate::build::TopologyChildren;
use crate::release::Release;

fn build(world: &World, release: &Release, stored: &[ControllerRevision]) -> TopologyChildren {
    world.topology_with(release, stored).unwrap()
}

/// The template of each Deployment as it goes over the wire.
fn templates(deployments: &[Deployment]) -> Vec<String> {
    deployments
        .iter()
        .map(|deployment| {
            serde_json::to_string(&deployment.spec.as_ref().unwrap().template).unwrap()
        })
        .collect()
}

/// As an API server gives it back.
fn reread(revisions: &[ControllerRevision]) -> Vec<ControllerRevision> {
    let text = serde_json::to_string(revisions).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn newer() -> Release {
    let mut release = release();
    release.version = "0.2.0".to_owned();
    release.images.relay = "registry.example.org/banyan-relay:0.2.0".to_owned();
    release.images.origin = "registry.example.org/banyan-origin:0.2.0".to_owned();
    release.images.pull_policy = "Always".to_owned();
    release
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn another_operator_with_the_same_spec_touches_no_pod(
        version in "[0-9]\\.[0-9]{1,3}\\.[0-9](\\+[a-z]{3})?",
        image in "[a-z]{1,12}/[a-z]{1,12}:[a-z0-9]{1,8}",
        policy in "(Always|Never|IfNotPresent)",
        replicas in 2..5_i32,
        sessions in proptest::option::of(1..1000_i32),
    ) {
        let mut world = world(CAMPUS);
        let first = build(&world, &release(), &[]);
        let mut other = release();
        other.version = version;
        other.images.relay = image;
        other.images.pull_policy = policy;
        // What does not concern pods may change as well.
        world.topology.spec.edge.replicas = replicas;
        world.topology.spec.edge.max_sessions = sessions;
        world.topology.spec.edge.service.port = 8000;
        let stored = reread(&first.revisions);
        let second = build(&world, &other, &stored);
        prop_assert_eq!(templates(&second.deployments), templates(&first.deployments));
        prop_assert!(second.update_available);
        prop_assert_eq!(names(&second.revisions), names(&first.revisions));
        for (old, new) in stored.iter().zip(&second.revisions) {
            prop_assert_eq!(&old.data, &new.data);
            prop_assert_eq!(old.revision, new.revision);
        }
        let third = build(&world, &other, &reread(&second.revisions));
        prop_assert_eq!(third, second);
    }
}

#[test]
fn a_builder_that_renders_more_touches_no_pod_either() {
    // An operator of another build stored a template that this one would not render.
    let world = world(CAMPUS);
    let mut stored = reread(&build(&world, &release(), &[]).revisions);
    for revision in &mut stored {
        let data = &mut revision.data.as_mut().unwrap().0;
        data["template"]["metadata"]["labels"]["earlier"] = "yes".into();
    }
    let children = build(&world, &release(), &stored);
    for template in templates(&children.deployments) {
        assert!(template.contains(r#""earlier":"yes""#), "{template}");
    }
    assert_eq!(
        children.updates[0],
        "tier \"root\": runs a pod template of an earlier operator"
    );
}

#[test]
fn a_build_that_labels_pods_touches_none_and_labels_new_tiers() {
    let world = world(CAMPUS);
    let first = build(&world, &release(), &[]);
    let mut later = release();
    later.pod_labels = &[("banyan.media/later", "yes")];
    let second = build(&world, &later, &reread(&first.revisions));
    assert_eq!(
        templates(&second.deployments),
        templates(&first.deployments)
    );
    assert!(second.update_available);
    for template in templates(&build(&world, &later, &[]).deployments) {
        assert!(
            template.contains(r#""banyan.media/later":"yes""#),
            "{template}"
        );
    }
}

#[test]
fn a_newer_image_is_told_and_not_taken() {
    let world = world(CAMPUS);
    let first = build(&world, &release(), &[]);
    assert!(!first.update_available);
    let second = build(&world, &newer(), &reread(&first.revisions));
    assert_eq!(
        second.updates[2],
        "tier \"edge\": runs image \"registry.example.org/banyan-relay:0.1.0\", this operator's is \"registry.example.org/banyan-relay:0.2.0\""
    );
}

#[test]
fn what_a_user_changes_rolls_that_tier_alone() {
    let mut world = world(CAMPUS);
    let first = build(&world, &release(), &[]);
    world.topology.spec.relays[0].drain_timeout = Some(TimeSpan::from("40s"));
    let second = build(&world, &newer(), &reread(&first.revisions));
    let (old, new) = (
        templates(&first.deployments),
        templates(&second.deployments),
    );
    assert_eq!((&old[0], &old[2]), (&new[0], &new[2]));
    assert!(
        new[1].contains(r#""terminationGracePeriodSeconds":48"#),
        "{}",
        new[1]
    );
    assert!(
        new[1].contains("banyan-relay:0.2.0"),
        "a roll takes the newest"
    );
    let numbers: Vec<i64> = second.revisions.iter().map(|r| r.revision).collect();
    assert_eq!(numbers, [1, 2, 1]);
    assert_ne!(names(&first.revisions)[1], names(&second.revisions)[1]);
    // Back again: the first template was removed by then.
    world.topology.spec.relays[0].drain_timeout = None;
    let third = build(&world, &release(), &reread(&second.revisions));
    assert_eq!(templates(&third.deployments)[1], old[1]);
    assert_eq!(third.revisions[1].revision, 3);
}

#[test]
fn with_operator_always_takes_the_newest() {
    let mut world = world(CAMPUS);
    world.topology.spec.upgrade_policy = UpgradePolicy::WithOperator;
    let first = build(&world, &release(), &[]);
    let second = build(&world, &newer(), &reread(&first.revisions));
    assert!(!second.update_available);
    for template in templates(&second.deployments) {
        assert!(template.contains("banyan-relay:0.2.0"), "{template}");
    }
    // Both are stored for a moment, and the choice between them stays.
    let both = [reread(&second.revisions), reread(&first.revisions)].concat();
    let third = build(&world, &newer(), &both);
    assert_eq!(third.revisions, second.revisions);
    // From here on nothing changes without the user.
    world.topology.spec.upgrade_policy = UpgradePolicy::OnSpecChange;
    let fourth = build(&world, &release(), &both);
    assert_eq!(
        templates(&fourth.deployments),
        templates(&second.deployments)
    );
}

#[test]
fn a_control_plane_elsewhere_is_worth_a_roll() {
    let world = world(CAMPUS);
    let first = build(&world, &release(), &[]);
    let mut moved = release();
    moved.namespace = "elsewhere".to_owned();
    let second = build(&world, &moved, &reread(&first.revisions));
    for template in templates(&second.deployments) {
        assert!(
            template.contains("http://banyan.elsewhere.svc:7400"),
            "{template}"
        );
    }
}

#[test]
fn revisions_of_others_are_not_taken() {
    let world = world(CAMPUS);
    let first = build(&world, &release(), &[]);
    let mut foreign = reread(&first.revisions);
    for revision in &mut foreign {
        revision.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    }
    let mut broken = reread(&first.revisions);
    for revision in &mut broken {
        revision.data.as_mut().unwrap().0 = serde_json::json!({"state": 7});
    }
    for stored in [foreign, broken] {
        let second = build(&world, &newer(), &stored);
        assert!(templates(&second.deployments)[0].contains("banyan-relay:0.2.0"));
    }
}

#[test]
fn a_server_keeps_its_template_like_a_tier() {
    for manifest in [CAMPUS, SIDECAR] {
        let mut world = world(manifest);
        let first = world.server_with(0, &release(), &[]).unwrap();
        let stored = reread(&first.revisions);
        let second = world.server_with(0, &newer(), &stored).unwrap();
        assert_eq!(second.deployment.spec, first.deployment.spec);
        assert_eq!(second.revisions[0].data, first.revisions[0].data);
        assert!(second.update_available);
        // Contents come by Attach.
        world.servers[0].spec.contents.truncate(1);
        let third = world.server_with(0, &newer(), &stored).unwrap();
        assert_eq!(third.deployment.spec, first.deployment.spec);
        world.servers[0].spec.topology = "elsewhere".to_owned();
        let fourth = world.server_with(0, &newer(), &stored).unwrap();
        assert_ne!(fourth.deployment.spec, first.deployment.spec);
    }
}

#[test]
fn the_hash_of_a_spec_never_changes() {
    // If this fails, an upgrade of the operator rolls every pod of every user: a field that was added must not be in
    // the hash at its default.
    let hash = |revision: &ControllerRevision| {
        let data = &revision.data.as_ref().unwrap().0;
        data["spec"].as_str().unwrap()[..16].to_owned()
    };
    let mut hashes = Vec::new();
    for manifest in [CAMPUS, FULL, SIDECAR] {
        let world = world(manifest);
        hashes.extend(build(&world, &release(), &[]).revisions.iter().map(hash));
        for index in 0..world.servers.len() {
            let children = world.server_with(index, &release(), &[]).unwrap();
            hashes.extend(children.revisions.iter().map(hash));
        }
    }
    assert_eq!(hashes, SPEC_HASHES);
}

/// Of the tiers and servers of three manifests.
const SPEC_HASHES: [&str; 14] = [
    "7edcaeaa3495bedb",
    "d833a09879819962",
    "286c6ae173175772",
    "e610c1d446394096",
    "e610c1d446394096",
    "37a2e66b79930b01",
    "0e610dcf287f853a",
    "f797e7fdef885efd",
    "286c6ae173175772",
    "0bd68372bd23ad37",
    "ea580faa628b93f6",
    "7edcaeaa3495bedb",
    "286c6ae173175772",
    "e3ce424075f0121f",
];

fn names(revisions: &[ControllerRevision]) -> Vec<String> {
    let names = revisions
        .iter()
        .map(|revision| revision.metadata.name.clone());
    names.map(Option::unwrap).collect()
}
