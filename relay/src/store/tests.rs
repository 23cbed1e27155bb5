//! The store alone: order, windows, runs, bounds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::library::Ended;
use crate::testing::origin::{Content, Origin};
use crate::testing::{EPOCH, STREAM, VIDEO, WINDOW, clock};

const RUN: &str = "aaaaaaaaaa";

fn origin() -> Origin {
    Origin::new("lisbon", clock(), Content::default())
}

fn description(run: &str) -> v1::Description {
    v1::Description {
        stream: STREAM.into(),
        run: run.into(),
        epoch: EPOCH,
        window_segments: WINDOW,
        ..Default::default()
    }
}

fn store() -> Store {
    let mut store = Store::default();
    store.describe(description(RUN));
    store
}

fn take(store: &mut Store, origin: &Origin, number: u64, part: u32) -> Result<Taken, Refusal> {
    let chunk = origin.chunk(VIDEO, EPOCH + number, part);
    store.take(v1::ChunkHead::clone(&chunk.head), chunk.payload, number)
}

/// Segments [from, to) in order.
fn fill(store: &mut Store, origin: &Origin, from: u64, to: u64) {
    for number in from..to {
        for part in 0..6 {
            take(store, origin, number, part).unwrap();
        }
    }
}

fn at(number: u64, part: u32) -> Cursor {
    Cursor {
        number: EPOCH + number,
        part,
    }
}

#[test]
fn the_live_sequence_never_repeats_goes_back_or_jumps() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 2);
    for (number, part) in [(1, 5), (0, 0), (1, 0)] {
        assert_eq!(
            take(&mut store, &origin, number, part),
            Err(Refusal::Duplicate)
        );
    }
    for (number, part) in [(2, 1), (3, 0), (9, 4)] {
        assert_eq!(
            take(&mut store, &origin, number, part),
            Err(Refusal::Jump { expected: at(2, 0) })
        );
    }
    take(&mut store, &origin, 2, 0).unwrap();
    assert_eq!(store.head().unwrap().number, EPOCH + 2);
}

#[test]
fn a_segment_whose_bytes_disagree_with_its_hash_is_dropped_and_fetchable() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 1);
    for part in 0..6 {
        let chunk = origin.chunk(VIDEO, EPOCH + 1, part);
        let payload = if part == 3 {
            Bytes::from_static(b"damaged")
        } else {
            chunk.payload
        };
        let taken = store
            .take(v1::ChunkHead::clone(&chunk.head), payload, 1)
            .unwrap();
        assert_eq!(taken.hash_mismatch, part == 5);
    }
    assert!(matches!(store.locate(RUN, EPOCH + 1, None), Located::Fetch));
    let chunks: Vec<_> = (0..6)
        .map(|part| origin.chunk(VIDEO, EPOCH + 1, part))
        .collect();
    assert!(is_whole_segment(&chunks));
    assert!(store.put_segment(&chunks, 9));
    assert!(matches!(
        store.locate(RUN, EPOCH + 1, None),
        Located::Whole(_)
    ));
    assert!(!is_whole_segment(&chunks[1..]));
    assert!(!is_whole_segment(&chunks[..5]));
}

#[test]
fn a_cursor_meets_every_chunk_once_and_then_waits() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 3);
    take(&mut store, &origin, 3, 0).unwrap();
    let mut cursor = at(1, 2);
    let mut seen = Vec::new();
    while let Step::Chunk(chunk, next) = store.step(cursor) {
        seen.push((chunk.head.number - EPOCH, chunk.head.part));
        cursor = next;
    }
    let mut expected: Vec<_> = (2..6).map(|part| (1, part)).collect();
    expected.extend((0..6).map(|part| (2, part)));
    expected.push((3, 0));
    assert_eq!(seen, expected);
    assert!(matches!(store.step(cursor), Step::Wait));
    store.end(Ended { withdrawn: true });
    assert!(matches!(store.step(cursor), Step::Ended(_)));
}

