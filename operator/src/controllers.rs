//! Controllers.

pub mod caches;
pub mod watch;
