//! What the tester sees: counts, snapshots, leaks, and the panic that tells of wrong use.

use super::super::{Function, KIB, ObjectKind, Profile, SimDevice};
use super::commands::{bound, copy, read, submit, write};
use super::{allocate, buffer, free, image, image_info, map, rules};
use ash::vk;

#[test]
#[should_panic(expected = "the driver was used wrongly 1 times:\n  ")]
fn wrong_use_ends_a_test() {
    let sim = SimDevice::new(Profile::unified());
    free(&sim, vk::Handle::from_raw(77));
    sim.control().assert_clean();
}

#[test]
fn what_lives_and_what_was_called_is_counted() {
    let sim = SimDevice::new(Profile::unified());
    let (fresh, calls) = (sim.control().snapshot(), sim.control().failable_calls());
    assert!(fresh.live.iter().all(|(_, count)| *count > 0), "{fresh:?}");
    let count = |kind| sim.control().snapshot().live.iter().find(|entry| entry.0 == kind).map(|entry| entry.1);
    assert_eq!(count(ObjectKind::DeviceMemory), None);
    let memory = [256, 512].map(|size| allocate(&sim, size, 0).unwrap());
    assert_eq!((count(ObjectKind::DeviceMemory), sim.control().failable_calls() - calls), (Some(2), 2));
    assert_eq!((sim.control().bound_frees(), sim.control().mapped_frees()), (0, 0));
    for memory in memory {
        free(&sim, memory);
    }
    assert_eq!(sim.control().failable_calls() - calls, 2, "nothing that frees can fail");
    assert_eq!(sim.control().snapshot(), fresh);
    let mapped = allocate(&sim, 256, 1).unwrap();
    map(&sim, mapped, 0, 16).unwrap();
    free(&sim, mapped);
    let (one, memory) = bound(&sim, 64, 0);
    free(&sim, memory);
    assert_eq!((sim.control().bound_frees(), sim.control().mapped_frees()), (1, 1));
    super::destroy_buffer(&sim, one);
    assert_eq!(sim.finish(), []);
}

