//! What Miri looks at: mapped access, dropping with live allocations, foreign keys, two threads, every way to get
//! memory, failures under way, frames of a ring. Small sizes.
//!
//! | floor | what runs here |
//! |---|---|
//! | 0 | `every_algorithm_cuts`; TLSF, linear and fixed under every pool |
//! | 1 | all that calls Vulkan, with chains: `owned_resources`, `every_way_to_get_memory`; failures undone |
//! | 2 to 4 | budgets, blocks, dedicated memory, pools: opened, trimmed, refused |
//! | 5, 6 | all of the above through the allocator; drop, foreign keys, aliases |
//! | 7 | frames of a ring, and what waits for a frame |
//!
//! The simulated driver's host-visible bytes start uninitialised, so that Miri sees a read of what nobody wrote.

mod common;

use std::sync::{Arc, Mutex};

use ash::vk;
use common::{Rig, buffer_info, create_info, image_info, linear, requirements, tiny};
use freestone::sim::{Function, KIB, SimDevice};
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, Allocator, Buffer, DedicatedUse, FrameRing, FrameRingCreateInfo,
    FreeErrorReason, Image, Intent, Kind, LeakReport, PoolCreateInfo, Request, RetireQueue, VirtualBlock,
    VirtualBlockCreateInfo,
};

fn upload(rig: &Allocator, size: u64) -> Allocation {
    rig.allocate(&linear(size), &AllocationCreateInfo::upload()).expect("there is memory")
}

#[test]
fn mapped_access() {
    let rig = Rig::new(tiny());
    let (mut first, mut second) = (upload(&rig, 100), upload(&rig, 300));
    let lent = first.uninit_slice_mut::<u32>(0, 25).expect("in bounds");
    second.fill(0, 300, 2).expect("in bounds");
    for value in lent {
        value.write(7);
    }
    second.write(1, &[0x0102_0304_u32]).expect("any offset will do");
    let mut read = [0_u32; 25];
    // SAFETY: all bytes were written just now; no device writes them.
    unsafe { first.read(0, &mut read) }.expect("in bounds");
    assert_eq!(read, [7; 25]);
    first.zeroed_slice_mut::<u64>(8, 4).expect("aligned")[1] = u64::MAX;
    // SAFETY: as above.
    assert_eq!(unsafe { first.slice::<u64>(8, 2) }.expect("aligned"), [0, u64::MAX]);
    let pointer = first.mapped_ptr().expect("it is mapped");
    // SAFETY: the allocation has 100 bytes.
    let last = unsafe { pointer.add(99) };
    // SAFETY: the pointer is valid for the allocation's bytes, and nothing borrows them.
    unsafe { last.write(9) };
    // SAFETY: written just now; no device writes it.
    assert_eq!(unsafe { first.slice::<u8>(99, 1) }.expect("in bounds"), [9]);
    rig.free(first).expect("it is alive");
    rig.free(second).expect("it is alive");
    rig.finish();
}

#[test]
fn memory_outlives_the_allocator() {
    let reports = Arc::new(Mutex::new(Vec::<LeakReport>::new()));
    let heard = Arc::clone(&reports);
    let vulkan = SimDevice::new(tiny());
    let info = create_info(&vulkan).on_leak(move |report| heard.lock().expect("nobody panics").push(report.clone()));
    // SAFETY: the objects belong together; the allocations are gone before the device.
    let allocator = unsafe { Allocator::new(info) }.expect("an allocator");
    let mut shared = upload(&allocator, 64);
    let alone = AllocationCreateInfo::upload().dedicated(DedicatedUse::Always).name("alone");
    let mut alone = allocator.allocate(&linear(64), &alone).expect("there is memory");
    drop(allocator);
    for allocation in [&mut shared, &mut alone] {
        allocation.fill(0, 64, 5).expect("it is still mapped");
        // SAFETY: written just now; no device writes it.
        assert_eq!(unsafe { allocation.slice::<u8>(0, 64) }.expect("in bounds"), [5; 64]);
    }
    let reports = reports.lock().expect("nobody panics");
    assert_eq!((reports[0].allocation_count, reports[0].leaks[0].name.as_str()), (2, "alone"));
    drop((shared, alone));
    assert_eq!(vulkan.finish().len(), 2, "the driver misses both objects");
}

