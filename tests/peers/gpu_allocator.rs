//! gpu-allocator: `Traverse-Research/gpu-allocator`, and what engines met with it.

use std::sync::Mutex;
use std::time::Duration;

use ash::vk;
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, Allocator, FreeErrorReason, Intent, Kind, PlannedPlacement,
    PoolCreateInfo,
};

use super::common::{Random, Rig, create_info, linear, mib, non_linear, requirements, two_heaps};
use super::{CACHED, COHERENT, DEVICE, VISIBLE, allocate, allocate_up_to, bytes_of, device, free_all, place};

/// #96: blocks that were empty could not be given back before the device was destroyed.
///
/// Seen to fail with: a trim that leaves each pool one block.
#[test]
fn gpu_allocator_96_empty_blocks_go_back() {
    let rig = Rig::new(Profile::discrete_bar256());
    let all = Intent::ALL.map(|intent| {
        let (allocations, _) = allocate_up_to(&rig, 40, &linear(mib(1)), &AllocationCreateInfo::new(intent));
        allocations
    });
    free_all(&rig, all.into_iter().flatten());
    assert!(rig.control().reserved_bytes() <= mib(2 * 5), "a small block for each memory type");
    rig.trim();
    assert_eq!((rig.control().reserved_bytes(), rig.control().memory_object_count()), (0, 0));
    rig.finish();
}

/// #139, #138: safe slices over memory that nobody had written; see also `does_not_compile.md`.
///
/// Seen to fail with: `zeroed_slice_mut` that does not write the zeros.
#[test]
fn gpu_allocator_139_138_fresh_memory_is_zeroed_or_uninitialised() {
    let rig = Rig::new(Profile::unified());
    let info = AllocationCreateInfo::upload();
    let mut first = allocate(&rig, &linear(4096), &info);
    first.fill(0, 4096, 0xAB).expect("it is mapped");
    let spot = place(&first);
    free_all(&rig, [first]);
    let mut second = allocate(&rig, &linear(4096), &info);
    assert_eq!(place(&second), spot, "the same bytes, and dirty");
    let uninit: &mut [core::mem::MaybeUninit<u32>] = second.uninit_slice_mut(0, 1024).expect("it is mapped");
    assert_eq!(uninit.len(), 1024);
    let zeroed: &mut [u32] = second.zeroed_slice_mut(0, 1024).expect("it is mapped");
    assert!(zeroed.iter().all(|word| *word == 0));
    free_all(&rig, [second]);
    rig.finish();
}

/// No thread (found by reading): dropping the allocator before `mapped_slice` was a use after free in safe code.
///
/// Seen to fail with: a drop that takes blocks in use from their list too.
#[test]
fn gpu_allocator_memory_outlives_the_allocator() {
    let vulkan = SimDevice::new(Profile::unified());
    // SAFETY: the objects belong together; every allocation is gone before the device.
    let allocator = unsafe { Allocator::new(create_info(&vulkan).on_leak(|_| ())) }.expect("an allocator");
    let mut allocation = allocator.allocate(&linear(1000), &AllocationCreateInfo::upload()).expect("there is memory");
    drop(allocator);
    assert_eq!(vulkan.control().memory_object_count(), 1, "what somebody holds stays, and stays mapped");
    allocation.fill(0, 1000, 5).expect("it is mapped");
    assert_eq!(bytes_of(&allocation, 0, 1000), [5; 1000]);
    drop(allocation);
    vulkan.control().assert_clean();
    assert_eq!(vulkan.finish().len(), 1, "the driver misses the object");
}

