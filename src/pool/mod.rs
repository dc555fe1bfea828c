//! A pool: blocks and dedicated memory of one memory type and class, behind one lock.
//!
//! ```text
//!   Pool::attempt   Existing    lock -> BlockList -> range
//!                   Grow, Own   open a block (no lock) -> lock -> cut the opener's range, publish
//!                   Dedicated   open a memory object (no lock) -> lock -> store
//!   Pool::free      lock -> BlockList or table -> unlock -> what is not kept goes back to the driver
//! ```
//!
//! Default and custom pools are one type; they differ in their [`PoolSettings`]. One attempt is exactly one try: what
//! comes after a refusal is decided on the floor above.
//!
//! Invariants:
//! - I1: the driver is never called, and nobody waits, while the lock is held.
//! - I2: nothing is counted twice: what a pool holds is counted from what is there, when somebody asks.
//! - I3: a pool never has more blocks than `max_block_count`, nor gives back below `min_block_count`. A block that goes
//!   for a larger one at the minimum goes when that is there, so for that moment the driver has one more.
//! - I4: where a pool maps its blocks, every block in its list is mapped: memory whose mapping failed is never shared,
//!   and none is kept beyond what its one resource needs.

#![forbid(unsafe_code)]

mod class;
mod counts;
mod dedicated;
mod held;
mod opening;
pub(crate) mod placement;
mod rounding;
mod ticket;
mod upkeep;
mod walk;

pub(crate) use self::class::{BlockClass, Lifetime};
pub use self::class::{Kind, MemoryPriority};
use self::dedicated::DedicatedTable;
pub(crate) use self::held::{Freed, Held};
use self::opening::Openings;
pub use self::placement::DedicatedUse;
use self::rounding::Rounding;
pub(crate) use self::ticket::{GrowthTicket, Joined};
pub(crate) use self::upkeep::Kept;
pub(crate) use self::walk::PoolVisitor;
use crate::block::block_list::{BlockList, Cut};
use crate::block::growth::GrowthSettings;
use crate::block::{Backing, OpenError, Retired};
use crate::device::{DedicatedFor, DriverError, Mapping, Site};
use crate::memory_type::{Bound, Refused};
use crate::suballocator::{self, Algorithm, RangeKey, Request, SlotRule, StaleKey, Suballocator};
use crate::sync::{SpinMutex, spin_mutex};

/// What a pool is made of; never changes afterwards.
#[derive(Clone, Debug)]
pub(crate) struct PoolSettings {
    pub memory_type_index: u32,
    pub class: BlockClass,
    pub algorithm: Algorithm,
    pub suballocator: suballocator::Settings,
    pub growth: GrowthSettings,
    pub min_block_count: u32,
    pub max_block_count: u32,
    /// Every allocation is aligned to at least this many bytes.
    pub min_alignment: u64,
    /// The largest memory object that can be had, in bytes: the driver's limit and the largest region's, and for a
    /// custom pool its heap's too.
    pub max_object_size: u64,
    /// Whether blocks are mapped: once, when they are opened.
    pub mapping: Mapping,
    /// Size and alignment of non-linear resources are rounded up to this, in bytes: `bufferImageGranularity`, or 1
    /// where kinds have blocks of their own.
    pub non_linear_page: u64,
    pub is_non_coherent: bool,
    pub is_lazy: bool,
    /// Whether a resource that is too large for sharing may get a block of its own.
    pub may_own: bool,
    /// The priority that blocks carry, where they carry one.
    pub priority: Option<MemoryPriority>,
}

/// One request, rounded for the pool's memory type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolRequest {
    /// Bytes and alignment of the range, rounded to pages and atoms.
    pub range: Request,
    /// Bytes of a dedicated memory object: exactly what the driver requires.
    pub exact_size: u64,
    pub kind: Kind,
    pub access: HostAccess,
    pub dedicated_for: Option<DedicatedFor>,
    pub bound: Bound,
}

