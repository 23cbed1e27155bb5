//! Reading what an init segment declares: timescale, size, rate, channels and the codec string.

use super::reader::{Found, Reader};
use super::{BoxError, Result};

/// What an init segment declares of its only track. Sizes that do not apply to its kind are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitFacts {
    /// Track id.
    pub track_id: u32,
    /// Ticks per second (`mdhd`).
    pub timescale: u32,
    /// `vide` or `soun` (`hdlr`).
    pub handler: String,
    /// RFC 6381: `avc1.PPCCLL` or `mp4a.40.T`.
    pub codec: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Audio channels.
    pub channels: u32,
}

/// Reads an init segment of one H.264 or AAC track.
pub fn inspect_init(init: &[u8]) -> Result<InitFacts> {
    let within = |found: Found| Reader::new(init, found.body);
    let moov = within(Reader::new(init, 0..init.len()).only("moov", "init segment")?);
    let trak = within(moov.only("trak", "moov")?);
    let track_id = track_id(within(trak.only("tkhd", "trak")?))?;
    let mdia = within(trak.only("mdia", "trak")?);
    let timescale = timescale(within(mdia.only("mdhd", "mdia")?))?;
    let mut hdlr = within(mdia.only("hdlr", "mdia")?);
    hdlr.skip("hdlr", 8)?;
    let handler: [u8; 4] = hdlr.array("hdlr")?;
    let minf = within(mdia.only("minf", "mdia")?);
    let stbl = within(minf.only("stbl", "minf")?);
    let mut stsd = within(stbl.only("stsd", "stbl")?);
    stsd.skip("stsd", 8)?;
    let Some(entry) = stsd.next_box()? else {
        return Err(BoxError::Missing {
            what: "sample entry",
            within: "stsd",
        });
    };
    if stsd.next_box()?.is_some() {
        return Err(BoxError::Repeated {
            what: "sample entry",
            within: "stsd",
        });
    }
    let facts = InitFacts {
        track_id,
        timescale,
        handler: handler.escape_ascii().to_string(),
        codec: String::new(),
        width: 0,
        height: 0,
        sample_rate: 0,
        channels: 0,
    };
    let kind = entry.kind;
    match &kind {
        b"avc1" | b"avc3" => video(facts, &kind, init, within(entry)),
        b"mp4a" => audio(facts, init, within(entry)),
        _ => Err(BoxError::Unsupported {
            what: "sample entry",
            value: format!("\"{}\"", kind.escape_ascii()),
            accepted: "avc1, avc3 or mp4a",
        }),
    }
}

fn track_id(mut tkhd: Reader<'_>) -> Result<u32> {
    let (version, _) = tkhd.version_flags("tkhd")?;
    tkhd.skip("tkhd", if version == 0 { 8 } else { 16 })?;
    tkhd.u32("tkhd")
}

fn timescale(mut mdhd: Reader<'_>) -> Result<u32> {
    let (version, _) = mdhd.version_flags("mdhd")?;
    mdhd.skip("mdhd", if version == 0 { 8 } else { 16 })?;
    match mdhd.u32("mdhd")? {
        0 => Err(BoxError::Unsupported {
            what: "timescale",
            value: "0".into(),
            accepted: "1 or more",
        }),
        timescale => Ok(timescale),
    }
}

fn video(
    facts: InitFacts,
    kind: &[u8; 4],
    init: &[u8],
    mut entry: Reader<'_>,
) -> Result<InitFacts> {
    entry.skip("sample entry", 24)?;
    let (width, height) = (entry.u16("sample entry")?, entry.u16("sample entry")?);
    entry.skip("sample entry", 50)?;
    let mut avcc = Reader::new(init, entry.only("avcC", "sample entry")?.body);
    avcc.skip("avcC", 1)?;
    let [profile, constraints, level] = avcc.array("avcC")?;
    let codec = format!(
        "{}.{profile:02x}{constraints:02x}{level:02x}",
        kind.escape_ascii()
    );
    Ok(InitFacts {
        codec,
        width: u32::from(width),
        height: u32::from(height),
        ..facts
    })
}

