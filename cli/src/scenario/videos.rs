//! `--file`: a topology for a few video files, made in memory and checked like any manifest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use banyan_api::manifest;
use banyan_api::names::{MAX_CONTENT_NAME, RESERVED_STREAMS};
use serde_json::json;

use super::{Scenario, folder_of_media, refuse, select};
use crate::exit::Refusal;

/// One server, one root, two edges; a stream per file, named after it.
pub fn from_files(files: &[PathBuf], media: Option<&Path>) -> anyhow::Result<Scenario> {
    let videos = check(files)?;
    let media = match media {
        Some(folder) => folder_of_media(folder)?,
        None => common_folder(&videos),
    };
    let mut contents = Vec::new();
    for (given, (video, name)) in files.iter().zip(videos.iter().zip(stream_names(files))) {
        let Ok(relative) = video.strip_prefix(&media) else {
            return Err(Refusal::one(format!(
                "video {given:?} is not in media folder {media:?}; files below it are accepted"
            )));
        };
        let Some(relative) = relative.to_str() else {
            return Err(Refusal::one(format!(
                "video {given:?} has a name that is not UTF-8; rename it"
            )));
        };
        contents.push(json!({ "name": name, "source": { "file": { "path": relative } } }));
    }
    let text = manifest_of(&contents);
    let valid = manifest::load(&[("--file", &text)]).map_err(refuse)?;
    select(valid, "--file", media)
}

fn manifest_of(contents: &[serde_json::Value]) -> String {
    let topology = json!({
        "apiVersion": banyan_api::API_VERSION,
        "kind": "StreamTopology",
        "metadata": { "name": "local" },
        "spec": { "rendezvous": { "replicas": 1, "fanOut": 2 }, "edge": { "replicas": 2 } },
    });
    let server = json!({
        "apiVersion": banyan_api::API_VERSION,
        "kind": "ContentServer",
        "metadata": { "name": "files" },
        "spec": { "topology": "local", "contents": contents },
    });
    // JSON is YAML.
    format!("{topology}\n---\n{server}\n")
}

/// The files with all links resolved, or every sentence about those that cannot be used.
fn check(files: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for file in files {
        match check_one(file) {
            Ok(path) => good.push(path),
            Err(why) => bad.push(format!("video {file:?} {why}")),
        }
    }
    if bad.is_empty() {
        Ok(good)
    } else {
        Err(Refusal(bad).into())
    }
}

fn check_one(file: &Path) -> Result<PathBuf, String> {
    let path = file
        .canonicalize()
        .map_err(|error| format!("cannot be read: {error}"))?;
    let facts = path
        .metadata()
        .map_err(|error| format!("cannot be read: {error}"))?;
    if facts.is_dir() {
        return Err("is a folder; a video file is accepted".to_owned());
    }
    if !facts.is_file() {
        return Err("is not a regular file; a video file is accepted".to_owned());
    }
    if facts.len() == 0 {
        return Err("has 0 bytes; a video file is accepted".to_owned());
    }
    std::fs::File::open(&path).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(path)
}

fn common_folder(videos: &[PathBuf]) -> PathBuf {
    let mut folders = videos.iter().filter_map(|video| video.parent());
    let mut common = folders.next().unwrap_or(Path::new("/")).to_owned();
    for folder in folders {
        while !folder.starts_with(&common) {
            common.pop();
        }
    }
    common
}

/// A DNS label per file, from its name, each once.
fn stream_names(files: &[PathBuf]) -> Vec<String> {
    let mut taken: BTreeSet<String> = RESERVED_STREAMS.map(String::from).into();
    let mut names = Vec::new();
    for file in files {
        let base = label(file);
        let mut name = base.clone();
        let mut number = 1;
        while !taken.insert(name.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            let kept = base.len().min(MAX_CONTENT_NAME - suffix.len());
            name = format!("{}{suffix}", base[..kept].trim_end_matches('-'));
        }
        names.push(name);
    }
    names
}

fn label(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = String::new();
    for letter in stem.to_lowercase().chars() {
        if letter.is_ascii_alphanumeric() {
            name.push(letter);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(MAX_CONTENT_NAME);
    match name.trim_end_matches('-') {
        "" => "video".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_after_their_files_each_once() {
        let files = [
            "Talk (final).MP4",
            "talk_final.mkv",
            "/deep/Über uns.mov",
            "---.mp4",
            "api.mp4",
            &format!("{}.mp4", "long-".repeat(20)),
        ];
        let names = stream_names(&files.map(PathBuf::from));
        assert_eq!(
            names,
            [
                "talk-final",
                "talk-final-2",
                "ber-uns",
                "video",
                "api-2",
                &"long-".repeat(10)[..49]
            ]
        );
        for name in names {
            assert!(banyan_api::names::is_dns_label(&name), "{name}");
        }
    }

    #[test]
    fn files_of_several_folders_share_the_folder_above_them() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/one.mp4", "b/c/two.mp4"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let files = ["a/one.mp4", "b/c/two.mp4"].map(|name| folder.path().join(name));
        let scenario = from_files(&files, None).unwrap();
        assert_eq!(scenario.media, folder.path().canonicalize().unwrap());
        let sources: Vec<_> = scenario.servers[0]
            .contents
            .iter()
            .map(|content| (content.name.as_str(), &content.source))
            .collect();
        let file = |path: &str| banyan_api::model::Source::File {
            path: path.to_owned(),
        };
        assert_eq!(
            sources,
            [("one", &file("a/one.mp4")), ("two", &file("b/c/two.mp4"))]
        );
        assert_eq!(scenario.topology.edges().replicas, 2);
    }
}
