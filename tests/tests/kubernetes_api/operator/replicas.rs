//! Two replicas: the standby passes on to the leader, an API server that is away is borne, and a leader that is cut off
//! ends before the next one begins.

use std::time::Duration;

use banyan_tests::cluster::Helper;
use banyan_tests::operator::Replica;
use banyan_tests::{Cluster, Stopwatch, wait};

use super::players::Players;
use super::{SOON, plums, started};

const SPACE: &str = "replicas";

/// Failed attempts of watches that show that they go on trying.
const ATTEMPTS: f64 = 40.0;

/// Lines that an outage may cost: of the election, of the watches, and of a write that was under way.
const LINES: usize = 3;

#[test]
fn a_standby_passes_on_bears_an_outage_takes_over_and_is_fenced_when_it_is_cut_off() {
    let time = Stopwatch::start("replicas");
    let name = "a_standby_passes_on_bears_an_outage_takes_over_and_is_fenced_when_it_is_cut_off";
    let Some(operator) = started(name) else {
        return;
    };
    let cluster = operator.cluster();
    plums(cluster, SPACE);
    cluster.wait_object(SPACE, "deployment/plums-edge", "it exists", SOON, |_| true);

    let mut path = cluster.helper(&["path", &operator.server()]);
    let address = path.answer(SOON)["address"].as_str().map(str::to_owned);
    let by_path = operator.kubeconfig_by(&address.expect("a path has an address"));
    let second = operator.replica("operator-2", "127.0.0.2", &by_path);
    cluster.wait_until("the standby is ready", SOON, || second.ready());
    assert!(!second.leads());
    passes_on(
        cluster,
        operator.first().as_ref().expect("it runs"),
        &second,
    );
    time.lap("the standby names the leader");

    set(&mut path, "closed");
    let before = second.logged().len();
    let third = operator.replica("operator-3", "127.0.0.3", &by_path);
    for replica in [&second, &third] {
        cluster.wait_until("it tells that it is not ready", SOON, || {
            replica.healthy() && !replica.ready()
        });
    }
    let tried = || second.metric("banyan_operator_watch_errors_total");
    cluster.wait_until("watches are tried again", Duration::from_secs(120), || {
        tried().is_some_and(|tried| tried > ATTEMPTS)
    });
    for (replica, before) in [(&second, before), (&third, 0)] {
        assert!(replica.daemon.runs() && replica.healthy() && !replica.ready());
        let said = complaints(replica, before);
        println!("  {} lines in an outage", said.len());
        assert!((1..=LINES).contains(&said.len()), "{said:#?}");
    }
    drop(third);
    set(&mut path, "open");
    cluster.wait_until("it is ready again", super::LATER, || second.ready());
    time.lap("an outage was borne");

    // Whoever leads next asks whether it is there.
    let secret = "secret/plums-run";
    cluster.kubectl(&["-n", SPACE, "delete", secret]).ok();
    operator.end();
    second.wait_leads();
    time.lap("the standby leads");
    cluster.wait_object(SPACE, secret, "it is back", SOON, |_| true);

    let fourth = operator.replica("operator-4", "127.0.0.4", &operator.kubeconfig());
    cluster.wait_until("the next standby is ready", SOON, || fourth.ready());
    set(&mut path, "silent");
    let both = wait::poll(super::LATER, || {
        let leads = fourth.leads();
        leads.then(|| second.daemon.runs())
    });
    assert_eq!(
        both,
        Some(false),
        "a leader that is cut off ends before another leads"
    );
    let last = second.logged().pop().unwrap_or_default();
    assert!(last.starts_with("error: "), "{last}");
    time.lap("a leader that was cut off is replaced");
    fourth.end();
    operator.restart();
}

/// A standby answers with what the leader says, and tells members where it is.
fn passes_on(cluster: &'static Cluster, leader: &Replica, standby: &Replica) {
    let listed = standby.ask(8080, "/api/topologies").unwrap_or_default();
    assert!(listed.contains(SPACE), "{listed}");
    let page = format!("/topologies/{SPACE}/plums/");
    let shown = standby
        .ask(8080, &page)
        .expect("the page must be passed on");
    assert_eq!(Some(shown), leader.ask(8080, &page));
    let told = Players::new(cluster, SPACE).stranger("http://127.0.0.2:7400");
    assert_eq!(told["leader"], "http://127.0.0.1:7400", "{told}");
    let told = Players::new(cluster, SPACE).stranger("http://127.0.0.1:7400");
    let sentence = told["ended"].as_str().unwrap_or_default();
    assert!(sentence.contains("token"), "{told}");
}

fn set(path: &mut Helper, way: &str) {
    path.send(way);
    assert_eq!(path.answer(SOON)["way"], way);
}

/// Warnings and errors since a line of its log.
fn complaints(replica: &Replica, from: usize) -> Vec<String> {
    let lines = replica.logged().into_iter().skip(from);
    lines
        .filter(|line| line.contains(" WARN ") || line.contains(" ERROR "))
        .collect()
}
