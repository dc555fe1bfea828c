//! Every rule about memory objects fires, and their bytes behave.

use super::super::{Checks, Features, Function, GIB, KIB, MIB, Profile, SimDevice};
use super::{allocate, buffer, destroy_buffer, free, map, rules};
use ash::vk;

const VISIBLE: u32 = 1;

fn allocate_chained<T: vk::ExtendsMemoryAllocateInfo>(
    sim: &SimDevice,
    size: u64,
    memory_type_index: u32,
    chained: &mut T,
) -> vk::DeviceMemory {
    let info =
        vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(memory_type_index).push_next(chained);
    // SAFETY: the device, the create-info and its chain are valid.
    unsafe { sim.device().allocate_memory(&info, None) }.unwrap()
}

fn poke(bytes: *mut u8, offset: usize, value: u8) {
    // SAFETY: the tests stay inside the mapping.
    let place = unsafe { bytes.add(offset) };
    // SAFETY: as above.
    unsafe { place.write(value) };
}

fn peek(bytes: *const u8, offset: usize) -> u8 {
    // SAFETY: the tests stay inside the mapping.
    let place = unsafe { bytes.add(offset) };
    // SAFETY: as above, and they wrote the byte before.
    unsafe { place.read() }
}

#[test]
fn impossible_allocations_are_refused() {
    let sim = SimDevice::new(Profile::unified());
    assert_eq!(allocate(&sim, 0, 0), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    assert_eq!(rules(&sim), ["VUID-VkMemoryAllocateInfo-allocationSize-07897"]);
    assert_eq!(allocate(&sim, 16, 2), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    assert_eq!(rules(&sim), ["VUID-vkAllocateMemory-pAllocateInfo-01714"]);
    assert_eq!(allocate(&sim, 13 * GIB, 0), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    assert_eq!(
        rules(&sim),
        ["VUID-vkAllocateMemory-pAllocateInfo-01713", "SIM-allocation-above-maxMemoryAllocationSize"]
    );
    assert_eq!(
        allocate(&sim, 5 * GIB, 0),
        Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
        "above maxMemoryAllocationSize"
    );
    assert_eq!(rules(&sim), ["SIM-allocation-above-maxMemoryAllocationSize"]);
    free(&sim, allocate(&sim, 4 * GIB, 0).unwrap());
    assert_eq!(sim.finish(), []);
}

#[test]
fn a_heap_is_full_when_its_pages_are_taken() {
    let mut profile = Profile::unified();
    profile.heaps[0].size = 16 * KIB;
    let sim = SimDevice::new(profile);
    let memory = [0; 4].map(|_| allocate(&sim, 1, 0).unwrap());
    let heap = sim.control().heap(0).unwrap();
    assert_eq!((heap.bytes, heap.page_bytes, heap.object_count), (4, 16 * KIB, 4));
    assert_eq!(allocate(&sim, 1, 0), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    free(&sim, memory[0]);
    sim.control().set_foreign_usage(0, 1);
    assert_eq!(allocate(&sim, 1, 0), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    sim.control().set_foreign_usage(0, 0);
    let again = allocate(&sim, 1, 0).unwrap();
    for memory in memory[1..].iter().chain([&again]) {
        free(&sim, *memory);
    }
    let reserved = (sim.control().reserved_bytes(), sim.control().reserved_page_bytes());
    let (heap, control) = (sim.control().heap(0).unwrap(), sim.control().clone());
    assert_eq!((reserved, heap.bytes, heap.page_bytes, heap.object_count), ((0, 0), 0, 0, 0), "all is given back");
    assert_eq!((control.peak_reserved_bytes(), control.peak_reserved_page_bytes()), (4, 16 * KIB));
    assert_eq!((control.memory_object_count(), control.peak_memory_object_count()), (0, 4));
    control.reset_peaks();
    assert_eq!((control.peak_reserved_bytes(), control.peak_reserved_page_bytes()), (0, 0));
    assert_eq!(control.peak_memory_object_count(), 0);
    assert_eq!(sim.finish(), []);
}

#[test]
fn the_count_of_objects_is_limited() {
    let mut profile = Profile::unified();
    profile.max_memory_allocation_count = 2;
    let sim = SimDevice::new(profile);
    let memory = [allocate(&sim, 16, 0).unwrap(), allocate(&sim, 16, 0).unwrap()];
    assert_eq!(allocate(&sim, 16, 0), Err(vk::Result::ERROR_TOO_MANY_OBJECTS));
    assert_eq!(rules(&sim), ["VUID-vkAllocateMemory-maxMemoryAllocationCount-04101"]);
    for memory in memory {
        free(&sim, memory);
    }
    sim.control().refuse_objects_above(0);
    assert_eq!(allocate(&sim, 16, 0), Err(vk::Result::ERROR_TOO_MANY_OBJECTS));
    assert_eq!(sim.finish(), []);
}

#[test]
fn every_device_counts_its_own_objects() {
    let mut profile = Profile::unified();
    profile.max_memory_allocation_count = 2;
    let sim = SimDevice::new(profile);
    let held = [(); 2].map(|()| allocate(&sim, 16, 0).unwrap());
    let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&[1.0])];
    let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues);
    // SAFETY: the physical device is of this instance.
    let other = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) }.unwrap();
    let info = vk::MemoryAllocateInfo::default().allocation_size(16).memory_type_index(0);
    // SAFETY: the device and the create-info are valid; so they are below.
    let memory = [(); 2].map(|()| unsafe { other.allocate_memory(&info, None) }.unwrap());
    assert_eq!(rules(&sim), [""; 0]);
    // SAFETY: as above.
    assert_eq!(unsafe { other.allocate_memory(&info, None) }, Err(vk::Result::ERROR_TOO_MANY_OBJECTS));
    assert_eq!(rules(&sim), ["VUID-vkAllocateMemory-maxMemoryAllocationCount-04101"]);
    for memory in memory {
        // SAFETY: nothing uses it; so it is below.
        unsafe { other.free_memory(memory, None) };
    }
    // SAFETY: as above.
    unsafe { other.destroy_device(None) };
    for memory in held {
        free(&sim, memory);
    }
    assert_eq!(sim.finish(), []);
}

