//! A simulated device with everything around it, made in one call.

use super::control::Control;
use super::handle::ObjectKind;
use super::instance::{INSTANCE_EXTENSIONS, InstanceSeed, get_instance_proc_addr};
use super::loan::{Loan, lend};
use super::object::{DeviceObject, PhysicalObject};
use super::profile::{Features, Profile};
use super::state::Checks;
use super::violation::Violation;
use ash::vk;
use ash::vk::TaggedStructure;
use core::ffi::{c_char, c_void};
use core::fmt;
use core::ops::Range;
use std::ffi::CStr;

/// Returns an `ash` entry into the simulated driver, whose instances list the built-in profiles.
pub fn entry() -> ash::Entry {
    // SAFETY: our `vkGetInstanceProcAddr` takes a pointer where Vulkan's takes a handle, which is one; same ABI.
    let get_instance_proc_addr = unsafe {
        core::mem::transmute::<*const (), vk::PFN_vkGetInstanceProcAddr>(get_instance_proc_addr as *const ())
    };
    // SAFETY: the function obeys the contract of `vkGetInstanceProcAddr` for as long as the process lives.
    unsafe { ash::Entry::from_static_fn(ash::StaticFn { get_instance_proc_addr }) }
}

/// Returns the tester's side of a physical device that an instance of `entry` lists.
///
/// # Safety
///
/// 1. The handle comes from an instance made through `entry` or by `SimDevice`, which is not destroyed.
pub unsafe fn control_of(physical_device: vk::PhysicalDevice) -> Control {
    // SAFETY: the handle is kept as the pointer to our object (1).
    let object = unsafe { core::mem::transmute::<vk::PhysicalDevice, *const PhysicalObject>(physical_device) };
    // SAFETY: the object lives as long as the instance (1).
    unsafe { &*object }.control.clone()
}

/// How a simulated device is to be made.
#[derive(Clone, Debug)]
#[must_use = "`build` makes the device"]
pub struct SimBuilder {
    profile: Profile,
    api_version: u32,
    instance_extensions: Vec<&'static CStr>,
    extensions: Vec<&'static CStr>,
    features: Features,
    checks: Checks,
}

impl SimBuilder {
    /// Declares another version of Vulkan than the profile's; the lesser of the two applies.
    pub fn api_version(mut self, version: u32) -> Self {
        self.api_version = version;
        self
    }

