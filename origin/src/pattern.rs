//! Generated pictures: a pure function of (pattern, name, size, frame index), drawn in plain integer and IEEE arithmetic.
//!
//! Every picture carries the content's name, the asset's time and the frame number, so that a person can see at a glance
//! what is playing and whether it is where it should be.

mod canvas;
mod font;

use ff::format::Pixel;
use ffmpeg_next as ff;

use self::canvas::{Canvas, Ink};
use crate::ffmpeg::Picture;
use crate::tone::sine;

/// The patterns a manifest may name.
pub(crate) const PATTERNS: [&str; 3] = ["clock", "bars", "mandelbrot"];

/// A generated video of 25 frames per second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Clock,
    Bars,
    Mandelbrot,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "clock" => Some(Self::Clock),
            "bars" => Some(Self::Bars),
            "mandelbrot" => Some(Self::Mandelbrot),
            _ => None,
        }
    }
}

impl Pattern {
    pub(crate) fn frame(&self, index: u64) -> Picture {
        let mut canvas = Canvas::new(self.width as usize, self.height as usize);
        match self.kind {
            Kind::Clock => dial(&mut canvas, index),
            Kind::Bars => bars(&mut canvas, index),
            Kind::Mandelbrot => mandelbrot(&mut canvas, index),
        }
        self.caption(&mut canvas, index);
        let mut picture = Picture::new(Pixel::YUV420P, self.width, self.height);
        canvas.store(&mut picture);
        picture
    }

    fn caption(&self, canvas: &mut Canvas, index: u64) {
        let unit = (canvas.height / 180).max(1);
        let (seconds, frame) = (index / RATE, index % RATE);
        let time = format!("{:02}:{:02}.{frame:02}", seconds / 60, seconds % 60);
        let number = format!("frame {index}");
        let margin = 4 * unit;
        let line = |scale: usize| 9 * scale;
        let bottom = canvas.height - margin;
        canvas.label(margin, margin, unit * 2, &self.name, PAPER, NIGHT);
        canvas.label(
            margin,
            bottom.saturating_sub(line(unit * 3)),
            unit * 3,
            &time,
            PAPER,
            NIGHT,
        );
        let width = font::width(&number) * unit * 2;
        let right = canvas.width.saturating_sub(margin + width + 4 * unit);
        canvas.label(
            right,
            bottom.saturating_sub(line(unit * 2)),
            unit * 2,
            &number,
            PAPER,
            NIGHT,
        );
    }
}

/// A dial of sixty dots, a sweep of twenty-five, over drifting bands.
fn dial(canvas: &mut Canvas, index: u64) {
    let (width, height) = (canvas.width, canvas.height);
    let shift = index as usize * 2;
    for y in 0..height {
        for x in 0..width {
            let band = (x + y + shift) * 128 / height.max(1) % 128;
            let wave = if band < 64 { band } else { 127 - band };
            canvas.luma[y * width + x] = (24 + y * 36 / height + wave / 4) as u8;
        }
    }
    canvas.tint(0, 0, width, height, 146, 116);
    let radius = height as f64 * 0.34;
    let centre = (width as f64 / 2.0, height as f64 * 0.41);
    let second = index / RATE % 60;
    let dot = (height / 60).max(1);
    for mark in 0..60u64 {
        let (x, y) = on_circle(centre, radius, mark, 60);
        let ink = if mark == second {
            AMBER
        } else if mark < second {
            LEAF
        } else {
            SLATE
        };
        canvas.disc(x, y, if mark % 5 == 0 { dot + dot / 2 } else { dot }, ink);
    }
    for mark in 0..=index % RATE {
        let (x, y) = on_circle(centre, radius * 0.78, mark, RATE);
        canvas.disc(x, y, (dot * 2 / 3).max(1), AMBER);
    }
    let digits = format!("{second:02}");
    let scale = (height / 24).max(1);
    let (w, h) = (font::width(&digits) * scale, 7 * scale);
    canvas.text(
        centre.0 as usize - w / 2,
        centre.1 as usize - h / 2,
        scale,
        &digits,
        PAPER,
    );
}

fn on_circle(centre: (f64, f64), radius: f64, step: u64, steps: u64) -> (usize, usize) {
    let x = centre.0 + radius * sine(step, steps);
    let y = centre.1 - radius * sine((step * 4 + steps) % (steps * 4), steps * 4);
    (x.max(0.0) as usize, y.max(0.0) as usize)
}

