//! Bytes go where commands send them, and wrong commands are found.

use super::super::{Features, Function, ObjectKind, Profile, SimDevice};
use super::{allocate, bind_buffer, bind_image, buffer, destroy_buffer, free, image, image_info, map, rules};
use ash::vk;

/// Records commands, submits them, waits, and cleans up.
pub(super) fn submit(sim: &SimDevice, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) {
    let device = sim.device();
    // SAFETY: the device is valid; so it is throughout.
    let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
    // SAFETY: the pool is valid.
    let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap()[0];
    // SAFETY: the command buffer is valid.
    unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
    record(device, commands);
    // SAFETY: as above.
    unsafe { device.end_command_buffer(commands) }.unwrap();
    // SAFETY: the device is valid.
    let fence = unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    let buffers = [commands];
    let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
    // SAFETY: queue, command buffer and fence are valid.
    unsafe { device.queue_submit(sim.queue(), &submits, fence) }.unwrap();
    // SAFETY: the fence is valid.
    unsafe { device.wait_for_fences(&[fence], true, u64::MAX) }.unwrap();
    // SAFETY: nothing uses it any more.
    unsafe { device.destroy_fence(fence, None) };
    // SAFETY: nothing uses it any more.
    unsafe { device.destroy_command_pool(pool, None) };
}

pub(super) fn copy(sim: &SimDevice, from: vk::Buffer, to: vk::Buffer, src_offset: u64, dst_offset: u64, size: u64) {
    let region = [vk::BufferCopy { src_offset, dst_offset, size }];
    // SAFETY: a wrong copy is the driver's to find.
    submit(sim, |device, commands| unsafe {
        device.cmd_copy_buffer(commands, from, to, &region);
    });
}

/// A buffer on memory of its own.
pub(super) fn bound(sim: &SimDevice, size: u64, memory_type_index: u32) -> (vk::Buffer, vk::DeviceMemory) {
    let (buffer, memory) = (buffer(sim, size), allocate(sim, size.next_multiple_of(16), memory_type_index).unwrap());
    bind_buffer(sim, buffer, memory, 0).unwrap();
    (buffer, memory)
}

pub(super) fn write(to: *mut u8, bytes: &[u8]) {
    // SAFETY: the tests map at least as many bytes.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}

pub(super) fn read(from: *const u8, length: usize) -> Vec<u8> {
    // SAFETY: the tests map at least as many bytes and have initialised them.
    unsafe { core::slice::from_raw_parts(from, length) }.to_vec()
}

#[test]
fn bytes_go_through_device_memory_and_back() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let before = sim.control().snapshot();
    let ((up, up_memory), (on, on_memory), (down, down_memory)) =
        (bound(&sim, 64, 2), bound(&sim, 64, 1), bound(&sim, 64, 3));
    let bytes: Vec<u8> = (0..64).collect();
    write(map(&sim, up_memory, 0, vk::WHOLE_SIZE).unwrap(), &bytes);
    copy(&sim, up, on, 0, 0, 64);
    copy(&sim, on, down, 16, 0, 48);
    let result = map(&sim, down_memory, 0, vk::WHOLE_SIZE).unwrap();
    assert_eq!(read(result, 48), bytes[16..]);
    for (buffer, memory) in [(up, up_memory), (on, on_memory), (down, down_memory)] {
        destroy_buffer(&sim, buffer);
        free(&sim, memory);
    }
    assert_eq!(sim.control().snapshot(), before);
    assert_eq!(sim.finish(), []);
}

#[test]
fn fills_and_updates() {
    let sim = SimDevice::new(Profile::unified());
    let (target, memory) = bound(&sim, 32, 1);
    submit(&sim, |device, commands| {
        // SAFETY: the buffer is bound and large enough.
        unsafe { device.cmd_fill_buffer(commands, target, 0, vk::WHOLE_SIZE, 0x0403_0201) };
        // SAFETY: as above.
        unsafe { device.cmd_update_buffer(commands, target, 8, &[9; 4]) };
    });
    let bytes = read(map(&sim, memory, 0, 32).unwrap(), 16);
    assert_eq!(bytes, [1, 2, 3, 4, 1, 2, 3, 4, 9, 9, 9, 9, 1, 2, 3, 4]);
    submit(&sim, |device, commands| {
        // SAFETY: wrong on purpose, the driver's to find.
        unsafe { device.cmd_fill_buffer(commands, target, 2, 8, 0) };
        // SAFETY: as above.
        unsafe { device.cmd_fill_buffer(commands, target, 0, 6, 0) };
        // SAFETY: as above.
        unsafe { device.cmd_fill_buffer(commands, target, 0, 64, 0) };
        // SAFETY: as above.
        unsafe { device.cmd_update_buffer(commands, target, 32, &[9; 4]) };
    });
    let expected = [
        "VUID-vkCmdFillBuffer-dstOffset-00025",
        "VUID-vkCmdFillBuffer-size-00028",
        "VUID-vkCmdFillBuffer-size-00027",
        "VUID-vkCmdUpdateBuffer-dstOffset-00032",
        "VUID-vkCmdUpdateBuffer-dataSize-00033",
    ];
    assert_eq!(rules(&sim), expected);
}

