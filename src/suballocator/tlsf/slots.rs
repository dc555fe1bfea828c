//! What TLSF does with slabs: which requests they serve, when one is made, kept, and given back.
//!
//! ```text
//! empty ──last slot freed──> the only empty one of its class?  ──yes──> kept, if all kept ones are within a bound
//!                                    │ no                                  │ a request needs its room, its region
//!                                    ╰────────────> range freed <──────────╯ is removed, or `reclaim`
//! ```
//!
//! The bound follows what is live, and is looked at when a slab becomes empty that is kept, and when a range is freed.
//! Slots that are freed in between lower it and give nothing back.
//!
//! Whatever frees a second range runs when the first free is complete: between reading a node and merging it, nothing
//! else may merge.

use super::super::free_lists::Want;
use super::super::range_list::{Cut, Node};
use super::super::region_table::RegionTable;
use super::super::size_class;
use super::super::slab::{NO_CLASS, Put, Slab, SlabLeft, is_worth_a_large_slab, kept_bound, slot_key};
use super::super::{End, Freed, RangeKey, RangeState, RangeView, Request, Spot, Suballocation};
use super::{Found, Tlsf};

/// Largest alignment that slabs serve, in bytes: starting every slab of large slots at more would tear holes.
const SLAB_ALIGNMENT: u64 = 4096;

/// Which requests are served by slots, and of which class: what never changes, so that no lock is needed to know it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotRule {
    shift: u32,
    /// Largest alignment, less one, in units: 0 where the unit is as large.
    largest_mask: u64,
    has_classes: bool,
}

impl SlotRule {
    /// The rule of an algorithm without slabs.
    pub(in super::super) const NONE: Self = Self { shift: 0, largest_mask: 0, has_classes: false };

    /// Returns the class of the slot that may serve a request; `None` where only a range does. The class may be one
    /// that there is not.
    ///
    /// A size is rounded up to its alignment first: the slot that holds a multiple of an alignment is such a multiple
    /// too, as its steps are powers of two. Where that would waste more than a quarter, a range serves it.
    #[inline]
    pub(crate) fn class_of(&self, request: &Request) -> Option<usize> {
        if !self.has_classes || request.end.is_some() {
            return None;
        }
        self.class_of_last(request.size.wrapping_sub(1), request.alignment.wrapping_sub(1))
    }

    /// Returns the same for a request without an end, by its last byte and the mask of its alignment: each is one less.
    #[inline]
    pub(crate) fn class_of_last(&self, last_byte: u64, alignment_mask: u64) -> Option<usize> {
        let (last, mask) = (last_byte >> self.shift, alignment_mask >> self.shift);
        let rounded = last | mask;
        let is_aligned = mask <= self.largest_mask && (rounded - last) << 2 <= last;
        let class = size_class::slab_class_of_last(rounded);
        if is_aligned { Some(class) } else { None }
    }
}

impl Tlsf {
    /// Returns which requests slots serve.
    pub(in super::super) fn slot_rule(&self) -> SlotRule {
        let largest_mask = (SLAB_ALIGNMENT - 1) >> self.shift;
        SlotRule { shift: self.shift, largest_mask, has_classes: !self.slabs.classes.is_empty() }
    }

    /// Returns the class of the slot that may serve a request, or one that there is not.
    #[inline]
    pub(super) fn slot_class(&self, request: &Request) -> usize {
        if request.size > self.slabs.largest_request(self.used_bytes) {
            return NO_CLASS;
        }
        self.slot_rule().class_of(request).unwrap_or(NO_CLASS)
    }

    /// Tells whether requests of a class have a slab made for them wherever one fits.
    #[inline]
    pub(super) const fn is_for_slabs(&self, class: usize) -> bool {
        class != NO_CLASS && !self.slabs.is_large(class)
    }

    /// Tells whether a slab of large slots is to be made, if it may be, now that a request of their class would be cut
    /// out of a free range: a smaller one is better filled by the request itself. The slab is sought anew, and so may
    /// lie in another range: as the lists are in the order of sizes, no smaller one.
    #[inline]
    pub(super) fn is_for_large_slab(&self, class: usize, node: u32) -> bool {
        class != NO_CLASS
            && self.slabs.is_large(class)
            && is_worth_a_large_slab(size_class::slab_slot(class), self.ranges.nodes[node as usize].size())
    }

    /// Finds room for a new slab of a class, and tells the units of its slots.
    #[inline(never)]
    pub(super) fn find_slab(&self, class: usize, end: End) -> Option<(Cut, u64)> {
        let (want, _) = self.wanted_slab(class, end)?;
        Some((self.lists.find_apart(&self.ranges, &want)?, size_class::slab_slot(class)))
    }

    /// Makes a slab, if there is room for one, and takes its first slot.
    #[inline(never)]
    pub(super) fn take_new_slot(&mut self, class: usize, end: End) -> Option<Suballocation> {
        let (want, count) = self.wanted_slab(class, end)?;
        let fit = self.lists.find(&self.ranges.nodes, &want)?;
        let (place, node) = self.use_just(fit, &want);
        let Spot { region, offset, .. } = self.spot(place, want.units);
        let (slab, slot) = self.slabs.open(class, count, node, (region, offset));
        self.ranges.nodes[node as usize].list_prev = slab;
        self.ranges.regions.occupy(region);
        self.count_used(slot.size);
        Some(slot)
    }

    /// Returns what the next slab of a class needs, aligned so that its slots are as aligned as their size, and how
    /// many slots it has; `None` where none may be made.
    #[inline]
    fn wanted_slab(&self, class: usize, end: End) -> Option<(Want, u64)> {
        let (slot, count) = (size_class::slab_slot(class), self.slabs.next_count(class, self.used_bytes));
        if count == 0 {
            return None;
        }
        let mask = ((1 << slot.trailing_zeros()) - 1) & self.slot_rule().largest_mask;
        Some((Want { units: slot * count, mask, end }, count))
    }

