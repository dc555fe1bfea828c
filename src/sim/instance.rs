//! Entry points of instances: creation, enumeration, and which functions exist.
//!
//! An instance lists one physical device for each profile: those that `SimDevice` plants in the `pNext` chain
//! (`InstanceSeed`), else those that `list_devices` named, else the models. It has no layers.

use super::control::Control;
use super::entry_points::{self, Level};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, DeviceObject, InstanceObject, PhysicalObject, carry_out, loader_word};
use super::pnext::{array, enumerate, find};
use super::profile::Profile;
use super::state::Checks;
use ash::vk;
use core::ffi::{CStr, c_char, c_void};
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering;
use parking_lot::Mutex;
use std::ffi::CString;
use std::sync::Arc;

/// Extensions of the instance.
pub(super) const INSTANCE_EXTENSIONS: [&CStr; 2] = [c"VK_KHR_get_physical_device_properties2", c"VK_EXT_debug_utils"];

/// What instances list that nothing was planted in; empty: the models.
static LISTED: Mutex<Vec<Profile>> = Mutex::new(Vec::new());

/// Names the physical devices that later instances of [`entry`](super::entry) list, in the whole process; an empty list
/// brings the models back. For a driver that a Vulkan loader opens: see `examples/driver`.
pub fn list_devices(profiles: Vec<Profile>) {
    *LISTED.lock() = profiles;
}

fn listed_devices() -> Vec<(Profile, Control)> {
    let listed = LISTED.lock().clone();
    let profiles = if listed.is_empty() { Profile::all() } else { listed };
    profiles.into_iter().map(|profile| (profile.clone(), Control::new(&profile, Checks::ALL))).collect()
}

/// Physical devices that a test plants in `VkInstanceCreateInfo::pNext`.
#[repr(C)]
pub(super) struct InstanceSeed {
    pub(super) s_type: vk::StructureType,
    pub(super) p_next: *const c_void,
    pub(super) devices: *const (Profile, Control),
    pub(super) device_count: u32,
}

// SAFETY: the structure starts like every structure of Vulkan's and has a tag that Vulkan will never give out.
unsafe impl vk::TaggedStructure for InstanceSeed {
    const STRUCTURE_TYPE: vk::StructureType = vk::StructureType::from_raw(0x7F51_3EED);
}

pub(super) extern "system" fn enumerate_instance_version(version: &mut MaybeUninit<u32>) -> vk::Result {
    version.write(vk::API_VERSION_1_3);
    vk::Result::SUCCESS
}

pub(super) extern "system" fn enumerate_instance_extensions(
    layer: *const c_char,
    count: &mut u32,
    output: *mut vk::ExtensionProperties,
) -> vk::Result {
    if !layer.is_null() {
        return vk::Result::ERROR_LAYER_NOT_PRESENT;
    }
    // SAFETY: the application gives room for `count` values, or null.
    unsafe { enumerate(&extension_properties(&INSTANCE_EXTENSIONS), count, output) }
}

pub(super) extern "system" fn enumerate_instance_layers(count: &mut u32, _: *mut vk::LayerProperties) -> vk::Result {
    *count = 0;
    vk::Result::SUCCESS
}

/// Returns what Vulkan reports about extensions of these names.
pub(super) fn extension_properties(names: &[&CStr]) -> Vec<vk::ExtensionProperties> {
    names
        .iter()
        .map(|name| {
            let mut properties = vk::ExtensionProperties { spec_version: 1, ..Default::default() };
            write_text(&mut properties.extension_name, &name.to_string_lossy());
            properties
        })
        .collect()
}

/// Writes a text into one of Vulkan's fixed arrays, cut to fit and ended with a zero.
pub(super) fn write_text(place: &mut [c_char], text: &str) {
    place.fill(0);
    let room = place.len().saturating_sub(1);
    for (to, from) in place.iter_mut().zip(text.bytes().take(room)) {
        *to = c_char::from_ne_bytes([from]);
    }
}

/// Returns the strings of an array of C strings.
///
/// # Safety
///
/// 1. `names` is null or points to `count` valid C strings.
pub(super) unsafe fn strings(names: *const *const c_char, count: u32) -> Vec<CString> {
    // SAFETY: duty 1 is the caller's.
    let names = unsafe { array(names, count) };
    // SAFETY: each is a valid C string (1).
    names.iter().map(|name| unsafe { CStr::from_ptr(*name) }.to_owned()).collect()
}

