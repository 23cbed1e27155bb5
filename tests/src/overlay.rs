//! One `banyan up`: started with chosen flags, watched, hurt and ended. Ending it is part of every test: it exits 0
//! on SIGTERM, leaves no process and no temporary file, prints one line, and no member ever panicked.

mod launched;
mod setup;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

pub use launched::{Joined, Launched};
pub use setup::{Restart, Setup};

use crate::http::{self, Response};
use crate::play::Playing;
use crate::record::{Event, LinkRow};
use crate::{asset, wait_for};

/// From an offer to the end of preparation.
const PREPARED: Duration = Duration::from_secs(180);
/// From what a member does to the control plane's view of it.
const REPORTED: Duration = Duration::from_secs(30);
/// A run secret of the tests' own, so that they can speak to members as a member.
const SECRET: &str = "5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e5ca1ab1e";

/// The line that `up --json` prints.
#[derive(Clone, Debug, Deserialize)]
pub struct Announcement {
    pub page: String,
    pub edges: Vec<String>,
    pub control: String,
    pub streams: Vec<String>,
}

/// A ready overlay.
pub struct Overlay {
    launched: Launched,
    announcement: Announcement,
}

impl std::ops::Deref for Overlay {
    type Target = Launched;

    fn deref(&self) -> &Launched {
        &self.launched
    }
}

impl std::ops::DerefMut for Overlay {
    fn deref_mut(&mut self) -> &mut Launched {
        &mut self.launched
    }
}

impl Overlay {
    /// From a manifest, by its path in the workspace or an absolute one.
    pub fn from(manifest: impl AsRef<Path>) -> Setup {
        Setup::new(vec![
            crate::workspace().join(manifest).display().to_string(),
        ])
    }

    /// From video files.
    pub fn of_files(files: &[PathBuf]) -> Setup {
        Setup::new(
            files
                .iter()
                .flat_map(|file| ["--file".to_owned(), file.display().to_string()])
                .collect(),
        )
    }

    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// What must hold of any command that speaks to its members.
    pub fn secret(&self) -> &'static str {
        SECRET
    }

    /// Gives up the announcement, to treat the process alone.
    pub fn into_launched(self) -> Launched {
        self.launched
    }

    /// Addresses of the edges, without a slash at the end.
    pub fn edges(&self) -> Vec<String> {
        self.announcement
            .edges
            .iter()
            .map(|url| url.trim_end_matches('/').to_owned())
            .collect()
    }

    /// The page's address, without a slash at the end.
    pub fn page(&self) -> String {
        self.announcement.page.trim_end_matches('/').to_owned()
    }

    #[track_caller]
    pub fn get(&self, url: &str) -> Response {
        http::get(url)
    }

    /// `/api/topology` of the control plane.
    #[track_caller]
    pub fn topology(&self) -> Value {
        http::get_ok(&format!("{}/api/topology", self.page())).json()
    }

    /// A stream's entry in `/api/topology`, which lags what members do by a second or so.
    #[track_caller]
    pub fn stream(&self, name: &str) -> Value {
        wait_for(
            &format!("the topology shows stream {name}"),
            REPORTED,
            || find(&self.topology()["streams"], "name", name),
        )
    }

    /// Names of the servers that offer a stream, once there are two; `up` is ready with the first.
    #[track_caller]
    pub fn origins_of(&self, stream: &str) -> Vec<String> {
        wait_for(&format!("two servers offer {stream}"), PREPARED, || {
            let entry = self.stream(stream);
            let names = entry["candidates"].as_array()?.iter();
            let names: Vec<String> = names
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect();
            (names.len() >= 2).then_some(names)
        })
    }

    /// Base address of a member's own HTTP, from its arguments.
    #[track_caller]
    pub fn http_of(&self, member: &str) -> String {
        format!("http://{}", self.argument_of(member, "--http"))
    }

    /// URI of a member's gRPC, from its arguments.
    #[track_caller]
    pub fn grpc_of(&self, member: &str) -> String {
        format!("http://{}", self.argument_of(member, "--grpc"))
    }

    #[track_caller]
    fn argument_of(&self, member: &str, name: &str) -> String {
        self.process(member)
            .and_then(|process| process.argument(name).map(str::to_owned))
            .unwrap_or_else(|| panic!("{member} does not run with {name}"))
    }

    /// `/api/member` of a member.
    #[track_caller]
    pub fn member(&self, name: &str) -> Value {
        http::get_ok(&format!("{}/api/member", self.http_of(name))).json()
    }

    /// Whether every member that control knows is ready.
    pub fn all_ready(&self) -> bool {
        http::try_get(&format!("{}/api/topology", self.page()), &[]).is_ok_and(|answer| {
            answer.status == 200
                && answer.json()["members"]
                    .as_array()
                    .is_some_and(|members| members.iter().all(|member| member["state"] == "ready"))
        })
    }

    /// Kills the control plane.
    #[track_caller]
    pub fn stop_control(&self) {
        self.kill9("control");
    }

    /// Starts a viewer of a URL.
    pub fn play(&self, url: &str, seconds: u32) -> Playing {
        Playing::start(SECRET, &[url, "--for", &format!("{seconds}s")])
    }

    /// Starts several viewers of a URL in one process.
    pub fn play_many(&self, url: &str, seconds: u32, viewers: u32) -> Playing {
        Playing::start(
            SECRET,
            &[
                url,
                "--for",
                &format!("{seconds}s"),
                "--viewers",
                &viewers.to_string(),
            ],
        )
    }

    /// Every chunk that crossed a link so far.
    pub fn links(&self) -> Vec<LinkRow> {
        crate::record::links(&self.work.path().join("record"))
    }

    /// Everything that members logged as an event so far, by member.
    pub fn events(&self) -> Vec<Event> {
        crate::record::events(&self.work.path().join("record"))
    }

    /// The asset of a stream's run; a stream may be offered before all of it is prepared.
    #[track_caller]
    pub fn asset(&self, stream: &str, run: &str, epoch: u64) -> asset::Prepared {
        let what = format!(
            "an asset of run {run} of {stream} at epoch {epoch} in {}",
            self.cache().display()
        );
        wait_for(&what, PREPARED, || {
            asset::find(self.cache(), stream, run, epoch)
        })
    }
}

/// The element of a JSON array whose `key` is `value`.
pub fn find(array: &Value, key: &str, value: &str) -> Option<Value> {
    array
        .as_array()?
        .iter()
        .find(|item| item[key] == value)
        .cloned()
}
