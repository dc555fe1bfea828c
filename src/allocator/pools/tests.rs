//! Shards as the allocator uses them, and the pools' indices. Who contends is made up here, not left to the machine.

mod borrowing;
mod classes;

use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use super::shards::COLLISIONS_TO_OPEN;
use super::*;
use crate::allocator::{Allocation, AllocationCreateInfo, AllocationRequirements, AllocatorCreateInfo, DeviceAddress};
use crate::device::{Features, Memory};
use crate::memory_type::Intent;
use crate::pool::{Joined, PoolVisitor};
use crate::sim::{Function, MIB, Profile, SimDevice};
use crate::suballocator::{Algorithm, RangeKey, RangeState, RangeView};
use crate::sync::thread_number;
use crate::{AllocationError, Allocator, PlannedPlacement};

/// An allocator on a device of whose first heap it may use so many bytes.
fn allocator(sim: &SimDevice, limit: u64) -> Allocator {
    allocator_with(sim, limit, Features::default())
}

fn allocator_with(sim: &SimDevice, limit: u64, features: Features) -> Allocator {
    let info = AllocatorCreateInfo::new(sim.entry(), sim.instance(), sim.physical_device(), sim.device());
    let info = info.features(features);
    #[expect(unsafe_code, reason = "makes an allocator of a simulated device")]
    // SAFETY: the objects belong together; the tests drop the allocator before `sim`, and all that came from it.
    unsafe { Allocator::new(info.heap_limit(0, limit)) }.expect("a simulated device serves an allocator")
}

fn request(size: u64) -> AllocationRequirements {
    let requirements = vk::MemoryRequirements { size, alignment: 256, memory_type_bits: !0 };
    AllocationRequirements::new(requirements, Kind::Linear, DeviceAddress::NotNeeded)
}

fn info() -> AllocationCreateInfo<'static> {
    AllocationCreateInfo::gpu_only().within_budget()
}

/// Returns the memory type that such requests take first.
fn best_type(allocator: &Allocator) -> u32 {
    allocator.memory_types_for(&info()).expect("there is one").first().expect("at least one")
}

fn allocate(allocator: &Allocator, size: u64) -> Result<Allocation, AllocationError> {
    allocator.allocate(&request(size), &info())
}

/// Frees what is alive, drops the allocator, and sees that the driver has nothing to say.
fn put_away(sim: SimDevice, allocator: Allocator, live: impl IntoIterator<Item = Allocation>) {
    for allocation in live {
        allocator.free(allocation).expect("it is alive");
    }
    drop(allocator);
    assert!(sim.finish().is_empty());
}

/// Runs `work` on a thread of the second shard, after collisions that opened it. Whoever came before has the first.
fn in_the_second_shard<T: Send>(allocator: &Allocator, work: impl FnOnce() -> T + Send) -> T {
    let type_index = best_type(allocator);
    on_an_odd_thread(|| {
        let shards = allocator.pools().shards(type_index, Kind::Linear);
        (0..COLLISIONS_TO_OPEN).for_each(|_| shards.note_collision());
        let index = allocator.pools().own_shard(type_index, Kind::Linear).index();
        assert!((64..128).contains(&index), "shard {index}");
        work()
    })
}

/// Runs `work` on a thread with an odd number, which has the second of two shards.
fn on_an_odd_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    thread::scope(|scope| {
        // Those with an even number live on, so that the next has another.
        let (mut ends, mut found) = (Vec::new(), None);
        while found.is_none() {
            let (end, ended) = mpsc::channel::<()>();
            let (sender, receiver) = mpsc::channel();
            let mut own_work = work.take();
            let worker = scope.spawn(move || {
                if thread_number() & 1 == 0 {
                    sender.send(own_work.take()).expect("the test listens");
                    let _ = ended.recv();
                    return None;
                }
                sender.send(None).expect("the test listens");
                own_work.map(|work| work())
            });
            match receiver.recv().expect("the thread speaks") {
                None => found = worker.join().expect("no panic"),
                back => work = back,
            }
            ends.push(end);
        }
        found.expect("it was run")
    })
}

