//! What is wrong with an experiment, one sentence each.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is no experiment.
    #[error("experiment {file:?} cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        file: String,
        /// Where and why, and what is accepted.
        reason: String,
    },
    /// A value that cannot be used.
    #[error("{what} is {value}; accepted is {accepted}")]
    Value {
        /// Field, as a path.
        what: String,
        /// What was written.
        value: String,
        /// What is accepted.
        accepted: String,
    },
    /// A name that the network does not have.
    #[error("{what} names {name:?}, which is no {kind} of this network; {nearest}")]
    Unknown {
        /// Field, as a path.
        what: String,
        /// What was written.
        name: String,
        /// What it should be.
        kind: &'static str,
        /// Names like it.
        nearest: Nearest,
    },
    /// Something happens to a member that cannot happen to it then.
    #[error(
        "member {member:?} is to be {verb} at {at_ms} ms, when it {state}; accepted is an instant when it {accepted}"
    )]
    State {
        /// Which member.
        member: String,
        /// `killed`, `frozen`, …
        verb: &'static str,
        /// When, in milliseconds after the beginning.
        at_ms: u64,
        /// What it does then.
        state: &'static str,
        /// What it would have to do.
        accepted: &'static str,
    },
}

/// The names most like one that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest(Vec<String>);

impl Problem {
    pub(super) fn value(what: &str, value: impl fmt::Display, accepted: &str) -> Self {
        Self::Value {
            what: what.to_owned(),
            value: value.to_string(),
            accepted: accepted.to_owned(),
        }
    }

    pub(super) fn unknown<'a>(
        what: &str,
        name: &str,
        kind: &'static str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self::Unknown {
            what: what.to_owned(),
            name: name.to_owned(),
            kind,
            nearest: Nearest::of(name, known),
        }
    }
}

// === impl Nearest ===

impl Nearest {
    fn of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let mut known: Vec<(usize, &str)> = known
            .into_iter()
            .map(|known| (edits(name, known), known))
            .collect();
        known.sort_unstable();
        known.dedup();
        known.truncate(NAMED);
        Self(known.into_iter().map(|(_, name)| name.to_owned()).collect())
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is none");
        }
        write!(f, "nearest are {}", self.0.join(", "))
    }
}

/// Levenshtein's distance in bytes.
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (above, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let cost = (corner + usize::from(a != b)).min(left + 1).min(*above + 1);
            corner = *above;
            *above = cost;
            left = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Names that a sentence has room for.
const NAMED: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        for (one, other, distance) in [("kitten", "sitting", 3), ("", "ab", 2), ("a", "a", 0)] {
            assert_eq!(edits(one, other), distance, "{one} {other}");
        }
    }

    #[test]
    fn the_nearest_come_first() {
        let problem = Problem::unknown(
            "events[0].member",
            "hal-1",
            "member",
            ["edge-0", "hall-1", "hall-0", "root-0"],
        );
        assert_eq!(
            problem.to_string(),
            "events[0].member names \"hal-1\", which is no member of this network; nearest are hall-1, hall-0, edge-0"
        );
    }
}
