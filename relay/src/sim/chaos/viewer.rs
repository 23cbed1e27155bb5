//! A viewer: takes every segment from where it joined, in order, and checks every byte.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::AbortHandle;

use crate::clock::Instant;
use crate::core::lock;
use crate::library::{Library, LibraryError};
use crate::testing::origin::Origin;
use crate::testing::{STREAM, VIDEO};

/// A player asks again so soon.
const AGAIN: Duration = Duration::from_millis(200);

pub(super) struct Viewer {
    pub(super) edge: String,
    pub(super) since: Instant,
    seen: Arc<Mutex<Seen>>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Seen {
    segments: u64,
    /// The segment it waits for.
    next: Option<u64>,
    trouble: Option<String>,
}

impl Viewer {
    pub(super) fn join(edge: &str, library: Library, origin: Origin) -> Viewer {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let task = tokio::spawn(watch(library, origin, seen.clone()));
        Viewer {
            edge: edge.to_owned(),
            since: Instant::now(),
            seen,
            task: task.abort_handle(),
        }
    }

    pub(super) fn seen(&self) -> u64 {
        lock(&self.seen).segments
    }

    pub(super) fn next(&self) -> Option<u64> {
        lock(&self.seen).next
    }

    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.seen).trouble.clone()
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(library: Library, origin: Origin, seen: Arc<Mutex<Seen>>) {
    if let Err(trouble) = watch_on(&library, &origin, &seen).await {
        lock(&seen).trouble = Some(trouble);
    }
}

async fn watch_on(library: &Library, origin: &Origin, seen: &Mutex<Seen>) -> Result<(), String> {
    let handle = loop {
        match library.track(STREAM, VIDEO).await {
            Ok(handle) => break handle,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    };
    let _demand = handle.demand();
    let mut views = handle.view();
    let mut head = (0, 0);
    loop {
        let view = views.borrow_and_update().clone();
        if let Some(newest) = &view.head {
            let now = (newest.number, newest.part);
            if now < head {
                return Err(format!("the head went back from {head:?} to {now:?}"));
            }
            head = now;
            let joined = lock(seen).next;
            let next = joined.unwrap_or(newest.number);
            lock(seen).next = Some(next);
            if next < newest.number || (next == newest.number && newest.segment_complete) {
                let listed = view.segments.iter().find(|info| info.number == next);
                let Some(info) = listed else {
                    return Err(format!(
                        "segment {next} is not listed, the head is {head:?}"
                    ));
                };
                if info.gap {
                    return Err(format!("segment {next} is a gap, the head is {head:?}"));
                }
                match handle.segment(&info.run, next).await {
                    Ok(parts) => {
                        check(origin, next, &parts)?;
                        let mut seen = lock(seen);
                        seen.segments += 1;
                        seen.next = Some(next + 1);
                    }
                    Err(LibraryError::Unavailable(_) | LibraryError::Timeout) => {
                        tokio::time::sleep(AGAIN).await;
                    }
                    Err(error) => {
                        return Err(format!("segment {next}: {error}, the head is {head:?}"));
                    }
                }
                continue;
            }
        }
        if views.changed().await.is_err() {
            return Err("the track is gone".into());
        }
    }
}

fn check(origin: &Origin, number: u64, parts: &[bytes::Bytes]) -> Result<(), String> {
    if parts.len() != 6 {
        return Err(format!("segment {number} has {} parts of 6", parts.len()));
    }
    for (part, bytes) in parts.iter().enumerate() {
        if *bytes != origin.payload(VIDEO, number, part as u32) {
            return Err(format!("segment {number} part {part} has other bytes"));
        }
    }
    Ok(())
}
