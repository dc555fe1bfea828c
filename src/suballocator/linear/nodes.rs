//! The used ranges of linear regions, and nothing else: a ring of nodes for each region, through its border.
//!
//! ```text
//! ring    border ⇄ [ E ] ⇄ [ C ] ⇄ [ D ] ⇄ border        in the order of offsets
//! nodes   [ border | C | D | border | E | spare … ]      32 bytes each, two to a cache line
//! ```
//!
//! The border stands for both ends of its region: it ends at 0, where what is free in front of the first range starts,
//! and it starts at the region's size. So what is free lies between a node and the next one, always, and nobody asks
//! whether there is one.
//!
//! Invariants:
//! * N1: the nodes of a region are a ring through its border, in the order of their offsets; the links agree; no range
//!   has size 0, overlaps another or lies outside of its region.
//! * N2: a node is the border of one region, a used range of one region, or in the spare list.
//! * N3: a node's stamp is odd exactly while it is a used range. It grows with each use and each free, so an old key of
//!   it is recognised until 2^31 uses later.

use alloc::vec::Vec;

use super::super::RangeKey;
use super::super::range_list::{SLAB_BIT, reserve_quarter};
use super::super::region_table::{NONE, Way};

/// Marks the home of a range of the upper stack.
pub(in super::super) const UPPER: u32 = 1 << 31;

/// One range, 32 bytes.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(in super::super) struct Node {
    /// Where it starts and where it ends, in units.
    pub(in super::super) start: u64,
    pub(in super::super) end: u64,
    /// The neighbours in the ring; of a spare one, `next` is the next spare one.
    pub(in super::super) prev: u32,
    pub(in super::super) next: u32,
    /// What a key repeats (N3).
    pub(in super::super) stamp: u32,
    /// The region, and whether the range is of its upper stack.
    pub(in super::super) home: u32,
}

impl Node {
    #[inline]
    pub(in super::super) const fn units(&self) -> u64 {
        self.end - self.start
    }

    #[inline]
    pub(in super::super) const fn region(&self) -> u32 {
        self.home & !UPPER
    }

    #[inline]
    pub(in super::super) const fn is_upper(&self) -> bool {
        self.home & UPPER != 0
    }

    #[inline]
    pub(in super::super) const fn is_used(&self) -> bool {
        self.stamp & 1 != 0
    }

    /// Tells whether a range has no neighbour but the border: it is the last one of its region.
    #[inline]
    pub(super) const fn is_last(&self) -> bool {
        self.prev == self.next
    }
}

/// All nodes.
#[derive(Clone, Debug)]
pub(in super::super) struct Nodes {
    pub(in super::super) table: Vec<Node>,
    pub(in super::super) spare: u32,
}

impl Nodes {
    pub(super) const fn new() -> Self {
        Self { table: Vec::new(), spare: NONE }
    }

    /// Makes the border of a region of so many units.
    pub(super) fn add_border(&mut self, region: u32, units: u64) -> u32 {
        self.reserve();
        let index = self.spare;
        let node = &mut self.table[index as usize];
        self.spare = node.next;
        *node = Node { start: units, end: 0, prev: index, next: index, home: region, ..*node };
        index
    }

    /// Forgets the border of a region without ranges.
    pub(super) fn remove_border(&mut self, border: u32) {
        let node = &mut self.table[border as usize];
        debug_assert!(node.next == border, "N1: an empty region is its border alone");
        node.next = core::mem::replace(&mut self.spare, border);
    }

    /// Makes sure that there is a spare node.
    #[inline]
    pub(super) fn reserve(&mut self) {
        if self.spare == NONE {
            self.grow();
        }
    }

