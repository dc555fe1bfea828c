//! [`Bitmap`]: a set of numbers that finds its smallest member by one word for each level of 64.
//!
//! ```text
//! level 1   [ 0 1 1 0 ]                          a bit per word below that is not 0
//! level 0   [ 0… ][ 0…0100 ][ 1… ][ 0… ]         a bit per number
//! ```
//!
//! Its invariant is F1 of [`fixed`](super).

use alloc::vec::Vec;

use super::super::region_table::NONE;

/// A set of numbers below a capacity that finds its smallest member by one word per level.
#[derive(Clone, Debug)]
pub(in super::super) struct Bitmap {
    /// Level 0 first.
    pub(in super::super) levels: Vec<Vec<u64>>,
}

impl Bitmap {
    /// Makes an empty set for the numbers `0..capacity`.
    pub(in super::super) fn new(capacity: usize) -> Self {
        let (mut levels, mut count) = (Vec::new(), capacity);
        while count > 1 || levels.is_empty() {
            count = count.div_ceil(64);
            levels.push(alloc::vec![0; count]);
        }
        levels.shrink_to_fit();
        Self { levels }
    }

    /// Returns the smallest member, or [`NONE`].
    pub(in super::super) fn first(&self) -> u32 {
        let first = self.levels.iter().rev().try_fold(0, |word, level| {
            let bits = *level.get(word)?;
            (bits != 0).then(|| (word << 6) + bits.trailing_zeros() as usize)
        });
        first.and_then(|first| u32::try_from(first).ok()).unwrap_or(NONE)
    }

    pub(in super::super) fn contains(&self, number: usize) -> bool {
        self.levels[0].get(number >> 6).is_some_and(|word| word & (1 << (number & 63)) != 0)
    }

    pub(in super::super) fn insert(&mut self, mut number: usize) {
        for level in &mut self.levels {
            let word = &mut level[number >> 6];
            let before = *word;
            *word |= 1 << (number & 63);
            if before != 0 {
                return;
            }
            number >>= 6;
        }
    }

    pub(in super::super) fn remove(&mut self, mut number: usize) {
        for level in &mut self.levels {
            let word = &mut level[number >> 6];
            *word &= !(1 << (number & 63));
            if *word != 0 {
                return;
            }
            number >>= 6;
        }
    }

    pub(in super::super) fn host_bytes(&self) -> usize {
        let words: usize = self.levels.iter().map(Vec::capacity).sum();
        words * size_of::<u64>() + self.levels.capacity() * size_of::<Vec<u64>>()
    }
}
