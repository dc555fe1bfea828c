//! [`VirtualBlock`]: the suballocators for anything that has offsets: a big buffer, descriptors, an atlas. No Vulkan.
//!
//! ```text
//! VirtualBlock { id 7, epoch 2 }  ──allocate──>  VirtualAllocation { offset, size, key }
//!                                                        VirtualKey { block 7, epoch 2, range }   move-only
//!        ^──────────────free(key)────────────────────────────╯     another block's, or from before `clear`: handed back
//! ```
//!
//! Invariants:
//! * V1: no two blocks of a process have the same id; a key is accepted only where id and epoch both agree. A block
//!   whose epochs are used up gets a new id; when these are used up as well, it keeps its own.
//! * V2: the block has one region, number 0, for as long as it lives.
//! * V3: `user_data` holds 0 for every slot of the table whose range is not live.
//!
//! What it does not do: it grows by nothing, and locks nothing. Share it behind a mutex of your own.

mod error;
mod short_way;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

pub use error::{VirtualAllocateError, VirtualBlockError, VirtualFreeError};
use short_way::Refused;

use super::fixed::MAX_SLOT_COUNT;
use super::range_list::SLAB_BIT;
use super::size_class::MAX_SIZE;
use super::{Algorithm, RangeKey, RangeState, Request, Settings, SlotRule, Spot, Suballocator, Violation, align};

/// Sizes from here on are placed at the high end of a free range, so that small and large do not mix: 64 KiB did best
/// on recorded applications.
const HIGH_END_FROM: u64 = 64 << 10;

/// How a [`VirtualBlock`] is made.
///
/// # Examples
/// ```
/// use freestone::{Algorithm, VirtualBlock, VirtualBlockCreateInfo};
/// let info = VirtualBlockCreateInfo::new(1 << 20).unit(256).algorithm(Algorithm::Linear);
/// assert_eq!(VirtualBlock::new(&info)?.statistics().free_bytes, 1 << 20);
/// # Ok::<(), freestone::VirtualBlockError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct VirtualBlockCreateInfo {
    size: u64,
    algorithm: Algorithm,
    unit: u64,
    slab_limit: u64,
}

impl VirtualBlockCreateInfo {
    /// Describes a block of `size` bytes (or descriptors, texels ...), to be cut by TLSF in units of 1.
    pub const fn new(size: u64) -> Self {
        Self { size, algorithm: Algorithm::Tlsf, unit: 1, slab_limit: 0 }
    }

    /// Chooses the algorithm.
    pub const fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Makes every offset and size a multiple of `unit`, a power of two that divides the block's size. Larger units
    /// mean fewer tiny free ranges.
    pub const fn unit(self, unit: u64) -> Self {
        Self { unit, ..self }
    }

    /// Lets TLSF serve sizes of up to `slab_limit` from slabs: about a third of the time for small sizes. These are
    /// then rounded up to a slot: by less than an eighth, or by up to a quarter where the alignment is not small beside
    /// the size. The limit itself counts in whole units and is rounded up to a slot: a limit of 1000 serves 1024 as
    /// well. With 0, the default, sizes are only rounded as [`VirtualAllocation::size`] says.
    pub const fn slab_limit(self, slab_limit: u64) -> Self {
        Self { slab_limit, ..self }
    }

    fn check(&self) -> Result<(), VirtualBlockError> {
        let &Self { size, algorithm, unit, .. } = self;
        if !unit.is_power_of_two() {
            return Err(VirtualBlockError::Unit { unit });
        }
        if size == 0 || !align::is_aligned(size, unit) || size / unit > MAX_SIZE {
            return Err(VirtualBlockError::Size { size, unit });
        }
        let Algorithm::Fixed { slot_size } = algorithm else {
            return Ok(());
        };
        let is_served = slot_size > 0 && slot_size <= size && align::is_aligned(slot_size, unit);
        if !is_served || size / slot_size > MAX_SLOT_COUNT {
            return Err(VirtualBlockError::SlotSize { slot_size, size, unit });
        }
        Ok(())
    }
}

/// Owns one range of a [`VirtualBlock`]; 16 bytes. Cannot be copied, so a range cannot be freed twice. Dropping it
/// leaves the range used until the block is cleared.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "without its key, a range can only be freed by clearing the block"]
pub struct VirtualKey {
    block: u32,
    epoch: u32,
    range: RangeKey,
}

/// A range that was allocated. Move-only, by its key.
#[derive(Debug, PartialEq, Eq, Hash)]
#[must_use = "without its key, a range can only be freed by clearing the block"]
pub struct VirtualAllocation {
    /// Where it starts.
    pub offset: u64,
    /// How long it is: what was asked for, rounded up to the unit, or to the slot that serves it. Beside slabs, TLSF
    /// rounds it up to the alignment, too, where that adds no more than a 16th and there is room.
    pub size: u64,
    /// What frees it.
    pub key: VirtualKey,
}