#[test]
fn types_and_flags_need_their_features() {
    let sim = SimDevice::new(Profile::discrete_rebar());
    free(&sim, allocate(&sim, 16, 4).unwrap());
    assert_eq!(rules(&sim), ["VUID-vkAllocateMemory-deviceCoherentMemory-02790"]);
    let sim = SimDevice::new(Profile::noncoherent());
    free(&sim, allocate(&sim, 16, 5).unwrap());
    assert_eq!(rules(&sim), ["VUID-VkMemoryAllocateInfo-memoryTypeIndex-01872"]);
    let sim = SimDevice::builder(Profile::unified()).features(Features::NONE).build().unwrap();
    let mut flags = vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
    free(&sim, allocate_chained(&sim, 16, 0, &mut flags));
    assert_eq!(rules(&sim), ["VUID-VkMemoryAllocateInfo-flags-03331"]);
    let opted = SimDevice::builder(Profile::noncoherent()).with_features(Features::PROTECTED_MEMORY).build().unwrap();
    free(&opted, allocate(&opted, 16, 5).unwrap());
    assert_eq!(opted.finish(), []);
}

#[test]
fn priorities_are_kept_and_checked() {
    let sim = SimDevice::new(Profile::unified());
    let mut priority = vk::MemoryPriorityAllocateInfoEXT::default().priority(1.5);
    let memory = allocate_chained(&sim, 16, 0, &mut priority);
    assert_eq!(sim.memory_objects()[0].priority, Some(1.5));
    assert_eq!(rules(&sim), ["VUID-VkMemoryPriorityAllocateInfoEXT-priority-02602"]);
    free(&sim, memory);
}

