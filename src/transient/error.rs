//! What a user is told when transients cannot be planned, or memory for them cannot be had.

use thiserror::Error;

use crate::allocator::AllocationError;

/// Why a frame could not be planned, or a resource not be made. The plan and the memory from before are as they were.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TransientError {
    /// A resource has 0 bytes. Leave it out.
    #[error("transient {index}: it has 0 bytes")]
    ZeroSize {
        /// Its number in the requests.
        index: usize,
    },
    /// An alignment is no power of two. Take it from `VkMemoryRequirements`.
    #[error("transient {index}: alignment {alignment} is no power of two")]
    BadAlignment {
        /// Its number in the requests.
        index: usize,
        /// The alignment, in bytes.
        alignment: u64,
    },
    /// A resource allows no memory type that the wishes allow, or lazily allocated ones only, which only a request that
    /// may be lazy can use.
    #[error("transient {index}: no memory type serves memoryTypeBits {memory_type_bits:#x}")]
    NoMemoryType {
        /// Its number in the requests.
        index: usize,
        /// The types that it allows.
        memory_type_bits: u32,
    },
    /// A last use comes before the first. Swap them.
    #[error("transient {index}: its last use, {last_use}, comes before its first, {first_use}")]
    UsesReversed {
        /// Its number in the requests.
        index: usize,
        /// Its first use.
        first_use: u32,
        /// Its last use.
        last_use: u32,
    },
    /// The sizes of all resources together are past 64 bits. One of them is wrong.
    #[error("transient {index}: with its {size} bytes all of them together are past 2^64")]
    TooLarge {
        /// Its number in the requests.
        index: usize,
        /// Its size, in bytes.
        size: u64,
    },
    /// The granularity is no power of two. Take it from `VkPhysicalDeviceLimits::bufferImageGranularity`.
    #[error("a granularity of {granularity} bytes is no power of two")]
    BadGranularity {
        /// What was given, in bytes.
        granularity: u64,
    },
    /// The driver requires memory of its own for a resource, which then can share none. Leave it out, and create it
    /// with the allocator's `create_buffer` or `create_image`.
    #[error("transient {index}: the driver requires a dedicated allocation: make it with the allocator, not the plan")]
    Dedicated {
        /// Its number in the requests.
        index: usize,
    },
    /// There is no resource of that number in the plan.
    #[error("transient {index}: the plan has {count}")]
    NoSuchResource {
        /// What was asked for.
        index: usize,
        /// How many the plan has.
        count: usize,
    },
    /// A resource needs more than was planned for it. Plan again, with the requirements of this create-info.
    #[error("transient {index}: {required} bytes are required, {planned} were planned")]
    LargerThanPlanned {
        /// Its number in the requests.
        index: usize,
        /// Bytes that were planned.
        planned: u64,
        /// Bytes that the driver requires.
        required: u64,
    },
    /// A resource of the other kind was planned: an image of optimal tiling takes no linear place, and a linear
    /// resource no place of the other kind that shares a page of the granularity. Plan it as what it is.
    #[error(
        "transient {index}: it is not of the kind that was planned, and may share a page of bufferImageGranularity"
    )]
    OtherKind {
        /// Its number in the requests.
        index: usize,
    },
    /// Memory could not be had, or a resource not be created.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}
