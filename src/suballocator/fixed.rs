//! Equal slots, one bit each: the coarse-grained suballocator.
//!
//! ```text
//! open regions   1 1 0 1                           a bit per region that has a free slot
//! region 0       [ 0 0 1 0 ]                       level 1: a bit per word that has a free slot
//!                [ 0… ][ 0… ][ 0…0100 ][ 0… ]      level 0: a bit per free slot
//! ```
//!
//! The lowest free slot of the lowest region is taken, so that higher regions drain. Finding it reads one word per
//! level: 64 slots, 4096, 262,144, and so on.
//!
//! Invariants:
//! * F1: a bit of a level above 0 is set if and only if its word below is not 0; bits beyond the capacity are clear.
//! * F2: a region is open if and only if it is present and has a free slot.
//! * F3: a region's `busy` is its number of used slots; `range_count` is their sum.
//! * F4: a region's generation (10 bits) changes when it is removed or cleared. Two uses of one slot are told apart by
//!   its bit only, as in [`slab`](super::slab).
//!
//! What it does not do: it serves no alignment above the largest power of two that divides the slot size, and nothing
//! larger than a slot. What is left of a region behind its last whole slot is unusable.

use alloc::vec::Vec;

use super::align::is_aligned;
use super::region_table::RegionTable;
use super::{Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// Most slots of one region: a slot's number is half a key.
pub(super) const MAX_SLOT_COUNT: u64 = u32::MAX as u64;

const GENERATION_BITS: u32 = 10;

/// A set of numbers below a capacity that finds its smallest member by one word per level.
#[derive(Clone, Debug)]
pub(super) struct Bitmap {
    /// Level 0 first.
    pub(super) levels: Vec<Vec<u64>>,
}

impl Bitmap {
    /// Makes an empty set for the numbers `0..capacity`.
    pub(super) fn new(capacity: usize) -> Self {
        let (mut levels, mut count) = (Vec::new(), capacity);
        while count > 1 || levels.is_empty() {
            count = count.div_ceil(64);
            levels.push(alloc::vec![0; count]);
        }
        Self { levels }
    }

    /// Makes a set of all the numbers `0..capacity`.
    pub(super) fn full(capacity: usize) -> Self {
        let (mut set, mut count) = (Self::new(capacity), capacity);
        for level in &mut set.levels {
            level.fill(u64::MAX);
            if let (Some(last), false) = (level.last_mut(), count % 64 == 0) {
                *last = (1 << (count % 64)) - 1;
            }
            count = level.len();
        }
        set
    }

    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        self.levels.iter().rev().try_fold(0, |word, level| {
            let bits = *level.get(word)?;
            (bits != 0).then(|| (word << 6) + bits.trailing_zeros() as usize)
        })
    }

    pub(super) fn contains(&self, number: usize) -> bool {
        self.levels[0].get(number >> 6).is_some_and(|word| word & (1 << (number & 63)) != 0)
    }

    #[inline]
    pub(super) fn insert(&mut self, mut number: usize) {
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

    #[inline]
    pub(super) fn remove(&mut self, mut number: usize) {
        for level in &mut self.levels {
            let word = &mut level[number >> 6];
            *word &= !(1 << (number & 63));
            if *word != 0 {
                return;
            }
            number >>= 6;
        }
    }

    pub(super) fn host_bytes(&self) -> usize {
        let words: usize = self.levels.iter().map(Vec::capacity).sum();
        words * size_of::<u64>() + self.levels.capacity() * size_of::<Vec<u64>>()
    }
}

/// Slots of one region.
#[derive(Clone, Debug)]
pub(super) struct FixedRegion {
    pub(super) free: Bitmap,
    pub(super) count: u32,
    pub(super) generation: u32,
}

/// The suballocator.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub(super) regions: RegionTable,
    pub(super) slots: Vec<FixedRegion>,
    pub(super) open: Bitmap,
    pub(super) slot_size: u64,
    pub(super) shift: u32,
    pub(super) range_count: u64,
}

impl Fixed {
    /// Makes a suballocator of slots of `slot_size` bytes, a multiple of the unit.
    pub(super) fn new(slot_size: u64, settings: &Settings) -> Self {
        debug_assert!(slot_size > 0 && is_aligned(slot_size, settings.unit));
        let (regions, open, shift) = (RegionTable::new(), Bitmap::new(0), settings.shift());
        Self { regions, slots: Vec::new(), open, slot_size, shift, range_count: 0 }
    }

    pub(super) fn add_region(&mut self, units: u64) -> u32 {
        let region = self.regions.add(units);
        let count = ((units << self.shift) / self.slot_size).min(MAX_SLOT_COUNT);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let free = Bitmap::full(count as usize);
        match self.slots.get_mut(region as usize) {
            Some(slots) => (slots.free, slots.count) = (free, count),
            None => self.slots.push(FixedRegion { free, count, generation: 0 }),
        }
        self.reopen();
        region
    }

