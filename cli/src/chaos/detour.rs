//! Links that can be hurt: a loopback listener per pair of members that forwards bytes to the
//! parent's real listener, and can hold them, let them through at a crawl, or reset connections.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::overlay;
use super::scenarios::Hurt;
use crate::up::detour::Ways;

/// All pairs of one overlay.
pub(crate) struct Detours {
    pairs: BTreeMap<(String, String), Pair>,
    up: Arc<OnceLock<i32>>,
}

struct Pair {
    address: String,
    state: watch::Sender<State>,
    listener: AbortHandle,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    hold_up: bool,
    hold_down: bool,
    /// Bytes down per second.
    rate: Option<u32>,
    /// Grows with every reset.
    resets: u32,
}

// === impl Detours ===

impl Detours {
    /// Listens for each pair of who dials and who is dialled.
    pub(crate) async fn listen(
        wanted: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let up = Arc::new(OnceLock::new());
        let mut pairs = BTreeMap::new();
        for (dialling, dialled) in wanted {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await;
            let listener = listener.context("no port is left for a detour")?;
            let address = listener.local_addr()?.to_string();
            let (state, watched) = watch::channel(State::default());
            let task = tokio::spawn(accept(listener, dialled.clone(), watched, up.clone()));
            let pair = Pair {
                address,
                state,
                listener: task.abort_handle(),
            };
            pairs.insert((dialling, dialled), pair);
        }
        Ok(Self { pairs, up })
    }

    /// What `up --detour` is told.
    pub(crate) fn ways(&self) -> Ways {
        let mut ways = Ways::new();
        for ((child, parent), pair) in &self.pairs {
            let of_child = ways.entry(child.clone()).or_default();
            of_child.insert(parent.clone(), pair.address.clone());
        }
        ways
    }

    /// From now on the parents are the members of this `up`.
    pub(crate) fn lead_to(&self, up: i32) {
        let _ = self.up.set(up);
    }

    pub(crate) fn hurt(&self, child: &str, parent: &str, hurt: Hurt) -> anyhow::Result<()> {
        self.change(child, parent, |state| match hurt {
            Hurt::Partition => (state.hold_up, state.hold_down) = (true, true),
            Hurt::OneWay => state.hold_down = true,
            Hurt::Slow => state.rate = Some(CRAWL),
            Hurt::Reset => state.resets += 1,
        })
    }

    pub(crate) fn heal(&self, child: &str, parent: &str) -> anyhow::Result<()> {
        self.change(child, parent, |state| {
            *state = State {
                resets: state.resets,
                ..State::default()
            };
        })
    }

    fn change(
        &self,
        child: &str,
        parent: &str,
        change: impl FnOnce(&mut State),
    ) -> anyhow::Result<()> {
        let pair = self.pairs.get(&(child.to_owned(), parent.to_owned()));
        let pair = pair.with_context(|| format!("no detour leads from {child} to {parent}"))?;
        pair.state.send_modify(change);
        Ok(())
    }
}

impl Drop for Detours {
    fn drop(&mut self) {
        for pair in self.pairs.values() {
            pair.listener.abort();
        }
    }
}

async fn accept(
    listener: TcpListener,
    parent: String,
    state: watch::Receiver<State>,
    up: Arc<OnceLock<i32>>,
) {
    // Dropped with the listener's task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((child, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let address = up
            .get()
            .and_then(|up| overlay::members(*up).remove(&parent))
            .map(|member| member.grpc);
        // No such member, no connection: the caller sees it closed.
        if let Some(address) = address {
            connections.spawn(connect(child, address, state.clone()));
        }
    }
}

