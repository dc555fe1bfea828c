//! Tests of the public face: keys, errors, user data, iteration.

use alloc::string::ToString;

use super::super::End;
use super::super::free_lists::LIST_LOOK_COUNT;
use super::*;

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 64 }];

fn block(algorithm: Algorithm) -> VirtualBlock {
    VirtualBlock::new(&VirtualBlockCreateInfo::new(4_096).algorithm(algorithm)).expect("the description is sound")
}

#[test]
fn keys_and_allocations_are_small() {
    assert_eq!((size_of::<VirtualKey>(), size_of::<VirtualAllocation>()), (16, 32));
}

#[test]
fn senseless_requests_are_errors() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        for (size, alignment) in [(0, 1), (0, 0), (1, 0), (1, 3), (u64::MAX, u64::MAX), (64, 96)] {
            let request = Request::new(size, alignment);
            let refused = block.allocate(&request).expect_err("it makes no sense");
            assert!(matches!(refused, VirtualAllocateError::Invalid(_)), "{refused}");
            assert_eq!(block.probe(&request), Err(refused));
        }
        assert!(block.is_empty());
    }
    let zero = Request::new(0, 1).check().expect_err("0 bytes are nothing");
    assert_eq!(zero.to_string(), "a range of 0 bytes was asked for");
    let three = Request::new(1, 3).check().expect_err("3 is no power of two");
    assert_eq!(three.to_string(), "an alignment of 3 bytes is not a power of two");
}

#[test]
fn what_does_not_fit_says_what_is_free() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        for size in [4_097, u64::MAX] {
            for end in [None, Some(End::Low), Some(End::High)] {
                let refused = block.allocate(&Request { size, alignment: 1 << 63, end });
                assert!(matches!(refused, Err(VirtualAllocateError::NoRoom { free_bytes: 4_096, .. })));
            }
        }
    }
    let refused = block(Algorithm::Tlsf).allocate(&Request::new(5_000, 8)).expect_err("it is too large");
    let text = "no free range for 5000 aligned to 8: 4096 free, the largest range has 4096";
    assert_eq!(refused.to_string(), text);
}

#[test]
fn senseless_descriptions_are_errors() {
    let make = |info: VirtualBlockCreateInfo| VirtualBlock::new(&info).map(|_| ());
    let info = VirtualBlockCreateInfo::new(1 << 20);
    assert_eq!(make(info.unit(0)), Err(VirtualBlockError::Unit { unit: 0 }));
    assert_eq!(make(info.unit(48)), Err(VirtualBlockError::Unit { unit: 48 }));
    for (size, unit) in [(0, 1), (100, 64), (1 << 42, 1), (u64::MAX, 1), (u64::MAX - 63, 64)] {
        assert_eq!(make(VirtualBlockCreateInfo::new(size).unit(unit)), Err(VirtualBlockError::Size { size, unit }));
    }
    for (slot_size, size, unit) in [(0, 1 << 20, 1), (1 << 21, 1 << 20, 1), (96, 1 << 20, 64), (1, 1 << 33, 1)] {
        let info = VirtualBlockCreateInfo::new(size).unit(unit).algorithm(Algorithm::Fixed { slot_size });
        assert_eq!(make(info), Err(VirtualBlockError::SlotSize { slot_size, size, unit }));
    }
    assert_eq!(make(info.slab_limit(u64::MAX)), Ok(()));
    assert_eq!(make(VirtualBlockCreateInfo::new(MAX_SIZE)), Ok(()), "the largest");
    let bits = Algorithm::Fixed { slot_size: 1 };
    assert_eq!(VirtualBlockCreateInfo::new(MAX_SLOT_COUNT).algorithm(bits).check(), Ok(()), "the most slots");
    assert_eq!(make(VirtualBlockCreateInfo::new(64).algorithm(Algorithm::Fixed { slot_size: 64 })), Ok(()));
    let lines = Algorithm::Fixed { slot_size: 64 };
    assert_eq!(VirtualBlockCreateInfo::new(1 << 33).algorithm(lines).check(), Ok(()), "2^27 slots");
    assert_eq!(make(VirtualBlockCreateInfo::new(1 << 63).unit(1 << 63).slab_limit(u64::MAX)), Ok(()));
}

#[test]
fn a_foreign_key_comes_back() {
    for algorithm in ALGORITHMS {
        let (mut own, mut other) = (block(algorithm), block(algorithm));
        let key = own.allocate(&Request::new(10, 1)).expect("it has room").key;
        let untouched = other.allocate(&Request::new(10, 1)).expect("it has room");
        assert_eq!(other.range(&key), None);
        assert!(!other.set_user_data(&key, 1));
        let refused = other.free(key).expect_err("the key is another block's");
        assert!(matches!(refused, VirtualFreeError::Foreign(_)));
        assert_eq!(other.range(&untouched.key), Some((untouched.offset, untouched.size)));
        own.free(refused.into_key()).expect("the key is this block's");
    }
}

