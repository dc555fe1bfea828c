//! Blocks that are opened before anybody needs them: room that is prewarmed, and the first blocks of a custom pool.
//!
//! They are opened by the rules of any other: what would raise the peak goes back first, and what lies empty in other
//! pools before a refusal. What the pool itself has is part of what was asked for, and stays.

use ash::vk;

use super::descent::{failure, record};
use super::error::{AllocationError, AttemptKind, Attempts, Reason};
use super::ladder::Stop;
use super::pools::NumberedPool;
use super::{Allocator, ladder};
use crate::block::growth;
use crate::device::MAX_HEAPS;
use crate::memory_type::{Bound, Intent};
use crate::pool::{Kind, PoolSettings};

impl Allocator {
    /// Opens empty blocks, so that allocations of this intent find `bytes` of room without a driver call.
    ///
    /// The room is for what the calling thread allocates: linear resources, and others where they share blocks: where
    /// `bufferImageGranularity` keeps the kinds apart, images find none of it, and what is short-lived or has a
    /// priority never does. Where threads have collided and have shards of their own, empty blocks of another thread's
    /// shard do not count, and another thread takes of this room only before it would open a block itself. They are
    /// kept until [`trim`](Self::trim), or until memory runs out. What other threads use of them, or give back,
    /// meanwhile is not opened once more. Empty blocks of other pools make way, as for an allocation. Returns the bytes
    /// opened now.
    ///
    /// # Errors
    /// - `NoMemoryType`; `Unsupported` where the memory type is lazily allocated.
    /// - `OutOfMemory` or `Driver` where the budget or the driver refuses; blocks opened before that stay.
    pub fn prewarm(&self, intent: Intent, bytes: u64) -> Result<u64, AllocationError> {
        let candidates = self.candidates(&intent.into(), u32::MAX)?;
        let memory_type_index = candidates.first().unwrap_or_default();
        let pool = self.pools.own_shard(memory_type_index, Kind::Linear);
        check_may_wait(pool.settings())?;
        let mut opened = 0;
        loop {
            let empty_bytes = pool.keep_prewarmed(bytes);
            // What others took or gave back since it was opened counts, or this might never end.
            let missing = bytes.saturating_sub(empty_bytes.max(opened));
            if missing == 0 {
                return Ok(opened);
            }
            let block = growth::prewarm_block(missing, &pool.settings().growth);
            self.open_empty(pool, block)?;
            opened += block;
        }
    }

    /// Opens an empty block. Where it is refused, the empty blocks of other pools go back, and it is tried once more.
    ///
    /// # Errors
    /// `OutOfMemory` or `Driver`, with what was tried.
    pub(super) fn open_empty(&self, pool: &NumberedPool, bytes: u64) -> Result<(), AllocationError> {
        let memory_type_index = pool.settings().memory_type_index;
        let spot = (memory_type_index, self.heap_of(memory_type_index));
        let mut records = Vec::new();
        loop {
            self.make_room(pool, bytes, Bound::WithinBudget);
            let mut gone_before = self.budget.released_totals();
            let opened = pool.open_empty(self.backing(), bytes, Bound::WithinBudget, self.now());
            let Err(refusal) = opened else {
                self.note_opening();
                return Ok(());
            };
            if refusal.is_of_mapping() {
                gone_before = self.budget.released_totals();
            }
            let fatal = ladder::fatal_result(&refusal).filter(|&result| result != vk::Result::ERROR_TOO_MANY_OBJECTS);
            let trim = ladder::trim_after(&refusal).filter(|_| records.is_empty());
            records.push(record(AttemptKind::NewBlock, spot, bytes, refusal.into()));
            let given_back = trim.map_or(0, |trim| {
                let given_back = self.trim_others(pool, trim, &gone_before);
                records.push(record(trim, spot, 0, Reason::GaveBack { bytes: given_back }));
                given_back
            });
            // Host memory may be there again without a trim.
            let may_be_there = trim.is_some() && fatal == Some(vk::Result::ERROR_OUT_OF_HOST_MEMORY);
            if given_back == 0 && !may_be_there {
                return Err(failure(fatal.map_or(Stop::Exhausted, Stop::Driver), bytes, Attempts(records)));
            }
        }
    }

    /// Gives back the empty blocks of all pools but one; returns the bytes, or what other threads have given back since
    /// this one was refused.
    fn trim_others(&self, own: &NumberedPool, trim: AttemptKind, gone_before: &[u64; MAX_HEAPS]) -> u64 {
        let own_heap = self.heap_of(own.settings().memory_type_index);
        let heap_index = (trim == AttemptKind::TrimHeap).then_some(own_heap);
        let pools = self.pools_on(heap_index);
        match self.trim_each(pools.iter().filter(|pool| pool.index() != own.index())) {
            0 => self.budget.gone_since(gone_before, heap_index),
            bytes => bytes,
        }
    }
}

/// Checks that blocks which wait for what comes would serve it.
///
/// # Errors
/// `Unsupported` where the memory type is lazily allocated, and never shared.
pub(super) fn check_may_wait(settings: &PoolSettings) -> Result<(), AllocationError> {
    if settings.is_lazy {
        return Err(AllocationError::Unsupported {
            what: "room for transient images beforehand",
            use_instead: "create the images: each has lazily allocated memory of its own",
        });
    }
    Ok(())
}
