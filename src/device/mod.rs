//! Floor 1: the only folder that calls Vulkan.
//!
//! [`Device`] is what the user's `VkDevice` looks like from here: a table of commands resolved by name, the physical
//! device's properties as plain data, and the features that were declared. Everything above asks it, by reference; it
//! keeps no list of what it handed out.
//!
//! | file | holds |
//! |---|---|
//! | `functions` | the command table: which name is looked up from which version on |
//! | `properties` | memory types, heaps, limits, declared features: plain data |
//! | `query` | reads those from the driver, and memory budgets |
//! | `memory` | `Memory`, the owner of one memory object; allocate, map, free |
//! | `range` | ranges of mapped memory; flush, invalidate |
//! | `resource` | buffers and images: create, destroy, requirements, bind |
//! | `transfer` | copies and barriers, recorded into the user's command buffers |
//! | `error` | what the driver answered, what was declared wrongly |
//!
//! Only `Device::new` believes the user: that the handles are alive and the features true. From then on allocating,
//! freeing and flushing memory is safe, because [`Memory`] is owned and remembers its device.

#![deny(unsafe_code)]

mod error;
#[expect(unsafe_code, reason = "resolves commands by name")]
mod functions;
#[expect(unsafe_code, reason = "allocates, maps and frees memory objects")]
mod memory;
mod properties;
#[expect(unsafe_code, reason = "asks the physical device")]
mod query;
#[expect(unsafe_code, reason = "flushes and invalidates mapped memory")]
mod range;
#[expect(unsafe_code, reason = "creates, binds and destroys resources")]
mod resource;
#[cfg(test)]
#[expect(unsafe_code, reason = "tests what the simulated driver hears")]
mod tests;
#[expect(unsafe_code, reason = "records commands")]
mod transfer;

use core::fmt;
use core::ptr;
use std::sync::Arc;

use ash::vk;

pub use error::{DeviceError, DriverError};
pub(crate) use memory::{DedicatedFor, Mapping, Memory, MemoryRequest, Site};
pub use properties::{Features, HeapBudget, MAX_HEAPS, MemoryHeap, MemoryType, Properties};
pub(crate) use range::{MemoryRange, RangeWithin};
pub use resource::DedicatedPreference;
pub(crate) use resource::Requirements;
pub(crate) use transfer::BarrierStages;

use crate::sync::{Ordering, StaticU32};
use functions::{DeviceCommands, InstanceCommands};

/// Numbers the devices of this process, so that memory given to the wrong one is noticed.
static NEXT_DEVICE_NUMBER: StaticU32 = StaticU32::new(0);

/// What happened to a memory object, for [`MemoryCallbacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryEvent {
    /// The memory object. It is alive during the callback.
    pub memory: vk::DeviceMemory,
    /// The memory type that it was taken from.
    pub memory_type_index: u32,
    /// Its size, in bytes.
    pub size: u64,
}

impl MemoryEvent {
    fn of(memory: &Memory) -> Self {
        Self { memory: memory.handle(), memory_type_index: memory.memory_type_index(), size: memory.size() }
    }
}

/// A function of the user that hears of memory objects.
type MemoryCallback = Arc<dyn Fn(&MemoryEvent) + Send + Sync>;

/// Functions of the user that hear of every memory object: just after it was allocated, just before it is freed.
///
/// They run on the thread that allocates or frees, with no lock of the allocator held; a frame ring that opens a block
/// keeps its other threads from opening one meanwhile. They must not call the allocator, counters apart, nor what takes
/// memory from it: other threads, and such a call too, may wait for the very operation that the callback is part of.
/// They must not panic: the object would leak, and the budget would forget it.
#[derive(Clone, Default)]
pub struct MemoryCallbacks {
    after_allocate: Option<MemoryCallback>,
    before_free: Option<MemoryCallback>,
}

impl MemoryCallbacks {
    /// Starts with no callback.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `callback` after each memory object was allocated, and mapped if it is.
    #[must_use]
    pub fn after_allocate(mut self, callback: impl Fn(&MemoryEvent) + Send + Sync + 'static) -> Self {
        self.after_allocate = Some(Arc::new(callback));
        self
    }

    /// Calls `callback` before each memory object is freed.
    #[must_use]
    pub fn before_free(mut self, callback: impl Fn(&MemoryEvent) + Send + Sync + 'static) -> Self {
        self.before_free = Some(Arc::new(callback));
        self
    }

    /// Tells the user that `memory` was allocated.
    fn tell_allocated(&self, memory: &Memory) {
        if let Some(callback) = &self.after_allocate {
            callback(&MemoryEvent::of(memory));
        }
    }

    /// Tells the user that `memory` is about to be freed.
    fn tell_freeing(&self, memory: &Memory) {
        if let Some(callback) = &self.before_free {
            callback(&MemoryEvent::of(memory));
        }
    }
}

impl fmt::Debug for MemoryCallbacks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("MemoryCallbacks")
            .field("after_allocate", &self.after_allocate.is_some())
            .field("before_free", &self.before_free.is_some())
            .finish()
    }
}

