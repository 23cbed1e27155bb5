//! Overlays of one process: two content servers, roots, relays and edges on links in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use banyan_media::position::{Counts, Ledger, Position};
use banyan_proto::v1;
use tokio::time::sleep_until;
use tokio_util::task::TaskTracker;

use super::net::{Crossed, Health, Net};
use super::origin::{Content, Origin};
use super::{STREAM, VIDEO, clock, config, options};
use crate::assembly;
use crate::clock::Instant;
use crate::core::{Core, Role};
use crate::library::{Library, TrackHandle};
use crate::serve::Serving;

pub(crate) struct Overlay {
    pub(crate) net: Net,
    pub(crate) origins: BTreeMap<String, Origin>,
    pub(crate) members: BTreeMap<String, Arc<Core>>,
    configs: BTreeMap<String, (Role, v1::Config, usize)>,
    roots: Vec<String>,
    _tasks: TaskTracker,
}

impl Overlay {
    /// Nobody yet.
    pub(crate) fn test(seed: u64) -> Overlay {
        println!("seed {seed}");
        Overlay::quiet(seed)
    }

    /// The same, for one of many.
    pub(crate) fn quiet(seed: u64) -> Overlay {
        Overlay {
            net: Net::new(clock(), seed),
            origins: BTreeMap::new(),
            members: BTreeMap::new(),
            configs: BTreeMap::new(),
            roots: Vec::new(),
            _tasks: TaskTracker::new(),
        }
    }

    /// Two content servers, two roots, three relays, four edges.
    pub(crate) fn campus(seed: u64) -> Overlay {
        Overlay::test(seed)
            .with_origin("lisbon", Content::default())
            .with_origin("porto", Content::default())
            .with_roots(&["root-0", "root-1"])
            .with_relay("mid-0", &["root-0", "root-1"])
            .with_relay("mid-1", &["root-1", "root-0"])
            .with_relay("mid-2", &["root-0", "root-1"])
            .with_edge("edge-0", &["mid-0", "mid-1"])
            .with_edge("edge-1", &["mid-1", "mid-2"])
            .with_edge("edge-2", &["mid-2", "mid-0"])
            .with_edge("edge-3", &["mid-0", "mid-2"])
    }

    /// One content server, one root, one edge.
    pub(crate) fn minimal(seed: u64) -> Overlay {
        Overlay::test(seed)
            .with_origin("lisbon", Content::default())
            .with_roots(&["root-0"])
            .with_edge("edge-0", &["root-0"])
    }

    pub(crate) fn with_origin(mut self, name: &str, content: Content) -> Overlay {
        let origin = Origin::new(name, self.net.clock(), content);
        self.net.join(name, origin.clone());
        self.origins.insert(name.to_owned(), origin);
        self
    }

    pub(crate) fn with_roots(mut self, names: &[&str]) -> Overlay {
        self.roots = names.iter().map(|name| (*name).to_owned()).collect();
        for name in names {
            self = self.with_member(name, Role::Root, config(names, &[]));
        }
        self
    }

    pub(crate) fn with_relay(self, name: &str, parents: &[&str]) -> Overlay {
        self.with_member(name, Role::Relay, config(&[], parents))
    }

    pub(crate) fn with_edge(self, name: &str, parents: &[&str]) -> Overlay {
        self.with_member(name, Role::Edge, config(&[], parents))
    }

    pub(crate) fn with_member(mut self, name: &str, role: Role, config: v1::Config) -> Overlay {
        self.configs
            .insert(name.to_owned(), (role, config, 1 << 30));
        self.boot(name);
        self
    }

    /// As configured so far, with room for so many bytes of media.
    pub(crate) fn with_budget(mut self, name: &str, bytes: usize) -> Overlay {
        if let Some((_, _, budget)) = self.configs.get_mut(name) {
            *budget = bytes;
        }
        self.boot(name);
        self
    }

    /// Starts (or starts anew) a member.
    pub(crate) fn boot(&mut self, name: &str) {
        let (role, config, budget) = self.configs[name].clone();
        let mut options = options(name, role, config, &self.net);
        options.memory_budget = budget;
        let core = Core::new(options);
        self.net.join(name, Serving::new(core.clone()));
        assembly::start(&core, None);
        if role == Role::Root {
            for origin in self.origins.values() {
                core.spawn(beats(core.clone(), self.net.clone(), origin.clone()));
            }
        }
        if let Some(old) = self.members.insert(name.to_owned(), core) {
            old.shutdown.cancel();
        }
    }

    /// Ends a member without a word.
    pub(crate) fn kill(&self, name: &str) {
        self.net.set_health(name, Health::Dead);
        if let Some(core) = self.members.get(name) {
            core.shutdown.cancel();
        }
    }

    pub(crate) fn freeze(&self, name: &str) {
        self.net.set_health(name, Health::Frozen);
    }

    pub(crate) fn thaw(&self, name: &str) {
        self.net.set_health(name, Health::Alive);
    }

    pub(crate) fn library(&self, name: &str) -> Library {
        self.members[name].library()
    }

    /// Watches the video on a member until dropped, as an HTTP viewer would.
    pub(crate) async fn watch(&self, name: &str) -> Watching {
        self.watch_track(name, VIDEO).await
    }

    /// The same of a viewer that asks again while it is told that no parent answers.
    pub(crate) async fn watch_patiently(&self, name: &str) -> Watching {
        for _ in 0..10 {
            if self.library(name).track(STREAM, VIDEO).await.is_ok() {
                break;
            }
            pass(Duration::from_millis(200)).await;
        }
        self.watch(name).await
    }

