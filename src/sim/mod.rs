//! A Vulkan driver of no hardware, in this process, for tests and for trying things out.
//!
//! It hands out real `ash` entries, instances and devices whose functions are implemented here, so that the code under
//! test is the code that users run. It imports nothing else of the crate and can be used with any Vulkan library.
//!
//! ```text
//!   SimDevice ── builder, owns ──► ash::Entry, ash::Instance, ash::Device
//!       │                                  │ function pointers
//!       ▼                                  ▼
//!   Control ◄── counts, log, ── entry_points ──► instance, physical_device, device, memory, resource, bind,
//!     (test)    violations          │            command, synchronisation
//!               faults, gates ──────┘                        │
//!                                                     World (one lock per device) ──► Storage, HostCache
//! ```
//!
//! * Every function that this library, its peers in the benches and headless programs call is there; other names
//!   resolve to NULL, as do those whose version or extension is not enabled.
//! * Wrong use is recorded as a `Violation` and answered with a sensible result. It is no undefined behaviour, with two
//!   exceptions that Vulkan shares: dispatchable handles and pointers have to be valid.
//! * Host-visible memory has real bytes, uninitialised at first. Copies between buffers and images, fills, updates, and
//!   clears of texels that are one word are carried out when they are submitted; everything else on a queue is accepted
//!   and does nothing.
//!
//! What it does not do: shaders, rendering, windows, layers, external memory.

#![deny(unsafe_code)]

mod accounts;
mod barrier;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod bind;
mod bind_rules;
mod builtin;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod cache;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod callbacks;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod command;
mod control;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod descriptor;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod device;
mod device_file;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod entry_points;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod execute;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod feature_chain;
mod format;
mod function;
mod handle;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod instance;
mod layer;
mod loan;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod mapping;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod memory;
mod memory_rules;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod object;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod passive;
mod pending;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod physical_device;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod pnext;
mod profile;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod property_chain;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod query;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod queue;
mod range_rules;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod record;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod requirements;
mod resource;
mod script;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod sim_device;
mod state;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod storage;
#[expect(unsafe_code, reason = "implements Vulkan, whose callers pass pointers")]
mod synchronisation;
mod violation;
mod world;

pub use accounts::HeapState;
pub use control::{Control, Failure, Snapshot};
pub use device_file::ProfileError;
pub use function::Function;
pub use handle::ObjectKind;
pub use instance::list_devices;
pub use loan::Loan;
pub use profile::{
    BufferModel, DedicatedModel, Features, GIB, Heap, ImageModel, KIB, MIB, MemoryType, Profile, QueueFamily,
};
pub use script::{Call, Gate};
pub use sim_device::{MemoryView, SimBuilder, SimDevice, control_of, entry};
pub use state::{CallbackUse, Checks};
pub use violation::Violation;

#[cfg(test)]
#[expect(unsafe_code, reason = "calls the driver as a user of Vulkan does")]
mod tests;
