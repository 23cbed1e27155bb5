//! What a scenario ends with: one line of JSON, or a table for people.

use std::fmt;

use serde::Serialize;

use super::measure::{Fault, Figures};
use super::viewers;

/// The result of one run of a scenario.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    pub(crate) verdict: Verdict,
    /// Why not passed.
    pub(crate) reasons: Vec<String>,
    pub(crate) seed: u64,
    /// Which run of this seed.
    pub(crate) turn: u32,
    pub(crate) stream: String,
    pub(crate) members: usize,
    pub(crate) faults: Vec<Fault>,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) viewers: Viewers,
    pub(crate) canary_lag_ms: u64,
    /// Whether delivery went on within the bar; null while the machine itself was too late to tell.
    pub(crate) within_500_ms: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) picture: Option<String>,
}

/// Sums over all viewers, as they counted themselves.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Viewers {
    pub(crate) count: u64,
    pub(crate) playing: u64,
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    pub(crate) switches: u64,
    pub(crate) stalls: u64,
    pub(crate) stalled_ms: u64,
    pub(crate) faults: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Pass,
    Fail,
    /// It cannot run here.
    Skip,
}

// === impl Report ===

impl Report {
    /// A run without figures.
    pub(crate) fn without(
        scenario: &'static str,
        seed: u64,
        verdict: Verdict,
        reason: String,
    ) -> Self {
        Self {
            verdict,
            reasons: vec![reason],
            seed,
            ..Self::of(scenario)
        }
    }

    /// One of which nothing is known yet.
    pub(crate) fn of(scenario: &'static str) -> Self {
        Self {
            scenario,
            verdict: Verdict::Pass,
            reasons: Vec::new(),
            seed: 0,
            turn: 0,
            stream: String::new(),
            members: 0,
            faults: Vec::new(),
            figures: Figures::default(),
            viewers: Viewers::default(),
            canary_lag_ms: 0,
            within_500_ms: None,
            picture: None,
        }
    }

    /// Bars that hold on any machine, and, where this one was on time, that nobody switched falsely: a
    /// machine that is late itself makes real silences of its own.
    pub(crate) fn judge(mut self, switches: bool) -> Self {
        let figures = &self.figures;
        let false_switches = match self.canary_lag_ms {
            0..CANARY_MS => figures.false_switches as u64,
            _ => 0,
        };
        for (what, count) in [
            ("lost", figures.lost),
            ("repeated", figures.repeated),
            ("out of order", figures.out_of_order),
            ("lost by viewers", self.viewers.lost),
            ("repeated to viewers", self.viewers.repeated),
            ("out of order at viewers", self.viewers.out_of_order),
            ("false switches", false_switches),
        ] {
            if count > 0 {
                self.reasons.push(format!("{count} {what}"));
            }
        }
        self.reasons.extend(figures.breaches.iter().cloned());
        if switches && figures.switches == 0 {
            self.reasons.push("nobody switched".to_owned());
        }
        if self.viewers.playing < self.viewers.count {
            let idle = self.viewers.count - self.viewers.playing;
            self.reasons.push(format!("{idle} viewers played nothing"));
        }
        self.within_500_ms = match figures.resume_ms {
            Some(ms) if self.canary_lag_ms < CANARY_MS => Some(ms <= BAR_MS),
            _ => None,
        };
        self.verdict = if self.reasons.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        self
    }
}

impl Viewers {
    pub(crate) fn add(&mut self, report: viewers::Report) {
        let viewers::Report {
            viewers,
            playing,
            lost,
            repeated,
            out_of_order,
            switches,
            stalls,
            stalled_ms,
            faults,
        } = report;
        self.count += viewers;
        self.playing += playing;
        self.lost += lost;
        self.repeated += repeated;
        self.out_of_order += out_of_order;
        self.switches += switches;
        self.stalls += stalls;
        self.stalled_ms += stalled_ms;
        self.faults.extend(faults);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "SKIP",
        };
        writeln!(f, "{verdict} {}", self.scenario)?;
        for reason in &self.reasons {
            writeln!(f, "  ! {reason}")?;
        }
        if self.members == 0 {
            return Ok(());
        }
        let ms = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
        let figures = &self.figures;
        let faults: Vec<&str> = self.faults.iter().map(|one| one.what.as_str()).collect();
        let shown = if faults.len() > 4 {
            format!("{} faults", faults.len())
        } else {
            faults.join("; ")
        };
        let causes: Vec<String> = figures
            .causes
            .iter()
            .map(|(cause, count)| format!("{count} {cause}"))
            .collect();
        let viewers = &self.viewers;
        let rows = [
            ("fault", shown),
            (
                "positions",
                format!(
                    "{} lost, {} repeated, {} out of order",
                    figures.lost, figures.repeated, figures.out_of_order
                ),
            ),
            ("detected", ms(figures.detect_ms)),
            (
                "resumed",
                format!(
                    "{} worst, {} median of {}",
                    ms(figures.resume_ms),
                    ms(figures.resume_median_ms),
                    figures.resumes.len()
                ),
            ),
            (
                "switches",
                format!(
                    "{} ({}), {} false",
                    figures.switches,
                    if causes.is_empty() {
                        "none".to_owned()
                    } else {
                        causes.join(", ")
                    },
                    figures.false_switches
                ),
            ),
            (
                "viewers",
                format!(
                    "{} of {} played, {} switches, {} stalls ({:.1} s)",
                    viewers.playing,
                    viewers.count,
                    viewers.switches,
                    viewers.stalls,
                    viewers.stalled_ms as f64 / 1000.0
                ),
            ),
            ("canary", format!("{} ms late", self.canary_lag_ms)),
        ];
        for (name, value) in rows {
            writeln!(f, "  {name:<10} {value}")?;
        }
        if let Some(picture) = &self.picture {
            writeln!(f, "  {:<10} {picture}", "timeline")?;
        }
        Ok(())
    }
}

/// Delivery resumes within this on a quiet machine.
const BAR_MS: u64 = 500;
/// A machine later than this cannot judge milliseconds.
const CANARY_MS: u64 = 50;
