//! Tests of TLSF: packing, placement, alignment, slabs, size.

use alloc::vec::Vec;

use super::super::free_lists::LOOK_COUNT;
use super::super::range_list::NIL;
use super::super::slab::kept_bound;
use super::super::{Algorithm, Suballocator};
use super::*;
use crate::suballocator::size_class;

fn tlsf(unit: u64, slab_limit: u64, region_sizes: &[u64]) -> Suballocator {
    let mut subject =
        Suballocator::new(Algorithm::Tlsf, Settings { slab_limit, high_end_from: 64 << 10, ..Settings::plain(unit) });
    for &size in region_sizes {
        subject.add_region(size);
    }
    subject
}

/// A small generator of numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// Sizes from 256 B to 1 MiB, as many in each octave: an octave, then a place in it.
    fn size(&mut self) -> u64 {
        let octave = 256 << self.below(12);
        octave + self.below(octave)
    }
}

/// Allocates two for each one freed until a request fails; returns the part that is asked for then.
fn fill(subject: &mut Suballocator, numbers: &mut Numbers) -> f64 {
    let (mut live, mut asked) = (Vec::new(), 0);
    loop {
        let size = numbers.size();
        let Some(range) = subject.allocate(&Request::new(size, 1)) else {
            break;
        };
        asked += size;
        live.push((range.key, size));
        if numbers.below(2) == 0 {
            let index = numbers.below(live.len() as u64);
            let (key, size) = live.swap_remove(usize::try_from(index).expect("it is an index"));
            asked -= size;
            subject.free(key).expect("the key is live");
        }
    }
    subject.validate().expect("the invariants hold");
    #[expect(clippy::cast_precision_loss, reason = "a share of 256 MiB")]
    let share = asked as f64 / subject.region_bytes() as f64;
    share
}

#[test]
fn churn_fills_a_range_of_256_mib() {
    for (unit, slab_limit, least) in [(1, 0, 0.96), (64, 0, 0.96), (64, 64 << 10, 0.94), (64, 256 << 10, 0.91)] {
        for seed in 1..5 {
            let share = fill(&mut tlsf(unit, slab_limit, &[256 << 20]), &mut Numbers(seed * 0x9E37_79B9));
            assert!(share >= least, "unit {unit}, slabs to {slab_limit}, seed {seed}: {share}");
        }
    }
}

#[test]
fn bookkeeping_stays_below_48_bytes_per_live_allocation() {
    for slab_limit in [0, 64 << 10] {
        let mut subject = tlsf(64, slab_limit, &[64 << 20; 40]);
        let (mut numbers, mut live) = (Numbers(7), Vec::new());
        for step in 0..60_000 {
            if live.len() == 10_000 || step > 20_000 && step % 2 == 0 {
                let index = usize::try_from(numbers.below(10_000)).expect("it is an index");
                subject.free(live.swap_remove(index)).expect("the key is live");
            }
            live.push(subject.allocate(&Request::new(numbers.size(), 64)).expect("it has room").key);
        }
        let bytes = subject.host_bytes();
        assert!(bytes <= 48 * live.len(), "{bytes} bytes for {}", live.len());
    }
}

#[test]
fn the_host_pays_for_ranges_lists_and_slabs() {
    let paid = |slab_limit| tlsf(64, slab_limit, &[1 << 20]).host_bytes();
    let classes = size_class::slab_class((64 << 10) / 64) + 1;
    assert_eq!(paid(64 << 10) - paid(0), 64 * classes, "a cache line for each class");
}

#[test]
fn small_lie_low_and_large_lie_high() {
    let mut subject = tlsf(64, 0, &[1 << 20]);
    let mut at = |request: Request| subject.allocate(&request).map(|range| range.offset);
    assert_eq!(at(Request::new(65_535, 1)), Some(0));
    assert_eq!(at(Request::new(65_536, 1)), Some((1 << 20) - 65_536));
    assert_eq!(at(Request::new(64, 1).end(End::High)), Some((1 << 20) - 65_536 - 64));
    assert_eq!(at(Request::new(65_536, 1).end(End::Low)), Some(65_536));
}

