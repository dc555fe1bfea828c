//! The invariants of floor 0, checked one by one.
//!
//! Each check cites the invariant that it checks by the name it has in the head of its file: G (`region_table`),
//! R (`range_list`), T (`free_lists`), S (`slab`), A (`tlsf`, and what linear shares with it), L (`linear`), N (its
//! `nodes`), F (`fixed`).
//! What is read is everything; nothing is trusted to be reachable or finite, so corrupted links end in a violation and
//! never in a panic or an endless walk.
//!
//! Not checked, because no state shows it: how generations change, as R4, S5 and F4 say it. Tests do.

use super::fixed::{Bitmap, Fixed, FixedRegion, GENERATION_BITS, GROUP_WORDS, MAX_SLOT_COUNT};
use super::free_lists::FreeLists;
use super::linear::{Front, Linear, Node as LinearNode, Nodes as LinearNodes};
use super::range_list::{NIL, Node, RangeList};
use super::region_table::{NONE, RegionTable};
use super::slab::{RoomBits, Slab, SlabClass, Slabs};
use super::tlsf::Tlsf;
use super::{Suballocator, size_class};

/// A broken invariant: a bug in the suballocator, never a mistake of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant} is broken at {what} {index}")]
pub struct Violation {
    /// Which one, as the heads of the files number them.
    pub invariant: &'static str,
    /// What kind of thing breaks it.
    pub what: &'static str,
    /// Which of them.
    pub index: u64,
}

type Checked = Result<(), Violation>;

/// Checks every invariant of a suballocator.
pub(super) fn validate(suballocator: &Suballocator) -> Checked {
    match suballocator {
        Suballocator::Tlsf(tlsf) => check_tlsf(tlsf),
        Suballocator::Linear(linear) => check_linear(linear),
        Suballocator::Fixed(fixed) => check_fixed(fixed),
    }
}

fn ensure(holds: bool, invariant: &'static str, what: &'static str, index: impl Into<u64>) -> Checked {
    if holds { Ok(()) } else { Err(Violation { invariant, what, index: index.into() }) }
}

/// Numbers table entries as the structures do: by `u32`.
fn indexed<T>(table: &[T]) -> impl Iterator<Item = (u32, &T)> {
    (0..).zip(table)
}

fn check_tlsf(tlsf: &Tlsf) -> Checked {
    check_regions(&tlsf.ranges.regions)?;
    check_ranges(&tlsf.ranges)?;
    check_lists(&tlsf.lists, &tlsf.ranges)?;
    check_slabs(&tlsf.slabs, &tlsf.ranges, tlsf.shift)?;
    check_slab_classes(&tlsf.slabs)?;
    check_tlsf_accounts(tlsf)
}

/// G1, G2.
fn check_regions(table: &RegionTable) -> Checked {
    let (mut total, mut empty) = (0, 0);
    let mut is_listed = alloc::vec![false; table.entries.len()];
    let (mut prev, mut next) = (NONE, table.first_empty);
    while let Some(region) = table.entries.get(next as usize) {
        ensure(region.empty_prev == prev && !is_listed[next as usize], "G1", "region", next)?;
        is_listed[next as usize] = true;
        (prev, next) = (next, region.empty_next);
    }
    for (number, region) in indexed(&table.entries) {
        let is_empty = region.units > 0 && region.busy == 0;
        ensure(is_listed[number as usize] == is_empty, "G1", "region", number)?;
        total += region.units;
        empty += if is_empty { region.units } else { 0 };
    }
    ensure(total == table.total_units, "G2", "total units", table.total_units)?;
    ensure(empty == table.empty_units, "G2", "empty units", table.empty_units)
}

/// R1, R2, R3.
fn check_ranges(ranges: &RangeList) -> Checked {
    let mut is_met = alloc::vec![false; ranges.nodes.len()];
    for (number, region) in indexed(&ranges.regions.entries) {
        if region.units > 0 {
            check_region(ranges, number, region.first, region.units, &mut is_met)?;
        }
    }
    if let Some(border) = ranges.nodes.first() {
        ensure(border.is_used() && border.size() == 0 && border.next == NIL, "R3", "node", NIL)?;
        is_met[0] = true;
    }
    let mut next = ranges.spare;
    while let Some(node) = ranges.node(next) {
        ensure(!is_met[next as usize] && node.size() == 0 && !node.is_used(), "R3", "spare node", next)?;
        is_met[next as usize] = true;
        next = node.list_next;
    }
    for (index, &is_met) in indexed(&is_met) {
        ensure(is_met, "R3", "node", index)?;
    }
    Ok(())
}