#[test]
fn every_kind_of_object_that_is_left_is_a_leak() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    // SAFETY: the device and each create-info are valid; so it is below.
    unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    unsafe { device.create_semaphore(&vk::SemaphoreCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    unsafe { device.create_descriptor_pool(&vk::DescriptorPoolCreateInfo::default().max_sets(1), None) }.unwrap();
    buffer(&sim, 16);
    image(&sim, &image_info(8));
    allocate(&sim, 16, 0).unwrap();
    let found: Vec<_> = sim.finish().iter().map(|violation| violation.rule).collect();
    assert_eq!(found.len(), 7, "{found:?}");
}

/// A pool's reset is of its own command buffers, and only where it succeeds.
#[test]
fn a_pool_is_reset_alone_and_not_where_that_fails() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    let recorded = || {
        // SAFETY: the device is valid; so it is below.
        let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is alive.
        let commands = unsafe { device.allocate_command_buffers(&info) }.unwrap()[0];
        // SAFETY: the command buffer is alive.
        unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.unwrap();
        // SAFETY: as above.
        unsafe { device.end_command_buffer(commands) }.unwrap();
        (pool, commands)
    };
    let run = |commands| {
        let commands = [commands];
        let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
        // SAFETY: wrong where the commands are not recorded, which is the driver's to find.
        let _ = unsafe { device.queue_submit(sim.queue(), &submits, vk::Fence::null()) };
        // SAFETY: the device is valid.
        unsafe { device.device_wait_idle() }.unwrap();
        rules(&sim)
    };
    let ((pool, own), (_, other)) = (recorded(), recorded());
    let reset = || {
        // SAFETY: the pool is alive, and nothing of it is pending.
        unsafe { device.reset_command_pool(pool, vk::CommandPoolResetFlags::empty()) }
    };
    sim.control().fail_nth_of(Function::ResetCommandPool, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    assert!(reset().is_err());
    assert_eq!(run(own), [""; 0], "the reset failed");
    reset().unwrap();
    assert_eq!(run(other), [""; 0], "it is of another pool");
    assert!(!run(own).is_empty(), "it holds no commands any more");
}

#[test]
fn a_fill_ends_where_it_was_told_and_half_a_copy_is_none() {
    let sim = SimDevice::new(Profile::unified());
    let ((target, memory), (small, _)) = (bound(&sim, 64, 1), bound(&sim, 16, 1));
    let bytes = map(&sim, memory, 0, 64).unwrap();
    write(bytes, &[7; 64]);
    submit(&sim, |device, commands| {
        // SAFETY: the buffer is bound and large enough.
        unsafe { device.cmd_fill_buffer(commands, target, 16, 16, 0) };
    });
    assert_eq!(read(bytes, 64), [[7; 16], [0; 16], [7; 16], [7; 16]].concat());
    copy(&sim, small, target, 0, 48, 32);
    copy(&sim, small, target, 8, 0, 16);
    assert_eq!(read(bytes, 64), [[7; 16], [0; 16], [7; 16], [7; 16]].concat());
    let found = rules(&sim);
    assert!(found.contains(&"VUID-vkCmdCopyBuffer-size-00115"), "{found:?}");
    copy(&sim, target, small, 0, 8, 16);
    assert!(rules(&sim).contains(&"VUID-vkCmdCopyBuffer-size-00116"));
}

/// A colour of four bytes is no word: what it would be cleared to is not known here.
#[test]
fn images_of_other_texels_are_not_cleared() {
    let sim = SimDevice::new(Profile::unified());
    let picture = image(&sim, &image_info(8).tiling(vk::ImageTiling::LINEAR));
    let memory = allocate(&sim, 4 * KIB, 1).unwrap();
    super::bind_image(&sim, picture, memory, 0).unwrap();
    let bytes = map(&sim, memory, 0, 4 * KIB).unwrap();
    write(bytes, &[7; 256]);
    let whole = vk::ImageSubresourceRange {
        aspect_mask: vk::ImageAspectFlags::COLOR,
        base_mip_level: 0,
        level_count: 1,
        base_array_layer: 0,
        layer_count: 1,
    };
    submit(&sim, |device, commands| {
        let colour = vk::ClearColorValue { uint32: [0; 4] };
        // SAFETY: the image is bound.
        unsafe { device.cmd_clear_color_image(commands, picture, vk::ImageLayout::GENERAL, &colour, &[whole]) };
    });
    assert_eq!(read(bytes, 256), [7; 256]);
}

#[test]
fn more_queues_than_a_family_has_make_no_device() {
    let sim = SimDevice::new(Profile::unified());
    let most = sim.profile().queue_families[0].count;
    let priorities = vec![1.0; most as usize + 1];
    for (count, is_made) in [(most, true), (most + 1, false)] {
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&priorities[..count as usize])];
        let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues);
        // SAFETY: the physical device is the instance's; wrong on purpose where there are too many queues.
        let made = unsafe { sim.instance().create_device(sim.physical_device(), &info, None) };
        assert_eq!(made.is_ok(), is_made);
        if let Ok(device) = made {
            // SAFETY: nothing was made on it.
            unsafe { device.destroy_device(None) };
        }
    }
}

/// Every sample of a texel has its own bytes.
#[test]
fn images_of_several_samples_are_larger() {
    let sim = SimDevice::new(Profile::unified());
    let size = |samples| {
        let usage = vk::ImageUsageFlags::COLOR_ATTACHMENT;
        let picture = image(&sim, &image_info(64).samples(samples).usage(usage));
        // SAFETY: the image is alive.
        let needs = unsafe { sim.device().get_image_memory_requirements(picture) };
        super::destroy_image(&sim, picture);
        needs.size
    };
    assert_eq!(size(vk::SampleCountFlags::TYPE_4), 4 * size(vk::SampleCountFlags::TYPE_1));
}

/// Reads the limits of every profile.
fn limits() -> impl Iterator<Item = (Profile, vk::PhysicalDeviceLimits)> {
    Profile::all().into_iter().map(|profile| {
        let sim = SimDevice::new(profile.clone());
        // SAFETY: the physical device is the instance's.
        let limits = unsafe { sim.instance().get_physical_device_properties(sim.physical_device()) }.limits;
        (profile, limits)
    })
}