/// Opens 7 MiB of the 8 that there are for the calling thread's shard, and keeps the block from going back.
fn pin_a_large_block(allocator: &Allocator) -> Allocation {
    assert_eq!(allocator.prewarm(Intent::GpuOnly, 7 * MIB).ok(), Some(7 * MIB));
    allocate(allocator, 512).expect("there is memory")
}

/// Bytes that every pool beside the first shard of each holds.
fn further_bytes(allocator: &Allocator) -> u64 {
    let bytes = |pool: &NumberedPool| pool.counts().block_bytes + pool.counts().dedicated_bytes;
    allocator.pools().sum(|pool| if (64..1024).contains(&pool.index()) { bytes(pool) } else { 0 })
}

#[test]
fn idle_shards_keep_nothing() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let here = allocate(&allocator, 512).expect("there is memory");
    // From a type of its own, so that both shards open a block: the first is full.
    let rest = allocate(&allocator, MIB - 4096).ok();
    let there = in_the_second_shard(&allocator, || allocate(&allocator, 700_000)).expect("there is memory");
    assert_eq!(allocator.pools().all().count(), 2);
    for allocation in [Some(here), rest, Some(there)].into_iter().flatten() {
        allocator.free(allocation).expect("it is alive");
    }
    assert_eq!(further_bytes(&allocator), 0);
    put_away(sim, allocator, []);
}

#[test]
fn a_thread_finds_the_shard_that_it_has_met() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let type_index = best_type(&allocator);
    let shards = allocator.pools().shards(type_index, Kind::Linear);
    let ready = || shards.own_if_ready().map(NumberedPool::index);
    let unknown = thread::scope(|scope| scope.spawn(ready).join()).expect("no panic");
    assert_eq!(unknown, Some(shards.first().index()), "while there is one, a thread needs no number");
    in_the_second_shard(&allocator, || ());
    let all_have_numbers = Barrier::new(8);
    let meet = || {
        let own = allocator.pools().own_shard(type_index, Kind::Linear).index();
        all_have_numbers.wait();
        (ready(), Some(own))
    };
    let found: Vec<_> = thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(meet)).collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    assert!(found.iter().all(|(ready, own)| ready == own), "{found:?}");
    put_away(sim, allocator, []);
}

#[test]
fn small_resources_have_slots_at_the_low_end_and_large_ones_lie_high() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let [small, large] = [10_000, 300 << 10].map(|size| allocate(&allocator, size).expect("there is memory"));
    let mut slots = Slots(Vec::new());
    allocator.pools().own_shard(small.memory_type_index(), Kind::Linear).walk(&mut slots);
    assert_eq!((small.offset(), slots.0.as_slice()), (0, [10 << 10].as_slice()), "an eighth is wasted at most");
    assert_eq!(large.offset(), MIB - (300 << 10));
    put_away(sim, allocator, [small, large]);
}

/// Without them all is placed and freed as well, only slower.
#[test]
fn the_short_ways_of_a_pool_serve_what_is_at_hand() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let custom = |algorithm| allocator.create_pool(&PoolCreateInfo::for_memory_type(0).algorithm(algorithm));
    let algorithms = [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 256 }];
    for custom in algorithms.map(|algorithm| custom(algorithm).expect("there is room")) {
        // The first lies in a range of its own, the second in a slab.
        let allocate = || allocator.allocate(&request(256), &info().pool(&custom)).expect("there is memory");
        let [first, second] = [allocate(), allocate()];
        let pool = Arc::clone(&custom.pool);
        let mut held = pool.try_hold().expect("nobody else is at work");
        assert!(pool.try_hold().is_none(), "now somebody is");
        let slot = pool.allocate_ready(&mut held, Kind::Linear, 256, 256).map(|slot| held.free_ready(slot.key));
        let expected = (pool.settings().algorithm == Algorithm::Tlsf).then_some(true);
        assert_eq!(slot, expected, "only slabs have such slots");
        let placement = pool.allocate_at_hand(&mut held, Kind::Linear, 256, 256).expect("the block has room");
        assert_eq!(placement.site.memory(), first.memory());
        assert!(held.free_at_hand(placement.key));
        assert!(!held.free_at_hand(placement.key), "it is stale");
        drop(held);
        drop(pool);
        for allocation in [first, second] {
            allocator.free(allocation).expect("it is alive");
        }
        allocator.destroy_pool(custom).expect("it is empty");
    }
    put_away(sim, allocator, []);
}

