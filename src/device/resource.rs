//! Buffers and images: making them, asking what memory they need, and binding it.
//!
//! Whether a resource wants memory of its own is asked for where Vulkan can say (1.1, or
//! `VK_KHR_dedicated_allocation`); elsewhere the answer is [`DedicatedPreference::None`]. All of these take handles or
//! create-infos that only the caller can vouch for, and are unsafe.
//!
//! # Source
//! Vulkan specification, "Resource Memory Association".

use ash::vk;

use super::{Device, DriverError};

/// Whether the driver wants a resource to have memory of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DedicatedPreference {
    /// It does not care, or cannot say.
    #[default]
    None,
    /// It expects better performance so.
    Preferred,
    /// It accepts nothing else.
    Required,
}

impl DedicatedPreference {
    /// Reads the driver's answer; a requirement outweighs a preference.
    fn of(answer: &vk::MemoryDedicatedRequirements<'_>) -> Self {
        if answer.requires_dedicated_allocation != vk::FALSE {
            Self::Required
        } else if answer.prefers_dedicated_allocation != vk::FALSE {
            Self::Preferred
        } else {
            Self::None
        }
    }
}

/// What memory a resource needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Requirements {
    /// Bytes.
    pub(crate) size: u64,
    /// What its offset must be a multiple of, in bytes; at least 1.
    pub(crate) alignment: u64,
    /// The memory types that it may lie in, one bit each.
    pub(crate) memory_type_bits: u32,
    /// Whether it wants memory of its own.
    pub(crate) dedicated: DedicatedPreference,
}

impl Requirements {
    fn new(reported: &vk::MemoryRequirements, dedicated: DedicatedPreference) -> Self {
        Self {
            size: reported.size,
            alignment: reported.alignment.max(1),
            memory_type_bits: reported.memory_type_bits,
            dedicated,
        }
    }
}