/// No limit is worse than any Vulkan device's. Source: Vulkan specification, "Limits", table of required limits.
#[test]
fn limits_are_what_vulkan_promises() {
    for (profile, limits) in limits() {
        let sides = [limits.max_image_dimension1_d, limits.max_image_dimension2_d, limits.max_image_dimension_cube];
        assert!(sides.iter().all(|side| *side >= 4096) && limits.max_image_dimension3_d >= 256);
        assert!(limits.max_image_array_layers >= 256 && limits.max_texel_buffer_elements >= 65_536);
        assert!(limits.max_uniform_buffer_range >= 16_384 && limits.max_storage_buffer_range >= 1 << 27);
        assert!(limits.max_push_constants_size >= 128 && limits.max_sampler_allocation_count >= 4000);
        assert!(limits.sparse_address_space_size >= 1 << 31 && limits.max_bound_descriptor_sets >= 4);
        assert!(
            limits.max_per_stage_descriptor_samplers >= 16 && limits.max_per_stage_descriptor_uniform_buffers >= 12
        );
        assert!(limits.max_per_stage_descriptor_storage_buffers >= 4);
        assert!(limits.max_per_stage_descriptor_sampled_images >= 16);
        assert!(limits.max_per_stage_descriptor_storage_images >= 4);
        assert!(limits.max_per_stage_descriptor_input_attachments >= 4 && limits.max_per_stage_resources >= 128);
        assert!(limits.max_descriptor_set_samplers >= 96 && limits.max_descriptor_set_uniform_buffers >= 72);
        assert!(limits.max_descriptor_set_uniform_buffers_dynamic >= 8);
        assert!(limits.max_descriptor_set_storage_buffers >= 24);
        assert!(limits.max_descriptor_set_storage_buffers_dynamic >= 4);
        assert!(limits.max_descriptor_set_sampled_images >= 96 && limits.max_descriptor_set_storage_images >= 24);
        assert!(limits.max_descriptor_set_input_attachments >= 4);
        assert!(limits.max_compute_shared_memory_size >= 16_384 && limits.max_compute_work_group_invocations >= 128);
        assert!(limits.max_compute_work_group_count.iter().all(|count| *count >= 65_535));
        let groups = limits.max_compute_work_group_size.iter().zip([128, 128, 64]);
        assert!(groups.into_iter().all(|(size, least)| *size >= least));
        assert!(limits.min_memory_map_alignment >= 64 && limits.min_memory_map_alignment.is_power_of_two());
        let offsets = [
            limits.min_texel_buffer_offset_alignment,
            limits.min_uniform_buffer_offset_alignment,
            limits.min_storage_buffer_offset_alignment,
            limits.non_coherent_atom_size,
        ];
        assert!(offsets.iter().all(|offset| offset.is_power_of_two() && *offset <= 256), "{}", profile.name);
        assert!(limits.optimal_buffer_copy_offset_alignment.is_power_of_two());
        assert!(limits.optimal_buffer_copy_row_pitch_alignment.is_power_of_two());
        assert!((1..=131_072).contains(&limits.buffer_image_granularity));
        assert_eq!(limits.min_memory_map_alignment as u64, profile.min_memory_map_alignment);
    }
}

