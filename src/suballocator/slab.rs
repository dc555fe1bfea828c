//! Slabs: up to 64 equal slots in one used range of the TLSF, one bit each.
//!
//! ```text
//! class 12, 832-byte slots      head ─> slab 5 ⇄ slab 2          slabs with a free slot
//! slab 5   one cache line       free 0b…0110, full, place, node, links
//! its range                     [ slot 0 ][ slot 1 ][ slot 2 ] … [ slot n-1 ]
//! ```
//!
//! An allocation from a slab touches its class head and this one cache line: no range is split, none merged. The first
//! slabs of a class have one slot, so a small program pays rounding only; later ones at most half as many as the class
//! has, so no slab strands much. A slab that becomes empty while its class has another with room goes back to its
//! range at once; the last one stays, so that allocating and freeing in turn never rebuilds it.
//!
//! Invariants:
//! * S1: a slab's range is used, carries the slab's index as its mark, starts where slot 0 does, and is exactly
//!   `count` slots long.
//! * S2: `free` has no bit outside `full`.
//! * S3: a slab is in the list of its class if and only if it has a free slot.
//! * S4: a class's `slots` is the sum of its slabs' slots; `empty` is its one slab without a used slot, if any;
//!   `cached_units` is the size of all such slabs together.
//! * S5: a slab's generation changes when it is given back. Keys of one slab life are told apart by slot only: that
//!   one slot serves two owners is excluded by its bit, that an owner keeps a key after freeing it by move-only keys.
//!
//! What it does not do: it never touches ranges. [`tlsf`](super::tlsf) cuts them, and gives them back.

use alloc::vec::Vec;

use super::RangeKey;
use super::range_list::{NIL, SLAB_BIT, reserve_quarter};
use super::size_class::{MAX_SLAB_SLOT, slab_class, slab_slot};

/// Slots of a large slab: one machine word of bits.
const SLOT_COUNT: u64 = 64;

/// Largest slab in bytes: what one remaining slot can pin. Two slots of the largest class: with one, mixed sizes of up to
/// 1 MiB take 8 % more instructions and half as many host bytes again, and the recorded applications save nothing.
const SLAB_BYTES: u64 = 512 << 10;

/// "Not for slabs": a class that no table reaches.
pub(super) const NO_CLASS: usize = usize::MAX;

/// One slab: 64 bytes, one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Slab {
    /// One bit per free slot.
    pub(super) free: u64,
    /// One bit per slot; 0 marks a spare slab.
    pub(super) full: u64,
    /// Region and offset of slot 0, packed as in a node.
    pub(super) place: u64,
    /// Units of one slot.
    pub(super) slot: u32,
    /// The range it lies in.
    pub(super) node: u32,
    /// Neighbours in the list of its class.
    pub(super) prev: u32,
    pub(super) next: u32,
    pub(super) generation: u32,
    pub(super) class: u8,
}

impl Slab {
    pub(super) const fn units(&self) -> u64 {
        self.full.count_ones() as u64 * self.slot as u64
    }

    pub(super) const fn place_of(&self, slot: u32) -> u64 {
        self.place + slot as u64 * self.slot as u64
    }
}

/// What a class has.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlabClass {
    /// First slab with a free slot.
    pub(super) head: u32,
    /// The slab without a used slot.
    pub(super) empty: u32,
    /// Slots of all its slabs.
    pub(super) slots: u32,
}

/// All slabs of one suballocator.
#[derive(Clone, Debug)]
pub(super) struct Slabs {
    pub(super) table: Vec<Slab>,
    pub(super) spare: u32,
    pub(super) classes: Vec<SlabClass>,
    /// Largest size served, in units; 0 for none.
    pub(super) limit: u64,
    /// Largest slab in units.
    largest: u64,
    pub(super) cached_units: u64,
}

