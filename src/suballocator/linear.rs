//! Linear suballocation: bump, stack, double stack and ring. Which of them it is follows from the calls.
//!
//! ```text
//! bump/stack    [ A ][ B ][ C ]│      gap                     │    the gap follows the newest range, the head
//! double stack  [ A ][ B ]│          gap          │[ Y ][ X ]      End::High grows downwards from the region's end
//! ring          [ E ]│ gap │[ C ][ D ]│  left behind          │    the gap ends at the oldest range
//! ```
//!
//! A request is served from *the gap*, and from nowhere else. A range that is freed beside the gap joins it (stack);
//! one freed elsewhere waits until its neighbours up to the gap are free. When the gap has become too small and the
//! region's front is free, the gap moves there (ring), unless an upper stack stands. It moves back to the region's end
//! when all that was taken at the front is freed and the gap is too small.
//!
//! Only used ranges have [`nodes`], linked in the order of their offsets, with the region's border in front of the
//! first and behind the last. What is free lies between two of them, so nothing is split or merged, and the gap is
//! whatever lies behind the head: none of the moves above is more than another head.
//!
//! Invariants, beside those of [`nodes`]:
//! * L1: `head` is a range of its region, and not of the upper stack; or the border, and the gap is at the region's
//!   front. Where there is no region, there is no border either, and nothing that a request may look at.
//! * L2: `upper` counts the used ranges placed from the high end. While it is above 0, each of them lies behind the
//!   head, and no other range does.
//! * A1 as in [`tlsf`](super::tlsf): `used_units` and `range_count` agree with the ranges.
//! * A2: a region's `busy` is 1 where it has ranges, all of which count as one thing, and 0 where it has none.
//!
//! What it does not do: it keeps no list of what is free; what lies outside the gap is not used.

mod nodes;

use alloc::vec::Vec;

pub(super) use self::nodes::{Node, Nodes, UPPER};

use super::align::units_for;
use super::free_lists::Want;
use super::region_table::{NONE, RegionTable, Way};
use super::size_class::MAX_SIZE;
use super::{End, Freed, RangeKey, RangeState, RangeView, Request, Settings, Spot, StaleKey, Suballocation};

/// State of one region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    /// The newest range placed from the low end, or the border.
    pub(super) head: u32,
    /// The region's border.
    pub(super) border: u32,
    /// Number of live ranges placed from the high end.
    pub(super) upper: u32,
}

impl Front {
    /// Stands where no region is: no node has such a number.
    const ABSENT: Self = Self::of(NONE);

    /// Returns the state of a region without ranges.
    const fn of(border: u32) -> Self {
        Self { head: border, border, upper: 0 }
    }
}

/// Where a range is to be linked: the result of a search, not yet done.
#[derive(Clone, Copy, Debug)]
struct Cut {
    region: u32,
    /// The node in front of it.
    prev: u32,
    /// Where it starts, in units.
    start: u64,
}

/// The suballocator.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(super) nodes: Nodes,
    pub(super) regions: RegionTable,
    pub(super) fronts: Vec<Front>,
    /// The region that served last; it is asked first.
    current: u32,
    pub(super) shift: u32,
    pub(super) used_units: u64,
    pub(super) range_count: u64,
}

impl Linear {
    pub(super) fn new(settings: &Settings) -> Self {
        let (nodes, regions, shift) = (Nodes::new(), RegionTable::new(), settings.shift());
        Self { nodes, regions, fronts: Vec::new(), current: 0, shift, used_units: 0, range_count: 0 }
    }

    pub(super) fn add_region(&mut self, units: u64) -> u32 {
        let region = self.regions.add(units);
        self.fronts.resize(self.regions.entries.len(), Front::ABSENT);
        self.fronts[region as usize] = Front::of(self.nodes.add_border(region, units));
        region
    }

    pub(super) fn remove_region(&mut self, region: u32) -> bool {
        let is_empty = self.regions.is_empty(region);
        if is_empty {
            let front = core::mem::replace(&mut self.fronts[region as usize], Front::ABSENT);
            self.nodes.remove_border(front.border);
            self.regions.remove(region);
        }
        is_empty
    }

    #[inline(never)]
    pub(super) fn allocate(&mut self, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find(&want)?;
        Some(self.take(cut, &want))
    }

