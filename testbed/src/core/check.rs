//! What CORE trips over, as rules over the files of an export: one sentence for each breach. The rules know nothing of
//! how the files were made.

use std::collections::{BTreeMap, BTreeSet};

use super::File;
use super::plan::is_name;
use crate::import::{self, Element};

/// All breaches of an export's files, by rule.
pub fn export(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    let text = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.map(|file| String::from_utf8_lossy(&file.contents).into_owned())
    };
    match text("scenario.xml").as_deref().map(import::element) {
        None => faults.push("scenario.xml is missing".to_owned()),
        Some(Err(error)) => faults.push(format!("scenario.xml: {error}")),
        Some(Ok(root)) => scenario(&root, files, &mut faults),
    }
    match text("banyan_services/banyan.py") {
        None => faults.push("banyan_services/banyan.py is missing".to_owned()),
        Some(module) => services(&module, &mut faults),
    }
    match text("scenario.py") {
        None => faults.push("scenario.py is missing".to_owned()),
        Some(script) => client(&script, &mut faults),
    }
    match text("experiments/session.py") {
        None => faults.push("experiments/session.py is missing".to_owned()),
        Some(script) => experiments(&script, &mut faults),
    }
    if !text("README.md").is_some_and(|text| text.contains("net.bridge.bridge-nf-call-iptables=0"))
    {
        faults.push(
            "README.md: it does not tell that Docker's rules drop frames of bridges".to_owned(),
        );
    }
    for file in files {
        shell(file, &mut faults);
        background(file, &mut faults);
    }
    faults
}

fn scenario(root: &Element, files: &[File], faults: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    let mut names = BTreeSet::new();
    let networks: Vec<&Element> = root.below("networks", "network").collect();
    let devices: Vec<&Element> = root.below("devices", "device").collect();
    for node in networks.iter().chain(&devices) {
        let name = node.attribute("name").unwrap_or_default();
        let id: u32 = node
            .attribute("id")
            .and_then(|id| id.parse().ok())
            .unwrap_or(0);
        if id == 0 || !ids.insert(id) {
            faults.push(format!(
                "node {name}: its identifier is missing, 0 or another's"
            ));
        }
        if !is_name(name) || !names.insert(name) {
            faults.push(format!(
                "node {name:?}: a name is 1 to 32 letters, digits and dashes, each once"
            ));
        }
        let coordinate = |key| {
            let text = node.child("position")?.attribute(key)?;
            text.parse::<f64>().ok()
        };
        if !matches!((coordinate("x"), coordinate("y")), (Some(x), Some(y)) if x >= 1.0 && y >= 1.0)
        {
            faults.push(format!(
                "node {name}: a position needs x and y of at least 1, a 0 drops both"
            ));
        }
        if node
            .child("position")
            .is_some_and(|p| p.any(&["lat", "lon", "alt"]).is_some())
        {
            faults.push(format!(
                "node {name}: latitude and longitude would win over x and y"
            ));
        }
        let icon = node.attribute("icon").unwrap_or_default();
        let drawn = files
            .iter()
            .any(|file| icon.ends_with(&format!("/{}", file.path)));
        if !icon.starts_with('/') || !icon.ends_with(".png") || !drawn {
            faults.push(format!(
                "node {name}: icon {icon:?} is no absolute path of a PNG of this export"
            ));
        }
    }
    let scripts: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    for device in &devices {
        device_services(device, &scripts, faults);
    }
    for device in &devices {
        forwarding(root, device, faults);
    }
    let switches: BTreeSet<&str> = networks.iter().filter_map(|n| n.attribute("id")).collect();
    links(root, &ids, &switches, faults);
    for value in root.below("session_metadata", "configuration") {
        if value.attribute("value").unwrap_or_default().contains('\n') {
            faults.push("session metadata has a line break, which an attribute loses".to_owned());
        }
    }
}

