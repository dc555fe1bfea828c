//! VMA: `GPUOpen-LibrariesAndSDKs/VulkanMemoryAllocator`.

use std::sync::{Arc, Barrier, Mutex};

use ash::vk;
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    Allocation, AllocationCreateInfo, Intent, Kind, LeakReport, PoolCreateInfo, Request, VirtualBlock,
    VirtualBlockCreateInfo,
};

use super::common::{Random, Rig, Shadow, buffer_info, linear, mib, requirements};
use super::{CACHED, COHERENT, DEVICE, VISIBLE, allocate, allocate_up_to, bytes_of, device, free_all};

/// #278: a block over the budget was refused, and the fallback, one memory object for each buffer, was not.
///
/// Seen to fail with: a ladder that exceeds the budget for `within_budget` too.
#[test]
fn vma_278_within_budget_has_no_way_around() {
    let rig = Rig::new(Profile::unified());
    rig.control().set_budget(0, Some(mib(64)));
    rig.update_budget();
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let (large, _) = allocate_up_to(&rig, 5, &linear(mib(6)), &info);
    let (small, error) = allocate_up_to(&rig, 5000, &linear(64 * KIB), &info);
    assert_eq!((large.len(), small.len()), (5, 34 * 16), "64 MiB are used up, and no more");
    assert!(error.expect("the rest is refused").to_string().contains("budget"));
    let heap = rig.control().heap(0).expect("heap 0 exists");
    assert!(heap.peak_page_bytes <= mib(64), "{heap:?}");
    free_all(&rig, large.into_iter().chain(small));
    rig.finish();
}

/// #278: a small BAR heap was filled with one memory object for each uniform buffer.
///
/// Seen to fail with: no sub-budget of a small BAR heap.
#[test]
fn vma_278_a_small_bar_is_not_flooded() {
    let rig = Rig::new(Profile::discrete_bar256());
    let (allocations, error) = allocate_up_to(&rig, 6000, &linear(64 * KIB), &AllocationCreateInfo::stream());
    assert!(error.is_none(), "system memory takes the rest: {error:?}");
    let bar = rig.control().heap(2).expect("the BAR heap exists");
    assert!(bar.peak_page_bytes <= mib(224), "an eighth is left to others: {bar:?}");
    assert!(rig.control().peak_memory_object_count() < 64, "no object for each buffer");
    free_all(&rig, allocations);
    rig.finish();
}

/// #204: the driver was asked for its budgets every 30 operations, for 4 to 5 ms each time.
///
/// Seen to fail with: a refresh of the budgets after each opening.
#[test]
fn vma_204_no_budget_query_on_the_path() {
    let rig = Rig::new(Profile::discrete_rebar());
    let queries = rig.control().budget_queries();
    let mut live = Vec::new();
    for n in 1..1000 {
        live.push(allocate(&rig, &linear(n * 700), &AllocationCreateInfo::gpu_only()));
        if n % 3 == 0 {
            free_all(&rig, live.drain(..2));
        }
    }
    free_all(&rig, live);
    assert_eq!(rig.control().budget_queries(), queries);
    rig.finish();
}

/// #357, pull request #358: a frame that begins and ends at a block's edge allocated and freed a block each time.
///
/// Seen to fail with: no block kept when it becomes empty.
#[test]
fn vma_357_358_a_frame_at_a_blocks_edge_calls_no_driver() {
    let rig = Rig::new(Profile::discrete_bar256());
    let info = AllocationCreateInfo::gpu_only();
    let almost_full = allocate(&rig, &linear(mib(1) - 256), &info);
    let frame = || free_all(&rig, [allocate(&rig, &linear(64 * KIB), &info), allocate(&rig, &linear(mib(3)), &info)]);
    (0..10).for_each(|_| frame());
    let calls = rig.control().total_calls();
    (0..1000).for_each(|_| frame());
    assert_eq!(rig.control().total_calls(), calls);
    free_all(&rig, [almost_full]);
    rig.finish();
}

/// #470: blocks that the next frame needs again were freed at once, though the budget had room.
///
/// Seen to fail with: an idle allocator that never learns to keep its memory.
#[test]
fn vma_470_memory_that_each_frame_needs_is_kept() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let frame = || {
        let (allocations, _) = allocate_up_to(&rig, 40, &linear(mib(1)), &info);
        free_all(&rig, allocations);
        rig.tick();
    };
    (0..10).for_each(|_| frame());
    let objects = || rig.control().count(Function::AllocateMemory) + rig.control().count(Function::FreeMemory);
    let before = objects();
    (0..200).for_each(|_| frame());
    assert_eq!(objects(), before);
    assert!(rig.trim() > 0, "until it is asked for");
    assert_eq!(rig.control().reserved_bytes(), 0);
    rig.finish();
}

