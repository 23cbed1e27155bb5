//! `banyan testbed capture`, `link` and `member`, on a testbed of scenario A that is up.

use std::time::Duration;

use banyan_tests::testbed::{Testbed, pcap};
use banyan_tests::{Playing, wait_until};
use serde_json::Value;

/// A capture holds what arrived at both ends while it went on, and nothing after its end.
#[track_caller]
pub(super) fn capture(testbed: &Testbed) {
    let work = tempfile::tempdir().expect("a temporary folder must be creatable");
    let file = work.path().join("root.pcap");
    let verb = |arguments: &[&str]| {
        let mut command = testbed.command("capture");
        command.args(arguments).current_dir(&work);
        command
    };
    let refused = testbed.refused(&mut verb(&["rp--s9", "root.pcap"]));
    assert_eq!(
        refused,
        "\"rp--s9\" is no link of this testbed; accepted are c1--rp, c2--rp, rp--s1"
    );
    assert!(!file.exists());

    let url = format!("{}/movie1/index.m3u8", testbed.edge(0));
    let viewer = Playing::start_as(testbed.banyan_in("screen-1"), "", &[&url, "--for", "6s"]);
    let before = delivered(testbed);
    testbed.run(&mut verb(&[LINK, "root.pcap"]));
    let begun = delivered(testbed);
    wait_until("frames arrive at both ends", BOUND, || {
        let now = delivered(testbed);
        [0, 1].iter().all(|way| now[*way] >= begun[*way] + FRAMES)
    });
    let ending = delivered(testbed);
    testbed.run(&mut verb(&[LINK, "--end"]));
    let after = delivered(testbed);

    let frames = pcap::frames(&file);
    let network = &testbed.status()["network"];
    for (way, sender) in ["rp", "s1"].iter().enumerate() {
        let address = address_on(network, sender);
        let sent = frames.iter().filter(|frame| frame.source() == address);
        let sent = sent.count() as u64;
        println!("  {sent} frames of {sender} in the capture");
        let least = ending[way] - begun[way];
        let most = after[way] - before[way];
        assert!(
            (least..=most).contains(&sent),
            "{sent} frames of {sender}; {least} to {most} arrived meanwhile"
        );
    }
    wait_until("more frames arrive after the end", BOUND, || {
        delivered(testbed)[1] >= after[1] + FRAMES
    });
    assert_eq!(pcap::frames(&file), frames, "the capture went on");
    viewer
        .report(BOUND)
        .assert_unbroken("a viewer over a captured link");
}

/// Changes of one direction leave the other as it is; frames meet them at once.
#[track_caller]
pub(super) fn links(testbed: &Testbed) {
    let verb = |arguments: &[&str]| {
        let mut command = testbed.command("link");
        command.args(arguments);
        command
    };
    let change = |arguments: &[&str]| {
        let link = [&[LINK], arguments].concat();
        testbed.run(&mut verb(&link));
        testbed.link(LINK)
    };
    let refused = testbed.refused(&mut verb(&["c1--screen-1", "--down"]));
    assert_eq!(
        refused,
        "\"c1--screen-1\" has nothing to emulate and can only be changed or captured in a testbed with --emulate-all; accepted are c1--rp, c2--rp, rp--s1"
    );

    // Heartbeats of s1 and answers to them cross this link every second.
    let link = change(&["--down", "--only", "there"]);
    assert_eq!(settings(&link, "up"), [&Value::from(false), &true.into()]);
    wait_until("frames to s1 are cut", BOUND, || {
        counter(&testbed.link(LINK), "cut_frames")[0] > 0
    });
    let link = testbed.link(LINK);
    assert_eq!(counter(&link, "cut_frames")[1], 0, "{link}");
    let link = change(&["--up", "--only", "there"]);
    assert_eq!(settings(&link, "up"), [&Value::from(true), &true.into()]);
    let before = delivered(testbed)[0];
    wait_until("frames to s1 arrive again", BOUND, || {
        delivered(testbed)[0] > before
    });

    let link = change(&["--delay", "80ms", "--loss", "0.5%", "--only", "back"]);
    let [was, is] = [50_000, 80_000].map(Value::from);
    assert_eq!(settings(&link, "delay_us"), [&was, &is]);
    assert_eq!(
        settings(&link, "loss_per_100k"),
        [&Value::from(0), &500.into()]
    );
    let link = change(&["--delay", "50ms", "--loss", "0%"]);
    assert_eq!(settings(&link, "delay_us"), [&was, &was]);
    assert_eq!(
        settings(&link, "loss_per_100k"),
        [&Value::from(0), &0.into()]
    );
    let link = change(&["--down"]);
    assert_eq!(settings(&link, "up"), [&Value::from(false), &false.into()]);
    let link = change(&["--up"]);
    assert_eq!(settings(&link, "up"), [&Value::from(true), &true.into()]);
}

