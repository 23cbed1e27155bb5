//! Layer L1: the three scenarios of the network course as processes of this machine, without their delays. Viewers come
//! and go; nothing is lost or repeated, the links are those of one tree, and a branch that nobody watches is pruned
//! while the others go on.

use std::collections::BTreeSet;
use std::time::Duration;

use banyan_tests::overlay::find;
use banyan_tests::record::{LinkRow, assert_gapless, by_link, left_at, received, whole_since};
use banyan_tests::{Overlay, Playing, Restart, Stopwatch, http, unix_ms, wait_until};

/// Whatever is waited for takes a second or ten, and much longer on a busy machine.
const BOUND: Duration = Duration::from_secs(90);
/// Viewers of this file are told to leave; this long at most.
const LONG: u32 = 600;
const MOVIE: &str = "movie1";
const VIDEO: &str = "video4";

#[test]
fn two_clients_of_scenario_a_get_each_chunk_over_each_link_once() {
    let watch = Stopwatch::start("scenario A");
    let overlay = Overlay::from("examples/scenario-a.yaml").record().up();
    watch.lap("ready");
    let first = over_hls(&overlay, 0, MOVIE);
    let second = over_grpc(&overlay, 1, MOVIE);
    plays(&overlay, MOVIE, &[0, 1], 0);
    watch.lap("both watch");

    let left = unix_ms();
    second.finish().assert_unbroken("the client that leaves");
    assert_pruned(&overlay, MOVIE, &["edge-1"], left, &[(MOVIE, 0)]);
    let tree = [("s1", "root-0"), ("root-0", "edge-0"), ("root-0", "edge-1")];
    assert_links(&overlay, MOVIE, &tree);
    assert_each_link_carried_once(&overlay, MOVIE);
    watch.lap("one has left");

    let left = unix_ms();
    first.finish().assert_unbroken("the client that stays");
    assert_pruned(&overlay, MOVIE, &["root-0", "edge-0"], left, &[]);
    assert_links(&overlay, MOVIE, &tree);
    assert_each_link_carried_once(&overlay, MOVIE);
    assert_links(&overlay, VIDEO, &[]);
    watch.lap("nothing flows");
}

#[test]
fn the_second_server_of_scenario_b_joins_and_takes_over_while_clients_come_and_go() {
    let watch = Stopwatch::start("scenario B");
    let overlay = Overlay::from("examples/scenario-b.yaml")
        .record()
        .restart(Restart::Never)
        .up();
    let later = overlay.take_out("s2");
    watch.lap("ready, without s2");
    let first = over_grpc(&overlay, 0, MOVIE);
    plays(&overlay, MOVIE, &[0], 0);
    assert_eq!(
        servers(&overlay),
        BTreeSet::from(["s1".to_owned()]),
        "only s1 runs"
    );
    watch.lap("s1 feeds a client");

    wait_until("nobody hears s2", BOUND, || {
        state(&overlay, "s2") == "Silent"
    });
    let _joined = overlay.join(later);
    wait_until("s2 may feed", BOUND, || {
        ["Standby", "Active"].contains(&state(&overlay, "s2").as_str())
    });
    watch.lap("s2 has joined");
    let second = over_grpc(&overlay, 1, MOVIE);
    plays(&overlay, MOVIE, &[1], 0);
    let gone = unix_ms();
    overlay.kill9("s1");
    plays(&overlay, MOVIE, &[0, 1], gone);
    watch.lap("s1 is dead, s2 feeds");
    assert_eq!(
        servers(&overlay),
        BTreeSet::from(["s1".to_owned(), "s2".to_owned()])
    );

    let left = unix_ms();
    second.finish().assert_unbroken("the client that leaves");
    let branch = ["hop-1", "edge-1"];
    assert_pruned(&overlay, MOVIE, &branch, left, &[(MOVIE, 0)]);
    let left = unix_ms();
    first.finish().assert_unbroken("the client that stays");
    let branch = ["root-0", "hop-0", "edge-0"];
    assert_pruned(&overlay, MOVIE, &branch, left, &[]);
    watch.lap("clients have left");
    let tree = [
        ("root-0", "hop-0"),
        ("root-0", "hop-1"),
        ("hop-0", "edge-0"),
        ("hop-1", "edge-1"),
        ("s1", "root-0"),
        ("s2", "root-0"),
    ];
    assert_links(&overlay, MOVIE, &tree);
    for ((member, track), counts) in received(&overlay.links(), MOVIE) {
        // Those that came and stayed saw both servers.
        assert_gapless(&format!("{track} at {member}"), &counts);
    }
}

