//! `banyan testbed run` as it is used: what comes out of a run, what is refused before one, what is kept of one that is
//! interrupted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use banyan_tests::testbed::experiment::{Experiment, Table};
use banyan_tests::testbed::{Machine, pcap, refusal};
use banyan_tests::{Stopwatch, binary, wait_until, workspace};
use rustix::process::Signal;
use serde_json::Value;

#[test]
fn an_experiment_leaves_every_file_that_is_promised() {
    let test = "testbed: experiment";
    let watch = Stopwatch::start(test);
    let planned = assert_planned();
    let mut experiment = Experiment::start(&rehearsal(), &["--repetitions", "1", "--json"]);
    let Some(status) = experiment.end(test, BOUND) else {
        return;
    };
    watch.lap("run");
    assert!(status.success(), "{status}: {}", experiment.said());

    let events = experiment.table("events.csv");
    assert_eq!(
        events.header,
        "variant,repetition,at_ms,begun_ms,done_ms,unix_ms,action,target,detail,hurts"
    );
    let done: Vec<String> = events
        .rows
        .iter()
        .map(|row| ["variant", "at_ms", "action", "target", "detail"].map(|name| &*row[name]))
        .map(|cells| cells.join(","))
        .collect();
    assert_eq!(done, planned, "what was done is not what was planned");
    for row in &events.rows {
        let at = ["at_ms", "begun_ms", "done_ms"].map(|name| number(&row[name]));
        assert!(at.is_sorted(), "{row:?}");
    }

    assert_viewers(&experiment.table("viewers.csv"));
    assert_links(&experiment);
    assert_runs(&experiment);
    let switches = experiment.table("switches.csv");
    assert_eq!(
        switches.header,
        "variant,repetition,at_ms,member,track,from,to,cause"
    );
    // Whoever was fed by the relay that died went elsewhere.
    let left = switches.of(&[("variant", "events"), ("from", "hop-0")]);
    let left: Vec<i64> = left
        .iter()
        .filter_map(|row| row["at_ms"].parse().ok())
        .collect();
    println!("  hop-0 was left at {left:?} ms");
    assert!(
        left.iter().any(|at| (8_000..11_000).contains(at)),
        "{switches:?}"
    );
    assert_page(&experiment);
    for variant in ["calm", "events"] {
        let folder = experiment.out().join(variant).join("1");
        for (name, least) in [("logs", 8), ("record", 10), ("metrics", 7), ("viewers", 4)] {
            let files = banyan_tests::asset::files(&folder.join(name)).len();
            assert!(files >= least, "{variant}: {files} files in {name}");
        }
        assert!(!pcap::frames(&folder.join("captures/rp--s1.pcap")).is_empty());
    }
}

/// `--plan` prints every step and makes nothing. Gives its rows.
#[track_caller]
fn assert_planned() -> Vec<String> {
    let work = tempfile::tempdir().expect("a temporary folder must be creatable");
    let out = work.path().join("out");
    let output = run(&rehearsal(), &out, &["--plan"]);
    assert!(output.status.success(), "{output:?}");
    assert!(!out.exists(), "a plan has made a folder");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (header, rows) = text.split_once('\n').expect("there must be lines");
    assert_eq!(header, "variant,at_ms,action,target,detail");
    let rows: Vec<String> = rows.lines().map(str::to_owned).collect();
    let of = |variant: &str| -> Vec<&str> {
        let rows = rows.iter().filter_map(|row| row.strip_prefix(variant));
        rows.map(|row| row.trim_start_matches(',')).collect()
    };
    let calm = [
        "0,watch,viewer-1,movie1 at screen-1",
        "0,watch,viewer-2,movie1 at screen-2",
        "2000,traffic,traffic-1,s2 to c2 400000 bit/s",
        "6000,traffic-end,traffic-1,",
        "15000,leave,viewer-1,",
        "15000,leave,viewer-2,",
    ];
    assert_eq!(of("calm"), calm);
    let words = |row: &str| row.splitn(4, ',').take(3).collect::<Vec<_>>().join(" ");
    let events: Vec<String> = of("events").into_iter().map(words).collect();
    let expected = [
        "0 watch viewer-1",
        "0 watch viewer-2",
        "2000 traffic traffic-1",
        "4000 set rp--s1",
        "6000 traffic-end traffic-1",
        "7000 set rp--s1",
        "8000 kill hop-0",
        "11000 start hop-0",
        "15000 leave viewer-1",
        "15000 leave viewer-2",
    ];
    assert_eq!(events, expected);
    rows
}

