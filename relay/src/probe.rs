//! How far candidate parents are: one small call to each now and then, and the answers to others.
//!
//! A member asks every candidate of its configuration once in 5 to 6 s and keeps the last twelve
//! outcomes, a minute's worth. A call is about 300 bytes there and 150 back with its framing (the
//! credential is most of it), so eight candidates cost a member less than 1 kB/s, and a member that
//! is a candidate of a thousand about 100 kB/s; beyond [`ANSWERS_PER_SECOND`] it refuses, which is no
//! loss to the asker but no sample either. Nothing here touches media.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use banyan_proto::carrier;
use banyan_proto::v1::{self, measure_server::Measure};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep_until, timeout};
use tonic::{Code, Request, Response, Status};

use crate::clock::Instant;
use crate::core::{Core, lock};

/// Candidates asked, whatever the configuration lists.
pub(crate) const MOST_CANDIDATES: usize = 8;

/// A candidate is asked no more often than this; up to a fifth is added, so that members that
/// started together do not ask together.
const EVERY: Duration = Duration::from_secs(5);

/// No answer by then is a loss: far beyond any round trip, below the time to the next question.
const PATIENCE: Duration = Duration::from_secs(2);

/// Outcomes kept: old ones say nothing of now, few say nothing at all.
const WINDOW: usize = 12;

/// Answers given: ten thousand children could ask at their pace and more.
const ANSWERS_PER_SECOND: u32 = 2_500;

/// Outcomes by candidate.
#[derive(Debug, Default)]
pub(crate) struct Probes(BTreeMap<String, Window>);

/// The last outcomes of one candidate; a question without an answer is `None`.
#[derive(Debug, Default)]
struct Window(VecDeque<Option<Duration>>);

// === impl Probes ===

impl Probes {
    fn push(&mut self, peer: &str, outcome: Option<Duration>) {
        let window = self.0.entry(peer.to_owned()).or_default();
        window.0.push_back(outcome);
        if window.0.len() > WINDOW {
            window.0.pop_front();
        }
    }

    fn keep(&mut self, peers: &BTreeSet<String>) {
        self.0.retain(|peer, _| peers.contains(peer));
    }

    /// For control.
    pub(crate) fn reports(&self) -> Vec<v1::ProbeReport> {
        let reports = self.0.iter();
        reports.map(|(peer, window)| window.report(peer)).collect()
    }
}

// === impl Window ===

impl Window {
    fn report(&self, peer: &str) -> v1::ProbeReport {
        let mut answered: Vec<Duration> = self.0.iter().flatten().copied().collect();
        answered.sort_unstable();
        let micros = |at: usize| answered.get(at).map_or(0, |rtt| rtt.as_micros() as u32);
        let (asked, lost) = (self.0.len(), self.0.len() - answered.len());
        v1::ProbeReport {
            peer: peer.to_owned(),
            rtt_min_us: micros(0),
            rtt_median_us: micros(answered.len() / 2),
            loss_permille: (lost * 1000).checked_div(asked).unwrap_or(0) as u32,
            samples: asked as u32,
        }
    }
}

// === asking ===

/// Asks as long as the core lives.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changed = core.config_changes();
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    let mut under_way = FuturesUnordered::new();
    let mut sequence = 0;
    // Another pace for every member, and the same one in every simulation.
    let mut rng = StdRng::seed_from_u64(carrier::weight(core.member(), "probe"));
    loop {
        changed.borrow_and_update();
        let candidates = candidates(&core);
        let names = candidates.iter().map(|peer| peer.name.clone()).collect();
        lock(&core.probes).keep(&names);
        due.retain(|name, _| names.contains(name));
        let now = Instant::now();
        for peer in candidates {
            let first = || now + EVERY.mul_f64(rng.random_range(0.0..1.0));
            let at = due.entry(peer.name.clone()).or_insert_with(first);
            if *at <= now {
                *at = now + EVERY.mul_f64(rng.random_range(1.0..1.2));
                sequence += 1;
                under_way.push(ask(core.clone(), peer, sequence));
            }
        }
        let next = due.values().min().copied();
        tokio::select! {
            _ = changed.changed() => {}
            () = async { sleep_until(next.unwrap_or(now)).await }, if next.is_some() => {}
            Some((peer, outcome)) = under_way.next(), if !under_way.is_empty() => {
                if let Some(outcome) = outcome && names.contains(&peer) {
                    lock(&core.probes).push(&peer, outcome);
                }
            }
        }
    }
}

fn candidates(core: &Core) -> Vec<v1::Peer> {
    let config = core.config();
    let others = config.candidates.iter();
    others
        .filter(|peer| peer.name != core.member())
        .take(MOST_CANDIDATES)
        .cloned()
        .collect()
}

/// One question: the time to its answer, no answer, or nothing learnt.
async fn ask(core: Arc<Core>, peer: v1::Peer, sequence: u64) -> (String, Option<Option<Duration>>) {
    let request = v1::ProbeRequest {
        hello: Some(core.hello()),
        sequence,
    };
    let Ok(link) = core.link(&peer) else {
        return (peer.name, None);
    };
    let asked = Instant::now();
    let outcome = match timeout(PATIENCE, link.probe(request)).await {
        Ok(Ok(reply)) if reply.sequence == sequence => Some(Some(asked.elapsed())),
        // An answer to another question says nothing of this one.
        Ok(Ok(_)) => None,
        Ok(Err(status)) if says_nothing(status.code()) => None,
        Ok(Err(_)) | Err(_) => Some(None),
    };
    (peer.name, outcome)
}

/// Refusals of a peer that is well: of another version, busy, or of another run.
fn says_nothing(code: Code) -> bool {
    matches!(
        code,
        Code::Unimplemented
            | Code::ResourceExhausted
            | Code::Unauthenticated
            | Code::PermissionDenied
            | Code::InvalidArgument
    )
}

// === answering ===

/// Serves [`Measure`].
pub(crate) struct Answering {
    core: Arc<Core>,
    /// The second that counts, and answers given in it.
    given: Mutex<(u64, u32)>,
}

impl Answering {
    pub(crate) fn new(core: Arc<Core>) -> Answering {
        Answering {
            core,
            given: Mutex::default(),
        }
    }

    fn admit(&self) -> Result<(), Status> {
        let second = self.core.clock.uptime().as_secs();
        let mut given = lock(&self.given);
        if given.0 != second {
            *given = (second, 0);
        }
        if given.1 >= ANSWERS_PER_SECOND {
            return Err(Status::resource_exhausted(format!(
                "more than {ANSWERS_PER_SECOND} probes in one second"
            )));
        }
        given.1 += 1;
        Ok(())
    }
}

#[tonic::async_trait]
impl Measure for Answering {
    async fn probe(
        &self,
        request: Request<v1::ProbeRequest>,
    ) -> Result<Response<v1::ProbeReply>, Status> {
        self.admit()?;
        let request = request.into_inner();
        let hello = request.hello.as_ref();
        self.core.authenticator().authenticate(hello).await?;
        Ok(Response::new(v1::ProbeReply {
            sequence: request.sequence,
            draining: self.core.is_draining(),
            ..Default::default()
        }))
    }
}

#[cfg(test)]
mod tests;
