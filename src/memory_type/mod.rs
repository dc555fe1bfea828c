//! Floor 2: which memory type, and is there budget for it.
//!
//! | file | holds |
//! |---|---|
//! | `intent` | *policy*: an intent's required flags and its wishes in order |
//! | `topology` | *policy*: how host and device share memory, from heaps and types |
//! | `selection` | *policy*: the memory types for a request, best first, with reasons |
//! | `budget` | the one reservation point: bytes per heap, memory objects in all |
//!
//! The policies are pure functions of plain data; their tests run on memory layouts of real devices (`layouts`).

#![forbid(unsafe_code)]

mod budget;
mod intent;
#[cfg(test)]
mod layouts;
mod selection;
mod topology;

pub(crate) use budget::{Bound, Budget, Change, Charge, Release, ReleaseInFlight};
pub use budget::{HeapUsage, Refused};
pub use intent::Intent;
pub(crate) use selection::{Candidates, Selector, TypeRequest};
pub use selection::{ExtraFlags, Rejection, TypeVerdict, UnsupportedFlags, Verdict};
pub use topology::Topology;
