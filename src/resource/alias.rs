//! Resources inside an existing allocation: they share its bytes, and its owner keeps it.
//!
//! Checked: that the driver does not require memory of the resource's own, the size, the alignment in the memory
//! object, the memory type, and that no page of `bufferImageGranularity` gets a neighbour of the other kind from
//! another allocation. Which resource's contents are valid when, the barriers between them, and which of them share a
//! page within the allocation, are the caller's: the allocator does not know the others.

use ash::vk;

use super::unsupported::{check_buffer, check_image};
use super::{Resource, Undo, kind_of};
use crate::allocator::{AliasError, Allocation, AllocationError, Allocator, PoolRef};
use crate::device::{DedicatedPreference, Requirements};
use crate::pool::Kind;
use crate::suballocator::align::{align_down, align_up};

impl Allocator {
    /// Creates a buffer inside an allocation, `offset` bytes from its start.
    ///
    /// # Errors
    /// `Unsupported`, `Resource`, or `Alias` where it does not fit or shares no memory; nothing is left behind.
    ///
    /// # Safety
    /// 1. `buffer_info` and its pNext chain are valid for the allocator's device.
    /// 2. The buffer is destroyed, with Vulkan, before the allocation is freed.
    /// 3. Accesses to resources that share bytes, or a page of `bufferImageGranularity` where their kinds differ, are
    ///    ordered by barriers (Vulkan specification, "Memory Aliasing", "Buffer-Image Granularity").
    pub unsafe fn create_aliasing_buffer(
        &self,
        buffer_info: &vk::BufferCreateInfo<'_>,
        allocation: &Allocation,
        offset: u64,
    ) -> Result<vk::Buffer, AllocationError> {
        // SAFETY: duty 1.
        unsafe { check_buffer(buffer_info, self.device().features()) }?;
        // SAFETY: duty 1.
        let buffer = unsafe { self.device().create_buffer(buffer_info) }?;
        self.place_inside(Resource::Buffer(buffer), Some(Kind::Linear), allocation, offset)?;
        Ok(buffer)
    }

    /// Creates an image inside an allocation, `offset` bytes from its start.
    ///
    /// Where the granularity is above 1, an image of optimal tiling fits only an allocation of the non-linear kind, or
    /// one that owns its pages.
    ///
    /// # Errors
    /// `Unsupported`, `Resource`, or `Alias` where it does not fit or shares no memory; nothing is left behind.
    ///
    /// # Safety
    /// 1. `image_info` and its pNext chain are valid for the allocator's device.
    /// 2. The image is destroyed, with Vulkan, before the allocation is freed.
    /// 3. Accesses to resources that share bytes, or a page of `bufferImageGranularity` where their kinds differ, are
    ///    ordered by barriers (Vulkan specification, "Memory Aliasing", "Buffer-Image Granularity").
    pub unsafe fn create_aliasing_image(
        &self,
        image_info: &vk::ImageCreateInfo<'_>,
        allocation: &Allocation,
        offset: u64,
    ) -> Result<vk::Image, AllocationError> {
        // SAFETY: duty 1.
        unsafe { check_image(image_info, self.device().features()) }?;
        // SAFETY: duty 1.
        let image = unsafe { self.device().create_image(image_info) }?;
        self.place_inside(Resource::Image(image), kind_of(image_info.tiling), allocation, offset)?;
        Ok(image)
    }

    fn place_inside(
        &self,
        resource: Resource,
        kind: Option<Kind>,
        allocation: &Allocation,
        offset: u64,
    ) -> Result<(), AllocationError> {
        let undo = Undo::new(self, resource);
        let requirements = resource.requirements(self);
        self.check_alias(&requirements, kind, allocation, offset)?;
        resource.bind(self, allocation, offset)?;
        undo.finish();
        Ok(())
    }

    /// # Source
    /// VUID-vkBindBufferMemory-buffer-01444 and VUID-vkBindImageMemory-image-01445: what requires a dedicated
    /// allocation is bound to nothing else.
    fn check_alias(
        &self,
        requirements: &Requirements,
        kind: Option<Kind>,
        allocation: &Allocation,
        offset: u64,
    ) -> Result<(), AliasError> {
        let Requirements { size, alignment, memory_type_bits, dedicated } = *requirements;
        if !self.owns(allocation) {
            return Err(AliasError::Foreign);
        }
        if dedicated == DedicatedPreference::Required {
            return Err(AliasError::RequiresDedicated);
        }
        let available = allocation.size();
        let end = offset.checked_add(size).filter(|&end| end <= available);
        end.ok_or(AliasError::DoesNotFit { offset, size, available })?;
        if memory_type_bits & (1 << allocation.memory_type_index()) == 0 {
            let memory_type_index = allocation.memory_type_index();
            return Err(AliasError::WrongMemoryType { memory_type_index, memory_type_bits });
        }
        let memory_offset = allocation.offset() + offset;
        if !memory_offset.is_multiple_of(alignment) {
            return Err(AliasError::Misaligned { offset: memory_offset, alignment });
        }
        if allocation.is_tied() {
            return Err(AliasError::Dedicated);
        }
        self.check_pages(kind, allocation, memory_offset, size)
    }

    /// Checks that no page is shared with a neighbour of the other kind. A neighbour is of the allocation's kind,
    /// unless the allocation owns its pages: a non-linear one does, but not where kinds have blocks of their own. What
    /// may be of either kind shares a page with neither.
    fn check_pages(
        &self,
        kind: Option<Kind>,
        allocation: &Allocation,
        offset: u64,
        size: u64,
    ) -> Result<(), AliasError> {
        let granularity = self.granularity();
        let is_rounded = |pool: PoolRef<'_>| pool.settings().class.kind.is_none();
        let owns_pages = allocation.is_dedicated()
            || (allocation.kind() == Kind::NonLinear
                && self.pools().get(allocation.pool_index()).is_some_and(is_rounded));
        if kind == Some(allocation.kind()) || owns_pages || granularity <= 1 {
            return Ok(());
        }
        let starts_inside = align_down(offset, granularity) >= allocation.offset();
        let end = allocation.offset() + allocation.size();
        let is_inside = starts_inside && align_up(offset + size, granularity).is_some_and(|page| page <= end);
        if is_inside { Ok(()) } else { Err(AliasError::SharedPage { granularity }) }
    }
}
