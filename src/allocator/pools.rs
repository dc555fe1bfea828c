//! The pools of an allocator: default ones by memory type, others by class, custom ones by handle.
//!
//! ```text
//!   index 0..31    default pools: linear, or both kinds
//!   index 32..63   default pools of non-linear resources, where the granularity is too large for rounding
//!   index 64..     pools of other classes, and custom pools
//! ```
//!
//! A pool is made when it is first needed. Finding a default pool is a table lookup without a lock.

use core::ops::Deref;
use std::sync::Arc;

use super::custom_pool::{CreatePoolError, PoolCreateInfo};
use crate::block::growth::GrowthSettings;
use crate::device::{Device, Features, Mapping, Properties};
use crate::pool::{BlockClass, Kind, MemoryPriority, Pool, PoolSettings};
use crate::suballocator::{self, Algorithm};
use crate::sync::{AtomicU64, OnceLock, Ordering, RwLock};
use ash::vk;

const DEFAULT_COUNT: usize = 2 * vk::MAX_MEMORY_TYPES;
/// Every offset in a default pool is a multiple of this, in bytes: buffers align to 16 to 256. Measured: 16 costs 1 %
/// more instructions, 256 saves 1 %.
const UNIT: u64 = 64;
/// Sizes up to this are served from slabs, in bytes. Measured against 64 KiB (`benches/JOURNAL.md`): mixed sizes of up to
/// 1 MiB take an eighth fewer instructions; the recorded applications reserve 0.7 % less at a card's sizes, 1.2 % more
/// at recorded ones.
const SLAB_LIMIT: u64 = 256 << 10;
/// Sizes from this on lie at the high end of a free range, in bytes: small and large do not mix.
const HIGH_END_FROM: u64 = 64 << 10;
/// Above this granularity, in bytes, kinds get blocks of their own; up to it, rounding wastes less. Measured on the
/// recorded applications: at 65,536 rounding costs 3 % of memory.
const ROUNDED_GRANULARITY_MAX: u64 = 4096;

/// All pools.
#[derive(Debug)]
pub(crate) struct Pools {
    defaults: [OnceLock<Arc<Pool>>; DEFAULT_COUNT],
    /// One bit for each default pool that there is, or will be in a moment.
    opened: AtomicU64,
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

impl Pools {
    /// Creates a table without pools.
    pub(crate) fn new(device: &Device) -> Self {
        let properties = device.properties().clone();
        let separates_kinds = properties.buffer_image_granularity > ROUNDED_GRANULARITY_MAX;
        let template = Template { properties, features: device.features(), separates_kinds };
        Self {
            defaults: [const { OnceLock::new() }; DEFAULT_COUNT],
            opened: AtomicU64::new(0),
            others: RwLock::default(),
            template,
        }
    }

    /// Returns the default pool of a memory type and kind, with its index.
    #[inline]
    pub(crate) fn default_pool(&self, memory_type_index: u32, kind: Kind) -> (u16, &Pool) {
        let is_apart = self.template.separates_kinds && kind == Kind::NonLinear;
        let index = memory_type_index as usize + if is_apart { vk::MAX_MEMORY_TYPES } else { 0 };
        let slot = &self.defaults[index];
        let pool = slot.get().unwrap_or_else(|| self.open_default(index, memory_type_index, kind));
        #[expect(clippy::cast_possible_truncation, reason = "there are 64 default pools")]
        (index as u16, pool)
    }

    /// Returns the pool of a memory type and kind whose blocks have a priority of their own; `None` where there are as
    /// many pools as can be counted.
    pub(crate) fn with_priority(
        &self,
        memory_type_index: u32,
        kind: Kind,
        priority: MemoryPriority,
    ) -> Option<(u16, Arc<Pool>)> {
        let kind = self.template.separates_kinds.then_some(kind);
        let class = BlockClass { priority, kind, ..self.template.class() };
        let find = |others: &Others| {
            let found = others.classes.iter().find(|entry| (entry.0, entry.1) == (memory_type_index, class))?;
            Some((found.2, others.slots.get(usize::from(found.2) - DEFAULT_COUNT)?.clone()?))
        };
        if let Some(found) = find(&self.others.read()) {
            return Some(found);
        }
        let mut others = self.others.write();
        if let Some(found) = find(&others) {
            return Some(found);
        }
        let (index, pool) = others.insert(Pool::new(self.template.settings(memory_type_index, class)))?;
        others.classes.push((memory_type_index, class, index));
        Some((index, pool))
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
        let class = BlockClass { priority: info.class_priority(), ..self.template.class() };
        let settings = info.settings(self.template.settings(memory_type_index, class))?;
        let max = u32::from(u16::MAX);
        self.others.write().insert(Pool::new(settings)).ok_or(CreatePoolError::TooManyPools { max })
    }

    /// Takes a custom pool out of the table.
    pub(crate) fn remove(&self, index: u16) {
        if let Some(slot) = self.others.write().slots.get_mut(usize::from(index) - DEFAULT_COUNT) {
            *slot = None;
        }
    }

    #[cold]
    #[inline(never)]
    fn open_default(&self, index: usize, memory_type_index: u32, kind: Kind) -> &Arc<Pool> {
        self.defaults[index].get_or_init(|| {
            // Before anybody can use the pool.
            self.opened.fetch_or(1 << index, Ordering::Release);
            let kind = self.template.separates_kinds.then_some(kind);
            let class = BlockClass { kind, ..self.template.class() };
            Arc::new(Pool::new(self.template.settings(memory_type_index, class)))
        })
    }

    /// Finds a default pool by its index; `None` for any other.
    #[inline]
    pub(crate) fn get_default(&self, index: u16) -> Option<&Pool> {
        self.defaults.get(usize::from(index))?.get().map(|pool| &**pool)
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
        let mut opened = self.opened.load(Ordering::Acquire);
        let indices = core::iter::from_fn(|| {
            let index = opened.trailing_zeros() as usize;
            opened &= opened.wrapping_sub(1);
            (index < DEFAULT_COUNT).then_some(index)
        });
        let defaults = indices.filter_map(|index| self.defaults[index].get());
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
    fn insert(&mut self, pool: Pool) -> Option<(u16, Arc<Pool>)> {
        let vacant = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let index = u16::try_from(DEFAULT_COUNT + vacant).ok()?;
        let pool = Arc::new(pool);
        if vacant == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[vacant] = Some(Arc::clone(&pool));
        Some((index, pool))
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
            non_linear_page: if class.kind.is_none() { self.properties.buffer_image_granularity } else { 1 },
            is_non_coherent: self.properties.needs_flush(memory_type_index),
            is_lazy: flags.contains(vk::MemoryPropertyFlags::LAZILY_ALLOCATED),
            may_own: true,
            priority: self.features.memory_priority.then_some(class.priority),
        }
    }
}
