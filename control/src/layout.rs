//! Manifests → the members that make them true. Pure, and the only place that knows which program,
//! arguments, files and ports a member has; worlds render it and invent nothing.
//!
//! Every relay gets static ranked parents, so joining never waits for the control plane. Secrets
//! are in no layout: the world hands them over in the environment.

mod config;
mod fallback;
mod parents;
mod underlay;

use std::collections::BTreeMap;

use banyan_api::model::{Server, Tier, TierKind, Topology};
use banyan_api::names;
use serde::{Deserialize, Serialize};

pub use self::fallback::{Fallback, fallback};
pub use self::parents::planner_input;
use crate::roster::{Entry, Role, Roster};

/// All members of one topology, placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Name of the StreamTopology.
    pub topology: String,
    /// Control first, then content servers, roots, interior tiers top down, edges.
    pub members: Vec<Member>,
}

/// One member as a program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Slot, content server's name, or `control`.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Name of its tier; empty where it has none.
    pub tier: String,
    /// Which program.
    pub program: Program,
    /// Static boot configuration.
    pub arguments: Vec<String>,
    /// Beyond what the world gives every member.
    pub environment: BTreeMap<String, String>,
    /// To be in place before it runs.
    pub files: Vec<File>,
    /// Where it listens.
    pub ports: Vec<Port>,
}

/// A program that pods and processes run alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// The control plane.
    Control,
    /// `banyan-relay`.
    Relay,
    /// `banyan-origin`.
    Origin,
}

/// A file of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Where the member's arguments say it is.
    pub path: String,
    /// Its text.
    pub contents: String,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// `grpc` or `http`.
    pub name: String,
    /// `host:port`.
    pub address: String,
}

/// Where the world puts members.
pub trait Addresses {
    /// `host:port` that the member's gRPC listens on.
    fn grpc(&self, member: &str) -> String;
    /// `host:port` that the member's HTTP listens on.
    fn http(&self, member: &str) -> String;
    /// URI by which others reach its gRPC.
    fn advertised(&self, member: &str) -> String {
        format!("http://{}", self.grpc(member))
    }
    /// URI by which member `from` reaches `to`'s gRPC: a world may lead each link its own way.
    fn dialled(&self, from: &str, to: &str) -> String {
        let _ = from;
        self.advertised(to)
    }
    /// URL by which viewers reach its HTTP, without a path.
    fn url(&self, member: &str) -> String {
        format!("http://{}", self.http(member))
    }
    /// URL by which viewers may go to an edge of their own choice; none where something else chooses for them.
    fn steered(&self, edge: &str) -> Option<String> {
        Some(self.url(edge))
    }
    /// The machine a member is on; empty means one of its own.
    fn host(&self, member: &str) -> String {
        let _ = member;
        String::new()
    }
}

/// Facts of one run that no manifest holds.
pub struct Facts<'a> {
    /// Whole Unix seconds.
    pub epoch: u64,
    /// Where members listen.
    pub addresses: &'a dyn Addresses,
    /// Folder of the members' files.
    pub configs: String,
    /// Media root of the content servers.
    pub media: String,
    /// Folder for prepared assets of each content server; never one for two at once.
    pub caches: BTreeMap<String, String>,
    /// Where members record what they receive, for proofs.
    pub record: Option<String>,
}

