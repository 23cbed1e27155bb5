//! Exports run: `scenario.py` and the services under python3 with a stand-in for CORE that checks calls and types, the
//! start scripts under bash with a stand-in for the programs. A missing interpreter is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::model::NodeKind;

pub(super) fn written(manifest: &str) -> (TempDir, Exported) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    let exported = Exported::of(manifest, root.to_str().unwrap());
    for file in &exported.files {
        let path = root.join(&file.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &file.contents).unwrap();
        let mode = if file.executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    (folder, exported)
}

/// Whether a program is here; without it the test says so, and fails where skips are failures.
pub(super) fn is_missing(program: &str) -> bool {
    let missing = Command::new(program).arg("--version").output().is_err();
    if missing {
        eprintln!("SKIP: {program} is missing");
        assert!(std::env::var_os("STRICT").is_none(), "{program} is missing");
    }
    missing
}

pub(super) fn python(
    folder: &Path,
    script: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Output {
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-in");
    let mut command = Command::new("python3");
    command
        .arg("-B")
        .arg(script)
        .args(arguments)
        .env("PYTHONPATH", stand_in)
        .env("RECORD", folder.join("record.jsonl"))
        .envs(environment.iter().copied());
    command.output().unwrap()
}

pub(super) fn calls(folder: &Path) -> Vec<Value> {
    let record = fs::read_to_string(folder.join("record.jsonl")).unwrap();
    fs::remove_file(folder.join("record.jsonl")).unwrap();
    record
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(super) fn names(calls: &[Value]) -> Vec<&str> {
    calls
        .iter()
        .map(|call| call["call"].as_str().unwrap())
        .collect()
}

#[test]
fn scenario_py_sends_the_network_as_it_is() {
    if is_missing("python3") {
        return;
    }
    for (name, manifest) in EXAMPLES {
        let (folder, exported) = written(manifest);
        let script = folder.path().join("scenario.py");
        let output = python(folder.path(), &script, &["--address", "core:1"], &[]);
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout), "7\n");
        let calls = calls(folder.path());
        assert_eq!(
            names(&calls),
            ["connect", "create_session", "start_session", "close"]
        );
        assert_eq!(calls[0]["address"], "core:1");
        sent(&exported, &calls[2]);
        // The same nodes, services, addresses and options are in the XML.
        let drawing = import::read(&exported.text("scenario.xml")).unwrap();
        assert_eq!(
            drawing.nodes.len(),
            calls[2]["nodes"].as_array().unwrap().len()
        );
    }
}

