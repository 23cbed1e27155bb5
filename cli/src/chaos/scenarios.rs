//! The scenarios, as data: what is done to whom, how it is undone, what must follow.

/// One entry of `banyan chaos list`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) plot: Plot,
    /// Some member below the fault has to find another parent or origin.
    pub(crate) switches: bool,
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plot {
    /// All of these at one moment.
    Hurt(&'static [(Harm, Target)]),
    /// Every relay is asked to leave and returns, one after the other.
    Rolling,
    /// Members leave and return at random.
    Churn,
    /// A content server runs with a clock that is wrong from its start.
    WrongClock,
    /// A content server has nearly no room for what it prepares.
    FullDisk,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    /// SIGKILL; the member returns some seconds later.
    Kill,
    /// SIGSTOP, undone by SIGCONT.
    Freeze,
    /// The link to the child found with it; of a content server, those to every root.
    Link(Hurt),
}

/// What is done to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hurt {
    /// Nothing passes either way; connections stay open.
    Partition,
    /// Nothing comes down from the parent.
    OneWay,
    /// Bytes come down at a crawl.
    Slow,
    /// All connections are reset; new ones are let through.
    Reset,
}

/// Who it is done to, found when the time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// An interior relay that feeds an edge.
    Relay,
    /// The content server that the stream comes from.
    Origin,
    /// The root that pulls the stream.
    Carrier,
    Control,
    /// An edge that viewers watch from.
    Edge,
}

/// How soon a member that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// After the tree has healed without it.
    Late,
    /// At once.
    Soon,
}

/// What kind of overlay a scenario runs on; scenarios of one kind share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) detours: bool,
    pub(crate) returns: Return,
    /// Nobody else may use it.
    pub(crate) own: Option<Plot>,
}

// === impl Scenario ===

impl Scenario {
    pub(crate) fn named(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    pub(crate) fn stage(&self) -> Stage {
        let stage = Stage {
            detours: false,
            returns: Return::Late,
            own: None,
        };
        match self.plot {
            Plot::Hurt(harms) => Stage {
                detours: harms.iter().any(|(harm, _)| matches!(harm, Harm::Link(_))),
                ..stage
            },
            Plot::Rolling | Plot::Churn => Stage {
                returns: Return::Soon,
                ..stage
            },
            Plot::WrongClock | Plot::FullDisk => Stage {
                own: Some(self.plot),
                ..stage
            },
        }
    }
}

const fn hurt(
    name: &'static str,
    about: &'static str,
    harms: &'static [(Harm, Target)],
) -> Scenario {
    Scenario {
        name,
        about,
        plot: Plot::Hurt(harms),
        switches: true,
    }
}

const fn quiet(scenario: Scenario) -> Scenario {
    Scenario {
        switches: false,
        ..scenario
    }
}

/// In the order in which `all` runs those that share an overlay.
pub(crate) const SCENARIOS: &[Scenario] = &[
    hurt(
        "relay-kill",
        "a relay that feeds an edge dies (SIGKILL)",
        &[(Harm::Kill, Target::Relay)],
    ),
    hurt(
        "relay-freeze",
        "a relay that feeds an edge stands still (SIGSTOP), later goes on",
        &[(Harm::Freeze, Target::Relay)],
    ),
    hurt(
        "origin-kill",
        "the content server that the stream comes from dies",
        &[(Harm::Kill, Target::Origin)],
    ),
    hurt(
        "origin-freeze",
        "the content server that the stream comes from stands still, later goes on",
        &[(Harm::Freeze, Target::Origin)],
    ),
    hurt(
        "root-kill",
        "the root that pulls the stream dies",
        &[(Harm::Kill, Target::Carrier)],
    ),
    hurt(
        "root-freeze",
        "the root that pulls the stream stands still, later goes on",
        &[(Harm::Freeze, Target::Carrier)],
    ),
    quiet(hurt(
        "control-kill",
        "the control plane dies and returns",
        &[(Harm::Kill, Target::Control)],
    )),
    quiet(hurt(
        "edge-kill",
        "an edge with viewers dies; its viewers go on at another edge",
        &[(Harm::Kill, Target::Edge)],
    )),
    quiet(hurt(
        "edge-freeze",
        "an edge with viewers stands still; its viewers go on at another edge",
        &[(Harm::Freeze, Target::Edge)],
    )),
    hurt(
        "two-faults",
        "a relay and the active content server die at the same moment",
        &[(Harm::Kill, Target::Relay), (Harm::Kill, Target::Origin)],
    ),
    hurt(
        "relay-partition",
        "nothing passes between a relay and an edge below it; connections stay open",
        &[(Harm::Link(Hurt::Partition), Target::Relay)],
    ),
    hurt(
        "relay-partition-oneway",
        "an edge hears nothing from its relay, which hears the edge",
        &[(Harm::Link(Hurt::OneWay), Target::Relay)],
    ),
    hurt(
        "relay-slow-link",
        "the link from a relay to an edge carries less than the stream needs",
        &[(Harm::Link(Hurt::Slow), Target::Relay)],
    ),
    quiet(hurt(
        "relay-reset",
        "connections between a relay and an edge are reset; new ones work",
        &[(Harm::Link(Hurt::Reset), Target::Relay)],
    )),
    hurt(
        "origin-partition",
        "nothing passes between a content server that lives and every root",
        &[(Harm::Link(Hurt::Partition), Target::Origin)],
    ),
    Scenario {
        name: "rolling-restart",
        about: "every relay is asked to leave (SIGTERM) and returns, one after the other",
        plot: Plot::Rolling,
        switches: true,
    },
    Scenario {
        name: "churn",
        about: "members leave (killed or asked) and return at random, from the printed seed",
        plot: Plot::Churn,
        switches: true,
    },
    Scenario {
        name: "origin-clock",
        about: "a content server's clock is 5 s off; streams must come from another",
        plot: Plot::WrongClock,
        switches: false,
    },
    Scenario {
        name: "origin-disk-full",
        about: "a content server's disk is full before it has prepared anything",
        plot: Plot::FullDisk,
        switches: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_say_role_and_fault() {
        let mut names: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.iter().all(|name| *name != "all"));
    }

    #[test]
    fn scenarios_that_share_an_overlay_stand_together() {
        let mut stages: Vec<Stage> = SCENARIOS.iter().map(Scenario::stage).collect();
        stages.dedup();
        for (at, stage) in stages.iter().enumerate() {
            assert!(!stages[..at].contains(stage), "{stage:?} comes twice");
        }
    }
}
