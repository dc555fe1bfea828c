//! The simulated driver as a client driver: a library that the Vulkan loader opens, so that programs which know nothing
//! of the simulation run on it, and validation layers judge them on devices that are not here.
//!
//! ```text
//!   program ──► Vulkan loader ──► validation layers ──► libfreestone_icd.so ──► freestone::sim
//! ```
//!
//! `scripts/with-driver sim:PROFILE COMMAND` builds it and writes the description that the loader reads. The
//! environment variable `FREESTONE_ICD_DEVICE` names the device, or is the path of a device file; without it the four
//! models are there.
//!
//! The simulation judges too. What it has found when the instance is destroyed, or when the process ends without, is
//! printed, and the process is aborted: whatever runs on this driver cannot overlook it. `FREESTONE_ICD_LENIENT` leaves
//! out the latter, for programs that make mistakes to see whether they are heard.
//!
//! # Source
//!
//! "Vulkan Driver Interface" in the loader's documentation: the three functions below, interface version 5;
//! dispatchable objects begin with `ICD_LOADER_MAGIC`, which the simulation sees to.

use std::ffi::{CStr, c_char};
use std::fs;
use std::sync::Mutex;

use freestone::ash::{self, vk};
use freestone::sim::{self, Control, Profile};

/// The version of the interface that this driver speaks: from 5 on, any version of Vulkan may be asked for.
const INTERFACE_VERSION: u32 = 5;

/// The devices of the instances that live, with the instance of each.
static LIVE: Mutex<Vec<(vk::Instance, Vec<Control>)>> = Mutex::new(Vec::new());

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

/// Keeps this library in memory until the process ends. A loader closes drivers with their last instance, but threads
/// that have been here still hold pointers to the destructors of Rust's thread-local values.
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

/// Has the verdict pronounced at the end of a process that destroys no instance.
#[cfg(unix)]
fn judge_at_exit() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    extern "C" fn judge() {
        let live = LIVE.lock().map(|mut live| core::mem::take(&mut *live)).unwrap_or_default();
        pronounce(live.iter().flat_map(|(_, controls)| controls));
    }
    ONCE.call_once(|| {
        // SAFETY: the library stays loaded, and a panic in `judge` aborts, as the verdict does. Where there is no room
        // for one more function at exit, there is no verdict there.
        let _ = unsafe { libc::atexit(judge) };
    });
}

#[cfg(not(unix))]
fn judge_at_exit() {}

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
    judge_at_exit();
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
    let text = unsafe { CStr::from_ptr(name) };
    if text == c"vkCreateInstance" {
        // SAFETY: the loader calls it with the signature of that name.
        let function =
            unsafe { core::mem::transmute::<vk::PFN_vkCreateInstance, unsafe extern "system" fn()>(create_instance) };
        return Some(function);
    }
    if text == c"vkDestroyInstance" {
        // SAFETY: as above.
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

/// Returns the tester's side of each device of an instance.
fn controls_of(instance: vk::Instance) -> Vec<Control> {
    // SAFETY: an instance of this driver's, which lives (the callers' duty).
    let loaded = unsafe { ash::Instance::load(entry().static_fn(), instance) };
    // SAFETY: as above; the handle still is what the driver made.
    let devices = unsafe { loaded.enumerate_physical_devices() }.unwrap_or_default();
    // SAFETY: as above.
    devices.iter().map(|device| unsafe { sim::control_of(*device) }).collect()
}

/// Creates an instance, and notes it for the verdict.
unsafe extern "system" fn create_instance(
    info: *const vk::InstanceCreateInfo<'_>,
    callbacks: *const vk::AllocationCallbacks<'_>,
    instance: *mut vk::Instance,
) -> vk::Result {
    // SAFETY: the application's duties are the function's own.
    let result = unsafe { (entry().fp_v1_0().create_instance)(info, callbacks, instance) };
    if result == vk::Result::SUCCESS
        && let Ok(mut live) = LIVE.lock()
    {
        // SAFETY: valid, and written by the call that succeeded.
        let instance = unsafe { *instance };
        live.push((instance, controls_of(instance)));
    }
    result
}

/// Destroys the instance, then pronounces the verdict.
unsafe extern "system" fn destroy_instance(instance: vk::Instance, callbacks: *const vk::AllocationCallbacks<'_>) {
    if instance == vk::Instance::null() {
        return;
    }
    let controls = controls_of(instance);
    if let Ok(mut live) = LIVE.lock() {
        live.retain(|(other, _)| *other != instance);
    }
    // SAFETY: an instance of this driver's (the application's duty).
    let loaded = unsafe { ash::Instance::load(entry().static_fn(), instance) };
    // SAFETY: destroyed once (the application's duty); nothing of it is used below.
    unsafe { (loaded.fp_v1_0().destroy_instance)(instance, callbacks) };
    pronounce(controls.iter());
}

/// Prints what was found, and aborts where something was.
fn pronounce<'a>(controls: impl Iterator<Item = &'a Control>) {
    let violations: Vec<_> = controls.flat_map(Control::violations).collect();
    for violation in &violations {
        eprintln!("freestone_icd: {violation}");
    }
    if !violations.is_empty() && std::env::var_os("FREESTONE_ICD_LENIENT").is_none() {
        std::process::abort();
    }
}