#[track_caller]
fn assert_viewers(viewers: &Table) {
    assert_eq!(
        viewers.header,
        "variant,repetition,viewer,node,stream,reported,startup_ms,played_ms,stalls,stalled_ms,latency_p50_ms,latency_p95_ms,bytes,chunks,lost,repeated,out_of_order,switches,faults,mean_bitrate_bps,rendition_changes,renditions"
    );
    assert_eq!(viewers.rows.len(), 4);
    for variant in ["calm", "events"] {
        for (viewer, node) in [("viewer-1", "screen-1"), ("viewer-2", "screen-2")] {
            let wanted = [("variant", variant), ("viewer", viewer), ("node", node)];
            let found = viewers.of(&wanted);
            let [row] = found[..] else {
                panic!("{variant}, {viewer}: {viewers:?}");
            };
            println!(
                "  {variant} {viewer}: {} chunks, {} lost",
                row["chunks"], row["lost"]
            );
            assert_eq!([&row["reported"], &row["stream"]], ["1", "movie1"]);
            assert!(
                number(&row["chunks"]) > 0 && number(&row["bytes"]) > 0,
                "{row:?}"
            );
            assert_eq!(row["repeated"], "0", "{row:?}");
            if variant == "calm" {
                assert_eq!([&row["lost"], &row["out_of_order"]], ["0", "0"], "{row:?}");
            }
        }
    }
}

#[track_caller]
fn assert_links(experiment: &Experiment) {
    let links = experiment.table("links.csv");
    assert_eq!(
        links.header,
        "variant,repetition,link,direction,bytes,packets,lost,full,cut"
    );
    let found: BTreeSet<[&str; 3]> = links
        .rows
        .iter()
        .map(|row| ["variant", "link", "direction"].map(|name| &*row[name]))
        .collect();
    let names = "c1--n1 c1--screen-1 c2--n2 c2--screen-2 control--rp n1--rp n2--rp rp--s1 rp--s2";
    let expected: BTreeSet<[String; 3]> = ["calm", "events"]
        .into_iter()
        .flat_map(|variant| names.split(' ').map(move |link| (variant, link)))
        .flat_map(|(variant, link)| {
            let (one, other) = link.split_once("--").expect("a link has two ends");
            [(one, other), (other, one)]
                .map(|(from, to)| [variant.to_owned(), link.to_owned(), format!("{from}>{to}")])
        })
        .collect();
    let expected: BTreeSet<[&str; 3]> = expected
        .iter()
        .map(|[variant, link, way]| [&**variant, &**link, &**way])
        .collect();
    assert_eq!((links.rows.len(), found), (36, expected));
    let viewers = experiment.table("viewers.csv");
    for row in &viewers.rows {
        let last = row["node"].replace("screen-", "c") + ">" + &row["node"];
        let wanted = [("variant", &*row["variant"]), ("direction", &*last)];
        let carried = number(&links.of(&wanted)[0]["bytes"]);
        assert!(
            carried > number(&row["bytes"]),
            "{} got {} bytes over a link that carried {carried}",
            row["viewer"],
            row["bytes"]
        );
    }
    let lossy = links.of(&[("link", "rp--s2")]);
    assert!(lossy.iter().any(|row| row["lost"] != "0"), "{lossy:?}");
}

