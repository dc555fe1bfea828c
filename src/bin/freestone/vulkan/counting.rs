//! Counts driver allocations at the function table, below every allocator: what is counted here is what the driver was
//! asked for, whoever asked.
//!
//! ```text
//! allocator -> vkGetDeviceProcAddr (ours) -> vkAllocateMemory (ours) -> the real one
//!                      `-- every other name -> the real function
//! ```
//!
//! A Vulkan function takes no context of ours, so the counts lie in one table, keyed by the device's handle.
//!
//! Invariants:
//! - C1: a device is in the table from before its counted functions are handed out until its [`Counter`] is dropped.
//! - C2: `live_bytes` is the sum of the sizes in `sizes`; `live_pages_bytes` the same with each rounded up to a page.
//! - C3: no real function is called while the table is locked.

use ash::vk;
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

static DEVICES: Mutex<BTreeMap<vk::Device, Watched>> = Mutex::new(BTreeMap::new());

/// What a device's driver was asked for so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Successful calls of `vkAllocateMemory`.
    pub(crate) allocations: u64,
    /// Calls of `vkFreeMemory` with a memory object.
    pub(crate) frees: u64,
    /// Calls of `vkAllocateMemory` that the driver refused.
    pub(crate) refusals: u64,
    /// Calls of `vkMapMemory`.
    pub(crate) mappings: u64,
    /// Bytes of live memory objects, as asked for.
    pub(crate) live_bytes: u64,
    /// The highest `live_bytes` ever was.
    pub(crate) peak_bytes: u64,
    /// Bytes of live memory objects, each rounded up to whole pages.
    pub(crate) live_pages_bytes: u64,
    /// The highest `live_pages_bytes` ever was.
    pub(crate) peak_pages_bytes: u64,
}

impl Count {
    /// Returns how often the driver was called, refusals included.
    pub(crate) fn calls(&self) -> u64 {
        self.allocations + self.frees + self.refusals + self.mappings
    }

    /// Returns the calls since an earlier count, with the bytes of this one.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            allocations: self.allocations - before.allocations,
            frees: self.frees - before.frees,
            refusals: self.refusals - before.refusals,
            mappings: self.mappings - before.mappings,
            ..*self
        }
    }
}

/// The real functions of a watched device, and what went through them.
#[derive(Clone, Copy)]
struct Real {
    get_device_proc_addr: vk::PFN_vkGetDeviceProcAddr,
    allocate_memory: vk::PFN_vkAllocateMemory,
    free_memory: vk::PFN_vkFreeMemory,
    map_memory: vk::PFN_vkMapMemory,
}

struct Watched {
    real: Real,
    page_size: u64,
    count: Count,
    sizes: BTreeMap<vk::DeviceMemory, u64>,
}

/// Counts one device's driver allocations for as long as it lives.
pub(crate) struct Counter {
    /// Hands out the counting functions: give it to the allocator in place of the device's own instance.
    pub(crate) instance: ash::Instance,
    /// The device with the counting functions in its table, for those who call through `ash::Device`.
    pub(crate) device: ash::Device,
}

impl std::fmt::Debug for Counter {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Counter").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl Counter {
    /// Counts what is allocated from `device` through [`Counter::instance`] or [`Counter::device`], on any
    /// implementation. The driver is said to round each memory object up to `page_size` bytes, a power of two.
    ///
    /// # Panics
    ///
    /// If the device is being counted already.
    pub(crate) fn new(entry: &ash::Entry, instance: &ash::Instance, device: &ash::Device, page_size: u64) -> Self {
        let real = Real {
            get_device_proc_addr: instance.fp_v1_0().get_device_proc_addr,
            allocate_memory: device.fp_v1_0().allocate_memory,
            free_memory: device.fp_v1_0().free_memory,
            map_memory: device.fp_v1_0().map_memory,
        };
        let watched = Watched { real, page_size, count: Count::default(), sizes: BTreeMap::new() };
        let before = table().insert(device.handle(), watched);
        assert!(before.is_none(), "this device is being counted already");
        let load = |name: &CStr| {
            if name == c"vkGetDeviceProcAddr" {
                return get_device_proc_addr as *const std::ffi::c_void;
            }
            // SAFETY: the instance is alive and `name` ends in a zero byte.
            let function = unsafe { (entry.static_fn().get_instance_proc_addr)(instance.handle(), name.as_ptr()) };
            function.map_or(std::ptr::null(), |function| function as *const std::ffi::c_void)
        };
        // SAFETY: `load` answers each name with the function of that name and type, or null.
        let counting = unsafe { ash::Instance::load_with(load, instance.handle()) };
        // SAFETY: the device is alive and belongs to the instance.
        let device = unsafe { ash::Device::load(counting.fp_v1_0(), device.handle()) };
        Self { instance: counting, device }
    }

