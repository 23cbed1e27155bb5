//! Frames: what HLS delivers at two edges decodes to exactly the pictures of the prepared asset, mapped through the
//! loop; over more than twenty loops every time continues the last one, sound stays within one AAC frame of the
//! picture, and no decoder has anything to say.

use std::ops::Range;
use std::time::Duration;

use banyan_media::{Kind, Timeline};
use banyan_tests::asset::Prepared;
use banyan_tests::chunks::{Chunk, chunks, defaults};
use banyan_tests::hls::{self, Collector};
use banyan_tests::overlay::find;
use banyan_tests::{Overlay, Stopwatch, ffmpeg, http};

/// Loops of `pulse` that must pass, and some.
const LOOPS: u64 = 21;
/// Segments of `bridge`: more than one loop of it.
const BRIDGE: u64 = 8;

#[test]
fn pictures_and_times_are_the_assets_over_many_loops() {
    let watch = Stopwatch::start("frames");
    let overlay = Overlay::from("tests/manifests/frames.yaml").up();
    watch.lap("ready");
    let edges = overlay.edges();
    assert_eq!(edges.len(), 2);

    let pulse = Channel::of(&overlay, "pulse");
    let bridge = Channel::of(&overlay, "bridge");
    assert_eq!(
        pulse.timeline().segments,
        2,
        "pulse must loop every two segments"
    );
    let pulse_numbers = pulse.next(&edges, "90p", LOOPS * u64::from(pulse.timeline().segments));
    let bridge_numbers = bridge.next(&edges, "720p", BRIDGE);
    assert!(
        BRIDGE > u64::from(bridge.timeline().segments),
        "bridge must cross a loop"
    );

    let mut collectors = Vec::new();
    for edge in &edges {
        for track in ["90p", "audio"] {
            collectors.push(Collector::new(edge, "pulse", track, pulse_numbers.clone()));
        }
        for track in ["720p", "360p", "audio"] {
            collectors.push(Collector::new(
                edge,
                "bridge",
                track,
                bridge_numbers.clone(),
            ));
        }
    }
    hls::collect(&mut collectors, Duration::from_secs(180));
    watch.lap("collected");

    let per_edge = collectors.len() / edges.len();
    for (index, collector) in collectors.iter().enumerate() {
        let twin = &collectors[index % per_edge];
        assert_eq!(
            collector.init,
            twin.init,
            "init of {} and {}",
            collector.name(),
            twin.name()
        );
        assert!(
            collector.segments == twin.segments,
            "segments of {} and {}",
            collector.name(),
            twin.name()
        );
    }
    for edge in collectors.chunks(per_edge) {
        let [video, audio, large, small, sound] = edge else {
            panic!("five tracks per edge")
        };
        pulse.assert_pictures(video, "90p");
        bridge.assert_pictures(large, "720p");
        bridge.assert_pictures(small, "360p");
        pulse.assert_times(video, Kind::Video);
        pulse.assert_times(audio, Kind::Audio);
        bridge.assert_times(large, Kind::Video);
        bridge.assert_times(small, Kind::Video);
        bridge.assert_times(sound, Kind::Audio);
        pulse.assert_sound(audio);
        bridge.assert_sound(sound);
        pulse.assert_together(video, audio);
        bridge.assert_together(large, sound);
    }
    watch.lap("decoded and compared");
}

/// A looped stream and the asset behind it.
struct Channel {
    name: &'static str,
    epoch: u64,
    run: String,
    prepared: Prepared,
}

impl Channel {
    fn of(overlay: &Overlay, name: &'static str) -> Self {
        let streams = http::get_ok(&format!("{}/api/streams", overlay.edges()[0])).json();
        let stream =
            find(&streams, "name", name).unwrap_or_else(|| panic!("{name} is not in {streams}"));
        let epoch = stream["epoch"]
            .as_u64()
            .expect("a stream must have an epoch");
        let run = stream["run"]
            .as_str()
            .expect("a stream must have a run")
            .to_owned();
        let prepared = overlay.asset(name, &run, epoch);
        Self {
            name,
            epoch,
            run,
            prepared,
        }
    }

    fn timeline(&self) -> &Timeline {
        self.prepared.timeline()
    }

    /// The next `count` numbers that no edge lists yet.
    fn next(&self, edges: &[String], track: &str, count: u64) -> Range<u64> {
        let head = edges
            .iter()
            .map(|edge| hls::playlist(edge, self.name, track).head())
            .max();
        let first = head.expect("there must be edges") + 1;
        first..first + count
    }

