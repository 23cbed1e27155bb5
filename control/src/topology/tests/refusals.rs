//! What changes nothing: stale, replaced, oversized, too many, false and strange inputs.

use super::*;

#[test]
fn reports_out_of_order_change_nothing_and_are_counted() {
    let (mut t, sessions) = flowing();
    let newer = v1::Report {
        pid: 2,
        ..report(9, "edge")
    };
    t.handle_report(sessions["edge-0"], newer, at(100)).unwrap();
    let revision = t.revision();
    for sequence in [9, 8, 0] {
        let refusal = t
            .handle_report(sessions["edge-0"], report(sequence, "edge"), at(200))
            .unwrap_err();
        assert_eq!(refusal, Refusal::StaleReport { sequence, last: 9 });
        assert!(refusal.is_harmless());
    }
    assert_eq!(t.revision(), revision);
    assert_eq!(t.refusals()["StaleReport"], 3);
    let edge = t
        .view(at(200))
        .members
        .into_iter()
        .find(|m| m.name == "edge-0");
    assert_eq!(edge.unwrap().pid, 2);
}

#[test]
fn a_newer_call_replaces_the_older_whose_inputs_and_end_no_longer_count() {
    let (mut t, sessions) = flowing();
    let hello = v1::Hello::default();
    let newer = t.handle_hello("edge-0", &hello, at(100)).unwrap();
    assert_eq!(newer.replaced, Some(sessions["edge-0"]));
    assert!(!t.is_current(sessions["edge-0"]));
    let refusal = t.handle_report(sessions["edge-0"], report(5, "edge"), at(110));
    assert_eq!(refusal, Err(Refusal::StaleSession));
    // Sequences are of the call: the new one starts anew.
    t.handle_report(newer.session, report(1, "edge"), at(120))
        .unwrap();
    t.handle_disconnect(sessions["edge-0"], at(130));
    t.handle_tick(at(4_000));
    assert_eq!(state(&t, "edge-0"), "ready");
}

#[test]
fn a_flood_is_dropped_beyond_its_burst_and_recovers() {
    let mut t = topology();
    let session = attach(&mut t, "edge-0", at(0));
    let mut taken = 0;
    for sequence in 1..=1_000 {
        match t.handle_report(session, report(sequence, "edge"), at(0)) {
            Ok(()) => taken += 1,
            Err(refusal) => assert_eq!(refusal.reason(), "TooManyReports"),
        }
    }
    assert_eq!(taken, 20);
    assert_eq!(t.refusals()["TooManyReports"], 980);
    t.handle_report(session, report(2_000, "edge"), at(100))
        .unwrap();
    assert!(
        t.handle_report(session, report(2_001, "edge"), at(100))
            .is_err()
    );
}

#[test]
fn whatever_is_too_large_is_refused_as_a_whole() {
    let many = |n: usize| vec!["x".to_owned(); n];
    let tracks = |t: v1::TrackReport| v1::Report {
        tracks: vec![t],
        ..report(2, "root")
    };
    let offers = |o: v1::Offer| v1::Report {
        offers: vec![o],
        ..report(2, "root")
    };
    let origins = |o: v1::OriginReport| v1::Report {
        origins: vec![o],
        ..report(2, "root")
    };
    let long = "x".repeat(129);
    let base = v1::TrackReport::default;
    let cases = [
        v1::Report {
            tracks: vec![base(); 1025],
            ..report(2, "root")
        },
        v1::Report {
            offers: vec![v1::Offer::default(); 65],
            ..report(2, "root")
        },
        v1::Report {
            origins: vec![v1::OriginReport::default(); 65],
            ..report(2, "root")
        },
        v1::Report {
            http: long.clone(),
            ..report(2, "root")
        },
        tracks(v1::TrackReport {
            children: many(513),
            ..base()
        }),
        tracks(v1::TrackReport {
            path: many(33),
            ..base()
        }),
        tracks(v1::TrackReport {
            path: vec![long.clone()],
            ..base()
        }),
        tracks(v1::TrackReport {
            stream: long.clone(),
            ..base()
        }),
        offers(v1::Offer {
            poster: vec![0; 65_537].into(),
            ..Default::default()
        }),
        offers(v1::Offer {
            tracks: vec![v1::Track::default(); 33],
            ..Default::default()
        }),
        offers(v1::Offer {
            title: "x".repeat(1025),
            ..Default::default()
        }),
        origins(v1::OriginReport {
            contents: many(65),
            ..Default::default()
        }),
        origins(v1::OriginReport {
            preparing: vec![v1::Preparation {
                error: "x".repeat(1025),
                ..Default::default()
            }],
            ..Default::default()
        }),
    ];
    for case in cases {
        let (mut t, sessions) = flowing();
        let before = t.view(at(50));
        let refusal = t
            .handle_report(sessions["root-0"], case, at(50))
            .unwrap_err();
        assert_eq!(refusal.reason(), "OversizedReport", "{refusal}");
        assert!(!refusal.is_harmless());
        assert_eq!(t.view(at(50)), before);
    }
}

