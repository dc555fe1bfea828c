//! Entry points of physical devices: what the profile says, in Vulkan's structures.

use super::feature_chain;
use super::format::{is_depth_stencil, texel_block};
use super::function::Function;
use super::instance::{extension_properties, write_text};
use super::object::{Ask, PhysicalObject, carry_out};
use super::pnext::enumerate;
use super::profile::{Features, Profile};
use super::property_chain::{self, NEVER, Question};
use ash::vk;
use core::ffi::c_char;
use core::mem::MaybeUninit;

fn called(physical: &PhysicalObject, function: Function) {
    carry_out(&physical.control.state, Ask::new(function), || ());
}

/// Returns the limits that the profile does not choose: those of an ordinary device.
fn limits(profile: &Profile) -> vk::PhysicalDeviceLimits {
    vk::PhysicalDeviceLimits {
        max_image_dimension1_d: 16384,
        max_image_dimension2_d: 16384,
        max_image_dimension3_d: 2048,
        max_image_dimension_cube: 16384,
        max_image_array_layers: 2048,
        max_texel_buffer_elements: 1 << 27,
        max_uniform_buffer_range: 65536,
        max_storage_buffer_range: u32::MAX,
        max_push_constants_size: 256,
        max_memory_allocation_count: profile.max_memory_allocation_count,
        max_sampler_allocation_count: 4000,
        buffer_image_granularity: profile.buffer_image_granularity,
        sparse_address_space_size: 1 << 40,
        max_bound_descriptor_sets: 8,
        max_compute_shared_memory_size: 32768,
        max_compute_work_group_count: [65535; 3],
        max_compute_work_group_invocations: 1024,
        max_compute_work_group_size: [1024, 1024, 64],
        min_memory_map_alignment: usize::try_from(profile.min_memory_map_alignment).unwrap_or(64),
        min_texel_buffer_offset_alignment: 16,
        min_uniform_buffer_offset_alignment: 256,
        min_storage_buffer_offset_alignment: 64,
        optimal_buffer_copy_offset_alignment: 1,
        optimal_buffer_copy_row_pitch_alignment: 1,
        non_coherent_atom_size: profile.non_coherent_atom_size,
        ..drawing_limits()
    }
}

/// Returns the limits of what the simulation does not do, but images and descriptors are judged by.
fn drawing_limits() -> vk::PhysicalDeviceLimits {
    let samples = vk::SampleCountFlags::TYPE_1 | vk::SampleCountFlags::TYPE_4;
    vk::PhysicalDeviceLimits {
        max_per_stage_descriptor_samplers: 1 << 20,
        max_per_stage_descriptor_uniform_buffers: 1 << 20,
        max_per_stage_descriptor_storage_buffers: 1 << 20,
        max_per_stage_descriptor_sampled_images: 1 << 20,
        max_per_stage_descriptor_storage_images: 1 << 20,
        max_per_stage_descriptor_input_attachments: 1 << 20,
        max_per_stage_resources: 1 << 20,
        max_descriptor_set_samplers: 1 << 20,
        max_descriptor_set_uniform_buffers: 1 << 20,
        max_descriptor_set_uniform_buffers_dynamic: 16,
        max_descriptor_set_storage_buffers: 1 << 20,
        max_descriptor_set_storage_buffers_dynamic: 16,
        max_descriptor_set_sampled_images: 1 << 20,
        max_descriptor_set_storage_images: 1 << 20,
        max_descriptor_set_input_attachments: 1 << 20,
        max_viewports: 16,
        max_viewport_dimensions: [16384; 2],
        viewport_bounds_range: [-32768.0, 32767.0],
        max_framebuffer_width: 16384,
        max_framebuffer_height: 16384,
        max_framebuffer_layers: 2048,
        framebuffer_color_sample_counts: samples,
        framebuffer_depth_sample_counts: samples,
        framebuffer_stencil_sample_counts: samples,
        framebuffer_no_attachments_sample_counts: samples,
        sampled_image_color_sample_counts: samples,
        sampled_image_integer_sample_counts: samples,
        sampled_image_depth_sample_counts: samples,
        sampled_image_stencil_sample_counts: samples,
        storage_image_sample_counts: samples,
        max_color_attachments: 8,
        max_sample_mask_words: 1,
        ..Default::default()
    }
}

