//! Plans as they are taken and refused, and a control plane over loopback that counts the bytes of reports.

use bytes::Bytes;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming};

use super::*;

fn plan(term: u64, version: u64, parents: &[&str]) -> v1::Plan {
    let mut config = crate::testing::config(&[], &[]);
    config.parents = parents
        .iter()
        .map(|name| crate::testing::peer(name))
        .collect();
    v1::Plan {
        term,
        version,
        config: Some(config),
    }
}

#[tokio::test]
async fn only_newer_whole_plans_are_taken_and_every_one_is_answered() {
    let core = crate::testing::lone_core("edge-7");
    let mut taken = Taken::default();
    let mut consider = |plan| consider(&core, plan, &mut taken);
    assert!(consider(plan(2, 1, &["mid-0"])).accepted);
    let old = consider(plan(1, 9, &["mid-1"]));
    assert!(!old.accepted && old.reason.contains("1.9"), "{old:?}");
    assert!(consider(plan(2, 1, &["mid-1"])).accepted, "told again");
    let looped = consider(plan(2, 2, &["edge-7"]));
    assert!(
        !looped.accepted && looped.reason.contains("edge-7"),
        "{looped:?}"
    );
    assert_eq!(core.config().parents[0].name, "mid-0");
    assert!(consider(plan(3, 0, &["mid-2"])).accepted);
    assert_eq!(core.config().parents[0].name, "mid-2");
    assert_eq!(core.counters.plans_refused.value(), 2);
}

#[tokio::test]
async fn a_new_control_plane_that_says_the_same_disturbs_nothing() {
    let core = crate::testing::lone_core("edge-7");
    let mut taken = Taken::default();
    assert!(consider(&core, plan(2, 4, &["mid-0", "mid-1"]), &mut taken).accepted);
    let changes = core.config_changes();
    assert!(consider(&core, plan(3, 1, &["mid-0", "mid-1"]), &mut taken).accepted);
    assert!(!changes.has_changed().unwrap(), "nobody looks for a change");
    assert!(consider(&core, plan(3, 2, &["mid-1", "mid-0"]), &mut taken).accepted);
    assert!(changes.has_changed().unwrap());
    let old = consider(&core, plan(2, 9, &["mid-0"]), &mut taken);
    assert!(!old.accepted, "of a control plane before this one");
    let names: Vec<_> = core.report(1).parents;
    assert_eq!(names, ["mid-1", "mid-0"], "reports say what is configured");
}

#[tokio::test]
async fn a_plan_that_cannot_be_followed_is_refused_whole_and_counted() {
    let core = crate::testing::lone_core("edge-7");
    let mut taken = Taken::default();
    assert!(consider(&core, plan(2, 1, &["mid-0"]), &mut taken).accepted);
    let broken = |change: &dyn Fn(&mut v1::Config)| {
        let mut plan = plan(2, 2, &["mid-1"]);
        change(plan.config.as_mut().unwrap());
        plan
    };
    let cases: [(v1::Plan, &str); 6] = [
        (broken(&|c| c.parents.clear()), "at least one parent"),
        (
            broken(&|c| c.parents[0].uri = "mid-1:3".to_owned()),
            "mid-1",
        ),
        (broken(&|c| c.parents[0].name = "Mid 1".to_owned()), "Mid 1"),
        (broken(&|c| c.epoch += 1), "epoch"),
        (
            broken(&|c| c.parents.push(crate::testing::peer("edge-7"))),
            "itself",
        ),
        (
            v1::Plan {
                config: None,
                ..plan(2, 2, &[])
            },
            "no configuration",
        ),
    ];
    for (case, part) in cases {
        let ack = consider(&core, case, &mut taken);
        assert!(!ack.accepted && ack.reason.contains(part), "{ack:?}");
    }
    assert_eq!(core.config().parents[0].name, "mid-0");
    assert_eq!(core.counters.plans_refused.value(), 6);
    assert!(consider(&core, plan(2, 2, &["mid-1"]), &mut taken).accepted);
}

