//! The pools of a priority: apart from others, and with shards as the default ones.

use core::ptr;
use std::thread;
use std::time::Duration;

use super::super::FIRST_OTHER;
use super::super::shards::COLLISIONS_TO_OPEN;
use super::{NumberedPool, allocator_with, info, on_an_odd_thread, put_away, request, while_busy};
use crate::allocator::{Allocation, AllocationCreateInfo};
use crate::device::Features;
use crate::pool::{Kind, Lifetime, MemoryPriority};
use crate::sim::{MIB, Profile, SimDevice};
use crate::{Allocator, PoolCreateInfo};

fn high() -> MemoryPriority {
    MemoryPriority::new(1.0)
}

fn world() -> (SimDevice, Allocator) {
    let sim = SimDevice::new(Profile::discrete_rebar());
    let allocator = allocator_with(&sim, 64 * MIB, Features { memory_priority: true, ..Features::default() });
    (sim, allocator)
}

fn allocate(allocator: &Allocator, info: &AllocationCreateInfo<'_>) -> Allocation {
    allocator.allocate(&request(512), info).expect("there is memory")
}

/// Returns the calling thread's pool for a priority in the first memory type.
fn own(allocator: &Allocator, priority: MemoryPriority) -> Option<&NumberedPool> {
    allocator.pools().own_shard_with(0, Kind::Linear, (priority, Lifetime::Any))
}

/// Opens the second shard, as so many collisions do.
fn collide(allocator: &Allocator) {
    let pool = own(allocator, high()).expect("there is room for it");
    (0..COLLISIONS_TO_OPEN).for_each(|_| {
        allocator.pools().own_shard_when_busy(pool, Kind::Linear);
    });
}

#[test]
fn the_default_priority_is_that_of_the_default_pool() {
    let (sim, allocator) = world();
    let default = allocator.pools().own_shard(0, Kind::Linear);
    assert!(own(&allocator, MemoryPriority::default()).is_some_and(|own| ptr::eq(own, default)));
    let [apart, again] = [(); 2].map(|()| own(&allocator, high()).expect("there is room for it"));
    assert!(!ptr::eq(apart, default) && ptr::eq(apart, again) && !apart.is_further_shard());
    let live = [info(), info().priority(MemoryPriority::default())].map(|info| allocate(&allocator, &info));
    assert_eq!(live[0].memory(), live[1].memory());
    put_away(sim, allocator, live);
}

#[test]
fn threads_that_collide_over_a_priority_come_apart() {
    let (sim, allocator) = world();
    let first = on_thread(|| own(&allocator, high()).expect("there is room for it").index());
    let (second, siblings, mine) = on_an_odd_thread(|| {
        collide(&allocator);
        let own = own(&allocator, high()).expect("there is room for it");
        assert!(own.is_further_shard() && usize::from(own.index()) >= FIRST_OTHER);
        let siblings: Vec<_> = allocator.pools().siblings(own).map(NumberedPool::index).collect();
        (own.index(), siblings, allocate(&allocator, &info().priority(high())))
    });
    assert_eq!((second == first, siblings), (false, vec![first]));
    assert_eq!(mine.pool_index(), second);
    assert_eq!(allocator.pools().all().filter(|pool| pool.is_further_shard()).count(), 1);
    // It goes where another thread frees it, and an idle shard keeps nothing.
    allocator.free(mine).expect("it is alive");
    let held = allocator.pools().get(second).map(|pool| pool.counts().block_bytes);
    assert_eq!(held, Some(0));
    put_away(sim, allocator, []);
}

/// A shard without room borrows of its siblings, as default ones do.
#[test]
fn a_shard_of_a_priority_takes_its_siblings_room() {
    let (sim, allocator) = world();
    let wish = info().priority(high());
    let first = on_thread(|| allocate(&allocator, &wish));
    let second = on_an_odd_thread(|| {
        collide(&allocator);
        allocate(&allocator, &wish)
    });
    assert_eq!((first.memory(), first.pool_index()), (second.memory(), second.pool_index()));
    put_away(sim, allocator, [first, second]);
}

#[test]
fn where_no_pool_can_be_counted_any_more_a_priority_shares_one() {
    let (sim, allocator) = world();
    let pools = allocator.pools();
    let first = on_thread(|| own(&allocator, high()).expect("there is room for it").index());
    let custom = allocator.create_pool(&PoolCreateInfo::for_memory_type(0)).expect("there is room for it");
    let most = usize::from(u16::MAX) + 1 - FIRST_OTHER;
    pools.table.fill(most, Some(&custom.pool));
    on_an_odd_thread(|| {
        collide(&allocator);
        let own = own(&allocator, high()).expect("there is one");
        assert_eq!((own.index(), own.is_further_shard()), (first, false), "the first serves all");
        assert_eq!(pools.siblings(own).count(), 0, "and is no sibling of itself");
    });
    assert!(own(&allocator, MemoryPriority::new(0.0)).is_none());
    let placed = allocate(&allocator, &info().priority(MemoryPriority::new(0.0)));
    assert!(usize::from(placed.pool_index()) < FIRST_OTHER, "blocks of the default priority serve it");
    pools.table.fill(most, None);
    put_away(sim, allocator, [placed]);
}

/// It has no shards: whoever finds it busy waits, and nothing else changes.
#[test]
fn a_busy_custom_pool_is_waited_for() {
    let (sim, allocator) = world();
    let custom = allocator.create_pool(&PoolCreateInfo::for_memory_type(0)).expect("there is room for it");
    let wish = info().pool(&custom);
    let first = allocate(&allocator, &wish);
    let time = Duration::from_millis(10);
    let second = while_busy(&custom.pool, time, || allocate(&allocator, &wish));
    assert_eq!(first.memory(), second.memory());
    while_busy(&custom.pool, time, || allocator.free(second).expect("it is alive"));
    allocator.free(first).expect("it is alive");
    assert_eq!(custom.pool.counts().live_count(), 0);
    allocator.destroy_pool(custom).expect("nothing of it is alive");
    put_away(sim, allocator, []);
}

fn on_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().expect("no panic"))
}
