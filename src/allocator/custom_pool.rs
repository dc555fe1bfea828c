//! Pools of the user's own: what they are made of, and how they come and go.

mod create_info;
mod error;

use core::fmt;
use std::sync::Arc;

use ash::vk;

pub use self::create_info::PoolCreateInfo;
use self::create_info::TypeChoice;
pub use self::error::{CreatePoolError, DestroyPoolError, DestroyPoolReason};
use super::beforehand::check_may_wait;
use super::error::{AllocationError, Attempts};
use super::pools::NumberedPool;
use super::{AllocationRequest, Allocator};
use crate::block::growth;
use crate::device::Mapping;
use crate::memory_type::{Candidates, Intent, Rejection, TypeRequest, TypeVerdict, Verdict};
use crate::pool::Kind;

/// A pool of the user's own: blocks of one memory type that nothing else shares.
///
/// It has one lock, and no shards: threads that share one wait for each other. Where several allocate much, give each a
/// pool.
///
/// One that is dropped instead of destroyed keeps its place, and its minimum of blocks, until the allocator goes.
///
/// Hand it to [`AllocationCreateInfo::pool`](super::AllocationCreateInfo::pool), and back to
/// [`Allocator::destroy_pool`](super::Allocator::destroy_pool) when nothing of it is alive.
#[must_use = "a pool is destroyed by handing it to the allocator, not by dropping it"]
pub struct CustomPool {
    pub(crate) pool: Arc<NumberedPool>,
    /// The memory type, as one bit.
    memory_type_bit: u32,
    /// Whether no intent and no kind needs a closer look: blocks are mapped, none is lazy, and both kinds share them.
    suits_all: bool,
}

impl CustomPool {
    fn new(pool: Arc<NumberedPool>) -> Self {
        let settings = pool.settings();
        let memory_type_bit = 1 << settings.memory_type_index;
        let serves_both = settings.class.kind.is_none();
        let suits_all = settings.mapping == Mapping::Persistent && !settings.is_lazy && serves_both;
        Self { pool, memory_type_bit, suits_all }
    }

    /// Returns whether its memory is of a type that the request allows, reachable where the host must reach it, and for
    /// resources of the kind.
    #[inline]
    pub(super) fn suits(&self, request: &AllocationRequest<'_>) -> bool {
        let is_allowed = request.requirements.memory_type_bits & self.memory_type_bit != 0;
        is_allowed && (self.suits_all || self.suits_closely(request.info.intent, request.requirements.kind))
    }

    fn suits_closely(&self, intent: Intent, kind: Kind) -> bool {
        let settings = self.pool.settings();
        let is_reached = settings.mapping == Mapping::Persistent || !intent.needs_host_access();
        !settings.is_lazy && is_reached && self.serves(kind)
    }

    /// Returns whether an allocator made it.
    #[inline]
    pub(super) fn is_of(&self, allocator: &Allocator) -> bool {
        self.pool.stamp().owner() == allocator.owner
    }

    fn serves(&self, kind: Kind) -> bool {
        self.kind().is_none_or(|own| own == kind)
    }

    /// Returns the memory type of all blocks.
    pub fn memory_type_index(&self) -> u32 {
        self.pool.settings().memory_type_index
    }

    /// Returns the number of the pool, by which [`Statistics::pools`](super::Statistics::pools) and
    /// [`BlockStatistics::pool_index`](super::BlockStatistics::pool_index) name it. When the pool is destroyed, a later
    /// one may get it.
    pub fn index(&self) -> u16 {
        self.pool.index()
    }

    /// Returns the kind of all resources, where the pool is of [one only](PoolCreateInfo::kind).
    pub fn kind(&self) -> Option<Kind> {
        self.pool.settings().class.kind
    }
}

impl fmt::Debug for CustomPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomPool")
            .field("index", &self.index())
            .field("settings", self.pool.settings())
            .finish_non_exhaustive()
    }
}

impl Allocator {
    /// Creates a pool of the user's own, with its first blocks.
    ///
    /// Where the intent's best memory type has no room for them, or its heap could never hold a block or slot of the
    /// size asked for, the pool is made of the next best.
    ///
    /// # Errors
    /// What is wrong with the create-info, or why the first blocks could not be opened; nothing is kept then.
    pub fn create_pool(&self, info: &PoolCreateInfo) -> Result<CustomPool, CreatePoolError> {
        let (mut refused_bytes, mut refusals, mut misfit) = (0, Vec::new(), None);
        for memory_type_index in self.resolve_types(info)?.iter() {
            match self.create_pool_in(info, memory_type_index) {
                Err(CreatePoolError::Allocation(AllocationError::OutOfMemory { size, attempts })) => {
                    refused_bytes = size;
                    refusals.extend(attempts.0);
                }
                Err(error @ (CreatePoolError::BadBlockSize { .. } | CreatePoolError::SlotTooLarge { .. })) => {
                    misfit = Some(error);
                }
                outcome => return outcome,
            }
        }
        match misfit {
            Some(error) if refusals.is_empty() => Err(error),
            _ => Err(AllocationError::OutOfMemory { size: refused_bytes, attempts: Attempts(refusals) }.into()),
        }
    }

