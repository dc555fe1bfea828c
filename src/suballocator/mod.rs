//! Floor 0: offsets only. Cuts fine pieces out of coarse regions and knows nothing of Vulkan, locks or pointers.
//!
//! ```text
//!            ┌────────────────────── one Suballocator: one algorithm, one index ─────────────────────┐
//! region 0   [ used ][ used ][ free          ][ used ][ free ][ slab: s s s . s . . s ][ used         ]
//! region 1   [ used                 ][ free                                            ][ used ][ used ]
//! region 2   [ free                                                          ]
//!            offset 0 ──────────────> in units                                  region's size: any multiple of the unit
//! ```
//!
//! Glossary, from big to small:
//! * *region*: a run of offsets `0..size` to be cut: a block of device memory, or the one run of a
//!   [`VirtualBlock`](virtual_block::VirtualBlock).
//! * *range*: a piece of a region, used or free. Ranges of different regions never merge.
//! * *suballocation*: a used range, or a used slot.
//! * *slab*: a used range that is cut into up to 64 equal *slots*.
//! * *unit*: what every offset and size is a multiple of; a power of two.
//! * *ready*: a slot, without searching; *at hand*: the same for linear ranges and fixed slots.
//! * *key*: names one suballocation to its suballocator. A key that does not name a live one is *stale*.
//!
//! The files, each with its own invariants (cited by [`validate`]): `size_class`, `align` (arithmetic), `request` (what
//! is asked), `region_table`, `range_list`, `free_lists`, `slab` (structures), [`tlsf`], [`linear`] with its `nodes`,
//! [`fixed`] with its `bitmap` (algorithms), [`virtual_block`] (the public face), [`validate`].
//!
//! The same sequence of calls gives the same placement: no time, no randomness, no addresses.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "vulkan"), allow(dead_code, reason = "floors 3 and 4 use what the virtual block does not"))]

pub(crate) mod align;
mod fixed;
mod free_lists;
mod linear;
mod range_list;
mod region_table;
mod request;
mod size_class;
mod slab;
mod tlsf;
pub(crate) mod validate;
pub(crate) mod virtual_block;

use fixed::Fixed;
use linear::Linear;
pub(crate) use request::Settings;
pub use request::{Algorithm, End, InvalidRequest, Request};
pub(crate) use tlsf::SlotRule;
use tlsf::Tlsf;
pub(crate) use validate::Violation;

/// Names one suballocation. Crate-internal and `Copy`: what users hold are move-only wrappers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RangeKey {
    index: u32,
    generation: u32,
}

impl RangeKey {
    /// Makes the key of a slot, for tables of the floors above that have slots of their own.
    pub(crate) const fn new(index: u32, generation: u32) -> Self {
        Self { index, generation }
    }

    /// Returns the slot's index.
    pub(crate) const fn index(self) -> u32 {
        self.index
    }

    /// Returns the slot's generation.
    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    /// Returns whether it names a slot of a slab, and not a range.
    pub(crate) const fn is_slot(self) -> bool {
        self.index & range_list::SLAB_BIT != 0
    }
}

/// A used range, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suballocation {
    pub(crate) region: u32,
    /// Offset within the region.
    pub(crate) offset: u64,
    /// At least what was asked for: rounded up to the unit, or to the slot.
    pub(crate) size: u64,
    pub(crate) key: RangeKey,
}

/// Where a suballocation lies or would lie, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) region: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// What a freed key named, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) region: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    /// Whether nothing in the region is live any more.
    pub(crate) is_region_empty: bool,
}

/// The key names no live suballocation of this suballocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key names no live range")]
pub(crate) struct StaleKey;

/// One range as [`Suballocator::for_each_range`] shows it, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RangeView {
    pub(crate) region: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) state: RangeState,
}

/// What a range is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeState {
    /// A live suballocation.
    Used(RangeKey),
    /// Free for any request.
    Free,
    /// A free slot, of a slab with used ones or of fixed slots.
    FreeSlot,
    /// The rest of a region behind its last whole slot.
    Unusable,
}

/// Suballocates any number of regions with one algorithm. A tag of its own is cheaper to read than a niche.
#[derive(Clone, Debug)]
#[repr(u32)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for a whole pool, and a box would be one more line to read"
)]
pub(crate) enum Suballocator {
    Tlsf(Tlsf),
    Linear(Linear),
    Fixed(Fixed),
}

/// Calls the same method of whichever algorithm it is.
macro_rules! each {
    ($self:ident, $inner:ident => $call:expr) => {
        match $self {
            Suballocator::Tlsf($inner) => $call,
            Suballocator::Linear($inner) => $call,
            Suballocator::Fixed($inner) => $call,
        }
    };
}

