//! Attachments and buffers that live for a part of a frame, in memory that they share.
//!
//! ```text
//!   requests: requirements, first and last use, may be lazy
//!     -> group      which may share a page of memory, by memory type
//!     -> place      offsets: only what is alive at one time gets different bytes
//!     -> takeover   who takes over whose bytes: the barriers that the aliases need        plan: plain data
//!     -> keep       which memory of the plan before serves
//!     -> memory     the allocator for the rest; resources inside it
//! ```
//!
//! `group`, `place`, `takeover` and `keep` are *policy*; `plan` puts them together, with what `rules` knows of the
//! device; `memory` is the mechanism.
//!
//! What it does not do: it records no barrier, and it does not know when the GPU is done: memory that a plan no longer
//! needs is handed to the caller.

#![deny(unsafe_code)]

mod error;
mod group;
mod keep;
#[expect(unsafe_code, reason = "takes create-infos from the user, and makes resources of them")]
mod memory;
mod place;
mod plan;
mod rules;
mod takeover;

pub use self::error::TransientError;
pub use self::memory::{OutdatedMemory, TransientChange, TransientMemory};
pub use self::plan::{TransientPage, TransientPlacement, TransientPlan, TransientRequest};
pub use self::takeover::{Takeover, TakeoverFrame};
