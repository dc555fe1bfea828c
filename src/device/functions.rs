//! The table of Vulkan commands, each resolved by its name from what the user loaded.
//!
//! `ash` fills what a driver lacks with stubs that abort; here an absent optional command is `None`, and a missing
//! promised one is an error before anything was allocated.
//!
//! Which name is looked up: the core name from the declared version on that has the command; before that version, or
//! where the core name is absent, its `KHR` name if that extension was declared. An undeclared extension's command is
//! never looked up, since a loader may hand out a trampoline for it that leads nowhere.
//!
//! # Source
//! Vulkan specification, "Command Function Pointers".

use core::ffi::CStr;
use core::mem;

use ash::vk;

use super::{DeviceError, Features};

/// A command of unknown signature, as the loader hands it out.
type AnyCommand = unsafe extern "system" fn();

/// The commands of an instance and its physical devices.
pub(super) struct InstanceCommands {
    pub(super) get_memory_properties: vk::PFN_vkGetPhysicalDeviceMemoryProperties,
    pub(super) enumerate_extensions: vk::PFN_vkEnumerateDeviceExtensionProperties,
    pub(super) get_properties2: Option<vk::PFN_vkGetPhysicalDeviceProperties2>,
    pub(super) get_memory_properties2: Option<vk::PFN_vkGetPhysicalDeviceMemoryProperties2>,
}

/// The commands of a device.
pub(super) struct DeviceCommands {
    pub(super) allocate_memory: vk::PFN_vkAllocateMemory,
    pub(super) free_memory: vk::PFN_vkFreeMemory,
    pub(super) map_memory: vk::PFN_vkMapMemory,
    pub(super) flush_ranges: vk::PFN_vkFlushMappedMemoryRanges,
    pub(super) invalidate_ranges: vk::PFN_vkInvalidateMappedMemoryRanges,
    pub(super) get_commitment: vk::PFN_vkGetDeviceMemoryCommitment,
    pub(super) create_buffer: vk::PFN_vkCreateBuffer,
    pub(super) destroy_buffer: vk::PFN_vkDestroyBuffer,
    pub(super) create_image: vk::PFN_vkCreateImage,
    pub(super) destroy_image: vk::PFN_vkDestroyImage,
    pub(super) bind_buffer: vk::PFN_vkBindBufferMemory,
    pub(super) bind_image: vk::PFN_vkBindImageMemory,
    pub(super) buffer_requirements: vk::PFN_vkGetBufferMemoryRequirements,
    pub(super) image_requirements: vk::PFN_vkGetImageMemoryRequirements,
    pub(super) cmd_copy_buffer: vk::PFN_vkCmdCopyBuffer,
    pub(super) cmd_copy_buffer_to_image: vk::PFN_vkCmdCopyBufferToImage,
    pub(super) cmd_copy_image_to_buffer: vk::PFN_vkCmdCopyImageToBuffer,
    pub(super) cmd_pipeline_barrier: vk::PFN_vkCmdPipelineBarrier,
    pub(super) buffer_requirements2: Option<vk::PFN_vkGetBufferMemoryRequirements2>,
    pub(super) image_requirements2: Option<vk::PFN_vkGetImageMemoryRequirements2>,
    pub(super) future_buffer_requirements: Option<vk::PFN_vkGetDeviceBufferMemoryRequirements>,
    pub(super) future_image_requirements: Option<vk::PFN_vkGetDeviceImageMemoryRequirements>,
    pub(super) buffer_device_address: Option<vk::PFN_vkGetBufferDeviceAddress>,
}

/// A command that began as an extension and became part of a later version.
struct Promoted {
    core: &'static CStr,
    since: u32,
    extension: &'static CStr,
    feature: &'static str,
    is_extension_declared: bool,
    /// Whether its absence is an error even where the version alone promises it.
    is_needed: bool,
}

/// Looks commands up by name.
struct Lookup<'a> {
    resolve: &'a dyn Fn(&CStr) -> vk::PFN_vkVoidFunction,
    api_version: u32,
}

/// Looks a command up and gives it the type of its name. The type must be `PFN_` and the core name.
macro_rules! command {
    ($found:expr, $signature:ident) => {{
        let found = $found;
        // SAFETY: `$signature` is the function-pointer type that the Vulkan headers give to the name looked up; an
        // extension's command has the type of its promoted form.
        unsafe { typed::<vk::$signature>(found) }
    }};
}

/// As `command!`, for a command that may be absent.
macro_rules! optional_command {
    ($found:expr, $signature:ident) => {
        $found.map(|found| command!(found, $signature))
    };
}

