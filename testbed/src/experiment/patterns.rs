//! Bandwidth patterns of a last mile: the five of the ACM MMSys 2020 grand challenge on low-latency live streaming
//! (`twitchtv/acm-mmsys-2020-grand-challenge`, `normal-network-patterns.js`), and lists of one's own.

use std::fmt;

use serde::de::value::{SeqAccessDeserializer, StrDeserializer};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::quantities::{Millis, Rate};

/// A pattern by name, or its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One of the five.
    Named(Named),
    /// Each rate for a time.
    Steps(Vec<RateFor>),
}

/// A rate that holds for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateFor {
    /// The rate.
    pub rate: Rate,
    /// How long.
    #[serde(rename = "for")]
    pub length: Millis,
}

/// The five public patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Named {
    /// Down in steps and up again.
    Cascade,
    /// Down and up again in many small steps.
    IntraCascade,
    /// One deep dip.
    Spike,
    /// Two rates in turns, five seconds each.
    SlowJitters,
    /// Short dips, each a quarter of a second or less.
    FastJitters,
}

impl Named {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Cascade,
        Self::IntraCascade,
        Self::Spike,
        Self::SlowJitters,
        Self::FastJitters,
    ];

    /// Its name in a file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cascade => "cascade",
            Self::IntraCascade => "intra-cascade",
            Self::Spike => "spike",
            Self::SlowJitters => "slow-jitters",
            Self::FastJitters => "fast-jitters",
        }
    }

    /// Rates in kbit/s and how long each holds, in milliseconds.
    fn steps(self) -> &'static [(u64, u64)] {
        match self {
            Self::Cascade => CASCADE,
            Self::IntraCascade => INTRA_CASCADE,
            Self::Spike => SPIKE,
            Self::SlowJitters => SLOW_JITTERS,
            Self::FastJitters => FAST_JITTERS,
        }
    }
}

// === impl Pattern ===

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Either)
    }
}

struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Pattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a pattern, or a list of `rate` and `for`")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Pattern, E> {
        Named::deserialize(StrDeserializer::new(text)).map(Pattern::Named)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Pattern, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Pattern::Steps)
    }
}

impl Pattern {
    /// Rates in bit/s (none = not limited) and how long each holds, in milliseconds.
    pub fn steps(&self) -> Vec<(Option<u64>, u64)> {
        match self {
            Self::Named(named) => {
                let steps = named.steps().iter();
                steps.map(|(kbps, ms)| (Some(kbps * 1_000), *ms)).collect()
            }
            Self::Steps(steps) => {
                let steps = steps.iter();
                steps.map(|step| (step.rate.0, step.length.0)).collect()
            }
        }
    }
}

const CASCADE: &[(u64, u64)] = &[
    (1_200, 30_000),
    (800, 30_000),
    (400, 30_000),
    (800, 30_000),
    (1_200, 30_000),
];
const INTRA_CASCADE: &[(u64, u64)] = &[
    (1_000, 15_000),
    (800, 15_000),
    (600, 15_000),
    (400, 15_000),
    (200, 15_000),
    (400, 15_000),
    (600, 15_000),
    (800, 15_000),
    (1_000, 15_000),
];
const SPIKE: &[(u64, u64)] = &[(1_200, 10_000), (300, 10_000), (800, 10_000)];
const SLOW_JITTERS: &[(u64, u64)] = &[
    (500, 5_000),
    (1_200, 5_000),
    (500, 5_000),
    (1_200, 5_000),
    (500, 5_000),
    (1_200, 5_000),
];
const FAST_JITTERS: &[(u64, u64)] = &[
    (500, 250),
    (1_200, 5_000),
    (500, 100),
    (1_200, 1_000),
    (500, 250),
    (1_200, 5_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_have_their_published_lengths() {
        let lengths = Named::ALL.map(|named| named.steps().iter().map(|(_, ms)| ms).sum::<u64>());
        assert_eq!(lengths, [150_000, 135_000, 30_000, 30_000, 11_600]);
    }
}
