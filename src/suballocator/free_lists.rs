//! The index over all free ranges of all regions: one list per size class, and bits that say which are not empty.
//!
//! ```text
//! words     [ 0 0 1 0 … 1 ][ 0 … ][ 1 … ]      one bit per class, four octaves to a word
//! heads     NIL NIL 7 NIL … 12                 the last range stored comes first (LIFO)
//!                   7 ⇄ 3 ⇄ 9                  linked through the nodes
//! ```
//!
//! Finding the first list that surely holds a size looks at one word, nearly always, and at ten at most, whatever the
//! number of ranges and regions. A summary of the words would be written whenever a range is linked or unlinked, and
//! read by one search in a hundred.
//!
//! Invariants:
//! * T1: every free range of a region is in exactly the list of its class, and nothing else is; the links agree.
//! * T2: a class's bit is set if and only if its list has a head.

use alloc::vec::Vec;
use core::hint::select_unpredictable;

use super::End;
use super::range_list::{Cut, NIL, Node, RangeList};
use super::size_class::{self, MAX_SIZE};

/// Ranges of the request's own class that a search looks at: 4 nodes bring the waste of a level of 20,000 resources
/// from 1.29 to 1.07, 8 would bring 1.069; more cost time and buy nothing (measured before the library was written).
const PROBE_COUNT: usize = 4;

/// Ranges of one list that a search looks at before a request is refused: a range behind them may be missed.
pub(super) const LIST_LOOK_COUNT: usize = 64;

/// Ranges of all lists that it looks at then: a microsecond or two, twenty if none is in a cache.
pub(super) const LOOK_COUNT: usize = 256;

const WORD_COUNT: usize = 16;

/// What is sought, in units.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want {
    pub(super) units: u64,
    /// Alignment less one.
    pub(super) mask: u64,
    pub(super) end: End,
}

impl Want {
    /// Rounds the size up to the alignment, where that wastes little: a gap too small to be of use would cost a split
    /// now and a merge later.
    #[inline]
    pub(super) fn rounded(&self) -> Self {
        let last = self.units - 1;
        let rounded = last | self.mask;
        if (rounded - last) << 4 <= last && rounded < MAX_SIZE {
            return Self { units: rounded + 1, ..*self };
        }
        *self
    }

    /// Returns where the wanted piece lies in the range `start..end`, if it fits.
    #[inline]
    pub(super) fn place_in(&self, start: u64, end: u64) -> Option<u64> {
        // `units` and offsets are below 2^42 and `mask` below 2^43: no sum overflows.
        match self.end {
            End::Low => {
                let offset = (start + self.mask) & !self.mask;
                (offset + self.units <= end).then_some(offset)
            }
            End::High => {
                let offset = end.checked_sub(self.units)? & !self.mask;
                (offset >= start).then_some(offset)
            }
        }
    }

    /// Tells whether a free range holds the wanted piece, at either end.
    #[inline]
    fn fits_in(&self, node: &Node) -> bool {
        // What is skipped up to the alignment. No mask reaches the bits of the region.
        let gap = node.place.wrapping_neg() & self.mask;
        gap + (self.units - 1) < node.size()
    }

    /// Returns the wanted piece of a free range that holds it.
    #[inline]
    pub(super) fn cut_of(&self, index: u32, node: &Node) -> Cut {
        let offset = match self.end {
            End::Low => (node.offset() + self.mask) & !self.mask,
            End::High => (node.end() - self.units) & !self.mask,
        };
        Cut { node: index, offset, units: self.units }
    }

    /// Returns the wanted piece of a free range, if it fits.
    #[inline]
    pub(super) fn cut_from(&self, index: u32, node: &Node) -> Option<Cut> {
        let offset = self.place_in(node.offset(), node.end())?;
        Some(Cut { node: index, offset, units: self.units })
    }
}

/// A free range that holds what is sought: the result of a search.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    pub(super) node: u32,
    /// The list that it is in.
    pub(super) class: usize,
}

/// The lists.
#[derive(Clone, Debug)]
pub(super) struct FreeLists {
    pub(super) words: [u64; WORD_COUNT],
    /// As many as the largest region needs.
    pub(super) heads: Vec<u32>,
}

impl FreeLists {
    pub(super) const fn new() -> Self {
        Self { words: [0; WORD_COUNT], heads: Vec::new() }
    }

    /// Makes lists for ranges of up to `units`.
    pub(super) fn cover(&mut self, units: u64) {
        let count = size_class::floor(units) + 1;
        if count > self.heads.len() {
            self.heads.reserve_exact(count - self.heads.len());
            self.heads.resize(count, NIL);
        }
    }

