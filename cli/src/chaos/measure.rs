//! Records → figures. Pure: positions are counted, times are compared, nothing is asked.
//!
//! resume = arrival of the first new chunk − max(fault, that chunk's due time). A chunk is due when
//! the receiver would have had it: its earliest arrival before the fault, moved on by whole
//! segments.

use std::collections::{BTreeMap, BTreeSet};

use banyan_media::{Ledger, Position};
use serde::Serialize;
use serde_json::Value;

use super::records::{Arrival, Event, Records, VIEWER_SWITCHED};

/// One moment at which something was done.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Fault {
    pub(crate) unix_ms: u64,
    /// In words.
    pub(crate) what: String,
    /// Members that were hurt.
    pub(crate) members: BTreeSet<String>,
    /// Links that were hurt: (child, parent).
    pub(crate) links: BTreeSet<(String, String)>,
    /// Whether the members' processes ended.
    pub(crate) deadly: bool,
}

/// What is measured.
pub(crate) struct Question<'a> {
    pub(crate) records: &'a Records,
    pub(crate) stream: &'a str,
    pub(crate) since_ms: u64,
    pub(crate) faults: &'a [Fault],
    /// The first fault that is asked about; those before it only excuse.
    pub(crate) judged: usize,
    pub(crate) until_ms: u64,
    pub(crate) segment_ms: u64,
    /// Viewer's source as it names it → edge.
    pub(crate) edges: &'a BTreeMap<String, String>,
}

/// The figures.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) lost: u64,
    pub(crate) repeated: u64,
    pub(crate) out_of_order: u64,
    /// Who lost or got twice what, in words.
    pub(crate) breaches: Vec<String>,
    pub(crate) detect_ms: Option<u64>,
    /// Worst and median over those whose way to the stream was hurt.
    pub(crate) resume_ms: Option<u64>,
    pub(crate) resume_median_ms: Option<u64>,
    pub(crate) resumes: Vec<Resume>,
    /// Members that went to another parent or origin, one per track.
    pub(crate) switches: usize,
    pub(crate) causes: BTreeMap<String, usize>,
    pub(crate) viewer_switches: usize,
    pub(crate) false_switches: usize,
    /// All of a member's switches, as it wrote them down.
    pub(crate) switched: Vec<Value>,
    pub(crate) falsely_switched: Vec<Value>,
}

/// How long one receiver of one track was without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Resume {
    pub(crate) who: String,
    pub(crate) track: String,
    pub(crate) after: String,
    pub(crate) ms: u64,
}

type Receiver<'a> = (&'a str, &'a str);

/// Answers all of it.
pub(crate) fn measure(question: &Question<'_>) -> Figures {
    let mut figures = Figures::default();
    let flows = flows(question);
    question.count(&flows, &mut figures);
    question.judge_switches(&flows, &mut figures);
    question.time(&flows, &mut figures);
    figures
}

/// Arrivals of each receiver and track in the order in which they were recorded.
fn flows<'a>(question: &Question<'a>) -> BTreeMap<Receiver<'a>, Vec<&'a Arrival>> {
    let mut flows: BTreeMap<Receiver<'a>, Vec<&Arrival>> = BTreeMap::new();
    let rows = question.records.arrivals.iter();
    for row in rows.filter(|row| {
        row.stream == question.stream
            && (question.since_ms..=question.until_ms).contains(&row.unix_ms)
    }) {
        flows.entry((&row.to, &row.track)).or_default().push(row);
    }
    flows
}

impl<'a> Question<'a> {
    /// Positions: what is missing between the first and the last, what came twice, what came late.
    fn count(&self, flows: &BTreeMap<Receiver<'a>, Vec<&Arrival>>, figures: &mut Figures) {
        let mut parts: BTreeMap<(&str, u64), u32> = BTreeMap::new();
        for row in flows.values().flatten() {
            let most = parts.entry((&row.track, row.number)).or_default();
            *most = (*most).max(row.part);
        }
        for ((who, track), rows) in flows {
            let breaks = self.breaks(who, track);
            let mut ledger = Ledger::new();
            let mut breaks = breaks.into_iter().peekable();
            let mut next = None;
            let mut sums = [0; 3];
            let mut close = |ledger: &Ledger| {
                let counts = ledger.counts();
                for (sum, more) in
                    sums.iter_mut()
                        .zip([counts.lost, counts.repeated, counts.out_of_order])
                {
                    *sum += more;
                }
            };
            for row in rows {
                // After an end of its demand or of itself, a member begins anew.
                let position = Position::new(row.number, row.part);
                let jumps = next.is_some_and(|next| next != position);
                let mut anew = false;
                while breaks
                    .next_if(|at| *at + if jumps { 0 } else { RECENT_MS } <= row.unix_ms)
                    .is_some()
                {
                    anew = jumps;
                }
                if anew {
                    close(&ledger);
                    ledger = Ledger::new();
                }
                let last = parts.get(&(row.track.as_str(), row.number)) == Some(&row.part);
                ledger.record(&row.run, position, last);
                next = Some(position.next(last));
            }
            close(&ledger);
            let [lost, repeated, out_of_order] = sums;
            figures.lost += lost;
            figures.repeated += repeated;
            figures.out_of_order += out_of_order;
            if sums != [0; 3] {
                figures.breaches.push(format!(
                    "{who}, {track}: {lost} lost, {repeated} repeated, {out_of_order} out of order"
                ));
            }
        }
    }

