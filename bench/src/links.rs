//! How much one link process carries: 1, 2 and 4 links of 100 Mbit/s, all loaded a tenth above their rate at the same
//! time for ten seconds, as an experiment of `banyan testbed run`. What arrived over what the manifest allows, and how
//! late, over the manifest's delay.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

/// What to measure.
#[derive(Args)]
pub struct Options {
    /// Numbers of links
    #[arg(long, num_args = 1.., default_values_t = [1, 2, 4])]
    links: Vec<u32>,
    /// Runs with each number
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// The `banyan` to run [default: the one beside this program]
    #[arg(long)]
    banyan: Option<PathBuf>,
}

/// Loads each number of links, prints a JSON line per run.
pub fn run(options: &Options) -> Result<()> {
    let program = match &options.banyan {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("banyan"),
    };
    for links in &options.links {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("experiment.yaml");
        std::fs::write(folder.path().join("network.yaml"), network(*links))?;
        std::fs::write(&file, experiment(*links))?;
        let out = folder.path().join("out");
        let status = Command::new(&program)
            .args(["testbed", "run"])
            .arg(&file)
            .args(["--repetitions", &options.runs.to_string(), "--out"])
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("cannot start {program:?}"))?;
        ensure!(status.success(), "{links} links: {status}");
        for line in lines(&out, *links)? {
            println!("{line}");
        }
    }
    Ok(())
}

/// A line for each run.
fn lines(out: &Path, links: u32) -> Result<Vec<Value>> {
    let (events, counts) = (table(out, "events.csv")?, table(out, "links.csv")?);
    let mut lines = Vec::new();
    for run in table(out, "runs.csv")? {
        let of_run = |row: &&Row| row.get("repetition") == run.get("repetition");
        let begun = |action: &str, index: u32| {
            let name = format!("traffic-{index}");
            let mut rows = events.iter().filter(of_run);
            let row = rows.find(|row| row["action"] == action && row["target"] == name);
            number(row, "begun_ms")
        };
        let mut shares = Vec::new();
        for index in 1..=links {
            let mut rows = counts.iter().filter(of_run);
            let way = format!("left-{index}>right-{index}");
            let bytes = number(rows.find(|row| row["direction"] == way), "bytes")?;
            let ms = begun("traffic-end", index)? - begun("traffic", index)?;
            shares.push(bytes * 8.0 * 1e3 / (ms * RATE));
        }
        let all: f64 = shares.iter().sum();
        let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let late_us = number(Some(&run), "late_p99_us")?;
        lines.push(json!({
            "bench": "links", "links": links, "round": run.get("repetition"),
            "unit": "of the manifest's rate",
            "value": rounded(all / f64::from(links)), "least": rounded(least),
            "mbit_s": (all * RATE / 1e6).round(),
            "late_p99_us": late_us, "late_of_delay": rounded(late_us / DELAY_US),
        }));
    }
    Ok(lines)
}

type Row = BTreeMap<String, String>;

/// A file of results; none of its cells here holds a comma.
fn table(out: &Path, name: &str) -> Result<Vec<Row>> {
    let path = out.join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path:?}"))?;
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().into_iter().flatten().collect();
    let rows = lines.map(|cells| header.iter().cloned().zip(cells).collect());
    Ok(rows.collect())
}

fn number(row: Option<&Row>, name: &str) -> Result<f64> {
    let cell = row.and_then(|row| row.get(name));
    let cell = cell.with_context(|| format!("{name} was not measured"))?;
    cell.parse()
        .with_context(|| format!("{name} is {cell:?}, which is no number"))
}

fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Pairs of nodes with a link each, beside the smallest overlay.
fn network(links: u32) -> String {
    let mut text = NETWORK.to_owned();
    let mut ends = String::new();
    for index in 1..=links {
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "      - {{name: left-{index}, kind: Host}}\n      - {{name: right-{index}, kind: Host}}\n"
        );
        let _ = write!(
            ends,
            "      - {{ends: [root, left-{index}]}}\n      - {{ends: [left-{index}, right-{index}], bandwidth: 100M, delay: 20ms}}\n"
        );
    }
    text + LINKS + &ends + SERVER
}

fn experiment(links: u32) -> String {
    let mut text = EXPERIMENT.to_owned();
    for index in 1..=links {
        let _ = writeln!(
            text,
            "  - {{from: left-{index}, to: right-{index}, rate: 110M, at: 1s, until: 11s}}"
        );
    }
    text
}

const RATE: f64 = 100e6;
const DELAY_US: f64 = 20e3;

const NETWORK: &str = "\
apiVersion: banyan.media/v1alpha1
kind: StreamTopology
metadata: {name: loaded}
spec:
  rendezvous: {replicas: 1, fanOut: 2}
  edge: {replicas: 1}
  underlay:
    nodes:
      - {name: root, kind: Host, member: root-0}
      - {name: faro, kind: Host, member: faro}
      - {name: edge, kind: Host, member: edge-0}
      - {name: screen, kind: Client, watches: [pulse]}
";
const LINKS: &str = "    links:
      - {ends: [faro, root]}
      - {ends: [root, edge]}
      - {ends: [edge, screen]}
";
const SERVER: &str = "\
---
apiVersion: banyan.media/v1alpha1
kind: ContentServer
metadata: {name: faro}
spec:
  topology: loaded
  contents:
    - name: pulse
      source: {test: {pattern: clock, duration: 2s}}
      renditions: [{name: 90p, height: 90, videoBitrate: 150k, audioBitrate: 64k}]
";
/// The viewer comes when the load has gone.
const EXPERIMENT: &str = "\
name: loaded
manifest: network.yaml
duration: 14s
viewers: [{stream: pulse, at: 12s}]
traffic:
";
