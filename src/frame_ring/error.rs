//! What a user of a ring is told: which limit, how much, and what to do.

use thiserror::Error;

use super::EndedFrame;
use crate::allocator::AllocationError;
use crate::device::DriverError;

/// Why a ring, a frame or a push failed. The ring and its frames are as they were, and go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FrameRingError {
    /// The create-info contradicts itself.
    #[error("no frame ring can be made: {what}")]
    InvalidCreateInfo {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The ring may not become as large as one aligned push, or no buffer or memory object of the device may.
    #[error("a ring of {max_size} bytes at most, or one object of the device, holds no push of {unit}: raise max_size")]
    TooSmall {
        /// The largest size that was allowed, in bytes.
        max_size: u64,
        /// Bytes of the smallest push: what the buffer's usage and the memory's atoms align to.
        unit: u64,
    },
    /// As many frames as may be are open, or ended and not reclaimed. Reclaim one, or allow more.
    #[error("{limit} frames are in flight, which is the ring's limit: reclaim one whose work is complete")]
    FramesInFlight {
        /// How many may be.
        limit: u32,
    },
    /// Nothing was pushed. Leave an empty push out: Vulkan has no empty ranges.
    #[error("a push of 0 bytes: leave it out")]
    ZeroSize,
    /// The alignment is 0, or has no common multiple with that of the ring's usage or of the values' type.
    #[error(
        "an alignment of {asked} bytes cannot be met together with the {usage} bytes of the ring's usage or of the type"
    )]
    BadAlignment {
        /// What the push asked for, in bytes.
        asked: u64,
        /// What the buffer's usage asks for, or the type of the values pushed, in bytes.
        usage: u64,
    },
    /// The push is larger than the ring may become. Split it, or raise the ring's maximum.
    #[error("{size} bytes at a multiple of {alignment} are more than the {limit} bytes that one push may have")]
    TooLarge {
        /// Bytes of the push.
        size: u64,
        /// Alignment of the push, in bytes.
        alignment: u64,
        /// The ring's limit, in bytes.
        limit: u64,
    },
    /// The frames in flight leave no room, and the ring may not grow any further. Reclaim a frame, or raise its
    /// maximum.
    #[error("no room for {size} bytes: {in_use} of {capacity} bytes are in use, and the ring may have {limit}")]
    Full {
        /// Bytes needed, padding included.
        size: u64,
        /// Bytes that frames hold.
        in_use: u64,
        /// Bytes of all blocks.
        capacity: u64,
        /// Bytes that all blocks may have.
        limit: u64,
    },
    /// The frame has ended. Begin another.
    #[error("the frame has ended: begin another one")]
    FrameEnded,
    /// The memory that was chosen cannot be mapped. Use the intent `stream` or `upload`.
    #[error("the ring's memory is not mapped: use the intent stream or upload")]
    NotMapped,
    /// No block could be opened.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}

/// Why a frame could not be ended. It stays open, with all that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndFrameError {
    /// It was ended before.
    #[error("the frame was ended before")]
    AlreadyEnded,
    /// An earlier frame was ended with a higher point. Points never fall.
    #[error("point {point} is lower than {last}, with which an earlier frame was ended")]
    OutOfOrder {
        /// The point given.
        point: u64,
        /// The highest point so far.
        last: u64,
    },
    /// The point has been reclaimed: the frame's memory would be reused before the GPU has seen it.
    #[error("point {point} was reclaimed already: the frame needs one that its own work will signal")]
    AlreadyCompleted {
        /// The point given.
        point: u64,
    },
    /// The point is `u64::MAX`, which stands for an idle device and which no work signals.
    #[error("point {} stands for an idle device: give the one that the frame's own work will signal", u64::MAX)]
    IdlePoint,
    /// The driver failed to flush what was written. End the frame again.
    #[error(transparent)]
    Flush(#[from] DriverError),
}

/// Another ring made the frame; it is handed back.
#[derive(Debug, Error)]
#[error("the frame belongs to another ring; it is handed back")]
pub struct ForeignFrame {
    /// The frame, for whoever can reclaim it.
    pub frame: EndedFrame,
}