/// What a [`Device`] is made from.
pub(crate) struct DeviceCreateInfo<'a> {
    /// What the user loaded Vulkan through.
    pub(crate) entry: &'a ash::Entry,
    /// The instance that the device belongs to.
    pub(crate) instance: &'a ash::Instance,
    /// The physical device that it was made of.
    pub(crate) physical_device: vk::PhysicalDevice,
    /// The device.
    pub(crate) device: &'a ash::Device,
    /// The Vulkan version to use: the lower of the instance's and the physical device's. 0 means 1.0, as in Vulkan.
    pub(crate) api_version: u32,
    /// The features and extensions that instance and device were created with.
    pub(crate) features: Features,
    /// Host-memory callbacks for the driver, passed to each call that takes them.
    pub(crate) allocation_callbacks: Option<vk::AllocationCallbacks<'static>>,
    /// Functions of the user that hear of memory objects.
    pub(crate) memory_callbacks: Option<MemoryCallbacks>,
}

/// The user's device: commands, properties and declared features. Shared by all threads.
pub(crate) struct Device {
    handle: vk::Device,
    physical: vk::PhysicalDevice,
    number: u32,
    api_version: u32,
    commands: DeviceCommands,
    get_memory_properties2: Option<vk::PFN_vkGetPhysicalDeviceMemoryProperties2>,
    properties: Properties,
    features: Features,
    allocation_callbacks: Option<vk::AllocationCallbacks<'static>>,
    memory_callbacks: Option<MemoryCallbacks>,
}

impl Device {
    /// Resolves the commands and reads the properties.
    ///
    /// # Errors
    /// - [`DeviceError::UnsupportedVersion`] if the declared version is above the physical device's or the loader's.
    /// - [`DeviceError::MissingFunction`] if a command is missing that the version or a feature promises.
    /// - [`DeviceError::NoMemoryTypes`] if the physical device reports no usable memory type.
    /// - [`DeviceError::Driver`] if the driver fails to list its extensions.
    ///
    /// # Safety
    /// 1. Entry, instance, physical device and device belong together, and outlive the [`Device`] and all that it hands
    ///    out.
    /// 2. Version and features are those that instance and device were created with.
    /// 3. The allocation callbacks meet Vulkan's rules for them and stay callable, from any thread, as long.
    /// 4. The device was made of one physical device, or no heap with `MULTI_INSTANCE` has a host-visible memory type.
    #[expect(unsafe_code, reason = "believes what the user declares")]
    pub(crate) unsafe fn new(info: &DeviceCreateInfo<'_>) -> Result<Self, DeviceError> {
        let api_version = if info.api_version == 0 { vk::API_VERSION_1_0 } else { info.api_version };
        check_version(api_version, functions::loader_version(info.entry), "instance loader")?;
        let (instance, device) = (info.instance.handle(), info.device.handle());
        // SAFETY: duty 1 is the caller's.
        let reported = unsafe { functions::physical_device_properties(info.entry, instance, info.physical_device) }?;
        check_version(api_version, reported.api_version, "physical device")?;
        // SAFETY: duties 1 and 2 are the caller's.
        let of_instance = unsafe { InstanceCommands::resolve(info.entry, instance, api_version, info.features) }?;
        // SAFETY: the physical device belongs to the instance (duty 1).
        let properties = unsafe { query::read_properties(&of_instance, info.physical_device, &reported) }?;
        // SAFETY: duties 1 and 2 are the caller's.
        let commands = unsafe {
            DeviceCommands::resolve(
                // The user's own: who counts or alters calls hands out an instance with a table of his making.
                info.instance.fp_v1_0().get_device_proc_addr,
                device,
                api_version,
                info.features,
            )
        }?;
        Ok(Self {
            handle: device,
            physical: info.physical_device,
            number: NEXT_DEVICE_NUMBER.fetch_add(1, Ordering::Relaxed),
            api_version,
            commands,
            get_memory_properties2: of_instance.get_memory_properties2,
            properties,
            features: info.features,
            allocation_callbacks: info.allocation_callbacks,
            memory_callbacks: info.memory_callbacks.clone(),
        })
    }

    /// Returns what the physical device says about its memory.
    pub(crate) fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Returns the features that were declared.
    pub(crate) fn features(&self) -> Features {
        self.features
    }

    #[cfg(test)]
    /// Returns the Vulkan version that was declared.
    pub(crate) fn api_version(&self) -> u32 {
        self.api_version
    }

    /// Returns whether memory can be dedicated to one resource; elsewhere such a wish is dropped when allocating.
    pub(crate) fn has_dedicated_allocation(&self) -> bool {
        self.api_version >= vk::API_VERSION_1_1 || self.features.dedicated_allocation
    }

    /// The user's host-memory callbacks as the driver takes them.
    fn callbacks(&self) -> *const vk::AllocationCallbacks<'static> {
        self.allocation_callbacks.as_ref().map_or(ptr::null(), ptr::from_ref)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Device")
            .field("name", &self.properties.device_name)
            .field("api_version", &error::display_version(self.api_version))
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

/// Refuses a version above what is offered. Patch numbers do not matter; variants do.
fn check_version(declared: u32, offered: u32, limited_by: &'static str) -> Result<(), DeviceError> {
    if vk::api_version_variant(declared) != 0 {
        return Err(DeviceError::UnsupportedVersion { declared, offered, limited_by: "vulkan variant 0" });
    }
    let without_patch = |version| (vk::api_version_major(version), vk::api_version_minor(version));
    if without_patch(declared) > without_patch(offered) {
        return Err(DeviceError::UnsupportedVersion { declared, offered, limited_by });
    }
    Ok(())
}
