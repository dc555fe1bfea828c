//! What the tester lets fail is judged like what succeeds, and changes nothing.

use super::super::{Function, ObjectKind, Profile, SimDevice};
use super::{
    allocate, bind_buffer, bind_image, buffer, destroy_buffer, destroy_image, free, image, image_info, map, rules,
};
use ash::vk;

const OUT: vk::Result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;

/// Lets the next call of a function fail.
fn fail(sim: &SimDevice, function: Function) {
    sim.control().fail_nth_of(function, 1, OUT);
}

#[test]
fn memory_that_is_refused_is_judged() {
    let sim = SimDevice::new(Profile::noncoherent());
    fail(&sim, Function::AllocateMemory);
    assert_eq!(allocate(&sim, 0, 99), Err(OUT));
    let wrong_allocation =
        ["VUID-VkMemoryAllocateInfo-allocationSize-07897", "VUID-vkAllocateMemory-pAllocateInfo-01714"];
    assert_eq!(rules(&sim), wrong_allocation);
    sim.control().fail_when(|call| (call.function == Function::AllocateMemory).then_some(OUT));
    assert_eq!(allocate(&sim, 0, 99), Err(OUT));
    assert_eq!(rules(&sim), wrong_allocation);
    sim.control().clear_faults();
    let memory = allocate(&sim, 4096, 1).unwrap();
    fail(&sim, Function::MapMemory);
    assert_eq!(map(&sim, memory, 4096, 1), Err(OUT));
    assert_eq!(rules(&sim), ["VUID-vkMapMemory-offset-00679", "VUID-vkMapMemory-size-00681"]);
    let range = [vk::MappedMemoryRange::default().memory(memory).size(vk::WHOLE_SIZE)];
    fail(&sim, Function::FlushMappedMemoryRanges);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    assert_eq!(unsafe { sim.device().flush_mapped_memory_ranges(&range) }, Err(OUT));
    fail(&sim, Function::InvalidateMappedMemoryRanges);
    // SAFETY: as above.
    assert_eq!(unsafe { sim.device().invalidate_mapped_memory_ranges(&range) }, Err(OUT));
    assert_eq!(rules(&sim), ["VUID-VkMappedMemoryRange-memory-00684"; 2]);
    fail(&sim, Function::MapMemory);
    assert_eq!(map(&sim, memory, 0, 4096), Err(OUT));
    map(&sim, memory, 0, 4096).unwrap();
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

/// An invalidate that is refused discards nothing, and a flush that is refused writes nothing back.
#[test]
#[cfg_attr(miri, ignore = "the cache model is off under Miri")]
fn caches_that_are_refused_stay() {
    let sim = SimDevice::new(Profile::noncoherent());
    let memory = allocate(&sim, 4096, 1).unwrap();
    let bytes = map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    // SAFETY: the byte is mapped; so it is below.
    unsafe { bytes.write(7) };
    let range = [vk::MappedMemoryRange::default().memory(memory).size(vk::WHOLE_SIZE)];
    fail(&sim, Function::InvalidateMappedMemoryRanges);
    // SAFETY: the memory is mapped; so it is below.
    assert_eq!(unsafe { sim.device().invalidate_mapped_memory_ranges(&range) }, Err(OUT));
    fail(&sim, Function::FlushMappedMemoryRanges);
    // SAFETY: as above.
    assert_eq!(unsafe { sim.device().flush_mapped_memory_ranges(&range) }, Err(OUT));
    // SAFETY: as above.
    assert_eq!(unsafe { bytes.read() }, 7);
    assert_eq!(rules(&sim), [""; 0]);
    // SAFETY: as above.
    unsafe { sim.device().invalidate_mapped_memory_ranges(&range) }.unwrap();
    assert_eq!(rules(&sim), ["SIM-invalidate-discards-host-write"], "neither was carried out before");
    free(&sim, memory);
}

#[test]
fn resources_that_are_refused_are_judged() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    fail(&sim, Function::CreateBuffer);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    assert_eq!(unsafe { device.create_buffer(&vk::BufferCreateInfo::default(), None) }, Err(OUT));
    assert_eq!(rules(&sim), ["VUID-VkBufferCreateInfo-size-00912", "VUID-VkBufferCreateInfo-usage-requiredbitmask"]);
    fail(&sim, Function::CreateImage);
    // SAFETY: as above.
    assert_eq!(unsafe { device.create_image(&image_info(0), None) }, Err(OUT));
    assert_eq!(rules(&sim)[..2], ["VUID-VkImageCreateInfo-extent-00944", "VUID-VkImageCreateInfo-extent-00945"]);
    let picture = image(&sim, &image_info(8));
    fail(&sim, Function::CreateImageView);
    let info = vk::ImageViewCreateInfo::default().image(picture);
    // SAFETY: as above.
    assert_eq!(unsafe { device.create_image_view(&info, None) }, Err(OUT));
    assert_eq!(rules(&sim), ["VUID-VkImageViewCreateInfo-image-01020"]);
    destroy_image(&sim, picture);
    assert_eq!(sim.control().live(ObjectKind::Passive), 0);
    assert_eq!(sim.finish(), []);
}

