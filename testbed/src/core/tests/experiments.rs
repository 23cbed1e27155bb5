//! Experiments run against the stand-in's session: what is asked of CORE, in which order, and what `events.csv` says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::programs::{calls, is_missing, python, written};
use super::*;

/// Calls and waits of an experiment after it found its session, in words, how it ended, and `events.csv`.
struct Ran {
    good: bool,
    did: Vec<String>,
    events: Vec<String>,
}

fn run(exported: &Exported, folder: &Path, name: &str, environment: &[(&str, &str)]) -> Ran {
    let started = python(folder, &folder.join("scenario.py"), &[], &[]);
    assert!(started.status.success());
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-in/experiment.py");
    let script = folder.join("experiments").join(format!("{name}.py"));
    let output = python(folder, &stand_in, &[script.to_str().unwrap()], environment);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() || !environment.is_empty(),
        "{name}: {said}"
    );
    // The first four are those of scenario.py, the fifth connects.
    let did = calls(folder)
        .iter()
        .skip(5)
        .map(|call| words(exported, folder, call))
        .collect();
    let path = folder.join("run/events.csv");
    let text = fs::read_to_string(&path).unwrap_or_default();
    let _ = fs::remove_file(path);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("unix_s,event,subject,detail"));
    let mut last = 0.0;
    let events = lines.map(|line| {
        let (time, rest) = line.split_once(',').unwrap();
        let time: f64 = time.parse().unwrap();
        assert!(time >= last && time > 1.7e9, "{text}");
        last = time;
        rest.to_owned()
    });
    Ran {
        good: output.status.success(),
        did,
        events: events.collect(),
    }
}

fn words(exported: &Exported, folder: &Path, call: &Value) -> String {
    let text = |key: &str| call[key].as_str().unwrap_or_default();
    match text("call") {
        "wait" => format!("wait {}", call["seconds"]),
        "node_command" => {
            let root = folder.canonicalize().unwrap();
            let command = text("command").replace(root.to_str().unwrap(), "@");
            format!("{}: {command}", text("node"))
        }
        "edit_link" => edited(exported, &call["link"]),
        other => other.to_owned(),
    }
}

/// What an edit changes of the manifest's options; all of them must be sent.
fn edited(exported: &Exported, sent: &Value) -> String {
    let network = &exported.network;
    let at = |end: &model::End, key: &str| {
        let node = network.node(&end.node).unwrap();
        sent[format!("node{key}_id")] == node.id
            && sent[format!("iface{key}")]["id"] == end.interface
    };
    let mut links = network.links.iter();
    let link = links
        .find(|link| at(&link.ends[0], "1") && at(&link.ends[1], "2"))
        .unwrap();
    let options = Options::of(&link.parameters);
    let loss: f64 = options.loss.parse().unwrap();
    let now = &sent["options"];
    assert_eq!(
        (&now["dup"], &now["unidirectional"]),
        (&0.into(), &false.into())
    );
    assert_eq!(now["buffer"], options.buffer);
    let all = [
        ("bandwidth", Value::from(options.bandwidth)),
        ("delay", options.delay.into()),
        ("jitter", options.jitter.into()),
        ("loss", loss.into()),
    ];
    let changed = all
        .iter()
        .filter(|(key, was)| now[key].as_f64() != was.as_f64());
    let changed: Vec<String> = changed
        .map(|(key, _)| format!("{key}={}", now[key]))
        .collect();
    format!(
        "edit {}--{} {}",
        link.ends[0].node,
        link.ends[1].node,
        changed.join(" ")
    )
}

