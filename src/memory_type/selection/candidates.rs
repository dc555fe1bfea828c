//! The answer to a question for memory types: a list, best first.

use core::fmt;

use ash::vk;

/// Memory types, best first. Small enough to be copied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidates {
    order: [u8; vk::MAX_MEMORY_TYPES],
    count: u8,
    /// One bit for each of them.
    bits: u32,
}

impl Candidates {
    pub(super) const NONE: Self = Self { order: [0; vk::MAX_MEMORY_TYPES], count: 0, bits: 0 };

    /// Appends a type; callers append each at most once, so the array is long enough.
    pub(super) fn push(&mut self, memory_type_index: u32) {
        self.order[usize::from(self.count)] = u8::try_from(memory_type_index).unwrap_or(u8::MAX);
        self.count += 1;
        self.bits |= 1 << memory_type_index;
    }

    /// Keeps those whose bit is set, in their order.
    pub(super) fn within(&self, memory_type_bits: u32) -> Self {
        if self.bits & !memory_type_bits == 0 {
            return *self;
        }
        let mut kept = Self::NONE;
        self.iter().filter(|index| memory_type_bits & (1 << index) != 0).for_each(|index| kept.push(index));
        kept
    }

    /// Names one type alone: that of a custom pool.
    pub(crate) fn only(memory_type_index: u32) -> Self {
        let mut candidates = Self::NONE;
        candidates.push(memory_type_index);
        candidates
    }

    /// Returns the memory type indices, best first.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.order[..usize::from(self.count)]
    }

    /// Iterates over the memory type indices, best first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = u32> + Clone + '_ {
        self.as_slice().iter().copied().map(u32::from)
    }

    /// Returns the best one.
    pub(crate) fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    /// Returns whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Debug for Candidates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.as_slice()).finish()
    }
}
