//! One round: which of the moves between two plans are made now.
//!
//! Nobody moves to a full member: a move whose target is full comes with the move of one that
//! leaves it, and so on until a slot is free or the circle closes. Orphans go first and bring with
//! them whoever must make room; the others share what the round allows.

use std::collections::{BTreeMap, BTreeSet};

/// One relay's way to its planned home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move<'a> {
    pub(super) relay: &'a str,
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// `from` serves no longer.
    pub(super) urgent: bool,
}

/// The moves made now, by relay. `load` is children as they are, `room` what a member may feed.
pub(super) fn choose<'a>(
    moves: &[Move<'a>],
    load: BTreeMap<&'a str, u32>,
    room: &BTreeMap<&str, u32>,
    most: usize,
) -> BTreeMap<&'a str, Move<'a>> {
    let mut leaving: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, step) in moves.iter().enumerate() {
        leaving.entry(step.from).or_default().push(index);
    }
    let mut round = Chosen {
        moves,
        leaving,
        load,
        room,
        made: BTreeSet::new(),
    };
    let mut left = most;
    let mut order: Vec<usize> = (0..moves.len()).collect();
    // Of those that could stay, who leaves an overfull member is the most welcome.
    order.sort_by_key(|index| {
        let step = &moves[*index];
        (!step.urgent, !round.is_overfull(step.from), step.relay)
    });
    for index in order {
        if round.made.contains(&index) {
            continue;
        }
        let chain = round.chain(index);
        if moves[index].urgent {
            round.make(&chain.unwrap_or_else(|| vec![index]));
        } else if let Some(chain) = chain.filter(|chain| chain.len() <= left) {
            left -= chain.len();
            round.make(&chain);
        }
    }
    let made = round.made.iter().map(|index| moves[*index]);
    made.map(|step| (step.relay, step)).collect()
}

struct Chosen<'a, 'b> {
    moves: &'b [Move<'a>],
    leaving: BTreeMap<&'a str, Vec<usize>>,
    load: BTreeMap<&'a str, u32>,
    room: &'b BTreeMap<&'b str, u32>,
    made: BTreeSet<usize>,
}

impl Chosen<'_, '_> {
    fn load(&self, member: &str) -> u32 {
        self.load.get(member).copied().unwrap_or(0)
    }

    fn room(&self, member: &str) -> u32 {
        self.room.get(member).copied().unwrap_or(0)
    }

    fn is_overfull(&self, member: &str) -> bool {
        self.load(member) > self.room(member)
    }

    /// The move with all that make room for it; `None` when nobody can.
    fn chain(&self, start: usize) -> Option<Vec<usize>> {
        let mut chain = vec![start];
        loop {
            let to = self.moves[*chain.last()?].to;
            if self.load(to) < self.room(to) {
                return Some(chain);
            }
            // One that leaves an overfull member frees no slot.
            if self.is_overfull(to) {
                return None;
            }
            if self.moves[start].from == to {
                return Some(chain);
            }
            let next = self.leaving.get(to)?.iter();
            let next = next
                .copied()
                .find(|index| !self.made.contains(index) && !chain.contains(index))?;
            chain.push(next);
        }
    }

    fn make(&mut self, chain: &[usize]) {
        for index in chain {
            let step = self.moves[*index];
            self.made.insert(*index);
            if let Some(load) = self.load.get_mut(step.from) {
                *load = load.saturating_sub(1);
            }
            *self.load.entry(step.to).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step<'a>(relay: &'a str, from: &'a str, to: &'a str) -> Move<'a> {
        Move {
            relay,
            from,
            to,
            urgent: false,
        }
    }

    fn chosen(moves: &[Move<'_>], load: &[(&str, u32)], room: u32, most: usize) -> Vec<String> {
        let room =
            ["x", "y", "z", "dead"].map(|name| (name, if name == "dead" { 0 } else { room }));
        let load: BTreeMap<&str, u32> = load.iter().copied().collect();
        let load = moves
            .iter()
            .flat_map(|m| [m.from, m.to])
            .map(|name| (name, load.get(name).copied().unwrap_or(0)))
            .collect();
        choose(moves, load, &room.into_iter().collect(), most)
            .into_keys()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_round_makes_as_many_moves_as_it_may_and_none_to_a_full_member() {
        let moves = [
            step("a", "x", "y"),
            step("b", "x", "y"),
            step("c", "x", "y"),
        ];
        assert_eq!(chosen(&moves, &[("x", 3), ("y", 0)], 3, 2), ["a", "b"]);
        assert_eq!(chosen(&moves, &[("x", 3), ("y", 2)], 3, 9), ["a"]);
        assert!(chosen(&moves, &[("x", 3), ("y", 3)], 3, 9).is_empty());
    }

    #[test]
    fn who_makes_room_comes_along_or_nobody_moves() {
        let moves = [step("a", "x", "y"), step("b", "y", "z")];
        let load = [("x", 1), ("y", 1), ("z", 0)];
        assert_eq!(chosen(&moves, &load, 1, 2), ["a", "b"]);
        assert_eq!(chosen(&moves, &load, 1, 1), ["b"]);
        let swap = [step("a", "x", "y"), step("b", "y", "x")];
        let load = [("x", 1), ("y", 1)];
        assert_eq!(chosen(&swap, &load, 1, 2), ["a", "b"]);
        assert!(chosen(&swap, &load, 1, 1).is_empty());
    }

    #[test]
    fn orphans_count_for_nothing_and_go_first() {
        let orphan = |relay| Move {
            urgent: true,
            ..step(relay, "dead", "y")
        };
        let moves = [step("a", "x", "y"), orphan("o"), orphan("p")];
        let load = [("dead", 2), ("x", 1)];
        assert_eq!(chosen(&moves, &load, 2, 1), ["o", "p"]);
        assert_eq!(chosen(&moves, &load, 3, 1), ["a", "o", "p"]);
    }
}
