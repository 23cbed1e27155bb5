//! The window as children and playlists see it: a function of the head.

use std::time::Duration;

use banyan_proto::v1;

use super::Store;
use crate::library::{Head, TrackView};

impl Store {
    /// What is known up to the head, for a child: whole segments and the running one.
    pub(crate) fn index_message(&self) -> v1::Index {
        let head = self.head();
        v1::Index {
            segments: self.list(0, head.as_ref()),
            head_number: head.as_ref().map_or(0, |head| head.number),
            head_part: head.as_ref().map_or(0, |head| head.part),
        }
    }

    /// The newest chunk received, or the newest one listed while none was.
    pub(crate) fn head(&self) -> Option<Head> {
        if let Some(tip) = self.tip.as_ref().filter(|tip| tip.received)
            && let Some(entry) = self.index.get(&tip.at.number)
            && !entry.info.gap
        {
            return Some(Head {
                run: entry.info.run.clone(),
                number: tip.at.number,
                part: tip.at.part.min(entry.last_part()),
                segment_complete: tip.last_in_segment == Some(true) && entry.complete,
            });
        }
        let (_, entry) = self.index.iter().rev().find(|(_, e)| e.is_listable())?;
        Some(Head {
            run: entry.info.run.clone(),
            number: entry.info.number,
            part: entry.last_part(),
            segment_complete: true,
        })
    }

    /// The longest part of the track, as far as is known.
    pub(crate) fn longest_part(&self) -> Duration {
        let described = self.description().map_or(0, |d| d.part_target_ms);
        let parts = self.index.values().flat_map(|e| &e.info.part_durations);
        let longest = parts.max().map_or(Duration::ZERO, |ticks| {
            self.seconds(u64::from(*ticks)).unwrap_or_default()
        });
        longest.max(Duration::from_millis(u64::from(described)))
    }

    /// When the newest part received ends, by the channel's clock, in Unix time.
    pub(crate) fn media_end(&self) -> Option<Duration> {
        let tip = self.tip.as_ref().filter(|tip| tip.received)?;
        let info = &self.index.get(&tip.at.number)?.info;
        let epoch = Duration::from_secs(self.description()?.epoch);
        self.seconds(info.start + info.duration)?.checked_add(epoch)
    }

    fn seconds(&self, ticks: u64) -> Option<Duration> {
        let timescale = u64::from(self.description()?.track.as_ref()?.timescale.max(1));
        let nanos = (ticks % timescale) * 1_000_000_000 / timescale;
        Some(Duration::from_secs(ticks / timescale) + Duration::from_nanos(nanos))
    }

    /// The playlist's source: a function of the head.
    pub(crate) fn view(&self) -> TrackView {
        let head = self.head();
        let running = u64::from(head.as_ref().is_some_and(|head| !head.segment_complete));
        let first = head.as_ref().map_or(0, |head| {
            (head.number + 1).saturating_sub(self.window() + running)
        });
        TrackView {
            description: self.description().cloned().unwrap_or_default(),
            segments: self.list(first, head.as_ref()),
            head,
            ended: self.ended,
        }
    }

    fn list(&self, first: u64, head: Option<&Head>) -> Vec<v1::SegmentInfo> {
        let Some(head) = head else { return Vec::new() };
        self.index
            .range(first..=head.number)
            .map(|(&number, entry)| {
                let mut info = entry.info.clone();
                if number < head.number {
                    info.gap = !entry.is_listable();
                } else if !head.segment_complete {
                    info.part_durations.truncate(head.part as usize + 1);
                    info.duration = info.part_durations.iter().map(|d| u64::from(*d)).sum();
                }
                info
            })
            .collect()
    }
}
