//! What one member may make the control plane hold, and the refusals of what goes beyond.

use std::time::Duration;

use banyan_proto::v1;

use crate::roster::Role;

/// Bounds of the state machine. The defaults hold the largest topology the manifests can describe
/// (64 contents of a dozen tracks) with room to spare, and no more.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Tracks in one report.
    pub tracks: usize,
    /// Offers in one report.
    pub offers: usize,
    /// Tracks in one offer.
    pub offer_tracks: usize,
    /// Content servers in one root's report.
    pub origins: usize,
    /// Changes of feeder in one report.
    pub switches: usize,
    /// Contents named by one content server.
    pub contents: usize,
    /// Children of one track.
    pub children: usize,
    /// Candidate parents measured.
    pub probes: usize,
    /// Hops in a path.
    pub path: usize,
    /// Bytes of a name.
    pub name: usize,
    /// Bytes of a title or an error sentence.
    pub text: usize,
    /// Bytes of a poster.
    pub poster: usize,
    /// Reports that a member may send at once after a pause.
    pub burst: u32,
    /// Time that earns one more report.
    pub report_interval: Duration,
    /// A connected member is lost when it has not reported for this long. Reports come at least
    /// every second; five misses are not an accident of scheduling.
    pub silence: Duration,
    /// A member whose call ended is lost after this: long enough to reconnect, short enough to see.
    pub reconnect: Duration,
    /// A member never heard of is `starting` for this long after it joined the roster, or the control plane's own start.
    pub startup: Duration,
    /// A lost relay that nobody says is feeding them is planned around after this much longer: a
    /// process that was killed is back by then, and its children sit on their backups meanwhile.
    pub planned_around: Duration,
    /// A control plane that starts moves nobody whose parent serves for this long after it has
    /// heard enough to plan: what it believes of links takes that long to be what the one before
    /// it believed.
    pub settling: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tracks: 1024,
            offers: 64,
            offer_tracks: 32,
            origins: 64,
            switches: 64,
            contents: 64,
            children: 512,
            probes: 16,
            path: 32,
            name: 128,
            text: 1024,
            poster: 64 * 1024,
            burst: 20,
            report_interval: Duration::from_millis(100),
            silence: Duration::from_secs(5),
            reconnect: Duration::from_secs(2),
            startup: Duration::from_secs(30),
            planned_around: Duration::from_secs(10),
            settling: Duration::from_secs(45),
        }
    }
}

/// Why an input changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The credential did not hold.
    #[error("caller is not authenticated")]
    Unauthenticated,
    /// Authenticated, but not in this topology.
    #[error("member {member:?} is not part of topology {topology:?}")]
    UnknownMember {
        /// Who called.
        member: String,
        /// What is served here.
        topology: String,
    },
    /// A newer call of the same member took over, or the member was removed.
    #[error("this call was replaced by a newer one of the same member")]
    StaleSession,
    /// A report that is not newer than the last.
    #[error("report {sequence} is not newer than report {last}")]
    StaleReport {
        /// Of the report refused.
        sequence: u64,
        /// Of the report held.
        last: u64,
    },
    /// A report leaves out offers that no report of this call has named so.
    #[error("report leaves out offers of version {version}; of this call version {last} is held")]
    UnknownOffers {
        /// As sent.
        version: u64,
        /// Of the offers held; 0 = none.
        last: u64,
    },
    /// More reports than the rate allows.
    #[error("more than {burst} reports at once or one per {interval_ms} ms; the report is dropped")]
    TooManyReports {
        /// Allowed at once.
        burst: u32,
        /// Allowed pace.
        interval_ms: u64,
    },
    /// A field beyond its bound.
    #[error("report holds {what} of size {size}; at most {limit} is accepted")]
    OversizedReport {
        /// The field.
        what: &'static str,
        /// As sent.
        size: usize,
        /// Its bound.
        limit: usize,
    },
    /// A value that cannot be.
    #[error("report of {member:?} holds {what} of {value:?}; {accepted} is accepted")]
    ImpossibleReport {
        /// Who called.
        member: String,
        /// The field.
        what: &'static str,
        /// As sent.
        value: String,
        /// What could be.
        accepted: &'static str,
    },
    /// The report claims to be of somebody else.
    #[error("report of {member:?} claims role {got:?}; its role is {expected}")]
    IdentityMismatch {
        /// Who called.
        member: String,
        /// Its role by the roster.
        expected: Role,
        /// Its claim.
        got: String,
    },
}

impl Refusal {
    /// A fixed label for counters.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "Unauthenticated",
            Self::UnknownMember { .. } => "UnknownMember",
            Self::StaleSession => "StaleSession",
            Self::StaleReport { .. } => "StaleReport",
            Self::UnknownOffers { .. } => "UnknownOffers",
            Self::TooManyReports { .. } => "TooManyReports",
            Self::OversizedReport { .. } => "OversizedReport",
            Self::IdentityMismatch { .. } => "IdentityMismatch",
            Self::ImpossibleReport { .. } => "ImpossibleReport",
        }
    }

    /// Whether the call goes on: a late or hasty report is no reason to lose the member.
    pub fn is_harmless(&self) -> bool {
        matches!(
            self,
            Self::StaleReport { .. } | Self::TooManyReports { .. } | Self::ImpossibleReport { .. }
        )
    }
}

