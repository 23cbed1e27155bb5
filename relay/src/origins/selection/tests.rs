//! Each rule alone, then noise over thousands of decisions.

use super::*;

const STREAM: &str = "harbour";

fn candidate(name: &str, metric: u32) -> Candidate {
    Candidate {
        name: name.to_owned(),
        metric,
        scatter: 0,
        run: "run".to_owned(),
        obstacle: None,
    }
}

fn hindered(name: &str, metric: u32, obstacle: Obstacle) -> Candidate {
    Candidate {
        obstacle: Some(obstacle),
        ..candidate(name, metric)
    }
}

fn field(candidates: &[Candidate], feeding: &[&str]) -> Field {
    Field {
        candidates: candidates.to_vec(),
        feeding: feeding.iter().map(|name| (*name).to_owned()).collect(),
        elsewhere: false,
    }
}

/// One stream of one root, seconds at a time.
struct Case {
    rules: Rules,
    selections: Selections,
    start: Instant,
}

impl Case {
    /// Fed by lisbon.
    fn new() -> Case {
        let start = Instant::now();
        let mut selections = Selections::default();
        selections.flows(STREAM, "lisbon", "run", None, start);
        Case {
            rules: Rules::new(0, 0),
            selections,
            start,
        }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn decide(&mut self, second: u64, field: &Field) -> Vec<(String, Cause, bool)> {
        let now = self.at(second);
        let decided = self.selections.decide(&self.rules, |_| field.clone(), now);
        decided
            .into_iter()
            .map(|d| (d.to, d.cause, d.moves))
            .collect()
    }

    fn wanted(&self, current: &str) -> Option<(&str, Cause)> {
        self.selections.wanted(STREAM, current)
    }
}

fn one(to: &str, cause: Cause, moves: bool) -> Vec<(String, Cause, bool)> {
    vec![(to.to_owned(), cause, moves)]
}

#[test]
fn a_challenger_wins_after_the_dwell_and_not_before() {
    let mut case = Case::new();
    let better = field(
        &[candidate("lisbon", 100), candidate("porto", 80)],
        &["lisbon"],
    );
    for second in 1..=10 {
        assert_eq!(case.decide(second, &better), [], "at {second}");
    }
    assert_eq!(case.wanted("lisbon"), None);
    assert_eq!(
        case.decide(11, &better),
        one("porto", Cause::BetterMetric, true)
    );
    assert_eq!(case.wanted("lisbon"), Some(("porto", Cause::BetterMetric)));
    assert_eq!(case.wanted("porto"), None);
}

#[test]
fn a_lead_below_the_margin_or_with_a_break_wins_nothing() {
    let mut case = Case::new();
    // 19 % better, and in tiny numbers ten times better.
    for (incumbent, challenger) in [(100, 81), (10, 1)] {
        let close = [
            candidate("lisbon", incumbent),
            candidate("porto", challenger),
        ];
        for second in 0..60 {
            assert_eq!(case.decide(second, &field(&close, &["lisbon"])), []);
        }
    }
    let mut case = Case::new();
    for second in 0..120 {
        // Once in ten seconds the lead is lost.
        let metric = if second % 10 == 9 { 90 } else { 50 };
        let pair = [candidate("lisbon", 100), candidate("porto", metric)];
        assert_eq!(case.decide(second, &field(&pair, &["lisbon"])), []);
    }
}

#[test]
fn a_lead_within_the_scatter_of_either_wins_nothing() {
    for (ours, theirs) in [(60, 0), (0, 60)] {
        let scattered = |name: &str, metric, scatter| Candidate {
            scatter,
            ..candidate(name, metric)
        };
        let mut case = Case::new();
        let mut pair = [
            scattered("lisbon", 100, ours),
            scattered("porto", 41, theirs),
        ];
        for second in 0..60 {
            assert_eq!(case.decide(second, &field(&pair, &["lisbon"])), []);
        }
        pair[1].metric = 40;
        assert_eq!(case.decide(60, &field(&pair, &["lisbon"])), []);
        let won = one("porto", Cause::BetterMetric, true);
        assert_eq!(case.decide(70, &field(&pair, &["lisbon"])), won);
    }
}

#[test]
fn configured_reluctance_replaces_the_default() {
    let mut case = Case::new();
    case.rules = Rules::new(50, 2000);
    let close = field(
        &[candidate("lisbon", 100), candidate("porto", 60)],
        &["lisbon"],
    );
    for second in 0..30 {
        assert_eq!(case.decide(second, &close), []);
    }
    let far = field(
        &[candidate("lisbon", 100), candidate("porto", 50)],
        &["lisbon"],
    );
    assert_eq!(case.decide(30, &far), []);
    assert_eq!(case.decide(31, &far), []);
    assert_eq!(
        case.decide(32, &far),
        one("porto", Cause::BetterMetric, true)
    );
}

#[test]
fn who_may_not_feed_is_replaced_at_once_with_the_reason() {
    for (obstacle, cause) in [
        (Obstacle::ClockSkew, Cause::ClockSkew),
        (Obstacle::Draining, Cause::Drained),
    ] {
        let mut case = Case::new();
        let pair = [hindered("lisbon", 1, obstacle), candidate("porto", 900)];
        assert_eq!(
            case.decide(1, &field(&pair, &["lisbon"])),
            one("porto", cause, true)
        );
    }
    let mut case = Case::new();
    let gone = field(&[candidate("porto", 900)], &["lisbon"]);
    assert_eq!(
        case.decide(1, &gone),
        one("porto", Cause::ContentGone, true)
    );
}

#[test]
fn missing_beats_replace_an_idle_one_and_never_one_whose_media_flows() {
    let silent = [
        hindered("lisbon", 500, Obstacle::Silent),
        candidate("porto", 1),
    ];
    let mut case = Case::new();
    for second in 0..60 {
        assert_eq!(case.decide(second, &field(&silent, &["lisbon"])), []);
    }
    let idle = field(&silent, &[]);
    assert_eq!(
        case.decide(60, &idle),
        one("porto", Cause::HeartbeatLost, false)
    );
}

#[test]
fn nobody_eligible_means_that_nothing_moves() {
    let mut case = Case::new();
    let all = [
        hindered("lisbon", 1, Obstacle::ClockSkew),
        hindered("porto", 1, Obstacle::ClockSkew),
        hindered("faro", 1, Obstacle::Draining),
    ];
    assert_eq!(case.decide(1, &field(&all, &["lisbon"])), []);
    assert_eq!(case.wanted("lisbon"), None);
}

#[test]
fn ranks_are_incumbent_metric_name_and_last_resorts() {
    let case = Case::new();
    let other_run = Candidate {
        run: "other".to_owned(),
        ..candidate("evora", 1)
    };
    let mut candidates = vec![
        hindered("aveiro", 0, Obstacle::Silent),
        hindered("beja", 0, Obstacle::Draining),
        hindered("coimbra", 0, Obstacle::ClockSkew),
        candidate("lisbon", 90),
        candidate("porto", 50),
        candidate("faro", 50),
        candidate("braga", 60),
        other_run,
    ];
    let names = |candidates: &[Candidate]| -> Vec<String> {
        candidates.iter().map(|c| c.name.clone()).collect()
    };
    case.selections.rank(STREAM, &mut candidates, case.start);
    let expected = [
        "lisbon", "faro", "porto", "braga", "evora", "coimbra", "beja", "aveiro",
    ];
    assert_eq!(names(&candidates), expected);
    // Without an incumbent the metric alone decides.
    case.selections.rank("news", &mut candidates, case.start);
    assert_eq!(names(&candidates)[..3], ["evora", "faro", "porto"]);
}

#[test]
fn a_better_figure_is_not_worth_another_run_but_a_loss_is() {
    let other_run = Candidate {
        run: "other".to_owned(),
        ..candidate("porto", 1)
    };
    let mut case = Case::new();
    let pair = [candidate("lisbon", 900), other_run.clone()];
    for second in 0..60 {
        assert_eq!(case.decide(second, &field(&pair, &["lisbon"])), []);
    }
    let pair = [
        hindered("lisbon", 900, Obstacle::Draining),
        other_run.clone(),
    ];
    let mut last = case;
    assert_eq!(
        last.decide(60, &field(&pair, &["lisbon"])),
        one("porto", Cause::Drained, true)
    );
    // Of two, the one that goes on with the run.
    let mut case = Case::new();
    let three = [other_run, candidate("vigo", 800)];
    assert_eq!(
        case.decide(1, &field(&three, &["lisbon"])),
        one("vigo", Cause::ContentGone, true)
    );
}

#[test]
fn a_track_that_had_to_leave_takes_the_others_with_it() {
    let mut case = Case::new();
    let lost = Some(("lisbon", Cause::ConnectionLost));
    case.selections
        .flows(STREAM, "porto", "run", lost, case.at(5));
    let follow = Some(("porto", Cause::ConnectionLost));
    assert_eq!(case.wanted("lisbon"), follow);
    // Another track resumes where it was: it is to follow, not to lead.
    case.selections
        .flows(STREAM, "lisbon", "run", lost, case.at(5));
    assert_eq!(case.wanted("lisbon"), follow);
    let pair = [candidate("lisbon", 1), candidate("porto", 100)];
    assert_eq!(case.decide(6, &field(&pair, &["lisbon", "porto"])), []);
    // All have moved; the old one has to prove itself for a dwell.
    for second in 7..16 {
        assert_eq!(
            case.decide(second, &field(&pair, &["porto"])),
            [],
            "at {second}"
        );
    }
    assert_eq!(
        case.decide(16, &field(&pair, &["porto"])),
        one("lisbon", Cause::BetterMetric, true)
    );
}

#[test]
fn a_track_that_had_to_leave_the_new_one_too_goes_back_for_all() {
    let mut case = Case::new();
    let lost = |from| Some((from, Cause::ConnectionLost));
    case.selections
        .flows(STREAM, "porto", "run", lost("lisbon"), case.at(5));
    case.selections
        .flows(STREAM, "lisbon", "run", lost("porto"), case.at(5));
    assert_eq!(case.wanted("lisbon"), None);
    assert_eq!(
        case.wanted("porto"),
        Some(("lisbon", Cause::ConnectionLost))
    );
    let pair = [candidate("lisbon", 1), candidate("porto", 1)];
    for second in 6..60 {
        assert_eq!(case.decide(second, &field(&pair, &["lisbon"])), []);
        assert_eq!(case.wanted("lisbon"), None);
    }
}

#[test]
fn silence_is_told_only_by_who_waited() {
    let mut case = Case::new();
    let silent = Some(("lisbon", Cause::HopSilent));
    case.selections
        .flows(STREAM, "porto", "run", silent, case.at(5));
    assert_eq!(case.wanted("lisbon"), Some(("porto", Cause::Planned)));
}

#[test]
fn a_move_that_reaches_nobody_is_taken_back_and_not_tried_for_a_while() {
    let mut case = Case::new();
    let pair = field(
        &[candidate("lisbon", 100), candidate("porto", 10)],
        &["lisbon"],
    );
    for second in 0..=10 {
        case.decide(second, &pair);
    }
    assert_eq!(case.wanted("lisbon"), Some(("porto", Cause::BetterMetric)));
    for second in 11..25 {
        assert_eq!(case.decide(second, &pair), []);
        assert!(case.wanted("lisbon").is_some());
    }
    case.decide(25, &pair);
    assert_eq!(case.wanted("lisbon"), None);
    for second in 26..85 {
        assert_eq!(case.decide(second, &pair), [], "at {second}");
    }
    let again: Vec<_> = (85..120).flat_map(|s| case.decide(s, &pair)).collect();
    assert_eq!(again, one("porto", Cause::BetterMetric, true));
}

#[test]
fn a_stream_that_a_fellow_root_feeds_is_forgotten() {
    let mut case = Case::new();
    let elsewhere = Field {
        elsewhere: true,
        ..field(
            &[
                hindered("lisbon", 1, Obstacle::Silent),
                candidate("porto", 1),
            ],
            &["root-1"],
        )
    };
    assert_eq!(case.decide(1, &elsewhere), []);
    assert_eq!(case.wanted("lisbon"), None);
    assert!(case.selections.streams.is_empty());
}

#[test]
fn few_streams_change_for_a_better_metric_within_a_dwell_and_all_get_their_turn() {
    let rules = Rules::new(0, 0);
    let start = Instant::now();
    let mut selections = Selections::default();
    let names: Vec<String> = (0..30).map(|n| format!("stream-{n:02}")).collect();
    for name in &names {
        selections.flows(name, "lisbon", "run", None, start);
    }
    let mut feeding: BTreeMap<String, &str> =
        names.iter().map(|name| (name.clone(), "lisbon")).collect();
    let pair = [candidate("lisbon", 200), candidate("porto", 50)];
    let mut moved: Vec<(u64, String)> = Vec::new();
    for second in 0..200 {
        let now = start + Duration::from_secs(second);
        let decided = selections.decide(&rules, |stream| field(&pair, &[feeding[stream]]), now);
        for d in decided {
            feeding.insert(d.stream.clone(), "porto");
            moved.push((second, d.stream));
        }
    }
    // Three of thirty at a time, one group every dwell, by name.
    let expected: Vec<(u64, String)> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (10 + n as u64 / 3 * 10, name.clone()))
        .collect();
    assert_eq!(moved, expected);
}

