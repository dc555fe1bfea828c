//! Dispatchable objects: what a `VkInstance`, `VkPhysicalDevice`, `VkDevice` or `VkQueue` handle points to.
//!
//! Each begins with one word for a loader, as the loader's interface to drivers demands. The entry points take
//! references to these types where Vulkan's C signature has the handle: a handle is a non-null pointer in C, a
//! reference is one in Rust, and the two have the same ABI.
//!
//! ```text
//!   InstanceObject ──► PhysicalObject ──► DeviceObject ──► QueueObject, CommandBufferObject
//!    (freed by destroy)   (with the instance)  (with the instance; destroyed ones are marked and stay)
//! ```
//!
//! Invariants: (I1) objects are reached by address, so they live behind `Arc` and never move; (I2) a child is dropped
//! with or after nothing that still points to it: children hold raw pointers to parents, parents own children.

use super::control::Control;
use super::function::Function;
use super::profile::{Features, Profile};
use super::state::State;
use super::world::World;
use ash::vk;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Returns what a driver puts into the first word of a dispatchable object (`ICD_LOADER_MAGIC`). A loader writes there
/// while we hold references to the object.
pub(super) fn loader_word() -> AtomicUsize {
    AtomicUsize::new(0x01CD_C0DE)
}

/// Declares that a handle of Vulkan's and an object of ours are the same pointer.
macro_rules! handle_of {
    ($object:ty, $handle:ty) => {
        impl $object {
            /// Returns the object's handle.
            pub(super) fn handle_of(object: *const Self) -> $handle {
                // SAFETY: a dispatchable handle of ash is a transparent wrapper of one pointer; kept as a pointer
                // (not as a number), it may be followed again later.
                unsafe { core::mem::transmute::<*const Self, $handle>(object) }
            }
        }
    };
}

handle_of!(InstanceObject, vk::Instance);
handle_of!(PhysicalObject, vk::PhysicalDevice);
handle_of!(DeviceObject, vk::Device);
handle_of!(QueueObject, vk::Queue);
handle_of!(CommandBufferObject, vk::CommandBuffer);

/// Behind a `VkInstance`.
#[repr(C)]
pub(super) struct InstanceObject {
    pub(super) loader_word: AtomicUsize,
    /// Version that the application declared.
    pub(super) version: u32,
    pub(super) extensions: Vec<CString>,
    pub(super) physical_devices: Vec<Arc<PhysicalObject>>,
    /// Sees the calls that belong to no physical device.
    pub(super) control: Control,
}

/// Behind a `VkPhysicalDevice`.
#[repr(C)]
pub(super) struct PhysicalObject {
    pub(super) loader_word: AtomicUsize,
    pub(super) profile: Arc<Profile>,
    pub(super) control: Control,
    pub(super) instance_version: u32,
    /// Every device ever created, also the destroyed ones.
    pub(super) devices: Mutex<Vec<Arc<DeviceObject>>>,
}

/// Behind a `VkDevice`.
#[repr(C)]
pub(super) struct DeviceObject {
    pub(super) loader_word: AtomicUsize,
    pub(super) profile: Arc<Profile>,
    pub(super) control: Control,
    /// Version that applies: the lesser of the instance's and the physical device's.
    pub(super) version: u32,
    pub(super) extensions: Vec<CString>,
    pub(super) features: Features,
    pub(super) queues: Vec<Arc<QueueObject>>,
    pub(super) is_destroyed: AtomicBool,
    pub(super) world: Mutex<World>,
    /// Notified whenever a fence or semaphore was signaled.
    pub(super) signaled: Condvar,
    /// Shells of all command buffers; the recorded commands are in the world.
    pub(super) command_buffers: Mutex<Vec<Arc<CommandBufferObject>>>,
}

/// Behind a `VkQueue`.
#[repr(C)]
pub(super) struct QueueObject {
    pub(super) loader_word: AtomicUsize,
    pub(super) device: *const DeviceObject,
    pub(super) family: u32,
    pub(super) index: u32,
}

/// Behind a `VkCommandBuffer`.
#[repr(C)]
pub(super) struct CommandBufferObject {
    pub(super) loader_word: AtomicUsize,
    pub(super) device: *const DeviceObject,
    /// Handle in the table of command buffers.
    pub(super) handle: u64,
}

// SAFETY: the pointer names the owning device, which is shared between threads and outlives the queue (I2).
unsafe impl Send for QueueObject {}
// SAFETY: as above; nothing here changes.
unsafe impl Sync for QueueObject {}
// SAFETY: the pointer names the owning device, which is shared between threads and outlives the shell (I2).
unsafe impl Send for CommandBufferObject {}
// SAFETY: as above; nothing here changes.
unsafe impl Sync for CommandBufferObject {}

impl QueueObject {
    /// Returns the device to which the queue belongs.
    pub(super) fn device(&self) -> &DeviceObject {
        // SAFETY: the device owns the queue and never moves (I1, I2).
        unsafe { &*self.device }
    }
}