#[test]
fn a_foreign_key_comes_back() {
    let vulkan = SimDevice::new(tiny());
    // SAFETY: the objects belong together; the allocators are dropped before the device.
    let [own, foreign] = [(), ()].map(|()| unsafe { Allocator::new(create_info(&vulkan)) }.expect("an allocator"));
    let mut allocation = upload(&own, 64);
    let error = foreign.free(allocation).expect_err("it is not its own");
    assert_eq!(error.reason, FreeErrorReason::Foreign);
    allocation = error.allocation;
    allocation.fill(0, 64, 1).expect("it is alive");
    own.free(allocation).expect("its own allocator takes it");
    drop((own, foreign));
    assert!(vulkan.finish().is_empty());
}

#[test]
fn two_threads() {
    let rig = Rig::new(tiny());
    std::thread::scope(|scope| {
        for number in 0..2_u8 {
            let rig = &rig;
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..12 {
                    let mut allocation = upload(rig, 40 + round * 100);
                    allocation.fill(0, allocation.size(), number).expect("it is mapped");
                    held.push(allocation);
                    if round % 3 == 2 {
                        let allocation = held.swap_remove(0);
                        let size = usize::try_from(allocation.size()).expect("small");
                        // SAFETY: filled above; no device writes it.
                        let bytes = unsafe { allocation.slice::<u8>(0, size) }.expect("in bounds");
                        assert!(bytes.iter().all(|byte| *byte == number));
                        rig.free(allocation).expect("it is alive");
                    }
                }
                for allocation in held {
                    rig.free(allocation).expect("it is alive");
                }
            });
        }
    });
    rig.trim();
    assert_eq!(rig.statistics().total.reserved_bytes(), 0);
    rig.finish();
}

#[test]
fn owned_resources() {
    let vulkan = SimDevice::new(tiny());
    // SAFETY: the objects belong together; the resources are gone before the device.
    let allocator = Arc::new(unsafe { Allocator::new(create_info(&vulkan)) }.expect("an allocator"));
    let upload = AllocationCreateInfo::upload();
    // SAFETY: the create-infos are valid; nothing is submitted.
    let mut buffer = unsafe { Buffer::new(Arc::clone(&allocator), &buffer_info(64), &upload) }.expect("a buffer");
    // SAFETY: as above.
    let image = unsafe { Image::new(&*allocator, &image_info(4), &AllocationCreateInfo::gpu_only()) };
    let image = image.expect("an image");
    buffer.write(0, &[1_u8, 2, 3]).expect("it is mapped");
    drop(image);
    std::thread::spawn(move || drop(buffer)).join().expect("it may be dropped on another thread");
    drop(allocator);
    assert!(vulkan.finish().is_empty());
}

#[test]
fn every_algorithm_cuts() {
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 32 }] {
        let info = VirtualBlockCreateInfo::new(1024).algorithm(algorithm).slab_limit(64);
        let mut block = VirtualBlock::new(&info).expect("a block");
        let mut keys: Vec<_> = (1..12).map(|size| block.allocate(&Request::new(size, 8)).expect("room").key).collect();
        assert!(block.set_user_data(&keys[3], 5));
        block.free(keys.swap_remove(5)).expect("it is alive");
        block.validate().expect("the invariants hold");
        block.clear();
        assert!(block.free(keys.swap_remove(0)).is_err());
    }
}

