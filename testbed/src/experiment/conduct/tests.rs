//! A whole experiment in a world without time, down to its files.

use std::path::Path;

use super::*;
use crate::experiment::output::{Results, digest};
use crate::experiment::schedule::tests::{Stage, experiment};
use crate::experiment::world::{Count, Late, LinkCount, ViewerRecord};

/// Time passes when somebody waits; every viewer gets 1000 bytes from its source's side.
struct Fake {
    now: Duration,
    seed: u64,
    viewers: Vec<String>,
    fails: bool,
    ended: bool,
}

impl World for Fake {
    fn start(&mut self, plan: &RunPlan) -> Result<Started, Failure> {
        self.seed = plan.seed;
        match self.fails && plan.repetition == 2 {
            true => Err(Failure::Run("the barn, it is said, \"burns\"".to_owned())),
            false => Ok(Started {
                backend: "none".to_owned(),
                kernel: "Fake 1.0".to_owned(),
                congestion_control: "cubic".to_owned(),
                unix_ms: 1_000_000,
            }),
        }
    }

    fn wait_until(&mut self, at: Duration) -> Result<(), Failure> {
        self.now = self.now.max(at);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn apply(&mut self, action: &Action) -> Result<(), Failure> {
        if let Action::StartViewer(watch) = action {
            self.viewers.push(watch.viewer.clone());
        }
        self.now += Duration::from_millis(2);
        Ok(())
    }

    fn collect(&mut self) -> Result<Collected, Failure> {
        let report = |startup: u64| {
            let report = format!(
                "{{\"playing\":1,\"startup_ms\":{startup},\"bytes\":1000,\"chunks\":40,\"mean_bitrate_bps\":900000,\"rendition_changes\":1,\"renditions\":{{\"240p\":3,\"360p\":9}}}}"
            );
            ViewerRecord {
                report,
                trace: String::new(),
            }
        };
        let viewers = self.viewers.iter().enumerate();
        Ok(Collected {
            late: Some(Late {
                p50_us: 10,
                p99_us: 120,
                max_us: 900,
                valid: true,
            }),
            links: vec![LinkCount {
                link: "barn--trunk".to_owned(),
                directions: [
                    Count {
                        bytes: 1_000 * self.viewers.len() as u64,
                        packets: 4,
                        ..Count::default()
                    },
                    Count::default(),
                ],
            }],
            viewers: viewers
                .map(|(index, viewer)| (viewer.clone(), report(500 + 10 * index as u64)))
                .collect(),
            ..Collected::default()
        })
    }

    fn end(&mut self) {
        self.ended = true;
    }
}

fn fake(fails: bool) -> Fake {
    Fake {
        now: Duration::ZERO,
        seed: 0,
        viewers: Vec::new(),
        fails,
        ended: false,
    }
}

fn run(job: &Job, stage: &Stage, fails: bool) -> Vec<Run> {
    let runs = job.runs.iter().map(|planned| {
        let mut world = fake(fails);
        let plan = job.run_plan(planned, Path::new("out"));
        let run = play(&mut world, &plan, planned, stage.scene()).unwrap();
        assert!(world.ended && world.seed == planned.seed);
        run
    });
    runs.collect()
}

fn results<'a>(job: &'a Job, runs: &'a [Run]) -> Results<'a> {
    Results {
        job,
        runs,
        experiment_digest: "e0",
        manifest_digest: "m0",
        program: "banyan 0",
    }
}

const COMPARED: &str = "about: Bytes & viewers\nviewers: [{stream: cider, over: grpc}]\nrepetitions: 5\ncompare: {delivery: [relays, unicast], viewers: [1, 5]}";

#[test]
fn variants_take_turns_within_a_repetition_and_share_its_seed() {
    let stage = Stage::new();
    let job = plan(&experiment(COMPARED), stage.scene()).unwrap();
    let names: Vec<&str> = job.variants.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["relays-1", "relays-5", "unicast-1", "unicast-5"]);
    assert_eq!(job.runs.len(), 20);
    let turns: Vec<(usize, u32)> = job
        .runs
        .iter()
        .map(|run| (run.variant, run.repetition))
        .collect();
    assert_eq!(turns[..5], [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2)]);
    assert_eq!(job.runs[0].seed, job.runs[3].seed);
    assert_ne!(job.runs[0].seed, job.runs[4].seed);
    let folder = job.run_plan(&job.runs[5], Path::new("out")).folder;
    assert_eq!(folder, Path::new("out/relays-5/2"));
}

