//! How an overlay is started: flags of `banyan up`, where it prepares, what it runs through.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::{Launched, Overlay, SECRET};
use crate::process;

/// What `up` does with a member that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    Always,
    Never,
}

/// How to start an overlay.
#[derive(Clone, Debug)]
pub struct Setup {
    source: Vec<String>,
    flags: Vec<String>,
    record: bool,
    cache: Option<PathBuf>,
    wrapper: Vec<String>,
}

impl Setup {
    pub(super) fn new(source: Vec<String>) -> Self {
        Self {
            source,
            flags: Vec::new(),
            record: false,
            cache: None,
            wrapper: Vec::new(),
        }
    }

    /// Members record every chunk and event.
    pub fn record(mut self) -> Self {
        self.record = true;
        self
    }

    pub fn restart(self, restart: Restart) -> Self {
        let value = match restart {
            Restart::Always => "always",
            Restart::Never => "never",
        };
        self.flag("--restart", value)
    }

    pub fn epoch(self, unix_seconds: u64) -> Self {
        self.flag("--epoch", &unix_seconds.to_string())
    }

    pub fn media(self, folder: &Path) -> Self {
        self.flag("--media", &folder.display().to_string())
    }

    /// Prepares into this folder instead of the one that all tests share.
    pub fn cache(mut self, folder: &Path) -> Self {
        self.cache = Some(folder.to_owned());
        self
    }

    /// Runs `up` through a command that executes its last arguments.
    pub fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Starts and waits until it is ready.
    #[track_caller]
    pub fn up(self) -> Overlay {
        self.start().ready()
    }

    /// Starts without waiting.
    pub fn start(self) -> Launched {
        let work = tempfile::Builder::new()
            .prefix("banyan-test-")
            .tempdir()
            .expect("a temporary folder must be creatable");
        let temp = work.path().join("tmp");
        let record = work.path().join("record");
        let logs = work.path().join("logs");
        for folder in [&temp, &record, &logs] {
            fs::create_dir_all(folder).expect("a folder must be creatable");
        }
        let cache = self
            .cache
            .unwrap_or_else(|| crate::cache_home().join("assets-test"));

        let tag = format!("{}-{}", std::process::id(), work.path().display());
        let mut words = self.wrapper;
        words.push(crate::binary("banyan").display().to_string());
        words.push("up".to_owned());
        words.extend(self.source);
        words.push("--json".to_owned());
        words.extend(["--cache".to_owned(), cache.display().to_string()]);
        words.extend(["--logs".to_owned(), logs.display().to_string()]);
        words.extend(self.flags);
        if self.record {
            words.extend(["--record".to_owned(), record.display().to_string()]);
        }
        let stderr =
            File::create(work.path().join("stderr.log")).expect("a file must be creatable");
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(work.path())
            .env("TMPDIR", &temp)
            .env(process::TAG, &tag)
            .env("BANYAN_RUN_SECRET", SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap_or_else(|error| panic!("{words:?} must start: {error}"));
        let stdout = Arc::new(Mutex::new(Vec::new()));
        if let Some(pipe) = child.stdout.take() {
            let lines = stdout.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    lines.lock().expect("no reader may panic").push(line);
                }
            });
        }
        Launched {
            child,
            work,
            tag,
            cache,
            stdout,
            command: words.join(" "),
            ended: false,
            dirty: false,
        }
    }
}
