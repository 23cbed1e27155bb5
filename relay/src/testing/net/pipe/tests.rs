//! Messages through a pipe over every kind of link: none is missing, repeated or before its turn.

use super::*;

const MS: Nanos = 1_000_000;

fn pipe(settings: Settings, seed: u64) -> Pipe<u64> {
    Pipe::new(settings, settings.delay_us * 1000, seed)
}

/// Everything that arrives by `until`, and when.
fn drain(pipe: &mut Pipe<u64>, until: Nanos) -> Vec<(Nanos, u64)> {
    let mut arrived = Vec::new();
    while let Some(due) = pipe.poll_due().filter(|due| *due <= until) {
        arrived.extend(pipe.advance(due).into_iter().map(|message| (due, message)));
    }
    arrived
}

#[test]
fn a_message_takes_its_transmission_and_the_delay() {
    let mut pipe = pipe(
        Settings {
            rate_bps: Some(8_000_000),
            delay_us: 20_000,
            ..Settings::default()
        },
        1,
    );
    // A byte is a microsecond; the second waits for the first.
    pipe.write(1, 1000 - HEADER, 1);
    pipe.write(2, 2 * SEGMENT, 2);
    assert!(pipe.advance(0).is_empty());
    let arrived = drain(&mut pipe, 1000 * MS);
    let second = 21_000_000 + 2 * (SEGMENT + HEADER) * 1000;
    assert_eq!(arrived, [(21_000_000, 1), (second, 2)]);
}

#[test]
fn whatever_the_link_loses_every_message_arrives_once_and_in_order() {
    for seed in 0..60 {
        let settings = Settings {
            rate_bps: [None, Some(2_000_000), Some(20_000_000)][seed as usize % 3],
            delay_us: 15_000,
            jitter_us: 10_000,
            loss_per_100k: [0, 1_000, 20_000][seed as usize / 3 % 3],
            queue_bytes: [8_000, 256_000][seed as usize % 2],
            up: true,
        };
        let mut pipe = pipe(settings, seed);
        let (mut now, mut arrived) = (0, Vec::new());
        for message in 0..400 {
            let bytes = 1 + (message * 7919 + seed * 131) % 20_000;
            pipe.write(message % 3, bytes, message);
            now += 80 * MS;
            arrived.extend(pipe.advance(now));
            arrived.extend(drain(&mut pipe, now).into_iter().map(|(_, one)| one));
            let up = |up| Change {
                up: Some(up),
                ..Change::default()
            };
            match message {
                200 => pipe.change(now, &up(false)),
                230 => pipe.change(now, &up(true)),
                _ => {}
            }
        }
        arrived.extend(drain(&mut pipe, Nanos::MAX).into_iter().map(|(_, one)| one));
        assert_eq!(arrived, (0..400).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!((pipe.under_way - unknown(&pipe), pipe.unsent.len()), (0, 0));
    }
}

/// Bytes that arrived and the sender had no reason to ask after.
fn unknown(pipe: &Pipe<u64>) -> u64 {
    pipe.acknowledging.iter().map(|known| known.bytes).sum()
}

#[test]
fn a_lost_segment_is_sent_again_after_a_later_one_arrived_or_a_timeout() {
    let settings = Settings {
        delay_us: 10_000,
        ..Settings::default()
    };
    let lossy = |loss_per_100k| Change {
        loss_per_100k: Some(loss_per_100k),
        ..Change::default()
    };
    for alone in [true, false] {
        let mut pipe = pipe(settings, 3);
        pipe.change(0, &lossy(100_000));
        pipe.write(1, 10, 1);
        assert!(pipe.advance(0).is_empty());
        pipe.change(0, &lossy(0));
        if !alone {
            pipe.write(1, 10, 2);
            assert!(pipe.advance(0).is_empty());
        }
        let arrived = drain(&mut pipe, 1000 * MS);
        if alone {
            assert_eq!(arrived, [(210 * MS, 1)]);
        } else {
            // There, back and there; the second waits for its turn.
            assert_eq!(arrived, [(30 * MS, 1), (30 * MS, 2)]);
        }
    }
}

#[test]
fn a_link_that_is_down_is_tried_again_and_again() {
    let mut pipe = pipe(Settings::default(), 4);
    let up = |up| Change {
        up: Some(up),
        ..Change::default()
    };
    pipe.change(0, &up(false));
    pipe.write(1, 10, 1);
    assert!(pipe.advance(0).is_empty());
    assert_eq!(drain(&mut pipe, 1990 * MS), []);
    assert_eq!(pipe.counters().cut_frames, 10);
    pipe.change(1990 * MS, &up(true));
    assert_eq!(drain(&mut pipe, 3000 * MS), [(2000 * MS, 1)]);
}

#[test]
fn a_full_queue_slows_the_sender_and_the_link_stays_busy() {
    let mut pipe = pipe(
        Settings {
            rate_bps: Some(4_000_000),
            delay_us: 20_000,
            queue_bytes: 30_000,
            ..Settings::default()
        },
        5,
    );
    for message in 0..100 {
        pipe.write(1, 20_000, message);
    }
    pipe.advance(0);
    let arrived = drain(&mut pipe, Nanos::MAX);
    assert_eq!(arrived.len(), 100);
    let counters = pipe.counters();
    assert!(counters.full_frames > 0);
    // Two megabytes at 4 Mbit/s are four seconds.
    let (took, _) = arrived[99];
    assert!((4000 * MS..5500 * MS).contains(&took), "{took}");
}

#[test]
fn what_nobody_waits_for_is_not_sent() {
    let mut pipe = pipe(
        Settings {
            rate_bps: Some(1_000_000),
            ..Settings::default()
        },
        6,
    );
    pipe.write(1, 400_000, 1);
    pipe.write(2, 1_000, 2);
    assert!(pipe.advance(0).is_empty());
    pipe.cancel(1);
    let arrived = drain(&mut pipe, Nanos::MAX);
    let [(took, 2)] = arrived[..] else {
        panic!("{arrived:?}");
    };
    assert!(took < 200 * MS, "{took}");
}