#[test]
fn dedicated_memory_is_for_one_resource_and_exactly_as_large() {
    let sim = SimDevice::new(Profile::unified());
    let owner = buffer(&sim, 256);
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(owner);
    free(&sim, allocate_chained(&sim, 257, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-buffer-02965"]);
    let memory = allocate_chained(&sim, 256, 0, &mut dedicated);
    assert!(sim.memory_objects()[0].dedicated_to.is_some());
    free(&sim, memory);
    destroy_buffer(&sim, owner);
    free(&sim, allocate_chained(&sim, 256, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-buffer-parameter"]);
    let image = super::image(&sim, &super::image_info(8));
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image);
    free(&sim, allocate_chained(&sim, 1, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-image-02964"]);
    dedicated.buffer = owner;
    let size = 256;
    free(&sim, allocate_chained(&sim, size, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-image-01432"]);
    super::destroy_image(&sim, image);
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image);
    free(&sim, allocate_chained(&sim, size, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-image-parameter"]);
}

#[test]
fn sparse_and_disjoint_resources_have_no_dedicated_memory() {
    let sim = SimDevice::builder(Profile::unified()).with_features(Features::SPARSE_BINDING).build().unwrap();
    let info = vk::BufferCreateInfo::default()
        .size(256)
        .usage(vk::BufferUsageFlags::TRANSFER_SRC)
        .flags(vk::BufferCreateFlags::SPARSE_BINDING);
    // SAFETY: the device and the create-info are valid.
    let sparse = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().buffer(sparse);
    free(&sim, allocate_chained(&sim, 256, 0, &mut dedicated));
    assert_eq!(rules(&sim), ["VUID-VkMemoryDedicatedAllocateInfo-buffer-01436"]);
    destroy_buffer(&sim, sparse);
    for (flags, rule) in [
        (vk::ImageCreateFlags::SPARSE_BINDING, "VUID-VkMemoryDedicatedAllocateInfo-image-01434"),
        (vk::ImageCreateFlags::DISJOINT, "VUID-VkMemoryDedicatedAllocateInfo-image-01797"),
    ] {
        let image = super::image(&sim, &super::image_info(8).flags(flags));
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default().image(image);
        free(&sim, allocate_chained(&sim, 256, 0, &mut dedicated));
        assert_eq!(rules(&sim), [rule]);
        super::destroy_image(&sim, image);
    }
}

#[test]
fn wrong_mappings_are_refused() {
    let sim = SimDevice::new(Profile::unified());
    let memory = allocate(&sim, 4096, VISIBLE).unwrap();
    let hidden = allocate(&sim, 4096, 0).unwrap();
    let failed = Err(vk::Result::ERROR_MEMORY_MAP_FAILED);
    assert_eq!(map(&sim, memory, 4096, vk::WHOLE_SIZE), failed);
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-offset-00679"]);
    assert_eq!(map(&sim, memory, 0, 0), failed);
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-size-00680"]);
    assert_eq!(map(&sim, memory, 1, 4096), failed);
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-size-00681"]);
    assert_eq!(map(&sim, hidden, 0, 16), failed);
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-memory-00682"]);
    assert!(map(&sim, memory, 0, 16).is_ok());
    assert_eq!(map(&sim, memory, 0, 16), failed);
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-memory-00678"]);
    // SAFETY: a wrong unmapping is the driver's to find.
    unsafe { sim.device().unmap_memory(hidden) };
    assert_eq!(rules(&sim), ["VUID-vkUnmapMemory-memory-00689"]);
    free(&sim, memory);
    assert_eq!(sim.control().mapped_frees(), 1);
    free(&sim, hidden);
    assert_eq!(map(&sim, memory, 0, 16), failed);
    // SAFETY: as above.
    unsafe { sim.device().unmap_memory(memory) };
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-memory-parameter", "VUID-vkUnmapMemory-memory-parameter"]);
}

#[test]
fn the_second_version_of_mapping_has_rules_of_its_own() {
    let sim = SimDevice::new(Profile::unified());
    let functions = ash::khr::map_memory2::Device::new(sim.instance(), sim.device());
    let (functions, device) = (functions.fp(), sim.device().handle());
    let memory = allocate(&sim, 4096, VISIBLE).unwrap();
    let info = vk::MemoryMapInfoKHR::default().memory(memory).size(vk::WHOLE_SIZE);
    let mut pointer = core::ptr::null_mut();
    // SAFETY: the memory is valid.
    let first = unsafe { (functions.map_memory2_khr)(device, &raw const info, &raw mut pointer) };
    assert_eq!((first, pointer.is_null()), (vk::Result::SUCCESS, false));
    // SAFETY: wrong on purpose, the driver's to find.
    let second = unsafe { (functions.map_memory2_khr)(device, &raw const info, &raw mut pointer) };
    assert_eq!((second, pointer.is_null()), (vk::Result::ERROR_MEMORY_MAP_FAILED, true));
    assert_eq!(rules(&sim), ["VUID-VkMemoryMapInfoKHR-memory-07958"]);
    let info = vk::MemoryUnmapInfoKHR::default().memory(memory);
    // SAFETY: the memory is mapped.
    let first = unsafe { (functions.unmap_memory2_khr)(device, &raw const info) };
    assert_eq!((first, rules(&sim).len()), (vk::Result::SUCCESS, 0));
    // SAFETY: wrong on purpose, the driver's to find.
    let _ = unsafe { (functions.unmap_memory2_khr)(device, &raw const info) };
    assert_eq!(rules(&sim), ["VUID-VkMemoryUnmapInfoKHR-memory-07964"]);
    free(&sim, memory);
}

#[test]
fn mappings_keep_their_bytes_and_their_place() {
    let sim = SimDevice::new(Profile::unified());
    let memory = allocate(&sim, 4096, VISIBLE).unwrap();
    let whole = map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    assert_eq!(whole.addr() % 4096, 0);
    assert_ne!(whole.addr() % 8192, 0);
    poke(whole, 100, 7);
    // SAFETY: the memory is mapped.
    unsafe { sim.device().unmap_memory(memory) };
    let part = map(&sim, memory, 64, 128).unwrap();
    assert_eq!(part.addr(), whole.addr() + 64);
    assert_eq!(peek(part, 36), 7, "byte 100 of the memory");
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

fn range(memory: vk::DeviceMemory, offset: u64, size: u64) -> [vk::MappedMemoryRange<'static>; 1] {
    [vk::MappedMemoryRange::default().memory(memory).offset(offset).size(size)]
}

fn flush(sim: &SimDevice, memory: vk::DeviceMemory, offset: u64, size: u64) {
    // SAFETY: a wrong range is the driver's to find.
    unsafe { sim.device().flush_mapped_memory_ranges(&range(memory, offset, size)) }.unwrap();
}

fn invalidate(sim: &SimDevice, memory: vk::DeviceMemory, offset: u64, size: u64) {
    // SAFETY: a wrong range is the driver's to find.
    unsafe { sim.device().invalidate_mapped_memory_ranges(&range(memory, offset, size)) }.unwrap();
}

#[test]
fn ranges_are_whole_atoms_inside_the_mapping() {
    let sim = SimDevice::new(Profile::noncoherent());
    let memory = allocate(&sim, 1000, VISIBLE).unwrap();
    flush(&sim, memory, 0, 256);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-memory-00684"]);
    map(&sim, memory, 256, 500).unwrap();
    flush(&sim, memory, 0, 512);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-size-00685"]);
    flush(&sim, memory, 0, vk::WHOLE_SIZE);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-size-00686", "VUID-VkMappedMemoryRange-size-01389"]);
    invalidate(&sim, memory, 300, 256);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-offset-00687"]);
    invalidate(&sim, memory, 256, 10);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-size-01390"]);
    flush(&sim, memory, 256, 256);
    // SAFETY: the memory is mapped.
    unsafe { sim.device().unmap_memory(memory) };
    map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    flush(&sim, memory, 768, 232);
    invalidate(&sim, memory, 768, vk::WHOLE_SIZE);
    assert_eq!(rules(&sim), [""; 0]);
    free(&sim, memory);
    flush(&sim, memory, 0, 256);
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-memory-parameter"]);
}

#[test]
#[cfg_attr(miri, ignore = "the cache model is off under Miri")]
fn an_invalidate_that_discards_unflushed_writes_is_recorded() {
    let sim = SimDevice::new(Profile::noncoherent());
    let memory = allocate(&sim, 1024, VISIBLE).unwrap();
    let bytes = map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    poke(bytes, 300, 7);
    invalidate(&sim, memory, 0, 256);
    assert_eq!(rules(&sim), [""; 0]);
    invalidate(&sim, memory, 256, 256);
    assert_eq!(rules(&sim), ["SIM-invalidate-discards-host-write"]);
    assert_eq!(peek(bytes, 300), 0);
    free(&sim, memory);
}

#[test]
fn lazily_allocated_memory_costs_what_is_committed() {
    let sim = SimDevice::new(Profile::noncoherent());
    let lazy = allocate(&sim, 1_000_000, 4).unwrap();
    let heap = sim.control().heap(0).unwrap();
    assert_eq!((heap.bytes, heap.lazy_bytes), (0, 1_000_000));
    sim.control().set_lazy_commitment(30);
    // SAFETY: the memory is valid.
    let committed = unsafe { sim.device().get_device_memory_commitment(lazy) };
    assert_eq!(committed, 300_000);
    let ordinary = allocate(&sim, 16, 0).unwrap();
    // SAFETY: wrong on purpose, the driver's to find.
    let _ = unsafe { sim.device().get_device_memory_commitment(ordinary) };
    assert_eq!(rules(&sim), ["VUID-vkGetDeviceMemoryCommitment-memory-00690"]);
    free(&sim, ordinary);
    free(&sim, lazy);
    assert_eq!(sim.finish(), []);
}

/// What is committed is taken from the heap like any other memory.
#[test]
fn committed_lazy_memory_takes_room() {
    let sim = SimDevice::new(Profile::noncoherent());
    sim.control().leave_free(0, 3 * MIB);
    sim.control().set_lazy_commitment(50);
    let lazy = allocate(&sim, 4 * MIB, 4).unwrap();
    assert_eq!(allocate(&sim, 2 * MIB, 0), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    let other = allocate(&sim, MIB, 0).unwrap();
    assert_eq!(allocate(&sim, MIB, 4), Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
    sim.control().set_lazy_commitment(0);
    free(&sim, allocate(&sim, 64 * MIB, 4).unwrap());
    free(&sim, lazy);
    free(&sim, other);
    assert_eq!(sim.finish(), []);
}

#[test]
fn the_log_tells_what_was_asked() {
    let sim = SimDevice::new(Profile::unified());
    sim.control().take_calls();
    free(&sim, allocate(&sim, 100, 1).unwrap());
    let calls: Vec<_> =
        sim.control().take_calls().into_iter().map(|call| (call.function, call.size, call.memory_type_index)).collect();
    assert_eq!(calls, [(Function::AllocateMemory, 100, Some(1)), (Function::FreeMemory, 0, None)]);
    sim.control().set_checks(Checks::NONE);
    free(&sim, allocate(&sim, 100, 1).unwrap());
    assert_eq!(sim.control().calls(), []);
    assert_eq!(sim.control().count(Function::FreeMemory), 2);
}
