//! Whose an allocation is and how it was made, in eight bytes that its pool has ready.
//!
//! ```text
//!   bit 63        56 | 55           48 | 47        32 | 31            0
//!   traits           | memory type     | pool         | allocator
//! ```
//!
//! A pool's stamp is made once; an allocation's differs from it in traits only. That an allocation is this allocator's,
//! and that freeing it concerns its pool's blocks alone, is one comparison.

/// The stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Something that is true of an allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Trait {
    /// A memory object serves it alone.
    Dedicated,
    /// The resource is not linear.
    NonLinear,
    /// Host access needs flush and invalidate.
    NonCoherent,
    /// A name, or the place of its making, is kept for it.
    InLedger,
    /// Its memory carries the info that ties it to one resource.
    Tied,
    /// A block was opened for it.
    Opener,
}

const POOL_SHIFT: u32 = 32;
const TYPE_SHIFT: u32 = 48;
const TRAIT_SHIFT: u32 = 56;
const OWNER_BITS: u64 = u32::MAX as u64;
const POOL_BITS: u64 = (u16::MAX as u64) << POOL_SHIFT;
/// What concerns more than a pool's blocks.
const NOT_PLAIN: u64 = Trait::Dedicated.bit() | Trait::InLedger.bit();

impl Trait {
    const fn bit(self) -> u64 {
        1 << (TRAIT_SHIFT + self as u32)
    }
}

impl Stamp {
    /// Makes the stamp of a pool.
    pub(crate) fn new(owner: u32, pool: u16, memory_type_index: u32) -> Self {
        debug_assert!(memory_type_index < 32, "a device has at most 32 memory types");
        Self(u64::from(owner) | u64::from(pool) << POOL_SHIFT | u64::from(memory_type_index) << TYPE_SHIFT)
    }

    /// Adds a trait where the condition holds.
    #[inline]
    #[must_use]
    pub(crate) const fn with(self, added: Trait, is_true: bool) -> Self {
        Self(self.0 | (is_true as u64) << (TRAIT_SHIFT + added as u32))
    }

    #[inline]
    pub(crate) const fn has(self, asked: Trait) -> bool {
        self.0 & asked.bit() != 0
    }

    #[inline]
    pub(crate) const fn owner(self) -> u32 {
        (self.0 & OWNER_BITS) as u32
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the pool's 16 bits are what is meant")]
    pub(crate) const fn pool(self) -> u16 {
        (self.0 >> POOL_SHIFT) as u16
    }

    #[inline]
    pub(crate) const fn memory_type_index(self) -> u32 {
        (self.0 >> TYPE_SHIFT) as u32 & 31
    }

    /// Returns whether it is of this allocator, and freeing it concerns its pool's blocks alone.
    #[inline]
    pub(crate) const fn is_plain_of(self, owner: u32) -> bool {
        self.0 & (OWNER_BITS | NOT_PLAIN) == owner as u64
    }

    /// Returns whether both are of one pool of one allocator, and freeing either concerns the pool's blocks alone, or
    /// neither is so.
    #[inline]
    pub(crate) const fn is_freed_as(self, other: Self) -> bool {
        (self.0 ^ other.0) & (OWNER_BITS | POOL_BITS | NOT_PLAIN) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let stamp = Stamp::new(u32::MAX, 0, 31).with(Trait::Opener, true).with(Trait::Dedicated, false);
        assert_eq!((stamp.owner(), stamp.pool(), stamp.memory_type_index()), (u32::MAX, 0, 31));
        assert!(stamp.has(Trait::Opener) && !stamp.has(Trait::Dedicated));
        let stamp = Stamp::new(0, u16::MAX, 0);
        assert_eq!((stamp.owner(), stamp.pool(), stamp.memory_type_index()), (0, u16::MAX, 0));
        assert!(!stamp.has(Trait::Dedicated));
    }

    #[test]
    fn plain_is_of_the_owner_in_a_block_without_a_name() {
        let stamp = Stamp::new(7, 3, 2).with(Trait::NonLinear, true).with(Trait::NonCoherent, true);
        assert!(stamp.is_plain_of(7) && !stamp.is_plain_of(8));
        assert!(!stamp.with(Trait::Dedicated, true).is_plain_of(7));
        assert!(!stamp.with(Trait::InLedger, true).is_plain_of(7));
    }
}
