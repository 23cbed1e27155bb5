//! Which content server feeds: a better one wins gently, one that may not is left at once, and noise
//! moves nothing.

use std::time::Duration;

use banyan_proto::v1::{self, beat_request};
use futures::{StreamExt, stream};
use tonic::Status;

use crate::rendezvous;
use crate::testing::net::Health;
use crate::testing::origin::Content;
use crate::testing::overlay::{Overlay, Watching, pass};
use crate::testing::{STREAM, VIDEO, secret};

const SMALL: &str = "360p";

/// Two content servers with two tracks, two roots, two edges that watch both tracks.
async fn playing(seed: u64) -> (Overlay, Vec<Watching>) {
    let overlay = of_two(seed);
    let watching = watching(&overlay).await;
    pass(Duration::from_secs(5)).await;
    (overlay, watching)
}

fn of_two(seed: u64) -> Overlay {
    let content = Content {
        tracks: vec![VIDEO.into(), SMALL.into()],
        ..Content::default()
    };
    Overlay::test(seed)
        .with_origin("lisbon", content.clone())
        .with_origin("porto", content)
        .with_roots(&["root-0", "root-1"])
        .with_edge("edge-0", &["root-0", "root-1"])
        .with_edge("edge-1", &["root-1", "root-0"])
}

async fn watching(overlay: &Overlay) -> Vec<Watching> {
    let mut watching = Vec::new();
    for edge in ["edge-0", "edge-1"] {
        overlay.offered(edge).await;
        for track in [VIDEO, SMALL] {
            watching.push(overlay.watch_track(edge, track).await);
        }
    }
    watching
}

fn vitals(overlay: &Overlay, origin: &str, change: impl FnOnce(&mut v1::Beat)) {
    overlay.origins[origin].vitals.send_modify(change);
}

fn rtt(overlay: &Overlay, origin: &str, ms: u32) {
    vitals(overlay, origin, |beat| beat.rtt_median_us = ms * 1000);
}

/// Who feeds the two tracks at a member.
fn feeders(overlay: &Overlay, member: &str) -> Vec<String> {
    let tracks = overlay.library(member).status().tracks;
    tracks.into_iter().map(|track| track.parent).collect()
}

fn assert_unbroken(overlay: &Overlay) {
    let (number, _) = overlay.origins["lisbon"].position();
    for edge in ["edge-0", "edge-1"] {
        for track in [VIDEO, SMALL] {
            let counts = overlay.counts_of(edge, track);
            let broken = (counts.lost, counts.repeated, counts.out_of_order);
            assert_eq!(broken, (0, 0, 0), "{edge} {track}: {counts:?}");
        }
        let newest = overlay.received(edge).last().map(|c| c.number).unwrap();
        assert!(newest + 1 >= number, "{edge} is at {newest} of {number}");
    }
}

/// Causes and targets of the carrier's moves between content servers.
fn moves(overlay: &Overlay, carrier: &str) -> Vec<(String, String)> {
    super::moves(overlay, carrier, "origin_switched")
}

