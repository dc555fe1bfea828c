//! Two-level segregated fit over the free ranges of one or many regions, with slabs in front of it.
//!
//! ```text
//! allocate ──> slab of the class with a free slot? ──yes──> its lowest free slot
//!                  │ no                                            ▲
//!                  ├─ a new slab fits? ──────────> cut its range ──┘
//!                  ├─ a free range fits? ────────> cut: [ front stays free ][ used ][ tail becomes free ]
//!                  └─ one would, merged with slabs that are empty? ──> give those back, cut
//! free ──────> slot: set its bit          range: merge with the free neighbours, store in the list of the new size
//! ```
//!
//! All regions share one index, so choosing a region costs nothing, and placement is as good as over one long region.
//! What surely holds a request is found at two words. Of what may hold it, a few ranges are looked at, and some hundred before
//! a request is refused: so TLSF refuses a request that fits only where many free ranges of about the same size do not
//! hold it, and one does.
//!
//! A search changes nothing and says where the piece would lie ([`Spot`]); [`Tlsf::allocate`] then does that, and
//! [`Tlsf::probe`] only tells it: one search, two users.
//!
//! Invariants, beside those of [`range_list`](super::range_list), [`free_lists`](super::free_lists) and
//! [`slab`](super::slab):
//! * A1: `used_bytes` and `range_count` are the sum and the number of the live suballocations.
//! * A2: a region's `busy` is its used ranges less the slabs in it that are empty. So a kept slab never keeps a region.
//!
//! Source: M. Masmano et al., "TLSF: a new dynamic memory allocator for real-time systems" (2004).

mod slots;

pub(crate) use slots::SlotRule;

use super::free_lists::{FreeLists, LIST_LOOK_COUNT, Want};
use super::range_list::{Cut, Node, RangeList, region_of};
use super::region_table::{NONE, Region};
use super::size_class::{self, MAX_SIZE};
use super::slab::{NO_CLASS, Slabs};
use super::{End, Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// Where a search ended.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// A new slab of `count` slots.
    Slab { cut: Cut, class: usize, count: u64 },
    /// A piece of a free range.
    Range(Cut),
    /// A piece of a free range that appears when the empty slabs from `cut.node` on are given back.
    Reclaimed(Cut),
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
    pub(super) range_count: u64,
}

impl Tlsf {
    pub(super) fn new(settings: &Settings) -> Self {
        let shift = settings.shift();
        Self {
            ranges: RangeList::new(),
            lists: FreeLists::new(),
            slabs: Slabs::new(settings.slab_limit, shift),
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
        while let Some(slab) = self.empty_slab_in(region) {
            self.release_slab(slab);
        }
        let first = self.ranges.regions.entries[region as usize].first;
        self.lists.unlink(&mut self.ranges, first);
        self.ranges.remove_region(region);
        true
    }

    /// Takes a slot, or a range; a slab may be made for it.
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        let class = self.slot_class(request);
        if class != NO_CLASS {
            let slot = self.take_slot_apart(class);
            if slot.is_some() {
                return slot;
            }
        }
        let cut = match self.find(&self.want(request)?, class)? {
            Found::Range(cut) => cut,
            Found::Slab { cut, class, count } => {
                self.add_slab(cut, class, count);
                return self.take_slot_apart(class);
            }
            Found::Reclaimed(cut) => {
                self.release_span(cut.node);
                cut
            }
        };
        Some(self.take_range(cut))
    }

