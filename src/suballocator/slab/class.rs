//! What a class of slots has: which of its slabs have room, in two levels of bits.
//!
//! The invariant is S3 of [`slab`](super): the bits of `words` say which places have room, those of `room` which words
//! have a bit.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::super::range_list::reserve_quarter;
use super::super::region_table::NONE;
use super::slots::without_lowest;

/// Slabs of one class: as many as two levels of bits count.
pub(super) const PLACE_COUNT: usize = 64 * 64;

/// The bits that say of a slab that it has room, kept in it: a shift by what is only known then costs three
/// instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct RoomBits {
    /// In the word of its place.
    pub(super) place: u64,
    /// Of that word.
    pub(super) word: u64,
}

impl RoomBits {
    pub(in super::super) const fn of(place: u16) -> Self {
        Self { place: 1 << (place & 63), word: 1 << (place >> 6) }
    }
}

/// What a class has: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(in super::super) struct SlabClass {
    /// One bit for each of `words` that is not 0.
    pub(in super::super) room: u64,
    /// One bit for each place whose slab has a free slot and a used one.
    pub(in super::super) words: Box<[u64]>,
    /// By place: the slab; of a vacant place: the next vacant one.
    pub(in super::super) places: Vec<u32>,
    /// The first vacant place.
    pub(super) vacant: u32,
    /// The slab without a used slot.
    pub(in super::super) empty: u32,
    /// Slots of all its slabs.
    pub(in super::super) slot_count: u32,
}

impl SlabClass {
    pub(super) fn new() -> Self {
        Self { room: 0, words: Box::default(), places: Vec::new(), vacant: NONE, empty: NONE, slot_count: 0 }
    }

    /// Returns the lowest place whose slab has a free slot and a used one.
    #[inline]
    pub(super) fn first(&self) -> Option<usize> {
        let word = self.room.trailing_zeros() as usize;
        // Where no word has a bit, `word` is 64, which no table reaches.
        Some(word << 6 | self.words.get(word)?.trailing_zeros() as usize)
    }

    /// Walks the slabs that have a free slot and a used one.
    pub(super) fn with_room(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.words).flat_map(move |(word, &bits)| {
            let set = core::iter::successors(Some(bits), |&bits| Some(without_lowest(bits)));
            let set = set.take_while(|&bits| bits != 0).map(u64::trailing_zeros);
            set.map(move |bit| self.places[word << 6 | bit as usize])
        })
    }

    #[inline]
    pub(super) fn set_room(&mut self, place: u16, bits: RoomBits) {
        self.words[usize::from(place >> 6)] |= bits.place;
        self.room |= bits.word;
    }

    #[inline]
    pub(super) fn clear_room(&mut self, place: u16, bits: RoomBits) {
        let word = &mut self.words[usize::from(place >> 6)];
        *word &= !bits.place;
        if *word == 0 {
            self.room &= !bits.word;
        }
    }

    /// Gives a slab the lowest place that was never used, or the one that was vacated last.
    pub(super) fn enter(&mut self, slab: u32) -> u16 {
        let place = if let Some(next) = self.places.get(self.vacant as usize).copied() {
            core::mem::replace(&mut self.vacant, next) as usize
        } else {
            reserve_quarter(&mut self.places, 2);
            self.places.push(NONE);
            self.places.len() - 1
        };
        self.places[place] = slab;
        if place >> 6 == self.words.len() {
            self.words = self.words.iter().copied().chain([0]).collect();
        }
        debug_assert!(place < PLACE_COUNT, "a class is asked for no more slabs than it has places");
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// Vacates the place of a slab without room beside used slots: it has no bit (S3).
    pub(super) fn leave(&mut self, place: u16) {
        self.places[usize::from(place)] = core::mem::replace(&mut self.vacant, u32::from(place));
    }

    pub(super) fn host_bytes(&self) -> usize {
        size_of::<Self>() + self.words.len() * size_of::<u64>() + self.places.capacity() * size_of::<u32>()
    }
}
