//! Links fail by themselves: one direction or both, resets, long waits; and a whole process stands
//! still. Nothing is lost, nothing repeats, and only what is broken is left.

use std::time::Duration;

use banyan_media::position::Counts;
use banyan_testbed::link::Change;

use crate::testing::overlay::{Overlay, Watching, pass};

async fn playing(seed: u64) -> (Overlay, Watching) {
    let overlay = Overlay::campus(seed);
    overlay.offered("edge-0").await;
    let watching = overlay.watch("edge-0").await;
    pass(Duration::from_millis(5000 + 37 * seed)).await;
    assert_eq!(overlay.parent("edge-0"), "mid-0");
    (overlay, watching)
}

fn assert_unbroken(overlay: &Overlay) {
    let counts = overlay.counts("edge-0");
    let Counts { lost, repeated, .. } = counts;
    assert_eq!((lost, repeated), (0, 0), "{counts:?}");
    let (number, _) = overlay.origins["lisbon"].position();
    let newest = overlay.received("edge-0").last().unwrap().number;
    assert!(newest + 1 >= number, "at {newest}, the clock at {number}");
}

fn causes(overlay: &Overlay) -> Vec<String> {
    let switches = overlay.events("edge-0", "parent_switched");
    let cause = |event: &serde_json::Value| event["cause"].as_str().unwrap_or_default().to_owned();
    switches.iter().map(cause).collect()
}

#[tokio::test(start_paused = true)]
async fn a_lost_link_is_left_for_its_silence() {
    for (seed, one_way) in (0..10).zip([true, false].into_iter().cycle()) {
        let (overlay, _watching) = playing(seed).await;
        overlay.net.block("mid-0", "edge-0", true);
        overlay.net.block("edge-0", "mid-0", !one_way);
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay);
        assert_eq!(causes(&overlay), ["HopSilent"]);
        overlay.net.cut("mid-0", "edge-0", false);
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay);
    }
}

#[tokio::test(start_paused = true)]
async fn a_hop_that_turned_out_late_is_given_more_time_and_one_that_was_gone_is_not() {
    for (ms, causes_then) in [
        (400, vec!["HopSilent", "ConnectionLost"]),
        (720, vec!["HopSilent", "ConnectionLost", "HopSilent"]),
    ] {
        let (overlay, _watching) = playing(13).await;
        let silence = async |ms| {
            overlay.net.block("mid-0", "edge-0", true);
            pass(Duration::from_millis(ms)).await;
            overlay.net.block("mid-0", "edge-0", false);
            pass(Duration::from_secs(2)).await;
        };
        silence(ms).await;
        overlay.net.reset("mid-1", "edge-0");
        pass(Duration::from_secs(1)).await;
        assert_eq!(overlay.parent("edge-0"), "mid-0");
        silence(400).await;
        assert_eq!(causes(&overlay), causes_then);
        // What came late is looked at once and not taken.
        overlay.assert_whole("edge-0");
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_that_only_carries_down_goes_on_feeding() {
    let (overlay, _watching) = playing(10).await;
    overlay.net.block("edge-0", "mid-0", true);
    pass(Duration::from_secs(10)).await;
    assert_unbroken(&overlay);
    assert!(causes(&overlay).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_a_lost_connection() {
    let (overlay, _watching) = playing(11).await;
    overlay.net.reset("edge-0", "mid-0");
    pass(Duration::from_secs(10)).await;
    assert_unbroken(&overlay);
    assert_eq!(causes(&overlay), ["ConnectionLost"]);
}

#[tokio::test(start_paused = true)]
async fn a_long_link_is_no_silent_one() {
    let (overlay, _watching) = playing(12).await;
    let long = Change {
        delay_us: Some(475_000),
        jitter_us: Some(75_000),
        ..Change::default()
    };
    overlay.net.change("mid-0", "edge-0", &long);
    pass(Duration::from_secs(10)).await;
    overlay.net.usual("mid-0", "edge-0");
    pass(Duration::from_secs(10)).await;
    assert_unbroken(&overlay);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stood_still_blames_itself_and_not_its_parent() {
    for ms in [350, 900, 5000] {
        let (overlay, _watching) = playing(ms / 50).await;
        overlay.freeze("edge-0");
        pass(Duration::from_millis(ms)).await;
        overlay.thaw("edge-0");
        pass(Duration::from_secs(10)).await;
        assert_unbroken(&overlay);
        assert!(causes(&overlay).is_empty(), "{ms}: {:?}", causes(&overlay));
    }
}
