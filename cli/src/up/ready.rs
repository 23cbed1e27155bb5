//! When a run is ready: every member says so, and every stream is listed by an edge and by control
//! (or the page would open empty), or has failed on all servers that should offer it.
//!
//! [`Wanted`] and [`Seen`] are values and [`judge`] is a function of them; [`Probe`] asks the
//! members over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use banyan_control::layout::Addresses;
use banyan_control::roster::{Role, Roster};
use futures::future::join_all;
use serde::Deserialize;

use super::client::Client;
use crate::scenario::Scenario;

/// What a run is to become.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) members: BTreeSet<String>,
    /// Stream → servers that should offer it.
    pub(crate) streams: BTreeMap<String, Vec<String>>,
    /// A topology may have no edges; then an offer is all there can be.
    pub(crate) edges: bool,
}

/// What has been seen of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ready: BTreeSet<String>,
    /// (server, stream) → its preparation.
    pub(crate) contents: BTreeMap<(String, String), Content>,
    /// Streams that some edge lists.
    pub(crate) listed: BTreeSet<String>,
    /// Streams that control lists.
    pub(crate) announced: BTreeSet<String>,
}

/// A content of a server as `/api/member` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Content {
    pub(crate) name: String,
    pub(crate) state: String,
    #[serde(default)]
    pub(crate) permille: u32,
    #[serde(default)]
    pub(crate) remaining_ms: Option<u64>,
    #[serde(default)]
    pub(crate) error: Option<String>,
}

/// Whether the run is ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not yet; what is waited for besides preparation, if anything.
    Wait(Option<String>),
    /// As ready as it gets: streams to be had, and sentences about the others.
    Ready {
        streams: Vec<String>,
        failures: Vec<String>,
    },
}

pub(crate) fn judge(wanted: &Wanted, seen: &Seen) -> Verdict {
    let (mut streams, mut failures) = (Vec::new(), Vec::new());
    let mut preparing = false;
    let mut unlisted = None;
    for (stream, servers) in &wanted.streams {
        let on = |server: &String| seen.contents.get(&(server.clone(), stream.clone()));
        let is = |server: &String, state: &str| on(server).is_some_and(|c| c.state == state);
        let offered = servers.iter().find(|server| is(server, "offered"));
        if seen.listed.contains(stream) || (!wanted.edges && offered.is_some()) {
            if !seen.announced.contains(stream) {
                unlisted = Some(format!("stream {stream:?} is not listed by control"));
            }
            streams.push(stream.clone());
        } else if let Some(server) = offered {
            unlisted = Some(format!(
                "stream {stream:?} is offered by {server} but no edge lists it"
            ));
        } else if servers.iter().all(|server| is(server, "failed")) {
            for server in servers {
                let error = on(server).and_then(|content| content.error.as_deref());
                let error = error.unwrap_or("no reason was given");
                // Most sentences of origins begin with the content's name already.
                let error = error.trim_start_matches(&format!("content {stream:?}: "));
                failures.push(format!("content {stream:?} of {server} failed: {error}"));
            }
        } else {
            preparing = true;
        }
    }
    let late = wanted.members.difference(&seen.ready).next();
    match (late, preparing, unlisted) {
        (Some(member), _, _) => Verdict::Wait(Some(format!("member {member:?} is not ready"))),
        (None, _, Some(unlisted)) => Verdict::Wait(Some(unlisted)),
        (None, true, None) => Verdict::Wait(None),
        (None, false, None) => Verdict::Ready { streams, failures },
    }
}

impl Wanted {
    pub(crate) fn new(scenario: &Scenario, members: impl IntoIterator<Item = String>) -> Self {
        let mut streams: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for server in &scenario.servers {
            for content in &server.contents {
                let servers = streams.entry(content.name.clone()).or_default();
                servers.push(server.name.clone());
            }
        }
        Self {
            members: members.into_iter().collect(),
            streams,
            edges: scenario.topology.edges().replicas > 0,
        }
    }
}

/// Asks members how they are.
#[derive(Clone)]
pub(crate) struct Probe {
    client: Client,
    /// Name, role, URL.
    members: Vec<(String, Role, String)>,
}

#[derive(Deserialize)]
struct Member {
    #[serde(default)]
    contents: Vec<Content>,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
}

impl Probe {
    pub(crate) fn new(roster: &Roster, addresses: &impl Addresses) -> Self {
        let control = banyan_api::names::CONTROL;
        let mut members = vec![(control.to_owned(), Role::Control, addresses.url(control))];
        members.extend(
            roster
                .members
                .iter()
                .map(|entry| (entry.name.clone(), entry.role, entry.http.clone())),
        );
        Self {
            client: Client::new(),
            members,
        }
    }

    /// Asks once. What has been ready stays so: only a start is watched here.
    pub(crate) async fn look(&self, before: &Seen) -> Seen {
        let (ready, contents, listed, announced) = tokio::join!(
            self.ready(before),
            self.contents(),
            self.listed(Role::Edge),
            self.listed(Role::Control),
        );
        Seen {
            ready,
            contents,
            listed: before.listed.union(&listed).cloned().collect(),
            announced,
        }
    }

