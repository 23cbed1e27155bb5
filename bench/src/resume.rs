//! How long delivery is away after a fault: `banyan chaos run … --series --repeat N` on eleven real
//! processes, one fault after the other while the same viewers watch; the worst of all members and of
//! all viewers after each fault, and how these worsts are spread. Segments of one second make a fault
//! and its undoing take five; what is measured are chunks.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Faults of each scenario
    #[arg(long, default_value_t = 30)]
    faults: u32,
    /// Scenarios of `banyan chaos list`
    #[arg(long, num_args = 1.., default_values_t = DEFAULT.map(str::to_owned))]
    scenarios: Vec<String>,
    /// The `banyan` to run [default: the one beside this program]
    #[arg(long)]
    banyan: Option<PathBuf>,
    /// Seed of the moments of the faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What was seen of one scenario.
#[derive(Default)]
struct Seen {
    members: Vec<u64>,
    viewers: Vec<u64>,
    detect: Vec<u64>,
    broken: u64,
    false_switches: u64,
    faults: usize,
    /// Worst lateness of a timer, fault by fault.
    canaries: Vec<u64>,
}

/// Runs the faults, prints a JSON line per fault and per scenario, and a Markdown table.
pub fn run(options: &Options) -> Result<()> {
    let program = match &options.banyan {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("banyan"),
    };
    let folder = tempfile::tempdir()?;
    let manifest = folder.path().join("repair.yaml");
    std::fs::write(&manifest, MANIFEST)?;
    let mut child = Command::new(&program)
        .args(["chaos", "run"])
        .args(&options.scenarios)
        .args(["--json", "--series", "--manifest"])
        .arg(&manifest)
        .args(["--repeat", &options.faults.to_string()])
        .args(["--seed", &options.seed.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program:?}"))?;
    let lines = child.stdout.take().context("its output is a pipe")?;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    let mut broken = 0;
    for line in BufReader::new(lines).lines() {
        let line = line?;
        let report: Value = serde_json::from_str(&line).context("chaos printed no JSON")?;
        let name = report["scenario"].as_str().unwrap_or_default().to_owned();
        if name == VIEWERS {
            println!(
                "{}",
                json!({"bench": "resume, viewers", "viewers": report["viewers"]})
            );
            broken += broken_positions(&report["viewers"]);
            continue;
        }
        seen.entry(name).or_default().add(&report);
    }
    let status = child.wait()?;
    let mut table = String::from(HEADER);
    for name in &options.scenarios {
        let seen = seen.get(name);
        let seen = seen.with_context(|| format!("{name} did not run"))?;
        println!("{}", seen.line(name));
        table += &seen.row(name);
        ensure!(
            seen.faults >= options.faults as usize,
            "{name} ran {} times of {}",
            seen.faults,
            options.faults
        );
    }
    eprintln!("\n{table}\nLost by, repeated to or out of order at viewers: {broken}");
    ensure!(status.success(), "a scenario failed: {status}");
    Ok(())
}

impl Seen {
    fn add(&mut self, report: &Value) {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let (mut members, mut viewers) = (None, None);
        for resume in report["resumes"].as_array().into_iter().flatten() {
            // Viewers are told apart within their process: hls-0.0.
            let viewer = resume["who"].as_str().is_some_and(|who| who.contains('.'));
            let worst = if viewer { &mut viewers } else { &mut members };
            *worst = (*worst).max(resume["ms"].as_u64());
        }
        println!(
            "{}",
            json!({
                "bench": "resume", "scenario": report["scenario"], "unit": "ms",
                "members": members, "viewers": viewers, "detect": report["detect_ms"],
                "lost": report["lost"], "repeated": report["repeated"],
                "canary_lag_ms": report["canary_lag_ms"],
            })
        );
        self.members.extend(members);
        self.viewers.extend(viewers);
        self.detect.extend(report["detect_ms"].as_u64());
        self.broken += broken_positions(report);
        self.false_switches += number(&report["false_switches"]);
        self.canaries.push(number(&report["canary_lag_ms"]));
        self.faults += 1;
    }

    fn line(&self, name: &str) -> Value {
        json!({
            "bench": "resume, spread", "scenario": name, "unit": "ms", "faults": self.faults,
            "members": spread(&self.members), "viewers": spread(&self.viewers),
            "detect": spread(&self.detect), "broken_positions": self.broken,
            "false_switches": self.false_switches, "canary_lag_ms": spread(&self.canaries),
        })
    }

    fn row(&self, name: &str) -> String {
        let cells = |values: &[u64]| match spread(values) {
            Some([min, p50, p95, max]) => format!("{min} / {p50} / {p95} / {max}"),
            None => "–".to_owned(),
        };
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.faults,
            cells(&self.detect),
            cells(&self.members),
            cells(&self.viewers),
            self.broken,
            self.false_switches,
            cells(&self.canaries),
        )
    }
}

/// Positions lost, repeated or out of order.
fn broken_positions(counts: &Value) -> u64 {
    let keys = ["lost", "repeated", "out_of_order"].into_iter();
    keys.map(|key| counts[key].as_u64().unwrap_or(0)).sum()
}

/// Least, median, 95th percentile, worst.
fn spread(values: &[u64]) -> Option<[u64; 4]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = |permille: usize| {
        let rank = (sorted.len() * permille).div_ceil(1000).max(1);
        sorted.get(rank - 1).copied()
    };
    Some([rank(0)?, rank(500)?, rank(950)?, rank(1000)?])
}

const DEFAULT: [&str; 10] = [
    "relay-kill",
    "relay-freeze",
    "origin-kill",
    "origin-freeze",
    "root-kill",
    "root-freeze",
    "edge-kill",
    "relay-partition",
    "relay-partition-oneway",
    "relay-reset",
];

const HEADER: &str = "| fault | faults | noticed, ms (min / p50 / p95 / max) | members resume, ms | viewers resume, ms | chunks lost or repeated | false switches | canary lag, ms |
|---|---|---|---|---|---|---|---|
";

/// Of the line that tells of the viewers of a whole series.
const VIEWERS: &str = "viewers";
const MANIFEST: &str = include_str!("resume.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_by_nearest_rank() {
        let values: Vec<u64> = (1..=40).rev().collect();
        assert_eq!(spread(&values), Some([1, 20, 38, 40]));
        assert_eq!(spread(&[7]), Some([7, 7, 7, 7]));
        assert_eq!(spread(&[]), None);
    }
}
