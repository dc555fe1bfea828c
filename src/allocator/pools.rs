//! The pools of an allocator: default ones by memory type, others by class, custom ones by handle.
//!
//! ```text
//!   index 0..31       default pools: linear, or both kinds
//!   index 32..63      default pools of non-linear resources, where the granularity is too large for rounding
//!   index 64..1023    their further shards, 64 a round, where threads collide
//!   index 1024..      pools of other classes and their further shards, and custom pools, as they come
//! ```
//!
//! A pool is made when it is first needed. Finding a default pool is a table lookup without a lock.

mod chunks;
mod classes;
mod shards;
mod table;
mod template;

use core::array;
use core::ops::Deref;
use std::sync::Arc;

use self::classes::{ClassPools, Classes};
pub(crate) use self::shards::SHARD_COUNT;
use self::shards::{Borrowing, Shards};
pub(crate) use self::table::HeldEntry;
use self::table::PoolTable;
pub(crate) use self::template::BlockSizes;
use self::template::Template;
use super::custom_pool::{CreatePoolError, PoolCreateInfo};
use super::stamp::{Stamp, Trait};
use crate::device::Device;
use crate::pool::{BlockClass, Kind, Lifetime, MemoryPriority, Pool, PoolSettings};
use crate::sync::{AtomicU64, OnceBox, Ordering, RwLock};
use ash::vk;

/// Default pools, shards not counted: by memory type, and once more for kinds that have blocks of their own.
const DEFAULT_COUNT: usize = 2 * vk::MAX_MEMORY_TYPES;
/// The index of the first pool of another class.
const FIRST_OTHER: usize = DEFAULT_COUNT * SHARD_COUNT;

/// All pools.
#[derive(Debug)]
pub(crate) struct Pools {
    defaults: [OnceBox<Shards>; DEFAULT_COUNT],
    /// One bit for each default pool that there is, or will be in a moment.
    opened: AtomicU64,
    classes: Classes,
    /// The pools of other classes, with their shards, and the custom ones.
    table: PoolTable,
    departed: RwLock<Departed>,
    template: Template,
    owner: u32,
}

/// A pool with the stamp that its allocations carry.
#[derive(Debug)]
pub(crate) struct NumberedPool {
    pool: Pool,
    stamp: Stamp,
    home: Home,
    borrowing: Borrowing,
}

/// Among which pools it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    /// The default pools of its memory type; a further shard where it was opened because threads collided in the first.
    Default { is_further: bool },
    /// The pools of its class, in the same way.
    Class { is_further: bool },
    /// It stands alone.
    Custom,
}

impl NumberedPool {
    fn new(owner: u32, index: usize, home: Home, settings: PoolSettings) -> Option<Self> {
        let stamp = Stamp::new(owner, u16::try_from(index).ok()?, settings.memory_type_index);
        let stamp = stamp.with(Trait::NonCoherent, settings.is_non_coherent);
        Some(Self { pool: Pool::new(settings), stamp, home, borrowing: Borrowing::new() })
    }

    /// Returns what every allocation of the pool is stamped with.
    #[inline]
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Returns the pool's index.
    pub(crate) fn index(&self) -> u16 {
        self.stamp.pool()
    }

    /// Returns whether it takes room of its siblings.
    pub(crate) fn borrowing(&self) -> &Borrowing {
        &self.borrowing
    }

    /// Returns whether it was opened because threads collided in another.
    pub(crate) fn is_further_shard(&self) -> bool {
        matches!(self.home, Home::Default { is_further: true } | Home::Class { is_further: true })
    }
}

/// Returns the shard of a default pool, or another pool's number. Tables indexed by it keep threads apart that use
/// different shards or pools.
pub(crate) fn shard_or_number(index: u16) -> usize {
    let index = usize::from(index);
    if index < FIRST_OTHER { index / DEFAULT_COUNT } else { index - FIRST_OTHER }
}

impl Deref for NumberedPool {
    type Target = Pool;

