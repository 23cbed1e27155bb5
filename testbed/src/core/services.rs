//! The package of CORE services. Its files are a line each that calls `start/NODE.sh`: nothing of ours is read as a
//! Mako template but that line, so no `##`, `%` or `${…}` of a script can be taken for one.

use super::plan::Plan;

pub(super) fn init() -> String {
    "\"\"\"Services of one exported topology; core-daemon loads them by custom_services_dir.\"\"\"\n".to_owned()
}

pub(super) fn module(plan: &Plan<'_>) -> String {
    let mut out = HEAD.replace("@topology@", &plan.source.network.topology);
    for service in SERVICES {
        let dependencies: Vec<String> = service
            .after
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        let on = plan.nodes_with(service.name);
        let on = match on.is_empty() {
            true => "no node by default".to_owned(),
            false => format!("{} nodes", on.len()),
        };
        out += &BODY
            .replace("@class@", service.name)
            .replace("@about@", service.about)
            .replace("@on@", &on)
            .replace("@after@", &dependencies.join(", "))
            .replace("@executables@", service.executables)
            .replace("@word@", service.word)
            .replace("@mode@", service.mode);
    }
    out
}

struct Service {
    name: &'static str,
    about: &'static str,
    after: &'static [&'static str],
    executables: &'static str,
    /// What `start/NODE.sh` is asked to do.
    word: &'static str,
    mode: &'static str,
}

/// In the order in which they start on a node; across nodes `start/NODE.sh` waits for who comes before.
const SERVICES: &[Service] = &[
    Service {
        name: "BanyanRoutes",
        about: "Static routes to every subnet, as the exporter computed them.",
        after: &[],
        executables: "\"bash\", \"ip\"",
        word: "routes",
        mode: "BLOCKING",
    },
    Service {
        name: "BanyanControl",
        about: "The control plane and its page.",
        after: &["BanyanRoutes"],
        executables: "\"bash\"",
        word: "run",
        mode: "NON_BLOCKING",
    },
    Service {
        name: "BanyanContentServer",
        about: "A content server.",
        after: &["BanyanRoutes"],
        executables: "\"bash\"",
        word: "run",
        mode: "NON_BLOCKING",
    },
    Service {
        name: "BanyanRelay",
        about: "A root, relay or edge.",
        after: &["BanyanRoutes"],
        executables: "\"bash\"",
        word: "run",
        mode: "NON_BLOCKING",
    },
    Service {
        name: "BanyanViewer",
        about: "Plays what the node watches and counts what arrives.",
        after: &["BanyanRoutes"],
        executables: "\"bash\"",
        word: "view",
        mode: "NON_BLOCKING",
    },
    Service {
        name: "BanyanCapture",
        about: "Packets of every interface of the node, into run/captures.",
        after: &["BanyanRoutes"],
        executables: "\"bash\", \"tcpdump\"",
        word: "capture",
        mode: "NON_BLOCKING",
    },
];

const HEAD: &str = r#""""Services of topology @topology@ for CORE 9.1 and newer.

Each writes one small file into its node and runs it: the work is done by start/NODE.sh of the export.
"""

from pathlib import Path

from core.services.base import CoreService, ServiceMode

EXPORT = Path(__file__).resolve().parent.parent


class Common:
    """What all have in common. No CoreService itself, or CORE would take it for a service without a name."""

    group = "Banyan"
    directories = []
    default_configs = []
    modes = {}
    validation_period = 0.5
    validation_timer = 60
    word = ""

    def data(self):
        return {"export": str(EXPORT)}

    def get_text_template(self, name):
        words = dict(zip(self.files, (self.word, f"check {self.word}", f"stop {self.word}")))
        return "exec bash '${export}/start/${node.name}.sh' " + words[name]
"#;

const BODY: &str = r#"

class @class@(Common, CoreService):
    """@about@ On @on@."""

    name = "@class@"
    files = ["@class@.sh", "@class@-check.sh", "@class@-stop.sh"]
    executables = [@executables@]
    dependencies = [@after@]
    startup = ["bash @class@.sh"]
    validate = ["bash @class@-check.sh"]
    shutdown = ["bash @class@-stop.sh"]
    validation_mode = ServiceMode.@mode@
    word = "@word@"
"#;