fn whole(side: u32, level: u32) -> vk::BufferImageCopy {
    let layers = vk::ImageSubresourceLayers {
        aspect_mask: vk::ImageAspectFlags::COLOR,
        mip_level: level,
        base_array_layer: 0,
        layer_count: 2,
    };
    vk::BufferImageCopy {
        image_subresource: layers,
        image_extent: vk::Extent3D { width: side, height: side, depth: 1 },
        ..Default::default()
    }
}

#[test]
fn images_take_and_give_bytes() {
    let sim = SimDevice::new(Profile::unified());
    let texture = image(&sim, &image_info(8).mip_levels(2).array_layers(2));
    let device_memory = allocate(&sim, 1024, 0).unwrap();
    bind_image(&sim, texture, device_memory, 0).unwrap();
    let ((up, up_memory), (down, down_memory)) = (bound(&sim, 128, 1), bound(&sim, 128, 1));
    let bytes: Vec<u8> = (0..128).collect();
    write(map(&sim, up_memory, 0, vk::WHOLE_SIZE).unwrap(), &bytes);
    let (layout, regions) = (vk::ImageLayout::GENERAL, [whole(4, 1)]);
    submit(&sim, |device, commands| {
        // SAFETY: image and buffers are bound and large enough.
        unsafe { device.cmd_copy_buffer_to_image(commands, up, texture, layout, &regions) };
        // SAFETY: as above.
        unsafe { device.cmd_copy_image_to_buffer(commands, texture, layout, down, &regions) };
    });
    assert_eq!(read(map(&sim, down_memory, 0, vk::WHOLE_SIZE).unwrap(), 128), bytes);
    assert_eq!(rules(&sim), [""; 0]);
    let wrong = |region: vk::BufferImageCopy| {
        // SAFETY: wrong on purpose, the driver's to find.
        submit(&sim, |device, commands| unsafe {
            device.cmd_copy_buffer_to_image(commands, up, texture, layout, &[region]);
        });
        rules(&sim)
    };
    assert_eq!(wrong(whole(4, 2)), ["VUID-vkCmdCopyBufferToImage-imageSubresource-07967"]);
    assert_eq!(wrong(whole(5, 1)), ["VUID-vkCmdCopyBufferToImage-imageSubresource-07970"; 2]);
    assert_eq!(wrong(whole(8, 0)), ["VUID-vkCmdCopyBufferToImage-pRegions-00171"; 2]);
}

#[test]
fn wrong_copies_are_found_and_skipped() {
    let sim = SimDevice::new(Profile::unified());
    let ((one, memory), (two, _)) = (bound(&sim, 64, 1), bound(&sim, 64, 1));
    copy(&sim, one, two, 32, 0, 64);
    assert_eq!(rules(&sim), ["VUID-vkCmdCopyBuffer-size-00115"]);
    copy(&sim, one, two, 0, 32, 64);
    assert_eq!(rules(&sim), ["VUID-vkCmdCopyBuffer-size-00116"]);
    let unbound = buffer(&sim, 64);
    copy(&sim, unbound, two, 0, 0, 16);
    copy(&sim, one, unbound, 0, 0, 16);
    assert_eq!(rules(&sim), ["VUID-vkCmdCopyBuffer-srcBuffer-00119", "VUID-vkCmdCopyBuffer-dstBuffer-00121"]);
    free(&sim, memory);
    copy(&sim, one, two, 0, 0, 16);
    assert_eq!(rules(&sim), ["SIM-use-after-free"]);
    destroy_buffer(&sim, one);
    copy(&sim, one, two, 0, 0, 16);
    assert_eq!(rules(&sim), ["SIM-use-after-destroy"]);
}

