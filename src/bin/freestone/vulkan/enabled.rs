//! What is enabled on a device: the versions, extensions and features that matter to memory, wherever they are offered.
//!
//! Invariant I2: what this says was enabled on the device, and nothing else was.
//!
//! Protected memory is left alone: declaring it takes a protected queue, which no headless program here submits to.
//!
//! Source: Vulkan specification, sections 5.2 and 48 (features), and each extension's own section.

use super::instance::{Instance, without_patch};
use super::validation::{Driver, Program};
use super::{Unavailable, failed};
use ash::{amd, ext, khr, vk};
use std::ffi::CStr;

/// Extensions enabled wherever a device lists them, each with the core version that took it in (none: 0).
const WANTED: [(&CStr, u32); 10] = [
    (khr::get_memory_requirements2::NAME, vk::API_VERSION_1_1),
    (khr::dedicated_allocation::NAME, vk::API_VERSION_1_1),
    (khr::bind_memory2::NAME, vk::API_VERSION_1_1),
    (khr::buffer_device_address::NAME, vk::API_VERSION_1_2),
    (khr::maintenance4::NAME, vk::API_VERSION_1_3),
    (khr::synchronization2::NAME, vk::API_VERSION_1_3),
    (ext::memory_budget::NAME, 0),
    (ext::memory_priority::NAME, 0),
    (ext::pageable_device_local_memory::NAME, 0),
    (amd::device_coherent_memory::NAME, 0),
];

/// Extensions that are never enabled, with the core version that took them in.
const CORE_ONLY: [(&CStr, u32); 1] = [(khr::dynamic_rendering::NAME, vk::API_VERSION_1_3)];

/// Extensions that only a replay enables: recorded applications created resources with their usage bits.
const RECORDED: [&CStr; 2] = [ext::transform_feedback::NAME, ext::attachment_feedback_loop_layout::NAME];

/// Extensions that only a program with a window enables.
const WINDOWED: [&CStr; 1] = [khr::swapchain::NAME];

/// What was enabled on a device, as plain data.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent feature of Vulkan")]
pub(crate) struct Enabled {
    pub(crate) driver: Driver,
    /// The device's name, as its driver gives it.
    pub(crate) device_name: String,
    /// The version usable on the device: the lower one of instance and device, in major and minor.
    pub(crate) api_version: u32,
    /// The extensions enabled, without those that `api_version` holds in core.
    pub(crate) extensions: Vec<&'static CStr>,
    /// The features of Vulkan 1.0: all that are offered but robust buffer access, which costs time.
    pub(crate) core: vk::PhysicalDeviceFeatures,
    pub(crate) buffer_device_address: bool,
    pub(crate) maintenance4: bool,
    pub(crate) synchronization2: bool,
    pub(crate) dynamic_rendering: bool,
    pub(crate) memory_priority: bool,
    pub(crate) pageable_device_local_memory: bool,
    pub(crate) device_coherent_memory: bool,
    pub(crate) transform_feedback: bool,
    pub(crate) attachment_feedback_loop: bool,
}

impl Enabled {
    /// Finds out what `physical_device` offers of what we want.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Call`].
    pub(crate) fn of(instance: &Instance, physical_device: vk::PhysicalDevice) -> Result<Self, Unavailable> {
        // SAFETY: the physical device is one of this instance's.
        let properties = unsafe { instance.raw.get_physical_device_properties(physical_device) };
        let api_version = without_patch(properties.api_version).min(instance.api_version);
        let device_name = properties
            .device_name_as_c_str()
            .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
        let none = Self {
            driver: Driver::of(&properties),
            device_name,
            api_version,
            extensions: offered_extensions(instance, physical_device, api_version)?,
            core: vk::PhysicalDeviceFeatures::default(),
            buffer_device_address: false,
            maintenance4: false,
            synchronization2: false,
            dynamic_rendering: false,
            memory_priority: false,
            pageable_device_local_memory: false,
            device_coherent_memory: false,
            transform_feedback: false,
            attachment_feedback_loop: false,
        };
        Ok(none.with_offered_features(instance, physical_device))
    }

    /// Tells whether `extension` is usable: enabled, or in core.
    pub(crate) fn has(&self, extension: &CStr) -> bool {
        let in_core =
            |&(name, version): &(&CStr, u32)| name == extension && version != 0 && self.api_version >= version;
        self.extensions.contains(&extension) || WANTED.iter().chain(&CORE_ONLY).any(in_core)
    }

