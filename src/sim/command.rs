//! Entry points of command pools and command buffers, and the commands that are recorded.
//!
//! ```text
//!   initial ──begin──► recording ──end──► executable ──submit──► (executed at once) executable
//!      ▲                                      │
//!      └────────────── reset, begin ──────────┘
//! ```
//!
//! A command buffer's shell is dispatchable and stays until its device's instance is destroyed; what is recorded lives
//! in the world under a generation-checked handle, so a command buffer that was freed is found out.

use super::barrier::{BufferBarrier, ImageBarrier};
use super::callbacks::{CallbackRules, HostShadow};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, CommandBufferObject, DeviceObject, Mode, loader_word};
use super::pnext::array;
use super::world::{ResourceId, World};
use ash::vk;
use ash::vk::Handle;
use core::mem::MaybeUninit;
use std::collections::BTreeMap;
use std::sync::Arc;

const POOL_CALLBACKS: CallbackRules = CallbackRules {
    given: "VUID-vkDestroyCommandPool-commandPool-00042",
    none: "VUID-vkDestroyCommandPool-commandPool-00043",
};

/// One `VkCommandPool`.
pub(super) struct CommandPool {
    pub(super) shadow: HostShadow,
}

/// Life of a command buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Initial,
    Recording,
    Executable,
}

/// One `VkCommandBuffer`.
pub(super) struct CommandBuffer {
    pub(super) pool: u64,
    pub(super) state: Stage,
    pub(super) commands: Vec<Command>,
    /// Descriptor sets that are bound for dispatches, by number.
    pub(super) sets: BTreeMap<u32, u64>,
}

impl CommandBuffer {
    /// Forgets what was recorded.
    fn clear(&mut self) {
        self.commands.clear();
        self.sets.clear();
    }
}

/// A command that names resources; all others are accepted and forgotten.
#[derive(Clone, Debug)]
pub(super) enum Command {
    CopyBuffer { source: u64, destination: u64, regions: Vec<vk::BufferCopy> },
    FillBuffer { destination: u64, offset: u64, size: u64, word: u32 },
    UpdateBuffer { destination: u64, offset: u64, bytes: Vec<u8> },
    CopyBufferToImage { buffer: u64, image: u64, regions: Vec<vk::BufferImageCopy> },
    CopyImageToBuffer { image: u64, buffer: u64, regions: Vec<vk::BufferImageCopy> },
    ClearImage { image: u64, word: u32, ranges: Vec<vk::ImageSubresourceRange> },
    Barriers { function: Function, buffers: Vec<BufferBarrier>, images: Vec<ImageBarrier> },
    Dispatch { sets: Vec<u64> },
}

impl Command {
    /// Returns the resources that the command uses.
    pub(super) fn uses(&self, world: &World) -> Vec<ResourceId> {
        let buffer = |handle: &u64| ResourceId { kind: ObjectKind::Buffer, handle: *handle };
        let image = |handle: &u64| ResourceId { kind: ObjectKind::Image, handle: *handle };
        match self {
            Self::CopyBuffer { source, destination, .. } => vec![buffer(source), buffer(destination)],
            Self::FillBuffer { destination, .. } | Self::UpdateBuffer { destination, .. } => vec![buffer(destination)],
            Self::CopyBufferToImage { buffer: from, image: to, .. } => vec![buffer(from), image(to)],
            Self::CopyImageToBuffer { image: from, buffer: to, .. } => vec![image(from), buffer(to)],
            Self::ClearImage { image: cleared, .. } => vec![image(cleared)],
            Self::Barriers { buffers, images, .. } => {
                let buffers = buffers.iter().map(|barrier| buffer(&barrier.buffer));
                buffers.chain(images.iter().map(|barrier| image(&barrier.image))).collect()
            }
            Self::Dispatch { sets } => world.named_by(sets),
        }
    }