/// Calls the same method on the region table of whichever algorithm it is.
macro_rules! regions {
    ($self:ident) => {
        match $self {
            Suballocator::Tlsf(tlsf) => &tlsf.ranges.regions,
            Suballocator::Linear(linear) => &linear.regions,
            Suballocator::Fixed(fixed) => &fixed.regions,
        }
    };
}

impl Suballocator {
    /// Makes a suballocator without regions. A slot size is rounded up to the unit.
    pub(crate) fn new(algorithm: Algorithm, settings: Settings) -> Self {
        match algorithm {
            Algorithm::Tlsf => Self::Tlsf(Tlsf::new(&settings)),
            Algorithm::Linear => Self::Linear(Linear::new(&settings)),
            Algorithm::Fixed { slot_size } => {
                let units = align::units_for(slot_size, settings.shift()).clamp(1, size_class::MAX_SIZE);
                Self::Fixed(Fixed::new(units << settings.shift(), &settings))
            }
        }
    }

    /// Adds a region of `size` bytes, a multiple of the unit, and returns its number: the lowest free one.
    ///
    /// # Panics
    /// When the size is 0 or 2^42 units and more, or when there are 2^22 - 1 regions.
    pub(crate) fn add_region(&mut self, size: u64) -> u32 {
        let shift = self.shift();
        debug_assert!(align::is_aligned(size, 1 << shift), "a region's size is a multiple of the unit");
        each!(self, inner => inner.add_region(size >> shift))
    }

    /// Removes a region in which nothing is live. `false`, and nothing changed, where something is or no such region
    /// exists.
    pub(crate) fn remove_region(&mut self, region: u32) -> bool {
        each!(self, inner => inner.remove_region(region))
    }

    /// Returns which requests slots serve, and of which class.
    pub(crate) fn slot_rule(&self) -> SlotRule {
        match self {
            Self::Tlsf(tlsf) => tlsf.slot_rule(),
            Self::Linear(_) | Self::Fixed(_) => SlotRule::NONE,
        }
    }