fn check_region(ranges: &RangeList, region: u32, first: u32, units: u64, is_met: &mut [bool]) -> Checked {
    let (mut prev, mut next, mut offset, mut was_free) = (NIL, first, 0, false);
    while let Some(node) = ranges.node(next) {
        ensure(!is_met[next as usize], "R3", "node", next)?;
        is_met[next as usize] = true;
        let is_tile = node.region() == region && node.offset() == offset && node.size() > 0 && node.prev == prev;
        ensure(is_tile, "R1", "node", next)?;
        ensure(!was_free || node.is_used(), "R2", "node", next)?;
        (prev, next, offset, was_free) = (next, node.next, node.end(), !node.is_used());
    }
    ensure(offset == units, "R1", "region", region)
}

/// T1, T2.
fn check_lists(lists: &FreeLists, ranges: &RangeList) -> Checked {
    let mut is_listed = alloc::vec![false; ranges.nodes.len()];
    for (class, &head) in indexed(&lists.heads) {
        let (mut prev, mut next) = (NIL, head);
        while let Some(node) = ranges.node(next) {
            let is_here = !node.is_used() && size_class::floor(node.size()) == class as usize;
            ensure(is_here && node.list_prev == prev && !is_listed[next as usize], "T1", "node", next)?;
            is_listed[next as usize] = true;
            (prev, next) = (next, node.list_next);
        }
        let bit = lists.words[(class >> 6) as usize] & (1 << (class & 63));
        ensure((bit != 0) == (head != NIL), "T2", "class", class)?;
    }
    for (index, node) in indexed(&ranges.nodes) {
        ensure(is_listed[index as usize] == (node.size() > 0 && !node.is_used()), "T1", "node", index)?;
    }
    Ok(())
}

/// S1, S2.
fn check_slabs(slabs: &Slabs, ranges: &RangeList, shift: u32) -> Checked {
    let mut marked = 0;
    for (index, node) in indexed(&ranges.nodes) {
        if node.size() > 0 && node.is_used() && node.list_prev != NONE {
            marked += 1;
            let slab = slabs.table.get(node.list_prev as usize);
            ensure(slab.is_some_and(|slab| slab.node == index && slab.slots != 0), "S1", "node", index)?;
        }
    }
    let mut count = 0u64;
    for (index, slab) in indexed(&slabs.table) {
        let is_counted = u32::from(slab.slot_count) == slab.slots.count_ones();
        ensure(slab.free & !slab.slots == 0 && is_counted, "S2", "slab", index)?;
        if slab.slots == 0 {
            continue;
        }
        let is_in_one = slab.slots.count_ones() + slab.slots.leading_zeros() + slab.slots.trailing_zeros() == u64::BITS;
        ensure(is_in_one, "S2", "slab", index)?;
        count += 1;
        let fits = |node: &Node| {
            let (offset, bytes) = (node.offset() << shift, node.size() << shift);
            node.is_used() && (node.region(), offset, bytes) == (slab.region, slab.start(), slab.bytes())
        };
        ensure(ranges.nodes.get(slab.node as usize).is_some_and(fits), "S1", "slab", index)?;
    }
    ensure(count == marked, "S1", "slab count", count)
}

/// S3, S4.
fn check_slab_classes(slabs: &Slabs) -> Checked {
    let (mut kept, mut large) = (0, 0);
    for (number, class) in indexed(&slabs.classes) {
        check_rooms(class, number)?;
        let own = indexed(&slabs.table).filter(|(_, slab)| slab.slots != 0 && u32::from(slab.class) == number);
        let (mut slots, mut with_room, mut empty) = (0, 0, NONE);
        for (index, slab) in own {
            let (place, word) = (slab.place, usize::from(slab.place >> 6));
            ensure(slab.room == RoomBits::of(place), "S3", "room bits of slab", index)?;
            ensure(class.places.get(usize::from(place)) == Some(&index), "S3", "slab", index)?;
            let has_room = class.words.get(word).is_some_and(|word| word & (1 << (place & 63)) != 0);
            ensure(has_room == (slab.free != 0 && !slab.is_empty()), "S3", "slab", index)?;
            with_room += u32::from(has_room);
            slots += slab.slots.count_ones();
            large += slabs.if_large(number as usize, slab.bytes());
            if slab.is_empty() {
                ensure(empty == NONE, "S4", "slab", index)?;
                empty = index;
                kept += slab.bytes();
            }
        }
        let bits: u32 = class.words.iter().map(|word| word.count_ones()).sum();
        ensure(bits == with_room, "S3", "class", number)?;
        ensure(slots == class.slot_count && empty == class.empty, "S4", "class", number)?;
    }
    ensure(large == slabs.large_bytes, "S4", "large bytes", large)?;
    ensure(kept == slabs.kept_bytes, "S4", "kept bytes", kept)
}