#[test]
fn a_key_from_before_clear_comes_back() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        let old = block.allocate(&Request::new(10, 1)).expect("it has room");
        assert!(block.set_user_data(&old.key, 7));
        block.clear();
        assert!(block.is_empty());
        let new = block.allocate(&Request::new(10, 1)).expect("it has room");
        assert_eq!(new.offset, old.offset);
        assert_eq!((block.user_data(&old.key), block.user_data(&new.key)), (None, Some(0)));
        let refused = block.free(old.key).expect_err("the block was cleared since");
        assert!(matches!(refused, VirtualFreeError::Stale(_)));
        assert_eq!(refused.to_string(), "the key's range was freed when its block was cleared");
        block.free(new.key).expect("the key is live");
        block.validate().expect("the invariants hold");
    }
}

#[test]
fn a_key_stays_stale_however_often_the_block_is_cleared() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        let old = block.allocate(&Request::new(10, 1)).expect("it has room");
        (0..1_024).for_each(|_| block.clear());
        let _kept = block.allocate(&Request::new(10, 1)).expect("it has room");
        assert_eq!(block.range(&old.key), None);
        assert!(matches!(block.free(old.key), Err(VirtualFreeError::Stale(_))));
    }
}

#[test]
fn user_data_stay_with_their_range() {
    let info = VirtualBlockCreateInfo::new(1 << 20);
    let slots = info.algorithm(Algorithm::Fixed { slot_size: 4_096 });
    for info in [info, info.slab_limit(1_024), info.algorithm(Algorithm::Linear), slots] {
        let mut block = VirtualBlock::new(&info).expect("the description is sound");
        let keys: Vec<_> =
            (1..=100).map(|size| block.allocate(&Request::new(size * 30, 1)).expect("it has room").key).collect();
        for (value, key) in (1..).zip(&keys) {
            assert!(block.set_user_data(key, value));
        }
        for (value, key) in (1..).zip(&keys) {
            assert_eq!(block.user_data(key), Some(value));
        }
        let mut shown = 0;
        block.for_each_range(|range| {
            if let VirtualRangeState::Used { user_data } = range.state {
                shown += user_data;
            }
        });
        assert_eq!(shown, 5_050);
        for key in keys {
            block.free(key).expect("the key is live");
        }
        for _ in 0..100 {
            let key = block.allocate(&Request::new(300, 1)).expect("it has room").key;
            assert_eq!(block.user_data(&key), Some(0));
        }
    }
}

#[test]
fn iteration_tiles_the_block() {
    for algorithm in ALGORITHMS {
        let info = VirtualBlockCreateInfo::new(4_000).algorithm(algorithm);
        let mut block = VirtualBlock::new(&info).expect("the description is sound");
        let mut keys: Vec<_> =
            [10, 20, 30, 40].map(|size| block.allocate(&Request::new(size, 8)).expect("it has room").key).into();
        block.free(keys.swap_remove(1)).expect("the key is live");
        let (mut end, mut used, mut count) = (0, 0, 0);
        block.for_each_range(|range| {
            assert_eq!(range.offset, end);
            end += range.size;
            if matches!(range.state, VirtualRangeState::Used { .. }) {
                (used, count) = (used + range.size, count + 1);
            }
        });
        let statistics = block.statistics();
        assert_eq!((end, used, count), (4_000, statistics.used_bytes, statistics.allocation_count));
        assert_eq!(statistics.free_bytes, 4_000 - used);
    }
}

#[test]
fn a_block_of_a_tebibyte_is_cut_by_the_byte() {
    let info = VirtualBlockCreateInfo::new(1 << 40);
    let mut block = VirtualBlock::new(&info).expect("the description is sound");
    let low = block.allocate(&Request::new((1 << 39) + 1, 1).end(End::Low)).expect("it has room");
    let high = block.allocate(&Request::new((1 << 39) - 3, 1)).expect("it has room");
    assert_eq!((low.offset, high.offset), (0, (1 << 39) + 3));
    assert_eq!(block.statistics().largest_free_range, 2);
    let rest = block.allocate(&Request::new(2, 1)).expect("it has room");
    assert_eq!(block.statistics().free_bytes, 0);
    for key in [low.key, rest.key, high.key] {
        block.free(key).expect("the key is live");
    }
    assert_eq!(block.statistics().largest_free_range, 1 << 40);
    block.validate().expect("the invariants hold");
}

