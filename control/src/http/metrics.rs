//! Prometheus text, built from the state machine at each scrape.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::App;
use crate::topology::{Topology, View};

type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;

pub(super) async fn serve(State(app): State<App>) -> Response {
    let registry = app
        .shared
        .with(|topology, now| registry(topology, &topology.view(now)));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, TEXT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

fn registry(topology: &Topology, view: &View) -> Registry {
    let mut registry = Registry::with_prefix("banyan");
    let members = gauge(&mut registry, "members", "Members by role and state");
    let calls = gauge(&mut registry, "attached_calls", "Open Attach calls");
    let rate = gauge(
        &mut registry,
        "link_bytes_per_second",
        "Bytes per second received over a link, over the last seconds",
    );
    let viewers = gauge(&mut registry, "stream_viewers", "Viewers of a stream");
    let refused = Family::<Labels, Counter>::default();
    registry.register(
        "refused_inputs",
        "Inputs of members refused",
        refused.clone(),
    );

    for member in &view.members {
        let labels = vec![
            ("role", member.role.to_string()),
            ("state", member.state.to_owned()),
        ];
        members.get_or_create(&labels).inc();
    }
    calls
        .get_or_create(&Labels::new())
        .set(topology.sessions() as u64);
    for link in &view.links {
        let labels = vec![
            ("from", link.from.clone()),
            ("to", link.to.clone()),
            ("stream", link.stream.clone()),
            ("track", link.track.clone()),
        ];
        rate.get_or_create(&labels).set(link.bytes_per_second);
    }
    for stream in &view.streams {
        let labels = vec![("stream", stream.name.clone())];
        viewers.get_or_create(&labels).set(stream.viewers.into());
    }
    for (reason, count) in topology.refusals() {
        let labels = vec![("reason", (*reason).to_owned())];
        refused.get_or_create(&labels).inc_by(*count);
    }
    registry
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauges {
    let family = Gauges::default();
    registry.register(name, help, family.clone());
    family
}

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
