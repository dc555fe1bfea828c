//! Instances, devices, leaks, wrong handles.

use super::super::{Features, Function, ObjectKind, Profile, SimDevice, control_of, entry};
use super::{allocate, buffer, destroy_buffer, free, rules};
use ash::vk;

#[test]
fn an_instance_lists_the_built_in_profiles() {
    let entry = entry();
    let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
    let info = vk::InstanceCreateInfo::default().application_info(&application);
    // SAFETY: the create-info is valid.
    let instance = unsafe { entry.create_instance(&info, None) }.unwrap();
    // SAFETY: the instance is valid.
    let devices = unsafe { instance.enumerate_physical_devices() }.unwrap();
    let mut names = Vec::new();
    for device in &devices {
        // SAFETY: the physical device is of this instance.
        let properties = unsafe { instance.get_physical_device_properties(*device) };
        names.push(properties.device_name_as_c_str().unwrap().to_str().unwrap().to_owned());
    }
    assert_eq!(names, ["discrete-rebar", "discrete-bar256", "unified", "noncoherent"]);
    // SAFETY: the instance is alive.
    let control = unsafe { control_of(devices[0]) };
    assert!(control.count(Function::GetPhysicalDeviceProperties) > 0);
    // SAFETY: nothing was made from the instance.
    unsafe { instance.destroy_instance(None) };
}

#[test]
fn every_profile_makes_a_clean_device() {
    for profile in Profile::all() {
        let sim = SimDevice::new(profile);
        let before = sim.control().snapshot();
        for index in 0..u32::try_from(sim.profile().memory_types.len()).unwrap() {
            let flags = sim.profile().memory_types[index as usize].property_flags;
            if flags.intersects(vk::MemoryPropertyFlags::PROTECTED | vk::MemoryPropertyFlags::DEVICE_COHERENT_AMD) {
                continue;
            }
            let memory = allocate(&sim, 4096, index).unwrap();
            assert_ne!(sim.control().snapshot(), before);
            free(&sim, memory);
        }
        assert_eq!(sim.control().snapshot(), before);
        assert_eq!(sim.finish(), []);
    }
}

#[test]
fn what_is_left_alive_is_reported_and_taken_out_of_the_books() {
    let sim = SimDevice::new(Profile::unified());
    let control = sim.control().clone();
    let _memory = allocate(&sim, 4096, 1).unwrap();
    let _buffer = buffer(&sim, 16);
    let leaks: Vec<_> = sim.finish().iter().map(|violation| violation.rule).collect();
    assert_eq!(leaks, ["VUID-vkDestroyDevice-device-05137"; 2]);
    assert_eq!(control.reserved_bytes(), 0);
    assert!(ObjectKind::ALL.iter().all(|kind| control.live(*kind) == 0));
}

#[test]
fn destroying_twice_is_recorded_and_harmless() {
    let sim = SimDevice::new(Profile::unified());
    let first = buffer(&sim, 16);
    destroy_buffer(&sim, first);
    destroy_buffer(&sim, first);
    assert_eq!(rules(&sim), ["VUID-vkDestroyBuffer-buffer-parameter"]);
    let memory = allocate(&sim, 4096, 0).unwrap();
    free(&sim, memory);
    free(&sim, memory);
    assert_eq!(rules(&sim), ["VUID-vkFreeMemory-memory-parameter"]);
    free(&sim, vk::DeviceMemory::null());
    assert_eq!(sim.finish(), []);
}

#[test]
fn missing_extensions_and_features_refuse_the_device() {
    let unified = || SimDevice::builder(Profile::unified());
    let extension = unified().extensions(&[c"VK_AMD_device_coherent_memory"]).build();
    assert_eq!(extension.err(), Some(vk::Result::ERROR_EXTENSION_NOT_PRESENT));
    let feature = unified().with_features(Features::PROTECTED_MEMORY).build();
    assert_eq!(feature.err(), Some(vk::Result::ERROR_FEATURE_NOT_PRESENT));
}

#[test]
fn compute_objects_are_accepted_and_their_buffers_checked() {
    let sim = SimDevice::new(Profile::unified());
    let device = sim.device();
    let info = vk::DescriptorPoolCreateInfo::default().max_sets(2);
    // SAFETY: the device is valid; so it is throughout.
    let pool = unsafe { device.create_descriptor_pool(&info, None) }.unwrap();
    // SAFETY: as above.
    let layout =
        unsafe { device.create_descriptor_set_layout(&vk::DescriptorSetLayoutCreateInfo::default(), None) }.unwrap();
    let layouts = [layout];
    let info = vk::DescriptorSetAllocateInfo::default().descriptor_pool(pool).set_layouts(&layouts);
    // SAFETY: pool and layout are valid.
    let set = unsafe { device.allocate_descriptor_sets(&info) }.unwrap()[0];
    let storage = buffer(&sim, 16);
    let infos = [vk::DescriptorBufferInfo { buffer: storage, offset: 0, range: 32 }];
    let kind = vk::DescriptorType::STORAGE_BUFFER;
    let writes = [vk::WriteDescriptorSet::default().dst_set(set).descriptor_type(kind).buffer_info(&infos)];
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { device.update_descriptor_sets(&writes, &[]) };
    assert_eq!(
        rules(&sim),
        ["VUID-VkWriteDescriptorSet-descriptorType-00329", "VUID-VkDescriptorBufferInfo-range-00342"]
    );
    destroy_buffer(&sim, storage);
    // SAFETY: as above.
    unsafe { device.update_descriptor_sets(&writes, &[]) };
    assert_eq!(rules(&sim), ["VUID-VkDescriptorBufferInfo-buffer-parameter"]);
    let infos = [vk::ComputePipelineCreateInfo::default()];
    // SAFETY: the simulated driver does not look into the create-info.
    let pipelines = unsafe { device.create_compute_pipelines(vk::PipelineCache::null(), &infos, None) }.unwrap();
    // SAFETY: nothing uses it.
    unsafe { device.destroy_pipeline(pipelines[0], None) };
    // SAFETY: wrong on purpose, the driver's to find.
    unsafe { device.destroy_pipeline(pipelines[0], None) };
    assert_eq!(rules(&sim), ["SIM-passive-handle"]);
    // SAFETY: nothing uses it.
    unsafe { device.destroy_descriptor_set_layout(layout, None) };
    // SAFETY: nothing uses it.
    unsafe { device.destroy_descriptor_pool(pool, None) };
    assert_eq!(sim.control().count(Function::CreateComputePipelines), 1);
    assert_eq!(sim.finish(), []);
}

