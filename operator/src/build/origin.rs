//! The content server's container, and its pod where that is ours altogether.

use banyan_api::content_server::{Managed, Workload};
use banyan_api::quantity::TimeSpan;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use serde::Serialize;

use super::owner::Owner;
use super::pod::{self, Arguments, Drain};
use super::settings::{self, Amounts, Spread};
use super::{Error, ServerInput, labels, names, volumes};

/// An origin encodes while it prepares.
pub(super) const AMOUNTS: Amounts = Amounts {
    cpu: "250m",
    memory: "512Mi",
    memory_limit: "2Gi",
};

/// The pod template of a managed workload.
pub(super) fn managed(
    owner: &Owner,
    input: &ServerInput<'_>,
    managed: &Managed,
) -> Result<PodTemplateSpec, Error> {
    let settings = managed.pod.as_ref();
    let drain = Drain::of(managed.drain_timeout.as_ref());
    let mut container = container(owner, input, drain);
    container.resources = Some(settings::resources(
        settings.and_then(|pod| pod.resources.as_ref()),
        AMOUNTS,
    ));
    container.volume_mounts = Some(mounts(volumes::MEDIA));
    let mut spec = pod::pod(names::server(&owner.name), drain);
    spec.containers = vec![container];
    let claim = managed.media.as_ref();
    spec.volumes = Some(vec![
        volumes::config(names::server(&owner.name)),
        volumes::token(),
        volumes::media(claim.map(|media| media.persistent_volume_claim.as_str())),
        volumes::cache(managed.cache.as_ref()),
        volumes::tmp(),
    ]);
    // One pod per server: it is kept away from its redundancy, the other servers of the topology.
    let topology = &input.object.spec.topology;
    let spread = Spread {
        selector: labels::origins_selector(topology),
        per_roll: false,
    };
    settings::apply(settings, &mut spec, &spread);
    Ok(PodTemplateSpec {
        metadata: Some(settings::metadata(
            settings,
            labels::of_server_pods(&owner.name, topology),
        )),
        spec: Some(spec),
    })
}

/// The origin's container, still without resources and mounts.
pub(super) fn container(owner: &Owner, input: &ServerInput<'_>, drain: Drain) -> Container {
    let topology = &input.object.spec.topology;
    let arguments = Arguments::default()
        .pair("member", &owner.name)
        .pair("topology", topology)
        .common(input.release)
        .pair(
            "config",
            format!("{}/{}", volumes::CONFIG_PATH, names::ORIGIN_CONFIG_KEY),
        )
        .pair("media", volumes::MEDIA_PATH)
        .pair("cache", volumes::CACHE_PATH)
        .drain(drain);
    let image = &input.release.images.origin;
    let mut container = pod::member(names::ORIGIN, image, arguments, input.release);
    container.env = Some(pod::environment(topology));
    container
}

/// Where the origin finds everything; `media` is the volume with the files.
pub(super) fn mounts(media: &str) -> Vec<k8s_openapi::api::core::v1::VolumeMount> {
    vec![
        volumes::mount(volumes::CONFIG, volumes::CONFIG_PATH, true),
        volumes::mount(volumes::TOKEN, volumes::TOKEN_PATH, true),
        volumes::mount(media, volumes::MEDIA_PATH, true),
        volumes::mount(volumes::CACHE, volumes::CACHE_PATH, false),
        volumes::mount(volumes::TMP, volumes::TMP_PATH, false),
    ]
}

/// Hash of what a user wrote about the pod, and of the address it cannot do without.
pub(super) fn hash(input: &ServerInput<'_>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Written<'a> {
        topology: &'a str,
        workload: &'a Workload,
        control: String,
    }
    super::revision::hash(&Written {
        topology: &input.object.spec.topology,
        workload: &input.object.spec.workload,
        control: input.release.control(),
    })
}

/// The drain time of a sidecar, which takes no setting of its own.
pub(super) fn default_drain() -> Drain {
    Drain::of(None::<&TimeSpan>)
}