impl InstanceCommands {
    /// Resolves the instance's commands.
    ///
    /// # Errors
    /// [`DeviceError::MissingFunction`] if one is missing that the version or a declared extension promises.
    ///
    /// # Safety
    /// 1. `instance` is alive and was created through `entry`.
    /// 2. `api_version` and `features` are what it was created with.
    pub(super) unsafe fn resolve(
        entry: &ash::Entry,
        instance: vk::Instance,
        api_version: u32,
        features: Features,
    ) -> Result<Self, DeviceError> {
        let get_instance_proc_addr = entry.static_fn().get_instance_proc_addr;
        // SAFETY: the instance is alive (duty 1) and the name ends in a zero byte.
        let resolve = |name: &CStr| unsafe { get_instance_proc_addr(instance, name.as_ptr()) };
        let lookup = Lookup { resolve: &resolve, api_version };
        let properties2 = |core, extension| Promoted {
            core,
            since: vk::API_VERSION_1_1,
            extension,
            feature: "VK_KHR_get_physical_device_properties2 (part of Vulkan 1.1)",
            is_extension_declared: features.get_physical_device_properties2,
            is_needed: true,
        };
        let get_properties2 =
            lookup.promoted(&properties2(c"vkGetPhysicalDeviceProperties2", c"vkGetPhysicalDeviceProperties2KHR"))?;
        let get_memory_properties2 = lookup.promoted(&properties2(
            c"vkGetPhysicalDeviceMemoryProperties2",
            c"vkGetPhysicalDeviceMemoryProperties2KHR",
        ))?;
        Ok(Self {
            get_memory_properties: command!(
                lookup.core(c"vkGetPhysicalDeviceMemoryProperties")?,
                PFN_vkGetPhysicalDeviceMemoryProperties
            ),
            enumerate_extensions: command!(
                lookup.core(c"vkEnumerateDeviceExtensionProperties")?,
                PFN_vkEnumerateDeviceExtensionProperties
            ),
            get_properties2: optional_command!(get_properties2, PFN_vkGetPhysicalDeviceProperties2),
            get_memory_properties2: optional_command!(get_memory_properties2, PFN_vkGetPhysicalDeviceMemoryProperties2),
        })
    }
}

/// Reads what Vulkan 1.0 says of a physical device: the first thing to know, since its version decides what else can be
/// looked up.
///
/// # Errors
/// [`DeviceError::MissingFunction`] if even that cannot be asked.
///
/// # Safety
/// `instance` is alive, was created through `entry`, and owns `physical_device`.
pub(super) unsafe fn physical_device_properties(
    entry: &ash::Entry,
    instance: vk::Instance,
    physical_device: vk::PhysicalDevice,
) -> Result<vk::PhysicalDeviceProperties, DeviceError> {
    const NAME: &CStr = c"vkGetPhysicalDeviceProperties";
    let get_instance_proc_addr = entry.static_fn().get_instance_proc_addr;
    // SAFETY: the instance is alive and the name ends in a zero byte.
    let found = unsafe { get_instance_proc_addr(instance, NAME.as_ptr()) };
    let found = found.ok_or_else(|| missing(NAME, "Vulkan 1.0"))?;
    let get_properties = command!(found, PFN_vkGetPhysicalDeviceProperties);
    let mut properties = vk::PhysicalDeviceProperties::default();
    // SAFETY: the physical device belongs to the instance; the target is a local.
    unsafe { get_properties(physical_device, &raw mut properties) };
    Ok(properties)
}

/// Returns the version of the Vulkan loader, which bounds what any instance can use; 1.0 where it cannot say.
pub(super) fn loader_version(entry: &ash::Entry) -> u32 {
    let get_instance_proc_addr = entry.static_fn().get_instance_proc_addr;
    // SAFETY: global commands are looked up with a null instance; the name ends in a zero byte.
    let found = unsafe { get_instance_proc_addr(vk::Instance::null(), c"vkEnumerateInstanceVersion".as_ptr()) };
    let Some(found) = found else {
        return vk::API_VERSION_1_0;
    };
    let enumerate_version = command!(found, PFN_vkEnumerateInstanceVersion);
    let mut version = vk::API_VERSION_1_0;
    // SAFETY: the pointer is to a live local that the command writes.
    match unsafe { enumerate_version(&raw mut version) } {
        vk::Result::SUCCESS => version,
        _ => vk::API_VERSION_1_0,
    }
}

