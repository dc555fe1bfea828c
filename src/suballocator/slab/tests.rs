//! Tests of slabs.

use super::*;

#[test]
fn a_slab_is_one_cache_line() {
    assert_eq!((size_of::<Slab>(), align_of::<Slab>()), (64, 64));
}

#[test]
fn slabs_grow_with_their_class() {
    let mut slabs = Slabs::new(1 << 12, 6);
    let class = slab_class(16);
    let counts: Vec<u64> = (0..12)
        .map(|_| {
            let count = slabs.next_count(class);
            let slab = slabs.add(class, count, 0, 0);
            (0..count).for_each(|_| assert!(slabs.take(slab).units == 16));
            slabs.reuse(slab);
            count
        })
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16]);
    let large = slab_class(1 << 12);
    slabs.classes[large].slots = 1_000;
    assert_eq!(slabs.next_count(large), 2, "512 KiB hold two slots of 256 KiB");
}

#[test]
fn slots_are_taken_once_and_put_once() {
    let mut slabs = Slabs::new(64, 0);
    let class = slab_class(8);
    let slab = slabs.add(class, 64, 0, 1_000);
    let keys: Vec<_> = (0..64)
        .map(|slot| {
            let taken = slabs.take(slab);
            assert_eq!((taken.place, taken.was_empty), (1_000 + slot * 8, slot == 0));
            taken.key
        })
        .collect();
    assert_eq!(slabs.with_room(class), None);
    let put = slabs.put(keys[7]).map(|put| (put.place, put.is_empty));
    assert_eq!(put, Some((1_056, false)));
    assert!(slabs.put(keys[7]).is_none() && slabs.resolve(keys[7]).is_none());
    assert_eq!(slabs.resolve(keys[8]), Some((1_064, 8)));
    assert_eq!(slabs.with_room(class), Some(slab));
    assert_eq!(slabs.take(slab).key, keys[7]);
}

#[test]
fn a_removed_slab_makes_its_keys_stale() {
    let mut slabs = Slabs::new(64, 0);
    let slab = slabs.add(3, 1, 9, 0);
    let key = slabs.take(slab).key;
    slabs.reuse(slab);
    assert!(slabs.put(key).is_some_and(|put| put.is_empty));
    slabs.keep(slab);
    assert_eq!((slabs.remove(slab), slabs.cached_units), (9, 0));
    let again = slabs.add(3, 1, 9, 0);
    assert_eq!(again, slab);
    slabs.take(again);
    assert!(slabs.put(key).is_none());
}