fn audio(facts: InitFacts, init: &[u8], mut entry: Reader<'_>) -> Result<InitFacts> {
    entry.skip("sample entry", 16)?;
    let channels = u32::from(entry.u16("sample entry")?);
    entry.skip("sample entry", 6)?;
    let sample_rate = entry.u32("sample entry")? >> 16;
    let mut esds = Reader::new(init, entry.only("esds", "sample entry")?.body);
    esds.version_flags("esds")?;
    let (object_type, mut specific) = decoder_config(esds)?;
    if object_type != MPEG4_AUDIO {
        let codec = format!("mp4a.{object_type:02x}");
        return Ok(InitFacts {
            codec,
            sample_rate,
            channels,
            ..facts
        });
    }
    let mut head = [0; 8];
    for byte in head.iter_mut().take(specific.rest().len()) {
        *byte = specific.u8("audio specific config")?;
    }
    let config = AudioConfig::read(u64::from_be_bytes(head));
    Ok(InitFacts {
        codec: format!("mp4a.40.{}", config.object_type),
        sample_rate: config.sample_rate.unwrap_or(sample_rate),
        channels: config.channels.unwrap_or(channels),
        ..facts
    })
}

/// Object type indication and the decoder-specific bytes of an elementary stream descriptor.
fn decoder_config(mut esds: Reader<'_>) -> Result<(u8, Reader<'_>)> {
    descriptor(&mut esds, 0x03)?;
    esds.skip("esds", 2)?;
    let flags = esds.u8("esds")?;
    if flags & 0x80 != 0 {
        esds.skip("esds", 2)?;
    }
    if flags & 0x40 != 0 {
        let url_len = usize::from(esds.u8("esds")?);
        esds.skip("esds", url_len)?;
    }
    if flags & 0x20 != 0 {
        esds.skip("esds", 2)?;
    }
    descriptor(&mut esds, 0x04)?;
    let object_type = esds.u8("esds")?;
    esds.skip("esds", 12)?;
    if object_type == MPEG4_AUDIO {
        descriptor(&mut esds, 0x05)?;
    }
    Ok((object_type, esds))
}

/// Reads a descriptor's tag and length, which may take four bytes.
fn descriptor(esds: &mut Reader<'_>, tag: u8) -> Result<()> {
    let found = esds.u8("esds")?;
    if found != tag {
        return Err(BoxError::Mismatch {
            what: "descriptor tag",
            value: u64::from(found),
            against: "expected tag",
            limit: u64::from(tag),
        });
    }
    for _ in 0..4 {
        if esds.u8("esds")? & 0x80 == 0 {
            return Ok(());
        }
    }
    Err(BoxError::Unsupported {
        what: "descriptor length",
        value: "longer than four bytes".into(),
        accepted: "at most four",
    })
}

/// The first fields of an AudioSpecificConfig (ISO/IEC 14496-3).
struct AudioConfig {
    object_type: u64,
    sample_rate: Option<u32>,
    channels: Option<u32>,
}

impl AudioConfig {
    /// From the first 64 bits, most significant first.
    fn read(bits: u64) -> AudioConfig {
        let mut used = 0;
        let mut take = |count: u32| {
            let value = (bits << used) >> (64 - count);
            used += count;
            value
        };
        let object_type = match take(5) {
            31 => 32 + take(6),
            object_type => object_type,
        };
        let sample_rate = match take(4) {
            15 => Some(take(24) as u32),
            index => SAMPLE_RATES.get(index as usize).copied(),
        };
        let channels = match take(4) {
            0 => None,
            7 => Some(8),
            channels => Some(channels as u32),
        };
        AudioConfig {
            object_type,
            sample_rate,
            channels,
        }
    }
}

const MPEG4_AUDIO: u8 = 0x40;
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];
