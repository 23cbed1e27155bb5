//! Where an experiment happens: a world starts a network with an overlay on it, does what the schedule says, and hands
//! over what was recorded. Worlds keep the time; nothing above knows whether it passes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::Over;
use crate::link::Change;

/// What one run needs from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPlan {
    /// Name of the variant.
    pub variant: String,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// Of every chance in the world.
    pub seed: u64,
    /// Members that are not started yet.
    pub absent: Vec<String>,
    /// Largest packet in bytes.
    pub mtu: Option<u32>,
    /// Links whose packets are written to files in the folder.
    pub capture: Vec<String>,
    /// From the moment when every stream can be played to zero.
    pub lead_in: Duration,
    /// For files of this run; exists.
    pub folder: PathBuf,
}

/// Something that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// A link changes in both directions.
    Link {
        /// Which.
        link: String,
        /// What.
        #[serde(flatten)]
        change: Change,
    },
    /// A member is killed.
    Kill {
        /// Which.
        member: String,
    },
    /// A member is stopped where it stands.
    Freeze {
        /// Which.
        member: String,
    },
    /// A stopped member goes on.
    Thaw {
        /// Which.
        member: String,
    },
    /// A member begins, or returns.
    Start {
        /// Which.
        member: String,
    },
    /// A viewer comes.
    StartViewer(Watch),
    /// A viewer goes; its report is kept for [`World::collect`].
    StopViewer {
        /// Which.
        viewer: String,
    },
    /// Packets begin to flow.
    StartTraffic(Flow),
    /// They end.
    StopTraffic {
        /// Which.
        name: String,
    },
}

/// A viewer as it is started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watch {
    /// Its name, unique in the run.
    pub viewer: String,
    /// Node it runs on.
    pub node: String,
    /// What it watches.
    pub stream: String,
    /// Members it may receive from, the nearest first.
    pub sources: Vec<String>,
    /// How.
    pub over: Over,
    /// The video: a rendition's name, `lowest`, `highest` or `adaptive`.
    pub rendition: String,
}

/// Packets at a constant rate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Flow {
    /// Its name, unique in the run.
    pub name: String,
    /// Node that sends.
    pub from: String,
    /// Node they go to.
    pub to: String,
    /// In bit/s.
    pub rate_bps: u64,
}

/// What a world says of itself when it has started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// What emulates links.
    pub backend: String,
    /// Name and release of the kernel.
    pub kernel: String,
    /// TCP's congestion control.
    pub congestion_control: String,
    /// Wall clock at the schedule's zero, in milliseconds.
    pub unix_ms: u64,
}

/// What was recorded in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// How late links handed packets over; none where the world cannot tell.
    pub late: Option<Late>,
    /// Every link.
    pub links: Vec<LinkCount>,
    /// By name.
    pub viewers: BTreeMap<String, ViewerRecord>,
    /// By member.
    pub members: BTreeMap<String, MemberRecord>,
    /// Files with packets.
    pub captures: Vec<PathBuf>,
}

/// How late, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Late {
    /// Half of the packets were no later.
    pub p50_us: u64,
    /// 99 of a hundred were no later.
    pub p99_us: u64,
    /// None was later.
    pub max_us: u64,
    /// Whether the world itself accepts that.
    pub valid: bool,
}

/// One link's packets; the first of each pair is from the first end to the second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkCount {
    /// Its name.
    pub link: String,
    /// There, and back.
    pub directions: [Count; 2],
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Bytes that arrived.
    pub bytes: u64,
    /// Packets that arrived.
    pub packets: u64,
    /// Lost by chance.
    pub lost: u64,
    /// Dropped at a full queue.
    pub full: u64,
    /// Dropped by a link that was down.
    pub cut: u64,
}

/// What a viewer left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewerRecord {
    /// The line of `banyan play --json`; empty when it gave none.
    pub report: String,
    /// The rows of `banyan play --trace`.
    pub trace: String,
}

/// What a member wrote down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberRecord {
    /// Chunks that arrived, as CSV.
    pub links_csv: String,
    /// What it said of itself, a JSON object a line.
    pub events_jsonl: String,
}

/// Why a run came to nothing, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Something did not work; the next run may.
    #[error("{0}")]
    Run(String),
    /// The user has had enough.
    #[error("interrupted")]
    Interrupted,
}

/// Where an experiment happens. One value is one run.
pub trait World {
    /// Builds the network, starts members, and returns when every stream can be played: that is the schedule's zero.
    fn start(&mut self, plan: &RunPlan) -> Result<Started, Failure>;

    /// Waits until this long after zero; at once when that is past.
    fn wait_until(&mut self, at: Duration) -> Result<(), Failure>;

    /// Time since zero.
    fn now(&self) -> Duration;

    /// Does something, and returns when it is done.
    fn apply(&mut self, action: &Action) -> Result<(), Failure>;

    /// Hands over what was recorded. Links are counted to this moment.
    fn collect(&mut self) -> Result<Collected, Failure>;

    /// Takes everything down, also after a failure.
    fn end(&mut self);
}

impl Action {
    /// What it is done to.
    pub fn target(&self) -> &str {
        match self {
            Self::Link { link, .. } => link,
            Self::Kill { member }
            | Self::Freeze { member }
            | Self::Thaw { member }
            | Self::Start { member } => member,
            Self::StartViewer(watch) => &watch.viewer,
            Self::StopViewer { viewer } => viewer,
            Self::StartTraffic(flow) => &flow.name,
            Self::StopTraffic { name } => name,
        }
    }

    /// What is done, in a word.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Link { change, .. } => match change.up {
                Some(true) => "up",
                Some(false) => "down",
                None => "set",
            },
            Self::Kill { .. } => "kill",
            Self::Freeze { .. } => "freeze",
            Self::Thaw { .. } => "thaw",
            Self::Start { .. } => "start",
            Self::StartViewer(_) => "watch",
            Self::StopViewer { .. } => "leave",
            Self::StartTraffic(_) => "traffic",
            Self::StopTraffic { .. } => "traffic-end",
        }
    }

    /// Details, for a table.
    pub fn detail(&self) -> String {
        match self {
            Self::Link { change, .. } => change.to_string(),
            Self::StartViewer(watch) => format!("{} at {}", watch.stream, watch.node),
            Self::StartTraffic(flow) => {
                format!("{} to {} {} bit/s", flow.from, flow.to, flow.rate_bps)
            }
            _ => String::new(),
        }
    }
}
