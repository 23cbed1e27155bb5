//! Resume: with the control plane dead, a relay, the carrier root or the active origin is killed; every viewer, over
//! HLS and straight over gRPC, and every member goes on at the exact next position: nothing lost, nothing repeated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_tests::record::{Counts, Event, LinkRow, assert_gapless, whole_numbers};
use banyan_tests::{Canary, Overlay, Playing, Restart, Stopwatch, http, unix_ms, wait_until};

/// Long enough to start, to be hurt and to see three segments more on a busy machine.
const WATCH: u32 = 36;
const BOUND: Duration = Duration::from_secs(60);
/// Whole segments that every edge must get after the fault.
const AFTER: usize = 3;

#[test]
fn a_killed_relay_costs_no_viewer_a_chunk() {
    survive("resume: relay", "parent_switched", |overlay, stream| {
        // A relay that feeds an edge now.
        let member = overlay.member("edge-0");
        let parent = member["tracks"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|track| track["stream"] == stream)
            .and_then(|track| track["parent"].as_str())
            .unwrap_or_else(|| panic!("edge-0 has no parent for {stream}: {member}"));
        assert!(
            !parent.starts_with("root-"),
            "edge-0 must be fed by an interior relay, not {parent}"
        );
        parent.to_owned()
    });
}

#[test]
fn a_killed_carrier_root_costs_no_viewer_a_chunk() {
    survive(
        "resume: carrier root",
        "parent_switched",
        |overlay, stream| {
            let entry = overlay.stream(stream);
            entry["carrier"]
                .as_str()
                .unwrap_or_else(|| panic!("no carrier in {entry}"))
                .to_owned()
        },
    );
}

#[test]
fn a_killed_origin_costs_no_viewer_a_chunk() {
    survive("resume: origin", "origin_switched", |overlay, stream| {
        let entry = overlay.stream(stream);
        entry["origin"]
            .as_str()
            .unwrap_or_else(|| panic!("no active origin in {entry}"))
            .to_owned()
    });
}

fn survive(name: &'static str, event: &str, victim: impl Fn(&Overlay, &str) -> String) {
    let watch = Stopwatch::start(name);
    let overlay = Overlay::from("examples/campus.yaml")
        .record()
        .restart(Restart::Never)
        .up();
    watch.lap("ready");
    let stream = "clock".to_owned();
    let edges = overlay.edges();

    let mut viewers: Vec<(String, Playing)> = edges
        .iter()
        .map(|edge| {
            (
                format!("HLS at {edge}"),
                overlay.play(&format!("{edge}/{stream}/index.m3u8"), WATCH),
            )
        })
        .collect();
    let direct = overlay.grpc_of("edge-1").replace("http://", "grpc://");
    viewers.push((
        format!("gRPC at {direct}"),
        overlay.play(&format!("{direct}/{stream}"), WATCH),
    ));
    wait_until("every edge has received two whole segments", BOUND, || {
        (0..edges.len())
            .all(|edge| whole_since(&overlay.links(), &format!("edge-{edge}"), &stream, 0) >= 2)
    });

    let victim = victim(&overlay, &stream);
    overlay.stop_control();
    assert!(
        http::try_get(&format!("{}/api/topology", overlay.page()), &[]).is_err(),
        "control must be dead"
    );
    let canary = Canary::start();
    let fault = unix_ms();
    overlay.kill9(&victim);
    watch.lap(&format!("control and {victim} are dead"));
    wait_until(
        "every edge receives three whole segments after the fault",
        BOUND,
        || {
            (0..edges.len()).all(|edge| {
                whole_since(&overlay.links(), &format!("edge-{edge}"), &stream, fault) >= AFTER
            })
        },
    );
    let lag = canary.worst_ms();
    assert!(
        viewers.iter_mut().all(|(_, viewer)| viewer.is_watching()),
        "viewers must outlast the repair"
    );

    for (who, viewer) in viewers {
        let report = viewer.report(BOUND);
        println!("  {name}: {who}: {report:?}");
        report.assert_unbroken(&who);
    }
    for ((member, track), counts) in received(&overlay.links(), &stream) {
        assert_gapless(&format!("{track} at {member}"), &counts);
    }
    let switches: Vec<Event> = overlay
        .events()
        .into_iter()
        .filter(|logged| {
            logged.unix_ms >= fault
                && (logged.name == "parent_switched" || logged.name == "origin_switched")
        })
        .collect();
    for switch in &switches {
        println!(
            "  {name}: {} at +{} ms: {}",
            switch.member,
            switch.unix_ms - fault,
            switch.fields
        );
        assert!(
            !switch.text("cause").is_empty(),
            "a switch must say its cause: {}",
            switch.fields
        );
    }
    assert!(
        switches.iter().any(|switch| switch.name == event),
        "no {event} was logged: {switches:?}"
    );
    report_resume(name, &overlay.links(), &stream, fault, lag);
}

/// Whole segments of the track that came last to a member since a time.
fn whole_since(rows: &[LinkRow], member: &str, stream: &str, since: u64) -> usize {
    let rows = rows
        .iter()
        .filter(|row| row.to == member && row.stream == stream);
    let parts = rows.clone().map(|row| row.part + 1).max().unwrap_or(1);
    let mut tracks: BTreeMap<&str, Counts> = BTreeMap::new();
    for row in rows {
        let counts = tracks.entry(row.track.as_str()).or_default();
        if row.unix_ms >= since {
            *counts.entry((row.number, row.part)).or_default() += 1;
        }
    }
    tracks
        .values()
        .map(|counts| whole_numbers(counts, parts).len())
        .min()
        .unwrap_or(0)
}

/// What each member received of each track by subscription, from whichever parent.
fn received(rows: &[LinkRow], stream: &str) -> BTreeMap<(String, String), Counts> {
    let mut members: BTreeMap<_, Counts> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.stream == stream && row.live) {
        let counts = members
            .entry((row.to.clone(), row.track.clone()))
            .or_default();
        *counts.entry((row.number, row.part)).or_default() += 1;
    }
    members
}

/// Prints how long each member went without media around the fault, beside the machine's own lag.
fn report_resume(name: &str, rows: &[LinkRow], stream: &str, fault: u64, lag: u64) {
    let members: BTreeSet<&str> = rows.iter().map(|row| row.to.as_str()).collect();
    for member in members {
        let mut times: Vec<u64> = rows
            .iter()
            .filter(|row| row.to == member && row.stream == stream)
            .map(|row| row.unix_ms)
            .collect();
        times.sort_unstable();
        let gap = times
            .windows(2)
            .filter(|pair| pair[1] >= fault)
            .map(|pair| pair[1] - pair[0])
            .max();
        println!(
            "  {name}: {member}: longest silence after the fault {gap:?} ms (scheduling canary {lag} ms)"
        );
    }
}
