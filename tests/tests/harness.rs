//! The judges judged: what the end-to-end tests rely on must refuse what it is there to refuse.

use std::panic::catch_unwind;
use std::time::Duration;

use banyan_media::boxes::{Sample, write_chunk};
use banyan_tests::chunks::{Defaults, chunks};
use banyan_tests::process::{is_alive, tagged};
use banyan_tests::record::{Counts, assert_exactly_once, assert_gapless, links, whole_numbers};
use banyan_tests::{hls, wait, wait_until};

#[test]
fn a_position_that_came_twice_or_never_is_refused() {
    let whole: Counts = (10..14)
        .flat_map(|number| (0..3).map(move |part| ((number, part), 1)))
        .collect();
    assert_exactly_once("a whole range", &whole, 10..14, 3);
    assert_eq!(whole_numbers(&whole, 3).len(), 4);

    let mut twice = whole.clone();
    twice.insert((11, 2), 2);
    let mut missing = whole.clone();
    missing.remove(&(12, 0));
    let mut extra = whole.clone();
    extra.insert((13, 3), 1);
    for (what, counts) in [("twice", twice), ("missing", missing), ("extra", extra)] {
        let judged = catch_unwind(|| assert_exactly_once(what, &counts, 10..14, 3));
        assert!(judged.is_err(), "{what} must be refused");
    }
}

#[test]
fn a_hole_in_what_a_member_received_is_refused() {
    // From the middle of a segment to the middle of another.
    let mut counts: Counts = [
        ((5, 2), 1),
        ((6, 0), 1),
        ((6, 1), 1),
        ((6, 2), 1),
        ((7, 0), 1),
    ]
    .into();
    assert_gapless("a member", &counts);
    counts.insert((6, 1), 2);
    assert!(
        catch_unwind(|| assert_gapless("a member", &counts)).is_err(),
        "a repeat must be refused"
    );
    counts.remove(&(6, 1));
    assert!(
        catch_unwind(|| assert_gapless("a member", &counts)).is_err(),
        "a hole must be refused"
    );
}

#[test]
fn records_are_read_up_to_the_last_whole_line() {
    let folder = tempfile::tempdir().expect("a temporary folder must be creatable");
    let header = "unix_ms,from,to,stream,track,run,number,part,bytes,kind\n";
    let rows = "5,root-7,edge-9,clock,audio,abc,7,2,10,live\n6,root-7,edge-9,clock,audio,abc,8,0,11,fetch\n7,root";
    let file = folder.path().join("edge-9.links.csv");
    std::fs::write(&file, format!("{header}{rows}")).expect("a file must be writable");
    let read = links(folder.path());
    assert_eq!(read.len(), 2);
    assert!(read[0].live && !read[1].live && read[1].number == 8);
    std::fs::write(&file, "unix_ms,from\n").expect("a file must be writable");
    assert!(
        catch_unwind(|| links(folder.path())).is_err(),
        "another header must be refused"
    );
}

#[test]
fn chunks_are_read_by_a_parser_that_is_not_ours() {
    let sample = Sample {
        size: 4,
        duration: 40,
        composition_offset: 0,
        sync: true,
    };
    let chunk = write_chunk(9, 1, 1 << 40, &[sample, sample], &[b"abcd", b"efgh"]);
    let read = chunks(
        &chunk,
        Defaults {
            timescale: 1000,
            sample_duration: 0,
        },
    );
    assert_eq!(read.len(), 1);
    assert_eq!(
        (
            read[0].sequence,
            read[0].decode_time,
            read[0].duration,
            read[0].samples
        ),
        (9, 1 << 40, 80, 2)
    );
    let cut = catch_unwind(|| {
        chunks(
            &chunk[..chunk.len() - 1],
            Defaults {
                timescale: 1000,
                sample_duration: 0,
            },
        )
    });
    assert!(cut.is_err(), "a box cut short must be refused");
}

#[test]
fn a_playlist_with_a_hole_in_its_numbers_is_refused() {
    let playlist = |second: u64| {
        format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1700000001\n\
             #EXT-X-MAP:URI=\"abc/90p/init.mp4\"\n#EXTINF:1.0,\nabc/90p/1700000001.m4s\n#EXTINF:1.0,\nabc/90p/{second}.m4s\n"
        )
    };
    let read = hls::read(
        "http://127.0.0.1:1",
        "clock",
        playlist(1_700_000_002).as_bytes(),
    );
    assert_eq!((read.head(), read.run.as_str()), (1_700_000_002, "abc"));
    assert_eq!(
        read.segments[0].url,
        "http://127.0.0.1:1/clock/abc/90p/1700000001.m4s"
    );
    let holed = catch_unwind(|| {
        hls::read(
            "http://127.0.0.1:1",
            "clock",
            playlist(1_700_000_003).as_bytes(),
        )
    });
    assert!(holed.is_err(), "a hole must be refused");
}

#[test]
fn waiting_ends_with_the_condition_or_its_bound() {
    let mut polls = 0;
    wait_until("the third poll", Duration::from_secs(5), || {
        polls += 1;
        polls == 3
    });
    assert_eq!(wait::poll(Duration::from_millis(60), || None::<()>), None);
    assert!(catch_unwind(|| wait_until("never", Duration::from_millis(60), || false)).is_err());
}

#[test]
fn a_run_is_known_by_the_tag_of_its_processes() {
    let tag = format!("harness-{}", std::process::id());
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .env(banyan_tests::process::TAG, &tag)
        .spawn()
        .expect("sleep must start");
    let pid = i32::try_from(child.id()).expect("a process id must fit 31 bits");
    wait_until("the child shows its tag", Duration::from_secs(5), || {
        tagged(&tag).iter().any(|found| found.pid == pid)
    });
    assert!(is_alive(pid));
    child.kill().expect("a child must be killable");
    wait_until("a dead child is no process", Duration::from_secs(5), || {
        tagged(&tag).is_empty() && !is_alive(pid)
    });
    child.wait().expect("a child must be waitable");
}
