//! The address that viewers use, as far as it is known.

use banyan_api::StreamTopology;
use k8s_openapi::api::core::v1::Service;

/// What the spec says, else what the Service has been given; none while a load balancer is being made.
pub fn of(object: &StreamTopology, service: Option<&Service>) -> Option<String> {
    if let Some(url) = &object.spec.edge.public_url {
        return Some(url.clone());
    }
    let service = service?;
    let spec = service.spec.as_ref()?;
    let port = spec.ports.as_ref()?.first()?;
    let host = match spec.type_.as_deref() {
        Some("LoadBalancer") => {
            let balancer = service.status.as_ref()?.load_balancer.as_ref()?;
            let entry = balancer.ingress.as_ref()?.first()?;
            entry
                .hostname
                .clone()
                .or_else(|| entry.ip.as_deref().map(bracketed))?
        }
        _ => format!(
            "{}.{}.svc",
            service.metadata.name.as_deref()?,
            service.metadata.namespace.as_deref()?
        ),
    };
    let url = match port.port {
        80 => format!("http://{host}"),
        number => format!("http://{host}:{number}"),
    };
    Some(match (spec.type_.as_deref(), port.node_port) {
        (Some("NodePort"), Some(node_port)) => format!("{url}, port {node_port} of every Node"),
        _ => url,
    })
}

fn bracketed(ip: &str) -> String {
    if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    }
}