#[test]
fn the_table_for_a_terminal_leaves_out_what_is_nought() {
    let stage = Stage::new();
    let job = plan(&experiment(COMPARED), stage.scene()).unwrap();
    let runs = run(&job, &stage, false);
    let table = results(&job, &runs).table();
    let bytes = table
        .lines()
        .skip_while(|line| !line.starts_with("bytes leaving"));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let bytes: Vec<Vec<String>> = bytes.take(2).map(words).collect();
    let row = |text: &str| text.split(' ').map(str::to_owned).collect();
    let expected: [Vec<String>; 2] = [
        row("bytes leaving content servers relays-1 1 kB 1 kB … 1 kB"),
        row("relays-5 5 kB 5 kB … 5 kB"),
    ];
    assert_eq!(bytes, expected, "{table}");
    assert!(table.contains("\nchunks lost"), "{table}");
    assert!(!table.contains("stalls"), "{table}");
}

#[test]
fn files_are_what_they_were() {
    let stage = Stage::new();
    let job = plan(&experiment(COMPARED), stage.scene()).unwrap();
    let runs = run(&job, &stage, true);
    let files = results(&job, &runs).files();
    let text = |name: &str| {
        let file = files.iter().find(|file| file.name == name);
        file.map(|file| file.text.as_str()).unwrap()
    };
    assert_eq!(
        text("events.csv").lines().take(3).collect::<Vec<_>>(),
        [
            "variant,repetition,at_ms,begun_ms,done_ms,unix_ms,action,target,detail,hurts",
            "relays-1,1,0,0,2,1000000,watch,viewer-1,cider at screen-1,0",
            "relays-1,1,60000,60000,60002,1060000,leave,viewer-1,,0",
        ]
    );
    assert_eq!(
        text("viewers.csv").lines().nth(1).unwrap(),
        "relays-1,1,viewer-1,screen-1,cider,1,500,0,0,0,,,1000,40,0,0,0,0,0,900000,1,240p=3 360p=9"
    );
    assert_eq!(
        text("links.csv")
            .lines()
            .skip(1)
            .take(2)
            .collect::<Vec<_>>(),
        [
            "relays-1,1,barn--trunk,barn>trunk,1000,4,0,0,0",
            "relays-1,1,barn--trunk,trunk>barn,0,0,0,0,0",
        ]
    );
    let summary: Vec<&str> = text("summary.csv")
        .lines()
        .filter(|row| row.contains("server_bytes"))
        .collect();
    assert_eq!(
        summary,
        [
            "relays-1,server_bytes,B,4,1000,1000,1000,0.8750",
            "relays-5,server_bytes,B,4,5000,5000,5000,0.8750",
            "unicast-1,server_bytes,B,4,1000,1000,1000,0.8750",
            "unicast-5,server_bytes,B,4,5000,5000,5000,0.8750",
        ]
    );
    let failed = text("runs.csv").lines().nth(5).unwrap();
    assert!(failed.starts_with("relays-1,2,"), "{failed}");
    assert!(
        failed.contains(",\"the barn, it is said, \"\"burns\"\"\","),
        "{failed}"
    );
    let page = text("report.html");
    for part in [
        "<p>Bytes &amp; viewers</p>",
        "<td>e0</td>",
        "<td>m0</td>",
        "<td>Fake 1.0</td>",
        "<td>cubic</td>",
        "<td>20 of 20, 4 failed</td>",
        "99 of 100 packets at most 120 us late in the worst run; 0 of 16 runs",
        "relays-1, repetition 2: the barn, it is said, &quot;burns&quot;",
        "5 kB<br><small>5 kB … 5 kB, n = 4, 87.5 %</small>",
        ">bytes leaving content servers</text>",
        "<summary>unicast-5</summary>",
    ] {
        assert!(page.contains(part), "{part} is missing");
    }
    for alien in ["<script", "http-equiv", "src=", "href="] {
        assert!(!page.contains(alien), "{alien}: the page must stand alone");
    }
    // The same records are the same files, to the character.
    let again = results(&job, &run(&job, &stage, true)).files();
    assert_eq!(files, again);
    assert_eq!(
        digest("pear"),
        "97cfbe87531abe0c6bac7b21d616cb422faaa158a9f2ae7e8685c79eb85fc65e"
    );
}

