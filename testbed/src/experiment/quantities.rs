//! Quantities of an experiment's file in base units; written as manifests write them.

use std::fmt;

use banyan_api::quantity::{BitRate, LinkDelay, Percentage, TimeSpan};
use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A span or an instant, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub u64);

/// A delay in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Micros(pub u64);

/// A share, of a hundred thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub u32);

/// A rate in bit/s; none = not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(pub Option<u64>);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms % 1_000 == 0 => write!(f, "{} s", ms / 1_000),
            ms => write!(f, "{ms} ms"),
        }
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let span = TimeSpan::deserialize(deserializer)?;
        span.millis().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let delay = LinkDelay::deserialize(deserializer)?;
        delay.micros().map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let share = Percentage::deserialize(deserializer)?;
        share
            .per_hundred_thousand()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = BitRate::deserialize(deserializer)?;
        if rate.0 == UNLIMITED {
            return Ok(Self(None));
        }
        match rate.bits_per_second() {
            Ok(rate) => Ok(Self(Some(rate))),
            Err(error) => Err(D::Error::custom(format!("{error}, or \"{UNLIMITED}\""))),
        }
    }
}

const UNLIMITED: &str = "unlimited";
