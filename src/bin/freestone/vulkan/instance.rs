//! Creates a `VkInstance`, with the validation layers and a messenger from its first to its last call.
//!
//! Invariant I1: the messenger's target, a [`Validation`], lives until after `vkDestroyInstance`.
//!
//! Source: Vulkan specification, sections 4.1 and 50.1 (`VK_EXT_debug_utils`), `VK_EXT_validation_features`.

use super::validation::{self, Program, Validation};
use super::{Unavailable, failed};
use ash::{Entry, ext, vk};
use std::ffi::CStr;
use std::sync::Arc;

const VALIDATION_LAYER: &CStr = c"VK_LAYER_KHRONOS_validation";

/// Returns the checks asked for beside the core ones, which are always on.
const fn further_checks(program: Program) -> &'static [vk::ValidationFeatureEnableEXT] {
    match program {
        Program::WatchedShaders => &[vk::ValidationFeatureEnableEXT::GPU_ASSISTED],
        _ => &[
            vk::ValidationFeatureEnableEXT::SYNCHRONIZATION_VALIDATION,
            vk::ValidationFeatureEnableEXT::BEST_PRACTICES,
        ],
    }
}

/// Whether to run under the validation layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layers {
    Off,
    IfPresent,
    Required,
}

/// A loaded implementation and an instance of it.
pub(crate) struct Instance {
    pub(crate) entry: Entry,
    pub(crate) raw: ash::Instance,
    /// The version the instance was created for: the loader's, in major and minor.
    pub(crate) api_version: u32,
    pub(crate) program: Program,
    messenger: Option<(ext::debug_utils::Instance, vk::DebugUtilsMessengerEXT)>,
    validation: Option<Arc<Validation>>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Instance").field("api_version", &self.api_version).finish_non_exhaustive()
    }
}

impl Instance {
    /// Creates an instance of what the machine's Vulkan loader offers.
    ///
    /// # Errors
    ///
    /// [`Unavailable`], any but a device without queue.
    pub(crate) fn load(program: Program, layers: Layers) -> Result<Self, Unavailable> {
        Self::load_with(program, layers, &[])
    }

    /// Creates one with further extensions of the instance, such as those that a window's surface needs.
    ///
    /// # Errors
    ///
    /// As [`Instance::load`]; an extension that is missing is a failed call.
    pub(crate) fn load_with(program: Program, layers: Layers, extensions: &[&CStr]) -> Result<Self, Unavailable> {
        // SAFETY: the library found under the loader's well-known name is a Vulkan loader, whose initialisers are
        // sound.
        let entry = unsafe { Entry::load() }.map_err(|error| Unavailable::NoLoader(error.to_string()))?;
        Self::create(entry, program, layers, extensions)
    }

    /// Creates an instance of any implementation.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoDriver`], [`Unavailable::NoLayers`], [`Unavailable::Call`].
    pub(crate) fn new(entry: Entry, program: Program, layers: Layers) -> Result<Self, Unavailable> {
        Self::create(entry, program, layers, &[])
    }

    fn create(entry: Entry, program: Program, layers: Layers, extensions: &[&CStr]) -> Result<Self, Unavailable> {
        let validation = validation_wanted(&entry, program, layers)?;
        let api_version = instance_version(&entry)?;
        let raw = create_raw(&entry, api_version, validation.as_ref(), extensions)?;
        let mut instance = Self { entry, raw, api_version, program, messenger: None, validation };
        instance.listen()?;
        Ok(instance)
    }

    /// Registers the messenger for the time between creation and destruction of the instance.
    fn listen(&mut self) -> Result<(), Unavailable> {
        let Some(validation) = &self.validation else {
            return Ok(());
        };
        let functions = ext::debug_utils::Instance::new(&self.entry, &self.raw);
        let info = validation::messenger_info(validation);
        // SAFETY: VK_EXT_debug_utils is enabled, and the messenger's target outlives the instance (I1).
        let messenger = unsafe { functions.create_debug_utils_messenger(&info, None) }
            .map_err(failed("vkCreateDebugUtilsMessengerEXT"))?;
        self.messenger = Some((functions, messenger));
        Ok(())
    }

    /// Returns the validation that listens, or `None` when no layer does.
    pub(crate) fn validation(&self) -> Option<Arc<Validation>> {
        self.validation.clone()
    }

