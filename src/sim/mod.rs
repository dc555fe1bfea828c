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
//! * Host-visible memory has real bytes, uninitialised at first. Copies between buffers and images are carried out when
//!   they are submitted; everything else on a queue is accepted and does nothing.
//!
//! What it does not do: shaders, rendering, windows, layers, external memory.

mod accounts;
mod bind;
mod bind_rules;
mod builtin;
mod cache;
mod callbacks;
mod command;
mod control;
mod device;
mod entry_points;
mod execute;
mod feature_chain;
mod format;
mod function;
mod handle;
mod instance;
mod mapping;
mod memory;
mod memory_rules;
mod object;
mod physical_device;
mod pnext;
mod profile;
mod query;
mod queue;
mod record;
mod requirements;
mod resource;
mod script;
mod sim_device;
mod state;
mod storage;
mod synchronisation;
mod violation;
mod world;

pub use accounts::HeapState;
pub use control::{Control, Snapshot};
pub use function::Function;
pub use handle::ObjectKind;
pub use profile::{
    BufferModel, DedicatedModel, Features, GIB, Heap, ImageModel, KIB, MIB, MemoryType, Profile,
    QueueFamily,
};
pub use script::{Call, Gate};
pub use sim_device::{MemoryView, SimBuilder, SimDevice, entry};
pub use state::{CallbackUse, Checks};
pub use violation::Violation;

#[cfg(test)]
mod tests;
