//! Requests to a running link process: one JSON object a line over a Unix socket, one line back for each.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::lateness::Summary;
use crate::link::{Change, Counters, Settings};

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// How it goes.
    Stats,
    /// Change a link, now or later.
    Set {
        /// Which.
        link: String,
        /// In which direction.
        #[serde(default)]
        sides: Sides,
        /// What.
        change: Change,
        /// Milliseconds from now; the process itself keeps the time.
        #[serde(default)]
        after_ms: u64,
    },
    /// Write what arrives at both ends to a file, or stop it.
    Capture {
        /// Which.
        link: String,
        /// Where to; none ends the capture.
        #[serde(default)]
        file: Option<PathBuf>,
    },
}

/// Directions of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sides {
    /// Both.
    #[default]
    Both,
    /// From the first end to the second.
    There,
    /// From the second end to the first.
    Back,
}

impl Sides {
    pub(super) fn has(self, from: usize) -> bool {
        match self {
            Self::Both => true,
            Self::There => from == 0,
            Self::Back => from == 1,
        }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is done, or will be.
    Done,
    /// How it goes.
    Stats(Stats),
    /// One sentence.
    Error(String),
}

/// How a link process does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Whether frames were handed over when they were due, as far as the bound asks.
    pub valid: bool,
    /// 99 of a hundred frames may be this late.
    pub late_bound_us: u64,
    /// How late they were.
    pub late: Summary,
    /// Each link.
    pub links: Vec<LinkStats>,
}

/// One link; the first of each pair is from the first end to the second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStats {
    /// Its name.
    pub name: String,
    /// As it is set now.
    pub settings: [Settings; 2],
    /// What became of frames.
    pub counters: [Counters; 2],
}

/// Asks a link process once.
pub fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all((serde_json::to_string(request)? + "\n").as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut line = String::new();
    stream.read_to_string(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// The path of a socket has little room; one below a descriptor of its folder is always short.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (socket.parent(), socket.file_name()) else {
        return UnixStream::connect(socket);
    };
    let folder = std::fs::File::open(folder)?;
    let below = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    UnixStream::connect(below.join(name))
}

/// Where requests come in.
pub(super) struct Door {
    listener: UnixListener,
    connections: Vec<Connection>,
}

struct Connection {
    stream: UnixStream,
    read: Vec<u8>,
    open: bool,
}

impl Door {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            connections: Vec::new(),
        })
    }

    /// To be waited for: the listener, then connections.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let connections = self.connections.iter().map(|one| one.stream.as_fd());
        std::iter::once(self.listener.as_fd()).chain(connections)
    }

    /// What has been asked; `ready` says which of the descriptors have something.
    pub(super) fn requests(&mut self, ready: &[bool]) -> Vec<(Result<Request, String>, usize)> {
        let mut requests = Vec::new();
        for (index, connection) in self.connections.iter_mut().enumerate() {
            if ready.get(index + 1).copied().unwrap_or(false) {
                connection.fill();
            }
            while let Some(end) = connection.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = connection.read.drain(..=end).collect();
                let request = serde_json::from_slice(&line)
                    .map_err(|error| format!("this is no request: {error}"));
                requests.push((request, index));
            }
        }
        if ready.first().copied().unwrap_or(false)
            && let Ok((stream, _)) = self.listener.accept()
            && self.connections.len() < MOST
            && stream.set_nonblocking(true).is_ok()
        {
            self.connections.push(Connection {
                stream,
                read: Vec::new(),
                open: true,
            });
        }
        requests
    }

    pub(super) fn answer(&mut self, connection: usize, answer: &Answer) {
        let Some(connection) = self.connections.get_mut(connection) else {
            return;
        };
        if let Ok(text) = serde_json::to_string(answer) {
            connection.say(&(text + "\n"));
        }
    }

    /// Lets go of connections whose other side has left; between rounds, when no position is in use.
    pub(super) fn tidy(&mut self) {
        self.connections.retain(|connection| connection.open);
    }
}

impl Connection {
    fn fill(&mut self) {
        let mut piece = [0; 4_096];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => self.open = false,
                Ok(bytes) if self.read.len() < LONGEST => {
                    self.read.extend(&piece[..bytes]);
                    continue;
                }
                Ok(_) => self.open = false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => self.open = false,
            }
            return;
        }
    }

    /// Answers are some kilobytes and askers wait for them; one that does not read is left.
    fn say(&mut self, text: &str) {
        let sent = self
            .stream
            .set_nonblocking(false)
            .and_then(|()| self.stream.set_write_timeout(Some(SOON)))
            .and_then(|()| self.stream.write_all(text.as_bytes()))
            .and_then(|()| self.stream.set_nonblocking(true));
        self.open &= sent.is_ok();
    }
}

/// How long an asker waits for its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the process waits for an asker that does not read: frames wait as well.
const SOON: Duration = Duration::from_millis(20);
/// Askers at a time.
const MOST: usize = 32;
/// A request that is longer is none.
const LONGEST: usize = 64 * 1024;