impl DeviceCommands {
    /// Resolves the device's commands.
    ///
    /// # Errors
    /// [`DeviceError::MissingFunction`] if one is missing that the version or a declared feature promises.
    ///
    /// # Safety
    /// 1. `device` is alive and belongs to the instance that `get_device_proc_addr` was taken from.
    /// 2. `api_version` and `features` are what it was created with.
    pub(super) unsafe fn resolve(
        get_device_proc_addr: vk::PFN_vkGetDeviceProcAddr,
        device: vk::Device,
        api_version: u32,
        features: Features,
    ) -> Result<Self, DeviceError> {
        // SAFETY: the device is alive (duty 1) and the name ends in a zero byte.
        let resolve = |name: &CStr| unsafe { get_device_proc_addr(device, name.as_ptr()) };
        let lookup = Lookup { resolve: &resolve, api_version };
        let [buffer2, image2, future_buffer, future_image, address] = resolve_promoted(&lookup, features)?;
        Ok(Self {
            allocate_memory: command!(lookup.core(c"vkAllocateMemory")?, PFN_vkAllocateMemory),
            free_memory: command!(lookup.core(c"vkFreeMemory")?, PFN_vkFreeMemory),
            map_memory: command!(lookup.core(c"vkMapMemory")?, PFN_vkMapMemory),
            flush_ranges: command!(lookup.core(c"vkFlushMappedMemoryRanges")?, PFN_vkFlushMappedMemoryRanges),
            invalidate_ranges: command!(
                lookup.core(c"vkInvalidateMappedMemoryRanges")?,
                PFN_vkInvalidateMappedMemoryRanges
            ),
            get_commitment: command!(lookup.core(c"vkGetDeviceMemoryCommitment")?, PFN_vkGetDeviceMemoryCommitment),
            create_buffer: command!(lookup.core(c"vkCreateBuffer")?, PFN_vkCreateBuffer),
            destroy_buffer: command!(lookup.core(c"vkDestroyBuffer")?, PFN_vkDestroyBuffer),
            create_image: command!(lookup.core(c"vkCreateImage")?, PFN_vkCreateImage),
            destroy_image: command!(lookup.core(c"vkDestroyImage")?, PFN_vkDestroyImage),
            bind_buffer: command!(lookup.core(c"vkBindBufferMemory")?, PFN_vkBindBufferMemory),
            bind_image: command!(lookup.core(c"vkBindImageMemory")?, PFN_vkBindImageMemory),
            buffer_requirements: command!(
                lookup.core(c"vkGetBufferMemoryRequirements")?,
                PFN_vkGetBufferMemoryRequirements
            ),
            image_requirements: command!(
                lookup.core(c"vkGetImageMemoryRequirements")?,
                PFN_vkGetImageMemoryRequirements
            ),
            cmd_copy_buffer: command!(lookup.core(c"vkCmdCopyBuffer")?, PFN_vkCmdCopyBuffer),
            cmd_copy_buffer_to_image: command!(lookup.core(c"vkCmdCopyBufferToImage")?, PFN_vkCmdCopyBufferToImage),
            cmd_copy_image_to_buffer: command!(lookup.core(c"vkCmdCopyImageToBuffer")?, PFN_vkCmdCopyImageToBuffer),
            cmd_pipeline_barrier: command!(lookup.core(c"vkCmdPipelineBarrier")?, PFN_vkCmdPipelineBarrier),
            buffer_requirements2: optional_command!(buffer2, PFN_vkGetBufferMemoryRequirements2),
            image_requirements2: optional_command!(image2, PFN_vkGetImageMemoryRequirements2),
            future_buffer_requirements: optional_command!(future_buffer, PFN_vkGetDeviceBufferMemoryRequirements),
            future_image_requirements: optional_command!(future_image, PFN_vkGetDeviceImageMemoryRequirements),
            buffer_device_address: optional_command!(address, PFN_vkGetBufferDeviceAddress),
        })
    }
}