/// #525, #331, #451: threads that mapped, wrote and destroyed buffers of their own raced on the block's mapping.
///
/// Seen to fail with: a `SpinMutex` that lets everybody in, so that threads share blocks and mappings without a lock.
#[test]
fn vma_525_331_451_threads_create_write_and_destroy() {
    let rig = Rig::new(Profile::noncoherent());
    let start = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 1..=4_u8 {
            let (rig, start) = (&rig, &start);
            scope.spawn(move || {
                start.wait();
                (0..2000).for_each(|round| write_beside_others(rig, thread, round));
            });
        }
    });
    let control = rig.control();
    assert_eq!(control.count(Function::MapMemory), control.count(Function::AllocateMemory), "once for each object");
    assert_eq!(control.count(Function::UnmapMemory), 0);
    rig.finish();
}

/// Writes a buffer and plain allocations while other threads do the same, and finds in each what it wrote.
fn write_beside_others(rig: &Rig, thread: u8, round: u64) {
    // SAFETY: the create-info is valid; nothing is submitted.
    let made = unsafe { rig.create_buffer(&buffer_info(500 + round), &AllocationCreateInfo::stream()) };
    let (buffer, mut memory) = made.expect("there is memory");
    rig.write(&mut memory, 0, &[thread; 500]).expect("in bounds");
    // Between these nobody asks the driver, whose own locks would keep the threads apart.
    let others: Vec<_> = (1..=32_u64)
        .map(|number| {
            let mut other = allocate(rig, &linear(number * 16), &AllocationCreateInfo::stream());
            other.fill(0, number * 16, thread).expect("it is mapped");
            other
        })
        .collect();
    for other in others {
        assert!(bytes_of(&other, 0, 16).iter().all(|byte| *byte == thread), "nobody else writes here");
        rig.free(other).expect("it is alive");
    }
    assert_eq!(bytes_of(&memory, 0, 500), [thread; 500], "nobody else writes here");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
}

/// #520: an integrated GPU was taken to have no memory that the host cannot see, and allocations failed.
///
/// Seen to fail with: `stream` that requires device-local memory.
#[test]
fn vma_520_an_integrated_gpu_may_hide_its_memory() {
    let rig = Rig::new(device(
        &[(mib(512), vk::MemoryHeapFlags::DEVICE_LOCAL), (mib(8192), vk::MemoryHeapFlags::empty())],
        &[(DEVICE, 0), (VISIBLE | COHERENT, 1), (VISIBLE | COHERENT | CACHED, 1)],
    ));
    for intent in Intent::ALL {
        let allocation = allocate(&rig, &linear(4096), &AllocationCreateInfo::new(intent));
        assert_eq!(allocation.mapped_ptr().is_some(), intent.needs_host_access(), "{intent}");
        free_all(&rig, [allocation]);
    }
    rig.finish();
}

/// #515: where all memory is visible, mapping was still refused unless it had been announced.
///
/// Seen to fail with: memory that is mapped only where the request needs the host.
#[test]
fn vma_515_what_the_host_can_see_is_mapped() {
    let heap = [(mib(4096), vk::MemoryHeapFlags::DEVICE_LOCAL)];
    let rig = Rig::new(device(&heap, &[(DEVICE | VISIBLE | COHERENT, 0), (DEVICE | VISIBLE | COHERENT | CACHED, 0)]));
    for size in [100, mib(6)] {
        let mut allocation = allocate(&rig, &linear(size), &AllocationCreateInfo::gpu_only());
        rig.write(&mut allocation, 0, &[1_u8; 100]).expect("it is mapped");
        free_all(&rig, [allocation]);
    }
    rig.finish();
}

/// #362: the Raspberry Pi has no cached memory, and what was to be read by the host could not be allocated.
///
/// Seen to fail with: `readback` that requires cached memory.
#[test]
fn vma_362_no_cached_memory_is_no_obstacle() {
    let heap = [(mib(1024), vk::MemoryHeapFlags::DEVICE_LOCAL)];
    let rig = Rig::new(device(&heap, &[(DEVICE | VISIBLE | COHERENT, 0)]));
    for intent in Intent::ALL {
        free_all(&rig, [allocate(&rig, &linear(4096), &AllocationCreateInfo::new(intent))]);
    }
    rig.finish();
}

