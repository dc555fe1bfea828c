//! Reads a physical device's properties and its memory budgets.
//!
//! What Vulkan 1.0 says is always read. The rest needs the second generation of queries (1.1, or
//! `VK_KHR_get_physical_device_properties2`); which structures may be chained there is decided by what the *physical*
//! device offers or lists, since physical-device queries do not depend on what the device was created with.
//!
//! # Source
//! Vulkan specification, "Extending Physical Device From Device Extensions" and `VK_EXT_memory_budget`.

use core::ffi::CStr;
use core::ptr;

use ash::{ext, khr, vk};

use super::functions::InstanceCommands;
use super::properties::{self, HeapBudget, MAX_HEAPS, Properties};
use super::{Device, DeviceError, DriverError};

/// How often the list of extensions is asked for again when it grew in between.
const LISTING_ATTEMPTS: u32 = 8;

/// Reads everything else that [`Properties`] holds, beside what is in `reported`.
///
/// # Errors
/// As [`Device::new`].
///
/// # Safety
/// `physical_device` belongs to the instance that `commands` were resolved from.
pub(super) unsafe fn read_properties(
    commands: &InstanceCommands,
    physical_device: vk::PhysicalDevice,
    reported: &vk::PhysicalDeviceProperties,
) -> Result<Properties, DeviceError> {
    let mut memory = vk::PhysicalDeviceMemoryProperties::default();
    // SAFETY: the caller vouches for the physical device; the target is a local.
    unsafe { (commands.get_memory_properties)(physical_device, &raw mut memory) };
    let mut properties = Properties::of_device(reported, &memory);
    check_memory(&properties, &memory)?;
    // SAFETY: the caller vouches for the physical device.
    let extensions = unsafe { list_extensions(commands, physical_device) }?;
    // SAFETY: the caller vouches for the physical device.
    unsafe { read_limits(commands, physical_device, &extensions, &mut properties) };
    properties.has_memory_budget =
        commands.get_memory_properties2.is_some() && lists(&extensions, ext::memory_budget::NAME);
    Ok(properties)
}

/// Refuses a physical device none of whose memory types has a heap.
fn check_memory(properties: &Properties, reported: &vk::PhysicalDeviceMemoryProperties) -> Result<(), DeviceError> {
    let is_usable = |memory_type: &properties::MemoryType| {
        properties.memory_heaps.get(memory_type.heap_index as usize).is_some_and(|heap| heap.size > 0)
    };
    if properties.memory_types.iter().any(is_usable) {
        return Ok(());
    }
    Err(DeviceError::NoMemoryTypes { type_count: reported.memory_type_count, heap_count: reported.memory_heap_count })
}

/// Lists the device extensions that the physical device offers.
///
/// # Safety
/// As [`read_properties`].
unsafe fn list_extensions(
    commands: &InstanceCommands,
    physical_device: vk::PhysicalDevice,
) -> Result<Vec<vk::ExtensionProperties>, DriverError> {
    const CALL: &str = "vkEnumerateDeviceExtensionProperties";
    for _ in 0..LISTING_ATTEMPTS {
        let mut count = 0;
        // SAFETY: the caller vouches for the physical device; with a null array only the count is written.
        let result =
            unsafe { (commands.enumerate_extensions)(physical_device, ptr::null(), &raw mut count, ptr::null_mut()) };
        DriverError::check(CALL, result)?;
        let mut listed = vec![vk::ExtensionProperties::default(); count as usize];
        // SAFETY: the array holds `count` elements, and the command writes at most that many.
        let result = unsafe {
            (commands.enumerate_extensions)(physical_device, ptr::null(), &raw mut count, listed.as_mut_ptr())
        };
        if result == vk::Result::INCOMPLETE {
            continue;
        }
        DriverError::check(CALL, result)?;
        listed.truncate(count as usize);
        return Ok(listed);
    }
    Err(DriverError { call: CALL, result: vk::Result::INCOMPLETE })
}

/// Returns whether the extension is among those listed.
fn lists(extensions: &[vk::ExtensionProperties], name: &CStr) -> bool {
    extensions.iter().any(|listed| listed.extension_name_as_c_str() == Ok(name))
}

/// Reads the largest allocation and the largest buffer, where the physical device knows them.
///
/// # Safety
/// As [`read_properties`].
unsafe fn read_limits(
    commands: &InstanceCommands,
    physical_device: vk::PhysicalDevice,
    extensions: &[vk::ExtensionProperties],
    properties: &mut Properties,
) {
    let Some(command) = commands.get_properties2 else {
        return;
    };
    let offers = |since, extension| properties.api_version >= since || lists(extensions, extension);
    let mut maintenance3 = vk::PhysicalDeviceMaintenance3Properties::default();
    let mut maintenance4 = vk::PhysicalDeviceMaintenance4Properties::default();
    let mut chain = vk::PhysicalDeviceProperties2::default();
    if offers(vk::API_VERSION_1_1, khr::maintenance3::NAME) {
        chain = chain.push_next(&mut maintenance3);
    }
    if offers(vk::API_VERSION_1_3, khr::maintenance4::NAME) {
        chain = chain.push_next(&mut maintenance4);
    }
    // SAFETY: the caller vouches for the physical device, which offers the structures chained.
    unsafe { command(physical_device, &raw mut chain) };
    properties.max_memory_allocation_size = properties::known_or_max(maintenance3.max_memory_allocation_size);
    properties.max_buffer_size = properties::known_or_max(maintenance4.max_buffer_size);
}

impl Device {
    /// Asks the driver how much of each heap is used and may be used; `None` where it cannot say.
    ///
    /// This may take milliseconds on real drivers; nothing on the path of an allocation calls it.
    ///
    /// # Source
    /// `VkPhysicalDeviceMemoryBudgetPropertiesEXT`.
    pub(crate) fn memory_budgets(&self) -> Option<[HeapBudget; MAX_HEAPS]> {
        let command = self.get_memory_properties2.filter(|_| self.properties.has_memory_budget)?;
        let mut budgets = vk::PhysicalDeviceMemoryBudgetPropertiesEXT::default();
        let mut chain = vk::PhysicalDeviceMemoryProperties2::default().push_next(&mut budgets);
        // SAFETY: the physical device is alive (Device::new, duty 1) and lists the extension whose structure is
        // chained.
        unsafe { command(self.physical, &raw mut chain) };
        Some(core::array::from_fn(|heap| HeapBudget {
            usage: budgets.heap_usage[heap],
            budget: budgets.heap_budget[heap],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::properties::{MemoryHeap, MemoryType};
    use super::*;

    #[test]
    fn extensions_are_found_by_their_whole_name() {
        let listed = [vk::ExtensionProperties::default().extension_name(c"VK_EXT_memory_budget").unwrap()];
        assert!(lists(&listed, ext::memory_budget::NAME));
        assert!(!lists(&listed, c"VK_EXT_memory"));
    }

    #[test]
    fn a_device_without_a_usable_type_is_refused() {
        let reported = vk::PhysicalDeviceMemoryProperties { memory_type_count: 1, ..Default::default() };
        let mut properties = Properties { memory_types: vec![MemoryType::default()], ..Default::default() };
        assert_eq!(
            check_memory(&properties, &reported),
            Err(DeviceError::NoMemoryTypes { type_count: 1, heap_count: 0 })
        );
        properties.memory_heaps.push(MemoryHeap { size: 0, ..Default::default() });
        assert!(check_memory(&properties, &reported).is_err(), "the heap has no byte");
        properties.memory_heaps[0].size = 1;
        assert_eq!(check_memory(&properties, &reported), Ok(()));
    }
}
