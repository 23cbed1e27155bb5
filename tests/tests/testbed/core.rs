//! Exports for CORE with the real programs: nodes as CORE makes them, services as CORE boots them.

mod bundle;

use std::fs;
use std::path::Path;
use std::time::Duration;

use banyan_tests::exported::Exported;
use banyan_tests::{PlayReport, Stopwatch, wait_for, wait_until};

#[test]
fn an_export_of_scenario_a_boots_is_watched_without_loss_and_stops() {
    let members = ["control", "s1", "root-0", "edge-0", "edge-1"];
    let viewers = ["screen-1-movie1", "screen-2-movie1", "screen-2-video4"];
    played("core: A", "examples/scenario-a.yaml", &members, &viewers);
}

/// Boots an export, lets its viewers watch, and stops it service by service.
fn played(test: &'static str, manifest: &str, members: &[&str], viewers: &[&str]) {
    let watch = Stopwatch::start(test);
    let Some(exported) = Exported::make(test, manifest, members) else {
        return;
    };
    watch.lap("nodes as CORE makes them");
    let screen = exported.nodes_with("BanyanViewer")[0].to_owned();
    let far = exported.testbed().line["members"]["control"]["address"].clone();
    let far = far
        .as_str()
        .expect("control must have an address")
        .to_owned();
    let reaches = || {
        let mut command = exported.command(&screen, &format!("ip route get {far}"));
        command
            .output()
            .expect("banyan must start")
            .status
            .success()
    };
    assert!(
        !reaches(),
        "a node of CORE has no routes before its services"
    );
    // CORE boots ten at a time. Three are the way from the content server to control; with so few it shows whether
    // anybody waits for one that comes later.
    exported.boot(3);
    watch.lap("booted");
    assert_eq!(exported.said("is not there yet"), "");
    assert!(reaches(), "{screen} must have a route to {far}");

    let run = exported.folder().join("run");
    let watched = |of: &dyn Fn(&str) -> String| {
        for viewer in viewers {
            let trace = run.join("viewers").join(of(viewer) + ".csv");
            wait_until(&format!("{viewer} watches for a while"), BOUND, || {
                fs::read_to_string(&trace).is_ok_and(|text| text.lines().count() > CHUNKS)
            });
        }
    };
    watched(&str::to_owned);
    watch.lap("watched");
    exported.experiment("viewers_come_and_go");
    let again = |viewer: &str| format!("{viewer}.2");
    watched(&again);
    watch.lap("watched again");
    exported.stop("BanyanViewer");
    for viewer in viewers {
        for name in [(*viewer).to_owned(), again(viewer)] {
            let file = run.join("viewers").join(format!("{name}.json"));
            let report: PlayReport = wait_for(&format!("the report of {name}"), BOUND, || {
                serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()
            });
            report.assert_unbroken(&name);
            println!(
                "  {name}: {} chunks, {} stalls",
                report.chunks, report.stalls
            );
        }
    }
    let written = fs::read_dir(run.join("viewers"))
        .into_iter()
        .flatten()
        .flatten();
    let reports = written.filter(|file| file.path().extension().is_some_and(|kind| kind == "json"));
    assert_eq!(
        reports.count(),
        2 * viewers.len(),
        "there must be no other viewer"
    );
    harmed(&exported, &run);
    watch.lap("harmed and mended");
    for service in [
        "BanyanRelay",
        "BanyanContentServer",
        "BanyanControl",
        "BanyanRoutes",
    ] {
        exported.stop(service);
    }
    exported.down();
    watch.lap("stopped");
}

/// Experiments that touch nodes: afterwards addresses and routes are as before, and the member that was killed runs.
fn harmed(exported: &Exported, run: &Path) {
    let networks = || -> Vec<String> {
        let nodes = exported.nodes_with("BanyanRoutes").into_iter();
        let all = "ip -o addr | sed 's/ tentative//' | grep -v fe80; ip route; ip -6 route | grep -v fe80";
        nodes
            .map(|node| exported.testbed().run(&mut exported.command(node, all)))
            .collect()
    };
    let before = networks();
    exported.experiment("link_down");
    wait_until("addresses and routes are as before", BOUND, || {
        networks() == before
    });
    exported.experiment("kill_and_restart");
    for node in exported.nodes_with("BanyanRelay") {
        let check = format!(
            "bash {}/start/{node}.sh check run",
            exported.folder().display()
        );
        wait_until(&format!("{node} runs"), BOUND, || {
            exported
                .command(node, &check)
                .status()
                .is_ok_and(|status| status.success())
        });
    }
    let events = fs::read_to_string(run.join("events.csv")).expect("there must be events");
    let kinds: Vec<&str> = events
        .lines()
        .filter_map(|line| line.split(',').nth(1))
        .collect();
    let viewers = exported.nodes_with("BanyanViewer").len();
    let expected = [
        vec!["event"],
        vec!["viewer"; 2 * viewers],
        vec!["link"; 2],
        vec!["member"; 2],
    ];
    assert_eq!(kinds, expected.concat());
}

/// From a stream's first wish to some seconds of it, on a busy machine.
const BOUND: Duration = Duration::from_secs(120);
/// A third of a second each, of two tracks.
const CHUNKS: usize = 60;
