//! A 4:2:0 surface with the few strokes the patterns need. Everything outside it is clipped.

use super::font;
use crate::ffmpeg::Picture;

/// A colour as studio-range Y'CbCr.
#[derive(Clone, Copy)]
pub(super) struct Ink {
    pub(super) y: u8,
    pub(super) u: u8,
    pub(super) v: u8,
}

pub(super) struct Canvas {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) luma: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl Canvas {
    /// Sizes are even: renditions always are.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Self {
            width,
            height,
            luma: vec![16; width * height],
            u: vec![128; chroma],
            v: vec![128; chroma],
        }
    }

    /// Copies the surface into a picture of the same size.
    pub(super) fn store(&self, picture: &mut Picture) {
        let half = self.width.div_ceil(2);
        for (plane, data, width) in [
            (0, &self.luma, self.width),
            (1, &self.u, half),
            (2, &self.v, half),
        ] {
            let stride = picture.stride(plane);
            let target = picture.data_mut(plane);
            for (row, line) in data.chunks_exact(width).enumerate() {
                target[row * stride..row * stride + width].copy_from_slice(line);
            }
        }
    }

    pub(super) fn fill(&mut self, x0: usize, y0: usize, x1: usize, y1: usize, ink: Ink) {
        let (x1, y1) = (x1.min(self.width), y1.min(self.height));
        if x0 >= x1 {
            return;
        }
        for y in y0..y1 {
            self.luma[y * self.width + x0..y * self.width + x1].fill(ink.y);
        }
        self.tint(x0, y0, x1, y1, ink.u, ink.v);
    }

    /// Colour only; brightness stays.
    pub(super) fn tint(&mut self, x0: usize, y0: usize, x1: usize, y1: usize, u: u8, v: u8) {
        let half = self.width.div_ceil(2);
        let (x0, x1) = (x0 / 2, x1.min(self.width).div_ceil(2));
        if x0 >= x1 {
            return;
        }
        for y in y0 / 2..y1.min(self.height).div_ceil(2) {
            self.u[y * half + x0..y * half + x1].fill(u);
            self.v[y * half + x0..y * half + x1].fill(v);
        }
    }

    pub(super) fn disc(&mut self, cx: usize, cy: usize, radius: usize, ink: Ink) {
        for dy in 0..=2 * radius {
            let y = dy.abs_diff(radius);
            let mut half = radius;
            while half * half + y * y > radius * radius {
                half -= 1;
            }
            if let Some(top) = (cy + dy).checked_sub(radius) {
                self.fill(cx.saturating_sub(half), top, cx + half + 1, top + 1, ink);
            }
        }
    }

    pub(super) fn text(&mut self, x: usize, y: usize, scale: usize, text: &str, ink: Ink) {
        for (i, character) in text.chars().enumerate() {
            let left = x + i * font::ADVANCE * scale;
            for (row, bits) in font::glyph(character).iter().enumerate() {
                for column in 0..5 {
                    if bits & (0b1_0000 >> column) != 0 {
                        let (px, py) = (left + column * scale, y + row * scale);
                        self.fill(px, py, px + scale, py + scale, ink);
                    }
                }
            }
        }
    }

    /// Text on a box of its own, readable over anything.
    pub(super) fn label(
        &mut self,
        x: usize,
        y: usize,
        scale: usize,
        text: &str,
        ink: Ink,
        paper: Ink,
    ) {
        let width = font::width(text) * scale;
        self.fill(x, y, x + width + 2 * scale, y + 9 * scale, paper);
        self.text(x + scale, y + scale, scale, text, ink);
    }
}