    /// Empties every list.
    pub(super) fn clear(&mut self) {
        self.words = [0; WORD_COUNT];
        self.heads.fill(NIL);
    }

    /// Puts a free range at the head of its list.
    #[inline]
    pub(super) fn link(&mut self, ranges: &mut RangeList, index: u32) {
        let class = size_class::floor(ranges.nodes[index as usize].size());
        self.link_of(class, &mut ranges.nodes, index);
    }

    /// Does the same for a range whose class is known.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would cost as much as a half of its work")]
    pub(super) fn link_of(&mut self, class: usize, nodes: &mut [Node], index: u32) {
        let next = self.replace_head(class, index);
        let node = &mut nodes[index as usize];
        (node.list_prev, node.list_next) = (NIL, next);
        nodes[next as usize].list_prev = index;
    }

    /// Makes a range the head of a list and returns the one that was. Its caller links the two.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `link_of`")]
    pub(super) fn replace_head(&mut self, class: usize, index: u32) -> u32 {
        self.words[(class >> 6) % WORD_COUNT] |= 1 << (class & 63);
        core::mem::replace(&mut self.heads[class], index)
    }

    /// Takes a free range out of its list.
    #[inline]
    pub(super) fn unlink(&mut self, ranges: &mut RangeList, index: u32) {
        let class = size_class::floor(ranges.nodes[index as usize].size());
        self.unlink_of(class, &mut ranges.nodes, index);
    }

    /// Does the same for a range whose class is known.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a call would cost as much as a half of its work")]
    pub(super) fn unlink_of(&mut self, class: usize, nodes: &mut [Node], index: u32) {
        let Node { list_prev: prev, list_next: next, .. } = nodes[index as usize];
        nodes[next as usize].list_prev = prev;
        nodes[prev as usize].list_next = next;
        let head = &mut self.heads[class];
        *head = select_unpredictable(prev == NIL, next, *head);
        // T2: the bit is set now.
        let is_empty = u64::from(prev | next == NIL);
        self.words[(class >> 6) % WORD_COUNT] ^= is_empty << (class & 63);
    }

    /// Moves a free range to the list of another class; one that stays in its class keeps its place.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "the hot path is one function: a call would cost as much as its work")]
    pub(super) fn relink(&mut self, class: usize, other: usize, nodes: &mut [Node], index: u32) {
        if class != other {
            self.unlink_of(class, nodes, index);
            self.link_of(other, nodes, index);
        }
    }

    /// Finds a range that holds the wanted piece: of a few ranges of its own class the tightest, else the head of the
    /// next list up, else that of the list whose every range surely holds it. Aligned requests get one more chance: the
    /// head of each longer list.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "its one hot caller; the others call `find_apart`")]
    pub(super) fn find(&self, nodes: &[Node], want: &Want) -> Option<Fit> {
        let class = size_class::floor(want.units);
        let mut index = *self.heads.get(class)?;
        let (mut best, mut least) = (NIL, u64::MAX);
        for probe in 0..PROBE_COUNT {
            if index == NIL {
                break;
            }
            let node = &nodes[index as usize];
            // Whether it fits, and better than the one before, cannot be predicted.
            let size = select_unpredictable(want.fits_in(node), node.size(), u64::MAX);
            best = select_unpredictable(size < least, index, best);
            least = select_unpredictable(size < least, size, least);
            if probe == 0 && least == want.units {
                break; // None is tighter. It is often the first: what was freed last.
            }
            index = node.list_next;
        }
        if best != NIL {
            return Some(Fit { node: best, class });
        }
        self.find_above(nodes, want, class + 1)
    }

    /// Does the same, as a call.
    #[inline(never)]
    pub(super) fn find_apart(&self, ranges: &RangeList, want: &Want) -> Option<Cut> {
        let fit = self.find(&ranges.nodes, want)?;
        Some(want.cut_of(fit.node, &ranges.nodes[fit.node as usize]))
    }

    /// Finds where the wanted piece fits, before a request is refused: looks at many ranges of its own class and of
    /// each longer list. Whatever surely holds it, [`find`](Self::find) has found.
    #[cold]
    pub(super) fn find_widely(&self, ranges: &RangeList, want: &Want) -> Option<Cut> {
        let own = self.first_list(size_class::floor(want.units));
        let lists = core::iter::successors(own, |&class| self.first_list(class + 1));
        let mut nodes = lists.flat_map(|class| self.walk(ranges, class).take(LIST_LOOK_COUNT)).take(LOOK_COUNT);
        nodes.find_map(|(index, node)| want.cut_from(index, node))
    }

