//! How size and alignment of a resource are rounded to what a pool cuts: non-linear ones to whole pages of
//! `bufferImageGranularity`, where both kinds share its blocks.

use super::{Kind, Pool, PoolSettings};

/// How requests are rounded for a pool, by kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    /// Sizes are multiples of one more than this: a page, or 1.
    masks: [u64; 2],
    /// Alignments are at least one more than this.
    alignment_masks: [u64; 2],
}

impl Rounding {
    /// Returns the rules of a pool.
    pub(super) fn of(settings: &PoolSettings) -> Self {
        let (least, page) = (settings.min_alignment.max(1), settings.non_linear_page.max(1));
        Self { masks: [0, page - 1], alignment_masks: [least - 1, least.max(page) - 1] }
    }

    #[inline]
    const fn of_kind(&self, kind: Kind) -> (u64, u64) {
        (self.masks[kind as usize], self.alignment_masks[kind as usize])
    }
}

impl Pool {
    /// Returns the bytes of the pages of which a resource of a kind takes whole ones; 1 where it takes none.
    pub(super) fn page_of(&self, kind: Kind) -> u64 {
        self.rounding.masks[kind as usize] + 1
    }

    /// Returns the class of the slot that serves a resource; `None` where a range does, and for a size or an alignment
    /// that is wrong.
    #[inline]
    pub(super) fn class_for(&self, kind: Kind, size: u64, alignment: u64) -> Option<usize> {
        let (mask, alignment_mask) = self.rounding.of_kind(kind);
        let less_one = alignment.wrapping_sub(1);
        if alignment & less_one != 0 {
            return None;
        }
        // A size or an alignment of 0 becomes the largest, which no slot has.
        self.slots.class_of_last(size.wrapping_sub(1) | mask, less_one | alignment_mask)
    }

    /// Rounds size and alignment of a resource to what the pool cuts; `None` for a size of 0 or one that overflows.
    #[inline]
    pub(crate) fn round(&self, kind: Kind, size: u64, alignment: u64) -> Option<(u64, u64)> {
        let (mask, alignment_mask) = self.rounding.of_kind(kind);
        // A size of 0 wraps around twice, one that overflows once: both end at 0.
        let size = (size.wrapping_sub(1) | mask).wrapping_add(1);
        if size == 0 { None } else { Some((size, alignment.max(alignment_mask + 1))) }
    }
}
