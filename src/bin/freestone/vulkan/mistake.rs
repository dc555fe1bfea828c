//! Deliberate mistakes, one for each kind of check that is asked of the layers. A layer that says nothing is not there.
//!
//! None of them makes a driver do anything undefined: a flush of coherent memory has no effect, the command buffer with
//! the hazard is never submitted, and a small dedicated allocation is only a bad habit.

use super::{Headless, Unavailable, failed};
use ash::vk;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Core validation: a flush that starts between two atoms.
    FlushOffTheAtom,
    /// Synchronisation validation: two fills of the same bytes with no barrier between them.
    UnsynchronisedWrites,
    /// Best practices: a small buffer with memory of its own.
    SmallDedicatedAllocation,
}

/// Bytes of the buffer that mistakes are made with: well below the MiB from which layers let a resource have memory of
/// its own.
const BUFFER_BYTES: u64 = 64 << 10;

impl Mistake {
    pub(crate) const ALL: [Self; 3] =
        [Self::FlushOffTheAtom, Self::UnsynchronisedWrites, Self::SmallDedicatedAllocation];

    /// Returns a part of the id that every generation of the layers gives to the mistake.
    pub(crate) fn message_id(self) -> &'static str {
        match self {
            Self::FlushOffTheAtom => "VUID-VkMappedMemoryRange-offset-00687",
            Self::UnsynchronisedWrites => "SYNC-HAZARD-WRITE",
            Self::SmallDedicatedAllocation => "small-dedicated-allocation",
        }
    }

    /// Makes every mistake and returns those that the layers did not hear. What validation heard before is forgotten:
    /// use a device of its own.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoLayers`] if no layer listens, [`Unavailable::Call`].
    pub(crate) fn unheard(headless: &Headless) -> Result<Vec<Self>, Unavailable> {
        let validation = headless.validation().ok_or(Unavailable::NoLayers)?;
        validation.take();
        SmallBuffer::create(headless)?.make_mistakes()?;
        let heard = validation.take();
        let is_unheard = |mistake: &Self| !heard.iter().any(|message| message.id.contains(mistake.message_id()));
        Ok(Self::ALL.into_iter().filter(is_unheard).collect())
    }
}

/// A small mapped buffer with memory of its own (the first mistake), on which the others are made.
struct SmallBuffer<'a> {
    device: &'a ash::Device,
    queue_family_index: u32,
    buffer: vk::Buffer,
    memory: vk::DeviceMemory,
    pool: vk::CommandPool,
}

impl<'a> SmallBuffer<'a> {
    fn create(headless: &'a Headless) -> Result<Self, Unavailable> {
        let device = &headless.device;
        let info = vk::BufferCreateInfo::default().size(BUFFER_BYTES).usage(vk::BufferUsageFlags::TRANSFER_DST);
        // SAFETY: `device` is alive and `info` is complete.
        let buffer = unsafe { device.create_buffer(&info, None) }.map_err(failed("vkCreateBuffer"))?;
        let mut small = Self {
            device,
            queue_family_index: headless.queue_family_index,
            buffer,
            memory: vk::DeviceMemory::null(),
            pool: vk::CommandPool::null(),
        };
        small.bind(headless)?;
        Ok(small)
    }

    fn bind(&mut self, headless: &Headless) -> Result<(), Unavailable> {
        // SAFETY: the buffer is this device's.
        let requirements = unsafe { self.device.get_buffer_memory_requirements(self.buffer) };
        let info = vk::MemoryAllocateInfo::default()
            .allocation_size(requirements.size)
            .memory_type_index(mappable_type(headless, requirements.memory_type_bits)?);
        // SAFETY: size and type are those that the buffer requires.
        self.memory = unsafe { self.device.allocate_memory(&info, None) }.map_err(failed("vkAllocateMemory"))?;
        // SAFETY: the memory is the buffer's alone, large enough, of its type, and offset 0 is aligned.
        unsafe { self.device.bind_buffer_memory(self.buffer, self.memory, 0) }.map_err(failed("vkBindBufferMemory"))
    }

    fn make_mistakes(mut self) -> Result<(), Unavailable> {
        self.flush_off_the_atom()?;
        self.write_twice()
    }

    fn flush_off_the_atom(&self) -> Result<(), Unavailable> {
        // SAFETY: the memory is host-visible and not mapped. Freeing it will unmap it.
        unsafe { self.device.map_memory(self.memory, 0, vk::WHOLE_SIZE, vk::MemoryMapFlags::empty()) }
            .map_err(failed("vkMapMemory"))?;
        let range = vk::MappedMemoryRange::default().memory(self.memory).offset(1).size(vk::WHOLE_SIZE);
        // SAFETY: deliberately not: the offset is no multiple of the atom. Drivers round or ignore it. Whether the call
        // succeeds is not what is asked here.
        let _ = unsafe { self.device.flush_mapped_memory_ranges(&[range]) };
        Ok(())
    }

    fn write_twice(&mut self) -> Result<(), Unavailable> {
        let info = vk::CommandPoolCreateInfo::default().queue_family_index(self.queue_family_index);
        // SAFETY: the device was created with a queue of this family.
        self.pool = unsafe { self.device.create_command_pool(&info, None) }.map_err(failed("vkCreateCommandPool"))?;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        // SAFETY: the pool was created above and is used by this thread only.
        let commands =
            unsafe { self.device.allocate_command_buffers(&info) }.map_err(failed("vkAllocateCommandBuffers"))?[0];
        let info = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the command buffer is new.
        unsafe { self.device.begin_command_buffer(commands, &info) }.map_err(failed("vkBeginCommandBuffer"))?;
        for value in [1, 2] {
            // SAFETY: recording, into a bound buffer made for transfers. That the second write does not wait for the
            // first is the mistake; the command buffer is never submitted.
            unsafe {
                self.device.cmd_fill_buffer(commands, self.buffer, 0, BUFFER_BYTES, value);
            };
        }
        // SAFETY: the command buffer is recording.
        unsafe { self.device.end_command_buffer(commands) }.map_err(failed("vkEndCommandBuffer"))
    }
}

impl Drop for SmallBuffer<'_> {
    fn drop(&mut self) {
        // SAFETY: null or created by `write_twice`; nothing of it was submitted.
        unsafe { self.device.destroy_command_pool(self.pool, None) };
        // SAFETY: created by `create`, and no submitted work uses it.
        unsafe { self.device.destroy_buffer(self.buffer, None) };
        // SAFETY: null or allocated by `bind`; the buffer bound to it is gone.
        unsafe { self.device.free_memory(self.memory, None) };
    }
}

/// Returns the first host-visible memory type among `type_bits`.
fn mappable_type(headless: &Headless, type_bits: u32) -> Result<u32, Unavailable> {
    // SAFETY: the physical device is one of this instance's.
    let memory = unsafe { headless.instance.raw.get_physical_device_memory_properties(headless.physical_device) };
    let is_mappable = |&index: &u32| {
        let flags = memory.memory_types[index as usize].property_flags;
        type_bits & (1 << index) != 0 && flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE)
    };
    (0..memory.memory_type_count)
        .find(is_mappable)
        .ok_or(Unavailable::Call { call: "choosing mappable memory", result: vk::Result::ERROR_FEATURE_NOT_PRESENT })
}