#[test]
#[cfg_attr(miri, ignore = "the cache model is off under Miri")]
fn the_device_misses_what_was_not_flushed() {
    let sim = SimDevice::new(Profile::noncoherent());
    let ((one, memory), (two, result)) = (bound(&sim, 512, 1), bound(&sim, 512, 1));
    let bytes = map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    let seen = map(&sim, result, 0, vk::WHOLE_SIZE).unwrap();
    write(bytes, &[7; 512]);
    copy(&sim, one, two, 0, 0, 512);
    assert_eq!(rules(&sim), ["SIM-device-read-of-unflushed-write"]);
    let range = [vk::MappedMemoryRange::default().memory(memory).size(vk::WHOLE_SIZE)];
    // SAFETY: the memory is mapped.
    unsafe { sim.device().flush_mapped_memory_ranges(&range) }.unwrap();
    copy(&sim, one, two, 0, 0, 512);
    assert_eq!(read(seen, 512), [0; 512], "not yet invalidated");
    write(seen, &[1]);
    let range = [vk::MappedMemoryRange::default().memory(result).size(vk::WHOLE_SIZE)];
    // SAFETY: the memory is mapped.
    unsafe { sim.device().flush_mapped_memory_ranges(&range) }.unwrap();
    assert_eq!(rules(&sim), ["SIM-flush-overwrites-device-write"]);
    // SAFETY: the memory is mapped.
    unsafe { sim.device().invalidate_mapped_memory_ranges(&range) }.unwrap();
    assert_eq!(read(seen, 512)[256..], [7; 256]);
    assert_eq!(rules(&sim), [""; 0]);
}

/// The next owner of the bytes need not invalidate what it will never read.
#[test]
#[cfg_attr(miri, ignore = "the cache model is off under Miri")]
fn what_the_device_wrote_to_a_destroyed_buffer_may_be_overwritten() {
    let sim = SimDevice::new(Profile::noncoherent());
    let ((one, memory), (former, result)) = (bound(&sim, 512, 1), bound(&sim, 512, 1));
    let bytes = map(&sim, memory, 0, vk::WHOLE_SIZE).unwrap();
    let seen = map(&sim, result, 0, vk::WHOLE_SIZE).unwrap();
    let flush = |memory| {
        let range = [vk::MappedMemoryRange::default().memory(memory).size(vk::WHOLE_SIZE)];
        // SAFETY: the memory is mapped.
        unsafe { sim.device().flush_mapped_memory_ranges(&range) }.unwrap();
    };
    write(bytes, &[7; 512]);
    flush(memory);
    copy(&sim, one, former, 0, 0, 512);
    destroy_buffer(&sim, former);
    let next = buffer(&sim, 512);
    // SAFETY: the handles are valid, and nothing else is bound there.
    unsafe { sim.device().bind_buffer_memory(next, result, 0) }.unwrap();
    write(seen, &[1]);
    flush(result);
    assert_eq!(rules(&sim), [""; 0]);
    copy(&sim, one, next, 0, 0, 512);
    write(seen, &[2]);
    flush(result);
    assert_eq!(rules(&sim), ["SIM-flush-overwrites-device-write"], "this one is its own");
}

