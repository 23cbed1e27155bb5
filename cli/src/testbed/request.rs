//! What the inner process is asked while it runs: a line of JSON over a socket in the run's folder, a line back.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// End a member without a word (SIGKILL); it is started again unless `returns` is false.
    Kill {
        /// Which.
        member: String,
        /// Whether it is started again.
        #[serde(default = "yes")]
        returns: bool,
    },
    /// Ask a member to leave (SIGTERM); it stays away.
    Stop {
        /// Which.
        member: String,
    },
    /// Halt a member (SIGSTOP): its connections stay.
    Freeze {
        /// Which.
        member: String,
    },
    /// Let a halted member go on.
    Thaw {
        /// Which.
        member: String,
    },
    /// Start a member that joins later, or one that stays away.
    Start {
        /// Which.
        member: String,
    },
    /// Start viewers in a node; the report is `viewers/NAME.json`, the trace `viewers/NAME.csv`.
    Watch {
        /// Of the viewers, as a file's name.
        name: String,
        /// Where they are.
        node: String,
        /// What they watch: arguments of `banyan play`, URLs of one stream at several edges.
        targets: Vec<String>,
        /// More arguments of `banyan play`.
        #[serde(default)]
        arguments: Vec<String>,
    },
    /// Run a program in a node; what it prints is `viewers/NAME.out`.
    Run {
        /// Of the program, as a file's name.
        name: String,
        /// Where it runs.
        node: String,
        /// Which.
        program: PathBuf,
        /// With these arguments.
        #[serde(default)]
        arguments: Vec<String>,
    },
    /// Interrupt viewers or a program; answered when they have ended and their report is written.
    Leave {
        /// Of the viewers.
        name: String,
    },
    /// Members and viewers as they are.
    Look,
}

impl Request {
    /// The member that it is about.
    pub(super) fn member(&self) -> Option<&str> {
        match self {
            Self::Kill { member, .. }
            | Self::Stop { member }
            | Self::Freeze { member }
            | Self::Thaw { member }
            | Self::Start { member } => Some(member),
            Self::Watch { .. } | Self::Run { .. } | Self::Leave { .. } | Self::Look => None,
        }
    }
}

fn yes() -> bool {
    true
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is done.
    Done,
    /// How it is.
    Seen(Seen),
    /// One sentence.
    Error(String),
}

/// Members and viewers as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Names of members with a process.
    pub members: Vec<String>,
    /// Names of viewers still watching.
    pub viewers: Vec<String>,
    /// Names of viewers that have ended.
    pub ended: Vec<String>,
}

/// Asks the inner process of the run in `folder`.
pub(super) fn ask(folder: &Path, request: &Request) -> anyhow::Result<Answer> {
    let silent = || format!("the testbed in {folder:?} does not answer");
    // A socket's path has little room; one below a descriptor of its folder is always short.
    let open = std::fs::File::open(folder).with_context(silent)?;
    let below = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    let mut stream = UnixStream::connect(below.join(SOCKET)).with_context(silent)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    writeln!(stream, "{}", serde_json::to_string(request)?).with_context(silent)?;
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .with_context(silent)?;
    match serde_json::from_str(&line).with_context(silent)? {
        Answer::Error(sentence) => bail!("{sentence}"),
        answer => Ok(answer),
    }
}

pub(super) const SOCKET: &str = "requests.socket";
const PATIENCE: Duration = Duration::from_secs(60);