/// Asks for requirements through a command of the second kind: `ask` gets the structure that the driver fills.
///
/// `chain` says whether the wish for dedicated memory can be asked for too.
fn query(has_dedicated: bool, ask: impl FnOnce(&mut vk::MemoryRequirements2<'_>)) -> Requirements {
    let mut dedicated = vk::MemoryDedicatedRequirements::default();
    let mut requirements = vk::MemoryRequirements2::default();
    if has_dedicated {
        requirements = requirements.push_next(&mut dedicated);
    }
    ask(&mut requirements);
    let reported = requirements.memory_requirements;
    Requirements::new(&reported, DedicatedPreference::of(&dedicated))
}

impl Device {
    /// Creates a buffer, without memory.
    ///
    /// # Errors
    /// What the driver answered.
    ///
    /// # Safety
    /// `info` and all that it points to are valid for this device.
    pub(crate) unsafe fn create_buffer(&self, info: &vk::BufferCreateInfo<'_>) -> Result<vk::Buffer, DriverError> {
        let mut buffer = vk::Buffer::null();
        // SAFETY: the device is alive (Device::new, duty 1); the caller vouches for `info`; the target is a local.
        let result = unsafe { (self.commands.create_buffer)(self.handle, info, self.callbacks(), &raw mut buffer) };
        DriverError::check("vkCreateBuffer", result)?;
        Ok(buffer)
    }

    /// Destroys a buffer; a null handle is ignored.
    ///
    /// # Safety
    /// 1. `buffer` is null, or was created by [`Device::create_buffer`] of this device and not destroyed since.
    /// 2. The GPU is done with it.
    pub(crate) unsafe fn destroy_buffer(&self, buffer: vk::Buffer) {
        // SAFETY: the caller's duties 1 and 2; the callbacks are those that it was created with.
        unsafe { (self.commands.destroy_buffer)(self.handle, buffer, self.callbacks()) }
    }

    /// Creates an image, without memory.
    ///
    /// # Errors
    /// What the driver answered.
    ///
    /// # Safety
    /// `info` and all that it points to are valid for this device.
    pub(crate) unsafe fn create_image(&self, info: &vk::ImageCreateInfo<'_>) -> Result<vk::Image, DriverError> {
        let mut image = vk::Image::null();
        // SAFETY: the device is alive (Device::new, duty 1); the caller vouches for `info`; the target is a local.
        let result = unsafe { (self.commands.create_image)(self.handle, info, self.callbacks(), &raw mut image) };
        DriverError::check("vkCreateImage", result)?;
        Ok(image)
    }

    /// Destroys an image; a null handle is ignored.
    ///
    /// # Safety
    /// 1. `image` is null, or was created by [`Device::create_image`] of this device and not destroyed since.
    /// 2. The GPU is done with it.
    pub(crate) unsafe fn destroy_image(&self, image: vk::Image) {
        // SAFETY: the caller's duties 1 and 2; the callbacks are those that it was created with.
        unsafe { (self.commands.destroy_image)(self.handle, image, self.callbacks()) }
    }

    /// Asks what memory a buffer needs.
    ///
    /// # Safety
    /// `buffer` is alive and belongs to this device.
    pub(crate) unsafe fn buffer_requirements(&self, buffer: vk::Buffer) -> Requirements {
        let Some(command) = self.commands.buffer_requirements2 else {
            let mut reported = vk::MemoryRequirements::default();
            // SAFETY: the caller vouches for the buffer; the target is a local.
            unsafe { (self.commands.buffer_requirements)(self.handle, buffer, &raw mut reported) };
            return Requirements::new(&reported, DedicatedPreference::None);
        };
        let info = vk::BufferMemoryRequirementsInfo2::default().buffer(buffer);
        query(self.has_dedicated_allocation(), |requirements| {
            // SAFETY: the caller vouches for the buffer; the command is there, so its structures are known.
            unsafe { command(self.handle, &raw const info, requirements) }
        })
    }

    /// Asks what memory an image needs. Images with disjoint planes have no answer here.
    ///
    /// # Safety
    /// `image` is alive, belongs to this device, and was not created with `DISJOINT`.
    pub(crate) unsafe fn image_requirements(&self, image: vk::Image) -> Requirements {
        let Some(command) = self.commands.image_requirements2 else {
            let mut reported = vk::MemoryRequirements::default();
            // SAFETY: the caller vouches for the image; the target is a local.
            unsafe { (self.commands.image_requirements)(self.handle, image, &raw mut reported) };
            return Requirements::new(&reported, DedicatedPreference::None);
        };
        let info = vk::ImageMemoryRequirementsInfo2::default().image(image);
        query(self.has_dedicated_allocation(), |requirements| {
            // SAFETY: the caller vouches for the image; the command is there, so its structures are known.
            unsafe { command(self.handle, &raw const info, requirements) }
        })
    }

    /// Asks what memory a buffer would need, without creating it; `None` where Vulkan cannot say (before 1.3, without
    /// `VK_KHR_maintenance4`).
    ///
    /// # Safety
    /// `info` and all that it points to are valid for this device.
    pub(crate) unsafe fn future_buffer_requirements(&self, info: &vk::BufferCreateInfo<'_>) -> Option<Requirements> {
        let command = self.commands.future_buffer_requirements?;
        let info = vk::DeviceBufferMemoryRequirements::default().create_info(info);
        Some(query(self.has_dedicated_allocation(), |requirements| {
            // SAFETY: the caller vouches for the create-info, which outlives the call.
            unsafe { command(self.handle, &raw const info, requirements) }
        }))
    }

    /// Asks what memory an image would need, without creating it; see [`Device::future_buffer_requirements`].
    ///
    /// # Safety
    /// `info` and all that it points to are valid for this device, and it does not ask for disjoint planes. Neither a
    /// swapchain nor the layout of a DRM format modifier is chained
    /// (VUID-VkDeviceImageMemoryRequirements-pCreateInfo-06416, -06776).
    pub(crate) unsafe fn future_image_requirements(&self, info: &vk::ImageCreateInfo<'_>) -> Option<Requirements> {
        let command = self.commands.future_image_requirements?;
        let info = vk::DeviceImageMemoryRequirements::default().create_info(info);
        Some(query(self.has_dedicated_allocation(), |requirements| {
            // SAFETY: the caller vouches for the create-info, which outlives the call.
            unsafe { command(self.handle, &raw const info, requirements) }
        }))
    }

    /// Binds memory to a buffer, once and for good.
    ///
    /// # Errors
    /// What the driver answered.
    ///
    /// # Safety
    /// 1. `buffer` and `memory` are alive, belong to this device, and the buffer has no memory yet.
    /// 2. `offset` and the memory's type and size meet the buffer's requirements.
    pub(crate) unsafe fn bind_buffer_memory(
        &self,
        buffer: vk::Buffer,
        memory: vk::DeviceMemory,
        offset: u64,
    ) -> Result<(), DriverError> {
        // SAFETY: the caller's duties 1 and 2.
        let result = unsafe { (self.commands.bind_buffer)(self.handle, buffer, memory, offset) };
        DriverError::check("vkBindBufferMemory", result)
    }

    /// Binds memory to an image, once and for good.
    ///
    /// # Errors
    /// What the driver answered.
    ///
    /// # Safety
    /// 1. `image` and `memory` are alive, belong to this device, and the image has no memory yet.
    /// 2. `offset` and the memory's type and size meet the image's requirements.
    pub(crate) unsafe fn bind_image_memory(
        &self,
        image: vk::Image,
        memory: vk::DeviceMemory,
        offset: u64,
    ) -> Result<(), DriverError> {
        // SAFETY: the caller's duties 1 and 2.
        let result = unsafe { (self.commands.bind_image)(self.handle, image, memory, offset) };
        DriverError::check("vkBindImageMemory", result)
    }

    /// Returns the device address of a buffer; `None` where the feature was not declared.
    ///
    /// # Safety
    /// `buffer` is alive, belongs to this device, has the usage `SHADER_DEVICE_ADDRESS`, and is bound to memory that
    /// was allocated for device addresses.
    pub(crate) unsafe fn buffer_device_address(&self, buffer: vk::Buffer) -> Option<vk::DeviceAddress> {
        let command = self.commands.buffer_device_address.filter(|_| self.features.buffer_device_address)?;
        let info = vk::BufferDeviceAddressInfo::default().buffer(buffer);
        // SAFETY: the feature was declared (checked above); the caller vouches for the buffer.
        Some(unsafe { command(self.handle, &raw const info) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_outweighs_a_preference() {
        let answer = |prefers, requires| {
            let answer = vk::MemoryDedicatedRequirements::default();
            DedicatedPreference::of(
                &answer.prefers_dedicated_allocation(prefers).requires_dedicated_allocation(requires),
            )
        };
        assert_eq!(answer(false, false), DedicatedPreference::None);
        assert_eq!(answer(true, false), DedicatedPreference::Preferred);
        assert_eq!(answer(true, true), DedicatedPreference::Required);
        assert_eq!(answer(false, true), DedicatedPreference::Required);
    }

    #[test]
    fn an_alignment_of_zero_is_one() {
        let requirements = Requirements::new(&vk::MemoryRequirements::default(), DedicatedPreference::None);
        assert_eq!(requirements.alignment, 1);
    }
}
