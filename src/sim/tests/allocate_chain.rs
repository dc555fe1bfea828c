//! What is chained to an allocation, empty lists, flags and priorities: each rule fires, and its legal neighbour does
//! not.

use super::super::{Profile, SimDevice};
use super::{allocate, free, rules};
use ash::vk;

/// Allocates 16 bytes of type 0 with this chained, and returns what was recorded.
fn chained<T: vk::ExtendsMemoryAllocateInfo>(sim: &SimDevice, part: &mut T) -> Vec<&'static str> {
    let info = vk::MemoryAllocateInfo::default().allocation_size(16).memory_type_index(0).push_next(part);
    // SAFETY: the device, the create-info and its chain are valid.
    free(sim, unsafe { sim.device().allocate_memory(&info, None) }.unwrap());
    rules(sim)
}

fn bare() -> SimDevice {
    SimDevice::builder(Profile::unified().vulkan_1_0()).instance_extensions(&[]).build().unwrap()
}

#[test]
fn structures_need_their_version_or_extension() {
    let (sim, poor) = (SimDevice::new(Profile::unified()), bare());
    let rule = ["VUID-VkMemoryAllocateInfo-pNext-pNext"];
    let mut dedicated = vk::MemoryDedicatedAllocateInfo::default();
    assert_eq!((chained(&sim, &mut dedicated), chained(&poor, &mut dedicated)), (vec![], rule.to_vec()));
    let mut flags = vk::MemoryAllocateFlagsInfo::default();
    assert_eq!((chained(&sim, &mut flags), chained(&poor, &mut flags)), (vec![], rule.to_vec()));
    let mut priority = vk::MemoryPriorityAllocateInfoEXT::default().priority(0.5);
    assert_eq!((chained(&sim, &mut priority), chained(&poor, &mut priority)), (vec![], rule.to_vec()));
    let mut capture = vk::MemoryOpaqueCaptureAddressAllocateInfo::default();
    assert_eq!((chained(&sim, &mut capture), chained(&poor, &mut capture)), (vec![], rule.to_vec()));
    let mut export = vk::ExportMemoryAllocateInfo::default();
    assert_eq!((chained(&sim, &mut export), chained(&poor, &mut export)), (vec![], rule.to_vec()));
    let mut import = vk::ImportMemoryFdInfoKHR::default();
    assert_eq!(chained(&sim, &mut import), rule);
    let without = SimDevice::builder(Profile::unified().without_extension(c"VK_EXT_memory_priority"));
    let without = without.features(super::super::Features::NONE).build().unwrap();
    assert_eq!(chained(&without, &mut priority), rule);
}

#[test]
fn a_structure_is_chained_once() {
    let sim = SimDevice::new(Profile::unified());
    let (mut one, mut two) = (vk::MemoryDedicatedAllocateInfo::default(), vk::MemoryAllocateFlagsInfo::default());
    let info = vk::MemoryAllocateInfo::default().allocation_size(16).push_next(&mut one).push_next(&mut two);
    // SAFETY: the device, the create-info and its chain are valid.
    free(&sim, unsafe { sim.device().allocate_memory(&info, None) }.unwrap());
    assert_eq!(rules(&sim), [""; 0]);
    let (mut one, mut two) = (vk::MemoryDedicatedAllocateInfo::default(), vk::MemoryDedicatedAllocateInfo::default());
    let info = vk::MemoryAllocateInfo::default().allocation_size(16).push_next(&mut one).push_next(&mut two);
    // SAFETY: wrong on purpose, the driver's to find.
    free(&sim, unsafe { sim.device().allocate_memory(&info, None) }.unwrap());
    assert_eq!(rules(&sim), ["VUID-VkMemoryAllocateInfo-sType-unique"]);
}

#[test]
fn device_masks_and_captured_addresses() {
    let sim = SimDevice::new(Profile::unified());
    let masked = |mask| {
        let mut flags =
            vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_MASK).device_mask(mask);
        chained(&sim, &mut flags)
    };
    assert_eq!(masked(1), [""; 0]);
    assert_eq!(masked(0), ["VUID-VkMemoryAllocateFlagsInfo-deviceMask-00676"]);
    assert_eq!(masked(2), ["VUID-VkMemoryAllocateFlagsInfo-deviceMask-00675"]);
    let flagged = |flags| chained(&sim, &mut vk::MemoryAllocateFlagsInfo::default().flags(flags));
    let address = vk::MemoryAllocateFlags::DEVICE_ADDRESS;
    assert_eq!(flagged(address), [""; 0]);
    let capture = vk::MemoryAllocateFlags::DEVICE_ADDRESS_CAPTURE_REPLAY;
    assert_eq!(flagged(address | capture), ["VUID-VkMemoryAllocateInfo-flags-03330"]);
    let replayed =
        |at| chained(&sim, &mut vk::MemoryOpaqueCaptureAddressAllocateInfo::default().opaque_capture_address(at));
    assert_eq!(replayed(0), [""; 0]);
    assert_eq!(replayed(4096), ["VUID-VkMemoryAllocateInfo-opaqueCaptureAddress-03329"]);
}

