//! Pods of relays, and what pods of relays and content servers share.

use std::time::Duration;

use banyan_api::quantity::TimeSpan;
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PodSpec, PodTemplateSpec,
    SecretKeySelector,
};

use super::owner::Owner;
use super::settings::{self, Amounts, Spread};
use super::tier::Tier;
use super::{labels, names, probes, security, volumes};
use crate::release::{GRPC_PORT, HTTP_PORT, Release};

/// A relay moves media from memory; half of the limit is its budget for media.
const RELAY_AMOUNTS: Amounts = Amounts {
    cpu: "100m",
    memory: "128Mi",
    memory_limit: "1Gi",
};

/// The pod template of a tier.
pub(super) fn of_tier(owner: &Owner, tier: &Tier<'_>, release: &Release) -> PodTemplateSpec {
    let drain = Drain::of(tier.drain_timeout);
    let arguments = Arguments::default()
        .pair("role", tier.role())
        .pair("topology", &owner.name)
        .common(release)
        .pair(
            "config",
            format!("{}/{}", volumes::CONFIG_PATH, names::config_key(tier.name)),
        )
        .drain(drain);
    let mut container = member(names::RELAY, &release.images.relay, arguments, release);
    container.env = Some(environment(&owner.name));
    container.resources = Some(settings::resources(
        tier.pod.and_then(|pod| pod.resources.as_ref()),
        RELAY_AMOUNTS,
    ));
    if let Some(limit) = settings::memory_limit(&container) {
        let budget = (limit / 2).max(SMALLEST_BUDGET);
        container
            .env
            .get_or_insert_default()
            .push(value("BANYAN_MEMORY_BUDGET", budget.to_string()));
    }
    container.volume_mounts = Some(vec![
        volumes::mount(volumes::CONFIG, volumes::CONFIG_PATH, true),
        volumes::mount(volumes::TOKEN, volumes::TOKEN_PATH, true),
    ]);
    let mut spec = pod(names::tier(&owner.name, tier.name), drain);
    spec.containers = vec![container];
    spec.volumes = Some(vec![
        volumes::config(names::config(&owner.name)),
        volumes::token(),
    ]);
    let spread = Spread {
        selector: labels::tier_selector(&owner.name, tier.name),
        per_roll: true,
    };
    settings::apply(tier.pod, &mut spec, &spread);
    PodTemplateSpec {
        metadata: Some(settings::metadata(
            tier.pod,
            labels::of_tier_pods(&owner.name, tier),
        )),
        spec: Some(spec),
    }
}

/// Less than this a relay refuses.
const SMALLEST_BUDGET: u64 = 16 << 20;

/// How a member leaves.
#[derive(Clone, Copy)]
pub(super) struct Drain {
    timeout: Duration,
}

impl Drain {
    pub(super) fn of(wanted: Option<&TimeSpan>) -> Self {
        let wanted = wanted.and_then(|span| span.millis().ok());
        Self {
            timeout: wanted.map_or(DEFAULT_DRAIN, Duration::from_millis),
        }
    }

    /// Seconds from the signal to the kill.
    pub(super) fn grace(self) -> i64 {
        let all = LAME_DUCK + self.timeout + MARGIN;
        i64::try_from(all.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
    }
}

/// Unready, yet serving: as long as kube-proxy and load balancers need to see it.
const LAME_DUCK: Duration = Duration::from_secs(3);
const DEFAULT_DRAIN: Duration = Duration::from_secs(10);
/// For the process to end by itself.
const MARGIN: Duration = Duration::from_secs(5);

/// A pod of ours, still without containers.
pub(super) fn pod(account: String, drain: Drain) -> PodSpec {
    PodSpec {
        service_account_name: Some(account),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(security::pod()),
        termination_grace_period_seconds: Some(drain.grace()),
        ..PodSpec::default()
    }
}

/// A member's container, still without environment, resources and mounts.
pub(super) fn member(
    name: &str,
    image: &str,
    arguments: Arguments,
    release: &Release,
) -> Container {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(number),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    let mut container = Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(release.images.pull_policy.clone()),
        args: Some(arguments.0),
        ports: Some(vec![port("grpc", GRPC_PORT), port("http", HTTP_PORT)]),
        security_context: Some(security::container()),
        // A process that ends with an error says why in its last lines.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    };
    probes::add(&mut container);
    container
}

/// The environment of every member of a topology.
pub(super) fn environment(topology: &str) -> Vec<EnvVar> {
    let field = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: None,
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    vec![
        field("BANYAN_POD_NAME", "metadata.name"),
        field("BANYAN_POD_IP", "status.podIP"),
        EnvVar {
            name: "BANYAN_RUN_SECRET".to_owned(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: names::run_secret(topology),
                    key: names::RUN_SECRET_KEY.to_owned(),
                    optional: None,
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        },
        value("RUST_LOG", "info"),
    ]
}

fn value(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.into()),
        value_from: None,
    }
}

/// Static boot configuration. A change rolls pods.
#[derive(Default)]
pub(super) struct Arguments(Vec<String>);

impl Arguments {
    pub(super) fn pair(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push(format!("--{key}"));
        self.0.push(value.into());
        self
    }

    /// Where it listens, how others reach it, whom it asks.
    pub(super) fn common(self, release: &Release) -> Self {
        self.pair("grpc", format!("0.0.0.0:{GRPC_PORT}"))
            .pair("http", format!("0.0.0.0:{HTTP_PORT}"))
            .pair("advertise", format!("http://$(BANYAN_POD_IP):{GRPC_PORT}"))
            .pair("control", release.control())
            .pair(
                "service-account-token",
                format!("{}/token", volumes::TOKEN_PATH),
            )
    }

    /// How it leaves.
    pub(super) fn drain(self, drain: Drain) -> Self {
        self.pair("lame-duck", span(LAME_DUCK))
            .pair("drain-timeout", span(drain.timeout))
    }
}

fn span(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}