/// `BANYAN_GOLDEN=write` writes it: a browser shows then what has changed.
#[test]
fn the_page_is_as_agreed() {
    let stage = Stage::new();
    let hurt = "events: [{do: kill, at: 20s, member: twig-0, for: 5s}, {do: set, at: 40s, link: barn--trunk, loss: 1%}]";
    let job = plan(&experiment(&format!("{COMPARED}\n{hurt}")), stage.scene()).unwrap();
    let runs = run(&job, &stage, true);
    let files = results(&job, &runs).files();
    let page = files.iter().find(|file| file.name == "report.html");
    let now = &page.unwrap().text;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/experiment/report.html");
    if std::env::var_os("BANYAN_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let agreed = std::fs::read_to_string(&path).unwrap_or_default();
    let lines = now.lines().zip(agreed.lines());
    for (number, (now, agreed)) in (1..).zip(lines) {
        assert_eq!(
            now, agreed,
            "line {number}: BANYAN_GOLDEN=write writes it anew"
        );
    }
    assert_eq!(
        now.len(),
        agreed.len(),
        "one page is longer: BANYAN_GOLDEN=write writes it anew"
    );
}

#[test]
fn the_summary_for_machines_names_what_it_came_from() {
    let stage = Stage::new();
    let job = plan(&experiment(COMPARED), stage.scene()).unwrap();
    let runs = run(&job, &stage, false);
    let json = results(&job, &runs).json();
    assert_eq!(json["manifest_sha256"], "m0");
    assert_eq!(json["variants"][3]["variant"], "unicast-5");
    let measure = &json["variants"][3]["measures"]["startup_worst_ms"];
    assert_eq!(
        (measure["median"].as_f64(), measure["n"].as_u64()),
        (Some(540.0), Some(5))
    );
}

#[test]
fn an_interrupt_ends_everything() {
    struct Impatient(Fake);
    impl World for Impatient {
        fn start(&mut self, plan: &RunPlan) -> Result<Started, Failure> {
            self.0.start(plan)
        }
        fn wait_until(&mut self, _: Duration) -> Result<(), Failure> {
            Err(Failure::Interrupted)
        }
        fn now(&self) -> Duration {
            self.0.now()
        }
        fn apply(&mut self, action: &Action) -> Result<(), Failure> {
            self.0.apply(action)
        }
        fn collect(&mut self) -> Result<Collected, Failure> {
            self.0.collect()
        }
        fn end(&mut self) {
            self.0.end();
        }
    }
    let stage = Stage::new();
    let job = plan(&experiment(COMPARED), stage.scene()).unwrap();
    let mut world = Impatient(fake(false));
    let plan = job.run_plan(&job.runs[0], Path::new("out"));
    let ended = play(&mut world, &plan, &job.runs[0], stage.scene()).unwrap_err();
    assert_eq!(ended, Failure::Interrupted);
    assert!(world.0.ended);
}