/// No lock was had at once: another thread is at work in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy;

/// What a pool has for a thread that its block limit has refused.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtLimit {
    /// A range of a block that another thread has opened by now.
    Placed(Placement),
    /// An opening was waited for, or has left its place: it may be otherwise now.
    Changed,
    /// No block has room, and none is on its way.
    Full,
}

/// Whether the host must reach a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostAccess {
    NotNeeded,
    Needed,
}

/// One try to place a request in a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Cut a range from a block that the pool has.
    Existing,
    /// Open a block of so many bytes and cut a range from it.
    Grow { bytes: u64 },
    /// Open a block exactly as large as the request.
    Own,
    /// Open a memory object for this resource alone.
    Dedicated,
}

/// Where a request was placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    pub site: Site,
    pub offset: u64,
    pub key: RangeKey,
    pub is_dedicated: bool,
}

/// Why one attempt did not place a request.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// No block has room.
    DoesNotFit,
    /// The request is larger than the largest object the pool may open.
    TooLarge { limit: u64 },
    /// A slot would share a page of `bufferImageGranularity` with a resource of the other kind.
    SharedPage { granularity: u64 },
    /// The pool has as many blocks as it may have.
    BlockLimit { max: u32 },
    /// The budget refused; the driver was not asked.
    Budget(Refused),
    /// The driver refused.
    Driver(DriverError),
}

impl Refusal {
    /// Tells whether memory was opened, could not be mapped, and has gone back: that is no room.
    pub(crate) fn is_of_mapping(&self) -> bool {
        matches!(self, Self::Driver(error) if error.is_of_mapping())
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(refused) => Self::Budget(refused),
            OpenError::Driver(error) => Self::Driver(error),
        }
    }
}

/// What a free left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The pool still holds allocations.
    Live,
    /// The last allocation of the pool is gone.
    Nothing,
}

/// How an allocation came about, for taking it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Making {
    /// Its range was cut from a block that there was.
    InBlock,
    /// A block was opened for it.
    WithBlock,
    /// A memory object was opened for it alone.
    Dedicated,
}

/// Blocks and dedicated memory of one memory type and class.
#[derive(Debug)]
pub(crate) struct Pool {
    settings: PoolSettings,
    rounding: Rounding,
    slots: SlotRule,
    state: SpinMutex<State>,
    growth: GrowthTicket,
    openings: Openings,
}

#[derive(Debug)]
struct State {
    blocks: BlockList,
    dedicated: DedicatedTable,
    /// Empty blocks are kept up to this many bytes, whatever the policy says, until `trim`.
    prewarmed_bytes: u64,
    /// Blocks that are being opened with no lock held, so that I3 holds meanwhile.
    opening_count: u32,
    /// Allocations ever made.
    allocated: u64,
    /// Allocations that were taken back, which do not count as made.
    taken_back: u64,
}

impl Pool {
    /// Creates a pool without blocks.
    pub(crate) fn new(settings: PoolSettings) -> Self {
        let suballocator = Suballocator::new(settings.algorithm, settings.suballocator);
        let slots = suballocator.slot_rule();
        let blocks = BlockList::new(suballocator);
        let dedicated = DedicatedTable::default();
        let state = State { blocks, dedicated, prewarmed_bytes: 0, opening_count: 0, allocated: 0, taken_back: 0 };
        let rounding = Rounding::of(&settings);
        let (state, growth, openings) = (spin_mutex(state), GrowthTicket::default(), Openings::default());
        Self { settings, rounding, slots, state, growth, openings }
    }

    pub(crate) fn settings(&self) -> &PoolSettings {
        &self.settings
    }

    pub(crate) fn growth(&self) -> &GrowthTicket {
        &self.growth
    }

    /// Returns what a range takes of a block, in bytes: a whole slot, where the pool has slots.
    pub(crate) fn need_of(&self, range: &Request) -> u64 {
        range.size.max(self.settings.growth.slot)
    }

