//! Median and its interval over repetitions.
//!
//! The interval is the exact one of order statistics: it makes no assumption about the distribution, holds for any
//! sample size, and its coverage follows from the binomial distribution with p = 1/2. With sorted samples
//! x(1) ≤ … ≤ x(n), the interval [x(k), x(n+1−k)] covers the median with probability 1 − 2·P(B ≤ k−1), B ~ Bin(n, ½)
//! (David and Nagaraja, *Order Statistics*, 3rd ed., §7.1; Hahn and Meeker, *Statistical Intervals*, §5.2). `k` is the
//! largest that covers at least 95 %. Five samples do not reach that: their whole range covers 93.75 %, and the
//! coverage that was reached is always told.

use serde::{Deserialize, Serialize};

/// What repetitions say together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Samples.
    pub n: usize,
    /// Middle sample, or the mean of the two middle ones.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Probability with which such an interval holds the true median, 0 to 1.
    pub coverage: f64,
}

/// Sums up samples; none of no samples.
pub fn summary(samples: &[f64]) -> Option<Summary> {
    let mut sorted: Vec<f64> = samples.iter().copied().filter(|s| s.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let (low, high) = (*sorted.first()?, *sorted.last()?);
    let upper = *sorted.get(n / 2)?;
    let median = match n % 2 {
        0 => (*sorted.get(n / 2 - 1)? + upper) / 2.0,
        _ => upper,
    };
    let (rank, coverage) = rank(n);
    Some(Summary {
        n,
        median,
        low: sorted.get(rank - 1).copied().unwrap_or(low),
        high: sorted.get(n - rank).copied().unwrap_or(high),
        coverage,
    })
}

/// Rank of the lower end, from 1, and the coverage that it reaches.
fn rank(n: usize) -> (usize, f64) {
    let mut term = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut below = term;
    let mut best = (1, 1.0 - 2.0 * below);
    for k in 2..=n / 2 {
        // P(B = k-1) from P(B = k-2).
        term *= (n - (k - 2)) as f64 / (k - 1) as f64;
        below += term;
        let coverage = 1.0 - 2.0 * below;
        if coverage < WANTED {
            break;
        }
        best = (k, coverage);
    }
    (best.0, best.1.max(0.0))
}

/// Coverage that is asked for.
pub const WANTED: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_those_of_the_tables() {
        // Hahn and Meeker's table of two-sided intervals for the median, 95 %: n, rank of the lower end, coverage.
        for (n, k, coverage) in [
            (5, 1, 0.9375),
            (6, 1, 0.96875),
            (8, 1, 0.9921875),
            (9, 2, 0.9609375),
            (10, 2, 0.978_515_625),
            (15, 4, 0.964_843_75),
            (20, 6, 0.958_610_534_7),
            (30, 10, 0.957_226_1),
        ] {
            let (found, reached) = rank(n);
            assert_eq!(found, k, "n = {n}");
            assert!((reached - coverage).abs() < 1e-6, "n = {n}: {reached}");
        }
    }

    #[test]
    fn medians_and_ends_are_samples_in_order() {
        let of = |samples: &[f64]| summary(samples).unwrap();
        let six = of(&[9.0, 1.0, 4.0, 2.0, 7.0, 3.0]);
        assert_eq!((six.median, six.low, six.high), (3.5, 1.0, 9.0));
        let ten: Vec<f64> = (1..=10).map(f64::from).collect();
        let ten = of(&ten);
        assert_eq!((ten.median, ten.low, ten.high), (5.5, 2.0, 9.0));
        let one = of(&[4.0]);
        assert_eq!(
            (one.median, one.low, one.high, one.coverage),
            (4.0, 4.0, 4.0, 0.0)
        );
        assert_eq!(summary(&[]), None);
        assert_eq!(of(&[f64::NAN, 2.0]).n, 1);
    }
}