    #[inline]
    fn deref(&self) -> &Pool {
        &self.pool
    }
}

/// Counters of destroyed pools. Its lock also guards insertion into and removal from the table, so a sum counts each
/// pool exactly once.
#[derive(Debug, Default)]
struct Departed {
    allocated: Gone,
    taken_back: u64,
}

/// The allocations that pools had made before they were destroyed, all freed, by memory type.
pub(crate) type Gone = [u64; vk::MAX_MEMORY_TYPES];

/// A pool found: borrowed from the table where that needs no lock, else shared.
#[derive(Debug)]
pub(crate) enum PoolRef<'a> {
    Borrowed(&'a NumberedPool),
    Shared(Arc<NumberedPool>),
}

impl Deref for PoolRef<'_> {
    type Target = NumberedPool;

    #[inline]
    fn deref(&self) -> &NumberedPool {
        match self {
            Self::Borrowed(pool) => pool,
            Self::Shared(pool) => pool,
        }
    }
}

impl Pools {
    /// Creates a table without pools.
    pub(crate) fn new(device: &Device, owner: u32, block_sizes: BlockSizes) -> Self {
        Self {
            defaults: array::from_fn(|_| OnceBox::new()),
            opened: AtomicU64::new(0),
            classes: Classes::new(),
            table: PoolTable::new(),
            departed: RwLock::default(),
            template: Template::new(device, block_sizes),
            owner,
        }
    }

    /// Returns the default pool of a memory type and kind, with its shards.
    #[inline]
    pub(crate) fn shards(&self, memory_type_index: u32, kind: Kind) -> &Shards {
        let index = self.default_index(memory_type_index, kind);
        match self.defaults[index].get() {
            Some(shards) => shards,
            None => self.open_default(index, memory_type_index, kind),
        }
    }

    /// Returns the calling thread's shard of a default pool, by the pool's index, if there is one already.
    #[inline]
    pub(crate) fn own_shard_if_ready(&self, index: u8) -> Option<&NumberedPool> {
        self.defaults[usize::from(index) % DEFAULT_COUNT].get()?.own_if_ready()
    }

    /// Returns the calling thread's shard of a default pool.
    pub(crate) fn own_shard(&self, memory_type_index: u32, kind: Kind) -> &NumberedPool {
        let shards = self.shards(memory_type_index, kind);
        shards.own(|shard| self.make_default(memory_type_index, kind, shard))
    }

    /// Returns the pool to use after the calling thread found one busy: another shard, if it has happened often.
    #[cold]
    pub(crate) fn own_shard_when_busy<'a>(&'a self, busy: &'a NumberedPool, kind: Kind) -> &'a NumberedPool {
        let memory_type_index = busy.settings().memory_type_index;
        match busy.home {
            Home::Default { .. } => {
                self.shards(memory_type_index, kind).note_collision();
                self.own_shard(memory_type_index, kind)
            }
            Home::Class { .. } => self.classes.get(memory_type_index, busy.settings().class).map_or(busy, |pools| {
                pools.shards.note_collision();
                self.own_shard_of(pools)
            }),
            Home::Custom => busy,
        }
    }

    /// Returns the other shards of a pool; none for a pool without.
    pub(crate) fn siblings<'a>(&'a self, pool: &'a NumberedPool) -> impl Iterator<Item = &'a NumberedPool> {
        let (defaults, of_class) = match pool.home {
            Home::Default { .. } => (self.defaults[usize::from(pool.index()) % DEFAULT_COUNT].get(), None),
            Home::Class { .. } => (None, self.classes.get(pool.settings().memory_type_index, pool.settings().class)),
            Home::Custom => (None, None),
        };
        let of_class = of_class.into_iter().flat_map(|pools| pools.shards.all());
        let all = defaults.into_iter().flat_map(Shards::all).chain(of_class);
        all.filter(move |sibling| sibling.index() != pool.index())
    }

