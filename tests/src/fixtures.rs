//! Clips that `scripts/fixtures.sh` fetches, and the way a test says that it cannot run here.

use std::path::PathBuf;

/// A fetched clip, or `None` when it is not on this machine.
pub fn fixture(name: &str) -> Option<PathBuf> {
    let folder = match std::env::var_os("BANYAN_FIXTURES") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => crate::cache_home().join("fixtures"),
    };
    let path = folder.join(name);
    path.is_file().then_some(path)
}

/// Says that `test` cannot run here for want of `missing`; a failure under `STRICT=1`.
#[track_caller]
pub fn skip(test: &str, missing: &str) {
    assert!(
        std::env::var("STRICT").as_deref() != Ok("1"),
        "SKIP is not allowed with STRICT=1: {test}: {missing}"
    );
    println!("SKIP {test}: {missing}");
}

/// Whether a tool is on the path.
pub fn has_tool(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}
