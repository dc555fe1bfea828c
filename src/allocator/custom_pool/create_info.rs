//! What a user says of a custom pool, and the settings that it makes of those of a default pool.

use ash::vk;

use super::CreatePoolError;
use crate::memory_type::{ExtraFlags, Intent};
use crate::pool::{BlockClass, Kind, MemoryPriority, PoolSettings};
use crate::suballocator::Algorithm;
use crate::suballocator::align::{align_down, align_up};

/// How a custom pool is made.
///
/// # Examples
/// ```
/// use freestone::{Algorithm, Intent, PoolCreateInfo};
///
/// let frames = PoolCreateInfo::for_intent(Intent::Stream).algorithm(Algorithm::Linear).block_size(4 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct PoolCreateInfo {
    pub(super) choice: TypeChoice,
    pub(super) flags: ExtraFlags,
    algorithm: Algorithm,
    block_size: Option<u64>,
    pub(super) min_block_count: u32,
    max_block_count: u32,
    min_alignment: u64,
    kind: Option<Kind>,
    priority: Option<MemoryPriority>,
}

/// How the memory type of a custom pool is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum TypeChoice {
    Index(u32),
    Intent(Intent, u32),
}

impl PoolCreateInfo {
    /// Begins with a memory type by its index.
    #[must_use]
    pub fn for_memory_type(memory_type_index: u32) -> Self {
        Self::with_choice(TypeChoice::Index(memory_type_index))
    }

    /// Begins with the best memory type for an intent.
    #[must_use]
    pub fn for_intent(intent: Intent) -> Self {
        Self::with_choice(TypeChoice::Intent(intent, u32::MAX))
    }

    /// Chooses the intent's memory type among these only: the `memoryTypeBits` of what the pool is for.
    #[must_use]
    pub fn memory_type_bits(mut self, memory_type_bits: u32) -> Self {
        if let TypeChoice::Intent(_, bits) = &mut self.choice {
            *bits = memory_type_bits;
        }
        self
    }

    /// Takes no memory type without these flags; one that was named by its index is refused then.
    #[must_use]
    pub fn required_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.required |= flags;
        self
    }

    /// Prefers memory types with these flags, where an intent chooses.
    #[must_use]
    pub fn preferred_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.preferred |= flags;
        self
    }

    /// Avoids memory types with these flags, as long as another will do, where an intent chooses.
    #[must_use]
    pub fn avoided_flags(mut self, flags: vk::MemoryPropertyFlags) -> Self {
        self.flags.avoided |= flags;
        self
    }

    /// Chooses how blocks are cut; TLSF if nothing is said.
    ///
    /// Slots are rounded up to 256 bytes and to the minimum alignment. Images of optimal tiling get slots only where
    /// these are whole pages of `bufferImageGranularity`, or the pool is of their [`kind`](Self::kind).
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Gives every block this size, in bytes, instead of growing with demand. Nothing larger fits the pool then.
    #[must_use]
    pub fn block_size(mut self, bytes: u64) -> Self {
        self.block_size = Some(bytes);
        self
    }

    /// Keeps at least so many blocks; they are opened when the pool is created. A pool of lazily allocated memory has
    /// none, and is refused (`Unsupported`): each of its images has memory of its own.
    #[must_use]
    pub fn min_block_count(mut self, count: u32) -> Self {
        self.min_block_count = count;
        self
    }

    /// Opens at most so many blocks. Where all are there or on their way and none has room, a thread waits for those
    /// that are on their way before it is refused.
    ///
    /// An empty block makes way for a larger one, where blocks grow with demand. Where the minimum needs it, it goes
    /// when the larger one is there, which takes memory for both, and stays where that cannot be opened. The larger one
    /// stays even where the resource that it was opened for cannot be bound.
    #[must_use]
    pub fn max_block_count(mut self, count: u32) -> Self {
        self.max_block_count = count;
        self
    }

    /// Aligns every allocation to at least so many bytes; a power of two.
    #[must_use]
    pub fn min_alignment(mut self, alignment: u64) -> Self {
        self.min_alignment = alignment;
        self
    }

    /// Serves resources of this kind only.
    ///
    /// Where both kinds share blocks, which is what a pool does if nothing is said, each non-linear resource takes
    /// whole pages of `bufferImageGranularity`, which has up to 128 KiB. A pool of one kind has no pages: sizes and
    /// slots are what the resources need. A resource of the other kind is refused, on every device, whatever its
    /// granularity.
    ///
    /// # Examples
    /// ```
    /// use freestone::{Algorithm, Intent, Kind, PoolCreateInfo};
    ///
    /// let tiles = PoolCreateInfo::for_intent(Intent::GpuOnly)
    ///     .algorithm(Algorithm::Fixed { slot_size: 16 << 10 })
    ///     .kind(Kind::NonLinear);
    /// ```
    ///
    /// # Source
    /// Vulkan specification, section 12.7 "Resource Memory Association", "Buffer-Image Granularity".
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Gives the pool's blocks a priority, where `VK_EXT_memory_priority` is declared.
    #[must_use]
    pub fn priority(mut self, priority: MemoryPriority) -> Self {
        self.priority = Some(priority);
        self
    }

    fn with_choice(choice: TypeChoice) -> Self {
        Self {
            choice,
            flags: ExtraFlags::default(),
            algorithm: Algorithm::Tlsf,
            block_size: None,
            min_block_count: 0,
            max_block_count: u32::MAX,
            min_alignment: 1,
            kind: None,
            priority: None,
        }
    }
}