/// Colour bars with a ramp below and a white mark that crosses once per second.
fn bars(canvas: &mut Canvas, index: u64) {
    let (width, height) = (canvas.width, canvas.height);
    let split = height * 3 / 4;
    for (i, ink) in BARS.iter().enumerate() {
        canvas.fill(i * width / 7, 0, (i + 1) * width / 7, split, *ink);
    }
    for y in split..height {
        for x in 0..width {
            canvas.luma[y * width + x] = (16 + x * 219 / width) as u8;
        }
    }
    canvas.tint(0, split, width, height, 128, 128);
    let mark = (width / 80).max(2);
    let at = (index % RATE) as usize * (width - mark) / (RATE as usize - 1);
    canvas.fill(at, split - height / 16, at + mark, split, PAPER);
}

/// A zoom that starts over every twenty seconds.
fn mandelbrot(canvas: &mut Canvas, index: u64) {
    let step = (canvas.height / 180).max(1) * 2;
    let (columns, rows) = (canvas.width.div_ceil(step), canvas.height.div_ceil(step));
    let mut span = 2.6;
    for _ in 0..index % 500 {
        span *= 0.982;
    }
    for row in 0..rows {
        for column in 0..columns {
            let cx =
                -0.743_643_887_037 + (column as f64 / columns as f64 - 0.5) * span * 16.0 / 9.0;
            let cy = 0.131_825_904_205 + (row as f64 / rows as f64 - 0.5) * span;
            let ink = match escape(cx, cy) {
                None => NIGHT,
                Some(n) => {
                    let phase = u64::from(n) * 5 + index;
                    let swing =
                        |offset: u64| (128.0 + 70.0 * sine((phase + offset) % 120, 120)) as u8;
                    Ink {
                        y: (40 + u64::from(n) * 170 / u64::from(DEPTH)) as u8,
                        u: swing(0),
                        v: swing(40),
                    }
                }
            };
            canvas.fill(
                column * step,
                row * step,
                (column + 1) * step,
                (row + 1) * step,
                ink,
            );
        }
    }
}

fn escape(cx: f64, cy: f64) -> Option<u32> {
    let (mut x, mut y) = (0.0f64, 0.0f64);
    (0..DEPTH).find(|_| {
        let (xx, yy) = (x * x, y * y);
        y = 2.0 * x * y + cy;
        x = xx - yy + cx;
        xx + yy > 4.0
    })
}

/// Frames per second of every pattern.
pub(crate) const RATE: u64 = 25;
const DEPTH: u32 = 120;
const PAPER: Ink = Ink {
    y: 225,
    u: 128,
    v: 128,
};
const NIGHT: Ink = Ink {
    y: 24,
    u: 132,
    v: 126,
};
const SLATE: Ink = Ink {
    y: 90,
    u: 134,
    v: 122,
};
const LEAF: Ink = Ink {
    y: 150,
    u: 90,
    v: 90,
};
const AMBER: Ink = Ink {
    y: 190,
    u: 50,
    v: 165,
};
/// 75 % bars: white, yellow, cyan, green, magenta, red, blue.
const BARS: [Ink; 7] = [
    Ink {
        y: 180,
        u: 128,
        v: 128,
    },
    Ink {
        y: 168,
        u: 44,
        v: 136,
    },
    Ink {
        y: 145,
        u: 147,
        v: 44,
    },
    Ink {
        y: 133,
        u: 63,
        v: 52,
    },
    Ink {
        y: 63,
        u: 193,
        v: 204,
    },
    Ink {
        y: 51,
        u: 109,
        v: 212,
    },
    Ink {
        y: 28,
        u: 212,
        v: 120,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_draws_each_frame_differently_and_repeatably_at_odd_places() {
        for name in PATTERNS {
            let kind = Kind::parse(name).unwrap();
            for (width, height) in [(160, 90), (320, 180), (120, 68)] {
                let pattern = Pattern {
                    kind,
                    name: "stage-a".into(),
                    width,
                    height,
                };
                // Rows only: what pads them is not part of the picture.
                let planes = |index: u64| {
                    let picture = pattern.frame(index);
                    let rows = |p: usize| {
                        let width = picture.plane_width(p) as usize;
                        let lines = picture.data(p).chunks(picture.stride(p));
                        lines
                            .flat_map(|line| line[..width].to_vec())
                            .collect::<Vec<u8>>()
                    };
                    (0..3).map(rows).collect::<Vec<_>>()
                };
                assert!(planes(37) == planes(37), "{name} {width}x{height}");
                assert!(planes(37) != planes(38), "{name} {width}x{height}");
                let _ = planes(100_000);
                let tiny = Pattern {
                    width: 16,
                    height: 16,
                    ..pattern.clone()
                };
                let _ = tiny.frame(100_000);
            }
        }
    }
}
