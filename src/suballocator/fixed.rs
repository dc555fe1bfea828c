//! Equal slots, one bit each: the coarse-grained suballocator.
//!
//! ```text
//! open regions    1 1 0 1                                    a bit per region that has a free slot
//! region 0        groups  [ 0 1 ]                            a bit per group that has a free slot
//!                 bits    [ 0… ][ 0… ] … [ 0… ]│[ 0…01 ][ 0…0100 ][ 0… ] … [ 0… ]
//!                         ╰─ a group of 4096 slots: its summary, a bit per word that has a free slot, and its words
//! ```
//!
//! The lowest free slot of the lowest region is taken, so that higher regions drain. Which region and which of its
//! groups that is, is known, so it is found by two words. A region of up to 4096 slots is one group. Only where a group
//! has lost its last free slot, or has one again, are the bits of groups and regions touched: one word per level of 64,
//! 4096, and so on.
//!
//! Invariants:
//! * F1: a bit of a summary, and of a level above 0, is set if and only if its word below is not 0; bits beyond the
//!   capacity are clear. A bit of `groups` is set if and only if the group's summary is not 0.
//! * F2: a region has the slots that lie whole in it, [`MAX_SLOT_COUNT`] at most, and one that is absent has none. It
//!   is open if and only if it has a free slot.
//! * F3: `used` is a region's number of used slots, and `range_count` their sum. The region's `busy` is 1 where it has
//!   any, all of which count as one thing, and 0 where it has none.
//! * F4: the keys of a region's slots repeat its number (22 bits) and its generation (10 bits), which changes when it
//!   is removed or cleared. Two uses of one slot are told apart by its bit only, as in [`slab`](super::slab).
//! * F5: `lowest` is the lowest open region, and a region's `group` the lowest of its groups that has a free slot; or
//!   [`NONE`].
//!
//! What it does not do: it serves no alignment above the largest power of two that divides the slot size, and nothing
//! larger than a slot. What is left of a region behind its last whole slot is unusable.

mod bitmap;

use alloc::vec::Vec;

pub(super) use self::bitmap::Bitmap;

use super::align::is_aligned;
use super::region_table::{NONE, RegionTable, Way};
use super::{Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// Most slots of one region: a slot's number is half a key.
pub(super) const MAX_SLOT_COUNT: u64 = u32::MAX as u64;

/// Bits of a generation (F4).
pub(super) const GENERATION_BITS: u32 = 10;

/// Words of a group: its summary, and one for each 64 of its slots.
pub(super) const GROUP_WORDS: usize = 1 + 64;

/// Slots of one region.
#[derive(Clone, Debug)]
pub(super) struct FixedRegion {
    /// Group after group, each its summary and then its words, the last one only as many as it needs.
    pub(super) bits: Vec<u64>,
    pub(super) groups: Bitmap,
    /// The lowest group that has a free slot, or [`NONE`].
    pub(super) group: u32,
    pub(super) count: u32,
    pub(super) used: u32,
    /// What the keys of all its slots repeat (F4).
    pub(super) stamp: u32,
}

impl FixedRegion {
    /// Makes the slots of no region under a number.
    fn absent(region: u32) -> Self {
        let stamp = region << GENERATION_BITS;
        Self { bits: Vec::new(), groups: Bitmap::new(0), group: NONE, count: 0, used: 0, stamp }
    }

    /// Makes `count` slots, all of them free.
    fn open(&mut self, count: u32) {
        let (slots, words) = (count as usize, (count as usize).div_ceil(64));
        let groups = words.div_ceil(64);
        self.bits = alloc::vec![u64::MAX; words + groups];
        self.groups = Bitmap::new(groups);
        (self.count, self.used, self.group) = (count, 0, if count == 0 { NONE } else { 0 });
        for group in 0..groups {
            self.groups.insert(group);
            self.bits[group * GROUP_WORDS] = low_bits(words - group * 64);
        }
        if let Some(last) = self.bits.last_mut() {
            *last = low_bits(slots - (words - 1) * 64);
        }
    }

    /// Gives up all slots; their keys become stale.
    fn close(&mut self) {
        self.open(0);
        self.renew();
    }

    /// Changes the generation (F4).
    fn renew(&mut self) {
        let generation = (1 << GENERATION_BITS) - 1;
        self.stamp = self.stamp & !generation | self.stamp.wrapping_add(1) & generation;
    }

    /// Returns the lowest free slot.
    fn first(&self) -> Option<u32> {
        let bits = self.bits.get((self.group as usize).wrapping_mul(GROUP_WORDS)..)?;
        let number = bits.first()?.trailing_zeros();
        let bit = bits.get(1 + number as usize)?.trailing_zeros();
        Some(self.group << 12 | number << 6 | bit)
    }

    /// Takes the lowest free slot, and tells whether it was the last one of its group.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn take(&mut self, way: Way) -> Option<(RangeKey, bool)> {
        // The words of no group would lie behind any that there can be.
        let bits = self.bits.get_mut((self.group as usize).wrapping_mul(GROUP_WORDS)..)?;
        let summary = *bits.first()?;
        let number = summary.trailing_zeros();
        let word = bits.get_mut(1 + number as usize)?;
        if way == Way::Short && self.used == 0 {
            return None;
        }
        self.used += 1;
        let slot = self.group << 12 | number << 6 | word.trailing_zeros();
        *word &= word.wrapping_sub(1);
        // Whether a word has more is what no processor can predict.
        let left = summary & !(u64::from(*word == 0) << number);
        bits[0] = left;
        Some((RangeKey { index: slot, generation: self.stamp }, left == 0))
    }

    /// Gives the slot that a key names back, and tells whether it is the first free one of its group; `None` for a key
    /// that is stale.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn put(&mut self, key: RangeKey, way: Way) -> Option<bool> {
        if key.generation != self.stamp || key.index >= self.count {
            return None;
        }
        let (number, bit) = (key.index >> 6 & 63, 1 << (key.index & 63));
        let bits = self.bits.get_mut((key.index >> 12) as usize * GROUP_WORDS..)?;
        let word = bits.get_mut(1 + number as usize)?;
        if *word & bit != 0 || way == Way::Short && self.used == 1 {
            return None;
        }
        self.used -= 1;
        *word |= bit;
        let before = bits[0];
        bits[0] = before | 1 << number;
        Some(before == 0)
    }

    pub(super) fn is_free(&self, slot: u32) -> bool {
        let word = 1 + (slot >> 6) as usize + (slot >> 12) as usize;
        self.bits.get(word).is_some_and(|word| word & (1 << (slot & 63)) != 0)
    }

    const fn key_of(&self, slot: u32) -> RangeKey {
        RangeKey { index: slot, generation: self.stamp }
    }

    /// Tells whether a key names a used slot of this region.
    fn is_live(&self, key: RangeKey) -> bool {
        key.generation == self.stamp && key.index < self.count && !self.is_free(key.index)
    }
}