#[track_caller]
fn assert_runs(experiment: &Experiment) {
    let runs = experiment.table("runs.csv");
    assert!(
        runs.header
            .starts_with("variant,repetition,seed,failure,lost,repeated,"),
        "{}",
        runs.header
    );
    let rows: Vec<_> = runs.rows.iter().collect();
    let [calm, events] = rows[..] else {
        panic!("two runs are expected: {runs:?}");
    };
    assert_eq!([&calm["variant"], &events["variant"]], ["calm", "events"]);
    assert_eq!(
        calm["seed"], events["seed"],
        "variants meet the same chance"
    );
    for row in [calm, events] {
        assert_eq!([&row["failure"], &row["silent_viewers"]], ["", "0"]);
    }
    // Nobody acts on a death that did not happen.
    assert_eq!((&*calm["detect_ms"], &*calm["resume_ms"]), ("", ""));
    assert!(number(&events["detect_ms"]) < 15_000, "{events:?}");

    let summary = experiment.table("summary.csv");
    assert_eq!(
        summary.header,
        "variant,measure,unit,n,median,low,high,coverage"
    );
    for run in [calm, events] {
        for (measure, value) in run.iter().filter(|(_, value)| !value.is_empty()) {
            if ["variant", "repetition", "seed"].contains(&measure.as_str()) {
                continue;
            }
            let wanted = [("variant", &*run["variant"]), ("measure", &**measure)];
            let found = summary.of(&wanted);
            assert_eq!(found.len(), 1, "{wanted:?} in {summary:?}");
            assert_eq!([&found[0]["n"], &found[0]["median"]], ["1", value]);
        }
    }
    let json = experiment.text("summary.json");
    assert_eq!(experiment.printed(), json, "--json prints the summary");
    let json: Value = serde_json::from_str(&json).expect("a summary must be JSON");
    assert_eq!(json["seed"], 23);
    for (index, variant) in ["calm", "events"].iter().enumerate() {
        let one = &json["variants"][index];
        assert_eq!(
            (&one["variant"], &one["failed"]),
            (&(*variant).into(), &0.into())
        );
        assert!(one["measures"]["startup_ms"]["median"].is_number(), "{one}");
    }
}