pub(super) extern "system" fn create_instance(
    info: &vk::InstanceCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    instance: &mut MaybeUninit<vk::Instance>,
) -> vk::Result {
    // SAFETY: the application hands over a valid chain.
    let seed = unsafe { find::<InstanceSeed>(info.p_next) };
    let devices = seed.map_or_else(
        listed_devices,
        // SAFETY: whoever plants a seed gives the array that it names.
        |seed| unsafe { array(seed.devices, seed.device_count) }.to_vec(),
    );
    let control =
        devices.first().map_or_else(|| Control::new(&Profile::unified(), Checks::ALL), |device| device.1.clone());
    carry_out(&control.clone().state, Ask::new(Function::CreateInstance), || {
        // SAFETY: the application gives valid names.
        let extensions = unsafe { strings(info.pp_enabled_extension_names, info.enabled_extension_count) };
        if info.enabled_layer_count > 0 {
            return vk::Result::ERROR_LAYER_NOT_PRESENT;
        }
        if !extensions.iter().all(|name| INSTANCE_EXTENSIONS.contains(&name.as_c_str())) {
            return vk::Result::ERROR_EXTENSION_NOT_PRESENT;
        }
        if let Some(callbacks) = callbacks {
            control.state.used_callbacks(Function::CreateInstance, callbacks.p_user_data as usize);
        }
        // SAFETY: null, or valid by Vulkan's rules.
        let application = unsafe { info.p_application_info.as_ref() };
        let version = application.map_or(0, |application| application.api_version).max(vk::API_VERSION_1_0);
        let object = Arc::new(InstanceObject {
            loader_word: loader_word(),
            version,
            extensions,
            physical_devices: devices
                .into_iter()
                .map(|(profile, control)| physical_device(profile, control, version))
                .collect(),
            control,
        });
        instance.write(InstanceObject::handle_of(Arc::into_raw(object)));
        vk::Result::SUCCESS
    })
}

fn physical_device(profile: Profile, control: Control, instance_version: u32) -> Arc<PhysicalObject> {
    Arc::new(PhysicalObject {
        loader_word: loader_word(),
        profile: Arc::new(profile),
        control,
        instance_version,
        devices: Mutex::new(Vec::new()),
    })
}

pub(super) extern "system" fn destroy_instance(
    instance: *const InstanceObject,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the handle came from `create_instance`, which gave up its reference, and is destroyed once (application's
    // duty).
    let instance = unsafe { Arc::from_raw(instance) };
    let control = instance.control.clone();
    carry_out(&control.state, Ask::new(Function::DestroyInstance), || {
        if let Some(callbacks) = callbacks {
            control.state.used_callbacks(Function::DestroyInstance, callbacks.p_user_data as usize);
        }
        for physical in &instance.physical_devices {
            let live =
                physical.devices.lock().iter().filter(|device| !device.is_destroyed.load(Ordering::Relaxed)).count();
            if live > 0 {
                let message = format!("{live} device(s) of {} are not destroyed", physical.profile.name);
                physical.control.state.violate(
                    "VUID-vkDestroyInstance-instance-00629",
                    Function::DestroyInstance,
                    message,
                );
            }
        }
        drop(instance);
    });
}

pub(super) extern "system" fn enumerate_physical_devices(
    instance: &InstanceObject,
    count: &mut u32,
    output: *mut vk::PhysicalDevice,
) -> vk::Result {
    carry_out(&instance.control.state, Ask::new(Function::EnumeratePhysicalDevices), || {
        let devices = instance.physical_devices.iter().map(|device| PhysicalObject::handle_of(Arc::as_ptr(device)));
        // SAFETY: the application gives room for `count` handles, or null.
        unsafe { enumerate(&devices.collect::<Vec<_>>(), count, output) }
    })
}

pub(super) extern "system" fn get_instance_proc_addr(
    instance: Option<&InstanceObject>,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, hence a valid C string by Vulkan's rules.
    let entry = entry_points::find(unsafe { CStr::from_ptr(name) })?;
    let Some(instance) = instance else {
        return (entry.level == Level::Global).then_some(entry.pointer);
    };
    entry.is_available_through_instance(instance).then_some(entry.pointer)
}

pub(super) extern "system" fn get_device_proc_addr(
    device: &DeviceObject,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    if name.is_null() {
        return None;
    }
    // SAFETY: not null, hence a valid C string by Vulkan's rules.
    let entry = entry_points::find(unsafe { CStr::from_ptr(name) })?;
    entry.is_available_on_device(device).then_some(entry.pointer)
}

/// Makes a debug messenger, to which nothing is ever sent: there are no layers.
pub(super) extern "system" fn create_debug_messenger(
    instance: &InstanceObject,
    _: *const vk::DebugUtilsMessengerCreateInfoEXT<'_>,
    _: Option<&vk::AllocationCallbacks<'_>>,
    messenger: &mut MaybeUninit<vk::DebugUtilsMessengerEXT>,
) -> vk::Result {
    let state = &instance.control.state;
    carry_out(state, Ask::new(Function::CreateDebugUtilsMessenger), || {
        messenger.write(vk::Handle::from_raw(1));
        state.born(ObjectKind::Passive);
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn destroy_debug_messenger(
    instance: &InstanceObject,
    messenger: vk::DebugUtilsMessengerEXT,
    _: Option<&vk::AllocationCallbacks<'_>>,
) {
    let state = &instance.control.state;
    carry_out(state, Ask::new(Function::DestroyDebugUtilsMessenger), || {
        state.died(ObjectKind::Passive, u64::from(messenger != vk::DebugUtilsMessengerEXT::null()));
    });
}
