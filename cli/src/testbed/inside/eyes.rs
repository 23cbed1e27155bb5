//! How members are seen: over HTTP from the control plane's node, by a thread that has moved there.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use banyan_api::names;
use banyan_control::roster::Roster;
use banyan_testbed::model::Listen;
use banyan_testbed::runner;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::{mpsc, oneshot};

use super::super::folder::Plan;
use crate::up::client::Client;
use crate::up::ready::{Probe, Seen};

pub(super) struct Eyes(mpsc::Sender<Job>);

enum Job {
    Look(Seen, oneshot::Sender<Seen>),
    Metrics(oneshot::Sender<Vec<(String, String)>>),
}

impl Eyes {
    pub(super) fn open(folder: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let mut roster = plan.roster.clone();
        roster
            .members
            .retain(|entry| !plan.later.contains(&entry.name));
        let node = plan.network.members.get(names::CONTROL);
        let node = node.context("the control plane must have a node")?;
        let namespace = runner::namespace(folder, &node.node);
        let file = File::open(&namespace).with_context(|| format!("cannot open {namespace:?}"))?;
        let network = plan.network.clone();
        let (ask, asked) = mpsc::channel(1);
        let (entered, enter) = std::sync::mpsc::sync_channel(1);
        std::thread::spawn(move || {
            let moved = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let _ = entered.send(moved.map_err(std::io::Error::from));
            if let Ok(runtime) = runtime {
                let listen = Listen(&network);
                let probe = Probe::new(&roster, &listen);
                runtime.block_on(attend(asked, &probe, &roster));
            }
        });
        enter
            .recv()
            .context("no thread could be started")?
            .context("cannot enter the control plane's node")?;
        Ok(Self(ask))
    }

    /// Looks once. Cancel-safe: what was not waited for is forgotten.
    pub(super) async fn look(&self, before: &Seen) -> anyhow::Result<Seen> {
        let (seen, looked) = oneshot::channel();
        self.0.send(Job::Look(before.clone(), seen)).await.ok();
        looked.await.context("the thread that looks has ended")
    }

    /// Metrics of all members that answer.
    pub(super) async fn metrics(&self) -> Vec<(String, String)> {
        let (send, read) = oneshot::channel();
        self.0.send(Job::Metrics(send)).await.ok();
        read.await.unwrap_or_default()
    }
}

async fn attend(mut asked: mpsc::Receiver<Job>, probe: &Probe, roster: &Roster) {
    let client = Client::new();
    while let Some(job) = asked.recv().await {
        match job {
            Job::Look(before, seen) => {
                let _ = seen.send(probe.look(&before).await);
            }
            Job::Metrics(send) => {
                let asked = roster.members.iter().map(|entry| async {
                    let url = format!("{}/metrics", entry.http);
                    let text = client.text(&url).await.ok()?;
                    Some((entry.name.clone(), text))
                });
                let read = futures::future::join_all(asked).await;
                let _ = send.send(read.into_iter().flatten().collect());
            }
        }
    }
}