    /// Returns the physical devices, in the loader's order.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoDriver`] if there is none, [`Unavailable::Call`].
    pub(crate) fn physical_devices(&self) -> Result<Vec<vk::PhysicalDevice>, Unavailable> {
        // SAFETY: the instance is alive.
        match unsafe { self.raw.enumerate_physical_devices() } {
            Ok(devices) if devices.is_empty() => Err(Unavailable::NoDriver),
            Ok(devices) => Ok(devices),
            // What the loader answers when every driver it knows fails to start.
            Err(vk::Result::ERROR_INITIALIZATION_FAILED) => Err(Unavailable::NoDriver),
            Err(result) => Err(failed("vkEnumeratePhysicalDevices")(result)),
        }
    }

    /// Returns a queue family that computes, one that also draws first.
    pub(crate) fn queue_family(&self, physical_device: vk::PhysicalDevice) -> Option<u32> {
        // SAFETY: the physical device is one of this instance's.
        let families = unsafe { self.raw.get_physical_device_queue_family_properties(physical_device) };
        let with = |flags| families.iter().position(|family| family.queue_flags.contains(flags));
        let index = with(vk::QueueFlags::COMPUTE | vk::QueueFlags::GRAPHICS).or_else(|| with(vk::QueueFlags::COMPUTE));
        index.and_then(|index| u32::try_from(index).ok())
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some((functions, messenger)) = &self.messenger {
            // SAFETY: created from this instance and destroyed once, here.
            unsafe { functions.destroy_debug_utils_messenger(*messenger, None) };
        }
        // SAFETY: every device of it was destroyed before (I1), and nobody else holds the handle.
        unsafe { self.raw.destroy_instance(None) };
    }
}

/// Decides whether the layers listen, and makes what they talk to.
fn validation_wanted(entry: &Entry, program: Program, layers: Layers) -> Result<Option<Arc<Validation>>, Unavailable> {
    if layers == Layers::Off {
        return Ok(None);
    }
    // SAFETY: a global function without a precondition.
    let present =
        unsafe { entry.enumerate_instance_layer_properties() }.map_err(failed("vkEnumerateInstanceLayerProperties"))?;
    let is_validation = |layer: &&vk::LayerProperties| layer.layer_name_as_c_str() == Ok(VALIDATION_LAYER);
    match present.iter().find(is_validation) {
        Some(layer) => Ok(Some(Arc::new(Validation::new(program, layer.spec_version)))),
        None if layers == Layers::Required => Err(Unavailable::NoLayers),
        None => Ok(None),
    }
}

/// Returns the version to ask for: what the loader offers, without its patch number.
fn instance_version(entry: &Entry) -> Result<u32, Unavailable> {
    // SAFETY: a global function without a precondition.
    let offered = unsafe { entry.try_enumerate_instance_version() }.map_err(failed("vkEnumerateInstanceVersion"))?;
    Ok(without_patch(offered.unwrap_or(vk::API_VERSION_1_0)))
}

/// Returns `version` with major and minor only.
pub(crate) const fn without_patch(version: u32) -> u32 {
    vk::make_api_version(0, vk::api_version_major(version), vk::api_version_minor(version), 0)
}

fn create_raw(
    entry: &Entry,
    api_version: u32,
    validation: Option<&Arc<Validation>>,
    further: &[&CStr],
) -> Result<ash::Instance, Unavailable> {
    let application = vk::ApplicationInfo::default().application_name(c"freestone").api_version(api_version);
    let (layers, mut extensions) = match validation {
        Some(_) => (
            vec![VALIDATION_LAYER.as_ptr()],
            vec![ext::debug_utils::NAME.as_ptr(), ext::validation_features::NAME.as_ptr()],
        ),
        None => (Vec::new(), Vec::new()),
    };
    extensions.extend(further.iter().map(|name| name.as_ptr()));
    let mut info = vk::InstanceCreateInfo::default()
        .application_info(&application)
        .enabled_layer_names(&layers)
        .enabled_extension_names(&extensions);
    let checks = validation.map_or(&[][..], |validation| further_checks(validation.program()));
    let mut checks = vk::ValidationFeaturesEXT::default().enabled_validation_features(checks);
    let mut messenger = validation.map(validation::messenger_info);
    if let Some(messenger) = &mut messenger {
        info = info.push_next(&mut checks).push_next(messenger);
    }
    // SAFETY: every pointer in `info` points to a local above, and the messenger's target outlives the instance (I1).
    unsafe { entry.create_instance(&info, None) }.map_err(|result| match result {
        vk::Result::ERROR_INCOMPATIBLE_DRIVER => Unavailable::NoDriver,
        other => failed("vkCreateInstance")(other),
    })
}