    pub(super) fn remove_region(&mut self, region: u32) -> bool {
        if !self.regions.is_empty(region) {
            return false;
        }
        let slots = &mut self.slots[region as usize];
        (slots.free, slots.count) = (Bitmap::new(0), 0);
        slots.generation = slots.generation.wrapping_add(1);
        self.open.remove(region as usize);
        self.regions.remove(region);
        true
    }

    #[inline(never)]
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        let (region, slot) = self.find(request)?;
        Some(self.take(region, slot))
    }

    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let is_served = self.serves(request) && self.regions.is_present(region);
        let slot = if is_served {
            self.slots[region as usize].free.first()?
        } else {
            return None;
        };
        Some(self.take(region, slot))
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let (region, slot) = self.find(request)?;
        Some(self.spot(region, slot as u64))
    }

    #[inline(never)]
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        let (region, slot) = self.slot_of(key).ok_or(StaleKey)?;
        self.slots[region as usize].free.insert(slot);
        self.open.insert(region as usize);
        self.range_count -= 1;
        let is_region_empty = self.regions.vacate(region);
        let Spot { offset, size, .. } = self.spot(region, slot as u64);
        Ok(Freed { region, offset, size, is_region_empty })
    }

    pub(super) fn clear(&mut self) {
        for slots in &mut self.slots {
            slots.generation = slots.generation.wrapping_add(1);
            slots.free = Bitmap::full(slots.count as usize);
        }
        self.regions.reset();
        self.range_count = 0;
        self.reopen();
    }

    /// Returns place and size of a live suballocation.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        self.slot_of(key).map(|(region, slot)| self.spot(region, slot as u64))
    }

    pub(super) fn largest_free_range(&self) -> u64 {
        if self.open.first().is_some() { self.slot_size } else { 0 }
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for region in 0..self.regions.len() {
            let Some(units) = self.regions.get(region).map(|region| region.units) else {
                continue;
            };
            let slots = &self.slots[region as usize];
            for slot in 0..slots.count {
                let Spot { offset, size, .. } = self.spot(region, u64::from(slot));
                let used = RangeState::Used(self.key_of(region, slot));
                let state = if slots.free.contains(slot as usize) { RangeState::FreeSlot } else { used };
                visit(RangeView { region, offset, size, state });
            }
            let offset = u64::from(slots.count) * self.slot_size;
            let size = (units << self.shift) - offset;
            if size > 0 {
                visit(RangeView { region, offset, size, state: RangeState::Unusable });
            }
        }
    }

    pub(super) fn host_bytes(&self) -> usize {
        let bitmaps: usize = self.slots.iter().map(|slots| slots.free.host_bytes()).sum();
        let tables = self.slots.capacity() * size_of::<FixedRegion>() + self.regions.host_bytes();
        bitmaps + tables + self.open.host_bytes()
    }

    #[inline]
    fn find(&self, request: &Request) -> Option<(u32, usize)> {
        if !self.serves(request) {
            return None;
        }
        let region = self.open.first()?;
        let slot = self.slots[region].free.first()?;
        Some((u32::try_from(region).ok()?, slot))
    }

    /// Tells whether any slot fits the request.
    #[inline]
    fn serves(&self, request: &Request) -> bool {
        request.size <= self.slot_size && is_aligned(self.slot_size, request.alignment)
    }

    #[inline]
    fn take(&mut self, region: u32, slot: usize) -> Suballocation {
        let slots = &mut self.slots[region as usize];
        slots.free.remove(slot);
        if slots.free.first().is_none() {
            self.open.remove(region as usize);
        }
        self.regions.occupy(region);
        self.range_count += 1;
        let Spot { offset, size, .. } = self.spot(region, slot as u64);
        #[expect(clippy::cast_possible_truncation, reason = "a region has fewer than 2^32 slots")]
        let key = self.key_of(region, slot as u32);
        Suballocation { region, offset, size, key }
    }

    /// Returns region and slot of a key, unless it is stale.
    #[inline]
    fn slot_of(&self, key: RangeKey) -> Option<(u32, usize)> {
        let region = key.generation >> GENERATION_BITS;
        let slots = self.slots.get(region as usize)?;
        let is_live = key.index < slots.count && !slots.free.contains(key.index as usize);
        (is_live && key == self.key_of(region, key.index)).then_some((region, key.index as usize))
    }

    #[inline]
    fn key_of(&self, region: u32, slot: u32) -> RangeKey {
        let generation = self.slots[region as usize].generation & ((1 << GENERATION_BITS) - 1);
        RangeKey { index: slot, generation: region << GENERATION_BITS | generation }
    }

    /// Builds the set of open regions anew: only when regions come or everything is freed.
    fn reopen(&mut self) {
        self.open = Bitmap::new(self.slots.len());
        for (region, slots) in self.slots.iter().enumerate() {
            if slots.free.first().is_some() {
                self.open.insert(region);
            }
        }
    }

    #[inline]
    const fn spot(&self, region: u32, slot: u64) -> Spot {
        Spot { region, offset: slot * self.slot_size, size: self.slot_size }
    }
}

#[cfg(test)]
mod tests;
