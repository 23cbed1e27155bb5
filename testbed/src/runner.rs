//! Makes what [`crate::netns`] plans, by `unshare`, `nsenter` and `ip`.
//!
//! Two processes: the *outer* one, which the user started, and the *inner* one, first process of a user, mount, PID
//! and network namespace ([`inner`]), which makes the network and runs everything in it. When the inner one ends,
//! however it ends, the kernel ends whatever it started and takes devices, rules and mounts down; it ends with the outer
//! one, whose death closes its standard input and kills `unshare`.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::linkd::control::{self, Answer, Request};
use crate::netns::{NodePlan, Plan};

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file of the run.
    #[error("cannot write {path:?}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that could not be run.
    #[error("cannot run {program:?}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step that failed.
    #[error("{what} failed: {said}")]
    Step {
        /// Which.
        what: String,
        /// What it said.
        said: String,
    },
    /// The link process does not answer.
    #[error("the link process does not answer")]
    Ask(#[source] io::Error),
    /// The link process refuses.
    #[error("{0}")]
    Refused(String),
}

/// What this machine lacks, one sentence for each thing; empty where a testbed can be.
pub fn missing(needs_taps: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let tools = [
        ("ip", "iproute2"),
        ("unshare", "util-linux"),
        ("nsenter", "util-linux"),
        ("setpriv", "util-linux"),
    ];
    for (tool, package) in tools {
        if !is_on_path(tool) {
            missing.push(format!("{tool} is not on the path; install {package}"));
        }
    }
    if missing.is_empty() {
        let mut probe = Command::new("unshare");
        probe.args(NAMESPACES).arg("true");
        let made = probe.stdin(Stdio::null()).output();
        if !made.is_ok_and(|output| output.status.success()) {
            missing.push(
                "user namespaces cannot be made here; allow them (kernel.unprivileged_userns_clone=1, \
                 user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns=0) or run as root"
                    .to_owned(),
            );
        }
    }
    let tun = std::fs::File::options().read(true).write(true).open(TUN);
    if needs_taps && let Err(error) = tun {
        missing.push(format!(
            "{TUN} cannot be opened ({error}); load the module tun and allow reading and writing that file"
        ));
    }
    missing
}

fn is_on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// The command that becomes the first process of new namespaces and there runs `program`.
pub fn inner(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare"]);
    command.args(NAMESPACES).arg(program);
    command
}

/// What stands before a command that is run in a node, from within the inner process.
pub fn inside(folder: &Path, node: &str) -> Vec<OsString> {
    let mut net = OsString::from("--net=");
    net.push(namespace(folder, node));
    vec!["nsenter".into(), net, "--".into()]
}

/// What stands before a command that is run in a node, from outside; `first` is the inner process.
pub fn enter(folder: &Path, first: u32, node: &str) -> Vec<OsString> {
    let below = namespace(folder, node);
    let below = below.strip_prefix("/").unwrap_or(&below);
    let mut net = OsString::from("--net=");
    net.push(Path::new(&format!("/proc/{first}/root")).join(below));
    let mut here = OsString::from("--wd=");
    here.push(std::env::current_dir().unwrap_or_else(|_| "/".into()));
    vec![
        "nsenter".into(),
        format!("--target={first}").into(),
        "--user".into(),
        "--preserve-credentials".into(),
        "--mount".into(),
        "--pid".into(),
        net,
        here,
        "--".into(),
    ]
}

/// The process that `unshare` has made, once it has.
pub fn first_of(unshare: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"));
    children.ok()?.split_whitespace().next()?.parse().ok()
}