    /// Enables exactly these instance extensions instead of all.
    pub fn instance_extensions(mut self, names: &[&'static CStr]) -> Self {
        self.instance_extensions = names.to_vec();
        self
    }

    /// Enables exactly these device extensions instead of all that the profile lists.
    pub fn extensions(mut self, names: &[&'static CStr]) -> Self {
        self.extensions = names.to_vec();
        self
    }

    /// Enables exactly these features instead of all but `Features::OPT_IN`.
    pub fn features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// Enables these features too.
    pub fn with_features(mut self, features: Features) -> Self {
        self.features |= features;
        self
    }

    /// Chooses the costly checks.
    pub fn checks(mut self, checks: Checks) -> Self {
        self.checks = checks;
        self
    }

    /// Makes the device.
    ///
    /// # Errors
    ///
    /// What `vkCreateInstance` or `vkCreateDevice` answers: an extension or feature is asked for that is not there.
    pub fn build(self) -> Result<SimDevice, vk::Result> {
        let entry = entry();
        let control = Control::new(&self.profile, self.checks);
        let instance = self.instance(&entry, &control)?;
        // SAFETY: the instance is valid.
        let physical_device = unsafe { instance.enumerate_physical_devices() }.map(|devices| devices.first().copied());
        let device = match physical_device {
            Ok(Some(physical_device)) => {
                self.device(&instance, physical_device).map(|device| (physical_device, device))
            }
            Ok(None) => Err(vk::Result::ERROR_INITIALIZATION_FAILED),
            Err(result) => Err(result),
        };
        match device {
            Ok((physical_device, device)) => {
                let api_version = self.api_version.min(self.profile.api_version);
                let (profile, features) = (self.profile, self.features);
                Ok(SimDevice { profile, features, api_version, control, device, physical_device, instance, entry })
            }
            Err(result) => {
                // SAFETY: nothing else was made from the instance.
                unsafe { instance.destroy_instance(None) };
                Err(result)
            }
        }
    }

    fn instance(&self, entry: &ash::Entry, control: &Control) -> Result<ash::Instance, vk::Result> {
        let devices = [(self.profile.clone(), control.clone())];
        let seed = InstanceSeed {
            s_type: InstanceSeed::STRUCTURE_TYPE,
            p_next: core::ptr::null(),
            devices: devices.as_ptr(),
            device_count: 1,
        };
        let application = vk::ApplicationInfo::default().api_version(self.api_version);
        let names = pointers(&self.instance_extensions);
        let mut info = vk::InstanceCreateInfo::default().application_info(&application).enabled_extension_names(&names);
        info.p_next = (&raw const seed).cast::<c_void>();
        // SAFETY: the create-info and its chain live until the call returns.
        unsafe { entry.create_instance(&info, None) }
    }

    fn device(&self, instance: &ash::Instance, physical_device: vk::PhysicalDevice) -> Result<ash::Device, vk::Result> {
        let priorities: Vec<Vec<f32>> =
            self.profile.queue_families.iter().map(|family| vec![1.0; family.count as usize]).collect();
        let queues: Vec<_> =
            (0..).zip(&priorities).map(|(family, priorities)| queue_info(family, priorities)).collect();
        let names = pointers(&self.extensions);
        let mut enabled = EnabledFeatures::new(self.features);
        let core =
            vk::PhysicalDeviceFeatures::default().sparse_binding(self.features.contains(Features::SPARSE_BINDING));
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .enabled_features(&core)
            .push_next(&mut enabled.address)
            .push_next(&mut enabled.protected)
            .push_next(&mut enabled.coherent)
            .push_next(&mut enabled.priority)
            .push_next(&mut enabled.pageable)
            .push_next(&mut enabled.maintenance4)
            .push_next(&mut enabled.synchronization2)
            .push_next(&mut enabled.timeline);
        // SAFETY: the physical device is of this instance; the create-info and its chain live until the call returns.
        unsafe { instance.create_device(physical_device, &info, None) }
    }
}

/// The structures that enable our features.
struct EnabledFeatures {
    address: vk::PhysicalDeviceBufferDeviceAddressFeatures<'static>,
    protected: vk::PhysicalDeviceProtectedMemoryFeatures<'static>,
    coherent: vk::PhysicalDeviceCoherentMemoryFeaturesAMD<'static>,
    priority: vk::PhysicalDeviceMemoryPriorityFeaturesEXT<'static>,
    pageable: vk::PhysicalDevicePageableDeviceLocalMemoryFeaturesEXT<'static>,
    maintenance4: vk::PhysicalDeviceMaintenance4Features<'static>,
    synchronization2: vk::PhysicalDeviceSynchronization2Features<'static>,
    timeline: vk::PhysicalDeviceTimelineSemaphoreFeatures<'static>,
}

impl EnabledFeatures {
    fn new(features: Features) -> Self {
        let has = |feature| features.contains(feature);
        Self {
            address: vk::PhysicalDeviceBufferDeviceAddressFeatures::default()
                .buffer_device_address(has(Features::BUFFER_DEVICE_ADDRESS)),
            protected: vk::PhysicalDeviceProtectedMemoryFeatures::default()
                .protected_memory(has(Features::PROTECTED_MEMORY)),
            coherent: vk::PhysicalDeviceCoherentMemoryFeaturesAMD::default()
                .device_coherent_memory(has(Features::DEVICE_COHERENT_MEMORY)),
            priority: vk::PhysicalDeviceMemoryPriorityFeaturesEXT::default()
                .memory_priority(has(Features::MEMORY_PRIORITY)),
            pageable: vk::PhysicalDevicePageableDeviceLocalMemoryFeaturesEXT::default()
                .pageable_device_local_memory(has(Features::PAGEABLE_DEVICE_LOCAL_MEMORY)),
            maintenance4: vk::PhysicalDeviceMaintenance4Features::default().maintenance4(has(Features::MAINTENANCE4)),
            synchronization2: vk::PhysicalDeviceSynchronization2Features::default()
                .synchronization2(has(Features::SYNCHRONIZATION2)),
            timeline: vk::PhysicalDeviceTimelineSemaphoreFeatures::default()
                .timeline_semaphore(has(Features::TIMELINE_SEMAPHORE)),
        }
    }
}

fn queue_info(family: u32, priorities: &[f32]) -> vk::DeviceQueueCreateInfo<'_> {
    vk::DeviceQueueCreateInfo::default().queue_family_index(family).queue_priorities(priorities)
}

fn pointers(names: &[&'static CStr]) -> Vec<*const c_char> {
    names.iter().map(|name| name.as_ptr()).collect()
}

/// A simulated device with its instance, destroyed in order when dropped.
///
/// # Examples
///
/// ```
/// use ash::vk;
/// use freestone::sim::{Profile, SimDevice};
///
/// let sim = SimDevice::new(Profile::discrete_rebar());
/// let info = vk::BufferCreateInfo::default().size(256).usage(vk::BufferUsageFlags::TRANSFER_SRC);
/// // SAFETY: the device and the create-info are valid.
/// let _leaked = unsafe { sim.device().create_buffer(&info, None) }?;
/// let violations = sim.finish();
/// assert_eq!(violations[0].rule, "VUID-vkDestroyDevice-device-05137");
/// # Ok::<(), vk::Result>(())
/// ```
pub struct SimDevice {
    profile: Profile,
    features: Features,
    api_version: u32,
    control: Control,
    device: ash::Device,
    physical_device: vk::PhysicalDevice,
    instance: ash::Instance,
    entry: ash::Entry,
}

impl SimDevice {
    /// Makes a device with all extensions of the profile and all features but `Features::OPT_IN`.
    ///
    /// # Panics
    ///
    /// When the profile contradicts itself: a feature without its extension, for instance.
    #[track_caller]
    pub fn new(profile: Profile) -> Self {
        match Self::builder(profile).build() {
            Ok(device) => device,
            Err(result) => panic!("no simulated device can be made of this profile: {result}"),
        }
    }

    /// Starts to describe a device.
    pub fn builder(profile: Profile) -> SimBuilder {
        SimBuilder {
            api_version: profile.api_version,
            instance_extensions: INSTANCE_EXTENSIONS.to_vec(),
            extensions: profile.device_extensions.clone(),
            features: profile.features.without(Features::OPT_IN),
            checks: Checks::ALL,
            profile,
        }
    }

    /// Returns the entry.
    pub fn entry(&self) -> &ash::Entry {
        &self.entry
    }

    /// Returns the instance.
    pub fn instance(&self) -> &ash::Instance {
        &self.instance
    }

    /// Returns the physical device.
    pub fn physical_device(&self) -> vk::PhysicalDevice {
        self.physical_device
    }

    /// Returns the device.
    pub fn device(&self) -> &ash::Device {
        &self.device
    }

    /// Returns the version of Vulkan that applies.
    pub fn api_version(&self) -> u32 {
        self.api_version
    }

    /// Returns the enabled features.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Returns the profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Returns the tester's side; clone it to keep it longer than the device.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Returns the first queue of the first family, which can do everything.
    pub fn queue(&self) -> vk::Queue {
        // SAFETY: the builder asks for every queue of every family.
        unsafe { self.device.get_device_queue(0, 0) }
    }

    /// Returns the live memory objects, in the order of their handles.
    pub fn memory_objects(&self) -> Vec<MemoryView> {
        let world = self.object().world();
        let view = |(handle, memory): (u64, &super::world::Memory)| MemoryView {
            memory: vk::Handle::from_raw(handle),
            size: memory.size(),
            memory_type_index: memory.type_index,
            dedicated_to: memory.dedicated.map(|id| (id.kind, id.handle)),
            has_device_address: memory.has_device_address,
            priority: memory.priority,
            is_mapped: memory.mapping.is_some(),
            bound_count: memory.bound.len(),
        };
        world.memories.iter().map(view).collect()
    }

    /// Says that mapped bytes are borrowed until the loan is dropped. Freeing or unmapping them meanwhile is recorded,
    /// and so is a second loan that shares a byte.
    pub fn lend(&self, memory: vk::DeviceMemory, range: Range<u64>) -> Loan {
        lend(self.object(), memory, range)
    }

    /// Destroys device and instance and returns every violation, leaks included.
    pub fn finish(self) -> Vec<Violation> {
        let control = self.control.clone();
        drop(self);
        control.violations()
    }

    pub(super) fn object(&self) -> &DeviceObject {
        // SAFETY: the handle is kept as the pointer from which `create_device` made it.
        let object = unsafe { core::mem::transmute::<vk::Device, *const DeviceObject>(self.device.handle()) };
        // SAFETY: the object lives until `drop` destroys the instance.
        unsafe { &*object }
    }
}

/// One live memory object, as the driver sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryView {
    /// Handle.
    pub memory: vk::DeviceMemory,
    /// Size as asked for, in bytes.
    pub size: u64,
    /// Index of its memory type.
    pub memory_type_index: u32,
    /// Kind and handle of the resource to which it is dedicated.
    pub dedicated_to: Option<(ObjectKind, u64)>,
    /// It was allocated for device addresses.
    pub has_device_address: bool,
    /// Priority from `VK_EXT_memory_priority`.
    pub priority: Option<f32>,
    /// It is mapped.
    pub is_mapped: bool,
    /// Number of live resources bound to it; 0 while the checks of binds are off.
    pub bound_count: usize,
}

impl Drop for SimDevice {
    fn drop(&mut self) {
        // SAFETY: the user of the device has stopped using it, as with every `ash::Device` whose owner drops it.
        unsafe { self.device.destroy_device(None) };
        // SAFETY: the only device made from the instance is destroyed.
        unsafe { self.instance.destroy_instance(None) };
    }
}

impl fmt::Debug for SimDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDevice")
            .field("profile", &self.profile.name)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}
