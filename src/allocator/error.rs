//! What a user is told when something cannot be done: where, how much, why, and what to do.
//!
//! Lower floors have small errors of their own; here they become the user's. Nothing is swallowed: an error of the
//! driver keeps its `VkResult`, a refusal keeps its numbers, and what was handed in comes back.

use core::fmt;

use ash::vk;
use thiserror::Error;

use super::allocation::Allocation;
use crate::device::{DeviceError, DriverError};
use crate::memory_type::{Refused, TypeVerdict, UnsupportedFlags};
use crate::pool::{Attempt, Kind, Refusal};

/// Why an allocation, or the creation of a resource, failed. Nothing was kept and no counter has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AllocationError {
    /// The size is 0 bytes. Ask for at least one byte; leave the resource out otherwise.
    #[error("an allocation of 0 bytes was asked for: memory requirements are never empty")]
    ZeroSize,
    /// The alignment, or the least one wished for, is no power of two. Take it from `VkMemoryRequirements`.
    #[error("alignment {alignment} is no power of two: take it from the memory requirements")]
    BadAlignment {
        /// The alignment asked for, in bytes.
        alignment: u64,
    },
    /// No memory type fits. Relax the required flags, or look at each type's reason.
    #[error("no memory type fits memoryTypeBits {memory_type_bits:#x}: {}", list(verdicts))]
    NoMemoryType {
        /// The types that the resource allows.
        memory_type_bits: u32,
        /// Every type with the reason against it.
        verdicts: Vec<TypeVerdict>,
    },
    /// The custom pool's memory type does not serve the resource or the intent. Make the pool for what it is to serve,
    /// or name another one.
    #[error("the custom pool's memory does not serve this: {verdict}; make a pool for it, or name another")]
    PoolMismatch {
        /// The pool's memory type, with the reason against it.
        verdict: TypeVerdict,
    },
    /// A flag was required whose feature was not declared when the allocator was created.
    #[error(transparent)]
    UnsupportedFlags(#[from] UnsupportedFlags),
    /// This path cannot serve the input. Nothing was created.
    #[error("{what} cannot be created here: {use_instead}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// What to do instead.
        use_instead: &'static str,
    },
    /// The driver requires a dedicated allocation, and the caller forbids one or wants to alias.
    #[error("the driver requires a dedicated allocation, which {conflict} forbids: drop one of the two")]
    DedicatedConflict {
        /// The caller's wish that is in the way.
        conflict: &'static str,
    },
    /// No memory is to be had. Free something, allow other memory types, or raise the limit that refused.
    #[error("no memory for {size} bytes: {attempts}")]
    OutOfMemory {
        /// Bytes asked for.
        size: u64,
        /// Everything that was tried, in order, with the reason why it failed.
        attempts: Attempts,
    },
    /// The driver reported an error that no other attempt mends, such as a lost device.
    #[error("the driver stopped with {result:?} at {size} bytes: {attempts}")]
    Driver {
        /// What the driver returned.
        result: vk::Result,
        /// Bytes asked for.
        size: u64,
        /// Everything that was tried, in order.
        attempts: Attempts,
    },
    /// Creating, querying or binding the resource failed.
    #[error(transparent)]
    Resource(#[from] DriverError),
    /// The custom pool was made by another allocator.
    #[error("the custom pool belongs to another allocator: use the allocator that created it")]
    ForeignPool,
    /// The custom pool is for resources of one kind only, and this one is of the other. Take it from another pool, or
    /// make the pool without a kind.
    #[error("the custom pool serves resources of the kind {kind:?} only: use another pool, or make it without a kind")]
    OtherKind {
        /// The pool's kind.
        kind: Kind,
    },
    /// The aliasing resource does not fit into the allocation.
    #[error(transparent)]
    Alias(#[from] AliasError),
}

impl AllocationError {
    /// Tells whether memory was short, of the device or of the host, in whichever call: free something, or ask for
    /// less.
    pub fn is_out_of_memory(&self) -> bool {
        let is_short =
            |result| matches!(result, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY | vk::Result::ERROR_OUT_OF_HOST_MEMORY);
        matches!(self, Self::OutOfMemory { .. }) || self.driver_result().is_some_and(is_short)
    }

    /// Returns what the driver reported where that ended the call, `ERROR_DEVICE_LOST` for one. `OutOfMemory` has a
    /// record of each attempt instead.
    pub fn driver_result(&self) -> Option<vk::Result> {
        match self {
            Self::Driver { result, .. } => Some(*result),
            Self::Resource(error) => Some(error.result),
            _ => None,
        }
    }
}

/// Why a resource cannot be placed inside an existing allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AliasError {
    /// The resource's end lies past the allocation's.
    #[error("{size} bytes at offset {offset} do not fit into an allocation of {available} bytes")]
    DoesNotFit {
        /// Offset within the allocation, in bytes.
        offset: u64,
        /// Bytes the resource requires.
        size: u64,
        /// Bytes of the allocation.
        available: u64,
    },
    /// The offset in the memory object is not aligned for the resource.
    #[error("memory offset {offset} is not a multiple of the required alignment {alignment}")]
    Misaligned {
        /// Offset within the memory object, in bytes.
        offset: u64,
        /// Required alignment, in bytes.
        alignment: u64,
    },
    /// The resource does not allow the allocation's memory type.
    #[error("memory type {memory_type_index} is not among the allowed {memory_type_bits:#x}")]
    WrongMemoryType {
        /// The allocation's memory type.
        memory_type_index: u32,
        /// The types that the resource allows.
        memory_type_bits: u32,
    },
    /// The resource would share a page of `bufferImageGranularity` with a neighbour of the other kind.
    #[error("a resource of the other kind may lie on the same page of {granularity} bytes: allocate for its kind")]
    SharedPage {
        /// bufferImageGranularity, in bytes.
        granularity: u64,
    },
    /// The driver requires a dedicated allocation for the resource, which then shares memory with none. Create it with
    /// [`create_buffer`](super::Allocator::create_buffer) or [`create_image`](super::Allocator::create_image).
    #[error("the driver requires a dedicated allocation: use the allocator's `create_buffer` or `create_image`")]
    RequiresDedicated,
    /// The memory was allocated for one resource alone.
    #[error("the memory is dedicated to one resource: allocate with can_alias")]
    Dedicated,
    /// The allocation was made by another allocator.
    #[error("the allocation belongs to another allocator")]
    Foreign,
}

