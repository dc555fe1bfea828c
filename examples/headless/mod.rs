//! What the examples need of Vulkan beside memory: a device without a window, one submission at a time, a verdict.
//!
//! An application has all of this anyway, so nothing here is of interest to who wants to see the allocator at work.

#[path = "../../src/bin/freestone/vulkan/mod.rs"]
pub(crate) mod vulkan;

use std::error::Error;
use std::process::ExitCode;

use freestone::ash::{self, vk};
use freestone::sim::{self, SimDevice};
use freestone::{AllocatorCreateInfo, Features};

use vulkan::{Headless, Layers};

/// What an application holds of Vulkan, whatever the driver.
pub(crate) struct Vulkan<'a> {
    pub(crate) entry: &'a ash::Entry,
    pub(crate) instance: &'a ash::Instance,
    pub(crate) physical_device: vk::PhysicalDevice,
    pub(crate) device: &'a ash::Device,
    pub(crate) queue: vk::Queue,
    pub(crate) queue_family_index: u32,
    pub(crate) api_version: u32,
    pub(crate) features: Features,
}

impl<'a> Vulkan<'a> {
    /// Takes what a real driver gave.
    pub(crate) fn of(headless: &'a Headless) -> Self {
        let enabled = &headless.enabled;
        let features = Features {
            buffer_device_address: enabled.buffer_device_address,
            memory_priority: enabled.memory_priority,
            device_coherent_memory: enabled.device_coherent_memory,
            maintenance4: enabled.maintenance4,
            dedicated_allocation: enabled.has(ash::khr::dedicated_allocation::NAME),
            ..Features::default()
        };
        Self {
            entry: &headless.instance.entry,
            instance: &headless.instance.raw,
            physical_device: headless.physical_device,
            device: &headless.device,
            queue: headless.queue,
            queue_family_index: headless.queue_family_index,
            api_version: enabled.api_version,
            features,
        }
    }

    /// Takes what the simulated driver gave.
    #[allow(dead_code, reason = "the compute example needs a driver that runs shaders")]
    pub(crate) fn of_simulated(simulated: &'a SimDevice) -> Self {
        let has = |feature| simulated.features().contains(feature);
        Self {
            entry: simulated.entry(),
            instance: simulated.instance(),
            physical_device: simulated.physical_device(),
            device: simulated.device(),
            queue: simulated.queue(),
            queue_family_index: 0,
            api_version: simulated.api_version(),
            features: Features {
                buffer_device_address: has(sim::Features::BUFFER_DEVICE_ADDRESS),
                memory_priority: has(sim::Features::MEMORY_PRIORITY),
                ..Features::default()
            },
        }
    }

    /// Says to an allocator what it is for, and which version and features the device was created with.
    pub(crate) fn allocator_info(&self) -> AllocatorCreateInfo<'a> {
        AllocatorCreateInfo::new(self.entry, self.instance, self.physical_device, self.device)
            .api_version(self.api_version)
            .features(self.features)
    }

    /// Records commands, submits them and waits until the device has carried them out.
    ///
    /// # Errors
    /// The first call of Vulkan that fails; the device is idle then, or lost.
    pub(crate) fn submit(&self, record: impl FnOnce(&ash::Device, vk::CommandBuffer)) -> Result<(), vk::Result> {
        let pool_info = vk::CommandPoolCreateInfo::default().queue_family_index(self.queue_family_index);
        // SAFETY: the device has a queue of this family.
        let pool = unsafe { self.device.create_command_pool(&pool_info, None) }?;
        let result = self.submit_from(pool, record);
        // SAFETY: what was submitted is complete: `submit_from` waits, whatever happens.
        unsafe { self.device.destroy_command_pool(pool, None) };
        result
    }

    fn submit_from(
        &self,
        pool: vk::CommandPool,
        record: impl FnOnce(&ash::Device, vk::CommandBuffer),
    ) -> Result<(), vk::Result> {
        let device = self.device;
        let info = vk::CommandBufferAllocateInfo::default().command_pool(pool).command_buffer_count(1);
        // SAFETY: the pool is used by this thread only.
        let commands = unsafe { device.allocate_command_buffers(&info) }?;
        let once = vk::CommandBufferBeginInfo::default().flags(vk::CommandBufferUsageFlags::ONE_TIME_SUBMIT);
        // SAFETY: the command buffer is new.
        unsafe { device.begin_command_buffer(commands[0], &once) }?;
        record(device, commands[0]);
        // SAFETY: the command buffer is recording.
        unsafe { device.end_command_buffer(commands[0]) }?;
        let submits = [vk::SubmitInfo::default().command_buffers(&commands)];
        // SAFETY: the queue is used by this thread only; the command buffer is complete.
        unsafe { device.queue_submit(self.queue, &submits, vk::Fence::null()) }?;
        // SAFETY: the queue belongs to the device.
        unsafe { device.queue_wait_idle(self.queue) }
    }
}

