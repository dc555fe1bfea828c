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

/// Slabs for sizes of up to 64 bytes.
fn small() -> Slabs {
    Slabs::new(&Settings { slab_limit: 64, ..Settings::plain(1) })
}

#[test]
fn the_host_pays_a_cache_line_for_each_class_and_each_slab() {
    let mut slabs = small();
    let classes = slabs.classes.len();
    assert_eq!(slabs.host_bytes(), 64 * classes);
    for _ in 0..100 {
        add(&mut slabs, 5, 1, 0, (0, 0));
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

/// Adds a slab of free slots to a class that has no other with room.
fn add(slabs: &mut Slabs, class: usize, count: u64, node: u32, spot: (u32, u64)) -> u32 {
    let (index, first) = slabs.open(class, count, node, spot);
    assert!(slabs.put(first.key).is_some_and(|put| put.left == SlabLeft::Kept));
    index
}

/// Takes every slot of a class and returns their keys.
fn drain(slabs: &mut Slabs, class: usize) -> Vec<RangeKey> {
    core::iter::from_fn(|| Some(slabs.take(class, &mut regions())?.key)).collect()
}

#[test]
fn slabs_grow_with_their_class() {
    let mut slabs = Slabs::new(&Settings { slab_limit: 256 << 10, ..Settings::plain(64) });
    let class = slab_class(64);
    let counts: Vec<u64> = (0..13)
        .map(|_| {
            let count = slabs.next_count(class, 0);
            add(&mut slabs, class, count, 0, (0, 0));
            assert_eq!(drain(&mut slabs, class).len() as u64, count);
            count
        })
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 16], "a quarter from 64 on");
    assert_eq!(slabs.next_count(slab_class(1), 0), 64, "4 KiB hold 64 slots of 64 bytes");
    assert_eq!(slabs.next_count(slab_class(16), 0), 4, "and 4 of 1 KiB");
    let large = slab_class(1 << 12);
    slabs.classes[large].slot_count = 100;
    assert_eq!(slabs.next_count(large, 0), 2, "512 KiB hold two slots of 256 KiB");
    slabs.classes[large].slot_count = 1_024;
    assert_eq!(slabs.next_count(large, 0), 16, "a 64th of 256 MiB holds 16");
    slabs.classes[large].slot_count = u32::MAX;
    assert_eq!(slabs.next_count(large, 0), 64);
}

#[test]
fn large_slots_come_in_eights_where_so_much_is_live() {
    let settings = Settings { slab_limit: 256 << 10, large_slot_shift: 13, ..Settings::plain(64) };
    let mut slabs = Slabs::new(&settings);
    let (class, slot) = (slab_class(0x4000), 1 << 20);
    assert_eq!((slabs.is_large(class), slabs.is_large(slab_class(0x1000))), (true, false));
    assert_eq!([(slot << 13) - 1, slot << 13].map(|live| slabs.next_count(class, live)), [0, 8]);
    assert_eq!([0, 8 << 30].map(|live| slabs.largest_request(live)), [256 << 10, 1 << 20]);
    let paid = slabs.host_bytes();
    add(&mut slabs, class, 8, 0, (0, 0));
    assert_eq!(slabs.largest_request(0), 1 << 20, "its slots serve, however little is live by now");
    assert!(slabs.host_bytes() >= paid + 64 * (class - slab_class(0x1000)), "classes come with the first slab");
    assert_eq!(slabs.largest_request(u64::MAX), 1 << 31);
    let plain = Slabs::new(&Settings { slab_limit: 256 << 10, ..Settings::plain(64) });
    assert_eq!((plain.next_count(class, 1 << 60), plain.largest_request(1 << 60)), (0, 256 << 10));
}

/// Slabs of small sizes, of up to 64 bytes, and of large ones.
fn with_large() -> Slabs {
    Slabs::new(&Settings { slab_limit: 64, large_slot_shift: 13, ..Settings::plain(1) })
}

#[test]
fn slabs_of_large_slots_with_room_are_walked_from_the_largest_on() {
    let mut slabs = with_large();
    let mut keys = Vec::new();
    for (class, count) in [(slab_class(1_000), 70), (slab_class(5_000), 1), (slab_class(8), 1)] {
        for _ in 0..count {
            add(&mut slabs, class, 8, 0, (0, 0));
            keys.extend(drain(&mut slabs, class));
        }
    }
    assert_eq!(slabs.large_partly_used().next(), None);
    for slab in [65, 1, 71, 70, 3] {
        assert!(slabs.put(keys[slab * 8 + 2]).is_some());
    }
    assert_eq!(slabs.large_partly_used().collect::<Vec<_>>(), [70, 1, 3, 65]);
}

