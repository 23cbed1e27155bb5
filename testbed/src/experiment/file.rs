//! The file of an experiment: what is written, checked as far as it can be without a network.

use serde::{Deserialize, Serialize};

use super::patterns::{Named, Pattern};
use super::problem::Problem;
pub use super::quantities::{Micros, Millis, Rate, Share};

/// An experiment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Experiment {
    /// A DNS label.
    pub name: String,
    /// What it asks, in a sentence or two.
    #[serde(default)]
    pub about: String,
    /// Path of the manifests, relative to the file's folder.
    pub manifest: String,
    /// Length of a run, from the moment when streams can be played.
    pub duration: Millis,
    /// Runs of each variant.
    #[serde(default = "six")]
    pub repetitions: u32,
    /// Of every choice; each repetition has one of its own that follows from it.
    #[serde(default = "one")]
    pub seed: u64,
    /// Largest packet in bytes on every link; as the world has it when absent.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Links whose packets are written to files.
    #[serde(default)]
    pub capture: Vec<String>,
    /// Who watches.
    pub viewers: Vec<Viewers>,
    /// Packets that have nothing to do with the stream.
    #[serde(default)]
    pub traffic: Vec<Traffic>,
    /// What happens, in any order.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What is compared; every list multiplies the runs.
    #[serde(default)]
    pub compare: Compare,
}

/// A group of viewers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Viewers {
    /// Client nodes, taken in turns; all that watch the stream when absent.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// What they watch; the only stream that the nodes watch when absent.
    #[serde(default)]
    pub stream: Option<String>,
    /// When the first comes.
    #[serde(default)]
    pub at: Millis,
    /// How many; one per node when absent, or as many as come until `until`.
    #[serde(default)]
    pub count: Option<u32>,
    /// Time between two; all at once when absent.
    #[serde(default)]
    pub every: Option<Millis>,
    /// Mean time between two, exponentially distributed (a Poisson process); not with `every`.
    #[serde(default)]
    pub poisson: Option<Millis>,
    /// Nobody comes from then on; the end of the run when absent.
    #[serde(default)]
    pub until: Option<Millis>,
    /// How long each stays; to the end when absent.
    #[serde(default)]
    pub stay: Option<Millis>,
    /// How they receive.
    #[serde(default)]
    pub over: Over,
    /// From whom.
    #[serde(default)]
    pub from: Source,
    /// The video: a rendition's name, `lowest`, `highest`, or over HLS `adaptive`.
    #[serde(default = "lowest")]
    pub rendition: String,
}

/// How a viewer receives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// Playlists and segments, as a player.
    #[default]
    Hls,
    /// Chunks, as a relay.
    Grpc,
}

/// From whom viewers receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The nearest edge; the others, nearest first, when it fails.
    #[default]
    Edges,
    /// Each by itself from the nearest content server of the stream, over gRPC: unicast.
    Servers,
}

