//! Playlists as a function of the head.

use std::time::Duration;

use banyan_proto::v1;
use http::StatusCode;

use super::{EPOCH, Fake, PARTS, RUN, WINDOW, edge, get};
use crate::library::Ended;

#[tokio::test(start_paused = true)]
async fn edges_with_different_pasts_write_equal_playlists_at_the_same_head() {
    let (early, late) = (
        Fake::new().with_head("360p", 3),
        Fake::new().with_head("360p", 97),
    );
    let (first, second) = (edge(&early), edge(&late));
    let before = get(&first, "/kites/360p.m3u8").await;
    assert_ne!(before.body, get(&second, "/kites/360p.m3u8").await.body);
    for n in 4..=100 {
        early.set_head("360p", n, PARTS - 1);
    }
    late.set_head("360p", 100, PARTS - 1);
    let (a, b) = (
        get(&first, "/kites/360p.m3u8").await,
        get(&second, "/kites/360p.m3u8").await,
    );
    assert_eq!(a.body, b.body);
    assert_eq!(a.header("etag"), b.header("etag"));
    assert_eq!(
        get(&first, "/kites/index.m3u8").await.body,
        get(&second, "/kites/index.m3u8").await.body
    );
}

#[tokio::test(start_paused = true)]
async fn the_last_whole_segments_are_listed_and_the_running_one_is_not() {
    let fake = Fake::new();
    fake.set_head("360p", 100, 0);
    let edge = edge(&fake);
    let listed = |text: &str| -> Vec<u64> {
        let uris = text.lines().filter(|line| line.ends_with(".m4s"));
        uris.map(|uri| {
            uri.rsplit('/')
                .next()
                .unwrap()
                .trim_end_matches(".m4s")
                .parse()
                .unwrap()
        })
        .map(|number: u64| number - EPOCH)
        .collect()
    };
    let running = get(&edge, "/kites/360p.m3u8").await;
    assert_eq!(listed(running.text()), [96, 97, 98, 99]);
    fake.set_head("360p", 100, PARTS - 1);
    let whole = get(&edge, "/kites/360p.m3u8").await;
    assert_eq!(listed(whole.text()), [97, 98, 99, 100]);
    assert_eq!(listed(whole.text()).len(), WINDOW as usize);
    // A view that remembers more lists no more.
    let mut longer = super::view(100, PARTS - 1);
    let older = longer.segments[0].clone();
    longer.segments.insert(
        0,
        v1::SegmentInfo {
            number: EPOCH + 96,
            start: 96 * 50,
            ..older
        },
    );
    fake.change("360p", |view| *view = longer);
    assert_eq!(get(&edge, "/kites/360p.m3u8").await.body, whole.body);
    let sequence = format!("#EXT-X-MEDIA-SEQUENCE:{}", EPOCH + 97);
    assert!(
        whole.text().lines().any(|line| line == sequence),
        "{}",
        whole.text()
    );
}

#[tokio::test(start_paused = true)]
async fn many_viewers_cost_one_rendering_per_head() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    for _ in 0..50 {
        get(&edge, "/kites/360p.m3u8").await;
    }
    assert_eq!(edge.metrics.renders.get(), 1);
    // Parts move the head and not the playlist.
    for part in 0..PARTS - 1 {
        fake.set_head("360p", 101, part);
        get(&edge, "/kites/360p.m3u8").await;
    }
    assert_eq!(edge.metrics.renders.get(), 1);
    fake.set_head("360p", 101, PARTS - 1);
    for _ in 0..50 {
        get(&edge, "/kites/360p.m3u8").await;
    }
    assert_eq!(edge.metrics.renders.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_playlist_waits_for_one_whole_segment() {
    let fake = Fake::new();
    let edge = edge(&fake);
    let head = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        fake.set_head("360p", 0, 0);
        tokio::time::sleep(Duration::from_millis(400)).await;
        fake.set_head("360p", 0, PARTS - 1);
    };
    let asked = tokio::time::Instant::now();
    let request = async { (get(&edge, "/kites/360p.m3u8").await, asked.elapsed()) };
    let ((answer, waited), ()) = tokio::join!(request, head);
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(waited, Duration::from_millis(500));
    assert!(
        answer.text().contains(&format!("{RUN}/360p/{EPOCH}.m4s")),
        "{}",
        answer.text()
    );
}

