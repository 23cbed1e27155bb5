//! Prepared assets on disk, the truth that everything served is compared with.

use std::fs;
use std::path::{Path, PathBuf};

use banyan_media::asset::{Asset, AssetTrack};
use banyan_media::name::run_id;
use banyan_media::timeline::Timeline;

/// A prepared asset and where it lies.
pub struct Prepared {
    pub folder: PathBuf,
    pub asset: Asset,
}

impl Prepared {
    pub fn timeline(&self) -> &Timeline {
        &self.asset.timeline
    }

    #[track_caller]
    pub fn track(&self, name: &str) -> &AssetTrack {
        self.asset
            .tracks
            .iter()
            .find(|track| track.name == name)
            .unwrap_or_else(|| panic!("{} has no track {name}", self.folder.display()))
    }

    #[track_caller]
    pub fn init(&self, track: &str) -> Vec<u8> {
        read(&self.folder.join(track).join("init.mp4"))
    }

    /// A segment as prepared, with the times of loop 0.
    #[track_caller]
    pub fn segment(&self, track: &str, local: u32) -> Vec<u8> {
        read(&self.folder.join(track).join(format!("{local}.m4s")))
    }
}

/// The asset whose run is `run`, once it is prepared to its end.
pub fn find(cache: &Path, stream: &str, run: &str, epoch: u64) -> Option<Prepared> {
    all(cache)
        .into_iter()
        .find(|prepared| run_id(stream, &prepared.asset.key, epoch) == run)
}

/// Every asset below a cache folder.
pub fn all(cache: &Path) -> Vec<Prepared> {
    let mut found = Vec::new();
    for file in files(cache)
        .into_iter()
        .filter(|file| file.ends_with("asset.json"))
    {
        let asset = serde_json::from_slice(&read(&file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let folder = file
            .parent()
            .expect("a file must lie in a folder")
            .to_owned();
        found.push(Prepared { folder, asset });
    }
    found
}

/// All files below a folder; those that vanish meanwhile are left out.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