#[test]
fn lists_are_not_empty() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { device.flush_mapped_memory_ranges(&[]) }.unwrap();
    // SAFETY: as above.
    unsafe { device.invalidate_mapped_memory_ranges(&[]) }.unwrap();
    // SAFETY: as above.
    unsafe { device.bind_buffer_memory2(&[]) }.unwrap();
    // SAFETY: as above.
    unsafe { device.bind_image_memory2(&[]) }.unwrap();
    let expected = [
        "VUID-vkFlushMappedMemoryRanges-memoryRangeCount-arraylength",
        "VUID-vkInvalidateMappedMemoryRanges-memoryRangeCount-arraylength",
        "VUID-vkBindBufferMemory2-bindInfoCount-arraylength",
        "VUID-vkBindImageMemory2-bindInfoCount-arraylength",
    ];
    assert_eq!(rules(&sim), expected);
}

#[test]
fn mappings_have_no_flags() {
    let sim = SimDevice::new(Profile::unified());
    let memory = allocate(&sim, 64, 1).unwrap();
    let flags = vk::MemoryMapFlags::from_raw(1);
    // SAFETY: wrong on purpose, the driver's to find.
    assert!(unsafe { sim.device().map_memory(memory, 0, 64, flags) }.is_err());
    let functions = ash::khr::map_memory2::Device::new(sim.instance(), sim.device());
    let info = vk::MemoryMapInfoKHR::default().memory(memory).size(64).flags(flags);
    let mut pointer = core::ptr::null_mut();
    // SAFETY: as above.
    let _ = unsafe { (functions.fp().map_memory2_khr)(sim.device().handle(), &raw const info, &raw mut pointer) };
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-flags-zerobitmask", "VUID-VkMemoryMapInfoKHR-flags-zerobitmask"]);
    assert!(super::map(&sim, memory, 0, 64).is_ok());
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

#[test]
fn priorities_are_set_within_0_and_1() {
    let sim = SimDevice::new(Profile::unified());
    let pageable = ash::ext::pageable_device_local_memory::Device::new(sim.instance(), sim.device());
    let memory = allocate(&sim, 64, 0).unwrap();
    for (priority, expected) in [
        (0.0, &[][..]),
        (1.0, &[]),
        (1.5, &["VUID-vkSetDeviceMemoryPriorityEXT-priority-06258"]),
        (-0.1, &["VUID-vkSetDeviceMemoryPriorityEXT-priority-06258"]),
        (f32::NAN, &["VUID-vkSetDeviceMemoryPriorityEXT-priority-06258"]),
    ] {
        // SAFETY: the memory is alive; a wrong priority is the driver's to find.
        unsafe { (pageable.fp().set_device_memory_priority_ext)(sim.device().handle(), memory, priority) };
        assert_eq!(rules(&sim), expected, "{priority}");
    }
    free(&sim, memory);
}

#[test]
fn dedicated_requirements_need_their_version_or_extension() {
    let extensions = [c"VK_KHR_get_memory_requirements2"];
    let mut profile = Profile::unified();
    profile.api_version = vk::API_VERSION_1_0;
    let builder = SimDevice::builder(profile.clone()).features(super::super::Features::NONE);
    let without = builder.extensions(&extensions).build().unwrap();
    let with = SimDevice::builder(profile).features(super::super::Features::NONE).build().unwrap();
    for (sim, expected) in [(with, &[][..]), (without, &["VUID-VkMemoryRequirements2-pNext-pNext"])] {
        let functions = ash::khr::get_memory_requirements2::Device::new(sim.instance(), sim.device());
        let buffer = super::buffer(&sim, 64);
        let mut dedicated = vk::MemoryDedicatedRequirements::default();
        let mut output = vk::MemoryRequirements2::default().push_next(&mut dedicated);
        let info = vk::BufferMemoryRequirementsInfo2::default().buffer(buffer);
        // SAFETY: the buffer is alive; a wrong chain is the driver's to find.
        unsafe { functions.get_buffer_memory_requirements2(&info, &mut output) };
        assert_eq!(rules(&sim), expected);
        super::destroy_buffer(&sim, buffer);
    }
}
