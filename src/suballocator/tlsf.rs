//! Two-level segregated fit over the free ranges of one or many regions, with slabs in front of it.
//!
//! ```text
//! allocate ──> slab of the class with a free slot? ──yes──> its lowest free slot
//!                  │ no                                            ▲
//!                  ├─ a new slab fits? ──────────> cut its range ──┘  (large slots: where the free range is twice as long)
//!                  ├─ a free range fits? ────────> cut: [ front stays free ][ used ][ tail becomes free ]
//!                  ├─ one would, merged with slabs that are empty? ──> give those back, cut
//!                  └─ or with the free end of a slab in use? ──> cut that off, cut
//! free ──────> slot: set its bit          range: merge with the free neighbours, store in the list of the new size
//! ```
//!
//! All regions share one index, so choosing a region costs nothing, and placement is as good as over one long region.
//! What surely holds a request is found at two words. Of what may hold it, a few ranges are looked at, and up to 256
//! before a request is refused: so TLSF refuses a request that fits only where many free ranges of about the same size
//! do not hold it, and one does.
//!
//! The searches change nothing. [`Tlsf::allocate`] and [`Tlsf::probe`] make them in one order, the first doing at once
//! what the other tells: what `probe` says is what `allocate` does, and the shadow model holds them to it.
//!
//! Invariants, beside those of [`range_list`](super::range_list), [`free_lists`](super::free_lists) and
//! [`slab`](super::slab):
//! * A1: `used_bytes` and `range_count` are the sum and the number of the live suballocations.
//! * A2: a region's `busy` is its used ranges less the slabs in it that are empty. So a kept slab never keeps a region.
//!
//! Source: M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems" (2004).

mod ends;
mod ranges;
mod slots;

pub(crate) use slots::SlotRule;

use super::free_lists::{FreeLists, LIST_LOOK_COUNT, Want};
use super::range_list::{Cut, Node, RangeList, region_of};
use super::region_table::{NONE, Region};
use super::size_class::MAX_SIZE;
use super::slab::Slabs;
use super::{End, Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// Where a search for what no slot serves ended.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// A piece of a free range.
    Range(Cut),
    /// A piece of a free range that appears when the empty slabs from `cut.node` on are given back.
    Reclaimed(Cut),
    /// A piece of a free range that appears when the free slots at one end of a slab are cut off; `cut.node` is the
    /// slab's.
    AtEnd { slab: u32, side: End, cut: Cut },
}

impl Found {
    const fn cut(self) -> Cut {
        match self {
            Self::Range(cut) | Self::Reclaimed(cut) | Self::AtEnd { cut, .. } => cut,
        }
    }
}

/// The suballocator.
#[derive(Clone, Debug)]
pub(crate) struct Tlsf {
    pub(super) ranges: RangeList,
    pub(super) lists: FreeLists,
    pub(super) slabs: Slabs,
    pub(super) shift: u32,
    high_end_from: u64,
    sliver_shift: u32,
    pub(super) used_bytes: u64,
    pub(super) range_count: u32,
}

impl Tlsf {
    pub(super) fn new(settings: &Settings) -> Self {
        let shift = settings.shift();
        Self {
            ranges: RangeList::new(),
            lists: FreeLists::new(),
            slabs: Slabs::new(settings),
            shift,
            high_end_from: settings.high_end_from,
            sliver_shift: settings.sliver_shift,
            used_bytes: 0,
            range_count: 0,
        }
    }

    pub(super) fn add_region(&mut self, units: u64) -> u32 {
        let (region, first) = self.ranges.add_region(units);
        self.lists.cover(units);
        self.lists.link(&mut self.ranges, first);
        region
    }

    pub(super) fn remove_region(&mut self, region: u32) -> bool {
        if !self.ranges.regions.is_empty(region) {
            return false;
        }
        self.release_slabs(|_, slab| slab.region == region);
        let first = self.ranges.regions.entries[region as usize].first;
        self.lists.unlink(&mut self.ranges, first);
        self.ranges.remove_region(region);
        true
    }

