//! Fields whose behaviour does not exist yet, or has no meaning in one place.
//!
//! A field is refused when the result would differ from what was asked for; on local processes it is ignored when it
//! only concerns a cluster or a testbed.

use crate::content_server::{ContentServerSpec, FileMode};
use crate::manifest::Effect;
use crate::stream_topology::StreamTopologySpec;
use crate::validate::Place;

/// A field, what is said of it, and what it means for a run.
pub(super) type Remark = (String, String, Effect);

pub(super) fn of_server(spec: &ContentServerSpec, place: Place) -> Vec<Remark> {
    let mut remarks = Vec::new();
    for (index, content) in spec.contents.iter().enumerate() {
        let at = format!("spec.contents[{index}].source");
        let source = &content.source;
        let feeds = [
            ("rtsp", &source.rtsp),
            ("rtmp", &source.rtmp),
            ("srt", &source.srt),
            ("http", &source.http),
        ];
        for (name, _) in feeds.into_iter().filter(|(_, feed)| feed.is_some()) {
            remarks.push(later(
                &format!("{at}.{name}"),
                "supported are file and test",
            ));
        }
        let mode = source
            .file
            .as_ref()
            .map_or(FileMode::Live, |file| file.mode);
        if mode != FileMode::Live {
            remarks.push(later(
                &format!("{at}.file.mode"),
                &format!("{mode:?} is asked for; supported is Live"),
            ));
        }
    }
    let workload = &spec.workload;
    let supported = match place {
        Place::Local => "supported is managed",
        Place::Cluster => "supported are managed and sidecar",
    };
    if workload.external.is_some() {
        remarks.push(later("spec.workload.external", supported));
    }
    if place == Place::Cluster {
        return remarks;
    }
    if workload.sidecar.is_some() {
        let what = "there are no pods; supported on local processes is managed";
        remarks.push(elsewhere("spec.workload.sidecar", what));
    }
    if let Some(managed) = &workload.managed {
        let fields = [
            (
                "media",
                managed.media.is_some(),
                "files are read below --media",
            ),
            (
                "cache",
                managed.cache.is_some(),
                "assets are kept in the local cache",
            ),
            ("pod", managed.pod.is_some(), "there are no pods"),
            (
                "drainTimeout",
                managed.drain_timeout.is_some(),
                "processes stop at once",
            ),
        ];
        for (name, _, why) in fields.into_iter().filter(|(_, set, _)| *set) {
            remarks.push(local(&format!("spec.workload.managed.{name}"), why));
        }
    }
    remarks
}

pub(super) fn of_topology(spec: &StreamTopologySpec, place: Place) -> Vec<Remark> {
    let mut remarks = Vec::new();
    if place == Place::Cluster {
        return remarks;
    }
    if spec.edge.autoscale.is_some() {
        let what =
            "nothing scales them; supported on local processes is a fixed spec.edge.replicas";
        remarks.push(elsewhere("spec.edge.autoscale", what));
    }
    let mut tiers = vec![
        (
            "spec.rendezvous".to_owned(),
            &spec.rendezvous.pod,
            &spec.rendezvous.drain_timeout,
        ),
        (
            "spec.edge".to_owned(),
            &spec.edge.pod,
            &spec.edge.drain_timeout,
        ),
    ];
    let relays = spec.relays.iter().enumerate();
    tiers.extend(relays.map(|(index, tier)| {
        (
            format!("spec.relays[{index}]"),
            &tier.pod,
            &tier.drain_timeout,
        )
    }));
    for (at, pod, drain_timeout) in tiers {
        if pod.is_some() {
            remarks.push(local(&format!("{at}.pod"), "there are no pods"));
        }
        if drain_timeout.is_some() {
            remarks.push(local(
                &format!("{at}.drainTimeout"),
                "processes stop at once",
            ));
        }
    }
    let fields = [
        (
            "spec.edge.service",
            spec.edge.service != Default::default(),
            "edges listen on ports of their own",
        ),
        (
            "spec.edge.publicURL",
            spec.edge.public_url.is_some(),
            "edges are reached at their own addresses",
        ),
        (
            "spec.underlay",
            spec.underlay.is_some(),
            "processes share one machine; it only ranks parents",
        ),
        (
            "spec.upgradePolicy",
            spec.upgrade_policy != Default::default(),
            "there is no operator",
        ),
        ("spec.paused", spec.paused, "there is no operator"),
    ];
    remarks.extend(
        fields
            .into_iter()
            .filter(|(_, set, _)| *set)
            .map(|(at, _, why)| local(at, why)),
    );
    remarks
}

fn later(field: &str, what: &str) -> Remark {
    (
        field.to_owned(),
        format!("is not supported yet; {what}"),
        Effect::Refused,
    )
}

/// Works in a cluster only, and without it the result would differ.
fn elsewhere(field: &str, what: &str) -> Remark {
    (
        field.to_owned(),
        format!("needs a cluster: {what}"),
        Effect::Refused,
    )
}

fn local(field: &str, why: &str) -> Remark {
    (
        field.to_owned(),
        format!("has no effect on local processes: {why}"),
        Effect::Ignored,
    )
}
