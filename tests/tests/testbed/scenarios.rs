//! The scenarios of the overlay course: what viewers get, and what each link carries for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_tests::record::LinkRow;
use banyan_tests::testbed::Testbed;
use banyan_tests::{Playing, Stopwatch, wait_until};

#[test]
fn scenario_a_is_watched_without_loss_and_each_link_carries_each_chunk_once() {
    let watch = Stopwatch::start("testbed: A");
    let Some(testbed) = Testbed::up("testbed: A", "examples/scenario-a.yaml", &[]) else {
        return;
    };
    watch.lap("up");
    let viewers: Vec<Playing> = [("screen-1", 0), ("screen-2", 1)]
        .into_iter()
        .flat_map(|(node, edge)| {
            let url = format!("{}/movie1/index.m3u8", testbed.edge(edge));
            // Two in each node: the link to their edge carries two copies, no other one does.
            [0, 1].map(|_| Playing::start_as(testbed.banyan_in(node), "", &[&url, "--for", "15s"]))
        })
        .collect();
    for viewer in viewers {
        let report = viewer.report(Duration::from_secs(120));
        report.assert_unbroken("a viewer of scenario A");
        println!(
            "  start {:?} ms, {} chunks, {} stalls",
            report.startup_ms, report.chunks, report.stalls
        );
        // A start needs playlist, init and segment over a hundred milliseconds of round trip each.
        assert!(
            report.startup_ms.is_some_and(|start| start >= 100),
            "{report:?}"
        );
    }
    watch.lap("watched");
    let rows = testbed.links();
    let links = assert_each_once(&rows);
    let expected = [("root-0", "edge-0"), ("root-0", "edge-1"), ("s1", "root-0")];
    let expected: BTreeSet<_> = expected
        .map(|(from, to)| (from.to_owned(), to.to_owned()))
        .into();
    assert_eq!(links, expected);

    // The bytes below: one copy of the stream on the way to the rendezvous point, and not two on any other.
    let media: u64 = rows
        .iter()
        .filter(|row| row.to == "root-0")
        .map(|row| row.bytes)
        .sum();
    let status = testbed.status();
    let emulated = status["links"]["links"]
        .as_array()
        .expect("links must be a list")
        .clone();
    for link in &emulated {
        let name = link["name"].as_str().unwrap_or("");
        let most = (0..2)
            .filter_map(|way: usize| link["counters"][way]["delivered_bytes"].as_u64())
            .max()
            .unwrap_or(0);
        println!("  {name}: {most} bytes one way, {media} of media");
        assert!(
            most >= media / 2,
            "{name} carried {most} bytes, the media has {media}"
        );
        // Beats and reports to the control plane share the way of a content server.
        let copies = if name == "rp--s1" { 3 } else { 2 };
        assert!(
            most < media * copies + 200_000,
            "{name} carried {most} bytes, the media has {media}"
        );
    }
    assert_eq!(emulated.len(), 3, "{emulated:?}");
    assert_filed(testbed);
}

#[test]
fn a_second_server_joins_and_wins_and_nothing_is_lost() {
    let watch = Stopwatch::start("testbed: B");
    let flags = ["--later", "s2", "--seed", "7"];
    let Some(testbed) = Testbed::up("testbed: B", "examples/scenario-b.yaml", &flags) else {
        return;
    };
    watch.lap("up");
    assert_eq!(
        running(&testbed)
            .iter()
            .filter(|name| name.starts_with('s'))
            .count(),
        1
    );
    let url = format!("{}/movie1/index.m3u8", testbed.edge(0));
    let mut viewer = Playing::start_as(testbed.banyan_in("screen-1"), "", &[&url, "--for", "75s"]);
    wait_until("s1 feeds the rendezvous point", BOUND, || {
        fed(&testbed, "s1")
    });
    watch.lap("s1 feeds");
    testbed.run(testbed.command("member").args(["start", "s2"]));
    wait_until(
        "the nearer server feeds the rendezvous point",
        BOUND,
        || {
            assert!(viewer.is_watching(), "the viewer left before s2 won");
            fed(&testbed, "s2")
        },
    );
    watch.lap("s2 feeds");
    let report = viewer.report(Duration::from_secs(240));
    report.assert_unbroken("a viewer while the second server wins");
    let rows = testbed.links();
    let of = |from: &str| rows.iter().filter(|row| row.from == from).count();
    println!(
        "  chunks from s1: {}, from s2: {}, lost {}",
        of("s1"),
        of("s2"),
        report.lost
    );
    testbed.down();
}

