//! Streams: who carries each, who wants it, and how everyone joins its tree.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::cost::worth;
use crate::graph::{Graph, Id};
use crate::plan::{Join, Name, Plan, Tree};
use crate::slots::Slots;
use crate::{Cost, Input, PlanError, Stream};

struct Wanted<'a> {
    stream: &'a Stream,
    /// Roots that may carry it, best first.
    carriers: Vec<Id>,
    /// Those with demand and their homes up to the roots, but for the carrier.
    members: Vec<Id>,
    /// Roots with demand of their own.
    demanding_roots: Vec<Id>,
}

/// One tree per stream.
pub(crate) fn trees(
    graph: &Graph,
    slots: &Slots<'_>,
    input: &Input,
    previous: Option<&Plan>,
) -> Result<BTreeMap<Name, Tree>, PlanError> {
    let wanted = wanted(graph, slots, input)?;
    let direct = direct_joins(graph, slots, input, previous, &wanted);
    wanted
        .into_iter()
        .map(|wanted| {
            let carrier = wanted.carriers[0];
            let joins = joins(graph, slots, &direct, &wanted)?;
            let tree = Tree {
                carrier: graph.name(carrier).clone(),
                successors: wanted.carriers[1..]
                    .iter()
                    .map(|id| graph.name(*id).clone())
                    .collect(),
                origins: wanted.stream.origins.clone(),
                joins,
            };
            Ok((Name::from(wanted.stream.name.as_str()), tree))
        })
        .collect()
}

fn wanted<'a>(
    graph: &Graph,
    slots: &Slots<'_>,
    input: &'a Input,
) -> Result<Vec<Wanted<'a>>, PlanError> {
    let mut streams: Vec<&Stream> = input.streams.iter().collect();
    streams.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    for pair in streams.windows(2) {
        if pair[0].name == pair[1].name {
            return Err(PlanError::DuplicateStream {
                name: pair[0].name.clone(),
            });
        }
    }
    let index: HashMap<&str, usize> = streams
        .iter()
        .enumerate()
        .map(|(i, stream)| (stream.name.as_str(), i))
        .collect();
    let mut seeds: Vec<Vec<Id>> = vec![Vec::new(); streams.len()];
    for demand in &input.demand {
        let relay = graph.id(&demand.relay, || "demand".to_owned())?;
        for stream in &demand.streams {
            let place = || format!("the demand of relay \"{}\"", demand.relay);
            let unknown = || PlanError::UnknownStream {
                place: place(),
                name: stream.clone(),
            };
            seeds[*index.get(stream.as_str()).ok_or_else(unknown)?].push(relay);
        }
    }
    let mut seen = vec![usize::MAX; graph.len() as usize];
    streams
        .into_iter()
        .zip(seeds)
        .enumerate()
        .map(|(round, (stream, seeds))| {
            let carriers = carriers(graph, stream)?;
            seen[carriers[0] as usize] = round;
            let mut members = Vec::new();
            let demanding_roots = seeds
                .iter()
                .copied()
                .filter(|seed| graph.tier(*seed) == 0)
                .collect();
            for seed in seeds {
                let mut next = Some(seed);
                while let Some(member) = next.filter(|member| seen[*member as usize] != round) {
                    seen[member as usize] = round;
                    members.push(member);
                    next = slots.parent(member);
                }
            }
            members.sort_unstable();
            Ok(Wanted {
                stream,
                carriers,
                members,
                demanding_roots,
            })
        })
        .collect()
}

fn carriers(graph: &Graph, stream: &Stream) -> Result<Vec<Id>, PlanError> {
    if stream.carriers.is_empty() {
        return Ok(graph.roots().collect());
    }
    stream
        .carriers
        .iter()
        .map(|carrier| {
            let id = graph.id(carrier, || format!("stream \"{}\"", stream.name))?;
            match graph.given_tier(id) {
                0 => Ok(id),
                tier => {
                    let (stream, carrier) = (stream.name.clone(), carrier.clone());
                    Err(PlanError::CarrierNotRoot {
                        stream,
                        carrier,
                        tier,
                    })
                }
            }
        })
        .collect()
}

