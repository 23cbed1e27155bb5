//! A thousand topologies with five thousand members at one operator, on a real API server: how long reconciles take,
//! how much memory it holds, what it writes, and that it writes nothing once nothing changes.
//!
//! There are no nodes. Pods are objects that look as if kubelets ran them, with the slots that an operator before gave
//! them; Deployments say what their controller would; the members of every fifth topology attach, each with a token of
//! its own pod, and report each second. The cluster's controllers stand still: they would make pods of their own, and
//! take the CPU.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use banyan_tests::cluster::Helper;
use banyan_tests::operator::Replica;
use banyan_tests::{Cluster, Operator, Stopwatch, cluster, wait};
use serde_json::{Value, json};

const TOPOLOGIES: usize = 1000;
const SPACES: usize = 10;
/// Tiers of each, and members of each tier: five members to a topology.
const TIERS: [(&str, usize); 2] = [("root", 2), ("edge", 3)];
const MEMBERS: usize = 5 * TOPOLOGIES;
/// The members of one topology in so many attach.
const ATTACHING: usize = 5;

/// Everything that takes long, on a machine that does other things too.
const BOUND: Duration = Duration::from_secs(420);
/// Nothing may be written for so long.
const STEADY: Duration = Duration::from_secs(60);
/// Before that, nothing was written for so long.
const SETTLED: Duration = Duration::from_secs(20);
/// What the operator may hold with all of this: the limit that the chart sets.
const MEMORY: u64 = 512 << 20;

const WRITES: &str = "banyan_operator_api_writes_total";
const PROXY: &str = "127.0.0.1:8001";

#[test]
fn a_thousand_topologies_with_five_thousand_members_cost_no_write_a_minute() {
    let time = Stopwatch::start("scale");
    let name = "a_thousand_topologies_with_five_thousand_members_cost_no_write_a_minute";
    let Some(cluster) = cluster::api(name).filter(|cluster| cluster.run().is_some()) else {
        return;
    };
    cluster.define();
    cluster.signal("controller-manager", "STOP");
    let operator = Operator::start(cluster);
    let first = operator.first();
    let replica = first.as_ref().expect("it runs");
    let log = tempfile::tempfile().expect("a temporary file must open");
    let _proxy = proxy(cluster, &log);
    time.lap("an operator leads");

    let spaces = (0..SPACES).map(|n| {
        post(
            &format!("space-{n}"),
            "/api/v1/namespaces",
            json!({"metadata": {"name": space(n)}}),
        )
    });
    all(cluster, spaces.collect());
    let topologies = (0..TOPOLOGIES).map(|n| {
        let path = format!(
            "/apis/banyan.media/v1alpha1/namespaces/{}/streamtopologies",
            space(n)
        );
        post(&format!("topology-{n}"), &path, topology(n))
    });
    all(cluster, topologies.collect());
    time.lap("topologies are stored");
    let deployments = TOPOLOGIES * TIERS.len();
    cluster.wait_until("every tier has its budget, which comes last", BOUND, || {
        count(cluster, "/apis/policy/v1/poddisruptionbudgets") == deployments
    });
    time.lap("all children are there");
    tell(replica, "after the children");

    let members: Vec<Member> = members().collect();
    let made = all(cluster, members.iter().map(Member::pod).collect());
    all(cluster, members.iter().map(Member::running).collect());
    all(cluster, deployments_running());
    time.lap("pods run");
    let uid = |member: &Member| made[&member.pod]["metadata"]["uid"].clone();
    let attaching: Vec<&Member> = members
        .iter()
        .filter(|member| member.topology % ATTACHING == 0)
        .collect();
    let tokens = attaching.iter().map(|member| member.token(&uid(member)));
    let tokens = all(cluster, tokens.collect());
    let mut played = cluster.helper(&["members"]);
    for member in &attaching {
        let token = tokens[&member.pod]["status"]["token"].as_str();
        let line = json!({"id": member.pod, "uri": "http://127.0.0.1:7400", "role": member.tier,
            "token": token.expect("a token was asked for")});
        played.send(&line.to_string());
    }
    for _ in &attaching {
        let answer = played.answer(BOUND);
        assert!(answer["slot"].is_string(), "{answer}");
    }
    time.lap("members have attached");
    tell(replica, "with all members");

    settle(replica);
    time.lap("nothing is written any more");
    let before = operator.writes().len();
    let (since, cpu, sent) = (Instant::now(), replica.daemon.cpu(), replica.metric(WRITES));
    let wrote = wait::poll_gently(STEADY, || {
        let now = replica.metric(WRITES);
        (now != sent).then_some(now)
    });
    let seconds = since.elapsed().as_secs_f64();
    let written = operator.writes().split_off(before);
    println!(
        "  {} writes in {seconds:.0} s with {TOPOLOGIES} topologies and {MEMBERS} members, {} of which report; {:.0} % of a core",
        written.len(),
        attaching.len(),
        (replica.daemon.cpu() - cpu) * 100.0 / seconds
    );
    assert_eq!(wrote, None);
    assert!(written.is_empty(), "{written:#?}");
    let ended = played.answers();
    assert!(
        ended.is_empty(),
        "members were turned away: {:?}",
        ended.first()
    );
    changes(cluster);
    time.lap("changes were carried out");
    tell(replica, "at the end");
    let memory = replica.daemon.memory();
    assert!(memory < MEMORY, "{} MiB are held", memory >> 20);
}

