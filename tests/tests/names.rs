//! Names and bytes: one name means the same bytes at every edge and at every origin, whenever each was started, and
//! playlists of edges started at different times are equal. An origin that is killed while it prepares goes on where
//! it was and ends with the same bytes as one that was not.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use banyan_proto::v1;
use banyan_tests::grpc::{Caller, Fetched};
use banyan_tests::hls::{self, Collector};
use banyan_tests::{Overlay, Restart, Stopwatch, asset, http, unix_ms, wait_for, wait_until};

const BOUND: Duration = Duration::from_secs(90);

#[test]
fn one_name_means_the_same_bytes_everywhere() {
    let watch = Stopwatch::start("names");
    let overlay = Overlay::from("examples/campus.yaml")
        .restart(Restart::Always)
        .up();
    let started = unix_ms();
    watch.lap("ready");
    let edges = overlay.edges();
    assert_eq!(edges.len(), 4);
    let stream = "clock".to_owned();
    let tracks = tracks(&edges[0], &stream);
    assert!(tracks.len() >= 3, "two renditions and audio: {tracks:?}");
    let origins = overlay.origins_of(&stream);

    let before = assert_equal_on_all_edges(&edges, &stream, &tracks);
    for origin in &origins {
        assert_origin_serves(&overlay, origin, &stream, &before);
    }
    watch.lap("equal on all edges and both origins");

    let active = active_origin(&overlay, &stream);
    let first_life = overlay
        .process(&active)
        .expect("the active origin must run")
        .pid;
    overlay.kill9(&active);
    wait_until(
        &format!("{active} is back and offers {stream}"),
        BOUND,
        || {
            overlay
                .process(&active)
                .is_some_and(|process| process.pid != first_life)
                && offers(&overlay, &active, &stream)
        },
    );
    watch.lap("an origin was killed and is back");
    let after = assert_equal_on_all_edges(&edges, &stream, &tracks);
    for origin in &origins {
        assert_origin_serves(&overlay, origin, &stream, &after);
    }
    assert_eq!(
        runs(&before),
        runs(&after),
        "a restart of an origin must not change the run"
    );
    watch.lap("equal again");

    wait_until("twenty seconds lie between two edges", BOUND, || {
        unix_ms() >= started + 20_000
    });
    let old = overlay.process("edge-3").expect("edge-3 must run").pid;
    overlay.kill9("edge-3");
    wait_until("edge-3 is back and ready", BOUND, || {
        overlay
            .process("edge-3")
            .is_some_and(|process| process.pid != old)
            && http::try_get(&format!("{}/readyz", edges[3]), &[])
                .is_ok_and(|answer| answer.status == 200)
    });
    for track in &tracks {
        assert_equal_playlists(&edges, &stream, track);
    }
    watch.lap("playlists equal");
}

#[test]
fn an_origin_killed_while_it_prepares_goes_on_and_ends_with_the_same_bytes() {
    let watch = Stopwatch::start("names: preparation");
    let cache = tempfile::tempdir().expect("a temporary folder must be creatable");
    let launched = Overlay::from("tests/manifests/twins.yaml")
        .restart(Restart::Always)
        .cache(cache.path())
        .start();
    let own = cache.path().join("castor");
    wait_until("castor has prepared a few segments", BOUND, || {
        video_segments(&own).len() >= 5
    });
    launched.kill9("castor");
    let before = video_segments(&own);
    assert!(
        before.len() < 20,
        "castor was done before it could be killed: {} segments",
        before.len()
    );
    watch.lap("killed while preparing");

    let overlay = launched.ready();
    wait_until("castor offers what it prepared", BOUND, || {
        offers(&overlay, "castor", "harbour") && offers(&overlay, "pollux", "harbour")
    });
    let after = video_segments(&own);
    let kept = before
        .iter()
        .filter(|(name, stamp)| after.get(*name) == Some(stamp))
        .count();
    // What a worker had in its hands may be made again.
    let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    assert!(
        kept > 0 && kept + workers >= before.len(),
        "{kept} of {} segments were kept",
        before.len()
    );
    let (castor, pollux) = (only_asset(&own), only_asset(&cache.path().join("pollux")));
    wait_until("both are prepared to the end", BOUND, || {
        media(&castor).len() == media(&pollux).len()
    });
    let (castor, pollux) = (media(&castor), media(&pollux));
    assert!(
        castor.len() > 40,
        "inits and segments of both tracks: {}",
        castor.len()
    );
    for (name, bytes) in &castor {
        assert!(
            pollux.get(name) == Some(bytes),
            "{name} differs between the servers"
        );
    }
    watch.lap("prepared bytes are equal");

    let edges = overlay.edges();
    let served = assert_equal_on_all_edges(&edges, "harbour", &tracks(&edges[0], "harbour"));
    for origin in ["castor", "pollux"] {
        assert_origin_serves(&overlay, origin, "harbour", &served);
    }
}