    fn assert_pictures(&self, collector: &Collector, track: &str) {
        let (name, timeline) = (collector.name(), self.timeline());
        assert_eq!(collector.run, self.run, "{name}: run");
        let truth: Vec<Vec<u8>> = (0..timeline.segments)
            .map(|local| self.prepared.segment(track, local))
            .collect();
        let truth = ffmpeg::decode(&self.prepared.init(track), &truth);
        let per_segment = timeline.frames_per_segment as usize;
        assert_eq!(
            truth.frames.len(),
            per_segment * timeline.segments as usize,
            "{name}: pictures of the asset"
        );
        assert!(
            truth.warnings.is_empty(),
            "{name}: the asset: {}",
            truth.warnings
        );
        let expected: Vec<&str> = collector
            .segments
            .keys()
            .flat_map(|number| {
                let local = timeline.locate(number - self.epoch).local as usize;
                &truth.frames[local * per_segment..(local + 1) * per_segment]
            })
            .map(|frame| frame.md5.as_str())
            .collect();

        let served = ffmpeg::decode(&collector.init, &collector.ordered());
        assert!(
            served.warnings.is_empty(),
            "{name}: decoder says: {}",
            served.warnings
        );
        assert_eq!(
            served.frames.len(),
            expected.len(),
            "{name}: number of pictures"
        );
        let differing = served
            .hashes()
            .iter()
            .zip(&expected)
            .position(|(served, asset)| served != asset);
        assert_eq!(
            differing, None,
            "{name}: first picture that differs from the asset"
        );
        let step = served.frames[0].duration;
        let uneven = served
            .frames
            .windows(2)
            .position(|pair| pair[1].pts - pair[0].pts != step);
        assert_eq!(
            uneven, None,
            "{name}: first picture after which time does not go on evenly"
        );
    }

    /// Every chunk begins where the last one ended, has the next ordinal, and lies where the timeline says.
    fn assert_times(&self, collector: &Collector, kind: Kind) {
        let (name, timeline) = (collector.name(), self.timeline());
        let facts = defaults(&collector.init);
        assert_eq!(
            facts.timescale,
            timeline.timescale(kind),
            "{name}: timescale"
        );
        let mut last: Option<Chunk> = None;
        for (number, segment) in &collector.segments {
            let timing = timeline.timing(kind, number - self.epoch);
            let found = chunks(segment, facts);
            assert_eq!(
                found[0].decode_time, timing.start,
                "{name}: tfdt of {number}"
            );
            let durations: Vec<u64> = found.iter().map(|chunk| chunk.duration).collect();
            let expected: Vec<u64> = timing.parts.iter().copied().map(u64::from).collect();
            assert_eq!(durations, expected, "{name}: parts of {number}");
            for chunk in found {
                if let Some(last) = last {
                    assert_eq!(
                        chunk.decode_time,
                        last.decode_time + last.duration,
                        "{name}: time breaks in {number}"
                    );
                    assert_eq!(
                        chunk.sequence,
                        last.sequence.wrapping_add(1),
                        "{name}: ordinal breaks in {number}"
                    );
                }
                last = Some(chunk);
            }
        }
    }

    /// As many samples are decoded as the timeline has.
    fn assert_sound(&self, collector: &Collector) {
        let name = collector.name();
        let decoded = ffmpeg::decode(&collector.init, &collector.ordered());
        assert!(
            decoded.warnings.is_empty(),
            "{name}: decoder says: {}",
            decoded.warnings
        );
        let samples: i64 = decoded.frames.iter().map(|frame| frame.duration).sum();
        let frames: u64 = collector
            .segments
            .keys()
            .map(|number| u64::from(self.timeline().audio(number - self.epoch).frames))
            .sum();
        assert_eq!(
            samples.unsigned_abs(),
            frames * AAC_FRAME,
            "{name}: samples decoded"
        );
        let uneven = decoded
            .frames
            .windows(2)
            .position(|pair| pair[1].pts - pair[0].pts != pair[0].duration);
        assert_eq!(
            uneven, None,
            "{name}: first frame after which sound does not go on evenly"
        );
    }

    /// Sound begins within one AAC frame of the picture, in every segment.
    fn assert_together(&self, video: &Collector, audio: &Collector) {
        let (picture, sound) = (defaults(&video.init), defaults(&audio.init));
        for (number, segment) in &video.segments {
            let at = |segment: &[u8], facts| i128::from(chunks(segment, facts)[0].decode_time);
            let video_at = at(segment, picture) * i128::from(sound.timescale);
            let audio_at = at(&audio.segments[number], sound) * i128::from(picture.timescale);
            let offset = (video_at - audio_at).abs();
            let bound = i128::from(AAC_FRAME) * i128::from(picture.timescale);
            assert!(
                offset <= bound,
                "{}: sound is {offset}/{bound} AAC frames off in {number}",
                audio.name()
            );
        }
    }
}

const AAC_FRAME: u64 = 1024;
