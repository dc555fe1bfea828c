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

#[test]
fn the_host_pays_a_cache_line_for_each_class_and_each_slab() {
    let mut slabs = Slabs::new(64, 0);
    let classes = slabs.classes.len();
    assert_eq!(slabs.host_bytes(), 64 * classes);
    for _ in 0..100 {
        slabs.add(5, 1, 0, (0, 0));
        drain(&mut slabs, 5);
    }
    // Two words of bits, and a place of four bytes and more for each slab.
    let least = 64 * (classes + 100) + 2 * size_of::<u64>() + 100 * size_of::<u32>();
    let paid = slabs.host_bytes();
    assert!(paid >= least && paid <= least + least / 4, "{paid} bytes, {least} at least");
    let places = slabs.classes[5].places.capacity();
    assert!((100..=125).contains(&places), "a quarter more places than there are slabs at most");
    assert_eq!(slabs.classes[5].host_bytes(), 64 + 2 * size_of::<u64>() + places * size_of::<u32>());
}

/// Regions of slabs under test, as many as they name.
fn regions() -> RegionTable {
    let mut regions = RegionTable::new();
    for _ in 0..4 {
        regions.add(1);
    }
    regions
}

/// Takes every slot of a class and returns their keys.
fn drain(slabs: &mut Slabs, class: usize) -> Vec<RangeKey> {
    core::iter::from_fn(|| Some(slabs.take(class, &mut regions())?.key)).collect()
}

#[test]
fn slabs_grow_with_their_class() {
    let mut slabs = Slabs::new(256 << 10, 6);
    let class = slab_class(64);
    let counts: Vec<u64> = (0..13)
        .map(|_| {
            let count = slabs.next_count(class);
            slabs.add(class, count, 0, (0, 0));
            assert_eq!(drain(&mut slabs, class).len() as u64, count);
            count
        })
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16], "a quarter from 64 on");
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
            let taken = slabs.take(class, &mut regions()).expect("64 slots are free");
            assert_eq!((taken.region, taken.offset), (3, 1_000 + slot * 8));
            taken.key
        })
        .collect();
    assert!(slabs.with_room(class).is_none() && slabs.take(class, &mut regions()).is_none());
    let put = slabs.put(keys[7]).map(|put| (put.offset, put.is_empty));
    assert_eq!(put, Some((1_056, false)));
    assert!(slabs.put(keys[7]).is_none() && slabs.resolve(keys[7]).is_none());
    let spot = slabs.resolve(keys[8]).map(|(slab, slot)| slab.spot(slot));
    assert_eq!(spot, Some(Spot { region: 3, offset: 1_064, size: 8 }));
    assert_eq!(slabs.with_room(class), Some(slab));
    assert_eq!(slabs.take(class, &mut regions()).map(|taken| taken.key), Some(keys[7]));
}

#[test]
fn a_removed_slab_makes_its_keys_stale() {
    let mut slabs = Slabs::new(64, 0);
    let slab = slabs.add(3, 1, 9, (0, 0));
    let key = drain(&mut slabs, 3)[0];
    assert!(slabs.put(key).is_some_and(|put| put.is_empty));
    slabs.keep(slab);
    assert_eq!((slabs.remove(slab), slabs.kept_bytes), (9, 0));
    let again = slabs.add(3, 1, 9, (0, 0));
    assert_eq!(again, slab);
    drain(&mut slabs, 3);
    assert!(slabs.put(key).is_none());
}

/// The number of a slab that is gone, with the life that it had.
#[test]
fn the_short_way_frees_nothing_of_a_slab_that_followed() {
    let mut slabs = Slabs::new(64, 0);
    let slab = slabs.add(3, 2, 9, (0, 0));
    let old = drain(&mut slabs, 3);
    assert!(old.iter().all(|&key| slabs.put(key).is_some()));
    slabs.remove(slab);
    assert_eq!(slabs.add(3, 2, 9, (0, 0)), slab);
    let new = drain(&mut slabs, 3);
    let mut put = |keys: &[RangeKey]| [slabs.put_ready(keys[0]), slabs.put_ready(keys[1])];
    assert_eq!((put(&old), put(&new)), ([None, None], [Some(4), None]), "the last one in use is not its business");
}

#[test]
fn a_slab_that_is_removed_from_the_second_word_leaves_no_room() {
    let mut slabs = Slabs::new(64, 0);
    let mut newest = (0, Vec::new());
    for _ in 0..65 {
        newest = (slabs.add(5, 2, 0, (0, 0)), drain(&mut slabs, 5));
    }
    assert!(slabs.put(newest.1[0]).is_some_and(|put| !put.is_empty));
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0b10, Some(newest.0)));
    assert!(slabs.put(newest.1[1]).is_some_and(|put| put.is_empty));
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0, None), "nobody has said that it is kept");
    slabs.keep(newest.0);
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0, Some(newest.0)));
    slabs.remove(newest.0);
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0, None));
}

