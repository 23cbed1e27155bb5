//! What is refused, and in which words.

use super::*;

/// A file with one line of its own.
fn with(line: &str) -> String {
    let mut text = "name: pears\nmanifest: orchard.yaml\nduration: 60s\nviewers: [{}]\n".to_owned();
    let key = line.split(':').next().unwrap_or_default();
    if ["name", "manifest", "duration", "viewers"].contains(&key) {
        text = text
            .lines()
            .filter(|one| !one.starts_with(key))
            .map(|one| format!("{one}\n"))
            .collect();
    }
    text + line + "\n"
}

#[test]
fn a_short_file_has_defaults() {
    let read = parse(&with("seed: 9"), "pears.yaml", None).unwrap();
    assert_eq!(
        (read.repetitions, read.seed, read.duration),
        (6, 9, Millis(60_000))
    );
    let group = &read.viewers[0];
    assert_eq!((group.over, group.from), (Over::Hls, Source::Edges));
    assert_eq!(group.rendition, "lowest");
}

#[test]
fn every_kind_of_event_is_read() {
    let events = "events:
  - {do: down, at: 1s, link: a--b, for: 2s}
  - {do: up, at: 4s, link: a--b}
  - {do: set, at: 5s, link: a--b, delay: 50ms, loss: 1%, bandwidth: unlimited, for: 3s}
  - {do: loss-ramp, at: 6s, until: 9s, link: a--b, from: 0%, to: 5%}
  - {do: bandwidth, at: 7s, link: a--b, pattern: spike}
  - {do: bandwidth, at: 7s, link: a--b, pattern: [{rate: 1M, for: 2s}], until: 30s}
  - {do: kill, at: 8s, member: m, for: 3s}
  - {do: freeze, at: 9s, member: m}
  - {do: thaw, at: 10s, member: m}
  - {do: start, at: 11s, member: m}
  - {do: join, at: 12s, member: m}
  - {do: partition, at: 13s, nodes: [a], for: 1s}
  - {do: degrade, at: 14s, member: m, jitter: 250us}
  - {do: churn, at: 15s, until: 40s, members: [m], every: 5s, down: 2s, how: freeze}";
    let read = parse(&with(events), "pears.yaml", None).unwrap();
    assert_eq!(read.events.len(), 14);
    let Event::Set { change, length, .. } = &read.events[2] else {
        panic!("{:?}", read.events[2]);
    };
    assert_eq!(change.bandwidth, Some(Rate(None)));
    assert_eq!(
        (change.loss, *length),
        (Some(Share(1_000)), Some(Millis(3_000)))
    );
}

#[test]
fn bad_input_is_told_in_one_sentence() {
    for (line, part) in [
        (
            "colour: red",
            "unknown field `colour`, expected one of `name`, `about`",
        ),
        ("name: Pears", "name is \"Pears\"; accepted is a DNS label"),
        (
            "repetitions: 3",
            "repetitions is 3; accepted is 5 or more; fewer only with --repetitions",
        ),
        ("duration: 0s", "duration is 0 s; accepted is 1s to 24h"),
        (
            "duration: soon",
            "\"soon\" is not a duration of whole numbers with ms, s, m or h",
        ),
        ("mtu: 900", "mtu is 900; accepted is 1280 to 9000 bytes"),
        (
            "viewers: []",
            "viewers is empty; accepted is at least one group",
        ),
        (
            "viewers: [{every: 1s, poisson: 2s}]",
            "viewers[0].every is given with poisson",
        ),
        (
            "viewers: [{count: 0}]",
            "viewers[0].count is 0; accepted is 1 to 1000",
        ),
        (
            "viewers: [{from: servers}]",
            "accepted is grpc, as content servers speak nothing else",
        ),
        (
            "viewers: [{from: the-sky}]",
            "unknown variant `the-sky`, expected `edges` or `servers`",
        ),
        (
            "traffic: [{from: a, to: b, rate: unlimited}]",
            "traffic[0].rate is unlimited",
        ),
        (
            "events: [{do: explode, at: 1s}]",
            "unknown variant `explode`, expected one of `down`",
        ),
        (
            "events: [{do: kill, at: 1s, member: m, link: l}]",
            "unknown field `link`",
        ),
        ("events: [{do: kill, at: 1s}]", "missing field `member`"),
        (
            "events: [{do: kill, at: 70s, member: m}]",
            "events[0].at is 70 s; accepted is before the end at 60 s",
        ),
        (
            "events: [{do: set, at: 1s, link: l}]",
            "accepted is at least one of delay, jitter, loss, bandwidth",
        ),
        (
            "events: [{do: set, at: 1s, link: l, delay: 5}]",
            "invalid type: integer `5`, expected a string",
        ),
        (
            "events: [{do: set, at: 1s, link: l, dealy: 5ms}]",
            "unknown field `dealy`",
        ),
        (
            "events: [{do: set, at: 1s, link: l, bandwidth: fast}]",
            "or \"unlimited\"",
        ),
        (
            "events: [{do: bandwidth, at: 1s, link: l, pattern: stairs}]",
            "unknown variant `stairs`, expected one of `cascade`",
        ),
        (
            "events: [{do: bandwidth, at: 1s, link: l, pattern: []}]",
            "events[0].pattern is a list with nothing",
        ),
        (
            "events: [{do: loss-ramp, at: 9s, until: 3s, link: l, from: 0%, to: 1%}]",
            "events[0].until is 3 s; accepted is after 9 s",
        ),
        (
            "events: [{do: churn, at: 1s, until: 9s, members: [], every: 1s, down: 1s}]",
            "events[0].members is empty",
        ),
        (
            "compare: {viewers: [0]}",
            "compare.viewers is 0; accepted is numbers from 1 to 1000",
        ),
        (
            "compare: {pattern: [spike]}",
            "compare.pattern is given without an event",
        ),
        ("compare: {size: [1]}", "unknown field `size`"),
        (
            "capture: all",
            "invalid type: string \"all\", expected a sequence",
        ),
    ] {
        let problems = parse(&with(line), "pears.yaml", None).unwrap_err();
        let [problem] = problems.as_slice() else {
            panic!("{line}: {problems:?}");
        };
        let sentence = problem.to_string();
        assert!(sentence.contains(part), "{line}: {sentence}");
        assert!(!sentence.contains('\n'), "{sentence}");
    }
}

#[test]
fn fewer_repetitions_are_for_the_command_line() {
    assert_eq!(
        parse(&with("seed: 1"), "p", Some(1)).unwrap().repetitions,
        1
    );
    assert!(parse(&with("seed: 1"), "p", Some(0)).is_err());
}
