//! What a backend can do with the members of a layout. Nothing above this trait knows whether a
//! member is a pod, a process or a process in a network namespace.
//!
//! [`local`] is the world of processes on one machine; `banyan up` runs it, and a testbed can wrap
//! it in namespaces. It lives here because it needs nothing but tokio and one signal call, and
//! because services may not depend on each other.

pub mod local;
pub mod restarts;
pub mod supervisor;

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::layout::Member;

/// A place where members run.
pub trait World {
    /// Why a member could not be started.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Starts one member; its files are in place before it runs.
    fn start(&mut self, member: &Member) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Asks all of `members` to leave, waits up to `grace` for all together, then ends the rest.
    /// Unknown names are passed over.
    fn stop(
        &mut self,
        members: &[String],
        grace: Duration,
    ) -> impl Future<Output = Vec<Ended>> + Send;

    /// The next member that ended without being asked; waits for ever where none does.
    /// Cancel-safe.
    fn observe(&mut self) -> impl Future<Output = Ended> + Send;
}

/// A member that runs no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its name.
    pub member: String,
    /// How it ended.
    pub exit: Exit,
}

/// How a member ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// The world cannot tell.
    Unknown,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("an unknown cause"),
        }
    }
}