#[test]
fn evicted_segments_stay_listed_and_the_newest_two_stay_held() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 8);
    take(&mut store, &origin, 8, 0).unwrap();
    let view = store.view();
    let mut freed = 0;
    while store.oldest_stamp().is_some() {
        freed += store.evict();
    }
    assert!(freed > 0 && store.evict() == 0);
    assert_eq!(store.view(), view);
    assert!(matches!(
        store.step(at(4, 3)),
        Step::Fetch { number, .. } if number == EPOCH + 4
    ));
    assert!(matches!(store.step(at(7, 0)), Step::Chunk(..)));
    assert!(matches!(store.step(at(8, 0)), Step::Chunk(..)));
    assert_eq!(store.live_start(), Start::At(at(8, 0)));
}

#[test]
fn retention_is_two_windows_and_two_segments_and_beyond_it_is_a_gap() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 40);
    let oldest = 40 - (2 * u64::from(WINDOW) + 2);
    assert!(matches!(store.step(at(oldest, 0)), Step::Chunk(..)));
    let Step::Gap { to, .. } = store.step(at(oldest - 5, 3)) else {
        panic!("the cursor fell behind")
    };
    assert_eq!(to, at(oldest, 0));
    assert!(matches!(store.locate(RUN, EPOCH + 3, None), Located::Gone));
}

#[test]
fn an_index_alone_makes_a_playlist_and_what_it_lists_can_be_fetched() {
    let origin = origin();
    let mut early = store();
    fill(&mut early, &origin, 0, 10);
    take(&mut early, &origin, 10, 0).unwrap();
    let mut late = store();
    late.merge_index(&early.index_message());
    let view = late.view();
    assert_eq!(view.head.as_ref().unwrap().number, EPOCH + 9);
    assert_eq!(view.segments.len(), WINDOW as usize);
    assert!(matches!(late.locate(RUN, EPOCH + 6, None), Located::Fetch));
    take(&mut late, &origin, 10, 0).unwrap();
    assert_eq!(late.view(), early.view());
}

#[test]
fn a_gap_is_listed_and_a_later_index_fills_it() {
    let origin = origin();
    let mut whole = store();
    fill(&mut whole, &origin, 0, 9);
    let mut store = store();
    fill(&mut store, &origin, 0, 2);
    take(&mut store, &origin, 2, 0).unwrap();
    store.gap(&v1::Gap {
        run: RUN.into(),
        from_number: EPOCH + 2,
        from_part: 1,
        to_number: EPOCH + 8,
        ..Default::default()
    });
    take(&mut store, &origin, 8, 0).unwrap();
    let gaps = |store: &Store| -> Vec<u64> {
        let view = store.view();
        let gaps = view.segments.iter().filter(|s| s.gap);
        gaps.map(|s| s.number - EPOCH).collect()
    };
    assert_eq!(gaps(&store), [2, 3, 4, 5, 6, 7]);
    assert!(matches!(store.locate(RUN, EPOCH + 4, None), Located::Gap));
    store.merge_index(&whole.index_message());
    assert_eq!(gaps(&store), [0_u64; 0]);
    assert_eq!(store.view().segments.len(), WINDOW as usize + 1);
}

#[test]
fn another_run_begins_at_a_boundary_with_a_discontinuity() {
    let other = Content {
        run: "bbbbbbbbbb".into(),
        ..Content::default()
    };
    let (a, b) = (origin(), Origin::new("porto", clock(), other));
    let mut store = store();
    fill(&mut store, &a, 0, 3);
    take(&mut store, &a, 3, 0).unwrap();
    store.describe(description("bbbbbbbbbb"));
    assert!(matches!(
        take(&mut store, &b, 3, 1),
        Err(Refusal::Contradiction(_))
    ));
    store.expect_boundary();
    for (number, part) in [(3, 1), (4, 1)] {
        assert_eq!(
            take(&mut store, &b, number, part),
            Err(Refusal::BeforeBoundary)
        );
    }
    fill(&mut store, &b, 4, 5);
    let view = store.view();
    let told: Vec<_> = view
        .segments
        .iter()
        .map(|s| (s.number - EPOCH, s.discontinuity_sequence, s.gap))
        .collect();
    assert_eq!(
        told,
        [
            (0, 0, false),
            (1, 0, false),
            (2, 0, false),
            (3, 0, true),
            (4, 1, false)
        ]
    );
    assert_eq!(view.description.run, "bbbbbbbbbb");
    let Step::Gap { to, .. } = store.step(at(3, 1)) else {
        panic!("the rest of the old run never comes")
    };
    assert_eq!(to, at(4, 0));
}

