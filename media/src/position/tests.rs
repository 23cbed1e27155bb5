//! The ledger against a set that remembers everything.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const PARTS: u32 = 3;

fn at(number: u64, part: u32) -> Position {
    Position::new(number, part)
}

/// Records chunks of three-part segments.
fn record(ledger: &mut Ledger, number: u64, part: u32) -> Arrival {
    ledger.record("run", at(number, part), part + 1 == PARTS)
}

fn ledger(positions: &[(u64, u32)]) -> Ledger {
    let mut ledger = Ledger::new();
    for (number, part) in positions {
        record(&mut ledger, *number, *part);
    }
    ledger
}

#[test]
fn an_unbroken_run_loses_and_repeats_nothing() {
    let mut ledger = Ledger::new();
    for number in 10..20 {
        for part in 0..PARTS {
            let arrival = record(&mut ledger, number, part);
            assert_eq!(
                arrival,
                if (number, part) == (10, 0) {
                    Arrival::First
                } else {
                    Arrival::Next
                }
            );
        }
    }
    assert_eq!(
        ledger.counts(),
        Counts {
            chunks: 30,
            ..Counts::default()
        }
    );
    assert_eq!(ledger.newest("run"), Some(at(19, 2)));
}

#[test]
fn skipped_positions_are_lost_by_their_number() {
    let rows: [(&[(u64, u32)], u64); 6] = [
        (&[(1, 0), (1, 2)], 1),
        (&[(1, 0), (1, 1), (1, 2), (3, 0)], 3),
        (&[(1, 2), (2, 1)], 1),
        (&[(1, 2), (2, 0), (3, 0)], 2),
        (&[(1, 2), (2, 0), (4, 1)], 2 + 3 + 1),
        // Nothing has said how long a segment is: at least the part after (1, 0) is missing.
        (&[(1, 0), (2, 0)], 1),
    ];
    for (positions, lost) in rows {
        let counts = ledger(positions).counts();
        assert_eq!(
            counts,
            Counts {
                chunks: positions.len() as u64,
                lost,
                ..Counts::default()
            },
            "{positions:?}"
        );
    }
}

#[test]
fn a_late_chunk_is_out_of_order_and_no_longer_lost_and_then_repeated() {
    let mut ledger = ledger(&[(1, 0), (1, 1), (1, 2), (3, 0)]);
    assert_eq!(record(&mut ledger, 2, 1), Arrival::OutOfOrder);
    assert_eq!(ledger.counts().lost, 2);
    assert_eq!(record(&mut ledger, 2, 1), Arrival::Repeated);
    assert_eq!(record(&mut ledger, 2, 0), Arrival::OutOfOrder);
    assert_eq!(record(&mut ledger, 2, 2), Arrival::OutOfOrder);
    let counts = ledger.counts();
    assert_eq!(
        (counts.lost, counts.repeated, counts.out_of_order),
        (0, 1, 3)
    );
    assert_eq!(
        record(&mut ledger, 0, 2),
        Arrival::OutOfOrder,
        "before the first"
    );
    assert_eq!(record(&mut ledger, 0, 2), Arrival::Repeated);
    assert_eq!(record(&mut ledger, 3, 0), Arrival::Repeated, "the newest");
}

#[test]
fn a_late_part_that_was_never_counted_as_lost_recovers_nothing() {
    let mut ledger = ledger(&[(1, 0), (2, 0)]);
    assert_eq!(ledger.counts().lost, 1, "the part after 1.0");
    assert_eq!(record(&mut ledger, 1, 2), Arrival::OutOfOrder);
    assert_eq!(ledger.counts().lost, 1);
    assert_eq!(record(&mut ledger, 1, 2), Arrival::Repeated);
    assert_eq!(record(&mut ledger, 1, 1), Arrival::OutOfOrder);
    assert_eq!(ledger.counts().lost, 0);
}

#[test]
fn whole_segments_are_counted_one_by_one() {
    let mut ledger = Ledger::new();
    let arrivals: Vec<Arrival> = [5, 6, 9, 7, 7, 10]
        .map(|number| ledger.record_segment("run", number))
        .to_vec();
    use Arrival::{First, Next, OutOfOrder, Repeated, Skipped};
    assert_eq!(
        arrivals,
        [First, Next, Skipped(2), OutOfOrder, Repeated, Next]
    );
    let counts = Counts {
        chunks: 6,
        lost: 1,
        repeated: 1,
        out_of_order: 1,
        run_changes: 0,
    };
    assert_eq!(ledger.counts(), counts);
}

#[test]
fn runs_are_counted_apart() {
    let mut ledger = Ledger::new();
    ledger.record_segment("one", 5);
    assert_eq!(ledger.record_segment("two", 900), Arrival::First);
    assert_eq!(ledger.record_segment("one", 6), Arrival::Next);
    assert_eq!(ledger.record_segment("two", 901), Arrival::Next);
    assert_eq!(
        ledger.counts(),
        Counts {
            chunks: 4,
            run_changes: 1,
            ..Counts::default()
        }
    );
}

#[test]
fn a_jump_across_all_numbers_is_counted_without_being_stored() {
    let mut ledger = ledger(&[(0, 2)]);
    record(&mut ledger, u64::MAX, 2);
    assert_eq!(ledger.counts().lost, u64::MAX);
    assert_eq!(record(&mut ledger, 1 << 40, 1), Arrival::OutOfOrder);
    assert_eq!(ledger.runs["run"].holes.len(), 2);
}

proptest! {
    #[test]
    fn the_ledger_agrees_with_a_set_that_remembers_everything(
        keys in prop::collection::vec((0u64..24, 0u32..PARTS), 0..150),
    ) {
        // One whole segment first, so that the length of a segment is known.
        let mut arrivals = vec![(8, 0), (8, 1), (8, 2)];
        arrivals.extend(keys);
        let (mut seen, mut newest) = (BTreeSet::new(), at(8, 0));
        let (mut repeated, mut out_of_order) = (0, 0);
        for (number, part) in &arrivals {
            let position = at(*number, *part);
            if !seen.insert(position) {
                repeated += 1;
            } else if position < newest {
                out_of_order += 1;
            }
            newest = newest.max(position);
        }
        let all = (8..=newest.number).flat_map(|number| (0..PARTS).map(move |part| at(number, part)));
        let lost = all.filter(|position| *position < newest && !seen.contains(position)).count() as u64;
        let expected =
            Counts { chunks: arrivals.len() as u64, lost, repeated, out_of_order, run_changes: 0 };
        prop_assert_eq!(ledger(&arrivals).counts(), expected);
    }

    #[test]
    fn arbitrary_arrivals_never_panic(
        arrivals in prop::collection::vec((0usize..2, any::<u64>(), any::<u32>(), any::<bool>()), 0..40),
    ) {
        let mut ledger = Ledger::new();
        for (run, number, part, last) in arrivals {
            ledger.record(["one", "two"][run], at(number, part), last);
        }
    }
}
