//! Finds whom a scenario means, hurts them, and undoes it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};
use banyan_api::model::{Server, TierKind, Topology};
use banyan_api::names;
use rustix::process::Signal;

use super::detour::Detours;
use super::measure::Fault;
use super::overlay::Overlay;
use super::records::Records;
use super::scenarios::{Harm, Hurt, Target};
use crate::scenario::Scenario as Manifest;
use crate::up::detour::ANYBODY;

/// Who is who in a manifest.
#[derive(Debug)]
pub(crate) struct Cast {
    pub(crate) servers: Vec<String>,
    pub(crate) roots: Vec<String>,
    pub(crate) relays: Vec<String>,
    pub(crate) edges: Vec<String>,
}

/// Something done that can be undone.
pub(crate) enum Done {
    Frozen(String),
    /// Who dials, and whom.
    Link(String, String),
}

// === impl Cast ===

impl Cast {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let of = |kind| members(&manifest.topology, kind);
        Self {
            servers: manifest.servers.iter().map(server_name).collect(),
            roots: of(TierKind::Root),
            relays: of(TierKind::Interior),
            edges: of(TierKind::Edge),
        }
    }

    /// All relays, from the roots down.
    pub(crate) fn all_relays(&self) -> Vec<String> {
        let tiers = [&self.roots, &self.relays, &self.edges];
        tiers.into_iter().flatten().cloned().collect()
    }

    /// Who dials whom over a link that can be hurt: relays each other, content servers the roots for
    /// their beats, and anybody the content servers for media.
    pub(crate) fn ways(&self) -> Vec<(String, String)> {
        let relays = self.all_relays();
        let pairs = |dialling: &[String], dialled: &[String]| -> Vec<(String, String)> {
            let all = dialling
                .iter()
                .flat_map(|one| dialled.iter().map(move |other| (one, other)));
            all.filter(|(one, other)| one != other)
                .map(|(one, other)| (one.clone(), other.clone()))
                .collect()
        };
        [
            pairs(&relays, &relays),
            pairs(&self.servers, &self.roots),
            pairs(&[ANYBODY.to_owned()], &self.servers),
        ]
        .concat()
    }

    /// Everybody but control.
    pub(crate) fn count(&self) -> usize {
        self.servers.len() + self.roots.len() + self.relays.len() + self.edges.len()
    }

    /// Member to hurt, and for links the child whose link it is.
    pub(crate) fn find(
        &self,
        target: Target,
        records: &Records,
        stream: &str,
        sources: &BTreeMap<String, String>,
    ) -> anyhow::Result<(String, Option<String>)> {
        let fed = |to: &[String], from: &[String]| {
            let rows = records.arrivals.iter().rev();
            rows.filter(|row| row.stream == stream)
                // Whoever feeds now has fed within the last second.
                .take(RECENT_ROWS)
                .find(|row| to.contains(&row.to) && from.contains(&row.from))
                .map(|row| (row.from.clone(), row.to.clone()))
        };
        match target {
            Target::Control => Ok((names::CONTROL.to_owned(), None)),
            Target::Edge => {
                let rows = records.arrivals.iter().filter(|row| row.stream == stream);
                let watching: BTreeMap<&str, &String> = rows
                    .filter_map(|row| Some((row.to.as_str(), sources.get(&row.from)?)))
                    .collect();
                let edge = watching.values().min();
                let edge = edge.context("nobody watches at any edge")?;
                Ok(((*edge).clone(), None))
            }
            Target::Relay => {
                let found = fed(&self.edges, &self.relays);
                let (relay, edge) = found.context("no interior relay feeds an edge")?;
                Ok((relay, Some(edge)))
            }
            Target::Origin => {
                let found = fed(&self.roots, &self.servers);
                let (server, root) = found.context("no content server feeds a root")?;
                Ok((server, Some(root)))
            }
            Target::Carrier => {
                let found = fed(&self.roots, &self.servers);
                let (_, root) = found.context("no root is fed by a content server")?;
                Ok((root, None))
            }
        }
    }
}