/// Resolves the device's promoted commands: requirements of a buffer and of an image with their wish for dedicated
/// memory, the same of resources that do not exist yet, and a buffer's address.
fn resolve_promoted(lookup: &Lookup<'_>, features: Features) -> Result<[Option<AnyCommand>; 5], DeviceError> {
    let dedicated = |core, extension| Promoted {
        core,
        since: vk::API_VERSION_1_1,
        extension,
        feature: "VK_KHR_dedicated_allocation (part of Vulkan 1.1)",
        is_extension_declared: features.dedicated_allocation,
        is_needed: true,
    };
    let maintenance4 = |core, extension| Promoted {
        core,
        since: vk::API_VERSION_1_3,
        extension,
        feature: "VK_KHR_maintenance4 (part of Vulkan 1.3)",
        is_extension_declared: features.maintenance4,
        is_needed: features.maintenance4,
    };
    let address = Promoted {
        core: c"vkGetBufferDeviceAddress",
        since: vk::API_VERSION_1_2,
        extension: c"vkGetBufferDeviceAddressKHR",
        feature: "the feature bufferDeviceAddress",
        is_extension_declared: features.buffer_device_address,
        is_needed: features.buffer_device_address,
    };
    Ok([
        lookup.promoted(&dedicated(c"vkGetBufferMemoryRequirements2", c"vkGetBufferMemoryRequirements2KHR"))?,
        lookup.promoted(&dedicated(c"vkGetImageMemoryRequirements2", c"vkGetImageMemoryRequirements2KHR"))?,
        lookup.promoted(&maintenance4(
            c"vkGetDeviceBufferMemoryRequirements",
            c"vkGetDeviceBufferMemoryRequirementsKHR",
        ))?,
        lookup
            .promoted(&maintenance4(c"vkGetDeviceImageMemoryRequirements", c"vkGetDeviceImageMemoryRequirementsKHR"))?,
        lookup.promoted(&address)?,
    ])
}

impl Lookup<'_> {
    /// Finds a command that every Vulkan 1.0 driver has.
    fn core(&self, name: &'static CStr) -> Result<AnyCommand, DeviceError> {
        (self.resolve)(name).ok_or_else(|| missing(name, "Vulkan 1.0"))
    }

    /// Finds a promoted command; `None` where nothing promises it.
    fn promoted(&self, command: &Promoted) -> Result<Option<AnyCommand>, DeviceError> {
        let is_core = self.api_version >= command.since;
        if !is_core && !command.is_extension_declared {
            return Ok(None);
        }
        if is_core && let Some(found) = (self.resolve)(command.core) {
            return Ok(Some(found));
        }
        if command.is_extension_declared
            && let Some(found) = (self.resolve)(command.extension)
        {
            return Ok(Some(found));
        }
        let name = if is_core { command.core } else { command.extension };
        if command.is_needed { Err(missing(name, command.feature)) } else { Ok(None) }
    }
}

/// The error for a name that nothing answers to.
fn missing(name: &'static CStr, feature: &'static str) -> DeviceError {
    DeviceError::MissingFunction { name: name.to_str().unwrap_or_default(), feature }
}

/// Gives a command the type of its name.
///
/// # Safety
/// `Signature` is the function-pointer type of the command that `found` points to.
unsafe fn typed<Signature: Copy>(found: AnyCommand) -> Signature {
    const { assert!(size_of::<Signature>() == size_of::<AnyCommand>()) };
    // SAFETY: both are function pointers of one size (asserted above); the caller says that the signature is right.
    unsafe { mem::transmute_copy(&found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "system" fn nothing() {}

    fn promoted(is_extension_declared: bool, is_needed: bool) -> Promoted {
        Promoted {
            core: c"core",
            since: vk::API_VERSION_1_1,
            extension: c"coreKHR",
            feature: "a feature",
            is_extension_declared,
            is_needed,
        }
    }

    /// Looks the command up where only `present` names exist; says which name was used or missing.
    fn outcome(api_version: u32, present: &[&CStr], command: &Promoted) -> Result<bool, &'static str> {
        let resolve = |name: &CStr| present.contains(&name).then_some(nothing as AnyCommand);
        let lookup = Lookup { resolve: &resolve, api_version };
        lookup.promoted(command).map(|found| found.is_some()).map_err(|error| match error {
            DeviceError::MissingFunction { name, .. } => name,
            _ => "another error",
        })
    }

    #[test]
    fn an_undeclared_extension_is_never_looked_up() {
        let both: &[&CStr] = &[c"core", c"coreKHR"];
        assert_eq!(outcome(vk::API_VERSION_1_0, both, &promoted(false, true)), Ok(false));
        assert_eq!(outcome(vk::API_VERSION_1_0, both, &promoted(true, true)), Ok(true));
    }

    #[test]
    fn a_declared_extension_without_its_command_is_an_error() {
        assert_eq!(outcome(vk::API_VERSION_1_0, &[c"core"], &promoted(true, true)), Err("coreKHR"));
        assert_eq!(outcome(vk::API_VERSION_1_1, &[], &promoted(false, true)), Err("core"));
    }

    #[test]
    fn the_extension_serves_where_the_core_name_is_absent() {
        assert_eq!(outcome(vk::API_VERSION_1_1, &[c"coreKHR"], &promoted(true, true)), Ok(true));
        assert_eq!(outcome(vk::API_VERSION_1_1, &[c"coreKHR"], &promoted(false, false)), Ok(false));
    }
}
