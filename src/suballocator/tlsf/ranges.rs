//! What TLSF does with ranges: takes a piece out of a free one, and gives a used one back.
//!
//! ```text
//! take   [ free                ]  ──> [ used ][ free   ]   or  [ free   ][ used ]   or  [ used       ] and no sliver
//! give   [ free ][ used ][ free ] ──> [ free           ]
//! ```
//!
//! What nearly every range needs is one function without calls, which branches as little as it can: which end serves,
//! and which lists are empty, no processor can predict. What is rare (a gap on both sides, a part in front that stays
//! in its list, no node at hand) is done in single steps, by a call. Both give the same ranges in the same lists.

use core::hint::select_unpredictable;

use super::super::free_lists::{Fit, Want};
use super::super::range_list::{Cut, NIL, Node, TO_FREE, USED, region_of, stamp_of};
use super::super::region_table::NONE;
use super::super::size_class::{self, MAX_SIZE};
use super::super::{End, RangeKey, Spot, Suballocation};
use super::Tlsf;

/// The shift by which no rest is a sliver: no size has so many bits.
const NO_SLIVER: u32 = 63;

const _: () =
    assert!(NONE == !NIL, "what one part of a split range is marked with is the complement of the other's mark");

/// A range that was taken and is not counted yet.
#[derive(Clone, Copy, Debug)]
struct Taken {
    place: u64,
    units: u64,
    key: RangeKey,
}

