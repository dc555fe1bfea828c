//! Room that there is: in the blocks of a pool, and in those of its shards.
//!
//! ```text
//!   existing   own blocks -> a range of a sibling's, unless they have collided there (`Borrowing`, a policy)
//!   new block  an empty block of a sibling, moved -> a range where a sibling has prewarmed -> the driver's
//!   refused    a range of any sibling, waited for if it is busy -> what is being opened
//! ```

use super::Ended;
use crate::allocator::Allocator;
use crate::allocator::pools::NumberedPool;
use crate::allocator::stamp::Stamp;
use crate::pool::{AtLimit, Busy, Placement, PoolRequest, Refusal};
use crate::suballocator::Request;

/// Cuts a range from a block that the pool has, or another of its shards that is not busy, unless they have been too
/// often: a block of one's own ends the collisions.
pub(super) fn find_existing(
    allocator: &Allocator,
    pool: &NumberedPool,
    request: &PoolRequest,
) -> Option<(Placement, Stamp)> {
    if let Some(placement) = pool.allocate_existing(&request.range) {
        return Some((placement, pool.stamp()));
    }
    if !pool.borrowing().is_welcome() {
        return None;
    }
    allocator.pools().siblings(pool).find_map(|sibling| borrow(pool, sibling, &request.range))
}

/// Cuts a range from a block of another shard; `None` also where that is busy.
fn borrow(pool: &NumberedPool, sibling: &NumberedPool, range: &Request) -> Option<(Placement, Stamp)> {
    let placement = sibling.try_allocate_existing(range).unwrap_or_else(|Busy| {
        pool.borrowing().note_collision();
        None
    })?;
    Some((placement, sibling.stamp()))
}

/// Does the same where what else there is, is a refusal or a wait: any shard serves, and one that is busy is waited
/// for.
pub(super) fn find_anywhere(
    allocator: &Allocator,
    pool: &NumberedPool,
    request: &PoolRequest,
) -> Option<(Placement, Stamp)> {
    let mut shards = core::iter::once(pool).chain(allocator.pools().siblings(pool));
    shards.find_map(|shard| Some((shard.allocate_existing(&request.range)?, shard.stamp())))
}

/// Looks at the other shards before a block is opened: moves an empty block of one here and cuts a range from it, or
/// cuts one where room was prewarmed, which is for all.
pub(super) fn find_instead_of_a_block(
    allocator: &Allocator,
    pool: &NumberedPool,
    request: &PoolRequest,
) -> Option<(Placement, Stamp)> {
    let (backing, range) = (allocator.backing(), &request.range);
    let siblings = || allocator.pools().siblings(pool);
    if let Some(placement) = siblings().find_map(|sibling| pool.adopt_block_from(backing, sibling, range)) {
        allocator.note_move();
        return Some((placement, pool.stamp()));
    }
    let mut prewarmed = siblings().filter(|sibling| sibling.is_prewarmed());
    prewarmed.find_map(|sibling| Some((sibling.allocate_existing(range)?, sibling.stamp())))
}

/// Looks for room that there is by now, and waits for what is on its way where that took the room, or may be a block
/// that moves from shard to shard.
pub(super) fn look_once_more(
    allocator: &Allocator,
    pool: &NumberedPool,
    request: &PoolRequest,
    refusal: Refusal,
) -> Result<(Placement, Stamp), Ended> {
    if matches!(refusal, Refusal::BlockLimit { .. }) {
        // Pools with a limit have no shards.
        return match pool.allocate_at_limit(&request.range) {
            AtLimit::Placed(placement) => Ok((placement, pool.stamp())),
            AtLimit::Changed => Err(Ended::LookAgain),
            AtLimit::Full => Err(refusal.into()),
        };
    }
    let may_be_on_its_way = matches!(refusal, Refusal::Budget(_)) || allocator.pools().siblings(pool).next().is_some();
    let found = find_anywhere(allocator, pool, request);
    let found = found.or_else(|| may_be_on_its_way.then(|| await_openings(allocator, pool, request))?);
    let found = found.ok_or(refusal)?;
    // There is no block to be by itself with: the next ones need not be refused first.
    pool.borrowing().begin_anew();
    Ok(found)
}

/// Waits for the blocks that other threads are opening for the pool or its shards, whether a growth has promised them
/// or not: they have reserved what was refused here. Where they are refused too, so is this attempt, and nobody waits
/// in turns.
fn await_openings(allocator: &Allocator, pool: &NumberedPool, request: &PoolRequest) -> Option<(Placement, Stamp)> {
    core::iter::once(pool).chain(allocator.pools().siblings(pool)).for_each(|shard| shard.await_openings());
    // One that has just ended is not waited for: whatever came of the openings, there may be room by now.
    find_anywhere(allocator, pool, request)
}
