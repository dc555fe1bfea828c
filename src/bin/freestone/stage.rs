//! A device to replay on, real or simulated, behind one face.
//!
//! ```text
//!   --driver real         Headless    the first device of the loader, under the validation layers
//!   --driver sim:PROFILE  SimDevice   in process; its own checks are what the layers are to a real driver
//!             \__ Stage: entry, instance, device, what was enabled, limits ──> Allocator, Counter, Cookbook
//! ```
//!
//! Invariant: what [`Stage::features`] declares was enabled on the device.

use std::fs;
use std::path::Path;

use ash::{khr, vk};
use freestone::sim::{self, Checks, Profile, SimDevice};
use freestone::{Allocator, AllocatorCreateInfo, Features};

use crate::driver::DriverChoice;
use crate::error::CliError;
use crate::resources::Support;
use crate::vulkan::{Counter, Driver, Headless, Layers, Program};

/// What drivers of real devices round memory objects to, in bytes: the page of the processors they run on. None tells.
const REAL_PAGE_SIZE: u64 = 4096;
/// So many violations are shown; all are counted. By taste.
const SHOWN: usize = 16;

/// A device that is opened, and everything around it.
pub(crate) enum Stage {
    /// What the Vulkan loader found.
    Real(Headless),
    /// A device of no hardware.
    Simulated(SimDevice),
}

/// What was found fault with while a stage was open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Messages of the validation layers.
    pub(crate) validation_messages: u64,
    /// Mistakes that the simulated driver recorded.
    pub(crate) violations: u64,
}

impl Stage {
    /// Opens the device that the user asks for.
    ///
    /// # Errors
    /// No driver, or no layers where they are required.
    pub(crate) fn open(choice: &DriverChoice, layers: Layers) -> Result<Self, CliError> {
        match choice {
            DriverChoice::Real => Ok(Self::Real(Headless::load(Program::Replay, layers)?)),
            DriverChoice::Simulated(name) => Ok(Self::simulated(profile(name)?)),
        }
    }

    /// Opens a simulated device. It checks everything, and keeps no log of its calls, which nobody would read.
    pub(crate) fn simulated(profile: Profile) -> Self {
        let device = SimDevice::new(profile);
        device.control().set_checks(Checks { call_log: false, ..Checks::ALL });
        Self::Simulated(device)
    }

    pub(crate) fn entry(&self) -> &ash::Entry {
        match self {
            Self::Real(headless) => &headless.instance.entry,
            Self::Simulated(device) => device.entry(),
        }
    }

    pub(crate) fn instance(&self) -> &ash::Instance {
        match self {
            Self::Real(headless) => &headless.instance.raw,
            Self::Simulated(device) => device.instance(),
        }
    }

    pub(crate) fn physical_device(&self) -> vk::PhysicalDevice {
        match self {
            Self::Real(headless) => headless.physical_device,
            Self::Simulated(device) => device.physical_device(),
        }
    }

    pub(crate) fn device(&self) -> &ash::Device {
        match self {
            Self::Real(headless) => &headless.device,
            Self::Simulated(device) => device.device(),
        }
    }

    /// Returns a queue that can do everything, and its family.
    pub(crate) fn queue(&self) -> (vk::Queue, u32) {
        match self {
            Self::Real(headless) => (headless.queue, headless.queue_family_index),
            Self::Simulated(device) => (device.queue(), 0),
        }
    }

    /// Returns the tester's side of a simulated device.
    pub(crate) fn control(&self) -> Option<&sim::Control> {
        match self {
            Self::Real(_) => None,
            Self::Simulated(device) => Some(device.control()),
        }
    }

    /// Returns whose driver it is; nobody's known where it is simulated.
    pub(crate) fn driver(&self) -> Driver {
        match self {
            Self::Real(headless) => headless.enabled.driver,
            Self::Simulated(_) => Driver::Other,
        }
    }

