//! Wishes of single allocations and of the whole allocator: alignment, sizes of blocks; and what tells about them: the
//! map of memory, owned resources written in place, what an error says of the driver.

mod common;

use std::collections::HashMap;

use ash::vk;
use common::{Rig, buffer_info, image_info, linear, mib, non_linear, requirements, state_of};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    AccessError, Algorithm, Allocation, AllocationCreateInfo, AllocationError, Buffer, DedicatedUse, Image, Intent,
    Kind, MemoryPriority, PoolCreateInfo, RangeUse,
};

fn free_all(rig: &Rig, live: impl IntoIterator<Item = Allocation>) {
    for one in live {
        rig.free(one).expect("it is alive");
    }
}

#[test]
fn an_allocation_is_as_aligned_as_was_wished() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let pool = rig.create_pool(&PoolCreateInfo::for_intent(Intent::GpuOnly)).expect("there is memory");
        let info = AllocationCreateInfo::gpu_only();
        let before = rig.allocate(&linear(100), &info).expect("there is memory");
        let mut live = vec![before];
        for alignment in [1, 512, 64 * KIB, mib(1)] {
            for info in [info, info.pool(&pool), info.name("aligned")] {
                let planned = rig.plan(&linear(100), &info.min_alignment(alignment)).expect("there is memory");
                let made = rig.allocate(&linear(100), &info.min_alignment(alignment)).expect("there is memory");
                assert_eq!(made.offset() % alignment, 0, "{made:?}");
                assert_eq!((made.size(), made.memory_type_index()), (100, planned.memory_type_index));
                live.push(made);
            }
            // SAFETY: the create-info is valid; nothing is submitted.
            let buffer = unsafe { Buffer::new(&*rig, &buffer_info(100), &info.min_alignment(alignment)) };
            assert_eq!(buffer.expect("there is memory").allocation().offset() % alignment, 0);
        }
        free_all(&rig, live);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
    }
}

#[test]
fn what_a_resource_requires_is_kept_besides_the_wish() {
    let rig = Rig::new(Profile::unified());
    let info = AllocationCreateInfo::gpu_only();
    let first = rig.allocate(&linear(64), &info).expect("there is memory");
    let made = rig.allocate(&requirements(64, 4 * KIB, Kind::Linear), &info.min_alignment(2)).expect("there is memory");
    assert_eq!(made.offset() % (4 * KIB), 0);
    for alignment in [0, 3] {
        let refused = rig.allocate(&linear(64), &info.min_alignment(alignment)).expect_err("no power of two");
        assert!(
            matches!(refused, AllocationError::BadAlignment { alignment: named } if named == alignment),
            "{refused}"
        );
        assert!(rig.plan(&linear(64), &info.min_alignment(alignment)).is_err());
    }
    let most = rig.allocate(&linear(64), &info.min_alignment(1 << 63)).expect("memory of its own lies at offset 0");
    assert_eq!(most.offset(), 0);
    free_all(&rig, [first, made, most]);
    rig.finish();
}

/// Slots and ranges at hand, in blocks that the allocator has already, are no way past the checks.
#[test]
fn room_at_hand_serves_no_request_that_is_wrong() {
    let sizes = [0, 1, 256, 70_000, 3 << 20, 1 << 63, u64::MAX - 1, u64::MAX];
    let alignments = [0, 1, 3, 256, 257, 1 << 63, (1 << 63) + 1, u64::MAX];
    for profile in [Profile::unified(), Profile::discrete_rebar(), Profile::noncoherent()] {
        let (rig, info) = (Rig::new(profile), AllocationCreateInfo::gpu_only());
        for kind in [Kind::Linear, Kind::NonLinear] {
            let good = |size| requirements(size, 256, kind);
            let make = |size| rig.allocate(&good(size), &info).expect("there is memory");
            let mut live: Vec<_> = [256; 40].into_iter().chain([70_000; 9]).map(make).collect();
            free_all(&rig, (0..live.len()).step_by(4).rev().map(|at| live.swap_remove(at)).collect::<Vec<_>>());
            for (size, alignment) in sizes.into_iter().flat_map(|size| alignments.map(|alignment| (size, alignment))) {
                let (request, before) = (requirements(size, alignment, kind), state_of(&rig));
                let refusals = [
                    rig.allocate(&request, &info).map(|served| free_all(&rig, [served])),
                    rig.allocate_many(&[good(256), request], &info).map(|served| free_all(&rig, served)),
                ];
                for refusal in refusals {
                    let is_wrong =
                        matches!(refusal, Err(AllocationError::ZeroSize | AllocationError::BadAlignment { .. }));
                    assert_eq!(is_wrong, size == 0 || !alignment.is_power_of_two(), "{request:?}: {refusal:?}");
                    assert!(refusal.is_ok() || state_of(&rig) == before, "{request:?}: {refusal:?}");
                }
            }
            free_all(&rig, live);
        }
        rig.finish();
    }
}

