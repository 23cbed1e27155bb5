//! A prepared asset on disk: init segments, whole segments, their hashes, the poster and, once complete, `asset.json`.
//!
//! Layout: `<cache>/<key>/asset.json`, `<key>/poster.jpg`, `<key>/<track>/init.mp4`, `<track>/<local>.m4s`,
//! `<track>/<local>.long.m4s` (audio's last), `<track>/segments.log`. A file appears whole (written beside, then renamed); the
//! log names each with its size and SHA-256, and only what the log names is believed. So a `kill -9` at any moment costs the
//! segments in work and nothing else.

mod log;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use banyan_media::{Asset, Variant};
use sha2::{Digest, Sha256};

pub(crate) use self::log::Entry;

/// One asset's folder.
#[derive(Debug)]
pub(crate) struct Store {
    key: String,
    folder: PathBuf,
    tracks: BTreeMap<String, Mutex<Entries>>,
}

/// What a track's log and files agree on.
type Entries = BTreeMap<(u32, Long), Entry>;

/// Whether a segment is audio's long variant of the last one.
pub(crate) type Long = bool;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("cannot write {path:?}: {}", reason(.source))]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path:?}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("segment {local} of track {track:?} is not prepared")]
    Absent { track: String, local: u32 },
    #[error("{path:?} does not hold what was prepared: its SHA-256 differs")]
    Damaged { path: PathBuf },
}

fn reason(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::StorageFull => {
            "no space is left on the cache's disk; accepted: a cache with free space".to_owned()
        }
        io::ErrorKind::QuotaExceeded => {
            "the cache's disk quota is used up; accepted: a cache with free space".to_owned()
        }
        _ => source.to_string(),
    }
}

impl Store {
    /// Opens (or makes) the folder of asset `key` below `cache` and believes what its logs and files agree on.
    pub(crate) fn open(
        cache: &Path,
        key: &str,
        tracks: impl IntoIterator<Item = String>,
    ) -> Result<Self, Error> {
        let folder = cache.join(key);
        let mut found = BTreeMap::new();
        for track in tracks {
            let path = folder.join(&track);
            fs::create_dir_all(&path).map_err(|source| Error::Write {
                path: path.clone(),
                source,
            })?;
            remove_leftovers(&path);
            let text = read_log(&path.join(LOG));
            let entries = log::parse(&text)
                .filter(|entry| {
                    fs::metadata(path.join(file_name(entry.local, entry.long)))
                        .is_ok_and(|facts| facts.len() == entry.bytes)
                })
                .map(|entry| ((entry.local, entry.long), entry))
                .collect();
            found.insert(track, Mutex::new(entries));
        }
        remove_leftovers(&folder);
        Ok(Self {
            key: key.to_owned(),
            folder,
            tracks: found,
        })
    }

    /// The asset's prepared key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    pub(crate) fn has(&self, track: &str, local: u32, long: Long) -> bool {
        self.entry(track, local, long).is_some()
    }

    pub(crate) fn entry(&self, track: &str, local: u32, long: Long) -> Option<Entry> {
        let entries = self
            .tracks
            .get(track)?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        entries.get(&(local, long)).cloned()
    }

    /// Files prepared of a track.
    pub(crate) fn count(&self, track: &str) -> usize {
        self.tracks.get(track).map_or(0, |t| {
            t.lock().unwrap_or_else(PoisonError::into_inner).len()
        })
    }

    /// Largest and total size of a track's segments.
    pub(crate) fn sizes(&self, track: &str) -> (u64, u64) {
        let Some(entries) = self.tracks.get(track) else {
            return (0, 0);
        };
        let entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        let short = entries.values().filter(|e| !e.long).map(|e| e.bytes);
        (
            entries.values().map(|e| e.bytes).max().unwrap_or(0),
            short.sum(),
        )
    }

    /// Stores one segment: file first, then its line in the log.
    pub(crate) fn put(
        &self,
        track: &str,
        local: u32,
        long: Long,
        data: &[u8],
    ) -> Result<(), Error> {
        let folder = self.folder.join(track);
        write_whole(&folder.join(file_name(local, long)), data)?;
        let entry = Entry {
            local,
            long,
            bytes: data.len() as u64,
            sha256: Sha256::digest(data).into(),
        };
        let Some(entries) = self.tracks.get(track) else {
            return Ok(());
        };
        // The lock is held over the append, so that lines never mix.
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        let path = folder.join(LOG);
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(entry.line().as_bytes()))
            .map_err(|source| Error::Write { path, source })?;
        entries.insert((local, long), entry);
        Ok(())
    }

    /// Reads a segment and checks it against its hash; a damaged one is forgotten, so that it is prepared anew.
    pub(crate) fn get(&self, track: &str, local: u32, variant: Variant) -> Result<Vec<u8>, Error> {
        let long = variant == Variant::Long;
        let entry = self
            .entry(track, local, long)
            .ok_or_else(|| Error::Absent {
                track: track.to_owned(),
                local,
            })?;
        let path = self.folder.join(track).join(file_name(local, long));
        let data = fs::read(&path).map_err(|source| Error::Read {
            path: path.clone(),
            source,
        });
        match data {
            Ok(data) if Sha256::digest(&data)[..] == entry.sha256 => Ok(data),
            other => {
                if let Some(entries) = self.tracks.get(track) {
                    entries
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&(local, long));
                }
                let _ = fs::remove_file(&path);
                other.and(Err(Error::Damaged { path }))
            }
        }
    }

    pub(crate) fn init(&self, track: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.join(track).join("init.mp4"))
            .ok()
            .filter(|data| !data.is_empty())
    }

    /// Keeps the init segment at `data`. Segments made for another one do not fit and are forgotten.
    pub(crate) fn renew_init(&self, track: &str, data: &[u8]) -> Result<(), Error> {
        if self.init(track).as_deref() == Some(data) {
            return Ok(());
        }
        if let Some(entries) = self.tracks.get(track) {
            entries
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clear();
            let _ = fs::remove_file(self.folder.join(track).join(LOG));
        }
        self.put_init(track, data)
    }

    fn put_init(&self, track: &str, data: &[u8]) -> Result<(), Error> {
        write_whole(&self.folder.join(track).join("init.mp4"), data)
    }

    pub(crate) fn poster(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.join("poster.jpg"))
            .ok()
            .filter(|data| data.len() <= POSTER_LIMIT)
    }

    pub(crate) fn put_poster(&self, data: &[u8]) -> Result<(), Error> {
        write_whole(&self.folder.join("poster.jpg"), data)
    }

    /// The descriptor, present once all is prepared.
    pub(crate) fn asset(&self) -> Option<Asset> {
        serde_json::from_slice(&fs::read(self.folder.join("asset.json")).ok()?).ok()
    }

    pub(crate) fn put_asset(&self, asset: &Asset) -> Result<(), Error> {
        let path = self.folder.join("asset.json");
        let text = serde_json::to_vec_pretty(asset).map_err(|e| Error::Write {
            path: path.clone(),
            source: io::Error::other(e),
        })?;
        write_whole(&path, &text)
    }
}