/// #390: a pool for dynamic buffers could not be created, because the 210 MiB behind the BAR were taken.
///
/// Seen to fail with: `Allocator::create_pool` that takes the best memory type or none; it was so.
#[test]
fn vma_390_a_pool_is_made_where_there_is_room() {
    let rig = Rig::new(Profile::discrete_bar256());
    rig.control().set_foreign_usage(2, mib(240));
    rig.update_budget();
    let info = PoolCreateInfo::for_intent(Intent::Stream).block_size(mib(32)).min_block_count(1);
    let pool = rig.create_pool(&info).expect("system memory has room");
    assert_eq!(pool.memory_type_index(), 2, "the best type outside the BAR");
    let allocation = allocate(&rig, &linear(mib(1)), &AllocationCreateInfo::stream().pool(&pool));
    assert!(allocation.mapped_ptr().is_some());
    free_all(&rig, [allocation]);
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.control().set_foreign_usage(1, mib(1 << 14));
    rig.update_budget();
    let error = rig.create_pool(&info).expect_err("now there is room nowhere").to_string();
    assert!(error.contains("heap 2") && error.contains("heap 1"), "each refusal is named: {error}");
    rig.finish();
}

/// #157: the driver was asked for more than a heap of 16 MiB holds, again and again.
///
/// Seen to fail with: a budget that admits everything, and no check of the size before the driver is asked.
#[test]
fn vma_157_a_tiny_heap_is_never_overdrawn() {
    let heaps = [(mib(16), vk::MemoryHeapFlags::DEVICE_LOCAL), (mib(2048), vk::MemoryHeapFlags::empty())];
    let rig = Rig::new(device(&heaps, &[(DEVICE, 0), (VISIBLE | COHERENT, 1)]));
    let (allocations, error) = allocate_up_to(&rig, 200, &linear(mib(1) - 1000), &AllocationCreateInfo::gpu_only());
    assert!(error.is_none(), "{error:?}");
    let asked: Vec<_> = rig
        .control()
        .calls()
        .into_iter()
        .filter(|call| call.memory_type_index == Some(0))
        .map(|call| call.size)
        .collect();
    assert!(asked.iter().sum::<u64>() <= mib(16), "the driver is asked for what is there: {asked:?}");
    free_all(&rig, allocations);
    rig.finish();
}

/// #229: `vkAllocateMemory` was called with more than the whole heap (VUID-vkAllocateMemory-pAllocateInfo-01713).
///
/// Seen to fail with: no cap in the budget, none in the pool, and no check of the size before the driver is asked.
#[test]
fn vma_229_larger_than_the_heap_is_not_asked_for() {
    let rig = Rig::new(Profile::discrete_bar256());
    let allocation = allocate(&rig, &linear(mib(512)), &AllocationCreateInfo::stream());
    assert_eq!(rig.control().heap(1).map(|heap| heap.bytes), Some(mib(512)), "it spilled");
    free_all(&rig, [allocation]);
    let info = AllocationCreateInfo::stream().without_spilling();
    assert!(rig.allocate(&linear(mib(512)), &info).is_err());
    rig.finish();
}

/// #517: a start that was pushed off a page of the other kind was not checked again at its end.
///
/// Seen to fail with: non-linear sizes that are not rounded up to whole pages.
#[test]
fn vma_517_no_page_has_two_kinds_however_holes_lie() {
    let rig = Rig::new(Profile::discrete_bar256());
    assert_eq!(rig.properties().buffer_image_granularity, 1024);
    let (mut random, mut shadow, mut live) = (Random(517), Shadow::default(), Vec::new());
    for _ in 0..2000 {
        if live.len() > 60 {
            let index = usize::try_from(random.below(live.len() as u64)).expect("small");
            let gone = live.swap_remove(index);
            shadow.strike(&gone);
            free_all(&rig, [gone]);
        }
        let kind = if random.below(2) == 0 { Kind::Linear } else { Kind::NonLinear };
        let request = requirements(random.size(13), 1 << random.below(9), kind);
        let allocation = allocate(&rig, &request, &AllocationCreateInfo::gpu_only());
        shadow.enter(&allocation, 1024);
        live.push(allocation);
    }
    free_all(&rig, live);
    rig.finish();
}

