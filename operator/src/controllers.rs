//! Both controllers: whoever is concerned by a change is reconciled, by the leader alone.
//!
//! A reconcile is `dereference → validate → build → apply → update_status`, one file each; building and validating
//! need no client. Standbys read everything and change nothing, so that a new leader starts at once.

pub mod backoff;
pub mod caches;
pub mod seen;
pub mod server;
pub mod topology;
mod unreadable;
pub mod waiting;
pub mod watch;

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use banyan_api::validate::Refusal;
use banyan_api::{ContentServer, StreamTopology};
use futures::{FutureExt, Stream, StreamExt, stream};
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Resource, ResourceExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::caches::{Caches, Troubles};
use self::waiting::Waiting;
use self::watch::{Concerned, Key, Queues, Watches};
use crate::apply;
use crate::build;
use crate::conditions::Failure;
use crate::context::{Context, RESYNC};
use crate::lease::Place;
use crate::members::Members;
use crate::metrics::Metrics;

/// Changes within this are one reconcile.
const DEBOUNCE: Duration = Duration::from_millis(200);

/// Objects of a kind reconciled at once. More only makes an API server slower that is slow already.
const CONCURRENCY: u16 = 16;

/// What a failed step means for conditions.
fn failure(error: &apply::Error) -> Failure {
    Failure {
        reason: error.reason(),
        message: error.to_string(),
    }
}

/// Why a reconcile did not finish.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not everything was read yet.
    #[error("{0}")]
    Unread(String),
    /// Something may not be read.
    #[error("not allowed: {0}")]
    Blind(String),
    /// Children cannot be built.
    #[error("children cannot be built: {0}")]
    Build(#[from] build::Error),
    /// Children, or the status, cannot be written.
    #[error("{0}")]
    Apply(#[from] apply::Error),
}

impl Error {
    /// The fixed label of conditions, events, metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unread(_) => "Unread",
            Self::Blind(_) => banyan_api::reasons::FORBIDDEN,
            Self::Build(error) => error.reason(),
            Self::Apply(error) => error.reason(),
        }
    }
}

/// What became of the steps before the status.
#[derive(Default)]
struct Done {
    refusals: Vec<Refusal>,
    failures: Vec<Failure>,
    updates: Vec<String>,
    /// To be tried again.
    error: Option<Error>,
}

impl Done {
    fn failed(mut self, error: Error) -> Self {
        self.failures.push(Failure {
            reason: error.reason(),
            message: error.to_string(),
        });
        self.error = Some(error);
        self
    }
}

/// The object to work on: none where it cannot be read, which is told, or is on its way out, which owner references
/// clear up.
async fn present<'a, K: Resource<DynamicType = ()>>(
    object: &'a DeserializeGuard<K>,
    context: &Context,
) -> Result<Option<&'a K>, Error> {
    match &object.0 {
        Ok(object) if object.meta().deletion_timestamp.is_some() => Ok(None),
        Ok(object) => Ok(Some(object)),
        Err(invalid) => {
            unreadable::tell::<K>(invalid, context).await?;
            Ok(None)
        }
    }
}

/// Whether everything was read; a reconcile that knows a part only would take the rest for missing.
fn complete(context: &Context) -> Result<(), Error> {
    match (context.caches.forbidden(), context.caches.missing()) {
        (Some(forbidden), _) => Err(Error::Blind(forbidden)),
        (None, Some(missing)) => Err(Error::Unread(missing)),
        // Until members are listed, every configuration would be written without them.
        (None, None) if context.members.synced().now_or_never().is_none() => {
            Err(Error::Unread("members were not read yet".to_owned()))
        }
        (None, None) => Ok(()),
    }
}

/// Starts all watches.
pub fn watch(
    client: kube::Client,
    namespace: Option<String>,
    members: &Members,
    metrics: Metrics,
) -> (Caches, Concerned, Queues) {
    let (concerned, queues) = watch::queues();
    let watches = Watches {
        client,
        namespace,
        metrics,
        troubles: Troubles::default(),
        concerned: concerned.clone(),
    };
    let all = watcher::Config::default();
    let servers: Store<DeserializeGuard<ContentServer>> = watches.spawn(all.clone(), {
        // A server that turns to another topology concerns the one it left as well.
        let fed: Mutex<HashMap<Key, String>> = Mutex::default();
        move |server: Arc<DeserializeGuard<ContentServer>>, there, concerned: Concerned| {
            let key = key(&*server);
            let topology = server.0.as_ref().ok().map(|server| &server.spec.topology);
            let mut fed = fed.lock().unwrap_or_else(PoisonError::into_inner);
            let before = match topology.filter(|_| there) {
                Some(topology) => fed.insert(key.clone(), topology.clone()),
                None => fed.remove(&key),
            };
            let concerns: BTreeSet<String> = before.into_iter().chain(topology.cloned()).collect();
            async move {
                for topology in concerns {
                    concerned.topology((key.0.clone(), topology)).await;
                }
                concerned.server(key).await;
            }
        }
    });
    let known_servers = servers.clone();
    let members = members.clone();
    let topologies: Store<DeserializeGuard<StreamTopology>> = watches.spawn(
        all,
        move |topology: Arc<DeserializeGuard<StreamTopology>>, there, concerned| {
            if !there {
                let (namespace, name) = key(&*topology);
                members.set_topology(&namespace, &name, None);
            }
            let feeding = known_servers.clone();
            async move {
                let (namespace, name) = key(&*topology);
                concerned.topology((namespace.clone(), name.clone())).await;
                for server in feeding.state() {
                    let feeds = server
                        .0
                        .as_ref()
                        .is_ok_and(|server| server.spec.topology == name);
                    if feeds && server.namespace().unwrap_or_default() == namespace {
                        concerned.server(key(&*server)).await;
                    }
                }
            }
        },
    );
    let caches = Caches {
        topologies,
        servers,
        config_maps: watches.children(),
        accounts: watches.children(),
        services: watches.children(),
        deployments: watches.children(),
        budgets: watches.children(),
        policies: watches.children(),
        revisions: watches.children(),
        pods: watches.pods(),
        troubles: watches.troubles,
    };
    (caches, concerned, queues)
}

