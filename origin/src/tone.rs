//! The sound of a test pattern: a soft hum and a beep on each second, computed without a maths library, so that every
//! machine hears the same bits.

/// An endless stereo signal.
pub(crate) struct Tone {
    sample_rate: u32,
    at: u64,
}

impl Tone {
    pub(crate) fn new(sample_rate: u32) -> Self {
        Self { sample_rate, at: 0 }
    }

    pub(crate) fn next_sample(&mut self) -> (f32, f32) {
        let rate = u64::from(self.sample_rate);
        let within = self.at % rate;
        let hum = 0.03 * sine(self.at * 220 % rate, rate);
        // Every tenth second beeps an octave higher.
        let pitch = if (self.at / rate).is_multiple_of(10) {
            2000
        } else {
            1000
        };
        let beep = if within < rate / 10 {
            0.4 * sine(within * pitch % rate, rate)
        } else {
            0.0
        };
        self.at += 1;
        ((hum + beep) as f32, (hum + beep * 0.5) as f32)
    }
}

/// sin(2π · at / period) by Bhaskara's approximation: only exact IEEE operations.
pub(crate) fn sine(at: u64, period: u64) -> f64 {
    let (x, sign) = if at * 2 < period {
        (at, 1.0)
    } else {
        (at - period / 2, -1.0)
    };
    let t = x as f64 / period as f64 * 2.0; // 0..1 over half a turn
    let p = t * (1.0 - t);
    sign * 16.0 * p / (5.0 - 4.0 * p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_begins_with_a_beep_and_goes_on_softly() {
        let mut tone = Tone::new(48_000);
        let samples: Vec<f32> = (0..96_000).map(|_| tone.next_sample().0).collect();
        let peak =
            |range: std::ops::Range<usize>| samples[range].iter().fold(0f32, |a, b| a.max(b.abs()));
        assert!(peak(0..4_800) > 0.35);
        assert!(peak(4_900..48_000) < 0.05);
        assert!(peak(48_000..52_800) > 0.35);
    }

    #[test]
    fn the_sine_is_a_sine() {
        for at in 0..1000u64 {
            let exact = (at as f64 / 1000.0 * std::f64::consts::TAU).sin();
            assert!((sine(at, 1000) - exact).abs() < 0.002, "{at}");
        }
    }
}