    /// Finds room that would appear if empty slabs were given back: at most one slab per class is looked at.
    #[cold]
    pub(super) fn find_reclaimed(&self, want: &Want) -> Option<Found> {
        self.vacant_spans().find_map(|(node, start, end)| {
            let offset = want.place_in(start, end)?;
            Some(Found::Reclaimed(Cut { node, offset, units: want.units }))
        })
    }

    /// Returns the units of the largest free range that would appear if empty slabs were given back; 0 if there are
    /// none.
    pub(super) fn largest_reclaimed(&self) -> u64 {
        self.vacant_spans().map(|(_, start, end)| end - start).max().unwrap_or(0)
    }

    /// Walks the empty slabs, each with the free ranges and empty slabs around it: their first node, start and end.
    fn vacant_spans(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        self.slabs.empty().map(|slab| {
            let (mut first, mut last) = (self.slabs.table[slab as usize].node, self.slabs.table[slab as usize].node);
            while let Some(node) = self.vacant(self.ranges.nodes[first as usize].prev) {
                first = node;
            }
            while let Some(node) = self.vacant(self.ranges.nodes[last as usize].next) {
                last = node;
            }
            (first, self.ranges.nodes[first as usize].offset(), self.ranges.nodes[last as usize].end())
        })
    }

    /// Returns the node itself if it is a free range or an empty slab's.
    pub(super) fn vacant(&self, index: u32) -> Option<u32> {
        let node = self.ranges.node(index)?;
        let is_vacant = !node.is_used() || self.is_empty_slab(node.list_prev);
        is_vacant.then_some(index)
    }

    fn is_empty_slab(&self, slab: u32) -> bool {
        self.slabs.table.get(slab as usize).is_some_and(Slab::is_empty)
    }

    /// Gives back the empty slabs from a node on, up to the first range that is in use. The first node stays.
    pub(super) fn release_span(&mut self, first: u32) {
        let mut index = first;
        while let Some(node) = self.vacant(index) {
            let Node { list_prev: slab, next, .. } = self.ranges.nodes[node as usize];
            if self.ranges.nodes[node as usize].is_used() {
                self.release_slab(slab);
                // It may have merged to the left; the walk goes on behind the range that `first` has become.
                index = self.ranges.nodes[first as usize].next;
            } else {
                index = next;
            }
        }
    }

    /// Takes a slot of a class; `None`, and nothing changed, where it has none, and for a class that there is not.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(in super::super) fn take_ready(&mut self, class: usize) -> Option<Suballocation> {
        let slot = self.slabs.take(class, &mut self.ranges.regions)?;
        self.count_used(slot.size);
        Some(slot)
    }

    /// Does the same, as a call.
    #[inline(never)]
    pub(super) fn take_slot(&mut self, class: usize) -> Option<Suballocation> {
        self.take_ready(class)
    }

    /// Frees a slot where another of its slab stays in use; `false`, and nothing changed, for any other key.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(in super::super) fn free_ready(&mut self, key: RangeKey) -> bool {
        let size = self.slabs.put_ready(key);
        size.inspect(|&size| self.count_freed(size)).is_some()
    }

    /// Frees a slot; `None` for the key of a range, and for one that is stale.
    #[inline]
    pub(super) fn free_slot(&mut self, key: RangeKey) -> Option<Freed> {
        if !key.is_slot() {
            return None;
        }
        let Put { slab, region, offset, size, left } = self.slabs.put(key)?;
        self.count_freed(size);
        let is_region_empty = left != SlabLeft::InUse && self.ranges.regions.vacate(region);
        match left {
            SlabLeft::InUse => {}
            SlabLeft::Kept => self.bound_empty_slabs(),
            SlabLeft::Surplus => self.release_slab(slab),
        }
        Some(Freed { region, offset, size, is_region_empty })
    }

    /// Gives empty slabs back, the largest slots first, until the rest is within the bound.
    #[inline]
    pub(super) fn bound_empty_slabs(&mut self) {
        while self.slabs.kept_bytes > kept_bound(self.used_bytes) {
            let Some(slab) = self.slabs.largest_empty() else {
                return;
            };
            self.release_slab(slab);
        }
    }

    #[inline(never)]
    pub(super) fn release_slab(&mut self, slab: u32) {
        let node = self.slabs.remove(slab);
        self.release_range(node);
    }

    /// Gives those empty slabs back that are meant, the largest slots first.
    pub(super) fn release_slabs(&mut self, is_meant: impl Fn(&RegionTable, &Slab) -> bool) {
        let find = |tlsf: &Self| {
            let mut empty = tlsf.slabs.empty();
            empty.find(|&slab| is_meant(&tlsf.ranges.regions, &tlsf.slabs.table[slab as usize]))
        };
        while let Some(slab) = find(self) {
            self.release_slab(slab);
        }
    }

    pub(super) fn for_each_slot(&self, index: u32, visit: &mut dyn FnMut(RangeView)) {
        let slab = &self.slabs.table[index as usize];
        let first = slab.slots.trailing_zeros();
        for slot in first..first + slab.slots.count_ones() {
            let Spot { region, offset, size } = slab.spot(slot);
            let is_free = slab.free & (1 << slot) != 0;
            let key = slot_key(index, slot, slab.generation);
            let state = if is_free { RangeState::FreeSlot } else { RangeState::Used(key) };
            visit(RangeView { region, offset, size, state });
        }
    }
}