    /// Returns the index of the default pool of a memory type and kind.
    pub(crate) fn default_index(&self, memory_type_index: u32, kind: Kind) -> usize {
        let index = memory_type_index as usize + if self.template.is_apart(kind) { vk::MAX_MEMORY_TYPES } else { 0 };
        // There are 32 memory types, so this changes nothing; but now the table's end needs no check.
        index % DEFAULT_COUNT
    }

    /// Returns the calling thread's shard of the pool of a memory type and kind whose blocks have this priority and
    /// hold what stays so long; `None` where there are as many pools as can be counted.
    pub(crate) fn own_shard_with(
        &self,
        memory_type_index: u32,
        kind: Kind,
        (priority, lifetime): (MemoryPriority, Lifetime),
    ) -> Option<&NumberedPool> {
        let class = BlockClass { priority, lifetime, ..self.template.class_of(kind) };
        if class == self.template.class_of(kind) {
            return Some(self.own_shard(memory_type_index, kind));
        }
        let found = self.classes.get(memory_type_index, class);
        Some(self.own_shard_of(found.or_else(|| self.open_class(memory_type_index, class))?))
    }

    #[cold]
    fn open_class(&self, memory_type_index: u32, class: BlockClass) -> Option<&ClassPools> {
        let mut departed = self.departed.write();
        let found = self.classes.get(memory_type_index, class);
        found.or_else(|| {
            let settings = self.template.default_settings(memory_type_index, class);
            self.classes.insert(self.insert(&mut departed, Home::Class { is_further: false }, settings)?)
        })
    }

    /// Returns the calling thread's shard of the pools of a class. Where no more pools can be counted, the first
    /// serves, and stands for that shard from then on.
    fn own_shard_of<'a>(&'a self, pools: &'a ClassPools) -> &'a NumberedPool {
        let ClassPools { memory_type_index, class, shards } = pools;
        shards.own(|_| {
            let settings = self.template.default_settings(*memory_type_index, *class);
            let further = self.insert(&mut self.departed.write(), Home::Class { is_further: true }, settings);
            further.unwrap_or_else(|| Arc::clone(shards.first()))
        })
    }

    /// Adds a custom pool of a memory type of whose heap at most so many bytes can ever be had.
    ///
    /// # Errors
    /// What is wrong with the create-info.
    pub(crate) fn add_custom(
        &self,
        info: &PoolCreateInfo,
        memory_type_index: u32,
        most_bytes: u64,
    ) -> Result<Arc<NumberedPool>, CreatePoolError> {
        let class = info.class(self.template.class());
        let mut defaults = self.template.settings(memory_type_index, class);
        defaults.max_object_size = defaults.max_object_size.min(most_bytes);
        defaults.growth = defaults.growth.within(defaults.max_object_size);
        let settings = info.settings(defaults)?;
        let max = u32::try_from(usize::from(u16::MAX) + 1 - FIRST_OTHER).unwrap_or(u32::MAX);
        self.insert(&mut self.departed.write(), Home::Custom, settings).ok_or(CreatePoolError::TooManyPools { max })
    }

    fn insert(&self, departed: &mut Departed, home: Home, settings: PoolSettings) -> Option<Arc<NumberedPool>> {
        self.table.insert(departed, |number| NumberedPool::new(self.owner, FIRST_OTHER + number, home, settings))
    }

    /// Takes a custom pool out of the table. What it had ever allocated still counts.
    pub(crate) fn remove(&self, index: u16) {
        let mut departed = self.departed.write();
        if let Some(pool) = self.table.remove(&mut departed, usize::from(index) - FIRST_OTHER) {
            let counts = pool.counts();
            departed.allocated[pool.settings().memory_type_index as usize] += counts.allocated;
            departed.taken_back += counts.taken_back;
        }
    }