    /// Takes a slot, or a range; a slab may be made for it.
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        let class = self.slot_class(request);
        if self.slabs.has_slot(class) {
            return self.take_slot(class);
        }
        let want = self.want(request)?;
        if self.is_for_slabs(class) {
            let slot = self.take_new_slot(class, want.end);
            if slot.is_some() {
                return slot;
            }
        }
        let want = want.rounded();
        let Some(fit) = self.lists.find(&self.ranges.nodes, &want) else {
            return self.take_exactly(request);
        };
        if self.is_for_large_slab(class, fit.node) {
            let slot = self.take_new_slot(class, want.end);
            if slot.is_some() {
                return slot;
            }
        }
        Some(self.take_range(fit, &want))
    }

    /// Takes a range no longer than what was asked for, where none holds the rounded size.
    #[cold]
    #[inline(never)]
    fn take_exactly(&mut self, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = match self.find_exactly(&want, &want.rounded())? {
            Found::Range(cut) => cut,
            Found::Reclaimed(cut) => {
                self.release_span(cut.node);
                cut
            }
            Found::AtEnd { slab, side, cut } => Cut { node: self.cut_end_off(slab, side), ..cut },
        };
        Some(self.take_cut(cut))
    }

    /// Takes a piece of one region, by first fit: one look at a fresh region.
    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find_in(region, &want.rounded()).or_else(|| self.find_in(region, &want))?;
        Some(self.take_cut(cut))
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let class = self.slot_class(request);
        if let Some(slab) = self.slabs.with_room(class) {
            let slab = &self.slabs.table[slab as usize];
            return Some(slab.spot(slab.next_slot()));
        }
        let (cut, units) = self.find(&self.want(request)?, class)?;
        let node = &self.ranges.nodes[cut.node as usize];
        Some(self.spot(node.place - node.offset() + cut.offset, units))
    }

    /// Frees a slot or a range.
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        if key.is_slot() {
            return self.free_slot(key).ok_or(StaleKey);
        }
        let &Node { place, extent, .. } = self.ranges.resolve(key).ok_or(StaleKey)?;
        self.release_range(key.index);
        let Spot { region, offset, size } = self.spot(place, extent & MAX_SIZE);
        self.count_freed(size);
        let is_region_empty = self.ranges.regions.vacate(region);
        self.bound_empty_slabs();
        Ok(Freed { region, offset, size, is_region_empty })
    }

    /// Frees the ranges of all empty slabs.
    pub(super) fn reclaim(&mut self) {
        self.release_slabs(|_, _| true);
    }

    /// Frees the ranges of the empty slabs that lie in empty regions.
    pub(super) fn reclaim_in_empty(&mut self) {
        self.release_slabs(|regions, slab| regions.is_empty(slab.region));
    }

    pub(super) fn clear(&mut self) {
        self.slabs.clear();
        self.ranges.clear();
        self.lists.clear();
        for region in 0..self.ranges.regions.len() {
            if let Some(&Region { first, .. }) = self.ranges.regions.get(region) {
                self.lists.link(&mut self.ranges, first);
            }
        }
        (self.used_bytes, self.range_count) = (0, 0);
    }

    /// Returns place and size of a live suballocation.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        if !key.is_slot() {
            return self.ranges.resolve(key).map(|node| self.spot(node.place, node.size()));
        }
        self.slabs.resolve(key).map(|(slab, slot)| slab.spot(slot))
    }

    pub(super) fn largest_free_range(&self) -> u64 {
        self.largest_of(usize::MAX)
    }

    /// Returns the same or less, and looks at few ranges.
    pub(super) fn largest_at_a_glance(&self) -> u64 {
        self.largest_of(LIST_LOOK_COUNT)
    }

    fn largest_of(&self, most: usize) -> u64 {
        self.lists.largest(&self.ranges, most).max(self.largest_reclaimed()).max(self.largest_end()) << self.shift
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for (region, &Region { units, .. }) in (0..).zip(&self.ranges.regions.entries) {
            // What empty slabs keep serves any request, so it is shown as one with the free ranges around it.
            let mut free_bytes = 0;
            for (index, node) in self.ranges.walk(region) {
                let Spot { region, offset, size } = self.spot(node.place, node.size());
                if self.vacant(index).is_some() {
                    free_bytes += size;
                    continue;
                }
                visit_free(region, offset, core::mem::take(&mut free_bytes), visit);
                if node.list_prev == NONE {
                    visit(RangeView { region, offset, size, state: RangeState::Used(self.ranges.key_of(index)) });
                } else {
                    self.for_each_slot(node.list_prev, visit);
                }
            }
            visit_free(region, units << self.shift, free_bytes, visit);
        }
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.ranges.host_bytes() + self.lists.host_bytes() + self.slabs.host_bytes()
    }

    /// Converts a request to units; `None` where it is larger than any region can be.
    #[inline]
    fn want(&self, request: &Request) -> Option<Want> {
        let last = request.size.wrapping_sub(1) >> self.shift;
        if last >= MAX_SIZE {
            return None;
        }
        // Offsets end below 2^42: an alignment above that asks for offset 0, as one of 2^42 does.
        let mask = (request.alignment.wrapping_sub(1) >> self.shift) & MAX_SIZE;
        let low = request.size < self.high_end_from;
        let end = request.end.unwrap_or(if low { End::Low } else { End::High });
        Some(Want { units: last + 1, mask, end })
    }

    fn find_in(&self, region: u32, want: &Want) -> Option<Cut> {
        let mut free = self.ranges.walk(region).filter(|(_, node)| !node.is_used());
        free.find_map(|(index, node)| want.cut_from(index, node))
    }

    /// Searches where no slab has a slot: returns what would be cut, and how many units of it the request would get.
    fn find(&self, want: &Want, class: usize) -> Option<(Cut, u64)> {
        let rounded = want.rounded();
        let slab = if self.is_for_slabs(class) { self.find_slab(class, want.end) } else { None };
        if slab.is_some() {
            return slab;
        }
        let Some(cut) = self.lists.find_apart(&self.ranges, &rounded) else {
            let cut = self.find_exactly(want, &rounded)?.cut();
            return Some((cut, cut.units));
        };
        let slab = if self.is_for_large_slab(class, cut.node) { self.find_slab(class, want.end) } else { None };
        slab.or_else(|| {
            let cut = self.with_sliver(cut, want);
            Some((cut, cut.units))
        })
    }

    /// Searches for room for no more than what was asked, where there is none for the rounded size.
    #[cold]
    fn find_exactly(&self, want: &Want, rounded: &Want) -> Option<Found> {
        let is_rounded = want.units < rounded.units;
        let cut = if is_rounded { self.lists.find_apart(&self.ranges, want) } else { None };
        let cut = cut.or_else(|| self.lists.find_widely(&self.ranges, want));
        cut.map(Found::Range).or_else(|| self.find_reclaimed(want)).or_else(|| self.find_at_end(want))
    }

    #[inline]
    fn count_used(&mut self, size: u64) {
        self.used_bytes += size;
        self.range_count += 1;
    }

    #[inline]
    fn count_freed(&mut self, size: u64) {
        self.used_bytes -= size;
        self.range_count -= 1;
    }

    #[inline]
    const fn spot(&self, place: u64, units: u64) -> Spot {
        Spot { region: region_of(place), offset: (place & MAX_SIZE) << self.shift, size: units << self.shift }
    }
}

/// Shows a free range by its end, unless it has no bytes.
fn visit_free(region: u32, end: u64, size: u64, visit: &mut dyn FnMut(RangeView)) {
    if size > 0 {
        visit(RangeView { region, offset: end - size, size, state: RangeState::Free });
    }
}

#[cfg(test)]
mod tests;