/// The bytes of what is used in ranges of less than 64 KiB.
struct Slots(Vec<u64>);

impl PoolVisitor for Slots {
    fn block(&mut self, _: &Memory) {}

    fn range(&mut self, range: &RangeView) {
        if matches!(range.state, RangeState::Used(_)) && range.size < 64 << 10 {
            self.0.push(range.size);
        }
    }

    fn dedicated(&mut self, _: RangeKey, _: &Memory) {}
}

#[test]
fn a_plan_and_the_limits_see_what_another_shard_has_left() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 8 * MIB);
    let pinned = pin_a_large_block(&allocator);
    let placed = in_the_second_shard(&allocator, || {
        let limits = allocator.limits(Intent::GpuOnly).expect("there is a type");
        assert!(limits.largest_allocation >= 5 * MIB, "{limits:?}");
        let plan = allocator.plan(&request(5 * MIB), &info()).expect("a sibling has room");
        assert_eq!(plan.placement, PlannedPlacement::ExistingBlock);
        let placed = allocate(&allocator, 5 * MIB).expect("a sibling has room");
        assert_eq!(plan.offset, Some(placed.offset()));
        placed
    });
    allocator.free(placed).expect("it is alive");
    allocator.free(pinned).expect("it is alive");
    put_away(sim, allocator, []);
}

/// Stops in the middle of a walk, so that the pool is busy for as long as the test wants.
struct Pause {
    begun: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl PoolVisitor for Pause {
    fn block(&mut self, _: &Memory) {
        let _ = self.begun.send(());
        let _ = self.ended.recv();
    }

    fn range(&mut self, _: &RangeView) {}

    fn dedicated(&mut self, _: RangeKey, _: &Memory) {}
}

/// Runs `work` while another thread is at work in `pool` for so long.
fn while_busy<T>(pool: &NumberedPool, time: Duration, work: impl FnOnce() -> T) -> T {
    let ((begun, has_begun), (end, ended)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(|| pool.walk(&mut Pause { begun, ended }));
        has_begun.recv().expect("the walk begins");
        scope.spawn(move || {
            thread::sleep(time);
            drop(end);
        });
        work()
    })
}

/// A shard that is busy at the moment is no reason to refuse a large resource for which it has room.
#[test]
fn a_busy_sibling_is_waited_for_before_a_refusal() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 8 * MIB);
    let pinned = pin_a_large_block(&allocator);
    let first = allocator.pools().own_shard(pinned.memory_type_index(), Kind::Linear);
    let large = || in_the_second_shard(&allocator, || allocate(&allocator, 5 * MIB)).expect("there is room for it");
    let placed = while_busy(first, Duration::from_millis(30), large);
    assert_eq!(placed.memory(), pinned.memory());
    put_away(sim, allocator, [placed, pinned]);
}

/// Nor is it one to wait for the driver, which another thread of the shard has asked for a block.
#[test]
fn a_busy_sibling_is_waited_for_rather_than_a_growth() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let pinned = pin_a_large_block(&allocator);
    let type_index = pinned.memory_type_index();
    let first = allocator.pools().own_shard(type_index, Kind::Linear);
    let while_growing = || {
        let own = allocator.pools().own_shard(type_index, Kind::Linear);
        let Joined::Leader(ticket) = own.growth().join(1, MIB) else { panic!("nothing is under way") };
        thread::scope(|scope| {
            let (served, is_served) = mpsc::channel();
            let growth = scope.spawn(move || {
                // Only a test that fails takes so long.
                let outcome = is_served.recv_timeout(Duration::from_secs(10));
                drop(ticket);
                outcome
            });
            let placed = allocate(&allocator, 512).expect("there is room for it");
            let _ = served.send(());
            growth.join().expect("no panic").expect("it was served before the growth ended");
            placed
        })
    };
    let small = || in_the_second_shard(&allocator, while_growing);
    let placed = while_busy(first, Duration::from_millis(30), small);
    assert_eq!(placed.memory(), pinned.memory());
    put_away(sim, allocator, [placed, pinned]);
}