fn device_services(device: &Element, scripts: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let name = device.attribute("name").unwrap_or_default();
    let model = device.attribute("type").unwrap_or_default();
    if ["router", "mdr", "prouter"].contains(&model) {
        faults.push(format!(
            "node {name}: model {model} starts a routing daemon"
        ));
    }
    let services: Vec<&str> = device
        .below("services", "service")
        .filter_map(|service| service.attribute("name"))
        .collect();
    if services.is_empty() {
        faults.push(format!(
            "node {name}: without a list of services CORE takes the model's"
        ));
    }
    for service in &services {
        if service.starts_with("OSPF") || ["zebra", "BGP", "RIP"].contains(service) {
            faults.push(format!(
                "node {name}: service {service} needs a routing daemon"
            ));
        }
        if !service.starts_with("Banyan") && *service != "IPForward" {
            faults.push(format!(
                "node {name}: service {service} is not one of ours or IPForward"
            ));
        }
    }
    if !services.contains(&"BanyanRoutes") {
        faults.push(format!(
            "node {name}: its list of services leaves out the routes"
        ));
    }
    if !scripts.contains(format!("start/{name}.sh").as_str()) {
        faults.push(format!("node {name}: start/{name}.sh is missing"));
    }
}

/// The model of a router would forward; a list of services says it itself.
fn forwarding(root: &Element, device: &Element, faults: &mut Vec<String>) {
    let own = device.attribute("id");
    let ends = root
        .below("links", "link")
        .flat_map(|link| [link.attribute("node1"), link.attribute("node2")]);
    let mut services = device.below("services", "service");
    let forwards = services.any(|service| service.attribute("name") == Some("IPForward"));
    if ends.filter(|end| *end == own).count() > 1 && !forwards {
        faults.push(format!(
            "node {}: it has several links, and its list of services leaves out IPForward",
            device.attribute("name").unwrap_or_default()
        ));
    }
}

fn links(root: &Element, ids: &BTreeSet<u32>, switches: &BTreeSet<&str>, faults: &mut Vec<String>) {
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    for link in root.below("links", "link") {
        let ends = ["node1", "node2"].map(|key| link.attribute(key).unwrap_or_default());
        let title = format!("link {}-{}", ends[0], ends[1]);
        let known = |end: &str| end.parse().is_ok_and(|id: u32| ids.contains(&id));
        if !ends.iter().all(|end| known(end)) {
            faults.push(format!("{title}: it ends at a node that is not there"));
        }
        for (end, key) in ends.iter().zip(["iface1", "iface2"]) {
            let Some(interface) = link.child(key) else {
                faults.push(format!("{title}: {key} is missing"));
                continue;
            };
            let mut once = vec![format!(
                "{end}/{}",
                interface.attribute("id").unwrap_or_default()
            )];
            if !switches.contains(end) {
                for key in ["mac", "ip4", "ip6"] {
                    match interface.attribute(key) {
                        Some(value) => once.push(value.to_owned()),
                        None => faults
                            .push(format!("{title}: an end has no {key}, and CORE gives none")),
                    }
                }
            }
            for value in once {
                if let Some(other) = taken.insert(value.clone(), title.clone()) {
                    faults.push(format!("{title}: {value} is taken by {other}"));
                }
            }
        }
        if let Some(options) = link.child("options") {
            let number = |key: &str| {
                options
                    .attribute(key)
                    .and_then(|text| text.parse::<f64>().ok())
            };
            let all = ["bandwidth", "delay", "jitter", "loss", "dup", "buffer"];
            if all.iter().any(|key| number(key).is_none()) {
                faults.push(format!(
                    "{title}: what options leave out counts as 0, so all are written"
                ));
            }
            if options.attribute("unidirectional") != Some("0") {
                faults.push(format!(
                    "{title}: options of one direction: an edit of such a link changes one end only"
                ));
            }
            if number("buffer").is_none_or(|packets| packets < 1.0) {
                faults.push(format!(
                    "{title}: without a buffer netem takes one that starves the link"
                ));
            }
        }
    }
}

/// The package of services as text.
fn services(module: &str, faults: &mut Vec<String>) {
    if module.contains("class Common(CoreService)") {
        faults.push("services: CORE takes a base class for a service without a name".to_owned());
    }
    for class in module.split("\n\nclass ").skip(1) {
        let name = class.split(['(', ':']).next().unwrap_or_default();
        let field = |key: &str| {
            let start = format!("    {key} = ");
            class
                .lines()
                .find_map(|line| line.strip_prefix(start.as_str()))
        };
        if name == "Common" {
            continue;
        }
        if field("name") != Some(&format!("\"{name}\"")) {
            faults.push(format!("service {name}: it has no name of its own"));
        }
        let mode = field("validation_mode").unwrap_or_default();
        let word = field("word").unwrap_or_default();
        if word != "\"routes\"" && mode != "ServiceMode.NON_BLOCKING" {
            faults.push(format!(
                "service {name}: CORE waits for the end of what a blocking start leaves behind"
            ));
        }
        if field("validate").unwrap_or_default().len() < 5 {
            faults.push(format!("service {name}: it is not validated"));
        }
        if word != "\"routes\""
            && !field("dependencies")
                .unwrap_or_default()
                .contains("BanyanRoutes")
        {
            faults.push(format!("service {name}: it may start before the routes"));
        }
    }
    // Templates are what Mako reads: in the package only the one line of Common.
    for line in module.lines().filter(|line| line.contains("${")) {
        let template = line.split('"').nth(1).unwrap_or_default();
        let others = template
            .replace("${export}", "")
            .replace("${node.name}", "");
        if others.contains("${") {
            faults.push(format!("services: Mako would fill in {template:?}"));
        }
    }
    for line in module.lines() {
        let start = line.trim_start();
        if start.starts_with("##") || start.starts_with('%') {
            faults.push(format!("services: Mako would take {start:?} for its own"));
        }
    }
}