/// Hurts everyone named at one moment. `sources` is how viewers name edges → edges.
pub(crate) fn hurt(
    harms: &[(Harm, Target)],
    cast: &Cast,
    overlay: &Overlay,
    detours: Option<&Detours>,
    records: &Records,
    stream: &str,
    sources: &BTreeMap<String, String>,
) -> anyhow::Result<(Fault, Vec<Done>)> {
    let mut found = Vec::new();
    for (harm, target) in harms {
        let (member, child) = cast.find(*target, records, stream, sources)?;
        found.push((*harm, *target, member, child));
    }
    let mut fault = Fault {
        unix_ms: unix_ms(),
        ..Fault::default()
    };
    let (mut done, mut what) = (Vec::new(), Vec::new());
    for (harm, target, member, child) in found {
        match harm {
            Harm::Kill => {
                overlay.signal(&member, Signal::KILL)?;
                fault.deadly = true;
                what.push(format!("{member} dies"));
                fault.members.insert(member);
            }
            Harm::Freeze => {
                overlay.signal(&member, Signal::STOP)?;
                what.push(format!("{member} stands still"));
                done.push(Done::Frozen(member.clone()));
                fault.members.insert(member);
            }
            Harm::Link(how) => {
                let Some(detours) = detours else {
                    bail!("this overlay has no detours")
                };
                let (below, links, ways): (String, Vec<_>, Vec<_>) = match target {
                    Target::Origin => {
                        let beats = cast.roots.iter().map(|root| (member.clone(), root.clone()));
                        let media = (ANYBODY.to_owned(), member.clone());
                        let links = cast.roots.iter().map(|root| (root.clone(), member.clone()));
                        let ways = beats.chain([media]).collect();
                        ("every root".to_owned(), links.collect(), ways)
                    }
                    _ => {
                        let child = child.context("a link has a child")?;
                        let link = (child.clone(), member.clone());
                        (child, vec![link.clone()], vec![link])
                    }
                };
                for (dialling, dialled) in ways {
                    detours.hurt(&dialling, &dialled, how)?;
                    if how != Hurt::Reset {
                        done.push(Done::Link(dialling, dialled));
                    }
                }
                let verb = match how {
                    Hurt::Partition => "is cut",
                    Hurt::OneWay => "is cut downwards",
                    Hurt::Slow => "slows down",
                    Hurt::Reset => "is reset",
                };
                what.push(format!("{member} → {below} {verb}"));
                fault.links.extend(links);
            }
        }
    }
    fault.what = what.join(", ");
    Ok((fault, done))
}

pub(crate) fn undo(
    done: Vec<Done>,
    overlay: &Overlay,
    detours: Option<&Detours>,
) -> anyhow::Result<()> {
    for one in done {
        match one {
            Done::Frozen(member) => overlay.signal(&member, Signal::CONT)?,
            Done::Link(dialling, dialled) => {
                let detours = detours.context("this overlay has no detours")?;
                detours.heal(&dialling, &dialled)?;
            }
        }
    }
    Ok(())
}

/// A member that leaves by a signal.
pub(crate) fn leave(overlay: &Overlay, member: &str, signal: Signal) -> anyhow::Result<Fault> {
    let unix_ms = unix_ms();
    overlay.signal(member, signal)?;
    let how = if signal == Signal::KILL {
        "dies"
    } else {
        "leaves"
    };
    Ok(Fault {
        unix_ms,
        what: format!("{member} {how}"),
        members: BTreeSet::from([member.to_owned()]),
        deadly: true,
        ..Fault::default()
    })
}

fn members(topology: &Topology, kind: TierKind) -> Vec<String> {
    let tiers = topology.tiers.iter().filter(|tier| tier.kind == kind);
    tiers.flat_map(|tier| tier.members()).collect()
}

fn server_name(server: &Server) -> String {
    server.name.clone()
}

pub(crate) fn unix_ms() -> u64 {
    banyan_control::clock::unix_ms()
}

const RECENT_ROWS: usize = 2_000;