    /// Takes a slot that is at hand; `None`, and nothing changed, where [`allocate`](Self::allocate) must look further.
    /// What it takes is what that would take, in a tenth of its code.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn allocate_ready(&mut self, class: usize) -> Option<Suballocation> {
        match self {
            Self::Tlsf(tlsf) => tlsf.take_ready(class),
            Self::Linear(_) | Self::Fixed(_) => None,
        }
    }

    /// Frees a slot where another of its slab stays in use; `false`, and nothing changed, for any other key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn free_ready(&mut self, key: RangeKey) -> bool {
        match self {
            Self::Tlsf(tlsf) => tlsf.free_ready(key),
            Self::Linear(_) | Self::Fixed(_) => false,
        }
    }

    /// Takes what is at hand where there are no slabs; `None`, and nothing changed, where [`allocate`](Self::allocate)
    /// must look further. What it takes is what that would take.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn allocate_at_hand(&mut self, request: &Request) -> Option<Suballocation> {
        if let Self::Linear(linear) = self { linear.allocate_ready(request) } else { self.allocate_fixed(request) }
    }

    #[inline(never)]
    fn allocate_fixed(&mut self, request: &Request) -> Option<Suballocation> {
        if let Self::Fixed(fixed) = self { fixed.allocate_ready(request) } else { None }
    }

    /// Frees what [`free_ready`](Self::free_ready) does, and a range or slot of other algorithms whose region stays in
    /// use; `false`, and nothing changed, for any other key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(crate) fn free_at_hand(&mut self, key: RangeKey) -> bool {
        match self {
            Self::Tlsf(tlsf) => tlsf.free_ready(key),
            Self::Linear(linear) => linear.free_ready(key),
            Self::Fixed(_) => self.free_fixed(key),
        }
    }

    #[inline(never)]
    fn free_fixed(&mut self, key: RangeKey) -> bool {
        if let Self::Fixed(fixed) = self { fixed.free_ready(key) } else { false }
    }

    /// Takes a range; `None` when nothing found fits. See [`Request`] for what makes it valid.
    ///
    /// # Complexity
    /// O(1) for TLSF and fixed slots. Linear: O(1) while the region that served last has room, else O(regions).
    #[inline(never)]
    pub(crate) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        debug_assert_eq!(request.check(), Ok(()));
        each!(self, inner => inner.allocate(request))
    }

    /// Takes a range of one region, by first fit and never from a slab: for who has just added the region.
    ///
    /// # Complexity
    /// O(1); TLSF O(ranges of the region) where that is not fresh.
    pub(crate) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        debug_assert_eq!(request.check(), Ok(()));
        each!(self, inner => inner.allocate_in(region, request))
    }

    /// Returns what [`allocate`](Self::allocate) would answer, by the same search, and changes nothing.
    pub(crate) fn probe(&self, request: &Request) -> Option<Spot> {
        debug_assert_eq!(request.check(), Ok(()));
        each!(self, inner => inner.probe(request))
    }

    /// Gives a range back.
    ///
    /// # Errors
    /// [`StaleKey`] when the key names no live range; nothing has changed then.
    ///
    /// # Complexity
    /// O(1).
    #[inline(never)]
    pub(crate) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        each!(self, inner => inner.free(key))
    }

    /// Returns where a live suballocation lies.
    pub(crate) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        each!(self, inner => inner.resolve(key))
    }

    /// Frees the ranges of all empty slabs. A request that needs their room gets it without this.
    pub(crate) fn reclaim(&mut self) {
        if let Self::Tlsf(tlsf) = self {
            tlsf.reclaim();
        }
    }

    /// Frees the ranges of the empty slabs that lie in empty regions.
    ///
    /// # Complexity
    /// O(classes) for each such slab, and once more.
    pub(crate) fn reclaim_in_empty(&mut self) {
        if let Self::Tlsf(tlsf) = self {
            tlsf.reclaim_in_empty();
        }
    }

    /// Frees everything; all keys become stale. Regions stay.
    ///
    /// # Complexity
    /// O(ranges); fixed slots O(regions), and a 64th of all slots.
    pub(crate) fn clear(&mut self) {
        each!(self, inner => inner.clear());
    }

    /// Returns the bytes of all live suballocations, each as large as its [`Suballocation::size`].
    pub(crate) fn used_bytes(&self) -> u64 {
        match self {
            Self::Tlsf(tlsf) => tlsf.used_bytes,
            Self::Linear(linear) => linear.used_units << linear.shift,
            Self::Fixed(fixed) => fixed.range_count * fixed.slot_size,
        }
    }

    /// Returns the bytes of all regions.
    pub(crate) fn region_bytes(&self) -> u64 {
        regions!(self).total_units << self.shift()
    }

    /// Returns the number of live suballocations.
    pub(crate) fn range_count(&self) -> u64 {
        match self {
            Self::Tlsf(tlsf) => u64::from(tlsf.range_count),
            Self::Linear(linear) => linear.range_count,
            Self::Fixed(fixed) => fixed.range_count,
        }
    }

    /// Returns the bytes of all regions in which nothing is live.
    pub(crate) fn empty_region_bytes(&self) -> u64 {
        regions!(self).empty_units << self.shift()
    }

    /// Walks the regions in which nothing is live, with their sizes in bytes, the most recently emptied first.
    pub(crate) fn empty_regions(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let shift = self.shift();
        regions!(self).empty().map(move |(region, units)| (region, units << shift))
    }

    /// Returns the size in bytes of the largest free range that a request may be given. Slabs that are kept empty count
    /// as free, and so do free slots at the ends of up to 256 slabs of large slots: a request gets their room.
    ///
    /// # Complexity
    /// TLSF walks its topmost list, what lies around each empty slab, and up to 256 slabs; linear its regions.
    pub(crate) fn largest_free_range(&self) -> u64 {
        each!(self, inner => inner.largest_free_range())
    }

    /// Returns the same, or up to a 16th less where many free ranges are about as large: for who was just refused.
    ///
    /// # Complexity
    /// TLSF: O(1), what lies around each empty slab, and up to 256 others. Linear walks its regions.
    pub(crate) fn largest_at_a_glance(&self) -> u64 {
        match self {
            Self::Tlsf(tlsf) => tlsf.largest_at_a_glance(),
            Self::Linear(_) | Self::Fixed(_) => self.largest_free_range(),
        }
    }

    /// Returns the size in bytes of the largest slot that is free in a slab in use, 0 for none: a request of its size
    /// gets it.
    pub(crate) fn largest_free_slot(&self) -> u64 {
        match self {
            Self::Tlsf(tlsf) => tlsf.slabs.largest_free_slot(),
            Self::Linear(_) | Self::Fixed(_) => 0,
        }
    }

    /// Shows every range, in the order of regions and offsets.
    pub(crate) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        each!(self, inner => inner.for_each_range(visit));
    }

    /// Checks every invariant of the structures. For tests and debugging: it reads everything.
    ///
    /// # Errors
    /// The first [`Violation`] found: a bug in this floor.
    pub(crate) fn validate(&self) -> Result<(), Violation> {
        validate::validate(self)
    }

    /// Returns the bytes of bookkeeping on the host heap.
    pub(crate) fn host_bytes(&self) -> usize {
        each!(self, inner => inner.host_bytes())
    }

    fn shift(&self) -> u32 {
        each!(self, inner => inner.shift)
    }
}

#[cfg(test)]
mod tests;