/// Why [`Allocator::new`](super::Allocator::new) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The device, its version or its declared features do not add up.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

/// Why an allocation could not be freed; it is handed back, untouched.
#[derive(Debug, Error)]
#[error("{reason}; the allocation is handed back")]
pub struct FreeError {
    /// What is wrong with the key.
    pub reason: FreeErrorReason,
    /// The allocation, for whoever can free it.
    pub allocation: Allocation,
}

/// Some of several allocations could not be freed: they are still in the vector, untouched. All others are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{refused_count} of the allocations could not be freed and stay in the vector; the last of them: {reason}")]
pub struct FreeManyError {
    /// How many were refused.
    pub refused_count: usize,
    /// What is wrong with the last of them.
    pub reason: FreeErrorReason,
}

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FreeErrorReason {
    /// Another allocator made it.
    #[error("the allocation belongs to another allocator")]
    Foreign,
    /// It names nothing that is alive.
    #[error("the allocation is no longer alive")]
    Stale,
}

/// Why a mapped access failed. Nothing was read. Nothing was written either, unless it is `Driver`: then the bytes are
/// in memory and were not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AccessError {
    /// The memory is not visible to the host. Allocate with `upload`, `stream` or `readback`.
    #[error("the memory is not mapped: allocate with the intent upload, stream or readback")]
    NotMapped,
    /// The access ends past the allocation.
    #[error("{len} bytes at offset {offset} do not fit into an allocation of {size} bytes")]
    OutOfBounds {
        /// Offset within the allocation, in bytes.
        offset: u64,
        /// Bytes of the access.
        len: u64,
        /// Bytes of the allocation.
        size: u64,
    },
    /// The address is not aligned for the type.
    #[error("offset {offset} is not aligned to the {alignment} bytes that the type needs")]
    Misaligned {
        /// Offset within the allocation, in bytes.
        offset: u64,
        /// Alignment of the type, in bytes.
        alignment: usize,
    },
    /// Another allocator made the allocation.
    #[error("the allocation belongs to another allocator")]
    Foreign,
    /// The driver failed to flush or to invalidate.
    #[error(transparent)]
    Driver(DriverError),
}