#[test]
fn a_range_that_just_fits_is_never_missed() {
    for units in (1..200).chain([1_000, 65_537, (1 << 30) - 1, 1 << 40, MAX_SIZE]) {
        let mut subject = tlsf(1, 0, &[units]);
        assert_eq!(subject.allocate(&Request::new(units + 1, 1)), None);
        let range = subject.allocate(&Request::new(units, 1 << 63)).expect("offset 0 is aligned to anything");
        assert_eq!((range.offset, range.size), (0, units));
        subject.free(range.key).expect("the key is live");
        assert!(subject.remove_region(0));
        assert_eq!(subject.add_region(units), 0);
        assert!(subject.probe(&Request::new(units, 1)).is_some());
    }
}

/// Holes of the given sizes, none at a multiple of 4 KiB, and the rest of the region behind them.
fn holes(sizes: &[u64]) -> Suballocator {
    let mut subject = tlsf(64, 0, &[1 << 20]);
    let mut take = |size| subject.allocate(&Request::new(size, 1)).expect("it has room").key;
    take(64);
    let keys: Vec<_> = sizes.iter().map(|&size| (take(size), take(64)).0).collect();
    for key in keys {
        subject.free(key).expect("the key is live");
    }
    subject
}

#[test]
fn an_aligned_request_passes_the_ranges_that_do_not_hold_it() {
    let mut subject = holes(&[512, 1_024, 2_048]);
    let range = subject.allocate(&Request::new(192, 4_096)).expect("the rest surely holds it");
    assert_eq!((range.offset, range.size), (4_096, 192));
}

#[test]
fn an_aligned_request_takes_the_first_range_that_surely_holds_it() {
    let mut subject = tlsf(1, 0, &[121, 201, 10_000]);
    (0..3).for_each(|region| assert!(subject.allocate_in(region, &Request::new(1, 1)).is_some()));
    let spot = subject.probe(&Request::new(100, 64)).map(|spot| (spot.region, spot.offset));
    assert_eq!(spot, Some((1, 64)), "120 bytes may not hold it, 200 do");
}

#[test]
fn an_aligned_request_finds_what_surely_holds_it_behind_more_ranges_than_are_looked_at() {
    let mut subject = tlsf(64, 0, &[64 << 20]);
    subject.allocate(&Request::new(64, 1)).expect("it has room");
    let sizes = (0..2 * LOOK_COUNT as u64).map(|number| 4096 + number % 16 * 3584);
    let keys: Vec<_> = sizes
        .map(|size| [size, 64].map(|size| subject.allocate(&Request::new(size, 1)).expect("it has room").key))
        .collect();
    for [hole, _] in keys {
        subject.free(hole).expect("the key is live");
    }
    let request = Request::new(4096, 32 << 20);
    let spot = subject.probe(&request).expect("the rest of the region surely holds it");
    let range = subject.allocate(&request).expect("the rest of the region surely holds it");
    assert_eq!((spot.offset, range.offset), (32 << 20, 32 << 20));
}

#[test]
fn an_aligned_request_finds_the_only_range_that_starts_aligned() {
    let mut subject = holes(&[512, 1_024, 2_048]);
    let request = Request::new(192, 1 << 20);
    assert_eq!(subject.allocate(&request), None);
    subject.add_region(1 << 19);
    let range = subject.allocate(&request).expect("the new region starts aligned");
    assert_eq!((range.region, range.offset), (1, 0));
}

#[test]
fn the_tightest_of_the_own_class_is_taken() {
    // 64 to 67 units are one class; the last hole made is the first of its list.
    let mut subject = holes(&[66, 65, 67].map(|units| units * 64));
    let range = subject.allocate(&Request::new(64 * 64, 1)).expect("each of them holds it");
    let mut left = 0;
    subject.for_each_range(&mut |view| {
        if view.offset == range.offset + range.size {
            left = view.size;
        }
    });
    assert_eq!(left, 64, "a unit is left of the hole of 65");
}

