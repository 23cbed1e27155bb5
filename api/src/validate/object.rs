//! One object as an API server stored it: its meaning, or every reason against it.
//!
//! Schema and CEL have been applied by then; what is left is what only code can check, and what a cluster cannot do
//! yet.

use super::topology::{Member, member};
use super::{Place, namespace, unsupported};
use crate::content_server::ContentServer;
use crate::manifest::Effect;
use crate::manifest::structure::Finding;
use crate::stream_topology::StreamTopology;
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
