//! One slab: up to 64 equal slots, one bit each.
//!
//! The invariants are S1, S2 and S5 of [`slab`](super).

use super::super::region_table::NONE;
use super::super::{End, RangeKey, Spot};
use super::RoomBits;

/// One slab: 64 bytes, one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(in super::super) struct Slab {
    /// One bit per free slot.
    pub(in super::super) free: u64,
    /// One bit per slot; 0 marks a spare slab.
    pub(in super::super) slots: u64,
    /// Offset of slot 0 in its region, in bytes, be it cut off or not.
    pub(in super::super) offset: u64,
    /// The bits of its place.
    pub(in super::super) room: RoomBits,
    /// Bytes of one slot.
    pub(in super::super) slot_bytes: u32,
    pub(in super::super) region: u32,
    pub(in super::super) generation: u32,
    /// The range it lies in. Of a spare slab: the next spare one.
    pub(in super::super) node: u32,
    /// Its place among the slabs of its class.
    pub(in super::super) place: u16,
    pub(in super::super) class: u8,
    /// How many slots it has, free or not.
    pub(in super::super) slot_count: u8,
}

impl Slab {
    /// A spare slab that never was another.
    pub(super) const SPARE: Self = Self {
        free: 0,
        slots: 0,
        offset: 0,
        room: RoomBits::of(0),
        slot_bytes: 0,
        region: NONE,
        generation: 0,
        node: NONE,
        place: 0,
        class: 0,
        slot_count: 0,
    };

    pub(in super::super) const fn bytes(&self) -> u64 {
        self.slot_count as u64 * self.slot_bytes as u64
    }

    #[inline]
    pub(super) const fn offset_of(&self, slot: u32) -> u64 {
        self.offset + slot as u64 * self.slot_bytes as u64
    }

    /// Returns where a slot lies, in bytes.
    pub(in super::super) fn spot(&self, slot: u32) -> Spot {
        Spot { region: self.region, offset: self.offset_of(slot), size: u64::from(self.slot_bytes) }
    }

    /// Returns which slot is taken next; the slab has one.
    #[inline]
    pub(in super::super) const fn next_slot(&self) -> u32 {
        self.free.trailing_zeros()
    }

    pub(in super::super) const fn is_empty(&self) -> bool {
        self.free == self.slots
    }

    /// Returns how many slots at one end are free; the slab has a used one.
    pub(in super::super) const fn free_at(&self, side: End) -> u32 {
        match side {
            End::Low => self.used().trailing_zeros() - self.slots.trailing_zeros(),
            End::High => self.used().leading_zeros() - self.slots.leading_zeros(),
        }
    }

    /// Returns where its first slot lies, in bytes.
    pub(in super::super) fn start(&self) -> u64 {
        self.offset_of(self.slots.trailing_zeros())
    }

    /// Returns one bit per used slot: what is not free (S2).
    #[inline]
    pub(super) const fn used(&self) -> u64 {
        self.slots ^ self.free
    }

    /// Tells whether a key of this slab names a used slot of its life (S5).
    #[inline]
    pub(super) const fn is_live(&self, key: RangeKey) -> bool {
        self.generation == key.generation && self.used() >> (key.index & 63) & 1 != 0
    }
}

#[inline]
pub(super) const fn without_lowest(bits: u64) -> u64 {
    bits & bits.wrapping_sub(1)
}