#[tokio::test(start_paused = true)]
async fn a_better_content_server_that_joins_wins_after_the_dwell() {
    for seed in 700..710 {
        let overlay = of_two(seed);
        let carrier = overlay.roots_in_order()[0].clone();
        rtt(&overlay, "lisbon", 200);
        overlay.net.set_health("porto", Health::Dead);
        let _watching = watching(&overlay).await;
        pass(Duration::from_millis(5000 + seed * 37 % 2000)).await;
        assert_eq!(feeders(&overlay, &carrier), ["lisbon", "lisbon"]);
        overlay.thaw("porto");
        pass(Duration::from_secs(9)).await;
        assert_eq!(moves(&overlay, &carrier), [], "before the dwell is over");
        pass(Duration::from_secs(9)).await;
        assert_eq!(feeders(&overlay, &carrier), ["porto", "porto"]);
        let expected = [(); 2].map(|()| ("BetterMetric".to_owned(), "porto".to_owned()));
        assert_eq!(moves(&overlay, &carrier), expected);
        pass(Duration::from_secs(30)).await;
        assert_eq!(moves(&overlay, &carrier).len(), 2);
        assert_unbroken(&overlay);
        // Make before break: nobody below saw a change.
        for edge in ["edge-0", "edge-1"] {
            assert!(overlay.events(edge, "parent_switched").is_empty(), "{edge}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_feed_is_left_without_a_break() {
    type Change = fn(&mut v1::Beat);
    let cases: [(Change, &str, &str); 2] = [
        (
            |beat| beat.clock_offset_us = 2_500_000,
            "ClockSkew",
            "ClockSkew",
        ),
        (|beat| beat.draining = true, "Drained", "Draining"),
    ];
    for (change, cause, reason) in cases {
        for seed in 720..725 {
            let (overlay, _watching) = playing(seed).await;
            let carrier = overlay.roots_in_order()[0].clone();
            let active = feeders(&overlay, &carrier)[0].clone();
            vitals(&overlay, &active, change);
            pass(Duration::from_secs(4)).await;
            let now = feeders(&overlay, &carrier);
            assert!(now.iter().all(|name| *name != active), "{now:?}");
            assert_eq!(moves(&overlay, &carrier).len(), 2);
            assert!(
                moves(&overlay, &carrier)
                    .iter()
                    .all(|(why, _)| why == cause)
            );
            let rows = overlay.library(&carrier).origins().unwrap();
            let row = rows.iter().find(|row| row.source == active).unwrap();
            assert_eq!(
                (row.state.as_str(), row.reason.as_str()),
                ("Ineligible", reason)
            );
            pass(Duration::from_secs(20)).await;
            assert_eq!(moves(&overlay, &carrier).len(), 2);
            assert_unbroken(&overlay);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_wrong_clock_at_the_root_moves_nobody() {
    let (overlay, _watching) = playing(730).await;
    let carrier = overlay.roots_in_order()[0].clone();
    for origin in ["lisbon", "porto"] {
        vitals(&overlay, origin, |beat| beat.clock_offset_us = -60_000_000);
    }
    pass(Duration::from_secs(60)).await;
    assert_eq!(moves(&overlay, &carrier), []);
    assert_unbroken(&overlay);
}

#[tokio::test(start_paused = true)]
async fn of_an_idle_stream_lost_heartbeats_change_the_choice() {
    for seed in 740..745 {
        let (overlay, watching) = playing(seed).await;
        let carrier = overlay.roots_in_order()[0].clone();
        let active = feeders(&overlay, &carrier)[0].clone();
        drop(watching);
        pass(Duration::from_secs(30)).await;
        assert!(feeders(&overlay, &carrier).is_empty());
        overlay.kill(&active);
        pass(Duration::from_secs(6)).await;
        let events = overlay.events(&carrier, "origin_reselected");
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["cause"], "HeartbeatLost");
        assert_eq!(events[0]["from"], active.as_str());
        assert_eq!(events[0]["moves"], false);
        let metrics = overlay.members[&carrier].metrics();
        let counted = "banyan_origin_switches_total{cause=\"HeartbeatLost\"} 1";
        assert!(metrics.lines().any(|line| line == counted), "{metrics}");
        let _again = overlay.watch("edge-0").await;
        pass(Duration::from_secs(3)).await;
        assert_ne!(overlay.parent(&carrier), active);
        assert_eq!(moves(&overlay, &carrier), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_content_server_without_beats_is_kept_while_its_media_flows() {
    let (overlay, _watching) = playing(750).await;
    let carrier = overlay.roots_in_order()[0].clone();
    let active = feeders(&overlay, &carrier)[0].clone();
    // Its beats alone are lost.
    overlay.origins[&active].beating.send_replace(false);
    pass(Duration::from_secs(60)).await;
    assert_eq!(moves(&overlay, &carrier), []);
    assert_eq!(
        feeders(&overlay, &carrier),
        [active.as_str(), active.as_str()]
    );
    let rows = overlay.library(&carrier).origins().unwrap();
    let row = rows.iter().find(|row| row.source == active).unwrap();
    assert_eq!(
        (row.state.as_str(), row.reason.as_str()),
        ("Active", "Silent")
    );
    assert_unbroken(&overlay);
}

#[tokio::test(start_paused = true)]
async fn noise_in_what_is_measured_moves_nobody() {
    for seed in 760..763 {
        let (overlay, _watching) = playing(seed).await;
        let carrier = overlay.roots_in_order()[0].clone();
        let mut state = seed;
        for _ in 0..300 {
            for origin in ["lisbon", "porto"] {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let noise = state;
                vitals(&overlay, origin, |beat| {
                    beat.rtt_median_us = 1000 + (noise % 60_000) as u32;
                    beat.late_permille = (noise / 7 % 30) as u32;
                    beat.load = Some(v1::Load {
                        cpu_permille: (noise / 11 % 300) as u32,
                        ..Default::default()
                    });
                });
            }
            pass(Duration::from_secs(1)).await;
        }
        assert!(
            moves(&overlay, &carrier).len() <= 2,
            "{:?}",
            moves(&overlay, &carrier)
        );
        assert_unbroken(&overlay);
    }
}

#[tokio::test(start_paused = true)]
async fn beats_that_cannot_be_believed_disturb_nothing() {
    let (overlay, _watching) = playing(770).await;
    let carrier = overlay.roots_in_order()[0].clone();
    let root = overlay.members[&carrier].clone();
    let before = (
        feeders(&overlay, &carrier),
        overlay.library(&carrier).origins().unwrap(),
    );
    let hello = |name: &str, by: &str| v1::BeatRequest {
        body: Some(beat_request::Body::Hello(v1::Hello {
            member_uid: name.to_owned(),
            ..secret().hello(by, "boot")
        })),
    };
    let body = |beat: v1::Beat| v1::BeatRequest {
        body: Some(beat_request::Body::Beat(beat)),
    };
    let beat = |sequence| v1::Beat {
        sequence,
        endpoints: vec!["http://mallory:1".into()],
        contents: vec![STREAM.into()],
        rtt_median_us: 1,
        ..Default::default()
    };
    let ask = async |messages: Vec<v1::BeatRequest>| -> Result<(), Status> {
        let messages = stream::iter(messages.into_iter().map(Ok));
        let mut replies = rendezvous::listen(root.clone(), messages).await?;
        while let Some(reply) = replies.next().await {
            reply?;
        }
        Ok(())
    };
    let impossible = v1::Beat {
        late_permille: 1001,
        ..beat(1)
    };
    let refused = root.counters.beats_refused.value();
    let told = ask(vec![hello("mallory", "mallory"), body(impossible)]).await;
    assert!(told.unwrap_err().message().contains("1001"));
    let replayed = vec![hello("mallory", "mallory"), body(beat(7)), body(beat(7))];
    assert!(ask(replayed).await.unwrap_err().message().contains('7'));
    // Claims to be lisbon, and is believed to be who its credential says.
    ask(vec![hello("lisbon", "mallory"), body(beat(1))])
        .await
        .unwrap();
    assert_eq!(root.counters.beats_refused.value(), refused + 2);
    pass(Duration::from_secs(20)).await;
    let rows = overlay.library(&carrier).origins().unwrap();
    let known = |rows: Vec<crate::status::OriginStatus>| -> Vec<_> {
        let known = rows.into_iter().filter(|row| row.source != "mallory");
        // Lies would bring the metric to nothing; what is measured goes on to vary by a millisecond.
        known
            .map(|row| (row.source, row.metric.div_ceil(5), row.state))
            .collect()
    };
    assert_eq!(known(rows), known(before.1));
    assert_eq!(feeders(&overlay, &carrier), before.0);
    assert_eq!(moves(&overlay, &carrier), []);
    assert_unbroken(&overlay);
}