/// Tells controllers of what members report.
pub async fn follow(members: Members, caches: Caches, concerned: Concerned) {
    let mut changes = std::pin::pin!(members.changes());
    while let Some((namespace, topology)) = changes.next().await {
        for server in caches.feeding(&namespace, &topology) {
            concerned.server(key(&server)).await;
        }
        concerned.topology((namespace, topology)).await;
    }
}

/// Runs both controllers until told to leave and the last reconcile has ended.
pub async fn run(
    context: Arc<Context>,
    queues: Queues,
    place: tokio::sync::watch::Receiver<Place>,
    leaving: CancellationToken,
) {
    let waiting = context.waiting_topologies.clone();
    let topologies = control(
        context.caches.topologies.clone(),
        (queues.topologies, waiting.clone()),
        place.clone(),
        leaving.clone(),
    )
    .run(topology::reconcile, topology::failed, context.clone())
    .for_each(|done| {
        forget_gone(&waiting, done.err());
        std::future::ready(())
    });
    let waiting = context.waiting_servers.clone();
    let servers = control(
        context.caches.servers.clone(),
        (queues.servers, waiting.clone()),
        place,
        leaving,
    )
    .run(server::reconcile, server::failed, context.clone())
    .for_each(|done| {
        forget_gone(&waiting, done.err());
        std::future::ready(())
    });
    let sweeps = async {
        loop {
            tokio::time::sleep(RESYNC).await;
            context.sweep();
        }
    };
    tokio::select! {
        _ = futures::future::join(topologies, servers) => {}
        () = sweeps => {}
    }
}

fn control<K>(
    store: Store<K>,
    (changes, waiting): (mpsc::Receiver<Key>, Arc<Waiting>),
    place: tokio::sync::watch::Receiver<Place>,
    leaving: CancellationToken,
) -> Controller<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
    K: serde::de::DeserializeOwned,
    (): Eq + Hash,
{
    let (all, taken_over) = (store.clone(), waiting.clone());
    let everything = taken(place).inspect(move |()| {
        let all = all.state();
        taken_over.ask(all.iter().map(|object| key(&**object)));
    });
    Controller::for_stream(stream::pending(), store)
        .with_config(
            controller::Config::default()
                .debounce(DEBOUNCE)
                .concurrency(CONCURRENCY),
        )
        .reconcile_on(refs(changes, waiting))
        .reconcile_all_on(everything)
        .graceful_shutdown_on(leaving.cancelled_owned())
}

fn refs<K>(
    mut changes: mpsc::Receiver<Key>,
    waiting: Arc<Waiting>,
) -> impl Stream<Item = ObjectRef<K>>
where
    K: Resource<DynamicType = ()>,
{
    stream::poll_fn(move |context| changes.poll_recv(context))
        .inspect(move |key| waiting.ask([key.clone()]))
        .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace))
}

/// What was asked for and is not there any longer does not wait: its reconcile never begins.
fn forget_gone<E, Q>(waiting: &Waiting, error: Option<controller::Error<E, Q>>)
where
    E: std::error::Error + 'static,
    Q: std::error::Error + 'static,
{
    if let Some(controller::Error::ObjectNotFound(gone)) = error {
        waiting.begin(&(gone.namespace.unwrap_or_default(), gone.name));
    }
}

/// One item each time this process becomes leader: then everything is looked at.
fn taken(place: tokio::sync::watch::Receiver<Place>) -> impl Stream<Item = ()> {
    stream::unfold(place, |mut place| async move {
        loop {
            if place.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if matches!(*place.borrow_and_update(), Place::Leading { .. }) {
                return Some(((), place));
            }
        }
    })
}

/// Namespace and name.
pub(crate) fn key(object: &impl ResourceExt) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Counts a reconcile and remembers failures.
async fn counted(
    context: &Context,
    controller: &'static str,
    (failures, waiting): (&Backoff, &Waiting),
    key: &Key,
    reconcile: impl Future<Output = Result<Action, Error>>,
) -> Result<Action, Error> {
    waiting.begin(key);
    if !context.fence.leading() {
        return Ok(Action::await_change());
    }
    let started = Instant::now();
    let result = reconcile.await;
    let outcome = result.as_ref().err().map_or("ok", Error::reason);
    context
        .metrics
        .reconciled(controller, outcome, started.elapsed().as_secs_f64());
    if result.is_ok() {
        context
            .metrics
            .backing_off(controller, failures.succeeded(key));
    }
    result
}

/// When to try again what failed.
fn retry(
    context: &Context,
    controller: &'static str,
    failures: &Backoff,
    (namespace, name): Key,
    error: &Error,
) -> Action {
    match error {
        // The next leader does it.
        Error::Apply(apply::Error::NotLeading) => return Action::await_change(),
        Error::Unread(_) => return Action::requeue(Duration::from_secs(1)),
        _ => {}
    }
    let failed = failures.failed(&(namespace.clone(), name.clone()), Instant::now());
    context.metrics.backing_off(controller, failed.objects);
    let (reason, wait) = (error.reason(), failed.wait);
    if failed.news {
        tracing::warn!(
            controller,
            namespace,
            name,
            reason,
            "{error}; tried again in {:.0} s",
            wait.as_secs_f32()
        );
    }
    Action::requeue(wait)
}
