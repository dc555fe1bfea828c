//! Buffers and images together with their memory: created, bound and destroyed as one.
//!
//! ```text
//!   create   check -> create -> requirements -> allocate -> bind -> (handle, Allocation)
//!            a failure at any step undoes the steps before it, in reverse
//!   destroy  resource -> memory
//! ```
//!
//! What this path cannot serve (sparse, disjoint, swapchain, external, capture and replay) is refused before anything
//! is created.

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "binds resources to memory of another resource")]
mod alias;
#[expect(unsafe_code, reason = "takes create-infos and handles from the user")]
mod create;
#[expect(unsafe_code, reason = "destroys what it owns")]
mod owned;
#[expect(unsafe_code, reason = "walks pNext chains")]
mod unsupported;

use ash::vk;

pub use self::owned::{AllocatorRef, Buffer, Image};
use crate::allocator::{
    Allocation, AllocationCreateInfo, AllocationError, AllocationRequest, AllocationRequirements, Allocator,
    DeviceAddress,
};
use crate::device::{DedicatedFor, DedicatedPreference, Requirements};
use crate::pool::Kind;

/// A resource without memory, as far as this floor tells buffers and images apart.
///
/// Whoever makes one vouches that the handle is alive and belongs to the allocator's device until it is destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    Buffer(vk::Buffer),
    Image(vk::Image),
}

/// Shares a buffer between queue families; with fewer than two it stays exclusive.
pub(crate) fn shared_between<'a>(info: vk::BufferCreateInfo<'a>, families: &'a [u32]) -> vk::BufferCreateInfo<'a> {
    if families.len() < 2 {
        return info;
    }
    info.sharing_mode(vk::SharingMode::CONCURRENT).queue_family_indices(families)
}

/// What an allocation must know of its resource beside the driver's requirements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traits {
    /// `None` where it may be of either kind.
    kind: Option<Kind>,
    address: DeviceAddress,
}

/// Undoes a half-made resource unless it is finished.
struct Undo<'a> {
    allocator: &'a Allocator,
    resource: Resource,
    allocation: Option<Allocation>,
    is_finished: bool,
}

impl<'a> Undo<'a> {
    fn new(allocator: &'a Allocator, resource: Resource) -> Self {
        Self { allocator, resource, allocation: None, is_finished: false }
    }

    fn finish(mut self) -> Option<Allocation> {
        self.is_finished = true;
        self.allocation.take()
    }
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.resource.destroy(self.allocator);
        if let Some(allocation) = self.allocation.take() {
            self.allocator.take_back(allocation);
        }
    }
}

#[expect(unsafe_code, reason = "calls Vulkan on handles that the makers of a Resource vouch for")]
impl Resource {
    fn destroy(self, allocator: &Allocator) {
        match self {
            // SAFETY: the handle is alive; only what its owner gives up gets here, and the owner waited for the GPU.
            Self::Buffer(buffer) => unsafe { allocator.device().destroy_buffer(buffer) },
            // SAFETY: as above.
            Self::Image(image) => unsafe { allocator.device().destroy_image(image) },
        }
    }

    fn requirements(self, allocator: &Allocator) -> Requirements {
        match self {
            // SAFETY: the buffer is alive and the device's own.
            Self::Buffer(buffer) => unsafe { allocator.device().buffer_requirements(buffer) },
            // SAFETY: the image is alive and the device's own; disjoint ones are refused before they get here.
            Self::Image(image) => unsafe { allocator.device().image_requirements(image) },
        }
    }

    /// Returns the info that dedicates memory to the resource, where the device knows it.
    fn dedication(self, allocator: &Allocator) -> Option<DedicatedFor> {
        if !allocator.device().has_dedicated_allocation() {
            return None;
        }
        Some(match self {
            // SAFETY: the buffer is alive and unbound; dedicated memory is asked for in the size required.
            Self::Buffer(buffer) => unsafe { DedicatedFor::buffer(buffer) },
            // SAFETY: the image is alive and unbound; dedicated memory is asked for in the size required.
            Self::Image(image) => unsafe { DedicatedFor::image(image) },
        })
    }

    fn bind(self, allocator: &Allocator, allocation: &Allocation, offset: u64) -> Result<(), AllocationError> {
        let (device, memory) = (allocator.device(), allocation.memory());
        let offset = allocation.offset() + offset;
        match self {
            // SAFETY: the buffer is alive and unbound; the memory was allocated for its requirements, or checked
            // against them, and the range lies inside it.
            Self::Buffer(buffer) => unsafe { device.bind_buffer_memory(buffer, memory, offset) }?,
            // SAFETY: as above, for the image.
            Self::Image(image) => unsafe { device.bind_image_memory(image, memory, offset) }?,
        }
        Ok(())
    }

    /// Allocates for a resource that is alive and unbound.
    fn allocate(
        self,
        allocator: &Allocator,
        traits: Traits,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        let reported = self.requirements(allocator);
        let kind = traits.kind.unwrap_or(Kind::NonLinear);
        let requirements = AllocationRequirements::of_resource(&reported, kind, traits.address);
        let (dedicated_for, is_alone) = (self.dedication(allocator), allocator.lies_alone(traits.kind));
        allocator.allocate_request(AllocationRequest { requirements: &requirements, info, dedicated_for, is_alone })
    }

    /// Allocates and binds, or undoes everything.
    fn furnish(
        self,
        allocator: &Allocator,
        traits: Traits,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        let mut undo = Undo::new(allocator, self);
        let allocation = undo.allocation.insert(self.allocate(allocator, traits, info)?);
        self.bind(allocator, allocation, 0)?;
        Ok(undo.finish().expect("the allocation was put there two lines above"))
    }
}

impl Allocator {
    /// Returns whether a resource shares memory with nothing: what may be of either kind, where kinds keep apart.
    pub(crate) fn lies_alone(&self, kind: Option<Kind>) -> bool {
        kind.is_none() && self.properties().buffer_image_granularity > 1
    }

    /// Adds to a driver's requirements what it does not say. What may be of either kind has memory of its own.
    pub(crate) fn requirements_for(
        &self,
        reported: &Requirements,
        kind: Option<Kind>,
        address: DeviceAddress,
    ) -> AllocationRequirements {
        let sure = AllocationRequirements::of_resource(reported, kind.unwrap_or(Kind::NonLinear), address);
        if self.lies_alone(kind) {
            return AllocationRequirements { dedicated: DedicatedPreference::Required, ..sure };
        }
        sure
    }
}

/// Returns the kind of an image's tiling; `None` for DRM format modifiers, of which `DRM_FORMAT_MOD_LINEAR` alone is
/// linear.
///
/// # Source
/// Vulkan specification, "Buffer-Image Granularity".
pub(crate) fn kind_of(tiling: vk::ImageTiling) -> Option<Kind> {
    match tiling {
        vk::ImageTiling::LINEAR => Some(Kind::Linear),
        vk::ImageTiling::DRM_FORMAT_MODIFIER_EXT => None,
        _ => Some(Kind::NonLinear),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_shared_between_two_families_and_more() {
        let info = vk::BufferCreateInfo::default().size(16);
        for families in [&[][..], &[3]] {
            let alone = shared_between(info, families);
            assert_eq!((alone.sharing_mode, alone.queue_family_index_count), (vk::SharingMode::EXCLUSIVE, 0));
        }
        let families = [0, 2];
        let shared = shared_between(info, &families);
        assert_eq!((shared.sharing_mode, shared.queue_family_index_count), (vk::SharingMode::CONCURRENT, 2));
        assert_eq!((shared.p_queue_family_indices, shared.size), (families.as_ptr(), 16));
    }
}