/// A search is as short among many ranges of a class as among few: what fits behind the first four is left alone.
#[test]
fn behind_four_of_the_own_class_a_longer_range_is_taken() {
    for (too_small, is_longer_taken) in [(3, false), (4, true), (5, true)] {
        let sizes = [66, 100].into_iter().chain(core::iter::repeat_n(65, too_small));
        let mut subject = holes(&sizes.map(|units| units * 64).collect::<Vec<_>>());
        let range = subject.allocate(&Request::new(66 * 64, 1)).expect("two of them hold it");
        let longer = (1 + 66 + 1) * 64;
        assert_eq!(range.offset, if is_longer_taken { longer } else { 64 }, "behind {too_small}");
    }
}

#[test]
fn of_equals_the_one_freed_last_is_taken() {
    let mut subject = holes(&[66, 66].map(|units| units * 64));
    let range = subject.allocate(&Request::new(66 * 64, 1)).expect("each of them holds it");
    assert_eq!(range.offset, (1 + 66 + 1) * 64);
}

#[test]
fn slots_serve_up_to_the_limit_and_to_the_alignment_of_a_page() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    let rule = subject.slot_rule();
    let is_served = |size, alignment| rule.class_of(&Request::new(size, alignment)).is_some();
    assert_eq!([is_served(16 << 10, 4_096), is_served(16 << 10, 8_192)], [true, false]);
    let is_slot = [64 << 10, (64 << 10) + 1].map(|size| {
        let range = subject.allocate(&Request::new(size, 64)).expect("it has room");
        range.key.is_slot()
    });
    assert_eq!(is_slot, [true, false]);
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    assert!(subject.allocate_in(0, &Request::new(64, 64)).is_some());
    let slot = subject.allocate(&Request::new(32 << 10, 64)).expect("it has room");
    assert_eq!((slot.offset, slot.size, slot.key.is_slot()), (4_096, 32 << 10, true), "no slab is aligned to more");
}

#[test]
fn an_alignment_far_above_the_size_is_no_reason_for_a_large_slot() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    for (size, alignment, taken) in [(64, 4_096, 64), (1_000, 4_096, 1_024), (1_000, 256, 1_024), (256, 256, 256)] {
        let range = subject.allocate(&Request::new(size, alignment)).expect("it has room");
        assert_eq!(range.size, taken);
    }
    let exact = tlsf(64, 0, &[1 << 20]).allocate(&Request::new(4_100, 4_096)).map(|range| range.size);
    assert_eq!(exact, Some(4_160));
}

#[test]
fn after_clear_the_same_calls_place_the_same() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 16, 1 << 20, 1 << 18]);
    let mut placements = || {
        let mut numbers = Numbers(3);
        let requests = core::iter::repeat_with(|| Request::new(numbers.size() >> 4, 256));
        let places: Vec<_> = requests
            .map_while(|request| subject.allocate(&request))
            .map(|range| (range.region, range.offset, range.size))
            .collect();
        subject.clear();
        assert!(subject.empty_regions().map(|(region, _)| region).eq(0..3));
        places
    };
    placements();
    assert_eq!(placements(), placements());
}

#[test]
fn a_key_that_was_never_given_out_is_stale() {
    let mut subject = tlsf(64, 64, &[1 << 20]);
    let slot = subject.allocate(&Request::new(64, 64)).expect("it has room");
    let Suballocator::Tlsf(tlsf) = &subject else { unreachable!("it was made as one") };
    let is_free = |node: &Node| !node.is_used() && node.size() > 0;
    let index = tlsf.ranges.nodes.iter().position(is_free).expect("much is free");
    let free = tlsf.ranges.key_of(u32::try_from(index).expect("it is an index"));
    let in_slab = RangeKey { index: slot.key.index + 1, ..slot.key };
    for key in [
        free,
        in_slab,
        RangeKey { index: 1 << 30, generation: 1 },
        RangeKey { index: NONE, generation: 0 },
        RangeKey { index: 0, generation: 1 },
    ] {
        assert_eq!((subject.resolve(key), subject.free(key)), (None, Err(StaleKey)));
    }
    assert_eq!(subject.range_count(), 1);
}

