//! A real browser: headless Chromium opens the page of campus.yaml and plays it; `tests/browser/play.mjs` judges by
//! media time lost and keeps a screenshot under `artifacts/`. Once undisturbed, once while a relay, the active content
//! server and the edge it watches are killed under it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use banyan_tests::{Overlay, Restart, Stopwatch, fixtures, workspace};
use serde_json::Value;

/// Exit code of `play.mjs` for "this machine was too busy to tell".
const INCONCLUSIVE: i32 = 3;

#[test]
fn chromium_plays_the_page() {
    let test = "chromium_plays_the_page";
    if !is_possible(test) {
        return;
    }
    let watch = Stopwatch::start("browser");
    let overlay = Overlay::from("examples/campus.yaml").up();
    watch.lap("ready");
    let mut browser = open(&overlay, "calm", &["--for", "15"]);
    follow(&mut browser, |_, _| {});
    judge(test, browser);
}

#[test]
fn the_page_plays_on_while_members_are_killed_under_it() {
    let test = "the_page_plays_on_while_members_are_killed_under_it";
    if !is_possible(test) {
        return;
    }
    let watch = Stopwatch::start("browser under faults");
    let overlay = Overlay::from("examples/campus.yaml")
        .restart(Restart::Never)
        .up();
    let stream = "clock";
    overlay.origins_of(stream);
    watch.lap("ready");
    let mut browser = open(
        &overlay,
        "faults",
        &["--stream", stream, "--for", "36", "--follow"],
    );
    // Far enough apart for each repair to be over before the next fault.
    let mut due = [6.0, 15.0, 24.0].into_iter().peekable();
    let mut killed = Vec::new();
    follow(&mut browser, |played, edge| {
        if due.next_if(|at| played >= *at).is_none() {
            return;
        }
        let victim = match killed.len() {
            0 => feeder(&overlay, edge, stream),
            1 => overlay.stream(stream)["origin"]
                .as_str()
                .expect("a stream that plays has an origin")
                .to_owned(),
            _ => edge.to_owned(),
        };
        overlay.kill9(&victim);
        watch.lap(&format!("{victim} killed at {played} s of media"));
        killed.push(victim);
    });
    assert_eq!(killed.len(), 3, "the browser ended early, after {killed:?}");
    assert!(killed[0].starts_with("hall-"), "{killed:?}");
    judge(test, browser);
}

/// The relay that feeds an edge.
fn feeder(overlay: &Overlay, edge: &str, stream: &str) -> String {
    let member = overlay.member(edge);
    member["tracks"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|track| track["stream"] == stream)
        .and_then(|track| track["parent"].as_str())
        .unwrap_or_else(|| panic!("{edge} has no parent for {stream}: {member}"))
        .to_owned()
}

/// Whether what the test needs is there; else it says what is missing.
fn is_possible(test: &str) -> bool {
    for (missing, what) in [
        (!fixtures::has_tool("node"), "node is not installed"),
        (
            !fixtures::has_tool("chromium"),
            "chromium is not installed; run scripts/setup.sh",
        ),
        (
            !workspace()
                .join("tests/browser/node_modules/playwright-core")
                .is_dir(),
            "run npm ci in tests/browser",
        ),
    ] {
        if missing {
            fixtures::skip(test, what);
            return false;
        }
    }
    true
}

fn open(overlay: &Overlay, name: &str, arguments: &[&str]) -> Child {
    let artifacts = workspace().join("artifacts").join(name);
    std::fs::create_dir_all(&artifacts).expect("artifacts/ must be creatable");
    Command::new("node")
        .arg(workspace().join("tests/browser/play.mjs"))
        .args(["--page", &overlay.page(), "--within", "90", "--out"])
        .arg(&artifacts)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node must start")
}

/// Reads what the browser says to its end; `act` is told of every second played, and at which edge.
fn follow(browser: &mut Child, mut act: impl FnMut(f64, &str)) {
    let said = browser.stdout.take().expect("stdout is piped");
    for line in BufReader::new(said).lines() {
        let line = line.expect("node writes text");
        match serde_json::from_str::<Value>(&line) {
            Ok(progress) => {
                let edge = progress["edge"].as_str().unwrap_or_default();
                act(progress["played_s"].as_f64().unwrap_or(0.0), edge);
            }
            Err(_) => println!("{line}"),
        }
    }
}

fn judge(test: &str, mut browser: Child) {
    let status = browser.wait().expect("node can be waited for");
    match status.code() {
        Some(0) => {}
        // The machine, not the product: never a pass, never a failure.
        Some(INCONCLUSIVE) => {
            println!("SKIP {test}: INCONCLUSIVE, this machine was too busy to tell");
        }
        _ => panic!("play.mjs ended with {status}"),
    }
}
