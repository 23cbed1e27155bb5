//! Members in their nodes, each under a supervisor of its own, so that each can be started and left alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use banyan_control::layout::{Layout, Member};
use banyan_control::world::World;
use banyan_control::world::local::{LineSink, Local, Programs};
use banyan_control::world::restarts::Policy;
use banyan_control::world::supervisor::{Notice, Supervisor};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

type Notified = Notice<<Local as World>::Error>;

/// What every member is started with.
#[derive(Clone)]
pub(super) struct Ship {
    pub(super) programs: Programs,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) lines: LineSink,
    /// What stands before the program of each member.
    pub(super) prefixes: Arc<BTreeMap<String, Vec<OsString>>>,
}

pub(super) struct Crew {
    ship: Ship,
    tell: mpsc::Sender<Notified>,
    notices: mpsc::Receiver<Notified>,
    hands: BTreeMap<String, Hand>,
}

struct Hand {
    order: watch::Sender<Order>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Keep it running.
    Run,
    /// Do not start it again.
    Rest,
    /// End it.
    Stop,
}

impl Crew {
    pub(super) fn new(ship: Ship) -> Self {
        let (tell, notices) = mpsc::channel(NOTICES);
        Self {
            ship,
            tell,
            notices,
            hands: BTreeMap::new(),
        }
    }

    /// Starts a member.
    pub(super) async fn start(&mut self, member: Member) -> anyhow::Result<()> {
        let name = member.name.clone();
        if self.find(&name).is_some() {
            bail!("member {name:?} is running");
        }
        if let Some(hand) = self.hands.remove(&name) {
            hand.task.abort();
        }
        let world = Local::new(
            self.ship.programs.clone(),
            self.ship.environment.clone(),
            self.ship.lines.clone(),
        );
        let prefix = self.ship.prefixes.get(&name).cloned().unwrap_or_default();
        let layout = Layout {
            topology: String::new(),
            members: vec![member],
        };
        let mut supervisor = Supervisor::new(world.behind(prefix), layout, Policy::Always);
        supervisor.start().await?;
        let (order, orders) = watch::channel(Order::Run);
        let task = tokio::spawn(keep(name.clone(), supervisor, orders, self.tell.clone()));
        self.hands.insert(name, Hand { order, task });
        Ok(())
    }

    /// The next thing that happens to a member. Cancel-safe.
    pub(super) async fn next(&mut self) -> Notified {
        match self.notices.recv().await {
            Some(notice) => notice,
            // This value holds a sender itself.
            None => std::future::pending().await,
        }
    }

    pub(super) fn kill(&mut self, member: &str, returns: bool) -> anyhow::Result<()> {
        if !returns {
            self.rest(member);
        }
        self.signal(member, Signal::KILL)
    }

    pub(super) fn leave(&mut self, member: &str) -> anyhow::Result<()> {
        self.rest(member);
        self.signal(member, Signal::TERM)
    }

    pub(super) fn freeze(&mut self, member: &str) -> anyhow::Result<()> {
        self.signal(member, Signal::STOP)
    }

    pub(super) fn thaw(&mut self, member: &str) -> anyhow::Result<()> {
        self.signal(member, Signal::CONT)
    }

    fn rest(&mut self, member: &str) {
        if let Some(hand) = self.hands.get(member) {
            hand.order.send_replace(Order::Rest);
        }
    }

    /// Names of members with a process.
    pub(super) fn running(&self) -> Vec<String> {
        let hands = self.hands.keys();
        hands
            .filter(|name| self.find(name).is_some())
            .cloned()
            .collect()
    }

    fn signal(&self, member: &str, signal: Signal) -> anyhow::Result<()> {
        let pid = self
            .find(member)
            .with_context(|| format!("member {member:?} is not running"))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {member:?}"))
    }

    /// The process of a member: there are no others in this PID namespace.
    fn find(&self, member: &str) -> Option<Pid> {
        let processes = std::fs::read_dir("/proc").ok()?.flatten();
        let found = processes.filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            is_of(&words, member).then_some(pid)
        });
        found.filter(|pid| *pid != 1).find_map(Pid::from_raw)
    }

    /// Ends all of them together.
    pub(super) async fn stop(&mut self) {
        for hand in self.hands.values() {
            hand.order.send_replace(Order::Stop);
        }
        while let Some((_, hand)) = self.hands.pop_first() {
            // A full queue of notices must not keep a member's task from ending.
            tokio::pin! {
                let ended = hand.task;
            }
            loop {
                tokio::select! {
                    _ = &mut ended => break,
                    _ = self.notices.recv() => {}
                }
            }
        }
    }
}

/// Whether a command line is that of a member.
fn is_of(command: &[u8], member: &str) -> bool {
    let words: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
    let named = words
        .windows(2)
        .any(|pair| pair == [b"--member".as_slice(), member.as_bytes()]);
    named || member == banyan_api::names::CONTROL && words.get(1) == Some(&b"control".as_slice())
}

/// Owns one member until it is told to stop.
async fn keep(
    name: String,
    mut supervisor: Supervisor<Local>,
    mut orders: watch::Receiver<Order>,
    tell: mpsc::Sender<Notified>,
) {
    let mut resting = false;
    loop {
        tokio::select! {
            changed = orders.changed() => {
                let order = *orders.borrow_and_update();
                if changed.is_err() || order == Order::Stop {
                    break;
                }
                resting = order == Order::Rest;
            }
            notice = supervisor.next() => {
                let notice = match notice {
                    Notice::Ended { member, exit, .. } if resting => {
                        supervisor.rest(&name);
                        Notice::Ended { member, exit, restart_in: None }
                    }
                    notice => notice,
                };
                if tell.send(notice).await.is_err() {
                    break;
                }
            }
        }
    }
    supervisor.stop(GRACE).await;
}

/// How long members may take to leave before they are killed.
const GRACE: Duration = Duration::from_secs(5);
/// Notices that wait to be told; a member's task waits when there are more.
const NOTICES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_its_arguments_and_by_nothing_else() {
        let relay = b"/bin/banyan-relay\0--member\0edge-1\0--role\0edge\0";
        assert!(is_of(relay, "edge-1"));
        assert!(!is_of(relay, "edge-10"));
        assert!(!is_of(relay, "edge"));
        assert!(is_of(b"/bin/banyan\0control\0--layout\0x\0", "control"));
        assert!(!is_of(b"/bin/banyan\0testbed\0inside\0", "control"));
    }
}
