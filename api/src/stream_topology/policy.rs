//! Packaging and origin selection.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::TimeSpan;

/// How streams are cut.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.segmentDuration) >= duration('1s') && duration(self.segmentDuration) <= duration('10s')")
        .message("segmentDuration must be from 1s to 10s").field_path(".segmentDuration"),
    validation = Rule::new("duration(self.partDuration) >= duration('100ms')")
        .message("partDuration must be at least 100ms").field_path(".partDuration"),
    validation = Rule::new("duration(self.partDuration) <= duration(self.segmentDuration)")
        .message("partDuration must not be longer than segmentDuration").field_path(".partDuration")
)]
pub struct Packaging {
    /// Nominal length of a segment, 1s to 10s; the real one fits the frame rate.
    #[serde(default = "Packaging::default_segment_duration")]
    pub segment_duration: TimeSpan,
    /// Nominal length of a part, 100ms to segmentDuration.
    #[serde(default = "Packaging::default_part_duration")]
    pub part_duration: TimeSpan,
    /// Number of segments a playlist lists.
    #[serde(default = "Packaging::default_window")]
    #[schemars(range(min = 3, max = 120))]
    pub window: i32,
}

impl Packaging {
    fn default_segment_duration() -> TimeSpan {
        TimeSpan::from("2s")
    }
    fn default_part_duration() -> TimeSpan {
        TimeSpan::from("333ms")
    }
    fn default_window() -> i32 {
        6
    }
}

impl Default for Packaging {
    fn default() -> Self {
        Self {
            segment_duration: Self::default_segment_duration(),
            part_duration: Self::default_part_duration(),
            window: Self::default_window(),
        }
    }
}

/// How the carrier root of a stream selects among the origins that offer it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.heartbeatInterval) >= duration('100ms') && duration(self.heartbeatInterval) <= duration('1m')")
        .message("heartbeatInterval must be from 100ms to 1m").field_path(".heartbeatInterval"),
    validation = Rule::new("duration(self.minimumDwell) <= duration('1h')")
        .message("minimumDwell must be at most 1h").field_path(".minimumDwell")
)]
pub struct OriginSelection {
    /// Shares of latency, loss and load in the score.
    #[serde(default)]
    pub weights: Weights,
    /// Time between two beats of an origin, 100ms to 1m.
    #[serde(default = "OriginSelection::default_heartbeat_interval")]
    pub heartbeat_interval: TimeSpan,
    /// Beats that may be missed before an origin counts as silent.
    #[serde(default = "OriginSelection::default_missed_heartbeats")]
    #[schemars(range(min = 1, max = 20))]
    pub missed_heartbeats: i32,
    /// How much better, in percent, a challenger must be.
    #[serde(default = "OriginSelection::default_hysteresis_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub hysteresis_percent: i32,
    /// For how long it must be better, at most 1h.
    #[serde(default = "OriginSelection::default_minimum_dwell")]
    pub minimum_dwell: TimeSpan,
}

impl OriginSelection {
    fn default_heartbeat_interval() -> TimeSpan {
        TimeSpan::from("1s")
    }
    fn default_missed_heartbeats() -> i32 {
        3
    }
    fn default_hysteresis_percent() -> i32 {
        20
    }
    fn default_minimum_dwell() -> TimeSpan {
        TimeSpan::from("10s")
    }
}

impl Default for OriginSelection {
    fn default() -> Self {
        Self {
            weights: Weights::default(),
            heartbeat_interval: Self::default_heartbeat_interval(),
            missed_heartbeats: Self::default_missed_heartbeats(),
            hysteresis_percent: Self::default_hysteresis_percent(),
            minimum_dwell: Self::default_minimum_dwell(),
        }
    }
}

/// Shares of the score in percent. The default is whole: who gives one gives all three.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.latency + self.loss + self.load == 100")
        .message("latency, loss and load must sum to 100")
)]
pub struct Weights {
    /// Share of latency.
    #[schemars(range(min = 0, max = 100))]
    pub latency: i32,
    /// Share of loss.
    #[schemars(range(min = 0, max = 100))]
    pub loss: i32,
    /// Share of load.
    #[schemars(range(min = 0, max = 100))]
    pub load: i32,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            latency: 50,
            loss: 30,
            load: 20,
        }
    }
}
