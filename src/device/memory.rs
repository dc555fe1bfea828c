//! Device memory as a thing that is owned: [`Memory`] is one `VkDeviceMemory` and its mapping.
//!
//! A [`Memory`] is made by [`Device::allocate_memory`] only, is neither copied nor cloned, and is consumed by
//! [`Device::free_memory`]. So whoever holds one holds a live object, and the floors above, which are all safe code,
//! can free it or ask for its pointer without a promise:
//!
//! - I1: the handle of a [`Memory`] is alive, and belongs to the device whose number it carries.
//! - I2: a mapping covers the whole object, is made once, and lasts until the object is freed.
//! - I3: dropping a [`Memory`] frees nothing; it leaks on purpose, so that pointers into it stay good.
//!
//! # Source
//! Vulkan specification, "Device Memory", "Host Access to Device Memory Objects", `VkMappedMemoryRange`.

use core::ffi::c_void;
use core::num::NonZeroU64;
use core::ptr::{self, NonNull};

use ash::vk;
use ash::vk::Handle as _;

#[cfg(test)]
use super::MemoryRange;
use super::{Device, DriverError};

/// What a memory object is wanted for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MemoryRequest {
    /// Bytes; above 0 and not above the heap's size.
    pub(crate) size: u64,
    /// The memory type, one that the physical device has.
    pub(crate) memory_type_index: u32,
    /// The one resource that it serves, if it is dedicated to one.
    pub(crate) dedicated: Option<DedicatedFor>,
    /// Whether buffers in it may have a device address; ignored where that feature was not declared.
    pub(crate) device_address: bool,
    /// Which memory the driver should rather keep, from 0 (move it out first) to 1; ignored where the feature was not
    /// declared.
    pub(crate) priority: Option<f32>,
    /// Whether to map it at once; ignored where the type is not host-visible.
    pub(crate) map: Mapping,
}

impl MemoryRequest {
    /// Asks for `size` bytes of a type, unmapped and with nothing special about them.
    pub(crate) fn new(size: u64, memory_type_index: u32) -> Self {
        Self { size, memory_type_index, dedicated: None, device_address: false, priority: None, map: Mapping::None }
    }
}

/// Whether a memory object is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mapping {
    /// Not mapped.
    #[default]
    None,
    /// Mapped as a whole, from its allocation until it is freed.
    Persistent,
}

/// The one resource that a dedicated memory object serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DedicatedFor {
    buffer: vk::Buffer,
    image: vk::Image,
}

impl DedicatedFor {
    /// Dedicates memory to a buffer.
    ///
    /// # Safety
    /// 1. `buffer` is alive and unbound until the memory was allocated with it, and belongs to the same device.
    /// 2. The memory is asked for in exactly the size that the buffer requires
    ///    (VUID-VkMemoryDedicatedAllocateInfo-buffer-02965).
    pub(crate) unsafe fn buffer(buffer: vk::Buffer) -> Self {
        Self { buffer, image: vk::Image::null() }
    }

    /// Dedicates memory to an image.
    ///
    /// # Safety
    /// 1. `image` is alive and unbound until the memory was allocated with it, and belongs to the same device.
    /// 2. The memory is asked for in exactly the size that the image requires
    ///    (VUID-VkMemoryDedicatedAllocateInfo-image-02964).
    pub(crate) unsafe fn image(image: vk::Image) -> Self {
        Self { buffer: vk::Buffer::null(), image }
    }
}

/// The owner of one memory object and of its mapping (I1 to I3).
#[derive(Debug)]
#[must_use = "dropping it leaks device memory; give it to Device::free_memory"]
pub(crate) struct Memory {
    handle: MemoryHandle,
    size: u64,
    type_index: u32,
    device_number: u32,
    mapped: MappedBase,
    mapping_error: Option<DriverError>,
}

/// The Vulkan handle of a memory object, which is never null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MemoryHandle(NonZeroU64);

/// What the bytes of a memory object are reached by: its handle, and its mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    handle: MemoryHandle,
    mapped: MappedBase,
}

impl Site {
    /// Stands where no memory object is: for tables.
    pub(crate) const NOWHERE: Self = Self { handle: MemoryHandle(NonZeroU64::MAX), mapped: MappedBase::NONE };

    /// Returns the Vulkan handle.
    #[inline]
    pub(crate) fn memory(self) -> vk::DeviceMemory {
        self.handle.get()
    }

    /// Returns the address of the byte at an offset that lies inside the memory object; `None` where it is not mapped.
    #[inline]
    pub(crate) fn at(self, offset: u64) -> Option<NonNull<u8>> {
        self.mapped.at(offset)
    }
}

impl MemoryHandle {
    #[inline]
    fn get(self) -> vk::DeviceMemory {
        vk::DeviceMemory::from_raw(self.0.get())
    }
}