/// S3: the two levels of bits of a class agree.
fn check_rooms(class: &SlabClass, number: u32) -> Checked {
    let expected = indexed(&class.words).fold(0, |room, (word, &bits)| room | u64::from(bits != 0) << word);
    ensure(class.room == expected, "S3", "class", number)
}

/// A1, A2.
fn check_tlsf_accounts(tlsf: &Tlsf) -> Checked {
    let mut busy = alloc::vec![0; tlsf.ranges.regions.entries.len()];
    let (mut bytes, mut count) = (0, 0);
    for node in tlsf.ranges.nodes.iter().filter(|node| node.is_used() && node.size() > 0) {
        let (used, slots) = match tlsf.slabs.table.get(node.list_prev as usize) {
            Some(slab) => used_of(slab),
            None => (node.size() << tlsf.shift, 1),
        };
        bytes += used;
        count += slots;
        busy[node.region() as usize] += u32::from(slots > 0);
    }
    check_accounts(&tlsf.ranges.regions, &busy)?;
    ensure(bytes == tlsf.used_bytes, "A1", "used bytes", bytes)?;
    ensure(count == u64::from(tlsf.range_count), "A1", "range count", count)
}

/// Returns bytes and number of the used slots of a slab.
fn used_of(slab: &Slab) -> (u64, u64) {
    let slots = u64::from((slab.slots & !slab.free).count_ones());
    (slots * u64::from(slab.slot_bytes), slots)
}

/// A2.
fn check_accounts(regions: &RegionTable, busy: &[u32]) -> Checked {
    for ((number, region), &busy) in indexed(&regions.entries).zip(busy) {
        ensure(region.busy == busy, "A2", "region", number)?;
    }
    Ok(())
}

fn check_linear(linear: &Linear) -> Checked {
    check_regions(&linear.regions)?;
    let mut is_met = alloc::vec![false; linear.nodes.table.len()];
    let mut busy = alloc::vec![0; linear.regions.entries.len()];
    let (mut units, mut count) = (0, 0);
    ensure(linear.fronts.len() == busy.len(), "L1", "number of regions", 0u32)?;
    for (number, entry) in indexed(&linear.regions.entries) {
        let Front { head, border, upper } = linear.fronts[number as usize];
        if entry.units == 0 {
            ensure((head, border, upper) == (NONE, NONE, 0), "L1", "absent region", number)?;
            continue;
        }
        check_ring(&linear.nodes, (number, border, entry.units), &mut is_met)?;
        let ranges = || ring(&linear.nodes, border);
        units += ranges().map(|(_, node)| node.units()).sum::<u64>();
        busy[number as usize] = u32::from(ranges().next().is_some());
        count += ranges().fold(0, |count, _| count + 1);
        check_front(linear, number)?;
    }
    check_spare_nodes(&linear.nodes, &mut is_met)?;
    check_accounts(&linear.regions, &busy)?;
    ensure(units == linear.used_units, "A1", "used units", units)?;
    ensure(count == linear.range_count, "A1", "range count", count)
}

/// Walks the ranges of a linear region whose ring is whole, which [`check_ring`] says.
fn ring(nodes: &LinearNodes, border: u32) -> impl Iterator<Item = (u32, &LinearNode)> {
    let next = move |index: u32| nodes.table.get(index as usize).map(|node| node.next).filter(|&next| next != border);
    let indices = core::iter::successors(next(border), move |&index| next(index));
    indices.filter_map(|index| Some((index, nodes.table.get(index as usize)?)))
}

/// N1, N3 and the rings of N2.
fn check_ring(nodes: &LinearNodes, (region, border, units): (u32, u32, u64), is_met: &mut [bool]) -> Checked {
    let (mut prev, mut index, mut offset) = (border, border, 0);
    loop {
        let Some(node) = nodes.table.get(index as usize) else {
            return ensure(false, "N1", "node", index);
        };
        ensure(!is_met[index as usize], "N2", "node", index)?;
        is_met[index as usize] = true;
        let (is_border, is_sized) = (index == border, node.end > node.start);
        let is_placed = if is_border { (node.start, node.end) == (units, 0) } else { node.start >= offset && is_sized };
        ensure(is_placed && (is_border || node.end <= units) && node.region() == region, "N1", "node", index)?;
        ensure(node.is_used() != is_border, "N3", "node", index)?;
        let is_linked = nodes.table.get(node.next as usize).is_some_and(|next| next.prev == index);
        ensure(is_linked && (is_border || node.prev == prev), "N1", "node", index)?;
        (prev, index, offset) = (index, node.next, node.end);
        if index == border {
            return Ok(());
        }
    }
}