/// No thread (found by reading): a key of another allocator freed whatever had its number.
///
/// Seen to fail with: an allocator that takes every key for its own.
#[test]
fn gpu_allocator_a_foreign_free_frees_nothing() {
    let (own, foreign) = (Rig::new(Profile::unified()), Rig::new(Profile::unified()));
    let info = AllocationCreateInfo::gpu_only();
    let (mine, theirs) = (allocate(&own, &linear(4096), &info), allocate(&foreign, &linear(4096), &info));
    let before = own.statistics();
    let error = own.free(theirs).expect_err("it is not its own");
    assert_eq!(error.reason, FreeErrorReason::Foreign);
    assert_eq!(own.statistics(), before);
    free_all(&foreign, [error.allocation]);
    free_all(&own, [mine]);
    own.finish();
    foreign.finish();
}

/// #311: where no memory is both cached and coherent, readback got write-combined memory, 87 times slower.
///
/// Seen to fail with: `readback` that wishes for coherent memory before cached.
#[test]
fn gpu_allocator_311_readback_is_cached() {
    let heap = [(mib(8192), vk::MemoryHeapFlags::DEVICE_LOCAL)];
    let types = [(DEVICE, 0), (DEVICE | VISIBLE | COHERENT, 0), (DEVICE | VISIBLE | CACHED, 0)];
    let rig = Rig::new(device(&heap, &types));
    let allocation = allocate(&rig, &linear(4096), &AllocationCreateInfo::readback());
    assert_eq!(allocation.memory_type_index(), 2);
    free_all(&rig, [allocation]);
    rig.finish();
}

/// #263: what was larger than the next block got memory of its own, though a full-size block would have held several.
///
/// Seen to fail with: own blocks from 1 MiB on.
#[test]
fn gpu_allocator_263_a_block_grows_for_what_it_can_hold() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let plan = rig.plan(&linear(mib(3)), &info).expect("there is memory");
    assert_eq!((plan.placement, plan.driver_bytes), (PlannedPlacement::NewBlock, mib(9)), "1 MiB would come first");
    let pair = [(), ()].map(|()| allocate(&rig, &linear(mib(3)), &info));
    assert_eq!(pair[0].memory(), pair[1].memory());
    free_all(&rig, pair);
    rig.finish();
}

/// #156, #235: 256 MiB were taken for the first kibibyte.
///
/// Seen to fail with: first blocks of 64 MiB.
#[test]
fn gpu_allocator_156_235_a_small_program_takes_little() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        assert_eq!(rig.control().reserved_bytes(), 0, "nothing before it is needed");
        let allocation = allocate(&rig, &linear(KIB), &AllocationCreateInfo::upload());
        assert!(rig.control().reserved_bytes() <= mib(1));
        free_all(&rig, [allocation]);
        rig.finish();
    }
}

/// #276: one mutex around the allocator, held while the driver works, made every thread wait.
///
/// Seen to fail with: the pool's lock held while a block is opened.
#[test]
fn gpu_allocator_276_threads_do_not_wait_for_each_others_driver_calls() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let first = allocate(&rig, &linear(256), &info);
    let gate = rig.control().block(Function::AllocateMemory);
    let order = Mutex::new(Vec::new());
    let note = |event: &'static str| order.lock().expect("nobody panics").push(event);
    let (sender, served) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            free_all(&rig, [allocate(&rig, &linear(mib(2)), &info)]);
            note("the block is there");
        });
        assert!(gate.wait_for_arrivals(1, Duration::from_secs(20)), "the first thread is in the driver");
        scope.spawn(|| {
            free_all(&rig, [allocate(&rig, &linear(256), &info)]);
            note("served");
            sender.send(()).expect("the test waits");
        });
        let _ = served.recv_timeout(Duration::from_secs(5));
        note("the driver answers");
        gate.open();
    });
    assert_eq!(*order.lock().expect("nobody panics"), ["served", "the driver answers", "the block is there"]);
    free_all(&rig, [first]);
    rig.finish();
}

