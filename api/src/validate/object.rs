//! One object as an API server stored it: its meaning, or every reason against it.
//!
//! Schema and CEL have been applied by then; what is left is what only code can check, and what a cluster cannot do
//! yet.

use std::collections::BTreeSet;

use super::topology::{Member, member};
use super::{Place, namespace, unsupported};
use crate::content_server::ContentServer;
use crate::manifest::Effect;
use crate::manifest::structure::Finding;
use crate::stream_topology::{StreamTopology, StreamTopologySpec};
use crate::{model, reasons};

/// Why an object is not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of [`reasons`].
    pub reason: &'static str,
    /// Path of the field, such as `spec.relays[0].fanOut`; empty for the object itself.
    pub field: String,
    /// The value and what is accepted.
    pub message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{} ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// What a StreamTopology of a cluster means.
pub fn topology(object: &StreamTopology) -> Result<model::Topology, Vec<Refusal>> {
    let mut refusals = found(super::stream_topology(object));
    refusals.extend(ends(&object.spec));
    refusals.extend(remarks(unsupported::of_topology(
        &object.spec,
        Place::Cluster,
    )));
    let name = object.metadata.name.clone().unwrap_or_default();
    finish(super::resolve::topology(object, &name), refusals)
}

/// What a ContentServer of a cluster means.
pub fn server(object: &ContentServer) -> Result<model::Server, Vec<Refusal>> {
    let mut refusals = found(super::content_server(object));
    refusals.extend(duplicates(object));
    refusals.extend(remarks(unsupported::of_server(
        &object.spec,
        Place::Cluster,
    )));
    let name = object.metadata.name.clone().unwrap_or_default();
    finish(super::resolve::server(object, &name), refusals)
}

/// What stands between a ContentServer and the topology it names: `None` when there is no such topology.
pub fn between(server: &ContentServer, topology: Option<&StreamTopology>) -> Vec<Refusal> {
    let wanted = &server.spec.topology;
    let Some(topology) = topology else {
        let own = namespace(&server.metadata);
        return vec![Refusal {
            reason: reasons::TOPOLOGY_NOT_FOUND,
            field: "spec.topology".to_owned(),
            message: format!(
                "is \"{wanted}\", which does not exist; accepted are StreamTopologies in namespace \"{own}\""
            ),
        }];
    };
    let name = server.metadata.name.as_deref().unwrap_or_default();
    match member(&topology.spec, name) {
        Member::Other => Vec::new(),
        Member::Known | Member::TooHigh(_) => vec![Refusal {
            reason: reasons::NAME_CONFLICT,
            field: "metadata.name".to_owned(),
            message: format!(
                "is \"{name}\", a name that members of StreamTopology \"{wanted}\" have; accepted is any other name"
            ),
        }],
    }
}

/// The first and the last step of fan-out. They are CEL rules as well, which an object may be older than.
fn ends(spec: &StreamTopologySpec) -> Vec<Refusal> {
    let roots = (
        "spec.rendezvous.fanOut".to_owned(),
        spec.rendezvous.replicas,
        spec.rendezvous.fan_out,
        spec.relays
            .first()
            .map_or(spec.edge.replicas, |tier| tier.replicas),
    );
    let last = spec.relays.len().checked_sub(1).map(|index| {
        let tier = &spec.relays[index];
        let at = format!("spec.relays[{index}].fanOut");
        (at, tier.replicas, tier.fan_out, spec.edge.replicas)
    });
    std::iter::once(roots)
        .chain(last)
        .filter_map(|(field, replicas, fan_out, needed)| {
            let feeds = i64::from(replicas) * i64::from(fan_out);
            (feeds < i64::from(needed)).then(|| Refusal {
                reason: reasons::FAN_OUT_TOO_SMALL,
                message: format!(
                    "is {fan_out}: {replicas} relays feed {feeds}, but the next tier has {needed}; accepted are replicas x fanOut of {needed} or more"
                ),
                field,
            })
        })
        .collect()
}

/// A list keyed by name has no twins; an object that is older than the key may.
fn duplicates(server: &ContentServer) -> Vec<Refusal> {
    let mut seen = BTreeSet::new();
    let contents = server.spec.contents.iter().enumerate();
    contents
        .filter(|(_, content)| !seen.insert(content.name.as_str()))
        .map(|(index, content)| Refusal {
            reason: reasons::DUPLICATE_CONTENT,
            field: format!("spec.contents[{index}].name"),
            message: format!(
                "is \"{}\", which another content of this server is; accepted is each name once",
                content.name
            ),
        })
        .collect()
}

fn finish<T>(
    resolved: Result<T, crate::quantity::QuantityError>,
    mut refusals: Vec<Refusal>,
) -> Result<T, Vec<Refusal>> {
    match resolved {
        Ok(value) if refusals.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(error) => refusals.push(Refusal {
            reason: reasons::INVALID,
            field: String::new(),
            message: error.to_string(),
        }),
    }
    Err(refusals)
}

fn found(findings: Vec<Finding>) -> Vec<Refusal> {
    findings
        .into_iter()
        .map(|Finding { path, message }| Refusal {
            reason: if path.ends_with(".fanOut") {
                reasons::FAN_OUT_TOO_SMALL
            } else {
                reasons::INVALID
            },
            field: path,
            message,
        })
        .collect()
}

fn remarks(remarks: Vec<unsupported::Remark>) -> impl Iterator<Item = Refusal> {
    remarks
        .into_iter()
        .filter(|(_, _, effect)| *effect == Effect::Refused)
        .map(|(field, message, _)| Refusal {
            reason: match field.rsplit_once('.') {
                Some((at, "rtsp" | "rtmp" | "srt" | "http")) if at.ends_with(".source") => {
                    reasons::UNSUPPORTED_SOURCE
                }
                _ => reasons::UNSUPPORTED_FIELD,
            },
            field,
            message,
        })
}

#[cfg(test)]
mod tests;
