//! Both versions of the bind functions know all rules, each under its own name.

use super::super::{Features, MIB, Profile, SimDevice};
use super::{allocate, buffer, image, image_info, rules};
use ash::vk;

/// A device on which everything can go wrong.
fn sim() -> SimDevice {
    let mut profile = Profile::noncoherent();
    profile.dedicated.require_buffers_from = Some(MIB);
    profile.dedicated.require_images_from = Some(MIB);
    let features = Features::SPARSE_BINDING | Features::PROTECTED_MEMORY;
    SimDevice::builder(profile).with_features(features).build().unwrap()
}

/// Binds with both versions and returns the rules that each recorded.
fn bind_buffers(
    sim: &SimDevice,
    make: impl Fn() -> vk::Buffer,
    memory: vk::DeviceMemory,
    offset: u64,
) -> [Vec<&'static str>; 2] {
    // SAFETY: wrong on purpose, the driver's to find.
    let _ = unsafe { sim.device().bind_buffer_memory(make(), memory, offset) };
    let first = rules(sim);
    let info = [vk::BindBufferMemoryInfo::default().buffer(make()).memory(memory).memory_offset(offset)];
    // SAFETY: as above.
    let _ = unsafe { sim.device().bind_buffer_memory2(&info) };
    [first, rules(sim)]
}

fn bind_images(
    sim: &SimDevice,
    make: impl Fn() -> vk::Image,
    memory: vk::DeviceMemory,
    offset: u64,
) -> [Vec<&'static str>; 2] {
    // SAFETY: wrong on purpose, the driver's to find.
    let _ = unsafe { sim.device().bind_image_memory(make(), memory, offset) };
    let first = rules(sim);
    let info = [vk::BindImageMemoryInfo::default().image(make()).memory(memory).memory_offset(offset)];
    // SAFETY: as above.
    let _ = unsafe { sim.device().bind_image_memory2(&info) };
    [first, rules(sim)]
}

fn flagged(sim: &SimDevice, flags: vk::BufferCreateFlags, usage: vk::BufferUsageFlags) -> vk::Buffer {
    let info = vk::BufferCreateInfo::default().size(256).usage(usage).flags(flags);
    // SAFETY: the device and the create-info are valid.
    unsafe { sim.device().create_buffer(&info, None) }.unwrap()
}

fn dedicated_to(sim: &SimDevice, mut info: vk::MemoryDedicatedAllocateInfo<'_>, size: u64) -> vk::DeviceMemory {
    let info = vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(0).push_next(&mut info);
    // SAFETY: the device, the create-info and its chain are valid.
    unsafe { sim.device().allocate_memory(&info, None) }.unwrap()
}

