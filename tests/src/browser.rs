//! Headless Chromium that plays a page, judged by `tests/browser/play.mjs`: by media time lost, with screenshots under
//! `artifacts/`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::{fixtures, workspace};

/// Exit code of `play.mjs` for "this machine was too busy to tell".
const INCONCLUSIVE: i32 = 3;

/// Whether what a browser takes is there; else it says what is missing.
#[track_caller]
pub fn is_possible(test: &str) -> bool {
    for (missing, what) in [
        (!fixtures::has_tool("node"), "node is not installed"),
        (
            !fixtures::has_tool("chromium"),
            "chromium is not installed; run scripts/setup.sh",
        ),
        (
            !workspace()
                .join("tests/browser/node_modules/playwright-core")
                .is_dir(),
            "run npm ci in tests/browser",
        ),
        (
            !workspace()
                .join("web/node_modules/hls.js/dist/hls.min.js")
                .is_file(),
            "run npm ci in web",
        ),
    ] {
        if missing {
            fixtures::skip(test, what);
            return false;
        }
    }
    true
}

/// A browser that watches.
pub struct Browser(Child);

impl Browser {
    /// Opens a page by `node`, a command that ends in its path; `name` is the folder of the screenshots.
    pub fn open(mut node: Command, page: &str, name: &str, arguments: &[&str]) -> Self {
        let artifacts = workspace().join("artifacts").join(name);
        std::fs::create_dir_all(&artifacts).expect("artifacts/ must be creatable");
        let child = node
            .arg(workspace().join("tests/browser/play.mjs"))
            .args(["--page", page, "--within", "90", "--out"])
            .arg(&artifacts)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node must start");
        Self(child)
    }

    /// Plays a steered playlist by plain hls.js, as `tests/browser/steering.mjs` does.
    pub fn steered(url: &str, arguments: &[&str]) -> Self {
        let child = Command::new("node")
            .arg(workspace().join("tests/browser/steering.mjs"))
            .args(["--url", url])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node must start");
        Self(child)
    }

    /// Reads what it says to its end; `act` is told of every second played, and at which edge, of one that was opened
    /// with `--follow`.
    pub fn follow(&mut self, mut act: impl FnMut(f64, &str)) {
        let said = self.0.stdout.take().expect("stdout is piped");
        for line in BufReader::new(said).lines() {
            let line = line.expect("node writes text");
            match serde_json::from_str::<Value>(&line) {
                Ok(progress) => {
                    let edge = progress["edge"].as_str().unwrap_or_default();
                    act(progress["played_s"].as_f64().unwrap_or(0.0), edge);
                }
                Err(_) => println!("{line}"),
            }
        }
    }

    /// Fails unless it played; says so where this machine was too busy to tell, which is neither.
    #[track_caller]
    pub fn judge(mut self, test: &str) {
        if self.0.stdout.is_some() {
            self.follow(|_, _| {});
        }
        let status = self.0.wait().expect("node can be waited for");
        match status.code() {
            Some(0) => {}
            Some(INCONCLUSIVE) => {
                println!("SKIP {test}: INCONCLUSIVE, this machine was too busy to tell");
            }
            _ => panic!("the browser ended with {status}"),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
