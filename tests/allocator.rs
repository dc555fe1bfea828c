//! The allocator's everyday behaviour, on every simulated profile.

use ash::vk;
use freestone::sim::{Profile, SimDevice};
use freestone::{
    Algorithm, AllocationCreateInfo, AllocationError, AllocationRequirements, Allocator, AllocatorCreateInfo, Buffer,
    CreatePoolError, DeviceAddress, Features, Intent, Kind, PoolCreateInfo,
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

#[test]
fn memory_that_is_not_coherent_is_flushed_even_where_the_atom_is_one_byte() {
    let mut profile = Profile::noncoherent();
    profile.non_coherent_atom_size = 1;
    let vulkan = SimDevice::new(profile);
    let allocator = allocator_on(&vulkan);
    let upload = AllocationCreateInfo::upload().avoided_flags(vk::MemoryPropertyFlags::HOST_COHERENT);
    let mut allocation = allocator.allocate(&linear(100), &upload).expect("there is memory");
    assert!(allocation.is_non_coherent());
    allocator.write(&mut allocation, 0, &[1_u8; 100]).expect("it is mapped");
    assert_eq!(vulkan.control().count(freestone::sim::Function::FlushMappedMemoryRanges), 1);
    allocator.free(allocation).expect("it is alive");
}

#[test]
fn a_custom_pool_refuses_what_its_memory_type_cannot_do() {
    let vulkan = SimDevice::new(Profile::discrete_bar256());
    let allocator = allocator_on(&vulkan);
    let device_only = PoolCreateInfo::for_intent(Intent::GpuOnly).algorithm(Algorithm::Fixed { slot_size: 3 << 20 });
    let pool = allocator.create_pool(&device_only).expect("there is device memory");
    let refused = allocator.allocate(&linear(100), &AllocationCreateInfo::upload().pool(&pool));
    assert!(matches!(refused, Err(AllocationError::PoolMismatch { .. })), "{refused:?}");
    let in_slot = AllocationCreateInfo::gpu_only().pool(&pool);
    let allocation = allocator.allocate(&linear(100), &in_slot).expect("a block holds at least one slot");
    let room = allocator.allocate(&linear(100), &in_slot).expect("there is memory");
    allocator.free(room).expect("it is alive");
    let refused = allocator.allocate(&linear(100), &AllocationCreateInfo::upload().pool(&pool));
    assert!(matches!(refused, Err(AllocationError::PoolMismatch { .. })), "room does not help: {refused:?}");
    allocator.free(allocation).expect("it is alive");
    allocator.destroy_pool(pool).expect("nothing is alive");
    let too_small = device_only.block_size(1 << 20);
    assert!(matches!(allocator.create_pool(&too_small), Err(CreatePoolError::BadBlockSize { min: 3_145_728, .. })));
}

#[test]
fn what_is_written_is_read_through_whole_and_parted_buffers() {
    for profile in Profile::all() {
        let vulkan = SimDevice::new(profile);
        let allocator = allocator_on(&vulkan);
        let info = vk::BufferCreateInfo::default().size(4096).usage(vk::BufferUsageFlags::TRANSFER_DST);
        // SAFETY: the create-info is valid; nothing is submitted; the device outlives the buffer.
        let buffer = unsafe { Buffer::new(&allocator, &info, &AllocationCreateInfo::readback()) };
        let mut buffer = buffer.expect("there is memory");
        buffer.write(16, &[1_u32, 2, 3]).expect("readback memory is mapped");
        let mut values = [0_u32; 3];
        // SAFETY: the bytes were written above; the device writes nothing.
        unsafe { buffer.read(16, &mut values) }.expect("it is mapped");
        assert_eq!(values, [1, 2, 3]);
        let (handle, memory, _) = buffer.into_parts();
        // SAFETY: as above.
        unsafe { allocator.read(&memory, 20, &mut values[..1]) }.expect("it is mapped");
        assert_eq!(values[0], 2);
        // SAFETY: the GPU has never seen it.
        unsafe { allocator.destroy_buffer(handle, memory) }.expect("it is alive");
        drop(allocator);
        vulkan.control().assert_clean();
        assert!(vulkan.finish().is_empty());
    }
}
