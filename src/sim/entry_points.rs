//! The table of entry points: name, when the function exists, and what implements it.
//!
//! A name resolves only where its version or extension is there; everything else is NULL, as on a careful driver.
//!
//! The functions take references where Vulkan's C signatures have pointers that must not be null, `Option` of
//! references where they may be, and references to our objects where they have dispatchable handles. Rust guarantees
//! that these have the ABI of pointers. So the bodies are safe code; what the application promises about its pointers
//! is Vulkan's own valid usage.

use super::object::{DeviceObject, InstanceObject};
use super::{
    bind, command, descriptor, device, instance, mapping, memory, passive, physical_device, query, queue, record,
    resource, synchronisation,
};
use ash::vk;
use std::ffi::CStr;
use std::sync::OnceLock;

/// What a function is called on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Global,
    Instance,
    Device,
}

/// When a name resolves.
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// From this version on.
    Version(u32),
    /// With this extension of the instance.
    Instance(&'static CStr),
    /// With this extension of the device.
    Device(&'static CStr),
}

/// One name.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryPoint {
    name: &'static CStr,
    pub(super) level: Level,
    gate: Gate,
    pub(super) pointer: unsafe extern "system" fn(),
}

impl EntryPoint {
    /// Tells whether `vkGetInstanceProcAddr` hands the function out.
    pub(super) fn is_available_through_instance(&self, instance: &InstanceObject) -> bool {
        if self.level == Level::Global {
            return self.name == c"vkGetInstanceProcAddr";
        }
        match self.gate {
            Gate::Version(version) => instance.version >= version,
            Gate::Instance(name) => instance.extensions.iter().any(|enabled| enabled.as_c_str() == name),
            Gate::Device(name) => instance.physical_devices.iter().any(|device| device.profile.has_extension(name)),
        }
    }

    /// Tells whether `vkGetDeviceProcAddr` hands the function out.
    pub(super) fn is_available_on_device(&self, device: &DeviceObject) -> bool {
        let is_enabled = match self.gate {
            Gate::Version(version) => device.version >= version,
            // The one instance extension with device functions is VK_EXT_debug_utils, which needs no device support.
            Gate::Instance(_) => true,
            Gate::Device(name) => device.has_extension(name),
        };
        self.level == Level::Device && is_enabled
    }
}

/// Returns the entry point of that name, whether or not it is available.
pub(super) fn find(name: &CStr) -> Option<&'static EntryPoint> {
    static SORTED: OnceLock<Vec<EntryPoint>> = OnceLock::new();
    let sorted = SORTED.get_or_init(|| {
        let mut all = TABLE.to_vec();
        all.sort_by_key(|entry| entry.name);
        all
    });
    let place = sorted.binary_search_by_key(&name, |entry| entry.name).ok()?;
    sorted.get(place)
}

macro_rules! entry {
    ($level:ident $name:literal $gate:expr, $function:path) => {
        EntryPoint {
            name: $name,
            level: Level::$level,
            gate: $gate,
            // SAFETY: a function pointer may be kept as one of another signature; whoever resolves the name calls it
            // with the signature of that Vulkan function, to which the implementation's is ABI-compatible (see above).
            pointer: unsafe { core::mem::transmute::<*const (), unsafe extern "system" fn()>($function as *const ()) },
        }
    };
}

const V1_0: Gate = Gate::Version(vk::API_VERSION_1_0);
const V1_1: Gate = Gate::Version(vk::API_VERSION_1_1);
const V1_2: Gate = Gate::Version(vk::API_VERSION_1_2);
const V1_3: Gate = Gate::Version(vk::API_VERSION_1_3);
const PROPERTIES2: Gate = Gate::Instance(c"VK_KHR_get_physical_device_properties2");
const DEBUG: Gate = Gate::Instance(c"VK_EXT_debug_utils");
const REQUIREMENTS2: Gate = Gate::Device(c"VK_KHR_get_memory_requirements2");
const BIND2: Gate = Gate::Device(c"VK_KHR_bind_memory2");
const MAINTENANCE4: Gate = Gate::Device(c"VK_KHR_maintenance4");
const ADDRESS_KHR: Gate = Gate::Device(c"VK_KHR_buffer_device_address");
const ADDRESS_EXT: Gate = Gate::Device(c"VK_EXT_buffer_device_address");
const MAP2: Gate = Gate::Device(c"VK_KHR_map_memory2");
const PAGEABLE: Gate = Gate::Device(c"VK_EXT_pageable_device_local_memory");
const TIMELINE: Gate = Gate::Device(c"VK_KHR_timeline_semaphore");
const SYNC2: Gate = Gate::Device(c"VK_KHR_synchronization2");

