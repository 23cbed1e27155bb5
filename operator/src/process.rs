//! The process around the operator: arguments, logs, signals, exit codes, and the order in which things start and end.
//!
//! Health comes first, so that a process that waits for its API server can say so. Then the election and the watches,
//! which standbys run too; then the members' service and the controllers, which act only while leading. On the way out
//! controllers end first, then the Lease is given back. Lost leadership ends the process at once, with a failure.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::writes::Writes;
use crate::args::Arguments;
use crate::context::{Context, Led};
use crate::controllers;
use crate::events::Events;
use crate::health::{self, Health};
use crate::lease::driver::Driver;
use crate::lease::{Candidate, End, Place, Timing};
use crate::members::{self, Members};
use crate::metrics::Metrics;
use crate::release::Release;

/// Bad configuration (`EX_USAGE`); a failed start or lost leadership is 1.
const BAD_CONFIGURATION: u8 = 64;

/// How long reconciles may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs until told to leave.
pub fn main() -> ExitCode {
    main_with(&[])
}

/// As [`main`], of a build that gives every member's pod these labels too.
pub fn main_with(pod_labels: &'static [(&'static str, &'static str)]) -> ExitCode {
    let started = Instant::now();
    // Before anything opens a connection; a second provider in the tree would make rustls refuse to choose. An error
    // says that there is one already, which is as well.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "check") {
        return crate::check::main(words);
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let bad = error.use_stderr();
            // Nothing can be done about a closed terminal.
            let _ = error.print();
            return ExitCode::from(if bad { BAD_CONFIGURATION } else { 0 });
        }
    };
    log();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    // The election and health have a thread and connections of their own: however much there is to reconcile, the
    // Lease is renewed and probes are answered.
    let vital = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("vital")
        .enable_all()
        .build()
    {
        Ok(vital) => vital,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let release = arguments.release(pod_labels);
    let ended = runtime.block_on(run(arguments, release, started, vital.handle().clone()));
    // At once, without waiting for tasks: none of them may write any longer.
    match ended {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::exit(1)
        }
    }
}

