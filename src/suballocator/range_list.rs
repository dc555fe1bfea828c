//! An arena of ranges: every region tiled by used and free ranges, linked by index.
//!
//! ```text
//! region 0   [ used ][ free      ][ used ][ used ][ free ]        prev/next: neighbours in the region
//! region 1   [ used ][ free                              ]        NIL at both ends, so regions never merge
//! nodes      [ NIL | 1 | 2 | 3 | 4 | 5 | 6 | spare … ]            32 bytes each, two to a cache line
//! ```
//!
//! The part in front keeps its node when a range is split, and the left one when two are merged: so a region's first
//! node stays its first node for as long as the region lives.
//!
//! Node 0 is no range: it stands for the border of every region and for the end of every list. It is used and has no
//! size, so nothing merges with it, and whoever links a neighbour need not ask whether there is one: what is written
//! into node 0 is never read. Whether there is one is what no processor can predict.
//!
//! Invariants:
//! * R1: the ranges of a region tile it, in order, without gap or overlap; the links agree; none has size 0.
//! * R2: no two neighbours are both free.
//! * R3: a node is either in exactly one region or in the spare list, or it is node 0, which is used, has no size, and
//!   [`NIL`] behind it.
//! * R4: a node's generation changes whenever its range is freed, so an old key of it is recognised. It has 21 bits;
//!   an owner that only has move-only keys never comes near a wrap.
//!
//! What it does not do: it keeps no list of the free ranges ([`free_lists`](super::free_lists) does) and decides
//! nothing.

use alloc::vec::Vec;

use super::RangeKey;
use super::region_table::RegionTable;
use super::size_class::{MAX_SIZE, SIZE_BITS};

/// "No node": the node that borders every region and ends every list. Links to it may be written.
pub(super) const NIL: u32 = 0;

/// Keys with this bit name a slot of a slab; a node's index stays below it.
pub(super) const SLAB_BIT: u32 = 1 << 31;

pub(super) const USED: u64 = 1 << SIZE_BITS;
const GENERATION: u64 = 1 << (SIZE_BITS + 1);

/// Added to the extent of a used range, wrapping, it makes it a free one of the next generation (R4).
pub(super) const TO_FREE: u64 = GENERATION - USED;

/// One range, 32 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Node {
    /// Region (22 bits) and offset in it, in units (42 bits).
    pub(super) place: u64,
    /// Generation (21 bits), used (1 bit), size in units (42 bits); size 0 marks a spare node.
    pub(super) extent: u64,
    /// The neighbours in the region.
    pub(super) prev: u32,
    pub(super) next: u32,
    /// Free: the neighbours in its list. Used: `list_prev` is the owner's mark (`NONE` when it has none).
    pub(super) list_prev: u32,
    pub(super) list_next: u32,
}

impl Node {
    #[inline]
    pub(super) const fn offset(&self) -> u64 {
        self.place & MAX_SIZE
    }

    #[inline]
    pub(super) const fn size(&self) -> u64 {
        self.extent & MAX_SIZE
    }

    pub(super) const fn end(&self) -> u64 {
        self.offset() + self.size()
    }

    #[inline]
    pub(super) const fn region(&self) -> u32 {
        region_of(self.place)
    }

    #[inline]
    pub(super) const fn is_used(&self) -> bool {
        self.extent & USED != 0
    }

    /// Generation and use in one number: what a key repeats.
    #[inline]
    const fn stamp(&self) -> u32 {
        stamp_of(self.extent)
    }
}

/// Returns generation and use of a packed extent.
#[inline]
pub(super) const fn stamp_of(extent: u64) -> u32 {
    (extent >> SIZE_BITS) as u32
}

/// Returns the region of a packed place.
#[inline]
pub(super) const fn region_of(place: u64) -> u32 {
    (place >> SIZE_BITS) as u32
}