#[test]
fn a_restarted_member_goes_on_from_the_discontinuity_its_children_know() {
    let known = |run: &str| v1::After {
        run: run.into(),
        number: EPOCH + 2,
        part: 5,
        discontinuity_sequence: 7,
        ..Default::default()
    };
    let origin = origin();
    for (run, expected) in [(RUN, 7), ("an-earlier", 8)] {
        let mut store = store();
        store.adopt(&known(run));
        assert_eq!(store.after().unwrap().discontinuity_sequence, 7);
        if run != RUN {
            store.unadopt(); // nobody serves that run any more
        }
        fill(&mut store, &origin, 3, 5);
        assert_eq!(store.discontinuity_of(EPOCH + 3), Some(expected));
        assert_eq!(store.discontinuity(), expected);
    }
}

#[test]
fn beginning_behind_a_segment_that_was_over_is_no_gap() {
    let origin = origin();
    for listed in [false, true] {
        let mut store = store();
        store.adopt(&v1::After {
            run: RUN.into(),
            number: EPOCH + 2,
            part: 5,
            ..Default::default()
        });
        if listed {
            let mut parent = self::store();
            fill(&mut parent, &origin, 0, 3);
            store.merge_index(&parent.index_message());
        }
        fill(&mut store, &origin, 3, 4);
        let Step::Chunk(chunk, _) = store.step(at(2, 6)) else {
            panic!("{:?}", store.step(at(2, 6)))
        };
        assert_eq!((chunk.head.number, chunk.head.part), (EPOCH + 3, 0));
        if listed {
            let numbers: Vec<_> = store.view().segments.iter().map(|s| s.number).collect();
            assert_eq!(numbers, [0, 1, 2, 3].map(|n| EPOCH + n));
        } else {
            assert!(matches!(store.step(at(2, 5)), Step::Gap { .. }));
        }
    }
}

#[test]
fn a_segment_entered_in_its_middle_is_listed_as_any_other() {
    let origin = origin();
    for head in [3, 5] {
        // The parent's head is in the segment, or the segment is the newest and over.
        let mut parent = store();
        fill(&mut parent, &origin, 0, 2);
        for part in 0..=head {
            take(&mut parent, &origin, 2, part).unwrap();
        }
        let mut store = store();
        store.adopt(&v1::After {
            run: RUN.into(),
            number: EPOCH + 2,
            part: 2,
            ..Default::default()
        });
        store.merge_index(&parent.index_message());
        for part in 3..6 {
            take(&mut store, &origin, 2, part).unwrap();
        }
        fill(&mut store, &origin, 3, 4);
        let listed: Vec<_> = store.view().segments;
        let whole = &listed[2];
        assert_eq!((whole.number, whole.gap), (EPOCH + 2, false));
        assert_eq!(whole.part_durations.len(), 6);
        assert_eq!(whole.start + whole.duration, listed[3].start);
        let Step::Fetch { number, .. } = store.step(at(2, 1)) else {
            panic!("{:?}", store.step(at(2, 1)))
        };
        assert_eq!(number, EPOCH + 2);
    }
}

