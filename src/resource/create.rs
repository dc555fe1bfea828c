//! The user's calls that create and destroy buffers and images.

use ash::vk;

use super::unsupported::{check_buffer, check_image};
use super::{Resource, Traits, kind_of};
use crate::allocator::{
    Allocation, AllocationCreateInfo, AllocationError, AllocationRequirements, Allocator, DeviceAddress, FreeError,
    FreeErrorReason,
};
use crate::pool::Kind;

impl Allocator {
    /// Creates a buffer, allocates memory for it and binds it.
    ///
    /// # Errors
    /// - `Unsupported` for sparse buffers, external memory, capture and replay, protected buffers or device addresses
    ///   whose feature was not declared: before anything is created.
    /// - `Resource` where creating or binding fails, else as [`allocate`](Self::allocate).
    ///
    /// Whatever fails, nothing is left behind.
    ///
    /// # Safety
    /// 1. `buffer_info` and its pNext chain are valid for the allocator's device
    ///    (VUID-vkCreateBuffer-pCreateInfo-parameter).
    /// 2. The GPU is done with the buffer before it is destroyed (VUID-vkDestroyBuffer-buffer-00922) **and before its
    ///    allocation is freed, by whatever call**: [`free`](Self::free) is safe and asks for nothing more. No Rust
    ///    reference overlaps bytes that the GPU writes.
    ///
    /// # Examples
    /// ```
    /// # use freestone::{sim, ash::vk, Allocator, AllocatorCreateInfo};
    /// use freestone::AllocationCreateInfo;
    ///
    /// # let vulkan = sim::SimDevice::new(sim::Profile::unified());
    /// # let info = AllocatorCreateInfo::new(vulkan.entry(), vulkan.instance(), vulkan.physical_device(), vulkan.device());
    /// # // SAFETY: the objects belong together and outlive the allocator.
    /// # let allocator = unsafe { Allocator::new(info) }?;
    /// let info = vk::BufferCreateInfo::default().size(1024).usage(vk::BufferUsageFlags::TRANSFER_SRC);
    /// // SAFETY: the create-info is valid; nothing is submitted to the GPU.
    /// let (buffer, mut memory) = unsafe { allocator.create_buffer(&info, &AllocationCreateInfo::upload()) }?;
    /// allocator.write(&mut memory, 0, &[1_u32, 2, 3])?;
    /// // SAFETY: the GPU has never seen the buffer.
    /// unsafe { allocator.destroy_buffer(buffer, memory) }?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub unsafe fn create_buffer(
        &self,
        buffer_info: &vk::BufferCreateInfo<'_>,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<(vk::Buffer, Allocation), AllocationError> {
        // SAFETY: duty 1.
        let needs = unsafe { check_buffer(buffer_info, self.device().features()) }?;
        // SAFETY: duty 1.
        let buffer = unsafe { self.device().create_buffer(buffer_info) }?;
        let traits = Traits { kind: Some(Kind::Linear), address: needs.address };
        let info = needs.adapt(info).for_buffer();
        let allocation = Resource::Buffer(buffer).furnish(self, traits, &info)?;
        Ok((buffer, allocation))
    }

    /// Creates an image, allocates memory for it and binds it.
    ///
    /// # Errors
    /// - `Unsupported` for sparse, disjoint and swapchain images, external memory, capture and replay, and protected
    ///   images whose feature was not declared: before anything is created.
    /// - `Resource` where creating or binding fails, else as [`allocate`](Self::allocate).
    ///
    /// Whatever fails, nothing is left behind.
    ///
    /// # Safety
    /// 1. `image_info` and its pNext chain are valid for the allocator's device
    ///    (VUID-vkCreateImage-pCreateInfo-parameter).
    /// 2. The GPU is done with the image before it is destroyed (VUID-vkDestroyImage-image-01000) **and before its
    ///    allocation is freed, by whatever call**: [`free`](Self::free) is safe and asks for nothing more. No Rust
    ///    reference overlaps bytes that the GPU writes.
    pub unsafe fn create_image(
        &self,
        image_info: &vk::ImageCreateInfo<'_>,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<(vk::Image, Allocation), AllocationError> {
        // SAFETY: duty 1.
        let needs = unsafe { check_image(image_info, self.device().features()) }?;
        // SAFETY: duty 1.
        let image = unsafe { self.device().create_image(image_info) }?;
        let traits = Traits { kind: kind_of(image_info.tiling), address: needs.address };
        let allocation = Resource::Image(image).furnish(self, traits, &needs.adapt(info))?;
        Ok((image, allocation))
    }

    /// Destroys a buffer and frees its memory. It works after device loss.
    ///
    /// # Errors
    /// `Foreign`: the allocation is handed back and the buffer is not destroyed. `Stale`: the buffer is.
    ///
    /// # Safety
    /// 1. The buffer is alive and belongs to the allocator's device.
    /// 2. The GPU is done with it (VUID-vkDestroyBuffer-buffer-00922) and with the memory
    ///    (VUID-vkFreeMemory-memory-00677).
    pub unsafe fn destroy_buffer(&self, buffer: vk::Buffer, allocation: Allocation) -> Result<(), FreeError> {
        self.destroy(Resource::Buffer(buffer), allocation)
    }

    /// Destroys an image and frees its memory. It works after device loss.
    ///
    /// # Errors
    /// `Foreign`: the allocation is handed back and the image is not destroyed. `Stale`: the image is.
    ///
    /// # Safety
    /// 1. The image is alive and belongs to the allocator's device.
    /// 2. The GPU is done with it (VUID-vkDestroyImage-image-01000) and with the memory
    ///    (VUID-vkFreeMemory-memory-00677).
    pub unsafe fn destroy_image(&self, image: vk::Image, allocation: Allocation) -> Result<(), FreeError> {
        self.destroy(Resource::Image(image), allocation)
    }

    /// Allocates memory that suits a buffer, and does not bind it.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    ///
    /// # Safety
    /// The buffer is alive, belongs to the allocator's device and stays unbound until memory made for it is bound. Once
    /// it is, the GPU is done with the buffer before its allocation is freed, by whatever call.
    pub unsafe fn allocate_for_buffer(
        &self,
        buffer: vk::Buffer,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        // Where device addresses are declared, every block carries the flag: nothing more is needed for them.
        let traits = Traits { kind: Some(Kind::Linear), address: DeviceAddress::NotNeeded };
        Resource::Buffer(buffer).allocate(self, traits, &info.for_buffer())
    }

    /// Allocates memory that suits an image, and does not bind it. Say `NonLinear` unless its tiling is linear; one
    /// with a DRM format modifier, which may be of either kind, wants [dedicated](AllocationCreateInfo::dedicated)
    /// memory besides where `bufferImageGranularity` is above 4096.
    ///
    /// # Errors
    /// As [`allocate`](Self::allocate).
    ///
    /// # Safety
    /// The image is alive, not disjoint, belongs to the allocator's device and stays unbound until memory made for it
    /// is bound. Once it is, the GPU is done with the image before its allocation is freed, by whatever call.
    pub unsafe fn allocate_for_image(
        &self,
        image: vk::Image,
        kind: Kind,
        info: &AllocationCreateInfo<'_>,
    ) -> Result<Allocation, AllocationError> {
        let traits = Traits { kind: Some(kind), address: DeviceAddress::NotNeeded };
        Resource::Image(image).allocate(self, traits, info)
    }

    /// Returns the address of a buffer for shaders; `None` where the feature `bufferDeviceAddress` was not declared.
    ///
    /// # Safety
    /// The buffer is alive, was created by this allocator with the usage `SHADER_DEVICE_ADDRESS`, and is bound
    /// (VUID-VkBufferDeviceAddressInfo-buffer-02600, -02601).
    pub unsafe fn buffer_device_address(&self, buffer: vk::Buffer) -> Option<vk::DeviceAddress> {
        // SAFETY: the caller's duty; memory of this allocator carries the flag where the feature was declared.
        unsafe { self.device().buffer_device_address(buffer) }
    }

    /// Returns what a buffer would require, without creating it; `None` before Vulkan 1.3 without
    /// `VK_KHR_maintenance4`. For [`plan`](Self::plan).
    ///
    /// # Errors
    /// `Unsupported`, as [`create_buffer`](Self::create_buffer).
    ///
    /// # Safety
    /// `buffer_info` and its pNext chain are valid for the allocator's device.
    pub unsafe fn requirements_of_buffer(
        &self,
        buffer_info: &vk::BufferCreateInfo<'_>,
    ) -> Result<Option<AllocationRequirements>, AllocationError> {
        // SAFETY: the caller's duty.
        let needs = unsafe { check_buffer(buffer_info, self.device().features()) }?;
        // SAFETY: the caller's duty.
        let reported = unsafe { self.device().future_buffer_requirements(buffer_info) };
        Ok(reported.map(|reported| AllocationRequirements::of_resource(&reported, Kind::Linear, needs.address)))
    }

    /// Returns what an image would require, without creating it; `None` before Vulkan 1.3 without
    /// `VK_KHR_maintenance4`, and for an image whose pNext chain holds `VkImageDrmFormatModifierExplicitCreateInfoEXT`
    /// or `VkImageSwapchainCreateInfoKHR`, which Vulkan answers for only once it exists. For [`plan`](Self::plan).
    ///
    /// # Errors
    /// `Unsupported`, as [`create_image`](Self::create_image).
    ///
    /// # Safety
    /// `image_info` and its pNext chain are valid for the allocator's device.
    ///
    /// # Source
    /// VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06416, -06776.
    pub unsafe fn requirements_of_image(
        &self,
        image_info: &vk::ImageCreateInfo<'_>,
    ) -> Result<Option<AllocationRequirements>, AllocationError> {
        // SAFETY: the caller's duty.
        let needs = unsafe { check_image(image_info, self.device().features()) }?;
        if needs.must_exist {
            return Ok(None);
        }
        // SAFETY: the caller's duty; disjoint images were refused above, and what has no answer ahead.
        let reported = unsafe { self.device().future_image_requirements(image_info) };
        let kind = kind_of(image_info.tiling);
        Ok(reported.map(|reported| self.requirements_for(&reported, kind, needs.address)))
    }

    /// Destroys a resource that its owner gives up, and frees its memory.
    pub(super) fn destroy(&self, resource: Resource, allocation: Allocation) -> Result<(), FreeError> {
        if !self.owns(&allocation) {
            return Err(FreeError { reason: FreeErrorReason::Foreign, allocation });
        }
        resource.destroy(self);
        self.free(allocation)
    }
}