#[test]
fn the_cap_holds_up_no_replacement() {
    let rules = Rules::new(0, 0);
    let start = Instant::now();
    let mut selections = Selections::default();
    for n in 0..20 {
        selections.flows(&format!("stream-{n}"), "lisbon", "run", None, start);
    }
    let pair = [
        hindered("lisbon", 1, Obstacle::Draining),
        candidate("porto", 900),
    ];
    let decided = selections.decide(&rules, |_| field(&pair, &["lisbon"]), start);
    assert_eq!(decided.len(), 20);
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

/// Ten thousand seconds; returns how often the stream moved.
fn moves(seed: u64, mut metrics: impl FnMut(u64, &mut Noise) -> [u32; 3]) -> usize {
    let mut case = Case::new();
    let mut noise = Noise(seed * 2 + 1);
    let mut feeding = "lisbon".to_owned();
    let mut moves = 0;
    for second in 0..10_000 {
        let [a, b, c] = metrics(second, &mut noise);
        let three = [
            candidate("lisbon", a),
            candidate("porto", b),
            candidate("faro", c),
        ];
        for (to, cause, _) in case.decide(second, &field(&three, &[&feeding])) {
            assert_eq!(cause, Cause::BetterMetric, "seed {seed}");
            feeding = to;
            moves += 1;
        }
    }
    moves
}

#[test]
fn noise_moves_nothing_and_a_slow_swing_moves_once_per_swing_at_most() {
    for seed in 0..20 {
        // Equal servers, each beat anywhere between 60 and 140.
        let jumpy = moves(seed, |_, noise| [(); 3].map(|()| 60 + noise.below(81)));
        assert!(jumpy <= 2, "seed {seed}: {jumpy} moves");
        // Next to nothing, relatively wild.
        let tiny = moves(seed, |_, noise| [(); 3].map(|()| noise.below(10)));
        assert_eq!(tiny, 0, "seed {seed}");
        // The feeding server is busier for feeding: 15 % do not chase it around.
        let mut at = 0;
        let chased = moves(seed, |_, noise| {
            let mut metrics = [(); 3].map(|()| 95 + noise.below(10));
            metrics[at % 3] += 15;
            at += usize::from(noise.below(1000) == 0);
            metrics
        });
        assert_eq!(chased, 0, "seed {seed}");
        // Who is best changes every ten minutes: it is followed, once each time.
        let swings = moves(seed, |second, noise| {
            let best = (second / 600 % 3) as usize;
            let mut metrics = [(); 3].map(|()| 190 + noise.below(20));
            metrics[best] = 90 + noise.below(20);
            metrics
        });
        assert!((15..=17).contains(&swings), "seed {seed}: {swings} moves");
    }
}