#[test]
fn a_freed_node_refuses_its_old_key() {
    let mut subject = tlsf(64, 0, &[512]);
    let request = Request::new(512, 1);
    let old = subject.allocate(&request).expect("it has room").key;
    assert!(subject.resolve(old).is_some());
    subject.free(old).expect("the key is live");
    assert_eq!((subject.resolve(old), subject.free(old)), (None, Err(StaleKey)));
    let new = subject.allocate(&request).expect("it has room").key;
    assert_eq!(new.index, old.index, "the node is the same");
    assert!(subject.resolve(old).is_none() && subject.resolve(new).is_some());
    assert!(subject.resolve(RangeKey { index: 77, ..new }).is_none());
    let Suballocator::Tlsf(tlsf) = &subject else { unreachable!("it was made as one") };
    assert!(subject.resolve(tlsf.ranges.key_of(NIL)).is_none(), "the border is no range");
}

#[test]
fn a_generation_wraps_into_no_other_field() {
    let mut subject = tlsf(64, 0, &[1_024]);
    let take = |subject: &mut Suballocator| subject.allocate(&Request::new(512, 64)).expect("it has room").key;
    let keys = [(); 2].map(|()| take(&mut subject));
    let Suballocator::Tlsf(inner) = &mut subject else { unreachable!("it was made as one") };
    let last = keys.map(|key| {
        inner.ranges.nodes[key.index as usize].extent |= u64::MAX << (size_class::SIZE_BITS + 1);
        inner.ranges.key_of(key.index)
    });
    assert!(last.into_iter().all(|key| subject.free(key).is_ok()), "one stays a node, one is merged into it");
    subject.validate().expect("the invariants hold");
    assert_eq!([(); 2].map(|()| take(&mut subject)), keys, "the first generation again");
}

#[test]
fn requests_beyond_every_region_are_refused_without_overflow() {
    let mut subject = tlsf(64, 256 << 10, &[1 << 20, 1 << 40]);
    for size in [(1 << 40) + 1, 1 << 48, 1 << 63, u64::MAX - 1, u64::MAX] {
        for alignment in [1, 64, 4_096, 1 << 40, 1 << 63] {
            for end in [None, Some(End::Low), Some(End::High)] {
                assert_eq!(subject.allocate(&Request { size, alignment, end }), None);
            }
        }
    }
    let range = subject.allocate(&Request::new(1 << 40, 64)).expect("the second region is as large");
    assert_eq!((range.region, range.offset), (1, 0));
}

/// Returns the largest range in a list: what a request gets without giving slabs back.
fn listed(subject: &Suballocator) -> u64 {
    let Suballocator::Tlsf(tlsf) = subject else { unreachable!("it was made as one") };
    tlsf.lists.largest(&tlsf.ranges, usize::MAX) << tlsf.shift
}

#[test]
fn a_slab_that_is_kept_keeps_no_region() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    let range = subject.allocate(&Request::new(4_096, 256)).expect("it has room");
    let freed = subject.free(range.key).expect("the key is live");
    assert!(freed.is_region_empty && subject.is_region_empty(0));
    assert_eq!((listed(&subject), subject.largest_free_range()), ((1 << 20) - 4_096, 1 << 20));
    assert_eq!(subject.probe(&Request::new(1 << 20, 1)).map(|spot| spot.offset), Some(0));
    assert!(subject.remove_region(0));
    subject.validate().expect("the invariants hold");
    assert_eq!(subject.add_region(1 << 20), 0);
    let other = subject.allocate(&Request::new(4_096, 256)).expect("it has room");
    assert_eq!(subject.free(range.key), Err(StaleKey));
    subject.free(other.key).expect("the key is live");
    subject.reclaim();
    assert_eq!(listed(&subject), 1 << 20);
}

