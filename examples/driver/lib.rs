//! The simulated driver as a client driver: a library that the Vulkan loader opens, so that programs which know nothing of
//! the simulation run on it, and validation layers judge them on devices that are not here.
//!
//! ```text
//!   program ──► Vulkan loader ──► validation layers ──► libfreestone_icd.so ──► freestone::sim
//! ```
//!
//! `scripts/with-driver sim:PROFILE COMMAND` builds it and writes the description that the loader reads. The environment
//! variable `FREESTONE_ICD_DEVICE` names the device, or is the path of a device file; without it the four models are there.
//!
//! The simulation judges too. What it has found when the instance is destroyed is printed, and the process is aborted:
//! whatever runs on this driver cannot overlook it. `FREESTONE_ICD_LENIENT` leaves out the latter, for programs that make
//! mistakes to see whether they are heard.
//!
//! # Source
//!
//! "Vulkan Driver Interface" in the loader's documentation: the three functions below, interface version 5; dispatchable
//! objects begin with `ICD_LOADER_MAGIC`, which the simulation sees to.

use std::ffi::{CStr, c_char};
use std::fs;

use freestone::ash::{self, vk};
use freestone::sim::{self, Profile};

/// The version of the interface that this driver speaks: from 5 on, any version of Vulkan may be asked for.
const INTERFACE_VERSION: u32 = 5;

/// Returns the device that the environment names.
fn chosen_device() -> Result<Option<Profile>, String> {
    // A name that is no UTF-8 can be that of a file.
    let Some(name) = std::env::var_os("FREESTONE_ICD_DEVICE") else {
        return Ok(None);
    };
    if let Some(profile) = name.to_str().and_then(Profile::by_name) {
        return Ok(Some(profile));
    }
    let text = fs::read_to_string(&name);
    let name = name.display();
    let text = text.map_err(|error| format!("{name}: no device of that name, and {error}"))?;
    Profile::parse(&text).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// Makes the device that the environment names the only one; says why on stderr where it cannot.
fn list_chosen_device() -> bool {
    match chosen_device() {
        Ok(profile) => {
            sim::list_devices(profile.into_iter().collect());
            true
        }
        Err(error) => {
            eprintln!("freestone_icd: {error}");
            false
        }
    }
}

/// Keeps this library in memory until the process ends. A loader closes drivers with their last instance, but threads that
/// have been here still hold pointers to the destructors of Rust's thread-local values.
#[cfg(unix)]
fn stay_loaded() {
    let mut info = core::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    let here = (stay_loaded as *const ()).cast();
    // SAFETY: any address may be asked about; the target is a local.
    if unsafe { libc::dladdr(here, info.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: all zeroes, and filled by the call that succeeded.
    let name = unsafe { info.assume_init() }.dli_fname;
    // SAFETY: the name of a library that is open: no initialiser runs, and only its flag changes.
    unsafe { libc::dlopen(name, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
}

#[cfg(not(unix))]
fn stay_loaded() {}

/// Agrees with the loader on a version of the interface.
///
/// # Safety
///
/// 1. `version` is valid, and holds the loader's version.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdNegotiateLoaderICDInterfaceVersion(version: *mut u32) -> vk::Result {
    // SAFETY: valid (1).
    let version = unsafe { &mut *version };
    if *version < INTERFACE_VERSION || !list_chosen_device() {
        return vk::Result::ERROR_INCOMPATIBLE_DRIVER;
    }
    stay_loaded();
    *version = INTERFACE_VERSION;
    vk::Result::SUCCESS
}

/// Returns the function of that name.
///
/// # Safety
///
/// 1. `instance` is null or one of this driver's; `name` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdGetInstanceProcAddr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: a C string (1).
    if unsafe { CStr::from_ptr(name) } == c"vkDestroyInstance" {
        // SAFETY: the loader calls it with the signature of that name.
        let function =
            unsafe { core::mem::transmute::<vk::PFN_vkDestroyInstance, unsafe extern "system" fn()>(destroy_instance) };
        return Some(function);
    }
    // SAFETY: the caller's duty is the function's own (1).
    unsafe { (entry().static_fn().get_instance_proc_addr)(instance, name) }
}

/// Returns the function of that name if it is called on a physical device.
///
/// # Safety
///
/// 1. As for `vk_icdGetInstanceProcAddr`.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdGetPhysicalDeviceProcAddr(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    // SAFETY: a C string (1).
    let text = unsafe { CStr::from_ptr(name) }.to_bytes();
    let is_physical =
        text == b"vkCreateDevice" || text.starts_with(b"vkGetPhysicalDevice") || text.starts_with(b"vkEnumerateDevice");
    if !is_physical {
        return None;
    }
    // SAFETY: the caller's duty is the function's own (1).
    unsafe { vk_icdGetInstanceProcAddr(instance, name) }
}

fn entry() -> &'static ash::Entry {
    static ENTRY: std::sync::OnceLock<ash::Entry> = std::sync::OnceLock::new();
    ENTRY.get_or_init(sim::entry)
}

/// Destroys the instance, then pronounces the verdict.
unsafe extern "system" fn destroy_instance(instance: vk::Instance, callbacks: *const vk::AllocationCallbacks<'_>) {
    if instance == vk::Instance::null() {
        return;
    }
    // SAFETY: an instance of this driver's (the application's duty).
    let loaded = unsafe { ash::Instance::load(entry().static_fn(), instance) };
    // SAFETY: as above; the handle still is what the driver made.
    let devices = unsafe { loaded.enumerate_physical_devices() }.unwrap_or_default();
    // SAFETY: the instance is not destroyed yet.
    let controls: Vec<_> = devices.iter().map(|device| unsafe { sim::control_of(*device) }).collect();
    // SAFETY: destroyed once (the application's duty); nothing of it is used below.
    unsafe { (loaded.fp_v1_0().destroy_instance)(instance, callbacks) };
    let violations: Vec<_> = controls.iter().flat_map(sim::Control::violations).collect();
    for violation in &violations {
        eprintln!("freestone_icd: {violation}");
    }
    if !violations.is_empty() && std::env::var_os("FREESTONE_ICD_LENIENT").is_none() {
        std::process::abort();
    }
}
