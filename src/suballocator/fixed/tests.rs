//! Tests of equal slots.

use super::super::{Algorithm, Suballocator};
use super::*;

fn fixed(slot_size: u64, region_sizes: &[u64]) -> Suballocator {
    let settings = Settings::plain(4);
    let mut fixed = Suballocator::new(Algorithm::Fixed { slot_size }, settings);
    for &size in region_sizes {
        fixed.add_region(size);
    }
    fixed
}

#[test]
fn a_bitmap_finds_its_smallest_member_at_every_capacity() {
    for capacity in [1, 2, 63, 64, 65, 4_095, 4_096, 4_097, 300_000] {
        let mut set = Bitmap::new(capacity);
        assert_eq!(set.first(), NONE);
        for number in [capacity - 1, capacity / 2, 0] {
            set.insert(number);
            assert_eq!(set.first() as usize, number);
            assert!(set.contains(number));
        }
        for number in [0, capacity / 2, capacity - 1] {
            set.remove(number);
            assert!(!set.contains(number));
        }
        assert_eq!(set.first(), NONE);
    }
    assert_eq!(Bitmap::new(0).first(), NONE);
}

#[test]
fn the_lowest_free_slot_is_found_at_every_count() {
    let request = Request::new(4, 4);
    for count in [1, 2, 63, 64, 65, 4_095, 4_096, 4_097, 300_000_u64] {
        let mut fixed = fixed(4, &[4 * count]);
        let keys: Vec<_> = (0..count)
            .map(|slot| {
                let probed = fixed.probe(&request).map(|spot| spot.offset);
                let range = fixed.allocate(&request).expect("not all are taken");
                assert_eq!((range.offset, probed), (4 * slot, Some(4 * slot)));
                range.key
            })
            .collect();
        assert_eq!((fixed.probe(&request), fixed.allocate(&request)), (None, None));
        fixed.validate().expect("the invariants hold");
        for slot in [count - 1, count / 2, 0] {
            let key = keys[usize::try_from(slot).expect("it is an index")];
            if fixed.free(key).is_ok() {
                assert_eq!(fixed.free(key), Err(StaleKey));
                assert_eq!(fixed.probe(&request).map(|spot| spot.offset), Some(4 * slot));
                fixed.validate().expect("the invariants hold");
            }
        }
    }
}

#[test]
fn the_short_way_serves_from_a_region_in_use() {
    let mut fixed = fixed(4, &[12, 12]);
    let request = Request::new(4, 4);
    assert_eq!(fixed.allocate_at_hand(&request), None, "its region is not in use");
    for offset in [0, 4, 8] {
        let range = if offset == 0 { fixed.allocate(&request) } else { fixed.allocate_at_hand(&request) };
        assert_eq!(range.map(|range| (range.region, range.offset)), Some((0, offset)));
    }
    assert_eq!(fixed.allocate_at_hand(&Request::new(5, 4)), None, "no slot is as large");
    assert_eq!(fixed.allocate_at_hand(&request), None, "the next region is not in use");
    fixed.validate().expect("the invariants hold");
}

#[test]
fn the_short_way_frees_what_leaves_its_region_in_use() {
    let mut fixed = fixed(4, &[8, 8]);
    let keys = [(); 3].map(|()| fixed.allocate(&Request::new(4, 4)).expect("it has room").key);
    assert!(fixed.free_at_hand(keys[0]), "another one is live");
    assert!(!fixed.free_at_hand(keys[0]), "it is stale");
    assert!(!fixed.free_at_hand(keys[1]) && !fixed.free_at_hand(keys[2]), "each is the last one of its region");
    assert_eq!((fixed.range_count(), fixed.empty_region_bytes()), (2, 0));
    fixed.validate().expect("the invariants hold");
}

#[test]
fn the_lowest_slot_of_the_lowest_region_is_taken() {
    let mut fixed = fixed(12, &[28, 24]);
    let request = Request::new(10, 4);
    let places: Vec<_> = core::iter::from_fn(|| fixed.allocate(&request)).collect();
    let at: Vec<_> = places.iter().map(|range| (range.region, range.offset, range.size)).collect();
    assert_eq!(at, [(0, 0, 12), (0, 12, 12), (1, 0, 12), (1, 12, 12)]);
    assert_eq!((fixed.used_bytes(), fixed.range_count(), fixed.largest_free_range()), (48, 4, 0));
    fixed.free(places[2].key).expect("the key is live");
    fixed.free(places[1].key).expect("the key is live");
    assert_eq!(fixed.largest_free_range(), 12);
    let next = fixed.probe(&request).map(|spot| (spot.region, spot.offset));
    assert_eq!(next, Some((0, 12)));
    assert_eq!(fixed.allocate_in(1, &request).map(|range| range.offset), Some(0));
    assert_eq!(fixed.allocate_in(7, &request), None);
    fixed.validate().expect("the invariants hold");
}

