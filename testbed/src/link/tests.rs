//! Frames through a direction of a link, by the nanosecond.

use super::*;

const MS: Nanos = 1_000_000;

fn direction(settings: Settings) -> Direction<u64> {
    Direction::new(settings, 7)
}

fn mbit(rate: u64) -> Option<u64> {
    Some(rate * 1_000_000)
}

/// Everything that is still to come, with its times.
fn drain(direction: &mut Direction<u64>) -> Vec<(Nanos, u64)> {
    let mut arrived = Vec::new();
    while let Some(due) = direction.poll_due() {
        while let Some(one) = direction.poll(due) {
            arrived.push(one);
        }
    }
    arrived
}

#[test]
fn a_frame_is_transmitted_then_travels_and_the_next_waits_for_it() {
    let mut link = direction(Settings {
        rate_bps: mbit(10),
        delay_us: 25_000,
        ..Settings::default()
    });
    // 1250 bytes at 10 Mbit/s are a millisecond.
    for frame in 0..3 {
        link.offer(5 * MS, 1_250, frame).unwrap();
    }
    link.offer(40 * MS, 625, 3).unwrap();
    let expected = [(31 * MS, 0), (32 * MS, 1), (33 * MS, 2)];
    let mut arrived = drain(&mut link);
    assert_eq!(arrived.pop(), Some((65 * MS + MS / 2, 3)));
    assert_eq!(arrived, expected);
}

#[test]
fn without_a_rate_frames_arrive_after_the_delay_and_nothing_arrives_early() {
    let mut link = direction(Settings {
        delay_us: 10_000,
        ..Settings::default()
    });
    link.offer(0, 1_500, 1).unwrap();
    link.offer(3, 1_500, 2).unwrap();
    assert_eq!(link.poll(10 * MS - 1), None);
    assert_eq!(link.poll(20 * MS), Some((10 * MS, 1)));
    assert_eq!(link.poll(20 * MS), Some((10 * MS + 3, 2)));
    assert_eq!(link.poll_due(), None);
}

#[test]
fn what_comes_out_keeps_the_rate_over_every_window_and_the_order() {
    for seed in 0..20 {
        let rate = 8_000_000;
        let settings = Settings {
            rate_bps: Some(rate),
            delay_us: 20_000,
            jitter_us: 15_000,
            loss_per_100k: 1_000,
            queue_bytes: 60_000,
            up: true,
        };
        let mut link = Direction::new(settings, seed);
        let mut sizes = Chance::new(seed ^ 0x5eed);
        let (mut now, mut frames, mut arrived) = (0, Vec::new(), Vec::new());
        for frame in 0..4_000 {
            now += sizes.below(2 * MS);
            let bytes = 60 + sizes.below(1_455);
            frames.push(bytes);
            let _ = link.offer(now, bytes, frame);
            if frame == 2_000 {
                // A delay that shrinks may not let anything overtake.
                let change = Change {
                    delay_us: Some(1_000),
                    ..Change::default()
                };
                link.change(now, &change);
            }
            while let Some(one) = link.poll(now) {
                arrived.push(one);
            }
        }
        arrived.extend(drain(&mut link));
        assert!(arrived.len() > 3_000, "{}", arrived.len());
        assert!(arrived.is_sorted_by(|a, b| a.1 < b.1), "seed {seed}");
        // Between any two arrivals, what comes after the first fits the rate.
        for (start, from) in arrived.iter().enumerate() {
            let mut bits = 0;
            for to in &arrived[start + 1..(start + 60).min(arrived.len())] {
                bits += frames[to.1 as usize] * 8;
                let allowed = u128::from(to.0 - from.0) * u128::from(rate) / u128::from(SECOND);
                assert!(
                    u128::from(bits) <= allowed + 1,
                    "seed {seed}: {from:?} {to:?}"
                );
            }
        }
    }
}

#[test]
fn jitter_stays_within_its_bounds_and_is_spread_over_them() {
    let mut link = direction(Settings {
        delay_us: 10_000,
        jitter_us: 4_000,
        ..Settings::default()
    });
    let (mut least, mut most) = (Nanos::MAX, 0);
    for frame in 0..1_000 {
        let sent = frame * 100 * MS;
        link.offer(sent, 100, frame).unwrap();
        let (at, _) = drain(&mut link)[0];
        least = least.min(at - sent);
        most = most.max(at - sent);
    }
    assert!((6 * MS..6 * MS + MS / 10).contains(&least), "{least}");
    assert!((14 * MS - MS / 10..=14 * MS).contains(&most), "{most}");
}

