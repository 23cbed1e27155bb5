//! One path of the cluster's network that is cut, and heals when the test is done with it.

use std::time::Duration;

use super::{Cluster, command};

/// Port of the API server.
const API_SERVER: &str = "6443";

/// Packets between one pod and the API server are dropped, both ways, until this is dropped. Everything else, also of
/// the pod's node, goes on.
pub struct Cut<'a> {
    cluster: &'a Cluster,
    address: String,
}

impl Cluster {
    /// Cuts the pod with this address off from the API server; `None` on an existing cluster, whose network is not ours.
    #[track_caller]
    pub fn cut_off(&self, address: &str) -> Option<Cut<'_>> {
        self.run()?;
        let cut = Cut {
            cluster: self,
            address: address.to_owned(),
        };
        for rule in cut.rules() {
            cut.iptables("-I", &rule).ok();
        }
        Some(cut)
    }
}

impl Cut<'_> {
    /// As the API server's host sees the packets: it is in the network that commands run in.
    fn rules(&self) -> [Vec<&str>; 2] {
        [
            vec!["INPUT", "-s", &self.address, "--dport", API_SERVER],
            vec!["OUTPUT", "-d", &self.address, "--sport", API_SERVER],
        ]
    }

    #[track_caller]
    fn iptables(&self, action: &str, rule: &[&str]) -> command::Output {
        let mut command = self.cluster.inside("iptables");
        let (chain, from) = (rule[0], &rule[1..3]);
        command.args(["-w", action, chain]).args(from);
        command.args(["-p", "tcp"]).args(&rule[3..]);
        command.args(["-j", "DROP"]);
        command::run(command, "", Duration::from_secs(20))
    }
}

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        for rule in self.rules() {
            let healed = self.iptables("-D", &rule);
            if !healed.status.success() {
                println!("  the cut of {} stays: {}", self.address, healed.err);
            }
        }
    }
}