fn properties(profile: &Profile) -> vk::PhysicalDeviceProperties {
    let mut properties = vk::PhysicalDeviceProperties {
        api_version: profile.api_version,
        driver_version: 1,
        vendor_id: profile.vendor_id,
        device_id: 1,
        device_type: profile.device_type,
        limits: limits(profile),
        ..Default::default()
    };
    write_text(&mut properties.device_name, &profile.name);
    properties
}

pub(super) extern "system" fn get_properties(
    physical: &PhysicalObject,
    output: &mut MaybeUninit<vk::PhysicalDeviceProperties>,
) {
    called(physical, Function::GetPhysicalDeviceProperties);
    output.write(properties(&physical.profile));
}

pub(super) extern "system" fn get_properties2(
    physical: &PhysicalObject,
    output: &mut vk::PhysicalDeviceProperties2<'_>,
) {
    called(physical, Function::GetPhysicalDeviceProperties2);
    output.properties = properties(&physical.profile);
    let (function, rule) = (Function::GetPhysicalDeviceProperties2, "VUID-VkPhysicalDeviceProperties2-pNext-pNext");
    // SAFETY: the application hands over a valid chain to which nothing else refers.
    property_chain::fill(unsafe { Question::new(physical, function, rule, output.p_next) });
}

fn core_features(profile: &Profile) -> vk::PhysicalDeviceFeatures {
    let sparse = vk::Bool32::from(profile.features.contains(Features::SPARSE_BINDING));
    vk::PhysicalDeviceFeatures { robust_buffer_access: vk::TRUE, sparse_binding: sparse, ..Default::default() }
}

pub(super) extern "system" fn get_features(
    physical: &PhysicalObject,
    output: &mut MaybeUninit<vk::PhysicalDeviceFeatures>,
) {
    called(physical, Function::GetPhysicalDeviceFeatures);
    output.write(core_features(&physical.profile));
}

pub(super) extern "system" fn get_features2(physical: &PhysicalObject, output: &mut vk::PhysicalDeviceFeatures2<'_>) {
    called(physical, Function::GetPhysicalDeviceFeatures2);
    output.features = core_features(&physical.profile);
    let (function, rule) = (Function::GetPhysicalDeviceFeatures2, "VUID-VkPhysicalDeviceFeatures2-pNext-pNext");
    // SAFETY: the application hands over a valid chain to which nothing else refers.
    let question = unsafe { Question::new(physical, function, rule, output.p_next) };
    feature_chain::fill(question, physical.profile.features);
}

fn memory_properties(profile: &Profile) -> vk::PhysicalDeviceMemoryProperties {
    let mut properties = vk::PhysicalDeviceMemoryProperties::default();
    for (to, from) in properties.memory_types.iter_mut().zip(&profile.memory_types) {
        *to = vk::MemoryType { property_flags: from.property_flags, heap_index: from.heap_index };
    }
    for (to, from) in properties.memory_heaps.iter_mut().zip(&profile.heaps) {
        *to = vk::MemoryHeap { size: from.size, flags: from.flags };
    }
    properties.memory_type_count = u32::try_from(profile.memory_types.len()).unwrap_or(0).min(32);
    properties.memory_heap_count = u32::try_from(profile.heaps.len()).unwrap_or(0).min(16);
    properties
}

pub(super) extern "system" fn get_memory_properties(
    physical: &PhysicalObject,
    output: &mut MaybeUninit<vk::PhysicalDeviceMemoryProperties>,
) {
    called(physical, Function::GetPhysicalDeviceMemoryProperties);
    output.write(memory_properties(&physical.profile));
}