/// One range, used or free, as [`VirtualBlock::for_each_range`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualRange {
    /// Where it starts.
    pub offset: u64,
    /// How long it is.
    pub size: u64,
    /// What it is.
    pub state: VirtualRangeState,
}

/// What a range of a [`VirtualBlock`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VirtualRangeState {
    /// Allocated.
    Used {
        /// What [`VirtualBlock::set_user_data`] stored; 0 if nothing.
        user_data: u64,
    },
    /// Free for any request.
    Free,
    /// A free slot: for requests that are served by such slots.
    FreeSlot,
    /// The rest behind the last whole slot.
    Unusable,
}

/// What a [`VirtualBlock`] holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualStatistics {
    /// The block's size.
    pub size: u64,
    /// Sum of the live ranges.
    pub used_bytes: u64,
    /// The rest: `size - used_bytes`.
    pub free_bytes: u64,
    /// Number of live ranges.
    pub allocation_count: u64,
    /// The largest free range.
    pub largest_free_range: u64,
    /// Bytes of bookkeeping on the host heap.
    pub host_bytes: usize,
}

/// Suballocates one run of offsets, `0..size`.
///
/// # Examples
/// ```
/// use freestone::{Request, VirtualBlock, VirtualBlockCreateInfo};
///
/// let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(1 << 20))?;
/// let range = block.allocate(&Request::new(1000, 256)).expect("the block is empty");
/// assert_eq!(range.offset % 256, 0);
/// block.free(range.key).expect("the key is this block's");
/// assert_eq!(block.statistics().used_bytes, 0);
/// # Ok::<(), freestone::VirtualBlockError>(())
/// ```
#[derive(Debug)]
pub struct VirtualBlock {
    suballocator: Suballocator,
    rule: SlotRule,
    id: u32,
    epoch: u32,
    /// By the key's index: ranges, then slots of slabs. Empty until the first is set.
    user_data: [Vec<u64>; 2],
}

impl VirtualBlock {
    /// Makes an empty block.
    ///
    /// # Errors
    /// [`VirtualBlockError`] when the description makes no sense; it says why.
    pub fn new(info: &VirtualBlockCreateInfo) -> Result<Self, VirtualBlockError> {
        info.check()?;
        let settings =
            Settings { slab_limit: info.slab_limit, high_end_from: HIGH_END_FROM, ..Settings::plain(info.unit) };
        let mut suballocator = Suballocator::new(info.algorithm, settings);
        suballocator.add_region(info.size);
        let id = next_id().ok_or(VirtualBlockError::NoIdLeft)?;
        let rule = suballocator.slot_rule();
        Ok(Self { suballocator, rule, id, epoch: 0, user_data: [const { Vec::new() }; 2] })
    }

    /// Takes a range.
    ///
    /// # Errors
    /// [`VirtualAllocateError::Invalid`] for a size of 0 or an alignment that is no power of two;
    /// [`VirtualAllocateError::NoRoom`] when nothing found fits. TLSF finds every range that holds the size and the
    /// alignment together, rounded up by a 16th; before it refuses, it looks at up to 64 ranges of each class of sizes
    /// that may do, 256 in all, and misses what lies behind these.
    ///
    /// # Complexity
    /// O(1), a refusal too: up to some microseconds with TLSF.
    #[inline]
    pub fn allocate(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        match self.suballocator {
            Suballocator::Tlsf(_) => self.allocate_by_rule(request),
            Suballocator::Linear(_) => self.allocate_in_line(request),
            Suballocator::Fixed(_) => self.allocate_fixed(request),
        }
    }

    /// Returns the offset and size that [`allocate`](Self::allocate) would give now, and changes nothing.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    ///
    /// # Complexity
    /// As [`allocate`](Self::allocate).
    pub fn probe(&self, request: &Request) -> Result<(u64, u64), VirtualAllocateError> {
        request.check()?;
        let spot = self.suballocator.probe(request).ok_or_else(|| self.no_room(request))?;
        Ok((spot.offset, spot.size))
    }

    /// Gives a range back.
    ///
    /// # Errors
    /// [`VirtualFreeError`] with the key when it is another block's or from before [`clear`](Self::clear); nothing has
    /// changed then.
    ///
    /// # Complexity
    /// O(1).
    #[inline]
    pub fn free(&mut self, key: VirtualKey) -> Result<(), VirtualFreeError> {
        let freed = match self.suballocator {
            Suballocator::Tlsf(_) => self.free_by_rule(&key),
            Suballocator::Linear(_) => self.free_in_line(&key),
            Suballocator::Fixed(_) => self.free_fixed(&key),
        };
        match freed {
            Ok(()) => Ok(()),
            Err(Refused::Foreign) => Err(VirtualFreeError::Foreign(key)),
            Err(Refused::Stale) => Err(VirtualFreeError::Stale(key)),
        }
    }

