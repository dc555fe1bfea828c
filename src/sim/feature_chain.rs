//! Features in `pNext` chains: which structure and field stands for which of ours.

use super::pnext::{find, find_mut};
use super::profile::Features;
use ash::vk;
use core::ffi::c_void;

macro_rules! feature_structures {
    ($($structure:ident { $($field:ident = $feature:ident),+ })+) => {
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
        ///
        /// # Safety
        ///
        /// 1. `next` is null or starts a valid chain to which nothing else refers.
        pub(super) unsafe fn fill(next: *mut c_void, supported: Features) {
            $(
                // SAFETY: the chain is valid and unshared (1).
                if let Some(structure) = unsafe { find_mut::<vk::$structure<'_>>(next) } {
                    $(structure.$field = vk::Bool32::from(supported.contains(Features::$feature));)+
                }
            )+
        }
    };
}

feature_structures! {
    PhysicalDeviceVulkan11Features { protected_memory = PROTECTED_MEMORY }
    PhysicalDeviceProtectedMemoryFeatures { protected_memory = PROTECTED_MEMORY }
    PhysicalDeviceVulkan12Features { buffer_device_address = BUFFER_DEVICE_ADDRESS, timeline_semaphore = TIMELINE_SEMAPHORE }
    PhysicalDeviceBufferDeviceAddressFeatures { buffer_device_address = BUFFER_DEVICE_ADDRESS }
    PhysicalDeviceBufferDeviceAddressFeaturesEXT { buffer_device_address = BUFFER_DEVICE_ADDRESS }
    PhysicalDeviceTimelineSemaphoreFeatures { timeline_semaphore = TIMELINE_SEMAPHORE }
    PhysicalDeviceVulkan13Features { maintenance4 = MAINTENANCE4, synchronization2 = SYNCHRONIZATION2 }
    PhysicalDeviceMaintenance4Features { maintenance4 = MAINTENANCE4 }
    PhysicalDeviceSynchronization2Features { synchronization2 = SYNCHRONIZATION2 }
    PhysicalDeviceCoherentMemoryFeaturesAMD { device_coherent_memory = DEVICE_COHERENT_MEMORY }
    PhysicalDeviceMemoryPriorityFeaturesEXT { memory_priority = MEMORY_PRIORITY }
    PhysicalDevicePageableDeviceLocalMemoryFeaturesEXT { pageable_device_local_memory = PAGEABLE_DEVICE_LOCAL_MEMORY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_is_what_is_requested() {
        let mut v11 = vk::PhysicalDeviceVulkan11Features::default();
        let mut v12 = vk::PhysicalDeviceVulkan12Features::default();
        let mut v13 = vk::PhysicalDeviceVulkan13Features::default();
        let mut amd = vk::PhysicalDeviceCoherentMemoryFeaturesAMD::default();
        let mut head = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut v11)
            .push_next(&mut v12)
            .push_next(&mut v13)
            .push_next(&mut amd);
        let all = Features::PROTECTED_MEMORY
            | Features::BUFFER_DEVICE_ADDRESS
            | Features::TIMELINE_SEMAPHORE
            | Features::MAINTENANCE4
            | Features::SYNCHRONIZATION2
            | Features::DEVICE_COHERENT_MEMORY;
        // SAFETY: the chain is valid and unshared.
        unsafe { fill((&raw mut head).cast(), all) };
        // SAFETY: the chain is valid.
        let asked = unsafe { requested((&raw const head).cast()) };
        assert_eq!(asked, all);
    }
}