#[test]
fn what_is_cut_off_at_an_end_is_no_slot_any_more() {
    let (mut slabs, class) = (with_large(), slab_class(1_024));
    let slab = add(&mut slabs, class, 8, 0, (0, 4_096));
    let keys = drain(&mut slabs, class);
    let free = |slabs: &mut Slabs, slots: &[usize]| {
        assert!(slots.iter().all(|&slot| slabs.put(keys[slot]).is_some()));
        [End::Low, End::High].map(|side| slabs.table[slab as usize].free_at(side))
    };
    assert_eq!(free(&mut slabs, &[0, 1, 6, 7]), [2, 2]);
    assert_eq!(slabs.cut_off(slab, End::Low), 2);
    assert_eq!(free(&mut slabs, &[2]), [1, 2]);
    assert_eq!((slabs.cut_off(slab, End::High), slabs.cut_off(slab, End::Low)), (2, 1));
    assert_eq!((slabs.table[slab as usize].start(), slabs.table[slab as usize].slot_count), (4_096 + 3 * 1_024, 3));
    assert_eq!(
        (slabs.classes[class].slot_count, slabs.large_bytes, slabs.large_partly_used().next()),
        (3, 3_072, None)
    );
    assert!(keys[..3].iter().chain(&keys[6..]).all(|&key| slabs.put(key).is_none()));
    assert_eq!(free(&mut slabs, &[4]), [0, 0]);
    assert!(slabs.put(keys[3]).is_some() && slabs.put(keys[5]).is_some_and(|put| put.left == SlabLeft::Kept));
    let again = slabs.take(class, &mut regions()).map(|slot| slot.offset);
    assert_eq!(again, Some(4_096 + 3 * 1_024), "its first slot is the fourth");
}

#[test]
fn a_slab_is_opened_with_its_first_slot_taken() {
    for count in [1, 64] {
        let (mut slabs, class) = (small(), slab_class(8));
        let (slab, first) = slabs.open(class, count, 9, (3, 1_000));
        assert_eq!((first.region, first.offset, first.size, slabs.kept_bytes), (3, 1_000, 8, 0));
        assert_eq!((slabs.table[slab as usize].node, slabs.has_slot(class)), (9, count > 1));
        assert_eq!(drain(&mut slabs, class).len() as u64, count - 1);
        assert!(!slabs.has_slot(class) && slabs.put(first.key).is_some() && slabs.has_slot(class));
    }
}

#[test]
fn slots_are_taken_once_and_put_once() {
    let mut slabs = small();
    let class = slab_class(8);
    let slab = add(&mut slabs, class, 64, 0, (3, 1_000));
    let keys: Vec<_> = (0..64)
        .map(|slot| {
            let taken = slabs.take(class, &mut regions()).expect("64 slots are free");
            assert_eq!((taken.region, taken.offset), (3, 1_000 + slot * 8));
            taken.key
        })
        .collect();
    assert!(slabs.with_room(class).is_none() && slabs.take(class, &mut regions()).is_none());
    let put = slabs.put(keys[7]).map(|put| (put.offset, put.left));
    assert_eq!(put, Some((1_056, SlabLeft::InUse)));
    assert!(slabs.put(keys[7]).is_none() && slabs.resolve(keys[7]).is_none());
    let spot = slabs.resolve(keys[8]).map(|(slab, slot)| slab.spot(slot));
    assert_eq!(spot, Some(Spot { region: 3, offset: 1_064, size: 8 }));
    assert_eq!(slabs.with_room(class), Some(slab));
    assert_eq!(slabs.take(class, &mut regions()).map(|taken| taken.key), Some(keys[7]));
}

#[test]
fn a_removed_slab_makes_its_keys_stale() {
    let mut slabs = small();
    let slab = add(&mut slabs, 3, 1, 9, (0, 0));
    let key = drain(&mut slabs, 3)[0];
    assert!(slabs.put(key).is_some_and(|put| put.left == SlabLeft::Kept));
    assert_eq!((slabs.remove(slab), slabs.kept_bytes), (9, 0));
    let again = add(&mut slabs, 3, 1, 9, (0, 0));
    assert_eq!(again, slab);
    drain(&mut slabs, 3);
    assert!(slabs.put(key).is_none());
}

/// The number of a slab that is gone, with the life that it had.
#[test]
fn the_short_way_frees_nothing_of_a_slab_that_followed() {
    let mut slabs = small();
    let slab = add(&mut slabs, 3, 2, 9, (0, 0));
    let old = drain(&mut slabs, 3);
    assert!(old.iter().all(|&key| slabs.put(key).is_some()));
    slabs.remove(slab);
    assert_eq!(add(&mut slabs, 3, 2, 9, (0, 0)), slab);
    let new = drain(&mut slabs, 3);
    let mut put = |keys: &[RangeKey]| [slabs.put_ready(keys[0]), slabs.put_ready(keys[1])];
    assert_eq!((put(&old), put(&new)), ([None, None], [Some(4), None]), "the last one in use is not its business");
}

