//! An export for CORE, played without CORE: a bare testbed has the links, and this does to its nodes what core-daemon
//! does. Interfaces get the addresses of `scenario.xml` and nothing else; then each node boots the services of its list,
//! from the files that the export's own package gives, in their order, as many nodes at a time as CORE boots.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;

use crate::testbed::Testbed;
use crate::{binary, fixtures, wait, wait_until, workspace};

/// A folder that `banyan core export` wrote, and nodes as CORE makes them.
pub struct Exported {
    work: TempDir,
    testbed: Testbed,
    nodes: Vec<Node>,
}

/// A node of `scenario.xml`.
struct Node {
    name: String,
    services: Vec<String>,
    interfaces: Vec<BTreeMap<String, String>>,
}

/// A service as `testbed/stand-in/services.py` prints it, filled in for a node.
#[derive(Debug, Deserialize)]
struct Service {
    name: String,
    files: BTreeMap<String, String>,
    mode: String,
    timer: f64,
    executables: Vec<String>,
    dependencies: Vec<String>,
    startup: Vec<String>,
    validate: Vec<String>,
    shutdown: Vec<String>,
}

impl Exported {
    /// Exports a manifest of the workspace and makes its nodes, without routes, forwarding or members; none where this
    /// machine cannot, which is said. `members` are all of the layout, none of which the testbed is to start.
    #[track_caller]
    pub fn make(test: &str, manifest: &str, members: &[&str]) -> Option<Self> {
        if !fixtures::has_tool("python3") {
            fixtures::skip(test, "python3 is missing");
            return None;
        }
        let later: Vec<&str> = members.iter().flat_map(|name| ["--later", name]).collect();
        let testbed = Testbed::up(test, manifest, &later)?;
        let work = tempfile::tempdir().expect("a temporary folder must be creatable");
        let mut export = Command::new(binary("banyan"));
        export
            .args(["core", "export", "-f"])
            .arg(workspace().join(manifest));
        testbed.run(export.arg("-o").arg(work.path().join("export")));
        let xml = fs::read_to_string(work.path().join("export/scenario.xml"));
        let nodes = nodes(&xml.expect("the export must have a scenario.xml"));
        let exported = Self {
            work,
            testbed,
            nodes,
        };
        for node in &exported.nodes {
            exported.bare(node);
        }
        Some(exported)
    }

    /// The folder of the export.
    pub fn folder(&self) -> PathBuf {
        self.work.path().join("export")
    }

    /// The network below, and its processes.
    pub fn testbed(&self) -> &Testbed {
        &self.testbed
    }

    /// Nodes with a service.
    pub fn nodes_with(&self, service: &str) -> Vec<&str> {
        let nodes = self
            .nodes
            .iter()
            .filter(|node| node.services.iter().any(|one| one == service));
        nodes.map(|node| node.name.as_str()).collect()
    }

    /// A shell command in a node, as `vcmd` runs it.
    pub fn command(&self, node: &str, shell: &str) -> Command {
        let mut command = self.testbed.command("exec");
        command.args([node, "--", "sh", "-c", shell]);
        // What a user writes into `env`.
        let banyan = binary("banyan");
        command.env("BANYAN_BIN", banyan.parent().unwrap_or(Path::new("/")));
        command
    }

    /// Takes away what the testbed gives a node and CORE does not, and gives the addresses of the export.
    #[track_caller]
    fn bare(&self, node: &Node) {
        let mut script = String::from(
            "set -e\nfor file in /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv6/conf/*/forwarding; do echo 0 > $file; done\n\
             for file in /proc/sys/net/ipv6/conf/*/accept_dad /proc/sys/net/ipv6/conf/*/dad_transmits; do echo 1 > $file; done\n\
             ip route flush table main; ip -6 route flush table main\n",
        );
        for interface in &node.interfaces {
            let of = |key: &str| interface.get(key).map_or("", String::as_str);
            let name = of("name");
            script += &format!(
                "ip link show dev {name} | grep -q {mac}\nip link set dev {name} down\nip addr flush dev {name}\n\
                 ip addr add {ip4}/{ip4_mask} broadcast + dev {name}\nip -6 addr add {ip6}/{ip6_mask} dev {name}\n\
                 ip link set dev {name} up\n",
                mac = of("mac"),
                ip4 = of("ip4"),
                ip4_mask = of("ip4_mask"),
                ip6 = of("ip6"),
                ip6_mask = of("ip6_mask"),
            );
        }
        script += "test -z \"$(ip route show | grep via)$(ip -6 route show | grep via)\"\n";
        self.testbed.run(&mut self.command(&node.name, &script));
    }

