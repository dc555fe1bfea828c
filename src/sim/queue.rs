//! Entry points of queues.
//!
//! A submission is carried out before `vkQueueSubmit` returns, and its fence and semaphores are signaled then. So a
//! queue is always idle, and binary semaphores are never in the way. What the submission uses stays pending
//! nevertheless until the application has waited: see `pending.rs`.
//!
//! A submission in which the device is lost is carried out too: it is in use like any other until somebody waits, and
//! what is in the bytes then, Vulkan does not say.
//!
//! # Source
//!
//! "Lost Device" in the Vulkan specification: for what is in use, device loss is equivalent to success.

use super::command::Stage;
use super::execute::execute;
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, CommandBufferObject, DeviceObject, Mode, QueueObject};
use super::pending::{Seen, Submission};
use super::pnext::{array, find};
use super::synchronisation::{awaited, signal};
use super::world::{ResourceId, World};
use ash::vk;
use ash::vk::Handle;

/// Tells queues apart.
fn address(queue: &QueueObject) -> usize {
    core::ptr::from_ref(queue).addr()
}

/// Carries out the commands of a command buffer.
fn run(
    device: &DeviceObject,
    world: &mut World,
    (function, mode): (Function, Mode),
    shell: &CommandBufferObject,
    submission: &mut Submission,
) {
    let rule = if function == Function::QueueSubmit {
        "VUID-vkQueueSubmit-pCommandBuffers-00070"
    } else {
        "VUID-vkQueueSubmit2-commandBuffer-03874"
    };
    let commands = match world.command_buffers.get(shell.handle) {
        Err(bad) => {
            return device.violate(rule, function, format!("command buffer {:#x} {bad}", shell.handle));
        }
        Ok(buffer) if buffer.state != Stage::Executable => {
            let message = format!("command buffer {:#x} is in the state {:?}", shell.handle, buffer.state);
            return device.violate(rule, function, message);
        }
        Ok(buffer) => buffer.commands.clone(),
    };
    submission.uses.insert(ResourceId { kind: ObjectKind::CommandBuffer, handle: shell.handle });
    for command in &commands {
        for resource in command.uses(world) {
            submission.uses.extend(world.used(resource));
        }
        execute(device, world, mode, command);
    }
}

/// Signals the fence of a call.
fn finish(device: &DeviceObject, world: &mut World, (function, mode): (Function, Mode), fence: vk::Fence) {
    let rules = if function == Function::QueueSubmit {
        ["VUID-vkQueueSubmit-fence-parameter", "VUID-vkQueueSubmit-fence-00063"]
    } else {
        ["VUID-vkQueueSubmit2-fence-parameter", "VUID-vkQueueSubmit2-fence-04894"]
    };
    match world.fences.get_mut(fence.as_raw()) {
        Err(bad) => device.violate(rules[0], function, format!("fence {fence:?} {bad}")),
        Ok(object) => {
            if object.is_signaled {
                device.violate(rules[1], function, format!("fence {fence:?} is signaled already"));
            }
            object.is_signaled |= mode != Mode::Refuse;
        }
    }
}

/// One batch, as both versions of submitting give it.
struct Batch<'a> {
    waits: Vec<(vk::Semaphore, u64)>,
    shells: Vec<&'a CommandBufferObject>,
    signals: Vec<(vk::Semaphore, u64)>,
}

/// Reads semaphores with their values; those that have none are binary.
///
/// # Safety
///
/// 1. `semaphores` and `values` point to as many elements as the counts beside them say.
unsafe fn points(semaphores: (*const vk::Semaphore, u32), values: (*const u64, u32)) -> Vec<(vk::Semaphore, u64)> {
    // SAFETY: the caller's duty 1.
    let semaphores = unsafe { array(semaphores.0, semaphores.1) };
    // SAFETY: the caller's duty 1.
    let values = unsafe { array(values.0, values.1) };
    semaphores.iter().copied().zip(values.iter().copied().chain(core::iter::repeat(0))).collect()
}

/// Reads a batch of `vkQueueSubmit`.
///
/// # Safety
///
/// 1. The structure is valid, with all that it points to.
unsafe fn first_version<'a>(submit: &vk::SubmitInfo<'a>) -> Batch<'a> {
    // SAFETY: the caller's duty 1.
    let timeline = unsafe { find::<vk::TimelineSemaphoreSubmitInfo<'_>>(submit.p_next) };
    let none = (core::ptr::null(), 0);
    let waits =
        timeline.map_or(none, |timeline| (timeline.p_wait_semaphore_values, timeline.wait_semaphore_value_count));
    let signals =
        timeline.map_or(none, |timeline| (timeline.p_signal_semaphore_values, timeline.signal_semaphore_value_count));
    let shells = submit.p_command_buffers.cast::<&CommandBufferObject>();
    Batch {
        // SAFETY: the caller's duty 1.
        waits: unsafe { points((submit.p_wait_semaphores, submit.wait_semaphore_count), waits) },
        // SAFETY: the caller's duty 1; command buffers are pointers to our objects.
        shells: unsafe { array(shells, submit.command_buffer_count) }.to_vec(),
        // SAFETY: the caller's duty 1.
        signals: unsafe { points((submit.p_signal_semaphores, submit.signal_semaphore_count), signals) },
    }
}

