//! The world of network namespaces: a testbed session per run, its link process, its records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use banyan_control::clock;
use banyan_testbed::experiment::file::Over;
use banyan_testbed::experiment::world::{
    Action, Collected, Count, Failure, Flow, Late, LinkCount, MemberRecord, RunPlan, Started,
    ViewerRecord, Watch, World,
};
use banyan_testbed::linkd::control::{Answer, Request as LinkRequest, Sides, Stats};
use banyan_testbed::model;
use banyan_testbed::model::{Network, Place};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::traffic;
use crate::testbed::request::Request;
use crate::testbed::session::{Session, Setup};

/// Where a run's overlay comes from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) manifest: PathBuf,
    pub(super) media: Option<PathBuf>,
    pub(super) cache: Option<PathBuf>,
}

/// One run's network.
pub(super) struct Namespaces {
    origin: Origin,
    network: Network,
    runtime: Handle,
    stop: CancellationToken,
    session: Option<Session>,
    zero: Instant,
    captures: Vec<(String, PathBuf)>,
}

impl Namespaces {
    pub(super) fn new(
        origin: Origin,
        network: Network,
        runtime: Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            origin,
            network,
            runtime,
            stop,
            session: None,
            zero: Instant::now(),
            captures: Vec::new(),
        }
    }

    fn session(&self) -> Result<&Session, Failure> {
        let session = self.session.as_ref();
        session.ok_or_else(|| Failure::Run("the testbed has not started".to_owned()))
    }

    fn ask(&self, request: &Request) -> Result<(), Failure> {
        self.session()?.ask(request).map(|_| ()).map_err(failed)
    }

    fn ask_links(&self, request: &LinkRequest) -> Result<Answer, Failure> {
        match self.session()?.link(request).map_err(failed)? {
            Answer::Error(sentence) => Err(Failure::Run(sentence)),
            answer => Ok(answer),
        }
    }

    fn watch(&self, watch: &Watch) -> Result<(), Failure> {
        let places = watch
            .sources
            .iter()
            .filter_map(|source| self.network.members.get(source));
        let stream = &watch.stream;
        let url = |place: &Place| match watch.over {
            Over::Hls => format!(
                "http://{}:{}/{stream}/index.m3u8",
                place.address,
                model::HTTP
            ),
            Over::Grpc => format!("grpc://{}:{}/{stream}", place.address, model::GRPC),
        };
        self.ask(&Request::Watch {
            name: watch.viewer.clone(),
            node: watch.node.clone(),
            targets: places.map(url).collect(),
            arguments: vec!["--rendition".to_owned(), watch.rendition.clone()],
        })
    }

    fn traffic(&self, flow: &Flow) -> Result<(), Failure> {
        let to = self
            .network
            .node(&flow.to)
            .and_then(|node| node.addresses().next());
        let to = to.ok_or_else(|| Failure::Run(format!("node {:?} has no address", flow.to)))?;
        let program = std::env::current_exe().map_err(|error| failed(error.into()))?;
        let address = std::net::SocketAddr::new(to, traffic::PORT);
        let arguments = [
            "testbed",
            "traffic",
            &address.to_string(),
            &flow.rate_bps.to_string(),
        ];
        self.ask(&Request::Run {
            name: flow.name.clone(),
            node: flow.from.clone(),
            program,
            arguments: arguments.map(str::to_owned).to_vec(),
        })
    }

    fn stats(&self) -> Result<Stats, Failure> {
        match self.ask_links(&LinkRequest::Stats)? {
            Answer::Stats(stats) => Ok(stats),
            answer => Err(Failure::Run(format!("the link process said {answer:?}"))),
        }
    }
}

impl World for Namespaces {
    fn start(&mut self, plan: &RunPlan) -> Result<Started, Failure> {
        if let Some(folder) = plan.folder.parent() {
            std::fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        }
        let mut setup = Setup::new(self.origin.manifest.clone());
        setup.media = self.origin.media.clone();
        setup.cache = self.origin.cache.clone();
        setup.folder = Some(plan.folder.clone());
        setup.seed = plan.seed;
        setup.emulate_all = true;
        setup.later = plan.absent.clone();
        setup.mtu = plan.mtu;
        let stop = self.stop.clone();
        let started = self.runtime.block_on(async {
            tokio::select! {
                started = Session::start(setup) => started.map_err(failed),
                () = stop.cancelled() => Err(Failure::Interrupted),
            }
        });
        let session = self.session.insert(started?);
        if let Some(sentence) = session.failures().first() {
            return Err(Failure::Run(sentence.clone()));
        }
        let folder = session.folder().join("captures");
        for link in &plan.capture {
            std::fs::create_dir_all(&folder).map_err(|error| failed(error.into()))?;
            let file = folder.join(format!("{}.pcap", link.replace('#', "-")));
            self.captures.push((link.clone(), file));
        }
        for (link, file) in &self.captures {
            self.ask_links(&LinkRequest::Capture {
                link: link.clone(),
                file: Some(file.clone()),
            })?;
        }
        self.zero = Instant::now() + plan.lead_in;
        Ok(Started {
            backend: self.session()?.backend(),
            kernel: format!("Linux {}", kernel("kernel/osrelease")),
            congestion_control: kernel("net/ipv4/tcp_congestion_control"),
            unix_ms: clock::unix_ms() + plan.lead_in.as_millis() as u64,
        })
    }

