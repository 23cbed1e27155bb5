//! A bundle where this machine's libraries cannot be seen: a root of its own with a shell, the few tools that start
//! scripts call, and the export. What the programs map there is all of the bundle.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use banyan_tests::testbed::Machine;
use banyan_tests::{Stopwatch, binary, fixtures, workspace};

#[test]
fn a_bundle_prepares_and_serves_where_nothing_else_is_installed() {
    let watch = Stopwatch::start("core: bundle");
    for tool in ["ldd", "unshare", "chroot", "ip"] {
        if !fixtures::has_tool(tool) {
            return fixtures::skip("core: bundle", tool);
        }
    }
    let before = Machine::now();
    let work = tempfile::tempdir().expect("a temporary folder must be creatable");
    let export = work.path().join("export");
    let mut command = Command::new(binary("banyan"));
    command.args(["core", "export", "--bundle", "-f"]);
    command
        .arg(workspace().join("examples/scenario-a.yaml"))
        .arg("-o")
        .arg(&export);
    assert!(
        command
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    );
    for entry in fs::read_dir(export.join("bin"))
        .expect("a bundle must have a bin")
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).expect("what is called must be a script");
        let paths = text
            .split(['"', ' ', '=', '\n'])
            .filter(|word| word.starts_with('/'));
        assert_eq!(paths.collect::<Vec<_>>(), Vec::<&str>::new(), "{text}");
        assert!(text.starts_with("#!/bin/sh\n"), "{text}");
    }
    watch.lap("exported");

    let root = work.path().join("root");
    let own = furnish(&root);
    let script = work.path().join("inside.sh");
    fs::write(&script, INSIDE).expect("a file must be writable");
    let output = Command::new("unshare")
        .args([
            "--user",
            "--map-root-user",
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
        ])
        .args([&script, &root, &export])
        .stdin(Stdio::null())
        .output()
        .expect("unshare must start");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if said.contains("unshare failed") {
        return fixtures::skip("core: bundle", "user namespaces cannot be made here");
    }
    let log = fs::read_to_string(export.join("run/logs/s1.log")).unwrap_or_default();
    assert!(output.status.success(), "{said}\n{log}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for program in ["banyan ", "banyan-relay ", "banyan-origin "] {
        assert!(
            text.lines().any(|line| line.starts_with(program)),
            "{program}: {text}"
        );
    }
    for content in ["movie1", "video4"] {
        let offered = format!("content offered content=\"{content}\"");
        assert!(log.contains(&offered), "{log}");
    }
    assert!(!text.contains("not found"), "{text}");
    // What ran mapped nothing but the bundle, and the shell its own few.
    let mapped: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("maps "))
        .collect();
    let foreign = mapped
        .iter()
        .filter(|path| !path.starts_with("/export/") && !own.contains(**path));
    assert_eq!(foreign.collect::<Vec<_>>(), Vec::<&&str>::new());
    for library in ["libavcodec.so", "libx264.so", "libc.so", "ld-linux"] {
        let wanted = format!("/export/lib/{library}");
        assert!(
            mapped.iter().any(|path| path.starts_with(&wanted)),
            "{library}: {mapped:?}"
        );
    }
    let count = mapped.iter().filter(|path| path.starts_with("/export/"));
    println!("  {} files of the bundle were mapped", count.count());
    watch.lap("prepared and stopped");
    assert_eq!(
        Machine::now(),
        before,
        "running a bundle left something behind"
    );
}

/// Tools with their libraries, as another system would have them. Gives their paths in there.
fn furnish(root: &Path) -> BTreeSet<String> {
    let mut own = BTreeSet::new();
    for folder in ["bin", "proc", "dev", "tmp", "export"] {
        fs::create_dir_all(root.join(folder)).expect("a folder must be creatable");
    }
    for tool in TOOLS {
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(tool))
            .find(|path| path.is_file())
            .unwrap_or_else(|| panic!("{tool} is not on the path"));
        take(&path, &root.join("bin").join(tool));
        own.insert(format!("/bin/{tool}"));
        let listed = Command::new("ldd")
            .arg(&path)
            .output()
            .expect("ldd must start");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for library in listed
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            take(
                Path::new(library),
                &root.join(library.trim_start_matches('/')),
            );
            own.insert(library.to_owned());
        }
    }
    own
}

fn take(from: &Path, to: &Path) {
    let folder: PathBuf = to.parent().map(Path::to_owned).unwrap_or_default();
    fs::create_dir_all(folder).expect("a folder must be creatable");
    fs::copy(from, to).expect("a file must be readable");
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("a mode must be settable");
}

/// What start scripts call, and `sh` for the bundle's own.
const TOOLS: [&str; 14] = [
    "bash", "sh", "cat", "mkdir", "dirname", "timeout", "od", "tr", "mktemp", "ln", "rm", "sleep",
    "sort", "ls",
];

/// Becomes the first process of new namespaces; `$1` is the root, `$2` the export. The content server gets the address
/// it wants and nobody to talk to.
const INSIDE: &str = r#"set -e
mount --bind "$2" "$1/export"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
ip link set lo up
ip addr add 10.0.5.11/24 dev lo
chroot=$(command -v chroot)
PATH=/bin exec "$chroot" "$1" /bin/bash -c '
cd /export
for program in banyan banyan-relay banyan-origin; do
  bin/$program --version
  lib/ld-linux* --library-path /export/lib --list libexec/$program | while read -r _ _ path _; do
    case $path in /*) echo "maps $path" ;; *not*) echo "$path not found" ;; esac
  done
done
BANYAN_WAIT=0 bash start/s1.sh run &
for _ in {1..150}; do
  sleep 0.2
  for maps in /proc/[0-9]*/maps; do
    while read -r _ _ _ _ _ path; do case $path in /*) echo "maps $path" ;; esac; done < "$maps"
  done 2>/dev/null | sort -u
  [[ $(cat run/logs/s1.log 2>/dev/null) != *offered*offered* ]] || break
done
bash start/s1.sh stop run
wait || true
'
"#;
