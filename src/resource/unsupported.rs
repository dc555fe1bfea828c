//! What this path cannot serve, found before anything is created.
//!
//! Each refusal says what to use instead. The create-info's flags are looked at, and its pNext chain.

use core::ffi::c_void;

use ash::vk;

use crate::allocator::{AllocationCreateInfo, AllocationError, DeviceAddress};
use crate::device::Features;

/// What a create-info says about the memory that its resource needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Needs {
    pub address: DeviceAddress,
    pub is_protected: bool,
    /// Whether Vulkan says what it needs only once it exists.
    pub must_exist: bool,
}

impl Needs {
    /// Adds what the resource needs to the user's wishes.
    pub(super) fn adapt<'a>(self, info: &AllocationCreateInfo<'a>) -> AllocationCreateInfo<'a> {
        if self.is_protected { info.required_flags(vk::MemoryPropertyFlags::PROTECTED) } else { *info }
    }
}

/// Checks a buffer's create-info.
///
/// # Safety
/// The create-info and its pNext chain are valid.
pub(super) unsafe fn check_buffer(
    info: &vk::BufferCreateInfo<'_>,
    features: Features,
) -> Result<Needs, AllocationError> {
    // SAFETY: the caller's duty.
    let chain = unsafe { Chain::read(info.p_next) };
    if info.flags.contains(vk::BufferCreateFlags::SPARSE_BINDING) {
        return refuse("a sparse buffer", "create it with Vulkan and bind pages of memory from `allocate`");
    }
    let replay_flags = vk::BufferCreateFlags::DEVICE_ADDRESS_CAPTURE_REPLAY
        | vk::BufferCreateFlags::DESCRIPTOR_BUFFER_CAPTURE_REPLAY_EXT;
    check_replay(info.flags.intersects(replay_flags))?;
    check_dedication(chain)?;
    check_external(chain)?;
    let is_protected = info.flags.contains(vk::BufferCreateFlags::PROTECTED);
    check_protected(is_protected, features)?;
    let usage = chain.usage2.unwrap_or(u64::from(info.usage.as_raw()));
    let needs_address = usage & u64::from(vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS.as_raw()) != 0;
    if needs_address && !features.buffer_device_address {
        let use_instead = "enable the feature bufferDeviceAddress and declare it to the allocator";
        return refuse("a buffer with a device address", use_instead);
    }
    let address = if needs_address { DeviceAddress::Needed } else { DeviceAddress::NotNeeded };
    Ok(Needs { address, is_protected, must_exist: false })
}

/// Checks an image's create-info.
///
/// # Safety
/// The create-info and its pNext chain are valid.
pub(super) unsafe fn check_image(info: &vk::ImageCreateInfo<'_>, features: Features) -> Result<Needs, AllocationError> {
    // SAFETY: the caller's duty.
    let chain = unsafe { Chain::read(info.p_next) };
    if info.flags.contains(vk::ImageCreateFlags::SPARSE_BINDING) {
        return refuse("a sparse image", "create it with Vulkan and bind pages of memory from `allocate`");
    }
    if info.flags.contains(vk::ImageCreateFlags::DISJOINT) {
        return refuse(
            "a disjoint image",
            "query each plane's requirements, `allocate` for each and bind them together",
        );
    }
    check_replay(info.flags.contains(vk::ImageCreateFlags::DESCRIPTOR_BUFFER_CAPTURE_REPLAY_EXT))?;
    if chain.has_swapchain {
        return refuse("a swapchain image", "bind it to the swapchain's memory with vkBindImageMemory2");
    }
    check_dedication(chain)?;
    check_external(chain)?;
    let is_protected = info.flags.contains(vk::ImageCreateFlags::PROTECTED);
    check_protected(is_protected, features)?;
    Ok(Needs { address: DeviceAddress::NotNeeded, is_protected, must_exist: chain.must_exist })
}

/// Memory of the allocator is never allocated for capture and replay, which such a resource must be bound to
/// (VUID-vkBindBufferMemory-bufferDeviceAddressCaptureReplay-09200, VUID-vkBindBufferMemory-buffer-09201,
/// VUID-vkBindImageMemory-image-09202).
fn check_replay(is_replayed: bool) -> Result<(), AllocationError> {
    if is_replayed {
        let use_instead = "create it with Vulkan and bind memory that you allocate with DEVICE_ADDRESS_CAPTURE_REPLAY";
        return refuse("a resource for capture and replay", use_instead);
    }
    Ok(())
}

