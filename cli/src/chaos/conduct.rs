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

mod scene;
mod series;

use scene::Scene;

use super::canary::Canary;
use super::detour::Detours;
use super::disk;
use super::inject::{self, Cast, Done, unix_ms};
use super::measure::{self, Fault, Question};
use super::overlay::{Overlay, Setup};
use super::picture::Picture;
use super::records::Records;
use super::report::{Report, Verdict, Viewers};
use super::scenarios::{Plot, Scenario, Stage, Target};
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

/// What a scene borrows beside its overlay.
struct Chance<'a> {
    random: &'a mut StdRng,
    secret: &'a str,
    seed: u64,
}

/// An overlay and what it has written so far.
struct Running {
    stage: Stage,
    overlay: Overlay,
    detours: Option<Detours>,
    records: Records,
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
        self.turn += 1;
        let leaves = self.settings.leaves;
        let (scene, chance) = self.scene(stage).await?;
        let played = scene.play(scenario, chance.random, leaves, chance.secret);
        let (mut report, picture) = played.await?;
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

    /// The overlay of a stage, with nobody watching yet.
    async fn scene(&mut self, stage: Stage) -> anyhow::Result<(Scene<'_>, Chance<'_>)> {
        if self.running.as_ref().is_none_or(|one| one.stage != stage) {
            self.close().await?;
            self.running = Some(self.start(stage).await?);
        }
        let running = self.running.as_mut().context("an overlay must run")?;
        let scene = Scene {
            running,
            cast: &self.cast,
            stream: &self.stream,
            segment_ms: self.segment_ms,
            viewers: Vec::new(),
            since_ms: 0,
            faults: Vec::new(),
            undone_ms: None,
            late: Vec::new(),
            settle: AFTER,
        };
        let chance = Chance {
            random: &mut self.random,
            secret: &self.secret,
            seed: self.settings.seed,
        };
        Ok((scene, chance))
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
            Some(Detours::listen(self.cast.ways()).await?)
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
