//! How long delivery is away after a fault: `banyan chaos run … --repeat N` on a campus of real
//! processes; the worst of all members and of all viewers after each fault, and how these worsts
//! are spread.

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
    stalls: u64,
    faults: usize,
    canary: u64,
}

/// Runs the faults, prints a JSON line per fault and per scenario, and a Markdown table.
pub fn run(options: &Options) -> Result<()> {
    let program = match &options.banyan {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("banyan"),
    };
    let mut child = Command::new(&program)
        .args(["chaos", "run"])
        .args(&options.scenarios)
        .args(["--json", "--quick"])
        .args(["--repeat", &options.faults.to_string()])
        .args(["--seed", &options.seed.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {program:?}"))?;
    let lines = child.stdout.take().context("its output is a pipe")?;
    let mut seen: BTreeMap<String, Seen> = BTreeMap::new();
    for line in BufReader::new(lines).lines() {
        let line = line?;
        let report: Value = serde_json::from_str(&line).context("chaos printed no JSON")?;
        let name = report["scenario"].as_str().unwrap_or_default().to_owned();
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
    eprintln!("\n{table}");
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
        for key in ["lost", "repeated", "out_of_order"] {
            self.broken += number(&report[key]) + number(&report["viewers"][key]);
        }
        self.false_switches += number(&report["false_switches"]);
        self.stalls += number(&report["viewers"]["stalls"]);
        self.canary = self.canary.max(number(&report["canary_lag_ms"]));
        self.faults += 1;
    }

    fn line(&self, name: &str) -> Value {
        json!({
            "bench": "resume, spread", "scenario": name, "unit": "ms", "faults": self.faults,
            "members": spread(&self.members), "viewers": spread(&self.viewers),
            "detect": spread(&self.detect), "broken_positions": self.broken,
            "false_switches": self.false_switches, "stalls": self.stalls,
            "worst_canary_lag_ms": self.canary,
        })
    }

    fn row(&self, name: &str) -> String {
        let cells = |values: &[u64]| match spread(values) {
            Some([p50, p95, max]) => format!("{p50} / {p95} / {max}"),
            None => "–".to_owned(),
        };
        format!(
            "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.faults,
            cells(&self.detect),
            cells(&self.members),
            cells(&self.viewers),
            self.broken,
            self.false_switches,
            self.stalls,
            self.canary,
        )
    }
}

/// Median, 95th percentile, worst.
fn spread(values: &[u64]) -> Option<[u64; 3]> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = |permille: usize| {
        let rank = (sorted.len() * permille).div_ceil(1000).max(1);
        sorted.get(rank - 1).copied()
    };
    Some([rank(500)?, rank(950)?, rank(1000)?])
}

const DEFAULT: [&str; 6] = [
    "relay-kill",
    "relay-freeze",
    "origin-kill",
    "origin-freeze",
    "root-kill",
    "relay-partition",
];

const HEADER: &str = "| fault | faults | detected, ms (p50 / p95 / max) | members resume, ms | viewers resume, ms | chunks lost or repeated | false switches | stalls | worst canary lag, ms |
|---|---|---|---|---|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_by_nearest_rank() {
        let values: Vec<u64> = (1..=40).rev().collect();
        assert_eq!(spread(&values), Some([20, 38, 40]));
        assert_eq!(spread(&[7]), Some([7, 7, 7]));
        assert_eq!(spread(&[]), None);
    }
}
