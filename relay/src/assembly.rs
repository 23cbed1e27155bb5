//! A whole relay process, put together in the order in which its parts depend on each other, and
//! taken down in the reverse: unready, no new connections, children told to go, drained, stopped.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use banyan_proto::server::MediaServer;
use banyan_proto::transport;
use banyan_proto::trust::{RUN_SECRET_VARIABLE, RunSecret};
use banyan_proto::v1::measure_server::MeasureServer;
use banyan_proto::v1::rendezvous_server::RendezvousServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::{Config, Control};
use crate::connector::Dialled;
use crate::core::{Core, Options, Role};
use crate::leave::{Manner, Orders, Steps, leave};
use crate::record::Recorder;
use crate::rendezvous::{self, Listening};
use crate::serve::Serving;
use crate::upstream::Tuning;
use crate::{attach, egress, follow, probe, room};

/// A relay with its sockets bound and nothing running yet.
pub struct Relay {
    core: Arc<Core>,
    control: Option<Control>,
    grpc: TcpListener,
    http: TcpListener,
    manner: Manner,
    pub grpc_address: SocketAddr,
    pub http_address: SocketAddr,
}

impl Relay {
    /// Binds both addresses and builds the core; starts nothing.
    pub async fn bind(config: Config, secret: RunSecret) -> anyhow::Result<Relay> {
        let http = bind("http", config.http).await?;
        Self::bind_beside(http, config, secret).await
    }

    /// The same beside a listener for HTTP that is bound already.
    pub(crate) async fn bind_beside(
        http: TcpListener,
        config: Config,
        secret: RunSecret,
    ) -> anyhow::Result<Relay> {
        let grpc = bind("grpc", config.grpc).await?;
        let grpc_address = grpc.local_addr()?;
        let http_address = http.local_addr()?;
        let boot_id = format!("{:016x}", rand::random::<u64>());
        let recorder = match &config.record {
            Some(folder) => record(&config.member, folder)?,
            None => Recorder::none(),
        };
        let advertised = config
            .advertise
            .unwrap_or_else(|| format!("http://{grpc_address}"));
        let hello = {
            let (secret, member, boot_id) =
                (secret.clone(), config.member.clone(), boot_id.clone());
            Arc::new(move || secret.hello(&member, &boot_id))
        };
        let core = Core::new(Options {
            member: config.member,
            role: config.role,
            topology: config.topology,
            boot_id,
            grpc: advertised,
            http: format!("http://{http_address}"),
            config: config.dynamic,
            tuning: Tuning::default(),
            memory_budget: config.memory_budget as usize,
            max_egress: config.max_egress,
            connector: Arc::new(Dialled),
            authenticator: Arc::new(secret),
            hello,
            recorder: Arc::new(recorder),
            clock: Clock::system(),
            #[cfg(test)]
            frozen: None,
        });
        if let Some(parents) = config.parents {
            tracing::info!(count = parents.len(), "parents are given by hand");
            core.fix_parents(parents);
        }
        Ok(Relay {
            core,
            control: config.control,
            grpc,
            http,
            manner: config.leave,
            grpc_address,
            http_address,
        })
    }

    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Serves until told to leave, by `orders` or by the control plane, then leaves in order. An
    /// essential part that ends early ends everything.
    pub async fn run(self, orders: impl Into<Orders>) -> anyhow::Result<()> {
        let orders = orders.into();
        let Relay {
            core,
            control,
            grpc,
            http,
            manner,
            grpc_address,
            http_address,
        } = self;
        let recording = CancellationToken::new();
        let steps = Steps::default();

        start(&core, control);
        let recorder = {
            let (core, recording) = (core.clone(), recording.clone());
            tokio::spawn(async move { core.recorder().run(recording).await })
        };
        let mut parts: JoinSet<anyhow::Result<()>> = JoinSet::new();
        parts.spawn(serve_grpc(core.clone(), grpc, steps.grpc.clone()));
        let options = egress::Options {
            serve_media: core.options.role == Role::Edge,
            // Bounded by the drain, not here.
            grace: manner.drain + egress::GRACE,
            lame_duck: steps.lame_duck.clone(),
            impatient: steps.impatient.clone(),
            ..egress::Options::default()
        };
        let serving = egress::serve(core.library(), options, http, steps.http.clone());
        parts.spawn(async move { serving.await.context("http") });
        tracing::info!(
            member = core.member(),
            role = core.options.role.name(),
            grpc = %grpc_address,
            http = %http_address,
            "ready"
        );

        let ended = tokio::select! {
            () = orders.given() => None,
            () = core.asked_to_leave.cancelled() => None,
            ended = parts.join_next() => ended,
        };
        leave(&core, &steps, manner, &orders, async {
            while parts.join_next().await.is_some() {}
        })
        .await;
        core.stop().await;
        parts.shutdown().await;
        recording.cancel();
        recorder.await.context("recorder")?;
        match ended {
            None => Ok(()),
            Some(Ok(Ok(()))) => anyhow::bail!("a listener ended by itself"),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(error)) => Err(error).context("a part of the relay failed"),
        }
    }
}

/// Starts the core's own tasks.
pub(crate) fn start(core: &Arc<Core>, control: Option<Control>) {
    core.spawn(follow::run(core.clone()));
    core.spawn(probe::run(core.clone()));
    if core.options.role == Role::Root {
        core.spawn(rendezvous::select(core.clone()));
    }
    core.spawn(room::run(core.clone()));
    if let Some(control) = control {
        core.spawn(attach::run(core.clone(), control));
    }
}

async fn serve_grpc(
    core: Arc<Core>,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let media = MediaServer::new(Arc::new(Serving::new(core.clone())));
    let probes = MeasureServer::new(probe::Answering::new(core.clone()));
    let beats = RendezvousServer::new(Listening::new(core));
    transport::server()
        .add_service(media)
        .add_service(beats)
        .add_service(probes)
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await
        .context("grpc")
}

pub(crate) async fn bind(what: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            anyhow::anyhow!(
                "{what} address {address} is in use by another process; a free address is accepted"
            )
        } else {
            anyhow::anyhow!("{what} address {address} cannot be bound: {error}")
        }
    })
}

fn record(member: &str, folder: &Path) -> anyhow::Result<Recorder> {
    Recorder::files(member, folder)
        .with_context(|| format!("records cannot be written to {:?}", folder.display()))
}

/// The secret of the run, from the environment as given.
pub fn secret(environment: impl Fn(&str) -> Option<String>) -> Result<RunSecret, String> {
    let text = environment(RUN_SECRET_VARIABLE).ok_or_else(|| {
        format!("{RUN_SECRET_VARIABLE} is not set; 64 hexadecimal digits are accepted")
    })?;
    RunSecret::from_hex(&text).map_err(|error| format!("{RUN_SECRET_VARIABLE}: {error}"))
}