/// Such a resource must be bound to memory with `VkDedicatedAllocationMemoryAllocateInfoNV`, which the allocator never
/// gives (VUID-vkBindBufferMemory-buffer-01038, VUID-vkBindImageMemory-image-01050).
fn check_dedication(chain: Chain) -> Result<(), AllocationError> {
    if chain.is_dedicated {
        let use_instead = "leave its structure out: `dedicated` asks for memory of the resource's own";
        return refuse("a resource with a dedication of VK_NV_dedicated_allocation", use_instead);
    }
    Ok(())
}

fn check_external(chain: Chain) -> Result<(), AllocationError> {
    if chain.is_external {
        let use_instead = "allocate external memory with Vulkan, one object for the resource, and bind it yourself";
        return refuse("a resource with external memory handle types", use_instead);
    }
    Ok(())
}

fn check_protected(is_protected: bool, features: Features) -> Result<(), AllocationError> {
    if is_protected && !features.protected_memory {
        let use_instead = "enable the feature protectedMemory and declare it to the allocator";
        return refuse("a protected resource", use_instead);
    }
    Ok(())
}

fn refuse<T>(what: &'static str, use_instead: &'static str) -> Result<T, AllocationError> {
    Err(AllocationError::Unsupported { what, use_instead })
}

/// What matters of a pNext chain.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one fact")]
struct Chain {
    is_dedicated: bool,
    is_external: bool,
    has_swapchain: bool,
    /// Whether it has a structure that `vkGetDeviceImageMemoryRequirements` must not see, one that asks for nothing too
    /// (VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06416, -06776).
    must_exist: bool,
    usage2: Option<u64>,
}

impl Chain {
    /// Walks a chain.
    ///
    /// # Safety
    /// `next` is null or points at a valid chain of Vulkan structures.
    unsafe fn read(mut next: *const c_void) -> Self {
        let mut chain = Self::default();
        while !next.is_null() {
            let base = next.cast::<vk::BaseInStructure<'_>>();
            // SAFETY: the caller's duty: every structure of a chain is what its type says.
            unsafe { chain.note(base) };
            // SAFETY: every structure of a chain begins with its type and the next pointer, and is not written to.
            let header = unsafe { &*base };
            next = header.p_next.cast();
        }
        chain
    }

    /// Notes what one structure of a chain says.
    ///
    /// # Safety
    /// `base` points at a valid structure of the type that its first field names.
    unsafe fn note(&mut self, base: *const vk::BaseInStructure<'_>) {
        // SAFETY: the caller's duty: the structure begins with its type and is not written to.
        let header = unsafe { &*base };
        match header.s_type {
            vk::StructureType::DEDICATED_ALLOCATION_BUFFER_CREATE_INFO_NV => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::DedicatedAllocationBufferCreateInfoNV<'_>>() };
                self.is_dedicated |= info.dedicated_allocation != vk::FALSE;
            }
            vk::StructureType::DEDICATED_ALLOCATION_IMAGE_CREATE_INFO_NV => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::DedicatedAllocationImageCreateInfoNV<'_>>() };
                self.is_dedicated |= info.dedicated_allocation != vk::FALSE;
            }
            vk::StructureType::EXTERNAL_MEMORY_BUFFER_CREATE_INFO => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::ExternalMemoryBufferCreateInfo<'_>>() };
                self.is_external |= !info.handle_types.is_empty();
            }
            vk::StructureType::EXTERNAL_MEMORY_IMAGE_CREATE_INFO => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::ExternalMemoryImageCreateInfo<'_>>() };
                self.is_external |= !info.handle_types.is_empty();
            }
            vk::StructureType::EXTERNAL_MEMORY_IMAGE_CREATE_INFO_NV => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::ExternalMemoryImageCreateInfoNV<'_>>() };
                self.is_external |= !info.handle_types.is_empty();
            }
            vk::StructureType::IMAGE_SWAPCHAIN_CREATE_INFO_KHR => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::ImageSwapchainCreateInfoKHR<'_>>() };
                self.has_swapchain |= info.swapchain != vk::SwapchainKHR::null();
                self.must_exist = true;
            }
            vk::StructureType::IMAGE_DRM_FORMAT_MODIFIER_EXPLICIT_CREATE_INFO_EXT => self.must_exist = true,
            vk::StructureType::BUFFER_USAGE_FLAGS_2_CREATE_INFO_KHR => {
                // SAFETY: the type says what the structure is.
                let info = unsafe { &*base.cast::<vk::BufferUsageFlags2CreateInfoKHR<'_>>() };
                self.usage2 = Some(info.usage.as_raw());
            }
            _ => {}
        }
    }
}