pub(super) extern "system" fn get_memory_properties2(
    physical: &PhysicalObject,
    output: &mut vk::PhysicalDeviceMemoryProperties2<'_>,
) {
    called(physical, Function::GetPhysicalDeviceMemoryProperties2);
    output.memory_properties = memory_properties(&physical.profile);
    let function = Function::GetPhysicalDeviceMemoryProperties2;
    let rule = "VUID-VkPhysicalDeviceMemoryProperties2-pNext-pNext";
    // SAFETY: the application hands over a valid chain to which nothing else refers.
    let mut question = unsafe { Question::new(physical, function, rule, output.p_next) };
    let budget = question.part::<vk::PhysicalDeviceMemoryBudgetPropertiesEXT<'_>>(NEVER, c"VK_EXT_memory_budget");
    let Some(budget) = budget else {
        return;
    };
    let state = &physical.control.state;
    state.count_budget_query();
    let accounts = state.accounts();
    budget.heap_budget = [0; vk::MAX_MEMORY_HEAPS];
    budget.heap_usage = [0; vk::MAX_MEMORY_HEAPS];
    for (index, heap) in accounts.heaps.iter().enumerate().take(vk::MAX_MEMORY_HEAPS) {
        budget.heap_budget[index] = heap.budget();
        budget.heap_usage[index] = accounts.reported_usage(heap);
    }
}

fn queue_families(profile: &Profile) -> Vec<vk::QueueFamilyProperties> {
    let granularity = vk::Extent3D { width: 1, height: 1, depth: 1 };
    let families = profile.queue_families.iter().map(|family| vk::QueueFamilyProperties {
        queue_flags: family.flags,
        queue_count: family.count,
        timestamp_valid_bits: 0,
        min_image_transfer_granularity: granularity,
    });
    families.collect()
}

pub(super) extern "system" fn get_queue_families(
    physical: &PhysicalObject,
    count: &mut u32,
    output: *mut vk::QueueFamilyProperties,
) {
    called(physical, Function::GetPhysicalDeviceQueueFamilyProperties);
    // SAFETY: the application gives room for `count` values, or null.
    let _ = unsafe { enumerate(&queue_families(&physical.profile), count, output) };
}

pub(super) extern "system" fn get_queue_families2(
    physical: &PhysicalObject,
    count: &mut u32,
    output: *mut vk::QueueFamilyProperties2<'_>,
) {
    called(physical, Function::GetPhysicalDeviceQueueFamilyProperties2);
    let families = queue_families(&physical.profile);
    let total = u32::try_from(families.len()).unwrap_or(0);
    if output.is_null() {
        *count = total;
        return;
    }
    *count = total.min(*count);
    for (index, family) in families.into_iter().take(*count as usize).enumerate() {
        // SAFETY: `index < *count`, so it is inside the application's room.
        let place = unsafe { output.add(index) };
        // SAFETY: the application initialised the structure's head (sType, pNext); only the rest is written.
        unsafe { (*place).queue_family_properties = family };
    }
}

pub(super) extern "system" fn enumerate_extensions(
    physical: &PhysicalObject,
    layer: *const c_char,
    count: &mut u32,
    output: *mut vk::ExtensionProperties,
) -> vk::Result {
    carry_out(&physical.control.state, Ask::new(Function::EnumerateDeviceExtensionProperties), || {
        if !layer.is_null() {
            return vk::Result::ERROR_LAYER_NOT_PRESENT;
        }
        // SAFETY: the application gives room for `count` values, or null.
        unsafe { enumerate(&extension_properties(&physical.profile.device_extensions), count, output) }
    })
}

pub(super) extern "system" fn enumerate_layers(
    physical: &PhysicalObject,
    count: &mut u32,
    _: *mut vk::LayerProperties,
) -> vk::Result {
    carry_out(&physical.control.state, Ask::new(Function::EnumerateDeviceLayerProperties), || {
        *count = 0;
        vk::Result::SUCCESS
    })
}

fn format_properties(format: vk::Format) -> vk::FormatProperties {
    if texel_block(format).is_none() {
        return vk::FormatProperties::default();
    }
    let transfer = vk::FormatFeatureFlags::TRANSFER_SRC | vk::FormatFeatureFlags::TRANSFER_DST;
    let sampled = transfer | vk::FormatFeatureFlags::SAMPLED_IMAGE;
    let target = if is_depth_stencil(format) {
        vk::FormatFeatureFlags::DEPTH_STENCIL_ATTACHMENT
    } else {
        vk::FormatFeatureFlags::COLOR_ATTACHMENT | vk::FormatFeatureFlags::STORAGE_IMAGE
    };
    vk::FormatProperties {
        linear_tiling_features: if is_depth_stencil(format) { vk::FormatFeatureFlags::empty() } else { sampled },
        optimal_tiling_features: sampled | target,
        buffer_features: vk::FormatFeatureFlags::UNIFORM_TEXEL_BUFFER,
    }
}

