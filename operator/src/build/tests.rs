//! Objects out of manifests.

mod flows;
mod golden;
mod pods;
mod sidecars;
mod templates;

use std::collections::BTreeMap;

use banyan_api::{ContentServer, StreamTopology, manifest, validate};
use k8s_openapi::api::apps::v1::ControllerRevision;

use super::{Error, ServerChildren, ServerInput, TopologyChildren, TopologyInput};
use crate::release::{Images, Release};

/// The release that tests build with.
fn release() -> Release {
    Release {
        name: "banyan".to_owned(),
        namespace: "banyan-system".to_owned(),
        version: "0.1.0".to_owned(),
        images: Images {
            relay: "registry.example.org/banyan-relay:0.1.0".to_owned(),
            origin: "registry.example.org/banyan-origin:0.1.0".to_owned(),
            pull_policy: "IfNotPresent".to_owned(),
        },
        pod_labels: &[],
    }
}

/// Objects of a manifest as an API server would have them.
struct World {
    topology: StreamTopology,
    servers: Vec<ContentServer>,
}

fn world(yaml: &str) -> World {
    let read = manifest::parse(yaml, "test.yaml").expect("manifests of tests must be valid");
    let mut topology = read.topologies.into_iter().next().unwrap().resource;
    let identify = |meta: &mut k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        meta.namespace = Some("media".to_owned());
        meta.uid = meta.name.as_ref().map(|name| format!("uid-of-{name}"));
        meta.generation = Some(1);
    };
    identify(&mut topology.metadata);
    let mut servers: Vec<_> = read.servers.into_iter().map(|s| s.resource).collect();
    for server in &mut servers {
        identify(&mut server.metadata);
    }
    World { topology, servers }
}

impl World {
    fn topology_with(
        &self,
        release: &Release,
        stored: &[ControllerRevision],
    ) -> Result<TopologyChildren, Error> {
        let model = validate::topology(&self.topology).expect("topologies of tests must be valid");
        let configs = BTreeMap::from([("edge.json".to_owned(), "{}\n".to_owned())]);
        super::topology(&TopologyInput {
            object: &self.topology,
            model: &model,
            release,
            stored,
            configs: &configs,
        })
    }

    fn server_with(
        &self,
        index: usize,
        release: &Release,
        stored: &[ControllerRevision],
    ) -> Result<ServerChildren, Error> {
        let object = &self.servers[index];
        let model = validate::server(object).expect("servers of tests must be valid");
        let configs = BTreeMap::from([("origin.json".to_owned(), "{}\n".to_owned())]);
        super::server(&ServerInput {
            object,
            model: &model,
            topology: &self.topology,
            release,
            stored,
            configs: &configs,
        })
    }
}

const CAMPUS: &str = include_str!("../../../examples/campus.yaml");
const FULL: &str = include_str!("tests/full.yaml");
const SIDECAR: &str = include_str!("tests/sidecar.yaml");

#[test]
fn every_child_is_owned_and_says_who_manages_it() {
    let world = world(CAMPUS);
    let children = world.topology_with(&release(), &[]).unwrap();
    let metas = children
        .deployments
        .iter()
        .map(|d| &d.metadata)
        .chain(children.services.iter().map(|s| &s.metadata))
        .chain(children.accounts.iter().map(|a| &a.metadata))
        .chain(children.budgets.iter().map(|b| &b.metadata))
        .chain(children.policies.iter().map(|p| &p.metadata))
        .chain(children.revisions.iter().map(|r| &r.metadata))
        .chain([&children.config.metadata]);
    let mut count = 0;
    for meta in metas {
        count += 1;
        let owner = &meta.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.uid.as_str(), owner.controller),
            ("uid-of-campus", Some(true))
        );
        assert_eq!(owner.block_owner_deletion, Some(true));
        let labels = meta.labels.as_ref().unwrap();
        assert_eq!(labels["app.kubernetes.io/managed-by"], "banyan-operator");
        assert_eq!(labels["banyan.media/topology"], "campus");
        assert_eq!(meta.namespace.as_deref(), Some("media"));
    }
    assert_eq!(count, 3 + 2 + 3 + 3 + 3 + 3 + 1);
}