#[test]
fn empty_slabs_are_shown_as_one_with_the_free_ranges_around_them() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20, 1 << 20]);
    let mut take = |size| subject.allocate(&Request::new(size, 1)).expect("it has room");
    let [first, between, last] = [10_000, 100, 60_000].map(&mut take);
    assert_eq!((between.region, last.region), (first.region, first.region));
    let free = |subject: &Suballocator| {
        let mut free = Vec::new();
        subject.for_each_range(&mut |view| match view.state {
            RangeState::Free => free.push((view.region, view.offset, view.size)),
            RangeState::FreeSlot => assert!(view.offset - between.offset < 4_096, "of the slab in use"),
            _ => {}
        });
        free
    };
    for range in [first, last] {
        subject.free(range.key).expect("the key is live");
    }
    let other = (1 - first.region, 0, 1 << 20);
    // A slab of 4 KiB is between them.
    let behind = between.offset + 4_096;
    let behind = (first.region, behind, (1 << 20) - behind);
    let mut shown = [(first.region, first.offset, first.size), behind, other];
    shown.sort_unstable();
    assert_eq!(free(&subject), shown);
    subject.free(between.key).expect("the key is live");
    assert!(listed(&subject) == 1 << 20 && subject.is_region_empty(first.region));
    assert_eq!(free(&subject), [(0, 0, 1 << 20), (1, 0, 1 << 20)]);
    assert_eq!(subject.allocate_in(first.region, &Request::new(1 << 20, 1)), None, "slabs are kept");
    subject.reclaim_in_empty();
    assert!(subject.allocate_in(first.region, &Request::new(1 << 20, 1)).is_some(), "no more");
    subject.validate().expect("the invariants hold");
}

#[test]
fn empty_slabs_are_given_back_to_a_request_that_needs_their_room() {
    let mut subject = tlsf(64, 64 << 10, &[64 << 10]);
    let sizes = [64, 128, 192, 256, 1_024, 4_096];
    let keys: Vec<_> =
        sizes.iter().map(|&size| subject.allocate(&Request::new(size, 1)).expect("it has room").key).collect();
    for key in keys {
        subject.free(key).expect("the key is live");
    }
    assert!(listed(&subject) < 64 << 10);
    assert_eq!(subject.largest_free_range(), 64 << 10);
    let request = Request::new(64 << 10, 1).end(End::Low);
    let spot = subject.probe(&request).expect("all is free");
    let range = subject.allocate(&request).expect("all is free");
    assert_eq!((spot.offset, range.offset, range.size), (0, 0, 64 << 10));
    subject.validate().expect("the invariants hold");
}

#[test]
fn kept_slabs_stay_within_their_bound() {
    let mut subject = tlsf(64, 1 << 20, &[256 << 20]);
    let sizes: Vec<u64> = (0..64).map(|step| (128 << 10) + step * (14 << 10)).collect();
    let keys: Vec<_> =
        sizes.iter().map(|&size| subject.allocate(&Request::new(size, 1)).expect("it has room").key).collect();
    for key in keys {
        subject.free(key).expect("the key is live");
        let Suballocator::Tlsf(tlsf) = &subject else { unreachable!("it was made as one") };
        assert!(tlsf.slabs.kept_bytes <= kept_bound(tlsf.used_bytes));
    }
    subject.validate().expect("the invariants hold");
}

#[test]
fn a_slab_that_is_as_large_as_the_bound_is_kept() {
    let mut subject = tlsf(64, 4 << 20, &[16 << 20]);
    let range = subject.allocate(&Request::new(4 << 20, 1)).expect("it has room");
    assert_eq!((range.key.is_slot(), kept_bound(0)), (true, 4 << 20));
    subject.free(range.key).expect("the key is live");
    assert_eq!(listed(&subject), 12 << 20);
}

#[test]
fn allocating_and_freeing_in_turn_reuses_one_slab() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    let mut offsets = (0..100).map(|_| {
        let range = subject.allocate(&Request::new(10_000, 256)).expect("it has room");
        subject.free(range.key).expect("the key is live");
        range.offset
    });
    let first = offsets.next();
    assert!(offsets.all(|offset| Some(offset) == first));
    let Suballocator::Tlsf(tlsf) = &subject else { unreachable!("it was made as one") };
    assert_eq!(tlsf.slabs.table.len(), 1);
}