/// Forwards one connection until it ends or is reset.
async fn connect(mut child: TcpStream, parent: String, mut state: watch::Receiver<State>) {
    let resets = state.borrow_and_update().resets;
    let Ok(mut parent) = TcpStream::connect(parent).await else {
        return;
    };
    for stream in [&child, &parent] {
        // Forwarded bytes must not wait for more.
        let _ = stream.set_nodelay(true);
    }
    let was_reset = {
        let (from_child, to_child) = child.split();
        let (from_parent, to_parent) = parent.split();
        tokio::select! {
            // Either side's end is the end of both: HTTP/2 has no half-closed connections.
            () = pump(from_parent, to_child, state.clone(), Way::Down) => false,
            () = pump(from_child, to_parent, state.clone(), Way::Up) => false,
            () = reset(&mut state, resets) => true,
        }
    };
    if was_reset {
        for stream in [&child, &parent] {
            // Closing without lingering is a reset for the other side.
            let _ = stream.set_zero_linger();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

/// Copies one direction until it ends.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut state: watch::Receiver<State>,
    way: Way,
) {
    let held = |state: &State| match way {
        Way::Up => state.hold_up,
        Way::Down => state.hold_down,
    };
    let mut buffer = vec![0; BUFFER];
    loop {
        if state.wait_for(|state| !held(state)).await.is_err() {
            return;
        }
        let rate = match way {
            Way::Down => state.borrow().rate,
            Way::Up => None,
        };
        let take = if rate.is_some() { SIP } else { BUFFER };
        let Ok(length @ 1..) = from.read(&mut buffer[..take]).await else {
            return;
        };
        // What was read before a hold began is held too.
        if state.wait_for(|state| !held(state)).await.is_err() {
            return;
        }
        if let Some(rate) = rate {
            let pause = Duration::from_secs_f64(length as f64 / f64::from(rate));
            tokio::time::sleep(pause).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn reset(state: &mut watch::Receiver<State>, before: u32) {
    // The state outlives its connections, or they end with it anyway.
    let _ = state.wait_for(|state| state.resets != before).await;
}

const BUFFER: usize = 64 * 1024;
const SIP: usize = 1024;
/// Below what the lowest of the campus's renditions needs.
const CRAWL: u32 = 10_000;
const PAUSE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// A listener of this test that stands for a member, and a detour to it.
    async fn detoured() -> (TcpStream, TcpStream, watch::Sender<State>) {
        let parent = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let front = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (state, watched) = watch::channel(State::default());
        let address = parent.local_addr().unwrap().to_string();
        let child = TcpStream::connect(front.local_addr().unwrap())
            .await
            .unwrap();
        let (inner, _) = front.accept().await.unwrap();
        tokio::spawn(connect(inner, address, watched));
        let (parent, _) = parent.accept().await.unwrap();
        (child, parent, state)
    }

    async fn hears(stream: &mut TcpStream) -> Option<std::io::Result<usize>> {
        let mut buffer = [0; 16];
        let read = stream.read(&mut buffer);
        tokio::time::timeout(Duration::from_millis(200), read)
            .await
            .ok()
    }

    #[tokio::test]
    async fn a_one_way_partition_holds_what_comes_down_and_gives_it_back_in_the_end() {
        let (mut child, mut parent, state) = detoured().await;
        parent.write_all(b"one").await.unwrap();
        assert_eq!(hears(&mut child).await.unwrap().unwrap(), 3);
        state.send_modify(|state| state.hold_down = true);
        parent.write_all(b"four").await.unwrap();
        child.write_all(b"up").await.unwrap();
        assert_eq!(hears(&mut parent).await.unwrap().unwrap(), 2);
        assert!(hears(&mut child).await.is_none(), "nothing comes down");
        state.send_modify(|state| state.hold_down = false);
        assert_eq!(hears(&mut child).await.unwrap().unwrap(), 4);
    }

    #[tokio::test]
    async fn a_reset_is_an_error_to_both_sides() {
        let (mut child, mut parent, state) = detoured().await;
        state.send_modify(|state| state.resets += 1);
        assert!(hears(&mut child).await.unwrap().is_err());
        assert!(hears(&mut parent).await.unwrap().is_err());
    }
}
