//! A lost device: what is in use is told by the calls that answer so, as if they had succeeded.

use super::super::Function;
use super::pending::{Batch, FOUND, Scene};
use ash::vk;

const LOST: vk::Result = vk::Result::ERROR_DEVICE_LOST;
const OUT: vk::Result = vk::Result::ERROR_OUT_OF_HOST_MEMORY;

#[test]
fn what_is_submitted_to_a_lost_device_is_in_use() {
    for (result, expected) in [(LOST, &FOUND[..]), (OUT, &[])] {
        for function in [Function::QueueSubmit, Function::QueueSubmit2] {
            let scene = Scene::new();
            scene.sim.control().fail_nth_of(function, 1, result);
            let (device, queue, commands) = (scene.sim.device(), scene.sim.queue(), [scene.commands]);
            let infos = [vk::CommandBufferSubmitInfo::default().command_buffer(scene.commands)];
            let (first, second) = (vk::SubmitInfo::default(), vk::SubmitInfo2::default());
            let submitted = if function == Function::QueueSubmit {
                // SAFETY: everything named is alive; so it is below.
                unsafe { device.queue_submit(queue, &[first.command_buffers(&commands)], vk::Fence::null()) }
            } else {
                // SAFETY: as above.
                unsafe { device.queue_submit2(queue, &[second.command_buffer_infos(&infos)], vk::Fence::null()) }
            };
            assert_eq!(submitted, Err(result));
            assert_eq!(scene.end(), expected, "{function}, {result}");
        }
    }
}

/// Asks in one way whether a submission is completed.
fn ask(scene: &Scene, function: Function, fence: vk::Fence, semaphore: vk::Semaphore) -> Result<(), vk::Result> {
    let (device, queue) = (scene.sim.device(), scene.sim.queue());
    let (semaphores, values) = ([semaphore], [1]);
    let wait = vk::SemaphoreWaitInfo::default().semaphores(&semaphores).values(&values);
    match function {
        // SAFETY: everything named is alive; so it is below.
        Function::QueueWaitIdle => unsafe { device.queue_wait_idle(queue) },
        // SAFETY: as above.
        Function::DeviceWaitIdle => unsafe { device.device_wait_idle() },
        // SAFETY: as above.
        Function::WaitForFences => unsafe { device.wait_for_fences(&[fence], true, u64::MAX) },
        // SAFETY: as above.
        Function::GetFenceStatus => unsafe { device.get_fence_status(fence) }.map(drop),
        // SAFETY: as above.
        Function::WaitSemaphores => unsafe { device.wait_semaphores(&wait, u64::MAX) },
        // SAFETY: as above.
        _ => unsafe { device.get_semaphore_counter_value(semaphore) }.map(drop),
    }
}

const ASKING: [Function; 6] = [
    Function::QueueWaitIdle,
    Function::DeviceWaitIdle,
    Function::WaitForFences,
    Function::GetFenceStatus,
    Function::WaitSemaphores,
    Function::GetSemaphoreCounterValue,
];

#[test]
fn nothing_is_in_use_once_a_wait_has_found_the_device_lost() {
    for (result, expected) in [(LOST, &[][..]), (OUT, &FOUND)] {
        for function in ASKING {
            let scene = Scene::new();
            let (fence, semaphore) = (scene.fence(), scene.semaphore(vk::SemaphoreType::TIMELINE));
            let filling = Batch { signal: Some((semaphore, 1)), fills: true, ..Batch::default() };
            scene.submit_batches(scene.sim.queue(), &[filling], fence);
            scene.sim.control().fail_nth_of(function, 1, result);
            assert_eq!(ask(&scene, function, fence, semaphore), Err(result));
            assert_eq!(scene.end(), expected, "{function}, {result}");
        }
    }
}

/// A lost device keeps nobody waiting, whatever was submitted.
#[test]
fn a_wait_on_a_lost_device_ends_at_once() {
    for function in [Function::WaitForFences, Function::WaitSemaphores] {
        let scene = Scene::new();
        scene.sim.control().fail_nth_of(function, 1, LOST);
        let (fence, semaphore) = (scene.fence(), scene.semaphore(vk::SemaphoreType::TIMELINE));
        assert_eq!(ask(&scene, function, fence, semaphore), Err(LOST));
        assert_eq!(scene.end(), [""; 0]);
    }
}
