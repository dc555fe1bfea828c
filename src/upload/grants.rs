//! What batches hold: ranges of staging memory, and copies to buffers.
//!
//! Invariants:
//! - G1: `taken` holds every range that is taken, in the order of batches.
//! - G2: `copies` has, for each buffer, the number of its ranges in `taken`, and no buffer without any.
//!
//! A question about a buffer costs the same however many copies there are, and a heap call happens only while either
//! collection grows.

use std::collections::{HashMap, VecDeque};

use ash::vk;

use crate::suballocator::RangeKey;

/// The grants of an uploader.
#[derive(Debug, Default)]
pub(super) struct Grants {
    taken: VecDeque<Granted>,
    copies: HashMap<vk::Buffer, usize>,
}

/// A range of staging memory that a batch holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    pub(super) batch: u64,
    pub(super) key: RangeKey,
    /// The buffer to which it is copied; none, where that is an image.
    pub(super) target: Option<vk::Buffer>,
}

impl Grants {
    /// Adds a range of the current batch.
    pub(super) fn push(&mut self, granted: Granted) {
        self.taken.push_back(granted);
        if let Some(buffer) = granted.target {
            *self.copies.entry(buffer).or_default() += 1;
        }
    }

    /// Takes the oldest range out, if its batch is as asked for.
    pub(super) fn pop_oldest(&mut self, is_due: impl FnOnce(u64) -> bool) -> Option<RangeKey> {
        self.taken.front().filter(|granted| is_due(granted.batch))?;
        let granted = self.taken.pop_front()?;
        Some(self.forget(granted))
    }

    /// Takes the newest range out, if it is of that batch.
    pub(super) fn pop_newest_of(&mut self, batch: u64) -> Option<RangeKey> {
        self.taken.back().filter(|granted| granted.batch == batch)?;
        let granted = self.taken.pop_back()?;
        Some(self.forget(granted))
    }

    /// Tells whether a range that is taken is copied to the buffer.
    pub(super) fn has_copies_to(&self, buffer: vk::Buffer) -> bool {
        self.copies.contains_key(&buffer)
    }

    /// Takes one copy off its buffer's number (G2).
    fn forget(&mut self, Granted { key, target, .. }: Granted) -> RangeKey {
        if let Some(buffer) = target
            && let Some(count) = self.copies.get_mut(&buffer)
        {
            *count -= 1;
            if *count == 0 {
                self.copies.remove(&buffer);
            }
        }
        key
    }
}
