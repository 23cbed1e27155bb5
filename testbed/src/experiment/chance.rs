//! Chance from a seed, the same in every version: SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number
//! Generators", OOPSLA 2014).

/// A source of chance.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// One of its own for each word: what one part of a file draws does not move what another does.
    pub(super) fn of(seed: u64, word: &str) -> Self {
        // FNV-1a; only to tell words apart.
        let hash = word.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut chance = Self(seed ^ hash);
        chance.next();
        chance
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 to below 1.
    fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Exponentially distributed with this mean, in whole units, at least 1.
    pub(super) fn wait(&mut self, mean: u64) -> u64 {
        let drawn = -(1.0 - self.unit()).ln() * mean as f64;
        (drawn.round() as u64).max(1)
    }

    /// Evenly from 0 to below `count`; 0 for none.
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((self.unit() * count as f64) as usize).min(count.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs of SplitMix64 for state 1234567, as in the Rosetta Code task "Pseudo-random numbers".
        let mut chance = Chance(1_234_567);
        assert_eq!(chance.next(), 6_457_827_717_110_365_317);
        assert_eq!(chance.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn waits_have_their_mean_and_words_their_own_chance() {
        let mut chance = Chance::of(7, "churn");
        let sum: u64 = (0..20_000).map(|_| chance.wait(1_000)).sum();
        assert!((970..1_030).contains(&(sum / 20_000)), "{sum}");
        assert_ne!(Chance::of(7, "a").next(), Chance::of(7, "b").next());
        assert!((0..1_000).all(|_| chance.below(3) < 3));
    }
}
