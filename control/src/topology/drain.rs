//! Members that are asked to leave: once per process, told at once, remembered until another process
//! of that name attaches.

use banyan_proto::v1;

use super::{Session, Topology, limits};

/// How far a member that was asked to leave has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// It says nothing of it yet.
    Asked,
    /// It says that it leaves.
    Leaving,
    /// Its call has ended.
    Left,
}

impl Drain {
    /// The word of the view.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Leaving => "leaving",
            Self::Left => "left",
        }
    }
}

/// Why a member is not asked to leave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrainError {
    /// The topology has none of that name.
    #[error("topology {topology:?} has no member {member:?}; it has {known}")]
    Unknown {
        /// Who was named.
        member: String,
        /// Where.
        topology: String,
        /// Who could have been.
        known: String,
    },
    /// There is nobody to ask now.
    #[error("member {member:?} is not attached now: it cannot be asked to leave")]
    Absent {
        /// Who.
        member: String,
    },
}

impl Topology {
    /// Asks a member to leave; asking again changes nothing.
    pub fn drain(&mut self, name: &str) -> Result<Drain, DrainError> {
        if self.roster.entry(name).is_none() {
            return Err(DrainError::Unknown {
                member: limits::shorten(name),
                topology: self.roster.topology.clone(),
                known: self.some_names(),
            });
        }
        let member = self.members.entry(name.to_owned()).or_default();
        if let Some(drain) = member.drain() {
            return Ok(drain);
        }
        if !member.ask_to_leave() {
            return Err(DrainError::Absent {
                member: name.to_owned(),
            });
        }
        self.revision += 1;
        tracing::info!(member = name, "asked to leave");
        Ok(Drain::Asked)
    }

    /// The order to leave that this call has not been given yet.
    pub fn poll_drain(&mut self, session: Session) -> Option<v1::GoAway> {
        let name = self.sessions.get(&session)?;
        let order = self.members.get_mut(name)?.take_order();
        order.then(|| v1::GoAway {
            reason: "drained by request".to_owned(),
            deadline_ms: 0,
        })
    }

    /// How far a member is with leaving; none when it was not asked.
    pub fn draining(&self, name: &str) -> Option<Drain> {
        self.members.get(name)?.drain()
    }

    fn some_names(&self) -> String {
        let names = self.roster.members.iter().map(|entry| entry.name.as_str());
        let mut some: Vec<_> = names.take(NAMED).collect();
        if self.roster.members.len() > NAMED {
            some.push("…");
        }
        some.join(", ")
    }
}

/// Names that a sentence may hold.
const NAMED: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::{at, topology};

    #[test]
    fn a_member_asked_to_leave_is_told_once_per_call_and_forgotten_with_its_process() {
        let mut topology = topology();
        let error = topology.drain("edge-9").unwrap_err().to_string();
        assert!(
            error.contains("edge-9") && error.contains("edge-0"),
            "{error}"
        );
        assert!(matches!(
            topology.drain("edge-0"),
            Err(DrainError::Absent { .. })
        ));

        let boot = |boot_id: &str| v1::Hello {
            boot_id: boot_id.to_owned(),
            ..Default::default()
        };
        let hello = |topology: &mut Topology, boot_id| {
            topology
                .handle_hello("edge-0", &boot(boot_id), at(1))
                .unwrap()
                .session
        };
        let first = hello(&mut topology, "a");
        assert_eq!(topology.poll_drain(first), None);
        assert_eq!(topology.drain("edge-0"), Ok(Drain::Asked));
        assert!(topology.poll_drain(first).is_some());
        assert_eq!(topology.poll_drain(first), None);
        // The call breaks before anything was heard; the same process is told again.
        topology.handle_disconnect(first, at(2));
        assert_eq!(topology.draining("edge-0"), Some(Drain::Left));
        let second = hello(&mut topology, "a");
        assert!(topology.poll_drain(second).is_some());
        let report = v1::Report {
            sequence: 1,
            role: "edge".to_owned(),
            draining: true,
            ..Default::default()
        };
        topology.handle_report(second, report, at(2)).unwrap();
        assert_eq!(topology.drain("edge-0"), Ok(Drain::Leaving));
        topology.handle_disconnect(second, at(3));
        assert_eq!(topology.draining("edge-0"), Some(Drain::Left));
        // Somebody started it anew.
        let third = hello(&mut topology, "b");
        assert_eq!(topology.draining("edge-0"), None);
        assert_eq!(topology.poll_drain(third), None);
    }
}
