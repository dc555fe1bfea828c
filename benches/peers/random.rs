//! Seeded random numbers: the same workload on every machine and for every peer.

/// A `SplitMix64` generator.
///
/// # Source
/// G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// Returns a number from 0 to 1, without 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a number whose logarithm is uniform between those of `low` and `high`.
    pub(crate) fn log_uniform(&mut self, low: u64, high: u64) -> u64 {
        let (from, to) = ((low as f64).ln(), (high as f64).ln());
        ((from + (to - from) * self.fraction()).exp() as u64).clamp(low, high)
    }

    /// Returns a number whose logarithm is normal around that of `median`, with a deviation of 1.
    pub(crate) fn log_normal(&mut self, median: f64) -> u64 {
        let (radius, angle) = (1.0 - self.fraction(), self.fraction());
        let normal = (-2.0 * radius.ln()).sqrt() * (core::f64::consts::TAU * angle).cos();
        (median.ln() + normal).exp() as u64
    }
}
