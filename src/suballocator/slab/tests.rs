//! Tests of slabs.

use super::*;

#[test]
fn a_slab_is_one_cache_line() {
    assert_eq!((size_of::<Slab>(), align_of::<Slab>()), (64, 64));
}

#[test]
fn a_class_is_one_cache_line() {
    assert_eq!((size_of::<SlabClass>(), align_of::<SlabClass>()), (64, 64));
}

/// Takes every slot of a class and returns their keys.
fn drain(slabs: &mut Slabs, class: usize) -> Vec<RangeKey> {
    core::iter::from_fn(|| {
        let taken = slabs.take::<false>(class)?;
        if taken.was_empty {
            slabs.reuse(taken.slab);
        }
        Some(taken.key)
    })
    .collect()
}

#[test]
fn slabs_grow_with_their_class() {
    let mut slabs = Slabs::new(256 << 10, 6);
    let class = slab_class(64);
    let counts: Vec<u64> = (0..12)
        .map(|_| {
            let count = slabs.next_count(class);
            slabs.add(class, count, 0, (0, 0));
            assert_eq!(drain(&mut slabs, class).len() as u64, count);
            count
        })
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16]);
    assert_eq!(slabs.next_count(slab_class(1)), 64, "4 KiB hold 64 slots of 64 bytes");
    assert_eq!(slabs.next_count(slab_class(16)), 4, "and 4 of 1 KiB");
    let large = slab_class(1 << 12);
    slabs.classes[large].slots = 100;
    assert_eq!(slabs.next_count(large), 2, "512 KiB hold two slots of 256 KiB");
    slabs.classes[large].slots = 1_024;
    assert_eq!(slabs.next_count(large), 16, "a 64th of 256 MiB holds 16");
    slabs.classes[large].slots = u32::MAX;
    assert_eq!(slabs.next_count(large), 64);
}

#[test]
fn slots_are_taken_once_and_put_once() {
    let mut slabs = Slabs::new(64, 0);
    let class = slab_class(8);
    let slab = slabs.add(class, 64, 0, (3, 1_000));
    let keys: Vec<_> = (0..64)
        .map(|slot| {
            let taken = slabs.take::<false>(class).expect("64 slots are free");
            assert_eq!((taken.region, taken.offset, taken.was_empty), (3, 1_000 + slot * 8, slot == 0));
            taken.key
        })
        .collect();
    assert!(slabs.with_room(class).is_none() && slabs.take::<false>(class).is_none());
    let put = slabs.put::<false>(keys[7]).map(|put| (put.offset, put.is_empty));
    assert_eq!(put, Some((1_056, false)));
    assert!(slabs.put::<false>(keys[7]).is_none() && slabs.resolve(keys[7]).is_none());
    let spot = slabs.resolve(keys[8]).map(|(slab, slot)| slab.spot(slot));
    assert_eq!(spot, Some(Spot { region: 3, offset: 1_064, size: 8 }));
    assert_eq!(slabs.with_room(class), Some(slab));
    assert_eq!(slabs.take::<false>(class).map(|taken| taken.key), Some(keys[7]));
}

#[test]
fn a_removed_slab_makes_its_keys_stale() {
    let mut slabs = Slabs::new(64, 0);
    let slab = slabs.add(3, 1, 9, (0, 0));
    let key = drain(&mut slabs, 3)[0];
    assert!(slabs.put::<false>(key).is_some_and(|put| put.is_empty));
    slabs.keep(slab);
    assert_eq!((slabs.remove(slab), slabs.kept_bytes), (9, 0));
    let again = slabs.add(3, 1, 9, (0, 0));
    assert_eq!(again, slab);
    drain(&mut slabs, 3);
    assert!(slabs.put::<false>(key).is_none());
}

#[test]
fn the_lowest_place_with_room_serves() {
    let mut slabs = Slabs::new(64, 0);
    let keys: Vec<_> = (0..200)
        .flat_map(|_| {
            slabs.add(5, 2, 0, (0, 0));
            drain(&mut slabs, 5).into_iter().take(1)
        })
        .collect();
    assert_eq!(slabs.classes[5].words.len(), 4);
    for &at in &[199, 70, 64, 3] {
        let put = slabs.put::<false>(keys[at]).expect("the key is live");
        assert_eq!((slabs.with_room(5), put.is_empty), (Some(put.slab), false));
        assert_eq!(slabs.is_alone(put.slab), at == 199);
    }
    let order: Vec<_> = drain(&mut slabs, 5).into_iter().map(|key| key.index).collect();
    assert_eq!(order, [3, 64, 70, 199].map(|at| keys[at].index));
}

#[test]
fn a_class_that_has_all_its_places_gets_no_further_slab() {
    let mut slabs = Slabs::new(64, 0);
    for _ in 0..PLACE_COUNT {
        assert!(slabs.next_count(2) > 0);
        slabs.add(2, 1, 0, (0, 0));
        drain(&mut slabs, 2);
    }
    assert_eq!(slabs.next_count(2), 0);
    slabs.remove(77);
    assert!(slabs.next_count(2) > 0);
    slabs.add(2, 1, 0, (0, 0));
    assert_eq!((slabs.table[77].place, slabs.next_count(2)), (77, 0));
}

#[test]
fn a_slab_in_use_stays_in_use() {
    let mut slabs = Slabs::new(64, 0);
    let slab = slabs.add(3, 2, 9, (0, 0));
    assert!(slabs.take::<true>(3).is_none(), "nothing of it is used yet");
    let keys = drain(&mut slabs, 3);
    assert!(slabs.put::<true>(keys[0]).is_some_and(|put| !put.is_empty));
    assert!(slabs.put::<true>(keys[1]).is_none(), "it is the last one");
    assert!(slabs.resolve(keys[1]).is_some());
    assert_eq!(slabs.take::<true>(3).map(|taken| (taken.slab, taken.key)), Some((slab, keys[0])));
}
