//! Every function that takes a handle finds a wrong one, and every destruction compares the callbacks.

use super::super::{Features, Profile, SimDevice};
use super::{allocate, buffer, destroy_buffer, destroy_image, free, image, image_info, rules};
use ash::vk;
use core::ffi::c_void;

unsafe extern "system" fn give(_: *mut c_void, _: usize, _: usize, _: vk::SystemAllocationScope) -> *mut c_void {
    static PLACE: u128 = 0;
    (&raw const PLACE).cast_mut().cast()
}

unsafe extern "system" fn take_back(_: *mut c_void, _: *mut c_void) {}

fn callbacks() -> vk::AllocationCallbacks<'static> {
    vk::AllocationCallbacks { pfn_allocation: Some(give), pfn_free: Some(take_back), ..Default::default() }
}

/// Creates with callbacks and destroys without, then the other way round, then destroys once more.
macro_rules! destroys {
    ($sim:expr, $create:ident($info:expr), $destroy:ident) => {{
        let (callbacks, info) = (callbacks(), $info);
        for (create, destroy) in [(Some(&callbacks), None), (None, Some(&callbacks))] {
            // SAFETY: the device, the create-info and the callbacks are valid.
            let object = unsafe { $sim.device().$create(&info, create) }.unwrap();
            // SAFETY: wrong on purpose, the driver's to find.
            unsafe { $sim.device().$destroy(object, destroy) };
            if destroy.is_some() {
                // SAFETY: as above.
                unsafe { $sim.device().$destroy(object, None) };
            }
        }
        rules(&$sim)
    }};
}

#[test]
fn destructions_compare_callbacks_and_find_stale_handles() {
    let sim = SimDevice::new(Profile::unified());
    let memory = vk::MemoryAllocateInfo::default().allocation_size(16);
    assert_eq!(
        destroys!(sim, allocate_memory(memory), free_memory),
        ["SIM-vkFreeMemory-callbacks-given", "SIM-vkFreeMemory-callbacks-none", "VUID-vkFreeMemory-memory-parameter"]
    );
    assert_eq!(
        destroys!(sim, create_image(image_info(8)), destroy_image),
        ["VUID-vkDestroyImage-image-01001", "VUID-vkDestroyImage-image-01002", "VUID-vkDestroyImage-image-parameter"]
    );
    assert_eq!(
        destroys!(sim, create_fence(vk::FenceCreateInfo::default()), destroy_fence),
        ["VUID-vkDestroyFence-fence-01121", "VUID-vkDestroyFence-fence-01122", "VUID-vkDestroyFence-fence-parameter"]
    );
    assert_eq!(sim.finish(), []);
}

#[test]
fn destructions_of_further_kinds_do_so_too() {
    let sim = SimDevice::new(Profile::unified());
    assert_eq!(
        destroys!(sim, create_semaphore(vk::SemaphoreCreateInfo::default()), destroy_semaphore),
        [
            "VUID-vkDestroySemaphore-semaphore-01138",
            "VUID-vkDestroySemaphore-semaphore-01139",
            "VUID-vkDestroySemaphore-semaphore-parameter"
        ]
    );
    assert_eq!(
        destroys!(sim, create_command_pool(vk::CommandPoolCreateInfo::default()), destroy_command_pool),
        [
            "VUID-vkDestroyCommandPool-commandPool-00042",
            "VUID-vkDestroyCommandPool-commandPool-00043",
            "VUID-vkDestroyCommandPool-commandPool-parameter"
        ]
    );
    assert_eq!(
        destroys!(sim, create_shader_module(vk::ShaderModuleCreateInfo::default()), destroy_shader_module),
        ["SIM-destroy-callbacks-given", "SIM-destroy-callbacks-none", "SIM-passive-handle"]
    );
    assert_eq!(sim.finish(), []);
}

#[test]
fn questions_about_nothing_are_found() {
    let sim = SimDevice::builder(Profile::unified()).features(Features::NONE).build().unwrap();
    let device = sim.device();
    let (one, picture, memory) = (buffer(&sim, 16), image(&sim, &image_info(8)), allocate(&sim, 16, 0).unwrap());
    destroy_buffer(&sim, one);
    destroy_image(&sim, picture);
    free(&sim, memory);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    let _ = unsafe { device.get_buffer_memory_requirements(one) };
    let mut output = vk::MemoryRequirements2::default();
    let info = vk::BufferMemoryRequirementsInfo2::default().buffer(one);
    // SAFETY: as above.
    unsafe { device.get_buffer_memory_requirements2(&info, &mut output) };
    let info = vk::ImageMemoryRequirementsInfo2::default().image(picture);
    // SAFETY: as above.
    unsafe { device.get_image_memory_requirements2(&info, &mut output) };
    // SAFETY: as above.
    let _ = unsafe { device.get_image_subresource_layout(picture, vk::ImageSubresource::default()) };
    let info = vk::BufferDeviceAddressInfo::default().buffer(one);
    // SAFETY: as above.
    let _ = unsafe { device.get_buffer_device_address(&info) };
    // SAFETY: as above.
    let _ = unsafe { device.get_device_memory_commitment(memory) };
    let pageable = ash::ext::pageable_device_local_memory::Device::new(sim.instance(), device);
    // SAFETY: as above.
    unsafe { (pageable.fp().set_device_memory_priority_ext)(device.handle(), memory, 0.5) };
    // SAFETY: as above.
    let _ = unsafe { device.get_device_queue(0, 99) };
    let expected = [
        "VUID-vkGetBufferMemoryRequirements-buffer-parameter",
        "VUID-VkBufferMemoryRequirementsInfo2-buffer-parameter",
        "VUID-VkImageMemoryRequirementsInfo2-image-parameter",
        "VUID-vkGetImageSubresourceLayout-image-parameter",
        "VUID-vkGetBufferDeviceAddress-bufferDeviceAddress-03324",
        "VUID-VkBufferDeviceAddressInfo-buffer-parameter",
        "VUID-vkGetDeviceMemoryCommitment-memory-parameter",
        "VUID-vkSetDeviceMemoryPriorityEXT-memory-parameter",
        "VUID-vkGetDeviceQueue-queueFamilyIndex-00384",
    ];
    assert_eq!(rules(&sim), expected);
}