/// What a driver calls a success, and is none, is the driver's error: nothing of it is counted, and the next block
/// serves.
#[test]
fn memory_without_a_handle_is_an_error_of_the_driver() {
    let rig = Rig::new(Profile::unified());
    let info = AllocationCreateInfo::gpu_only();
    let before = state_of(&rig);
    rig.control().fail_when(|call| (call.function == Function::AllocateMemory).then_some(vk::Result::SUCCESS));
    let error = rig.allocate(&linear(256), &info).expect_err("there is no handle");
    assert!(error.to_string().contains("vkAllocateMemory"), "{error}");
    assert_eq!(state_of(&rig), before);
    rig.control().clear_faults();
    free_all(&rig, [rig.allocate(&linear(256), &info).expect("there is memory")]);
    rig.finish();
}

/// Returns the bytes of all memory objects, in the order of their making.
fn objects(rig: &Rig) -> Vec<u64> {
    let calls = rig.control().calls();
    calls.iter().filter(|call| call.function == Function::AllocateMemory).map(|call| call.size).collect()
}

#[test]
fn blocks_have_the_sizes_that_were_wished() {
    let rig = Rig::with(SimDevice::new(Profile::discrete_rebar()), |info| {
        info.first_block_size(mib(16)).max_block_size(mib(32))
    });
    let info = AllocationCreateInfo::gpu_only();
    let first = rig.allocate(&linear(100), &info).expect("there is memory");
    assert_eq!(objects(&rig), [mib(16)]);
    let more: Vec<_> = (0..2200).map(|_| rig.allocate(&linear(mib(1)), &info).expect("there is memory")).collect();
    assert!(objects(&rig).iter().all(|&size| (mib(16)..=mib(32)).contains(&size)), "{:?}", objects(&rig));
    assert!(objects(&rig).iter().max() >= Some(&mib(28)), "growth comes there: {:?}", objects(&rig));
    let large = rig.allocate(&linear(mib(40)), &info).expect("there is memory");
    assert_eq!(objects(&rig).last(), Some(&mib(40)), "it has memory of its own");
    free_all(&rig, more.into_iter().chain([first, large]));
    rig.finish();
}