    fn wait_until(&mut self, at: Duration) -> Result<(), Failure> {
        let (zero, stop) = (self.zero, self.stop.clone());
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep_until(zero + at) => Ok(()),
                () = stop.cancelled() => Err(Failure::Interrupted),
            }
        })
    }

    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    fn apply(&mut self, action: &Action) -> Result<(), Failure> {
        match action {
            Action::Link { link, change } => {
                self.ask_links(&LinkRequest::Set {
                    link: link.clone(),
                    sides: Sides::Both,
                    change: *change,
                    after_ms: 0,
                })?;
                Ok(())
            }
            Action::Kill { member } => self.ask(&Request::Kill {
                member: member.clone(),
                returns: false,
            }),
            Action::Freeze { member } => self.ask(&Request::Freeze {
                member: member.clone(),
            }),
            Action::Thaw { member } => self.ask(&Request::Thaw {
                member: member.clone(),
            }),
            Action::Start { member } => self.ask(&Request::Start {
                member: member.clone(),
            }),
            Action::StartViewer(watch) => self.watch(watch),
            Action::StopViewer { viewer: name } | Action::StopTraffic { name } => {
                self.ask(&Request::Leave { name: name.clone() })
            }
            Action::StartTraffic(flow) => self.traffic(flow),
        }
    }

    fn collect(&mut self) -> Result<Collected, Failure> {
        for (link, _) in &self.captures {
            self.ask_links(&LinkRequest::Capture {
                link: link.clone(),
                file: None,
            })?;
        }
        let stats = self.stats()?;
        let folder = self.session()?.folder();
        Ok(Collected {
            late: Some(Late {
                p50_us: stats.late.p50_us,
                p99_us: stats.late.p99_us,
                max_us: stats.late.max_us,
                valid: stats.valid,
            }),
            links: counts(&stats),
            viewers: viewers(&folder.join("viewers")),
            members: members(&folder.join("record")),
            captures: self.captures.iter().map(|(_, file)| file.clone()).collect(),
        })
    }

    fn end(&mut self) {
        if let Some(session) = self.session.take()
            && let Err(error) = self.runtime.block_on(session.stop())
        {
            eprintln!("  {error:#}");
        }
    }
}

fn counts(stats: &Stats) -> Vec<LinkCount> {
    let links = stats.links.iter();
    links
        .map(|link| LinkCount {
            link: link.name.clone(),
            directions: link.counters.map(|one| Count {
                bytes: one.delivered_bytes,
                packets: one.delivered_frames,
                lost: one.lost_frames,
                full: one.full_frames,
                cut: one.cut_frames,
            }),
        })
        .collect()
}

/// Reports and traces; a viewer that left neither is not there.
fn viewers(folder: &Path) -> BTreeMap<String, ViewerRecord> {
    let mut viewers: BTreeMap<String, ViewerRecord> = BTreeMap::new();
    for (name, text) in files(folder) {
        if let Some(viewer) = name.strip_suffix(".json") {
            viewers.entry(viewer.to_owned()).or_default().report = text;
        } else if let Some(viewer) = name.strip_suffix(".csv") {
            viewers.entry(viewer.to_owned()).or_default().trace = text;
        }
    }
    viewers
}

fn members(folder: &Path) -> BTreeMap<String, MemberRecord> {
    let mut members: BTreeMap<String, MemberRecord> = BTreeMap::new();
    for (name, text) in files(folder) {
        if let Some(member) = name.strip_suffix(".links.csv") {
            members.entry(member.to_owned()).or_default().links_csv = text;
        } else if let Some(member) = name.strip_suffix(".events.jsonl") {
            members.entry(member.to_owned()).or_default().events_jsonl = text;
        }
    }
    members
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let read = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        Some((name, std::fs::read_to_string(entry.path()).ok()?))
    });
    read.collect()
}

/// A value of the kernel's, or what it is when it cannot be read.
fn kernel(below: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/sys/{below}"));
    text.map_or_else(|_| "not known".to_owned(), |text| text.trim().to_owned())
}

fn failed(error: anyhow::Error) -> Failure {
    Failure::Run(format!("{error:#}"))
}
