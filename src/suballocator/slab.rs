//! Slabs: up to 64 equal slots in one used range of the TLSF, one bit each.
//!
//! ```text
//! class 12, 832-byte slots      room   0b01        one bit per word that is not 0
//!                               words  0b0110 | 0  one bit per slab with free slots and used ones, by its place
//!                               places 7 2 5 9     slab numbers
//! slab 2   one cache line       free 0b…0110, slots, offset, node
//! its range                     [ slot 0 ][ slot 1 ][ slot 2 ] … [ slot n-1 ]
//! ```
//!
//! An allocation from a slab touches its class and this one cache line: no range is split, none merged, no other slab's
//! line written. That a slab is full, or has room again, is a bit that is written without a branch: which of the two it
//! is cannot be predicted. The lowest place with room serves, so later slabs drain. The first slab of a class has 4 KiB
//! (one slot from 4 KiB on), so a small program pays rounding only; later ones at most half as many slots as the class
//! has, or 4 KiB again, so no slab strands much. A slab that becomes empty stays, so that what comes and goes never
//! rebuilds it, but one of each class only, and all of them together within a bound. It serves when no other has room,
//! so that an empty region stays so.
//!
//! Sizes above the limit are *large*: they have slabs of eight slots, once so much is live that one of these weighs
//! little.
//!
//! Invariants:
//! * S1: a slab's range is used, carries the slab's index as its mark, starts where its first slot does, and is exactly
//!   `slot_count` slots long.
//! * S2: `free` has no bit outside `slots`, which has `slot_count` bits side by side: slot 0 may have been cut off.
//! * S3: the bit of a place is set in `words` if and only if its slab has a free slot and a used one, and the bit of a
//!   word in `room` if and only if the word is not 0. Every slab has one place in its class.
//! * S4: a class's `slot_count` is the sum of its slabs' slots; `empty` is its one slab without a used slot, if any;
//!   `kept_bytes` is the size of all such slabs together, `large_bytes` that of all slabs of large slots.
//! * S5: a slab's generation changes when it is given back. Keys of one slab life are told apart by slot only: that
//!   one slot serves two owners is excluded by its bit, that an owner keeps a key after freeing it by move-only keys.
//!
//! What it does not do: it never touches ranges. [`tlsf`](super::tlsf) cuts them, and gives them back.

mod class;
mod growth;
mod slots;

use alloc::vec::Vec;

use class::PLACE_COUNT;
pub(super) use class::{RoomBits, SlabClass};
pub(super) use growth::{is_worth_a_large_slab, kept_bound};
use growth::{large_slab_slots, small_slab_slots};
pub(super) use slots::Slab;
use slots::without_lowest;

use super::range_list::{SLAB_BIT, reserve_quarter};
use super::region_table::{NONE, RegionTable};
use super::size_class::{MAX_SLAB_SLOT, slab_class, slab_slot};
use super::{End, RangeKey, Settings, Spot, Suballocation};

/// "Not for slabs": a class that no table reaches.
pub(super) const NO_CLASS: usize = usize::MAX;

/// All slabs of one suballocator.
#[derive(Clone, Debug)]
pub(super) struct Slabs {
    pub(super) table: Vec<Slab>,
    spare: u32,
    /// Those of sizes up to the limit, and of larger ones up to the largest that ever had a slab.
    pub(super) classes: Vec<SlabClass>,
    /// Classes that are not of large slots.
    small_class_count: usize,
    /// Largest slot in bytes of the classes that there are, 0 where there are none. It never shrinks.
    largest: u64,
    /// A large slot is at most one part in `1 << large_slot_shift` of what is live.
    large_slot_shift: u32,
    shift: u32,
    /// Bytes of all slabs without a used slot.
    pub(super) kept_bytes: u64,
    /// Bytes of all slabs of large slots.
    pub(super) large_bytes: u64,
}

impl Slabs {
    /// Makes classes for sizes of up to the limit in the settings; none for 0.
    pub(super) fn new(settings: &Settings) -> Self {
        let (shift, large_slot_shift) = (settings.shift(), settings.large_slot_shift);
        let units = settings.slab_limit.min(MAX_SLAB_SLOT) >> shift;
        let small_class_count = if units == 0 { 0 } else { slab_class(units) + 1 };
        let largest = small_class_count.checked_sub(1).map_or(0, |last| slab_slot(last) << shift);
        let classes = alloc::vec![SlabClass::new(); small_class_count];
        Self {
            table: Vec::new(),
            spare: NONE,
            classes,
            small_class_count,
            largest,
            large_slot_shift,
            shift,
            kept_bytes: 0,
            large_bytes: 0,
        }
    }