impl Limits {
    /// Whether everything in the report keeps to its bound.
    pub(super) fn check(&self, report: &v1::Report) -> Result<(), Refusal> {
        within("tracks", report.tracks.len(), self.tracks)?;
        within("offers", report.offers.len(), self.offers)?;
        within("origins", report.origins.len(), self.origins)?;
        within("switches", report.switches.len(), self.switches)?;
        for switch in &report.switches {
            self.names([&switch.stream, &switch.track, &switch.from])?;
            self.names([&switch.to, &switch.cause])?;
        }
        within("probes", report.probes.len(), self.probes)?;
        self.names(report.probes.iter().map(|probe| &probe.peer))?;
        within("parents", report.parents.len(), self.path)?;
        self.names(&report.parents)?;
        for text in [&report.role, &report.grpc, &report.http] {
            within("a name", text.len(), self.name)?;
        }
        for track in &report.tracks {
            self.check_track(track)?;
        }
        for offer in &report.offers {
            self.check_offer(offer)?;
        }
        for origin in &report.origins {
            self.check_origin(origin)?;
        }
        Ok(())
    }

    /// Whether everything in the report can be true of `member`.
    pub(super) fn believe(&self, member: &str, report: &v1::Report) -> Result<(), Refusal> {
        let impossible = |what, value: String, accepted| Refusal::ImpossibleReport {
            member: shorten(member),
            what,
            value: shorten(&value),
            accepted,
        };
        for track in &report.tracks {
            if track.parent == member {
                let value = track.parent.clone();
                return Err(impossible("a parent", value, "any member but itself"));
            }
            let mut path: Vec<&String> = track.path.iter().collect();
            path.sort_unstable();
            if path.windows(2).any(|pair| pair[0] == pair[1]) {
                let value = track.path.join(" > ");
                return Err(impossible("a path", value, "each member once"));
            }
        }
        if report.parents.iter().any(|parent| parent == member) {
            let value = member.to_owned();
            return Err(impossible(
                "a ranked parent",
                value,
                "any member but itself",
            ));
        }
        for probe in &report.probes {
            if probe.peer == member {
                let value = probe.peer.clone();
                return Err(impossible("a probed peer", value, "any member but itself"));
            }
            if probe.loss_permille > 1000 {
                let value = probe.loss_permille.to_string();
                return Err(impossible("a loss in permille", value, "0 to 1000"));
            }
            if probe.rtt_min_us > probe.rtt_median_us || probe.samples == 0 {
                let value = format!(
                    "{} to {} us in {} samples",
                    probe.rtt_min_us, probe.rtt_median_us, probe.samples
                );
                return Err(impossible(
                    "round trips",
                    value,
                    "a minimum up to the median, and a sample",
                ));
            }
        }
        Ok(())
    }

    fn names<'a>(&self, names: impl IntoIterator<Item = &'a String>) -> Result<(), Refusal> {
        names
            .into_iter()
            .try_for_each(|name| within("a name", name.len(), self.name))
    }

    fn check_track(&self, track: &v1::TrackReport) -> Result<(), Refusal> {
        within("children", track.children.len(), self.children)?;
        within("a path", track.path.len(), self.path)?;
        self.names([&track.stream, &track.track, &track.run, &track.parent])?;
        self.names(&track.children)?;
        self.names(&track.path)
    }

    fn check_offer(&self, offer: &v1::Offer) -> Result<(), Refusal> {
        within("a poster", offer.poster.len(), self.poster)?;
        within("a title", offer.title.len(), self.text)?;
        within("offered tracks", offer.tracks.len(), self.offer_tracks)?;
        self.names([&offer.stream, &offer.run, &offer.source])?;
        for track in &offer.tracks {
            self.names([&track.name, &track.codec, &track.language])?;
        }
        Ok(())
    }

    fn check_origin(&self, origin: &v1::OriginReport) -> Result<(), Refusal> {
        within("contents", origin.contents.len(), self.contents)?;
        within("feeds", origin.feeds.len(), self.contents)?;
        within("preparations", origin.preparing.len(), self.contents)?;
        self.names([&origin.source, &origin.state, &origin.reason])?;
        self.names(&origin.contents)?;
        self.names(&origin.feeds)?;
        for preparation in &origin.preparing {
            self.names([&preparation.content])?;
            within("an error", preparation.error.len(), self.text)?;
        }
        Ok(())
    }
}

fn within(what: &'static str, size: usize, limit: usize) -> Result<(), Refusal> {
    if size <= limit {
        return Ok(());
    }
    Err(Refusal::OversizedReport { what, size, limit })
}

/// A foreign text cut to what may be repeated in a message.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

const SHOWN: usize = 128;