#[test]
fn every_way_to_get_memory() {
    let rig = Rig::new(tiny());
    let upload = AllocationCreateInfo::upload();
    let mut made = vec![
        rig.allocate(&linear(64 * KIB), &upload.dedicated(DedicatedUse::Always)).expect("dedicated"),
        rig.allocate(&requirements(50 * KIB, 1024, Kind::NonLinear), &upload.name("in a block")).expect("in a block"),
    ];
    let pools = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 512 }].map(|algorithm| {
        let info = PoolCreateInfo::for_intent(Intent::Upload).algorithm(algorithm).block_size(4096).min_block_count(1);
        rig.create_pool(&info).expect("a pool")
    });
    for pool in &pools {
        made.extend(rig.allocate_many(&[linear(300); 3], &upload.pool(pool)).expect("in a pool"));
    }
    for (value, allocation) in (1_u8..).zip(&mut made) {
        rig.write(allocation, 1, &[value; 200]).expect("it is mapped");
    }
    rig.control().allow_aliasing(true);
    // SAFETY: the create-info is valid; nothing is submitted.
    let alias = unsafe { rig.create_aliasing_buffer(&buffer_info(256), &made[0], 0) }.expect("an alias");
    // SAFETY: the GPU has never seen it.
    unsafe { rig.vulkan.device().destroy_buffer(alias, None) };
    assert_eq!(rig.detailed_statistics().ranges.used_count, made.len() as u64);
    for (value, allocation) in (1_u8..).zip(made) {
        let mut bytes = [0_u8; 200];
        // SAFETY: the bytes were written above; no device writes them.
        unsafe { rig.read(&allocation, 1, &mut bytes) }.expect("it is mapped");
        assert_eq!(bytes, [value; 200]);
        rig.free(allocation).expect("it is alive");
    }
    for pool in pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    rig.prewarm(Intent::Upload, 1000).expect("there is memory");
    rig.tick();
    assert!(rig.trim() > 0);
    rig.finish();
}

#[test]
fn failures_are_undone() {
    let rig = Rig::new(tiny());
    let control = rig.control();
    let calls = [
        (Function::AllocateMemory, vk::Result::ERROR_OUT_OF_HOST_MEMORY),
        (Function::MapMemory, vk::Result::ERROR_MEMORY_MAP_FAILED),
        (Function::CreateBuffer, vk::Result::ERROR_OUT_OF_HOST_MEMORY),
        (Function::BindBufferMemory, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
    ];
    for (function, result) in calls {
        control.fail_nth_of(function, 1, result);
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { rig.create_buffer(&buffer_info(1000), &AllocationCreateInfo::upload().name("failing")) };
        if let Ok((buffer, memory)) = made {
            // SAFETY: the GPU has never seen it.
            unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive");
        }
        control.clear_faults();
        rig.trim();
        assert_eq!(control.memory_object_count(), 0, "{function}");
    }
    assert_eq!(control.faults_fired().len(), calls.len(), "each failure happened");
    rig.finish();
}

#[test]
fn frames_of_a_ring() {
    let world = Rig::new(tiny());
    let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::VERTEX_BUFFER).initial_size(4096);
    // SAFETY: the usage is valid; nothing is submitted.
    let ring = unsafe { FrameRing::new(&*world, &info) }.expect("a ring");
    let queue = RetireQueue::new();
    for round in 0..6_u64 {
        let mut frame = ring.begin_frame().expect("not too many");
        let third = frame.push(&[round; 9]).expect("room");
        let mut writer = frame.writer();
        let (first, second) = (writer.reserve(100, 12).expect("room"), writer.reserve(3000, 1).expect("room"));
        std::thread::scope(|scope| {
            for (bytes, value) in [(first.bytes, 1), (second.bytes, 2)] {
                scope.spawn(move || bytes.fill(std::mem::MaybeUninit::new(value)));
            }
            scope.spawn(|| frame.writer().push(&[3_u8; 700]).expect("room"));
            writer.push(&[4_u8; 300]).expect("room");
        });
        drop(writer);
        assert_eq!(third.size, 72);
        queue.retire(frame.end_owned().expect("open"), round);
        queue.collect_with(round.saturating_sub(1), 8, |frame| ring.reclaim_frame(frame).expect("its own"));
    }
    queue.collect_with(u64::MAX, 8, |frame| ring.reclaim_frame(frame).expect("its own"));
    drop((queue, ring));
    world.finish();
}
