//! Thousands of random trees of detectors alone: [`Upstream`] machines on a model of a network.
//!
//! No sockets, stores or tasks: a queue of events in order of time. It plays what the machines see
//! (messages, refusals, silence, their own lateness) and looks at what they decide: nobody is left
//! without a cause, a fault by itself moves only the ones fed over it, circles dissolve, positions
//! follow one another, and everything that has a path flows again. `BANYAN_SEEDS`, `BANYAN_SEED` as
//! for whole overlays.
//!
//! [`Upstream`]: crate::upstream::Upstream

use std::collections::BTreeSet;
use std::fmt::Write;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::number;
use crate::upstream::Cause;

mod model;
mod queue;

use model::{Model, Ms, Why};

/// Seeds of an ordinary run.
const SEEDS: u64 = 3000;

const MEMBERS: usize = 16;

/// What breaks, from when to when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fault {
    what: What,
    from: Ms,
    to: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Kill(usize),
    Freeze(usize),
    /// What the first sends does not reach the second.
    Block(usize, usize),
    Cut(usize, usize),
    Reset(usize, usize),
}

impl Fault {
    fn concerns(&self, member: usize) -> bool {
        match self.what {
            What::Kill(a) | What::Freeze(a) => a == member,
            What::Block(a, b) | What::Cut(a, b) | What::Reset(a, b) => a == member || b == member,
        }
    }

    fn is_on_hop(&self, parent: usize, child: usize) -> bool {
        match self.what {
            What::Kill(_) | What::Freeze(_) => self.concerns(parent) || self.concerns(child),
            _ => self.concerns(parent) && self.concerns(child),
        }
    }

    fn spoils(&self, member: usize) -> bool {
        matches!(self.what, What::Kill(a) | What::Freeze(a) if a == member)
    }

    fn spoils_hop(&self, parent: usize, child: usize) -> bool {
        matches!(self.what, What::Block(..) | What::Cut(..)) && self.is_on_hop(parent, child)
    }
}

/// The shape: node 0.. are content servers, then roots, then tiers; each with its ranked parents.
#[derive(Clone, Debug)]
struct Tree {
    origins: usize,
    roots: usize,
    parents: Vec<Vec<usize>>,
}

impl Tree {
    fn random(rng: &mut StdRng) -> Tree {
        let origins = rng.random_range(1..=3);
        let roots = rng.random_range(1..=3);
        let mut parents = vec![Vec::new(); origins];
        for root in 0..roots {
            // The first is the carrier; the others prefer the roots before them.
            let above = (0..root).map(|at| origins + at);
            parents.push(above.chain(0..origins).collect());
        }
        let mut above: Vec<usize> = (origins..origins + roots).collect();
        for _ in 0..rng.random_range(1..=4) {
            let width = rng.random_range(1..=6_usize);
            let first = parents.len();
            for at in 0..width.min(MEMBERS.saturating_sub(first)) {
                let ranked = above.len().min(rng.random_range(2..=3));
                parents.push((0..ranked).map(|n| above[(at + n) % above.len()]).collect());
            }
            above = (first..parents.len()).collect();
            if above.is_empty() {
                break;
            }
        }
        Tree {
            origins,
            roots,
            parents,
        }
    }

    fn is_origin(&self, member: usize) -> bool {
        member < self.origins
    }

    /// Who still has a path of what is well, with these faults on.
    fn fed(&self, faults: &[&Fault]) -> BTreeSet<usize> {
        let spoiled = |member: usize| faults.iter().any(|fault| fault.spoils(member));
        let carries = |a: usize, b: usize| !faults.iter().any(|fault| fault.spoils_hop(a, b));
        let mut fed = BTreeSet::new();
        for (member, ranked) in self.parents.iter().enumerate() {
            // A root counts on content servers only: what fellow roots have is not sure.
            let feeds = |parent: &usize| {
                let above = self.is_origin(*parent) || (member >= self.origins + self.roots);
                above && fed.contains(parent) && carries(*parent, member)
            };
            if !spoiled(member) && (self.is_origin(member) || ranked.iter().any(feeds)) {
                fed.insert(member);
            }
        }
        fed
    }
}

fn faults(rng: &mut StdRng, tree: &Tree) -> Vec<Fault> {
    let wanted = match rng.random_range(0..8) {
        0 => 0,
        1..=3 => 1,
        _ => rng.random_range(2..=8),
    };
    let mut faults: Vec<Fault> = Vec::new();
    let mut at = 3000;
    for _ in 0..wanted {
        at += match rng.random_range(0..3) {
            0 => rng.random_range(0..400),
            1 => rng.random_range(400..3000),
            _ => rng.random_range(3000..9000),
        };
        let member = rng.random_range(0..tree.parents.len());
        let ranked = &tree.parents[member];
        let hop = (!ranked.is_empty()).then(|| {
            let rank = rng.random_range(0..ranked.len() * 2);
            (*ranked.get(rank).unwrap_or(&ranked[0]), member)
        });
        let long = rng.random_range(500..7000);
        let (what, lasts) = match (rng.random_range(0..8), hop) {
            (0..=2, _) => (What::Kill(member), long),
            (3, _) => (What::Freeze(member), rng.random_range(20..250)),
            (4, _) => (What::Freeze(member), long),
            (5, Some((parent, child))) => (What::Cut(parent, child), long),
            (6, Some((parent, child))) => (What::Block(parent, child), long),
            (7, Some((parent, child))) => (What::Reset(parent, child), 1),
            _ => continue,
        };
        let fault = Fault {
            what,
            from: at,
            to: at + lasts,
        };
        // Whatever overlaps leaves everybody that is well a path.
        let near = |other: &&Fault| other.to + 6000 > fault.from && fault.to + 6000 > other.from;
        let mut together: Vec<&Fault> = faults.iter().filter(near).collect();
        together.push(&fault);
        let fed = tree.fed(&together);
        let starved = (0..tree.parents.len())
            .any(|member| !fed.contains(&member) && !together.iter().any(|f| f.spoils(member)));
        if !starved {
            faults.push(fault);
        }
    }
    faults
}