/// Lets the link process go before all others of the machine, where the caller may do that (root may); `first` is the
/// inner process. Without it, links are late when the machine is busy, which is measured and said.
pub fn prefer_links(first: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{first}/task"));
    let children = threads
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|thread| {
            let listed = std::fs::read_to_string(thread.path().join("children"));
            Some(listed.ok()?.split_whitespace().map(str::to_owned).collect())
        });
    let children: Vec<Vec<String>> = children.collect();
    let links = children.into_iter().flatten().find(|process| {
        let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"linkd")
    });
    let Some(links) = links else { return false };
    let mut command = Command::new("chrt");
    command.args(["--rr", "--pid", "1", &links]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The socket of the link process.
pub fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Asks the link process of a run.
pub fn ask(folder: &Path, request: &Request) -> Result<Answer, Error> {
    match control::ask(&socket(folder), request).map_err(Error::Ask)? {
        Answer::Error(sentence) => Err(Error::Refused(sentence)),
        answer => Ok(answer),
    }
}

/// A network that stands. Its link process ends with this value.
pub struct Fabric {
    linkd: Option<Child>,
}

impl Drop for Fabric {
    fn drop(&mut self) {
        if let Some(linkd) = &mut self.linkd {
            let _ = linkd.kill().and_then(|()| linkd.wait());
        }
    }
}

impl Fabric {
    /// Makes the network. `linkd` becomes the link process when it is given a file and a socket, and says a line once its
    /// devices are there.
    pub fn make(folder: &Path, plan: &Plan, linkd: &mut Command) -> Result<Self, Error> {
        let namespaces = folder.join(NAMESPACE_FOLDER);
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Write { path, source }
        };
        std::fs::create_dir_all(&namespaces).map_err(write(&namespaces))?;
        for node in &plan.nodes {
            let file = namespace(folder, &node.name);
            std::fs::write(&file, "").map_err(write(&file))?;
            let mut net = OsString::from("--net=");
            net.push(&file);
            step(
                &format!("making the namespace of {}", node.name),
                Command::new("unshare").arg(net).arg("true"),
                "",
            )?;
        }
        let fabric = Self {
            linkd: start_links(folder, plan, linkd)?,
        };
        let netns = |line: &str| absolute(line, folder);
        let batch: String = plan.fabric.lines().map(netns).collect();
        step(
            "making links",
            Command::new("ip").args(["-batch", "-"]),
            &batch,
        )?;
        for node in &plan.nodes {
            set_up(folder, node)?;
        }
        Ok(fabric)
    }
}

/// `ip` takes a path for a namespace as well as a name.
fn absolute(line: &str, folder: &Path) -> String {
    match line.split_once(" netns ") {
        Some((before, after)) => {
            let folder = folder.join(NAMESPACE_FOLDER);
            format!("{before} netns {}/{after}\n", folder.display())
        }
        None => format!("{line}\n"),
    }
}

fn start_links(folder: &Path, plan: &Plan, linkd: &mut Command) -> Result<Option<Child>, Error> {
    if plan.links.links.is_empty() {
        return Ok(None);
    }
    let file = folder.join(LINKS);
    let write = |source| Error::Write {
        path: file.clone(),
        source,
    };
    let config = serde_json::to_vec_pretty(&plan.links).map_err(|error| write(error.into()))?;
    std::fs::write(&file, config).map_err(write)?;
    // A socket's path has little room: both are given from the folder of the run.
    let run = |source| Error::Run {
        program: "the link process".to_owned(),
        source,
    };
    let mut child = linkd
        .args([LINKS, SOCKET])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(run)?;
    let mut line = String::new();
    if let Some(output) = child.stdout.take() {
        BufReader::new(output).read_line(&mut line).map_err(run)?;
    }
    match line.trim() {
        "ready" => Ok(Some(child)),
        said => {
            let _ = child.kill().and_then(|()| child.wait());
            Err(Error::Step {
                what: "starting the link process".to_owned(),
                said: match said {
                    "" => "it ended".to_owned(),
                    said => said.to_owned(),
                },
            })
        }
    }
}

fn set_up(folder: &Path, node: &NodePlan) -> Result<(), Error> {
    let settings = node.settings.iter();
    let mut script: String = settings
        .map(|(path, value)| {
            format!(
                "if [ -e /proc/sys/{path} ]; then echo {value} > /proc/sys/{path} || exit 1; fi\n"
            )
        })
        .collect();
    script += "exec ip -batch -\n";
    let mut words = inside(folder, &node.name).into_iter();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words).args(["sh", "-c", &script]);
    step(
        &format!("setting {} up", node.name),
        &mut command,
        &node.batch,
    )
}

/// Runs a command to its end.
fn step(what: &str, command: &mut Command, input: &str) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let run = |source| Error::Run { program, source };
    let done = (|| {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take()
            && let Err(error) = stdin.write_all(input.as_bytes())
            && error.kind() != io::ErrorKind::BrokenPipe
        {
            return Err(error);
        }
        child.wait_with_output()
    })()
    .map_err(run)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said: Vec<&str> = said.lines().map(str::trim).take(3).collect();
    Err(Error::Step {
        what: what.to_owned(),
        said: match said.join("; ") {
            said if said.is_empty() => done.status.to_string(),
            said => said,
        },
    })
}

/// The namespace of a node, as a file in the inner process's mounts.
pub fn namespace(folder: &Path, node: &str) -> PathBuf {
    folder.join(NAMESPACE_FOLDER).join(node)
}

const TUN: &str = "/dev/net/tun";
const NAMESPACE_FOLDER: &str = "ns";
const LINKS: &str = "links.json";
const SOCKET: &str = "links.socket";
const NAMESPACES: [&str; 8] = [
    "--user",
    "--map-root-user",
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
];
