//! What a user is told when an arena cannot do something.

use thiserror::Error;

use super::range::ArenaRange;
use crate::allocator::AllocationError;

/// Why an arena was not made, or could not hand out a range. Every range that lives is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArenaError {
    /// The range would have 0 bytes. Ask for at least one byte.
    #[error("a range of 0 bytes was asked for")]
    ZeroSize,
    /// The alignment is 0. Use 1 where any offset will do; any other number is allowed, such as a stride of 20.
    #[error("an alignment of 0 bytes was asked for: use 1 where any offset will do")]
    ZeroAlignment,
    /// The usual size of a buffer is 0 or more than a buffer of this device may have. Choose another.
    #[error("buffers of {size} bytes were asked for: this device allows 1 to {largest}")]
    BufferSize {
        /// What was asked for, in bytes.
        size: u64,
        /// The largest buffer, in bytes.
        largest: u64,
    },
    /// No buffer of this device can hold the range. Split it.
    #[error("a range of {size} bytes was asked for: a buffer of this device holds at most {largest}")]
    TooLarge {
        /// What was asked for, in bytes.
        size: u64,
        /// The largest buffer, in bytes.
        largest: u64,
    },
    /// The arena has as many bytes as it may. Free ranges, or raise the limit.
    #[error(
        "no room for {size} bytes: the arena has {reserved} of at most {limit} bytes, {free} of them free in pieces"
    )]
    ByteLimit {
        /// What was asked for, in bytes.
        size: u64,
        /// Bytes of all buffers.
        reserved: u64,
        /// The limit, in bytes.
        limit: u64,
        /// Bytes of all buffers that no range uses.
        free: u64,
    },
    /// The arena has as many buffers as it may. Free ranges, or raise the limit.
    #[error("no room for {size} bytes: the arena has all {limit} buffers that it may, {free} bytes free in pieces")]
    BufferLimit {
        /// What was asked for, in bytes.
        size: u64,
        /// The limit.
        limit: u32,
        /// Bytes of all buffers that no range uses.
        free: u64,
    },
    /// A further buffer could not be made.
    #[error("a further buffer of the arena: {0}")]
    Allocation(#[from] AllocationError),
}

/// Why a range could not be freed; it is handed back, untouched.
#[derive(Debug, Error)]
#[error("{reason}; the range is handed back")]
pub struct ArenaFreeError {
    /// What is wrong with it.
    pub reason: ArenaFreeReason,
    /// The range, for whoever can free it.
    pub range: ArenaRange,
}

/// What is wrong with a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ArenaFreeReason {
    /// Another arena made it: free it there.
    #[error("the range belongs to another arena")]
    Foreign,
    /// It went when its arena was cleared: drop it.
    #[error("the range was freed when its arena was cleared")]
    Stale,
}