#[test]
fn a_slab_that_is_removed_from_the_second_word_leaves_no_room() {
    let mut slabs = small();
    let mut newest = (0, Vec::new());
    for _ in 0..65 {
        newest = (add(&mut slabs, 5, 2, 0, (0, 0)), drain(&mut slabs, 5));
    }
    assert!(slabs.put(newest.1[0]).is_some_and(|put| put.left == SlabLeft::InUse));
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0b10, Some(newest.0)));
    assert!(slabs.put(newest.1[1]).is_some_and(|put| put.left == SlabLeft::Kept));
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0, Some(newest.0)));
    slabs.remove(newest.0);
    assert_eq!((slabs.classes[5].room, slabs.with_room(5)), (0, None));
}

/// An empty slab may be all that lies in its region; whoever is given a slot of it keeps the region.
#[test]
fn an_empty_slab_serves_when_no_other_has_room() {
    let (mut slabs, mut regions) = (small(), regions());
    let slots: Vec<_> = (0..2)
        .flat_map(|region| {
            add(&mut slabs, 3, 2, region, (region, 0));
            [(); 2].map(|()| slabs.take(3, &mut regions).expect("two slots are free"))
        })
        .collect();
    assert_eq!(slots.iter().map(|slot| slot.region).collect::<Vec<_>>(), [0, 0, 1, 1]);
    assert_eq!(slabs.put_ready(slots[0].key), Some(4));
    assert!(slabs.put(slots[1].key).is_some_and(|put| put.left == SlabLeft::Kept) && regions.vacate(0));
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
    let mut slabs = small();
    let keys: Vec<_> = (0..200)
        .flat_map(|_| {
            add(&mut slabs, 5, 2, 0, (0, 0));
            drain(&mut slabs, 5).into_iter().take(1)
        })
        .collect();
    assert_eq!(slabs.classes[5].words.len(), 4);
    for &at in &[199, 70, 64, 3] {
        let put = slabs.put(keys[at]).expect("the key is live");
        assert_eq!((slabs.with_room(5), put.left), (Some(put.slab), SlabLeft::InUse));
    }
    let order: Vec<_> = drain(&mut slabs, 5).into_iter().map(|key| key.index).collect();
    assert_eq!(order, [3, 64, 70, 199].map(|at| keys[at].index));
}

#[test]
fn a_class_that_has_all_its_places_gets_no_further_slab() {
    let (small, large) = (2, slab_class(1_000));
    for class in [small, large] {
        let mut slabs = with_large();
        let next_count = |slabs: &Slabs| slabs.next_count(class, 1 << 40);
        for _ in 0..PLACE_COUNT {
            assert!(next_count(&slabs) > 0);
            add(&mut slabs, class, 1, 0, (0, 0));
            drain(&mut slabs, class);
        }
        assert_eq!(next_count(&slabs), 0);
        slabs.remove(77);
        assert!(next_count(&slabs) > 0);
        add(&mut slabs, class, 1, 0, (0, 0));
        assert_eq!((slabs.table[77].place, next_count(&slabs)), (77, 0));
    }
}

#[test]
fn the_short_way_leaves_the_last_slot_of_a_slab() {
    let mut slabs = small();
    add(&mut slabs, 3, 2, 9, (0, 0));
    let keys = drain(&mut slabs, 3);
    assert_eq!(slabs.put_ready(keys[0]), Some(4), "the other slot is used");
    assert_eq!(slabs.put_ready(keys[0]), None, "it is stale");
    assert_eq!(slabs.put_ready(keys[1]), None, "no other slot is used");
    assert!(slabs.resolve(keys[1]).is_some(), "so nothing has changed");
}

#[test]
fn a_class_keeps_one_empty_slab() {
    let mut slabs = small();
    let keys: Vec<_> = (0..2)
        .map(|node| {
            add(&mut slabs, 3, 1, node, (0, 0));
            drain(&mut slabs, 3)[0]
        })
        .collect();
    let mut put = |key| slabs.put(key).map(|put| (put.slab, put.left));
    assert_eq!([put(keys[0]), put(keys[1])], [Some((0, SlabLeft::Kept)), Some((1, SlabLeft::Surplus))]);
    assert_eq!((slabs.classes[3].empty, slabs.kept_bytes), (0, 4));
    assert_eq!((slabs.remove(1), slabs.kept_bytes, slabs.with_room(3)), (1, 4, Some(0)));
    assert_eq!((slabs.remove(0), slabs.kept_bytes, slabs.with_room(3)), (0, 0, None));
}
