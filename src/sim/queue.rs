//! Entry points of queues.
//!
//! A submission is carried out before `vkQueueSubmit` returns, and its fence and semaphores are signaled then. So a
//! queue is always idle, and binary semaphores are never in the way. What the submission uses stays pending nevertheless
//! until the application has waited: see `pending.rs`.

use super::command::Stage;
use super::execute::execute;
use super::function::Function;
use super::object::{Ask, CommandBufferObject, DeviceObject, QueueObject};
use super::pending::Submission;
use super::pnext::{array, find};
use super::synchronisation::signal;
use super::world::World;
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
    function: Function,
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
    for command in &commands {
        for resource in command.uses() {
            submission.uses.extend(world.used(resource));
        }
        execute(device, world, command);
    }
}

/// Signals the fence of a submission, lists what is in use until somebody has waited, and wakes who waits.
fn finish(device: &DeviceObject, world: &mut World, function: Function, fence: vk::Fence, mut submission: Submission) {
    submission.fence = fence.as_raw();
    world.pending.push(submission);
    if fence != vk::Fence::null() {
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
                object.is_signaled = true;
            }
        }
    }
    device.signaled.notify_all();
}

pub(super) extern "system" fn queue_submit(
    queue: &QueueObject,
    count: u32,
    submits: *const vk::SubmitInfo<'_>,
    fence: vk::Fence,
) -> vk::Result {
    let (device, function) = (queue.device(), Function::QueueSubmit);
    device.call(Ask::new(function), || {
        let mut world = device.world();
        let mut submission = Submission { queue: address(queue), ..Submission::default() };
        // SAFETY: the application gives `count` valid submissions.
        for submit in unsafe { array(submits, count) } {
            let shells = submit.p_command_buffers.cast::<&CommandBufferObject>();
            // SAFETY: the application gives valid command buffers, which are pointers to our objects.
            for shell in unsafe { array(shells, submit.command_buffer_count) } {
                run(device, &mut world, function, shell, &mut submission);
            }
            // SAFETY: the application hands over a valid chain.
            let timeline = unsafe { find::<vk::TimelineSemaphoreSubmitInfo<'_>>(submit.p_next) };
            // SAFETY: the application gives that many handles.
            let semaphores = unsafe { array(submit.p_signal_semaphores, submit.signal_semaphore_count) };
            let values = timeline.map_or(&[][..], |timeline| {
                // SAFETY: the application gives that many values.
                unsafe { array(timeline.p_signal_semaphore_values, timeline.signal_semaphore_value_count) }
            });
            for (semaphore, value) in semaphores.iter().zip(values.iter().chain(core::iter::repeat(&0))) {
                signal(device, &mut world, function, *semaphore, *value);
                submission.semaphores.push((semaphore.as_raw(), *value));
            }
        }
        finish(device, &mut world, function, fence, submission);
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn queue_submit2(
    queue: &QueueObject,
    count: u32,
    submits: *const vk::SubmitInfo2<'_>,
    fence: vk::Fence,
) -> vk::Result {
    let (device, function) = (queue.device(), Function::QueueSubmit2);
    device.call(Ask::new(function), || {
        let mut world = device.world();
        let mut submission = Submission { queue: address(queue), ..Submission::default() };
        // SAFETY: the application gives `count` valid submissions.
        for submit in unsafe { array(submits, count) } {
            // SAFETY: the application gives that many valid structures.
            for info in unsafe { array(submit.p_command_buffer_infos, submit.command_buffer_info_count) } {
                // SAFETY: a valid command buffer is a pointer to our object.
                let shell =
                    unsafe { core::mem::transmute::<vk::CommandBuffer, &CommandBufferObject>(info.command_buffer) };
                run(device, &mut world, function, shell, &mut submission);
            }
            // SAFETY: the application gives that many valid structures.
            for info in unsafe { array(submit.p_signal_semaphore_infos, submit.signal_semaphore_info_count) } {
                signal(device, &mut world, function, info.semaphore, info.value);
                submission.semaphores.push((info.semaphore.as_raw(), info.value));
            }
        }
        finish(device, &mut world, function, fence, submission);
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn queue_wait_idle(queue: &QueueObject) -> vk::Result {
    let device = queue.device();
    device.call(Ask::new(Function::QueueWaitIdle), || {
        device.world().pending.saw_queue_idle(address(queue));
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn device_wait_idle(device: &DeviceObject) -> vk::Result {
    device.call(Ask::new(Function::DeviceWaitIdle), || {
        device.world().pending.saw_device_idle();
        vk::Result::SUCCESS
    })
}
