//! One copy per link: whatever the number of viewers, each link carries each (track, number, part) exactly once, a
//! track that nobody watches moves nothing, and after the last leave a logged `unsubscribed` ends the flow.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use banyan_tests::record::{LinkRow, assert_exactly_once, by_link, left_at, whole_numbers};
use banyan_tests::{Overlay, Playing, Stopwatch, http, unix_ms, wait_until};

/// A viewer's idle time of 10 s, a prune of 1 s per tier, and slack for a busy machine.
const LEAVE: Duration = Duration::from_secs(10 + 3 + 12);
/// Fewer numbers prove nothing.
const ENOUGH: u64 = 3;
const WATCH: u32 = 14;

#[test]
fn each_link_carries_each_position_once_and_only_what_is_watched() {
    let watch = Stopwatch::start("links");
    let overlay = Overlay::from("examples/campus.yaml").record().up();
    watch.lap("ready");
    let edges = overlay.edges();
    let stream = "clock".to_owned();
    let origins = overlay.origins_of(&stream);
    let ladder = Ladder::of(&edges[0], &stream);
    let url = |edge: &String| format!("{edge}/{stream}/index.m3u8");

    // The smallest rendition alone.
    let since = unix_ms();
    let viewer = start(
        &overlay,
        &[&url(&edges[0]), "--track", &ladder.small, "--for", "8s"],
    );
    viewer
        .report(bound())
        .assert_unbroken("the viewer of the smallest rendition");
    assert_left(&overlay, &stream, since);
    let rows = rows(&overlay, &stream, since);
    let tracks: BTreeSet<&str> = rows.iter().map(|row| row.track.as_str()).collect();
    assert_eq!(
        tracks,
        BTreeSet::from([ladder.small.as_str()]),
        "tracks moved for a viewer of {}",
        ladder.small
    );
    watch.lap("one rendition moves nothing of another");

    // One viewer, then twenty at the same edge, then twenty over all edges.
    let all: Vec<String> = edges.iter().map(url).collect();
    let shapes: [(&str, &[String], u32); 3] = [
        ("one viewer", &all[..1], 1),
        ("twenty viewers of one edge", &all[..1], 20),
        ("twenty viewers", &all, 5),
    ];
    let mut carried = Vec::new();
    for (name, urls, viewers) in shapes {
        let since = unix_ms();
        let (length, count) = (format!("{WATCH}s"), viewers.to_string());
        let playing: Vec<Playing> = urls
            .iter()
            .map(|url| {
                start(
                    &overlay,
                    &[
                        url,
                        "--rendition",
                        &ladder.large,
                        "--for",
                        &length,
                        "--viewers",
                        &count,
                    ],
                )
            })
            .collect();
        for viewer in playing {
            let report = viewer.report(bound());
            report.assert_unbroken(name);
            assert_eq!(report.playing, u64::from(viewers), "{name}: {report:?}");
        }
        assert_left(&overlay, &stream, since);
        let rows = rows_of(&overlay, &stream, since);
        let mut links = BTreeMap::new();
        for track in [&ladder.large, &ladder.audio] {
            links = assert_tree_carries_once(&overlay, &rows, &stream, track, urls.len());
        }
        assert!(
            rows.iter().all(|row| row.track != ladder.small),
            "{name}: {} was moved unasked",
            ladder.small
        );
        watch.lap(&format!(
            "{name}: each position once on {} links",
            links.len()
        ));
        // Which origin feeds the tree may change while nobody watches.
        let inner = links
            .into_keys()
            .filter(|(from, _)| !origins.contains(from));
        carried.push(inner.collect::<BTreeSet<_>>());
    }
    assert_eq!(
        carried[0], carried[1],
        "twenty viewers of an edge must use the links of one"
    );
}

