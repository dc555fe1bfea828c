//! Linear suballocation: bump, stack, double stack and ring. Which of them it is follows from the calls.
//!
//! ```text
//! bump/stack    [ A ][ B ][ C ]│      gap                     │    the gap follows the newest range, the head
//! double stack  [ A ][ B ]│          gap          │[ Y ][ X ]      End::High grows downwards from the region's end
//! ring          [ E ]│ gap │[ C ][ D ]│  left behind          │    the gap ends at the oldest range
//! ```
//!
//! A request is served from *the gap*, and from nowhere else. A range that is freed beside the gap joins it (stack); one
//! freed elsewhere waits until its neighbours up to the gap are free. When the gap has become too small and the region's
//! front is free, the gap moves there (ring), unless an upper stack stands. It moves back to the region's end when all that
//! was taken at the front is freed and the gap is too small. Which range lies at the end is known from the move on.
//!
//! Invariants, beside those of [`range_list`](super::range_list):
//! * L1: `head` is a used range, or none and the gap is at the region's front; the range behind it, where free, is the gap.
//! * L2: `upper` counts the used ranges placed from the high end. While it is above 0, each of them lies above the gap,
//!   and no other range does.
//! * L3: while a ring has gone round (used ranges lie behind the gap, and `upper` is 0), `lasts` names the region's last
//!   range.
//! * A1, A2 as in [`tlsf`](super::tlsf): `used_units`, `range_count` and `busy` agree with the ranges.
//!
//! What it does not do: it keeps no list of free ranges; what lies outside the gap is not used.

use alloc::vec::Vec;

use super::align::units_for;
use super::free_lists::Want;
use super::range_list::{Cut, NIL, Node, RangeList, region_of};
use super::region_table::NONE;
use super::size_class::MAX_SIZE;
use super::{End, Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// Owner's mark of a used range of the upper stack.
pub(super) const UPPER: u32 = 0;

/// State of one region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    /// The newest range placed from the low end.
    pub(super) head: u32,
    /// Number of live ranges placed from the high end.
    pub(super) upper: u32,
}

const AT_START: Front = Front { head: NIL, upper: 0 };

/// The suballocator.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(super) ranges: RangeList,
    pub(super) fronts: Vec<Front>,
    /// The last range of each region, while a ring has gone round there; of no account otherwise. The short way of an
    /// allocation needs none of it.
    pub(super) lasts: Vec<u32>,
    /// The region that served last; it is asked first.
    current: u32,
    pub(super) shift: u32,
    pub(super) used_units: u64,
    pub(super) range_count: u64,
}

impl Linear {
    pub(super) fn new(settings: &Settings) -> Self {
        let (ranges, shift) = (RangeList::new(), settings.shift());
        let (fronts, lasts) = (Vec::new(), Vec::new());
        Self { ranges, fronts, lasts, current: 0, shift, used_units: 0, range_count: 0 }
    }

    pub(super) fn add_region(&mut self, units: u64) -> u32 {
        let (region, _) = self.ranges.add_region(units);
        self.fronts.resize(self.ranges.regions.entries.len(), AT_START);
        self.fronts[region as usize] = AT_START;
        self.lasts.resize(self.fronts.len(), NIL);
        region
    }

    pub(super) fn remove_region(&mut self, region: u32) -> bool {
        let is_empty = self.ranges.regions.is_empty(region);
        if is_empty {
            self.ranges.remove_region(region);
        }
        is_empty
    }