    /// Performs exactly one attempt.
    ///
    /// # Errors
    /// The reason why it placed nothing; then nothing has changed.
    pub(crate) fn attempt(
        &self,
        backing: Backing<'_>,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<Placement, Refusal> {
        match attempt {
            Attempt::Existing => self.allocate_existing(&request.range).ok_or(Refusal::DoesNotFit),
            Attempt::Grow { bytes } => self.open_block(backing, bytes, request),
            Attempt::Own => self.open_block(backing, self.own_block_size(request), request),
            Attempt::Dedicated => self.open_dedicated(backing, request),
        }
    }

    /// Cuts a range from a block that the pool has.
    pub(crate) fn allocate_existing(&self, range: &Request) -> Option<Placement> {
        self.state.lock().allocate(range)
    }

    /// Does the same unless another thread is at work in the pool.
    ///
    /// # Errors
    /// `Busy` where one is; nothing was looked at then.
    pub(crate) fn try_allocate_existing(&self, range: &Request) -> Result<Option<Placement>, Busy> {
        self.try_hold().map(|held| held.allocate(range)).ok_or(Busy)
    }

    /// Returns the offset at which [`Attempt::Existing`] would place the request, and changes nothing.
    pub(crate) fn probe(&self, request: &PoolRequest) -> Option<u64> {
        self.state.lock().blocks.probe(&request.range)
    }

    /// Returns what [`probe`](Self::probe) would answer if these blocks, empty now, and kept slabs were given back.
    #[cold]
    pub(crate) fn probe_without(&self, request: &PoolRequest, regions: &[u32]) -> Option<u64> {
        self.state.lock().blocks.probe_without(&request.range, regions)
    }

    /// Frees one allocation; blocks that are not kept go back to the driver.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    pub(crate) fn free(&self, backing: Backing<'_>, key: RangeKey, now: u64) -> Result<Left, StaleKey> {
        self.free_held(self.hold(), backing, key, now)
    }

    /// Frees one dedicated allocation; its memory goes back to the driver.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    pub(crate) fn free_dedicated(&self, backing: Backing<'_>, key: RangeKey) -> Result<Left, StaleKey> {
        let mut state = self.state.lock();
        let retired = state.dedicated.retire(backing, key)?;
        let left = state.left();
        drop(state);
        retired.map(Retired::finish);
        Ok(left)
    }

    /// Takes an allocation back with which a larger operation failed, as if it had never been made: it does not count,
    /// and a block that was opened for it goes back, unless others use it by now.
    ///
    /// # Errors
    /// `StaleKey` where the key names nothing alive in this pool; then nothing has changed.
    #[cold]
    pub(crate) fn take_back(
        &self,
        backing: Backing<'_>,
        (key, making): (RangeKey, Making),
        now: u64,
    ) -> Result<Left, StaleKey> {
        let mut state = self.state.lock();
        let retired = match making {
            Making::Dedicated => state.dedicated.retire(backing, key)?,
            Making::InBlock => {
                state.blocks.free(key, now)?;
                None
            }
            Making::WithBlock => {
                let freed = state.blocks.free(key, now)?;
                self.take_out_spare(backing, &mut state, freed.region)
            }
        };
        // Behind the same lock: nobody counts it as freed meanwhile.
        state.allocated -= 1;
        state.taken_back += 1;
        // What others have freed meanwhile may have left more empty blocks than are kept.
        let left = self.settle(backing, state);
        retired.map(Retired::finish);
        Ok(left)
    }
}

impl State {
    fn allocate(&mut self, range: &Request) -> Option<Placement> {
        let cut = self.blocks.allocate(range)?;
        self.allocated += 1;
        Some(placement(&cut))
    }
}

#[inline]
fn placement(cut: &Cut) -> Placement {
    let Cut { site, range } = *cut;
    Placement { site, offset: range.offset, key: range.key, is_dedicated: false }
}