/// Plays a seed: how many faults and moves, or what broke.
fn play(seed: u64, told: bool) -> Result<(usize, usize), String> {
    let mut rng = StdRng::seed_from_u64(seed);
    let tree = Tree::random(&mut rng);
    let faults = faults(&mut rng, &tree);
    if told {
        println!("{tree:?}");
        faults.iter().for_each(|fault| println!("{fault:?}"));
    }
    let end = faults.iter().map(|f| f.to).max().unwrap_or(3000) + 12_000;
    let mut model = Model::new(tree.parents.clone(), tree.origins, tree.roots, seed);
    for fault in &faults {
        model.plan(fault);
    }
    model.run(end)?;
    if told {
        for Why {
            at,
            member,
            parent,
            cause,
        } in &model.left
        {
            println!("{at} ms: {member} left {parent}: {cause:?}");
        }
    }
    causes(&faults, &model)?;
    alone(&tree, &faults, &model)?;
    for member in tree.origins..tree.parents.len() {
        if !model.is_flowing(member) || model.lag(member) > 3 {
            return Err(format!(
                "at the end {member} is {} chunks behind, fed by {:?}",
                model.lag(member),
                model.parent(member)
            ));
        }
    }
    Ok((faults.len(), model.left.len()))
}

/// Nobody was left without something that was really the matter.
fn causes(faults: &[Fault], model: &Model) -> Result<(), String> {
    for why in &model.left {
        let on = |fault: &&Fault, before: Ms| fault.from <= why.at && why.at <= fault.to + before;
        let real = match why.cause {
            Cause::HopSilent => faults
                .iter()
                .any(|fault| on(&fault, 3000) && fault.is_on_hop(why.parent, why.member)),
            _ => faults.iter().any(|fault| on(&fault, 12_000)),
        };
        if !real {
            return Err(format!("{why:?}: nothing was the matter"));
        }
    }
    let bound: usize = faults.iter().map(|_| 4 * MEMBERS).sum();
    if model.left.len() > bound {
        return Err(format!(
            "{} moves for {} faults",
            model.left.len(),
            faults.len()
        ));
    }
    Ok(())
}

/// A fault by itself moves only those who were fed over it, when they can help themselves.
fn alone(tree: &Tree, faults: &[Fault], model: &Model) -> Result<(), String> {
    let [fault] = faults else { return Ok(()) };
    let children: BTreeSet<usize> = (tree.origins..tree.parents.len())
        .filter(|child| {
            let parent = model.fed_by(*child, fault.from);
            parent.is_some_and(|parent| fault.is_on_hop(parent, *child))
        })
        .collect();
    if children.iter().any(|child| tree.parents[*child].len() < 2) {
        return Ok(());
    }
    for why in model.left.iter().filter(|why| !fault.concerns(why.member)) {
        if why.at < fault.to && !children.contains(&why.member) {
            return Err(format!("{why:?}, though {fault:?} only fed {children:?}"));
        }
    }
    Ok(())
}

#[test]
fn every_seed_of_detectors_keeps_the_invariants() {
    if let Some(seed) = number("BANYAN_SEED") {
        let played = play(seed, true);
        println!("{played:?}");
        assert!(played.is_ok(), "seed {seed}: {played:?}");
        return;
    }
    let count = number("BANYAN_SEEDS").unwrap_or(SEEDS);
    let (mut faults, mut moves, mut failed, mut text) = (0, 0, 0, String::new());
    for seed in 1..=count {
        match play(seed, false) {
            Ok((f, m)) => (faults, moves) = (faults + f, moves + m),
            Err(broken) => {
                failed += 1;
                let _ = write!(
                    text,
                    "\nseed {seed}: {broken}\n    BANYAN_SEED={seed} cargo test --locked -p banyan-relay --lib sim::swarm::every -- --nocapture"
                );
            }
        }
    }
    println!("{count} seeds, {faults} faults, {moves} moves");
    assert_eq!(failed, 0, "of {count} seeds{text}");
    assert!(faults as u64 > count && moves as u64 > count / 2);
}

#[test]
fn a_tree_without_faults_never_moves() {
    for seed in 0..100 {
        let mut rng = StdRng::seed_from_u64(seed);
        let tree = Tree::random(&mut rng);
        let mut model = Model::new(tree.parents, tree.origins, tree.roots, seed);
        model.run(30_000).unwrap();
        assert!(model.left.is_empty(), "seed {seed}: {:?}", model.left);
    }
}

/// The model can fail: a detector that is too quick leaves parents for nothing.
#[test]
fn a_budget_below_a_keep_alive_is_noticed() {
    let mut rng = StdRng::seed_from_u64(1);
    let tree = Tree::random(&mut rng);
    let mut model = Model::new(tree.parents, tree.origins, tree.roots, 1);
    model.hasty();
    let _ = model.run(5_000);
    assert!(causes(&[], &model).is_err());
}
