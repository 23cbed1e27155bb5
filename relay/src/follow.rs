//! Follows the catalogues of parents (a root: of content servers and fellow roots).
//!
//! Each call is also the warm connection to that peer: when a parent has to be replaced, the way to
//! the next one is open already. One task per peer; the set follows the configuration and, on a
//! root, the beats.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use banyan_proto::carrier;
use banyan_proto::v1::{self, catalog_message::Body};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::clock::Instant;
use crate::core::Core;

/// A catalogue that says nothing for this long is on a dead connection: keep-alives come every
/// second.
const SILENCE: Duration = Duration::from_secs(5);

/// Between attempts: the first, and the longest.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LONGEST: Duration = Duration::from_secs(2);

/// Keeps one task per peer until the core stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut changes = core.config_changes();
    let mut followed: BTreeMap<(String, String), CancellationToken> = BTreeMap::new();
    loop {
        changes.mark_unchanged();
        let peers = core.catalog_peers();
        followed.retain(|(name, uri), stop| {
            let stays = peers.iter().any(|p| p.name == *name && p.uri == *uri);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for peer in peers {
            let key = (peer.name.clone(), peer.uri.clone());
            followed.entry(key).or_insert_with(|| {
                let stop = core.shutdown.child_token();
                let task = follow(core.clone(), peer);
                let ended = stop.clone();
                core.spawn(async move {
                    tokio::select! {
                        biased;
                        () = ended.cancelled() => {}
                        () = task => {}
                    }
                });
                stop
            });
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn follow(core: Arc<Core>, peer: v1::Peer) {
    let mut retry = RETRY_FIRST;
    // Every start of every member has moments of its own; a simulation has the same ones again.
    let me = format!("{} {}", core.member(), core.options.boot_id);
    let mut rng = StdRng::seed_from_u64(carrier::weight(&me, &peer.name));
    loop {
        let mut answered = false;
        let error = match read(&core, &peer, &mut answered).await {
            Ok(()) => Status::unavailable("the parent ended the call"),
            Err(error) => error,
        };
        if answered {
            retry = RETRY_FIRST;
            tracing::info!(peer = peer.name, error = error.message(), "peer lost");
        } else {
            tracing::debug!(
                peer = peer.name,
                error = error.message(),
                "peer not reached"
            );
        }
        core.catalog_lost(&peer.name);
        let jitter = rng.random_range(0.5..1.0);
        sleep(retry.mul_f64(jitter)).await;
        retry = (retry * 2).min(RETRY_LONGEST);
    }
}

async fn read(core: &Arc<Core>, peer: &v1::Peer, answered: &mut bool) -> Result<(), Status> {
    let silent = |_| Status::deadline_exceeded("the catalogue fell silent");
    let request = v1::CatalogRequest {
        hello: Some(core.hello()),
    };
    let asked = Instant::now();
    let link = core.link(peer)?;
    let mut source = timeout(SILENCE, link.catalog(request))
        .await
        .map_err(silent)??;
    while let Some(body) = timeout(SILENCE, source.next()).await.map_err(silent)?? {
        if !*answered {
            *answered = true;
            tracing::info!(peer = peer.name, uri = peer.uri, "peer reached");
            core.catalog_connected(&peer.name, asked.elapsed());
        }
        match body {
            Body::Snapshot(snapshot) => core.catalog_snapshot(&peer.name, snapshot.offers),
            Body::KeepAlive(_) => core.publish_catalog(),
            Body::GoAway(_) => core.peer_leaves(&peer.name),
            Body::Welcome(_) => {}
        }
    }
    Ok(())
}
