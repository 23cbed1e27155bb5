//! The table: windows, states, obstacles, and whose beats count.

use super::*;

fn beat(sequence: u64, rtt: u32, late: u32, cpu: u32) -> v1::Beat {
    v1::Beat {
        sequence,
        rtt_min_us: rtt / 2,
        rtt_median_us: rtt,
        late_permille: late,
        load: Some(v1::Load {
            cpu_permille: cpu,
            ..Default::default()
        }),
        endpoints: vec!["http://10.0.0.1:1".into()],
        contents: vec!["clock".into()],
        ..Default::default()
    }
}

/// A root that has heard each of these once.
fn heard(beats: &[(&str, v1::Beat)], now: Instant) -> Origins {
    let config = v1::Config {
        heartbeat_interval_ms: 1000,
        missed_heartbeats: 3,
        ..Default::default()
    };
    let mut origins = Origins::new(&config);
    for (name, beat) in beats {
        let call = origins.call_began(name);
        origins.beat(name, call, beat.clone(), now).unwrap();
    }
    origins
}

fn ranked(origins: &Origins, now: Instant) -> Vec<String> {
    let peers = origins.ranked("clock", |_| Some("run".into()), now);
    peers.into_iter().map(|peer| peer.name).collect()
}

fn states(origins: &Origins, now: Instant) -> Vec<(String, String)> {
    let feeds = BTreeMap::from([("porto".to_owned(), vec!["clock".to_owned()])]);
    let rows = origins.status(&feeds, now).into_iter();
    rows.map(|row| (row.state, row.reason)).collect()
}

#[test]
fn the_best_metric_leads_and_the_silent_come_last() {
    let start = Instant::now();
    let mut origins = heard(
        &[
            ("lisbon", beat(1, 40_000, 0, 100)),
            ("porto", beat(1, 2_000, 0, 100)),
            ("faro", beat(1, 2_000, 0, 100)),
        ],
        start,
    );
    assert_eq!(ranked(&origins, start), ["faro", "porto", "lisbon"]);
    let later = start + Duration::from_millis(3001);
    let call = origins.call_began("lisbon");
    origins
        .beat("lisbon", call, beat(2, 40_000, 0, 100), later)
        .unwrap();
    assert_eq!(ranked(&origins, later), ["lisbon", "faro", "porto"]);
    let expected = [("Silent", "Silent"), ("Standby", ""), ("Active", "Silent")]
        .map(|(a, b)| (a.into(), b.into()));
    assert_eq!(states(&origins, later), expected);
    let fewer = origins.ranked("clock", |n| (n != "faro").then(|| "run".into()), later);
    assert_eq!(fewer.len(), 2);
}

#[test]
fn who_is_not_eligible_says_why_and_is_a_last_resort() {
    let now = Instant::now();
    let skewed = v1::Beat {
        clock_offset_us: -2_000_001,
        ..beat(1, 1000, 0, 0)
    };
    let leaving = v1::Beat {
        draining: true,
        ..beat(1, 1000, 0, 0)
    };
    let empty = v1::Beat {
        contents: Vec::new(),
        ..beat(1, 1000, 0, 0)
    };
    let origins = heard(
        &[
            ("aveiro", skewed),
            ("braga", leaving),
            ("coimbra", empty),
            ("evora", beat(1, 90_000, 0, 0)),
        ],
        now,
    );
    let expected = [
        ("Ineligible", "ClockSkew"),
        ("Ineligible", "Draining"),
        ("Ineligible", "NotPrepared"),
        ("Standby", ""),
    ];
    assert_eq!(
        states(&origins, now),
        expected.map(|(a, b)| (a.into(), b.into()))
    );
    let holds = |name: &str| (name != "coimbra").then(|| "run".to_owned());
    let peers = origins.ranked("clock", holds, now);
    let names: Vec<_> = peers.iter().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["evora", "aveiro", "braga"]);
    let offset = origins.status(&BTreeMap::new(), now)[0].clock_offset_us;
    assert_eq!(offset, -2_000_001);
}