/// Collects a few numbers of every track at every edge, as segments and as parts, and compares them.
fn assert_equal_on_all_edges(edges: &[String], stream: &str, tracks: &[String]) -> Vec<Collector> {
    let head = tracks
        .iter()
        .flat_map(|track| {
            edges
                .iter()
                .map(|edge| hls::playlist(edge, stream, track).head())
        })
        .max()
        .expect("there must be edges");
    let numbers: Range<u64> = head + 1..head + 3;
    let mut reference: Vec<Collector> = Vec::new();
    let mut collectors: Vec<Collector> = edges
        .iter()
        .flat_map(|edge| {
            tracks
                .iter()
                .map(|track| Collector::new(edge, stream, track, numbers.clone()))
        })
        .collect();
    hls::collect(&mut collectors, BOUND);
    for collector in collectors {
        let (edge, track) = (collector.edge.clone(), collector.track.clone());
        for (number, segment) in &collector.segments {
            let parts = parts(&edge, stream, &collector.run, &track, *number);
            assert!(parts.len() > 1, "{} has parts", collector.name());
            assert!(
                parts.concat() == *segment,
                "segment {number} of {} is its parts",
                collector.name()
            );
        }
        match reference.iter().find(|other| other.track == track) {
            None => reference.push(collector),
            Some(other) => {
                let what = format!("{} and {}", collector.name(), other.name());
                assert_eq!(collector.run, other.run, "runs of {what}");
                assert!(collector.init == other.init, "inits of {what} differ");
                assert!(
                    collector.segments == other.segments,
                    "segments of {what} differ"
                );
            }
        }
    }
    reference
}

/// Parts of a segment that is complete, by their own URLs.
fn parts(edge: &str, stream: &str, run: &str, track: &str, number: u64) -> Vec<Vec<u8>> {
    let mut parts = Vec::new();
    loop {
        let url = format!("{edge}/{stream}/{run}/{track}/{number}.{}.m4s", parts.len());
        let answer = http::get(&url);
        if answer.status == 404 {
            return parts;
        }
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        parts.push(answer.body);
    }
}

/// Asks an origin itself for what the edges served.
fn assert_origin_serves(overlay: &Overlay, origin: &str, stream: &str, served: &[Collector]) {
    for collector in served {
        let fetched = fetch(overlay, origin, stream, collector);
        assert!(
            fetched.init == collector.init,
            "init of {} from {origin} differs",
            collector.track
        );
        let mut segments: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (head, payload) in &fetched.chunks {
            assert_eq!(head.run, collector.run, "run of {origin}");
            segments
                .entry(head.number)
                .or_default()
                .extend_from_slice(payload);
        }
        assert!(
            segments == collector.segments,
            "segments of {} from {origin} differ",
            collector.track
        );
    }
}

fn active_origin(overlay: &Overlay, stream: &str) -> String {
    wait_for("a watched stream has an active origin", BOUND, || {
        overlay.stream(stream)["origin"].as_str().map(str::to_owned)
    })
}

