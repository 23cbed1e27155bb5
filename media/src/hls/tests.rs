//! Playlists as text, as m3u8-rs reads them, and as a window sliding over positions.

use m3u8_rs::{AlternativeMediaType, parse_master_playlist_res, parse_media_playlist_res};

use super::*;
use crate::{Packaging, Timeline};

fn video(name: &str, peak_bandwidth: u64, height: u32) -> TrackInfo {
    TrackInfo {
        name: name.into(),
        kind: Kind::Video,
        codec: "avc1.64001f".into(),
        width: height * 16 / 9,
        height,
        frame_rate: Some(FrameRate {
            num: 30000,
            den: 1001,
        }),
        peak_bandwidth,
        average_bandwidth: peak_bandwidth / 2,
        channels: 0,
        language: None,
    }
}

fn audio(name: &str, peak_bandwidth: u64) -> TrackInfo {
    TrackInfo {
        name: name.into(),
        kind: Kind::Audio,
        codec: "mp4a.40.2".into(),
        width: 0,
        height: 0,
        frame_rate: None,
        peak_bandwidth,
        average_bandwidth: peak_bandwidth / 2,
        channels: 2,
        language: Some("pt".into()),
    }
}

fn entry(number: u64, run: &str, start: u64) -> SegmentEntry {
    SegmentEntry {
        number,
        run: run.into(),
        start,
        duration: 50,
        discontinuity_sequence: 0,
        gap: false,
    }
}

fn playlist(segments: &[SegmentEntry]) -> MediaPlaylist<'_> {
    MediaPlaylist {
        track: "720p",
        epoch: 1_700_000_000,
        timescale: 25,
        target_duration_ms: 2006,
        segments,
        ended: false,
    }
}

#[test]
fn a_stream_with_audio_is_written_lowest_rendition_first() {
    let text = multivariant(&[
        video("720p", 2_400_000, 720),
        audio("audio", 130_000),
        video("360p", 800_000, 360),
    ]);
    let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",LANGUAGE=\"pt\",DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio.m3u8\"
#EXT-X-STREAM-INF:BANDWIDTH=930000,AVERAGE-BANDWIDTH=465000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=640x360,FRAME-RATE=29.970,AUDIO=\"audio\"
360p.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2530000,AVERAGE-BANDWIDTH=1265000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO=\"audio\"
720p.m3u8
";
    assert_eq!(text, expected);
    let parsed = parse_master_playlist_res(text.as_bytes()).unwrap();
    assert!(parsed.independent_segments);
    assert_eq!(parsed.variants.len(), 2);
    assert_eq!(parsed.variants[1].bandwidth, 2_530_000);
    assert_eq!(parsed.variants[1].audio.as_deref(), Some("audio"));
    assert_eq!(
        parsed.variants[0]
            .resolution
            .map(|size| (size.width, size.height)),
        Some((640, 360))
    );
    assert_eq!(
        parsed.alternatives[0].media_type,
        AlternativeMediaType::Audio
    );
    assert!(parsed.alternatives[0].default && parsed.alternatives[0].autoselect);
}

#[test]
fn the_order_of_video_tracks_does_not_change_the_text() {
    let (a, b, c) = (
        video("720p", 2_400_000, 720),
        video("360p", 800_000, 360),
        video("361p", 800_000, 360),
    );
    let text = multivariant(&[a.clone(), b.clone(), c.clone()]);
    assert_eq!(text, multivariant(&[c, b, a]));
}

#[test]
fn a_stream_of_one_kind_is_a_valid_playlist() {
    let mute = parse_master_playlist_res(multivariant(&[video("720p", 1_000_000, 720)]).as_bytes())
        .unwrap();
    assert!(mute.alternatives.is_empty());
    assert_eq!(
        (mute.variants.len(), mute.variants[0].audio.as_deref()),
        (1, None)
    );
    assert_eq!(mute.variants[0].codecs.as_deref(), Some("avc1.64001f"));
    let text = multivariant(&[audio("audio", 130_000)]);
    let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=130000,AVERAGE-BANDWIDTH=65000,CODECS=\"mp4a.40.2\"
audio.m3u8
";
    assert_eq!(text, expected);
    assert_eq!(
        parse_master_playlist_res(text.as_bytes())
            .unwrap()
            .variants
            .len(),
        1
    );
}

#[test]
fn a_quote_in_a_language_cannot_end_its_attribute() {
    let forged = TrackInfo {
        language: Some("x\"\n#EXT-X-ENDLIST".into()),
        ..audio("audio", 1)
    };
    let text = multivariant(&[video("720p", 1, 720), forged]);
    assert!(text.contains("LANGUAGE=\"x#EXT-X-ENDLIST\""), "{text}");
}