#[test]
fn strangers_are_refused_with_a_sentence() {
    let mut t = topology();
    let refusal = t
        .handle_hello("edge-9", &v1::Hello::default(), at(0))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "member \"edge-9\" is not part of topology \"orchard\""
    );
    assert_eq!(t.refusals()["UnknownMember"], 1);
    assert_eq!(t.sessions(), 0);
}

#[test]
fn a_report_that_claims_another_role_is_refused() {
    let mut t = topology();
    let session = attach(&mut t, "edge-0", at(0));
    let refusal = t
        .handle_report(session, report(1, "root"), at(10))
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "report of \"edge-0\" claims role \"root\"; its role is edge"
    );
    assert_eq!(state(&t, "edge-0"), "starting");
}

#[test]
fn a_report_of_what_cannot_be_is_dropped_whole_and_counted() {
    let path = |names: &[&str]| v1::TrackReport {
        path: names.iter().map(|name| (*name).to_owned()).collect(),
        ..track("harvest", "tall", "mid-0")
    };
    let tracks = |track| v1::Report {
        tracks: vec![track],
        ..report(9, "edge")
    };
    let probe = |change: &dyn Fn(&mut v1::ProbeReport)| {
        let mut probe = v1::ProbeReport {
            peer: "mid-0".to_owned(),
            rtt_min_us: 100,
            rtt_median_us: 200,
            loss_permille: 0,
            samples: 12,
        };
        change(&mut probe);
        v1::Report {
            probes: vec![probe],
            ..report(9, "edge")
        }
    };
    let cases = [
        (tracks(track("harvest", "tall", "edge-0")), "itself"),
        (tracks(path(&["pear", "mid-0", "pear"])), "each member once"),
        (
            v1::Report {
                parents: vec!["mid-0".to_owned(), "edge-0".to_owned()],
                ..report(9, "edge")
            },
            "itself",
        ),
        (probe(&|p| p.loss_permille = 1001), "0 to 1000"),
        (probe(&|p| p.rtt_min_us = 201), "up to the median"),
        (probe(&|p| p.samples = 0), "a sample"),
        (probe(&|p| p.peer = "edge-0".to_owned()), "itself"),
    ];
    let count = cases.len() as u64;
    let (mut t, sessions) = flowing();
    let before = t.view(at(50));
    for (case, part) in cases {
        let refusal = t
            .handle_report(sessions["edge-0"], case, at(50))
            .unwrap_err();
        assert!(refusal.to_string().contains(part), "{refusal}");
        assert!(refusal.is_harmless(), "the call goes on");
    }
    assert_eq!(t.refusals()["ImpossibleReport"], count);
    assert_eq!(t.view(at(50)), before);
    let good = probe(&|_| {});
    t.handle_report(sessions["edge-0"], good, at(60)).unwrap();
    // A parent nobody knows is shown to nobody, and counted.
    let strange = v1::Report {
        sequence: 10,
        ..tracks(track("harvest", "tall", "nowhere-0"))
    };
    t.handle_report(sessions["edge-0"], strange, at(70))
        .unwrap();
    assert_eq!(t.refusals()["UnknownParent"], 1);
    assert!(t.view(at(80)).links.iter().all(|l| l.from != "nowhere-0"));
}