/// A slab of eight slots of 1 MiB is an eighth of what is live. There is a hole of 15 MiB for the first request and one
/// of 16 for the second.
#[test]
fn a_slab_of_large_slots_is_cut_only_out_of_a_range_of_twice_its_size() {
    const MIB: u64 = 1 << 20;
    let settings = Settings { slab_limit: 256 << 10, large_slot_shift: 6, ..Settings::plain(64) };
    let mut subject = Suballocator::new(Algorithm::Tlsf, settings);
    let request = Request::new(MIB, 64);
    let take = |subject: &mut Suballocator| {
        let spot = subject.probe(&request).expect("it has room");
        let got = subject.allocate(&request).expect("it has room");
        assert_eq!((spot.region, spot.offset, spot.size), (got.region, got.offset, got.size));
        subject.validate().expect("the invariants hold");
        (got.region, got.key)
    };
    for size in [64 * MIB, 15 * MIB] {
        subject.add_region(size);
    }
    let live = subject.allocate(&Request::new(64 * MIB, 1)).expect("it has room");
    let (region, key) = take(&mut subject);
    assert_eq!((live.region, region, key.is_slot()), (0, 1, false), "the hole is too small for a slab");
    subject.free(key).expect("the key is live");
    subject.allocate_in(1, &Request::new(15 * MIB, 1)).expect("it is free");
    subject.add_region(16 * MIB);
    assert_eq!(
        (0..9).map(|_| take(&mut subject).1.is_slot()).filter(|&is_slot| is_slot).count(),
        8,
        "then a hole of 8"
    );
}

/// A region with free slots before a slab of eight and behind it, and a range that fills the rest. One slot is kept.
#[test]
fn free_slots_at_an_end_of_a_slab_serve_what_nothing_else_holds() {
    const SLOT: u64 = 256;
    let settings = Settings { slab_limit: 64, large_slot_shift: 6, ..Settings::plain(64) };
    let ranges = |slots, end| Request::new(slots * SLOT, 1).end(end);
    for (before, behind, kept, wanted, offset) in [
        (0, 1, 2, 6, 3),
        (0, 1, 2, 4, 3),
        (0, 0, 5, 5, 0),
        (1, 0, 5, 6, 0),
        (1, 0, 2, 5, 4),
        (1, 0, 0, 7, 2),
        (0, 1, 7, 7, 0),
    ] {
        let mut subject = Suballocator::new(Algorithm::Tlsf, settings);
        let take = |subject: &mut Suballocator, request: &Request| {
            let spot = subject.probe(request).expect("it has room");
            let range = subject.allocate(request).expect("it has room");
            assert_eq!((spot.offset, spot.size), (range.offset, range.size));
            subject.validate().expect("the invariants hold");
            range
        };
        assert_eq!([64 * SLOT, 17 * SLOT].map(|size| subject.add_region(size)), [0, 1]);
        take(&mut subject, &ranges(64, End::Low));
        let mut gone: Vec<_> = (0..before).map(|_| take(&mut subject, &ranges(1, End::Low)).key).collect();
        let keys: Vec<_> = (0..8).map(|_| take(&mut subject, &Request::new(SLOT, 1)).key).collect();
        let fill = take(&mut subject, &ranges(9 - before - behind, End::High)).key;
        assert!(keys.iter().all(|key| key.is_slot()));
        let (others, own): (Vec<_>, Vec<_>) = keys.iter().enumerate().partition(|&(slot, _)| slot != kept);
        gone.extend(others.iter().map(|&(_, &key)| key));
        for &key in &gone {
            subject.free(key).expect("the key is live");
        }
        let place = before + kept as u64;
        assert_eq!(subject.largest_free_range(), place.max(7 + before - place + behind) * SLOT);
        assert_eq!(subject.allocate(&ranges(8, End::Low)), None, "the kept slot is in the way");
        let range = take(&mut subject, &ranges(wanted, End::Low));
        assert_eq!((range.region, range.offset, range.size), (1, offset * SLOT, wanted * SLOT));
        assert!(gone.iter().all(|&key| subject.free(key).is_err()), "what was cut off names nothing");
        let kept = *own[0].1;
        assert_eq!(subject.resolve(kept).map(|spot| spot.offset), Some(place * SLOT));
        subject.free(kept).expect("the key is live");
        let again = take(&mut subject, &Request::new(SLOT, 1)).key;
        assert!(again.is_slot(), "the slab was kept");
        for key in [again, range.key, fill] {
            subject.free(key).expect("the key is live");
            subject.validate().expect("the invariants hold");
        }
        assert_eq!(subject.largest_free_range(), 17 * SLOT);
    }
}