#[test]
fn four_clients_of_scenario_c_come_and_go_on_one_tree_for_each_stream() {
    let watch = Stopwatch::start("scenario C");
    let overlay = Overlay::from("examples/scenario-c.yaml").record().up();
    let members = overlay.topology()["members"].as_array().map(Vec::len);
    assert_eq!(members, Some(13), "eleven overlay nodes and two servers");
    watch.lap("ready");
    // c1 and c2 watch the movie, c3 both, c4 the video.
    let c1 = over_hls(&overlay, 0, MOVIE);
    let c2 = over_grpc(&overlay, 1, MOVIE);
    let c3 = [MOVIE, VIDEO].map(|stream| over_grpc(&overlay, 2, stream));
    let c4 = over_grpc(&overlay, 3, VIDEO);
    plays(&overlay, MOVIE, &[0, 1, 2], 0);
    plays(&overlay, VIDEO, &[2, 3], 0);
    watch.lap("four watch");

    let left = unix_ms();
    c2.finish().assert_unbroken("c2");
    c4.finish().assert_unbroken("c4");
    let still = [(MOVIE, 0), (MOVIE, 2), (VIDEO, 2)];
    assert_pruned(&overlay, MOVIE, &["edge-1"], left, &still);
    assert_pruned(&overlay, VIDEO, &["edge-3"], left, &[]);
    watch.lap("c2 and c4 have left");

    let back = unix_ms();
    let c2 = over_grpc(&overlay, 1, MOVIE);
    plays(&overlay, MOVIE, &[1], back);
    let left = unix_ms();
    for viewer in c3 {
        viewer.finish().assert_unbroken("c3");
    }
    let still = [(MOVIE, 0), (MOVIE, 1)];
    assert_pruned(&overlay, MOVIE, &["edge-2"], left, &still);
    // Nobody is left for the video: all of its tree goes, but for the branch that has gone before.
    let tree = links(&overlay, VIDEO);
    let members: BTreeSet<&str> = tree.iter().map(|(_, to)| to.as_str()).collect();
    let members: Vec<&str> = members.into_iter().filter(|to| *to != "edge-3").collect();
    assert_pruned(&overlay, VIDEO, &members, left, &still);
    watch.lap("c2 is back, c3 has left");

    c2.finish().assert_unbroken("c2, once more");
    c1.finish().assert_unbroken("c1");
    for stream in [MOVIE, VIDEO] {
        assert_one_tree(&overlay, stream);
    }
}

fn over_hls(overlay: &Overlay, edge: usize, stream: &str) -> Playing {
    let edge = &overlay.edges()[edge];
    overlay.play(&format!("{edge}/{stream}/index.m3u8"), LONG)
}

fn over_grpc(overlay: &Overlay, edge: usize, stream: &str) -> Playing {
    let edge = overlay.grpc_of(&format!("edge-{edge}"));
    let edge = edge.replace("http://", "grpc://");
    overlay.play(&format!("{edge}/{stream}"), LONG)
}

/// These edges have got two whole segments since.
#[track_caller]
fn plays(overlay: &Overlay, stream: &str, edges: &[usize], since: u64) {
    wait_until("every edge with a viewer is fed", BOUND, || {
        let rows = overlay.links();
        let fed = |edge: &usize| whole_since(&rows, &format!("edge-{edge}"), stream, since) >= 2;
        edges.iter().all(fed)
    });
}

