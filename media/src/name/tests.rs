//! Names that are accepted, names that are not, and the one spelling of each URL.

use proptest::prelude::*;

use super::*;

const RUN: &str = "abcdefg234";

fn resources() -> Vec<(&'static str, Resource)> {
    let (stream, track, run) = (
        || "harbour".to_owned(),
        || "720p".to_owned(),
        || RUN.to_owned(),
    );
    vec![
        (
            "/harbour/index.m3u8",
            Resource::Multivariant { stream: stream() },
        ),
        (
            "/harbour/manifest.mpd",
            Resource::Manifest { stream: stream() },
        ),
        ("/harbour/poster.jpg", Resource::Poster { stream: stream() }),
        (
            "/harbour/720p.m3u8",
            Resource::Playlist {
                stream: stream(),
                track: track(),
            },
        ),
        (
            "/harbour/abcdefg234/720p/init.mp4",
            Resource::Init {
                stream: stream(),
                run: run(),
                track: track(),
            },
        ),
        (
            "/harbour/abcdefg234/720p/1700000007.m4s",
            Resource::Segment {
                stream: stream(),
                run: run(),
                track: track(),
                number: 1_700_000_007,
            },
        ),
        (
            "/harbour/abcdefg234/720p/18446744073709551615.4294967295.m4s",
            Resource::Part {
                stream: stream(),
                run: run(),
                track: track(),
                number: u64::MAX,
                part: u32::MAX,
            },
        ),
        (
            "/harbour/abcdefg234/720p/0.0.m4s",
            Resource::Part {
                stream: stream(),
                run: run(),
                track: track(),
                number: 0,
                part: 0,
            },
        ),
    ]
}

#[test]
fn every_resource_has_one_path_that_reads_back_as_itself() {
    for (path, resource) in resources() {
        assert_eq!(Resource::parse(path).as_ref(), Ok(&resource), "{path}");
        assert_eq!(resource.to_string(), path);
        assert_eq!(resource.stream(), "harbour");
    }
}

#[test]
fn paths_that_name_nothing_are_not_found() {
    let paths = [
        "",
        "/",
        "harbour/index.m3u8",
        "/harbour",
        "/harbour/",
        "//index.m3u8",
        "/harbour//index.m3u8",
        "/harbour/index.m3u",
        "/harbour/index.M3U8",
        "/harbour/poster.png",
        "/harbour/720p",
        "/harbour/abcdefg234/720p",
        "/harbour/abcdefg234/720p/",
        "/harbour/abcdefg234/720p/7.mp4",
        "/harbour/abcdefg234/720p/7.m4s/",
        "/harbour/vod/720p/7.m4s",
        "/harbour/vod/abcdefg234/720p/7.m4s",
        "/api/member/x",
        "/api/index.m3u8",
        "/metrics/720p.m3u8",
        "/a/b/c/d/e/f",
    ];
    for path in paths {
        let error = Resource::parse(path).unwrap_err();
        assert!(
            error.is_not_found() || path.starts_with("//"),
            "{path}: {error}"
        );
    }
}

#[test]
fn paths_with_a_second_spelling_are_refused() {
    let rows = [
        (
            "/~key/harbour/index.m3u8",
            "path \"/~key/harbour/index.m3u8\" starts with the reserved prefix \"/~\": paths start with a stream's name",
        ),
        (
            "/harb%6fur/index.m3u8",
            "path \"/harb%6fur/index.m3u8\" holds a percent sign: names need no encoding and are accepted only as they are",
        ),
        (
            "/Harbour/index.m3u8",
            "stream name \"Harbour\" is not a DNS label: accepted are 1 to 50 characters a-z, 0-9 and -, neither first nor last a -",
        ),
        (
            "/harbour/7_20p.m3u8",
            "track name \"7_20p\" is not a DNS label: accepted are 1 to 50 characters a-z, 0-9 and -, neither first nor last a -",
        ),
        (
            "/harbour/abcdefg23/720p/7.m4s",
            "run \"abcdefg23\" is not a run id: accepted are 10 characters a-z and 2-7",
        ),
        (
            "/harbour/abcdefg231/720p/7.m4s",
            "run \"abcdefg231\" is not a run id: accepted are 10 characters a-z and 2-7",
        ),
        (
            "/harbour/ABCDEFG234/720p/init.mp4",
            "run \"ABCDEFG234\" is not a run id: accepted are 10 characters a-z and 2-7",
        ),
        (
            "/harbour/abcdefg234/index/init.mp4",
            "track name \"index\" is reserved: choose another than index",
        ),
        (
            "/harbour/abcdefg234/720p/07.m4s",
            "segment number \"07\" is not a number: accepted are decimal digits without sign or leading zero, at most 18446744073709551615",
        ),
        (
            "/harbour/abcdefg234/720p/7.01.m4s",
            "part \"01\" is not a number: accepted are decimal digits without sign or leading zero, at most 4294967295",
        ),
    ];
    for (path, sentence) in rows {
        assert_eq!(
            Resource::parse(path).unwrap_err().to_string(),
            sentence,
            "{path}"
        );
    }
    for number in [
        "",
        "+7",
        "-7",
        " 7",
        "7 ",
        "0x7",
        "٧",
        "18446744073709551616",
        "7.",
        ".7",
        "7.4294967296",
        "7.1.1",
        "00",
    ] {
        let path = format!("/harbour/{RUN}/720p/{number}.m4s");
        assert!(
            matches!(Resource::parse(&path), Err(NameError::Number { .. })),
            "{path}"
        );
    }
}