    async fn ready(&self, before: &Seen) -> BTreeSet<String> {
        let asked = self.members.iter().map(|(name, _, url)| async move {
            let url = format!("{url}/readyz");
            let ready = before.ready.contains(name) || self.client.is_ok(&url).await;
            ready.then(|| name.clone())
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn contents(&self) -> BTreeMap<(String, String), Content> {
        let asked = self.of(Role::Origin).map(|(name, url)| async move {
            let url = format!("{url}/api/member");
            let contents = match self.client.json::<Member>(&url).await {
                Ok(member) => member.contents,
                Err(_) => Vec::new(),
            };
            let keyed = contents.into_iter();
            let keyed =
                keyed.map(move |content| ((name.to_owned(), content.name.clone()), content));
            keyed.collect::<Vec<_>>()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    async fn listed(&self, role: Role) -> BTreeSet<String> {
        let asked = self.of(role).map(|(_, url)| async move {
            let url = format!("{url}/api/streams");
            self.client
                .json::<Vec<Stream>>(&url)
                .await
                .unwrap_or_default()
        });
        let streams = join_all(asked).await.into_iter().flatten();
        streams.map(|stream| stream.name).collect()
    }

    fn of(&self, role: Role) -> impl Iterator<Item = (&str, &str)> {
        let members = self.members.iter().filter(move |member| member.1 == role);
        members.map(|(name, _, url)| (name.as_str(), url.as_str()))
    }
}

/// Between two looks.
pub(crate) const PACE: Duration = Duration::from_millis(200);
/// Members start in well under a second; a loaded machine may take a while. Preparation has no
/// bound: it shows its progress.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(edges: bool) -> Wanted {
        let streams = [("fig", vec!["pear", "quince"]), ("plum", vec!["pear"])];
        Wanted {
            members: ["pear", "quince", "root-0"].map(String::from).into(),
            streams: streams
                .into_iter()
                .map(|(name, servers)| {
                    let servers = servers.into_iter().map(String::from).collect();
                    (name.to_owned(), servers)
                })
                .collect(),
            edges,
        }
    }

    fn seen(ready: &[&str], contents: &[(&str, &str, &str)], listed: &[&str]) -> Seen {
        let content = |(server, stream, state): &(&str, &str, &str)| {
            let content = Content {
                name: (*stream).to_owned(),
                state: (*state).to_owned(),
                error: (*state == "failed").then(|| format!("content {stream:?}: it is no video")),
                ..Default::default()
            };
            (((*server).to_owned(), (*stream).to_owned()), content)
        };
        Seen {
            ready: ready.iter().map(ToString::to_string).collect(),
            contents: contents.iter().map(content).collect(),
            listed: listed.iter().map(ToString::to_string).collect(),
            announced: ["fig", "plum"].map(String::from).into(),
        }
    }

    const ALL: [&str; 3] = ["pear", "quince", "root-0"];

    #[test]
    fn a_run_waits_for_members_then_for_preparation_then_for_edges() {
        let cases = [
            (
                seen(&ALL[..2], &[], &[]),
                Some("member \"root-0\" is not ready"),
            ),
            (seen(&ALL, &[("pear", "fig", "preparing")], &[]), None),
            (
                seen(&ALL, &[("pear", "plum", "offered")], &["fig"]),
                Some("stream \"plum\" is offered by pear but no edge lists it"),
            ),
            (seen(&ALL, &[("pear", "fig", "failed")], &["plum"]), None),
        ];
        for (seen, waits_for) in cases {
            let expected = Verdict::Wait(waits_for.map(String::from));
            assert_eq!(judge(&wanted(true), &seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn a_content_that_failed_everywhere_is_told_and_the_others_run() {
        let failed = [("pear", "plum", "failed"), ("quince", "fig", "failed")];
        let verdict = judge(&wanted(true), &seen(&ALL, &failed, &["fig"]));
        let expected = Verdict::Ready {
            streams: vec!["fig".to_owned()],
            failures: vec!["content \"plum\" of pear failed: it is no video".to_owned()],
        };
        assert_eq!(verdict, expected);
    }

    #[test]
    fn a_stream_that_control_does_not_list_yet_is_waited_for() {
        let mut seen = seen(&ALL, &[], &["fig", "plum"]);
        assert!(matches!(judge(&wanted(true), &seen), Verdict::Ready { .. }));
        seen.announced.remove("plum");
        let waits = "stream \"plum\" is not listed by control".to_owned();
        assert_eq!(judge(&wanted(true), &seen), Verdict::Wait(Some(waits)));
    }

    #[test]
    fn without_edges_an_offer_is_enough() {
        let offered = [("pear", "plum", "offered"), ("quince", "fig", "offered")];
        let seen = seen(&ALL, &offered, &[]);
        assert!(matches!(
            judge(&wanted(false), &seen),
            Verdict::Ready { .. }
        ));
        assert!(matches!(
            judge(&wanted(true), &seen),
            Verdict::Wait(Some(_))
        ));
    }
}
