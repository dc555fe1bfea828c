//! Chains of questions to a physical device: which version or extension has which structure, and the properties among
//! them.
//!
//! A structure that neither the version nor a listed extension has is recorded and left as it is: a driver that does
//! not know it passes over it.
//!
//! # Source
//!
//! "Valid Usage for Structure Pointer Chains" in the Vulkan specification; for questions to a physical device it counts
//! what that supports.

use super::function::Function;
use super::instance::write_text;
use super::object::PhysicalObject;
use super::pnext::find_mut;
use ash::vk;
use core::ffi::{CStr, c_void};

/// The version of what no version has.
pub(super) const NEVER: u32 = u32::MAX;

/// The chain of one question.
pub(super) struct Question<'a> {
    physical: &'a PhysicalObject,
    function: Function,
    /// That the structures of the chain are known.
    rule: &'static str,
    next: *mut c_void,
}

impl<'a> Question<'a> {
    /// Begins to read a chain.
    ///
    /// # Safety
    ///
    /// 1. `next` is null or starts a valid chain to which nothing else refers during `'a`.
    pub(super) unsafe fn new(
        physical: &'a PhysicalObject,
        function: Function,
        rule: &'static str,
        next: *mut c_void,
    ) -> Self {
        Self { physical, function, rule, next }
    }

    /// Returns a structure that the version or the extension has; records one that neither of them has here.
    pub(super) fn part<T: vk::TaggedStructure>(&mut self, since: u32, extension: &CStr) -> Option<&mut T> {
        // SAFETY: the chain is valid and unshared (duty of `new`); what is returned borrows the question.
        let found = unsafe { find_mut::<T>(self.next) }?;
        let profile = &self.physical.profile;
        let version = self.physical.instance_version.min(profile.api_version);
        if version >= since || profile.has_extension(extension) {
            return Some(found);
        }
        let message = format!("{:?}, but no version or extension that has it is supported", T::STRUCTURE_TYPE);
        self.physical.control.state.violate(self.rule, self.function, message);
        None
    }
}

/// Fills the properties of a chain.
pub(super) fn fill(mut question: Question<'_>) {
    let physical = question.physical;
    let profile = &physical.profile;
    let (size, sets, none) = (profile.max_memory_allocation_size, 1 << 20, c"");
    let maintenance3 = c"VK_KHR_maintenance3";
    if let Some(known) =
        question.part::<vk::PhysicalDeviceMaintenance3Properties<'_>>(vk::API_VERSION_1_1, maintenance3)
    {
        (known.max_memory_allocation_size, known.max_per_set_descriptors) = (size, sets);
    }
    let maintenance4 = c"VK_KHR_maintenance4";
    if let Some(known) =
        question.part::<vk::PhysicalDeviceMaintenance4Properties<'_>>(vk::API_VERSION_1_3, maintenance4)
    {
        known.max_buffer_size = profile.max_buffer_size;
    }
    if let Some(known) = question.part::<vk::PhysicalDeviceVulkan11Properties<'_>>(vk::API_VERSION_1_2, none) {
        (known.max_memory_allocation_size, known.max_per_set_descriptors) = (size, sets);
    }
    if let Some(known) = question.part::<vk::PhysicalDeviceVulkan13Properties<'_>>(vk::API_VERSION_1_3, none) {
        known.max_buffer_size = profile.max_buffer_size;
    }
    if let Some(known) = question.part::<vk::PhysicalDeviceVulkan12Properties<'_>>(vk::API_VERSION_1_2, none) {
        known.driver_id = profile.driver_id;
        write_text(&mut known.driver_name, "freestone sim");
    }
    let driver = c"VK_KHR_driver_properties";
    if let Some(known) = question.part::<vk::PhysicalDeviceDriverProperties<'_>>(vk::API_VERSION_1_2, driver) {
        known.driver_id = profile.driver_id;
        write_text(&mut known.driver_name, "freestone sim");
    }
}