    /// When a member forgot a track: it died, or nobody wanted it. One jump is due to each; and one to
    /// its return, as who is asked to leave serves on for a while.
    fn breaks(&self, who: &str, track: &str) -> Vec<u64> {
        let begins = |since: u64| {
            let mut begins = self.events().filter(|event| {
                event.member == who && event.name == "subscribed" && event.text("track") == track
            });
            begins.find(|event| event.unix_ms > since + ENDING_MS)
        };
        let deaths = self
            .faults
            .iter()
            .filter(|fault| fault.deadly && fault.members.contains(who))
            .flat_map(|fault| {
                let back = begins(fault.unix_ms).map(|event| event.unix_ms);
                std::iter::once(fault.unix_ms).chain(back)
            });
        let ends = self.events().filter(|event| {
            event.member == who && event.name == "unsubscribed" && event.text("track") == track
        });
        let mut breaks: Vec<u64> = deaths.chain(ends.map(|event| event.unix_ms)).collect();
        breaks.sort_unstable();
        breaks
    }

    fn events(&self) -> impl Iterator<Item = &'a Event> {
        let (since, until, stream) = (self.since_ms, self.until_ms, self.stream);
        self.records.events.iter().filter(move |event| {
            (since..=until).contains(&event.unix_ms)
                && (event.name == VIEWER_SWITCHED || event.text("stream") == stream)
        })
    }

    fn judge_switches(&self, flows: &BTreeMap<Receiver<'a>, Vec<&Arrival>>, figures: &mut Figures) {
        let since = match self.judged {
            0 => 0,
            judged => self.faults.get(judged).map_or(0, |fault| fault.unix_ms),
        };
        for event in self.events().filter(|event| event.unix_ms >= since) {
            match event.name.as_str() {
                VIEWER_SWITCHED => {
                    figures.viewer_switches += 1;
                    let edge = self.edges.get(event.text("from"));
                    if !edge.is_some_and(|edge| self.is_hurt(edge, event.unix_ms)) {
                        figures.falsely_switched.push(self.told(event));
                    }
                }
                "parent_switched" => {
                    figures.switches += 1;
                    let cause = event.text("cause").to_owned();
                    *figures.causes.entry(cause).or_default() += 1;
                    figures.switched.push(self.told(event));
                    if !self.has_reason(event, flows) {
                        figures.falsely_switched.push(self.told(event));
                    }
                }
                _ => {}
            }
        }
        figures.false_switches = figures.falsely_switched.len();
    }

    /// The event with its time after the last fault before it.
    fn told(&self, event: &Event) -> Value {
        let mut fields = event.fields.clone();
        if let Some(fields) = fields.as_object_mut() {
            let fault = self.fault_before(event.unix_ms);
            let after = fault.map(|fault| event.unix_ms - fault.unix_ms);
            fields.insert("after_ms".to_owned(), after.into());
            fields.insert("member".to_owned(), event.member.clone().into());
        }
        fields
    }

    fn fault_before(&self, unix_ms: u64) -> Option<&Fault> {
        let mut faults = self.faults.iter().rev();
        faults.find(|fault| fault.unix_ms <= unix_ms)
    }

    /// Hurt then, or a moment ago: a member that returns is not yet what it was.
    fn is_hurt(&self, member: &str, unix_ms: u64) -> bool {
        self.recent(unix_ms)
            .any(|fault| fault.members.contains(member))
    }

    fn recent(&self, unix_ms: u64) -> impl Iterator<Item = &Fault> {
        self.faults
            .iter()
            .filter(move |fault| fault.unix_ms <= unix_ms && unix_ms < fault.unix_ms + RECENT_MS)
    }

    fn has_reason(&self, event: &Event, flows: &BTreeMap<Receiver<'a>, Vec<&Arrival>>) -> bool {
        let (member, from) = (event.member.as_str(), event.text("from"));
        let link = (member.to_owned(), from.to_owned());
        let hurt = |fault: &Fault| {
            fault.members.contains(from)
                || fault.members.contains(member)
                || fault.links.contains(&link)
        };
        match event.text("cause") {
            // Nobody is in distress: moves by plan, by request, by comparison.
            "Planned" | "BetterMetric" | "GoAway" | "CarrierReturned" | "Drained" => true,
            // The trouble is farther up.
            "PathLoop" | "ParentRepairing" | "MediaStalled" | "Unready" | "NotHere"
            | "Disagreement" => self.recent(event.unix_ms).any(|fault| {
                let track = event.text("track");
                hurt(fault) || self.is_below(from, track, fault, flows)
            }),
            _ => self.recent(event.unix_ms).any(hurt),
        }
    }

    /// Whether a member's way to the stream led through what was hurt, when it was.
    fn is_below(
        &self,
        member: &str,
        track: &str,
        fault: &Fault,
        flows: &BTreeMap<Receiver<'a>, Vec<&Arrival>>,
    ) -> bool {
        let mut at = member.to_owned();
        for _ in 0..MAX_DEPTH {
            if fault.members.contains(&at) {
                return true;
            }
            let parent = flows.get(&(at.as_str(), track)).and_then(|rows| {
                let mut before = rows.iter().rev().filter(|row| row.unix_ms < fault.unix_ms);
                before.next().map(|row| row.from.clone())
            });
            let Some(parent) = parent else { return false };
            let parent = self.edges.get(&parent).cloned().unwrap_or(parent);
            if fault.links.contains(&(at.clone(), parent.clone())) {
                return true;
            }
            at = parent;
        }
        false
    }

    fn time(&self, flows: &BTreeMap<Receiver<'a>, Vec<&Arrival>>, figures: &mut Figures) {
        for (index, fault) in self.faults.iter().enumerate().skip(self.judged) {
            let next = self.faults.get(index + 1);
            let end = next.map_or(self.until_ms, |next| next.unix_ms);
            let detected = self.detected(fault, end);
            figures.detect_ms = figures.detect_ms.max(detected);
            for ((who, track), rows) in flows {
                // Whoever was hurt is no witness of how soon the others were helped.
                if fault.members.contains(*who) || !self.is_below(who, track, fault, flows) {
                    continue;
                }
                if let Some(ms) = self.resume(rows, fault.unix_ms, end) {
                    figures.resumes.push(Resume {
                        who: (*who).to_owned(),
                        track: (*track).to_owned(),
                        after: fault.what.clone(),
                        ms,
                    });
                }
            }
        }
        let mut all: Vec<u64> = figures.resumes.iter().map(|resume| resume.ms).collect();
        all.sort_unstable();
        figures.resume_ms = all.last().copied();
        figures.resume_median_ms = all.get(all.len() / 2).copied();
    }

    /// From the fault to the first who acts on it.
    fn detected(&self, fault: &Fault, end: u64) -> Option<u64> {
        let acts = |event: &&Event| {
            let names = ["repairing", "parent_switched", VIEWER_SWITCHED];
            names.contains(&event.name.as_str()) && (fault.unix_ms..end).contains(&event.unix_ms)
        };
        let concerns = |event: &&Event| {
            let from = event.text("from");
            let from = self.edges.get(from).map_or(from, String::as_str);
            let link = (event.member.clone(), from.to_owned());
            fault.members.contains(from) || fault.links.contains(&link)
        };
        let events = self.events().filter(acts).filter(concerns);
        events.map(|event| event.unix_ms - fault.unix_ms).min()
    }

    /// Lateness of the chunk that ended the longest silence after the fault.
    fn resume(&self, rows: &[&Arrival], fault: u64, end: u64) -> Option<u64> {
        let mut arrivals: Vec<&Arrival> = rows
            .iter()
            .copied()
            .filter(|row| row.unix_ms < end)
            .collect();
        arrivals.sort_by_key(|row| row.unix_ms);
        let (_, first) = arrivals
            .windows(2)
            .filter(|pair| pair[1].unix_ms >= fault)
            .map(|pair| (pair[1].unix_ms - pair[0].unix_ms, pair[1]))
            .max_by_key(|(silence, row)| (*silence, std::cmp::Reverse(row.unix_ms)))?;
        let phase = |row: &Arrival| row.unix_ms as i128 - i128::from(row.number * self.segment_ms);
        let due = arrivals
            .iter()
            .filter(|row| row.unix_ms < fault && row.part == first.part)
            .map(|row| phase(row))
            .min()
            .map(|phase| phase + i128::from(first.number * self.segment_ms))?;
        let due = due.max(i128::from(fault));
        Some((i128::from(first.unix_ms) - due).max(0) as u64)
    }
}

/// A returned member's links are as new for this long.
const RECENT_MS: u64 = 15_000;
/// Nobody who was asked to leave is back within this: lame duck and drain come first.
const ENDING_MS: u64 = 1_000;
/// No tree is deeper.
const MAX_DEPTH: usize = 16;

#[cfg(test)]
mod tests;