/// N3 and the rest of N2.
fn check_spare_nodes(nodes: &LinearNodes, is_met: &mut [bool]) -> Checked {
    let mut next = nodes.spare;
    while let Some(node) = nodes.table.get(next as usize) {
        ensure(!is_met[next as usize], "N2", "spare node", next)?;
        ensure(!node.is_used(), "N3", "spare node", next)?;
        is_met[next as usize] = true;
        next = node.next;
    }
    ensure(next == NONE, "N2", "spare node", next)?;
    for (index, &is_met) in indexed(is_met) {
        ensure(is_met, "N2", "node", index)?;
    }
    Ok(())
}

/// L1, L2.
fn check_front(linear: &Linear, number: u32) -> Checked {
    let Front { head, border, upper } = linear.fronts[number as usize];
    let (mut counted, mut is_behind) = (0, head == border);
    for (index, node) in ring(&linear.nodes, border) {
        let is_in_order = upper == 0 || node.is_upper() == is_behind;
        ensure(is_in_order, "L2", "node", index)?;
        counted += u32::from(node.is_upper());
        is_behind |= index == head;
    }
    ensure(is_behind, "L1", "region", number)?;
    ensure(linear.nodes.table.get(head as usize).is_some_and(|head| !head.is_upper()), "L1", "region", number)?;
    ensure(counted == upper, "L2", "region", number)
}

/// F1 to F5.
fn check_fixed(fixed: &Fixed) -> Checked {
    check_regions(&fixed.regions)?;
    check_bitmap(&fixed.open, fixed.slots.len(), NONE)?;
    ensure(fixed.lowest == fixed.open.first(), "F5", "lowest region", fixed.lowest)?;
    ensure(fixed.slots.len() == fixed.regions.entries.len(), "F2", "number of regions", 0u32)?;
    let mut total = 0;
    for (number, slots) in indexed(&fixed.slots) {
        let free = check_slots(slots, number)?;
        let bytes = fixed.regions.entries[number as usize].units << fixed.shift;
        let is_whole = u64::from(slots.count) == (bytes / fixed.slot_size).min(MAX_SLOT_COUNT);
        ensure(is_whole && fixed.open.contains(number as usize) == (free > 0), "F2", "region", number)?;
        ensure(slots.stamp >> GENERATION_BITS == number, "F4", "region", number)?;
        let is_busy = fixed.regions.entries[number as usize].busy == u32::from(slots.used > 0);
        ensure(is_busy && slots.used == slots.count - free, "F3", "region", number)?;
        total += u64::from(slots.used);
    }
    ensure(total == fixed.range_count, "F3", "range count", total)
}

/// F1 and F5 for one region; returns its number of free slots.
fn check_slots(slots: &FixedRegion, number: u32) -> Result<u32, Violation> {
    let word_count = (slots.count as usize).div_ceil(64);
    let group_count = word_count.div_ceil(64);
    ensure(slots.bits.len() == word_count + group_count, "F1", "region", number)?;
    check_bitmap(&slots.groups, group_count, number)?;
    ensure(slots.group == slots.groups.first(), "F5", "region", number)?;
    let mut free = 0;
    for (group, bits) in slots.bits.chunks(GROUP_WORDS).enumerate() {
        let (summary, words) = (bits[0], &bits[1..]);
        let expected =
            words.iter().enumerate().fold(0, |summary, (word, &bits)| summary | u64::from(bits != 0) << word);
        let is_told = slots.groups.contains(group) == (expected != 0);
        ensure(summary == expected && is_told, "F1", "region", number)?;
        free += words.iter().map(|word| word.count_ones()).sum::<u32>();
    }
    let beyond = if slots.count.is_multiple_of(64) { 0 } else { u64::MAX << (slots.count % 64) };
    ensure(slots.bits.last().is_none_or(|word| word & beyond == 0), "F1", "region", number)?;
    Ok(free)
}

/// F1 for one set.
fn check_bitmap(set: &Bitmap, capacity: usize, number: u32) -> Checked {
    let mut capacity = capacity;
    for (index, level) in set.levels.iter().enumerate() {
        ensure(level.len() == capacity.div_ceil(64), "F1", "region", number)?;
        let beyond = if capacity.is_multiple_of(64) { 0 } else { u64::MAX << (capacity % 64) };
        ensure(level.last().is_none_or(|word| word & beyond == 0), "F1", "region", number)?;
        let below = index.checked_sub(1).map(|below| &set.levels[below]);
        for (word, &bits) in below.into_iter().flatten().enumerate() {
            let is_set = level[word >> 6] & (1 << (word & 63)) != 0;
            ensure(is_set == (bits != 0), "F1", "region", number)?;
        }
        capacity = level.len();
    }
    ensure(capacity <= 1, "F1", "region", number)
}

#[cfg(test)]
mod tests;
