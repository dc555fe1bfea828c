//! Free slots at the ends of slabs of large slots in use: a request that nothing else holds may have their room.
//!
//! ```text
//! [ free range ][ slab in use:  free slots | used, free, used | free slots ][ free range ]
//! [ wanted        can lie here           ] [ what the slab keeps ] [ or here             ]
//! ```
//!
//! A slab that one slot keeps in use keeps all others from every size but its own: where sizes change while something
//! stays, most of what is reserved would be such slots. They are cut off only before a request is refused, and only
//! where that serves it: what a class may need again soon is not given away for nothing. Slabs of small slots keep
//! theirs: they hold little, and looking at them would cost mixed sizes of up to 1 MiB 4 % more instructions.

use super::super::End;
use super::super::free_lists::{LOOK_COUNT, Want};
use super::super::range_list::{Cut, Node};
use super::super::region_table::NONE;
use super::super::slab::Slab;
use super::{Found, Tlsf};

/// The free slots at one end of a slab, with the free range beside them, in units of their region.
#[derive(Clone, Copy, Debug)]
struct FreeEnd {
    slab: u32,
    side: End,
    start: u64,
    end: u64,
}

impl Tlsf {
    /// Finds room that would appear if free slots at one end of a slab in use were cut off. Up to 256 slabs are looked
    /// at, those of the largest slots first.
    #[cold]
    pub(super) fn find_at_end(&self, want: &Want) -> Option<Found> {
        self.free_ends().find_map(|FreeEnd { slab, side, start, end }| {
            let (offset, node) = (want.place_in(start, end)?, self.slabs.table[slab as usize].node);
            Some(Found::AtEnd { slab, side, cut: Cut { node, offset, units: want.units } })
        })
    }

    /// Returns the units of the largest free range that would appear so; 0 if there are none.
    pub(super) fn largest_end(&self) -> u64 {
        self.free_ends().map(|FreeEnd { start, end, .. }| end - start).max().unwrap_or(0)
    }

    /// Cuts the free slots at one end of a slab off. Returns the node of the free range that they are a part of then.
    pub(super) fn cut_end_off(&mut self, slab: u32, side: End) -> u32 {
        let Slab { slot_bytes, node, .. } = self.slabs.table[slab as usize];
        let units = self.slabs.cut_off(slab, side) * (u64::from(slot_bytes) >> self.shift);
        let rest = match side {
            End::Low => {
                let kept = self.ranges.split(node, units);
                self.ranges.set_used(kept, slab);
                self.slabs.table[slab as usize].node = kept;
                node
            }
            End::High => self.ranges.split(node, self.ranges.nodes[node as usize].size() - units),
        };
        self.ranges.set_used(rest, NONE);
        let before = self.ranges.nodes[rest as usize].prev;
        let is_merged = !self.ranges.nodes[before as usize].is_used();
        self.release_range(rest);
        if is_merged { before } else { rest }
    }

    fn free_ends(&self) -> impl Iterator<Item = FreeEnd> {
        let slabs = self.slabs.large_partly_used().take(LOOK_COUNT);
        slabs.flat_map(move |slab| [End::Low, End::High].into_iter().filter_map(move |side| self.free_end(slab, side)))
    }

    fn free_end(&self, slab: u32, side: End) -> Option<FreeEnd> {
        let entry = &self.slabs.table[slab as usize];
        let units = u64::from(entry.free_at(side)) * (u64::from(entry.slot_bytes) >> self.shift);
        if units == 0 {
            return None;
        }
        let node = &self.ranges.nodes[entry.node as usize];
        let beside = |index: u32| self.ranges.node(index).filter(|node| !node.is_used());
        let (start, end) = match side {
            End::Low => (beside(node.prev).map_or(node.offset(), Node::offset), node.offset() + units),
            End::High => (node.end() - units, beside(node.next).map_or(node.end(), Node::end)),
        };
        Some(FreeEnd { slab, side, start, end })
    }
}
