//! The export's README.

use super::plan::Plan;
use crate::model::NodeKind;

pub(super) fn render(plan: &Plan<'_>) -> String {
    let mut table = String::new();
    for node in &plan.nodes {
        let what = match (&node.node.member, node.node.watches.is_empty()) {
            (Some(member), _) => member.clone(),
            (None, false) => format!("watches {}", node.node.watches.join(", ")),
            (None, true) => String::new(),
        };
        let addresses: Vec<String> = match node.node.kind {
            NodeKind::Switch => Vec::new(),
            _ => node
                .node
                .addresses()
                .map(|address| address.to_string())
                .collect(),
        };
        table += &format!(
            "| {} | {} | {what} | {} |\n",
            node.node.id,
            node.node.name,
            addresses.join(" ")
        );
    }
    let notes: String = plan
        .source
        .network
        .notes
        .iter()
        .map(|note| format!("- {note}\n"))
        .collect();
    README
        .replace("@topology@", &plan.source.network.topology)
        .replace("@table@", table.trim_end())
        .replace("@notes@", &notes)
}

const README: &str = r#"# @topology@ in CORE

For CORE 9.1 and newer. The same programs and the same manifest as everywhere; only the network is emulated.

1. `./setup` says the line for core.conf; restart core-daemon after it. CORE reads one export at a time: with the line
   of another one its nodes would run that one's scripts.
2. Programs: `bin/` of this folder (an export with `--bundle` has them), `BANYAN_BIN` in `env`, or the path.
3. `sudo core-python scenario.py`, or open `scenario.xml` in core-gui and start it.
4. `./term NODE` is a shell on a node; `run/logs`, `run/record`, `run/viewers` fill while it runs. Viewers write their
   reports when they are stopped, as by `./term NODE bash start/NODE.sh stop view`.

`scenario.py --link-effects=none` leaves delay, loss and rate out, for kernels without netem; `--no-start` only draws;
`--capture` writes packets of every member into `run/captures`; `--keep` keeps a session whose start failed.

@notes@
## Services

`banyan_services` holds BanyanRoutes, BanyanControl, BanyanContentServer, BanyanRelay, BanyanViewer and BanyanCapture.
Each calls `start/NODE.sh`, which can be run by hand as well. "Service does not exist" means that core-daemon has not
read the package: see 1.

## Experiments

`sudo core-python experiments/NAME.py`: link_down, loss_ramp, bandwidth_drop, kill_and_restart, viewers_come_and_go. Each
writes time stamps into `run/events.csv`, and undoes its harm when it is interrupted. CORE before 9.1 can open
`scenario.xml` at most; that is not tested. Docker on the same host drops forwarded frames of bridges:
`sudo sysctl net.bridge.bridge-nf-call-iptables=0`.

## Addresses

Each link carries a delay once per way. Members know each other by their first address.

| id | node | runs | addresses |
|---|---|---|---|
@table@
"#;