/// Where a memory object's first byte is mapped, if it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct MappedBase(Option<NonNull<u8>>);

// SAFETY: the pointer is to device memory, which no thread owns; reading or writing through it is unsafe by itself.
unsafe impl Send for MappedBase {}

// SAFETY: nothing changes through a shared reference; the pointer is only handed out.
unsafe impl Sync for MappedBase {}

impl MappedBase {
    /// Stands for memory that is not mapped.
    const NONE: Self = Self(None);

    /// Returns the address of the byte at an offset that lies inside the memory object; `None` where it is not mapped.
    #[inline]
    fn at(self, offset: u64) -> Option<NonNull<u8>> {
        // Memory that is not mapped may be larger than the host's addresses.
        let base = self.0?;
        let bytes = usize::try_from(offset).expect("a mapping is addressable");
        // The offset lies inside the mapping (I2), so the address does not wrap and is not null.
        NonNull::new(base.as_ptr().wrapping_add(bytes))
    }
}

impl Memory {
    /// Returns the Vulkan handle. It is alive as long as this is not freed (I1).
    pub(crate) fn handle(&self) -> vk::DeviceMemory {
        self.handle.get()
    }

    /// Returns what its bytes are reached by.
    pub(crate) fn site(&self) -> Site {
        Site { handle: self.handle, mapped: self.mapped }
    }

    /// Returns the size of the object, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Returns the memory type that it was taken from.
    pub(crate) fn memory_type_index(&self) -> u32 {
        self.type_index
    }

    /// Returns where its first byte is mapped, if it is. All of [`Memory::size`] is mapped then (I2).
    pub(crate) fn mapped_ptr(&self) -> Option<NonNull<u8>> {
        self.mapped.0
    }

    /// Returns why it is not mapped although that was asked for.
    pub(crate) fn mapping_error(&self) -> Option<DriverError> {
        self.mapping_error
    }

    #[cfg(test)]
    /// Names a range of it for flush or invalidate; `None` where it is not mapped, so that there is nothing to flush.
    pub(crate) fn range(&self, offset: u64, size: u64) -> Option<MemoryRange<'_>> {
        self.mapped.0?;
        Some(MemoryRange::within(self, offset, size))
    }
}

impl Device {
    /// Allocates a memory object, and maps it if that was asked for. The user's callback hears of it.
    ///
    /// A mapping that fails makes no error: the memory is usable from the device, and [`Memory::mapping_error`] says
    /// why the host cannot reach it.
    ///
    /// # Errors
    /// What the driver answered. A size above the heap's, which Vulkan forbids to ask for, is answered with
    /// `ERROR_OUT_OF_DEVICE_MEMORY` without asking.
    pub(crate) fn allocate_memory(&self, request: &MemoryRequest) -> Result<Memory, DriverError> {
        self.check_size(request)?;
        let handle = self.allocate_handle(request)?;
        let mut memory = Memory {
            handle,
            size: request.size,
            type_index: request.memory_type_index,
            device_number: self.number,
            mapped: MappedBase::NONE,
            mapping_error: None,
        };
        if request.map == Mapping::Persistent {
            self.map(&mut memory);
        }
        if let Some(callbacks) = &self.memory_callbacks {
            callbacks.tell_allocated(&memory);
        }
        Ok(memory)
    }

    /// Refuses what Vulkan forbids to ask for (VUID-vkAllocateMemory-pAllocateInfo-01713 and -01714).
    fn check_size(&self, request: &MemoryRequest) -> Result<(), DriverError> {
        debug_assert!(request.size > 0, "a memory object of 0 bytes");
        let heap_size = self.properties.heap_of(request.memory_type_index).map_or(0, |heap| heap.size);
        if request.size == 0 || request.size > heap_size {
            return Err(DriverError { call: "vkAllocateMemory", result: vk::Result::ERROR_OUT_OF_DEVICE_MEMORY });
        }
        Ok(())
    }