/// These members leave all tracks of a stream that nobody watches below them, and nothing follows while `still` plays on.
#[track_caller]
fn assert_pruned(
    overlay: &Overlay,
    stream: &str,
    members: &[&str],
    since: u64,
    still: &[(&str, usize)],
) {
    let pruned = |row: &LinkRow| row.stream == stream && members.contains(&row.to.as_str());
    let carried: BTreeSet<(String, String)> = overlay
        .links()
        .into_iter()
        .filter(pruned)
        .map(|row| (row.to, row.track))
        .collect();
    assert_eq!(
        carried.len(),
        2 * members.len(),
        "each of {members:?} carried sound and picture of {stream}: {carried:?}"
    );
    wait_until("a branch that nobody watches is pruned", BOUND, || {
        let events = overlay.events();
        carried
            .iter()
            .all(|(member, track)| left_at(&events, member, stream, track, since).is_some())
    });
    let now = unix_ms();
    for (stream, edge) in still {
        plays(overlay, stream, &[*edge], now);
    }
    let (rows, events) = (overlay.links(), overlay.events());
    for row in rows.iter().filter(|row| pruned(row)) {
        let left = left_at(&events, &row.to, stream, &row.track, since);
        let left = left.unwrap_or_else(|| panic!("{} came back to {stream}", row.to));
        assert!(
            row.unix_ms <= left,
            "{row:?} was carried after {} had left at {left}",
            row.to
        );
    }
}

/// Exactly these links carried the stream so far.
#[track_caller]
fn assert_links(overlay: &Overlay, stream: &str, expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
    assert_eq!(links(overlay, stream), expected.collect(), "{stream}");
}

/// Every link carried every position once, whatever for, from its first to its last.
#[track_caller]
fn assert_each_link_carried_once(overlay: &Overlay, stream: &str) {
    let rows = overlay.links();
    let tracks: BTreeSet<&String> = rows.iter().map(|row| &row.track).collect();
    for track in tracks {
        for ((from, to), counts) in by_link(&rows, stream, track) {
            assert_gapless(&format!("{stream} {track} from {from} to {to}"), &counts);
        }
    }
}

/// Every member but a server has one parent for all of the stream; servers may change.
#[track_caller]
fn assert_one_tree(overlay: &Overlay, stream: &str) {
    let links = links(overlay, stream);
    let inner = || links.iter().filter(|(from, _)| !is_server(from));
    let fed: BTreeSet<&String> = inner().map(|(_, to)| to).collect();
    assert_eq!(
        inner().count(),
        fed.len(),
        "{stream}: a member had two parents: {links:?}"
    );
    let top = links.iter().filter(|(from, _)| is_server(from));
    let top: BTreeSet<&String> = top.map(|(_, to)| to).collect();
    assert_eq!(top, BTreeSet::from([&"root-0".to_owned()]), "{stream}");
}

/// Servers that fed the movie so far.
fn servers(overlay: &Overlay) -> BTreeSet<String> {
    let links = links(overlay, MOVIE).into_iter().map(|(from, _)| from);
    links.filter(|from| is_server(from)).collect()
}

fn is_server(member: &str) -> bool {
    member == "s1" || member == "s2"
}

fn links(overlay: &Overlay, stream: &str) -> BTreeSet<(String, String)> {
    let rows = overlay.links();
    let rows = rows.iter().filter(|row| row.stream == stream);
    rows.map(LinkRow::link).collect()
}

/// State of a content server as the roots see it.
fn state(overlay: &Overlay, server: &str) -> String {
    let origins = http::get_ok(&format!("{}/api/origins", overlay.page())).json();
    let row = find(&origins, "source", server).expect("every server must have a row");
    row["state"].as_str().unwrap_or("").to_owned()
}