impl Slabs {
    /// Makes classes for sizes of up to `limit` units.
    pub(super) fn new(limit: u64, shift: u32) -> Self {
        let limit = limit.min(MAX_SLAB_SLOT);
        let count = if limit == 0 { 0 } else { slab_class(limit) + 1 };
        let class = SlabClass { head: NIL, empty: NIL, slots: 0 };
        let classes = alloc::vec![class; count];
        Self { table: Vec::new(), spare: NIL, classes, limit, largest: SLAB_BYTES >> shift, cached_units: 0 }
    }

    /// Returns a slab of the class that has a free slot.
    #[inline]
    pub(super) fn with_room(&self, class: usize) -> Option<u32> {
        let head = self.classes.get(class)?.head;
        self.table.get(head as usize).map(|_| head)
    }

    /// Returns how many slots the next slab of a class has: at most half of what the class has.
    pub(super) fn next_count(&self, class: usize) -> u64 {
        let slots = u64::from(self.classes[class].slots / 2).max(1);
        let count = slots.min(self.largest / slab_slot(class)).clamp(1, SLOT_COUNT);
        1 << count.ilog2()
    }

    /// Adds a slab of `count` free slots in the used range `node`: the empty slab of its class.
    pub(super) fn add(&mut self, class: usize, count: u64, node: u32, place: u64) -> u32 {
        let index = self.take_spare();
        let full = u64::MAX >> (64 - count);
        let slab = &mut self.table[index as usize];
        (slab.free, slab.full, slab.place, slab.node) = (full, full, place, node);
        #[expect(clippy::cast_possible_truncation, reason = "slot sizes end at 2^31 units, their classes at 255")]
        {
            (slab.slot, slab.class) = (slab_slot(class) as u32, class as u8);
            self.classes[class].slots += count as u32;
        }
        self.push(index);
        self.keep(index);
        index
    }