/// A frozen member is the same process, a killed one another, a stopped one none.
#[track_caller]
pub(super) fn members(testbed: &Testbed) {
    let verb = |act: &str, member: &str| {
        let mut command = testbed.command("member");
        command.args([act, member]);
        command
    };
    for act in ["start", "stop", "kill", "freeze", "thaw"] {
        let refused = testbed.refused(&mut verb(act, "edge-7"));
        assert_eq!(
            refused, "there is no member \"edge-7\"; known are control, s1, root-0, edge-0, edge-1",
            "{act}"
        );
    }
    let member = |name: &str| testbed.member(name);
    let (first, _) = member("edge-0").expect("edge-0 must run");
    testbed.run(&mut verb("freeze", "edge-0"));
    wait_until("edge-0 is halted", BOUND, || {
        member("edge-0") == Some((first, 'T'))
    });
    testbed.run(&mut verb("thaw", "edge-0"));
    wait_until(
        "edge-0 goes on",
        BOUND,
        || matches!(member("edge-0"), Some((pid, 'S' | 'R')) if pid == first),
    );

    testbed.run(&mut verb("stop", "edge-1"));
    wait_until("edge-1 leaves", BOUND, || member("edge-1").is_none());
    for act in ["stop", "kill", "freeze", "thaw"] {
        let refused = testbed.refused(&mut verb(act, "edge-1"));
        assert_eq!(refused, "member \"edge-1\" is not running", "{act}");
    }
    testbed.run(&mut verb("kill", "edge-0"));
    wait_until("another process is edge-0", BOUND, || {
        member("edge-0").is_some_and(|(pid, _)| pid != first)
    });
    // The supervisor has had the time to bring one back, but not the one that was stopped.
    assert_eq!(member("edge-1"), None);
    let refused = testbed.refused(&mut verb("start", "edge-0"));
    assert_eq!(refused, "member \"edge-0\" is running");
    testbed.run(&mut verb("start", "edge-1"));
    wait_until("edge-1 returns", BOUND, || member("edge-1").is_some());
    let running = testbed.status()["running"].clone();
    let expected = ["control", "edge-0", "edge-1", "root-0", "s1"];
    assert_eq!(running, Value::from(expected.to_vec()));
}

fn delivered(testbed: &Testbed) -> [u64; 2] {
    counter(&testbed.link(LINK), "delivered_frames")
}

fn counter(link: &Value, name: &str) -> [u64; 2] {
    [0, 1].map(|way: usize| {
        let count = link["counters"][way][name].as_u64();
        count.unwrap_or_else(|| panic!("no {name} in {link}"))
    })
}

fn settings<'a>(link: &'a Value, name: &str) -> [&'a Value; 2] {
    [0, 1].map(|way: usize| &link["settings"][way][name])
}

/// Hardware address of a node's end of the link.
#[track_caller]
fn address_on(network: &Value, name: &str) -> String {
    let find = |list: &str, name: &str| {
        let all = network[list].as_array().into_iter().flatten();
        let found = all.into_iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {list}"))
    };
    let link = &find("links", LINK)["id"];
    let interfaces = find("nodes", name)["interfaces"].as_array();
    let interface = interfaces
        .into_iter()
        .flatten()
        .find(|one| one["link"] == *link);
    let mac = interface.and_then(|interface| interface["mac"].as_str());
    mac.expect("the node must have an interface on the link")
        .to_owned()
}

/// From its first end, the rendezvous point, there to the content server, and back.
const LINK: &str = "rp--s1";
/// Enough to be no accident.
const FRAMES: u64 = 20;
/// Retransmissions, restarts with their rests, a busy machine.
const BOUND: Duration = Duration::from_secs(90);
