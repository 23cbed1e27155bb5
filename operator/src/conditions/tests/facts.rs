//! Facts to judge, and a clock that ticks once per judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use banyan_api::content_server::ContentServerStatus;
use banyan_api::stream_topology::StreamTopologyStatus;
use banyan_api::validate::Refusal;
use banyan_api::{ContentServer, StreamTopology, manifest};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;

use crate::conditions::{Failure, Judged, Sight, Workload, server, topology};

const MANIFEST: &str = r#"
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: grove}
spec:
  rendezvous: {replicas: 1, fanOut: 4}
  edge: {replicas: 2}
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: oak}
spec:
  topology: grove
  contents:
    - {name: leaves, source: {test: {}}}
    - {name: acorns, source: {test: {}}}
"#;

/// Everything about one topology and its one server, owned.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) topology: StreamTopology,
    pub(super) server: ContentServer,
    pub(super) servers: usize,
    pub(super) refusals: Vec<Refusal>,
    pub(super) failures: Vec<Failure>,
    pub(super) tiers: Vec<Workload>,
    pub(super) seen: Sight<topology::Seen>,
    pub(super) origin: Sight<server::Seen>,
    pub(super) updates: Vec<String>,
    pub(super) since_written: Duration,
    pub(super) second: i64,
}

/// A world in which everything is as it should be, and nothing was written yet.
pub(super) fn healthy() -> World {
    let mut read = manifest::parse(MANIFEST, "test.yaml").unwrap();
    let mut topology = read.topologies.remove(0).resource;
    let mut server = read.servers.remove(0).resource;
    for meta in [&mut topology.metadata, &mut server.metadata] {
        meta.namespace = Some("media".to_owned());
        meta.generation = Some(1);
    }
    let tier = |name: &str, wanted| Workload {
        name: name.to_owned(),
        wanted,
        ready: wanted,
        replicas: wanted,
        rolling: false,
        problems: Vec::new(),
    };
    let stream = || topology::StreamSeen {
        candidates: vec!["oak".to_owned()],
        ..Default::default()
    };
    let content = || server::ContentSeen {
        offered: true,
        digest: Some("d1".to_owned()),
        permille: Some(1000),
        ..Default::default()
    };
    World {
        topology,
        server,
        servers: 1,
        refusals: Vec::new(),
        failures: Vec::new(),
        tiers: vec![tier("root", 1), tier("edge", 2)],
        seen: Sight::Known(topology::Seen {
            streams: BTreeMap::from([
                ("leaves".to_owned(), stream()),
                ("acorns".to_owned(), stream()),
            ]),
            ..Default::default()
        }),
        origin: Sight::Known(server::Seen {
            reachable: true,
            metric: Some(1234),
            obstacle: String::new(),
            contents: BTreeMap::from([
                ("leaves".to_owned(), content()),
                ("acorns".to_owned(), content()),
            ]),
        }),
        updates: Vec::new(),
        since_written: Duration::from_secs(3600),
        second: 1_000,
    }
}

impl World {
    /// Judges the topology and stores the result, as a reconciler would.
    pub(super) fn judge(&mut self) -> StreamTopologyStatus {
        self.second += 1;
        let servers = vec![&self.server; self.servers];
        let status = topology::status(&topology::Facts {
            object: &self.topology,
            refusals: &self.refusals,
            failures: &self.failures,
            servers: &servers,
            tiers: &self.tiers,
            service: None,
            seen: by_ref(&self.seen),
            updates: &self.updates,
            now: Timestamp::from_second(self.second).unwrap(),
        });
        self.topology.status = Some(status.clone());
        status
    }

    /// Judges the server and stores the result.
    pub(super) fn judge_server(&mut self) -> Judged<ContentServerStatus> {
        self.second += 1;
        let judged = server::status(&server::Facts {
            object: &self.server,
            refusals: &self.refusals,
            failures: &self.failures,
            workload: self.tiers.first(),
            seen: by_ref(&self.origin),
            since_written: self.since_written,
            now: Timestamp::from_second(self.second).unwrap(),
        });
        self.server.status = Some(judged.status.clone());
        judged
    }

    pub(super) fn tier(&mut self, name: &str) -> &mut Workload {
        self.tiers
            .iter_mut()
            .find(|tier| tier.name == name)
            .unwrap()
    }

    pub(super) fn known(&mut self) -> &mut topology::Seen {
        match &mut self.seen {
            Sight::Known(seen) => seen,
            other => panic!("members must be known here, not {other:?}"),
        }
    }

    pub(super) fn known_origin(&mut self) -> &mut server::Seen {
        match &mut self.origin {
            Sight::Known(seen) => seen,
            other => panic!("members must be known here, not {other:?}"),
        }
    }
}

fn by_ref<T>(sight: &Sight<T>) -> Sight<&T> {
    match sight {
        Sight::Known(seen) => Sight::Known(seen),
        Sight::Waiting => Sight::Waiting,
        Sight::Lost => Sight::Lost,
    }
}

/// `(status, reason)` of a condition.
pub(super) fn is<'a>(conditions: &'a [Condition], type_: &str) -> (&'a str, &'a str) {
    let condition = find(conditions, type_);
    (&condition.status, &condition.reason)
}

pub(super) fn find<'a>(conditions: &'a [Condition], type_: &str) -> &'a Condition {
    conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap_or_else(|| panic!("condition {type_} must be there"))
}