    /// Returns a slab of the class that has a free slot: the one that [`take`](Self::take) takes from.
    #[inline]
    pub(super) fn with_room(&self, class: usize) -> Option<u32> {
        let entry = self.classes.get(class)?;
        let slab = entry.first().map_or(entry.empty, |place| entry.places[place]);
        (slab != NONE).then_some(slab)
    }

    /// Returns how large a request may be, in bytes, for which there may be a slot or room for a slab, where
    /// `used_bytes` are live.
    #[inline]
    pub(super) fn largest_request(&self, used_bytes: u64) -> u64 {
        self.largest.max(used_bytes >> self.large_slot_shift).min(MAX_SLAB_SLOT)
    }

    /// Tells whether the slots of a class are large.
    #[inline]
    pub(super) const fn is_large(&self, class: usize) -> bool {
        class >= self.small_class_count
    }

    /// Returns what so many bytes of a class count in `large_bytes`.
    pub(super) const fn if_large(&self, class: usize, bytes: u64) -> u64 {
        if self.is_large(class) { bytes } else { 0 }
    }

    /// Returns how many slots the next slab of a class has, where `used_bytes` are live: at most half of what the class
    /// has, or 4 KiB of them; eight large ones. 0 where there is no place for it, or too little live for large slots,
    /// or for more of them.
    pub(super) fn next_count(&self, class: usize, used_bytes: u64) -> u64 {
        let entry = self.classes.get(class);
        if entry.is_some_and(|entry| entry.vacant == NONE && entry.places.len() == PLACE_COUNT) {
            return 0;
        }
        let (slot_bytes, slot_count) =
            (slab_slot(class) << self.shift, entry.map_or(0, |entry| u64::from(entry.slot_count)));
        if self.is_large(class) {
            let most = used_bytes >> self.large_slot_shift;
            return if slot_bytes <= most { large_slab_slots(slot_bytes, self.large_bytes, used_bytes) } else { 0 };
        }
        small_slab_slots(slot_bytes, slot_count)
    }

    /// Tells whether a slab of the class has a free slot: then [`take`](Self::take) takes one.
    #[inline]
    pub(super) fn has_slot(&self, class: usize) -> bool {
        self.classes.get(class).is_some_and(|entry| entry.room != 0 || entry.empty != NONE)
    }