    /// Boots all nodes in the order of the file, some at a time.
    #[track_caller]
    pub fn boot(&self, at_a_time: usize) {
        let waiting = Mutex::new(self.nodes.iter());
        let next = || waiting.lock().ok().and_then(|mut nodes| nodes.next());
        std::thread::scope(|scope| {
            for _ in 0..at_a_time {
                scope.spawn(|| {
                    while let Some(node) = next() {
                        self.boot_node(node);
                    }
                });
            }
        });
    }

    fn boot_node(&self, node: &Node) {
        let services = self.services(&node.name);
        let mut started: Vec<&str> = Vec::new();
        for name in &node.services {
            if name == "IPForward" {
                self.testbed.run(&mut self.command(&node.name, FORWARD));
                continue;
            }
            let service = services.iter().find(|service| service.name == *name);
            let service = service.unwrap_or_else(|| panic!("service does not exist {name}"));
            for before in &service.dependencies {
                assert!(
                    started.contains(&before.as_str()),
                    "{name} needs {before} on {}",
                    node.name
                );
            }
            for tool in &service.executables {
                assert!(fixtures::has_tool(tool), "{name} needs {tool}");
            }
            self.start(&node.name, service);
            started.push(name);
        }
    }

    /// As `CoreService.start`: files, commands, then validation, but for a blocking one.
    fn start(&self, node: &str, service: &Service) {
        let home = self.home(node);
        fs::create_dir_all(&home).expect("a folder of a node must be creatable");
        for (name, text) in &service.files {
            fs::write(home.join(name), text).expect("a file of a service must be writable");
        }
        if service.mode == "BLOCKING" {
            for command in &service.startup {
                self.testbed.run(&mut self.at_home(node, command));
            }
            return;
        }
        for command in &service.startup {
            let mut command = self.at_home(node, command);
            let child = command.stdout(Stdio::null()).stderr(self.stderr()).spawn();
            let mut child = child.expect("a service must start");
            // Whoever is not waited for is a zombie until this process ends.
            std::thread::spawn(move || child.wait());
        }
        let valid = wait::poll_gently(Duration::from_secs_f64(service.timer), || {
            let mut all = service
                .validate
                .iter()
                .map(|command| self.at_home(node, command).status());
            all.all(|status| status.is_ok_and(|status| status.success()))
                .then_some(())
        });
        assert!(
            valid.is_some(),
            "node({node}) service({}) failed to validate",
            service.name
        );
    }

    /// Runs the commands that end a service, on every node that has it.
    #[track_caller]
    pub fn stop(&self, service: &str) {
        for node in self.nodes_with(service) {
            let services = self.services(node);
            let service = services.iter().find(|one| one.name == service);
            for command in service.into_iter().flat_map(|service| &service.shutdown) {
                self.testbed.run(&mut self.at_home(node, command));
            }
        }
    }

    /// Runs an experiment of the export to its end, against these nodes. It waits for nothing.
    #[track_caller]
    pub fn experiment(&self, name: &str) {
        let record = self.work.path().join("record.jsonl");
        let python = |script: &Path| {
            let stand_in = workspace().join("testbed/stand-in");
            let words = self.testbed.command("exec");
            let words: Vec<&OsStr> = std::iter::once(words.get_program())
                .chain(words.get_args())
                .collect();
            let words: Vec<String> = words
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            let mut command = self.command_here("python3");
            command.arg("-B").arg(script).env("RECORD", &record);
            command.env("NODE_COMMAND", serde_json::json!(words).to_string());
            command.env("PYTHONPATH", stand_in);
            command
        };
        // The session that the experiment looks for.
        self.testbed
            .run(&mut python(&self.folder().join("scenario.py")));
        let mut command = python(&workspace().join("testbed/stand-in/experiment.py"));
        let script = self.folder().join("experiments").join(format!("{name}.py"));
        self.testbed.run(command.arg(script));
    }

