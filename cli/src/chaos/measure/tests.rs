//! Small records whose figures can be told by hand.

use serde_json::json;

use super::*;

/// Segments of two parts, one part a second, from hall-0 to edge-7.
fn arrival(unix_ms: u64, from: &str, number: u64, part: u32) -> Arrival {
    Arrival {
        unix_ms,
        from: from.to_owned(),
        to: "edge-7".to_owned(),
        stream: "fig".to_owned(),
        track: "360p".to_owned(),
        run: "r".to_owned(),
        number,
        part,
    }
}

fn switch(unix_ms: u64, from: &str, cause: &str) -> Event {
    Event {
        unix_ms,
        member: "edge-7".to_owned(),
        name: "parent_switched".to_owned(),
        fields: json!({"stream": "fig", "track": "360p", "from": from, "to": "hall-9", "cause": cause}),
    }
}

fn fault(unix_ms: u64, member: &str) -> Fault {
    Fault {
        unix_ms,
        what: format!("{member} dies"),
        members: [member.to_owned()].into(),
        deadly: true,
        ..Fault::default()
    }
}

fn ask(records: &Records, faults: &[Fault]) -> Figures {
    measure(&Question {
        records,
        stream: "fig",
        since_ms: 0,
        faults,
        judged: 0,
        until_ms: 100_000,
        segment_ms: 2_000,
        edges: &BTreeMap::new(),
    })
}

/// A part a second until 10 s, then a hole of `hole` ms in time but not in position.
fn healed(hole: u64) -> Records {
    let mut records = Records::default();
    for n in 0..20_u64 {
        let late = if n == 10 { hole } else { 0 };
        let from = if n < 10 { "hall-0" } else { "hall-9" };
        let row = arrival(1_000 * n + late, from, 50 + n / 2, (n % 2) as u32);
        records.arrivals.push(row);
    }
    records
}

#[test]
fn resume_is_the_lateness_of_the_first_new_chunk_against_its_due_time() {
    let mut records = healed(400);
    records.events.push(switch(10_390, "hall-0", "HopSilent"));
    let figures = ask(&records, &[fault(9_500, "hall-0")]);
    assert_eq!(figures.resume_ms, Some(400));
    assert_eq!(figures.detect_ms, Some(890));
    assert_eq!((figures.switches, figures.false_switches), (1, 0));
    assert_eq!(
        (figures.lost, figures.repeated, figures.out_of_order),
        (0, 0, 0)
    );
    let figures = ask(&records, &[fault(10_100, "hall-0")]);
    assert_eq!(figures.resume_ms, Some(300), "due before the fault");
}

#[test]
fn a_repair_before_the_next_chunk_is_due_costs_nothing() {
    let figures = ask(&healed(0), &[fault(9_100, "hall-0")]);
    assert_eq!(figures.resume_ms, Some(0));
}

#[test]
fn holes_repeats_and_late_ones_are_counted_by_position() {
    let mut records = healed(0);
    records.arrivals.remove(14);
    let again = records.arrivals[4].clone();
    records.arrivals.push(again);
    let figures = ask(&records, &[]);
    assert_eq!(
        (figures.lost, figures.repeated),
        (1, 1),
        "{:?}",
        figures.breaches
    );
}

#[test]
fn a_member_that_died_begins_anew() {
    let mut records = healed(0);
    records
        .arrivals
        .retain(|row| !(8_000..12_000).contains(&row.unix_ms));
    assert_eq!(ask(&records, &[]).lost, 4);
    records.events.push(Event {
        name: "subscribed".to_owned(),
        ..switch(12_000, "", "")
    });
    assert_eq!(ask(&records, &[]).lost, 4, "it had no reason to begin anew");
    assert_eq!(ask(&records, &[fault(8_500, "edge-7")]).lost, 0);
}

#[test]
fn a_switch_away_from_a_healthy_parent_is_false_unless_nobody_is_in_distress() {
    let mut records = healed(0);
    records.events.push(switch(10_000, "hall-4", "HopSilent"));
    records.events.push(switch(11_000, "hall-4", "Planned"));
    records
        .events
        .push(switch(12_000, "hall-0", "ParentRepairing"));
    let figures = ask(&records, &[fault(9_500, "hall-0")]);
    assert_eq!((figures.switches, figures.false_switches), (3, 1));
    assert_eq!(figures.falsely_switched[0]["from"], "hall-4");
}
