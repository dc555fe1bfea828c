//! Memory objects, their mappings and ranges.

use std::alloc::{self, Layout};
use std::ffi::c_void;

use super::*;

/// A type that the host sees, of the profile `discrete-bar256`.
const SYSTEM: u32 = 2;
/// Types of the profile `noncoherent`.
const NON_COHERENT: u32 = 1;
const LAZY: u32 = 4;

/// Asks for mapped memory.
fn mapped(size: u64, memory_type_index: u32) -> MemoryRequest {
    MemoryRequest { map: Mapping::Persistent, ..MemoryRequest::new(size, memory_type_index) }
}

#[test]
fn memory_is_mapped_as_a_whole_and_freed_with_its_mapping() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    let memory = device.allocate_memory(&mapped(MIB, SYSTEM)).unwrap();
    assert_eq!((memory.size(), memory.memory_type_index(), memory.mapping_error()), (MIB, SYSTEM, None));
    let last = memory.mapped_ptr().unwrap().as_ptr().wrapping_add(1024 * 1024 - 1);
    // SAFETY: all of the memory is mapped (Memory I2), and nobody else has the pointer.
    unsafe { last.write(7) };
    device.free_memory(memory);
    assert_eq!((sim.control().memory_object_count(), sim.control().count(Function::MapMemory)), (0, 1));
    drop(device);
    assert!(sim.finish().is_empty());
}

#[test]
fn hidden_memory_is_not_mapped() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    let memory = device.allocate_memory(&mapped(MIB, 1)).unwrap();
    assert_eq!((memory.mapped_ptr(), memory.mapping_error()), (None, None));
    assert!(memory.range(0, 1).is_none());
    assert_eq!(sim.control().count(Function::MapMemory), 0);
    device.free_memory(memory);
}

/// Peers leak the memory here (gpu-alloc).
#[test]
fn memory_whose_mapping_fails_is_usable_and_not_lost() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    for &result in Function::MapMemory.failures() {
        sim.control().fail_nth_of(Function::MapMemory, 1, result);
        let memory = device.allocate_memory(&mapped(MIB, SYSTEM)).unwrap();
        assert_eq!(memory.mapped_ptr(), None);
        assert_eq!(memory.mapping_error(), Some(DriverError { call: "vkMapMemory", result }));
        device.free_memory(memory);
    }
    assert_eq!(sim.control().memory_object_count(), 0);
    sim.control().assert_clean();
}

#[test]
fn a_refused_allocation_keeps_the_driver_s_word() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    for &result in Function::AllocateMemory.failures() {
        sim.control().fail_nth_of(Function::AllocateMemory, 1, result);
        let refused = device.allocate_memory(&MemoryRequest::new(MIB, SYSTEM)).unwrap_err();
        assert_eq!(refused, DriverError { call: "vkAllocateMemory", result });
    }
    assert_eq!(sim.control().memory_object_count(), 0);
}

/// Vulkan forbids to ask for it (VUID-vkAllocateMemory-pAllocateInfo-01713 and -01714).
#[test]
fn what_no_heap_can_hold_is_not_asked_for() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    for (size, memory_type_index) in [(256 * MIB + 1, 4), (1, 5), (1, 32), (1, u32::MAX)] {
        let refused = device.allocate_memory(&MemoryRequest::new(size, memory_type_index)).unwrap_err();
        assert_eq!(refused.result, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    }
    assert_eq!(sim.control().count(Function::AllocateMemory), 0);
}

#[test]
fn declared_features_reach_the_driver_and_others_do_not() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let request = MemoryRequest { device_address: true, priority: Some(7.0), ..MemoryRequest::new(MIB, 1) };
    let plain = declare(&sim, NO_FEATURES);
    let memory = plain.allocate_memory(&request).unwrap();
    let seen = sim.memory_objects();
    assert!(!seen[0].has_device_address && seen[0].priority != Some(1.0));
    plain.free_memory(memory);
    let rich = declare(&sim, Features { buffer_device_address: true, memory_priority: true, ..NO_FEATURES });
    let memory = rich.allocate_memory(&request).unwrap();
    let seen = sim.memory_objects();
    assert!(seen[0].has_device_address);
    assert_eq!(seen[0].priority, Some(1.0), "cut to the allowed range");
    rich.free_memory(memory);
    sim.control().assert_clean();
}