#[test]
fn the_second_mapping_function_finds_all() {
    let sim = SimDevice::new(Profile::unified());
    let functions = ash::khr::map_memory2::Device::new(sim.instance(), sim.device());
    let (visible, hidden, gone) =
        (allocate(&sim, 64, 1).unwrap(), allocate(&sim, 64, 0).unwrap(), allocate(&sim, 64, 1).unwrap());
    free(&sim, gone);
    for (memory, offset, size, rule) in [
        (gone, 0, 64, "VUID-VkMemoryMapInfoKHR-memory-parameter"),
        (hidden, 0, 64, "VUID-VkMemoryMapInfoKHR-memory-07962"),
        (visible, 64, vk::WHOLE_SIZE, "VUID-VkMemoryMapInfoKHR-offset-07959"),
        (visible, 0, 0, "VUID-VkMemoryMapInfoKHR-size-07960"),
        (visible, 1, 64, "VUID-VkMemoryMapInfoKHR-size-07961"),
    ] {
        let info = vk::MemoryMapInfoKHR::default().memory(memory).offset(offset).size(size);
        let mut pointer = core::ptr::null_mut();
        // SAFETY: wrong on purpose, the driver's to find.
        let result =
            unsafe { (functions.fp().map_memory2_khr)(sim.device().handle(), &raw const info, &raw mut pointer) };
        assert_eq!((result, rules(&sim)), (vk::Result::ERROR_MEMORY_MAP_FAILED, vec![rule]));
    }
    let info = vk::MemoryUnmapInfoKHR::default().memory(gone);
    // SAFETY: as above.
    let _ = unsafe { (functions.fp().unmap_memory2_khr)(sim.device().handle(), &raw const info) };
    assert_eq!(rules(&sim), ["VUID-VkMemoryUnmapInfoKHR-memory-parameter"]);
}

#[test]
fn fences_semaphores_and_submissions() {
    let sim = SimDevice::new(Profile::unified());
    let (device, queue) = (sim.device(), sim.queue());
    // SAFETY: the device is valid; so it is throughout.
    let fence =
        unsafe { device.create_fence(&vk::FenceCreateInfo::default().flags(vk::FenceCreateFlags::SIGNALED), None) }
            .unwrap();
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { device.queue_submit(queue, &[], fence) }.unwrap();
    // SAFETY: as above.
    unsafe { device.queue_submit2(queue, &[], fence) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-vkQueueSubmit-fence-00063", "VUID-vkQueueSubmit2-fence-04894"]);
    // SAFETY: nothing uses it.
    unsafe { device.destroy_fence(fence, None) };
    // SAFETY: as above.
    unsafe { device.queue_submit(queue, &[], fence) }.unwrap();
    // SAFETY: as above.
    unsafe { device.queue_submit2(queue, &[], fence) }.unwrap();
    // SAFETY: as above.
    let _ = unsafe { device.get_fence_status(fence) };
    // SAFETY: as above.
    unsafe { device.reset_fences(&[fence]) }.unwrap();
    // SAFETY: as above.
    let _ = unsafe { device.wait_for_fences(&[fence], true, 0) };
    let expected = [
        "VUID-vkQueueSubmit-fence-parameter",
        "VUID-vkQueueSubmit2-fence-parameter",
        "VUID-vkGetFenceStatus-fence-parameter",
        "VUID-vkResetFences-pFences-parameter",
        "VUID-vkWaitForFences-pFences-parameter",
    ];
    assert_eq!(rules(&sim), expected);
    // SAFETY: as above.
    let _ = unsafe { device.get_semaphore_counter_value(vk::Semaphore::null()) };
    // SAFETY: as above.
    unsafe { device.signal_semaphore(&vk::SemaphoreSignalInfo::default().value(1)) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-vkGetSemaphoreCounterValue-semaphore-parameter", "SIM-semaphore-handle"]);
}

#[test]
fn devices_are_used_before_and_destroyed_before_their_instance() {
    let sim = SimDevice::new(Profile::unified());
    let info = vk::DeviceCreateInfo::default();
    // SAFETY: the physical device and the create-info are valid.
    let second = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) }.unwrap();
    // SAFETY: nothing uses it.
    unsafe { second.destroy_device(None) };
    // SAFETY: wrong on purpose, the driver's to find.
    let late = unsafe { second.device_wait_idle() };
    assert_eq!(late, Err(vk::Result::ERROR_DEVICE_LOST));
    assert_eq!(rules(&sim), ["VUID-vkDestroyDevice-device-parameter"]);
    // SAFETY: as above.
    let _third = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) }.unwrap();
    let rules: Vec<_> = sim.finish().iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, ["VUID-vkDestroyInstance-instance-00629"]);
}