    /// Returns the counts so far.
    pub(crate) fn count(&self) -> Count {
        table().get(&self.device.handle()).map(|watched| watched.count).unwrap_or_default()
    }

    /// Lets the peaks start again from what is live now.
    pub(crate) fn restart_peaks(&self) {
        if let Some(watched) = table().get_mut(&self.device.handle()) {
            watched.count.peak_bytes = watched.count.live_bytes;
            watched.count.peak_pages_bytes = watched.count.live_pages_bytes;
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        table().remove(&self.device.handle());
    }
}

impl Watched {
    fn allocated(&mut self, memory: vk::DeviceMemory, size: u64) {
        self.sizes.insert(memory, size);
        let count = &mut self.count;
        count.allocations += 1;
        count.live_bytes += size;
        count.live_pages_bytes += size.next_multiple_of(self.page_size);
        count.peak_bytes = count.peak_bytes.max(count.live_bytes);
        count.peak_pages_bytes = count.peak_pages_bytes.max(count.live_pages_bytes);
    }

    fn freed(&mut self, memory: vk::DeviceMemory) {
        let Some(size) = self.sizes.remove(&memory) else {
            return;
        };
        self.count.frees += 1;
        self.count.live_bytes -= size;
        self.count.live_pages_bytes -= size.next_multiple_of(self.page_size);
    }
}

/// No call panics under this lock, and a panic elsewhere must not stop the counting.
fn table() -> MutexGuard<'static, BTreeMap<vk::Device, Watched>> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn real(device: vk::Device) -> Option<Real> {
    table().get(&device).map(|watched| watched.real)
}

unsafe extern "system" fn get_device_proc_addr(device: vk::Device, name: *const c_char) -> vk::PFN_vkVoidFunction {
    let real = real(device)?;
    // SAFETY: the caller passes this device and a string, as vkGetDeviceProcAddr demands.
    let function = unsafe { (real.get_device_proc_addr)(device, name) }?;
    // SAFETY: not null, since the real function has found it.
    let name = unsafe { CStr::from_ptr(name) };
    if name == c"vkAllocateMemory" {
        // SAFETY: a function pointer, whose caller casts it back to the type that belongs to the name.
        return Some(unsafe {
            std::mem::transmute::<vk::PFN_vkAllocateMemory, unsafe extern "system" fn()>(allocate_memory)
        });
    }
    if name == c"vkFreeMemory" {
        // SAFETY: as above.
        return Some(unsafe { std::mem::transmute::<vk::PFN_vkFreeMemory, unsafe extern "system" fn()>(free_memory) });
    }
    if name == c"vkMapMemory" {
        // SAFETY: as above.
        return Some(unsafe { std::mem::transmute::<vk::PFN_vkMapMemory, unsafe extern "system" fn()>(map_memory) });
    }
    Some(function)
}

unsafe extern "system" fn allocate_memory(
    device: vk::Device,
    info: *const vk::MemoryAllocateInfo<'_>,
    callbacks: *const vk::AllocationCallbacks<'_>,
    memory: *mut vk::DeviceMemory,
) -> vk::Result {
    let Some(real) = real(device) else {
        return vk::Result::ERROR_DEVICE_LOST;
    };
    // SAFETY: the caller's own arguments.
    let result = unsafe { (real.allocate_memory)(device, info, callbacks, memory) };
    // SAFETY: valid, as vkAllocateMemory demands of its caller.
    let size = unsafe { (*info).allocation_size };
    if let Some(watched) = table().get_mut(&device) {
        if result == vk::Result::SUCCESS {
            // SAFETY: written by the call, which succeeded.
            watched.allocated(unsafe { *memory }, size);
        } else {
            watched.count.refusals += 1;
        }
    }
    result
}

unsafe extern "system" fn free_memory(
    device: vk::Device,
    memory: vk::DeviceMemory,
    callbacks: *const vk::AllocationCallbacks<'_>,
) {
    let Some(real) = real(device) else { return };
    // Counted before the driver may hand the same handle to another thread.
    if let Some(watched) = table().get_mut(&device) {
        watched.freed(memory);
    }
    // SAFETY: the caller's own arguments.
    unsafe { (real.free_memory)(device, memory, callbacks) };
}

unsafe extern "system" fn map_memory(
    device: vk::Device,
    memory: vk::DeviceMemory,
    offset: vk::DeviceSize,
    size: vk::DeviceSize,
    flags: vk::MemoryMapFlags,
    data: *mut *mut std::ffi::c_void,
) -> vk::Result {
    let Some(real) = real(device) else {
        return vk::Result::ERROR_DEVICE_LOST;
    };
    if let Some(watched) = table().get_mut(&device) {
        watched.count.mappings += 1;
    }
    // SAFETY: the caller's own arguments.
    unsafe { (real.map_memory)(device, memory, offset, size, flags, data) }
}