/// Pairs (relay, carrier) of relays that join a carrier past their home root. They take slots that no home needs;
/// those that did so before come first, so that a new stream displaces nobody.
fn direct_joins(
    graph: &Graph,
    slots: &Slots<'_>,
    input: &Input,
    previous: Option<&Plan>,
    wanted: &[Wanted<'_>],
) -> HashSet<(Id, Id)> {
    let mut taken: HashMap<Id, u32> = HashMap::new();
    let mut direct = HashSet::new();
    let candidates = || {
        wanted.iter().flat_map(|wanted| {
            let carrier = wanted.carriers[0];
            let at_other_root = move |relay: &Id| {
                slots
                    .parent(*relay)
                    .is_some_and(|home| home != carrier && graph.tier(home) == 0)
            };
            wanted
                .members
                .iter()
                .copied()
                .filter(at_other_root)
                .map(move |relay| (wanted, relay, carrier))
        })
    };
    let before = |wanted: &Wanted<'_>, relay: Id, carrier: Id| {
        let join = previous.and_then(|p| {
            p.trees
                .get(wanted.stream.name.as_str())?
                .joins
                .get(graph.name(relay))
        });
        matches!(join, Some(Join::Carrier(parent)) if parent == graph.name(carrier))
    };
    for keeping in [true, false] {
        for (wanted, relay, carrier) in candidates() {
            let kept = before(wanted, relay, carrier);
            if kept != keeping
                || direct.contains(&(relay, carrier))
                || !is_better(graph, slots, input, relay, carrier, kept)
            {
                continue;
            }
            let used = taken.entry(carrier).or_insert_with(|| slots.load(carrier));
            if *used < graph.fan_out(carrier) {
                *used += 1;
                direct.insert((relay, carrier));
            }
        }
    }
    direct
}

fn is_better(
    graph: &Graph,
    slots: &Slots<'_>,
    input: &Input,
    relay: Id,
    carrier: Id,
    kept: bool,
) -> bool {
    let Some(cost) = graph.cost(relay, carrier) else {
        return false;
    };
    let through_home = slots
        .parent(relay)
        .and_then(|home| Some(graph.cost(relay, home)? + graph.cost(home, carrier)?));
    let Some(through_home) = through_home else {
        return true;
    };
    let (percent, gain) = if kept {
        (
            input.rules.hysteresis_percent,
            Cost::from(input.rules.minimum_gain_us),
        )
    } else {
        (0, 0)
    };
    !worth(cost, through_home, percent, gain)
}

/// Everyone's way to the carrier. A root is in the tree only while it is asked or feeds somebody.
fn joins(
    graph: &Graph,
    slots: &Slots<'_>,
    direct: &HashSet<(Id, Id)>,
    wanted: &Wanted<'_>,
) -> Result<BTreeMap<Name, Join>, PlanError> {
    let carrier = wanted.carriers[0];
    let mut joins = Vec::with_capacity(wanted.members.len());
    let mut feeding: HashSet<Id> = wanted.demanding_roots.iter().copied().collect();
    for member in wanted
        .members
        .iter()
        .copied()
        .filter(|member| graph.tier(*member) > 0)
    {
        let home = slots
            .parent(member)
            .ok_or_else(|| graph.unreachable(member))?;
        let at_root = graph.tier(home) == 0;
        let join = if at_root && home != carrier && direct.contains(&(member, carrier)) {
            Join::Carrier(graph.name(carrier).clone())
        } else {
            if at_root {
                feeding.insert(home);
            }
            Join::Home(graph.name(home).clone())
        };
        joins.push((graph.name(member).clone(), join));
    }
    // Collected at once: members are sorted by tier and name, which a map takes faster than one by one.
    let mut joins: BTreeMap<Name, Join> = joins.into_iter().collect();
    for root in graph
        .roots()
        .filter(|root| *root != carrier && feeding.contains(root))
    {
        let parent = root_join(graph, wanted, root)?;
        joins.insert(
            graph.name(root).clone(),
            Join::Root(graph.name(parent).clone()),
        );
        // A root in between carries the stream too.
        if parent != carrier {
            let join = Join::Root(graph.name(carrier).clone());
            joins.entry(graph.name(parent).clone()).or_insert(join);
        }
    }
    Ok(joins)
}

/// The carrier, or a root through which it is reached.
fn root_join(graph: &Graph, wanted: &Wanted<'_>, root: Id) -> Result<Id, PlanError> {
    let carrier = wanted.carriers[0];
    if graph.cost(root, carrier).is_some() {
        return Ok(carrier);
    }
    let between = graph
        .roots()
        .filter(|other| *other != root && *other != carrier);
    between
        .filter_map(|other| {
            Some((
                graph.cost(root, other)? + graph.cost(other, carrier)?,
                other,
            ))
        })
        .min()
        .map(|(_, other)| other)
        .ok_or_else(|| PlanError::RootUnreachable {
            stream: wanted.stream.name.clone(),
            root: graph.name(root).to_string(),
            carrier: graph.name(carrier).to_string(),
        })
}