    #[inline(never)]
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find(&want)?;
        Some(self.take(cut, want.end))
    }

    /// Takes the front of the gap of the region that served last, where that is in use and more of the gap is left: nearly
    /// always. `None`, and nothing changed, where [`allocate`](Self::allocate) must look further; else it takes what that
    /// would take, in a third of its instructions.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn allocate_ready(&mut self, request: &Request) -> Option<Suballocation> {
        if request.end == Some(End::High) {
            return None;
        }
        // As `want` says it, for a size above 0 and an alignment that is a power of two; bounded by the gap below.
        let units = (request.size.wrapping_sub(1) >> self.shift).wrapping_add(1);
        let mask = request.alignment.wrapping_sub(1) >> self.shift;
        let current = self.current;
        let front = self.fronts.get_mut(current as usize)?;
        let index = self.ranges.nodes.get(front.head as usize)?.next;
        let gap = self.ranges.free_neighbour(index)?;
        let place = gap.place;
        let is_at_hand = gap.offset() & mask == 0 && units.wrapping_sub(1) < gap.size() - 1;
        if !(is_at_hand && self.ranges.regions.occupy_if_busy(current)) {
            return None;
        }
        front.head = index;
        let key = self.ranges.use_front(index, units);
        self.used_units += units;
        self.range_count += 1;
        let Spot { region, offset, size } = self.spot(place, units);
        Some(Suballocation { region, offset, size, key })
    }

    /// Frees a range whose region stays in use; `false`, and nothing changed, where [`free`](Self::free) must look closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn free_ready(&mut self, key: RangeKey) -> bool {
        let Some(&Node { place, extent, prev, next, list_prev: owner, .. }) = self.ranges.resolve(key) else {
            return false;
        };
        let region = region_of(place);
        if owner == UPPER || self.ranges.regions.vacate_within(region, 0).is_none() {
            return false;
        }
        let units = extent & MAX_SIZE;
        let is_head = self.fronts[region as usize].head == key.index;
        let is_oldest = !is_head && self.ranges.free_neighbour(prev).is_some();
        if is_oldest && self.ranges.free_neighbour(next).is_none() {
            if next == NIL {
                // L3.
                self.lasts[region as usize] = prev;
            }
            self.used_units -= units;
            self.range_count -= 1;
            self.ranges.free_into(prev, key.index);
        } else {
            self.take_out(key.index, (region, units), owner);
        }
        true
    }

    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find_in(region, &want).or_else(|| self.find_at_end(region, &want))?;
        Some(self.take(cut, want.end))
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let cut = self.find(&self.want(request)?)?;
        let node = &self.ranges.nodes[cut.node as usize];
        Some(self.spot(node.place - node.offset() + cut.offset, cut.units))
    }

    #[inline(never)]
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        let &Node { place, extent, list_prev: owner, .. } = self.ranges.resolve(key).ok_or(StaleKey)?;
        let Spot { region, offset, size } = self.spot(place, extent & MAX_SIZE);
        self.take_out(key.index, (region, extent & MAX_SIZE), owner);
        let is_region_empty = self.ranges.regions.vacate(region);
        Ok(Freed { region, offset, size, is_region_empty })
    }

    pub(super) fn clear(&mut self) {
        self.ranges.clear();
        self.fronts.fill(AT_START);
        (self.used_units, self.range_count, self.current) = (0, 0, 0);
    }

    /// Returns place and size of a live suballocation.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        self.ranges.resolve(key).map(|node| self.spot(node.place, node.size()))
    }

    /// Returns the largest gap, free front or free end of any region, in bytes: what the next request can have.
    pub(super) fn largest_free_range(&self) -> u64 {
        let regions = 0..self.ranges.regions.len();
        let spaces = regions.flat_map(|region| [self.gap(region), self.free_front(region), self.free_end(region)]);
        spaces.flatten().map(|(_, node)| node.size()).max().unwrap_or(0) << self.shift
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for region in 0..self.ranges.regions.len() {
            for (index, node) in self.ranges.walk(region) {
                let Spot { region, offset, size } = self.spot(node.place, node.size());
                let used = RangeState::Used(self.ranges.key_of(index));
                let state = if node.is_used() { used } else { RangeState::Free };
                visit(RangeView { region, offset, size, state });
            }
        }
    }

    pub(super) fn host_bytes(&self) -> usize {
        let region_bytes = self.fronts.capacity() * size_of::<Front>() + self.lasts.capacity() * size_of::<u32>();
        self.ranges.host_bytes() + region_bytes
    }

    /// Returns the gap of a region, if it has one.
    pub(super) fn gap(&self, region: u32) -> Option<(u32, &Node)> {
        let head = self.fronts.get(region as usize)?.head;
        let gap = match self.ranges.node(head) {
            Some(head) => head.next,
            None => self.ranges.regions.get(region)?.first,
        };
        Some((gap, self.ranges.free_neighbour(gap)?))
    }

    /// Returns the free range at the front of a region that a ring may move to: behind the gap lies nothing, neither an
    /// older range nor an upper stack.
    fn free_front(&self, region: u32) -> Option<(u32, &Node)> {
        let head = self.fronts.get(region as usize)?.head;
        let next = self.ranges.node(head)?.next;
        let behind = self.ranges.free_neighbour(next).map_or(next, |gap| gap.next);
        if behind != NIL {
            return None;
        }
        let first = self.ranges.regions.get(region)?.first;
        Some((first, self.ranges.free_neighbour(first)?))
    }

    /// Returns the free range at the end of a region that a ring may move back to: all that it took at the front is freed.
    #[cold]
    fn free_end(&self, region: u32) -> Option<(u32, &Node)> {
        let front = self.fronts.get(region as usize)?;
        let is_in_use = self.ranges.regions.get(region)?.busy > 0;
        if front.head != NIL || front.upper > 0 || !is_in_use {
            return None;
        }
        // L1: the gap is at the front, so what is in use lies behind it, and L3 holds.
        let last = self.lasts[region as usize];
        Some((last, self.ranges.free_neighbour(last)?))
    }

    fn want(&self, request: &Request) -> Option<Want> {
        let units = units_for(request.size, self.shift).max(1);
        let mask = ((request.alignment >> self.shift).max(1) - 1) & MAX_SIZE;
        (units <= MAX_SIZE).then_some(Want { units, mask, end: request.end.unwrap_or(End::Low) })
    }

    /// Searches the region that served last, then all in ascending order, then their ends.
    #[inline]
    fn find(&self, want: &Want) -> Option<Cut> {
        let mut regions = 0..self.ranges.regions.len();
        let cut = self.find_in(self.current, want).or_else(|| regions.find_map(|region| self.find_in(region, want)));
        cut.or_else(|| (0..self.ranges.regions.len()).find_map(|region| self.find_at_end(region, want)))
    }

    #[inline]
    fn find_in(&self, region: u32, want: &Want) -> Option<Cut> {
        match want.end {
            End::Low => {
                let cut = self.gap(region).and_then(|(index, node)| want.cut_from(index, node));
                cut.or_else(|| self.free_front(region).and_then(|(index, node)| want.cut_from(index, node)))
            }
            End::High => {
                let (index, node) = self.gap(region)?;
                let is_wrapped = self.fronts[region as usize].upper == 0 && node.next != NIL;
                if is_wrapped { None } else { want.cut_from(index, node) }
            }
        }
    }

    /// Searches where the gap of a region is too small.
    #[cold]
    fn find_at_end(&self, region: u32, want: &Want) -> Option<Cut> {
        self.free_end(region).and_then(|(index, node)| want.cut_from(index, node))
    }

    #[inline]
    fn take(&mut self, cut: Cut, end: End) -> Suballocation {
        let free = &self.ranges.nodes[cut.node as usize];
        let (size, front, below) = (free.size(), cut.offset - free.offset(), free.prev);
        let node = if front == 0 { cut.node } else { self.ranges.split(cut.node, front) };
        if size - front > cut.units {
            self.ranges.split(node, cut.units);
        }
        let key = self.ranges.set_used(node, if end == End::High { UPPER } else { NONE });
        let place = self.ranges.nodes[node as usize].place;
        self.current = region_of(place);
        let state = &mut self.fronts[self.current as usize];
        if below == NIL && state.head != NIL {
            // The ring goes round: what lies behind the newest range is a gap up to the region's end, or nothing (L3).
            let gap = self.ranges.nodes[state.head as usize].next;
            self.lasts[self.current as usize] = if gap == NIL { state.head } else { gap };
        }
        match end {
            End::Low => state.head = node,
            // The range below is the head, unless what is cut is the end of a ring that moves back.
            End::High => (state.head, state.upper) = (below, state.upper + 1),
        }
        self.ranges.regions.occupy(self.current);
        self.used_units += cut.units;
        self.range_count += 1;
        let Spot { region, offset, size } = self.spot(place, cut.units);
        Suballocation { region, offset, size, key }
    }

    /// Takes a range of so many units out of its region and out of all counters but the region's.
    #[inline]
    fn take_out(&mut self, index: u32, (region, units): (u32, u64), owner: u32) {
        self.used_units -= units;
        self.range_count -= 1;
        let merged = self.merge(index);
        let front = &mut self.fronts[region as usize];
        if owner == UPPER {
            front.upper -= 1;
        }
        let merged_node = &self.ranges.nodes[merged as usize];
        if front.head == index {
            front.head = merged_node.prev;
        } else if merged_node.next == NIL {
            self.lasts[region as usize] = merged;
        }
    }

    /// Frees a range, merges it with its free neighbours and returns the result.
    #[inline]
    fn merge(&mut self, index: u32) -> u32 {
        let Node { extent, prev, next, .. } = self.ranges.nodes[index as usize];
        let (mut units, mut behind) = (extent & MAX_SIZE, next);
        if let Some(right) = self.ranges.free_neighbour(next) {
            (units, behind) = (units + right.size(), right.next);
            self.ranges.put_spare(next);
        }
        if self.ranges.free_neighbour(prev).is_none() {
            self.ranges.set_free(index, units, behind);
            return index;
        }
        self.ranges.widen(prev, units, behind);
        self.ranges.put_freed(index);
        prev
    }

    const fn spot(&self, place: u64, units: u64) -> Spot {
        Spot { region: region_of(place), offset: (place & MAX_SIZE) << self.shift, size: units << self.shift }
    }
}

#[cfg(test)]
mod tests;
