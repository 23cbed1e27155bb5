//! Harness of the end-to-end tests: real processes, real sockets, real decoders.
//!
//! A test starts an overlay with [`Overlay::from`], watches it from outside (HTTP, gRPC, what members record) and
//! ends it by dropping it; the end itself is a test: no process, no temporary file and no panic may be left. Nothing
//! here sleeps: every wait is a condition with a bound, in [`wait`].

pub mod asset;
pub mod browser;
pub mod chunks;
pub mod cluster;
pub mod crd_cases;
pub mod exported;
pub mod ffmpeg;
pub mod fixtures;
pub mod grpc;
pub mod hls;
pub mod http;
pub mod operator;
pub mod overlay;
pub mod play;
pub mod process;
pub mod record;
pub mod testbed;
pub mod wait;

pub use cluster::Cluster;
pub use operator::Operator;
pub use overlay::{Overlay, Restart};
pub use play::{PlayReport, Playing};
pub use wait::{Canary, Stopwatch, wait_for, wait_until};

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The folder that holds the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate must live inside the workspace")
        .to_owned()
}

/// A binary of the workspace, found beside the running test.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a running test must know its own path");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test must run from the deps folder of a target directory");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is missing; run: cargo build --workspace --bins",
        path.display()
    );
    path
}

/// Where this user's caches live.
pub fn cache_home() -> PathBuf {
    let banyan = |base: PathBuf| base.join("banyan");
    match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => banyan(dir.into()),
        _ => banyan(
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache"),
        ),
    }
}

/// Milliseconds since the Unix epoch, the clock that members record with.
pub fn unix_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock must be past 1970");
    u64::try_from(now.as_millis()).expect("milliseconds must fit 64 bits")
}
