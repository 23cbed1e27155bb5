//! One `banyan testbed run`: started with a file, asked to end or left to it, read afterwards. Nothing of it may be
//! left on the machine, however it ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::{EXIT, Machine, is_possible};
use crate::process::{self, TAG};
use crate::{binary, wait_for, wait_until};

/// A running experiment, or one that is over.
pub struct Experiment {
    child: Child,
    work: TempDir,
    tag: String,
    before: Machine,
}

impl Experiment {
    /// Starts the file with these arguments beside `--out`.
    pub fn start(file: &Path, arguments: &[&str]) -> Self {
        let before = Machine::now();
        let work = tempfile::tempdir().expect("a temporary folder must be creatable");
        let tag = format!("{}-{}", std::process::id(), work.path().display());
        let create =
            |name: &str| File::create(work.path().join(name)).expect("a file must be creatable");
        let child = Command::new(binary("banyan"))
            .args(["testbed", "run"])
            .arg(file)
            .arg("--out")
            .arg(work.path().join("out"))
            .arg("--cache")
            .arg(crate::cache_home().join("assets-test"))
            .args(arguments)
            .env(TAG, &tag)
            .stdin(Stdio::null())
            .stdout(create("stdout"))
            .stderr(create("stderr"))
            .spawn()
            .expect("banyan must start");
        Self {
            child,
            work,
            tag,
            before,
        }
    }

    /// Where its files go.
    pub fn out(&self) -> PathBuf {
        self.work.path().join("out")
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        self.read("stdout")
    }

    /// What it has said beside that.
    pub fn said(&self) -> String {
        self.read("stderr")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.work.path().join(name)).unwrap_or_default()
    }

    /// A file of its results.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        let path = self.out().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// A table of its results.
    #[track_caller]
    pub fn table(&self, name: &str) -> Table {
        Table::parse(&self.text(name)).unwrap_or_else(|fault| panic!("{name}: {fault}"))
    }

    /// Whether it is still at it; one that ended for what the machine lacks, or for a fault, is over.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks it to end.
    pub fn signal(&self, signal: Signal) {
        process::signal(self.child.id() as i32, signal);
    }

    /// Waits for its end, and that nothing of it is left. None where this machine cannot have a testbed, which is said.
    #[track_caller]
    pub fn end(&mut self, test: &str, bound: Duration) -> Option<ExitStatus> {
        let status = wait_for("the experiment ends", bound, || {
            self.child.try_wait().ok()?
        });
        wait_until("no process of the experiment is left", EXIT, || {
            process::tagged(&self.tag).is_empty()
        });
        assert_eq!(
            Machine::now(),
            self.before,
            "the experiment left something behind"
        );
        let said = self.said();
        if said.contains("no testbed here: ") {
            is_possible(test, &said);
            return None;
        }
        Some(status)
    }
}

impl Drop for Experiment {
    fn drop(&mut self) {
        if self.is_running() {
            // The kernel ends what is below it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            println!("---- what the experiment said\n{}", self.said());
        }
    }
}

/// A table of results: a header, and rows by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub header: String,
    pub rows: Vec<BTreeMap<String, String>>,
}

impl Table {
    fn parse(text: &str) -> Result<Self, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".to_owned());
        }
        let mut lines = text.lines();
        let header = lines.next().unwrap_or_default();
        let names: Vec<&str> = header.split(',').collect();
        let row = |line: &str| {
            let cells = cells(line);
            if cells.len() != names.len() {
                return Err(format!("{line:?} does not fit {header:?}"));
            }
            let names = names.iter().map(|name| (*name).to_owned());
            Ok(names.zip(cells).collect())
        };
        Ok(Self {
            header: header.to_owned(),
            rows: lines.map(row).collect::<Result<_, _>>()?,
        })
    }

    /// Rows with these values.
    pub fn of<'a>(&'a self, wanted: &'a [(&str, &str)]) -> Vec<&'a BTreeMap<String, String>> {
        let fits = |row: &&BTreeMap<String, String>| {
            wanted.iter().all(|(name, value)| row[*name] == *value)
        };
        self.rows.iter().filter(fits).collect()
    }
}

/// Cells of a line of RFC 4180; nothing here has lines within cells.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            // A doubled quote closes and opens: none is in a cell of a good run.
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => {
                let last = cells.len() - 1;
                cells[last].push(c);
            }
        }
    }
    cells
}
