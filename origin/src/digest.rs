//! BLAKE3 of a source's bytes, remembered by (path, size, mtime, inode) so that a restart does not read the file again.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Digest of the file at `path`; `cache` is the folder for remembered ones.
pub(crate) fn of_file(path: &Path, cache: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let facts = file.metadata()?;
    let identity = format!(
        "{}\0{}\0{}.{}\0{}.{}",
        path.display(),
        facts.len(),
        facts.mtime(),
        facts.mtime_nsec(),
        facts.dev(),
        facts.ino()
    );
    let remembered = cache.join(blake3::hash(identity.as_bytes()).to_hex().as_str());
    if let Some(digest) = std::fs::read_to_string(&remembered)
        .ok()
        .and_then(|text| parse(&text))
    {
        return Ok(digest);
    }
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        };
    }
    let digest = *hasher.finalize().as_bytes();
    // Forgetting is harmless: the next start reads the file again.
    let _ = std::fs::create_dir_all(cache);
    let temporary = remembered.with_extension("tmp");
    if std::fs::write(&temporary, blake3::Hash::from(digest).to_hex().as_str()).is_ok() {
        let _ = std::fs::rename(&temporary, &remembered);
    }
    Ok(digest)
}

/// Digest of a generated source: everything that decides its pictures and sound, and nothing about this server.
pub(crate) fn of_test(
    name: &str,
    kind: &str,
    duration_ms: u64,
    width: u32,
    height: u32,
) -> [u8; 32] {
    let text = format!("banyan test pattern 1\0{name}\0{kind}\0{duration_ms}\0{width}x{height}");
    *blake3::hash(text.as_bytes()).as_bytes()
}

fn parse(text: &str) -> Option<[u8; 32]> {
    blake3::Hash::from_hex(text.trim())
        .ok()
        .map(|hash| *hash.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_remembered_until_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (path, cache) = (folder.path().join("a"), folder.path().join("digests"));
        std::fs::write(&path, b"one").unwrap();
        let first = of_file(&path, &cache).unwrap();
        assert_eq!(first, *blake3::hash(b"one").as_bytes());
        let entry = std::fs::read_dir(&cache)
            .unwrap()
            .next()
            .unwrap()
            .unwrap()
            .path();
        let planted = blake3::hash(b"planted");
        std::fs::write(&entry, planted.to_hex().as_str()).unwrap();
        assert_eq!(
            of_file(&path, &cache).unwrap(),
            *planted.as_bytes(),
            "it must be read from the cache"
        );
        std::fs::write(&entry, "not a digest").unwrap();
        assert_eq!(of_file(&path, &cache).unwrap(), first);
        std::fs::write(&path, b"other").unwrap();
        assert_eq!(
            of_file(&path, &cache).unwrap(),
            *blake3::hash(b"other").as_bytes()
        );
    }
}
