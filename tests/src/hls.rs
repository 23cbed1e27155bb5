//! HLS as a client sees it: playlists read with a parser that is not ours, and segments collected as they appear.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use m3u8_rs::{MasterPlaylist, MediaPlaylist};

use crate::http;
use crate::wait::wait_until;

/// A segment that a playlist lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    pub number: u64,
    pub url: String,
    pub seconds: f32,
    pub discontinuity: bool,
}

/// A media playlist, read.
#[derive(Clone, Debug)]
pub struct Playlist {
    pub text: String,
    pub parsed: MediaPlaylist,
    pub run: String,
    pub init_url: String,
    pub segments: Vec<Listed>,
}

impl Playlist {
    /// The newest number listed.
    #[track_caller]
    pub fn head(&self) -> u64 {
        self.segments
            .last()
            .expect("a live playlist must list segments")
            .number
    }
}

/// Fetches and reads `/{stream}/index.m3u8`.
#[track_caller]
pub fn multivariant(edge: &str, stream: &str) -> (String, MasterPlaylist) {
    let answer = http::get_ok(&format!("{edge}/{stream}/index.m3u8"));
    let parsed = m3u8_rs::parse_master_playlist_res(&answer.body)
        .unwrap_or_else(|error| panic!("not a multivariant playlist ({error}): {}", answer.text()));
    (answer.text(), parsed)
}

/// Fetches and reads `/{stream}/{track}.m3u8`.
#[track_caller]
pub fn playlist(edge: &str, stream: &str, track: &str) -> Playlist {
    let answer = http::get_ok(&format!("{edge}/{stream}/{track}.m3u8"));
    read(edge, stream, &answer.body)
}

/// Reads a media playlist fetched from `edge`.
#[track_caller]
pub fn read(edge: &str, stream: &str, body: &[u8]) -> Playlist {
    let text = String::from_utf8_lossy(body).into_owned();
    let parsed = m3u8_rs::parse_media_playlist_res(body)
        .unwrap_or_else(|error| panic!("not a media playlist ({error}): {text}"));
    let absolute = |uri: &str| format!("{edge}/{stream}/{uri}");
    let map = parsed
        .segments
        .iter()
        .find_map(|segment| segment.map.as_ref());
    let init = map.unwrap_or_else(|| panic!("no EXT-X-MAP in {text}"));
    let run = init.uri.split('/').next().unwrap_or_default().to_owned();
    let segments: Vec<_> = parsed
        .segments
        .iter()
        .map(|segment| Listed {
            number: number_of(&segment.uri)
                .unwrap_or_else(|| panic!("{} has no number", segment.uri)),
            url: absolute(&segment.uri),
            seconds: segment.duration,
            discontinuity: segment.discontinuity,
        })
        .collect();
    for (index, segment) in segments.iter().enumerate() {
        assert_eq!(
            segment.number,
            parsed.media_sequence + index as u64,
            "numbers must be dense in {text}"
        );
    }
    let init_url = absolute(&init.uri);
    Playlist {
        text,
        parsed,
        run,
        init_url,
        segments,
    }
}

fn number_of(uri: &str) -> Option<u64> {
    uri.rsplit('/').next()?.strip_suffix(".m4s")?.parse().ok()
}

/// Segments of one track at one edge, collected as they appear.
#[derive(Debug)]
pub struct Collector {
    pub edge: String,
    stream: String,
    pub track: String,
    numbers: Range<u64>,
    pub run: String,
    pub init: Vec<u8>,
    pub segments: BTreeMap<u64, Vec<u8>>,
}

impl Collector {
    pub fn new(edge: &str, stream: &str, track: &str, numbers: Range<u64>) -> Self {
        Self {
            edge: edge.to_owned(),
            stream: stream.to_owned(),
            track: track.to_owned(),
            numbers,
            run: String::new(),
            init: Vec::new(),
            segments: BTreeMap::new(),
        }
    }

    /// What it collects, for messages.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.edge, self.stream, self.track)
    }

    /// What it was asked to collect.
    pub fn numbers(&self) -> Range<u64> {
        self.numbers.clone()
    }

    /// The segments, in order of their numbers.
    pub fn ordered(&self) -> Vec<Vec<u8>> {
        self.segments.values().cloned().collect()
    }

    #[track_caller]
    fn step(&mut self) {
        if self.is_complete() {
            return;
        }
        let playlist = playlist(&self.edge, &self.stream, &self.track);
        if self.init.is_empty() {
            self.run = playlist.run.clone();
            self.init = http::get_ok(&playlist.init_url).body;
        }
        assert_eq!(self.run, playlist.run, "{} changed its run", self.name());
        let oldest = playlist
            .segments
            .first()
            .map_or(0, |segment| segment.number);
        let wanted = self
            .numbers
            .clone()
            .find(|number| !self.segments.contains_key(number));
        assert!(
            wanted.is_none_or(|wanted| wanted >= oldest),
            "{} left the window behind",
            self.name()
        );
        for segment in &playlist.segments {
            if self.numbers.contains(&segment.number)
                && !self.segments.contains_key(&segment.number)
            {
                self.segments
                    .insert(segment.number, http::get_ok(&segment.url).body);
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.segments.len() as u64 == self.numbers.end - self.numbers.start
    }
}

/// Collects until every collector has its numbers.
#[track_caller]
pub fn collect(collectors: &mut [Collector], bound: Duration) {
    wait_until("all segments are collected", bound, || {
        collectors.iter_mut().for_each(Collector::step);
        collectors.iter().all(Collector::is_complete)
    });
}