/// Packets at a constant rate, to nobody who listens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Node that sends.
    pub from: String,
    /// Node they go to.
    pub to: String,
    /// Rate in bit/s of whole packets.
    pub rate: Rate,
    /// From then on.
    #[serde(default)]
    pub at: Millis,
    /// Until then; the end of the run when absent.
    #[serde(default)]
    pub until: Option<Millis>,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A link carries nothing.
    Down {
        /// When.
        at: Millis,
        /// Which.
        link: String,
        /// How long; for good when absent.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// A link carries again.
    Up {
        /// When.
        at: Millis,
        /// Which.
        link: String,
    },
    /// A link gets other properties, in both directions.
    Set {
        /// When.
        at: Millis,
        /// Which.
        link: String,
        /// What.
        #[serde(flatten)]
        change: Condition,
        /// How long; then they are the manifest's again.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// A link's loss goes from one value to another in equal steps.
    LossRamp {
        /// When it has the first value.
        at: Millis,
        /// When it has the last.
        until: Millis,
        /// Which.
        link: String,
        /// First value.
        from: Share,
        /// Last value.
        to: Share,
        /// Changes in between, the last included.
        #[serde(default = "ten")]
        steps: u32,
    },
    /// A link's rate follows a pattern.
    Bandwidth {
        /// When it begins.
        at: Millis,
        /// Which.
        link: String,
        /// A name, or a list of rates.
        pattern: Pattern,
        /// Again and again until then; once when absent.
        #[serde(default)]
        until: Option<Millis>,
    },
    /// A member dies at once.
    Kill {
        /// When.
        at: Millis,
        /// Which.
        member: String,
        /// It returns after this; never when absent.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// A member stands still, its connections open.
    Freeze {
        /// When.
        at: Millis,
        /// Which.
        member: String,
        /// It goes on after this; never when absent.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// A frozen member goes on.
    Thaw {
        /// When.
        at: Millis,
        /// Which.
        member: String,
    },
    /// A dead member returns.
    Start {
        /// When.
        at: Millis,
        /// Which.
        member: String,
    },
    /// A member that was not there from the beginning begins.
    Join {
        /// When.
        at: Millis,
        /// Which.
        member: String,
    },
    /// Nothing passes between these nodes and all others.
    Partition {
        /// When.
        at: Millis,
        /// Which.
        nodes: Vec<String>,
        /// How long; for good when absent.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// Every link of a member's node gets worse.
    Degrade {
        /// When.
        at: Millis,
        /// Which member.
        member: String,
        /// How.
        #[serde(flatten)]
        change: Condition,
        /// How long; for good when absent.
        #[serde(default, rename = "for")]
        length: Option<Millis>,
    },
    /// Members leave and return at random.
    Churn {
        /// From then on.
        at: Millis,
        /// No more leave from then on.
        until: Millis,
        /// Who may leave.
        members: Vec<String>,
        /// Mean time between two that leave, exponentially distributed.
        every: Millis,
        /// How long each is away.
        down: Millis,
        /// How they leave.
        #[serde(default)]
        how: Leave,
    },
}

/// How a member leaves in churn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Leave {
    /// It dies.
    #[default]
    Kill,
    /// It stands still.
    Freeze,
}

/// Properties of a link; what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Condition {
    /// One-way delay.
    #[serde(default)]
    pub delay: Option<Micros>,
    /// Variation of the delay.
    #[serde(default)]
    pub jitter: Option<Micros>,
    /// Packets lost.
    #[serde(default)]
    pub loss: Option<Share>,
    /// Rate.
    #[serde(default)]
    pub bandwidth: Option<Rate>,
}

/// What is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compare {
    /// From whom all viewers receive.
    #[serde(default)]
    pub delivery: Vec<Delivery>,
    /// How many viewers the only group has.
    #[serde(default)]
    pub viewers: Vec<u32>,
    /// The pattern of every `bandwidth` event.
    #[serde(default)]
    pub pattern: Vec<Named>,
    /// Without the events, and with them.
    #[serde(default)]
    pub events: Vec<bool>,
}

/// What carries a stream to its viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// The tree.
    Relays,
    /// The content server alone, one connection per viewer.
    Unicast,
}

/// Reads a file. `repetitions` from the command line may be fewer than a file's.
pub fn parse(text: &str, file: &str, repetitions: Option<u32>) -> Result<Experiment, Vec<Problem>> {
    let mut read: Experiment = serde_yaml_ng::from_str(text).map_err(|error| {
        let file = file.to_owned();
        let reason = error.to_string().replace('\n', " ");
        vec![Problem::Unreadable { file, reason }]
    })?;
    let mut problems = Vec::new();
    if read.repetitions < FEWEST {
        let accepted = "5 or more; fewer only with --repetitions";
        problems.push(Problem::value("repetitions", read.repetitions, accepted));
    }
    read.repetitions = repetitions.unwrap_or(read.repetitions);
    read.check(&mut problems);
    match problems.is_empty() {
        true => Ok(read),
        false => Err(problems),
    }
}

