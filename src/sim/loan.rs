//! Mapped bytes that somebody has borrowed, as the tester knows.
//!
//! Vulkan lets an application free or unmap memory at any time; a library that hands out slices of a mapping must not,
//! as long as one is borrowed. The tester says which bytes are (`SimDevice::lend`), and the driver watches over them.
//!
//! Invariant (I1): no two loans of one memory object share a byte; a second one is recorded.

use super::function::Function;
use super::handle::BadHandle;
use super::object::DeviceObject;
use ash::vk;
use ash::vk::Handle;
use core::ops::Range;
use std::sync::{Arc, Weak};

/// Bytes of a mapping that are borrowed until this is dropped: see [`SimDevice::lend`](super::SimDevice::lend).
#[derive(Debug)]
#[must_use = "the loan ends when it is dropped"]
pub struct Loan {
    range: Arc<Range<u64>>,
}

impl Loan {
    /// Returns the borrowed bytes, from the start of the memory object.
    pub fn range(&self) -> Range<u64> {
        Range::clone(&self.range)
    }
}

/// The loans of one memory object.
#[derive(Default)]
pub(super) struct Loans(Vec<Weak<Range<u64>>>);

impl Loans {
    /// Returns the first loan that lives and touches a range.
    pub(super) fn first_within(&self, range: &Range<u64>) -> Option<Range<u64>> {
        let mut live = self.0.iter().filter_map(Weak::upgrade);
        live.find(|loan| loan.start < range.end && range.start < loan.end).map(|loan| Range::clone(&loan))
    }

    fn enter(&mut self, range: Range<u64>) -> Loan {
        self.0.retain(|loan| loan.strong_count() > 0);
        let range = Arc::new(range);
        self.0.push(Arc::downgrade(&range));
        Loan { range }
    }
}

/// Lends bytes of a mapping; records what is wrong with that.
pub(super) fn lend(device: &DeviceObject, memory: vk::DeviceMemory, range: Range<u64>) -> Loan {
    let mut world = device.world();
    let wrong = |rule, message| device.violate(rule, Function::MapMemory, message);
    let of_nothing = |bad: BadHandle| format!("bytes {range:?} lent of memory {memory:?}, which {bad}");
    let object = match world.memories.get_mut(memory.as_raw()) {
        Ok(object) => object,
        Err(bad) => {
            wrong("SIM-loan-outside-mapping", of_nothing(bad));
            return Loan { range: Arc::new(range) };
        }
    };
    let is_mapped = |mapping: &Range<u64>| mapping.start <= range.start && range.end <= mapping.end;
    if !object.mapping.as_ref().is_some_and(is_mapped) {
        let message = format!("bytes {range:?} lent of memory {memory:?}, mapped is {:?}", object.mapping);
        wrong("SIM-loan-outside-mapping", message);
    }
    if let Some(other) = object.loans.first_within(&range) {
        wrong("SIM-lent-twice", format!("bytes {range:?} of memory {memory:?} are lent, and so are {other:?}"));
    }
    object.loans.enter(range)
}
