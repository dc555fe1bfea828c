//! The regions of one suballocator: their sizes, and which of them hold nothing that is alive.
//!
//! ```text
//! entries   [ region 0 ][ region 1 ][ absent ][ region 3 ] …      number = index
//! empty            ╰─────────────<────────────────╯               linked through the entries, newest first
//! ```
//!
//! Invariants:
//! * G1: a region is in the list of empty regions if and only if it is present and its `busy` count is 0.
//! * G2: `empty_units` is the sum of the sizes in that list; `total_units` of all present ones.
//!
//! It does not know what lies inside a region. What counts as busy is its owner's: with TLSF a used range, and a slab
//! with a used slot; in linear and fixed regions all that is used is one thing.

use alloc::vec::Vec;

use super::size_class::MAX_SIZE;

/// "None": an index that no table reaches, so a checked access is also the test for it.
pub(super) const NONE: u32 = u32::MAX;

/// Bits of a region's number.
pub(super) const REGION_BITS: u32 = 22;

/// How a slot or a linear range is taken or freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Only where its region is in use before and after.
    Short,
    /// In any case.
    Long,
}

/// One region: 24 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Region {
    /// Size in units; 0 when no region has this number.
    pub(super) units: u64,
    /// TLSF's first range of it.
    pub(super) first: u32,
    /// How many live things lie in it, as its owner counts them.
    pub(super) busy: u32,
    pub(super) empty_prev: u32,
    pub(super) empty_next: u32,
}

/// The table.
#[derive(Clone, Debug)]
pub(super) struct RegionTable {
    pub(super) entries: Vec<Region>,
    pub(super) first_empty: u32,
    pub(super) empty_units: u64,
    pub(super) total_units: u64,
}

impl RegionTable {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), first_empty: NONE, empty_units: 0, total_units: 0 }
    }

    /// Adds an empty region under the lowest free number, which it returns.
    ///
    /// # Panics
    /// When `units` is 0 or above 2^42 - 1, or when 2^22 - 1 regions exist.
    pub(super) fn add(&mut self, units: u64) -> u32 {
        assert!((1..=MAX_SIZE).contains(&units), "a region has from 1 to 2^42 - 1 units");
        let index = self.entries.iter().position(|region| region.units == 0).unwrap_or(self.entries.len());
        let number = u32::try_from(index).unwrap_or(NONE);
        assert!(number < (1 << REGION_BITS) - 1, "a suballocator has fewer than 2^22 regions");
        let region = Region { units, first: NONE, busy: 0, empty_prev: NONE, empty_next: NONE };
        match self.entries.get_mut(index) {
            Some(entry) => *entry = region,
            None => self.entries.push(region),
        }
        self.total_units += units;
        self.link_empty(number);
        number
    }

    /// Forgets a region that is empty.
    pub(super) fn remove(&mut self, number: u32) {
        debug_assert!(self.is_empty(number), "G1: only an empty region is removed");
        self.unlink_empty(number);
        let entry = &mut self.entries[number as usize];
        self.total_units -= entry.units;
        entry.units = 0;
    }

    /// Counts one more live thing in a region.
    #[inline]
    pub(super) fn occupy(&mut self, number: u32) {
        let entry = &mut self.entries[number as usize];
        entry.busy += 1;
        if entry.busy == 1 {
            self.unlink_empty(number);
        }
    }

    /// Counts one live thing less; tells whether it was the last.
    #[inline]
    pub(super) fn vacate(&mut self, number: u32) -> bool {
        let entry = &mut self.entries[number as usize];
        entry.busy -= 1;
        let is_empty = entry.busy == 0;
        if is_empty {
            self.link_empty(number);
        }
        is_empty
    }

    /// Makes every present region empty, in ascending order: the lowest number comes first again.
    pub(super) fn reset(&mut self) {
        (self.first_empty, self.empty_units) = (NONE, 0);
        for number in (0..self.len()).rev() {
            self.entries[number as usize].busy = 0;
            if self.is_present(number) {
                self.link_empty(number);
            }
        }
    }

    /// Returns one more than the highest number in use so far.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(NONE)
    }

    pub(super) fn get(&self, number: u32) -> Option<&Region> {
        self.entries.get(number as usize).filter(|region| region.units > 0)
    }

    pub(super) fn is_present(&self, number: u32) -> bool {
        self.get(number).is_some()
    }

    pub(super) fn is_empty(&self, number: u32) -> bool {
        self.get(number).is_some_and(|region| region.busy == 0)
    }

    /// Walks the empty regions with their units, the most recently emptied first.
    pub(super) fn empty(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let mut next = self.first_empty;
        core::iter::from_fn(move || {
            let region = self.get(next)?;
            let number = core::mem::replace(&mut next, region.empty_next);
            Some((number, region.units))
        })
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Region>()
    }

    fn link_empty(&mut self, number: u32) {
        let next = core::mem::replace(&mut self.first_empty, number);
        if let Some(region) = self.entries.get_mut(next as usize) {
            region.empty_prev = number;
        }
        let entry = &mut self.entries[number as usize];
        (entry.empty_prev, entry.empty_next) = (NONE, next);
        self.empty_units += entry.units;
    }

    fn unlink_empty(&mut self, number: u32) {
        let Region { units, empty_prev: prev, empty_next: next, .. } = self.entries[number as usize];
        match self.entries.get_mut(prev as usize) {
            Some(region) => region.empty_next = next,
            None => self.first_empty = next,
        }
        if let Some(region) = self.entries.get_mut(next as usize) {
            region.empty_prev = prev;
        }
        self.empty_units -= units;
    }
}

#[cfg(test)]
mod tests;