#[test]
fn experiments_do_what_they_say_in_order_and_write_it_down() {
    if is_missing("python3") {
        return;
    }
    let (folder, exported) = written(EXAMPLES[1].1);
    let run = |name: &str| run(&exported, folder.path(), name, &[]);
    let down = run("link_down");
    let mut links = exported.network.links.iter();
    let link = links
        .find(|link| !Options::of(&link.parameters).are_plain())
        .unwrap();
    let link = link.ends.clone().map(|end| (end.node, end.interface));
    let [(one, first), (other, second)] = &link;
    let keep = |iface| format!("echo 1 > /proc/sys/net/ipv6/conf/eth{iface}/keep_addr_on_down");
    let set = |state: &str| {
        [(one, first), (other, second)]
            .into_iter()
            .flat_map(|(node, iface)| {
                [
                    format!("{node}: {}", keep(iface)),
                    format!("{node}: ip link set eth{iface} {state}"),
                ]
            })
            .collect::<Vec<_>>()
    };
    let routes = [one, other].map(|node| format!("{node}: bash '@/start/{node}.sh' routes"));
    let wait = vec!["wait 10".to_owned()];
    let expected = [&wait[..], &set("down"), &wait, &set("up"), &routes, &wait].concat();
    assert_eq!(down.did, expected);
    assert_eq!(
        down.events,
        [
            format!("link,{one}--{other},down"),
            format!("link,{one}--{other},up")
        ]
    );

    let ramp = run("loss_ramp");
    let pair = format!("{one}--{other}");
    let steps = [
        "loss=0.0",
        "loss=0.5",
        "loss=1.0",
        "loss=2.0",
        "loss=5.0",
        "loss=10.0",
        "restored",
    ];
    let events = steps.map(|step| format!("link,{pair},{step}"));
    assert_eq!(ramp.events, events);
    // The link has no loss of its own: neither the first nor the last edit changes anything.
    let edits = [
        "",
        "loss=0.5",
        "loss=1.0",
        "loss=2.0",
        "loss=5.0",
        "loss=10.0",
        "",
    ];
    let expected = edits.map(|edit| [format!("edit {pair} {edit}"), "wait 10".to_owned()]);
    assert_eq!(ramp.did, expected.concat());

    let drop = run("bandwidth_drop");
    let narrow = format!("edit {pair} bandwidth=1000000");
    assert_eq!(
        drop.did,
        [
            "wait 10",
            &narrow,
            "wait 20",
            &format!("edit {pair} "),
            "wait 10"
        ]
    );
    assert_eq!(drop.events.len(), 2);

    let kill = run("kill_and_restart");
    let killed = "n1: kill -9 $(cat '@/run/pids/n1.run')";
    let started = "n1: bash '@/start/n1.sh' run > /dev/null 2>&1 &";
    assert_eq!(kill.did, ["wait 10", killed, "wait 15", started, "wait 15"]);
    assert_eq!(kill.events, ["member,n1,killed", "member,n1,started"]);

    let pids = folder.path().join("run/pids");
    fs::create_dir_all(&pids).unwrap();
    for client in ["screen-1", "screen-2"] {
        fs::write(pids.join(format!("{client}.view")), "1").unwrap();
    }
    let viewers = run("viewers_come_and_go");
    let mut expected = Vec::new();
    for act in ["stop view", "view > /dev/null 2>&1 &"] {
        for client in ["screen-1", "screen-2"] {
            expected.push("wait 5".to_owned());
            expected.push(format!("{client}: bash '@/start/{client}.sh' {act}"));
        }
    }
    expected.push("wait 10".to_owned());
    assert_eq!(viewers.did, expected);
    let events = [
        "screen-1,left",
        "screen-2,left",
        "screen-1,came",
        "screen-2,came",
    ];
    assert_eq!(
        viewers.events,
        events.map(|event| format!("viewer,{event}"))
    );
}

#[test]
fn an_experiment_that_is_interrupted_or_fails_undoes_its_harm() {
    if is_missing("python3") {
        return;
    }
    let (folder, exported) = written(EXAMPLES[1].1);
    let interrupted = [
        ("link_down", "2", "up"),
        ("loss_ramp", "3", "restored"),
        ("bandwidth_drop", "2", "restored"),
        ("kill_and_restart", "2", "started"),
    ];
    for (name, wait, last) in interrupted {
        let ran = run(&exported, folder.path(), name, &[("INTERRUPT", wait)]);
        assert!(!ran.good, "{name}");
        assert!(
            ran.events.last().is_some_and(|event| event.ends_with(last)),
            "{name}: {:?}",
            ran.events
        );
        assert!(
            !ran.did.last().is_some_and(|did| did.starts_with("wait")),
            "{name}: {:?}",
            ran.did
        );
    }
    let ran = run(
        &exported,
        folder.path(),
        "kill_and_restart",
        &[("NODE_COMMAND", "[\"false\"]")],
    );
    assert!(!ran.good);
    // Whoever could not be killed runs, and no second one is started beside it.
    assert_eq!((ran.did.len(), ran.events), (2, Vec::new()));
}

#[test]
fn an_experiment_without_its_session_says_so() {
    if is_missing("python3") {
        return;
    }
    let (folder, _) = written(EXAMPLES[0].1);
    fs::write(folder.path().join("record.jsonl"), "").unwrap();
    let script = folder.path().join("experiments/link_down.py");
    let output = python(folder.path(), &script, &[], &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.starts_with("0 running sessions have the nodes of this export"),
        "{said}"
    );
}
