//! The table of entry points: name, when the function exists, and what implements it.
//!
//! A name resolves only where its version or extension is there; everything else is NULL, as on a careful driver.
//!
//! The functions take references where Vulkan's C signatures have pointers that must not be null, `Option` of references
//! where they may be, and references to our objects where they have dispatchable handles. Rust guarantees that these have
//! the ABI of pointers. So the bodies are safe code; what the application promises about its pointers is Vulkan's own
//! valid usage.

use super::object::{DeviceObject, InstanceObject};
use super::{bind, device, instance, memory, physical_device, resource};
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
            Gate::Instance(name) => instance
                .extensions
                .iter()
                .any(|enabled| enabled.as_c_str() == name),
            Gate::Device(name) => instance
                .physical_devices
                .iter()
                .any(|device| device.profile.has_extension(name)),
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
    let place = sorted
        .binary_search_by_key(&name, |entry| entry.name)
        .ok()?;
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
    entry!(Device c"vkMapMemory" V1_0, memory::map_memory),
    entry!(Device c"vkUnmapMemory" V1_0, memory::unmap_memory),
    entry!(Device c"vkMapMemory2KHR" MAP2, memory::map_memory2),
    entry!(Device c"vkUnmapMemory2KHR" MAP2, memory::unmap_memory2),
    entry!(Device c"vkFlushMappedMemoryRanges" V1_0, memory::flush),
    entry!(Device c"vkInvalidateMappedMemoryRanges" V1_0, memory::invalidate),
    entry!(Device c"vkGetDeviceMemoryCommitment" V1_0, memory::get_commitment),
    entry!(Device c"vkSetDeviceMemoryPriorityEXT" PAGEABLE, memory::set_priority),

    entry!(Device c"vkCreateBuffer" V1_0, resource::create_buffer),
    entry!(Device c"vkDestroyBuffer" V1_0, resource::destroy_buffer),
    entry!(Device c"vkCreateImage" V1_0, resource::create_image),
    entry!(Device c"vkDestroyImage" V1_0, resource::destroy_image),
    entry!(Device c"vkGetBufferMemoryRequirements" V1_0, resource::buffer_requirements),
    entry!(Device c"vkGetImageMemoryRequirements" V1_0, resource::image_requirements),
    entry!(Device c"vkGetBufferMemoryRequirements2" V1_1, resource::buffer_requirements2),
    entry!(Device c"vkGetBufferMemoryRequirements2KHR" REQUIREMENTS2, resource::buffer_requirements2),
    entry!(Device c"vkGetImageMemoryRequirements2" V1_1, resource::image_requirements2),
    entry!(Device c"vkGetImageMemoryRequirements2KHR" REQUIREMENTS2, resource::image_requirements2),
    entry!(Device c"vkGetDeviceBufferMemoryRequirements" V1_3, resource::device_buffer_requirements),
    entry!(Device c"vkGetDeviceBufferMemoryRequirementsKHR" MAINTENANCE4, resource::device_buffer_requirements),
    entry!(Device c"vkGetDeviceImageMemoryRequirements" V1_3, resource::device_image_requirements),
    entry!(Device c"vkGetDeviceImageMemoryRequirementsKHR" MAINTENANCE4, resource::device_image_requirements),
    entry!(Device c"vkGetImageSubresourceLayout" V1_0, resource::subresource_layout),
    entry!(Device c"vkGetBufferDeviceAddress" V1_2, resource::buffer_device_address),
    entry!(Device c"vkGetBufferDeviceAddressKHR" ADDRESS_KHR, resource::buffer_device_address),
    entry!(Device c"vkGetBufferDeviceAddressEXT" ADDRESS_EXT, resource::buffer_device_address),

    entry!(Device c"vkBindBufferMemory" V1_0, bind::bind_buffer),
    entry!(Device c"vkBindImageMemory" V1_0, bind::bind_image),
    entry!(Device c"vkBindBufferMemory2" V1_1, bind::bind_buffer2),
    entry!(Device c"vkBindBufferMemory2KHR" BIND2, bind::bind_buffer2),
    entry!(Device c"vkBindImageMemory2" V1_1, bind::bind_image2),
    entry!(Device c"vkBindImageMemory2KHR" BIND2, bind::bind_image2),
];
