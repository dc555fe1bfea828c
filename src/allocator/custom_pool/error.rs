//! Why a custom pool was not created, or not destroyed.

use thiserror::Error;

use super::CustomPool;
use crate::allocator::error::AllocationError;

/// Why a custom pool could not be created. Nothing was kept.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CreatePoolError {
    /// The device has no such memory type.
    #[error("memory type {memory_type_index} does not exist: the device has {count}")]
    NoSuchMemoryType {
        /// The index asked for.
        memory_type_index: u32,
        /// How many types the device has.
        count: u32,
    },
    /// The minimum alignment is no power of two.
    #[error("minimum alignment {alignment} is no power of two")]
    BadAlignment {
        /// The alignment asked for, in bytes.
        alignment: u64,
    },
    /// Blocks of this size cannot be: in no memory type that the pool might be made of. The bounds are those of the
    /// last.
    #[error("blocks of {block_size} bytes cannot be: they hold from {min} to {max} bytes here")]
    BadBlockSize {
        /// The size asked for, in bytes.
        block_size: u64,
        /// The smallest possible block, in bytes.
        min: u64,
        /// The largest possible block, in bytes.
        max: u64,
    },
    /// More blocks must be kept than may be opened.
    #[error(
        "at least {min} and at most {max} blocks cannot be: the maximum is 1 or more, and no less than the minimum"
    )]
    BadBlockCount {
        /// The least number of blocks.
        min: u32,
        /// The largest number of blocks.
        max: u32,
    },
    /// Slots of this size cannot be.
    #[error("slots of 0 bytes cannot be: give the size of what the pool is for")]
    ZeroSlotSize,
    /// Slots cannot be so large.
    #[error("slots of {slot_size} bytes cannot be: a memory object holds {max} at most")]
    SlotTooLarge {
        /// The size asked for, in bytes.
        slot_size: u64,
        /// The largest memory object, in bytes.
        max: u64,
    },
    /// The allocator has as many pools as it can count.
    #[error("an allocator has at most {max} pools")]
    TooManyPools {
        /// The limit.
        max: u32,
    },
    /// No memory type, or no memory for the first blocks.
    #[error(transparent)]
    Allocation(#[from] AllocationError),
}

/// Why a custom pool was not destroyed; it is handed back, untouched.
#[derive(Debug, Error)]
#[error("{reason}; the pool is handed back")]
pub struct DestroyPoolError {
    /// What is in the way.
    pub reason: DestroyPoolReason,
    /// The pool.
    pub pool: CustomPool,
}

/// What is in the way of destroying a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DestroyPoolReason {
    /// Another allocator made it.
    #[error("the pool belongs to another allocator")]
    Foreign,
    /// Free these first.
    #[error("{count} allocations of the pool are alive: free them first")]
    InUse {
        /// How many allocations are alive.
        count: u64,
    },
}