    #[cold]
    #[inline(never)]
    fn open_default(&self, index: usize, memory_type_index: u32, kind: Kind) -> &Shards {
        self.defaults[index].get_or_init(|| {
            // Before anybody can use the pool.
            self.opened.fetch_or(1 << index, Ordering::Release);
            Box::new(Shards::new(self.make_default(memory_type_index, kind, 0)))
        })
    }

    #[cold]
    fn make_default(&self, memory_type_index: u32, kind: Kind, shard: usize) -> NumberedPool {
        let index = self.default_index(memory_type_index, kind) + shard * DEFAULT_COUNT;
        let settings = self.template.default_settings(memory_type_index, self.template.class_of(kind));
        let home = Home::Default { is_further: shard > 0 };
        NumberedPool::new(self.owner, index, home, settings).expect("the indices of default pools end at 1023")
    }

    /// Finds a shard of a default pool by its index; `None` for any other.
    #[inline]
    pub(crate) fn get_default(&self, index: u16) -> Option<&NumberedPool> {
        let index = usize::from(index);
        if index < DEFAULT_COUNT {
            return self.defaults[index].get().map(Shards::first);
        }
        if index < FIRST_OTHER { self.defaults[index % DEFAULT_COUNT].get()?.get(index / DEFAULT_COUNT) } else { None }
    }

    /// Finds a pool by its index.
    #[inline]
    pub(crate) fn get(&self, index: u16) -> Option<PoolRef<'_>> {
        if usize::from(index) < FIRST_OTHER {
            return self.get_default(index).map(PoolRef::Borrowed);
        }
        self.get_other(index).map(PoolRef::Shared)
    }

    fn get_other(&self, index: u16) -> Option<Arc<NumberedPool>> {
        self.table.get(usize::from(index) - FIRST_OTHER)
    }

    /// Finds a pool that is no default one by its index, and keeps it where it is.
    #[inline]
    pub(crate) fn hold_other(&self, index: u16) -> Option<HeldEntry<'_>> {
        self.table.hold(usize::from(index).checked_sub(FIRST_OTHER)?)
    }

    /// Goes through all pools: the default ones by memory type, each with its shards, then the others that there are
    /// now. No lock is held between two of them, and no heap call is made.
    pub(crate) fn all(&self) -> impl Iterator<Item = PoolRef<'_>> {
        self.defaults().map(PoolRef::Borrowed).chain(self.table.all().map(PoolRef::Shared))
    }

    /// Returns the pools of one moment, and what those had allocated that are not among them.
    pub(crate) fn all_and_gone(&self) -> (Vec<PoolRef<'_>>, Gone) {
        let departed = self.departed.read();
        (self.all().collect(), departed.allocated)
    }

    /// Counts the allocations that were ever made, also by pools that were destroyed.
    pub(crate) fn allocated(&self) -> u64 {
        let departed = self.departed.read();
        self.sum(|pool| pool.counts().allocated) + departed.allocated.iter().sum::<u64>()
    }

    /// Returns a number that grows with each allocation, whatever becomes of it, and never falls: where two readings
    /// are the same, nothing was allocated between them in any pool.
    pub(crate) fn use_count(&self) -> u64 {
        let departed = self.departed.read();
        let gone = departed.allocated.iter().sum::<u64>() + departed.taken_back;
        self.sum(|pool| pool.counts().use_count()) + gone
    }

    /// Adds a counter up over all pools.
    pub(crate) fn sum(&self, counter: impl Fn(&NumberedPool) -> u64) -> u64 {
        self.defaults().map(&counter).sum::<u64>() + self.table.sum(&counter)
    }

    /// Goes through the default pools, each with its shards.
    fn defaults(&self) -> impl Iterator<Item = &NumberedPool> {
        let mut opened = self.opened.load(Ordering::Acquire);
        let indices = core::iter::from_fn(move || {
            let index = opened.trailing_zeros() as usize;
            opened &= opened.wrapping_sub(1);
            (index < DEFAULT_COUNT).then_some(index)
        });
        indices.filter_map(|index| self.defaults[index].get()).flat_map(Shards::all)
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
