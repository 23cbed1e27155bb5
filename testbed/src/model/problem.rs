//! Why a manifest describes no network that can be built: one sentence each.

/// One reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Two nodes of one name.
    #[error("underlay node {name:?} is listed twice; accepted is each name once")]
    Name {
        /// Which.
        name: String,
    },
    /// More nodes than a network may have.
    #[error("the network has {nodes} nodes; at most {most} are accepted")]
    Nodes {
        /// How many.
        nodes: usize,
        /// How many may be.
        most: usize,
    },
    /// A node runs what does not exist.
    #[error(
        "underlay node {node:?} runs member {member:?}; accepted are slots of topology {topology:?}, ContentServers that feed it, and control"
    )]
    Member {
        /// Which node.
        node: String,
        /// What it is said to run.
        member: String,
        /// Of which topology.
        topology: String,
    },
    /// A member runs on two nodes.
    #[error("member {member:?} stands on nodes {one:?} and {other:?}; accepted is one node")]
    Twice {
        /// Which member.
        member: String,
        /// First node.
        one: String,
        /// Second node.
        other: String,
    },
    /// A member runs nowhere.
    #[error(
        "member {member:?} stands on no node of the underlay; accepted is a node of kind Host with `member: {member}`"
    )]
    Unplaced {
        /// Which.
        member: String,
    },
    /// Viewers watch what nobody offers.
    #[error(
        "underlay node {node:?} watches {stream:?}; accepted are contents of ContentServers that feed topology {topology:?}"
    )]
    Stream {
        /// Which node.
        node: String,
        /// What it watches.
        stream: String,
        /// Of which topology.
        topology: String,
    },
    /// A link leads nowhere.
    #[error("link {link:?} ends at {end:?}; accepted are two different nodes of the underlay")]
    End {
        /// Which link.
        link: String,
        /// What its end is.
        end: String,
    },
    /// A value that no link can have.
    #[error("link {link:?} has {field} {value}; accepted is {accepted}")]
    Value {
        /// Which link.
        link: String,
        /// Which of its fields.
        field: &'static str,
        /// What was written, in base units.
        value: String,
        /// What would do.
        accepted: String,
    },
    /// Parts that no link joins.
    #[error(
        "no link leads from underlay node {from:?} to {to:?}; accepted is a network of one piece"
    )]
    Apart {
        /// From here.
        from: String,
        /// To there.
        to: String,
    },
    /// Frames would circle for ever.
    #[error("link {link:?} closes a ring of switches; accepted is a tree of switches")]
    Ring {
        /// The closing link.
        link: String,
    },
    /// Two addresses of one prefix on one node.
    #[error(
        "underlay node {node:?} has two links into the segment of switch {switch:?}; accepted is one"
    )]
    Doubled {
        /// Which node.
        node: String,
        /// First switch of the segment.
        switch: String,
    },
    /// More nodes on one segment than a prefix has addresses.
    #[error("the segment of {segment:?} has more than {most} interfaces; accepted are {most}")]
    Full {
        /// Which.
        segment: String,
        /// How many may be.
        most: u32,
    },
    /// More subnets than prefixes.
    #[error("there is no prefix left for segment {segment:?}; {most} are accepted")]
    Prefixes {
        /// Which.
        segment: String,
        /// How many may be.
        most: u32,
    },
    /// A lock file that was written by hand, or merged.
    #[error("the lock file gives {what} to {one:?} and to {other:?}; accepted is each once")]
    Shared {
        /// What both have.
        what: String,
        /// First holder.
        one: String,
        /// Second holder.
        other: String,
    },
    /// A lock file that is none.
    #[error("the lock file is not understood: {reason}; accepted is what an earlier run wrote")]
    Lock {
        /// Why.
        reason: String,
    },
}