#[test]
fn resuming_says_what_fits_and_what_does_not() {
    let origin = origin();
    let mut store = store();
    fill(&mut store, &origin, 0, 5);
    let after = |number: u64, part: u32| v1::After {
        run: RUN.into(),
        number: EPOCH + number,
        part,
        ..Default::default()
    };
    for (from, met) in [
        (after(3, 1), Some((3, 2))),
        (after(3, 5), Some((4, 0))),
        (after(3, u32::MAX), Some((4, 0))),
        (after(4, 5), None),
        (after(7, 0), None),
    ] {
        let Ok(Start::At(cursor)) = store.resume(&from) else {
            panic!("{from:?} fits")
        };
        match (store.step(cursor), met) {
            (Step::Chunk(chunk, _), Some(expected)) => {
                assert_eq!((chunk.head.number - EPOCH, chunk.head.part), expected);
            }
            (Step::Wait, None) => {}
            (step, expected) => panic!("{from:?}: {step:?}, not {expected:?}"),
        }
    }
    assert!(matches!(
        store.resume(&after(8, 0)),
        Err(StartError::Future { .. })
    ));
    let mine = store.after().unwrap();
    assert_eq!((mine.number, mine.part), (EPOCH + 4, 5));
    assert_eq!(mine.hashed_number, EPOCH + 4);
    assert!(store.resume(&mine).is_ok());
    let other = v1::After {
        sha256: Bytes::from_static(&[1; 32]),
        ..mine
    };
    assert!(matches!(
        store.resume(&other),
        Err(StartError::OtherBytes { .. })
    ));
}

#[derive(Clone, Debug)]
enum Input {
    Chunk(u64, u32, bool),
    Gap(u64, u32),
    Index(u64, u64),
    Evict,
    Boundary,
    Put(u64),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (0..30_u64, 0..6_u32, any::<bool>()).prop_map(|(n, p, b)| Input::Chunk(n, p, b)),
        1 => (0..40_u64, 0..7_u32).prop_map(|(n, p)| Input::Gap(n, p)),
        1 => (0..30_u64, 0..40_u64).prop_map(|(a, b)| Input::Index(a, b)),
        1 => Just(Input::Evict),
        1 => Just(Input::Boundary),
        1 => (0..30_u64).prop_map(Input::Put),
    ]
}

proptest! {
    /// Whatever comes: no panic, no position twice, sizes add up, and no cursor circles.
    #[test]
    fn any_input_leaves_a_store_that_can_be_read(inputs in prop::collection::vec(input(), 1..200)) {
        let a = origin();
        let b = Origin::new("porto", clock(), Content { run: "bbbbbbbbbb".into(), ..Content::default() });
        let mut store = store();
        store.describe(description("bbbbbbbbbb"));
        let mut seen = BTreeSet::new();
        let mut next = (0, 0);
        for (stamp, input) in inputs.into_iter().enumerate() {
            match input {
                Input::Chunk(number, part, follow) => {
                    let (number, part) = if follow { next } else { (number, part) };
                    let origin = if number % 7 == 3 { &b } else { &a };
                    if take(&mut store, origin, number, part).is_ok() {
                        prop_assert!(seen.insert((number, part)), "taken twice");
                        next = if part == 5 { (number + 1, 0) } else { (number, part + 1) };
                    }
                }
                Input::Gap(number, part) => store.gap(&v1::Gap {
                    run: RUN.into(), to_number: EPOCH + number, to_part: part, ..Default::default()
                }),
                Input::Index(from, to) => store.merge_index(&v1::Index {
                    segments: (from..to).map(|n| v1::SegmentInfo {
                        number: EPOCH + n, part_durations: vec![1; 6], duration: 6, ..Default::default()
                    }).collect(),
                    head_number: EPOCH + to,
                    head_part: 0,
                }),
                Input::Evict => { store.evict(); }
                Input::Boundary => store.expect_boundary(),
                Input::Put(number) => {
                    let chunks: Vec<_> = (0..6).map(|p| a.chunk(VIDEO, EPOCH + number, p)).collect();
                    store.put_segment(&chunks, stamp as u64);
                }
            }
            let view = store.view();
            prop_assert!(view.segments.len() <= WINDOW as usize + 1);
            let mut cursor = at(0, 0);
            for _ in 0..400 {
                let before = cursor;
                match store.step(cursor) {
                    Step::Chunk(_, next) => cursor = next,
                    Step::Gap { to, .. } => cursor = to,
                    Step::Fetch { number, .. } => cursor = Cursor { number: number + 1, part: 0 },
                    Step::Wait | Step::Ended(_) => break,
                }
                prop_assert!(cursor > before, "{before:?} to {cursor:?}");
            }
        }
        while store.evict() > 0 {}
        prop_assert!(store.bytes() <= 2 * 6 * 400);
    }
}