async fn run(
    arguments: Arguments,
    release: Release,
    started: Instant,
    vital: Handle,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let metrics = Metrics::default();
    let leaving = CancellationToken::new();

    let config = kube::Config::infer()
        .await
        .context("no way to an API server: neither a service account nor a KUBECONFIG was found")?;
    let client = kube::Client::try_from(config.clone()).context("a client cannot be made")?;
    let elector = {
        // Its tasks are spawned where it is made.
        let _entered = vital.enter();
        kube::Client::try_from(config).context("a client cannot be made")?
    };
    let (mut driver, fence, place) = Driver::new(
        elector.clone(),
        arguments.lease_namespace(),
        candidate(&arguments),
        Timing::default(),
        started,
    );
    if let Some(namespace) = arguments.wider_lease_namespace() {
        driver = driver.below(elector, namespace);
    }
    fence.watch(|| {
        eprintln!("error: leadership was lost, and this process did not notice");
        std::process::exit(1);
    });

    let listener = vital.spawn(health::bind(arguments.health)).await??;
    let (known, caches_known) = watch::channel(None);
    let health = vital.spawn(health::serve(
        listener,
        Health {
            caches: caches_known,
            place: place.clone(),
            trouble: driver.trouble(),
            metrics: metrics.clone(),
            leaving: leaving.clone(),
        },
    ));

    let resign = CancellationToken::new();
    let mut election = vital.spawn(driver.run(resign.clone()));
    let members = Members::new(members::Settings {
        grpc: arguments.grpc,
        http: arguments.http,
        watch_namespace: arguments.watch_namespace.clone(),
    });
    let (caches, concerned, queues) = controllers::watch(
        client.clone(),
        arguments.watch_namespace.clone(),
        &members,
        metrics.clone(),
    );
    known.send_replace(Some(caches.clone()));
    let led = Led::default();
    let leadership = follow_election(place.clone(), led.clone(), metrics.clone());
    tokio::spawn(controllers::follow(
        members.clone(),
        caches.clone(),
        concerned.clone(),
    ));
    let gone = CancellationToken::new();
    let mut serving = tokio::spawn({
        let (members, client, gone) = (members.clone(), client.clone(), gone.clone());
        let writes = Writes::new(fence.clone(), metrics.clone());
        async move { members.run(client, writes, leadership, gone).await }
    });
    let events = Events::new(
        client.clone(),
        &arguments.pod_name,
        fence.clone(),
        metrics.clone(),
    );
    let context = Arc::new(Context::new(
        client,
        release,
        (caches, concerned),
        members,
        (fence, led),
        events,
        metrics,
    ));
    let mut controlling = tokio::spawn(controllers::run(
        context.clone(),
        queues,
        place,
        leaving.clone(),
    ));

    tokio::select! {
        _ = terminate.recv() => tracing::info!("told to terminate"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
        ended = &mut election => {
            let end = ended.context("the election ended")?;
            return Err(end.into());
        }
        ended = health => ended.context("health ended")??,
        ended = &mut serving => {
            ended.context("the members' service ended")??;
            anyhow::bail!("the members' service ended");
        }
        ended = &mut controlling => {
            ended.context("the controllers ended")?;
            anyhow::bail!("the controllers ended");
        }
    }
    leaving.cancel();
    if context.caches.missing().is_some() {
        // Controllers that wait for caches do not hear that they shall end.
        controlling.abort();
    }
    if tokio::time::timeout(PATIENCE, &mut controlling)
        .await
        .is_err()
    {
        tracing::warn!("reconciles did not end within {} s", PATIENCE.as_secs());
        controlling.abort();
    }
    resign.cancel();
    let end = election.await.context("the election ended")?;
    // Members go to the next leader.
    gone.cancel();
    if tokio::time::timeout(PATIENCE, serving).await.is_err() {
        tracing::warn!("members did not leave within {} s", PATIENCE.as_secs());
    }
    match end {
        End::Resigned => Ok(()),
        lost => Err(lost.into()),
    }
}

fn candidate(arguments: &Arguments) -> Candidate {
    Candidate {
        identity: format!("{}_{:08x}", arguments.pod_name, rand::random::<u32>()),
        release: format!("{}/{}", arguments.namespace, arguments.release),
        address: format!(
            "http://{}",
            std::net::SocketAddr::new(arguments.pod_ip, arguments.grpc.port())
        ),
    }
}

/// Tells members, counters and the clock of leadership how the election goes.
fn follow_election(
    mut place: watch::Receiver<Place>,
    led: Led,
    metrics: Metrics,
) -> members::Leadership {
    let (term, term_told) = watch::channel(None);
    let (leader, leader_told) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let (new_term, new_leader) = match &*place.borrow_and_update() {
                Place::Leading { term } => (Some(*term), None),
                Place::Standby { leader } => (None, leader.clone()),
                Place::Unknown | Place::Refused { .. } => (None, None),
            };
            metrics.leading(new_term);
            led.set(new_term.is_some());
            term.send_replace(new_term);
            leader.send_replace(new_leader);
            if place.changed().await.is_err() {
                // The election has ended; nobody is told otherwise any more.
                term.send_replace(None);
                std::future::pending::<()>().await;
            }
        }
    });
    members::Leadership {
        term: term_told,
        leader: leader_told,
    }
}

/// What logs each broken connection, failed request or retry; who asked says it better, and once.
const REPEATING: [&str; 2] = ["kube_client::client", "kube_runtime::watcher"];

fn log() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let filter = REPEATING
        .iter()
        .filter_map(|target| format!("{target}=off").parse().ok())
        .fold(filter, tracing_subscriber::EnvFilter::add_directive);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
