//! freestone with wishes, on threads: what a request asks for beside its memory must not cost a thread its core.

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicUsize, Ordering};

use ash::vk;
use freestone::{Allocation, AllocationCreateInfo, Allocator, CustomPool, Features, MemoryPriority, PoolCreateInfo};

use crate::driver::Driver;
use crate::own::{open_with, requirements};
use crate::request::Request;
use crate::shared::Shared;

/// As many pools as threads are measured at once.
const POOL_COUNT: usize = 16;

/// One wish.
pub(crate) trait Wish: Sync {
    /// Adds the wish to a request's.
    fn add<'a>(info: AllocationCreateInfo<'a>, pools: &'a [CustomPool]) -> AllocationCreateInfo<'a>;
}

/// A name for each allocation.
pub(crate) struct Named;
/// Preferred property flags.
pub(crate) struct Flagged;
/// A priority other than the default.
pub(crate) struct Urgent;
/// A custom pool for each thread.
pub(crate) struct OwnPool;
/// One custom pool for all threads.
pub(crate) struct OnePool;

impl Wish for Named {
    fn add<'a>(info: AllocationCreateInfo<'a>, _pools: &'a [CustomPool]) -> AllocationCreateInfo<'a> {
        info.name("a mesh of the level")
    }
}

impl Wish for Flagged {
    fn add<'a>(info: AllocationCreateInfo<'a>, _pools: &'a [CustomPool]) -> AllocationCreateInfo<'a> {
        info.preferred_flags(vk::MemoryPropertyFlags::DEVICE_LOCAL)
    }
}

impl Wish for Urgent {
    fn add<'a>(info: AllocationCreateInfo<'a>, _pools: &'a [CustomPool]) -> AllocationCreateInfo<'a> {
        info.priority(MemoryPriority::new(1.0))
    }
}

impl Wish for OwnPool {
    fn add<'a>(info: AllocationCreateInfo<'a>, pools: &'a [CustomPool]) -> AllocationCreateInfo<'a> {
        info.pool(&pools[number_of_thread() % POOL_COUNT])
    }
}

impl Wish for OnePool {
    fn add<'a>(info: AllocationCreateInfo<'a>, pools: &'a [CustomPool]) -> AllocationCreateInfo<'a> {
        info.pool(&pools[0])
    }
}

/// Returns the same for each call of a thread, and one more for each thread that asks.
fn number_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.with(|number| {
        let known = number.get().unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed));
        number.set(Some(known));
        known
    })
}

/// The allocator, asked with one wish.
pub(crate) struct Wishing<W> {
    allocator: Allocator,
    pools: Vec<CustomPool>,
    wish: PhantomData<W>,
}

impl<W: Wish> Shared for Wishing<W> {
    type Handle = Allocation;

    fn new(driver: &Driver) -> Self {
        let allocator = open_with(driver, Features { memory_priority: true, ..Features::default() });
        let info = PoolCreateInfo::for_memory_type(0);
        let pool = |_| allocator.create_pool(&info).expect("a pool without blocks needs no memory");
        let pools = (0..POOL_COUNT).map(pool).collect();
        Self { allocator, pools, wish: PhantomData }
    }

    fn allocate(&self, request: &Request) -> Option<Allocation> {
        let info = W::add(AllocationCreateInfo::gpu_only(), &self.pools);
        self.allocator.allocate(&requirements(request), &info).ok()
    }

    fn free(&self, handle: Allocation) {
        assert!(self.allocator.free(handle).is_ok(), "an allocation of this allocator");
    }

    fn allocate_many(&self, requests: &[Request]) -> Option<Vec<Allocation>> {
        requests.iter().map(|request| self.allocate(request)).collect()
    }

    fn free_many(&self, handles: &mut Vec<Allocation>) {
        assert!(self.allocator.free_many(handles).is_ok(), "allocations of this allocator");
    }
}

impl<W> Drop for Wishing<W> {
    fn drop(&mut self) {
        for pool in self.pools.drain(..) {
            assert!(self.allocator.destroy_pool(pool).is_ok(), "a workload frees all it allocates");
        }
    }
}