/// No thread (found by reading): free ranges were kept in hash tables with a random seed, so that placement differed
/// from run to run.
///
/// Seen to fail with: a clock that decides which end of a free range serves.
#[test]
fn gpu_allocator_placement_is_the_same_on_every_run() {
    let run = || {
        let rig = Rig::new(Profile::discrete_bar256());
        let (mut random, mut live, mut spots) = (Random(9), Vec::<Allocation>::new(), Vec::new());
        for _ in 0..1000 {
            if live.len() > 100 {
                free_all(&rig, [live.swap_remove(usize::try_from(random.below(100)).expect("small"))]);
            }
            live.push(allocate(&rig, &linear(random.size(20)), &AllocationCreateInfo::gpu_only()));
            let objects = rig.vulkan.memory_objects();
            let last = live.last().expect("one was pushed");
            spots.push((objects.iter().position(|object| object.memory == last.memory()), last.offset()));
        }
        free_all(&rig, live);
        rig.finish();
        spots
    };
    assert_eq!(run(), run());
}

/// bevyengine/bevy #24722, gfx-rs/wgpu #9462: large scenes ran out of device memory and did not go on in system memory.
///
/// Seen to fail with: requests that may not spill unless they say so.
#[test]
fn bevy_24722_wgpu_9462_out_of_memory_spills() {
    let rig = Rig::new(two_heaps(mib(64), mib(512)));
    let (allocations, error) = allocate_up_to(&rig, 200, &non_linear(mib(1)), &AllocationCreateInfo::gpu_only());
    assert!(error.is_none(), "{error:?}");
    assert!(allocations.iter().filter(|one| one.memory_type_index() == 0).count() >= 48, "the best comes first");
    free_all(&rig, allocations);
    rig.finish();
}

/// gfx-rs/wgpu #9745: whether memory would be found could not be foretold, because the fallback was hidden.
///
/// Seen to fail with: a plan that names the first candidate and not the one that serves.
#[test]
fn wgpu_9745_the_fallback_can_be_foretold() {
    let rig = Rig::new(two_heaps(mib(48), mib(64)));
    let (info, mut live, mut types) = (AllocationCreateInfo::gpu_only(), Vec::new(), Vec::new());
    loop {
        let plan = rig.plan(&linear(mib(1) + 77), &info);
        let reserved = rig.control().reserved_bytes();
        match rig.allocate(&linear(mib(1) + 77), &info) {
            Ok(allocation) => {
                let plan = plan.expect("it was foretold");
                assert_eq!(plan.memory_type_index, allocation.memory_type_index());
                assert_eq!(plan.driver_bytes > 0, rig.control().reserved_bytes() > reserved, "{plan:?}");
                types.push(allocation.memory_type_index());
                live.push(allocation);
            }
            Err(error) => {
                assert_eq!(plan.expect_err("it was foretold").to_string(), error.to_string());
                break;
            }
        }
    }
    assert!(types.contains(&0) && types.contains(&1) && types.len() > 90, "{types:?}");
    free_all(&rig, live);
    rig.finish();
}

/// gfx-rs/wgpu #10232: staging buffers between the textures of a level kept its blocks alive when they were gone.
///
/// Seen to fail with: a custom pool, or a wish for a short life, that is passed over where a default block has room.
#[test]
fn wgpu_10232_the_short_lived_pin_no_block() {
    let rig = Rig::new(Profile::unified());
    let staging = PoolCreateInfo::for_intent(Intent::Upload).algorithm(Algorithm::Linear).block_size(mib(8));
    let pool = rig.create_pool(&staging).expect("a pool");
    let upload = AllocationCreateInfo::upload();
    // A word of the user's, or a pool for them.
    for short in [upload.short_lived(), upload.pool(&pool)] {
        let (mut kept, mut passing) = (Vec::new(), Vec::new());
        for _ in 0..64 {
            kept.push(allocate(&rig, &requirements(32 * KIB, 256, Kind::Linear), &upload));
            passing.push(allocate(&rig, &linear(512 * KIB), &short));
        }
        free_all(&rig, passing);
        rig.trim();
        assert!(rig.control().reserved_bytes() <= mib(4), "2 MiB live: {} reserved", rig.control().reserved_bytes());
        free_all(&rig, kept);
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    rig.finish();
}