/// `scenario.py` as text; that it calls what the client has is seen by running it.
fn client(script: &str, faults: &mut Vec<String>) {
    let rules = [
        (
            "position=position",
            "a node without a position cannot be sent",
        ),
        ("delete_session", "a failed start leaves half a session"),
        ("finally", "a failed start leaves half a session"),
        (
            "dup=0, buffer=buffer",
            "what LinkOptions leaves out counts as 0",
        ),
    ];
    for (wanted, why) in rules {
        if !script.contains(wanted) {
            faults.push(format!("scenario.py: {wanted:?} is missing: {why}"));
        }
    }
    for call in script.lines().filter(|line| line.contains(".add_node(")) {
        if !call.contains("position=") {
            let call = call.trim();
            faults.push(format!(
                "scenario.py: {call:?}: a node without a position cannot be sent"
            ));
        }
    }
    if script.contains("Geo(") {
        faults.push("scenario.py: Geo is never sent".to_owned());
    }
}

/// What `edit_link` sends replaces all options of a link.
fn experiments(script: &str, faults: &mut Vec<String>) {
    let keys = [
        "bandwidth=",
        "delay=",
        "jitter=",
        "loss=",
        "dup=",
        "buffer=",
    ];
    for line in script.lines().filter(|line| line.contains("dict(")) {
        if !keys.iter().all(|key| line.contains(key)) {
            let line = line.trim();
            faults.push(format!(
                "experiments: {line}: what an edit leaves out becomes 0"
            ));
        }
    }
}

/// Commands that Python sends to a node and does not wait for.
fn background(file: &File, faults: &mut Vec<String>) {
    let text = String::from_utf8_lossy(&file.contents);
    if !file.path.ends_with(".py") {
        return;
    }
    for line in text.lines().filter(|line| line.contains("&\"")) {
        if !line.contains("> /dev/null 2>&1 &\"") {
            let (path, line) = (&file.path, line.trim());
            faults.push(format!(
                "{path}: a background process holds CORE's output: {line}"
            ));
        }
    }
    if text.contains("unidirectional=True") {
        faults.push(format!(
            "{}: an edit of one direction changes one end only",
            file.path
        ));
    }
}

fn shell(file: &File, faults: &mut Vec<String>) {
    let text = String::from_utf8_lossy(&file.contents);
    let is_script = file.path.ends_with(".sh") || ["term", "setup"].contains(&file.path.as_str());
    let is_program = is_script || file.path.ends_with(".py");
    if is_program && text.contains("core-cleanup") {
        faults.push(format!(
            "{}: core-cleanup kills by name and deletes devices of others",
            file.path
        ));
    }
    if is_program && text.contains("delete_link") {
        faults.push(format!(
            "{}: CORE 9.2 cannot add a deleted link again",
            file.path
        ));
    }
    if !is_script {
        return;
    }
    if text.contains('@')
        && [super::HERE, super::MEDIA, super::STATE]
            .iter()
            .any(|p| text.contains(p))
    {
        faults.push(format!("{}: a placeholder was not filled in", file.path));
    }
    // A command line that goes on is one line.
    for line in text.replace("\\\n", " ").lines() {
        let line = line.trim_end();
        let in_background = line.ends_with('&') && !line.ends_with("&&");
        let redirected = line.contains("> /dev/null") || line.contains("> \"$state/");
        if in_background && !(redirected && line.contains("2>")) {
            faults.push(format!(
                "{}: a background process holds CORE's output: {}",
                file.path,
                line.trim()
            ));
        }
    }
}
