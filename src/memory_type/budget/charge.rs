//! What one memory object counts for.
//!
//! ```text
//!                                     own           settled: what the driver is believed to count as ours
//!   any memory                        its size      its size
//!   lazily allocated, just opened     its size      nothing: it may have committed nothing yet
//!   lazily allocated, looked at       what it had committed then, in both
//! ```
//!
//! So memory that is lazily allocated is never believed to be more of the driver's usage than it was known to be (I5 of
//! `budget`), and is never thought to take less than it may.
//!
//! # Source
//! `vkGetDeviceMemoryCommitment`: at most the object's size, and it may change at any time.

/// The bytes that one memory object counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The object's size.
    pub(super) size: u64,
    /// What the driver has committed of it, as of the last look; `None` before the first.
    committed: Option<u64>,
}

impl Charge {
    /// Counts an object as a whole.
    pub(crate) fn whole(size: u64) -> Self {
        Self { size, committed: Some(size) }
    }

    /// Counts lazily allocated memory that nobody has looked at.
    pub(crate) fn unseen(size: u64) -> Self {
        Self { size, committed: None }
    }

    /// Counts lazily allocated memory by what a driver says that it has committed: at most its size is believed.
    pub(crate) fn committed(size: u64, committed: u64) -> Self {
        Self { size, committed: Some(committed.min(size)) }
    }

    /// Returns the bytes that count as held.
    pub(super) fn own(self) -> u64 {
        self.committed.unwrap_or(self.size)
    }

    /// Returns those of them that the driver is believed to count.
    pub(super) fn settled(self) -> u64 {
        self.committed.unwrap_or(0)
    }
}