/// A piece to be taken out of a free range: the result of a search, not yet done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// The free range.
    pub(super) node: u32,
    /// Offset of the piece in its region, in units.
    pub(super) offset: u64,
    /// Its size in units.
    pub(super) units: u64,
}

/// The arena.
#[derive(Clone, Debug)]
pub(super) struct RangeList {
    pub(super) nodes: Vec<Node>,
    pub(super) spare: u32,
    pub(super) regions: RegionTable,
}

impl RangeList {
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), spare: NIL, regions: RegionTable::new() }
    }

    /// Adds a region and returns its number and its one free range.
    pub(super) fn add_region(&mut self, units: u64) -> (u32, u32) {
        let region = self.regions.add(units);
        (region, self.open_region(region))
    }

    /// Removes a region that is one free range, unlisted by the caller.
    pub(super) fn remove_region(&mut self, region: u32) {
        let first = self.regions.entries[region as usize].first;
        debug_assert!(self.nodes[first as usize].next == NIL, "R1: an empty region is one range");
        self.put_spare(first);
        self.regions.remove(region);
    }

    /// Makes every region one free range and every key stale.
    pub(super) fn clear(&mut self) {
        self.spare = NIL;
        for index in (1..self.nodes.len()).rev() {
            let node = &mut self.nodes[index];
            if node.is_used() {
                node.extent = node.extent.wrapping_add(GENERATION);
            }
            self.put_spare(u32::try_from(index).unwrap_or(NIL));
        }
        self.regions.reset();
        for region in 0..self.regions.len() {
            if self.regions.is_present(region) {
                self.open_region(region);
            }
        }
    }

    /// Splits a range after `front` units and returns the new node behind it, free and in no list.
    #[inline]
    pub(super) fn split(&mut self, index: u32, front: u64) -> u32 {
        let back = self.take_spare();
        let node = &mut self.nodes[index as usize];
        let (place, units, next) = (node.place + front, node.size() - front, node.next);
        node.extent -= units;
        node.next = back;
        let slot = &mut self.nodes[back as usize];
        (slot.place, slot.prev, slot.next) = (place, index, next);
        slot.extent |= units;
        self.nodes[next as usize].prev = back;
        back
    }

    /// Marks a range as used, with its owner's mark, and returns its key.
    #[inline]
    pub(super) fn set_used(&mut self, index: u32, owner: u32) -> RangeKey {
        let node = &mut self.nodes[index as usize];
        node.extent |= USED;
        node.list_prev = owner;
        RangeKey { index, generation: node.stamp() }
    }

    /// Returns the node that a key names, unless the key is stale.
    #[inline]
    pub(super) fn resolve(&self, key: RangeKey) -> Option<&Node> {
        let node = self.nodes.get(key.index as usize)?;
        (node.is_used() && node.stamp() == key.generation && key.index != NIL).then_some(node)
    }

    /// Returns a node, unless the link leads to none.
    #[inline]
    pub(super) fn node(&self, index: u32) -> Option<&Node> {
        if index == NIL { None } else { self.nodes.get(index as usize) }
    }

    /// Returns the key of a used range.
    pub(super) fn key_of(&self, index: u32) -> RangeKey {
        RangeKey { index, generation: self.nodes[index as usize].stamp() }
    }

    /// Walks the ranges of a region in the order of their offsets; nothing for a region that does not exist.
    pub(super) fn walk(&self, region: u32) -> impl Iterator<Item = (u32, &Node)> {
        let mut next = self.regions.get(region).map_or(NIL, |region| region.first);
        core::iter::from_fn(move || {
            let node = self.node(next)?;
            Some((core::mem::replace(&mut next, node.next), node))
        })
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.regions.host_bytes()
    }

    fn open_region(&mut self, region: u32) -> u32 {
        let index = self.take_spare();
        let entry = &mut self.regions.entries[region as usize];
        entry.first = index;
        let units = entry.units;
        let node = &mut self.nodes[index as usize];
        node.place = u64::from(region) << SIZE_BITS;
        node.extent |= units;
        (node.prev, node.next) = (NIL, NIL);
        index
    }

    #[inline]
    fn take_spare(&mut self) -> u32 {
        let index = self.spare;
        if index == NIL {
            return self.grow();
        }
        self.spare = self.nodes[index as usize].list_next;
        index
    }

    /// Appends a node. The arena grows by a quarter: doubling alone would break the bound on host memory.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) -> u32 {
        let blank = Node { place: 0, extent: 0, prev: NIL, next: NIL, list_prev: NIL, list_next: NIL };
        reserve_quarter(&mut self.nodes, 16);
        if self.nodes.is_empty() {
            self.nodes.push(Node { extent: USED, ..blank });
        }
        let length = self.nodes.len();
        assert!(length < SLAB_BIT as usize, "a suballocator has fewer than 2^31 ranges");
        self.nodes.push(blank);
        u32::try_from(length).unwrap_or(NIL)
    }

    /// Makes a free range's node a spare one.
    #[inline]
    pub(super) fn put_spare(&mut self, index: u32) {
        let node = &mut self.nodes[index as usize];
        node.extent &= !(MAX_SIZE | USED);
        node.list_next = core::mem::replace(&mut self.spare, index);
    }
}