/// A block that another shard is opening, and that took the last of the budget, has room for both.
#[test]
fn a_block_on_its_way_to_a_sibling_is_waited_for_before_a_refusal() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, MIB);
    let gate = sim.control().block(Function::AllocateMemory);
    let [first, second] = thread::scope(|scope| {
        let first = scope.spawn(|| allocate(&allocator, 512));
        assert!(gate.wait_for_arrivals(1, Duration::from_secs(10)), "it opens 1 MiB");
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(30));
            gate.open();
        });
        let second = in_the_second_shard(&allocator, || allocate(&allocator, 512));
        [first.join().expect("no panic"), second].map(|served| served.expect("there is room for both"))
    });
    assert_eq!(first.memory(), second.memory());
    put_away(sim, allocator, [first, second]);
}

#[test]
fn what_a_pool_was_used_for_counts_when_it_is_gone() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let used = || {
        let pool = allocator.create_pool(&PoolCreateInfo::for_memory_type(0)).expect("there is room");
        let of_pool = AllocationCreateInfo::gpu_only().pool(&pool);
        let [freed, taken_back] = [(); 2].map(|()| allocator.allocate(&request(512), &of_pool).expect("it has room"));
        allocator.free(freed).expect("it is alive");
        allocator.take_back(taken_back);
        pool
    };
    for pool in [used(), used()] {
        assert_eq!((allocator.pools().allocated(), allocator.pools().use_count()), (2, 4));
        allocator.destroy_pool(pool).expect("nothing of it is alive");
        assert_eq!((allocator.pools().allocated(), allocator.pools().use_count()), (2, 4));
    }
    put_away(sim, allocator, []);
}

#[test]
fn a_custom_pool_has_the_lowest_free_index_and_the_table_ends_behind_the_last() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let pools = allocator.pools();
    let create = || {
        let pool = pools.add_custom(&PoolCreateInfo::for_memory_type(0), 0, u64::MAX).expect("there is room");
        usize::from(pool.index()) - FIRST_OTHER
    };
    let all = || pools.table.all().map(|pool| usize::from(pool.index()) - FIRST_OTHER).collect::<Vec<_>>();
    assert_eq!(((0..40).map(|_| create()).collect::<Vec<_>>(), pools.table.len()), ((0..40).collect(), 40));
    for number in [20, 38, 3, 39] {
        pools.remove(u16::try_from(FIRST_OTHER + number).expect("small"));
    }
    let left: Vec<_> = (0..38).filter(|number| ![3, 20].contains(number)).collect();
    assert_eq!((all(), pools.table.len(), pools.sum(|_| 1)), (left, 38, 36));
    assert_eq!([(); 4].map(|()| create()), [3, 20, 38, 39]);
    for number in (0..40).rev() {
        pools.remove(u16::try_from(FIRST_OTHER + number).expect("small"));
    }
    assert_eq!((all(), pools.table.len(), create()), (vec![], 0, 0));
    put_away(sim, allocator, []);
}

#[test]
fn custom_pools_have_indices_of_their_own_up_to_the_last() {
    let sim = SimDevice::new(Profile::unified());
    let allocator = allocator(&sim, 64 * MIB);
    let pools = allocator.pools();
    let create = || pools.add_custom(&PoolCreateInfo::for_memory_type(0), 0, u64::MAX);
    let first = create().expect("there is room");
    assert_eq!((first.index(), FIRST_OTHER), (1024, 1024));
    // The same pool in every entry but the last stands for 64,511 of them.
    let most = usize::from(u16::MAX) - FIRST_OTHER;
    pools.table.fill(most, Some(&first));
    let last = create().expect("there is one index left");
    assert_eq!(last.index(), u16::MAX);
    assert_eq!(pools.get(u16::MAX).map(|pool| pool.index()), Some(u16::MAX));
    assert!(matches!(create(), Err(CreatePoolError::TooManyPools { max: 64_512 })));
    pools.remove(2000);
    assert_eq!(create().map(|pool| pool.index()).ok(), Some(2000));
    pools.table.fill(most + 1, None);
    put_away(sim, allocator, []);
}