/// Returns a word whose lowest bits are set: so many, and 64 at most.
const fn low_bits(count: usize) -> u64 {
    if count < 64 { (1 << count) - 1 } else { u64::MAX }
}

/// The suballocator.
#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub(super) regions: RegionTable,
    pub(super) slots: Vec<FixedRegion>,
    pub(super) open: Bitmap,
    /// The lowest open region, or [`NONE`].
    pub(super) lowest: u32,
    pub(super) shift: u32,
    pub(super) slot_size: u64,
    pub(super) range_count: u64,
}

impl Fixed {
    /// Makes a suballocator of slots of `slot_size` bytes, a multiple of the unit.
    pub(super) fn new(slot_size: u64, settings: &Settings) -> Self {
        debug_assert!(slot_size > 0 && is_aligned(slot_size, settings.unit));
        let (regions, open, shift) = (RegionTable::new(), Bitmap::new(0), settings.shift());
        Self { regions, slots: Vec::new(), open, lowest: NONE, shift, slot_size, range_count: 0 }
    }

    pub(super) fn add_region(&mut self, units: u64) -> u32 {
        let region = self.regions.add(units);
        let count = ((units << self.shift) / self.slot_size).min(MAX_SLOT_COUNT);
        if region as usize == self.slots.len() {
            self.slots.push(FixedRegion::absent(region));
        }
        self.slots[region as usize].open(u32::try_from(count).unwrap_or(u32::MAX));
        self.reopen();
        region
    }

    pub(super) fn remove_region(&mut self, region: u32) -> bool {
        if !self.regions.is_empty(region) {
            return false;
        }
        self.slots[region as usize].close();
        self.close_region(region);
        self.regions.remove(region);
        true
    }

