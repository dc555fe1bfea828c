//! One descent of the ladder: `allocate` performs it, `plan` rehearses it. Both run this very loop.
//!
//! ```text
//!   Ladder (policy)  --Step-->  run  --attempt-->  Perform: pools, budget, driver
//!                    <-outcome-      <-outcome---  Rehearse: pools are probed, the budget is asked, nothing changes
//! ```

mod give_back;
mod rehearse;
mod room;

pub(crate) use self::rehearse::Rehearse;
use self::room::{find_existing, find_instead_of_a_block, look_once_more};
use super::Allocator;
use super::error::{AllocationError, AttemptKind, AttemptRecord, Attempts, Reason};
use super::ladder::{Facts, Ladder, LadderRules, Step, Stop};
use super::pools::NumberedPool;
use super::request::AllocationRequest;
use super::stamp::{Stamp, Trait};
use crate::device::MAX_HEAPS;
use crate::memory_type::{Bound, Candidates};
use crate::pool::{Attempt, Joined, Placement, PoolRequest, Refusal};

/// Why an attempt ended without a placement.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It was refused.
    Refused(Refusal),
    /// Another thread's opening was waited for: look at the existing blocks again.
    LookAgain,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Who carries out the ladder's steps.
pub(crate) trait Descent {
    /// What a successful attempt yields.
    type Output;
    /// Makes one attempt.
    fn attempt(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<Self::Output, Ended>;
    /// Looks for room in the blocks of a pool and all its shards, where nothing can be opened any more.
    fn find_anywhere(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        request: &PoolRequest,
    ) -> Option<Self::Output>;
    /// Gives back empty blocks of one heap, or of all; returns the bytes.
    fn trim(&mut self, allocator: &Allocator, heap_index: Option<u32>) -> u64;
}

/// Where a descent ended well.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub output: T,
    pub memory_type_index: u32,
    pub attempt: Attempt,
    pub bound: Bound,
    /// What was tried before.
    pub attempts: Attempts,
}

/// Runs the ladder over the candidates.
pub(crate) fn run<D: Descent>(
    allocator: &Allocator,
    request: &AllocationRequest<'_>,
    candidates: Candidates,
    descent: &mut D,
) -> Result<Found<D::Output>, AllocationError> {
    let rules = LadderRules { within_budget: request.info.within_budget, may_spill: request.info.may_spill };
    let mut ladder = Ladder::new(candidates, rules);
    let mut records = Vec::new();
    loop {
        match ladder.step() {
            Step::Enter { memory_type_index } => {
                if let Err(refusal) = enter(allocator, request, memory_type_index, &mut ladder) {
                    let spot = (memory_type_index, allocator.heap_of(memory_type_index));
                    records.push(record(AttemptKind::NewBlock, spot, 0, refusal.into()));
                }
            }
            Step::Try { memory_type_index, attempt, bound } => {
                let pool = allocator.pool_for(request, memory_type_index);
                let pool_request = request.for_pool(pool, bound);
                let outcome = match &pool_request {
                    Some(request) => attempt_or_look(descent, allocator, pool, (attempt, &ladder), request),
                    None => Err(Refusal::TooLarge { limit: pool.settings().max_object_size }.into()),
                };
                match outcome {
                    Ok(output) => {
                        let attempts = Attempts(records);
                        return Ok(Found { output, memory_type_index, attempt, bound, attempts });
                    }
                    Err(Ended::LookAgain) => ladder.look_again(),
                    Err(Ended::Refused(refusal)) if ladder.is_looking_again() => ladder.refused(&refusal),
                    Err(Ended::Refused(refusal)) => {
                        ladder.refused(&refusal);
                        let bytes = pool_request.map_or(0, |request| pool.opening_bytes(attempt, &request));
                        let spot = (memory_type_index, allocator.heap_of(memory_type_index));
                        records.push(record(attempt.into(), spot, bytes, refusal.into()));
                    }
                }
            }
            Step::TrimHeap { memory_type_index } => {
                let heap_index = allocator.heap_of(memory_type_index);
                let bytes = descent.trim(allocator, Some(heap_index));
                ladder.trimmed(bytes);
                records.push(record(
                    AttemptKind::TrimHeap,
                    (memory_type_index, heap_index),
                    0,
                    Reason::GaveBack { bytes },
                ));
            }
            Step::TrimAll => {
                let bytes = descent.trim(allocator, None);
                ladder.trimmed(bytes);
                let spot = candidates.first().map_or((0, 0), |first| (first, allocator.heap_of(first)));
                records.push(record(AttemptKind::TrimAll, spot, 0, Reason::GaveBack { bytes }));
            }
            Step::Stop(stop) => return Err(failure(stop, request.requirements.size, Attempts(records))),
        }
    }
}

/// Makes one attempt; where nothing can be opened any more, looks for room in all shards.
fn attempt_or_look<D: Descent>(
    descent: &mut D,
    allocator: &Allocator,
    pool: &NumberedPool,
    (attempt, ladder): (Attempt, &Ladder),
    request: &PoolRequest,
) -> Result<D::Output, Ended> {
    if ladder.is_existing_only() {
        return Ok(descent.find_anywhere(allocator, pool, request).ok_or(Refusal::DoesNotFit)?);
    }
    descent.attempt(allocator, pool, attempt, request)
}