#[rustfmt::skip]
static TABLE: &[EntryPoint] = &[
    entry!(Global c"vkGetInstanceProcAddr" V1_0, instance::get_instance_proc_addr),
    entry!(Global c"vkEnumerateInstanceVersion" V1_0, instance::enumerate_instance_version),
    entry!(Global c"vkEnumerateInstanceExtensionProperties" V1_0, instance::enumerate_instance_extensions),
    entry!(Global c"vkEnumerateInstanceLayerProperties" V1_0, instance::enumerate_instance_layers),
    entry!(Global c"vkCreateInstance" V1_0, instance::create_instance),

    entry!(Instance c"vkDestroyInstance" V1_0, instance::destroy_instance),
    entry!(Instance c"vkEnumeratePhysicalDevices" V1_0, instance::enumerate_physical_devices),
    entry!(Instance c"vkCreateDebugUtilsMessengerEXT" DEBUG, instance::create_debug_messenger),
    entry!(Instance c"vkDestroyDebugUtilsMessengerEXT" DEBUG, instance::destroy_debug_messenger),
    entry!(Instance c"vkGetPhysicalDeviceFeatures" V1_0, physical_device::get_features),
    entry!(Instance c"vkGetPhysicalDeviceFeatures2" V1_1, physical_device::get_features2),
    entry!(Instance c"vkGetPhysicalDeviceFeatures2KHR" PROPERTIES2, physical_device::get_features2),
    entry!(Instance c"vkGetPhysicalDeviceFormatProperties" V1_0, physical_device::get_format_properties),
    entry!(Instance c"vkGetPhysicalDeviceFormatProperties2" V1_1, physical_device::get_format_properties2),
    entry!(Instance c"vkGetPhysicalDeviceFormatProperties2KHR" PROPERTIES2, physical_device::get_format_properties2),
    entry!(Instance c"vkGetPhysicalDeviceImageFormatProperties" V1_0, physical_device::get_image_format_properties),
    entry!(Instance c"vkGetPhysicalDeviceImageFormatProperties2" V1_1, physical_device::get_image_format_properties2),
    entry!(Instance c"vkGetPhysicalDeviceImageFormatProperties2KHR" PROPERTIES2, physical_device::get_image_format_properties2),
    entry!(Instance c"vkGetPhysicalDeviceSparseImageFormatProperties" V1_0, physical_device::get_sparse_formats),
    entry!(Instance c"vkGetPhysicalDeviceSparseImageFormatProperties2" V1_1, physical_device::get_sparse_formats2),
    entry!(Instance c"vkGetPhysicalDeviceSparseImageFormatProperties2KHR" PROPERTIES2, physical_device::get_sparse_formats2),
    entry!(Instance c"vkGetPhysicalDeviceProperties" V1_0, physical_device::get_properties),
    entry!(Instance c"vkGetPhysicalDeviceProperties2" V1_1, physical_device::get_properties2),
    entry!(Instance c"vkGetPhysicalDeviceProperties2KHR" PROPERTIES2, physical_device::get_properties2),
    entry!(Instance c"vkGetPhysicalDeviceQueueFamilyProperties" V1_0, physical_device::get_queue_families),
    entry!(Instance c"vkGetPhysicalDeviceQueueFamilyProperties2" V1_1, physical_device::get_queue_families2),
    entry!(Instance c"vkGetPhysicalDeviceQueueFamilyProperties2KHR" PROPERTIES2, physical_device::get_queue_families2),
    entry!(Instance c"vkGetPhysicalDeviceMemoryProperties" V1_0, physical_device::get_memory_properties),
    entry!(Instance c"vkGetPhysicalDeviceMemoryProperties2" V1_1, physical_device::get_memory_properties2),
    entry!(Instance c"vkGetPhysicalDeviceMemoryProperties2KHR" PROPERTIES2, physical_device::get_memory_properties2),
    entry!(Instance c"vkEnumerateDeviceExtensionProperties" V1_0, physical_device::enumerate_extensions),
    entry!(Instance c"vkEnumerateDeviceLayerProperties" V1_0, physical_device::enumerate_layers),
    entry!(Instance c"vkCreateDevice" V1_0, device::create_device),
    entry!(Device c"vkGetDeviceProcAddr" V1_0, instance::get_device_proc_addr),

    entry!(Device c"vkDestroyDevice" V1_0, device::destroy_device),
    entry!(Device c"vkGetDeviceQueue" V1_0, device::get_device_queue),
    entry!(Device c"vkSetDebugUtilsObjectNameEXT" DEBUG, device::set_object_name),
    entry!(Device c"vkAllocateMemory" V1_0, memory::allocate_memory),
    entry!(Device c"vkFreeMemory" V1_0, memory::free_memory),
    entry!(Device c"vkMapMemory" V1_0, mapping::map_memory),
    entry!(Device c"vkUnmapMemory" V1_0, mapping::unmap_memory),
    entry!(Device c"vkMapMemory2KHR" MAP2, mapping::map_memory2),
    entry!(Device c"vkUnmapMemory2KHR" MAP2, mapping::unmap_memory2),
    entry!(Device c"vkFlushMappedMemoryRanges" V1_0, mapping::flush),
    entry!(Device c"vkInvalidateMappedMemoryRanges" V1_0, mapping::invalidate),
    entry!(Device c"vkGetDeviceMemoryCommitment" V1_0, memory::get_commitment),
    entry!(Device c"vkSetDeviceMemoryPriorityEXT" PAGEABLE, memory::set_priority),

    entry!(Device c"vkCreateBuffer" V1_0, resource::create_buffer),
    entry!(Device c"vkDestroyBuffer" V1_0, resource::destroy_buffer),
    entry!(Device c"vkCreateImage" V1_0, resource::create_image),
    entry!(Device c"vkDestroyImage" V1_0, resource::destroy_image),
    entry!(Device c"vkGetBufferMemoryRequirements" V1_0, query::buffer_requirements),
    entry!(Device c"vkGetImageMemoryRequirements" V1_0, query::image_requirements),
    entry!(Device c"vkGetBufferMemoryRequirements2" V1_1, query::buffer_requirements2),
    entry!(Device c"vkGetBufferMemoryRequirements2KHR" REQUIREMENTS2, query::buffer_requirements2),
    entry!(Device c"vkGetImageMemoryRequirements2" V1_1, query::image_requirements2),
    entry!(Device c"vkGetImageMemoryRequirements2KHR" REQUIREMENTS2, query::image_requirements2),
    entry!(Device c"vkGetDeviceBufferMemoryRequirements" V1_3, query::device_buffer_requirements),
    entry!(Device c"vkGetDeviceBufferMemoryRequirementsKHR" MAINTENANCE4, query::device_buffer_requirements),
    entry!(Device c"vkGetDeviceImageMemoryRequirements" V1_3, query::device_image_requirements),
    entry!(Device c"vkGetDeviceImageMemoryRequirementsKHR" MAINTENANCE4, query::device_image_requirements),
    entry!(Device c"vkGetImageSubresourceLayout" V1_0, query::subresource_layout),
    entry!(Device c"vkGetBufferDeviceAddress" V1_2, query::buffer_device_address),
    entry!(Device c"vkGetBufferDeviceAddressKHR" ADDRESS_KHR, query::buffer_device_address),
    entry!(Device c"vkGetBufferDeviceAddressEXT" ADDRESS_EXT, query::buffer_device_address),

    entry!(Device c"vkBindBufferMemory" V1_0, bind::bind_buffer),
    entry!(Device c"vkBindImageMemory" V1_0, bind::bind_image),
    entry!(Device c"vkBindBufferMemory2" V1_1, bind::bind_buffer2),
    entry!(Device c"vkBindBufferMemory2KHR" BIND2, bind::bind_buffer2),
    entry!(Device c"vkBindImageMemory2" V1_1, bind::bind_image2),
    entry!(Device c"vkBindImageMemory2KHR" BIND2, bind::bind_image2),

    entry!(Device c"vkCreateFence" V1_0, synchronisation::create_fence),
    entry!(Device c"vkDestroyFence" V1_0, synchronisation::destroy_fence),
    entry!(Device c"vkResetFences" V1_0, synchronisation::reset_fences),
    entry!(Device c"vkGetFenceStatus" V1_0, synchronisation::fence_status),
    entry!(Device c"vkWaitForFences" V1_0, synchronisation::wait_for_fences),
    entry!(Device c"vkCreateSemaphore" V1_0, synchronisation::create_semaphore),
    entry!(Device c"vkDestroySemaphore" V1_0, synchronisation::destroy_semaphore),
    entry!(Device c"vkSignalSemaphore" V1_2, synchronisation::signal_semaphore),
    entry!(Device c"vkSignalSemaphoreKHR" TIMELINE, synchronisation::signal_semaphore),
    entry!(Device c"vkGetSemaphoreCounterValue" V1_2, synchronisation::semaphore_value),
    entry!(Device c"vkGetSemaphoreCounterValueKHR" TIMELINE, synchronisation::semaphore_value),
    entry!(Device c"vkWaitSemaphores" V1_2, synchronisation::wait_semaphores),
    entry!(Device c"vkWaitSemaphoresKHR" TIMELINE, synchronisation::wait_semaphores),
    entry!(Device c"vkQueueSubmit" V1_0, queue::queue_submit),
    entry!(Device c"vkQueueSubmit2" V1_3, queue::queue_submit2),
    entry!(Device c"vkQueueSubmit2KHR" SYNC2, queue::queue_submit2),
    entry!(Device c"vkQueueWaitIdle" V1_0, queue::queue_wait_idle),
    entry!(Device c"vkDeviceWaitIdle" V1_0, queue::device_wait_idle),

    entry!(Device c"vkCreateCommandPool" V1_0, command::create_pool),
    entry!(Device c"vkDestroyCommandPool" V1_0, command::destroy_pool),
    entry!(Device c"vkResetCommandPool" V1_0, command::reset_pool),
    entry!(Device c"vkAllocateCommandBuffers" V1_0, command::allocate_buffers),
    entry!(Device c"vkFreeCommandBuffers" V1_0, command::free_buffers),
    entry!(Device c"vkBeginCommandBuffer" V1_0, command::begin),
    entry!(Device c"vkEndCommandBuffer" V1_0, command::end),
    entry!(Device c"vkResetCommandBuffer" V1_0, command::reset),
    entry!(Device c"vkCmdCopyBuffer" V1_0, record::copy_buffer),
    entry!(Device c"vkCmdFillBuffer" V1_0, record::fill_buffer),
    entry!(Device c"vkCmdUpdateBuffer" V1_0, record::update_buffer),
    entry!(Device c"vkCmdCopyBufferToImage" V1_0, record::copy_buffer_to_image),
    entry!(Device c"vkCmdCopyImageToBuffer" V1_0, record::copy_image_to_buffer),
    entry!(Device c"vkCmdClearColorImage" V1_0, record::clear_color_image),
    entry!(Device c"vkCmdPipelineBarrier" V1_0, record::pipeline_barrier),
    entry!(Device c"vkCmdPipelineBarrier2" V1_3, record::pipeline_barrier2),
    entry!(Device c"vkCmdPipelineBarrier2KHR" SYNC2, record::pipeline_barrier2),

    entry!(Device c"vkCreateImageView" V1_0, passive::create_image_view),
    entry!(Device c"vkDestroyImageView" V1_0, passive::destroy_image_view),
    entry!(Device c"vkCreateSampler" V1_0, passive::create_sampler),
    entry!(Device c"vkDestroySampler" V1_0, passive::destroy_sampler),
    entry!(Device c"vkCreateShaderModule" V1_0, passive::create_shader_module),
    entry!(Device c"vkDestroyShaderModule" V1_0, passive::destroy_shader_module),
    entry!(Device c"vkCreatePipelineCache" V1_0, passive::create_pipeline_cache),
    entry!(Device c"vkDestroyPipelineCache" V1_0, passive::destroy_pipeline_cache),
    entry!(Device c"vkCreatePipelineLayout" V1_0, passive::create_pipeline_layout),
    entry!(Device c"vkDestroyPipelineLayout" V1_0, passive::destroy_pipeline_layout),
    entry!(Device c"vkCreateComputePipelines" V1_0, passive::create_compute_pipelines),
    entry!(Device c"vkDestroyPipeline" V1_0, passive::destroy_pipeline),
    entry!(Device c"vkCreateDescriptorSetLayout" V1_0, passive::create_set_layout),
    entry!(Device c"vkDestroyDescriptorSetLayout" V1_0, passive::destroy_set_layout),
    entry!(Device c"vkCreateDescriptorPool" V1_0, passive::create_descriptor_pool),
    entry!(Device c"vkDestroyDescriptorPool" V1_0, passive::destroy_descriptor_pool),
    entry!(Device c"vkAllocateDescriptorSets" V1_0, passive::allocate_sets),
    entry!(Device c"vkFreeDescriptorSets" V1_0, passive::free_sets),
    entry!(Device c"vkUpdateDescriptorSets" V1_0, descriptor::update_sets),
    entry!(Device c"vkCmdBindPipeline" V1_0, passive::bind_pipeline),
    entry!(Device c"vkCmdBindDescriptorSets" V1_0, descriptor::bind_sets),
    entry!(Device c"vkCmdPushConstants" V1_0, passive::push_constants),
    entry!(Device c"vkCmdDispatch" V1_0, descriptor::dispatch),
];