    pub(crate) async fn watch_track(&self, name: &str, track: &str) -> Watching {
        let library = self.library(name);
        let handle = library.track(STREAM, track).await.unwrap();
        let demand = handle.demand();
        Watching {
            handle,
            _demand: demand,
        }
    }

    /// Waits until the stream is offered at a member.
    pub(crate) async fn offered(&self, name: &str) {
        let mut catalog = self.library(name).catalog();
        let offered = catalog.wait_for(|view| view.offers.contains_key(STREAM));
        tokio::time::timeout(Duration::from_secs(10), offered)
            .await
            .unwrap()
            .unwrap();
    }

    /// Chunks that crossed live to a member, in order.
    pub(crate) fn received(&self, to: &str) -> Vec<Crossed> {
        let mut crossed = self.net.crossed();
        crossed.retain(|c| c.to == to && !c.fetched);
        crossed
    }

    /// The ledger of what a member received live of the video.
    pub(crate) fn counts(&self, to: &str) -> Counts {
        self.counts_of(to, VIDEO)
    }

    pub(crate) fn counts_of(&self, to: &str, track: &str) -> Counts {
        let mut ledger = Ledger::new();
        for c in self.received(to).iter().filter(|c| c.track == track) {
            ledger.record(&c.run, Position::new(c.number, c.part), c.last);
        }
        ledger.counts()
    }

    /// Nothing is missing up to now; a gentle move may bring a chunk over the new link that the old
    /// one brought.
    pub(crate) fn assert_whole(&self, member: &str) {
        let counts = self.counts(member);
        assert_eq!(
            (counts.lost, counts.run_changes),
            (0, 0),
            "{member}: {counts:?}"
        );
        let (number, _) = self.origins["lisbon"].position();
        let newest = self.received(member).last().unwrap().number;
        assert!(
            newest + 1 >= number,
            "{member} is at {newest}, not {number}"
        );
    }

    /// The longest time without a chunk that ended after `since`.
    pub(crate) fn longest_pause(&self, member: &str, since: Instant) -> Duration {
        let times: Vec<_> = self.received(member).iter().map(|c| c.at).collect();
        let pairs = times.windows(2).filter(|pair| pair[1] > since);
        pairs.map(|pair| pair[1] - pair[0]).max().unwrap()
    }

    /// Who feeds the video to a member.
    pub(crate) fn parent(&self, name: &str) -> String {
        let status = self.library(name).status();
        status
            .tracks
            .iter()
            .find(|track| track.track == VIDEO)
            .map(|track| track.parent.clone())
            .unwrap_or_default()
    }

    /// The carrier root of the stream, and the other one.
    pub(crate) fn roots_in_order(&self) -> Vec<String> {
        let names = self.roots.iter().map(String::as_str);
        banyan_proto::carrier::rank(names, STREAM)
            .into_iter()
            .map(str::to_owned)
            .collect()
    }

    pub(crate) fn events(&self, name: &str, event: &str) -> Vec<serde_json::Value> {
        let mut events = self.members[name].recorder().events();
        events.retain(|e| e["event"] == event);
        events
    }
}

/// A viewer's hold on a track.
pub(crate) struct Watching {
    pub(crate) handle: TrackHandle,
    _demand: crate::library::DemandGuard,
}

/// A content server's beats to one root, over the links between them: as its vitals say, and what its
/// beats were seen to take on top of that.
async fn beats(core: Arc<Core>, net: Net, origin: Origin) {
    let (name, root) = (&origin.name, core.member());
    let call = core.beat_call_began(name);
    let well = || net.health(name) == Some(Health::Alive) && *origin.beating.borrow();
    let mut trips = VecDeque::new();
    let mut sequence = 0;
    loop {
        sequence += 1;
        let sent = Instant::now();
        if well() {
            net.carry(name, root, BEAT).await;
        }
        if well() {
            core.beat(name, call, beat(&origin, sequence, &trips))
                .unwrap();
            net.carry(root, name, ECHO).await;
            trips.push_back(sent.elapsed());
            if trips.len() > TRIPS {
                trips.pop_front();
            }
        }
        sleep_until((sent + EVERY).max(Instant::now())).await;
    }
}

fn beat(origin: &Origin, sequence: u64, trips: &VecDeque<Duration>) -> v1::Beat {
    let offered = *origin.offered.borrow();
    let mut trips: Vec<Duration> = trips.iter().copied().collect();
    trips.sort_unstable();
    let us = |at: usize| trips.get(at).map_or(0, |trip| trip.as_micros() as u32);
    let vitals = origin.vitals.borrow().clone();
    v1::Beat {
        sequence,
        endpoints: vec![format!("http://{}:1", origin.name)],
        contents: offered.then(|| STREAM.to_owned()).into_iter().collect(),
        rtt_min_us: vitals.rtt_min_us + us(0),
        rtt_median_us: vitals.rtt_median_us + us(trips.len() / 2),
        ..vitals
    }
}

/// How often a content server beats, what a beat and its echo take with their framing, and how many
/// round trips are remembered, as the real one does.
const EVERY: Duration = Duration::from_secs(1);
const BEAT: u64 = 250;
const ECHO: u64 = 100;
const TRIPS: usize = 60;

/// Lets virtual time pass.
pub(crate) async fn pass(duration: Duration) {
    let until = Instant::now() + duration;
    tokio::time::sleep_until(until).await;
}