#[test]
fn the_user_hears_of_every_memory_object() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let (heard, control) = (Arc::clone(&heard), sim.control().clone());
        move |event: &MemoryEvent| {
            let live = control.memory_object_count();
            heard.lock().unwrap().push((what, event.memory, event.memory_type_index, event.size, live));
        }
    };
    let callbacks = MemoryCallbacks::new().after_allocate(note("allocated")).before_free(note("freeing"));
    let info = DeviceCreateInfo { memory_callbacks: Some(callbacks), ..create_info(&sim) };
    // SAFETY: the handles belong together, `sim` outlives the device, and no feature is declared.
    let device = unsafe { Device::new(&info) }.unwrap();
    let memory = device.allocate_memory(&MemoryRequest::new(MIB, 1)).unwrap();
    let handle = memory.handle();
    device.free_memory(memory);
    sim.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    device.allocate_memory(&MemoryRequest::new(MIB, 1)).unwrap_err();
    let expected = [("allocated", handle, 1, MIB, 1), ("freeing", handle, 1, MIB, 1)];
    assert_eq!(*heard.lock().unwrap(), expected, "alive both times, and nothing about what failed");
}

/// How the host-memory callbacks lay out a piece: its size in front, then the bytes.
const HEADER: usize = 64;

/// A size as the header holds it.
type SizeBytes = [u8; size_of::<usize>()];

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size + HEADER, HEADER).unwrap()
}

unsafe extern "system" fn allocate_host(
    _: *mut c_void,
    size: usize,
    alignment: usize,
    _: vk::SystemAllocationScope,
) -> *mut c_void {
    assert!(alignment <= HEADER);
    // SAFETY: the layout has at least the header's bytes.
    let start = unsafe { alloc::alloc(layout(size)) };
    // SAFETY: the header is inside, and bytes need no alignment.
    unsafe { start.cast::<SizeBytes>().write(size.to_ne_bytes()) };
    // SAFETY: the header is inside.
    unsafe { start.add(HEADER) }.cast()
}

unsafe extern "system" fn reallocate_host(
    _: *mut c_void,
    _: *mut c_void,
    _: usize,
    _: usize,
    _: vk::SystemAllocationScope,
) -> *mut c_void {
    ptr::null_mut()
}

unsafe extern "system" fn free_host(_: *mut c_void, memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    // SAFETY: the pointer came from `allocate_host`, which put the header in front of it.
    let start = unsafe { memory.cast::<u8>().sub(HEADER) };
    // SAFETY: `allocate_host` wrote the size there.
    let size = usize::from_ne_bytes(unsafe { start.cast::<SizeBytes>().read() });
    // SAFETY: this is the layout that it was allocated with.
    unsafe { alloc::dealloc(start, layout(size)) };
}

#[test]
fn host_memory_callbacks_reach_each_call() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let callbacks = vk::AllocationCallbacks::default()
        .user_data(ptr::without_provenance_mut(42))
        .pfn_allocation(Some(allocate_host))
        .pfn_reallocation(Some(reallocate_host))
        .pfn_free(Some(free_host));
    let info = DeviceCreateInfo { allocation_callbacks: Some(callbacks), ..create_info(&sim) };
    // SAFETY: as above; the callbacks allocate and free as Vulkan demands.
    let device = unsafe { Device::new(&info) }.unwrap();
    let memory = device.allocate_memory(&MemoryRequest::new(MIB, 1)).unwrap();
    device.free_memory(memory);
    let uses: Vec<_> = sim.control().callback_uses().into_iter().map(|used| (used.function, used.user_data)).collect();
    assert_eq!(uses, [(Function::AllocateMemory, 42), (Function::FreeMemory, 42)]);
}

