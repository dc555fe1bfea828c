//! What is asked of a suballocator, and what it is told once.
//!
//! Sizes and alignments are in bytes here; the files below this one count in units.

use super::size_class::MAX_SIZE;

/// Which end of a free range serves a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The low end: the lowest aligned offset.
    Low,
    /// The high end: the highest aligned offset that leaves room for the size, which TLSF may have rounded up to the
    /// alignment. A linear suballocator stacks such ranges downwards from its end.
    High,
}

/// What is asked of a suballocator, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// Bytes needed; above 0.
    pub size: u64,
    /// The offset is a multiple of this; a power of two.
    pub alignment: u64,
    /// Which end of a free range serves it; `None` leaves that to the algorithm. Slots have no ends: TLSF serves a
    /// request that names one without slabs, and fixed slots ignore it.
    pub end: Option<End>,
}

/// A request that no suballocator can serve, whatever is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The size is 0. Ask for at least one byte.
    #[error("a range of 0 bytes was asked for")]
    ZeroSize,
    /// The alignment is not a power of two. Use 1 where any offset will do.
    #[error("an alignment of {alignment} bytes is not a power of two")]
    Alignment {
        /// What was asked for.
        alignment: u64,
    },
}

impl Request {
    /// Makes a request for `size` bytes at a multiple of `alignment`, at whichever end the algorithm prefers.
    ///
    /// # Examples
    /// ```
    /// use freestone::{End, Request};
    /// let request = Request::new(4096, 256).end(End::High);
    /// assert_eq!(request.check(), Ok(()));
    /// ```
    pub const fn new(size: u64, alignment: u64) -> Self {
        Self { size, alignment, end: None }
    }

    /// Asks for one end of a free range.
    #[must_use]
    pub const fn end(self, end: End) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Tells whether any suballocator could serve this.
    ///
    /// # Errors
    /// [`InvalidRequest`] when the size is 0 or the alignment is no power of two.
    pub const fn check(&self) -> Result<(), InvalidRequest> {
        if self.size == 0 {
            return Err(InvalidRequest::ZeroSize);
        }
        if !self.alignment.is_power_of_two() {
            return Err(InvalidRequest::Alignment { alignment: self.alignment });
        }
        Ok(())
    }
}

/// How regions are cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// Two-level segregated fit: any sizes in any order, O(1), freed neighbours merge. The one to start with.
    #[default]
    Tlsf,
    /// Bump, stack, double stack or ring: for what is freed in the order of its making, or the reverse.
    Linear,
    /// Equal slots, one bit each: for many ranges of one size. What is larger than a slot, or aligned to more than the
    /// largest power of two that divides the slot size, is refused, however much is free. A custom pool that is not of
    /// one kind rounds both of a non-linear resource up to `bufferImageGranularity` first.
    Fixed {
        /// Size of a slot in bytes.
        slot_size: u64,
    },
}

/// What every algorithm is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Every offset and size is a multiple of this; a power of two.
    pub(crate) unit: u64,
    /// Largest size in bytes that TLSF serves from slabs, however little is live; 0 for none.
    pub(crate) slab_limit: u64,
    /// TLSF serves larger sizes from slabs too, where they are at most one part in `1 << large_slot_shift` of what is
    /// live; [`NO_LARGE_SLOTS`] for none. Nothing where the limit is 0.
    pub(crate) large_slot_shift: u32,
    /// TLSF places sizes from here on at the high end of a free range, smaller ones at the low end.
    pub(crate) high_end_from: u64,
    /// TLSF serves what would be left of a free range with it, where that is at most one part in `1 << sliver_shift` of
    /// what is asked for; [`NO_SLIVERS`] for cuts that are exact.
    pub(crate) sliver_shift: u32,
}

/// The `large_slot_shift` of slabs for small sizes alone.
pub(crate) const NO_LARGE_SLOTS: u32 = 63;

/// The `sliver_shift` of exact cuts.
pub(crate) const NO_SLIVERS: u32 = 63;

impl Settings {
    /// Settings of an algorithm that knows neither slabs, ends nor slivers.
    pub(crate) const fn plain(unit: u64) -> Self {
        Self {
            unit,
            slab_limit: 0,
            large_slot_shift: NO_LARGE_SLOTS,
            high_end_from: u64::MAX,
            sliver_shift: NO_SLIVERS,
        }
    }

    /// Returns the size of the largest region, in bytes.
    pub(crate) const fn largest_region(&self) -> u64 {
        MAX_SIZE.saturating_mul(self.unit)
    }

    pub(super) const fn shift(&self) -> u32 {
        debug_assert!(self.unit.is_power_of_two());
        self.unit.trailing_zeros()
    }
}
