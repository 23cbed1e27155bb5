//! Why a member changed who feeds it: one vocabulary for logs, events, metrics, reports and pages.

/// Why a parent was left, or not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// The call or the connection failed.
    ConnectionLost,
    /// Nothing came for longer than the budget.
    HopSilent,
    /// Our own name is in its path.
    PathLoop,
    /// It has been repairing for too long.
    ParentRepairing,
    /// It said that it leaves.
    GoAway,
    /// It holds another run, or other bytes under our names.
    Disagreement,
    /// It is too far behind, or does not know the stream.
    NotHere,
    /// It answers, but did not describe the track in time.
    Unready,
    /// It broke the order of positions.
    ProtocolError,
    /// A plan names another parent.
    Planned,
    /// The root that should carry the stream is back.
    CarrierReturned,
    /// A content server's beats stopped.
    HeartbeatLost,
    /// A content server lives and sends no media that is due.
    MediaStalled,
    /// Another content server has been better for long enough.
    BetterMetric,
    /// A content server no longer holds the stream.
    ContentGone,
    /// A content server's clock is too far from ours.
    ClockSkew,
    /// A content server was told to leave.
    Drained,
}

impl Cause {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Cause::ConnectionLost => "ConnectionLost",
            Cause::HopSilent => "HopSilent",
            Cause::PathLoop => "PathLoop",
            Cause::ParentRepairing => "ParentRepairing",
            Cause::GoAway => "GoAway",
            Cause::Disagreement => "Disagreement",
            Cause::NotHere => "NotHere",
            Cause::Unready => "Unready",
            Cause::ProtocolError => "ProtocolError",
            Cause::Planned => "Planned",
            Cause::CarrierReturned => "CarrierReturned",
            Cause::HeartbeatLost => "HeartbeatLost",
            Cause::MediaStalled => "MediaStalled",
            Cause::BetterMetric => "BetterMetric",
            Cause::ContentGone => "ContentGone",
            Cause::ClockSkew => "ClockSkew",
            Cause::Drained => "Drained",
        }
    }
}