/// Ranges off the atom and past the end are violations to the simulated driver, as to the validation layers.
#[test]
fn ranges_of_non_coherent_memory_are_rounded_and_batched() {
    let sim = SimDevice::new(Profile::noncoherent());
    let device = declare(&sim, NO_FEATURES);
    let memory = device.allocate_memory(&mapped(1000, NON_COHERENT)).unwrap();
    let ranges: Vec<_> = [(0, 1), (255, 2), (999, 1), (1, vk::WHOLE_SIZE), (2000, 5), (3, 0)]
        .into_iter()
        .map(|(offset, size)| memory.range(offset, size).unwrap())
        .collect();
    device.flush(&ranges).unwrap();
    device.invalidate(&ranges).unwrap();
    device.flush(&vec![ranges[0]; 40]).unwrap();
    device.flush(&ranges[4..]).unwrap();
    device.flush(&[]).unwrap();
    assert_eq!(sim.control().count(Function::FlushMappedMemoryRanges), 1 + 3, "16 at once, none for nothing");
    assert_eq!(sim.control().count(Function::InvalidateMappedMemoryRanges), 1);
    // SAFETY: the handle, its size and its mapping are the memory's own, which is freed below.
    let by_handle =
        unsafe { MemoryRange::of_handle(memory.handle(), RangeWithin { memory_size: 1000, offset: 300, size: 9 }) };
    assert_eq!(by_handle, memory.range(300, 9).unwrap());
    device.flush(&[by_handle]).unwrap();
    device.free_memory(memory);
    sim.control().assert_clean();
}

#[test]
fn a_flush_that_fails_says_so() {
    let sim = SimDevice::new(Profile::noncoherent());
    let device = declare(&sim, NO_FEATURES);
    let memory = device.allocate_memory(&mapped(1000, NON_COHERENT)).unwrap();
    let result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
    sim.control().fail_nth_of(Function::FlushMappedMemoryRanges, 1, result);
    sim.control().fail_nth_of(Function::InvalidateMappedMemoryRanges, 1, result);
    let ranges = [memory.range(0, 10).unwrap()];
    let call = "vkFlushMappedMemoryRanges";
    assert_eq!(device.flush(&ranges), Err(DriverError { call, result }));
    let call = "vkInvalidateMappedMemoryRanges";
    assert_eq!(device.invalidate(&ranges), Err(DriverError { call, result }));
    device.free_memory(memory);
}

#[test]
fn lazy_memory_is_asked_what_it_commits() {
    let sim = SimDevice::new(Profile::noncoherent());
    let device = declare(&sim, NO_FEATURES);
    sim.control().set_lazy_commitment(25);
    let lazy = device.allocate_memory(&MemoryRequest::new(MIB, LAZY)).unwrap();
    let other = device.allocate_memory(&MemoryRequest::new(MIB, NON_COHERENT)).unwrap();
    let committed = device.commitment(&lazy);
    assert!(0 < committed && committed < MIB / 2, "{committed} bytes");
    assert_eq!(device.commitment(&other), MIB);
    assert_eq!(sim.control().count(Function::GetDeviceMemoryCommitment), 1);
    device.free_memory(lazy);
    device.free_memory(other);
    sim.control().assert_clean();
}

#[test]
#[should_panic(expected = "memory of another device")]
#[cfg(debug_assertions)]
fn memory_of_another_device_is_noticed() {
    let sim = SimDevice::new(Profile::unified());
    let (one, other) = (declare(&sim, NO_FEATURES), declare(&sim, NO_FEATURES));
    let memory = one.allocate_memory(&MemoryRequest::new(MIB, 0)).unwrap();
    other.free_memory(memory);
}

#[test]
fn memory_can_be_freed_on_another_thread_while_others_allocate() {
    let sim = SimDevice::new(Profile::unified());
    let device = declare(&sim, NO_FEATURES);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let memory = device.allocate_memory(&mapped(64 * 1024, 1)).unwrap();
            let device = &device;
            scope.spawn(move || {
                device.free_memory(memory);
                let own = device.allocate_memory(&mapped(64 * 1024, 1)).unwrap();
                device.free_memory(own);
            });
        }
    });
    assert_eq!(sim.control().memory_object_count(), 0);
    sim.control().assert_clean();
}