#[test]
fn the_first_block_is_as_large_as_was_wished_and_custom_pools_are_as_ever() {
    for (wished, opened) in [(mib(64), mib(64)), (mib(600), mib(600)), (0, 64 * KIB)] {
        let rig = Rig::with(SimDevice::new(Profile::discrete_rebar()), |info| info.first_block_size(wished));
        let first = rig.allocate(&linear(100), &AllocationCreateInfo::gpu_only()).expect("there is memory");
        assert_eq!(objects(&rig), [opened]);
        let pool = PoolCreateInfo::for_memory_type(0).min_block_count(1);
        let pool = rig.create_pool(&pool).expect("there is memory");
        assert_eq!(objects(&rig), [opened, mib(1)], "the wish is for default pools");
        rig.destroy_pool(pool).expect("nothing of it is alive");
        free_all(&rig, [first]);
        rig.finish();
    }
    let rig = Rig::with(SimDevice::new(Profile::discrete_rebar()), |info| info.max_block_size(mib(1)));
    let pool = PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Linear);
    let pool = rig.create_pool(&pool).expect("there is memory");
    let info = AllocationCreateInfo::gpu_only().pool(&pool);
    let piece = rig.allocate(&linear(mib(2)), &info).expect("its blocks grow with demand");
    free_all(&rig, [piece]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

#[test]
fn senseless_sizes_of_blocks_are_bounded() {
    for (first, largest) in [(0, 0), (1, u64::MAX), (u64::MAX, 1), (u64::MAX, u64::MAX), (mib(8), mib(2))] {
        for profile in [Profile::discrete_rebar(), common::two_heaps(mib(4), mib(4)), common::tiny()] {
            let rig = Rig::with(SimDevice::new(profile), |info| info.first_block_size(first).max_block_size(largest));
            let sizes = [1, 100 * KIB, mib(1)];
            let live: Vec<_> = sizes
                .iter()
                .filter_map(|&size| rig.allocate(&linear(size), &AllocationCreateInfo::stream()).ok())
                .collect();
            assert!(!live.is_empty(), "{first} {largest}");
            let most = rig.properties().memory_heaps.iter().map(|heap| heap.size).max().unwrap_or(0);
            assert!(objects(&rig).iter().all(|&size| size <= most.max(mib(1))), "{:?}", objects(&rig));
            free_all(&rig, live);
            rig.finish();
        }
    }
}

#[test]
fn the_map_of_memory_shows_each_range_and_each_name() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let pool = rig.create_pool(&PoolCreateInfo::for_intent(Intent::GpuOnly).block_size(mib(1))).expect("memory");
    let named = rig.allocate(&linear(mib(1) / 2), &info.name("vertices")).expect("there is memory");
    let plain = rig.allocate(&non_linear(100), &info).expect("there is memory");
    let own = rig.allocate(&linear(mib(3)), &info.dedicated(DedicatedUse::Always).name("shadow map")).expect("memory");
    let pooled = rig.allocate(&linear(300 * KIB), &info.pool(&pool).name("of the pool")).expect("there is memory");
    let map = rig.memory_map();
    assert_eq!(map.objects.iter().map(|object| object.size).sum::<u64>(), rig.statistics().total.reserved_bytes());
    for object in &map.objects {
        let ends =
            object.ranges.iter().fold(0, |end, range| if range.offset == end { end + range.size } else { u64::MAX });
        assert_eq!(ends, object.size, "the ranges tile the object: {object:?}");
    }
    for (allocation, name) in
        [(&named, Some("vertices")), (&plain, None), (&own, Some("shadow map")), (&pooled, Some("of the pool"))]
    {
        let object = map.objects.iter().find(|object| object.memory == allocation.memory()).expect("it is listed");
        let range = object.allocations().find(|range| range.offset == allocation.offset()).expect("it is listed");
        assert!(range.size >= allocation.size() && object.is_dedicated == allocation.is_dedicated());
        assert_eq!((range.name.as_deref(), object.memory_type_index), (name, allocation.memory_type_index()));
    }
    let ranges = map.objects.iter().flat_map(|object| &object.ranges);
    let used = ranges.filter(|range| range.range_use == RangeUse::Allocation).count() as u64;
    assert_eq!(used, rig.detailed_statistics().ranges.used_count);
    let text = map.to_string();
    assert!(text.starts_with("4 allocations in 3 memory objects of "), "{text}");
    for line in ["vertices", "without a name", "shadow map", "of the pool", "dedicated memory"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    free_all(&rig, [named, plain, own, pooled]);
    assert!(rig.memory_map().objects.iter().all(|object| object.allocations().next().is_none()));
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// The map shows the ranges, the statistics count them.
#[test]
fn the_statistics_count_what_the_map_shows() {
    let rig = Rig::new(Profile::discrete_rebar());
    let slots = PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Fixed { slot_size: 3000 });
    let stack = PoolCreateInfo::for_memory_type(0).algorithm(Algorithm::Linear).block_size(mib(1));
    let pools = [slots, stack].map(|info| rig.create_pool(&info).expect("there is room for pools"));
    let plain = AllocationCreateInfo::gpu_only();
    let mut live = Vec::new();
    for info in [&plain, &plain.pool(&pools[0]), &plain.pool(&pools[1])] {
        live.extend([300, 2000, 300, 2000].map(|size| rig.allocate(&linear(size), info).expect("there is memory")));
    }
    live.extend((0..6).map(|_| rig.allocate(&linear(mib(1)), &plain).expect("there is memory")));
    let holes = [14, 1].map(|place| live.remove(place));
    free_all(&rig, holes);
    let (map, counted) = (rig.memory_map(), rig.detailed_statistics().ranges);
    let count = |wanted| {
        let ranges = map.objects.iter().flat_map(|object| &object.ranges);
        ranges.filter(|range| range.range_use == wanted).count() as u64
    };
    let counts = [RangeUse::Allocation, RangeUse::Free, RangeUse::FreeSlot].map(count);
    assert_eq!(counts, [counted.used_count, counted.free_count, counted.free_slot_count]);
    assert!(counts.iter().all(|count| *count > 2), "{counts:?}");
    let types = rig.statistics().memory_types;
    assert!((0..).zip(&types).all(|(index, counted)| counted.memory_type_index == index), "{types:?}");
    free_all(&rig, live);
    for pool in pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.finish();
}

#[cfg(feature = "serde")]
#[test]
fn the_map_of_memory_survives_being_serialised() {
    let rig = Rig::new(Profile::unified());
    let named = rig.allocate(&linear(300), &AllocationCreateInfo::gpu_only().name("kept")).expect("there is memory");
    let map = rig.memory_map();
    let text = serde_json::to_string(&map).expect("plain data");
    assert_eq!(serde_json::from_str::<freestone::MemoryMap>(&text).expect("JSON"), map);
    rig.free(named).expect("it is alive");
    rig.finish();
}

#[test]
fn owned_resources_are_written_and_read_in_place() {
    for profile in [Profile::unified(), Profile::noncoherent()] {
        let rig = Rig::new(profile);
        // SAFETY: the create-info is valid; nothing is submitted.
        let buffer = unsafe { Buffer::new(&*rig, &buffer_info(1000), &AllocationCreateInfo::readback()) };
        let mut buffer = buffer.expect("there is memory");
        assert!(buffer.size() >= 1000);
        buffer.zeroed_slice_mut::<u32>(16, 4).expect("it is mapped").copy_from_slice(&[1, 2, 3, 4]);
        for (place, value) in buffer.uninit_slice_mut::<u32>(32, 2).expect("it is mapped").iter_mut().zip([5, 6]) {
            place.write(value);
        }
        buffer.flush(16, 24).expect("the driver flushes");
        // SAFETY: the host wrote these bytes just now; the GPU has never seen the buffer.
        assert_eq!(unsafe { buffer.slice::<u32>(16, 6) }.expect("it is mapped"), [1, 2, 3, 4, 5, 6]);
        let size = buffer.size();
        assert!(matches!(buffer.zeroed_slice_mut::<u8>(size, 1), Err(AccessError::OutOfBounds { .. })));
        assert!(matches!(buffer.uninit_slice_mut::<u32>(1, 1), Err(AccessError::Misaligned { .. })));
        assert!(matches!(buffer.flush(size, 1), Err(AccessError::OutOfBounds { .. })));
        // SAFETY: nothing is lent.
        assert!(matches!(unsafe { buffer.slice::<u8>(0, usize::MAX) }, Err(AccessError::OutOfBounds { .. })));
        // SAFETY: the create-info is valid; nothing is submitted.
        let image = unsafe {
            Image::new(&*rig, &image_info(16).tiling(vk::ImageTiling::LINEAR), &AllocationCreateInfo::readback())
        };
        let mut image = image.expect("there is memory");
        image.write(0, &[7_u8; 4]).expect("it is mapped");
        // SAFETY: as above.
        assert_eq!(unsafe { image.slice::<u8>(0, 4) }.expect("it is mapped"), [7; 4]);
        drop((buffer, image));
        rig.finish();
    }
}

#[test]
fn in_place_reads_are_invalidated_and_writes_flushed() {
    let rig = Rig::new(Profile::noncoherent());
    let info = AllocationCreateInfo::readback().required_flags(vk::MemoryPropertyFlags::HOST_CACHED);
    // SAFETY: the create-info is valid; nothing is submitted.
    let mut buffer = unsafe { Buffer::new(&*rig, &buffer_info(1000), &info) }.expect("there is memory");
    assert!(buffer.allocation().is_non_coherent());
    buffer.write(0, &[9_u8; 8]).expect("it is mapped");
    let calls = |function| rig.control().count(function);
    let (flushes, invalidations) =
        (calls(Function::FlushMappedMemoryRanges), calls(Function::InvalidateMappedMemoryRanges));
    buffer.flush(0, 8).expect("the driver flushes");
    // SAFETY: the host wrote these bytes; the GPU has never seen the buffer.
    assert_eq!(unsafe { buffer.slice::<u8>(0, 8) }.expect("it is mapped"), [9; 8]);
    assert_eq!(calls(Function::FlushMappedMemoryRanges), flushes + 1);
    assert_eq!(calls(Function::InvalidateMappedMemoryRanges), invalidations + 1);
    drop(buffer);
    rig.finish();
}

#[test]
fn an_error_says_what_the_driver_reported() {
    let rig = Rig::new(common::two_heaps(mib(8), mib(8)));
    let info = AllocationCreateInfo::gpu_only();
    let full = rig.allocate(&linear(mib(64)), &info).expect_err("the heaps have 16 MiB");
    assert_eq!((full.is_out_of_memory(), full.driver_result()), (true, None), "{full}");
    let empty = rig.allocate(&linear(0), &info).expect_err("0 bytes");
    assert_eq!((empty.is_out_of_memory(), empty.driver_result()), (false, None));
    for (function, result, is_out_of_memory) in [
        (Function::AllocateMemory, vk::Result::ERROR_DEVICE_LOST, false),
        (Function::CreateBuffer, vk::Result::ERROR_OUT_OF_HOST_MEMORY, true),
        (Function::BindBufferMemory, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY, true),
    ] {
        rig.control().fail_nth_of(function, 1, result);
        // SAFETY: the create-info is valid; nothing is submitted.
        let failed = unsafe { rig.create_buffer(&buffer_info(100), &info) }.expect_err("the driver fails");
        assert_eq!((failed.is_out_of_memory(), failed.driver_result()), (is_out_of_memory, Some(result)), "{failed}");
        rig.control().clear_faults();
    }
    rig.finish();
}

#[test]
fn a_pool_whose_memory_the_host_cannot_reach_serves_nobody_who_asks_for_that() {
    let rig = Rig::new(Profile::discrete_rebar());
    let is_hidden = |one: &&freestone::MemoryType| !one.property_flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
    let hidden = rig.properties().memory_types.iter().position(|one| is_hidden(&one)).expect("a card has some");
    let hidden = PoolCreateInfo::for_memory_type(u32::try_from(hidden).expect("fewer than 32"));
    let pool = rig.create_pool(&hidden).expect("there is memory");
    let visible = vk::MemoryPropertyFlags::HOST_VISIBLE;
    for info in [AllocationCreateInfo::upload(), AllocationCreateInfo::gpu_only().required_flags(visible)] {
        for info in [info, info.required_flags(visible)] {
            let refused = rig.allocate(&linear(100), &info.pool(&pool)).expect_err("the host cannot reach it");
            assert!(matches!(refused, AllocationError::PoolMismatch { .. }), "{refused}");
        }
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}

/// What is merely preferred decides among existing blocks too, not only where memory is opened.
#[test]
fn preferred_flags_choose_among_existing_blocks() {
    let rig = Rig::new(Profile::discrete_rebar());
    let plain = AllocationCreateInfo::gpu_only();
    let visible = plain.preferred_flags(vk::MemoryPropertyFlags::HOST_VISIBLE);
    let is_visible = |allocation: &Allocation| allocation.mapped_ptr().is_some();
    let allocate = |info| rig.allocate(&linear(256), info).expect("there is memory");
    let live = [&plain, &visible, &plain, &visible, &plain, &visible].map(allocate);
    assert_eq!(live.each_ref().map(is_visible), [false, true, false, true, false, true]);
    free_all(&rig, live);
    rig.finish();
}

/// Blocks of the short-lived hold nothing else, whatever else is wished for; what a custom pool holds stays there.
#[test]
fn the_short_lived_lie_apart() {
    for profile in Profile::all() {
        let rig = Rig::new(profile.clone());
        let wishes = Intent::ALL.map(AllocationCreateInfo::new);
        let pool = rig.create_pool(&PoolCreateInfo::for_intent(Intent::Upload)).expect("there is memory");
        let high = MemoryPriority::new(1.0);
        let (mut short, mut others) = (Vec::new(), Vec::new());
        for number in 0..40 {
            for info in wishes.into_iter().flat_map(|info| [info, info.priority(high), info.name("named")]) {
                let kind = if number % 2 == 0 { Kind::Linear } else { Kind::NonLinear };
                let request = requirements(1_000 * (number + 1), 256, kind);
                short.push(rig.allocate(&request, &info.short_lived()).expect("there is memory"));
                others.push(rig.allocate(&request, &info).expect("there is memory"));
            }
            let in_pool = AllocationCreateInfo::upload().pool(&pool);
            let pooled = [in_pool, in_pool.short_lived()];
            others.extend(pooled.map(|info| rig.allocate(&linear(1_000), &info).expect("there is memory")));
        }
        let mut owners = HashMap::new();
        for (allocation, is_short) in short.iter().map(|one| (one, true)).chain(others.iter().map(|one| (one, false))) {
            let owner = *owners.entry(allocation.memory()).or_insert(is_short);
            assert_eq!(owner, is_short, "{}: {allocation:?}", profile.name);
        }
        assert!(short.iter().any(|one| !one.is_dedicated()) && rig.validate().is_ok());
        free_all(&rig, short);
        rig.trim();
        assert_eq!(rig.statistics().total.empty_bytes, 0, "{}: nothing stays in their blocks", profile.name);
        free_all(&rig, others);
        rig.destroy_pool(pool).expect("nothing of it is alive");
        rig.finish();
    }
}