fn file_name(local: u32, long: Long) -> String {
    if long {
        format!("{local}.long.m4s")
    } else {
        format!("{local}.m4s")
    }
}

/// A log, or as much of it as any log has; what stands in its place may be endless.
fn read_log(path: &Path) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(LOG_LIMIT).read_to_end(&mut text);
    }
    text
}

/// Writes beside and renames; what could not be written is removed again.
fn write_whole(path: &Path, data: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension("tmp");
    let written = fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(data))
        .and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        Error::Write {
            path: path.to_owned(),
            source,
        }
    })
}

/// A killed process may leave temporary files; nobody else writes here (the cache belongs to one server).
fn remove_leftovers(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.path().extension().is_some_and(|e| e == "tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

const LOG: &str = "segments.log";
/// Lines of a day in one-second segments take a tenth of this.
const LOG_LIMIT: u64 = 64 << 20;
/// What an Offer may carry.
pub(crate) const POSTER_LIMIT: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(cache: &Path) -> Store {
        Store::open(cache, "key", ["v".to_owned(), "audio".to_owned()]).unwrap()
    }

    #[test]
    fn only_whole_logged_segments_are_believed_after_a_restart() {
        let cache = tempfile::tempdir().unwrap();
        let store = open(cache.path());
        store.put("v", 0, false, b"zero").unwrap();
        store.put("v", 1, false, b"one").unwrap();
        store.put("audio", 1, true, b"long").unwrap();
        let track = cache.path().join("key/v");
        fs::write(track.join("2.m4s"), b"unlogged").unwrap();
        fs::write(track.join("3.tmp"), b"half").unwrap();
        fs::write(track.join("1.m4s"), b"cut").unwrap();
        fs::write(track.join("1.m4s"), b"cu").unwrap();
        let store = open(cache.path());
        assert!(store.has("v", 0, false) && store.has("audio", 1, true));
        assert!(
            !store.has("v", 1, false) && !store.has("v", 2, false) && !store.has("audio", 1, false)
        );
        assert!(!track.join("3.tmp").exists());
        assert_eq!(store.get("v", 0, Variant::Short).unwrap(), b"zero");
    }

    #[test]
    fn a_damaged_segment_is_refused_and_forgotten() {
        let cache = tempfile::tempdir().unwrap();
        let store = open(cache.path());
        store.put("v", 0, false, b"zero").unwrap();
        fs::write(cache.path().join("key/v/0.m4s"), b"zer0").unwrap();
        assert!(matches!(
            store.get("v", 0, Variant::Short),
            Err(Error::Damaged { .. })
        ));
        assert!(!store.has("v", 0, false));
        assert!(matches!(
            store.get("v", 0, Variant::Short),
            Err(Error::Absent { .. })
        ));
    }

    #[test]
    fn a_damaged_descriptor_is_no_descriptor() {
        let cache = tempfile::tempdir().unwrap();
        let store = open(cache.path());
        for text in ["", "{", "null", "{\"key\":1}"] {
            fs::write(cache.path().join("key/asset.json"), text).unwrap();
            assert!(store.asset().is_none(), "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_nothing_behind() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let error = Error::Write {
            path: "/cache/0.m4s".into(),
            source: full,
        };
        assert!(error.to_string().contains("no space is left"), "{error}");
        // /dev/full answers every write with ENOSPC.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("0.m4s");
        std::os::unix::fs::symlink("/dev/full", path.with_extension("tmp")).unwrap();
        let error = write_whole(&path, &[0; 100_000]).unwrap_err();
        assert!(error.to_string().contains("no space is left"), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
