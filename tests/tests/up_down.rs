//! `banyan up` comes and goes: SIGINT and SIGTERM leave no process and no temporary file, a second one works beside
//! the first, a killed one leaves no process, `--epoch` sets the channel clock, `--json` is one line.

use std::time::Duration;

use banyan_tests::overlay::find;
use banyan_tests::{Overlay, Restart, Stopwatch, hls, http, unix_ms, wait_until};
use rustix::process::Signal;

const PLAIN: &str = "tests/manifests/plain.yaml";
const BOUND: Duration = Duration::from_secs(60);

#[test]
fn two_overlays_live_side_by_side_and_leave_nothing() {
    let watch = Stopwatch::start("up_down: two");
    let mut first = Overlay::from(PLAIN).up();
    let mut second = Overlay::from("examples/minimal.yaml").up();
    watch.lap("both ready");
    assert_ne!(first.page(), second.page());
    for overlay in [&first, &second] {
        let line = overlay.stdout();
        assert_eq!(
            line.len(),
            1,
            "exactly one line on standard output: {line:?}"
        );
        let announced = overlay.announcement();
        assert!(
            !announced.streams.is_empty() && !announced.edges.is_empty(),
            "{announced:?}"
        );
        assert_eq!(
            http::get_ok(&format!("{}/healthz", overlay.page())).status,
            200
        );
        assert_pids(overlay);
    }
    let streams = [&first, &second].map(|overlay| {
        let url = format!(
            "{}/{}/index.m3u8",
            overlay.edges()[0],
            overlay.announcement().streams[0]
        );
        overlay.play(&url, 5)
    });
    for (who, viewer) in ["first", "second"].iter().zip(streams) {
        viewer.report(BOUND).assert_unbroken(who);
    }
    watch.lap("both played");
    second.end_with(Signal::INT);
    assert!(
        first.all_ready(),
        "the first must not notice the end of the second"
    );
    first.end_with(Signal::TERM);
    watch.lap("both ended");
}

#[test]
fn a_killed_up_leaves_no_process() {
    let watch = Stopwatch::start("up_down: kill -9");
    let overlay = Overlay::from(PLAIN).up();
    assert!(
        overlay.processes().len() >= 5,
        "up, control, origin, root and edge: {:?}",
        overlay.processes()
    );
    overlay.into_launched().kill9_up();
    watch.lap("no process left");
}

#[test]
fn an_interrupt_before_it_is_ready_leaves_nothing() {
    let _watch = Stopwatch::start("up_down: early interrupt");
    let cache = tempfile::tempdir().expect("a temporary folder must be creatable");
    let mut launched = Overlay::from("tests/manifests/twins.yaml")
        .cache(cache.path())
        .start();
    wait_until("its origin runs", BOUND, || {
        launched.process("castor").is_some()
    });
    launched.end_with(Signal::INT);
    assert!(
        launched.stdout().is_empty(),
        "nothing was announced: {:?}",
        launched.stdout()
    );
}

#[test]
fn a_given_epoch_is_the_channels_zero() {
    let watch = Stopwatch::start("up_down: epoch");
    let epoch = unix_ms() / 1000 - 1_000;
    let overlay = Overlay::from(PLAIN).epoch(epoch).up();
    let edge = &overlay.edges()[0];
    let streams = http::get_ok(&format!("{edge}/api/streams")).json();
    let entry =
        find(&streams, "name", "pulse").unwrap_or_else(|| panic!("pulse is not in {streams}"));
    assert_eq!(entry["epoch"], epoch, "{entry}");
    assert_eq!(overlay.topology()["epoch"], epoch);
    let playlist = hls::playlist(edge, "pulse", "90p");
    // Segments of one second: the newest whole one ended at most a few seconds ago.
    let behind = (unix_ms() / 1000).saturating_sub(playlist.head() + 1);
    assert!(
        playlist.head() >= epoch + 990 && behind <= 5,
        "head {} at epoch {epoch}, {behind} s ago",
        playlist.head()
    );
    watch.lap("numbers count from the epoch");
}

#[test]
fn a_dead_member_comes_back_where_it_was() {
    let watch = Stopwatch::start("up_down: restart");
    let overlay = Overlay::from(PLAIN).restart(Restart::Always).up();
    for member in ["edge-0", "root-0", "faro", "control"] {
        let before = overlay
            .process(member)
            .unwrap_or_else(|| panic!("{member} must run"));
        overlay.kill9(member);
        wait_until(
            &format!("{member} runs again at the same place"),
            BOUND,
            || {
                overlay
                    .process(member)
                    .is_some_and(|now| now.pid != before.pid && now.args == before.args)
            },
        );
        wait_until(
            &format!("all are ready after the death of {member}"),
            BOUND,
            || overlay.all_ready(),
        );
        watch.lap(&format!("{member} is back"));
    }
    // What members said to the control plane that died, they say again to the next one.
    let page = overlay.page();
    let streams = overlay.get(&format!("{page}/api/streams")).json();
    assert_eq!(streams[0]["name"], "pulse", "{streams}");
    assert_eq!(streams[0]["poster"], "/pulse/poster.jpg", "{streams}");
    let metrics = overlay.get(&format!("{page}/metrics")).text();
    assert!(!metrics.contains("UnknownOffers"), "{metrics}");
    let url = format!("{}/pulse/index.m3u8", overlay.edges()[0]);
    overlay
        .play(&url, 5)
        .report(BOUND)
        .assert_unbroken("a viewer after four restarts");
}

/// What control says of a member's process must be true.
fn assert_pids(overlay: &Overlay) {
    let topology = overlay.topology();
    let members = topology["members"]
        .as_array()
        .expect("a topology must list members");
    assert!(members.len() >= 3, "{topology}");
    for member in members {
        let name = member["name"].as_str().expect("a member must have a name");
        if name == "control" {
            continue;
        }
        let process = overlay
            .process(name)
            .unwrap_or_else(|| panic!("{name} does not run"));
        assert_eq!(member["pid"], process.pid, "pid of {name}");
        assert_eq!(member["state"], "ready", "state of {name}");
    }
}