#[test]
fn loss_is_within_its_binomial_bounds_and_the_same_for_the_same_seed() {
    let run = |seed, loss_per_100k| {
        let settings = Settings {
            loss_per_100k,
            ..Settings::default()
        };
        let mut link = Direction::new(settings, seed);
        for frame in 0..20_000 {
            link.offer(frame * 1_000, 100, frame).unwrap();
        }
        let arrived: Vec<u64> = drain(&mut link)
            .into_iter()
            .map(|(_, frame)| frame)
            .collect();
        (link.counters().lost_frames, arrived)
    };
    for seed in 0..10 {
        for (loss, probability) in [(0, 0.0), (500, 0.005), (5_000, 0.05), (100_000, 1.0)] {
            let (lost, arrived) = run(seed, loss);
            let mean: f64 = 20_000.0 * probability;
            let four_sigma = 4.0 * (mean * (1.0 - probability)).sqrt();
            assert!(
                (lost as f64 - mean).abs() <= four_sigma,
                "{seed} {loss}: {lost}"
            );
            assert_eq!(lost + arrived.len() as u64, 20_000);
            assert_eq!(run(seed, loss).1, arrived);
        }
    }
    assert_ne!(run(1, 5_000).1, run(2, 5_000).1);
}

#[test]
fn a_full_queue_drops_what_comes_last_and_an_idle_link_takes_any_frame() {
    let mut link = direction(Settings {
        rate_bps: mbit(1),
        queue_bytes: 3_000,
        ..Settings::default()
    });
    let taken: Vec<bool> = (0..5).map(|n| link.offer(0, 1_000, n).is_ok()).collect();
    assert_eq!(taken, [true, true, true, false, false]);
    // 8 ms later the first is out, and one more finds room.
    assert!(link.offer(8 * MS, 1_000, 5).is_ok());
    assert!(link.offer(8 * MS, 1, 6).is_err());
    let arrived: Vec<u64> = drain(&mut link).into_iter().map(|(_, n)| n).collect();
    assert_eq!(arrived, [0, 1, 2, 5]);
    assert_eq!(link.counters().full_frames, 3);
    assert!(link.offer(99 * MS, 9_000, 7).is_ok());
}

#[test]
fn a_rate_that_changes_holds_for_the_rest_of_the_frame_in_transmission() {
    let mut link = direction(Settings {
        rate_bps: mbit(1),
        ..Settings::default()
    });
    let set = |rate_bps| Change {
        rate_bps: Some(rate_bps),
        ..Change::default()
    };
    link.offer(0, 1_000, 0).unwrap();
    link.offer(0, 1_000, 1).unwrap();
    // Half of the first is out after 4 ms; the other half and the next take a tenth as long.
    link.change(4 * MS, &set(10_000_000));
    assert_eq!(drain(&mut link), [(4_400_000, 0), (5_200_000, 1)]);
    link.offer(10 * MS, 1_000, 2).unwrap();
    link.offer(10 * MS, 1_000, 3).unwrap();
    link.change(10 * MS, &set(0));
    assert_eq!(drain(&mut link), [(10 * MS, 2), (10 * MS, 3)]);
}

#[test]
fn frames_that_travel_keep_their_delay_and_are_not_overtaken() {
    let mut link = direction(Settings {
        delay_us: 50_000,
        ..Settings::default()
    });
    link.offer(0, 100, 0).unwrap();
    let change = Change {
        delay_us: Some(10_000),
        ..Change::default()
    };
    link.change(20 * MS, &change);
    link.offer(20 * MS, 100, 1).unwrap();
    link.offer(45 * MS, 100, 2).unwrap();
    assert_eq!(drain(&mut link), [(50 * MS, 0), (50 * MS, 1), (55 * MS, 2)]);
}

#[test]
fn a_link_that_goes_down_loses_what_is_under_way_and_carries_again_when_it_is_up() {
    let mut link = direction(Settings {
        rate_bps: mbit(1),
        delay_us: 5_000,
        ..Settings::default()
    });
    let up = |up| Change {
        up: Some(up),
        ..Change::default()
    };
    for frame in 0..3 {
        link.offer(0, 1_000, frame).unwrap();
    }
    // The first travels, the second is in transmission, the third waits.
    link.change(9 * MS, &up(false));
    assert_eq!(link.poll_due(), None);
    assert!(link.offer(10 * MS, 100, 3).is_err());
    assert_eq!(link.counters().cut_frames, 4);
    link.change(20 * MS, &up(true));
    link.offer(20 * MS, 1_000, 4).unwrap();
    assert_eq!(drain(&mut link), [(33 * MS, 4)]);
    let counters = link.counters();
    assert_eq!((counters.offered_frames, counters.delivered_frames), (5, 1));
}
