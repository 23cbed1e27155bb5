//! Probes. Startup and liveness ask whether the process answers, and nothing else: neither the API server nor an
//! origin nor preparation may end a container. Readiness asks whether it should get new viewers and children.

use k8s_openapi::api::core::v1::{Container, HTTPGetAction, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Gives a member's container its probes.
pub(super) fn add(container: &mut Container) {
    // A process listens within a second or two; half a minute is for a Node that is busy pulling images.
    container.startup_probe = Some(Probe {
        period_seconds: Some(1),
        failure_threshold: Some(30),
        ..ask("/healthz")
    });
    // A member that leaves turns unready at once and serves on for a lame-duck time: that is when load balancers see it.
    container.readiness_probe = Some(Probe {
        period_seconds: Some(1),
        failure_threshold: Some(2),
        ..ask("/readyz")
    });
    // Long enough that a stalled Node does not end media that still flows.
    container.liveness_probe = Some(Probe {
        period_seconds: Some(10),
        failure_threshold: Some(6),
        timeout_seconds: Some(5),
        ..ask("/healthz")
    });
}

fn ask(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("http".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
