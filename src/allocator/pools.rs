//! The pools of an allocator: default ones by memory type, others by class, custom ones by handle.
//!
//! ```text
//!   index 0..31    default pools: linear, or both kinds
//!   index 32..63   default pools of non-linear resources, where the granularity is too large for rounding
//!   index 64..     pools of other classes, and custom pools
//! ```
//!
//! A pool is made when it is first needed. Finding a default pool is a table lookup without a lock.

use core::fmt;
use core::ops::Deref;
use std::sync::Arc;

use ash::vk;
use thiserror::Error;

use super::error::AllocationError;
use crate::block::growth::GrowthSettings;
use crate::device::{Device, Features, Mapping, Properties};
use crate::memory_type::{ExtraFlags, Intent};
use crate::pool::{BlockClass, Kind, MemoryPriority, Pool, PoolSettings};
use crate::suballocator::align::{align_down, align_up};
use crate::suballocator::{self, Algorithm};
use crate::sync::{OnceLock, RwLock};

const DEFAULT_COUNT: usize = 2 * vk::MAX_MEMORY_TYPES;
/// Every offset in a default pool is a multiple of this, in bytes: buffers align to 16 to 256. Measured: 16 costs 1 %
/// more instructions, 256 saves 1 %.
const UNIT: u64 = 64;
/// Sizes up to this are served from slabs, in bytes.
const SLAB_LIMIT: u64 = 64 << 10;
/// Sizes from this on lie at the high end of a free range, in bytes: small and large do not mix.
const HIGH_END_FROM: u64 = 64 << 10;
/// Above this granularity, in bytes, kinds get blocks of their own; up to it, rounding wastes less. Measured on the
/// recorded applications: at 65,536 rounding costs 3 % of memory.
const ROUNDED_GRANULARITY_MAX: u64 = 4096;

/// All pools.
#[derive(Debug)]
pub(crate) struct Pools {
    defaults: [OnceLock<Arc<Pool>>; DEFAULT_COUNT],
    others: RwLock<Others>,
    template: Template,
}

#[derive(Debug, Default)]
struct Others {
    slots: Vec<Option<Arc<Pool>>>,
    classes: Vec<(u32, BlockClass, u16)>,
}

/// What default pools of a device have in common.
#[derive(Debug)]
struct Template {
    properties: Properties,
    features: Features,
    separates_kinds: bool,
}

/// A pool found: borrowed from the table where that needs no lock, else shared.
#[derive(Debug)]
pub(crate) enum PoolRef<'a> {
    Borrowed(&'a Pool),
    Shared(Arc<Pool>),
}

impl Deref for PoolRef<'_> {
    type Target = Pool;

    #[inline]
    fn deref(&self) -> &Pool {
        match self {
            Self::Borrowed(pool) => pool,
            Self::Shared(pool) => pool,
        }
    }
}

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
    pub(crate) choice: TypeChoice,
    algorithm: Algorithm,
    block_size: Option<u64>,
    pub(crate) min_block_count: u32,
    max_block_count: u32,
    min_alignment: u64,
    priority: Option<MemoryPriority>,
}

/// How the memory type of a custom pool is found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TypeChoice {
    Index(u32),
    Intent(Intent, ExtraFlags, u32),
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
        Self::with_choice(TypeChoice::Intent(intent, ExtraFlags::default(), u32::MAX))
    }

    /// Chooses the intent's memory type among these only: the `memoryTypeBits` of what the pool is for.
    #[must_use]
    pub fn memory_type_bits(mut self, memory_type_bits: u32) -> Self {
        if let TypeChoice::Intent(_, _, bits) = &mut self.choice {
            *bits = memory_type_bits;
        }
        self
    }

    /// Chooses how blocks are cut; TLSF if nothing is said.
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

    /// Keeps at least so many blocks; they are opened when the pool is created.
    #[must_use]
    pub fn min_block_count(mut self, count: u32) -> Self {
        self.min_block_count = count;
        self
    }

    /// Opens at most so many blocks.
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

    /// Gives the pool's blocks a priority, where `VK_EXT_memory_priority` is declared.
    #[must_use]
    pub fn priority(mut self, priority: MemoryPriority) -> Self {
        self.priority = Some(priority);
        self
    }

    fn with_choice(choice: TypeChoice) -> Self {
        Self {
            choice,
            algorithm: Algorithm::Tlsf,
            block_size: None,
            min_block_count: 0,
            max_block_count: u32::MAX,
            min_alignment: 1,
            priority: None,
        }
    }
}

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
    /// Blocks of this size cannot be.
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
    #[error("at least {min} and at most {max} blocks contradict each other")]
    BadBlockCount {
        /// The least number of blocks.
        min: u32,
        /// The largest number of blocks.
        max: u32,
    },
    /// Slots of this size cannot be.
    #[error("slots of 0 bytes cannot be: give the size of what the pool is for")]
    ZeroSlotSize,
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
    #[error("{count} allocations of the pool are alive")]
    InUse {
        /// How many allocations are alive.
        count: u64,
    },
}

