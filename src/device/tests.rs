//! The device on the simulated driver: versions, promises kept and broken, memory, ranges, resources.

use std::ffi::{CStr, c_char, c_void};
use std::sync::{Arc, Mutex, OnceLock};

use ash::vk::Handle as _;

use super::*;
use crate::sim::{self, Function, MIB, Profile, SimBuilder, SimDevice};

mod memory;
mod resource;

const NO_FEATURES: Features = Features {
    buffer_device_address: false,
    device_coherent_memory: false,
    protected_memory: false,
    external_memory_rdma: false,
    memory_priority: false,
    maintenance4: false,
    dedicated_allocation: false,
    get_physical_device_properties2: false,
};

/// What the device extensions of Vulkan 1.0 that matter here are called.
const KHR: [&CStr; 4] = [
    c"VK_KHR_get_memory_requirements2",
    c"VK_KHR_dedicated_allocation",
    c"VK_KHR_maintenance3",
    c"VK_EXT_memory_budget",
];

/// Makes a device of a simulated one, declared with this version and these features.
fn try_declare(sim: &SimDevice, api_version: u32, features: Features) -> Result<Device, DeviceError> {
    let info = DeviceCreateInfo { api_version, features, ..create_info(sim) };
    // SAFETY: the handles belong together and every test keeps `sim` longer than the device. The declaration may be
    // false here: the simulated driver resolves only what was enabled, so nothing false is ever called.
    unsafe { Device::new(&info) }
}

fn create_info(sim: &SimDevice) -> DeviceCreateInfo<'_> {
    DeviceCreateInfo {
        entry: sim.entry(),
        instance: sim.instance(),
        physical_device: sim.physical_device(),
        device: sim.device(),
        api_version: sim.api_version(),
        features: NO_FEATURES,
        allocation_callbacks: None,
        memory_callbacks: None,
    }
}

/// As [`try_declare`], with the version that the simulated device has.
fn declare(sim: &SimDevice, features: Features) -> Device {
    try_declare(sim, sim.api_version(), features).unwrap()
}

/// A Vulkan 1.0 device that lists these device extensions.
fn vulkan_1_0(extensions: &[&'static CStr]) -> SimBuilder {
    let mut profile = Profile::discrete_bar256().vulkan_1_0();
    profile.device_extensions = extensions.to_vec();
    SimDevice::builder(profile).extensions(extensions)
}

#[test]
fn vulkan_1_0_alone_is_enough() {
    let sim = vulkan_1_0(&[]).instance_extensions(&[]).build().unwrap();
    let device = declare(&sim, NO_FEATURES);
    let properties = device.properties();
    assert_eq!((properties.max_memory_allocation_size, properties.max_buffer_size), (u64::MAX, u64::MAX));
    assert_eq!((properties.memory_types.len(), properties.memory_heaps.len()), (5, 3));
    assert_eq!(properties.buffer_image_granularity, 1024);
    assert!(!device.has_dedicated_allocation() && !properties.has_memory_budget);
    assert_eq!(device.memory_budgets(), None);
    let memory = device.allocate_memory(&MemoryRequest::new(MIB, 1)).unwrap();
    device.free_memory(memory);
    drop(device);
    assert!(sim.finish().is_empty());
}

/// The simulated driver's own, for [`without_free_memory`]: the same function for every instance.
static REAL_PROC_ADDR: OnceLock<vk::PFN_vkGetDeviceProcAddr> = OnceLock::new();

/// Hides one command of a device.
unsafe extern "system" fn without_free_memory(device: vk::Device, name: *const c_char) -> vk::PFN_vkVoidFunction {
    // SAFETY: the caller passes a string that ends in a zero byte.
    let is_hidden = unsafe { CStr::from_ptr(name) } == c"vkFreeMemory";
    // SAFETY: the caller's own arguments.
    REAL_PROC_ADDR.get().filter(|_| !is_hidden).and_then(|real| unsafe { real(device, name) })
}

#[test]
fn commands_of_the_device_come_from_the_users_own_instance() {
    let sim = SimDevice::new(Profile::unified());
    REAL_PROC_ADDR.get_or_init(|| sim.instance().fp_v1_0().get_device_proc_addr);
    let load = |name: &CStr| {
        if name == c"vkGetDeviceProcAddr" {
            return without_free_memory as *const c_void;
        }
        // SAFETY: the instance is alive and the name ends in a zero byte.
        let found = unsafe { (sim.entry().static_fn().get_instance_proc_addr)(sim.instance().handle(), name.as_ptr()) };
        found.map_or(ptr::null(), |found| found as *const c_void)
    };
    // SAFETY: each name is answered by a command of that name, or null.
    let instance = unsafe { ash::Instance::load_with(load, sim.instance().handle()) };
    let info = DeviceCreateInfo { instance: &instance, ..create_info(&sim) };
    // SAFETY: the handles belong together; `sim` lives longer than the device.
    let made = unsafe { Device::new(&info) };
    assert!(matches!(made, Err(DeviceError::MissingFunction { name: "vkFreeMemory", .. })), "{made:?}");
}

#[test]
fn a_version_of_zero_is_1_0() {
    let sim = vulkan_1_0(&[]).instance_extensions(&[]).build().unwrap();
    assert_eq!(try_declare(&sim, 0, NO_FEATURES).unwrap().api_version(), vk::API_VERSION_1_0);
}

#[test]
fn extensions_of_1_0_serve_like_later_versions() {
    let sim = vulkan_1_0(&KHR).build().unwrap();
    let features = Features { dedicated_allocation: true, get_physical_device_properties2: true, ..NO_FEATURES };
    let device = declare(&sim, features);
    assert_eq!(device.properties().max_memory_allocation_size, 0xFFE0_0000);
    assert!(device.has_dedicated_allocation() && device.memory_budgets().is_some());
    assert_eq!(device.features(), features);
}

#[test]
fn every_version_up_to_the_device_s_is_served() {
    for profile in Profile::all() {
        for minor in 0..=3 {
            let version = vk::make_api_version(0, 1, minor, 7);
            let sim = SimDevice::builder(profile.clone()).api_version(version).build().unwrap();
            let device = try_declare(&sim, version, NO_FEATURES).unwrap();
            assert_eq!(device.has_dedicated_allocation(), minor >= 1);
            assert_eq!(device.properties().has_memory_budget, minor >= 1);
            assert_eq!(device.properties().device_name, profile.name);
            sim.control().assert_clean();
        }
    }
}

#[test]
fn a_version_above_the_device_s_is_refused() {
    let sim = vulkan_1_0(&[]).build().unwrap();
    for version in [vk::API_VERSION_1_1, vk::make_api_version(0, 2, 0, 0), vk::make_api_version(1, 1, 0, 0)] {
        let refused = try_declare(&sim, version, NO_FEATURES).unwrap_err();
        assert!(matches!(refused, DeviceError::UnsupportedVersion { declared, .. } if declared == version));
    }
}

/// Declares a feature that the device does not have, and returns the name of the function that is missing.
fn missing_with(features: Features) -> &'static str {
    let sim = vulkan_1_0(&[]).instance_extensions(&[]).build().unwrap();
    match try_declare(&sim, vk::API_VERSION_1_0, features) {
        Err(DeviceError::MissingFunction { name, .. }) => name,
        other => panic!("{features:?} gave {other:?}"),
    }
}

