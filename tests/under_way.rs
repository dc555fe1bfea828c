//! Memory on its way: opened or given back by other threads, or committed lazily. It counts, and is waited for before a
//! refusal.

mod common;

use std::thread;
use std::time::Duration;

use ash::vk;
use common::{Rig, linear, mib, requirements};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{AllocationCreateInfo, AllocationRequirements, DedicatedUse, Intent, Kind};

/// Only a test that fails waits so long.
const HANG: Duration = Duration::from_secs(20);
/// Time to be refused, for a thread that does not wait; a test that passes does not depend on it.
const WHILE: Duration = Duration::from_millis(20);

/// A block on its way has the bytes that were refused, and room for the request, though no growth promised it.
#[test]
fn a_block_that_is_prewarmed_is_waited_for_before_a_refusal() {
    let rig = Rig::new(common::two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    let held = rig.allocate(&linear(mib(54)), &info.dedicated(DedicatedUse::Always)).expect("there is memory");
    thread::scope(|scope| {
        let gate = rig.control().block(Function::AllocateMemory);
        let opening = scope.spawn(|| rig.prewarm(Intent::GpuOnly, mib(8)));
        assert!(gate.wait_for_arrivals(1, HANG), "62 of 64 MiB are reserved");
        let waiting = scope.spawn(|| rig.allocate(&linear(mib(3)), &info));
        thread::sleep(WHILE);
        gate.open();
        assert_eq!(opening.join().expect("no panic").ok(), Some(mib(8)));
        let waited = waiting.join().expect("no panic").expect("the block has room");
        rig.free(waited).expect("it is alive");
    });
    rig.free(held).expect("it is alive");
    rig.finish();
}

/// The driver is asked once more where memory went back while it refused, whoever freed it.
#[test]
fn what_goes_back_while_a_driver_refuses_is_room() {
    let rig = Rig::new(common::two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always).without_spilling();
    let held = rig.allocate(&linear(mib(20)), &info).expect("there is memory");
    thread::scope(|scope| {
        rig.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
        let gate = rig.control().block(Function::AllocateMemory);
        let asking = scope.spawn(|| rig.allocate(&linear(mib(20)), &info));
        assert!(gate.wait_for_arrivals(1, HANG), "it asks the driver");
        rig.free(held).expect("it is alive");
        gate.open();
        let served = asking.join().expect("no panic").expect("20 MiB went back meanwhile");
        rig.free(served).expect("it is alive");
    });
    rig.finish();
}

/// The same for a block that is opened beforehand.
#[test]
fn what_goes_back_while_a_driver_refuses_is_room_for_a_prewarmed_block() {
    let rig = Rig::new(common::two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let held = rig.allocate(&linear(mib(20)), &info).expect("there is memory");
    thread::scope(|scope| {
        rig.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
        let gate = rig.control().block(Function::AllocateMemory);
        let asking = scope.spawn(|| rig.prewarm(Intent::GpuOnly, mib(8)));
        assert!(gate.wait_for_arrivals(1, HANG), "it asks the driver");
        rig.free(held).expect("it is alive");
        gate.open();
        assert_eq!(asking.join().expect("no panic").ok(), Some(mib(8)), "20 MiB went back meanwhile");
    });
    rig.finish();
}

/// What a driver refuses was never reserved: it raises no peak, and nothing that lies empty goes back for it.
#[test]
fn what_a_driver_refuses_raises_no_peak() {
    let rig = Rig::new(common::two_heaps(mib(256), mib(256)));
    let info = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always).without_spilling();
    let held = rig.allocate(&linear(mib(8)), &info).expect("there is memory");
    rig.control().refuse_allocations_above(Some(mib(16)));
    for _ in 0..4 {
        rig.allocate(&linear(mib(40)), &info).expect_err("the driver refuses it");
    }
    let second = rig.allocate(&linear(mib(8)), &info).expect("the driver gives so much");
    assert_eq!(rig.statistics().peak_reserved_bytes, mib(16));
    rig.free(held).expect("it is alive");
    rig.free(second).expect("it is alive");
    rig.finish();
}

/// The owner frees an object while a tick asks the driver about it: the tick gives it back, and who needs its bytes
/// waits.
#[test]
fn lazy_memory_that_a_tick_gives_back_is_waited_for() {
    let rig = Rig::with(SimDevice::new(Profile::noncoherent()), |info| info.heap_limit(0, 64 * KIB));
    let info = AllocationCreateInfo::transient().without_spilling();
    let lazy = AllocationRequirements { memory_type_bits: 1 << 4, ..requirements(64 * KIB, 256, Kind::NonLinear) };
    let first = rig.allocate(&lazy, &info).expect("there is memory");
    thread::scope(|scope| {
        let gate = rig.control().block(Function::GetDeviceMemoryCommitment);
        scope.spawn(|| rig.tick());
        assert!(gate.wait_for_arrivals(1, HANG), "the tick asks for its commitment");
        rig.free(first).expect("it is alive");
        let next = scope.spawn(|| rig.allocate(&lazy, &info));
        thread::sleep(WHILE);
        gate.open();
        rig.free(next.join().expect("no panic").expect("64 KiB are on their way")).expect("it is alive");
    });
    rig.finish();
}

/// What another thread is about to open counts towards the peak: what lies empty makes way for both.
#[test]
fn two_openings_at_once_raise_no_peak_while_memory_lies_empty() {
    let rig = Rig::new(common::two_heaps(mib(256), mib(256)));
    let own = AllocationCreateInfo::gpu_only().dedicated(DedicatedUse::Always);
    let held = rig.allocate(&linear(mib(60)), &own).expect("there is memory");
    let empty = rig.allocate(&linear(mib(20)), &AllocationCreateInfo::upload()).expect("there is memory");
    let gone = rig.allocate(&linear(mib(20)), &own).expect("there is memory");
    for one in [gone, empty] {
        rig.free(one).expect("it is alive");
    }
    assert_eq!(rig.statistics().total.empty_bytes, mib(20), "of 80 that are left of 100");
    let two = thread::scope(|scope| {
        let gate = rig.control().block(Function::AllocateMemory);
        let workers = [1, 2].map(|number| {
            let worker = scope.spawn(|| rig.allocate(&linear(mib(20)), &own).expect("there is memory"));
            assert!(gate.wait_for_arrivals(number, HANG), "it asks the driver");
            worker
        });
        gate.open();
        workers.map(|worker| worker.join().expect("no panic"))
    });
    assert_eq!((rig.control().peak_reserved_bytes(), rig.statistics().peak_reserved_bytes), (mib(100), mib(100)));
    for one in two.into_iter().chain([held]) {
        rig.free(one).expect("it is alive");
    }
    rig.finish();
}

/// What goes back while the driver maps what it has just given was there beside it.
#[test]
fn the_peak_counts_what_goes_back_during_an_opening() {
    let rig = Rig::new(common::two_heaps(mib(256), mib(256)));
    let info = AllocationCreateInfo::upload().dedicated(DedicatedUse::Always);
    let first = rig.allocate(&linear(mib(40)), &info).expect("there is memory");
    let second = thread::scope(|scope| {
        let gate = rig.control().block(Function::MapMemory);
        let opening = scope.spawn(|| rig.allocate(&linear(mib(40)), &info).expect("there is memory"));
        assert!(gate.wait_for_arrivals(1, HANG), "the driver has given 40 MiB more");
        rig.free(first).expect("it is alive");
        gate.open();
        opening.join().expect("no panic")
    });
    assert_eq!((rig.control().peak_reserved_bytes(), rig.statistics().peak_reserved_bytes), (mib(80), mib(80)));
    rig.free(second).expect("it is alive");
    rig.finish();
}

/// Lazily allocated memory counts as a whole until the driver is asked for its commitment, though it commits nothing.
#[test]
fn lazy_memory_hides_nobody_else_s() {
    let rig = Rig::new(Profile::noncoherent());
    let info = vk::MemoryAllocateInfo::default().allocation_size(mib(150)).memory_type_index(0);
    // SAFETY: the memory type has a heap with room; it is freed below.
    let others = unsafe { rig.vulkan.device().allocate_memory(&info, None) }.expect("there is memory");
    let image = requirements(mib(64), 256, Kind::NonLinear);
    let lazy = rig.allocate(&image, &AllocationCreateInfo::transient()).expect("there is memory");
    rig.control().set_budget(0, Some(mib(200)));
    assert!(rig.update_budget());
    let usage = rig.heap_usage(0);
    assert_eq!((usage.own, usage.foreign), (0, mib(150)));
    rig.free(lazy).expect("it is alive");
    let info = AllocationCreateInfo::gpu_only().within_budget().without_spilling();
    let over = rig.allocate(&linear(mib(100)), &info);
    assert!(over.is_err(), "50 MiB are left of the budget: {over:?}");
    // SAFETY: it is alive, and nothing uses it.
    unsafe { rig.vulkan.device().free_memory(others, None) };
    rig.finish();
}

/// What it commits is its own: at the next look nobody else holds it.
#[test]
fn lazy_memory_that_is_committed_counts_once() {
    let rig = Rig::new(Profile::noncoherent());
    rig.control().set_lazy_commitment(50);
    let image = requirements(mib(64), 256, Kind::NonLinear);
    let lazy = rig.allocate(&image, &AllocationCreateInfo::transient()).expect("there is memory");
    assert_eq!(rig.heap_usage(0).own, mib(64), "it may commit all");
    assert!(rig.update_budget());
    let usage = rig.heap_usage(0);
    assert_eq!((usage.own, usage.foreign), (mib(64) / 100 * 50, 0));
    rig.free(lazy).expect("it is alive");
    rig.finish();
}