/// The same of what the simulation does not do, but layers look at.
#[test]
fn limits_of_drawing_are_what_vulkan_promises() {
    for (_, limits) in limits() {
        assert!(limits.max_viewports >= 1 && limits.max_viewport_dimensions.iter().all(|side| *side >= 4096));
        let [low, high] = limits.viewport_bounds_range;
        assert!(low <= -8192.0 && high >= 8191.0);
        assert!(limits.max_framebuffer_width >= 4096 && limits.max_framebuffer_height >= 4096);
        assert!(limits.max_framebuffer_layers >= 256 && limits.max_color_attachments >= 4);
        assert!(limits.max_sample_mask_words >= 1);
        let needed = vk::SampleCountFlags::TYPE_1 | vk::SampleCountFlags::TYPE_4;
        let counts = [
            limits.framebuffer_color_sample_counts,
            limits.framebuffer_depth_sample_counts,
            limits.framebuffer_stencil_sample_counts,
            limits.framebuffer_no_attachments_sample_counts,
            limits.sampled_image_color_sample_counts,
            limits.sampled_image_integer_sample_counts | vk::SampleCountFlags::TYPE_4,
            limits.sampled_image_depth_sample_counts,
            limits.sampled_image_stencil_sample_counts,
        ];
        assert!(counts.iter().all(|count| count.contains(needed)));
        assert!(limits.sampled_image_integer_sample_counts.contains(vk::SampleCountFlags::TYPE_1));
        assert!(limits.storage_image_sample_counts.contains(vk::SampleCountFlags::TYPE_1));
    }
}

#[test]
fn views_that_are_destroyed_live_no_more() {
    let sim = SimDevice::new(Profile::unified());
    let (picture, memory) = (image(&sim, &image_info(8)), allocate(&sim, 4 * KIB, 0).unwrap());
    super::bind_image(&sim, picture, memory, 0).unwrap();
    let before = sim.control().live(ObjectKind::Passive);
    // SAFETY: the image is bound.
    let view = unsafe { sim.device().create_image_view(&vk::ImageViewCreateInfo::default().image(picture), None) };
    assert_eq!(sim.control().live(ObjectKind::Passive), before + 1);
    // SAFETY: nothing uses the view.
    unsafe { sim.device().destroy_image_view(view.unwrap(), None) };
    assert_eq!(sim.control().live(ObjectKind::Passive), before);
}

/// A mapping that ends with its memory ends with an atom; one that ends before must be a multiple of it.
#[test]
fn ranges_to_the_end_of_a_mapping_end_with_an_atom() {
    let sim = SimDevice::new(Profile::noncoherent());
    let atom = sim.profile().non_coherent_atom_size;
    let memory = allocate(&sim, 4 * atom + 100, 1).unwrap();
    for (mapped, wanted) in
        [(2 * atom, [].as_slice()), (2 * atom + 100, &["VUID-VkMappedMemoryRange-size-01389"]), (4 * atom + 100, &[])]
    {
        map(&sim, memory, 0, mapped).unwrap();
        let range = vk::MappedMemoryRange::default().memory(memory).offset(atom).size(vk::WHOLE_SIZE);
        // SAFETY: the memory is mapped; what is wrong is the driver's to find.
        unsafe { sim.device().flush_mapped_memory_ranges(&[range]) }.unwrap();
        assert_eq!(rules(&sim), wanted, "{mapped} bytes are mapped");
        // SAFETY: the memory is mapped.
        unsafe { sim.device().unmap_memory(memory) };
    }
}

/// What may be chained to an allocation came with a version, or with an extension before it.
#[test]
fn what_is_chained_to_an_allocation_needs_its_version_or_its_extension() {
    let rule = "VUID-VkMemoryAllocateInfo-pNext-pNext";
    let with = |mut profile: Profile, extension: Option<&'static core::ffi::CStr>| {
        profile.device_extensions.retain(|name| Some(*name) == extension);
        profile.device_extensions.extend(extension.filter(|name| !profile.has_extension(name)));
        profile
    };
    let old = || Profile::unified().vulkan_1_0();
    let addresses = Some(c"VK_KHR_buffer_device_address");
    for (profile, flags_allowed) in
        [(with(old(), None), false), (with(old(), addresses), true), (Profile::unified(), true)]
    {
        let sim = SimDevice::new(profile);
        let mut flags = vk::MemoryAllocateFlagsInfo::default();
        let info = vk::MemoryAllocateInfo::default().allocation_size(256).push_next(&mut flags);
        // SAFETY: what is wrong with the chain is the driver's to find.
        let memory = unsafe { sim.device().allocate_memory(&info, None) }.unwrap();
        assert_eq!(rules(&sim).contains(&rule), !flags_allowed);
        free(&sim, memory);
    }
}