    #[inline(never)]
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        self.allocate_in(self.lowest, request)
    }

    /// Does the same inside its caller, where the region is in use; `None`, and nothing changed, where it is not.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn allocate_ready(&mut self, request: &Request) -> Option<Suballocation> {
        if self.serves(request) { self.take(self.lowest, Way::Short) } else { None }
    }

    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let range = if self.serves(request) { self.take(region, Way::Long)? } else { return None };
        if self.slots[region as usize].used == 1 {
            self.regions.occupy(region);
        }
        Some(range)
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let slots = self.slots.get(self.lowest as usize).filter(|_| self.serves(request))?;
        Some(self.spot(self.lowest, slots.first()?))
    }

    #[inline(never)]
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        let Spot { region, offset, size } = self.put(key, Way::Long).ok_or(StaleKey)?;
        let is_region_empty = self.slots[region as usize].used == 0 && self.regions.vacate(region);
        Ok(Freed { region, offset, size, is_region_empty })
    }

    /// Does the same inside its caller, where the region stays in use; `false`, and nothing changed, where it does not
    /// and for a stale key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn free_ready(&mut self, key: RangeKey) -> bool {
        self.put(key, Way::Short).is_some()
    }

    pub(super) fn clear(&mut self) {
        for slots in &mut self.slots {
            slots.open(slots.count);
            slots.renew();
        }
        self.regions.reset();
        self.range_count = 0;
        self.reopen();
    }

    /// Returns place and size of a live suballocation.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        let region = key.generation >> GENERATION_BITS;
        self.slots.get(region as usize).filter(|slots| slots.is_live(key))?;
        Some(self.spot(region, key.index))
    }

    pub(super) fn largest_free_range(&self) -> u64 {
        if self.lowest == NONE { 0 } else { self.slot_size }
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for region in 0..self.regions.len() {
            let Some(units) = self.regions.get(region).map(|region| region.units) else {
                continue;
            };
            let slots = &self.slots[region as usize];
            for slot in 0..slots.count {
                let Spot { offset, size, .. } = self.spot(region, slot);
                let used = RangeState::Used(slots.key_of(slot));
                let state = if slots.is_free(slot) { RangeState::FreeSlot } else { used };
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
        let words = |slots: &FixedRegion| slots.bits.capacity() * size_of::<u64>() + slots.groups.host_bytes();
        let bitmaps: usize = self.slots.iter().map(words).sum();
        let tables = self.slots.capacity() * size_of::<FixedRegion>() + self.regions.host_bytes();
        bitmaps + tables + self.open.host_bytes()
    }

    /// Tells whether any slot fits the request.
    #[inline]
    fn serves(&self, request: &Request) -> bool {
        request.size <= self.slot_size && is_aligned(self.slot_size, request.alignment)
    }

    /// Takes the lowest free slot of a region; `None` where it has none, or there is no such region.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn take(&mut self, region: u32, way: Way) -> Option<Suballocation> {
        let (key, is_last) = self.slots.get_mut(region as usize)?.take(way)?;
        self.range_count += 1;
        if is_last {
            self.close_group(region);
        }
        let Spot { offset, size, .. } = self.spot(region, key.index);
        Some(Suballocation { region, offset, size, key })
    }

    /// Gives a slot back; `None`, and nothing changed, for a stale key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn put(&mut self, key: RangeKey, way: Way) -> Option<Spot> {
        let region = key.generation >> GENERATION_BITS;
        let is_first = self.slots.get_mut(region as usize)?.put(key, way)?;
        self.range_count -= 1;
        if is_first {
            self.open_group(region, key.index >> 12);
        }
        Some(self.spot(region, key.index))
    }

    /// Notes that the lowest group of a region has no free slot any more.
    #[inline(never)]
    fn close_group(&mut self, region: u32) {
        let slots = &mut self.slots[region as usize];
        slots.groups.remove(slots.group as usize);
        slots.group = slots.groups.first();
        if slots.group == NONE {
            self.close_region(region);
        }
    }

    /// Notes that a region has no free slot any more.
    fn close_region(&mut self, region: u32) {
        self.open.remove(region as usize);
        self.lowest = self.open.first();
    }

    /// Notes that a group of a region has a free slot again.
    #[inline(never)]
    fn open_group(&mut self, region: u32, group: u32) {
        let slots = &mut self.slots[region as usize];
        slots.groups.insert(group as usize);
        slots.group = slots.group.min(group);
        self.open.insert(region as usize);
        self.lowest = self.lowest.min(region);
    }

    /// Builds the set of open regions anew: only when regions come or everything is freed.
    fn reopen(&mut self) {
        self.open = Bitmap::new(self.slots.len());
        for (region, slots) in self.slots.iter().enumerate() {
            if slots.group != NONE {
                self.open.insert(region);
            }
        }
        self.lowest = self.open.first();
    }

    #[inline]
    const fn spot(&self, region: u32, slot: u32) -> Spot {
        Spot { region, offset: slot as u64 * self.slot_size, size: self.slot_size }
    }
}

#[cfg(test)]
mod tests;