    /// Takes the front of the gap of the region that served last, where that is in use and the gap has room: nearly
    /// always. `None`, and nothing changed, where [`allocate`](Self::allocate) must look further; else it takes what
    /// that would take.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn allocate_ready(&mut self, request: &Request) -> Option<Suballocation> {
        if request.end == Some(End::High) {
            return None;
        }
        // As `want` says it, for a size above 0 and an alignment that is a power of two; bounded by the gap.
        let last = request.size.wrapping_sub(1) >> self.shift;
        let mask = request.alignment.wrapping_sub(1) >> self.shift;
        let region = self.current;
        // Where the head is a range, the region is in use. Where there is no region, head and border are the same.
        let front = self.fronts.get_mut(region as usize).filter(|front| front.head != front.border)?;
        let (key, start) = self.nodes.push(front.head, (last, mask), region)?;
        front.head = key.index;
        let units = last + 1;
        self.used_units += units;
        self.range_count += 1;
        Some(Suballocation { region, offset: start << self.shift, size: units << self.shift, key })
    }

    /// Frees a range whose region stays in use; `false`, and nothing changed, where [`free`](Self::free) must look
    /// closer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn free_ready(&mut self, key: RangeKey) -> bool {
        let freed = self.nodes.unlink(key, Way::Short);
        freed.is_some_and(|node| {
            self.note_freed(key.index, &node);
            true
        })
    }

    pub(super) fn allocate_in(&mut self, region: u32, request: &Request) -> Option<Suballocation> {
        let want = self.want(request)?;
        let cut = self.find_in(region, &want).or_else(|| self.find_at_end(region, &want))?;
        Some(self.take(cut, &want))
    }

    /// Returns what [`allocate`](Self::allocate) would return, and changes nothing.
    pub(super) fn probe(&self, request: &Request) -> Option<Spot> {
        let want = self.want(request)?;
        let Cut { region, start, .. } = self.find(&want)?;
        Some(self.spot(region, start, want.units))
    }

    #[inline(never)]
    pub(super) fn free(&mut self, key: RangeKey) -> Result<Freed, StaleKey> {
        let node = self.nodes.unlink(key, Way::Long).ok_or(StaleKey)?;
        self.note_freed(key.index, &node);
        let is_region_empty = node.is_last() && self.regions.vacate(node.region());
        let Spot { region, offset, size } = self.spot(node.region(), node.start, node.units());
        Ok(Freed { region, offset, size, is_region_empty })
    }

    pub(super) fn clear(&mut self) {
        for front in self.fronts.iter_mut().filter(|front| front.border != NONE) {
            while let Some(last) = Some(self.nodes.prev(front.border)).filter(|&last| last != front.border) {
                self.nodes.unlink(self.nodes.key_of(last), Way::Long);
            }
            *front = Front::of(front.border);
        }
        self.regions.reset();
        (self.used_units, self.range_count, self.current) = (0, 0, 0);
    }

    /// Returns place and size of a live suballocation.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<Spot> {
        self.nodes.resolve(key).map(|node| self.spot(node.region(), node.start, node.units()))
    }

    /// Returns the largest gap, free front or free end of any region, in bytes: what the next request can have.
    pub(super) fn largest_free_range(&self) -> u64 {
        let rooms = |front: &Front| [Some(front.head), self.behind_front(front), self.behind_end(front)];
        let fronts = self.fronts.iter().filter(|front| front.border != NONE);
        let units = fronts.flat_map(rooms).flatten().map(|prev| {
            let (start, end) = self.nodes.room_behind(prev);
            end - start
        });
        units.max().unwrap_or(0) << self.shift
    }

    pub(super) fn for_each_range(&self, visit: &mut dyn FnMut(RangeView)) {
        for region in 0..self.regions.len() {
            let Some(units) = self.regions.get(region).map(|region| region.units) else {
                continue;
            };
            let mut show = |start: u64, end: u64, state| {
                if start < end {
                    let Spot { region, offset, size } = self.spot(region, start, end - start);
                    visit(RangeView { region, offset, size, state });
                }
            };
            let mut end = 0;
            for (index, node) in self.nodes.walk(self.fronts[region as usize].border) {
                show(end, node.start, RangeState::Free);
                show(node.start, node.end, RangeState::Used(self.nodes.key_of(index)));
                end = node.end;
            }
            show(end, units, RangeState::Free);
        }
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.nodes.host_bytes() + self.regions.host_bytes() + self.fronts.capacity() * size_of::<Front>()
    }

    /// Returns the node behind which a ring may move to its region's front: behind the gap lies nothing, neither an
    /// older range nor an upper stack.
    fn behind_front(&self, front: &Front) -> Option<u32> {
        let may_turn = front.head != front.border && self.nodes.next(front.head) == front.border;
        may_turn.then_some(front.border)
    }

    /// Returns the node behind which a ring may move back to its region's end: all that it took at the front is freed.
    #[cold]
    fn behind_end(&self, front: &Front) -> Option<u32> {
        let last = self.nodes.prev(front.border);
        let may_turn_back = front.head == front.border && front.upper == 0 && last != front.border;
        may_turn_back.then_some(last)
    }

    fn want(&self, request: &Request) -> Option<Want> {
        let units = units_for(request.size, self.shift).max(1);
        let mask = ((request.alignment >> self.shift).max(1) - 1) & MAX_SIZE;
        (units <= MAX_SIZE).then_some(Want { units, mask, end: request.end.unwrap_or(End::Low) })
    }

    /// Searches the region that served last, then all in ascending order, then their ends.
    #[inline]
    fn find(&self, want: &Want) -> Option<Cut> {
        let mut regions = 0..self.regions.len();
        let cut = self.find_in(self.current, want).or_else(|| regions.find_map(|region| self.find_in(region, want)));
        cut.or_else(|| (0..self.regions.len()).find_map(|region| self.find_at_end(region, want)))
    }

    #[inline]
    fn find_in(&self, region: u32, want: &Want) -> Option<Cut> {
        let front = self.front(region)?;
        let is_wrapped = front.upper == 0 && self.nodes.next(front.head) != front.border;
        match want.end {
            End::High if is_wrapped => None,
            End::High => self.cut_behind(front.head, region, want),
            End::Low => {
                let cut = self.cut_behind(front.head, region, want);
                cut.or_else(|| self.cut_behind(self.behind_front(front)?, region, want))
            }
        }
    }

    /// Searches where the gap of a region is too small.
    #[cold]
    fn find_at_end(&self, region: u32, want: &Want) -> Option<Cut> {
        self.cut_behind(self.behind_end(self.front(region)?)?, region, want)
    }

    fn front(&self, region: u32) -> Option<&Front> {
        self.fronts.get(region as usize).filter(|front| front.border != NONE)
    }

    #[inline]
    fn cut_behind(&self, prev: u32, region: u32, want: &Want) -> Option<Cut> {
        let (start, end) = self.nodes.room_behind(prev);
        Some(Cut { region, prev, start: want.place_in(start, end)? })
    }

    #[inline]
    fn take(&mut self, cut: Cut, want: &Want) -> Suballocation {
        let Cut { region, prev, start } = cut;
        self.nodes.reserve();
        if self.nodes.next(self.fronts[region as usize].border) == self.fronts[region as usize].border {
            self.regions.occupy(region);
        }
        let home = if want.end == End::High { region | UPPER } else { region };
        let key = self.nodes.insert(prev, (start, start + want.units), home);
        let front = &mut self.fronts[region as usize];
        match want.end {
            End::Low => front.head = key.index,
            // The range in front is the head, unless what is cut is the end of a ring that moves back.
            End::High => (front.head, front.upper) = (prev, front.upper + 1),
        }
        self.current = region;
        self.used_units += want.units;
        self.range_count += 1;
        let Spot { region, offset, size } = self.spot(region, start, want.units);
        Suballocation { region, offset, size, key }
    }

    /// Takes a range that is unlinked out of its region's state and out of all counters but the region's.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    fn note_freed(&mut self, index: u32, node: &Node) {
        self.used_units -= node.units();
        self.range_count -= 1;
        let front = &mut self.fronts[node.region() as usize];
        front.upper -= u32::from(node.is_upper());
        if front.head == index {
            front.head = node.prev;
        }
    }

    const fn spot(&self, region: u32, start: u64, units: u64) -> Spot {
        Spot { region, offset: start << self.shift, size: units << self.shift }
    }
}

#[cfg(test)]
mod tests;