    fn with_offered_features(self, instance: &Instance, physical_device: vk::PhysicalDevice) -> Self {
        // Without vkGetPhysicalDeviceFeatures2 nothing but the features of Vulkan 1.0 can be asked for.
        let mut offered = if self.api_version < vk::API_VERSION_1_1 {
            // SAFETY: the physical device is one of this instance's.
            let core = unsafe { instance.raw.get_physical_device_features(physical_device) };
            Self { core, ..self }
        } else {
            let ask = |features: &mut vk::PhysicalDeviceFeatures2<'_>| {
                // SAFETY: instance and device are of version 1.1 or above; the chain's structures are the device's.
                unsafe {
                    instance.raw.get_physical_device_features2(physical_device, features);
                };
            };
            self.through_features2(ask).1
        };
        offered.core.robust_buffer_access = vk::FALSE;
        offered
    }

    /// Creates the device with exactly what this says (I2).
    ///
    /// # Errors
    ///
    /// [`Unavailable::Call`].
    pub(crate) fn create_device(
        &self,
        instance: &Instance,
        physical_device: vk::PhysicalDevice,
        queue_family_index: u32,
    ) -> Result<ash::Device, Unavailable> {
        let queues =
            [vk::DeviceQueueCreateInfo::default().queue_family_index(queue_family_index).queue_priorities(&[1.0])];
        let extensions: Vec<_> = self.extensions.iter().map(|name| name.as_ptr()).collect();
        let info = vk::DeviceCreateInfo::default().queue_create_infos(&queues).enabled_extension_names(&extensions);
        let create = |info: &vk::DeviceCreateInfo<'_>| {
            // SAFETY: extensions and features are listed by this physical device; all pointers are to live locals.
            unsafe { instance.raw.create_device(physical_device, info, None) }.map_err(failed("vkCreateDevice"))
        };
        if self.api_version < vk::API_VERSION_1_1 {
            return create(&info.enabled_features(&self.core));
        }
        self.clone().through_features2(|features| create(&info.push_next(features))).0
    }

    /// Lends `body` a chain of the feature structures known to the device, filled from `self`; returns its answer and
    /// `self` with what the chain holds afterwards. Asking and enabling differ only in `body`.
    fn through_features2<R>(self, body: impl FnOnce(&mut vk::PhysicalDeviceFeatures2<'_>) -> R) -> (R, Self) {
        let mut address =
            vk::PhysicalDeviceBufferDeviceAddressFeatures::default().buffer_device_address(self.buffer_device_address);
        let mut maintenance4 = vk::PhysicalDeviceMaintenance4Features::default().maintenance4(self.maintenance4);
        let mut synchronization2 =
            vk::PhysicalDeviceSynchronization2Features::default().synchronization2(self.synchronization2);
        let mut rendering =
            vk::PhysicalDeviceDynamicRenderingFeatures::default().dynamic_rendering(self.dynamic_rendering);
        let mut priority = vk::PhysicalDeviceMemoryPriorityFeaturesEXT::default().memory_priority(self.memory_priority);
        let mut pageable = vk::PhysicalDevicePageableDeviceLocalMemoryFeaturesEXT::default()
            .pageable_device_local_memory(self.pageable_device_local_memory);
        let mut coherent =
            vk::PhysicalDeviceCoherentMemoryFeaturesAMD::default().device_coherent_memory(self.device_coherent_memory);
        let mut feedback =
            vk::PhysicalDeviceTransformFeedbackFeaturesEXT::default().transform_feedback(self.transform_feedback);
        let mut feedback_loop = vk::PhysicalDeviceAttachmentFeedbackLoopLayoutFeaturesEXT::default()
            .attachment_feedback_loop_layout(self.attachment_feedback_loop);
        let mut features = vk::PhysicalDeviceFeatures2::default().features(self.core);
        macro_rules! chain {
            ($($structure:ident if $extension:expr;)*) => {
                $(if self.has($extension) {
                    features = features.push_next(&mut $structure);
                })*
            };
        }
        chain! {
            address if khr::buffer_device_address::NAME;
            maintenance4 if khr::maintenance4::NAME;
            synchronization2 if khr::synchronization2::NAME;
            rendering if khr::dynamic_rendering::NAME;
            priority if ext::memory_priority::NAME;
            pageable if ext::pageable_device_local_memory::NAME;
            coherent if amd::device_coherent_memory::NAME;
            feedback if ext::transform_feedback::NAME;
            feedback_loop if ext::attachment_feedback_loop_layout::NAME;
        }
        let answer = body(&mut features);
        let held = Self {
            core: features.features,
            buffer_device_address: address.buffer_device_address != 0,
            maintenance4: maintenance4.maintenance4 != 0,
            synchronization2: synchronization2.synchronization2 != 0,
            dynamic_rendering: rendering.dynamic_rendering != 0,
            memory_priority: priority.memory_priority != 0,
            pageable_device_local_memory: pageable.pageable_device_local_memory != 0,
            device_coherent_memory: coherent.device_coherent_memory != 0,
            transform_feedback: feedback.transform_feedback != 0,
            attachment_feedback_loop: feedback_loop.attachment_feedback_loop_layout != 0,
            ..self
        };
        (answer, held)
    }
}

/// Returns the wanted extensions that the device lists and that are not in core at `api_version`.
fn offered_extensions(
    instance: &Instance,
    physical_device: vk::PhysicalDevice,
    api_version: u32,
) -> Result<Vec<&'static CStr>, Unavailable> {
    // SAFETY: the physical device is one of this instance's.
    let listed = unsafe { instance.raw.enumerate_device_extension_properties(physical_device) }
        .map_err(failed("vkEnumerateDeviceExtensionProperties"))?;
    let is_listed = |name: &&CStr| listed.iter().any(|extension| extension.extension_name_as_c_str() == Ok(*name));
    // Vulkan 1.0 gets those that work without the structures of vkGetPhysicalDeviceFeatures2.
    let wanted: &[_] = if api_version < vk::API_VERSION_1_1 { &WANTED[..3] } else { &WANTED };
    let outside_core = wanted.iter().filter(|&&(_, core)| core == 0 || api_version < core).map(|wanted| wanted.0);
    let special: &[_] = match instance.program {
        Program::Replay => &RECORDED,
        Program::Renderer => &WINDOWED,
        _ => &[],
    };
    Ok(outside_core.chain(special.iter().copied()).filter(is_listed).collect())
}