/// Tells the ladder what the pool of a memory type says of the request.
///
/// # Errors
/// `TooLarge` where size or alignment overflow when rounded; the ladder knows it.
fn enter(
    allocator: &Allocator,
    request: &AllocationRequest<'_>,
    memory_type_index: u32,
    ladder: &mut Ladder,
) -> Result<(), Refusal> {
    let pool = allocator.pool_for(request, memory_type_index);
    let settings = pool.settings();
    let Some(pool_request) = request.for_pool(pool, Bound::WithinBudget) else {
        let refusal = Refusal::TooLarge { limit: settings.max_object_size };
        ladder.refused(&refusal);
        return Err(refusal);
    };
    let (strategy, without_dedicated) = request.strategies(pool, &pool_request);
    let request_size = pool_request.range.size;
    let counts = pool.counts();
    let live_bytes = counts.live_bytes().saturating_add(request_size);
    let block_size = settings.growth.block_size(request_size, live_bytes, counts.free_bytes());
    ladder.enter(Facts { strategy, without_dedicated, growth: settings.growth, block_size, request_size });
    Ok(())
}

pub(super) fn record(
    attempt: AttemptKind,
    (memory_type_index, heap_index): (u32, u32),
    bytes: u64,
    reason: Reason,
) -> AttemptRecord {
    AttemptRecord { attempt, memory_type_index, heap_index, bytes, reason }
}

pub(super) fn failure(stop: Stop, size: u64, attempts: Attempts) -> AllocationError {
    match stop {
        Stop::Exhausted => AllocationError::OutOfMemory { size, attempts },
        Stop::Driver(result) => AllocationError::Driver { result, size, attempts },
    }
}

/// Carries the steps out.
#[derive(Debug, Default)]
pub(crate) struct Perform {
    /// What had ever gone back to the driver, by heap, when it was last asked for memory.
    gone_before: [u64; MAX_HEAPS],
}

impl Descent for Perform {
    type Output = (Placement, Stamp);

    fn attempt(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<(Placement, Stamp), Ended> {
        if attempt == Attempt::Existing {
            return Ok(find_existing(allocator, pool, request).ok_or(Refusal::DoesNotFit)?);
        }
        let outcome = match pool.check_opening(attempt, request) {
            Ok(()) => self.grow_or_open(allocator, pool, attempt, request),
            Err(refusal) => Err(refusal.into()),
        };
        match outcome {
            // Room that another thread has made, or is about to make, is better than a refusal.
            Err(Ended::Refused(refusal)) if attempt != Attempt::Dedicated => {
                look_once_more(allocator, pool, request, refusal)
            }
            ended => ended,
        }
    }

    fn find_anywhere(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        request: &PoolRequest,
    ) -> Option<(Placement, Stamp)> {
        room::find_anywhere(allocator, pool, request)
    }

    fn trim(&mut self, allocator: &Allocator, heap_index: Option<u32>) -> u64 {
        match allocator.trim_pools(heap_index) {
            // What another thread has given back since this one was refused is room as well.
            0 => allocator.budget().gone_since(&self.gone_before, heap_index),
            bytes => bytes,
        }
    }
}

impl Perform {
    /// Opens memory; a growth waits for another one of the pool that covers its need, unless a shard that was busy has
    /// room.
    fn grow_or_open(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<(Placement, Stamp), Ended> {
        let Attempt::Grow { bytes } = attempt else { return Ok(self.open(allocator, pool, attempt, request)?) };
        let need = pool.need_of(&request.range);
        match pool.growth().join(need, bytes.saturating_sub(need)) {
            Joined::Follower(follower) => {
                // A shard is busy for less than a driver call lasts.
                room::find_anywhere(allocator, pool, request).ok_or_else(|| {
                    follower.wait();
                    Ended::LookAgain
                })
            }
            Joined::Alone => Ok(self.open(allocator, pool, attempt, request)?),
            Joined::Leader(_ticket) => {
                // Another growth may have ended between the look at the blocks and the ticket.
                if let Some(placement) = pool.allocate_existing(&request.range) {
                    return Ok((placement, pool.stamp()));
                }
                Ok(self.open(allocator, pool, attempt, request)?)
            }
        }
    }

    /// Opens memory. First takes an empty block of another shard, or prewarmed room, if one fits; else gives back what
    /// would raise the peak, then asks the driver.
    fn open(
        &mut self,
        allocator: &Allocator,
        pool: &NumberedPool,
        attempt: Attempt,
        request: &PoolRequest,
    ) -> Result<(Placement, Stamp), Refusal> {
        if attempt != Attempt::Dedicated
            && let Some(found) = find_instead_of_a_block(allocator, pool, request)
        {
            return Ok(found);
        }
        allocator.make_room(pool, pool.opening_bytes(attempt, request), request.bound);
        self.gone_before = allocator.budget().released_totals();
        let placement = pool.attempt(allocator.backing(), attempt, request).inspect_err(|refusal| {
            if refusal.is_of_mapping() {
                self.gone_before = allocator.budget().released_totals();
            }
        })?;
        allocator.note_opening();
        Ok((placement, pool.stamp().with(Trait::Opener, !placement.is_dedicated)))
    }
}