/// Why there is no layout.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A content server without a folder.
    #[error("content server {server:?} has no cache folder")]
    Cache {
        /// Which.
        server: String,
    },
    /// Two members of one name.
    #[error(
        "member name {name:?} is taken twice; a content server may not have the name of a slot or \"control\""
    )]
    Name {
        /// Which.
        name: String,
    },
    /// The planner found no tree.
    #[error("no tree fits topology {topology:?}: {reason}")]
    Plan {
        /// Which.
        topology: String,
        /// Why.
        reason: String,
    },
    /// A file could not be written as text.
    #[error("cannot encode the configuration of {member:?}")]
    Encode {
        /// Whose.
        member: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// Lays out `topology` with the `servers` that feed it.
pub fn build(topology: &Topology, servers: &[Server], facts: &Facts<'_>) -> Result<Layout, Error> {
    let roster = roster(topology, servers, facts)?;
    let mut members = vec![control(&roster, facts)?];
    for entry in &roster.members {
        members.push(match entry.role {
            Role::Origin => origin(&roster, entry, facts)?,
            _ => relay(&roster, entry, facts)?,
        });
    }
    Ok(Layout {
        topology: topology.name.clone(),
        members,
    })
}

/// The same members as the control plane is told of them.
pub fn roster(topology: &Topology, servers: &[Server], facts: &Facts<'_>) -> Result<Roster, Error> {
    let configs = config::Configs::new(topology, facts, parents::rank(topology, facts.addresses)?);
    let mut members = Vec::new();
    let mut add = |name: String, role, tier: &str, config| {
        let taken = |entry: &Entry| entry.name == name;
        if name == names::CONTROL || members.iter().any(taken) {
            return Err(Error::Name { name });
        }
        members.push(Entry {
            dials: BTreeMap::new(),
            grpc: facts.addresses.advertised(&name),
            http: facts.addresses.url(&name),
            tier: tier.to_owned(),
            name,
            role,
            config,
        });
        Ok(())
    };
    for server in servers {
        let config = configs.of_server(server);
        add(server.name.clone(), Role::Origin, "", config)?;
    }
    for tier in &topology.tiers {
        for name in tier.members() {
            let config = configs.of_relay(&name, tier.kind);
            add(name, role(tier), &tier.name, config)?;
        }
    }
    let names: Vec<(String, String)> = members
        .iter()
        .filter(|entry| entry.role != Role::Origin)
        .map(|entry| (entry.name.clone(), entry.grpc.clone()))
        .collect();
    for entry in &mut members {
        for (name, everybodys) in names.iter().filter(|(name, _)| *name != entry.name) {
            let own = facts.addresses.dialled(&entry.name, name);
            // A world leads all links of a member its own way or none: thousands of members are not tried in pairs.
            if own == *everybodys {
                break;
            }
            entry.dials.insert(name.clone(), own);
        }
    }
    Ok(Roster {
        topology: topology.name.clone(),
        epoch: facts.epoch,
        members,
        plan: Some(parents::relays(topology, facts.addresses)),
    })
}

fn role(tier: &Tier) -> Role {
    match tier.kind {
        TierKind::Root => Role::Root,
        TierKind::Interior => Role::Relay,
        TierKind::Edge => Role::Edge,
    }
}

fn control(roster: &Roster, facts: &Facts<'_>) -> Result<Member, Error> {
    let name = names::CONTROL;
    let file = File {
        path: format!("{}/{name}.json", facts.configs),
        contents: encode(name, roster)?,
    };
    let arguments = Arguments::default()
        .word("control")
        .pair("layout", &file.path)
        .pair("grpc", facts.addresses.grpc(name))
        .pair("http", facts.addresses.http(name));
    Ok(member(
        name,
        Role::Control,
        "",
        Program::Control,
        arguments,
        file,
        facts,
    ))
}

fn relay(roster: &Roster, entry: &Entry, facts: &Facts<'_>) -> Result<Member, Error> {
    let file = config_file(entry, facts)?;
    let arguments = Arguments::default()
        .pair("member", &entry.name)
        .pair("role", entry.role.as_str())
        .common(roster, entry, &file, facts);
    Ok(member(
        &entry.name,
        entry.role,
        &entry.tier,
        Program::Relay,
        arguments,
        file,
        facts,
    ))
}

fn origin(roster: &Roster, entry: &Entry, facts: &Facts<'_>) -> Result<Member, Error> {
    let file = config_file(entry, facts)?;
    let cache = facts.caches.get(&entry.name).ok_or_else(|| Error::Cache {
        server: entry.name.clone(),
    })?;
    let arguments = Arguments::default()
        .pair("member", &entry.name)
        .common(roster, entry, &file, facts)
        .pair("media", &facts.media)
        .pair("cache", cache);
    Ok(member(
        &entry.name,
        entry.role,
        &entry.tier,
        Program::Origin,
        arguments,
        file,
        facts,
    ))
}

fn member(
    name: &str,
    role: Role,
    tier: &str,
    program: Program,
    arguments: Arguments,
    file: File,
    facts: &Facts<'_>,
) -> Member {
    let port = |name: &str, address| Port {
        name: name.to_owned(),
        address,
    };
    Member {
        name: name.to_owned(),
        role,
        tier: tier.to_owned(),
        program,
        arguments: arguments.0,
        environment: BTreeMap::new(),
        files: vec![file],
        ports: vec![
            port("grpc", facts.addresses.grpc(name)),
            port("http", facts.addresses.http(name)),
        ],
    }
}

fn config_file(entry: &Entry, facts: &Facts<'_>) -> Result<File, Error> {
    Ok(File {
        path: format!("{}/{}.json", facts.configs, entry.name),
        contents: encode(&entry.name, &entry.config)?,
    })
}

fn encode(member: &str, value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value)
        .map(|text| text + "\n")
        .map_err(|source| Error::Encode {
            member: member.to_owned(),
            source,
        })
}

#[derive(Default)]
struct Arguments(Vec<String>);

impl Arguments {
    fn word(mut self, word: &str) -> Self {
        self.0.push(word.to_owned());
        self
    }

    fn pair(mut self, key: &str, value: impl AsRef<str>) -> Self {
        self.0.push(format!("--{key}"));
        self.0.push(value.as_ref().to_owned());
        self
    }

    /// What relays and origins share.
    fn common(self, roster: &Roster, entry: &Entry, file: &File, facts: &Facts<'_>) -> Self {
        let addresses = facts.addresses;
        let arguments = self
            .pair("topology", &roster.topology)
            .pair("grpc", addresses.grpc(&entry.name))
            .pair("http", addresses.http(&entry.name))
            .pair("advertise", &entry.grpc)
            .pair("config", &file.path)
            .pair("control", addresses.dialled(&entry.name, names::CONTROL));
        match &facts.record {
            Some(folder) => arguments.pair("record", folder),
            None => arguments,
        }
    }
}

#[cfg(test)]
mod tests;