#[test]
fn bindings_that_are_refused_are_judged() {
    let sim = SimDevice::new(Profile::unified());
    let (memory, picture) = (allocate(&sim, 8192, 1).unwrap(), image(&sim, &image_info(8)));
    let (one, other) = (buffer(&sim, 64), buffer(&sim, 64));
    bind_buffer(&sim, one, memory, 0).unwrap();
    fail(&sim, Function::BindBufferMemory);
    assert_eq!(bind_buffer(&sim, other, memory, 8), Err(OUT));
    assert_eq!(rules(&sim), ["VUID-vkBindBufferMemory-memoryOffset-01036", "SIM-overlap"]);
    fail(&sim, Function::BindImageMemory);
    assert_eq!(bind_image(&sim, picture, vk::DeviceMemory::null(), 0), Err(OUT));
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory-memory-parameter"]);
    let infos = [vk::BindBufferMemoryInfo::default().buffer(one).memory(memory)];
    fail(&sim, Function::BindBufferMemory2);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    assert_eq!(unsafe { sim.device().bind_buffer_memory2(&infos) }, Err(OUT));
    assert_eq!(rules(&sim)[0], "VUID-VkBindBufferMemoryInfo-buffer-07459");
    fail(&sim, Function::BindImageMemory2);
    // SAFETY: as above.
    assert_eq!(unsafe { sim.device().bind_image_memory2(&[]) }, Err(OUT));
    assert_eq!(rules(&sim), ["VUID-vkBindImageMemory2-bindInfoCount-arraylength"]);
    bind_buffer(&sim, other, memory, 4096).unwrap();
    destroy_buffer(&sim, one);
    destroy_buffer(&sim, other);
    destroy_image(&sim, picture);
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}

#[test]
fn submissions_that_are_refused_are_judged_and_not_carried_out() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    // SAFETY: the device is valid; so it is throughout.
    let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool is alive.
    let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap();
    let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
    let infos = [vk::CommandBufferSubmitInfo::default().command_buffer(commands[0])];
    let submits2 = [vk::SubmitInfo2::default().command_buffer_infos(&infos)];
    // SAFETY: as above.
    let fence = unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    let refused = || {
        fail(&sim, Function::QueueSubmit);
        // SAFETY: wrong on purpose, the driver's to find; so it is below.
        assert_eq!(unsafe { device.queue_submit(sim.queue(), &submits, fence) }, Err(OUT));
        fail(&sim, Function::QueueSubmit2);
        // SAFETY: as above.
        assert_eq!(unsafe { device.queue_submit2(sim.queue(), &submits2, fence) }, Err(OUT));
        rules(&sim)
    };
    assert_eq!(refused(), ["VUID-vkQueueSubmit-pCommandBuffers-00070", "VUID-vkQueueSubmit2-commandBuffer-03874"]);
    let (memory, target) = (allocate(&sim, 64, 1).unwrap(), buffer(&sim, 64));
    bind_buffer(&sim, target, memory, 0).unwrap();
    let bytes = map(&sim, memory, 0, 64).unwrap();
    // SAFETY: the byte is mapped; so it is below.
    unsafe { bytes.write(1) };
    // SAFETY: the command buffer is alive; so it is below.
    unsafe { device.begin_command_buffer(commands[0], &vk::CommandBufferBeginInfo::default()) }.unwrap();
    // SAFETY: as above.
    unsafe { device.cmd_fill_buffer(commands[0], target, 0, 64, 7) };
    // SAFETY: as above.
    unsafe { device.cmd_fill_buffer(commands[0], target, 0, 128, 7) };
    // SAFETY: as above.
    unsafe { device.end_command_buffer(commands[0]) }.unwrap();
    assert_eq!(refused(), ["VUID-vkCmdFillBuffer-size-00027"; 2]);
    // SAFETY: as above.
    assert_eq!(unsafe { bytes.read() }, 1, "nothing was filled");
    // SAFETY: the fence is alive; so it is below.
    assert!(!unsafe { device.get_fence_status(fence) }.unwrap(), "nothing was signaled");
    // SAFETY: as above.
    unsafe { device.destroy_fence(fence, None) };
    // SAFETY: nothing uses it.
    unsafe { device.destroy_command_pool(pool, None) };
    destroy_buffer(&sim, target);
    free(&sim, memory);
    assert_eq!(sim.finish(), []);
}