    /// Frees everything at once. All keys become stale; after 2^32 times, those from before are another block's.
    pub fn clear(&mut self) {
        self.suballocator.clear();
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.id = next_id().unwrap_or(self.id);
        }
        self.user_data.iter_mut().for_each(Vec::clear);
    }

    /// Returns offset and size of a live range; `None` for a key that [`free`](Self::free) would refuse.
    pub fn range(&self, key: &VirtualKey) -> Option<(u64, u64)> {
        let is_own = key.block == self.id && key.epoch == self.epoch;
        let Spot { offset, size, .. } = self.suballocator.resolve(key.range).filter(|_| is_own)?;
        Some((offset, size))
    }

    /// Stores a number with a live range: an index into a table of yours, say. Costs memory from the first use on.
    /// Tells whether the key is live.
    pub fn set_user_data(&mut self, key: &VirtualKey, value: u64) -> bool {
        if self.range(key).is_none() {
            return false;
        }
        let (table, index) = split(key.range);
        let table = &mut self.user_data[table];
        if index >= table.len() {
            table.resize(index + 1, 0);
        }
        table[index] = value;
        true
    }

    /// Returns the number stored with a live range, 0 if none was; `None` for a key that is not live.
    pub fn user_data(&self, key: &VirtualKey) -> Option<u64> {
        self.range(key).map(|_| self.user_data_of(key.range))
    }

    /// Shows every range, used and free, in the order of offsets, without gaps.
    pub fn for_each_range(&self, mut visit: impl FnMut(VirtualRange)) {
        self.suballocator.for_each_range(&mut |view| {
            let state = match view.state {
                RangeState::Used(key) => VirtualRangeState::Used { user_data: self.user_data_of(key) },
                RangeState::Free => VirtualRangeState::Free,
                RangeState::FreeSlot => VirtualRangeState::FreeSlot,
                RangeState::Unusable => VirtualRangeState::Unusable,
            };
            visit(VirtualRange { offset: view.offset, size: view.size, state });
        });
    }

    /// Returns what the block holds. The largest free range costs a walk through one list.
    pub fn statistics(&self) -> VirtualStatistics {
        let (size, used_bytes) = (self.suballocator.region_bytes(), self.suballocator.used_bytes());
        let table_bytes: usize = self.user_data.iter().map(|table| table.capacity() * size_of::<u64>()).sum();
        VirtualStatistics {
            size,
            used_bytes,
            free_bytes: size - used_bytes,
            allocation_count: self.suballocator.range_count(),
            largest_free_range: self.suballocator.largest_free_range(),
            host_bytes: self.suballocator.host_bytes() + table_bytes,
        }
    }

    /// Tells whether no range is live.
    pub fn is_empty(&self) -> bool {
        self.suballocator.range_count() == 0
    }

    /// Checks every invariant of the bookkeeping; reads all of it.
    ///
    /// # Errors
    /// The first [`Violation`] found: a bug in this library, worth a report.
    pub fn validate(&self) -> Result<(), Violation> {
        self.suballocator.validate()
    }

    #[cold]
    fn no_room(&self, request: &Request) -> VirtualAllocateError {
        let &Request { size, alignment, .. } = request;
        let free_bytes = self.suballocator.region_bytes() - self.suballocator.used_bytes();
        VirtualAllocateError::NoRoom { size, alignment, free_bytes, largest: self.suballocator.largest_at_a_glance() }
    }

    fn user_data_of(&self, key: RangeKey) -> u64 {
        let (table, index) = split(key);
        self.user_data[table].get(index).copied().unwrap_or(0)
    }

    /// V3.
    #[cold]
    fn forget_user_data(&mut self, key: RangeKey) {
        let (table, index) = split(key);
        if let Some(user_data) = self.user_data[table].get_mut(index) {
            *user_data = 0;
        }
    }
}

/// Returns which table a key's data are in, and where. A fixed slot's number may have the slab bit too: it is the same
/// one for the same slot.
const fn split(key: RangeKey) -> (usize, usize) {
    ((key.index & SLAB_BIT != 0) as usize, (key.index & !SLAB_BIT) as usize)
}

/// Returns an id that no block of this process has.
fn next_id() -> Option<u32> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |id| id.checked_add(1)).ok()
}

#[cfg(test)]
mod tests;