#[test]
fn one_beat_swings_nothing_and_an_unmeasured_one_is_the_worst() {
    let now = Instant::now();
    let mut origins = heard(&[("porto", beat(1, 0, 0, 0))], now);
    let row = |origins: &Origins| origins.status(&BTreeMap::new(), now).remove(0);
    assert_eq!(row(&origins).metric, 500);
    let call = origins.call_began("porto");
    for sequence in 1..=20 {
        let wild = sequence % 3 == 0;
        let beat = if wild {
            beat(sequence, 400_000, 900, 1000)
        } else {
            beat(sequence, 10_000, 0, 50)
        };
        origins.beat("porto", call, beat, now).unwrap();
    }
    let calm = row(&origins);
    assert_eq!(
        (calm.rtt_us, calm.late_permille, calm.load_permille),
        (10_000, 0, 50)
    );
    assert_eq!(calm.metric, (50 * 20 + 20 * 50) / 100);
}

#[test]
fn replayed_beats_and_those_of_an_older_call_are_refused() {
    let now = Instant::now();
    let mut origins = Origins::new(&v1::Config::default());
    let first = origins.call_began("lisbon");
    let wrong = origins.beat("lisbon", first, beat(1, 10, 1001, 0), now);
    assert!(matches!(
        wrong,
        Err(BeatError::Impossible { value: 1001, .. })
    ));
    assert!(origins.peers().is_empty());
    assert!(origins.status(&BTreeMap::new(), now).is_empty());
    origins
        .beat("lisbon", first, beat(5, 0, 0, 0), now)
        .unwrap();
    let again = origins.beat("lisbon", first, beat(5, 0, 0, 0), now);
    let replayed = BeatError::Replayed {
        sequence: 5,
        last: 5,
    };
    assert_eq!(again, Err(replayed));
    let second = origins.call_began("lisbon");
    origins
        .beat("lisbon", second, beat(1, 0, 0, 0), now)
        .unwrap();
    let late = origins
        .beat("lisbon", first, beat(6, 0, 0, 0), now)
        .unwrap_err();
    assert!(late.to_string().contains("lisbon"), "{late}");
    // The newest call is not disturbed by it.
    origins
        .beat("lisbon", second, beat(2, 0, 0, 0), now)
        .unwrap();
}

/// xorshift: the same noise for a seed everywhere.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % u64::from(limit)) as u32
    }
}

/// Five thousand seconds of beats of three servers that feed one stream; returns its moves.
fn moves(seed: u64, mut vitals: impl FnMut(u64, usize, &mut Noise) -> [u32; 3]) -> usize {
    const NAMES: [&str; 3] = ["faro", "lisbon", "porto"];
    let start = Instant::now();
    let mut noise = Noise(seed * 2 + 1);
    let mut origins = Origins::new(&v1::Config::default());
    let calls = NAMES.map(|name| origins.call_began(name));
    origins.flows("clock", "faro", "run", None, start);
    let mut feeding = "faro".to_owned();
    let mut moves = 0;
    for second in 1..=5000 {
        let now = start + Duration::from_secs(second);
        for (which, name) in NAMES.iter().enumerate() {
            let [rtt, late, cpu] = vitals(second, which, &mut noise);
            let beat = beat(second, rtt, late, cpu);
            origins.beat(name, calls[which], beat, now).unwrap();
        }
        let feeds = |_: &str| Field {
            feeding: [feeding.clone()].into(),
            ..Field::default()
        };
        let decided = origins.select(|_, _| Some("run".into()), feeds, now);
        if let Some(last) = decided.last() {
            assert_eq!(last.cause, Cause::BetterMetric, "seed {seed}");
            feeding.clone_from(&last.to);
            moves += decided.len();
        }
    }
    moves
}

#[test]
fn equal_servers_are_not_exchanged_however_noisy_their_beats_are() {
    for seed in 0..20 {
        let wild = moves(seed, |_, _, noise| {
            [
                1000 + noise.below(60_000),
                noise.below(30),
                noise.below(300),
            ]
        });
        assert!(wild <= 1, "seed {seed}: {wild} moves in 5000 seconds");
        let quiet = moves(seed, |_, _, noise| {
            [200 + noise.below(2000), 0, noise.below(40)]
        });
        assert_eq!(quiet, 0, "seed {seed}");
    }
}

#[test]
fn a_server_that_is_really_better_wins_in_spite_of_noise() {
    for seed in 0..20 {
        let made = moves(seed, |second, which, noise| {
            let rtt = if which == 2 && second > 1000 {
                5000
            } else {
                150_000
            };
            [rtt + noise.below(60_000), noise.below(30), noise.below(300)]
        });
        assert!((1..=2).contains(&made), "seed {seed}: {made} moves");
    }
}
