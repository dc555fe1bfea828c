//! Features in `pNext` chains: which structure and field stands for which of ours, and what version or extension has
//! it.

use super::pnext::find;
use super::profile::Features;
use super::property_chain::{NEVER, Question};
use ash::vk;
use core::ffi::c_void;

macro_rules! feature_structures {
    ($($structure:ident of $since:expr, $extension:literal { $($field:ident = $feature:ident),+ })+) => {
        /// Returns the features that a chain asks for.
        ///
        /// # Safety
        ///
        /// 1. `next` is null or starts a valid chain.
        pub(super) unsafe fn requested(next: *const c_void) -> Features {
            let mut features = Features::NONE;
            $(
                // SAFETY: the chain is valid (1).
                if let Some(structure) = unsafe { find::<vk::$structure<'_>>(next) } {
                    $(if structure.$field != vk::FALSE { features |= Features::$feature; })+
                }
            )+
            features
        }

        /// Fills the structures of a chain with what is supported.
        pub(super) fn fill(mut question: Question<'_>, supported: Features) {
            $(
                if let Some(structure) = question.part::<vk::$structure<'_>>($since, $extension) {
                    $(structure.$field = vk::Bool32::from(supported.contains(Features::$feature));)+
                }
            )+
        }
    };
}

const V1_1: u32 = vk::API_VERSION_1_1;
const V1_2: u32 = vk::API_VERSION_1_2;
const V1_3: u32 = vk::API_VERSION_1_3;

// The feature of VK_EXT_buffer_device_address is another one: it demands no flag of memory, and is not simulated.
#[rustfmt::skip]
feature_structures! {
    PhysicalDeviceVulkan11Features of V1_2, c"" { protected_memory = PROTECTED_MEMORY }
    PhysicalDeviceProtectedMemoryFeatures of V1_1, c"" { protected_memory = PROTECTED_MEMORY }
    PhysicalDeviceVulkan12Features of V1_2, c"" { buffer_device_address = BUFFER_DEVICE_ADDRESS, timeline_semaphore = TIMELINE_SEMAPHORE }
    PhysicalDeviceBufferDeviceAddressFeatures of V1_2, c"VK_KHR_buffer_device_address" { buffer_device_address = BUFFER_DEVICE_ADDRESS }
    PhysicalDeviceTimelineSemaphoreFeatures of V1_2, c"VK_KHR_timeline_semaphore" { timeline_semaphore = TIMELINE_SEMAPHORE }
    PhysicalDeviceVulkan13Features of V1_3, c"" { maintenance4 = MAINTENANCE4, synchronization2 = SYNCHRONIZATION2 }
    PhysicalDeviceMaintenance4Features of V1_3, c"VK_KHR_maintenance4" { maintenance4 = MAINTENANCE4 }
    PhysicalDeviceSynchronization2Features of V1_3, c"VK_KHR_synchronization2" { synchronization2 = SYNCHRONIZATION2 }
    PhysicalDeviceCoherentMemoryFeaturesAMD of NEVER, c"VK_AMD_device_coherent_memory" { device_coherent_memory = DEVICE_COHERENT_MEMORY }
    PhysicalDeviceMemoryPriorityFeaturesEXT of NEVER, c"VK_EXT_memory_priority" { memory_priority = MEMORY_PRIORITY }
    PhysicalDevicePageableDeviceLocalMemoryFeaturesEXT of NEVER, c"VK_EXT_pageable_device_local_memory" { pageable_device_local_memory = PAGEABLE_DEVICE_LOCAL_MEMORY }
}

#[cfg(test)]
mod tests {
    use super::super::{Profile, SimDevice};
    use super::*;

    #[test]
    fn what_is_filled_is_what_is_requested() {
        let sim = SimDevice::new(Profile::discrete_rebar());
        let mut v11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut v13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut amd = vk::PhysicalDeviceCoherentMemoryFeaturesAMD::default();
        let mut head = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut v11)
            .push_next(&mut v12)
            .push_next(&mut v13)
            .push_next(&mut amd);
        // SAFETY: the physical device is of this instance; the chain is valid and unshared.
        unsafe { sim.instance().get_physical_device_features2(sim.physical_device(), &mut head) };
        // SAFETY: the chain is valid.
        let asked = unsafe { requested((&raw const head).cast()) };
        let elsewhere = Features::MEMORY_PRIORITY | Features::PAGEABLE_DEVICE_LOCAL_MEMORY | Features::SPARSE_BINDING;
        assert_eq!(asked, sim.profile().features.without(elsewhere));
        assert!(asked.contains(Features::DEVICE_COHERENT_MEMORY | Features::MAINTENANCE4));
    }
}