    /// Returns the size of the largest free range, in units, as the first `most` ranges of the topmost list tell: none
    /// is larger by a 16th.
    pub(super) fn largest(&self, ranges: &RangeList, most: usize) -> u64 {
        let top = self.words.iter().rposition(|&word| word != 0);
        let Some(word) = top else { return 0 };
        let class = (word << 6) + self.words[word].ilog2() as usize;
        self.walk(ranges, class).take(most).map(|(_, node)| node.size()).max().unwrap_or(0)
    }

    /// Walks one list.
    pub(super) fn walk<'a>(&self, ranges: &'a RangeList, class: usize) -> impl Iterator<Item = (u32, &'a Node)> {
        let mut next = self.heads.get(class).copied().unwrap_or(NIL);
        core::iter::from_fn(move || {
            let node = ranges.node(next)?;
            Some((core::mem::replace(&mut next, node.list_next), node))
        })
    }

    pub(super) fn host_bytes(&self) -> usize {
        self.heads.capacity() * size_of::<u32>()
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a part of `find`")]
    fn find_above(&self, nodes: &[Node], want: &Want, from: usize) -> Option<Fit> {
        let class = self.first_list(from)?;
        let fit = self.head_if_fits(nodes, want, class);
        if fit.is_some() || want.mask == 0 {
            return fit;
        }
        self.find_aligned(nodes, *want, class + 1)
    }

    /// Finds a range for an aligned request that the next list up could not serve.
    #[cold]
    #[inline(never)]
    fn find_aligned(&self, nodes: &[Node], want: Want, from: usize) -> Option<Fit> {
        let sure = size_class::ceiling(want.units + want.mask);
        if let Some(class) = self.first_list(sure.max(from)) {
            return self.head_if_fits(nodes, &want, class);
        }
        let mut class = self.first_list(from)?;
        loop {
            let fit = self.head_if_fits(nodes, &want, class);
            if fit.is_some() {
                return fit;
            }
            class = self.first_list(class + 1)?;
        }
    }

    /// Returns the head of a list if it holds the wanted piece. Where there is none, the head is node 0, which has no
    /// size.
    #[inline]
    fn head_if_fits(&self, nodes: &[Node], want: &Want, class: usize) -> Option<Fit> {
        let node = *self.heads.get(class)?;
        want.fits_in(nodes.get(node as usize)?).then_some(Fit { node, class })
    }

    /// Returns the first list at or above `class` that is not empty.
    #[inline]
    fn first_list(&self, class: usize) -> Option<usize> {
        let word = class >> 6;
        let bits = self.words.get(word)? & (u64::MAX << (class & 63));
        if bits != 0 {
            return Some((word << 6) + bits.trailing_zeros() as usize);
        }
        self.first_list_behind(word)
    }

    /// Returns the first list of the words behind one that is not empty.
    #[cold]
    #[inline(never)]
    fn first_list_behind(&self, word: usize) -> Option<usize> {
        let mut words = self.words.iter().enumerate().skip(word + 1);
        let (word, bits) = words.find(|&(_, &bits)| bits != 0)?;
        Some((word << 6) + bits.trailing_zeros() as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, FreeLists, MAX_SIZE, Want, size_class};

    fn rounded(units: u64, alignment: u64) -> u64 {
        Want { units, mask: alignment - 1, end: End::Low }.rounded().units
    }

    #[test]
    fn sizes_are_rounded_to_the_alignment_where_that_wastes_a_sixteenth_at_most() {
        assert_eq!([rounded(1023, 64), rounded(1024, 64), rounded(1000, 1)], [1024, 1024, 1000]);
        assert_eq!([rounded(964, 64), rounded(963, 64)], [1024, 963]);
        assert_eq!([rounded(17, 2), rounded(15, 2), rounded(1, 64)], [18, 15, 1]);
    }

    #[test]
    fn the_host_pays_four_bytes_for_each_list_that_a_range_may_need() {
        let mut lists = FreeLists::new();
        lists.cover(1_000);
        lists.cover(MAX_SIZE);
        assert_eq!(lists.host_bytes(), 4 * (size_class::floor(MAX_SIZE) + 1));
        lists.cover(1);
        assert_eq!(lists.heads.len(), size_class::floor(MAX_SIZE) + 1, "no list is given up");
    }

    #[test]
    fn no_size_is_rounded_above_the_largest() {
        assert_eq!([rounded(MAX_SIZE - 2, 2), rounded(MAX_SIZE, 2)], [MAX_SIZE - 1, MAX_SIZE]);
    }
}