    /// Returns the driver's name for the record: the profile as the user names it, or what the device calls itself.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Real(headless) => headless.enabled.device_name.clone(),
            Self::Simulated(device) => format!("sim:{}", device.profile().name),
        }
    }

    /// Returns the bytes that the driver rounds memory objects to.
    pub(crate) fn page_size(&self) -> u64 {
        match self {
            Self::Real(_) => REAL_PAGE_SIZE,
            Self::Simulated(device) => device.profile().page_size,
        }
    }

    /// Returns what resources may ask for on this device.
    pub(crate) fn support(&self) -> Support {
        match self {
            Self::Real(headless) => Support::of(&headless.enabled),
            Self::Simulated(_) => {
                Support { device_address: self.features().buffer_device_address, ..Support::default() }
            }
        }
    }

    /// Returns what to declare to an allocator.
    pub(crate) fn features(&self) -> Features {
        match self {
            Self::Real(Headless { enabled, .. }) => Features {
                buffer_device_address: enabled.buffer_device_address,
                device_coherent_memory: enabled.device_coherent_memory,
                memory_priority: enabled.memory_priority,
                maintenance4: enabled.maintenance4,
                dedicated_allocation: enabled.has(khr::dedicated_allocation::NAME),
                ..Features::default()
            },
            Self::Simulated(device) => {
                let has = |feature| device.features().contains(feature);
                let dedicated = [khr::get_memory_requirements2::NAME, khr::dedicated_allocation::NAME];
                Features {
                    buffer_device_address: has(sim::Features::BUFFER_DEVICE_ADDRESS),
                    device_coherent_memory: has(sim::Features::DEVICE_COHERENT_MEMORY),
                    protected_memory: has(sim::Features::PROTECTED_MEMORY),
                    memory_priority: has(sim::Features::MEMORY_PRIORITY),
                    maintenance4: has(sim::Features::MAINTENANCE4),
                    dedicated_allocation: dedicated.iter().all(|name| device.profile().has_extension(name)),
                    ..Features::default()
                }
            }
        }
    }

    /// Returns the limits that the device reports.
    pub(crate) fn limits(&self) -> vk::PhysicalDeviceLimits {
        // SAFETY: the physical device is one of this instance's, which `self` keeps alive.
        unsafe { self.instance().get_physical_device_properties(self.physical_device()) }.limits
    }

    /// Returns one bit for each memory type.
    pub(crate) fn memory_type_count(&self) -> u32 {
        // SAFETY: the physical device is one of this instance's, which `self` keeps alive.
        unsafe { self.instance().get_physical_device_memory_properties(self.physical_device()) }.memory_type_count
    }

    /// Makes a counter of what is asked of the driver from now on.
    pub(crate) fn counter(&self) -> Counter {
        Counter::new(self.entry(), self.instance(), self.device(), self.page_size())
    }

    /// Makes an allocator whose driver calls are counted. It must be gone before stage and counter are.
    ///
    /// # Errors
    /// What the driver lacks.
    pub(crate) fn allocator(&self, counter: &Counter) -> Result<Allocator, CliError> {
        let api_version = match self {
            Self::Real(headless) => headless.enabled.api_version,
            Self::Simulated(device) => device.api_version(),
        };
        let info = AllocatorCreateInfo::new(self.entry(), &counter.instance, self.physical_device(), self.device())
            .api_version(api_version)
            .features(self.features());
        // SAFETY: the four belong together and outlive the allocator, as said above; version and features are those
        // that the device was created with (see the head); no callbacks are given.
        Ok(unsafe { Allocator::new(info) }?)
    }

    /// Destroys the device, and says what was found fault with until the very end, leaks included.
    pub(crate) fn close(self) -> Faults {
        match self {
            Self::Real(headless) => {
                let Some(validation) = headless.close() else { return Faults::default() };
                validation.print();
                Faults { validation_messages: validation.count(), violations: 0 }
            }
            Self::Simulated(device) => {
                let control = device.control().clone();
                for violation in device.finish().iter().take(SHOWN) {
                    eprintln!("violation: {violation}");
                }
                Faults { validation_messages: 0, violations: control.violation_count() }
            }
        }
    }
}

/// Returns the built-in profile of that name, or reads it from a file, whose name ends with `.device`.
fn profile(name: &str) -> Result<Profile, CliError> {
    let file = || name.to_owned();
    if Path::new(name).extension().is_none_or(|extension| extension != "device") {
        return Profile::by_name(name).ok_or_else(|| CliError::NoSuchProfile(file()));
    }
    let text = fs::read_to_string(name).map_err(|source| CliError::NoDeviceFile { file: file(), source })?;
    Profile::parse(&text).map_err(|source| CliError::DeviceFile { file: file(), source })
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Stage({})", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::{Profile, Stage};

    #[test]
    fn the_poorest_device_gets_an_allocator() {
        for profile in Profile::all().into_iter().flat_map(|profile| [profile.clone(), profile.vulkan_1_0()]) {
            let stage = Stage::simulated(profile);
            let counter = stage.counter();
            stage.allocator(&counter).expect("nothing that is declared is missing");
        }
    }
}