    /// A command outside of the nodes, with what those in them have.
    fn command_here(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (key, value) in self.command("", "").get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        command
    }

    /// Commands of processes that services left running.
    pub fn running(&self) -> Vec<String> {
        let folder = self.folder().display().to_string();
        let commands = self
            .testbed
            .processes()
            .into_iter()
            .map(|process| process.args.join(" "));
        commands
            .filter(|command| command.contains(&folder))
            .collect()
    }

    /// Lines with this text that services said where nobody reads.
    pub fn said(&self, text: &str) -> String {
        let said = fs::read_to_string(self.work.path().join(STDERR)).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|line| line.contains(text)).collect();
        lines.join("\n")
    }

    fn stderr(&self) -> Stdio {
        let file = fs::File::options()
            .create(true)
            .append(true)
            .open(self.work.path().join(STDERR));
        file.expect("a file must be writable").into()
    }

    /// Ends the network once no service runs.
    #[track_caller]
    pub fn down(self) {
        wait_until("no process of a service is left", GONE, || {
            self.running().is_empty()
        });
        let pids = fs::read_dir(self.folder().join("run/pids"))
            .into_iter()
            .flatten()
            .count();
        assert_eq!(pids, 0, "a stopped service has a process no more");
        for file in crate::asset::files(&self.folder().join("run/logs")) {
            let text = fs::read_to_string(&file).unwrap_or_default();
            assert!(!text.contains("panicked at"), "{}: {text}", file.display());
        }
        self.testbed.down();
    }

    #[track_caller]
    fn services(&self, node: &str) -> Vec<Service> {
        let stand_in = workspace().join("testbed/stand-in");
        let mut command = Command::new("python3");
        command.arg("-B").arg(stand_in.join("services.py"));
        command
            .arg(self.folder().join("banyan_services"))
            .arg(node)
            .env("PYTHONPATH", stand_in);
        serde_json::from_str(&self.testbed.run(&mut command)).expect("services must be JSON")
    }

    /// Where commands of services run.
    fn home(&self, node: &str) -> PathBuf {
        self.work.path().join(format!("{node}.conf"))
    }

    fn at_home(&self, node: &str, shell: &str) -> Command {
        let mut command = self.command(node, shell);
        command.current_dir(self.home(node));
        command
    }
}

/// Nodes with services, in the order of the file; the exporter writes an element a line.
fn nodes(xml: &str) -> Vec<Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut order = Vec::new();
    let mut ends = [String::new(), String::new()];
    let lines = xml.lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("</")) {
        let (element, attributes) = element(line);
        let of = |key: &str| attributes.get(key).cloned().unwrap_or_default();
        match element {
            "device" => {
                order.push(of("id"));
                let node = Node {
                    name: of("name"),
                    services: Vec::new(),
                    interfaces: Vec::new(),
                };
                nodes.insert(of("id"), node);
            }
            "service" => {
                let node = order.last().and_then(|id| nodes.get_mut(id));
                node.expect("a service must be a device's")
                    .services
                    .push(of("name"));
            }
            "link" => ends = [of("node1"), of("node2")],
            "iface1" | "iface2" => {
                let end = if element == "iface1" {
                    &ends[0]
                } else {
                    &ends[1]
                };
                // That of a switch has no address.
                if let Some(node) = nodes.get_mut(end) {
                    node.interfaces.push(attributes);
                }
            }
            _ => {}
        }
    }
    order.iter().filter_map(|id| nodes.remove(id)).collect()
}

fn element(line: &str) -> (&str, BTreeMap<String, String>) {
    let line = line.trim_matches(['<', '>', '/']);
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split('"').collect();
    let pairs = words.chunks_exact(2);
    let pairs = pairs.map(|pair| {
        (
            pair[0].trim_matches([' ', '=']).to_owned(),
            pair[1].to_owned(),
        )
    });
    (name, pairs.collect())
}

/// What CORE's own service of that name does.
const FORWARD: &str = "for file in /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv6/conf/*/forwarding; do echo 1 > $file; done
for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $file; done";
/// What services say while they start.
const STDERR: &str = "services.stderr.log";
/// From the request to end to the end of every process.
const GONE: Duration = Duration::from_secs(60);