    /// Lets the table grow by a quarter, as doubling would break the bound on host memory. All that it grows by is
    /// spare at once, so the short way of an allocation finds it.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        reserve_quarter(&mut self.table, 16);
        let (first, end) = (self.table.len(), self.table.capacity().min(SLAB_BIT as usize));
        assert!(first < end, "a suballocator has fewer than 2^31 ranges");
        let index_of = |index: usize| if index < end { u32::try_from(index).unwrap_or(NONE) } else { NONE };
        let spare = |next: u32| Node { start: 0, end: 0, prev: NONE, next, stamp: 0, home: 0 };
        self.table.extend((first..end).map(|index| spare(index_of(index + 1))));
        self.spare = index_of(first);
    }

    /// Links a range of `last + 1` units behind a node, right where that ends, if it fits there and starts at a
    /// multiple of `mask + 1`. Returns the range's key and start; `None`, and nothing changed, otherwise, and where
    /// there is no spare node.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn push(&mut self, prev: u32, (last, mask): (u64, u64), home: u32) -> Option<(RangeKey, u64)> {
        let (index, table) = (self.spare, self.table.as_mut_slice());
        let Node { next: spare, stamp, .. } = *table.get(index as usize)?;
        let stamp = stamp.wrapping_add(1);
        let Node { end: start, next, .. } = *table.get(prev as usize)?;
        let behind = table.get_mut(next as usize)?;
        if start & mask != 0 || last >= behind.start.wrapping_sub(start) {
            return None;
        }
        behind.prev = index;
        table[prev as usize].next = index;
        table[index as usize] = Node { start, end: start + last + 1, prev, next, stamp, home };
        self.spare = spare;
        Some((RangeKey { index, generation: stamp }, start))
    }

    /// Links the range `start..end` behind a node, and returns its key. There is a spare node.
    pub(super) fn insert(&mut self, prev: u32, (start, end): (u64, u64), home: u32) -> RangeKey {
        let index = self.spare;
        let next = self.table[prev as usize].next;
        self.table[prev as usize].next = index;
        self.table[next as usize].prev = index;
        let node = &mut self.table[index as usize];
        self.spare = node.next;
        let stamp = node.stamp.wrapping_add(1);
        *node = Node { start, end, prev, next, stamp, home };
        RangeKey { index, generation: stamp }
    }

    /// Unlinks the range that a key names, and returns what it was; `None`, and nothing changed, for a stale key, and
    /// for the last range of its region by the short way.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn unlink(&mut self, key: RangeKey, way: Way) -> Option<Node> {
        let table = self.table.as_mut_slice();
        let node = table.get_mut(key.index as usize)?;
        let freed = *node;
        let is_kept = way == Way::Short && freed.is_last();
        if freed.stamp != key.generation || !freed.is_used() || is_kept {
            return None;
        }
        node.stamp = freed.stamp.wrapping_add(1);
        node.next = core::mem::replace(&mut self.spare, key.index);
        table[freed.prev as usize].next = freed.next;
        table[freed.next as usize].prev = freed.prev;
        Some(freed)
    }

    /// Returns the range that a key names, unless the key is stale.
    pub(super) fn resolve(&self, key: RangeKey) -> Option<&Node> {
        self.table.get(key.index as usize).filter(|node| node.stamp == key.generation && node.is_used())
    }

    /// Returns the key of a used range.
    pub(super) fn key_of(&self, index: u32) -> RangeKey {
        RangeKey { index, generation: self.table[index as usize].stamp }
    }

    /// Returns start and end of what lies free behind a node, in units.
    #[inline]
    pub(in super::super) fn room_behind(&self, index: u32) -> (u64, u64) {
        let Node { end, next, .. } = self.table[index as usize];
        (end, self.table[next as usize].start)
    }

    #[inline]
    pub(super) fn next(&self, index: u32) -> u32 {
        self.table[index as usize].next
    }

    #[inline]
    pub(super) fn prev(&self, index: u32) -> u32 {
        self.table[index as usize].prev
    }

    /// Walks the ranges of a region in the order of their offsets.
    pub(super) fn walk(&self, border: u32) -> impl Iterator<Item = (u32, &Node)> {
        let mut next = self.next(border);
        core::iter::from_fn(move || {
            let index = next;
            (index != border).then(|| {
                let node = &self.table[index as usize];
                next = node.next;
                (index, node)
            })
        })
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.table.capacity() * size_of::<Node>()
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
    fn the_host_pays_for_nodes_and_a_quarter_more_at_most() {
        let mut nodes = Nodes::new();
        assert_eq!(nodes.host_bytes(), 0);
        let border = nodes.add_border(0, 1_000);
        for start in 0..399 {
            nodes.reserve();
            nodes.insert(nodes.prev(border), (start, start + 1), 0);
        }
        let least = 400 * size_of::<Node>();
        assert!((least..=least * 5 / 4).contains(&nodes.host_bytes()), "{} bytes", nodes.host_bytes());
    }

    #[test]
    fn a_node_refuses_its_old_key_and_a_border_every_key() {
        let mut nodes = Nodes::new();
        let border = nodes.add_border(0, 8);
        for key in [nodes.key_of(border), RangeKey { index: 77, generation: 1 }] {
            assert!(nodes.resolve(key).is_none() && nodes.unlink(key, Way::Long).is_none());
        }
        nodes.reserve();
        let old = nodes.insert(border, (0, 8), 0);
        assert!(nodes.resolve(old).is_some() && nodes.unlink(old, Way::Short).is_none());
        assert!(nodes.unlink(old, Way::Long).is_some_and(|node| node.units() == 8));
        assert!(nodes.resolve(old).is_none() && nodes.unlink(old, Way::Long).is_none());
        let new = nodes.insert(border, (0, 8), 0);
        assert_eq!(new.index, old.index);
        assert!(nodes.resolve(old).is_none() && nodes.resolve(new).is_some());
        assert!(nodes.unlink(old, Way::Long).is_none() && nodes.unlink(new, Way::Long).is_some());
    }

    #[test]
    fn a_stamp_wraps_to_one_of_a_spare_node() {
        let mut nodes = Nodes::new();
        let border = nodes.add_border(0, 8);
        nodes.reserve();
        nodes.table[nodes.spare as usize].stamp = u32::MAX - 1;
        let key = nodes.insert(border, (0, 8), 0);
        assert!(key.generation == u32::MAX && nodes.unlink(key, Way::Long).is_some());
        assert_eq!(nodes.table[nodes.spare as usize].stamp, 0);
    }
}