impl Experiment {
    fn check(&self, problems: &mut Vec<Problem>) {
        let mut refuse = |what: &str, value: String, accepted: &str| {
            problems.push(Problem::value(what, value, accepted));
        };
        if !is_label(&self.name) {
            let accepted = "a DNS label: up to 63 of a-z, 0-9 and inner hyphens";
            refuse("name", format!("{:?}", self.name), accepted);
        }
        if !(1..=MOST_REPETITIONS).contains(&self.repetitions) {
            refuse("repetitions", self.repetitions.to_string(), "1 to 1000");
        }
        if !(1_000..=LONGEST_MS).contains(&self.duration.0) {
            refuse("duration", self.duration.to_string(), "1s to 24h");
        }
        // 1280 is what IPv6 asks of every link (RFC 8200 §5).
        if let Some(mtu) = self.mtu.filter(|mtu| !(1_280..=9_000).contains(mtu)) {
            refuse("mtu", mtu.to_string(), "1280 to 9000 bytes");
        }
        if self.viewers.is_empty() {
            refuse("viewers", "empty".to_owned(), "at least one group");
        }
        for (index, group) in self.viewers.iter().enumerate() {
            let what = |field: &str| format!("viewers[{index}].{field}");
            if group.every.is_some() && group.poisson.is_some() {
                refuse(
                    &what("every"),
                    "given with poisson".to_owned(),
                    "one of the two",
                );
            }
            for (field, span) in [
                ("every", group.every),
                ("poisson", group.poisson),
                ("stay", group.stay),
            ] {
                if span == Some(Millis(0)) {
                    refuse(&what(field), "0 s".to_owned(), "a time longer than 0");
                }
            }
            if !(1..=MOST_VIEWERS).contains(&group.count.unwrap_or(1)) {
                let count = group.count.unwrap_or(0).to_string();
                refuse(&what("count"), count, "1 to 1000");
            }
            if group.from == Source::Servers && group.over == Over::Hls {
                let accepted = "grpc, as content servers speak nothing else";
                refuse(&what("over"), "hls with from: servers".to_owned(), accepted);
            }
        }
        for (index, flow) in self.traffic.iter().enumerate() {
            if flow.rate.0.is_none() {
                let what = format!("traffic[{index}].rate");
                refuse(&what, "unlimited".to_owned(), "a rate in bit/s such as 5M");
            }
        }
        for count in &self.compare.viewers {
            if !(1..=MOST_VIEWERS).contains(count) {
                refuse(
                    "compare.viewers",
                    count.to_string(),
                    "numbers from 1 to 1000",
                );
            }
        }
        if !self.compare.viewers.is_empty() && self.viewers.len() != 1 {
            let groups = format!("given with {} groups of viewers", self.viewers.len());
            refuse("compare.viewers", groups, "one group");
        }
        let rate = |event: &Event| matches!(event, Event::Bandwidth { .. });
        if !self.compare.pattern.is_empty() && !self.events.iter().any(rate) {
            let accepted = "at least one of these events";
            let value = "given without an event of do: bandwidth".to_owned();
            refuse("compare.pattern", value, accepted);
        }
        self.check_events(&mut refuse);
    }

    fn check_events(&self, refuse: &mut dyn FnMut(&str, String, &str)) {
        for (index, event) in self.events.iter().enumerate() {
            let what = |field: &str| format!("events[{index}].{field}");
            match event {
                Event::LossRamp {
                    at, until, steps, ..
                } => {
                    if until <= at {
                        refuse(&what("until"), until.to_string(), &format!("after {at}"));
                    }
                    if !(1..=100).contains(steps) {
                        refuse(&what("steps"), steps.to_string(), "1 to 100");
                    }
                }
                Event::Bandwidth { pattern, .. } => {
                    let steps = pattern.steps();
                    if steps.is_empty() || steps.iter().any(|(_, ms)| *ms == 0) {
                        let value = "a list with nothing, or with a rate for 0 s".to_owned();
                        refuse(&what("pattern"), value, "rates that each hold for a time");
                    }
                }
                Event::Churn {
                    at,
                    until,
                    every,
                    down,
                    members,
                    ..
                } => {
                    if until <= at {
                        refuse(&what("until"), until.to_string(), &format!("after {at}"));
                    }
                    if every.0 == 0 || down.0 == 0 {
                        let value = format!("every {every}, down {down}");
                        refuse(&what("every"), value, "times longer than 0");
                    }
                    if members.is_empty() {
                        refuse(&what("members"), "empty".to_owned(), "at least one member");
                    }
                }
                Event::Set { change, .. } | Event::Degrade { change, .. }
                    if *change == Condition::default() =>
                {
                    let accepted = "at least one of delay, jitter, loss, bandwidth";
                    refuse(&what("do"), "a change of nothing".to_owned(), accepted);
                }
                _ => {}
            }
            if event.at() >= self.duration {
                let accepted = format!("before the end at {}", self.duration);
                refuse(&what("at"), event.at().to_string(), &accepted);
            }
        }
    }
}

impl Event {
    /// When it begins.
    pub fn at(&self) -> Millis {
        match self {
            Self::Down { at, .. }
            | Self::Up { at, .. }
            | Self::Set { at, .. }
            | Self::LossRamp { at, .. }
            | Self::Bandwidth { at, .. }
            | Self::Kill { at, .. }
            | Self::Freeze { at, .. }
            | Self::Thaw { at, .. }
            | Self::Start { at, .. }
            | Self::Join { at, .. }
            | Self::Partition { at, .. }
            | Self::Degrade { at, .. }
            | Self::Churn { at, .. } => *at,
        }
    }
}

fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn six() -> u32 {
    DEFAULT_REPETITIONS
}

fn one() -> u64 {
    1
}

fn ten() -> u32 {
    10
}

fn lowest() -> String {
    "lowest".to_owned()
}

/// The fewest whose range covers the median with 95 %.
const DEFAULT_REPETITIONS: u32 = 6;
/// Fewer say nothing of how much runs differ.
const FEWEST: u32 = 5;
const MOST_REPETITIONS: u32 = 1_000;
const MOST_VIEWERS: u32 = 1_000;
const LONGEST_MS: u64 = 86_400_000;

#[cfg(test)]
mod tests;
