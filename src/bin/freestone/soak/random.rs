//! Numbers that are the same on each run of the same seed.
//!
//! Source: splitmix64, from Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).

/// A generator of 64-bit numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence; seeds that lie near each other start sequences that do not.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`, which is above 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns a position in something of that length, which is above 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// Returns one of several.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// Is true once in `count` times.
    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    /// Returns a size from 1 to `2^bits`; each order of magnitude is as likely as any other.
    pub(crate) fn size(&mut self, bits: u64) -> u64 {
        let magnitude = self.below(bits + 1);
        1 + self.below(1 << magnitude)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn a_seed_gives_one_sequence() {
        let draw = |seed| (0..8).scan(Random::new(seed), |random, _| Some(random.next())).collect::<Vec<_>>();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn sizes_stay_inside() {
        let mut random = Random::new(1);
        assert!((0..2000).map(|_| random.size(10)).all(|size| (1..=1024).contains(&size)));
        assert!((0..2000).map(|_| random.index(3)).all(|index| index < 3));
    }
}