/// Waits until nothing has been written for a while.
fn settle(replica: &Replica) {
    let mut last = (None, Instant::now());
    let settled = wait::poll_gently(BOUND, || {
        let now = replica.metric(WRITES);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > SETTLED).then_some(())
    });
    assert!(settled.is_some(), "it never stops writing");
}

/// From a change to what follows of it, a few times.
fn changes(cluster: &Cluster) {
    let mut api = cluster.helper(&["requests", &format!("http://{PROXY}"), "1"]);
    let mut millis = Vec::new();
    for n in (0..TOPOLOGIES).step_by(TOPOLOGIES / 20) {
        let path = format!(
            "/apis/banyan.media/v1alpha1/namespaces/{}/streamtopologies/tree-{n}",
            space(n)
        );
        let change = patch("change", &path, json!({"spec": {"edge": {"replicas": 4}}}));
        let began = Instant::now();
        api.send(&change.to_string());
        assert_eq!(api.answer(BOUND)["status"], 200);
        let child = format!(
            "/apis/apps/v1/namespaces/{}/deployments/tree-{n}-edge",
            space(n)
        );
        let look = request("look", "GET", &child, "", Value::Null).to_string();
        wait::wait_for("the edges are four", Duration::from_secs(30), || {
            api.send(&look);
            (api.answer(BOUND)["body"]["spec"]["replicas"] == 4).then_some(())
        });
        millis.push(began.elapsed().as_millis());
    }
    millis.sort_unstable();
    let at = |percent: usize| millis[(millis.len() - 1) * percent / 100];
    println!(
        "  from a change to its child: p50 {} ms, p95 {} ms",
        at(50),
        at(95)
    );
}

fn tell(replica: &Replica, when: &str) {
    let text = replica.ask(8081, "/metrics").unwrap_or_default();
    println!(
        "  {when}: {} MiB, {:.0} writes, {:.0} reconciles of topologies (p50 <= {} s, p95 <= {} s)",
        replica.daemon.memory() >> 20,
        replica.metric(WRITES).unwrap_or_default(),
        replica
            .metric("banyan_operator_reconcile_seconds_count")
            .unwrap_or_default(),
        quantile(&text, 0.5),
        quantile(&text, 0.95),
    );
}

/// Upper bound of a share of reconciles, from the histogram.
fn quantile(text: &str, share: f64) -> String {
    let buckets: Vec<(&str, f64)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("banyan_operator_reconcile_seconds_bucket{"))
        .filter(|line| line.contains("\"topology\""))
        .filter_map(|line| {
            let (_, bound) = line.split_once("le=\"")?;
            let (bound, count) = bound.split_once('"')?;
            Some((bound, count.rsplit(' ').next()?.parse().ok()?))
        })
        .collect();
    let wanted = buckets.last().map_or(0.0, |(_, all)| all * share);
    let found = buckets.iter().find(|(_, count)| *count >= wanted);
    found.map_or_else(|| "?".to_owned(), |(bound, _)| (*bound).to_owned())
}

fn space(n: usize) -> String {
    format!("trees-{}", n % SPACES)
}

fn topology(n: usize) -> Value {
    json!({
        "apiVersion": "banyan.media/v1alpha1", "kind": "StreamTopology",
        "metadata": {"name": format!("tree-{n}")},
        "spec": {"rendezvous": {"replicas": TIERS[0].1}, "edge": {"replicas": TIERS[1].1}},
    })
}

/// A member to be.
struct Member {
    number: usize,
    topology: usize,
    tier: &'static str,
    slot: usize,
    pod: String,
}

fn members() -> impl Iterator<Item = Member> {
    let each = (0..TOPOLOGIES).flat_map(|topology| {
        TIERS
            .iter()
            .flat_map(move |(tier, count)| (0..*count).map(move |slot| (topology, *tier, slot)))
    });
    each.enumerate()
        .map(|(number, (topology, tier, slot))| Member {
            number,
            topology,
            tier,
            slot,
            pod: format!("tree-{topology}-{tier}-{slot}"),
        })
}

