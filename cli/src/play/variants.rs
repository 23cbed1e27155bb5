//! From a multivariant playlist to the media playlists that are played.

use anyhow::Context;
use banyan_media::Kind;
use m3u8_rs::{AlternativeMediaType, MasterPlaylist, Playlist};

use super::adapt::{Ladder, Step};
use super::choose::{Candidate, Wanted};
use super::link::resolve;

/// One track to play.
#[derive(Clone, Debug)]
pub(super) struct Chosen {
    /// As reports and traces name it.
    pub(super) name: String,
    pub(super) ladder: Ladder,
}

/// The tracks to play: chosen from a multivariant playlist, or the one given.
pub(super) fn chosen(path: &str, body: &[u8], wanted: &Wanted) -> anyhow::Result<Vec<Chosen>> {
    let parsed = m3u8_rs::parse_playlist_res(body)
        .ok()
        .with_context(|| format!("{path} is not a playlist"))?;
    let Playlist::MasterPlaylist(master) = parsed else {
        let file = path
            .split('?')
            .next()
            .and_then(|path| path.rsplit('/').next());
        let name = file
            .unwrap_or_default()
            .trim_end_matches(PLAYLIST)
            .to_owned();
        let step = Step {
            name: name.clone(),
            path: path.to_owned(),
            rate: 0,
        };
        let ladder = Ladder::new(vec![step]);
        return Ok(vec![Chosen { name, ladder }]);
    };
    let tracks = candidates(&master);
    let step = |track: &Candidate| {
        let path = resolve(path, &format!("{}{PLAYLIST}", track.name))
            .with_context(|| format!("playlist of {:?} lies on another host", track.name))?;
        anyhow::Ok(Step {
            name: track.name.clone(),
            path,
            rate: track.rate,
        })
    };
    let single = |track: &Candidate| {
        let ladder = Ladder::new(vec![step(track)?]);
        let name = track.name.clone();
        anyhow::Ok(Chosen { name, ladder })
    };
    let adaptive = *wanted == Wanted::adaptive();
    let fixed = wanted.choose(&tracks)?;
    let fixed = fixed
        .iter()
        .filter(|track| !(adaptive && track.kind == Kind::Video));
    let mut chosen = fixed.map(single).collect::<anyhow::Result<Vec<_>>>()?;
    let videos = tracks
        .iter()
        .filter(|track| adaptive && track.kind == Kind::Video);
    let steps = videos.map(step).collect::<anyhow::Result<Vec<_>>>()?;
    if !steps.is_empty() {
        let (name, ladder) = (ADAPTIVE.to_owned(), Ladder::new(steps));
        chosen.insert(0, Chosen { name, ladder });
    }
    Ok(chosen)
}

/// The tracks a multivariant playlist lists, named by their playlists.
fn candidates(master: &MasterPlaylist) -> Vec<Candidate> {
    let name = |uri: &str| uri.strip_suffix(PLAYLIST).unwrap_or(uri).to_owned();
    let videos = master
        .variants
        .iter()
        .filter(|variant| !variant.is_i_frame)
        .map(|variant| {
            let audio_only = variant.resolution.is_none() && variant.audio.is_none();
            Candidate {
                name: name(&variant.uri),
                kind: if audio_only { Kind::Audio } else { Kind::Video },
                bandwidth: variant.bandwidth,
                rate: variant.average_bandwidth.unwrap_or(variant.bandwidth),
            }
        });
    let audios = master.alternatives.iter().filter_map(|alternative| {
        let audio = alternative.media_type == AlternativeMediaType::Audio;
        let uri = alternative.uri.as_ref().filter(|_| audio)?;
        Some(Candidate {
            name: name(uri),
            kind: Kind::Audio,
            bandwidth: 0,
            rate: 0,
        })
    });
    videos.chain(audios).collect()
}

const PLAYLIST: &str = ".m3u8";

/// Name of a track whose rendition changes.
const ADAPTIVE: &str = "video";

#[cfg(test)]
mod tests {
    use super::chosen;
    use crate::play::choose::Wanted;

    const MASTER: &str = "#EXTM3U\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"audio\",NAME=\"audio\",DEFAULT=YES,URI=\"audio.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720,AUDIO=\"audio\"\n720p.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=900000,AVERAGE-BANDWIDTH=700000,RESOLUTION=640x360,AUDIO=\"audio\"\n360p.m3u8\n";

    /// Name of each track, and of the playlist that it begins with.
    fn names(rendition: &str) -> Vec<(String, String)> {
        let wanted = Wanted::new(&[], rendition);
        let chosen = chosen("/kites/index.m3u8?sid=1", MASTER.as_bytes(), &wanted).unwrap();
        let name = |one: super::Chosen| (one.name, one.ladder.path().to_owned());
        chosen.into_iter().map(name).collect()
    }

    #[test]
    fn tracks_are_named_by_their_playlists() {
        let own = |name: &str| (name.to_owned(), format!("/kites/{name}.m3u8"));
        assert_eq!(names("lowest"), [own("360p"), own("audio")]);
        assert_eq!(names("highest"), [own("720p"), own("audio")]);
        let adaptive = ("video".to_owned(), "/kites/360p.m3u8".to_owned());
        assert_eq!(names("adaptive"), [adaptive, own("audio")]);
    }
}