/// An empty slab may be all that lies in its region; whoever is given a slot of it keeps the region.
#[test]
fn an_empty_slab_serves_when_no_other_has_room() {
    let (mut slabs, mut regions) = (Slabs::new(64, 0), regions());
    let slots: Vec<_> = (0..2)
        .flat_map(|region| {
            slabs.add(3, 2, region, (region, 0));
            [(); 2].map(|()| slabs.take(3, &mut regions).expect("two slots are free"))
        })
        .collect();
    assert_eq!(slots.iter().map(|slot| slot.region).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(slabs.put_ready(slots[0].key), Some(4));
    assert!(slabs.put_last(slots[1].key, 12, &mut regions, u64::MAX).is_some_and(|freed| freed.is_region_empty));
    assert_eq!(slabs.put_ready(slots[3].key), Some(4));
    for region in [1, 0, 0] {
        let slab = slabs.with_room(3).map(|slab| slabs.table[slab as usize].region);
        let taken = slabs.take(3, &mut regions).map(|slot| slot.region);
        assert_eq!((slab, taken), (Some(region), Some(region)));
    }
    assert!(slabs.with_room(3).is_none() && slabs.take(3, &mut regions).is_none());
    assert_eq!((slabs.classes[3].room, slabs.classes[3].empty, slabs.kept_bytes), (0, NONE, 0));
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
        let put = slabs.put(keys[at]).expect("the key is live");
        assert_eq!((slabs.with_room(5), put.is_empty), (Some(put.slab), false));
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
fn the_short_way_empties_a_region_only_within_the_bound() {
    let (mut slabs, mut regions) = (Slabs::new(64, 0), regions());
    let units = regions.get(0).map_or(0, |region| region.units);
    let slab = slabs.add(3, 2, 9, (0, 0));
    let empty_units = regions.empty_units;
    let keys: Vec<_> = (0..2).map(|_| slabs.take(3, &mut regions).expect("two slots are free").key).collect();
    assert_eq!((regions.get(0).map(|region| region.busy), slabs.kept_bytes), (Some(1), 0));
    assert_eq!(regions.empty_units, empty_units - units);
    assert!(slabs.put_last(keys[0], 8, &mut regions, u64::MAX).is_none(), "another slot is used");
    assert_eq!(slabs.put_ready(keys[0]), Some(4), "the other slot keeps the region");
    assert_eq!(slabs.put_ready(keys[0]), None, "it is stale");
    assert!(slabs.put_last(keys[0], 4, &mut regions, u64::MAX).is_none(), "it is stale");
    assert_eq!(slabs.put_ready(keys[1]), None, "no other slot is used");
    assert!(slabs.put_last(keys[1], 4, &mut regions, empty_units - 1).is_none(), "too much would be empty");
    assert_eq!((regions.get(0).map(|region| region.busy), slabs.kept_bytes), (Some(1), 0), "so nothing has changed");
    let freed = slabs.put_last(keys[1], 4, &mut regions, empty_units).expect("within the bound");
    assert_eq!((freed.offset, freed.is_region_empty, regions.empty_units), (4, true, empty_units));
    assert_eq!((slabs.classes[3].empty, slabs.kept_bytes), (slab, 8), "the only empty one of its class is kept");
}

#[test]
fn the_short_way_keeps_no_second_empty_slab() {
    let (mut slabs, mut regions) = (Slabs::new(64, 0), regions());
    regions.occupy(0);
    slabs.add(3, 1, 9, (0, 0));
    let first = slabs.take(3, &mut regions).expect("one slot is free").key;
    let other = slabs.add(3, 1, 10, (0, 4));
    assert!(slabs.has_empty(other));
    assert!(slabs.put_last(first, 4, &mut regions, u64::MAX).is_none(), "the other one is empty");
    let second = slabs.take(3, &mut regions).expect("one slot is free").key;
    assert!(!slabs.has_empty(other));
    assert!(slabs.put_last(first, 8, &mut regions, u64::MAX).is_some());
    assert!(slabs.put_last(second, 4, &mut regions, u64::MAX).is_none(), "now the first one is");
}

#[test]
fn the_short_way_keeps_no_more_than_the_bound() {
    let (mut slabs, mut regions) = (Slabs::new(2 << 20, 0), regions());
    let slot = (1 << 20) + (128 << 10);
    slabs.add(slab_class(slot), 1, 9, (0, 0));
    let key = slabs.take(slab_class(slot), &mut regions).expect("one slot is free").key;
    // A 32nd of 4 MiB are the 128 KiB that the slab has beyond one MiB.
    assert!(slabs.put_last(key, slot + (4 << 20) - 1, &mut regions, u64::MAX).is_none());
    assert!(slabs.put_last(key, slot + (4 << 20), &mut regions, u64::MAX).is_some());
    assert_eq!(slabs.kept_bytes, slot);
}
