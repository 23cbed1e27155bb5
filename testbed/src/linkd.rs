//! The link process: frames of all impaired links of a testbed through [`crate::link`], on the real clock.
//!
//! A link is two TAP devices; what the kernel sends into one comes out of the other as the link's settings have it. One
//! thread waits for frames, due times and requests ([`control`]). It measures how late it was itself: a machine that
//! could not keep up has not shown what the manifest says, so past a bound the run is marked invalid.

pub mod control;
mod lateness;
mod pcap;
mod tap;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use self::control::{Answer, Door, Request, Sides, Stats};
use self::lateness::Lateness;
use self::pcap::Pcap;
use crate::link::{Change, Direction, Nanos, Settings};

/// What the process is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// All links.
    pub links: Vec<Link>,
    /// Of a hundred frames, 99 may be no later than this many microseconds, or the run is marked invalid.
    pub late_bound_us: u64,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its name, by which requests speak of it.
    pub name: String,
    /// Names of the TAP devices that are made for its ends.
    pub devices: [String; 2],
    /// Both directions: from the first end to the second, and back.
    pub settings: [Settings; 2],
    /// Of chance; the directions differ.
    pub seed: u64,
}

/// Why the process ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No TAP devices.
    #[error("/dev/net/tun cannot be opened; the module tun and access to that file are needed")]
    Tun(#[source] io::Error),
    /// Not this one.
    #[error("device {device:?} cannot be made")]
    Device {
        /// Which.
        device: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket of requests.
    #[error("cannot listen on {path:?}")]
    Listen {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for frames")]
    Wait(#[source] io::Error),
}

/// A running set of links.
pub struct Linkd {
    links: Vec<Running>,
    door: Door,
    /// Changes that are due later, in order of time and of arrival.
    script: BTreeMap<(Nanos, u64), Step>,
    scripted: u64,
    lateness: Lateness,
    bound_us: u64,
    buffer: Vec<u8>,
}

struct Running {
    name: String,
    taps: [OwnedFd; 2],
    directions: [Direction<Vec<u8>>; 2],
    capture: Option<Pcap>,
}

struct Step {
    link: usize,
    sides: Sides,
    change: Change,
}

impl Linkd {
    /// Makes the devices, in this network namespace, and the socket. Devices may be moved elsewhere afterwards.
    pub fn new(config: &Config, socket: &Path) -> Result<Self, Error> {
        let links = config.links.iter().map(|link| {
            let [one, other] = &link.devices;
            let [there, back] = link.settings;
            Ok(Running {
                name: link.name.clone(),
                taps: [tap::open(one)?, tap::open(other)?],
                directions: [
                    Direction::new(there, link.seed),
                    Direction::new(back, link.seed ^ BACK),
                ],
                capture: None,
            })
        });
        Ok(Self {
            links: links.collect::<Result<_, Error>>()?,
            door: Door::open(socket).map_err(|source| Error::Listen {
                path: socket.to_owned(),
                source,
            })?,
            script: BTreeMap::new(),
            scripted: 0,
            lateness: Lateness::default(),
            bound_us: config.late_bound_us,
            buffer: vec![0; FRAME],
        })
    }

    /// Carries frames until waiting fails, which it does not: the process is ended from outside.
    pub fn run(mut self) -> Result<(), Error> {
        loop {
            let ready = self.wait()?;
            let taps = 2 * self.links.len();
            for (index, _) in ready[..taps]
                .iter()
                .enumerate()
                .filter(|(_, ready)| **ready)
            {
                self.read(index / 2, index % 2);
            }
            for (request, connection) in self.door.requests(&ready[taps..]) {
                let answer = self.handle(request);
                self.door.answer(connection, &answer);
            }
            self.door.tidy();
            self.script(now());
            self.deliver();
        }
    }

    /// Waits for frames, requests and due times; says which of the descriptors are ready.
    fn wait(&mut self) -> Result<Vec<bool>, Error> {
        let directions = self.links.iter().flat_map(|link| &link.directions);
        let due = directions.filter_map(Direction::poll_due).min();
        let scripted = self.script.keys().next().map(|(at, _)| *at);
        let due = due.into_iter().chain(scripted).min();
        let timeout = due.map(|due| {
            let left = due.saturating_sub(now());
            Timespec {
                tv_sec: (left / SECOND) as i64,
                tv_nsec: (left % SECOND) as i64,
            }
        });
        let taps = self.links.iter().flat_map(|link| &link.taps);
        let mut waited: Vec<PollFd<'_>> = taps
            .map(|tap| PollFd::new(tap, PollFlags::IN))
            .chain(
                self.door
                    .descriptors()
                    .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
            )
            .collect();
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::Wait(error.into())),
        }
        Ok(waited.iter().map(|fd| !fd.revents().is_empty()).collect())
    }

    /// Takes what the kernel has sent into one end, some frames at a time so that no end starves another.
    fn read(&mut self, link: usize, end: usize) {
        let link = &mut self.links[link];
        for _ in 0..BATCH {
            // Nothing left, or a device that is down: there will be another wait.
            let Ok(bytes) = rustix::io::read(&link.taps[end], &mut self.buffer[..]) else {
                return;
            };
            let frame = self.buffer[..bytes].to_vec();
            // What is dropped is counted there.
            let _ = link.directions[end].offer(now(), bytes as u64, frame);
        }
    }

    /// Hands over every frame that is due.
    fn deliver(&mut self) {
        for link in &mut self.links {
            for (from, direction) in link.directions.iter_mut().enumerate() {
                let mut time = now();
                while let Some((due, frame)) = direction.poll(time) {
                    // The other end may be down: then the frame is gone, as on a wire.
                    let _ = rustix::io::write(&link.taps[1 - from], &frame);
                    time = now();
                    self.lateness.record(time - due);
                    if let Some(capture) = &mut link.capture {
                        capture.write(time, &frame);
                    }
                }
            }
        }
    }

    /// Makes the changes that are due.
    fn script(&mut self, now: Nanos) {
        while let Some(entry) = self.script.first_entry()
            && entry.key().0 <= now
        {
            let (at, step) = (entry.key().0, entry.remove());
            self.change(at, &step);
        }
    }

    fn change(&mut self, at: Nanos, step: &Step) {
        let directions = self.links[step.link].directions.iter_mut();
        for (from, direction) in directions.enumerate() {
            if step.sides.has(from) {
                direction.change(at, &step.change);
            }
        }
    }

    fn handle(&mut self, request: Result<Request, String>) -> Answer {
        match request.and_then(|request| self.carry_out(request)) {
            Ok(answer) => answer,
            Err(error) => Answer::Error(error),
        }
    }

    fn carry_out(&mut self, request: Request) -> Result<Answer, String> {
        match request {
            Request::Stats => Ok(Answer::Stats(self.stats())),
            Request::Set {
                link,
                sides,
                change,
                after_ms,
            } => {
                let step = Step {
                    link: self.find(&link)?,
                    sides,
                    change,
                };
                let now = now();
                if after_ms == 0 {
                    self.change(now, &step);
                } else {
                    self.scripted += 1;
                    let at = now + after_ms.min(LONGEST_MS) * MILLISECOND;
                    self.script.insert((at, self.scripted), step);
                }
                Ok(Answer::Done)
            }
            Request::Capture { link, file } => {
                let index = self.find(&link)?;
                let capture = file.map(|file| {
                    Pcap::create(&file).map_err(|error| format!("cannot write {file:?}: {error}"))
                });
                self.links[index].capture = capture.transpose()?;
                Ok(Answer::Done)
            }
        }
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        let found = self.links.iter().position(|link| link.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.links.iter().map(|link| link.name.as_str()).collect();
            format!("there is no link {name:?}; known are {}", names.join(", "))
        })
    }

    fn stats(&self) -> Stats {
        let late = self.lateness.summary();
        Stats {
            valid: late.p99_us <= self.bound_us,
            late_bound_us: self.bound_us,
            late,
            links: self
                .links
                .iter()
                .map(|link| control::LinkStats {
                    name: link.name.clone(),
                    settings: [0, 1].map(|from: usize| link.directions[from].settings()),
                    counters: [0, 1].map(|from: usize| link.directions[from].counters()),
                })
                .collect(),
        }
    }
}

/// Nanoseconds of the machine's monotonic clock, the same in every process and namespace.
pub fn now() -> Nanos {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as Nanos * SECOND + time.tv_nsec as Nanos
}

/// Makes the other direction's chance another one.
const BACK: u64 = 0xb5ad_4ece_da1c_e2a9;
/// Longer than any frame of a device with up to 9000 bytes of payload.
const FRAME: usize = 9_216;
/// Frames of one end before the next has its turn.
const BATCH: usize = 64;
const MILLISECOND: Nanos = 1_000_000;
const SECOND: Nanos = 1_000_000_000;
/// A day.
const LONGEST_MS: u64 = 86_400_000;
