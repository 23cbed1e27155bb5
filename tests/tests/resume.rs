//! Resume: with the control plane dead, a relay, the carrier root or the active origin is killed; every viewer, over
//! HLS and straight over gRPC, and every member goes on at the exact next position: nothing lost, nothing repeated.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use banyan_tests::record::{Event, LinkRow, assert_gapless, received, whole_since};
use banyan_tests::{Canary, Overlay, Playing, Restart, Stopwatch, http, unix_ms, wait_until};

/// Long enough to start, to be hurt and to see three segments more on a busy machine.
const WATCH: u32 = 26;
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
    overlay.origins_of(&stream);

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
    let (lag, repaired) = (canary.worst_ms(), unix_ms());
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
    assert_prompt(name, &overlay.links(), &stream, fault..repaired, lag);
}

/// No surviving member went without media for longer than a repair may take beside the normal pause between two
/// parts; judged only while the machine itself was quick enough to tell.
fn assert_prompt(name: &str, rows: &[LinkRow], stream: &str, fault: Range<u64>, lag: u64) {
    let mut members: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for row in rows
        .iter()
        .filter(|row| row.stream == stream && row.unix_ms < fault.end)
    {
        members.entry(&row.to).or_default().push(row.unix_ms);
    }
    let mut silences = BTreeMap::new();
    for (member, mut times) in members {
        times.sort_unstable();
        let pauses = times.windows(2).filter(|pair| pair[1] >= fault.start);
        // The victim itself has none.
        if let Some(longest) = pauses.map(|pair| pair[1] - pair[0]).max() {
            silences.insert(member, longest);
        }
    }
    println!("  {name}: longest silence in ms: {silences:?} (scheduling canary {lag} ms)");
    if lag >= CANARY {
        println!("  {name}: INCONCLUSIVE on time: this machine was {lag} ms late itself");
        return;
    }
    let late: Vec<_> = silences
        .iter()
        .filter(|(_, silence)| **silence > PART + REPAIR)
        .collect();
    assert!(
        late.is_empty(),
        "silent for more than {PART} + {REPAIR} ms: {late:?}"
    );
}

/// Nominal part of campus.yaml, which is the pause between two arrivals.
const PART: u64 = 360;
/// Bar of the design: delivery resumes within this of the failure.
const REPAIR: u64 = 500;
/// A machine later than this cannot judge milliseconds.
const CANARY: u64 = 50;
