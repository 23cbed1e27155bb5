//! Viewers in the cluster's network, who watch as long as something happens and a little longer.

use std::time::Duration;

use super::Cluster;
use crate::{PlayReport, Playing};

/// Watched after the last change, so that what it broke late would be seen: more than a player keeps in store.
const AFTERWARDS: u64 = 4;
/// For those segments to become live.
const LIVE: Duration = Duration::from_secs(90);
/// Longer than any test.
const AT_MOST: &str = "1200s";

/// A viewer that is watching a stream.
pub struct Viewer<'a> {
    cluster: &'a Cluster,
    url: String,
    playing: Playing,
}

impl Cluster {
    /// Starts a viewer of a multivariant playlist.
    pub fn watch(&self, url: &str) -> Viewer<'_> {
        let banyan = self.inside(crate::binary("banyan"));
        Viewer {
            cluster: self,
            url: url.to_owned(),
            playing: Playing::start_as(banyan, "", &[url, "--for", AT_MOST]),
        }
    }
}

impl Viewer<'_> {
    /// Lets some more segments become live, ends, and fails if anything was lost or seen twice.
    #[track_caller]
    pub fn unbroken(self, who: &str) -> PlayReport {
        let head = || newest(self.cluster, &self.url);
        let held = crate::wait::poll_gently(LIVE, head).map(|from| {
            crate::wait::poll_gently(LIVE, || {
                head().filter(|newest| *newest >= from + AFTERWARDS)
            })
        });
        assert!(
            held.flatten().is_some(),
            "{who}: {} has nothing new within {LIVE:?}",
            self.url
        );
        let report = self.playing.finish();
        println!("  {who}: {report:?}");
        report.assert_unbroken(who);
        report
    }
}

/// Number of the newest segment that the first rendition lists.
fn newest(cluster: &Cluster, url: &str) -> Option<u64> {
    let all = cluster.fetch(url)?;
    let rendition = all.lines().find(|line| !line.starts_with('#'))?;
    let (folder, _) = url.rsplit_once('/')?;
    let list = cluster.fetch(&format!("{folder}/{rendition}"))?;
    let first = list
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))?;
    let listed = list
        .lines()
        .filter(|line| line.starts_with("#EXTINF"))
        .count();
    Some(first.trim().parse::<u64>().ok()? + u64::try_from(listed).ok()?)
}
