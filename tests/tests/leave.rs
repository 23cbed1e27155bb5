//! Leave: with viewers at every edge, each relay between is told to terminate in turn, and one is drained by name; the
//! members below move before the leaver goes, no viewer loses or repeats anything, and the leaver exits 0.

use std::process::Command;
use std::time::Duration;

use banyan_tests::overlay::find;
use banyan_tests::process;
use banyan_tests::record::{Event, whole_since};
use banyan_tests::{Overlay, Playing, Restart, Stopwatch, binary, unix_ms, wait_until};
use rustix::process::Signal;

/// Long enough for four leaves on a busy machine.
const WATCH: u32 = 60;
const BOUND: Duration = Duration::from_secs(90);
/// Lame duck and drain of a member with their defaults, and some.
const LEAVES: Duration = Duration::from_secs(20);
const STREAM: &str = "clock";

#[test]
fn relays_that_leave_cost_no_viewer_a_chunk() {
    let watch = Stopwatch::start("leave");
    let overlay = Overlay::from("examples/campus.yaml")
        .record()
        .restart(Restart::Always)
        .up();
    watch.lap("ready");
    let edges = overlay.edges();
    let mut viewers: Vec<(String, Playing)> = edges
        .iter()
        .map(|edge| {
            let url = format!("{edge}/{STREAM}/index.m3u8");
            (format!("viewer at {edge}"), overlay.play(&url, WATCH))
        })
        .collect();
    flows(&overlay, edges.len(), 0, 2);
    watch.lap("playing");

    let mut moved = 0;
    for hall in ["hall-0", "hall-1", "hall-2"] {
        let began = unix_ms();
        let pid = overlay.process(hall).expect("it must run").pid;
        process::signal(pid, Signal::TERM);
        wait_until(&format!("{hall} is gone"), LEAVES, || {
            !process::is_alive(pid)
        });
        watch.lap(&format!("{hall} left"));
        moved += judge(&overlay, hall, began);
        wait_until(&format!("{hall} ended in order"), BOUND, || {
            overlay
                .stderr()
                .contains(&format!("{hall} ended (exit code 0)"))
        });
        wait_until(&format!("{hall} is back"), BOUND, || {
            overlay.process(hall).is_some_and(|back| back.pid != pid) && overlay.all_ready()
        });
        flows(&overlay, edges.len(), unix_ms(), 1);
    }

    let began = unix_ms();
    let hall = "hall-1";
    let pid = overlay.process(hall).expect("it must run").pid;
    let drained = drain(&overlay, &[hall, "--json"]);
    assert_eq!(drained.0, Some(0), "{drained:?}");
    assert!(drained.1.contains("\"left\""), "{drained:?}");
    wait_until("the drained member is gone", LEAVES, || {
        !process::is_alive(pid)
    });
    watch.lap("hall-1 drained");
    moved += judge(&overlay, hall, began);
    assert!(
        moved > 0,
        "somebody must have been fed by a relay that left"
    );
    wait_until("up says that it rests", BOUND, || {
        overlay
            .stderr()
            .contains("hall-1 ended (exit code 0) and is not started again")
    });
    flows(&overlay, edges.len(), unix_ms(), 1);
    assert!(
        overlay.process(hall).is_none(),
        "a drained member stays away"
    );
    let shown = find(&overlay.topology()["members"], "name", hall).expect("it must be shown");
    assert_eq!(
        (&shown["draining"], &shown["drain"]),
        (&true.into(), &"left".into())
    );

    let unknown = drain(&overlay, &["hall-9"]);
    assert_eq!(unknown.0, Some(64), "{unknown:?}");
    assert!(
        unknown.2.contains("hall-9") && unknown.2.contains("hall-0"),
        "{unknown:?}"
    );

    assert!(
        viewers.iter_mut().all(|(_, viewer)| viewer.is_watching()),
        "viewers must outlast the leaves; WATCH is too short"
    );
    for (who, viewer) in viewers {
        let report = viewer.report(BOUND);
        println!("  leave: {who}: {report:?}");
        report.assert_unbroken(&who);
    }
}

/// Every edge has got so many whole segments since.
fn flows(overlay: &Overlay, edges: usize, since: u64, segments: usize) {
    wait_until("every edge receives whole segments", BOUND, || {
        let links = overlay.links();
        (0..edges)
            .all(|edge| whole_since(&links, &format!("edge-{edge}"), STREAM, since) >= segments)
    });
}

/// Whoever was fed by the leaver moved, and moved because it was told to.
fn judge(overlay: &Overlay, leaver: &str, began: u64) -> usize {
    let switches: Vec<Event> = overlay
        .events()
        .into_iter()
        .filter(|event| {
            event.unix_ms >= began
                && event.name == "parent_switched"
                && event.text("from") == leaver
        })
        .collect();
    for switch in &switches {
        let cause = switch.text("cause");
        println!(
            "  leave: {} left {leaver}: {}",
            switch.member, switch.fields
        );
        assert!(
            cause == "GoAway" || cause == "Planned",
            "{} left {leaver} for {cause}",
            switch.member
        );
    }
    switches.len()
}

/// `banyan drain`: exit code, standard output, standard error.
fn drain(overlay: &Overlay, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary("banyan"))
        .arg("drain")
        .args(arguments)
        .args(["--control", &overlay.page()])
        .output()
        .expect("banyan drain must run");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}