#[tokio::test(start_paused = true)]
async fn the_multivariant_playlist_needs_no_subscription() {
    let fake = Fake::new();
    let edge = edge(&fake);
    let answer = get(&edge, "/kites/index.m3u8").await;
    for line in ["360p.m3u8", "720p.m3u8"] {
        assert!(
            answer.text().lines().any(|found| found == line),
            "{}",
            answer.text()
        );
    }
    assert!(answer.text().contains("audio.m3u8"));
    assert_eq!(fake.0.asked.load(std::sync::atomic::Ordering::Relaxed), 0);
    // A changed offer is told at once.
    fake.change_catalog(|catalog| {
        let mut offer = v1::Offer::clone(&catalog.offers["kites"]);
        offer.tracks.remove(0);
        catalog.offers.insert("kites".into(), offer.into());
    });
    assert!(
        !get(&edge, "/kites/index.m3u8")
            .await
            .text()
            .contains("720p")
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_of_run_a_gap_and_an_end_are_told() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    fake.change("360p", |view| {
        view.segments[1].gap = true;
        for info in &mut view.segments[2..] {
            info.run = "klmnopqrst".into();
            info.discontinuity_sequence = 1;
        }
    });
    let text = get(&edge, "/kites/360p.m3u8").await.text().to_owned();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    assert_eq!(text.matches("#EXT-X-GAP").count(), 1, "{text}");
    assert!(text.contains("klmnopqrst/360p/init.mp4"), "{text}");
    assert!(!text.contains("#EXT-X-ENDLIST"));
    fake.change("360p", |view| view.ended = Some(Ended { withdrawn: false }));
    assert!(
        get(&edge, "/kites/360p.m3u8")
            .await
            .text()
            .contains("#EXT-X-ENDLIST")
    );
}

#[tokio::test(start_paused = true)]
async fn only_who_asks_is_told_of_other_edges() {
    let fake = Fake::new().with_head("360p", 100);
    let edge = edge(&fake);
    let plain = get(&edge, "/kites/index.m3u8").await;
    let alone = get(&edge, "/kites/index.m3u8?pathways=all").await;
    assert_eq!(alone.text(), plain.text(), "no other edge is known");
    assert_eq!(
        get(&edge, "/api/steering").await.status,
        StatusCode::NOT_FOUND
    );

    let peer = |name: &str| v1::Peer {
        name: name.into(),
        uri: format!("http://{name}:80/"),
    };
    *fake.0.edges.lock().unwrap() = vec![peer("edge-1"), peer("edge-2"), peer("edge-0")];
    assert_eq!(get(&edge, "/kites/index.m3u8").await.text(), plain.text());
    let steered = get(&edge, "/kites/index.m3u8?sid=a&pathways=all").await;
    let text = steered.text();
    assert!(text.contains("\n360p.m3u8\n"), "{text}");
    assert!(
        text.contains("\nhttp://edge-2:80/kites/720p.m3u8\n"),
        "{text}"
    );
    assert!(
        text.contains("SERVER-URI=\"/api/steering\",PATHWAY-ID=\"edge-1\""),
        "{text}"
    );
    let same = get(&edge, "/kites/index.m3u8?pathways=all").await;
    assert_eq!(same.header("etag"), steered.header("etag"));

    let manifest = get(&edge, "/api/steering?_HLS_pathway=%22edge-1%22").await;
    assert_eq!(manifest.header("content-type"), "application/json");
    assert!(
        manifest
            .text()
            .contains("[\"edge-1\",\"edge-2\",\"edge-0\"]")
    );
    // About to leave: anybody but this one.
    *fake.0.ready.lock().unwrap() = false;
    let manifest = get(&edge, "/api/steering").await;
    assert!(
        manifest
            .text()
            .contains("[\"edge-2\",\"edge-0\",\"edge-1\"]")
    );
}
