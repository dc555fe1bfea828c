//! Submissions that wait for what is submitted later: Vulkan allows them, and the simulation carries them out at once.

use super::pending::{ALL, Batch, FOUND, Scene};
use super::rules;
use ash::vk;

/// What signals behind something that waits still has not signaled: the host may signal a lower value before.
#[test]
fn what_signals_behind_what_waits_signals_later() {
    for through_another_queue in [false, true] {
        let scene = Scene::new();
        let [a, b, c] = [(); 3].map(|()| scene.semaphore(vk::SemaphoreType::TIMELINE));
        // SAFETY: the family has two queues, and both were asked for.
        let other = unsafe { scene.sim.device().get_device_queue(0, 1) };
        let waits = Batch { wait: Some((a, 1)), signal: Some((b, 10)), ..Batch::default() };
        let signals = Batch { signal: Some((c, 7)), ..Batch::default() };
        if through_another_queue {
            scene.submit_batches(scene.sim.queue(), &[waits], vk::Fence::null());
            scene.submit_batches(other, &[Batch { wait: Some((b, 10)), ..signals }], vk::Fence::null());
        } else {
            scene.submit_batches(scene.sim.queue(), &[waits], vk::Fence::null());
            scene.submit_batches(scene.sim.queue(), &[signals], vk::Fence::null());
        }
        let device = scene.sim.device();
        for (semaphore, value) in [(c, 3), (a, 1)] {
            // SAFETY: the semaphore is alive, of that type, and nothing has reached the value yet.
            unsafe { device.signal_semaphore(&vk::SemaphoreSignalInfo::default().semaphore(semaphore).value(value)) }
                .unwrap();
        }
        assert_eq!(rules(&scene.sim), [""; 0]);
        scene.end();
    }
}

/// What waits for a value that comes later may be submitted first: it signals in its turn.
#[test]
fn what_waits_may_be_submitted_before_what_it_waits_for() {
    for (awaited, expected) in [(1, &FOUND[..]), (2, &[])] {
        let scene = Scene::new();
        let semaphore = scene.semaphore(vk::SemaphoreType::TIMELINE);
        // SAFETY: the family has two queues, and both were asked for.
        let other = unsafe { scene.sim.device().get_device_queue(0, 1) };
        let late = Batch { wait: Some((semaphore, 1)), signal: Some((semaphore, 2)), fills: true };
        scene.submit_batches(scene.sim.queue(), &[late], vk::Fence::null());
        let first = Batch { signal: Some((semaphore, 1)), ..Batch::default() };
        scene.submit_batches(other, &[first], vk::Fence::null());
        scene.wait(ALL, &[(semaphore, awaited)]);
        assert_eq!(scene.end(), expected, "{awaited}");
    }
}