/// #83, #27, #91: offsets were aligned to the non-coherent atom, sizes were not, and nobody knew what that meant.
///
/// Seen to fail with: units of 16 bytes in memory that is not coherent.
#[test]
fn vma_83_27_91_no_atom_has_two_owners() {
    let rig = Rig::new(Profile::noncoherent());
    let atom = rig.properties().non_coherent_atom_size;
    let info = AllocationCreateInfo::readback().required_flags(CACHED);
    let request = |n: u64| requirements(n * 13, 1, Kind::Linear);
    let mut neighbours: Vec<_> = (1..30).map(|n| allocate(&rig, &request(n), &info)).collect();
    assert!(neighbours.iter().all(|one| one.is_non_coherent() && one.offset() % atom == 0));
    let fill_from = |first: usize, neighbours: &mut [Allocation]| {
        for (value, allocation) in (1..).zip(neighbours).skip(first).step_by(2) {
            allocation.fill(0, allocation.size(), value).expect("it is mapped");
        }
    };
    // Every second one is written and flushed, then the others, and these stay in the host's cache.
    fill_from(0, &mut neighbours);
    for allocation in neighbours.iter().step_by(2) {
        rig.flush(allocation, 0, allocation.size()).expect("in bounds");
    }
    fill_from(1, &mut neighbours);
    // An invalidate discards what was not flushed, atom by atom: the neighbours must not notice.
    for allocation in neighbours.iter().step_by(2) {
        rig.invalidate(allocation, 0, allocation.size()).expect("in bounds");
    }
    for (value, allocation) in (1..).zip(&neighbours) {
        let size = usize::try_from(allocation.size()).expect("small");
        assert!(bytes_of(allocation, 0, size).iter().all(|byte| *byte == value), "{allocation:?}");
    }
    free_all(&rig, neighbours);
    rig.finish();
}

/// #276: a leak ended in an assertion that named neither the resource nor its maker.
///
/// Seen to fail with: a leak report without the ledger's names.
#[test]
fn vma_276_a_leak_is_reported_by_name() {
    let report = Arc::new(Mutex::new(None::<LeakReport>));
    let heard = Arc::clone(&report);
    let rig = Rig::with(SimDevice::new(Profile::unified()), |info| {
        info.record_backtraces().on_leak(move |report| *heard.lock().expect("nobody panics") = Some(report.clone()))
    });
    let leaked = allocate(&rig, &linear(1000), &AllocationCreateInfo::gpu_only().name("the lost texture"));
    drop(rig);
    drop(leaked);
    let report = report.lock().expect("nobody panics").take().expect("one allocation is alive");
    let [leak] = report.leaks.as_slice() else { panic!("{report:?}") };
    assert_eq!((leak.name.as_str(), leak.size), ("the lost texture", 1000));
    assert!(leak.backtrace.as_ref().is_some_and(|trace| trace.contains("vma_276")), "{leak:?}");
}

/// No thread (found by reading): `vmaCopyMemoryToAllocation` unmapped memory before it flushed it.
///
/// Seen to fail with: `Allocator::write` that does not flush.
#[test]
fn vma_a_copy_is_flushed_while_the_memory_is_mapped() {
    let rig = Rig::new(Profile::noncoherent());
    let info = AllocationCreateInfo::readback().required_flags(CACHED);
    let mut allocation = allocate(&rig, &linear(1000), &info);
    rig.write(&mut allocation, 300, &[7_u8; 500]).expect("in bounds");
    assert_eq!(rig.control().count(Function::FlushMappedMemoryRanges), 1);
    rig.invalidate(&allocation, 0, 1000).expect("in bounds");
    assert_eq!(bytes_of(&allocation, 300, 500), [7; 500], "what was not flushed would be discarded now");
    free_all(&rig, [allocation]);
    rig.finish();
}

/// No thread (found by reading): maps were counted in 8 bits, and the 256th nested one failed.
///
/// Seen to fail with: a pool that maps 255 ranges at once and no more.
#[test]
fn vma_a_thousand_mappings_at_once() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::upload();
    let mut allocations: Vec<_> = (0..1000).map(|_| allocate(&rig, &linear(256), &info)).collect();
    for (n, allocation) in (0_u32..).zip(&mut allocations) {
        allocation.write(0, &[n]).expect("it is mapped");
    }
    for (n, allocation) in (0_u32..).zip(&allocations) {
        assert_eq!(bytes_of(allocation, 0, 4), n.to_ne_bytes());
    }
    assert_eq!(rig.control().count(Function::MapMemory), rig.control().count(Function::AllocateMemory));
    free_all(&rig, allocations);
    rig.finish();
}

/// No thread (found by reading): a free region of 2^39 units or more was put into no list and never found again.
///
/// Seen to fail with: a free range of 2^39 units that is not linked.
#[test]
fn vma_regions_of_more_than_2_to_the_39_units_are_found_again() {
    for shift in [38, 39, 40, 41] {
        let mut block = VirtualBlock::new(&VirtualBlockCreateInfo::new(1 << shift)).expect("a block");
        for size in [1 << shift, (1 << shift) - 1, 1 << (shift - 1)] {
            let range = block.allocate(&Request::new(size, 1)).expect("all of it is free");
            block.free(range.key).expect("it is alive");
            assert_eq!(block.statistics().largest_free_range, 1 << shift);
        }
    }
}