/// A pool of the user's own: blocks of one memory type that nothing else shares.
///
/// Hand it to [`AllocationCreateInfo::pool`](super::AllocationCreateInfo::pool), and back to
/// [`Allocator::destroy_pool`](super::Allocator::destroy_pool) when nothing of it is alive.
#[must_use = "a pool is destroyed by handing it to the allocator, not by dropping it"]
pub struct CustomPool {
    pub(crate) pool: Arc<Pool>,
    pub(crate) index: u16,
    pub(crate) owner: u32,
}

impl CustomPool {
    /// Returns the memory type of all blocks.
    pub fn memory_type_index(&self) -> u32 {
        self.pool.settings().memory_type_index
    }
}

impl fmt::Debug for CustomPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomPool")
            .field("index", &self.index)
            .field("settings", self.pool.settings())
            .finish_non_exhaustive()
    }
}

impl Pools {
    /// Creates a table without pools.
    pub(crate) fn new(device: &Device) -> Self {
        let properties = device.properties().clone();
        let separates_kinds = properties.buffer_image_granularity > ROUNDED_GRANULARITY_MAX;
        let template = Template { properties, features: device.features(), separates_kinds };
        Self { defaults: [const { OnceLock::new() }; DEFAULT_COUNT], others: RwLock::default(), template }
    }

    /// Returns the default pool of a memory type and kind, with its index.
    #[inline]
    pub(crate) fn default_pool(&self, memory_type_index: u32, kind: Kind) -> (u16, &Pool) {
        let is_apart = self.template.separates_kinds && kind == Kind::NonLinear;
        let index = memory_type_index as usize + if is_apart { vk::MAX_MEMORY_TYPES } else { 0 };
        let pool = self.defaults[index].get_or_init(|| {
            let kind = self.template.separates_kinds.then_some(kind);
            let class = BlockClass { kind, ..self.template.class() };
            Arc::new(Pool::new(self.template.settings(memory_type_index, class)))
        });
        #[expect(clippy::cast_possible_truncation, reason = "there are 64 default pools")]
        (index as u16, pool)
    }

    /// Returns the pool of a memory type and kind whose blocks have a priority of their own.
    ///
    /// # Errors
    /// `TooManyPools`.
    pub(crate) fn with_priority(
        &self,
        memory_type_index: u32,
        kind: Kind,
        priority: MemoryPriority,
    ) -> Result<(u16, Arc<Pool>), CreatePoolError> {
        let kind = self.template.separates_kinds.then_some(kind);
        let class = BlockClass { priority, kind, ..self.template.class() };
        let find = |others: &Others| {
            let found = others.classes.iter().find(|entry| (entry.0, entry.1) == (memory_type_index, class))?;
            Some((found.2, others.slots.get(usize::from(found.2) - DEFAULT_COUNT)?.clone()?))
        };
        if let Some(found) = find(&self.others.read()) {
            return Ok(found);
        }
        let mut others = self.others.write();
        if let Some(found) = find(&others) {
            return Ok(found);
        }
        let (index, pool) = others.insert(Pool::new(self.template.settings(memory_type_index, class)))?;
        others.classes.push((memory_type_index, class, index));
        Ok((index, pool))
    }

    /// Adds a custom pool.
    ///
    /// # Errors
    /// What is wrong with the create-info.
    pub(crate) fn add_custom(
        &self,
        info: &PoolCreateInfo,
        memory_type_index: u32,
    ) -> Result<(u16, Arc<Pool>), CreatePoolError> {
        let settings = self.template.custom_settings(info, memory_type_index)?;
        self.others.write().insert(Pool::new(settings))
    }

    /// Takes a custom pool out of the table.
    pub(crate) fn remove(&self, index: u16) {
        if let Some(slot) = self.others.write().slots.get_mut(usize::from(index) - DEFAULT_COUNT) {
            *slot = None;
        }
    }