type Replies = ReceiverStream<Result<v1::AttachReply, Status>>;

/// Hands every call to the test.
struct Desk(mpsc::Sender<Call>);

/// Ends when dropped.
struct Call {
    inward: Streaming<v1::AttachRequest>,
    outward: mpsc::Sender<Result<v1::AttachReply, Status>>,
}

#[tonic::async_trait]
impl v1::control_server::Control for Desk {
    type AttachStream = Replies;

    async fn attach(
        &self,
        request: Request<Streaming<v1::AttachRequest>>,
    ) -> Result<Response<Replies>, Status> {
        let (outward, replies) = mpsc::channel(8);
        let inward = request.into_inner();
        let call = Call { inward, outward };
        let _ = self.0.send(call).await;
        Ok(Response::new(ReceiverStream::new(replies)))
    }
}

impl Call {
    async fn next(&mut self) -> Body {
        let message = tokio::time::timeout(BOUND, self.inward.message()).await;
        message.unwrap().unwrap().unwrap().body.unwrap()
    }

    /// The next report, and its bytes.
    async fn report(&mut self) -> (v1::Report, usize) {
        loop {
            if let Body::Report(report) = self.next().await {
                let bytes = report.encoded_len();
                return (report, bytes);
            }
        }
    }

    async fn keep(&self, offers_version: u64) {
        let body = Some(attach_reply::Body::Kept(v1::Kept { offers_version }));
        let reply = v1::AttachReply { body };
        self.outward.send(Ok(reply)).await.unwrap();
    }
}

async fn desk() -> (mpsc::Receiver<Call>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let (sender, calls) = mpsc::channel(1);
    let service = v1::control_server::ControlServer::new(Desk(sender));
    let server = transport::server().add_service(service);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (calls, uri)
}

async fn next_call(calls: &mut mpsc::Receiver<Call>) -> Call {
    let call = tokio::time::timeout(BOUND, calls.recv()).await;
    call.unwrap().unwrap()
}

#[tokio::test]
async fn a_root_says_its_offers_until_they_are_held_and_again_to_the_next_control_plane() {
    let core = crate::testing::lone_root("root-7");
    let offer = |title: &str| v1::Offer {
        title: title.to_owned(),
        poster: Bytes::from(vec![7; 12_000]),
        ..crate::testing::origin::Origin::new("lisbon", core.clock, Default::default()).offer()
    };
    core.catalog_snapshot("lisbon", vec![offer("Harbour")]);
    let (mut calls, uri) = desk().await;
    let control = Control { uri, account: None };
    let attached = tokio::spawn(run(core.clone(), control));

    let mut call = next_call(&mut calls).await;
    // Nothing is confirmed: an older control plane hears everything every time.
    for _ in 0..2 {
        let (report, bytes) = call.report().await;
        assert_eq!((report.offers.len(), report.offers_unchanged), (1, false));
        assert!(bytes > 12_000, "{bytes}");
    }
    call.keep(1).await;
    let mut said = call.report().await;
    if said.0.sequence == 3 && !said.0.offers_unchanged {
        // It was on its way already.
        said = call.report().await;
    }
    for _ in 0..2 {
        assert!(said.0.offers.is_empty() && said.0.offers_unchanged);
        assert_eq!(said.0.offers_version, 1);
        assert!(said.1 < 200, "{} bytes", said.1);
        said = call.report().await;
    }
    core.catalog_snapshot("lisbon", vec![offer("Harbour at night")]);
    let changed = loop {
        let (report, _) = call.report().await;
        if report.offers_version == 2 {
            break report;
        }
    };
    assert_eq!(changed.offers[0].title, "Harbour at night");
    call.keep(2).await;

    drop(call);
    let (report, _) = next_call(&mut calls).await.report().await;
    assert_eq!((report.sequence, report.offers.len()), (1, 1));
    assert!(!report.offers_unchanged);
    attached.abort();
}

const BOUND: Duration = Duration::from_secs(60);