#[test]
fn what_no_slot_can_hold_is_refused() {
    let mut fixed = fixed(24, &[240]);
    assert_eq!(fixed.allocate(&Request::new(25, 1)), None);
    assert_eq!(fixed.allocate(&Request::new(1, 16)), None);
    assert_eq!(fixed.allocate(&Request::new(u64::MAX, 1 << 63)), None);
    assert!(fixed.allocate(&Request::new(24, 8)).is_some());
}

#[test]
fn a_region_that_came_back_knows_no_old_key() {
    let mut fixed = fixed(4, &[40, 40]);
    let old = fixed.allocate_in(1, &Request::new(1, 1)).expect("it has room").key;
    assert!(!fixed.remove_region(1));
    fixed.free(old).expect("the key is live");
    assert!(fixed.remove_region(1));
    assert_eq!(fixed.add_region(80), 1);
    fixed.allocate_in(1, &Request::new(1, 1)).expect("it has room");
    assert_eq!(fixed.free(old), Err(StaleKey));
    for index in [20, 64, u32::MAX] {
        assert_eq!(fixed.free(RangeKey { index, generation: old.generation + 1 }), Err(StaleKey));
    }
    assert_eq!(fixed.free(RangeKey { index: 0, generation: u32::MAX }), Err(StaleKey));
    fixed.clear();
    assert_eq!(fixed.range_count(), 0);
    fixed.validate().expect("the invariants hold");
}

#[test]
fn a_region_that_came_back_often_knows_none_of_its_old_keys() {
    let mut fixed = fixed(4, &[40, 40]);
    let mut old = Vec::new();
    for _ in 0..100 {
        let new = fixed.allocate_in(1, &Request::new(1, 1)).expect("it has room").key;
        assert!(fixed.resolve(new).is_some());
        assert!(old.iter().all(|&key| fixed.resolve(key).is_none()), "{new:?} {old:?}");
        old.push(new);
        fixed.free(new).expect("the key is live");
        assert!(fixed.remove_region(1));
        assert_eq!(fixed.add_region(40), 1);
    }
}

#[test]
fn a_region_smaller_than_a_slot_serves_nothing_and_breaks_nothing() {
    let mut fixed = fixed(64, &[60, 4]);
    assert_eq!(fixed.allocate(&Request::new(1, 1)), None);
    fixed.validate().expect("the invariants hold");
    assert!(fixed.remove_region(0));
    assert_eq!(fixed.add_region(64), 0);
    assert!(fixed.allocate(&Request::new(1, 1)).is_some());
}

#[test]
fn the_host_pays_a_bit_for_each_slot() {
    let set = Bitmap::new(1).host_bytes();
    assert_eq!(set, size_of::<Vec<u64>>() + size_of::<u64>());
    let bits = (64 + 1) * size_of::<u64>();
    let mut subject = fixed(4, &[4 * 64 * 64; 8]);
    let Suballocator::Fixed(inner) = &subject else { unreachable!("it was made as one") };
    let tables = 8 * size_of::<FixedRegion>() + inner.regions.host_bytes();
    assert_eq!(inner.slots.capacity(), 8);
    assert_eq!(subject.host_bytes(), 8 * (bits + set) + tables + set);
    subject.add_region(4);
    let Suballocator::Fixed(inner) = &subject else { unreachable!("it was made as one") };
    assert!(inner.host_bytes() >= 8 * bits + 9 * (size_of::<FixedRegion>() + 24), "a further region costs");
}

#[test]
fn a_generation_wraps_into_no_other_field() {
    let mut fixed = fixed(4, &[4, 4]);
    for _ in 0..1 << (GENERATION_BITS + 1) {
        let keys = [(); 2].map(|()| fixed.allocate(&Request::new(4, 4)).expect("it has room").key);
        let regions = keys.map(|key| fixed.resolve(key).map(|spot| spot.region));
        assert_eq!(regions, [Some(0), Some(1)]);
        fixed.clear();
        assert_eq!(keys.map(|key| fixed.resolve(key)), [None, None]);
    }
}

#[test]
fn the_host_pays_for_each_level_of_bits() {
    let vec = size_of::<Vec<u64>>();
    let paid = |capacity| Bitmap::new(capacity).host_bytes();
    assert!([paid(64), paid(65)].iter().zip([vec + 8, 2 * vec + 24]).all(|(&paid, least)| paid >= least));
}