fn sent(exported: &Exported, start: &Value) {
    let network = &exported.network;
    let nodes = start["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), network.nodes.len());
    for sent in nodes {
        let node = network.node(sent["name"].as_str().unwrap()).unwrap();
        assert_eq!(sent["id"].as_u64(), Some(u64::from(node.id)));
        assert_eq!(sent["position"]["x"], f64::from(node.position.0));
        let kind = if node.kind == NodeKind::Switch {
            "SWITCH"
        } else {
            "DEFAULT"
        };
        assert_eq!(sent["type"], kind);
        assert!(
            Path::new(sent["icon"].as_str().unwrap()).is_file(),
            "{}",
            sent["icon"]
        );
        let services: Vec<&str> = sent["services"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(
            services.contains(&"IPForward"),
            node.forwards(),
            "{}",
            node.name
        );
        assert_eq!(
            services.contains(&"BanyanRoutes"),
            node.kind != NodeKind::Switch
        );
        assert_eq!(services.contains(&"BanyanViewer"), !node.watches.is_empty());
    }
    let links = start["links"].as_array().unwrap();
    assert_eq!(links.len(), network.links.len());
    for (link, sent) in network.links.iter().zip(links) {
        for (end, key) in link.ends.iter().zip(["1", "2"]) {
            let node = network.node(&end.node).unwrap();
            assert_eq!(sent[format!("node{key}_id")], node.id);
            let interface = node
                .interfaces
                .iter()
                .find(|i| i.index == end.interface)
                .unwrap();
            let given = &sent[format!("iface{key}")];
            assert_eq!(given["id"], interface.index);
            if let Some(net) = interface.v4 {
                assert_eq!(given["ip4"], net.address.to_string());
                assert_eq!(given["ip4_mask"], net.length);
                assert_eq!(given["mac"], interface.mac.to_string());
            }
        }
        let options = Options::of(&link.parameters);
        assert_eq!(
            sent["options"].is_null(),
            options.are_plain(),
            "{}",
            link.name
        );
        if !options.are_plain() {
            assert_eq!(sent["options"]["delay"], options.delay);
            assert_eq!(sent["options"]["bandwidth"], options.bandwidth);
            assert_eq!(sent["options"]["buffer"], options.buffer);
            assert_eq!(
                sent["options"]["loss"],
                options.loss.parse::<f64>().unwrap()
            );
        }
    }
    let metadata: Metadata =
        serde_json::from_str(start["metadata"][METADATA].as_str().unwrap()).unwrap();
    assert_eq!(metadata.manifest, exported.text("manifest.yaml"));
}

#[test]
fn flags_of_scenario_py_do_what_they_say_and_a_failed_start_leaves_no_session() {
    if is_missing("python3") {
        return;
    }
    let (folder, _) = written(EXAMPLES[1].1);
    let run = |arguments: &[&str], fail: &str| {
        let environment = [("FAIL", fail)];
        let output = python(
            folder.path(),
            &folder.path().join("scenario.py"),
            arguments,
            &environment,
        );
        (
            output.status.code(),
            calls(folder.path()),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, calls, _) = run(&["--link-effects=none"], "");
    let links = calls[2]["links"].as_array().unwrap();
    assert!(code == Some(0) && links.iter().all(|link| link["options"].is_null()));
    let (code, calls, _) = run(&["--no-start"], "");
    assert_eq!(
        (code, names(&calls)),
        (
            Some(0),
            vec!["connect", "create_session", "start_session", "close"]
        )
    );
    // What is only drawn is sent as well: until then the client alone knows of it.
    assert!(calls[2]["definition"] == true && !calls[2]["nodes"].as_array().unwrap().is_empty());
    let (code, calls, said) = run(&[], "an answer");
    assert_eq!(code, Some(1));
    assert_eq!(
        names(&calls),
        [
            "connect",
            "create_session",
            "start_session",
            "delete_session",
            "close"
        ]
    );
    assert!(said.contains("a qdisc is not known"), "{said}");
    let (code, after, said) = run(&[], "exception");
    assert_eq!((code, names(&after)), (Some(1), names(&calls)));
    assert!(said.contains("the daemon is gone"), "{said}");
    let (_, calls, _) = run(&["--keep"], "an answer");
    assert!(!names(&calls).contains(&"delete_session"));
    let (_, calls, _) = run(&["--capture"], "");
    assert_eq!(calls[2]["definition"], false);
    let nodes = calls[2]["nodes"].as_array().unwrap();
    let capturing = nodes
        .iter()
        .filter(|node| node["services"].to_string().contains("BanyanCapture"));
    assert_eq!(capturing.count(), 8);
}

#[test]
fn services_load_and_call_start_scripts_that_are_there() {
    if is_missing("python3") {
        return;
    }
    let (folder, _) = written(EXAMPLES[1].1);
    let loader = Path::new(env!("CARGO_MANIFEST_DIR")).join("stand-in/services.py");
    let package = folder.path().join("banyan_services");
    let output = python(
        folder.path(),
        &loader,
        &[package.to_str().unwrap(), "rp"],
        &[],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let services: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let known: Vec<&str> = services
        .iter()
        .map(|service| service["name"].as_str().unwrap())
        .collect();
    assert_eq!(known.len(), 6, "{known:?}");
    for service in &services {
        for dependency in service["dependencies"].as_array().unwrap() {
            assert!(known.contains(&dependency.as_str().unwrap()), "{service}");
        }
        for text in service["files"].as_object().unwrap().values() {
            let text = text.as_str().unwrap();
            let path = text.split('\'').nth(1).unwrap();
            assert!(Path::new(path).is_file(), "{text}");
        }
    }
}

/// Runs `start/NODE.sh` with programs that write their arguments, a line each, and what they know of the run.
fn start(folder: &Path, node: &str, words: &[&str]) -> Output {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    for program in ["banyan", "banyan-relay", "banyan-origin"] {
        let path = bin.join(program);
        fs::write(
            &path,
            "#!/bin/sh\nprintf '%s\\n' \"${0##*/}\" \"$@\" \"$BANYAN_RUN_SECRET\"\n",
        )
        .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = folder.join("start").join(format!("{node}.sh"));
    Command::new("bash")
        .arg(script)
        .args(words)
        // Nobody listens here, so nobody is waited for.
        .env("BANYAN_WAIT", "0")
        .output()
        .unwrap()
}

#[test]
fn start_scripts_run_the_layouts_commands_word_by_word() {
    if is_missing("bash") {
        return;
    }
    let (folder, exported) = written(EXAMPLES[0].1);
    let root = folder.path().canonicalize().unwrap();
    let mut secrets = std::collections::BTreeSet::new();
    for member in &exported.layout.members {
        let node = &exported.network.members[&member.name].node;
        let output = start(&root, node, &["run"]);
        assert!(
            output.status.success(),
            "{node}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let said = fs::read_to_string(root.join("run/logs").join(format!("{node}.log"))).unwrap();
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        secrets.insert(lines.pop().unwrap());
        let text = |path: &str| {
            path.replace(HERE, root.to_str().unwrap())
                .replace(MEDIA, root.join("media").to_str().unwrap())
                .replace(STATE, root.join("run").to_str().unwrap())
        };
        let expected: Vec<String> = member.arguments.iter().map(|word| text(word)).collect();
        assert_eq!(lines[1..], expected, "{node}");
        let place = expected
            .iter()
            .position(|word| word == "--config" || word == "--layout");
        assert!(
            Path::new(&expected[place.unwrap() + 1]).is_file(),
            "{expected:?}"
        );
    }
    assert_eq!(secrets.len(), 1, "all members of a run share a secret");
    assert_eq!(secrets.first().unwrap().len(), 64);
}

#[test]
fn viewers_play_from_the_nearest_edge_and_wrong_words_are_refused() {
    if is_missing("bash") {
        return;
    }
    let (folder, exported) = written(EXAMPLES[1].1);
    let root = folder.path().canonicalize().unwrap();
    let output = start(&root, "screen-2", &["view"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let near = exported.network.members["edge-1"].address;
    let far = exported.network.members["edge-0"].address;
    for stream in ["movie1", "video4"] {
        let path = root
            .join("run/viewers")
            .join(format!("screen-2-{stream}.json"));
        let said = fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[1], "play");
        assert_eq!(lines[2], format!("http://{near}:8080/{stream}/index.m3u8"));
        assert_eq!(lines[3], format!("http://{far}:8080/{stream}/index.m3u8"));
        assert_eq!(lines[4], "--for");
    }
    for (node, words) in [
        ("rp", vec!["dance"]),
        ("rp", vec![]),
        ("rp", vec!["check"]),
        ("screen-1", vec!["run"]),
    ] {
        let output = start(&root, node, &words);
        assert_eq!(output.status.code(), Some(64), "{node} {words:?}");
    }
    assert!(!start(&root, "rp", &["check", "run"]).status.success());
    for file in exported
        .files
        .iter()
        .filter(|file| file.path.ends_with(".sh") || file.path == "term" || file.path == "setup")
    {
        let parsed = Command::new("bash")
            .arg("-n")
            .arg(root.join(&file.path))
            .output()
            .unwrap();
        assert!(
            parsed.status.success(),
            "{}: {}",
            file.path,
            String::from_utf8_lossy(&parsed.stderr)
        );
    }
}

#[test]
fn icons_are_whole_and_words_are_quoted() {
    let (_folder, exported) = written(EXAMPLES[2].1);
    for icon in exported
        .files
        .iter()
        .filter(|file| file.path.ends_with(".png"))
    {
        assert!(
            icon.contents.starts_with(b"\x89PNG\r\n\x1a\n") && icon.contents.len() < 2000,
            "{}",
            icon.path
        );
        assert!(icon.contents.ends_with(b"IEND\xaeB`\x82"), "{}", icon.path);
    }
    let word = super::super::scripts::word;
    assert_eq!(word("--grpc"), "--grpc");
    assert_eq!(word("it's $HOME"), "'it'\\''s $HOME'");
    assert_eq!(word("@state@/cache/a b"), "\"$state\"'/cache/a b'");
    assert_eq!(word(""), "''");
}