fn fetch(overlay: &Overlay, origin: &str, stream: &str, collector: &Collector) -> Fetched {
    let numbers = collector.numbers();
    let request = v1::FetchRequest {
        stream: stream.to_owned(),
        track: collector.track.clone(),
        run: collector.run.clone(),
        init: true,
        from_number: numbers.start,
        to_number: numbers.end - 1,
        deadline_ms: 5_000,
        max_bytes: 64 << 20,
        ..Default::default()
    };
    Caller::new(overlay.secret(), "edge-0")
        .fetch(&overlay.grpc_of(origin), request)
        .unwrap_or_else(|status| panic!("fetch of {} from {origin}: {status}", collector.track))
}

fn offers(overlay: &Overlay, origin: &str, stream: &str) -> bool {
    overlay.process(origin).is_some()
        && Caller::new(overlay.secret(), "root-0")
            .offers(&overlay.grpc_of(origin))
            .is_ok_and(|offers| offers.iter().any(|offer| offer.stream == stream))
}

/// Whenever all edges have the same head, their playlists must be the same text; seen at two heads.
fn assert_equal_playlists(edges: &[String], stream: &str, track: &str) {
    let first = hls::playlist(&edges[3], stream, track).head();
    let mut heads = Vec::new();
    wait_until(
        &format!("playlists of {track} are compared at two heads"),
        BOUND,
        || {
            let playlists: Vec<_> = edges
                .iter()
                .map(|edge| hls::playlist(edge, stream, track))
                .collect();
            let head = playlists[0].head();
            if head < first + 2
                || heads.contains(&head)
                || playlists.iter().any(|playlist| playlist.head() != head)
            {
                return false;
            }
            for (edge, playlist) in edges.iter().zip(&playlists) {
                assert_eq!(
                    playlist.text, playlists[0].text,
                    "playlists of {edge} and {} at head {head}",
                    edges[0]
                );
            }
            heads.push(head);
            heads.len() == 2
        },
    );
}

fn tracks(edge: &str, stream: &str) -> Vec<String> {
    let (text, playlist) = hls::multivariant(edge, stream);
    let audio = playlist
        .alternatives
        .iter()
        .filter_map(|media| media.uri.clone());
    let uris = playlist
        .variants
        .iter()
        .map(|variant| variant.uri.clone())
        .chain(audio);
    let mut tracks: Vec<String> = uris
        .map(|uri| {
            uri.strip_suffix(".m3u8")
                .unwrap_or_else(|| panic!("{uri} in {text}"))
                .to_owned()
        })
        .collect();
    tracks.sort();
    tracks.dedup();
    tracks
}

fn runs(collectors: &[Collector]) -> Vec<&str> {
    collectors
        .iter()
        .map(|collector| collector.run.as_str())
        .collect()
}

/// Finished segments of video below a server's cache: name → when and how long it was written.
fn video_segments(cache: &Path) -> BTreeMap<String, (SystemTime, u64)> {
    asset::files(cache)
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|ext| ext == "m4s")
                && path.components().any(|c| c.as_os_str() == "360p")
        })
        .filter_map(|path| {
            let facts = fs::metadata(&path).ok()?;
            Some((
                path.file_name()?.to_string_lossy().into_owned(),
                (facts.modified().ok()?, facts.len()),
            ))
        })
        .collect()
}

fn only_asset(cache: &Path) -> PathBuf {
    let found = wait_for(&format!("an asset in {}", cache.display()), BOUND, || {
        asset::all(cache).pop()
    });
    assert_eq!(asset::all(cache).len(), 1, "one content makes one asset");
    found.folder
}

/// Inits and segments of an asset, by their names in it.
fn media(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    asset::files(folder)
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|ext| ext == "m4s" || ext == "mp4")
        })
        .map(|path| {
            let name = path
                .strip_prefix(folder)
                .expect("a file must lie in its folder")
                .display()
                .to_string();
            (
                name,
                fs::read(&path).expect("a prepared file must be readable"),
            )
        })
        .collect()
}