    /// Finds a pool by its index.
    #[inline]
    pub(crate) fn get(&self, index: u16) -> Option<PoolRef<'_>> {
        let index = usize::from(index);
        if let Some(slot) = self.defaults.get(index) {
            return slot.get().map(|pool| PoolRef::Borrowed(pool));
        }
        self.others.read().slots.get(index - DEFAULT_COUNT)?.clone().map(PoolRef::Shared)
    }

    /// Returns all pools with their indices, in order.
    pub(crate) fn all(&self) -> Vec<(u16, PoolRef<'_>)> {
        let others = self.others.read();
        let defaults = self.defaults.iter().map(|slot| slot.get().map(|pool| PoolRef::Borrowed(pool)));
        let shared = others.slots.iter().map(|slot| slot.clone().map(PoolRef::Shared));
        (0u16..).zip(defaults.chain(shared)).filter_map(|(index, pool)| Some((index, pool?))).collect()
    }

    /// Adds a counter up over all pools.
    pub(crate) fn sum(&self, counter: impl Fn(&Pool) -> u64) -> u64 {
        let defaults = self.defaults.iter().filter_map(|slot| slot.get());
        let others = self.others.read();
        defaults.chain(others.slots.iter().flatten()).map(|pool| counter(pool)).sum()
    }

    /// Returns the default pools and the others for good, so that their memory can be given up.
    pub(crate) fn drain(&mut self) -> Vec<Arc<Pool>> {
        let defaults = self.defaults.iter_mut().filter_map(OnceLock::take);
        let others = self.others.get_mut().slots.drain(..).flatten();
        defaults.chain(others).collect()
    }
}

impl Others {
    fn insert(&mut self, pool: Pool) -> Result<(u16, Arc<Pool>), CreatePoolError> {
        let max = u32::from(u16::MAX);
        let vacant = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let index = u16::try_from(DEFAULT_COUNT + vacant).map_err(|_| CreatePoolError::TooManyPools { max })?;
        let pool = Arc::new(pool);
        if vacant == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[vacant] = Some(Arc::clone(&pool));
        Ok((index, pool))
    }
}

impl Template {
    fn class(&self) -> BlockClass {
        BlockClass { device_address: self.features.buffer_device_address, ..BlockClass::default() }
    }

    fn settings(&self, memory_type_index: u32, class: BlockClass) -> PoolSettings {
        let flags = self.properties.flags_of(memory_type_index);
        let heap_size = self.properties.heap_of(memory_type_index).map_or(0, |heap| heap.size);
        let max_object_size = self.properties.max_memory_allocation_size.min(heap_size);
        let is_host_visible = flags.contains(vk::MemoryPropertyFlags::HOST_VISIBLE);
        let mapping = if is_host_visible { Mapping::Persistent } else { Mapping::None };
        let unit = UNIT.max(self.properties.atom_of(memory_type_index));
        PoolSettings {
            memory_type_index,
            class,
            algorithm: Algorithm::Tlsf,
            suballocator: suballocator::Settings { unit, slab_limit: SLAB_LIMIT, high_end_from: HIGH_END_FROM },
            growth: GrowthSettings::for_heap(heap_size, max_object_size),
            min_block_count: 0,
            max_block_count: u32::MAX,
            min_alignment: 1,
            max_object_size,
            mapping,
            is_lazy: flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED),
            may_own: true,
            priority: self.features.memory_priority.then_some(class.priority),
        }
    }

    fn custom_settings(&self, info: &PoolCreateInfo, memory_type_index: u32) -> Result<PoolSettings, CreatePoolError> {
        let class = BlockClass { priority: info.priority.unwrap_or_default(), ..self.class() };
        let mut settings = self.settings(memory_type_index, class);
        if !info.min_alignment.is_power_of_two() {
            return Err(CreatePoolError::BadAlignment { alignment: info.min_alignment });
        }
        if info.max_block_count == 0 || info.min_block_count > info.max_block_count {
            let (min, max) = (info.min_block_count, info.max_block_count);
            return Err(CreatePoolError::BadBlockCount { min, max });
        }
        if info.algorithm == (Algorithm::Fixed { slot_size: 0 }) {
            return Err(CreatePoolError::ZeroSlotSize);
        }
        settings.growth.fixed_size = info.block_size.map(|bytes| fixed_size(bytes, &settings)).transpose()?;
        settings.algorithm = info.algorithm;
        settings.min_alignment = info.min_alignment;
        settings.min_block_count = info.min_block_count;
        settings.max_block_count = info.max_block_count;
        settings.may_own = info.block_size.is_none() && info.algorithm == Algorithm::Tlsf;
        Ok(settings)
    }
}

/// Rounds a custom block size up to the pool's unit.
fn fixed_size(block_size: u64, settings: &PoolSettings) -> Result<u64, CreatePoolError> {
    let unit = settings.suballocator.unit;
    let max = align_down(settings.max_object_size, unit);
    let rounded = align_up(block_size, unit).filter(|&bytes| bytes > 0 && bytes <= max);
    rounded.ok_or(CreatePoolError::BadBlockSize { block_size, min: unit, max })
}