impl Tlsf {
    /// Takes what is wanted out of a free range that holds it.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn take_range(&mut self, fit: Fit, want: &Want) -> Suballocation {
        self.range_count += 1;
        let taken = self.use_range(fit, want, self.sliver_shift);
        self.count_taken(taken)
    }

    /// Takes just what is wanted out of a free range that holds it, for a slab; returns its place and its node. Nothing
    /// is counted.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "few live make slabs again and again")]
    pub(super) fn use_just(&mut self, fit: Fit, want: &Want) -> (u64, u32) {
        let Taken { place, key, .. } = self.use_range(fit, want, NO_SLIVER);
        (place, key.index)
    }

    /// Takes a piece of a free range, wherever it lies.
    #[inline(never)]
    pub(super) fn take_cut(&mut self, cut: Cut) -> Suballocation {
        self.range_count += 1;
        let (place, key) = self.use_cut(cut);
        self.count_taken(Taken { place, units: cut.units, key })
    }

    /// Counts its region as busy, and its bytes.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `take_range`")]
    fn count_taken(&mut self, taken: Taken) -> Suballocation {
        let Taken { place, units, key } = taken;
        self.ranges.regions.occupy(region_of(place));
        let Spot { region, offset, size } = self.spot(place, units);
        self.used_bytes += size;
        Suballocation { region, offset, size, key }
    }

    /// Takes the whole range where the rest would be a sliver, else a piece at one end; what is left stays free and
    /// listed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `take_range`")]
    fn use_range(&mut self, fit: Fit, want: &Want, sliver_shift: u32) -> Taken {
        let Fit { node: index, class } = fit;
        let nodes = self.ranges.nodes.as_mut_slice();
        let Node { place, extent, .. } = nodes[index as usize];
        let (size, units) = (extent & MAX_SIZE, want.units);
        let rest = size - units;
        if is_sliver(rest, units, sliver_shift) && place & want.mask == 0 {
            self.lists.unlink_of(class, nodes, index);
            let node = &mut nodes[index as usize];
            (node.extent, node.list_prev) = (extent | USED, NONE);
            let key = RangeKey { index, generation: stamp_of(extent | USED) };
            return Taken { place, units: size, key };
        }
        let other = size_class::floor(rest);
        let is_last = want.end == End::High;
        let is_within = (place + select_unpredictable(is_last, rest, 0)) & want.mask != 0;
        if is_within || self.ranges.spare == NIL || class == other && is_last {
            let cut = want.cut_of(index, &nodes[index as usize]);
            let (place, key) = self.use_cut(cut);
            return Taken { place, units, key };
        }
        self.lists.unlink_of(class, nodes, index);
        let (place, key) = self.use_end(index, other, want, rest);
        Taken { place, units, key }
    }

    /// Splits a free range that is in no list, and for which a node is at hand: what is wanted is taken at one end, the
    /// rest goes into the list of its class. Returns the place of what is taken, and its key.
    ///
    /// Which end it is cannot be predicted, so both parts are written alike, and what differs is chosen.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn use_end(&mut self, index: u32, class: usize, want: &Want, rest: u64) -> (u64, RangeKey) {
        let nodes = self.ranges.nodes.as_mut_slice();
        let (units, is_last) = (want.units, want.end == End::High);
        let back = self.ranges.spare;
        self.ranges.spare = nodes[back as usize].list_next;
        let (used, free) = (select_unpredictable(is_last, back, index), select_unpredictable(is_last, index, back));
        let head = self.lists.replace_head(class, free);
        nodes[head as usize].list_prev = free;
        // Of the part behind: `NONE` where it is used, `NIL` where it is free. The part in front gets the other one.
        let (used_bit, mark) = (u64::from(is_last) * USED, u32::from(is_last).wrapping_neg());
        let split = select_unpredictable(is_last, rest, units);
        let behind = units + rest - split;
        let front = &mut nodes[index as usize];
        let Node { place, extent, next, .. } = *front;
        let front_extent = extent - behind + (USED - used_bit);
        (front.extent, front.next, front.list_prev, front.list_next) = (front_extent, back, !mark, head);
        let rear = &mut nodes[back as usize];
        let (back_place, back_extent) = (place + split, rear.extent + behind + used_bit);
        *rear = Node { place: back_place, extent: back_extent, prev: index, next, list_prev: mark, list_next: head };
        nodes[next as usize].prev = back;
        let generation = stamp_of(select_unpredictable(is_last, back_extent, front_extent));
        (select_unpredictable(is_last, back_place, place), RangeKey { index: used, generation })
    }

    /// Cuts a piece out of a free range and marks it as used, in single steps; returns its place and key.
    #[inline(never)]
    fn use_cut(&mut self, cut: Cut) -> (u64, RangeKey) {
        let node = self.carve(cut);
        let key = self.ranges.set_used(node, NONE);
        (self.ranges.nodes[node as usize].place, key)
    }

    /// Widens a cut to the whole free range where the rest would be a sliver: no range is split then, and none merged
    /// when it is freed.
    pub(super) fn with_sliver(&self, cut: Cut, want: &Want) -> Cut {
        let free = &self.ranges.nodes[cut.node as usize];
        let Cut { node, units, .. } = cut;
        let is_whole = is_sliver(free.size() - units, units, self.sliver_shift) && free.place & want.mask == 0;
        if is_whole { Cut { node, offset: free.offset(), units: free.size() } } else { cut }
    }

    /// Cuts a piece out of a free range and returns its node, in no list. What is left stays free and listed.
    #[inline(never)]
    pub(super) fn carve(&mut self, cut: Cut) -> u32 {
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
    pub(super) fn release_range(&mut self, index: u32) {
        let nodes = self.ranges.nodes.as_mut_slice();
        let node = &nodes[index as usize];
        let (own, prev, next) = (node.size(), node.prev, node.next);
        let (mut units, mut behind) = (own, next);
        let right = &nodes[next as usize];
        if !right.is_used() {
            let size = right.size();
            self.lists.unlink_of(size_class::floor(size), nodes, next);
            let node = &mut nodes[next as usize];
            node.extent -= size;
            node.list_next = core::mem::replace(&mut self.ranges.spare, next);
            (units, behind) = (units + size, node.next);
        }
        let left = &mut nodes[prev as usize];
        if left.is_used() {
            let node = &mut nodes[index as usize];
            (node.extent, node.next) = (node.extent.wrapping_add(TO_FREE).wrapping_add(units - own), behind);
            nodes[behind as usize].prev = index;
            self.lists.link_of(size_class::floor(units), nodes, index);
            return;
        }
        let size = left.size();
        left.extent += units;
        left.next = behind;
        nodes[behind as usize].prev = prev;
        let node = &mut nodes[index as usize];
        node.extent = node.extent.wrapping_add(TO_FREE) - own;
        node.list_next = core::mem::replace(&mut self.ranges.spare, index);
        self.lists.relink(size_class::floor(size), size_class::floor(size + units), nodes, prev);
    }
}

/// Tells whether what is left of a range is not worth a range of its own.
#[inline]
const fn is_sliver(rest: u64, units: u64, shift: u32) -> bool {
    rest <= units >> shift
}
