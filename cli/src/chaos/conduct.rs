//! Runs scenarios: an overlay per stage, viewers per run, conditions instead of waits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_proto::trust::RunSecret;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rustix::process::Signal;
use tokio::time::Instant;

use super::canary::Canary;
use super::detour::Detours;
use super::disk;
use super::inject::{self, Cast, Done, unix_ms};
use super::measure::{self, Fault, Question};
use super::overlay::{Overlay, Setup};
use super::picture::Picture;
use super::records::Records;
use super::report::{Report, Verdict, Viewers};
use super::scenarios::{Plot, Scenario, Stage};
use super::viewers::Viewer;
use crate::exit::Refusal;
use crate::scenario::{self, Scenario as Manifest};

/// What the command line says.
pub(crate) struct Settings {
    pub(crate) manifest: Option<PathBuf>,
    pub(crate) media: Option<PathBuf>,
    pub(crate) stream: Option<String>,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) out: Option<PathBuf>,
    pub(crate) seed: u64,
    /// Of churn.
    pub(crate) leaves: usize,
}

/// Plays one scenario after the other.
pub(crate) struct Conductor {
    settings: Settings,
    manifest: PathBuf,
    cast: Cast,
    stream: String,
    segment_ms: u64,
    secret: String,
    random: StdRng,
    turn: u32,
    running: Option<Running>,
    /// Holds the built-in manifest.
    _work: tempfile::TempDir,
}

/// An overlay and what it has written so far.
struct Running {
    stage: Stage,
    overlay: Overlay,
    detours: Option<Detours>,
    records: Records,
}

/// One run of one scenario.
struct Scene<'a> {
    running: &'a mut Running,
    cast: &'a Cast,
    stream: &'a str,
    segment_ms: u64,
    viewers: Vec<Viewer>,
    since_ms: u64,
    faults: Vec<Fault>,
    undone_ms: Option<u64>,
    /// What did not happen in time.
    late: Vec<String>,
}

// === impl Conductor ===

impl Conductor {
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let work = tempfile::tempdir()?;
        let manifest = match &settings.manifest {
            Some(manifest) => manifest.clone(),
            None => {
                let path = work.path().join("campus.yaml");
                std::fs::write(&path, CAMPUS)?;
                path
            }
        };
        let read = scenario::from_manifest(&manifest, settings.media.as_deref())?;
        Ok(Self {
            stream: stream(&settings, &read)?,
            cast: Cast::of(&read),
            segment_ms: read.topology.packaging.segment_ms.into(),
            secret: RunSecret::new(rand::random()).to_hex(),
            random: StdRng::seed_from_u64(settings.seed),
            manifest,
            settings,
            turn: 0,
            running: None,
            _work: work,
        })
    }

    /// Plays one scenario. One that does not come to its end has failed, and the next one gets an
    /// overlay of its own.
    pub(crate) async fn play(&mut self, scenario: &'static Scenario) -> anyhow::Result<Report> {
        let error = match self.try_play(scenario).await {
            Ok(report) => return Ok(report),
            Err(error) => error,
        };
        if error.is::<Refusal>() {
            return Err(error);
        }
        if let Err(error) = self.close().await {
            tracing::warn!("{error:#}");
        }
        let seed = self.settings.seed;
        let reason = format!("{error:#}");
        Ok(Report::without(scenario.name, seed, Verdict::Fail, reason))
    }

    async fn try_play(&mut self, scenario: &'static Scenario) -> anyhow::Result<Report> {
        let stage = scenario.stage();
        let cannot = (scenario.plot == Plot::FullDisk).then(disk::cannot);
        if let Some(reason) = cannot.flatten() {
            let seed = self.settings.seed;
            return Ok(Report::without(scenario.name, seed, Verdict::Skip, reason));
        }
        if self.running.as_ref().is_none_or(|one| one.stage != stage) {
            self.close().await?;
            self.running = Some(self.start(stage).await?);
        }
        self.turn += 1;
        let running = self.running.as_mut().context("an overlay must run")?;
        let played = Scene {
            running,
            cast: &self.cast,
            stream: &self.stream,
            segment_ms: self.segment_ms,
            viewers: Vec::new(),
            since_ms: 0,
            faults: Vec::new(),
            undone_ms: None,
            late: Vec::new(),
        }
        .play(
            scenario,
            &mut self.random,
            self.settings.leaves,
            &self.secret,
        )
        .await;
        let (mut report, picture) = played?;
        tracing::info!(scenario = scenario.name, "measured");
        report.seed = self.settings.seed;
        report.turn = self.turn;
        if let Some(out) = &self.settings.out {
            let name = format!("{}-{}", scenario.name, self.turn);
            let path = out.join(format!("{name}.svg"));
            write(&path, &picture)?;
            report.picture = Some(path.display().to_string());
            let text = serde_json::to_string_pretty(&report)?;
            write(&out.join(format!("{name}.json")), &text)?;
        }
        Ok(report)
    }

    /// Ends the overlay, keeping its records where --out says.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        if let Some(out) = &self.settings.out {
            let kept = out.join(format!("records-{}", self.turn));
            copy(&running.overlay.record(), &kept)?;
            copy(running.overlay.work(), &kept)?;
        }
        running.overlay.stop().await
    }

    async fn start(&self, stage: Stage) -> anyhow::Result<Running> {
        let detours = if stage.detours {
            let relays = self.cast.all_relays();
            Some(Detours::listen(&relays, &relays).await?)
        } else {
            None
        };
        let overlay = Overlay::start(Setup {
            manifest: &self.manifest,
            media: self.settings.media.as_deref(),
            cache: self.settings.cache.as_deref(),
            stage,
            victim: self.cast.servers.first().map(String::as_str),
            detours: detours.as_ref(),
            secret: &self.secret,
        })
        .await?;
        Ok(Running {
            stage,
            overlay,
            detours,
            records: Records::default(),
        })
    }
}