#[test]
fn a_declared_feature_without_its_function_is_an_error() {
    let missing = missing_with(Features { dedicated_allocation: true, ..NO_FEATURES });
    assert_eq!(missing, "vkGetBufferMemoryRequirements2KHR");
    let missing = missing_with(Features { get_physical_device_properties2: true, ..NO_FEATURES });
    assert_eq!(missing, "vkGetPhysicalDeviceProperties2KHR");
    let missing = missing_with(Features { maintenance4: true, ..NO_FEATURES });
    assert_eq!(missing, "vkGetDeviceBufferMemoryRequirementsKHR");
    let missing = missing_with(Features { buffer_device_address: true, ..NO_FEATURES });
    assert_eq!(missing, "vkGetBufferDeviceAddressKHR");
}

#[test]
fn a_driver_that_cannot_list_its_extensions_is_an_error() {
    let sim = SimDevice::new(Profile::unified());
    let result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
    for nth in [1, 2] {
        sim.control().fail_nth_of(Function::EnumerateDeviceExtensionProperties, nth, result);
        let refused = try_declare(&sim, sim.api_version(), NO_FEATURES).unwrap_err();
        let call = "vkEnumerateDeviceExtensionProperties";
        assert_eq!(refused, DeviceError::Driver(DriverError { call, result }));
    }
}

#[test]
fn budgets_are_the_driver_s_own_words() {
    let sim = SimDevice::new(Profile::discrete_bar256());
    let device = declare(&sim, NO_FEATURES);
    sim.control().set_budget(0, Some(100 * MIB));
    let memory = device.allocate_memory(&MemoryRequest::new(MIB, 1)).unwrap();
    let budgets = device.memory_budgets().unwrap();
    assert_eq!(budgets[0], HeapBudget { usage: MIB, budget: 100 * MIB });
    assert_eq!(sim.control().budget_queries(), 1, "nothing else asks the driver");
    device.free_memory(memory);
}

#[test]
fn an_unlisted_extension_is_not_asked() {
    let profile = Profile::unified().without_extension(c"VK_EXT_memory_budget");
    let sim = SimDevice::new(profile);
    let device = declare(&sim, NO_FEATURES);
    assert!(!device.properties().has_memory_budget);
    assert_eq!(device.memory_budgets(), None);
    assert_eq!(sim.control().budget_queries(), 0);
}

#[test]
fn devices_can_be_shared_by_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Device>();
    is_shared::<Memory>();
}

#[test]
fn a_device_prints_what_it_is() {
    let sim = SimDevice::new(Profile::unified());
    let printed = format!("{:?}", declare(&sim, NO_FEATURES));
    assert!(printed.contains("unified") && printed.contains("1.3"), "{printed}");
}