#[test]
fn stream_names_are_dns_labels_that_nothing_else_uses() {
    for good in ["a", "7", "big-buck-bunny", &"a".repeat(50)] {
        assert_eq!(check_stream_name(good), Ok(()));
    }
    for bad in [
        "",
        "-a",
        "a-",
        "A",
        "a.b",
        "a_b",
        "ä",
        "a b",
        "..",
        &"a".repeat(51),
    ] {
        assert!(
            matches!(check_stream_name(bad), Err(NameError::Label { .. })),
            "{bad}"
        );
    }
    for reserved in ["api", "healthz", "readyz", "metrics", "assets"] {
        let sentence = format!(
            "stream name \"{reserved}\" is reserved: choose another than api, healthz, readyz, metrics, assets"
        );
        assert_eq!(
            check_stream_name(reserved).unwrap_err().to_string(),
            sentence
        );
    }
}

#[test]
fn a_message_quotes_no_more_than_eighty_characters() {
    let sentence = check_stream_name(&"ü".repeat(10_000))
        .unwrap_err()
        .to_string();
    assert!(sentence.len() < 400, "{}", sentence.len());
}

#[test]
fn keys_and_runs_depend_on_every_input_and_on_nothing_else() {
    let key = |digest: u8, ladder: &str, packaging: &str, version: &str| {
        prepared_key(&[digest; 32], ladder, packaging, version)
    };
    let base = key(1, "720p", "2000", "1");
    assert_eq!(base, key(1, "720p", "2000", "1"));
    assert_eq!(base.len(), 64);
    // Fields do not run into each other.
    for other in [
        key(2, "720p", "2000", "1"),
        key(1, "720p2", "000", "1"),
        key(1, "720p", "20001", ""),
    ] {
        assert_ne!(base, other);
    }
    let run = run_id("harbour", &base, 1_700_000_000);
    assert_eq!(check_run(&run), Ok(()));
    for other in [
        run_id("harbours", &base, 1_700_000_000),
        run_id("harbour", &base, 1_700_000_001),
        run_id("harbour", "", 1_700_000_000),
    ] {
        assert_ne!(run, other);
    }
}

#[test]
fn keys_and_runs_stay_what_they_were() {
    // Origins of different builds must agree; a change here orphans every prepared cache.
    let key = prepared_key(&[7; 32], "720p", "cmaf segment=2000ms part=333ms", "1");
    assert_eq!(
        key,
        "16706489d270d41af34d4efacb0666246275cd1895129b527fa6c235b530d1ba"
    );
    assert_eq!(run_id("harbour", &key, 1_700_000_000), "teu6aixccy");
}

proptest! {
    #[test]
    fn whatever_parses_was_spelt_the_only_way(path in "(/[a-z0-9~%.-]{0,12}){0,6}") {
        if let Ok(resource) = Resource::parse(&path) {
            prop_assert_eq!(resource.to_string(), path);
        }
    }

    #[test]
    fn any_position_survives_its_url(
        stream in "[a-z]([a-z0-9-]{0,48}[a-z0-9])?", track in "[a-z0-9]{1,20}p", run in "[a-z2-7]{10}",
        number in any::<u64>(), part in any::<u32>(),
    ) {
        prop_assume!(check_stream_name(&stream).is_ok());
        let resource = Resource::Part { stream, run, track, number, part };
        prop_assert_eq!(Resource::parse(&resource.to_string()), Ok(resource));
    }

    #[test]
    fn arbitrary_text_never_panics(path in any::<String>(), slashed in "(/\\PC{0,6}){0,7}") {
        let _ = Resource::parse(&path);
        let _ = Resource::parse(&slashed);
    }
}