impl Member {
    fn account(&self) -> String {
        format!("tree-{}-{}", self.topology, self.tier)
    }

    fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", space(self.topology))
    }

    fn pod(&self) -> Value {
        let body = json!({
            "metadata": {"name": self.pod, "annotations": {
                "banyan.media/slot": self.slot.to_string(),
            }, "labels": {
                "app.kubernetes.io/managed-by": "banyan-operator",
                "banyan.media/topology": format!("tree-{}", self.topology),
                "banyan.media/tier": self.tier,
            }},
            "spec": {
                "serviceAccountName": self.account(), "automountServiceAccountToken": false,
                "containers": [{"name": "relay", "image": "localhost/banyan-relay:test"}],
            },
        });
        post(&self.pod, &self.pods(), body)
    }

    fn running(&self) -> Value {
        let ip = format!(
            "10.{}.{}.{}",
            64 + self.number / 65536,
            self.number / 256 % 256,
            self.number % 256
        );
        let status = json!({"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        patch(
            &self.pod,
            &format!("{}/{}/status", self.pods(), self.pod),
            status,
        )
    }

    fn token(&self, uid: &Value) -> Value {
        let body = json!({"spec": {
            "audiences": ["banyan.media"], "expirationSeconds": 7200,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": self.pod, "uid": uid},
        }});
        let space = space(self.topology);
        let path = format!(
            "/api/v1/namespaces/{space}/serviceaccounts/{}/token",
            self.account()
        );
        post(&self.pod, &path, body)
    }
}

/// What the controller of Deployments would say when all pods are ready.
fn deployments_running() -> Vec<Value> {
    let each = (0..TOPOLOGIES).flat_map(|n| TIERS.iter().map(move |tier| (n, tier)));
    let request = |(n, (tier, count)): (usize, &(&str, usize))| {
        let name = format!("tree-{n}-{tier}");
        let path = format!(
            "/apis/apps/v1/namespaces/{}/deployments/{name}/status",
            space(n)
        );
        let status = json!({"status": {
            "observedGeneration": 1, "replicas": count, "updatedReplicas": count,
            "readyReplicas": count, "availableReplicas": count,
            "conditions": [{"type": "Available", "status": "True"}],
        }});
        patch(&name, &path, status)
    };
    each.map(request).collect()
}

fn request(id: &str, method: &str, path: &str, media: &str, body: Value) -> Value {
    json!({"id": id, "method": method, "path": path, "media": media, "body": body})
}

fn post(id: &str, path: &str, body: Value) -> Value {
    request(id, "POST", path, "", body)
}

fn patch(id: &str, path: &str, body: Value) -> Value {
    request(id, "PATCH", path, "application/merge-patch+json", body)
}

/// Sends all requests, which must be carried out; what was answered, by id.
#[track_caller]
fn all(cluster: &Cluster, requests: Vec<Value>) -> HashMap<String, Value> {
    let mut api: Helper = cluster.helper(&["requests", &format!("http://{PROXY}"), "8"]);
    for request in &requests {
        api.send(&request.to_string());
    }
    api.finish();
    let mut answers = HashMap::new();
    for _ in &requests {
        let mut answer = api.answer(BOUND);
        let carried = answer["status"]
            .as_u64()
            .is_some_and(|status| (200..300).contains(&status));
        assert!(carried, "{answer}");
        let id = answer["id"]
            .as_str()
            .expect("an answer has an id")
            .to_owned();
        answers.insert(id, answer["body"].take());
    }
    answers
}

/// How many objects of a kind there are.
fn count(cluster: &Cluster, path: &str) -> usize {
    let out = cluster
        .kubectl(&["get", "--raw", &format!("{path}?limit=1")])
        .ok();
    let list: Value = serde_json::from_str(&out).expect("the API server must answer in JSON");
    let more = list["metadata"]["remainingItemCount"].as_u64().unwrap_or(0);
    list["items"].as_array().map_or(0, Vec::len) + usize::try_from(more).unwrap_or(0)
}

/// The API server without TLS, for many requests.
fn proxy(cluster: &Cluster, log: &File) -> cluster::Daemon {
    let (address, port) = PROXY.split_once(':').expect("an address and a port");
    let arguments = ["proxy", "--address", address, "--port", port];
    let proxy = cluster.daemon(Path::new("kubectl"), &arguments, log);
    cluster.wait_until("the proxy answers", Duration::from_secs(30), || {
        cluster.fetch(&format!("http://{PROXY}/readyz")).is_some()
    });
    proxy
}
