//! Chaos: every named fault on a real overlay of eleven processes, run by `banyan chaos`. Nobody loses a chunk, gets one
//! twice or out of order; those who must switch do, for a reason that they write down; nobody else does.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use banyan_tests::{Stopwatch, binary, cache_home, process, wait, workspace};
use serde_json::Value;

/// Seed of moments and of churn; another one must do as well.
const SEED: &str = "4";
/// Generous: a busy machine may take its time, but not this long.
const RESUME_MS: u64 = 5_000;
/// A machine later than this makes silences of its own.
const ON_TIME_MS: u64 = 50;
const BOUND: Duration = Duration::from_secs(240);

/// Causes that are conclusions from silence, which must have lasted longer than the budget.
const SILENT: [&str; 3] = ["HopSilent", "MediaStalled", "HeartbeatLost"];

#[test]
fn processes_that_die_or_stand_still_cost_no_viewer_a_chunk() {
    survive(&[
        "relay-kill",
        "relay-freeze",
        "origin-kill",
        "origin-freeze",
        "root-kill",
        "root-freeze",
        "control-kill",
        "edge-kill",
        "edge-freeze",
        "two-faults",
    ]);
}

#[test]
fn links_that_fail_cost_no_viewer_a_chunk() {
    survive(&[
        "relay-partition",
        "relay-partition-oneway",
        "relay-slow-link",
        "relay-reset",
        "origin-partition",
    ]);
}

#[test]
fn members_that_come_and_go_cost_no_viewer_a_chunk() {
    survive(&["rolling-restart", "churn"]);
}

#[test]
fn a_content_server_that_cannot_be_trusted_feeds_nobody() {
    survive(&["origin-clock", "origin-disk-full"]);
}

/// Runs the scenarios and judges each line of their report.
fn survive(scenarios: &[&str]) {
    let watch = Stopwatch::start("chaos");
    let out = tempfile::tempdir().expect("a temporary folder must be creatable");
    let tag = format!("chaos-{}", out.path().display());
    let said = File::create(out.path().join("stderr")).expect("a file must be creatable");
    let mut child = Command::new(binary("banyan"))
        .args(["chaos", "run"])
        .args(scenarios)
        .args(["--json", "--quick", "--seed", SEED])
        .arg("--manifest")
        .arg(workspace().join("tests/manifests/chaos.yaml"))
        .arg("--cache")
        .arg(cache_home().join("assets-test"))
        .arg("--out")
        .arg(out.path())
        .env(process::TAG, &tag)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(said)
        .spawn()
        .expect("banyan chaos must start");
    let lines = child.stdout.take().expect("its output is a pipe");
    let mut failures = Vec::new();
    let mut seen = Vec::new();
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        let report: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("chaos printed {line:?}: {error}"));
        let name = report["scenario"].as_str().unwrap_or("").to_owned();
        watch.lap(&summary(&report));
        if let Err(reason) = judge(&report) {
            failures.push(format!("{name}: {reason}\n{report:#}"));
        }
        seen.push(name);
    }
    let ended = wait::poll(BOUND, || child.try_wait().expect("it must be waitable"));
    let said = std::fs::read_to_string(out.path().join("stderr")).unwrap_or_default();
    if !failures.is_empty() {
        let kept = out.keep();
        panic!(
            "timelines and records are in {}\n{}\n{said}",
            kept.display(),
            failures.join("\n")
        );
    }
    let status = ended.unwrap_or_else(|| panic!("chaos did not end: {said}"));
    assert!(status.success(), "chaos ended with {status}: {said}");
    assert_eq!(seen, scenarios, "one line for each scenario");
    let left = process::tagged(&tag);
    assert!(left.is_empty(), "processes were left behind: {left:?}");
}

fn judge(report: &Value) -> Result<(), String> {
    if report["verdict"] == "skip" {
        banyan_tests::fixtures::skip(
            &format!("chaos {}", report["scenario"]),
            &report["reasons"].to_string(),
        );
        return Ok(());
    }
    let mut zero = vec!["lost", "repeated", "out_of_order"];
    if report["canary_lag_ms"]
        .as_u64()
        .is_some_and(|ms| ms < ON_TIME_MS)
    {
        zero.push("false_switches");
    } else if report["false_switches"] != 0 {
        println!("  INCONCLUSIVE on false switches: this machine was late itself");
    }
    for key in zero {
        if report[key] != 0 || report["viewers"].get(key).is_some_and(|count| *count != 0) {
            return Err(format!("{key} is not 0"));
        }
    }
    if report["verdict"] != "pass" {
        return Err(report["reasons"].to_string());
    }
    if report["resume_ms"]
        .as_u64()
        .is_some_and(|ms| ms >= RESUME_MS)
    {
        return Err(format!("resumed after {} ms", report["resume_ms"]));
    }
    for switch in report["switched"].as_array().into_iter().flatten() {
        let cause = switch["cause"].as_str().unwrap_or("");
        if cause.is_empty() {
            return Err(format!("a switch without a cause: {switch}"));
        }
        let (gap, budget) = (switch["gap_ms"].as_u64(), switch["budget_ms"].as_u64());
        if SILENT.contains(&cause) && (gap.is_none() || gap < budget || budget.is_none()) {
            return Err(format!("{cause} within its budget: {switch}"));
        }
    }
    Ok(())
}

fn summary(report: &Value) -> String {
    let of = |key: &str| match &report[key] {
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    };
    format!(
        "{} {}: detected {} ms, resumed {} ms (median {}), {} switches {}, {} by viewers, canary {} ms late",
        report["verdict"].as_str().unwrap_or("?"),
        report["scenario"].as_str().unwrap_or("?"),
        of("detect_ms"),
        of("resume_ms"),
        of("resume_median_ms"),
        of("switches"),
        of("causes"),
        of("viewer_switches"),
        of("canary_lag_ms"),
    )
}