pub(super) extern "system" fn get_format_properties(
    physical: &PhysicalObject,
    format: vk::Format,
    output: &mut MaybeUninit<vk::FormatProperties>,
) {
    // Whatever happens below, the caller reads what was written.
    output.write(vk::FormatProperties::default());
    carry_out(&physical.control.state, Ask::new(Function::GetPhysicalDeviceFormatProperties), || {
        output.write(format_properties(format));
    });
}

pub(super) extern "system" fn get_format_properties2(
    physical: &PhysicalObject,
    format: vk::Format,
    output: &mut vk::FormatProperties2<'_>,
) {
    carry_out(&physical.control.state, Ask::new(Function::GetPhysicalDeviceFormatProperties2), || {
        output.format_properties = format_properties(format);
    });
}

fn image_format_properties(
    info: &vk::PhysicalDeviceImageFormatInfo2<'_>,
) -> Result<vk::ImageFormatProperties, vk::Result> {
    let is_linear = info.tiling == vk::ImageTiling::LINEAR;
    let is_served = texel_block(info.format).is_some()
        && (!is_linear || (info.ty == vk::ImageType::TYPE_2D && !is_depth_stencil(info.format)));
    if !is_served {
        return Err(vk::Result::ERROR_FORMAT_NOT_SUPPORTED);
    }
    let (width, height, depth) = match info.ty {
        vk::ImageType::TYPE_1D => (16384, 1, 1),
        vk::ImageType::TYPE_2D => (16384, 16384, 1),
        _ => (2048, 2048, 2048),
    };
    Ok(vk::ImageFormatProperties {
        max_extent: vk::Extent3D { width, height, depth },
        max_mip_levels: if is_linear { 1 } else { 15 },
        max_array_layers: if is_linear || info.ty == vk::ImageType::TYPE_3D { 1 } else { 2048 },
        sample_counts: vk::SampleCountFlags::TYPE_1 | vk::SampleCountFlags::TYPE_4,
        max_resource_size: 1 << 40,
    })
}

pub(super) extern "system" fn get_image_format_properties(
    physical: &PhysicalObject,
    format: vk::Format,
    ty: vk::ImageType,
    tiling: vk::ImageTiling,
    usage: vk::ImageUsageFlags,
    flags: vk::ImageCreateFlags,
    output: &mut MaybeUninit<vk::ImageFormatProperties>,
) -> vk::Result {
    let info =
        vk::PhysicalDeviceImageFormatInfo2::default().format(format).ty(ty).tiling(tiling).usage(usage).flags(flags);
    carry_out(&physical.control.state, Ask::new(Function::GetPhysicalDeviceImageFormatProperties), || {
        output.write(image_format_properties(&info).unwrap_or_default());
        image_format_properties(&info).err().unwrap_or(vk::Result::SUCCESS)
    })
}

pub(super) extern "system" fn get_image_format_properties2(
    physical: &PhysicalObject,
    info: &vk::PhysicalDeviceImageFormatInfo2<'_>,
    output: &mut vk::ImageFormatProperties2<'_>,
) -> vk::Result {
    carry_out(&physical.control.state, Ask::new(Function::GetPhysicalDeviceImageFormatProperties2), || {
        output.image_format_properties = image_format_properties(info).unwrap_or_default();
        image_format_properties(info).err().unwrap_or(vk::Result::SUCCESS)
    })
}

/// No format can be sparse; a loader asks for the function nevertheless.
pub(super) extern "system" fn get_sparse_formats(
    physical: &PhysicalObject,
    _: vk::Format,
    _: vk::ImageType,
    _: vk::SampleCountFlags,
    _: vk::ImageUsageFlags,
    _: vk::ImageTiling,
    count: &mut u32,
    _: *mut vk::SparseImageFormatProperties,
) {
    called(physical, Function::GetPhysicalDeviceSparseImageFormatProperties);
    *count = 0;
}

pub(super) extern "system" fn get_sparse_formats2(
    physical: &PhysicalObject,
    _: *const vk::PhysicalDeviceSparseImageFormatInfo2<'_>,
    count: &mut u32,
    _: *mut vk::SparseImageFormatProperties2<'_>,
) {
    called(physical, Function::GetPhysicalDeviceSparseImageFormatProperties2);
    *count = 0;
}
