//! Figures of small worlds, worked out by hand.

use super::*;
use crate::experiment::schedule::tests::Stage;
use crate::experiment::world::{Count, MemberRecord, ViewerRecord, Watch};

const ZERO: u64 = 1_000_000;

fn done(at_ms: u64, action: Action, hurts: bool) -> Done {
    Done {
        at_ms,
        begun_ms: at_ms + 3,
        done_ms: at_ms + 4,
        action,
        hurts,
    }
}

fn watch() -> Action {
    Action::StartViewer(Watch {
        viewer: "viewer-1".to_owned(),
        node: "screen-1".to_owned(),
        stream: "cider".to_owned(),
        sources: Vec::new(),
        over: Default::default(),
        rendition: "lowest".to_owned(),
    })
}

fn measured(done: &[Done], collected: &Collected) -> Figures {
    let started = Started {
        unix_ms: ZERO,
        ..Started::default()
    };
    figures(Stage::new().scene(), &started, done, collected)
}

#[test]
fn detection_and_resume_are_told_from_records() {
    let kill = Action::Kill {
        member: "twig-0".to_owned(),
    };
    let done = [done(0, watch(), false), done(9_997, kill, true)];
    // Segments of 2 s, one part each, 100 ms after their time; after the kill at 10 000 one comes 350 ms late.
    let mut trace = "unix_ms,viewer,event,source,track,number,part,last\n".to_owned();
    for number in 1..=8_u64 {
        let late = if number == 5 { 350 } else { 0 };
        let at = ZERO + number * 2_000 + 100 + late;
        trace += &format!("{at},0,chunk,10.0.0.1:8080,240p,{number},0,1\n");
    }
    let events = format!(
        "{{\"unix_ms\":{},\"event\":\"parent_switched\",\"stream\":\"cider\",\"track\":\"240p\",\"from\":\"twig-1\",\"to\":\"root-0\",\"cause\":\"Planned\"}}\n{{\"unix_ms\":{},\"event\":\"parent_switched\",\"stream\":\"cider\",\"track\":\"240p\",\"from\":\"twig-0\",\"to\":\"twig-1\",\"cause\":\"HopClosed\"}}\n{{\"unix_",
        ZERO + 10_020,
        ZERO + 10_180
    );
    let mut collected = Collected::default();
    let report = "{\"playing\":1,\"startup_ms\":700,\"stalls\":2,\"lost\":0,\"latency_ms\":{\"p50\":900,\"p95\":null},\"unknown\":[]}";
    collected.viewers.insert(
        "viewer-1".to_owned(),
        ViewerRecord {
            report: report.to_owned(),
            trace,
        },
    );
    collected.members.insert(
        "edge-0".to_owned(),
        MemberRecord {
            links_csv: String::new(),
            events_jsonl: events,
        },
    );
    let figures = measured(&done, &collected);
    let value = |key: &str| figures.values.get(key).copied();
    assert_eq!(
        value("detect_ms"),
        Some(180.0),
        "another parent's switch is none"
    );
    assert_eq!(value("resume_ms"), Some(350.0));
    assert_eq!(value("parent_switches"), Some(2.0));
    assert_eq!(value("origin_switches"), Some(0.0));
    assert_eq!(
        (value("stalls"), value("startup_ms")),
        (Some(2.0), Some(700.0))
    );
    assert_eq!(value("latency_p50_ms"), Some(900.0));
    assert_eq!(value("schedule_late_ms"), Some(3.0));
    assert_eq!(value("silent_viewers"), Some(0.0));
    assert_eq!(figures.switches[1].at_ms, 10_180);
}

#[test]
fn a_server_that_joins_and_feeds_is_timed() {
    let start = Action::Start {
        member: "shed".to_owned(),
    };
    let done = [done(5_000, start, false)];
    let mut collected = Collected::default();
    let line = format!(
        "{{\"unix_ms\":{},\"event\":\"parent_switched\",\"from\":\"barn\",\"to\":\"shed\",\"cause\":\"BetterMetric\"}}\n",
        ZERO + 17_003
    );
    collected.members.insert(
        "root-0".to_owned(),
        MemberRecord {
            links_csv: String::new(),
            events_jsonl: line,
        },
    );
    let figures = measured(&done, &collected);
    assert_eq!(figures.values.get("joined_to_feeding_ms"), Some(&12_000.0));
    assert_eq!(figures.values.get("origin_switches"), Some(&1.0));
    assert_eq!(figures.values.get("detect_ms"), None);
}

#[test]
fn bit_rates_are_the_median_viewers_and_the_least() {
    let viewer = |name: &str| match watch() {
        Action::StartViewer(watch) => Action::StartViewer(Watch {
            viewer: name.to_owned(),
            ..watch
        }),
        other => other,
    };
    let mut collected = Collected::default();
    let mut actions = Vec::new();
    for (name, report) in [
        (
            "viewer-1",
            "{\"playing\":1,\"mean_bitrate_bps\":410999,\"rendition_changes\":7}",
        ),
        (
            "viewer-2",
            "{\"playing\":1,\"mean_bitrate_bps\":900000,\"rendition_changes\":1}",
        ),
        ("viewer-3", "{\"playing\":1,\"mean_bitrate_bps\":1000000}"),
        ("viewer-4", "{\"playing\":1,\"mean_bitrate_bps\":null}"),
    ] {
        let record = ViewerRecord {
            report: report.to_owned(),
            trace: String::new(),
        };
        collected.viewers.insert(name.to_owned(), record);
        actions.push(done(0, viewer(name), false));
    }
    let figures = measured(&actions, &collected);
    let value = |key: &str| figures.values.get(key).copied();
    assert_eq!(value("bitrate_kbps"), Some(900.0));
    assert_eq!(value("bitrate_least_kbps"), Some(410.0));
    assert_eq!(value("rendition_changes"), Some(8.0));
}

#[test]
fn bytes_that_leave_servers_are_told_from_others() {
    let count = |bytes| Count {
        bytes,
        ..Count::default()
    };
    let collected = Collected {
        links: vec![
            LinkCount {
                link: "barn--trunk".to_owned(),
                directions: [count(1_000), count(7)],
            },
            LinkCount {
                link: "fork-0--trunk".to_owned(),
                directions: [count(9), count(2_000)],
            },
        ],
        ..Collected::default()
    };
    let figures = measured(&[done(0, watch(), false)], &collected);
    let value = |key: &str| figures.values.get(key).copied();
    assert_eq!(value("server_bytes"), Some(1_000.0));
    assert_eq!(value("busiest_link_bytes"), Some(2_000.0));
    assert_eq!(value("link_bytes"), Some(3_016.0));
    assert_eq!(
        value("silent_viewers"),
        Some(1.0),
        "no report is no picture"
    );
}