// === impl Scene ===

impl Scene<'_> {
    async fn play(
        mut self,
        scenario: &'static Scenario,
        random: &mut StdRng,
        leaves: usize,
        secret: &str,
    ) -> anyhow::Result<(Report, String)> {
        self.prepare(scenario.plot, secret).await?;
        // Any moment of a segment is as good as another; the seed chooses.
        let phase = random.random_range(0..self.segment_ms);
        tokio::time::sleep(Duration::from_millis(phase)).await;
        let canary = Canary::start();
        self.refresh();
        match scenario.plot {
            Plot::Hurt(harms) => {
                let (fault, done) = inject::hurt(
                    harms,
                    self.cast,
                    &self.running.overlay,
                    self.running.detours.as_ref(),
                    &self.running.records,
                    self.stream,
                )?;
                self.hurt(fault, done).await?;
            }
            Plot::Rolling => self.roll().await?,
            Plot::Churn => self.churn(random, leaves).await?,
            Plot::WrongClock | Plot::FullDisk => self.advance(AFTER, "the start").await,
        }
        let canary_lag_ms = canary.worst_ms();
        drop(canary);
        self.finish(scenario, canary_lag_ms).await
    }

    /// A whole overlay, viewers at every edge, and a few segments for each.
    async fn prepare(&mut self, plot: Plot, secret: &str) -> anyhow::Result<()> {
        let count = self.cast.count() + 1;
        let whole = self.wait(WHOLE, async |scene| {
            scene.running.overlay.is_whole(count).await
        });
        if !whole.await {
            bail!("not all {count} members were ready within {WHOLE:?}");
        }
        tracing::info!("every member is ready");
        if !matches!(plot, Plot::FullDisk | Plot::WrongClock) {
            let stream = self.stream.to_owned();
            let offered = self.wait(PREPARED, async |scene| {
                scene.running.overlay.candidates(&stream).await.len() >= 2
            });
            if !offered.await {
                bail!("no two content servers offered {stream:?} within {PREPARED:?}");
            }
        }
        tracing::info!(stream = self.stream, "two content servers offer the stream");
        self.refresh();
        self.running.records.arrivals.clear();
        self.running.records.events.clear();
        self.since_ms = unix_ms();
        self.start_viewers(secret)?;
        let warm = self.wait(WARM, async |scene| scene.is_warm());
        if !warm.await {
            bail!("viewers did not get {WARM_SEGMENTS} segments each within {WARM:?}");
        }
        tracing::info!("every viewer has {WARM_SEGMENTS} segments");
        Ok(())
    }

    fn start_viewers(&mut self, secret: &str) -> anyhow::Result<()> {
        let overlay = &self.running.overlay;
        let members = overlay.members();
        let edges: Vec<_> = self.cast.edges.iter().collect();
        let address = |grpc: bool, edge: &String| -> anyhow::Result<String> {
            let member = members.get(edge);
            let member = member.with_context(|| format!("{edge} does not run"))?;
            Ok(if grpc {
                format!("grpc://{}/{}", member.grpc, self.stream)
            } else {
                format!("http://{}/{}/index.m3u8", member.http, self.stream)
            })
        };
        let mut starts = Vec::new();
        for first in 0..edges.len().min(MOST_VIEWERS) {
            starts.push((format!("hls-{first}"), false, first));
        }
        starts.push(("grpc-0".to_owned(), true, edges.len() - 1));
        for (name, grpc, first) in starts {
            let rotated = edges.iter().cycle().skip(first).take(edges.len());
            let urls: anyhow::Result<Vec<_>> = rotated.map(|edge| address(grpc, edge)).collect();
            let viewer = Viewer::start(&name, &urls?, overlay.work(), secret)?;
            self.viewers.push(viewer);
        }
        Ok(())
    }

    fn is_warm(&self) -> bool {
        let mut seen: BTreeMap<(&str, &str), BTreeSet<u64>> = BTreeMap::new();
        for row in self.rows() {
            let numbers = seen.entry((&row.to, &row.track)).or_default();
            numbers.insert(row.number);
        }
        // Other members may come and go: demand moves.
        self.viewers.iter().all(|viewer| {
            let mut of = seen.iter().filter(|((to, _), _)| is_of(to, &viewer.name));
            let mut some = false;
            of.all(|(_, numbers)| {
                some = true;
                numbers.len() >= WARM_SEGMENTS
            }) && some
        })
    }

    async fn hurt(&mut self, fault: Fault, done: Vec<Done>) -> anyhow::Result<()> {
        let (what, deadly) = (fault.what.clone(), fault.deadly);
        tracing::info!("{what}");
        self.faults.push(fault);
        self.advance(AFTER, &what).await;
        if !done.is_empty() {
            let detours = self.running.detours.as_ref();
            inject::undo(done, &self.running.overlay, detours)?;
            self.undone_ms = Some(unix_ms());
            self.advance(AFTER, "the undoing").await;
        }
        if deadly {
            self.whole_again(&what).await;
            self.advance(AFTER, "the return").await;
        }
        Ok(())
    }

    /// Every relay in turn: asked to leave, back, and the stream goes on.
    async fn roll(&mut self) -> anyhow::Result<()> {
        for member in self.cast.all_relays() {
            let fault = inject::leave(&self.running.overlay, &member, Signal::TERM)?;
            let what = fault.what.clone();
            self.faults.push(fault);
            let old = self.running.overlay.members().remove(&member);
            let left = async |scene: &mut Self| {
                scene.running.overlay.members().get(&member).map(|m| m.pid)
                    != old.as_ref().map(|m| m.pid)
            };
            if !self.wait(RETURN, left).await {
                self.late.push(format!("{member} did not leave"));
            }
            self.whole_again(&what).await;
            self.advance(1, &what).await;
        }
        self.advance(AFTER, "the last return").await;
        Ok(())
    }

    /// Members leave at random; they return by themselves.
    async fn churn(&mut self, random: &mut StdRng, leaves: usize) -> anyhow::Result<()> {
        let everybody: Vec<String> = self
            .cast
            .all_relays()
            .into_iter()
            .chain(self.cast.servers.clone())
            .collect();
        for _ in 0..leaves {
            let pause = random.random_range(PAUSES_MS);
            let member = everybody[random.random_range(0..everybody.len())].clone();
            let asked = random.random_bool(0.5);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let spare = async |scene: &mut Self| scene.can_spare(&member);
            if !self.wait(RETURN, spare).await {
                self.late.push(format!("{member} could not be spared"));
                break;
            }
            let signal = if asked { Signal::TERM } else { Signal::KILL };
            let fault = inject::leave(&self.running.overlay, &member, signal)?;
            self.faults.push(fault);
        }
        self.whole_again("churn").await;
        self.advance(AFTER, "churn").await;
        Ok(())
    }

    /// A tree without any root, source or edge is no tree: someone of the same role must stay, and
    /// no more than two may be away.
    fn can_spare(&self, member: &str) -> bool {
        let alive = self.running.overlay.members();
        let roles = [
            &self.cast.servers,
            &self.cast.roots,
            &self.cast.relays,
            &self.cast.edges,
        ];
        let away = self.cast.count() + 1 - alive.len().min(self.cast.count() + 1);
        let others = roles
            .into_iter()
            .find(|role| role.iter().any(|m| m == member));
        let others = others.into_iter().flatten();
        away < MOST_AWAY
            && alive.contains_key(member)
            && others
                .filter(|other| *other != member)
                .any(|other| alive.contains_key(other))
    }

    async fn whole_again(&mut self, after: &str) {
        let count = self.cast.count() + 1;
        let whole = self.wait(RETURN, async |scene| {
            scene.running.overlay.is_whole(count).await
        });
        if !whole.await {
            let alive = self.running.overlay.members();
            let gone: Vec<_> = self
                .cast
                .all_relays()
                .into_iter()
                .chain(self.cast.servers.clone())
                .filter(|member| !alive.contains_key(member))
                .collect();
            // Who is missing says more than that someone is.
            self.late.push(format!(
                "not whole within {RETURN:?} after {after}; gone: {}",
                gone.join(", ")
            ));
        }
    }

    /// Every viewer gets so many more segments of every track.
    async fn advance(&mut self, segments: u64, after: &str) {
        self.refresh();
        let wanted: BTreeMap<(String, String), u64> = self
            .heads()
            .into_iter()
            .map(|(who, head)| (who, head + segments))
            .collect();
        let reached = async |scene: &mut Self| {
            let heads = scene.heads();
            wanted
                .iter()
                .all(|(who, wanted)| heads.get(who).is_some_and(|head| head >= wanted))
        };
        if self.wait(ADVANCE, reached).await {
            tracing::info!("every viewer has {segments} more segments after {after}");
            return;
        }
        let heads = self.heads();
        let stuck: Vec<String> = wanted
            .iter()
            .filter(|(who, wanted)| heads.get(*who).is_none_or(|head| head < *wanted))
            .map(|((viewer, track), _)| format!("{viewer} {track}"))
            .collect();
        self.late.push(format!(
            "no {segments} segments within {ADVANCE:?} after {after} for {}",
            stuck.join(", ")
        ));
    }

    /// The newest number that each viewer has of each track.
    fn heads(&self) -> BTreeMap<(String, String), u64> {
        let mut heads = BTreeMap::new();
        for row in self.rows() {
            if self
                .viewers
                .iter()
                .any(|viewer| is_of(&row.to, &viewer.name))
            {
                let head = heads
                    .entry((row.to.clone(), row.track.clone()))
                    .or_insert(0);
                *head = row.number.max(*head);
            }
        }
        heads
    }

    fn rows(&self) -> impl Iterator<Item = &super::records::Arrival> {
        let arrivals = self.running.records.arrivals.iter();
        arrivals.filter(|row| row.stream == self.stream && row.unix_ms >= self.since_ms)
    }

    fn refresh(&mut self) {
        let record = self.running.overlay.record();
        self.running.records.refresh(&record);
        for viewer in &self.viewers {
            viewer.refresh(&mut self.running.records, self.stream);
        }
    }

    /// Looks again and again until the condition holds; false = not within the bound.
    async fn wait(
        &mut self,
        bound: Duration,
        mut condition: impl AsyncFnMut(&mut Self) -> bool,
    ) -> bool {
        let deadline = Instant::now() + bound;
        loop {
            self.refresh();
            if condition(self).await {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn finish(
        mut self,
        scenario: &'static Scenario,
        canary_lag_ms: u64,
    ) -> anyhow::Result<(Report, String)> {
        let until_ms = unix_ms();
        let edges = self.sources();
        let mut viewers = Viewers::default();
        let watching = std::mem::take(&mut self.viewers);
        for viewer in &watching {
            viewer.refresh(&mut self.running.records, self.stream);
        }
        for viewer in watching {
            viewers.add(viewer.end().await?);
        }
        // Members write what they recorded a moment later.
        tokio::time::sleep(FLUSHED).await;
        self.refresh();
        let records = &self.running.records;
        let figures = measure::measure(&Question {
            records,
            stream: self.stream,
            since_ms: self.since_ms,
            faults: &self.faults,
            until_ms,
            segment_ms: self.segment_ms,
            edges: &edges,
        });
        let title = format!("{} · stream {}", scenario.name, self.stream);
        let from_ms = self
            .faults
            .first()
            .map_or(self.since_ms, |fault| fault.unix_ms - 3_000);
        let picture = Picture {
            title: &title,
            records,
            stream: self.stream,
            faults: &self.faults,
            undone_ms: self.undone_ms,
            from_ms,
            until_ms,
            members: &self.cast.all_relays(),
        }
        .draw();
        let mut report = Report {
            scenario: scenario.name,
            verdict: Verdict::Pass,
            reasons: self.late,
            seed: 0,
            turn: 0,
            stream: self.stream.to_owned(),
            members: self.cast.count(),
            faults: self.faults,
            figures,
            viewers,
            canary_lag_ms,
            within_500_ms: None,
            picture: None,
        };
        if let Plot::WrongClock | Plot::FullDisk = scenario.plot {
            let wrong = self.cast.servers.first();
            let mut rows = records.arrivals.iter();
            if rows.any(|row| Some(&row.from) == wrong && row.stream == self.stream) {
                let wrong = wrong.map(String::as_str).unwrap_or_default();
                report.reasons.push(format!("{wrong} fed the stream"));
            }
        }
        Ok((report.judge(scenario.switches), picture))
    }

    /// How viewers name edges → edges.
    fn sources(&self) -> BTreeMap<String, String> {
        let mut sources = BTreeMap::new();
        for (name, member) in self.running.overlay.members() {
            sources.insert(member.http.clone(), name.clone());
            sources.insert(format!("http://{}", member.grpc), name);
        }
        sources
    }
}

/// The stream that was asked for, or the first that has two sources.
fn stream(settings: &Settings, manifest: &Manifest) -> anyhow::Result<String> {
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let mut order = Vec::new();
    for content in manifest.servers.iter().flat_map(|server| &server.contents) {
        *count.entry(&content.name).or_default() += 1;
        order.push(content.name.as_str());
    }
    let found = match &settings.stream {
        Some(wanted) => order.iter().find(|name| *name == wanted),
        None => order.iter().find(|name| count[**name] >= 2),
    };
    found.map(|name| (*name).to_owned()).ok_or_else(|| {
        let wanted = settings.stream.as_deref().unwrap_or("with two servers");
        Refusal::one(format!(
            "no stream {wanted} in the manifest; it has {}",
            count.keys().copied().collect::<Vec<_>>().join(", ")
        ))
    })
}

/// Viewers of a process are `name.index`.
fn is_of(receiver: &str, viewer: &str) -> bool {
    receiver
        .strip_prefix(viewer)
        .is_some_and(|rest| rest.starts_with('.'))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {path:?}"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)?.flatten() {
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

const CAMPUS: &str = include_str!("../../../examples/campus.yaml");
const LOOK: Duration = Duration::from_millis(150);
const WHOLE: Duration = Duration::from_secs(60);
const PREPARED: Duration = Duration::from_secs(300);
const WARM: Duration = Duration::from_secs(60);
/// Enough to know when the next is due.
const WARM_SEGMENTS: usize = 5;
const ADVANCE: Duration = Duration::from_secs(60);
const AFTER: u64 = 2;
const RETURN: Duration = Duration::from_secs(45);
const FLUSHED: Duration = Duration::from_millis(300);
const MOST_VIEWERS: usize = 6;
/// Members away at once during churn.
const MOST_AWAY: usize = 2;
const PAUSES_MS: std::ops::Range<u64> = 200..1_500;
