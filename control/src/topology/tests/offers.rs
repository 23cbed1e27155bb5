//! Offers that reports leave out: held for the call, replaced by a change, and of no other call.

use super::*;

fn names(t: &Topology, member: &str) -> Vec<String> {
    let offers = t.offered(member).iter();
    offers.map(|offer| offer.stream.clone()).collect()
}

fn whole(sequence: u64, version: u64, streams: &[&str]) -> v1::Report {
    v1::Report {
        offers: streams.iter().map(|stream| offer(stream)).collect(),
        offers_version: version,
        ..report(sequence, "root")
    }
}

fn short(sequence: u64, version: u64) -> v1::Report {
    v1::Report {
        offers_unchanged: true,
        ..whole(sequence, version, &[])
    }
}

fn kept(t: &mut Topology, session: Session) -> Option<u64> {
    t.poll_kept(session).map(|kept| kept.offers_version)
}

#[test]
fn offers_left_out_are_those_held_and_none_is_none() {
    let mut t = topology();
    let root = attach(&mut t, "root-0", at(0));
    assert_eq!(kept(&mut t, root), None);
    t.handle_report(root, whole(1, 1, &["plum", "fig"]), at(100))
        .unwrap();
    assert_eq!((kept(&mut t, root), kept(&mut t, root)), (Some(1), None));
    for sequence in 2..5 {
        t.handle_report(root, short(sequence, 1), at(sequence * 100))
            .unwrap();
        assert_eq!(names(&t, "root-0"), ["plum", "fig"]);
        assert!(t.poster("fig").is_some());
        assert_eq!(kept(&mut t, root), None, "told once");
    }
    t.handle_report(root, whole(5, 2, &["fig"]), at(500))
        .unwrap();
    assert_eq!(kept(&mut t, root), Some(2));
    t.handle_report(root, short(6, 2), at(600)).unwrap();
    assert_eq!(names(&t, "root-0"), ["fig"]);
    t.handle_report(root, whole(7, 3, &[]), at(700)).unwrap();
    assert_eq!(names(&t, "root-0"), [""; 0]);
}

#[test]
fn an_older_member_that_names_no_version_is_told_nothing_and_says_everything() {
    let mut t = topology();
    let root = attach(&mut t, "root-0", at(0));
    for (sequence, streams) in [(1, &["plum"][..]), (2, &["plum"]), (3, &[])] {
        t.handle_report(root, whole(sequence, 0, streams), at(sequence * 100))
            .unwrap();
        assert_eq!(names(&t, "root-0"), streams);
        assert_eq!(kept(&mut t, root), None);
    }
}

#[test]
fn offers_of_another_call_or_version_cannot_be_left_out() {
    let mut t = topology();
    let first = attach(&mut t, "root-0", at(0));
    t.handle_report(first, whole(1, 1, &["plum"]), at(100))
        .unwrap();
    let second = attach(&mut t, "root-0", at(200));
    assert_eq!(kept(&mut t, second), None, "said in another call");
    let refusal = t.handle_report(second, short(1, 1), at(300)).unwrap_err();
    assert_eq!(
        refusal,
        Refusal::UnknownOffers {
            version: 1,
            last: 0
        }
    );
    assert!(!refusal.is_harmless(), "the next call says everything");
    t.handle_report(second, whole(2, 1, &["plum"]), at(400))
        .unwrap();
    for (sequence, version) in [(3, 2), (4, 0)] {
        let refusal = t.handle_report(second, short(sequence, version), at(500));
        assert_eq!(refusal, Err(Refusal::UnknownOffers { version, last: 1 }));
    }
    assert_eq!(
        names(&t, "root-0"),
        ["plum"],
        "a refused report changes nothing"
    );
    assert_eq!(t.refusals()["UnknownOffers"], 3);
}

#[test]
fn a_dropped_report_is_not_taken_for_said() {
    let mut t = topology();
    let root = attach(&mut t, "root-0", at(0));
    t.handle_report(root, whole(9, 1, &["plum"]), at(100))
        .unwrap();
    assert_eq!(kept(&mut t, root), Some(1));
    // Too late to count, so its version is not said to be held.
    t.handle_report(root, whole(8, 2, &["fig"]), at(200))
        .unwrap_err();
    assert_eq!(kept(&mut t, root), None);
    t.handle_report(root, whole(10, 2, &["fig"]), at(300))
        .unwrap();
    assert_eq!(kept(&mut t, root), Some(2));
}
