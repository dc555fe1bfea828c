//! What can go wrong with a [`VirtualBlock`](super::VirtualBlock), and what its user can do then.

use super::super::InvalidRequest;
use super::VirtualKey;

/// Why a [`VirtualBlock`](super::VirtualBlock) was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualBlockError {
    /// The unit is not a power of two.
    #[error("a unit of {unit} is not a power of two")]
    Unit {
        /// What was asked for.
        unit: u64,
    },
    /// The size is 0, no multiple of the unit, or 2^42 units and more. Round it, or take a larger unit.
    #[error("a block of {size} is not 1 to 2^42 - 1 units of {unit}")]
    Size {
        /// What was asked for.
        size: u64,
        /// The unit.
        unit: u64,
    },
    /// The slot size is 0, no multiple of the unit, larger than the block, or so small that there are 2^32 slots. A
    /// block need not be a whole number of slots: the rest is not used.
    #[error(
        "slots of {slot_size} do not suit a block of {size}: they are whole units of {unit}, and 1 to 2^32 - 1 fit"
    )]
    SlotSize {
        /// What was asked for.
        slot_size: u64,
        /// The block's size.
        size: u64,
        /// The unit.
        unit: u64,
    },
    /// The process has made 2^32 - 1 blocks; their ids are used up.
    #[error("no block id is left")]
    NoIdLeft,
}

/// Why a request was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualAllocateError {
    /// The request makes no sense. Correct it.
    #[error(transparent)]
    Invalid(#[from] InvalidRequest),
    /// Nothing free was found that holds it: see [`allocate`](super::VirtualBlock::allocate) for what may be missed.
    /// Free something, or use a further block. [Fixed slots](super::super::Algorithm::Fixed) say so, too, of a size or
    /// an alignment that no slot has: then only a block of other slots helps.
    #[error("no free range for {size} aligned to {alignment}: {free_bytes} free, the largest range has {largest}")]
    NoRoom {
        /// What was asked for.
        size: u64,
        /// What was asked for.
        alignment: u64,
        /// All that is free, in however many ranges.
        free_bytes: u64,
        /// The largest free range, or up to a 16th less where many are about as large: so that a refusal costs little.
        /// [`statistics`](super::VirtualBlock::statistics) tells it exactly.
        largest: u64,
    },
}

/// Why a key was refused. The key comes back with it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VirtualFreeError {
    /// The key is another block's. Free it there.
    #[error("the key belongs to another virtual block")]
    Foreign(VirtualKey),
    /// The key's range went when the block was cleared. Drop the key.
    #[error("the key's range was freed when its block was cleared")]
    Stale(VirtualKey),
}

impl VirtualFreeError {
    /// Gives the key back.
    pub fn into_key(self) -> VirtualKey {
        match self {
            Self::Foreign(key) | Self::Stale(key) => key,
        }
    }
}
