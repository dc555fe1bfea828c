//! An allocator on a simulated device with a command pool, and shorthands for resources and submissions.

use ash::vk;
use freestone::sim::{Control, Profile};
use freestone::{Allocation, AllocationCreateInfo, Allocator, Buffer};

use crate::common::Rig;

pub(crate) struct Stage {
    pub(crate) rig: Rig,
    pool: vk::CommandPool,
}

/// Returns a device without coherent memory: uploads have to be flushed too.
pub(crate) fn incoherent() -> Profile {
    let mut profile = Profile::noncoherent();
    "incoherent".clone_into(&mut profile.name);
    for memory_type in &mut profile.memory_types {
        memory_type.property_flags &= !vk::MemoryPropertyFlags::HOST_COHERENT;
    }
    profile
}

/// Lists the built-in devices and the one without coherent memory.
pub(crate) fn profiles() -> Vec<Profile> {
    Profile::all().into_iter().chain([incoherent()]).collect()
}

/// Returns bytes that differ by seed and by place.
pub(crate) fn pattern(seed: u64, len: u64) -> Vec<u8> {
    let mut random = crate::common::Random(seed);
    (0..len).map(|_| random.next().to_le_bytes()[3]).collect()
}

impl Stage {
    pub(crate) fn new(profile: Profile) -> Self {
        let rig = Rig::new(profile);
        // SAFETY: the device has a queue family 0.
        let pool = unsafe { rig.vulkan.device().create_command_pool(&vk::CommandPoolCreateInfo::default(), None) };
        Self { pool: pool.expect("a command pool"), rig }
    }

    pub(crate) fn allocator(&self) -> &Allocator {
        &self.rig
    }

    pub(crate) fn control(&self) -> &Control {
        self.rig.control()
    }

    pub(crate) fn buffer(&self, size: u64) -> Buffer<&Allocator> {
        let usage = vk::BufferUsageFlags::TRANSFER_DST | vk::BufferUsageFlags::TRANSFER_SRC;
        let info = vk::BufferCreateInfo::default().size(size).usage(usage);
        // SAFETY: the create-info is valid; the simulated device is done whenever a submission returns.
        unsafe { Buffer::new(&*self.rig, &info, &AllocationCreateInfo::gpu_only()) }.expect("a buffer")
    }

    pub(crate) fn buffer_in(&self, size: u64, info: &AllocationCreateInfo<'_>) -> (vk::Buffer, Allocation) {
        let usage = vk::BufferUsageFlags::TRANSFER_DST | vk::BufferUsageFlags::TRANSFER_SRC;
        let create_info = vk::BufferCreateInfo::default().size(size).usage(usage);
        // SAFETY: as above.
        unsafe { self.rig.create_buffer(&create_info, info) }.expect("a buffer")
    }

    pub(crate) fn destroy(&self, (buffer, memory): (vk::Buffer, Allocation)) {
        // SAFETY: the simulated device is done whenever a submission returns.
        unsafe { self.rig.destroy_buffer(buffer, memory) }.expect("it is alive");
    }

    /// Begins a command buffer.
    pub(crate) fn begin(&self) -> vk::CommandBuffer {
        let info = vk::CommandBufferAllocateInfo::default().command_pool(self.pool).command_buffer_count(1);
        let device = self.rig.vulkan.device();
        // SAFETY: the pool is alive.
        let commands = unsafe { device.allocate_command_buffers(&info) }.expect("a command buffer")[0];
        // SAFETY: it is new.
        unsafe { device.begin_command_buffer(commands, &vk::CommandBufferBeginInfo::default()) }.expect("recording");
        commands
    }

    /// Ends a command buffer; it can be run later.
    pub(crate) fn end(&self, commands: vk::CommandBuffer) {
        // SAFETY: it is recording.
        unsafe { self.rig.vulkan.device().end_command_buffer(commands) }.expect("recorded");
    }

    /// Submits what was ended, and waits for it.
    pub(crate) fn execute(&self, commands: vk::CommandBuffer) {
        let buffers = [commands];
        let submits = [vk::SubmitInfo::default().command_buffers(&buffers)];
        let vulkan = &self.rig.vulkan;
        // SAFETY: what was recorded is valid, or the simulated device says that it is not.
        unsafe { vulkan.device().queue_submit(vulkan.queue(), &submits, vk::Fence::null()) }.expect("submitted");
        // SAFETY: the queue is the device's. Until somebody waits, the driver takes everything for being in use.
        unsafe { vulkan.device().queue_wait_idle(vulkan.queue()) }.expect("done");
        self.forget(commands);
    }

    /// Ends, submits and frees.
    pub(crate) fn run(&self, commands: vk::CommandBuffer) {
        self.end(commands);
        self.execute(commands);
    }

    /// Frees a command buffer.
    pub(crate) fn forget(&self, commands: vk::CommandBuffer) {
        // SAFETY: it is of the pool, and the simulated device is done with it.
        unsafe { self.rig.vulkan.device().free_command_buffers(self.pool, &[commands]) };
    }

    /// Reads a whole buffer back, by hand.
    pub(crate) fn read(&self, buffer: vk::Buffer, size: u64) -> Vec<u8> {
        let (into, memory) = self.buffer_in(size, &AllocationCreateInfo::readback());
        let commands = self.begin();
        let region = vk::BufferCopy { src_offset: 0, dst_offset: 0, size };
        // SAFETY: recording; both buffers are alive and hold the region.
        unsafe { self.rig.vulkan.device().cmd_copy_buffer(commands, buffer, into, &[region]) };
        self.run(commands);
        let mut bytes = vec![0; usize::try_from(size).expect("small")];
        // SAFETY: the simulated device has written every byte.
        unsafe { self.rig.read(&memory, 0, &mut bytes) }.expect("mapped");
        self.destroy((into, memory));
        bytes
    }

    /// Ends a test: no wrong use, no leak.
    #[track_caller]
    pub(crate) fn finish(self) {
        // SAFETY: nothing of the pool is in use.
        unsafe { self.rig.vulkan.device().destroy_command_pool(self.pool, None) };
        self.rig.finish();
    }
}