/// Makes writes of earlier commands visible to later ones, and at last to the host.
#[allow(dead_code, reason = "the renderer has barriers of its own")]
pub(crate) fn memory_barrier(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    (from, written): (vk::PipelineStageFlags, vk::AccessFlags),
    (to, used): (vk::PipelineStageFlags, vk::AccessFlags),
) {
    let barriers = [vk::MemoryBarrier::default().src_access_mask(written).dst_access_mask(used)];
    // SAFETY: recording, outside a render pass.
    unsafe {
        device.cmd_pipeline_barrier(commands, from, to, vk::DependencyFlags::empty(), &barriers, &[], &[]);
    };
}

/// Moves a colour image of one level from a layout to another, between two transfers.
#[allow(dead_code, reason = "the renderer has barriers of its own")]
pub(crate) fn move_layout(
    device: &ash::Device,
    commands: vk::CommandBuffer,
    image: vk::Image,
    (old, new): (vk::ImageLayout, vk::ImageLayout),
) {
    let whole =
        vk::ImageSubresourceRange::default().aspect_mask(vk::ImageAspectFlags::COLOR).level_count(1).layer_count(1);
    let fresh = old == vk::ImageLayout::UNDEFINED;
    let (written, used) = if fresh {
        (vk::AccessFlags::empty(), vk::AccessFlags::TRANSFER_WRITE)
    } else {
        (vk::AccessFlags::TRANSFER_WRITE, vk::AccessFlags::TRANSFER_READ)
    };
    let barriers = [vk::ImageMemoryBarrier::default()
        .image(image)
        .subresource_range(whole)
        .old_layout(old)
        .new_layout(new)
        .src_access_mask(written)
        .dst_access_mask(used)
        .src_queue_family_index(vk::QUEUE_FAMILY_IGNORED)
        .dst_queue_family_index(vk::QUEUE_FAMILY_IGNORED)];
    let transfer = vk::PipelineStageFlags::TRANSFER;
    // SAFETY: recording, outside a render pass; the image is alive.
    unsafe {
        device.cmd_pipeline_barrier(commands, transfer, transfer, vk::DependencyFlags::empty(), &[], &[], &barriers);
    };
}

/// Runs an example on a device and turns what came of it into an exit code.
///
/// Fails where the example fails, where the validation layers spoke, and, if they are required, where an exception in
/// the table of forgiven messages was not needed.
pub(crate) fn run_on(
    headless: Headless,
    layers: Layers,
    example: impl FnOnce(&Headless) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let outcome = example(&headless);
    let mut is_good = outcome.is_ok();
    if let Err(error) = outcome {
        eprintln!("error: {error}");
    }
    if let Some(validation) = headless.close() {
        validation.print();
        is_good &= validation.count() == 0;
        let unused = validation.unused_exceptions();
        if layers == Layers::Required && !unused.is_empty() {
            eprintln!("error: exceptions that are no longer needed: {unused:#?}");
            is_good = false;
        }
        if is_good {
            println!("The validation layers listened and had nothing to say.");
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads `--require-validation`, the option that all examples have.
pub(crate) fn layers_wanted(arguments: &[String]) -> Layers {
    let is_required = arguments.iter().any(|argument| argument == "--require-validation");
    if is_required { Layers::Required } else { Layers::IfPresent }
}
