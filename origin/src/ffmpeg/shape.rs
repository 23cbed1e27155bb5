//! Pictures of any format to 8-bit 4:2:0 of a given size, upright, with bit-exact scalers.

use ff::format::Pixel;
use ff::software::scaling;
use ffmpeg_next as ff;

use super::{Picture, Result, step};

/// Scales (and turns) pictures to one size; follows a source that changes its own.
pub(crate) struct Shaper {
    width: u32,
    height: u32,
    rotation: u32,
    format: Pixel,
    scaler: Option<scaling::Context>,
}

impl Shaper {
    pub(crate) fn new(width: u32, height: u32, rotation: u32) -> Self {
        Self {
            width,
            height,
            rotation,
            format: Pixel::YUV420P,
            scaler: None,
        }
    }

    /// Full-range output, as JPEG wants it.
    pub(crate) fn for_jpeg(width: u32, height: u32, rotation: u32) -> Self {
        Self {
            width,
            height,
            rotation,
            format: Pixel::YUVJ420P,
            scaler: None,
        }
    }

    pub(crate) fn shape(&mut self, picture: &Picture) -> Result<Picture> {
        let (width, height) = if self.rotation % 180 == 90 {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        };
        let fits = self.scaler.as_ref().is_some_and(|scaler| {
            let input = scaler.input();
            (input.format, input.width, input.height)
                == (picture.format(), picture.width(), picture.height())
        });
        if !fits {
            self.scaler = Some(
                scaling::Context::get(
                    picture.format(),
                    picture.width(),
                    picture.height(),
                    self.format,
                    width,
                    height,
                    scaling::Flags::BICUBIC
                        | scaling::Flags::ACCURATE_RND
                        | scaling::Flags::BITEXACT,
                )
                .map_err(step("preparing the scaler"))?,
            );
        }
        let mut shaped = Picture::empty();
        if let Some(scaler) = &mut self.scaler {
            scaler.run(picture, &mut shaped).map_err(step("scaling"))?;
        }
        Ok(if self.rotation == 0 {
            shaped
        } else {
            turn(&shaped, self.rotation)
        })
    }
}

/// A planar 4:2:0 picture turned clockwise by quarter turns.
fn turn(picture: &Picture, degrees: u32) -> Picture {
    let (width, height) = if degrees % 180 == 90 {
        (picture.height(), picture.width())
    } else {
        (picture.width(), picture.height())
    };
    let mut turned = Picture::new(picture.format(), width, height);
    for plane in 0..3 {
        let (w, h) = (
            picture.plane_width(plane) as usize,
            picture.plane_height(plane) as usize,
        );
        let (from, to) = (picture.stride(plane), turned.stride(plane));
        let source = picture.data(plane);
        let target = turned.data_mut(plane);
        for y in 0..h {
            for x in 0..w {
                let (tx, ty) = match degrees {
                    90 => (h - 1 - y, x),
                    180 => (w - 1 - x, h - 1 - y),
                    _ => (y, w - 1 - x),
                };
                target[ty * to + tx] = source[y * from + x];
            }
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarter_turns_move_corners_clockwise() {
        let mut picture = Picture::new(Pixel::YUV420P, 32, 16);
        picture.data_mut(0).fill(0);
        picture.data_mut(0)[0] = 200; // top left
        let stride = |p: &Picture| p.stride(0);
        let right = turn(&picture, 90);
        assert_eq!((right.width(), right.height()), (16, 32));
        assert_eq!(right.data(0)[15], 200);
        let half = turn(&picture, 180);
        assert_eq!(half.data(0)[15 * stride(&half) + 31], 200);
        let left = turn(&picture, 270);
        assert_eq!(left.data(0)[31 * stride(&left)], 200);
    }
}
