//! Bad input at the command line: each is answered with one sentence that has the thing, the value and what is
//! accepted, with exit code 64 (bad configuration) or 1 (failed start), and leaves nothing behind. A broken content
//! does not stop a good one beside it.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use banyan_tests::overlay::{Launched, Setup, find};
use banyan_tests::{
    Overlay, Stopwatch, asset, binary, ffmpeg, fixtures, http, wait, wait_for, wait_until,
    workspace,
};

const PLAIN: &str = "tests/manifests/plain.yaml";
const BOUND: Duration = Duration::from_secs(60);
const TEST_SOURCE: &str = "{ test: { pattern: clock, duration: 2s } }";

/// Name, what to replace in the plain manifest, by what, words of the answer.
type Case = (&'static str, &'static str, String, Vec<&'static str>);

#[test]
fn a_broken_manifest_is_answered_with_one_sentence() {
    let _watch = Stopwatch::start("bad_input: manifests");
    let plain =
        fs::read_to_string(workspace().join(PLAIN)).expect("the plain manifest must be readable");
    let content = "    - name: pulse\n";
    let long = "a".repeat(51);
    let twice = format!("    - name: pulse\n      source: {TEST_SOURCE}\n{content}");
    let weights = "edge: { replicas: 1 }\n  originSelection: { weights: { latency: 50, loss: 30, load: 10 } }";
    let source = |path: &str| format!("{{ file: {{ path: {path} }} }}");
    let cases: Vec<Case> = vec![
        (
            "unknown field",
            "replicas: 1 }\n---",
            "replicas: 1, replicsa: 2 }\n---".into(),
            vec!["replicsa"],
        ),
        ("duplicate content", content, twice, vec!["pulse"]),
        (
            "zero fan-out",
            "fanOut: 2",
            "fanOut: 0".into(),
            vec!["fanOut", "0"],
        ),
        (
            "weights that sum to 90",
            "edge: { replicas: 1 }",
            weights.into(),
            vec!["weights", "90", "100"],
        ),
        (
            "reserved name",
            content,
            "    - name: api\n".into(),
            vec!["api", "healthz"],
        ),
        (
            "over-long name",
            content,
            format!("    - name: {long}\n"),
            vec!["aaaaaaaa", "50"],
        ),
        (
            "upper-case name",
            content,
            "    - name: Pulse\n".into(),
            vec!["Pulse", "lower-case"],
        ),
        (
            "absolute path",
            TEST_SOURCE,
            source("/etc/passwd"),
            vec!["/etc/passwd", "relative"],
        ),
        (
            "path that climbs",
            TEST_SOURCE,
            source("../secret.mp4"),
            vec!["../secret.mp4", ".."],
        ),
        (
            "two sources",
            TEST_SOURCE,
            "{ test: {}, file: { path: a.mp4 } }".into(),
            vec!["source", "exactly one"],
        ),
        (
            "no source",
            TEST_SOURCE,
            "{}".into(),
            vec!["source", "exactly one"],
        ),
        (
            "unknown topology",
            "topology: plain",
            "topology: plane".into(),
            vec!["plane"],
        ),
        (
            "odd height",
            "height: 90",
            "height: 91".into(),
            vec!["height", "91"],
        ),
        (
            "negative duration",
            "duration: 2s",
            "duration: -2s".into(),
            vec!["-2s"],
        ),
        (
            "a later feature",
            TEST_SOURCE,
            "{ rtsp: { url: rtsp://camera/1 } }".into(),
            vec!["rtsp", "not supported"],
        ),
    ];
    for (name, from, to, words) in cases {
        assert!(
            plain.contains(from),
            "{name}: the plain manifest has no {from:?}"
        );
        let (code, sentence) = refuse_text(&plain.replacen(from, &to, 1));
        assert_eq!(code, Some(64), "{name}: {sentence}");
        assert_sentence(name, &sentence, &words);
    }
    for (name, text, words) in [
        ("no YAML", "spec: [", vec!["manifest.yaml"]),
        ("an empty file", "", vec!["manifest.yaml"]),
        (
            "a kind of someone else",
            "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n",
            vec!["\"v1\"", "banyan.media/v1alpha1"],
        ),
        (
            "a kind of the future",
            "apiVersion: banyan.media/v1alpha1\nkind: Orchard\nmetadata: { name: a }\n",
            vec!["Orchard", "StreamTopology"],
        ),
    ] {
        let (code, sentence) = refuse_text(text);
        assert_eq!(code, Some(64), "{name}: {sentence}");
        assert_sentence(name, &sentence, &words);
    }
}

#[test]
fn broken_media_is_answered_with_one_sentence() {
    let watch = Stopwatch::start("bad_input: media");
    let media = tempfile::tempdir().expect("a temporary folder must be creatable");
    lay_out_broken_media(media.path());
    for (name, path, words) in [
        ("missing file", "nowhere.mp4", vec!["nowhere.mp4"]),
        ("directory", "folder.mp4", vec!["folder.mp4"]),
        ("0-byte file", "empty.mp4", vec!["empty.mp4", "empty"]),
        ("truncated mp4", "cut.mp4", vec!["cut.mp4"]),
        ("text named .mp4", "text.mp4", vec!["text.mp4"]),
    ] {
        let (code, sentence) = with_file(path, media.path()).start().refused(BOUND);
        assert!(
            matches!(code, Some(1 | 64)),
            "{name}: exit {code:?}: {sentence}"
        );
        assert_sentence(name, &sentence, &words);
        watch.lap(name);
    }
    // The same files without a manifest.
    for path in ["nowhere.mp4", "folder.mp4", "text.mp4"] {
        let (code, sentence) = Overlay::of_files(&[media.path().join(path)])
            .start()
            .refused(BOUND);
        assert!(
            matches!(code, Some(1 | 64)),
            "--file {path}: exit {code:?}: {sentence}"
        );
        assert_sentence(path, &sentence, &[path]);
    }
    watch.lap("--file");
}

#[test]
fn a_file_without_permission_is_answered_with_one_sentence() {
    let root = rustix::process::geteuid().is_root();
    if root && !fixtures::has_tool("setpriv") {
        fixtures::skip(
            "a_file_without_permission",
            "setpriv of util-linux is missing",
        );
        return;
    }
    let _watch = Stopwatch::start("bad_input: permission");
    let media = tempfile::tempdir().expect("a temporary folder must be creatable");
    let locked = media.path().join("locked.mp4");
    clip(&locked);
    fs::set_permissions(&locked, std::os::unix::fs::PermissionsExt::from_mode(0o000))
        .expect("a mode must be settable");
    let mut setup = with_file("locked.mp4", media.path());
    if root {
        // Root reads everything unless it gives up that right.
        let without = "--bounding-set=-dac_override,-dac_read_search";
        setup = setup.through(&["setpriv", "--inh-caps=-all", without]);
    }
    let (code, sentence) = setup.start().refused(BOUND);
    assert!(matches!(code, Some(1 | 64)), "exit {code:?}: {sentence}");
    assert_sentence("no permission", &sentence, &["locked.mp4", "ermission"]);
}

#[test]
fn a_good_content_plays_beside_a_broken_one() {
    let watch = Stopwatch::start("bad_input: broken beside good");
    let media = tempfile::tempdir().expect("a temporary folder must be creatable");
    lay_out_broken_media(media.path());
    let plain =
        fs::read_to_string(workspace().join(PLAIN)).expect("the plain manifest must be readable");
    let both =
        format!("{plain}    - name: broken\n      source: {{ file: {{ path: text.mp4 }} }}\n");
    let manifest = media.path().join("manifest.yaml");
    fs::write(&manifest, both).expect("a manifest must be writable");
    let overlay = Overlay::from(&manifest).up();
    watch.lap("ready");
    let edge = &overlay.edges()[0];
    overlay
        .play(&format!("{edge}/pulse/index.m3u8"), 4)
        .report(BOUND)
        .assert_unbroken("the good content");
    let answer = http::get(&format!("{edge}/broken/index.m3u8"));
    assert!(
        matches!(answer.status, 404 | 503),
        "the broken one: {} {}",
        answer.status,
        answer.text()
    );
    let error = wait_for("the origin says what is wrong", BOUND, || {
        let contents = overlay.member("faro")["contents"].clone();
        let entry = find(&contents, "name", "broken")?;
        (entry["state"] == "failed").then(|| entry["error"].as_str().unwrap_or("").to_owned())
    });
    assert_sentence("the broken content", &error, &["text.mp4"]);
}

#[test]
fn a_port_in_use_is_named() {
    let _watch = Stopwatch::start("bad_input: port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port must be bindable");
    let address = taken
        .local_addr()
        .expect("a listener must have an address")
        .to_string();
    let folder = tempfile::tempdir().expect("a temporary folder must be creatable");
    let config = folder.path().join("config.json");
    let root = serde_json::json!([{ "name": "root-0", "uri": "http://127.0.0.1:9" }]);
    let settings = serde_json::json!({
        "epoch": 1_700_000_000, "segment_duration_ms": 1000, "part_duration_ms": 333,
        "window_segments": 6, "heartbeat_interval_ms": 1000, "missed_heartbeats": 3, "roots": root, "parents": root,
    });
    fs::write(&config, settings.to_string()).expect("a file must be writable");
    for (program, role) in [("banyan-relay", Some("edge")), ("banyan-origin", None)] {
        let mut command = Command::new(binary(program));
        command.args([
            "--member",
            "edge-0",
            "--topology",
            "plain",
            "--grpc",
            "127.0.0.1:0",
            "--http",
            &address,
        ]);
        command.arg("--config").arg(&config);
        match role {
            Some(role) => command.args(["--role", role]),
            None => command
                .arg("--media")
                .arg(folder.path())
                .arg("--cache")
                .arg(folder.path()),
        };
        let (code, said) = run(command.env("BANYAN_RUN_SECRET", "00".repeat(32)));
        assert_eq!(code, Some(1), "{program}: {said}");
        assert!(
            said.contains(&address) && said.contains("in use"),
            "{program}: {said}"
        );
        assert!(!said.contains("panicked"), "{program}: {said}");
    }
    // The page's own port.
    let port = address.rsplit(':').next().unwrap_or_default();
    let (code, said) = Overlay::from(PLAIN)
        .flag("--port", port)
        .start()
        .refused(BOUND);
    assert!(matches!(code, Some(1 | 64)), "exit {code:?}: {said}");
    assert_sentence("the page's port", &said, &[port, "in use", "--port"]);
}

#[test]
fn wrong_arguments_are_answered_with_64() {
    let _watch = Stopwatch::start("bad_input: arguments");
    for (arguments, words) in [
        (vec!["up"], vec!["MANIFEST"]),
        (vec!["up", "nowhere.yaml", "--json"], vec!["nowhere.yaml"]),
        (vec!["up", "nowhere.yaml", "--epoch", "soon"], vec!["soon"]),
        (
            vec!["up", "nowhere.yaml", "--restart", "maybe"],
            vec!["maybe", "always", "never"],
        ),
        (vec!["up", "nowhere.yaml", "--spin"], vec!["--spin"]),
        (vec!["play", "ftp://127.0.0.1/x", "--json"], vec!["ftp"]),
        (
            vec!["play", "http://127.0.0.1:1/x/index.m3u8", "--for", "long"],
            vec!["long"],
        ),
        (vec!["plan", "-f", "nowhere.yaml"], vec!["nowhere.yaml"]),
        (vec!["dance"], vec!["dance"]),
    ] {
        let (code, said) = run(Command::new(binary("banyan")).args(&arguments));
        assert_eq!(code, Some(64), "{arguments:?}: {said}");
        for word in words {
            assert!(
                said.contains(word),
                "{arguments:?} must mention {word:?}: {said}"
            );
        }
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_full_disk_fails_the_preparation_and_nothing_else() {
    let watch = Stopwatch::start("bad_input: full disk");
    let folder = tempfile::tempdir().expect("a temporary folder must be creatable");
    let mount = format!(
        "mount -t tmpfs -o size=600k tmpfs {}",
        folder.path().display()
    );
    let may = Command::new("unshare")
        .args(["-m", "sh", "-c", &mount])
        .stderr(Stdio::null())
        .status();
    if !may.is_ok_and(|status| status.success()) {
        fixtures::skip(
            "a_full_disk_fails_the_preparation",
            "mounting a tmpfs in a namespace of its own is not allowed here",
        );
        return;
    }
    // Room for `pulse`, not for the other; both are prepared onto the small disk.
    let plain =
        fs::read_to_string(workspace().join(PLAIN)).expect("the plain manifest must be readable");
    let large = "    - name: large\n      source: { test: { pattern: mandelbrot, duration: 20s } }\n      renditions:\n        \
                 - { name: 360p, height: 360, videoBitrate: 2M, audioBitrate: 96k }\n";
    let manifest = workspace_file(&format!("{plain}{large}"));
    let script = format!("{mount} && exec \"$@\"");
    let overlay = Overlay::from(manifest.path())
        .cache(folder.path())
        .through(&["unshare", "-m", "sh", "-c", &script, "sh"])
        .start()
        .ready();
    watch.lap("ready");
    let error = wait_for("the origin says that the disk is full", BOUND, || {
        let contents = overlay.member("faro")["contents"].clone();
        let entry = find(&contents, "name", "large")?;
        (entry["state"] == "failed").then(|| entry["error"].as_str().unwrap_or("").to_owned())
    });
    assert_sentence("full disk", &error, &["large", "space"]);
    let url = format!("{}/pulse/index.m3u8", overlay.edges()[0]);
    overlay
        .play(&url, 4)
        .report(BOUND)
        .assert_unbroken("the content that was prepared");
    assert!(
        asset::all(folder.path()).is_empty(),
        "the small disk must have been mounted for the overlay alone"
    );
}

/// The plain manifest with a file of `media` as its content.
fn with_file(path: &str, media: &Path) -> Setup {
    let plain =
        fs::read_to_string(workspace().join(PLAIN)).expect("the plain manifest must be readable");
    let text = plain.replace(TEST_SOURCE, &format!("{{ file: {{ path: {path} }} }}"));
    assert_ne!(plain, text);
    let manifest = media.join("manifest.yaml");
    fs::write(&manifest, text).expect("a manifest must be writable");
    Overlay::from(manifest).media(media)
}

fn workspace_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new()
        .suffix(".yaml")
        .tempfile()
        .expect("a temporary file must open");
    fs::write(file.path(), text).expect("a temporary file must be writable");
    file
}

fn refuse_text(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder must be creatable");
    let manifest = folder.path().join("manifest.yaml");
    fs::write(&manifest, text).expect("a manifest must be writable");
    let launched: Launched = Overlay::from(&manifest).start();
    launched.refused(BOUND)
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let stderr = tempfile::NamedTempFile::new().expect("a temporary file must open");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr.reopen().expect("a file must reopen"))
        .spawn()
        .expect("a program must start");
    let status = wait::poll(BOUND, || {
        child.try_wait().expect("a child must be waitable")
    });
    let said = fs::read_to_string(stderr.path()).unwrap_or_default();
    if status.is_none() {
        let _ = child.kill();
        let _ = child.wait();
        panic!("{command:?} did not end: {said}");
    }
    (status.and_then(|status| status.code()), said)
}

/// One sentence with all of these words; log lines around it are fine, a panic or a backtrace is not.
#[track_caller]
fn assert_sentence(name: &str, said: &str, words: &[&str]) {
    assert!(
        !said.contains("panicked") && !said.contains("stack backtrace"),
        "{name}: {said}"
    );
    println!("  {name}: {}", said.trim_end());
    let found = said
        .lines()
        .any(|line| words.iter().all(|word| line.contains(word)));
    assert!(found, "{name}: no line has all of {words:?} in: {said}");
}

fn lay_out_broken_media(folder: &Path) {
    let whole = folder.join("whole.mp4");
    clip(&whole);
    let bytes = fs::read(&whole).expect("a clip must be readable");
    fs::create_dir(folder.join("folder.mp4")).expect("a folder must be creatable");
    for (name, contents) in [
        ("empty.mp4", &b""[..]),
        // The index of an mp4 lies at its end, so half of it cannot be read.
        ("cut.mp4", &bytes[..bytes.len() / 2]),
        (
            "text.mp4",
            &b"This is no video, whatever its name says.\n"[..],
        ),
    ] {
        fs::write(folder.join(name), contents).expect("a file must be writable");
    }
}

fn clip(path: &Path) {
    let sources = [
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=160x90:rate=25:duration=2",
        "-f",
        "lavfi",
        "-i",
    ];
    let coded = [
        "sine=frequency=440:duration=2",
        "-c:v",
        "libx264",
        "-c:a",
        "aac",
        "-shortest",
    ];
    let arguments: Vec<&str> = sources.into_iter().chain(coded).collect();
    ffmpeg::generate(&arguments, path);
    wait_until("the clip is written", BOUND, || {
        path.metadata().is_ok_and(|facts| facts.len() > 0)
    });
}