#[test]
fn sizes_of_64_kib_and_more_lie_at_the_high_end() {
    let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(1 << 20)).expect("the description is sound");
    let mut at = |size| block.allocate(&Request::new(size, 1)).map(|range| range.offset);
    assert_eq!((at((64 << 10) - 1), at(64 << 10)), (Ok(0), Ok((1 << 20) - (64 << 10))));
}

#[test]
fn slabs_serve_what_is_asked_to_be_served_by_them() {
    for (slab_limit, taken) in [(0, 1_000), (512, 1_000), (1_024, 1_024)] {
        let info = VirtualBlockCreateInfo::new(1 << 20).slab_limit(slab_limit);
        let mut block = VirtualBlock::new(&info).expect("the description is sound");
        let size = block.allocate(&Request::new(1_000, 1)).expect("it has room").size;
        assert_eq!(size, taken, "with slabs of up to {slab_limit} bytes");
    }
}

#[test]
fn a_refusal_says_how_much_is_free() {
    let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(1000)).expect("a sound description");
    let _kept = block.allocate(&Request::new(600, 1)).expect("it has room");
    let refused = block.allocate(&Request::new(500, 1)).expect_err("400 are left");
    assert!(matches!(refused, VirtualAllocateError::NoRoom { free_bytes: 400, largest: 400, .. }), "{refused}");
}

#[test]
fn the_host_pays_for_user_data_too() {
    let mut block = block(Algorithm::Tlsf);
    let keys = [(); 10].map(|()| block.allocate(&Request::new(16, 1)).expect("it has room").key);
    let before = block.statistics().host_bytes;
    assert!(keys.iter().all(|key| block.set_user_data(key, 7)));
    let paid = block.statistics().host_bytes - before;
    assert!((80..=16 * 80).contains(&paid), "{paid} bytes for ten words");
}

#[test]
fn a_broken_invariant_is_said_and_so_is_emptiness() {
    let mut block = block(Algorithm::Tlsf);
    let _kept = block.allocate(&Request::new(16, 1)).expect("it has room");
    assert!(!block.is_empty());
    let Suballocator::Tlsf(tlsf) = &mut block.suballocator else { unreachable!("it was made as one") };
    tlsf.range_count += 1;
    assert_eq!(block.validate().map_err(|violation| violation.invariant), Err("A1"));
}

#[test]
fn a_slot_is_as_aligned_as_was_asked_whatever_the_unit() {
    for unit in (0..17).map(|shift| 1 << shift) {
        let info = VirtualBlockCreateInfo::new(1 << 22).unit(unit).slab_limit(16 * unit);
        for alignment in (0..20).map(|shift| 1 << shift) {
            let mut block = VirtualBlock::new(&info).expect("the description is sound");
            let _first = block.allocate(&Request::new(unit, 1)).expect("it has room");
            let offset = block.allocate(&Request::new(2 * unit, alignment)).expect("it has room").offset;
            assert_eq!(offset % alignment, 0, "unit {unit}, alignment {alignment}");
        }
    }
}

#[test]
fn the_largest_free_range_counts_slabs_that_are_empty() {
    let info = VirtualBlockCreateInfo::new(1 << 20).slab_limit(4_096);
    let mut block = VirtualBlock::new(&info).expect("the description is sound");
    let slot = block.allocate(&Request::new(4_096, 1)).expect("it has room");
    block.free(slot.key).expect("the key is live");
    assert_eq!(block.statistics().largest_free_range, 1 << 20);
    let refused = block.allocate(&Request::new(2 << 20, 1));
    assert!(matches!(refused, Err(VirtualAllocateError::NoRoom { largest: 0x10_0000, .. })));
    assert!(block.allocate(&Request::new(1 << 20, 1)).is_ok());
}

/// A block of TLSF that is full but for free ranges of these sizes, freed in this order, the first at offset 0.
fn with_holes(sizes: &[u64]) -> VirtualBlock {
    let info = VirtualBlockCreateInfo::new(sizes.iter().sum::<u64>() + sizes.len() as u64);
    let mut block = VirtualBlock::new(&info).expect("the description is sound");
    let mut take = |size| block.allocate(&Request::new(size, 1)).expect("it has room").key;
    let keys: Vec<_> = sizes.iter().map(|&size| (take(size), take(1)).0).collect();
    for key in keys {
        block.free(key).expect("the key is live");
    }
    block
}