impl CommandBufferObject {
    /// Returns the device to which the command buffer belongs.
    pub(super) fn device(&self) -> &DeviceObject {
        // SAFETY: the device owns the shell and never moves (I1, I2).
        unsafe { &*self.device }
    }
}

/// What an entry point returns when it has to fail.
pub(super) trait Answer {
    /// Returns the answer that stands for this failure.
    fn failure(result: vk::Result) -> Self;
}

impl Answer for vk::Result {
    fn failure(result: vk::Result) -> Self {
        result
    }
}

impl Answer for () {
    fn failure(_: vk::Result) -> Self {}
}

impl Answer for u64 {
    fn failure(_: vk::Result) -> Self {
        0
    }
}

/// One rule applied: whether it holds, its identity, and what is wrong otherwise.
pub(super) type Check = (bool, &'static str, &'static str);

/// A call as the entry point announces it.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub(super) function: Function,
    pub(super) size: u64,
    pub(super) memory_type_index: Option<u32>,
}

impl Ask {
    pub(super) const fn new(function: Function) -> Self {
        Self { function, size: 0, memory_type_index: None }
    }

    pub(super) const fn sized(function: Function, size: u64) -> Self {
        Self { function, size, memory_type_index: None }
    }
}

/// What is to be done for a call, once it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    CarryOut,
    /// The tester lets the call fail: it changes nothing.
    Refuse,
    /// The tester lets the device be lost in a call of queues: for what is in use, that is as good as success.
    Lose,
}

/// Judges one call and carries it out: counts it, lets it wait or fail as the tester wants, and lets no panic out.
/// Valid usage does not depend on the result, so `body` judges a call that fails too; what it answers then is of no
/// interest.
fn attempt<A: Answer>(state: &State, ask: Ask, body: impl FnOnce(Mode) -> A) -> A {
    let refusal = state.enter(ask.function, ask.size, ask.memory_type_index);
    let mode = match refusal {
        None => Mode::CarryOut,
        Some(vk::Result::ERROR_DEVICE_LOST) if ask.function.tells_of_use() => Mode::Lose,
        Some(_) => Mode::Refuse,
    };
    let answer = catch_unwind(AssertUnwindSafe(|| body(mode))).unwrap_or_else(|_| {
        state.violate("SIM-panic", ask.function, "the simulation itself panicked; this is its bug".to_owned());
        A::failure(vk::Result::ERROR_UNKNOWN)
    });
    refusal.map_or(answer, A::failure)
}

/// Carries out a call of which nothing is judged before.
pub(super) fn carry_out<A: Answer>(state: &State, ask: Ask, body: impl FnOnce() -> A) -> A {
    attempt(state, ask, |mode| if mode == Mode::CarryOut { body() } else { A::failure(vk::Result::ERROR_UNKNOWN) })
}

impl DeviceObject {
    /// Carries out a call on this device of which nothing is judged before.
    pub(super) fn call<A: Answer>(&self, ask: Ask, body: impl FnOnce() -> A) -> A {
        self.judged(ask, |mode| if mode == Mode::CarryOut { body() } else { A::failure(vk::Result::ERROR_UNKNOWN) })
    }

    /// Judges a call on this device and carries it out, unless the tester lets it fail.
    pub(super) fn judged<A: Answer>(&self, ask: Ask, body: impl FnOnce(Mode) -> A) -> A {
        attempt(self.state(), ask, |mode| {
            if self.is_destroyed.load(Ordering::Relaxed) {
                self.violate(
                    "VUID-vkDestroyDevice-device-parameter",
                    ask.function,
                    "the device was destroyed before".to_owned(),
                );
                return A::failure(vk::Result::ERROR_DEVICE_LOST);
            }
            body(mode)
        })
    }

    pub(super) fn state(&self) -> &State {
        &self.control.state
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock()
    }

    pub(super) fn has_extension(&self, name: &core::ffi::CStr) -> bool {
        self.extensions.iter().any(|enabled| enabled.as_c_str() == name)
    }

    /// Tells whether a program on this device can ask what a version of Vulkan or a device extension tells.
    pub(super) fn can_tell(&self, since: u32, extension: &core::ffi::CStr) -> bool {
        self.version >= since || self.profile.has_extension(extension)
    }

    /// Records every check that does not hold; tells whether all do. `subject` says what was judged.
    pub(super) fn judge(&self, function: Function, checks: &[Check], subject: impl Fn() -> String) -> bool {
        for (_, rule, what) in checks.iter().filter(|(is_right, ..)| !is_right) {
            self.violate(rule, function, format!("{}: {what}", subject()));
        }
        checks.iter().all(|(is_right, ..)| *is_right)
    }

    /// Records a wrong use of the interface.
    pub(super) fn violate(&self, rule: &'static str, function: Function, message: String) {
        self.state().violate(rule, function, message);
    }
}