#[test]
fn a_window_is_written_with_its_dates_runs_and_gaps() {
    let mut segments = [
        entry(1_700_000_100, "aaaaaaaaaa", 5000),
        entry(1_700_000_101, "aaaaaaaaaa", 5050),
        entry(1_700_000_102, "bbbbbbbbbb", 5100),
    ];
    segments[1].gap = true;
    segments[2].discontinuity_sequence = 1;
    let text = playlist(&segments).write();
    let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:1700000100
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"aaaaaaaaaa/720p/init.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:16:40.000Z
#EXTINF:2.000000,
aaaaaaaaaa/720p/1700000100.m4s
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:16:42.000Z
#EXTINF:2.000000,
#EXT-X-GAP
aaaaaaaaaa/720p/1700000101.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI=\"bbbbbbbbbb/720p/init.mp4\"
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:16:44.000Z
#EXTINF:2.000000,
bbbbbbbbbb/720p/1700000102.m4s
";
    assert_eq!(text, expected);
    let parsed = parse_media_playlist_res(text.as_bytes()).unwrap();
    assert_eq!(
        (parsed.target_duration, parsed.media_sequence),
        (2, 1_700_000_100)
    );
    assert!(!parsed.end_list);
    assert_eq!(
        parsed.segments[2].map.as_ref().map(|map| map.uri.as_str()),
        Some("bbbbbbbbbb/720p/init.mp4")
    );
    let discontinuities: Vec<bool> = parsed
        .segments
        .iter()
        .map(|segment| segment.discontinuity)
        .collect();
    assert_eq!(discontinuities, [false, false, true]);
    let ended = MediaPlaylist {
        ended: true,
        ..playlist(&segments)
    }
    .write();
    assert_eq!(ended, format!("{expected}#EXT-X-ENDLIST\n"));
}

#[test]
fn a_segment_keeps_its_number_and_its_discontinuity_while_the_window_slides() {
    let segments: Vec<SegmentEntry> = (0..12)
        .map(|index: u64| SegmentEntry {
            discontinuity_sequence: u64::from(index >= 5) + u64::from(index >= 9) * 2,
            ..entry(
                100 + index,
                ["a", "b", "c"][(index >= 5) as usize + (index >= 9) as usize],
                index * 50,
            )
        })
        .collect();
    for window in segments.windows(6) {
        let parsed = parse_media_playlist_res(playlist(window).write().as_bytes()).unwrap();
        assert_eq!(parsed.media_sequence, window[0].number);
        assert_eq!(
            parsed.discontinuity_sequence,
            window[0].discontinuity_sequence
        );
        assert!(parsed.segments[0].map.is_some() && !parsed.segments[0].discontinuity);
        let tags = playlist(window)
            .write()
            .matches("#EXT-X-DISCONTINUITY\n")
            .count() as u64;
        assert_eq!(
            tags,
            window[5].discontinuity_sequence - window[0].discontinuity_sequence
        );
        for (segment, listed) in window.iter().zip(&parsed.segments) {
            assert_eq!(
                listed.uri,
                format!("{}/720p/{}.m4s", segment.run, segment.number)
            );
        }
    }
}

#[test]
fn a_number_missing_within_a_run_is_listed_as_a_gap() {
    let segments = [entry(7, "a", 0), entry(7, "a", 0), entry(10, "a", 150)];
    let text = playlist(&segments).write();
    let parsed = parse_media_playlist_res(text.as_bytes()).unwrap();
    let uris: Vec<&str> = parsed
        .segments
        .iter()
        .map(|segment| segment.uri.as_str())
        .collect();
    assert_eq!(
        uris,
        [
            "a/720p/7.m4s",
            "a/720p/8.m4s",
            "a/720p/9.m4s",
            "a/720p/10.m4s"
        ]
    );
    assert_eq!(text.matches("#EXTINF:2.000000,").count(), 4);
    assert_eq!(text.matches("#EXT-X-GAP\n").count(), 2);
}

