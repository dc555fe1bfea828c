//! The validation layers are loaded, heard, and silent about a program that does nothing wrong.
//!
//! Runs on whatever driver and layers the environment names (`scripts/with-driver`). Where there is none it says so and
//! passes, unless `FREESTONE_REQUIRE_DRIVERS` is set.

#[path = "../src/bin/freestone/vulkan/mod.rs"]
mod vulkan;

use ash::vk;
use vulkan::{Counter, Headless, Mistake, Program};

/// Allocates `size` bytes of memory type 0.
fn allocate(device: &ash::Device, size: u64) -> vk::DeviceMemory {
    let info = vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(0);
    // SAFETY: every driver has a memory type 0, and far more memory than is asked for here.
    unsafe { device.allocate_memory(&info, None) }.expect("a driver with a few MiB")
}

#[test]
fn each_deliberate_mistake_is_heard() {
    let Some(headless) = Headless::for_test(Program::Test) else {
        return;
    };
    let unheard = Mistake::unheard(&headless).expect("the mistakes can be made");
    assert!(unheard.is_empty(), "the layers did not hear {unheard:?}");
    headless.close();
}

#[test]
fn a_leak_is_heard_when_the_device_is_destroyed() {
    let Some(headless) = Headless::for_test(Program::Test) else {
        return;
    };
    let info = vk::BufferCreateInfo::default().size(1 << 20).usage(vk::BufferUsageFlags::TRANSFER_DST);
    // SAFETY: the device is alive. That nobody destroys the buffer is the mistake; a driver only keeps its bookkeeping.
    unsafe { headless.device.create_buffer(&info, None) }.expect("a buffer without memory needs nothing");
    let validation = headless.close().expect("layers are required");
    let messages = validation.messages();
    assert!(
        messages.iter().any(|message| message.id.contains("VUID-vkDestroyDevice-device")),
        "heard only {messages:?}"
    );
}

#[test]
fn a_device_used_well_is_silent_and_uses_every_exception() {
    for program in [Program::Test, Program::Replay] {
        let Some(headless) = Headless::for_test(program) else {
            return;
        };
        println!("{headless:?}");
        let memory = allocate(&headless.device, 1 << 20);
        // SAFETY: allocated above, never used.
        unsafe { headless.device.free_memory(memory, None) };
        let validation = headless.close().expect("layers are required");
        validation.print();
        assert_eq!(validation.count(), 0, "messages to {program:?}");
        let unused = validation.unused_exceptions();
        assert!(unused.is_empty(), "exceptions that {program:?} no longer needs: {unused:?}");
    }
}

#[test]
fn driver_allocations_are_counted_at_the_function_table() {
    let Some(headless) = Headless::for_test(Program::Test) else {
        return;
    };
    let counter = Counter::new(&headless.instance.entry, &headless.instance.raw, &headless.device, 4096);
    let memory = [1 << 20, (1 << 20) + 64].map(|size| allocate(&counter.device, size));
    let count = counter.count();
    assert_eq!((count.allocations, count.live_bytes), (2, (2 << 20) + 64));
    assert_eq!(count.live_pages_bytes, (2 << 20) + 4096);
    for memory in memory {
        // SAFETY: allocated above, never used.
        unsafe { counter.device.free_memory(memory, None) };
    }
    let count = counter.count();
    assert_eq!((count.frees, count.live_bytes, count.live_pages_bytes), (2, 0, 0));
    assert_eq!((count.peak_bytes, count.peak_pages_bytes), ((2 << 20) + 64, (2 << 20) + 4096));
    drop(counter);
    headless.close();
}