#[test]
fn empty_regions_are_counted_and_listed_newest_first() {
    let mut subject = tlsf(64, 0, &[1 << 16; 1_000]);
    assert_eq!((subject.empty_regions().count(), subject.empty_region_bytes()), (1_000, 1_000 << 16));
    let range = subject.allocate(&Request::new(100, 1)).expect("it has room");
    assert_eq!((subject.empty_regions().count(), subject.empty_region_bytes()), (999, 999 << 16));
    subject.free(range.key).expect("the key is live");
    assert_eq!(subject.empty_regions().next(), Some((range.region, 1 << 16)));
    (0..1_000).for_each(|region| assert!(subject.remove_region(region)));
    subject.validate().expect("the invariants hold");
    assert_eq!(subject.add_region(64), 0);
}

#[test]
fn a_fresh_region_serves_its_opener() {
    let mut subject = tlsf(64, 64 << 10, &[1 << 20]);
    let region = subject.add_region(1 << 20);
    let range = subject.allocate_in(region, &Request::new(1_000, 256)).expect("it is fresh");
    assert_eq!((range.region, range.offset, range.size), (region, 0, 1_024));
    assert_eq!(subject.allocate_in(region, &Request::new(1 << 20, 1)), None);
    assert_eq!(subject.allocate_in(9, &Request::new(1, 1)), None);
    subject.validate().expect("the invariants hold");
}

#[test]
fn a_region_as_large_as_the_request_serves_it_at_any_alignment() {
    for (size, alignment) in [(4_274_240, 128), (23_965_888, 256), (3 << 16, 1 << 20), (64, 1 << 30)] {
        for high_end in [None, Some(End::Low), Some(End::High)] {
            let request = Request { end: high_end, ..Request::new(size - 60, alignment) };
            let mut subject = tlsf(64, 0, &[size]);
            let by_region = subject.allocate_in(0, &request).expect("it fits exactly");
            assert_eq!((by_region.offset, by_region.size), (0, size));
            subject.free(by_region.key).expect("the key is live");
            assert_eq!(subject.probe(&request).map(|spot| spot.offset), Some(0));
            let by_search = subject.allocate(&request).expect("it fits exactly again");
            assert_eq!((by_search.offset, by_search.size), (0, size));
            subject.validate().expect("the invariants hold");
        }
    }
}

#[test]
fn slivers_are_served_with_what_they_would_be_left_of() {
    let settings = Settings { high_end_from: 64 << 10, sliver_shift: 5, ..Settings::plain(64) };
    let mut subject = Suballocator::new(Algorithm::Tlsf, settings);
    subject.add_region(33 << 16);
    let whole = Request::new(32 << 16, 1 << 16);
    let (probed, taken) = (subject.probe(&whole), subject.allocate(&whole).expect("it has room"));
    assert_eq!((taken.offset, taken.size), (0, 33 << 16), "a 32nd of it would be left");
    assert_eq!(probed.map(|spot| (spot.offset, spot.size)), Some((taken.offset, taken.size)));
    subject.free(taken.key).expect("the key is live");
    let less = subject.allocate(&Request::new((32 << 16) - 64, 64)).expect("it has room");
    assert_eq!((less.offset, less.size), ((1 << 16) + 64, (32 << 16) - 64), "more than a 32nd is left");
    assert_eq!(subject.used_bytes(), less.size);
    subject.validate().expect("the invariants hold");
}