    /// Takes a piece of one region, by first fit: one look at a fresh region.
    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find_in(region, &want.rounded()).or_else(|| self.find_in(region, &want))?;
        Some(self.take_range(cut))
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let class = self.slot_class(request);
        if let Some(slab) = self.slabs.with_room(class) {
            let slab = &self.slabs.table[slab as usize];
            return Some(slab.spot(slab.next_slot()));
        }
        let (cut, units) = match self.find(&self.want(request)?, class)? {
            Found::Slab { cut, class, .. } => (cut, size_class::slab_slot(class)),
            Found::Range(cut) | Found::Reclaimed(cut) => (cut, cut.units),
        };
        let node = &self.ranges.nodes[cut.node as usize];
        Some(self.spot(node.place - node.offset() + cut.offset, units))
    }

    /// Frees a slot or a range.
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        if key.is_slot() {
            return self.free_slot(key).ok_or(StaleKey);
        }
        let &Node { place, extent, .. } = self.ranges.resolve(key).ok_or(StaleKey)?;
        let Spot { region, offset, size } = self.spot(place, extent & MAX_SIZE);
        self.count_freed(size);
        self.release_range(key.index);
        let is_region_empty = self.ranges.regions.vacate(region);
        self.bound_empty_slabs();
        Ok(Freed { region, offset, size, is_region_empty })
    }

    /// Gives every empty slab back to its range.
    pub(super) fn reclaim(&mut self) {
        while let Some(slab) = self.slabs.largest_empty() {
            self.release_slab(slab);
        }
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
        self.lists.largest(&self.ranges, most).max(self.largest_reclaimed()) << self.shift
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for region in 0..self.ranges.regions.len() {
            for (index, node) in self.ranges.walk(region) {
                let Spot { region, offset, size } = self.spot(node.place, node.size());
                if !node.is_used() {
                    visit(RangeView { region, offset, size, state: RangeState::Free });
                } else if node.list_prev == NONE {
                    visit(RangeView { region, offset, size, state: RangeState::Used(self.ranges.key_of(index)) });
                } else {
                    self.for_each_slot(node.list_prev, visit);
                }
            }
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

    /// Searches where no slab has a slot.
    #[inline]
    fn find(&self, want: &Want, class: usize) -> Option<Found> {
        let rounded = want.rounded();
        if class != NO_CLASS {
            let found = self.find_slab(class, want.end);
            if found.is_some() {
                return found;
            }
        }
        if let Some(fit) = self.lists.find(&self.ranges.nodes, &rounded) {
            let cut = rounded.cut_of(fit.node, &self.ranges.nodes[fit.node as usize]);
            return Some(Found::Range(self.with_sliver(cut, want)));
        }
        self.find_exactly(want, &rounded)
    }

    /// Widens a cut to the whole free range where the rest would be a sliver: no range is split then, and none merged when
    /// it is freed.
    #[inline]
    fn with_sliver(&self, cut: Cut, want: &Want) -> Cut {
        let free = &self.ranges.nodes[cut.node as usize];
        let (start, size) = (free.offset(), free.size());
        let is_sliver = size - cut.units <= cut.units >> self.sliver_shift && start & want.mask == 0;
        if is_sliver { Cut { offset: start, units: size, ..cut } } else { cut }
    }

    /// Searches for room for no more than what was asked, where there is none for the rounded size.
    #[cold]
    fn find_exactly(&self, want: &Want, rounded: &Want) -> Option<Found> {
        let is_rounded = want.units < rounded.units;
        let cut = if is_rounded { self.lists.find_apart(&self.ranges, want) } else { None };
        let cut = cut.or_else(|| self.lists.find_widely(&self.ranges, want));
        cut.map(Found::Range).or_else(|| self.find_reclaimed(want))
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one caller is hot, the other is not")]
    fn take_range(&mut self, cut: Cut) -> Suballocation {
        let node = self.carve(cut);
        let key = self.ranges.set_used(node, NONE);
        let place = self.ranges.nodes[node as usize].place;
        self.ranges.regions.occupy(region_of(place));
        let Spot { region, offset, size } = self.spot(place, cut.units);
        self.count_used(size);
        Suballocation { region, offset, size, key }
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

    /// Cuts a piece out of a free range and returns its node, in no list. What is left stays free and listed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one caller is hot, the other is not")]
    fn carve(&mut self, cut: Cut) -> u32 {
        let free = &self.ranges.nodes[cut.node as usize];
        let (size, front) = (free.size(), cut.offset - free.offset());
        let class = size_class::floor(size);
        let mut node = cut.node;
        if front == 0 {
            self.lists.unlink_of(class, &mut self.ranges.nodes, node);
        } else {
            node = self.ranges.split(cut.node, front);
            self.lists.relink(class, size_class::floor(front), &mut self.ranges.nodes, cut.node);
        }
        if size - front > cut.units {
            let tail = self.ranges.split(node, cut.units);
            self.lists.link(&mut self.ranges, tail);
        }
        node
    }

    /// Frees a range, merges it with its free neighbours and stores the result. A left neighbour keeps its node, and
    /// its place in its list if it can.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "one caller is hot, the other is not")]
    fn release_range(&mut self, index: u32) {
        let Node { extent, prev, next, .. } = self.ranges.nodes[index as usize];
        let (mut units, mut behind) = (extent & MAX_SIZE, next);
        if let Some(right) = self.ranges.free_neighbour(next) {
            (units, behind) = (units + right.size(), right.next);
            self.lists.unlink(&mut self.ranges, next);
            self.ranges.put_spare(next);
        }
        let Some(left) = self.ranges.free_neighbour(prev) else {
            self.ranges.set_free(index, units, behind);
            self.lists.link_of(size_class::floor(units), &mut self.ranges.nodes, index);
            return;
        };
        let left_units = left.size();
        self.ranges.widen(prev, units, behind);
        self.ranges.put_freed(index);
        let (class, wider) = (size_class::floor(left_units), size_class::floor(left_units + units));
        self.lists.relink(class, wider, &mut self.ranges.nodes, prev);
    }

    #[inline]
    const fn spot(&self, place: u64, units: u64) -> Spot {
        Spot { region: region_of(place), offset: (place & MAX_SIZE) << self.shift, size: units << self.shift }
    }
}

#[cfg(test)]
mod tests;
