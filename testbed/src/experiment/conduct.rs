//! Carries out an experiment: every variant in every repetition, each in a world of its own.
//!
//! Repetitions are the outer loop, so that a machine that changes over the hours changes for all variants alike. A run
//! that fails is told and left out; the rest goes on.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::Experiment;
use super::analysis::{self, Figures};
use super::problem::Problem;
use super::schedule::{self, Scene, Schedule};
use super::variants::{self, Variant};
use super::world::{Action, Collected, Failure, RunPlan, Started, World};

/// Everything that is to be run.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is asked.
    pub experiment: Experiment,
    /// What is compared.
    pub variants: Vec<Variant>,
    /// In the order in which they are run.
    pub runs: Vec<Planned>,
    /// From the moment when every stream can be played to zero of a run. RFC 8216 6.3.3: a live player begins three target
    /// durations behind the end, which a stream must have behind it first, or its first viewers would stall for good.
    pub lead_in: Duration,
}

/// One run that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Place of its variant.
    pub variant: usize,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// Its seed.
    pub seed: u64,
    /// What is done when.
    pub schedule: Schedule,
}

/// One run that was.
#[derive(Clone, Debug)]
pub struct Run {
    /// Place of its variant.
    pub variant: usize,
    /// Which repetition, from 1.
    pub repetition: u32,
    /// Its seed.
    pub seed: u64,
    /// What came of it, or one sentence.
    pub outcome: Result<Outcome, String>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Where it ran.
    pub started: Started,
    /// What was done, and when.
    pub done: Vec<Done>,
    /// What it says.
    pub figures: Figures,
}

/// One thing that was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// When it was to be done, milliseconds after zero.
    pub at_ms: u64,
    /// When it was begun.
    pub begun_ms: u64,
    /// When it was over.
    pub done_ms: u64,
    /// What.
    pub action: Action,
    /// Whether viewers may suffer from it.
    pub hurts: bool,
}

/// Compiles every run, so that nothing is found wrong in the middle of the night.
pub fn plan(experiment: &Experiment, scene: Scene<'_>) -> Result<Job, Vec<Problem>> {
    let variants = variants::variants(experiment);
    let mut runs = Vec::new();
    for repetition in 1..=experiment.repetitions {
        let seed = schedule::seed(experiment, repetition);
        for (index, variant) in variants.iter().enumerate() {
            runs.push(Planned {
                variant: index,
                repetition,
                seed,
                schedule: schedule::compile(&variant.experiment, scene, seed)?,
            });
        }
    }
    let segment = Duration::from_millis(scene.topology.packaging.segment_ms.into());
    let target = Duration::from_secs(segment.as_secs_f64().ceil() as u64);
    Ok(Job {
        experiment: experiment.clone(),
        variants,
        runs,
        // And the segment that is being made.
        lead_in: HOLD_BACK * target + segment,
    })
}

impl Job {
    /// What the world is told of a run, with its folder below `folder`.
    pub fn run_plan(&self, planned: &Planned, folder: &std::path::Path) -> RunPlan {
        let name = self.variants.get(planned.variant);
        let name = name.map_or("all", |variant| variant.name.as_str());
        RunPlan {
            variant: name.to_owned(),
            repetition: planned.repetition,
            seed: planned.seed,
            absent: planned.schedule.absent.clone(),
            mtu: self.experiment.mtu,
            capture: self.experiment.capture.clone(),
            lead_in: self.lead_in,
            folder: PathBuf::from(folder)
                .join(name)
                .join(planned.repetition.to_string()),
        }
    }
}

/// Runs one schedule in a world and takes the world down.
pub fn play<W: World>(
    world: &mut W,
    plan: &RunPlan,
    planned: &Planned,
    scene: Scene<'_>,
) -> Result<Run, Failure> {
    let outcome = carry_out(world, plan, &planned.schedule);
    world.end();
    let outcome = match outcome {
        Ok((started, done, collected)) => Ok(Outcome {
            figures: analysis::figures(scene, &started, &done, &collected),
            started,
            done,
        }),
        Err(Failure::Interrupted) => return Err(Failure::Interrupted),
        Err(failure) => Err(failure.to_string()),
    };
    Ok(Run {
        variant: planned.variant,
        repetition: planned.repetition,
        seed: planned.seed,
        outcome,
    })
}

fn carry_out<W: World>(
    world: &mut W,
    plan: &RunPlan,
    schedule: &Schedule,
) -> Result<(Started, Vec<Done>, Collected), Failure> {
    let started = world.start(plan)?;
    let mut done = Vec::new();
    for step in &schedule.steps {
        world.wait_until(Duration::from_millis(step.at_ms))?;
        let begun = world.now();
        world.apply(&step.action)?;
        done.push(Done {
            at_ms: step.at_ms,
            begun_ms: millis(begun),
            done_ms: millis(world.now()),
            action: step.action.clone(),
            hurts: step.hurts,
        });
    }
    world.wait_until(Duration::from_millis(schedule.duration_ms))?;
    let collected = world.collect()?;
    Ok((started, done, collected))
}

/// Target durations between a player and the end of a live playlist.
const HOLD_BACK: u32 = 3;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
