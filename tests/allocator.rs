//! The allocator's everyday behaviour, on every simulated profile.

use ash::vk;
use freestone::sim::{Profile, SimDevice};
use freestone::{
    AllocationCreateInfo, AllocationRequirements, Allocator, AllocatorCreateInfo, DeviceAddress, Features, Kind,
};

/// Makes an allocator on a simulated device, declaring what the device has enabled.
fn allocator_on(vulkan: &SimDevice) -> Allocator {
    let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device())
        .api_version(vulkan.api_version())
        .features(Features { dedicated_allocation: true, ..Features::default() });
    // SAFETY: the objects belong together and outlive the allocator.
    unsafe { Allocator::new(info) }.expect("a simulated device serves an allocator")
}

fn linear(size: u64) -> AllocationRequirements {
    let requirements = vk::MemoryRequirements { size, alignment: 256, memory_type_bits: !0 };
    AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded)
}

#[test]
fn allocates_writes_and_frees_on_every_profile() {
    for profile in Profile::all() {
        let vulkan = SimDevice::new(profile);
        let allocator = allocator_on(&vulkan);
        let mut allocations: Vec<_> = (1..200)
            .map(|n| allocator.allocate(&linear(n * 777), &AllocationCreateInfo::upload()).expect("there is memory"))
            .collect();
        for allocation in &mut allocations {
            allocator.write(allocation, 0, &[7_u8; 100]).expect("upload memory is mapped");
        }
        allocator.validate().expect("every invariant holds");
        for allocation in allocations {
            allocator.free(allocation).expect("it is alive");
        }
        allocator.trim();
        let statistics = allocator.statistics();
        assert_eq!(statistics.total.reserved_bytes(), 0);
        drop(allocator);
        vulkan.control().assert_clean();
        assert!(vulkan.finish().is_empty());
    }
}

#[test]
fn creates_buffers_and_images_on_every_profile() {
    for profile in Profile::all() {
        let vulkan = SimDevice::new(profile);
        let allocator = allocator_on(&vulkan);
        let buffer_info = vk::BufferCreateInfo::default().size(5000).usage(vk::BufferUsageFlags::STORAGE_BUFFER);
        let image_info = vk::ImageCreateInfo::default()
            .image_type(vk::ImageType::TYPE_2D)
            .format(vk::Format::R8G8B8A8_UNORM)
            .extent(vk::Extent3D { width: 100, height: 60, depth: 1 })
            .mip_levels(1)
            .array_layers(1)
            .samples(vk::SampleCountFlags::TYPE_1)
            .usage(vk::ImageUsageFlags::SAMPLED);
        let gpu_only = AllocationCreateInfo::gpu_only().name("teapot");
        // SAFETY: the create-infos are valid; nothing is submitted.
        let (buffer, buffer_memory) = unsafe { allocator.create_buffer(&buffer_info, &gpu_only) }.expect("a buffer");
        // SAFETY: as above.
        let (image, image_memory) = unsafe { allocator.create_image(&image_info, &gpu_only) }.expect("an image");
        assert_eq!(allocator.name_of(&image_memory).as_deref(), Some("teapot"));
        // SAFETY: the GPU has never seen them.
        unsafe { allocator.destroy_buffer(buffer, buffer_memory) }.expect("it is alive");
        // SAFETY: as above.
        unsafe { allocator.destroy_image(image, image_memory) }.expect("it is alive");
        drop(allocator);
        vulkan.control().assert_clean();
    }
}