/// Everything one descent tried, in order.
#[derive(Clone, Debug, Default)]
pub struct Attempts(pub(crate) Vec<AttemptRecord>);

impl Attempts {
    /// Returns the attempts in the order in which they were made.
    pub fn records(&self) -> &[AttemptRecord] {
        &self.0
    }
}

impl fmt::Display for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&list(&self.0))
    }
}

/// One attempt and why it failed.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// What was tried.
    pub attempt: AttemptKind,
    /// The memory type it was tried in.
    pub memory_type_index: u32,
    /// The heap of that type.
    pub heap_index: u32,
    /// Bytes of the memory object that was asked for; 0 where none was.
    pub bytes: u64,
    /// Why it did not help.
    pub reason: Reason,
}

impl fmt::Display for AttemptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, memory_type_index, heap_index, bytes, reason } = self;
        write!(f, "type {memory_type_index} on heap {heap_index}, {attempt}")?;
        if *bytes > 0 {
            write!(f, " of {bytes} bytes")?;
        }
        write!(f, ": {reason}")
    }
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AttemptKind {
    /// A range of a block that exists.
    ExistingBlock,
    /// A range of a new block.
    NewBlock,
    /// A block exactly as large as the resource.
    OwnBlock,
    /// A memory object for the resource alone.
    Dedicated,
    /// Giving back the empty blocks of all pools on the heap.
    TrimHeap,
    /// Giving back the empty blocks of all pools.
    TrimAll,
}

impl From<Attempt> for AttemptKind {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Existing => Self::ExistingBlock,
            Attempt::Grow { .. } => Self::NewBlock,
            Attempt::Own => Self::OwnBlock,
            Attempt::Dedicated => Self::Dedicated,
        }
    }
}

impl fmt::Display for AttemptKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExistingBlock => "existing blocks",
            Self::NewBlock => "a new block",
            Self::OwnBlock => "an own block",
            Self::Dedicated => "dedicated memory",
            Self::TrimHeap => "giving back this heap's empty blocks",
            Self::TrimAll => "giving back all empty blocks",
        })
    }
}

/// Why an attempt did not place the request.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum Reason {
    /// No block has room.
    #[error("no block has room")]
    DoesNotFit,
    /// The request is larger than any object that may be opened, or than a slot of the custom pool.
    #[error("larger than the {limit} bytes that one object or slot may have")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The custom pool's slots are no whole pages of `bufferImageGranularity`, so that a non-linear resource would
    /// share a page with what may be linear. Make the pool of [one kind](super::PoolCreateInfo::kind), or its slots of
    /// whole pages.
    #[error("its slots are no whole pages of {granularity} bytes (bufferImageGranularity): make the pool of one kind")]
    SharedPage {
        /// bufferImageGranularity, in bytes.
        granularity: u64,
    },
    /// The custom pool has all the blocks it may have.
    #[error("the pool has all the {max} blocks that its max_block_count allows")]
    BlockLimit {
        /// The pool's limit.
        max: u32,
    },
    /// The budget refused.
    #[error("{0}")]
    Budget(Refused),
    /// The driver refused.
    #[error("{0}")]
    Driver(DriverError),
    /// A trim gave this much back, or other threads had meanwhile, after which the next attempt was made.
    #[error("{bytes} bytes given back")]
    GaveBack {
        /// Bytes given back.
        bytes: u64,
    },
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::DoesNotFit => Self::DoesNotFit,
            Refusal::TooLarge { limit } => Self::TooLarge { limit },
            Refusal::SharedPage { granularity } => Self::SharedPage { granularity },
            Refusal::BlockLimit { max } => Self::BlockLimit { max },
            Refusal::Budget(refused) => Self::Budget(refused),
            Refusal::Driver(error) => Self::Driver(error),
        }
    }
}

fn list(items: &[impl fmt::Display]) -> String {
    if items.is_empty() {
        return "nothing could be tried".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