impl PoolCreateInfo {
    /// Returns the class of the pool's blocks: that of the device's others, but for priority and kind.
    pub(in super::super) fn class(&self, others: BlockClass) -> BlockClass {
        BlockClass { priority: self.priority.unwrap_or_default(), kind: self.kind, ..others }
    }

    /// Turns a default pool's settings into those that the user asks for.
    ///
    /// # Errors
    /// What is wrong with the create-info.
    pub(in super::super) fn settings(&self, defaults: PoolSettings) -> Result<PoolSettings, CreatePoolError> {
        let mut settings = defaults;
        if !self.min_alignment.is_power_of_two() {
            return Err(CreatePoolError::BadAlignment { alignment: self.min_alignment });
        }
        if self.max_block_count == 0 || self.min_block_count > self.max_block_count {
            let (min, max) = (self.min_block_count, self.max_block_count);
            return Err(CreatePoolError::BadBlockCount { min, max });
        }
        settings.algorithm = self.rounded_algorithm(settings.max_object_size)?;
        if let Algorithm::Fixed { slot_size } = settings.algorithm {
            settings.growth = settings.growth.with_slots(slot_size);
        }
        settings.growth.fixed_size = self.block_size.map(|bytes| fixed_size(bytes, &settings)).transpose()?;
        settings.min_alignment = self.min_alignment;
        settings.min_block_count = self.min_block_count;
        settings.max_block_count = self.max_block_count;
        settings.may_own = self.block_size.is_none() && self.algorithm == Algorithm::Tlsf;
        Ok(settings)
    }

    /// Returns the algorithm, slots rounded up so that each is aligned as the pool promises.
    fn rounded_algorithm(&self, max_object_size: u64) -> Result<Algorithm, CreatePoolError> {
        match self.algorithm {
            Algorithm::Fixed { slot_size: 0 } => Err(CreatePoolError::ZeroSlotSize),
            Algorithm::Fixed { slot_size } => {
                let rounded = align_up(slot_size, self.min_alignment.max(SLOT_ALIGNMENT));
                let slot_size = rounded
                    .filter(|&bytes| bytes <= max_object_size)
                    .ok_or(CreatePoolError::SlotTooLarge { slot_size, max: max_object_size })?;
                Ok(Algorithm::Fixed { slot_size })
            }
            algorithm => Ok(algorithm),
        }
    }
}

/// Slots are multiples of this, in bytes: the largest nonCoherentAtomSize that the specification allows.
const SLOT_ALIGNMENT: u64 = 256;

/// Rounds a custom block size up to the pool's unit.
fn fixed_size(block_size: u64, settings: &PoolSettings) -> Result<u64, CreatePoolError> {
    let unit = settings.suballocator.unit;
    let min = if let Algorithm::Fixed { slot_size } = settings.algorithm { slot_size } else { unit };
    let max = align_down(settings.max_object_size, unit);
    let rounded = align_up(block_size, unit).filter(|&bytes| bytes >= min && bytes <= max);
    rounded.ok_or(CreatePoolError::BadBlockSize { block_size, min, max })
}
