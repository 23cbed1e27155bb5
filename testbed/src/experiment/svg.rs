//! A little SVG: text that cannot break out, axes with round numbers.

use std::fmt::Write;

/// Text as it may stand in SVG and HTML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A drawing with a value axis on the left.
pub(super) struct Canvas {
    body: String,
    height: f64,
    highest: f64,
}

impl Canvas {
    /// One whose values go from 0 to `highest` or a round number above.
    pub(super) fn new(title: &str, unit: &str, highest: f64) -> Self {
        let step = step(highest);
        let highest = (highest / step).ceil().max(1.0) * step;
        let mut canvas = Self {
            body: String::new(),
            height: HEIGHT,
            highest,
        };
        canvas.text(12.0, 20.0, "start", "t", title);
        let mut value = 0.0;
        while value <= highest * 1.000_001 {
            let y = canvas.y(value);
            canvas.line((LEFT, y), (RIGHT, y), "#e3e6ea", 1.0);
            canvas.text(LEFT - 6.0, y + 4.0, "end", "", &number(value, unit));
            value += step;
        }
        canvas
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        BASE - (BASE - TOP) * (value / self.highest).clamp(0.0, 1.0)
    }

    pub(super) fn text(&mut self, x: f64, y: f64, anchor: &str, class: &str, text: &str) {
        let weight = if class == "t" {
            " font-weight=\"bold\""
        } else {
            ""
        };
        // Writing into a String cannot fail.
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{weight}>{}</text>",
            escaped(text)
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn bar(&mut self, x: f64, width: f64, value: f64, colour: &str) {
        let y = self.y(value);
        let _ = writeln!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            BASE - y
        );
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], colour: &str) {
        let mut path = String::new();
        for (index, (x, y)) in points.iter().enumerate() {
            let _ = write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        }
        let _ = writeln!(
            self.body,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
    }

    /// The interval of a value.
    pub(super) fn whisker(&mut self, x: f64, low: f64, high: f64, colour: &str) {
        let (low, high) = (self.y(low), self.y(high));
        self.line((x, low), (x, high), colour, 1.5);
        self.line((x - 4.0, low), (x + 4.0, low), colour, 1.5);
        self.line((x - 4.0, high), (x + 4.0, high), colour, 1.5);
    }

    pub(super) fn legend(&mut self, entries: &[(&str, &str)]) {
        if entries.len() < 2 {
            return;
        }
        for (index, (name, colour)) in entries.iter().enumerate() {
            let x = RIGHT - 110.0 * (entries.len() - index) as f64;
            let _ = writeln!(
                self.body,
                "<rect x=\"{x:.1}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
            );
            self.text(x + 15.0, 39.0, "start", "", name);
        }
    }

    pub(super) fn done(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" width=\"{WIDTH}\" height=\"{0}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#1b1f24\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{1}</svg>\n",
            self.height, self.body
        )
    }
}

/// A value with its unit, short.
pub(super) fn number(value: f64, unit: &str) -> String {
    let (value, unit) = match unit {
        "B" if value >= 1e9 => (value / 1e9, "GB"),
        "B" if value >= 1e6 => (value / 1e6, "MB"),
        "B" if value >= 1e3 => (value / 1e3, "kB"),
        _ => (value, unit),
    };
    let digits = if value.abs() >= 100.0 || value.fract() == 0.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    match unit {
        "" => text,
        unit => format!("{text} {unit}"),
    }
}

/// 1, 2 or 5 times a power of ten, about a fifth of the whole.
fn step(highest: f64) -> f64 {
    if !highest.is_finite() || highest <= 0.0 {
        return 1.0;
    }
    let rough = highest / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0].into_iter();
    let times = times
        .into_iter()
        .find(|times| times * power >= rough * 0.999);
    times.unwrap_or(10.0) * power
}

pub(super) const WIDTH: f64 = 760.0;
pub(super) const LEFT: f64 = 90.0;
pub(super) const RIGHT: f64 = WIDTH - 20.0;
pub(super) const BASE: f64 = HEIGHT - 48.0;
const HEIGHT: f64 = 340.0;
const TOP: f64 = 52.0;
pub(super) const COLOURS: [&str; 6] = [
    "#0969da", "#bc4c00", "#1a7f37", "#8250df", "#9a6700", "#6e7781",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_steps() {
        for (highest, expected) in [
            (1.0, 0.2),
            (7.0, 2.0),
            (95.0, 20.0),
            (1_300.0, 500.0),
            (0.0, 1.0),
        ] {
            assert!(
                (step(highest) - expected).abs() < 1e-9,
                "{highest}: {}",
                step(highest)
            );
        }
    }

    #[test]
    fn numbers_are_short_and_text_is_escaped() {
        assert_eq!(number(15_300_000.0, "B"), "15.3 MB");
        assert_eq!(number(0.5, ""), "0.50");
        assert_eq!(number(1234.4, "ms"), "1234 ms");
        assert_eq!(escaped("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