#[track_caller]
fn assert_page(experiment: &Experiment) {
    let page = experiment.text("report.html");
    let cell = |name: &str| {
        let before = format!("<tr><th>{name}</th><td>");
        let (_, after) = page.split_once(&before)?;
        Some(after.split_once("</td>")?.0)
    };
    let kernel = |below: &str| {
        let text = fs::read_to_string(format!("/proc/sys/{below}"));
        text.expect("the kernel must say").trim().to_owned()
    };
    let expected = [
        ("experiment, SHA-256", digest(&rehearsal())),
        (
            "manifest, SHA-256",
            digest(&workspace().join("examples/scenario-b.yaml")),
        ),
        ("kernel", format!("Linux {}", kernel("kernel/osrelease"))),
        (
            "congestion control",
            kernel("net/ipv4/tcp_congestion_control"),
        ),
        ("seed", "23".to_owned()),
        ("repetitions", "1".to_owned()),
        ("runs", "2 of 2, 0 failed".to_owned()),
    ];
    for (name, value) in &expected {
        assert_eq!(cell(name), Some(&**value), "{name} on the page");
    }
    let seeds = experiment.table("runs.csv").rows[0]["seed"].clone();
    assert_eq!(cell("seeds of repetitions"), Some(&*seeds));
    let late = cell("lateness of links").unwrap_or_default();
    println!("  {late}");
    assert!(late.starts_with("99 of 100 packets at most "), "{late:?}");
    for part in [
        "<svg",
        "<summary>calm</summary>",
        "<summary>events</summary>",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    let plot = experiment.text("startup_ms.svg");
    assert!(plot.starts_with("<svg") && page.contains(plot.trim_end()));
    let kept = experiment.text("experiment.yaml");
    assert_eq!(fs::read_to_string(rehearsal()).ok(), Some(kept));
}

#[test]
fn an_experiment_that_cannot_be_is_refused_before_anything_is_made() {
    let before = Machine::now();
    let work = tempfile::tempdir().expect("a temporary folder must be creatable");
    let good = fs::read_to_string(rehearsal()).expect("the experiment must be readable");
    let good = good.replace(
        "../../examples",
        &workspace().join("examples").display().to_string(),
    );
    let cases = [
        (
            "link: rp--s1, delay",
            "link: rp--s3, delay",
            "events[0].link names \"rp--s3\", which is no link of this network; nearest are rp--s1, rp--s2, c1--n1",
        ),
        (
            "  - {do: kill, at: 8s, member: hop-0, for: 3s}",
            "  - {do: kill, at: 3s, member: hop-0}\n  - {do: kill, at: 8s, member: hop-0}",
            "member \"hop-0\" is to be killed at 8000 ms, when it is not there; accepted is an instant when it runs",
        ),
        (
            "scenario-b.yaml",
            "scenario-q.yaml",
            "cannot be read: No such file or directory",
        ),
    ];
    for (was, is, expected) in cases {
        assert!(good.contains(was), "{was}");
        let file = work.path().join("bad.yaml");
        fs::write(&file, good.replace(was, is)).expect("a file must be writable");
        let out = work.path().join("out");
        let output = run(&file, &out, &[]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        let sentence = refusal(&output);
        assert!(sentence.contains(expected), "{sentence}");
        assert!(!out.exists() && output.stdout.is_empty(), "{is}");
    }
    assert_eq!(Machine::now(), before);
}

#[test]
fn an_interrupted_experiment_keeps_what_was_measured() {
    let test = "testbed: interrupt";
    let watch = Stopwatch::start(test);
    let work = tempfile::tempdir().expect("a temporary folder must be creatable");
    let file = work.path().join("short.yaml");
    let manifest = workspace().join("examples/scenario-b.yaml");
    let text = format!(
        "name: short\nmanifest: {}\nduration: 5s\nviewers: [{{nodes: [screen-1], stream: movie1}}]\nevents: [{{do: kill, at: 4s, member: hop-0}}]\ncompare: {{events: [false, true]}}\n",
        manifest.display()
    );
    fs::write(&file, text).expect("a file must be writable");

    // While the first run starts: nothing was measured.
    let mut experiment = Experiment::start(&file, &["--repetitions", "1"]);
    wait_until("members of the first run start", BOUND, || {
        let logs = banyan_tests::asset::files(&experiment.out().join("calm/1/logs"));
        !experiment.is_running() || !logs.is_empty()
    });
    if experiment.is_running() {
        experiment.signal(Signal::INT);
    }
    let Some(status) = experiment.end(test, BOUND) else {
        return;
    };
    assert_eq!(status.code(), Some(1), "{}", experiment.said());
    assert!(
        experiment
            .said()
            .contains("interrupted; 0 of 2 runs are kept"),
        "{}",
        experiment.said()
    );
    assert_eq!(experiment.table("runs.csv").rows.len(), 0);
    watch.lap("interrupted at its start");

    // While somebody watches in the second run: the first one is there as if nothing had been.
    let mut experiment = Experiment::start(&file, &["--repetitions", "1"]);
    let folder = experiment.out().join("events/1");
    wait_until("the viewer of the second run watches", BOUND, || {
        assert!(experiment.is_running(), "it ended by itself");
        folder.join("viewers/viewer-1.json").is_file()
    });
    experiment.signal(Signal::TERM);
    let status = experiment.end(test, BOUND);
    watch.lap("interrupted in the second run");
    assert_eq!(status.and_then(|status| status.code()), Some(1));
    assert!(
        experiment
            .said()
            .contains("interrupted; 1 of 2 runs are kept"),
        "{}",
        experiment.said()
    );
    for name in ["runs.csv", "viewers.csv"] {
        let table = experiment.table(name);
        let variants: Vec<&str> = table.rows.iter().map(|row| &*row["variant"]).collect();
        assert_eq!(variants, ["calm"], "{name}");
    }
    let events = experiment.table("events.csv");
    assert_eq!(events.rows.len(), events.of(&[("variant", "calm")]).len());
    assert_eq!(events.rows.len(), 2);
    let page = experiment.text("report.html");
    assert!(page.contains("<td>1 of 2, 0 failed</td>"));
    // Of the other one, everything it had said: members and viewer left in good order.
    let report = fs::read_to_string(folder.join("viewers/viewer-1.json")).unwrap_or_default();
    let report: Result<Value, _> = serde_json::from_str(&report);
    assert!(
        report.is_ok_and(|report| report["lost"] == 0),
        "no report was left"
    );
    assert!(folder.join("links.stats.json").is_file());
    assert!(!banyan_tests::asset::files(&folder.join("metrics")).is_empty());
}

fn rehearsal() -> PathBuf {
    workspace().join("tests/manifests/rehearsal.yaml")
}

/// A run that ends at once.
#[track_caller]
fn run(file: &Path, out: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary("banyan"));
    command.args(["testbed", "run"]).arg(file).args(arguments);
    let output = command.arg("--out").arg(out).output();
    output.expect("banyan must start")
}

/// SHA-256 by another program.
#[track_caller]
fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output();
    let output = output.expect("sha256sum must start").stdout;
    let text = String::from_utf8_lossy(&output).into_owned();
    let digits = text.split(' ').next();
    digits.expect("there must be a digest").to_owned()
}

#[track_caller]
fn number(cell: &str) -> u64 {
    let number = cell.parse();
    number.unwrap_or_else(|error| panic!("{cell:?} is no number: {error}"))
}

/// Two runs with their starts and ends, on a busy machine.
const BOUND: Duration = Duration::from_secs(240);