    /// Calls vkAllocateMemory with the structures that were asked for and that the device knows.
    fn allocate_handle(&self, request: &MemoryRequest) -> Result<MemoryHandle, DriverError> {
        let mut dedicated = vk::MemoryDedicatedAllocateInfo::default();
        let mut flags = vk::MemoryAllocateFlagsInfo::default().flags(vk::MemoryAllocateFlags::DEVICE_ADDRESS);
        let mut priority = vk::MemoryPriorityAllocateInfoEXT::default();
        let mut info = vk::MemoryAllocateInfo::default()
            .allocation_size(request.size)
            .memory_type_index(request.memory_type_index);
        if let Some(resource) = request.dedicated.filter(|_| self.has_dedicated_allocation()) {
            dedicated = dedicated.buffer(resource.buffer).image(resource.image);
            info = info.push_next(&mut dedicated);
        }
        if request.device_address && self.features.buffer_device_address {
            info = info.push_next(&mut flags);
        }
        if let Some(wanted) = request.priority.filter(|_| self.features.memory_priority) {
            priority = priority.priority(clamp_priority(wanted));
            info = info.push_next(&mut priority);
        }
        let mut handle = vk::DeviceMemory::null();
        // SAFETY: the device is alive (Device::new, duty 1); size and type were checked by `check_size`; each structure
        // in the chain belongs to a declared version or feature and lives until the call returns; a resource in it is
        // alive by the duty of DedicatedFor's constructors.
        let result =
            unsafe { (self.commands.allocate_memory)(self.handle, &raw const info, self.callbacks(), &raw mut handle) };
        DriverError::check("vkAllocateMemory", result)?;
        // A driver that says it has allocated nothing is broken; nothing of it can be used or freed.
        let handle = NonZeroU64::new(handle.as_raw()).map(MemoryHandle);
        handle.ok_or(DriverError { call: "vkAllocateMemory", result: vk::Result::ERROR_UNKNOWN })
    }

    /// Maps all of a fresh memory object (I2), or notes why that failed.
    fn map(&self, memory: &mut Memory) {
        let flags = self.properties.flags_of(memory.type_index);
        if !flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE) {
            return;
        }
        let mut mapped: *mut c_void = ptr::null_mut();
        // SAFETY: the memory was just allocated from this device, is host-visible (checked above), has one instance
        // (Device::new, duty 4), and is not mapped yet: this is called once per object, by `allocate_memory`.
        let result = unsafe {
            (self.commands.map_memory)(
                self.handle,
                memory.handle(),
                0,
                vk::WHOLE_SIZE,
                vk::MemoryMapFlags::empty(),
                &raw mut mapped,
            )
        };
        memory.mapped.0 = match result {
            vk::Result::SUCCESS => NonNull::new(mapped.cast()),
            _ => None,
        };
        if memory.mapped.0.is_none() {
            // A null pointer with a success code is a failure that the driver did not own up to.
            let result = if result == vk::Result::SUCCESS { vk::Result::ERROR_MEMORY_MAP_FAILED } else { result };
            memory.mapping_error = Some(DriverError { call: DriverError::MAP_MEMORY, result });
        }
    }

    /// Frees a memory object; its mapping ends with it. The user's callback hears of it before.
    ///
    /// Works after the device was lost, too.
    #[expect(clippy::needless_pass_by_value, reason = "consuming the owner is what makes this safe")]
    pub(crate) fn free_memory(&self, memory: Memory) {
        debug_assert_eq!(memory.device_number, self.number, "memory I1: memory of another device");
        if let Some(callbacks) = &self.memory_callbacks {
            callbacks.tell_freeing(&memory);
        }
        // SAFETY: the handle is alive and of this device (I1), and its only owner is consumed here. That the GPU is
        // done with it is the promise of whoever bound and submitted (VUID-vkFreeMemory-memory-00677).
        unsafe { (self.commands.free_memory)(self.handle, memory.handle(), self.callbacks()) }
    }

    /// Returns how many bytes of lazily allocated memory the driver has really committed; of any other memory, its
    /// size.
    pub(crate) fn commitment(&self, memory: &Memory) -> u64 {
        debug_assert_eq!(memory.device_number, self.number, "memory I1: memory of another device");
        let flags = self.properties.flags_of(memory.type_index);
        if !flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED) {
            return memory.size;
        }
        let mut committed = 0;
        // SAFETY: the handle is alive and of this device (I1), and its type is lazily allocated (checked above;
        // VUID-vkGetDeviceMemoryCommitment-memory-00690).
        unsafe { (self.commands.get_commitment)(self.handle, memory.handle(), &raw mut committed) };
        committed
    }
}

/// Brings a priority into the allowed range; what is no number becomes Vulkan's default.
///
/// # Source
/// VUID-VkMemoryPriorityAllocateInfoEXT-priority-02602; the default of 0.5 is from the same extension.
fn clamp_priority(priority: f32) -> f32 {
    if priority.is_nan() { 0.5 } else { priority.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On hosts of 32 bits, no offset from 4 GiB on is one of theirs.
    #[test]
    fn what_is_not_mapped_has_no_address_at_any_offset() {
        for offset in [0, 1 << 32, u64::MAX] {
            assert_eq!(MappedBase::NONE.at(offset), None);
        }
    }

    #[test]
    fn priorities_are_numbers_from_0_to_1() {
        for (given, used) in [(f32::NAN, 0.5), (-1.0, 0.0), (0.25, 0.25), (f32::INFINITY, 1.0)] {
            assert!((clamp_priority(given) - used).abs() < f32::EPSILON, "{given}");
        }
    }
}
