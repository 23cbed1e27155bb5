//! Starting without a name: the control plane is asked who this is and what it is to do.
//!
//! Without an answer in time the member goes on under its pod's name with the configuration of its file, provided that
//! holds: a relay needs somebody above it, and a root must be known to the others. While neither is to be had it waits,
//! alive and unready. Its name is then fixed for the life of the process.

use std::cmp::Reverse;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use banyan_proto::redirect::Target;
use banyan_proto::trust::BOOT;
use banyan_proto::v1::{self, attach_reply, attach_request::Body, control_client::ControlClient};
use banyan_proto::{carrier, transport};
use futures::stream;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;

use crate::config::{self, Asking, Config, ConfigError};
use crate::core::Role;

/// Waits until the name and the configuration are known; answers probes on `http` meanwhile, and hands it back.
pub(crate) async fn wait(
    asking: Asking,
    http: TcpListener,
) -> anyhow::Result<(Config, TcpListener)> {
    let http = http.into_std().context("http")?;
    let probed = http
        .try_clone()
        .and_then(TcpListener::from_std)
        .context("http")?;
    let waiting = axum::serve(probed, probes());
    let (member, dynamic) = tokio::select! {
        told = ask(&asking, PATIENCE) => told,
        ended = async { waiting.await } => {
            ended.context("http")?;
            anyhow::bail!("the listener for probes ended by itself");
        }
    };
    let config = Config {
        member,
        dynamic,
        ..asking.config
    };
    Ok((config, TcpListener::from_std(http).context("http")?))
}

/// The control plane's answer, or after `patience` the file's, whichever holds first.
async fn ask(asking: &Asking, patience: Duration) -> (String, v1::Config) {
    let began = Instant::now();
    let mut target = Target::new(&asking.control.uri);
    let mut retry = RETRY_FIRST;
    let mut said = String::new();
    loop {
        let uri = target.uri().to_owned();
        let told = timeout(ANSWER, told(asking, &uri)).await;
        let told = told.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        let why = match told {
            Ok((member, config)) => {
                tracing::info!(control = uri, member, "told who this is");
                return (member, config);
            }
            Err(why) => why,
        };
        if target.ended(&why) {
            continue;
        }
        let mut reason = why.message().to_owned();
        if began.elapsed() >= patience {
            match from_file(asking) {
                Ok((member, config)) => {
                    tracing::warn!(
                        member,
                        reason,
                        "not told who this is; going on with the file"
                    );
                    return (member, config);
                }
                Err(error) => reason = format!("{reason}; {error}"),
            }
        }
        if reason != said {
            tracing::info!(control = uri, reason, "waiting to be told who this is");
            said = reason;
        }
        sleep(retry).await;
        retry = (retry * 2).min(RETRY_LONGEST);
    }
}

/// One question.
async fn told(asking: &Asking, uri: &str) -> Result<(String, v1::Config), Status> {
    let account = asking.control.account.as_ref();
    let hello = account.map(|account| account.hello("")).transpose();
    let hello = hello.map_err(|error| Status::unavailable(error.to_string()))?;
    let hello = v1::Hello {
        features: vec![BOOT.to_owned()],
        ..hello.unwrap_or_default()
    };
    let endpoint =
        transport::endpoint(uri).map_err(|error| Status::invalid_argument(error.to_string()))?;
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let question = v1::AttachRequest {
        body: Some(Body::Hello(hello)),
    };
    let mut replies = ControlClient::new(channel)
        .attach(stream::iter([question]))
        .await?
        .into_inner();
    let reply = replies.message().await?.and_then(|reply| reply.body);
    let Some(attach_reply::Body::Welcome(v1::Welcome {
        slot,
        config: Some(config),
        ..
    })) = reply
    else {
        return Err(Status::unavailable("control told no configuration"));
    };
    hold(asking, &slot, &config).map_err(|error| Status::unavailable(error.to_string()))?;
    Ok((slot, config))
}

/// Who this is by the file alone.
fn from_file(asking: &Asking) -> Result<(String, v1::Config), ConfigError> {
    let mut config = config::read(&asking.file)?;
    let own = asking.config.advertise.as_deref();
    let root = config
        .roots
        .iter()
        .find(|root| Some(root.uri.as_str()) == own);
    let member = match (root, &asking.pod_name) {
        (Some(root), _) if asking.config.role == Role::Root => root.name.clone(),
        (_, Some(pod_name)) => pod_name.clone(),
        (_, None) => String::new(),
    };
    // The file is the same for all members of a tier, which are not all to choose the same parent of the next one.
    let tier = |name: &str| {
        name.rsplit_once('-')
            .map_or(name, |(tier, _)| tier)
            .to_owned()
    };
    let mut tiers: Vec<String> = Vec::new();
    for parent in &config.parents {
        if !tiers.contains(&tier(&parent.name)) {
            tiers.push(tier(&parent.name));
        }
    }
    config.parents.sort_by_cached_key(|parent| {
        let nearness = tiers.iter().position(|known| *known == tier(&parent.name));
        (nearness, Reverse(carrier::weight(&parent.name, &member)))
    });
    hold(asking, &member, &config)?;
    Ok((member, config))
}

/// Whether a member can start with this.
fn hold(asking: &Asking, member: &str, config: &v1::Config) -> Result<(), ConfigError> {
    let value = |what, value: &str, accepted| {
        Err(ConfigError::Value {
            what,
            value: value.to_owned(),
            accepted,
        })
    };
    config::check_name("member", member)?;
    config::check(config, member, asking.config.role)?;
    let topology = &config.topology;
    if !topology.is_empty() && *topology != asking.config.topology {
        return value(
            "topology of a configuration",
            topology,
            "that of --topology",
        );
    }
    if asking.config.role == Role::Root && config.roots.is_empty() {
        return value("list of roots", "", "one with this root");
    }
    Ok(())
}

/// Alive, and not ready.
fn probes() -> Router {
    // Nobody keeps a connection to this, since somebody else answers soon.
    let close = [(header::CONNECTION, "close")];
    let unready = (
        StatusCode::SERVICE_UNAVAILABLE,
        close.clone(),
        "not ready: waiting to be told name and configuration\n",
    );
    Router::new()
        .route("/healthz", get((close, "ok\n")))
        .fallback(get(unready))
}

/// A control plane that answers at all does so within this.
const ANSWER: Duration = Duration::from_secs(4);

/// How long the control plane is waited for before the file is asked.
const PATIENCE: Duration = Duration::from_secs(10);

const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
