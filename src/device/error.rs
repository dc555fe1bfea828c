//! What can go wrong between this crate and a Vulkan driver.
//!
//! Two kinds: [`DeviceError`] for what is wrong with the declaration (found once, when the allocator is made), and
//! [`DriverError`] for what the driver answered to one call. No `VkResult` is swallowed: it is kept as it came.

use ash::vk;

/// What the driver answered to one call that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {result}")]
pub struct DriverError {
    /// The Vulkan command, by its core name ("vkAllocateMemory").
    pub call: &'static str,
    /// The driver's answer, unchanged.
    pub result: vk::Result,
}

impl DriverError {
    /// The command that maps memory.
    pub(super) const MAP_MEMORY: &'static str = "vkMapMemory";

    /// Returns whether there was memory, which could not be mapped.
    pub(crate) fn is_of_mapping(&self) -> bool {
        self.call == Self::MAP_MEMORY
    }

    /// Turns the answer of `call` into a result; every code but `VK_SUCCESS` is an error.
    ///
    /// None of the commands used has a second success code that would be of use.
    pub(super) fn check(call: &'static str, result: vk::Result) -> Result<(), Self> {
        match result {
            vk::Result::SUCCESS => Ok(()),
            _ => Err(Self { call, result }),
        }
    }
}

/// Why a device cannot be served as it was declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The declared Vulkan version is above what the physical device or the Vulkan loader offers, or it names another
    /// API variant. Declare the version that the instance was created with and the physical device reports, whichever
    /// is lower.
    #[error(
        "vulkan {} was declared, but the {limited_by} offers {}",
        display_version(*declared),
        display_version(*offered)
    )]
    UnsupportedVersion {
        /// The version that was declared.
        declared: u32,
        /// The highest version that can be used.
        offered: u32,
        /// What sets that bound: "physical device", "instance loader" or "vulkan variant 0".
        limited_by: &'static str,
    },
    /// A function that the declared version or a declared feature promises does not exist. Either the device was
    /// created without that feature or extension, or it was declared by mistake.
    #[error("the function {name} is missing, which {feature} promises")]
    MissingFunction {
        /// The name that was looked up last.
        name: &'static str,
        /// The version, extension or feature that promises it.
        feature: &'static str,
    },
    /// The physical device reports no memory type that could be used. There is nothing the caller can do: the driver
    /// is broken, or the physical device is not a rendering or compute device.
    #[error("the physical device reports {type_count} memory types and {heap_count} memory heaps, none of them usable")]
    NoMemoryTypes {
        /// The number of memory types reported.
        type_count: u32,
        /// The number of memory heaps reported.
        heap_count: u32,
    },
    /// The driver refused a call while the device's properties were read.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// Writes a Vulkan version as people do ("1.3").
pub(super) fn display_version(version: u32) -> String {
    let (major, minor) = (vk::api_version_major(version), vk::api_version_minor(version));
    match vk::api_version_variant(version) {
        0 => format!("{major}.{minor}"),
        variant => format!("{major}.{minor} (variant {variant})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_was_asked_and_what_there_is() {
        let version = DeviceError::UnsupportedVersion {
            declared: vk::API_VERSION_1_3,
            offered: vk::make_api_version(0, 1, 1, 200),
            limited_by: "physical device",
        };
        assert_eq!(version.to_string(), "vulkan 1.3 was declared, but the physical device offers 1.1");
        let driver = DriverError::check("vkMapMemory", vk::Result::ERROR_MEMORY_MAP_FAILED).unwrap_err();
        assert!(driver.to_string().starts_with("vkMapMemory failed: "));
        assert_eq!(DriverError::check("vkMapMemory", vk::Result::SUCCESS), Ok(()));
    }

    #[test]
    fn a_version_of_another_variant_is_named() {
        assert_eq!(display_version(vk::make_api_version(1, 1, 0, 0)), "1.0 (variant 1)");
    }
}
