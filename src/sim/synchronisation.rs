//! Entry points of fences and semaphores.
//!
//! A wait for something that no submission has signaled yet waits for other threads; one without a limit is given up
//! after ten seconds, or what the tester sets, recorded, and answered with device loss, because a test that hangs tells
//! nothing.
//!
//! Where the tester lets the device be lost, a wait ends at once, and what was waited for is in use no more.

use super::callbacks::{CallbackRules, HostShadow};
use super::function::Function;
use super::handle::ObjectKind;
use super::object::{Ask, DeviceObject, Mode};
use super::pending::Seen;
use super::pnext::{array, find};
use super::world::{Fence, Semaphore, World};
use ash::vk;
use ash::vk::Handle;
use core::mem::MaybeUninit;
use core::time::Duration;
use std::collections::VecDeque;
use std::time::Instant;

const FENCE_CALLBACKS: CallbackRules =
    CallbackRules { given: "VUID-vkDestroyFence-fence-01121", none: "VUID-vkDestroyFence-fence-01122" };
const SEMAPHORE_CALLBACKS: CallbackRules =
    CallbackRules { given: "VUID-vkDestroySemaphore-semaphore-01138", none: "VUID-vkDestroySemaphore-semaphore-01139" };

pub(super) extern "system" fn create_fence(
    device: &DeviceObject,
    info: &vk::FenceCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    fence: &mut MaybeUninit<vk::Fence>,
) -> vk::Result {
    let is_signaled = info.flags.contains(vk::FenceCreateFlags::SIGNALED);
    fence.write(vk::Fence::null());
    device.call(Ask::new(Function::CreateFence), || {
        let shadow = match HostShadow::take(device.state(), Function::CreateFence, callbacks) {
            Ok(shadow) => shadow,
            Err(result) => return result,
        };
        let Some(handle) = device.world().fences.insert(Fence { is_signaled, shadow }) else {
            return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
        };
        device.state().born(ObjectKind::Fence);
        fence.write(vk::Fence::from_raw(handle));
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn destroy_fence(
    device: &DeviceObject,
    fence: vk::Fence,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let function = Function::DestroyFence;
    device.call(Ask::new(function), || {
        if fence == vk::Fence::null() {
            return;
        }
        let removed = device.world().fences.remove(fence.as_raw());
        match removed {
            Err(bad) => {
                device.violate("VUID-vkDestroyFence-fence-parameter", function, format!("fence {fence:?} {bad}"));
            }
            Ok(object) => {
                device.world().forget(fence.as_raw());
                device.state().died(ObjectKind::Fence, 1);
                object.shadow.give_back(device.state(), function, callbacks, FENCE_CALLBACKS);
            }
        }
    });
}

pub(super) extern "system" fn reset_fences(device: &DeviceObject, count: u32, fences: *const vk::Fence) -> vk::Result {
    let function = Function::ResetFences;
    device.judged(Ask::new(function), |mode| {
        // SAFETY: the application gives `count` handles.
        for fence in unsafe { array(fences, count) } {
            match device.world().fences.get_mut(fence.as_raw()) {
                Ok(object) => object.is_signaled &= mode == Mode::Refuse,
                Err(bad) => {
                    device.violate("VUID-vkResetFences-pFences-parameter", function, format!("fence {fence:?} {bad}"));
                }
            }
        }
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn fence_status(device: &DeviceObject, fence: vk::Fence) -> vk::Result {
    let function = Function::GetFenceStatus;
    device.judged(Ask::new(function), |mode| {
        let mut world = device.world();
        match world.fences.get(fence.as_raw()).map(|object| object.is_signaled) {
            Ok(is_signaled) if mode == Mode::Lose || (mode == Mode::CarryOut && is_signaled) => {
                world.saw(Seen::Fence(fence.as_raw()));
                vk::Result::SUCCESS
            }
            Ok(_) => vk::Result::NOT_READY,
            Err(bad) => {
                device.violate("VUID-vkGetFenceStatus-fence-parameter", function, format!("fence {fence:?} {bad}"));
                vk::Result::ERROR_DEVICE_LOST
            }
        }
    })
}

/// Returns how long a wait lasts at most, and whether only for want of patience.
fn limit(timeout: u64, patience: Duration) -> (Duration, bool) {
    if timeout == u64::MAX { (patience, true) } else { (Duration::from_nanos(timeout), false) }
}

/// Waits until `is_reached`, at most `timeout` nanoseconds; not at all where the tester lets the call fail.
fn wait(
    device: &DeviceObject,
    (function, mode): (Function, Mode),
    timeout: u64,
    is_reached: impl Fn(&World) -> bool,
) -> vk::Result {
    match mode {
        Mode::CarryOut => {}
        Mode::Refuse => return vk::Result::NOT_READY,
        Mode::Lose => return vk::Result::SUCCESS,
    }
    let (limit, is_endless) = limit(timeout, *device.state().patience.lock());
    let mut world = device.world();
    if is_reached(&world) {
        return vk::Result::SUCCESS;
    }
    let deadline = Instant::now() + limit;
    while !is_reached(&world) {
        if device.signaled.wait_until(&mut world, deadline).timed_out() {
            if !is_endless {
                return vk::Result::TIMEOUT;
            }
            device.violate("SIM-endless-wait", function, "nothing was submitted that would end the wait".to_owned());
            return vk::Result::ERROR_DEVICE_LOST;
        }
    }
    vk::Result::SUCCESS
}

pub(super) extern "system" fn wait_for_fences(
    device: &DeviceObject,
    count: u32,
    fences: *const vk::Fence,
    wait_all: vk::Bool32,
    timeout: u64,
) -> vk::Result {
    let function = Function::WaitForFences;
    device.judged(Ask::new(function), |mode| {
        // SAFETY: the application gives `count` handles.
        let fences = unsafe { array(fences, count) };
        for fence in fences {
            if let Err(bad) = device.world().fences.get(fence.as_raw()) {
                device.violate("VUID-vkWaitForFences-pFences-parameter", function, format!("fence {fence:?} {bad}"));
                return vk::Result::ERROR_DEVICE_LOST;
            }
        }
        let result = wait(device, (function, mode), timeout, |world| {
            let mut states =
                fences.iter().map(|fence| world.fences.get(fence.as_raw()).is_ok_and(|fence| fence.is_signaled));
            if wait_all == vk::FALSE {
                states.any(|is_signaled| is_signaled)
            } else {
                states.all(|is_signaled| is_signaled)
            }
        });
        // A wait for any of several does not tell which.
        if result == vk::Result::SUCCESS && (wait_all != vk::FALSE || count == 1) {
            let mut world = device.world();
            for fence in fences {
                world.saw(Seen::Fence(fence.as_raw()));
            }
        }
        result
    })
}

pub(super) extern "system" fn create_semaphore(
    device: &DeviceObject,
    info: &vk::SemaphoreCreateInfo<'_>,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
    semaphore: &mut MaybeUninit<vk::Semaphore>,
) -> vk::Result {
    semaphore.write(vk::Semaphore::null());
    device.call(Ask::new(Function::CreateSemaphore), || {
        // SAFETY: the application hands over a valid chain.
        let kind = unsafe { find::<vk::SemaphoreTypeCreateInfo<'_>>(info.p_next) };
        let timeline = kind.filter(|kind| kind.semaphore_type == vk::SemaphoreType::TIMELINE);
        let shadow = match HostShadow::take(device.state(), Function::CreateSemaphore, callbacks) {
            Ok(shadow) => shadow,
            Err(result) => return result,
        };
        let value = timeline.map_or(0, |timeline| timeline.initial_value);
        let object =
            Semaphore { value, is_timeline: timeline.is_some(), is_ahead: false, steps: VecDeque::new(), shadow };
        let Some(handle) = device.world().semaphores.insert(object) else {
            return vk::Result::ERROR_OUT_OF_HOST_MEMORY;
        };
        device.state().born(ObjectKind::Semaphore);
        semaphore.write(vk::Semaphore::from_raw(handle));
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn destroy_semaphore(
    device: &DeviceObject,
    semaphore: vk::Semaphore,
    callbacks: Option<&vk::AllocationCallbacks<'_>>,
) {
    let function = Function::DestroySemaphore;
    device.call(Ask::new(function), || {
        if semaphore == vk::Semaphore::null() {
            return;
        }
        let removed = device.world().semaphores.remove(semaphore.as_raw());
        match removed {
            Err(bad) => {
                device.violate(
                    "VUID-vkDestroySemaphore-semaphore-parameter",
                    function,
                    format!("semaphore {semaphore:?} {bad}"),
                );
            }
            Ok(object) => {
                device.world().forget(semaphore.as_raw());
                device.state().died(ObjectKind::Semaphore, 1);
                object.shadow.give_back(device.state(), function, callbacks, SEMAPHORE_CALLBACKS);
            }
        }
    });
}

/// Signals a semaphore, and returns the value that it has then.
pub(super) fn signal(
    device: &DeviceObject,
    world: &mut World,
    (function, mode): (Function, Mode),
    semaphore: vk::Semaphore,
    value: u64,
) -> u64 {
    match world.semaphores.get_mut(semaphore.as_raw()) {
        Err(bad) => device.violate("SIM-semaphore-handle", function, format!("semaphore {semaphore:?} {bad}")),
        Ok(object) if object.is_timeline && value <= object.value && !object.is_ahead => {
            let message = format!("semaphore {semaphore:?} has {} and cannot be signaled with {value}", object.value);
            device.violate("VUID-VkSemaphoreSignalInfo-value-03258", function, message);
        }
        Ok(_) if mode == Mode::Refuse => {}
        Ok(object) if object.is_timeline => {
            object.value = object.value.max(value);
            let place = object.steps.partition_point(|step| *step < value);
            object.steps.insert(place, value);
        }
        Ok(object) => {
            object.value += 1;
            return object.value;
        }
    }
    value
}

/// Returns the value for which a queue waits: the given one of a timeline, the last one signaled of a binary semaphore.
pub(super) fn awaited(
    device: &DeviceObject,
    world: &World,
    function: Function,
    semaphore: vk::Semaphore,
    value: u64,
) -> u64 {
    match world.semaphores.get(semaphore.as_raw()) {
        Err(bad) => {
            device.violate("SIM-semaphore-handle", function, format!("semaphore {semaphore:?} {bad}"));
            0
        }
        Ok(object) if object.is_timeline => value,
        Ok(object) => object.value,
    }
}

pub(super) extern "system" fn signal_semaphore(
    device: &DeviceObject,
    info: &vk::SemaphoreSignalInfo<'_>,
) -> vk::Result {
    device.judged(Ask::new(Function::SignalSemaphore), |mode| {
        signal(device, &mut device.world(), (Function::SignalSemaphore, mode), info.semaphore, info.value);
        device.signaled.notify_all();
        vk::Result::SUCCESS
    })
}

pub(super) extern "system" fn semaphore_value(
    device: &DeviceObject,
    semaphore: vk::Semaphore,
    value: &mut MaybeUninit<u64>,
) -> vk::Result {
    let function = Function::GetSemaphoreCounterValue;
    value.write(0);
    device.judged(Ask::new(function), |mode| {
        let mut world = device.world();
        match world.semaphores.get(semaphore.as_raw()).map(|object| object.value) {
            Ok(_) if mode == Mode::Refuse => vk::Result::NOT_READY,
            Ok(reached) => {
                world.saw(Seen::Semaphore(semaphore.as_raw(), reached));
                value.write(if mode == Mode::Lose { 0 } else { reached });
                vk::Result::SUCCESS
            }
            Err(bad) => {
                let message = format!("semaphore {semaphore:?} {bad}");
                device.violate("VUID-vkGetSemaphoreCounterValue-semaphore-parameter", function, message);
                vk::Result::ERROR_DEVICE_LOST
            }
        }
    })
}

pub(super) extern "system" fn wait_semaphores(
    device: &DeviceObject,
    info: &vk::SemaphoreWaitInfo<'_>,
    timeout: u64,
) -> vk::Result {
    device.judged(Ask::new(Function::WaitSemaphores), |mode| {
        // SAFETY: the application gives `semaphoreCount` handles.
        let semaphores = unsafe { array(info.p_semaphores, info.semaphore_count) };
        // SAFETY: the application gives as many values.
        let values = unsafe { array(info.p_values, info.semaphore_count) };
        let is_any = info.flags.contains(vk::SemaphoreWaitFlags::ANY);
        let result = wait(device, (Function::WaitSemaphores, mode), timeout, |world| {
            let mut reached = semaphores.iter().zip(values).map(|(semaphore, value)| {
                world.semaphores.get(semaphore.as_raw()).is_ok_and(|object| object.value >= *value)
            });
            if is_any { reached.any(|is_reached| is_reached) } else { reached.all(|is_reached| is_reached) }
        });
        // A wait for any of several does not tell which.
        if result == vk::Result::SUCCESS && (!is_any || info.semaphore_count == 1) {
            let mut world = device.world();
            for (semaphore, value) in semaphores.iter().zip(values) {
                world.saw(Seen::Semaphore(semaphore.as_raw(), *value));
            }
        }
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_with_a_limit_is_not_endless() {
        let (minute, second) = (60_000_000_000, Duration::from_secs(1));
        assert_eq!(limit(minute, second), (Duration::from_secs(60), false));
        assert_eq!(limit(0, second), (Duration::ZERO, false));
        assert_eq!(limit(u64::MAX, second), (second, true));
    }
}