/// Checks that the links of a track form a tree from one origin to the edges, and that each carried every position of
/// a common range of numbers exactly once. Gives the links.
fn assert_tree_carries_once(
    overlay: &Overlay,
    rows: &[LinkRow],
    stream: &str,
    track: &str,
    edges: usize,
) -> BTreeMap<(String, String), Range<u64>> {
    let links = by_link(rows, stream, track);
    let parents: BTreeMap<&str, &str> = links
        .keys()
        .map(|(from, to)| (to.as_str(), from.as_str()))
        .collect();
    assert_eq!(
        parents.len(),
        links.len(),
        "{track}: a member had two parents: {:?}",
        links.keys()
    );
    let fed: Vec<_> = parents
        .keys()
        .filter(|member| member.starts_with("edge-"))
        .collect();
    assert_eq!(fed.len(), edges, "{track}: edges fed: {fed:?}");
    let top: BTreeSet<&str> = parents
        .values()
        .copied()
        .filter(|member| !parents.contains_key(member))
        .collect();
    let origin = overlay.stream(stream)["origin"]
        .as_str()
        .unwrap_or("")
        .to_owned();
    assert_eq!(
        top.len(),
        1,
        "{track}: one origin feeds the tree: {top:?} (active: {origin:?})"
    );

    let parts = links
        .values()
        .flat_map(|counts| counts.keys())
        .map(|(_, part)| part + 1)
        .max()
        .expect("media moved");
    let whole: Vec<BTreeSet<u64>> = links
        .values()
        .map(|counts| whole_numbers(counts, parts))
        .collect();
    let first = whole
        .iter()
        .filter_map(|numbers| numbers.first())
        .max()
        .expect("every link carried media");
    let last = whole
        .iter()
        .filter_map(|numbers| numbers.last())
        .min()
        .expect("every link carried media");
    let numbers = *first..last + 1;
    assert!(
        numbers.end >= numbers.start + ENOUGH,
        "{track}: too few common numbers: {numbers:?}"
    );
    for ((from, to), counts) in &links {
        assert_exactly_once(
            &format!("{track} from {from} to {to}"),
            counts,
            numbers.clone(),
            parts,
        );
    }
    links
        .into_keys()
        .map(|link| (link, numbers.clone()))
        .collect()
}

/// Waits until every member that carried the stream has logged that it left, and checks that nothing followed.
fn assert_left(overlay: &Overlay, stream: &str, since: u64) {
    let mut open = Vec::new();
    wait_until("every member leaves after the last viewer", LEAVE, || {
        let events = overlay.events();
        open = rows_of(overlay, stream, since)
            .into_iter()
            .map(|row| (row.to, row.track))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|(member, track)| left_at(&events, member, stream, track, since).is_none())
            .collect();
        open.is_empty()
    });
    let events = overlay.events();
    for row in rows_of(overlay, stream, since) {
        let left =
            left_at(&events, &row.to, stream, &row.track, since).expect("every member has left");
        assert!(
            row.unix_ms <= left,
            "{} received {row:?} after it unsubscribed at {left}",
            row.to
        );
    }
}

fn rows_of(overlay: &Overlay, stream: &str, since: u64) -> Vec<LinkRow> {
    overlay
        .links()
        .into_iter()
        .filter(|row| row.stream == stream && row.unix_ms >= since)
        .collect()
}

fn rows(overlay: &Overlay, stream: &str, since: u64) -> Vec<LinkRow> {
    let rows = rows_of(overlay, stream, since);
    assert!(!rows.is_empty(), "nothing moved");
    rows
}

fn start(overlay: &Overlay, arguments: &[&str]) -> Playing {
    Playing::start(overlay.secret(), arguments)
}

fn bound() -> Duration {
    Duration::from_secs(60)
}

/// Names of a stream's tracks by what they are.
struct Ladder {
    small: String,
    large: String,
    audio: String,
}

impl Ladder {
    fn of(edge: &str, stream: &str) -> Self {
        let streams = http::get_ok(&format!("{edge}/api/streams")).json();
        let entry = banyan_tests::overlay::find(&streams, "name", stream)
            .expect("an edge must list its streams");
        let tracks = entry["tracks"]
            .as_array()
            .expect("a stream must list its tracks");
        let name = |track: &serde_json::Value| track["name"].as_str().unwrap_or("").to_owned();
        let mut videos: Vec<_> = tracks
            .iter()
            .filter(|track| track["kind"] == "video")
            .collect();
        videos.sort_by_key(|track| track["height"].as_u64());
        assert!(videos.len() >= 2, "two renditions are needed: {tracks:?}");
        let audio = tracks
            .iter()
            .find(|track| track["kind"] == "audio")
            .expect("a stream with sound is needed");
        Self {
            small: name(videos[0]),
            large: name(videos[videos.len() - 1]),
            audio: name(audio),
        }
    }
}