    /// Returns the function that recorded the command.
    pub(super) fn function(&self) -> Function {
        match self {
            Self::CopyBuffer { .. } => Function::CmdCopyBuffer,
            Self::FillBuffer { .. } => Function::CmdFillBuffer,
            Self::UpdateBuffer { .. } => Function::CmdUpdateBuffer,
            Self::CopyBufferToImage { .. } => Function::CmdCopyBufferToImage,
            Self::CopyImageToBuffer { .. } => Function::CmdCopyImageToBuffer,
            Self::ClearImage { .. } => Function::CmdClearColorImage,
            Self::Barriers { function, .. } => *function,
            Self::Dispatch { .. } => Function::CmdDispatch,
        }
    }
}

pub(super) extern "system" fn create_pool(
    device: &DeviceObject,
    _: &vk::CommandPoolCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    pool: &mut MaybeUninit<vk::CommandPool>,
) -> vk::Result {
    pool.write(vk::CommandPool::null());
    device.call(Ask::new(Function::CreateCommandPool), || {
        let shadow = match HostShadow::take(device.state(), Function::CreateCommandPool, callbacks) {
            Ok(shadow) => shadow,
            Err(result) => return result,
        };
        let Some(handle) = device.world().command_pools.insert(CommandPool { shadow }) else {
            return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
        };
        device.state().born(ObjectKind::CommandPool);
        pool.write(vk::CommandPool::from_raw(handle));
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn destroy_pool(
    device: &DeviceObject,
    pool: vk::CommandPool,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let function = Function::DestroyCommandPool;
    device.call(Ask::new(function), || {
        if pool == vk::CommandPool::null() {
            return;
        }
        let removed = device.world().command_pools.remove(pool.as_raw());
        match removed {
            Err(bad) => device.violate(
                "VUID-vkDestroyCommandPool-commandPool-parameter",
                function,
                format!("command pool {pool:?} {bad}"),
            ),
            Ok(object) => {
                drop_buffers(device, pool.as_raw());
                device.world().forget(pool.as_raw());
                device.state().died(ObjectKind::CommandPool, 1);
                object.shadow.give_back(device.state(), function, callbacks, POOL_CALLBACKS);
            }
        }
    });
}

/// Frees every command buffer of a pool.
fn drop_buffers(device: &DeviceObject, pool: u64) {
    let mut world = device.world();
    let of_pool = world.command_buffers.iter().filter(|(_, buffer)| buffer.pool == pool);
    let handles: Vec<u64> = of_pool.map(|(handle, _)| handle).collect();
    for handle in &handles {
        let _ = world.command_buffers.remove(*handle);
    }
    device.state().died(ObjectKind::CommandBuffer, handles.len() as u64);
}

pub(super) extern "system" fn reset_pool(
    device: &DeviceObject,
    pool: vk::CommandPool,
    _: vk::CommandPoolResetFlags,
) -> vk::Result {
    let function = Function::ResetCommandPool;
    device.judged(Ask::new(function), |mode| {
        let mut world = device.world();
        if let Err(bad) = world.command_pools.get(pool.as_raw()) {
            device.violate(
                "VUID-vkResetCommandPool-commandPool-parameter",
                function,
                format!("command pool {pool:?} {bad}"),
            );
        }
        let of_pool = world.command_buffers.iter_mut().filter(|buffer| buffer.pool == pool.as_raw());
        for buffer in of_pool.filter(|_| mode == Mode::CarryOut) {
            buffer.state = Stage::Initial;
            buffer.clear();
        }
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn allocate_buffers(
    device: &DeviceObject,
    info: &vk::CommandBufferAllocateInfo<'_>,
    output: *mut vk::CommandBuffer,
) -> vk::Result {
    let function = Function::AllocateCommandBuffers;
    device.judged(Ask::new(function), |mode| {
        let pool = info.command_pool.as_raw();
        if let Err(bad) = device.world().command_pools.get(pool) {
            let message = format!("command pool {:?} {bad}", info.command_pool);
            device.violate("VUID-VkCommandBufferAllocateInfo-commandPool-parameter", function, message);
            return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
        }
        if mode == Mode::Refuse {
            return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
        }
        for index in 0..info.command_buffer_count as usize {
            let recorded = CommandBuffer { pool, state: Stage::Initial, commands: Vec::new(), sets: BTreeMap::new() };
            let Some(handle) = device.world().command_buffers.insert(recorded) else {
                return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
            };
            device.state().born(ObjectKind::CommandBuffer);
            let shell = Arc::new(CommandBufferObject {
                loader_word: loader_word(),
                device: core::ptr::from_ref(device),
                handle,
            });
            // SAFETY: the application gives room for `commandBufferCount` handles.
            let place = unsafe { output.add(index) };
            // SAFETY: as above.
            unsafe { place.write(CommandBufferObject::handle_of(Arc::as_ptr(&shell))) };
            device.command_buffers.lock().push(shell);
        }
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn free_buffers(
    device: &DeviceObject,
    _: vk::CommandPool,
    count: u32,
    buffers: *const Option<&CommandBufferObject>,
) {
    let function = Function::FreeCommandBuffers;
    device.call(Ask::new(function), || {
        // SAFETY: the application gives `count` handles, each null or valid.
        for buffer in unsafe { array(buffers, count) }.iter().flatten() {
            match device.world().command_buffers.remove(buffer.handle) {
                Ok(_) => device.state().died(ObjectKind::CommandBuffer, 1),
                Err(bad) => {
                    let message = format!("command buffer {:#x} {bad}", buffer.handle);
                    device.violate("VUID-vkFreeCommandBuffers-pCommandBuffers-00048", function, message);
                }
            }
        }
    });
}

/// Changes a live command buffer; `change` answers what is wrong.
pub(super) fn with_buffer(
    shell: &CommandBufferObject,
    function: Function,
    change: impl FnOnce(&mut CommandBuffer) -> Result<(), &'static str>,
) -> vk::Result {
    let device = shell.device();
    device.judged(Ask::new(function), |mode| {
        let mut world = device.world();
        let is_pending = world.pending.uses(ObjectKind::CommandBuffer, shell.handle);
        match world.command_buffers.get_mut(shell.handle) {
            Err(bad) => device.violate(
                "SIM-command-buffer-handle",
                function,
                format!("command buffer {:#x} {bad}", shell.handle),
            ),
            Ok(buffer) => {
                let state = buffer.state;
                let mut copy = CommandBuffer { pool: buffer.pool, state, commands: Vec::new(), sets: BTreeMap::new() };
                if let Err(rule) = change(if mode == Mode::CarryOut { buffer } else { &mut copy }) {
                    let waited = if is_pending { ", and nobody has waited for it" } else { "" };
                    let message = format!("command buffer {:#x} is in the state {state:?}{waited}", shell.handle);
                    device.violate(rule, function, message);
                }
            }
        }
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn begin(shell: &CommandBufferObject, _: &vk::CommandBufferBeginInfo<'_>) -> vk::Result {
    let is_pending = shell.device().world().pending.uses(ObjectKind::CommandBuffer, shell.handle);
    with_buffer(shell, Function::BeginCommandBuffer, |buffer| {
        let is_busy = is_pending || buffer.state == Stage::Recording;
        buffer.state = Stage::Recording;
        buffer.clear();
        if is_busy { Err("VUID-vkBeginCommandBuffer-commandBuffer-00049") } else { Ok(()) }
    })
}

pub(super) extern "system" fn end(shell: &CommandBufferObject) -> vk::Result {
    with_buffer(shell, Function::EndCommandBuffer, |buffer| {
        let was_recording = buffer.state == Stage::Recording;
        buffer.state = Stage::Executable;
        if was_recording { Ok(()) } else { Err("VUID-vkEndCommandBuffer-commandBuffer-00059") }
    })
}

pub(super) extern "system" fn reset(shell: &CommandBufferObject, _: vk::CommandBufferResetFlags) -> vk::Result {
    with_buffer(shell, Function::ResetCommandBuffer, |buffer| {
        buffer.state = Stage::Initial;
        buffer.clear();
        Ok(())
    })
}