    /// Takes a slot; the slab has one.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn take(&mut self, index: u32) -> Taken {
        let slab = &mut self.table[index as usize];
        let slot = slab.free.trailing_zeros();
        let was_empty = slab.free == slab.full;
        slab.free &= slab.free - 1;
        let key = RangeKey { index: SLAB_BIT | index << 6 | slot, generation: slab.generation };
        let taken = Taken { place: slab.place_of(slot), units: u64::from(slab.slot), key, was_empty };
        if slab.free == 0 {
            let (class, next) = (slab.class, slab.next);
            self.pop(class, next);
        }
        taken
    }

    /// Gives a slot back, unless the key is stale.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn put(&mut self, key: RangeKey) -> Option<Put> {
        let (index, slot) = split_key(key);
        let slab = self.table.get_mut(index as usize)?;
        let bit = 1 << slot;
        if slab.generation != key.generation || slab.full & !slab.free & bit == 0 {
            return None;
        }
        let before = slab.free;
        slab.free |= bit;
        let is_empty = slab.free == slab.full;
        let put = Put { slab: index, place: slab.place_of(slot), units: u64::from(slab.slot), is_empty };
        if before == 0 {
            self.push(index);
        }
        Some(put)
    }

    /// Returns place and units of the slot that a key names, unless the key is stale.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<(u64, u64)> {
        let (index, slot) = split_key(key);
        let slab = self.table.get(index as usize)?;
        let is_live = slab.generation == key.generation && slab.full & !slab.free & (1 << slot) != 0;
        is_live.then(|| (slab.place_of(slot), u64::from(slab.slot)))
    }

    /// Tells whether a slab is the only one of its class with room.
    pub(super) fn is_alone(&self, index: u32) -> bool {
        let slab = &self.table[index as usize];
        slab.prev == NIL && slab.next == NIL
    }

    /// Remembers a slab as the empty one of its class.
    #[inline]
    pub(super) fn keep(&mut self, index: u32) {
        let slab = &self.table[index as usize];
        self.cached_units += slab.units();
        self.classes[slab.class as usize].empty = index;
    }

    /// Notes that the empty slab of a class is empty no more.
    #[inline]
    pub(super) fn reuse(&mut self, index: u32) {
        let slab = &self.table[index as usize];
        self.cached_units -= slab.units();
        self.classes[slab.class as usize].empty = NIL;
    }

    /// Walks the empty slabs, those of the largest slots first.
    pub(super) fn empty(&self) -> impl Iterator<Item = u32> {
        self.classes.iter().rev().map(|class| class.empty).filter(|&slab| slab != NIL)
    }

    /// Returns the empty slab of the largest slots.
    pub(super) fn largest_empty(&self) -> Option<u32> {
        self.empty().next()
    }

    /// Takes a slab without used slots out of its class and returns its range. Its keys become stale.
    pub(super) fn remove(&mut self, index: u32) -> u32 {
        if self.classes[self.table[index as usize].class as usize].empty == index {
            self.reuse(index);
        }
        let Slab { full, node, prev, next, class, .. } = self.table[index as usize];
        let entry = &mut self.classes[class as usize];
        entry.slots -= full.count_ones();
        match self.table.get_mut(prev as usize) {
            Some(slab) => slab.next = next,
            None => entry.head = next,
        }
        if let Some(slab) = self.table.get_mut(next as usize) {
            slab.prev = prev;
        }
        self.put_spare(index);
        node
    }

    /// Forgets every slab; all keys become stale.
    pub(super) fn clear(&mut self) {
        self.spare = NIL;
        for index in (0..self.table.len()).rev() {
            self.put_spare(u32::try_from(index).unwrap_or(NIL));
        }
        self.classes.fill(SlabClass { head: NIL, empty: NIL, slots: 0 });
        self.cached_units = 0;
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.table.capacity() * size_of::<Slab>() + self.classes.capacity() * size_of::<SlabClass>()
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn push(&mut self, index: u32) {
        let slab = &self.table[index as usize];
        let next = core::mem::replace(&mut self.classes[slab.class as usize].head, index);
        let slab = &mut self.table[index as usize];
        (slab.prev, slab.next) = (NIL, next);
        if let Some(slab) = self.table.get_mut(next as usize) {
            slab.prev = index;
        }
    }

    /// Takes the head off the list of its class.
    #[inline]
    fn pop(&mut self, class: u8, next: u32) {
        self.classes[class as usize].head = next;
        if let Some(slab) = self.table.get_mut(next as usize) {
            slab.prev = NIL;
        }
    }

    fn take_spare(&mut self) -> u32 {
        let index = self.spare;
        if let Some(slab) = self.table.get(index as usize) {
            self.spare = slab.next;
            return index;
        }
        let length = self.table.len();
        assert!(length < 1 << 25, "a suballocator has at most 2^25 slabs");
        reserve_quarter(&mut self.table);
        let (prev, next) = (NIL, NIL);
        self.table.push(Slab { free: 0, full: 0, place: 0, slot: 0, node: NIL, prev, next, generation: 0, class: 0 });
        u32::try_from(length).unwrap_or(NIL)
    }

    fn put_spare(&mut self, index: u32) {
        let slab = &mut self.table[index as usize];
        (slab.free, slab.full) = (0, 0);
        slab.generation = slab.generation.wrapping_add(1);
        slab.next = core::mem::replace(&mut self.spare, index);
    }
}

/// A slot that was taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    pub(super) place: u64,
    pub(super) units: u64,
    pub(super) key: RangeKey,
    /// Whether no slot of its slab was used before.
    pub(super) was_empty: bool,
}

/// A slot that was given back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Put {
    pub(super) slab: u32,
    pub(super) place: u64,
    pub(super) units: u64,
    /// Whether no slot of its slab is used any more.
    pub(super) is_empty: bool,
}

#[inline]
const fn split_key(key: RangeKey) -> (u32, u32) {
    ((key.index & !SLAB_BIT) >> 6, key.index & 63)
}

#[cfg(test)]
mod tests;