/// Compares what both versions recorded; `wanted` holds pairs of their rules.
#[track_caller]
fn expect(found: &[Vec<&'static str>; 2], wanted: &[[&str; 2]]) {
    let of = |version: usize| wanted.iter().map(|rules| rules[version]).collect::<Vec<_>>();
    assert_eq!(*found, [of(0), of(1)]);
}

/// Makes memory of each type, and a memory that is freed.
fn memories(sim: &SimDevice) -> ([vk::DeviceMemory; 6], vk::DeviceMemory) {
    sim.control().allow_aliasing(true);
    let gone = allocate(sim, 16, 0).unwrap();
    super::free(sim, gone);
    ([0, 1, 2, 3, 4, 5].map(|index| allocate(sim, 4096, index).unwrap()), gone)
}

const BUFFER_TYPE: [&str; 2] = ["VUID-vkBindBufferMemory-memory-01035", "VUID-VkBindBufferMemoryInfo-memory-01035"];
const IMAGE_TYPE: [&str; 2] = ["VUID-vkBindImageMemory-memory-01047", "VUID-VkBindImageMemoryInfo-pNext-01615"];

#[test]
#[rustfmt::skip]
fn buffers() {
    let sim = sim();
    let (memory, gone) = memories(&sim);
    let plain = || buffer(&sim, 16);
    let transfer = vk::BufferUsageFlags::TRANSFER_SRC;
    let bound = plain();
    super::bind_buffer(&sim, bound, memory[0], 0).unwrap();
    let sparse = || flagged(&sim, vk::BufferCreateFlags::SPARSE_BINDING, transfer);
    let addressed = || flagged(&sim, vk::BufferCreateFlags::empty(), vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS);
    let secret = || flagged(&sim, vk::BufferCreateFlags::PROTECTED, transfer);
    let (room, owner) = (allocate(&sim, MIB, 0).unwrap(), buffer(&sim, MIB));
    let own = dedicated_to(&sim, vk::MemoryDedicatedAllocateInfo::default().buffer(owner), MIB);
    expect(&bind_buffers(&sim, plain, gone, 0), &[["VUID-vkBindBufferMemory-memory-parameter", "VUID-VkBindBufferMemoryInfo-memory-parameter"]]);
    expect(&bind_buffers(&sim, vk::Buffer::null, memory[0], 0), &[["VUID-vkBindBufferMemory-buffer-parameter", "VUID-VkBindBufferMemoryInfo-buffer-parameter"]]);
    expect(&bind_buffers(&sim, || bound, memory[0], 0), &[["VUID-vkBindBufferMemory-buffer-07459", "VUID-VkBindBufferMemoryInfo-buffer-07459"]]);
    expect(&bind_buffers(&sim, sparse, memory[0], 0), &[["VUID-vkBindBufferMemory-buffer-01030", "VUID-VkBindBufferMemoryInfo-buffer-01030"]]);
    expect(&bind_buffers(&sim, plain, memory[0], 4096), &[
        ["VUID-vkBindBufferMemory-memoryOffset-01031", "VUID-VkBindBufferMemoryInfo-memoryOffset-01031"],
        ["VUID-vkBindBufferMemory-size-01037", "VUID-VkBindBufferMemoryInfo-size-01037"],
    ]);
    expect(&bind_buffers(&sim, plain, memory[4], 0), &[BUFFER_TYPE]);
    expect(&bind_buffers(&sim, plain, memory[0], 8), &[["VUID-vkBindBufferMemory-memoryOffset-01036", "VUID-VkBindBufferMemoryInfo-memoryOffset-01036"]]);
    expect(&bind_buffers(&sim, addressed, memory[0], 0), &[["VUID-vkBindBufferMemory-bufferDeviceAddress-03339", "VUID-VkBindBufferMemoryInfo-bufferDeviceAddress-03339"]]);
    expect(&bind_buffers(&sim, secret, memory[0], 0), &[BUFFER_TYPE, ["VUID-vkBindBufferMemory-None-01898", "VUID-VkBindBufferMemoryInfo-None-01898"]]);
    expect(&bind_buffers(&sim, plain, memory[5], 0), &[BUFFER_TYPE, ["VUID-vkBindBufferMemory-None-01899", "VUID-VkBindBufferMemoryInfo-None-01899"]]);
    expect(&bind_buffers(&sim, || buffer(&sim, MIB), room, 0), &[["VUID-vkBindBufferMemory-buffer-01444", "VUID-VkBindBufferMemoryInfo-buffer-01444"]]);
    expect(&bind_buffers(&sim, plain, own, 0), &[["VUID-vkBindBufferMemory-memory-01508", "VUID-VkBindBufferMemoryInfo-memory-01508"]]);
}

#[test]
#[rustfmt::skip]
fn images() {
    let sim = sim();
    let (memory, gone) = memories(&sim);
    let plain = || image(&sim, &image_info(8));
    let with = |flags| image(&sim, &image_info(8).flags(flags));
    let bound = plain();
    super::bind_image(&sim, bound, memory[0], 0).unwrap();
    let sparse = || with(vk::ImageCreateFlags::SPARSE_BINDING);
    let disjoint = || with(vk::ImageCreateFlags::DISJOINT);
    let secret = || with(vk::ImageCreateFlags::PROTECTED);
    let large = || image(&sim, &image_info(512));
    let (room, owner) = (allocate(&sim, MIB, 0).unwrap(), large());
    let own = dedicated_to(&sim, vk::MemoryDedicatedAllocateInfo::default().image(owner), MIB);
    expect(&bind_images(&sim, plain, gone, 0), &[["VUID-vkBindImageMemory-memory-parameter", "VUID-VkBindImageMemoryInfo-memory-parameter"]]);
    expect(&bind_images(&sim, vk::Image::null, memory[0], 0), &[["VUID-vkBindImageMemory-image-parameter", "VUID-VkBindImageMemoryInfo-image-parameter"]]);
    expect(&bind_images(&sim, || bound, memory[0], 0), &[["VUID-vkBindImageMemory-image-07460", "VUID-VkBindImageMemoryInfo-image-07460"]]);
    expect(&bind_images(&sim, sparse, memory[0], 0), &[["VUID-vkBindImageMemory-image-01045", "VUID-VkBindImageMemoryInfo-image-01045"]]);
    expect(&bind_images(&sim, disjoint, memory[0], 0), &[["VUID-vkBindImageMemory-image-01608", "VUID-VkBindImageMemoryInfo-image-07736"]]);
    expect(&bind_images(&sim, plain, memory[0], 4096), &[
        ["VUID-vkBindImageMemory-memoryOffset-01046", "VUID-VkBindImageMemoryInfo-memoryOffset-01046"],
        ["VUID-vkBindImageMemory-size-01049", "VUID-VkBindImageMemoryInfo-pNext-01617"],
    ]);
    expect(&bind_images(&sim, plain, memory[4], 0), &[IMAGE_TYPE]);
    expect(&bind_images(&sim, plain, memory[0], 8), &[["VUID-vkBindImageMemory-memoryOffset-01048", "VUID-VkBindImageMemoryInfo-pNext-01616"]]);
    expect(&bind_images(&sim, secret, memory[0], 0), &[IMAGE_TYPE, ["VUID-vkBindImageMemory-None-01901", "VUID-VkBindImageMemoryInfo-None-01901"]]);
    expect(&bind_images(&sim, plain, memory[5], 0), &[IMAGE_TYPE, ["VUID-vkBindImageMemory-None-01902", "VUID-VkBindImageMemoryInfo-None-01902"]]);
    expect(&bind_images(&sim, large, room, 0), &[["VUID-vkBindImageMemory-image-01445", "VUID-VkBindImageMemoryInfo-image-01445"]]);
    expect(&bind_images(&sim, plain, own, 0), &[["VUID-vkBindImageMemory-memory-02628", "VUID-VkBindImageMemoryInfo-memory-02628"]]);
}
