//! The picture that stands for a content before anybody watches it: one at a tenth of its length.

use super::{Error, Preparation};
use crate::ffmpeg::jpeg;
use crate::ffmpeg::reader::Reader;
use crate::plan::Pictures;
use crate::store::POSTER_LIMIT;

pub(super) fn prepare(run: &Preparation) -> Result<(), Error> {
    let timeline = &run.plan.timeline;
    let index = u64::from(timeline.segments) * u64::from(timeline.frames_per_segment) / 10;
    let (width, height) = run.plan.pictures.size();
    let shown_width = WIDTH.min(width & !1);
    let shown_height =
        ((u64::from(shown_width) * u64::from(height) / u64::from(width.max(1))) as u32 & !1).max(2);
    let size = (shown_width, shown_height);
    let data = match &run.plan.pictures {
        Pictures::File { path, probe } => {
            let picture = Reader::open(path, &probe.video, index)?.frame(index)?;
            jpeg::poster(&picture, size, probe.video.rotation, POSTER_LIMIT)?
        }
        Pictures::Pattern(pattern) => jpeg::poster(&pattern.frame(index), size, 0, POSTER_LIMIT)?,
    };
    run.store.put_poster(&data)?;
    Ok(())
}

const WIDTH: u32 = 320;