/// Reads a batch of `vkQueueSubmit2`.
///
/// # Safety
///
/// 1. The structure is valid, with all that it points to.
unsafe fn second_version<'a>(submit: &vk::SubmitInfo2<'a>) -> Batch<'a> {
    let point = |info: &vk::SemaphoreSubmitInfo<'_>| (info.semaphore, info.value);
    let shell = |info: &vk::CommandBufferSubmitInfo<'_>| {
        // SAFETY: the caller's duty 1; a valid command buffer is a pointer to our object.
        unsafe { core::mem::transmute::<vk::CommandBuffer, &'a CommandBufferObject>(info.command_buffer) }
    };
    // SAFETY: the caller's duty 1.
    let waits = unsafe { array(submit.p_wait_semaphore_infos, submit.wait_semaphore_info_count) };
    // SAFETY: the caller's duty 1.
    let shells = unsafe { array(submit.p_command_buffer_infos, submit.command_buffer_info_count) };
    // SAFETY: the caller's duty 1.
    let signals = unsafe { array(submit.p_signal_semaphore_infos, submit.signal_semaphore_info_count) };
    Batch {
        waits: waits.iter().map(point).collect(),
        shells: shells.iter().map(shell).collect(),
        signals: signals.iter().map(point).collect(),
    }
}

/// Judges the batches of a call, carries them out, and lists what each uses until somebody has waited for it.
fn submit<'a>(
    queue: &QueueObject,
    (function, mode): (Function, Mode),
    batches: impl Iterator<Item = Batch<'a>>,
    fence: vk::Fence,
) -> vk::Result {
    let device = queue.device();
    let mut world = device.world();
    let mut listed = Vec::new();
    // What signals behind something that waits still signals later than it is carried out here.
    let mut is_early = world.is_behind(address(queue));
    for batch in batches {
        let mut submission = Submission { queue: address(queue), ..Submission::default() };
        for (semaphore, value) in batch.waits {
            let value = awaited(device, &world, function, semaphore, value);
            is_early |= world.is_to_come((semaphore.as_raw(), value));
            submission.waits.push((semaphore.as_raw(), value));
        }
        for shell in batch.shells {
            run(device, &mut world, (function, mode), shell, &mut submission);
        }
        for (semaphore, value) in batch.signals {
            let reached = signal(device, &mut world, (function, mode), semaphore, value);
            if let Ok(object) = world.semaphores.get_mut(semaphore.as_raw()) {
                object.is_ahead |= is_early && mode != Mode::Refuse;
            }
            submission.signals.push((semaphore.as_raw(), reached));
        }
        listed.push(submission);
    }
    if fence != vk::Fence::null() {
        finish(device, &mut world, (function, mode), fence);
        // A fence ends all before it, so one alone is like one of an empty batch.
        listed.push(Submission { queue: address(queue), fence: fence.as_raw(), ..Submission::default() });
    }
    if mode == Mode::Refuse {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    for submission in listed {
        world.pending.push(submission);
    }
    device.signaled.notify_all();
    vk::Result::SUCCESS
}

pub(super) extern "system" fn queue_submit(
    queue: &QueueObject,
    count: u32,
    submits: *const vk::SubmitInfo<'_>,
    fence: vk::Fence,
) -> vk::Result {
    queue.device().judged(Ask::new(Function::QueueSubmit), |mode| {
        // SAFETY: the application gives `count` valid submissions.
        let submits = unsafe { array(submits, count) };
        // SAFETY: as above.
        let batches = submits.iter().map(|submit| unsafe { first_version(submit) });
        submit(queue, (Function::QueueSubmit, mode), batches, fence)
    })
}

pub(super) extern "system" fn queue_submit2(
    queue: &QueueObject,
    count: u32,
    submits: *const vk::SubmitInfo2<'_>,
    fence: vk::Fence,
) -> vk::Result {
    queue.device().judged(Ask::new(Function::QueueSubmit2), |mode| {
        // SAFETY: the application gives `count` valid submissions.
        let submits = unsafe { array(submits, count) };
        // SAFETY: as above.
        let batches = submits.iter().map(|submit| unsafe { second_version(submit) });
        submit(queue, (Function::QueueSubmit2, mode), batches, fence)
    })
}

pub(super) extern "system" fn queue_wait_idle(queue: &QueueObject) -> vk::Result {
    let device = queue.device();
    device.judged(Ask::new(Function::QueueWaitIdle), |mode| {
        if mode != Mode::Refuse {
            device.world().saw(Seen::Queue(address(queue)));
        }
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn device_wait_idle(device: &DeviceObject) -> vk::Result {
    device.judged(Ask::new(Function::DeviceWaitIdle), |mode| {
        if mode != Mode::Refuse {
            device.world().pending.saw_device_idle();
        }
        vk::Result::SUCCESS
    })
}