#[test]
fn sparse_buffers_in_descriptors_and_with_addresses_need_no_binding() {
    let features = Features::SPARSE_BINDING | Features::BUFFER_DEVICE_ADDRESS;
    let sim = SimDevice::builder(Profile::unified()).with_features(features).build().unwrap();
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    let info = vk::BufferCreateInfo::default().size(64).usage(usage).flags(vk::BufferCreateFlags::SPARSE_BINDING);
    // SAFETY: the device is valid; so it is throughout.
    let sparse = unsafe { sim.device().create_buffer(&info, None) }.unwrap();
    let infos = [vk::DescriptorBufferInfo { buffer: sparse, offset: 0, range: 64 }];
    let writes =
        [vk::WriteDescriptorSet::default().descriptor_type(vk::DescriptorType::STORAGE_BUFFER).buffer_info(&infos)];
    // SAFETY: the simulated driver looks at the buffers only.
    unsafe { sim.device().update_descriptor_sets(&writes, &[]) };
    // SAFETY: the buffer is alive and has the usage.
    unsafe { sim.device().get_buffer_device_address(&vk::BufferDeviceAddressInfo::default().buffer(sparse)) };
    assert_eq!(rules(&sim), [""; 0]);
    destroy_buffer(&sim, sparse);
    assert_eq!(sim.finish(), []);
}

#[test]
fn names_go_with_their_objects() {
    let sim = SimDevice::new(Profile::unified());
    let naming = ash::ext::debug_utils::Device::new(sim.instance(), sim.device());
    let device = sim.device();
    // SAFETY: the device is valid; so it is throughout.
    let pool = unsafe { device.create_command_pool(&vk::CommandPoolCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    let fence = unsafe { device.create_fence(&vk::FenceCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    let semaphore = unsafe { device.create_semaphore(&vk::SemaphoreCreateInfo::default(), None) }.unwrap();
    // SAFETY: as above.
    let sampler = unsafe { device.create_sampler(&vk::SamplerCreateInfo::default(), None) }.unwrap();
    let (one, picture) = (buffer(&sim, 16), super::image(&sim, &super::image_info(8)));
    let memory = allocate(&sim, 16, 0).unwrap();
    let name = |info: vk::DebugUtilsObjectNameInfoEXT<'_>| {
        // SAFETY: the handle is of a live object.
        unsafe { naming.set_debug_utils_object_name(&info.object_name(c"it")) }.unwrap();
    };
    let of = vk::DebugUtilsObjectNameInfoEXT::default;
    name(of().object_handle(pool));
    name(of().object_handle(fence));
    name(of().object_handle(semaphore));
    name(of().object_handle(sampler));
    name(of().object_handle(one));
    name(of().object_handle(picture));
    name(of().object_handle(memory));
    assert_eq!(sim.object().world().names.len(), 7);
    // SAFETY: nothing uses it; so it is below.
    unsafe { device.destroy_command_pool(pool, None) };
    // SAFETY: as above.
    unsafe { device.destroy_fence(fence, None) };
    // SAFETY: as above.
    unsafe { device.destroy_semaphore(semaphore, None) };
    // SAFETY: as above.
    unsafe { device.destroy_sampler(sampler, None) };
    destroy_buffer(&sim, one);
    super::destroy_image(&sim, picture);
    free(&sim, memory);
    assert_eq!(sim.object().world().names.len(), 0);
    assert_eq!(sim.finish(), []);
}

#[test]
fn views_need_a_bound_image() {
    let sim = SimDevice::new(Profile::unified());
    let image = super::image(&sim, &super::image_info(8));
    let view = |image| {
        let info = vk::ImageViewCreateInfo::default().image(image);
        // SAFETY: wrong on purpose, the driver's to find.
        let view = unsafe { sim.device().create_image_view(&info, None) }.unwrap();
        // SAFETY: nothing uses it.
        unsafe { sim.device().destroy_image_view(view, None) };
        rules(&sim)
    };
    assert_eq!(view(image), ["VUID-VkImageViewCreateInfo-image-01020"]);
    let memory = allocate(&sim, 1024, 0).unwrap();
    super::bind_image(&sim, image, memory, 0).unwrap();
    assert_eq!(view(image), [""; 0]);
    free(&sim, memory);
    assert_eq!(view(image), ["VUID-VkImageViewCreateInfo-image-01020"], "its memory is gone");
    super::destroy_image(&sim, image);
    assert_eq!(view(image), ["VUID-VkImageViewCreateInfo-image-parameter"]);
}
