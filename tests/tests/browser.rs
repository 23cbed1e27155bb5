//! A real browser: headless Chromium opens the page of campus.yaml and plays it; `tests/browser/play.mjs` judges by
//! media time lost and keeps a screenshot under `artifacts/`. Once undisturbed, once while a relay, the active content
//! server and the edge it watches are killed under it. And plain hls.js, which knows no edges but those of a steered
//! playlist, while the edge it watches is killed.

use std::process::Command;

use banyan_tests::browser::{Browser, is_possible};
use banyan_tests::{Overlay, Restart, Stopwatch};

#[test]
fn chromium_plays_the_page() {
    let test = "chromium_plays_the_page";
    if !is_possible(test) {
        return;
    }
    let watch = Stopwatch::start("browser");
    let overlay = Overlay::from("examples/campus.yaml").up();
    watch.lap("ready");
    open(&overlay, "calm", &["--for", "15"]).judge(test);
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
    browser.follow(|played, edge| {
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
    browser.judge(test);
}

#[test]
fn hls_js_follows_content_steering_when_its_edge_dies() {
    let test = "hls_js_follows_content_steering_when_its_edge_dies";
    if !is_possible(test) {
        return;
    }
    let watch = Stopwatch::start("steering");
    let overlay = Overlay::from("examples/campus.yaml")
        .restart(Restart::Never)
        .up();
    let stream = "clock";
    overlay.origins_of(stream);
    watch.lap("ready");
    let edges = overlay.edges();
    let url = format!("{}/{stream}/index.m3u8?pathways=all", edges[0]);
    let mut player = Browser::steered(&url, &["--for", "22", "--follow"]);
    let mut played_from: Vec<String> = Vec::new();
    player.follow(|played, host| {
        let at = edges.iter().position(|edge| edge.ends_with(host));
        let Some(at) = at.filter(|_| !host.is_empty()) else {
            return;
        };
        let edge = format!("edge-{at}");
        if played_from.is_empty() && played >= 8.0 {
            overlay.kill9(&edge);
            watch.lap(&format!("{edge} killed at {played} s of media"));
            played_from.push(edge);
        } else if played_from.last().is_some_and(|last| *last != edge) {
            played_from.push(edge);
        }
    });
    player.judge(test);
    assert!(
        played_from.len() >= 2,
        "it must go on at another edge: {played_from:?}"
    );
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

fn open(overlay: &Overlay, name: &str, arguments: &[&str]) -> Browser {
    Browser::open(Command::new("node"), &overlay.page(), name, arguments)
}