#[test]
fn before_a_refusal_more_of_a_list_is_looked_at() {
    let sizes: Vec<u64> = core::iter::once(67).chain([64; LIST_LOOK_COUNT - 1]).collect();
    for sizes in [&[67, 64, 64, 64, 64], &sizes[..]] {
        let mut block = with_holes(sizes);
        let spot = block.probe(&Request::new(67, 1));
        assert_eq!((spot, block.allocate(&Request::new(67, 1)).map(|range| range.offset)), (Ok((0, 67)), Ok(0)));
    }
    let one_more: Vec<u64> = sizes.iter().copied().chain([64]).collect();
    let refused = with_holes(&one_more).allocate(&Request::new(67, 1));
    assert!(matches!(refused, Err(VirtualAllocateError::NoRoom { .. })), "it is behind those that are looked at");
}

#[test]
fn a_refusal_looks_at_few_ranges_to_say_how_large_they_are() {
    for (sames, told) in [(LIST_LOOK_COUNT - 1, 67), (LIST_LOOK_COUNT, 64), (1_000, 64)] {
        let sizes: Vec<u64> = core::iter::once(67).chain(core::iter::repeat_n(64, sames)).collect();
        let mut block = with_holes(&sizes);
        let refused = block.allocate(&Request::new(68, 1)).expect_err("no range is as large");
        assert!(matches!(refused, VirtualAllocateError::NoRoom { largest, .. } if largest == told), "{refused}");
        assert_eq!((block.probe(&Request::new(68, 1)), block.statistics().largest_free_range), (Err(refused), 67));
    }
}

#[test]
fn before_a_refusal_more_of_each_longer_list_is_looked_at() {
    assert_eq!(with_holes(&[64; 5]).allocate(&Request::new(64, 64)).map(|range| range.offset), Ok(0));
    let sizes = [100, 79, 100, 79, 100, 79];
    assert_eq!(with_holes(&sizes).allocate(&Request::new(64, 1_024)).map(|range| range.offset), Ok(0));
}

/// What the documentation of [`VirtualBlockCreateInfo::slab_limit`], [`VirtualAllocation::size`] and [`End`] says.
#[test]
fn sizes_are_rounded_as_documented() {
    let taken = |size, slab_limit, request: Request| {
        let info = VirtualBlockCreateInfo::new(size).slab_limit(slab_limit);
        let mut block = VirtualBlock::new(&info).expect("the description is sound");
        block.allocate(&request).map(|range| (range.offset, range.size))
    };
    let aligned = Request::new(1_023, 64);
    assert_eq!(taken(4_096, 0, aligned), Ok((0, 1_024)), "a 16th at most is added");
    assert_eq!(taken(1_023, 0, aligned), Ok((0, 1_023)), "there is no room for more");
    assert_eq!(taken(4_095, 0, aligned.end(End::High)), Ok((3_008, 1_024)), "the highest for 1024");
    assert_eq!(taken(4_096, 0, Request::new(1_023, 128)), Ok((0, 1_024)));
    assert_eq!(taken(4_096, 0, Request::new(900, 128)), Ok((0, 900)), "it would be more than a 16th");
    assert_eq!(taken(1 << 20, 4_096, Request::new(820, 1_024)), Ok((0, 1_024)), "a quarter at most is added");
    assert_eq!(taken(1 << 20, 1_000, Request::new(1_010, 1)), Ok((0, 1_024)), "the limit is a slot of 1024");
    assert_eq!(taken(1 << 20, 1_000, Request::new(1_025, 1)), Ok((0, 1_025)));
}

#[test]
fn fixed_slots_refuse_what_none_of_them_can_be() {
    let info = VirtualBlockCreateInfo::new(960).algorithm(Algorithm::Fixed { slot_size: 96 });
    let mut block = VirtualBlock::new(&info).expect("the description is sound");
    for (request, is_served) in
        [(Request::new(96, 32), true), (Request::new(1, 64), false), (Request::new(97, 1), false)]
    {
        assert_eq!(block.allocate(&request).is_ok(), is_served, "{request:?}");
    }
}

#[test]
fn a_key_stays_stale_when_the_epochs_are_used_up() {
    for algorithm in ALGORITHMS {
        let mut block = block(algorithm);
        let old = block.allocate(&Request::new(10, 1)).expect("it has room");
        let id = block.id;
        // As often as the generations of fixed slots go round once.
        block.epoch = u32::MAX - 1_023;
        (0..1_023).for_each(|_| block.clear());
        assert_eq!((block.id, block.epoch), (id, u32::MAX));
        block.clear();
        let kept = block.allocate(&Request::new(10, 1)).expect("it has room");
        assert_eq!((block.range(&old.key), block.range(&kept.key)), (None, Some((kept.offset, kept.size))));
        assert!(block.free(old.key).is_err());
    }
}
