//! Frame rates as fractions: 30000/1001 is not 29.97.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Frames per second as a fraction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FrameRate {
    /// Numerator: also the timescale of video tracks.
    pub num: u32,
    /// Denominator: also the duration of one frame in ticks.
    pub den: u32,
}

impl FrameRate {
    /// The fraction in lowest terms; `None` when either side is zero.
    pub fn new(num: u32, den: u32) -> Option<FrameRate> {
        if num == 0 || den == 0 {
            return None;
        }
        let divisor = gcd(num, den);
        Some(FrameRate {
            num: num / divisor,
            den: den / divisor,
        })
    }

    /// The rate in thousandths of a frame per second, rounded to the nearest.
    pub fn millihertz(&self) -> u64 {
        let den = u64::from(self.den.max(1));
        (u64::from(self.num) * 1000 + den / 2) / den
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

fn gcd(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_reduced_and_never_zero() {
        assert_eq!(
            FrameRate::new(60000, 2002),
            Some(FrameRate {
                num: 30000,
                den: 1001
            })
        );
        assert_eq!(FrameRate::new(50, 2), Some(FrameRate { num: 25, den: 1 }));
        assert_eq!(FrameRate::new(0, 1), None);
        assert_eq!(FrameRate::new(25, 0), None);
    }

    #[test]
    fn a_rate_is_shown_as_a_fraction_and_in_thousandths() {
        let ntsc = FrameRate {
            num: 30000,
            den: 1001,
        };
        assert_eq!(ntsc.to_string(), "30000/1001");
        assert_eq!(ntsc.millihertz(), 29_970);
        assert_eq!(
            FrameRate {
                num: 24000,
                den: 1001
            }
            .millihertz(),
            23_976
        );
        assert_eq!(FrameRate { num: 25, den: 1 }.millihertz(), 25_000);
    }
}