    /// Adds a slab of `count` slots in the used range `node`, takes the first of them, and returns the slab's index
    /// with it.
    pub(super) fn open(
        &mut self,
        class: usize,
        count: u64,
        node: u32,
        (region, offset): (u32, u64),
    ) -> (u32, Suballocation) {
        if class >= self.classes.len() {
            self.classes.resize_with(class + 1, SlabClass::new);
            self.largest = slab_slot(class) << self.shift;
        }
        let index = self.take_spare();
        let entry = &mut self.classes[class];
        let place = entry.enter(index);
        let (slots, room) = (u64::MAX >> (64 - count), RoomBits::of(place));
        let slab = &mut self.table[index as usize];
        #[expect(
            clippy::cast_possible_truncation,
            reason = "slots have at most 2^31 bytes, classes are below 256, slabs have at most 64 slots"
        )]
        let (slot_bytes, own_class, slot_count) = ((slab_slot(class) << self.shift) as u32, class as u8, count as u8);
        let (free, generation) = (without_lowest(slots), slab.generation);
        *slab = Slab {
            free,
            slots,
            offset,
            room,
            slot_bytes,
            region,
            generation,
            node,
            place,
            class: own_class,
            slot_count,
        };
        entry.slot_count += u32::from(slot_count);
        if free != 0 {
            entry.set_room(place, room);
        }
        let bytes = slab.bytes();
        self.large_bytes += self.if_large(class, bytes);
        let key = slot_key(index, 0, generation);
        (index, Suballocation { region, offset, size: u64::from(slot_bytes), key })
    }

    /// Takes the lowest free slot of the class's first slab with room, of its empty one where no other has any; `None`,
    /// and nothing changed, where it has neither.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn take(&mut self, class: usize, regions: &mut RegionTable) -> Option<Suballocation> {
        let entry = self.classes.get_mut(class)?;
        let word = entry.room.trailing_zeros() as usize;
        let Some(bits) = entry.words.get_mut(word) else {
            return if entry.empty == NONE { None } else { self.take_of_empty(class, regions) };
        };
        let index = *entry.places.get(word << 6 | bits.trailing_zeros() as usize)?;
        let slab = self.table.get_mut(index as usize)?;
        let slot = slab.next_slot();
        slab.free = without_lowest(slab.free);
        // The bits of this slab and of this word are the lowest.
        *bits = if slab.free == 0 { without_lowest(*bits) } else { *bits };
        entry.room = if *bits == 0 { without_lowest(entry.room) } else { entry.room };
        let key = slot_key(index, slot, slab.generation);
        let Slab { region, slot_bytes: size, .. } = *slab;
        Some(Suballocation { region, offset: slab.offset_of(slot), size: u64::from(size), key })
    }

    /// Takes the first slot of the class's empty slab, if it has one.
    #[inline(never)]
    fn take_of_empty(&mut self, class: usize, regions: &mut RegionTable) -> Option<Suballocation> {
        let entry = &mut self.classes[class];
        let index = entry.empty;
        let slab = self.table.get_mut(index as usize)?;
        self.kept_bytes -= slab.bytes();
        entry.empty = NONE;
        let slot = slab.next_slot();
        slab.free = without_lowest(slab.free);
        if slab.free != 0 {
            entry.set_room(slab.place, slab.room);
        }
        regions.occupy(slab.region);
        let key = slot_key(index, slot, slab.generation);
        Some(Suballocation { region: slab.region, offset: slab.offset_of(slot), size: u64::from(slab.slot_bytes), key })
    }

    /// Gives a slot back where another of its slab stays in use, and returns its bytes; `None`, and nothing changed,
    /// for any other key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn put_ready(&mut self, key: RangeKey) -> Option<u64> {
        // The index of a range is beyond every table then.
        let (index, slot) = ((key.index ^ SLAB_BIT) >> 6, key.index & 63);
        let slab = self.table.get_mut(index as usize)?;
        if !slab.is_live(key) || without_lowest(slab.used()) == 0 {
            return None;
        }
        let entry = self.classes.get_mut(usize::from(slab.class))?;
        *entry.words.get_mut(usize::from(slab.place >> 6))? |= slab.room.place;
        entry.room |= slab.room.word;
        slab.free |= 1 << slot;
        Some(u64::from(slab.slot_bytes))
    }

    /// Gives a slot back, unless the key is stale. A slab that becomes empty is kept, if its class has no other empty
    /// one.
    pub(super) fn put(&mut self, key: RangeKey) -> Option<Put> {
        let (index, slot) = split_key(key);
        let slab = self.table.get_mut(index as usize).filter(|slab| slab.is_live(key))?;
        let entry = &mut self.classes[usize::from(slab.class)];
        slab.free |= 1 << slot;
        let left = match (slab.is_empty(), entry.empty) {
            (false, _) => SlabLeft::InUse,
            (true, NONE) => SlabLeft::Kept,
            (true, _) => SlabLeft::Surplus,
        };
        if left == SlabLeft::InUse {
            entry.set_room(slab.place, slab.room);
        } else {
            entry.clear_room(slab.place, slab.room);
        }
        if left == SlabLeft::Kept {
            entry.empty = index;
            self.kept_bytes += slab.bytes();
        }
        let Spot { region, offset, size } = slab.spot(slot);
        Some(Put { slab: index, region, offset, size, left })
    }

    /// Returns the slab and slot that a key names, unless the key is stale.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<(&Slab, u32)> {
        let (index, slot) = split_key(key);
        self.table.get(index as usize).filter(|slab| slab.is_live(key)).map(|slab| (slab, slot))
    }

    /// Walks the empty slabs, those of the largest slots first.
    pub(super) fn empty(&self) -> impl Iterator<Item = u32> {
        self.classes.iter().rev().map(|class| class.empty).filter(|&slab| slab != NONE)
    }

    /// Returns the empty slab of the largest slots.
    pub(super) fn largest_empty(&self) -> Option<u32> {
        self.empty().next()
    }

    /// Returns the size of the largest free slot of a slab in use, in bytes; 0 where there is none.
    pub(super) fn largest_free_slot(&self) -> u64 {
        let class = self.classes.iter().rposition(|class| class.room != 0);
        class.map_or(0, |class| slab_slot(class) << self.shift)
    }

    /// Walks the slabs of large slots that are in use and have a free slot, those of the largest first.
    pub(super) fn large_partly_used(&self) -> impl Iterator<Item = u32> {
        self.classes[self.small_class_count..].iter().rev().flat_map(SlabClass::with_room)
    }

    /// Takes the free slots at one end of a slab in use out of it, and returns how many there were.
    pub(super) fn cut_off(&mut self, index: u32, side: End) -> u64 {
        let slab = &mut self.table[index as usize];
        let class = usize::from(slab.class);
        let entry = &mut self.classes[class];
        let used = slab.used();
        let kept = match side {
            End::Low => u64::MAX << used.trailing_zeros(),
            End::High => u64::MAX >> used.leading_zeros(),
        };
        let count = slab.free_at(side);
        (slab.slots, slab.free) = (slab.slots & kept, slab.free & kept);
        #[expect(clippy::cast_possible_truncation, reason = "a slab has at most 64 slots")]
        {
            slab.slot_count = slab.slots.count_ones() as u8;
        }
        entry.slot_count -= count;
        if slab.free == 0 {
            entry.clear_room(slab.place, slab.room);
        }
        let bytes = u64::from(count) * u64::from(slab.slot_bytes);
        self.large_bytes -= self.if_large(class, bytes);
        u64::from(count)
    }

    /// Takes a slab without used slots out of its class and returns its range. Its keys become stale.
    pub(super) fn remove(&mut self, index: u32) -> u32 {
        let slab = &self.table[index as usize];
        let (node, bytes, class) = (slab.node, slab.bytes(), usize::from(slab.class));
        let entry = &mut self.classes[class];
        if entry.empty == index {
            self.kept_bytes -= bytes;
            entry.empty = NONE;
        }
        entry.slot_count -= u32::from(slab.slot_count);
        entry.leave(slab.place);
        self.large_bytes -= self.if_large(class, bytes);
        self.put_spare(index);
        node
    }

    /// Forgets every slab; all keys become stale.
    pub(super) fn clear(&mut self) {
        self.spare = NONE;
        for index in (0..self.table.len()).rev() {
            self.put_spare(u32::try_from(index).unwrap_or(NONE));
        }
        self.classes.fill(SlabClass::new());
        (self.kept_bytes, self.large_bytes) = (0, 0);
    }

    pub(super) fn host_bytes(&self) -> usize {
        let classes: usize = self.classes.iter().map(SlabClass::host_bytes).sum();
        self.table.capacity() * size_of::<Slab>() + classes
    }

    fn take_spare(&mut self) -> u32 {
        let index = self.spare;
        if let Some(slab) = self.table.get(index as usize) {
            self.spare = slab.node;
            return index;
        }
        let length = self.table.len();
        assert!(length < 1 << 25, "a suballocator has at most 2^25 slabs");
        reserve_quarter(&mut self.table, 16);
        self.table.push(Slab::SPARE);
        u32::try_from(length).unwrap_or(NONE)
    }

    fn put_spare(&mut self, index: u32) {
        let slab = &mut self.table[index as usize];
        (slab.free, slab.slots, slab.slot_count) = (0, 0, 0);
        slab.generation = slab.generation.wrapping_add(1);
        slab.node = core::mem::replace(&mut self.spare, index);
    }
}

/// What the slab of a slot that was given back is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlabLeft {
    /// Another slot of it is used.
    InUse,
    /// It is the empty one of its class.
    Kept,
    /// It is empty, and its class has another empty one: it is to be removed.
    Surplus,
}

/// A slot that was given back, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Put {
    pub(super) slab: u32,
    pub(super) region: u32,
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) left: SlabLeft,
}

/// Makes the key of a slot: the slab bit, the slab's index, the slot's number (6 bits); the slab's generation.
#[inline]
pub(super) const fn slot_key(slab: u32, slot: u32, generation: u32) -> RangeKey {
    RangeKey { index: SLAB_BIT | slab << 6 | slot, generation }
}

/// Returns the slab and slot that a slot's key names.
#[inline]
const fn split_key(key: RangeKey) -> (u32, u32) {
    ((key.index & !SLAB_BIT) >> 6, key.index & 63)
}

#[cfg(test)]
mod tests;
