//! A headless Vulkan: loader, instance, device and one queue, under the validation layers where they are present.
//!
//! Shared by the command-line tool, the examples and the tests, which take it in by path
//! (`#[path = "../src/bin/freestone/vulkan/mod.rs"] mod vulkan;`), so it uses `std` and `ash` only and nothing of its
//! users.
//!
//! ```text
//! Instance (loader, VkInstance, messenger -> Validation) -> Headless (VkDevice, queue, Enabled)
//!                                                             `-> Counter (counts driver allocations at the function table)
//! ```
//!
//! Invariants:
//! - I1: a device is destroyed before its instance, the instance before what its messenger writes to.
//! - I2: whatever is in `Enabled` was enabled on the device, and nothing else was.
//! - I3: the tests of one process open one instance at a time. The older layers look their instances and devices up
//!   in a table without a lock, and crash when one thread removes an instance from it while another calls its device.

#![allow(dead_code, reason = "each program that takes this in uses a part of it")]
#![allow(unused_imports, reason = "each program that takes this in uses a part of it")]

mod counting;
mod enabled;
mod instance;
mod mistake;
mod validation;

pub(crate) use counting::{Count, Counter};
pub(crate) use enabled::Enabled;
pub(crate) use instance::{Instance, Layers};
pub(crate) use mistake::Mistake;
pub(crate) use validation::{Driver, Exception, Generation, Message, Program, Validation};

use ash::vk;
use std::ffi::CStr;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says why there is no headless Vulkan here.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// No Vulkan loader on this machine.
    NoLoader(String),
    /// The loader found no driver, or the driver no device with a compute queue.
    NoDriver,
    /// Validation layers were required and are not installed.
    NoLayers,
    /// A call of the driver failed.
    Call { call: &'static str, result: vk::Result },
}

impl std::fmt::Display for Unavailable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoLoader(reason) => write!(out, "no Vulkan loader: {reason}"),
            Self::NoDriver => out.write_str("no driver: the Vulkan loader found no device that can compute"),
            Self::NoLayers => out.write_str("no validation layers: VK_LAYER_KHRONOS_validation is not installed"),
            Self::Call { call, result } => write!(out, "{call} failed: {result}"),
        }
    }
}

impl std::error::Error for Unavailable {}

/// Names the call that failed; for `map_err`.
fn failed(call: &'static str) -> impl FnOnce(vk::Result) -> Unavailable {
    move |result| Unavailable::Call { call, result }
}

/// A device with one queue that can compute (and draw, where there is one), and what was enabled on it.
pub(crate) struct Headless {
    pub(crate) device: ash::Device,
    pub(crate) physical_device: vk::PhysicalDevice,
    pub(crate) queue: vk::Queue,
    pub(crate) queue_family_index: u32,
    /// What to declare to an allocator.
    pub(crate) enabled: Enabled,
    /// Destroyed after the device (I1).
    pub(crate) instance: Instance,
    /// Given back after the instance (I3).
    turn: Option<MutexGuard<'static, ()>>,
}

impl std::fmt::Debug for Headless {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (major, minor) =
            (vk::api_version_major(self.enabled.api_version), vk::api_version_minor(self.enabled.api_version));
        write!(out, "{}, Vulkan {major}.{minor}, with {:?}", self.enabled.device_name, self.enabled.extensions)
    }
}

impl Headless {
    /// Opens the first device that the machine's Vulkan loader offers.
    ///
    /// # Errors
    ///
    /// Every variant of [`Unavailable`].
    pub(crate) fn load(program: Program, layers: Layers) -> Result<Self, Unavailable> {
        Self::first_of(Instance::load(program, layers)?)
    }

    /// Opens the same with further extensions of the instance, such as those that a window's surface needs.
    ///
    /// # Errors
    ///
    /// As [`Headless::load`].
    pub(crate) fn load_with(program: Program, layers: Layers, extensions: &[&CStr]) -> Result<Self, Unavailable> {
        Self::first_of(Instance::load_with(program, layers, extensions)?)
    }

    /// Opens the first device of any implementation, such as a simulated one in this process.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoDriver`], [`Unavailable::NoLayers`], [`Unavailable::Call`].
    pub(crate) fn with_entry(entry: ash::Entry, program: Program, layers: Layers) -> Result<Self, Unavailable> {
        Self::first_of(Instance::new(entry, program, layers)?)
    }

    /// Opens a device under validation for a test, as `program` does, once no other test of this process has one (I3).
    /// Where there is none, says SKIPPED on the real stderr, which the test harness does not swallow, and returns
    /// `None`.
    ///
    /// # Panics
    ///
    /// If there is none and the environment variable `FREESTONE_REQUIRE_DRIVERS` is set, and if a call fails.
    pub(crate) fn for_test(program: Program) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let reason = match Self::load(program, Layers::Required) {
            Ok(mut headless) => {
                headless.turn = Some(turn);
                return Some(headless);
            }
            Err(error @ Unavailable::Call { .. }) => panic!("{error}"),
            Err(reason) => reason,
        };
        let name = std::thread::current().name().unwrap_or("a test").to_owned();
        let said = writeln!(std::io::stderr(), "SKIPPED: {name}: {reason}");
        let is_required = std::env::var_os("FREESTONE_REQUIRE_DRIVERS").is_some();
        assert!(!is_required && said.is_ok(), "drivers are required here: {reason}");
        None
    }

    fn first_of(instance: Instance) -> Result<Self, Unavailable> {
        let physical_devices = instance.physical_devices()?;
        let physical_device = *physical_devices.first().ok_or(Unavailable::NoDriver)?;
        Self::open(instance, physical_device)
    }

    /// Opens one physical device of `instance`.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoDriver`] if it has no queue that computes, [`Unavailable::Call`].
    pub(crate) fn open(instance: Instance, physical_device: vk::PhysicalDevice) -> Result<Self, Unavailable> {
        let queue_family_index = instance.queue_family(physical_device).ok_or(Unavailable::NoDriver)?;
        let enabled = Enabled::of(&instance, physical_device)?;
        let device = enabled.create_device(&instance, physical_device, queue_family_index)?;
        if let Some(validation) = instance.validation() {
            validation.name_driver(enabled.driver);
        }
        // SAFETY: the device was created with one queue of this family.
        let queue = unsafe { device.get_device_queue(queue_family_index, 0) };
        Ok(Self { device, physical_device, queue, queue_family_index, enabled, instance, turn: None })
    }

    /// Returns the validation that listens, or `None` when no layer does.
    pub(crate) fn validation(&self) -> Option<Arc<Validation>> {
        self.instance.validation()
    }

    /// Destroys device and instance and returns what validation heard until the very end, leaks included.
    pub(crate) fn close(self) -> Option<Arc<Validation>> {
        let validation = self.validation();
        drop(self);
        validation
    }
}

impl Drop for Headless {
    fn drop(&mut self) {
        // SAFETY: the queue is one of this device's, and `&mut self` keeps other users away.
        if let Err(error) = unsafe { self.device.device_wait_idle() } {
            eprintln!("vkDeviceWaitIdle failed: {error}");
        }
        // SAFETY: the device is idle and ours alone; what a user left alive on it is reported by the layers, not used.
        unsafe { self.device.destroy_device(None) };
    }
}