#[test]
fn command_buffers_have_states() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    // SAFETY: the device is valid; so it is throughout.
    let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(2);
    // SAFETY: the pool is valid.
    let buffers = unsafe { device.allocate_command_buffers(&info) }.unwrap();
    let target = buffer(&sim, 16);
    // SAFETY: wrong on purpose, the driver's to find; so it is below.
    unsafe { device.cmd_fill_buffer(buffers[0], target, 0, 16, 0) };
    assert_eq!(rules(&sim), ["VUID-vkCmdFillBuffer-commandBuffer-recording"]);
    // SAFETY: as above.
    unsafe { device.end_command_buffer(buffers[0]) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-vkEndCommandBuffer-commandBuffer-00059"]);
    let begin = vk::CommandBufferBeginInfo::default();
    for _ in 0..2 {
        // SAFETY: as above.
        unsafe { device.begin_command_buffer(buffers[1], &begin) }.unwrap();
    }
    assert_eq!(rules(&sim), ["VUID-vkBeginCommandBuffer-commandBuffer-00049"]);
    let recording = [buffers[1]];
    let submits = [vk::SubmitInfo::default().command_buffers(&recording)];
    // SAFETY: as above.
    unsafe { device.queue_submit(sim.queue(), &submits, vk::Fence::null()) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-vkQueueSubmit-pCommandBuffers-00070"]);
    // SAFETY: the command buffers are valid.
    unsafe { device.free_command_buffers(pool, &recording) };
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { device.begin_command_buffer(buffers[1], &begin) }.unwrap();
    assert_eq!(rules(&sim), ["SIM-command-buffer-handle"]);
    // SAFETY: nothing uses the pool.
    unsafe { device.destroy_command_pool(pool, None) };
    assert_eq!(sim.control().live(ObjectKind::CommandBuffer), 0);
    destroy_buffer(&sim, target);
    assert_eq!(sim.finish(), []);
}

#[test]
fn timeline_semaphores_count_and_wake() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    let mut kind = vk::SemaphoreTypeCreateInfo::default().semaphore_type(vk::SemaphoreType::TIMELINE).initial_value(1);
    let info = vk::SemaphoreCreateInfo::default().push_next(&mut kind);
    // SAFETY: the device is valid; so it is throughout.
    let semaphore = unsafe { device.create_semaphore(&info, None) }.unwrap();
    let (semaphores, values) = ([semaphore], [5]);
    let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
    // SAFETY: the semaphore is valid.
    let early = unsafe { device.wait_semaphores(&wait, 0) };
    assert_eq!(early, Err(vk::Result::TIMEOUT));
    std::thread::scope(|scope| {
        // SAFETY: as above.
        let waiting = scope.spawn(|| unsafe { device.wait_semaphores(&wait, u64::MAX) });
        let signals = [vk::SemaphoreSubmitInfo::default().semaphore(semaphore).value(5)];
        let submits = [vk::SubmitInfo2::default().signal_semaphore_infos(&signals)];
        // SAFETY: the queue and the semaphore are valid.
        unsafe { device.queue_submit2(sim.queue(), &submits, vk::Fence::null()) }.unwrap();
        waiting.join().unwrap().unwrap();
    });
    // SAFETY: as above.
    let value = unsafe { device.get_semaphore_counter_value(semaphore) };
    assert_eq!(value, Ok(5));
    let signal = vk::SemaphoreSignalInfo::default().semaphore(semaphore).value(5);
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { device.signal_semaphore(&signal) }.unwrap();
    assert_eq!(rules(&sim), ["VUID-VkSemaphoreSignalInfo-value-03258"]);
    // SAFETY: nothing uses the semaphore.
    unsafe { device.destroy_semaphore(semaphore, None) };
    assert_eq!(sim.finish(), []);
}

#[test]
fn a_lost_device_is_a_failure_like_any_other() {
    let sim = SimDevice::new(Profile::unified());
    assert!(sim.features().contains(Features::SYNCHRONIZATION2));
    sim.control().fail_nth_of(Function::QueueSubmit, 1, vk::Result::ERROR_DEVICE_LOST);
    // SAFETY: the queue is valid.
    let lost = unsafe { sim.device().queue_submit(sim.queue(), &[], vk::Fence::null()) };
    assert_eq!(lost, Err(vk::Result::ERROR_DEVICE_LOST));
    // SAFETY: the device is valid.
    unsafe { sim.device().device_wait_idle() }.unwrap();
    assert_eq!(sim.finish(), []);
}

#[test]
fn images_of_words_are_cleared_layer_by_layer() {
    let sim = SimDevice::new(Profile::unified());
    let info = image_info(4).format(vk::Format::R32_UINT).array_layers(2);
    let (picture, memory) = (image(&sim, &info), allocate(&sim, 65_536, 1).unwrap());
    bind_image(&sim, picture, memory, 0).unwrap();
    let (down, down_memory) = bound(&sim, 128, 1);
    let layout = vk::ImageLayout::GENERAL;
    let range = |base, count| {
        let range = vk::ImageSubresourceRange::default().aspect_mask(vk::ImageAspectFlags::COLOR);
        range.level_count(vk::REMAINING_MIP_LEVELS).base_array_layer(base).layer_count(count)
    };
    let layers = vk::ImageSubresourceLayers::default().aspect_mask(vk::ImageAspectFlags::COLOR).layer_count(2);
    let extent = vk::Extent3D { width: 4, height: 4, depth: 1 };
    let region = [vk::BufferImageCopy::default().image_subresource(layers).image_extent(extent)];
    for (word, range) in [(7, range(0, vk::REMAINING_ARRAY_LAYERS)), (9, range(1, 1))] {
        let color = vk::ClearColorValue { uint32: [word, 0, 0, 0] };
        // SAFETY: the image is bound, and the ranges are its own.
        submit(&sim, |device, commands| unsafe {
            device.cmd_clear_color_image(commands, picture, layout, &color, &[range]);
        });
    }
    // SAFETY: both are bound and large enough.
    submit(&sim, |device, commands| unsafe {
        device.cmd_copy_image_to_buffer(commands, picture, layout, down, &region);
    });
    let bytes = read(map(&sim, down_memory, 0, 128).unwrap(), 128);
    let words: Vec<u8> = bytes.chunks(4).map(|word| word[0]).collect();
    assert_eq!(words, [[7; 16], [9; 16]].concat());
    assert_eq!(rules(&sim), [""; 0]);
}
