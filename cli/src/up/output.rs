//! What the person at the terminal sees: our own lines, lines of members, bars of preparation.
//!
//! The last lines of every member are kept, so that one that dies can be quoted. All of them can
//! be written to a folder; on the terminal appear warnings and errors, or everything, or nothing.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;

/// Which lines of members appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Nothing,
    Warnings,
    Everything,
}

pub(crate) struct Output {
    shown: Shown,
    folder: Option<PathBuf>,
    bars: Option<MultiProgress>,
    members: Mutex<BTreeMap<String, Kept>>,
}

#[derive(Default)]
struct Kept {
    last: VecDeque<String>,
    file: Option<File>,
}

impl Output {
    pub(crate) fn new(shown: Shown, folder: Option<PathBuf>) -> Self {
        let bars =
            (shown != Shown::Nothing && std::io::stderr().is_terminal()).then(MultiProgress::new);
        Self {
            shown,
            folder,
            bars,
            members: Mutex::default(),
        }
    }

    /// Bars, where there is a terminal for them.
    pub(crate) fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    /// A line of our own.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// A line of our own that a quiet run does without.
    pub(crate) fn mention(&self, line: &str) {
        if self.shown != Shown::Nothing {
            self.say(line);
        }
    }

    /// A line of a member.
    pub(crate) fn member(&self, member: &str, line: &str) {
        {
            let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = members.entry(member.to_owned()).or_insert_with(|| Kept {
                last: VecDeque::new(),
                file: self.open(member),
            });
            kept.add(line);
        }
        let serious = [" WARN ", " ERROR ", "panicked"];
        let show = match self.shown {
            Shown::Nothing => false,
            Shown::Warnings => serious.iter().any(|word| line.contains(word)),
            Shown::Everything => true,
        };
        if show {
            self.say(&format!("{member}: {line}"));
        }
    }

    /// The last lines of a member, as a quotation.
    pub(crate) fn last_words(&self, member: &str) -> String {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        match members.get(member) {
            Some(kept) if !kept.last.is_empty() => {
                let lines = kept.last.iter().map(|line| format!("\n  {member}: {line}"));
                format!("; its last lines:{}", lines.collect::<String>())
            }
            _ => "; it said nothing".to_owned(),
        }
    }

    fn open(&self, member: &str) -> Option<File> {
        let path = self.folder.as_ref()?.join(format!("{member}.stderr"));
        OpenOptions::new().create(true).append(true).open(path).ok()
    }
}

impl Kept {
    fn add(&mut self, line: &str) {
        if let Some(file) = &mut self.file {
            // A full disk must not stop the run.
            let _ = writeln!(file, "{line}");
        }
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
    }
}

/// Enough to hold a sentence and what led to it.
const LAST: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_member_are_quoted_and_all_are_filed() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(Shown::Nothing, Some(folder.path().to_owned()));
        assert_eq!(output.last_words("edge-0"), "; it said nothing");
        for n in 0..20 {
            output.member("edge-0", &format!("line {n}"));
        }
        let quoted = output.last_words("edge-0");
        assert!(
            quoted.starts_with("; its last lines:\n  edge-0: line 8\n"),
            "{quoted}"
        );
        assert!(quoted.ends_with("line 19"));
        let filed = std::fs::read_to_string(folder.path().join("edge-0.stderr")).unwrap();
        assert_eq!(filed.lines().count(), 20);
    }
}