/// Makes room for one more element, growing by about a quarter and at least by `least`.
pub(super) fn reserve_quarter<T>(elements: &mut Vec<T>, least: usize) {
    if elements.len() == elements.capacity() {
        elements.reserve_exact((elements.len() / 4).max(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_half_a_cache_line() {
        assert_eq!((size_of::<Node>(), align_of::<Node>()), (32, 32));
    }

    #[test]
    fn the_host_pays_for_whole_nodes_and_regions() {
        let mut ranges = RangeList::new();
        assert_eq!(ranges.host_bytes(), 0);
        let (_, first) = ranges.add_region(MAX_SIZE);
        for units in 1..399 {
            ranges.split(first, 1000 - units);
        }
        let nodes = 400 * size_of::<Node>();
        let regions = ranges.regions.host_bytes();
        assert!(regions >= 16, "a region has an entry of two words and more");
        let paid = ranges.host_bytes() - regions;
        assert!(
            paid >= nodes && paid <= nodes * 5 / 4,
            "{paid} bytes for {nodes} bytes of nodes: a quarter is spare at most"
        );
    }

    #[test]
    fn room_grows_by_a_quarter_and_at_least_by_what_is_said() {
        let mut elements = Vec::from([0_u8; 400]);
        reserve_quarter(&mut elements, 16);
        assert_eq!(elements.capacity(), 500);
        reserve_quarter(&mut elements, 16);
        assert_eq!(elements.capacity(), 500, "there is room already");
        let mut few = Vec::<u8>::new();
        reserve_quarter(&mut few, 16);
        assert_eq!(few.capacity(), 16);
    }

    #[test]
    fn a_split_range_is_tiled_by_its_parts() {
        let mut ranges = RangeList::new();
        let (region, first) = ranges.add_region(MAX_SIZE);
        let tail = ranges.split(first, 1 << 40);
        let middle = ranges.split(first, 100);
        let tiles: Vec<_> = ranges.walk(region).map(|(_, node)| (node.offset(), node.size())).collect();
        assert_eq!(tiles, [(0, 100), (100, (1 << 40) - 100), (1 << 40, MAX_SIZE - (1 << 40))]);
        assert_eq!(ranges.nodes[tail as usize].prev, middle);
    }

    #[test]
    fn the_arena_grows_by_a_quarter() {
        let mut elements = Vec::<u64>::new();
        for element in 0..1_000 {
            reserve_quarter(&mut elements, 16);
            elements.push(element);
        }
        assert!(elements.capacity() <= 1_250);
    }
}
