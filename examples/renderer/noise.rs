//! Randomness that is the same on every run and every machine: a generator, and noise over space.

use crate::vector::{Vec3, vec3};

/// A repeatable sequence of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts a sequence; equal seeds and streams give equal sequences.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.unit();
        random
    }

    /// Returns a number from 0 to below 1 (the generator of Steele, Lea and Flood: splitmix).
    pub(crate) fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// Returns a number from `low` to below `high`.
    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// Returns a number around 0, at most `reach` away from it.
    pub(crate) fn around(&mut self, reach: f32) -> f32 {
        self.between(-reach, reach)
    }
}

/// Returns a number from 0 to 1 for a corner of the grid.
fn corner(x: i32, y: i32, z: i32) -> f32 {
    let mut word =
        (x as u32).wrapping_mul(73_856_093) ^ (y as u32).wrapping_mul(19_349_663) ^ (z as u32).wrapping_mul(83_492_791);
    word = word.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    word = ((word >> ((word >> 28) + 4)) ^ word).wrapping_mul(277_803_737);
    ((word >> 22) ^ word) as f32 / u32::MAX as f32
}

/// Returns noise from 0 to 1 that changes smoothly over space, about once in a unit. With a period it repeats after so
/// many units along x and y.
pub(crate) fn noise(point: Vec3, period: Option<i32>) -> f32 {
    let floor = point.map(f32::floor);
    let share = (point - floor).map(|t| t * t * (3.0 - 2.0 * t));
    let wrap = |at: i32| period.map_or(at, |period| at.rem_euclid(period));
    let (x, y, z) = (floor.x as i32, floor.y as i32, floor.z as i32);
    let blend = |a: f32, b: f32, share: f32| a + (b - a) * share;
    let layer = |z: i32| {
        let line = |y: i32| blend(corner(wrap(x), wrap(y), z), corner(wrap(x + 1), wrap(y), z), share.x);
        blend(line(y), line(y + 1), share.y)
    };
    blend(layer(z), layer(z + 1), share.z)
}

/// Returns noise of several sizes, each half as large and half as strong as the one before; from 0 to 1.
pub(crate) fn layered(point: Vec3, layer_count: i32, period: Option<i32>) -> f32 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for layer in 0..layer_count {
        let (size, weight) = (2.0_f32.powi(layer), 0.5_f32.powi(layer));
        let shift = vec3(0.0, 0.0, 17.0 * layer as f32);
        sum += weight * noise(point * size + shift, period.map(|period| period << layer));
        weights += weight;
    }
    sum / weights
}