#[test]
fn dates_and_durations_of_a_long_channel_are_exact() {
    let packaging = Packaging {
        segment_ms: 2000,
        part_ms: 333,
        window_segments: 6,
    };
    let rate = FrameRate {
        num: 30000,
        den: 1001,
    };
    let timeline = Timeline::choose(rate, 600, &packaging, Some(44_100)).unwrap();
    // 60 frames of 1001/30000 s: ten years later the sum is still exact.
    let n = 157_000_000;
    let timing = timeline.video(n);
    let mut segment = entry(1_700_000_000 + n, "a", timing.start);
    segment.duration = timing.duration;
    let text = MediaPlaylist {
        timescale: timing.timescale,
        ..playlist(std::slice::from_ref(&segment))
    }
    .write();
    assert!(text.contains("#EXTINF:2.002000,\n"), "{text}");
    // 157 000 000 · 2.002 s = 314 314 000 s.
    assert!(
        text.contains("#EXT-X-PROGRAM-DATE-TIME:2033-10-30T19:40:00.000Z\n"),
        "{text}"
    );
    let audio = timeline.audio(1).timing;
    let mut segment = entry(1_700_000_001, "a", audio.start);
    segment.duration = audio.duration;
    let text = MediaPlaylist {
        timescale: 44_100,
        ..playlist(std::slice::from_ref(&segment))
    }
    .write();
    // Frames 87 to 172: 89 088 samples in, 86 frames long.
    assert!(
        text.contains("T22:13:22.020Z\n#EXTINF:1.996916,\n"),
        "{text}"
    );
}

#[test]
fn an_empty_window_and_absurd_numbers_are_still_playlists() {
    let text = playlist(&[]).write();
    let expected = "#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
";
    assert_eq!(text, expected);
    let mut last = entry(u64::MAX, "a", u64::MAX);
    (last.duration, last.discontinuity_sequence) = (u64::MAX, u64::MAX);
    let segments = [entry(1, "a", 0), entry(3, "a", u64::MAX), last];
    let text = MediaPlaylist {
        epoch: u64::MAX,
        timescale: 0,
        ..playlist(&segments)
    }
    .write();
    assert!(text.lines().count() < 100, "{text}");
}

#[test]
fn the_target_duration_covers_every_listed_segment() {
    let mut long = entry(7, "a", 0);
    long.duration = 80;
    assert!(
        playlist(&[long])
            .write()
            .contains("#EXT-X-TARGETDURATION:3\n")
    );
}

#[test]
fn a_steered_playlist_lists_every_variant_once_for_each_edge() {
    let tracks = [
        video("720p", 3_000_000, 720),
        video("360p", 800_000, 360),
        audio("audio", 130_000),
    ];
    let pathway = |name: &str, base: &str| Pathway {
        name: name.into(),
        base: base.into(),
    };
    let pathways = [
        pathway("edge-1", ""),
        pathway("edge-2", "http://10.0.0.2:80/kites/"),
    ];
    let text = steered(&tracks, "/api/steering", &pathways);
    let steering = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/api/steering\",PATHWAY-ID=\"edge-1\"";
    assert!(text.lines().any(|line| line == steering), "{text}");
    let uris: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        uris,
        [
            "360p.m3u8",
            "720p.m3u8",
            "http://10.0.0.2:80/kites/360p.m3u8",
            "http://10.0.0.2:80/kites/720p.m3u8"
        ]
    );
    for (group, id, base) in [
        ("audio", "edge-1", ""),
        ("audio-edge-2", "edge-2", "http://10.0.0.2:80/kites/"),
    ] {
        let variants = text.lines().filter(|line| {
            line.contains(&format!("AUDIO=\"{group}\""))
                && line.ends_with(&format!("PATHWAY-ID=\"{id}\""))
        });
        assert_eq!(variants.count(), 2, "{text}");
        assert!(text.contains(&format!("GROUP-ID=\"{group}\"")), "{text}");
        assert!(
            text.contains(&format!(",URI=\"{base}audio.m3u8\"")),
            "{text}"
        );
    }
    let parsed = parse_master_playlist_res(text.as_bytes()).unwrap();
    assert_eq!(parsed.variants.len(), 4);
    // Without the marks of pathways, its first part is what everybody gets.
    let own: String = text
        .lines()
        .filter(|line| !line.contains("CONTENT-STEERING"))
        .filter(|line| !line.contains("10.0.0.2") && !line.contains("edge-2"))
        .map(|line| line.replace(",PATHWAY-ID=\"edge-1\"", "") + "\n")
        .collect();
    assert_eq!(own, multivariant(&tracks));
}

#[test]
fn a_steering_manifest_is_what_players_read() {
    let text = steering_manifest(&["edge-2", "edge-1"], "/api/steering", 5);
    assert_eq!(
        text,
        "{\"VERSION\":1,\"TTL\":5,\"RELOAD-URI\":\"/api/steering\",\"PATHWAY-PRIORITY\":[\"edge-2\",\"edge-1\"]}\n"
    );
}
