//! Probes in virtual time: their pace, their window, who is answered.

use futures::future::BoxFuture;
use prost::Message;
use tokio::time::sleep;

use super::*;
use crate::connector::{CatalogSource, Connector, Link, MediaSource};
use crate::testing::net::Net;
use crate::testing::{clock, config, lone_core, options, peer};

/// A world in which every peer answers after a time of its own, or never.
#[derive(Clone, Default)]
struct Far {
    rtt: Arc<BTreeMap<String, Duration>>,
    asked: Arc<Mutex<Vec<(String, Instant, usize)>>>,
}

struct FarLink(String, Far);

impl Connector for Far {
    fn link(&self, peer: &v1::Peer) -> Result<Arc<dyn Link>, Status> {
        Ok(Arc::new(FarLink(peer.name.clone(), self.clone())))
    }
}

impl Link for FarLink {
    fn subscribe(
        &self,
        _: v1::SubscribeRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        Box::pin(async { Err(Status::unavailable("only probes here")) })
    }

    fn fetch(
        &self,
        _: v1::FetchRequest,
    ) -> BoxFuture<'static, Result<Box<dyn MediaSource>, Status>> {
        Box::pin(async { Err(Status::unavailable("only probes here")) })
    }

    fn catalog(
        &self,
        _: v1::CatalogRequest,
    ) -> BoxFuture<'static, Result<Box<dyn CatalogSource>, Status>> {
        Box::pin(async { Err(Status::unavailable("only probes here")) })
    }

    fn probe(
        &self,
        request: v1::ProbeRequest,
    ) -> BoxFuture<'static, Result<v1::ProbeReply, Status>> {
        let FarLink(name, far) = self;
        let bytes = request.encoded_len();
        lock(&far.asked).push((name.clone(), Instant::now(), bytes));
        let rtt = far.rtt.get(name).copied();
        Box::pin(async move {
            match rtt {
                Some(rtt) => sleep(rtt).await,
                None => std::future::pending().await,
            }
            Ok(v1::ProbeReply {
                sequence: request.sequence,
                ..Default::default()
            })
        })
    }
}

/// The net must outlive the core: its end stops the core's tasks.
fn probing(net: &Net, rtts: &[(&str, Option<u64>)]) -> (Arc<Core>, Far) {
    let known = rtts.iter();
    let far = Far {
        rtt: Arc::new(
            known
                .filter_map(|(name, ms)| Some(((*name).to_owned(), Duration::from_millis((*ms)?))))
                .collect(),
        ),
        ..Far::default()
    };
    let mut config = config(&[], &["mid-0"]);
    config.candidates = rtts.iter().map(|(name, _)| peer(name)).collect();
    let mut options = options("edge-7", crate::core::Role::Edge, config, net);
    options.connector = Arc::new(far.clone());
    let core = Core::new(options);
    core.spawn(run(core.clone()));
    (core, far)
}

#[tokio::test(start_paused = true)]
async fn a_candidate_is_asked_once_in_five_seconds_and_costs_little() {
    let names: Vec<String> = (0..10).map(|n| format!("mid-{n}")).collect();
    let rtts: Vec<(&str, Option<u64>)> = names.iter().map(|n| (n.as_str(), Some(3))).collect();
    let net = Net::new(clock(), 0);
    let (_core, far) = probing(&net, &rtts);
    sleep(Duration::from_secs(60)).await;
    let asked = lock(&far.asked).clone();
    let mut by_name: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    for (name, at, bytes) in &asked {
        assert!(*bytes < 250, "{bytes} bytes");
        by_name.entry(name.clone()).or_default().push(*at);
    }
    assert_eq!(
        by_name.len(),
        MOST_CANDIDATES,
        "no more than so many are asked"
    );
    for (name, times) in by_name {
        assert!((10..=12).contains(&times.len()), "{name}: {}", times.len());
        let closest = times.windows(2).map(|pair| pair[1] - pair[0]).min();
        assert!(closest.unwrap() >= EVERY, "{name}: {closest:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reports_tell_how_far_each_is_and_what_was_lost() {
    let net = Net::new(clock(), 0);
    let (core, _far) = probing(
        &net,
        &[("mid-1", Some(12)), ("mid-2", None), ("mid-3", Some(2_500))],
    );
    assert!(core.report(1).probes.is_empty(), "nothing known yet");
    sleep(Duration::from_secs(120)).await;
    let probes = core.report(2).probes;
    let near = &probes[0];
    assert_eq!((near.peer.as_str(), near.loss_permille), ("mid-1", 0));
    assert_eq!(near.samples, WINDOW as u32);
    assert_eq!(
        (near.rtt_min_us / 1000, near.rtt_median_us / 1000),
        (12, 12)
    );
    for silent in &probes[1..] {
        assert_eq!(
            (silent.loss_permille, silent.rtt_min_us),
            (1000, 0),
            "{silent:?}"
        );
    }
    // Who is no candidate any more is forgotten.
    let mut config = v1::Config::clone(&core.config());
    config.candidates = vec![peer("mid-1")];
    core.configure(config);
    sleep(Duration::from_millis(1)).await;
    let left: Vec<_> = core.report(3).probes.into_iter().map(|p| p.peer).collect();
    assert_eq!(left, ["mid-1"]);
}

#[test]
fn a_window_forgets_and_its_median_is_in_the_middle() {
    let mut probes = Probes::default();
    for ms in [90, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] {
        probes.push("mid-1", Some(Duration::from_millis(ms)));
    }
    probes.push("mid-1", None);
    probes.push("mid-1", None);
    let report = probes.reports().remove(0);
    assert_eq!(report.samples, 12, "the first has left");
    assert_eq!(report.loss_permille, 2 * 1000 / 12);
    assert_eq!((report.rtt_min_us, report.rtt_median_us), (1_000, 6_000));
}

#[tokio::test]
async fn answers_are_for_members_and_bounded() {
    let core = lone_core("mid-0");
    let answering = Answering::new(core.clone());
    let ask = |hello| {
        let request = v1::ProbeRequest { hello, sequence: 9 };
        answering.probe(Request::new(request))
    };
    let stranger = ask(None).await.unwrap_err();
    assert_eq!(stranger.code(), Code::Unauthenticated);
    let reply = ask(Some(core.hello())).await.unwrap().into_inner();
    assert_eq!((reply.sequence, reply.draining), (9, false));
    let mut refused = 0;
    for _ in 0..2 * ANSWERS_PER_SECOND {
        refused += u32::from(answering.admit().is_err());
    }
    assert!(refused >= ANSWERS_PER_SECOND / 2, "{refused}");
}