    fn create_pool_in(&self, info: &PoolCreateInfo, memory_type_index: u32) -> Result<CustomPool, CreatePoolError> {
        let heap = self.heap_usage(self.heap_of(memory_type_index));
        let most_bytes = heap.limit.map_or(heap.cap, |limit| limit.min(heap.cap));
        let pool = self.pools.add_custom(info, memory_type_index, most_bytes)?;
        let custom = CustomPool::new(pool);
        if let Err(error) = self.open_first_blocks(&custom, info.min_block_count) {
            self.retire_pool(&custom);
            return Err(error.into());
        }
        Ok(custom)
    }

    /// Destroys a custom pool; its blocks go back to the driver.
    ///
    /// # Errors
    /// `Foreign`, or `InUse` while allocations of it are alive; the pool is handed back.
    pub fn destroy_pool(&self, pool: CustomPool) -> Result<(), DestroyPoolError> {
        if !pool.is_of(self) {
            return Err(DestroyPoolError { reason: DestroyPoolReason::Foreign, pool });
        }
        let count = pool.pool.counts().live_count();
        if count > 0 {
            return Err(DestroyPoolError { reason: DestroyPoolReason::InUse { count }, pool });
        }
        self.retire_pool(&pool);
        Ok(())
    }

    /// Returns the memory types that a pool may be made of, best first.
    fn resolve_types(&self, info: &PoolCreateInfo) -> Result<Candidates, CreatePoolError> {
        match info.choice {
            TypeChoice::Index(memory_type_index) => self.resolve_index(memory_type_index, info.flags.required),
            TypeChoice::Intent(intent, memory_type_bits) => {
                Ok(self.candidates(&TypeRequest { intent, extra: info.flags }, memory_type_bits)?)
            }
        }
    }

    /// Returns a memory type that was named by its index as the only candidate.
    fn resolve_index(
        &self,
        memory_type_index: u32,
        required: vk::MemoryPropertyFlags,
    ) -> Result<Candidates, CreatePoolError> {
        let count = u32::try_from(self.properties().memory_types.len()).unwrap_or(u32::MAX);
        if memory_type_index >= count {
            return Err(CreatePoolError::NoSuchMemoryType { memory_type_index, count });
        }
        let heap_index = self.properties().memory_types[memory_type_index as usize].heap_index;
        if self.properties().heap_of(memory_type_index).is_none_or(|heap| heap.size == 0) {
            return Err(rejected(memory_type_index, Rejection::NoHeap { heap_index }).into());
        }
        let flags = self.properties().flags_of(memory_type_index);
        self.selector.check_required(flags | required).map_err(AllocationError::from)?;
        let lacking = required & !flags;
        if !lacking.is_empty() {
            return Err(rejected(memory_type_index, Rejection::Lacks(lacking)).into());
        }
        Ok(Candidates::only(memory_type_index))
    }

    /// Returns the memory type of a custom pool as the only candidate, where it suits the request.
    pub(super) fn candidates_of_pool(
        &self,
        pool: &CustomPool,
        request: &AllocationRequest<'_>,
    ) -> Result<Candidates, AllocationError> {
        if !pool.is_of(self) {
            return Err(AllocationError::ForeignPool);
        }
        if let Some(kind) = pool.kind().filter(|_| !pool.serves(request.requirements.kind)) {
            return Err(AllocationError::OtherKind { kind });
        }
        let memory_type_index = pool.memory_type_index();
        let memory_type_bits = request.requirements.memory_type_bits;
        let flags = self.properties().flags_of(memory_type_index);
        let lacking = request.required_flags() & !flags;
        let rejection = if memory_type_bits & (1 << memory_type_index) == 0 {
            Rejection::NotInMemoryTypeBits
        } else if !lacking.is_empty() {
            Rejection::Lacks(lacking)
        } else {
            return Ok(Candidates::only(memory_type_index));
        };
        let verdict = TypeVerdict { memory_type_index, verdict: Verdict::Rejected(rejection) };
        Err(AllocationError::PoolMismatch { verdict })
    }

    fn open_first_blocks(&self, custom: &CustomPool, count: u32) -> Result<(), AllocationError> {
        let settings = custom.pool.settings();
        if count > 0 {
            check_may_wait(settings)?;
        }
        let bytes = growth::prewarm_block(0, &settings.growth);
        (0..count).try_for_each(|_| self.open_empty(&custom.pool, bytes))
    }

    /// Takes an idle custom pool apart. It leaves the table last: a thread that looks for room finds its blocks, or
    /// their way back. Nobody else has its handle, so nothing is opened in it meanwhile.
    pub(crate) fn retire_pool(&self, custom: &CustomPool) {
        custom.pool.abandon(self.backing());
        self.pools.remove(custom.pool.index());
    }
}

/// Says of the only memory type that there is to choose from why it does not serve.
fn rejected(memory_type_index: u32, rejection: Rejection) -> AllocationError {
    let verdicts = vec![TypeVerdict { memory_type_index, verdict: Verdict::Rejected(rejection) }];
    AllocationError::NoMemoryType { memory_type_bits: 1 << memory_type_index, verdicts }
}