#[test]
fn scenario_c_is_watched_without_loss_by_clients_that_come_and_go() {
    let watch = Stopwatch::start("testbed: C");
    let Some(testbed) = Testbed::up("testbed: C", "examples/scenario-c.yaml", &[]) else {
        return;
    };
    watch.lap("up");
    let mut viewers = Vec::new();
    let clients = [
        ("c1", 0, "movie1", "30s"),
        ("c2", 1, "movie1", "12s"),
        ("c3", 2, "movie1", "20s"),
        ("c4", 3, "video4", "12s"),
    ];
    for (node, edge, stream, length) in clients {
        let url = format!("{}/{stream}/index.m3u8", testbed.edge(edge));
        let viewer = Playing::start_as(testbed.banyan_in(node), "", &[&url, "--for", length]);
        viewers.push((node, viewer));
        // The next one comes while this one watches; some have gone by then.
        wait_until("the edge of the client is fed", BOUND, || {
            let rows = testbed.links();
            let mut rows = rows.iter();
            rows.any(|row| row.to == format!("edge-{edge}") && row.stream == stream)
        });
    }
    for (node, viewer) in viewers {
        viewer
            .report(Duration::from_secs(120))
            .assert_unbroken(node);
    }
    watch.lap("watched");
    let rows = testbed.links();
    let links = assert_each_once(&rows);
    // One tree for each stream: nobody has two parents, and one server feeds the rendezvous point.
    for stream in ["movie1", "video4"] {
        let of = rows.iter().filter(|row| row.live && row.stream == stream);
        let pairs: BTreeSet<_> = of.map(LinkRow::link).collect();
        let fed: BTreeSet<&String> = pairs.iter().map(|(_, to)| to).collect();
        assert_eq!(pairs.len(), fed.len(), "{stream}: {pairs:?}");
    }
    println!("  {} links of the overlay carried media", links.len());
    testbed.down();
}

/// Every chunk that flowed was taken once by whoever took it. Gives the links.
fn assert_each_once(rows: &[LinkRow]) -> BTreeSet<(String, String)> {
    let mut seen = BTreeMap::new();
    for row in rows.iter().filter(|row| row.live) {
        let at = (
            row.to.clone(),
            row.track.clone(),
            row.run.clone(),
            row.number,
            row.part,
        );
        *seen.entry(at).or_insert(0) += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "carried more than once: {twice:?}");
    rows.iter().map(LinkRow::link).collect()
}

fn fed(testbed: &Testbed, server: &str) -> bool {
    let rows = testbed.links();
    rows.iter()
        .any(|row| row.from == server && row.to == "root-0" && row.live)
}

fn running(testbed: &Testbed) -> Vec<String> {
    let status = testbed.status();
    let names = status["running"].as_array().cloned().unwrap_or_default();
    names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}

/// What a run leaves in its folder, after an orderly end.
fn assert_filed(testbed: Testbed) {
    testbed.down_and(|folder| {
        let files = |name: &str| banyan_tests::asset::files(&folder.join(name)).len();
        assert!(files("logs") >= 4, "there must be a log of each member");
        assert_eq!(files("metrics"), 4, "there must be metrics of each member");
        assert!(folder.join("links.stats.json").is_file());
    });
}

/// Heartbeats, windows and a dwell, on a busy machine.
const BOUND: Duration = Duration::from_secs(90);
