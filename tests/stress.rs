//! Eight threads do everything at once: default and custom pools, shards, names, aliasing, plans, budgets that change,
//! a driver that fails and is slow; a shadow knows what lives, and every mapped byte is checked before it is freed.

mod common;

use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use ash::vk;
use common::seed::chosen_seed;
use common::{Random, Rig, Shadow, buffer_info, mib, requirements};
use freestone::sim::{Function, KIB, ObjectKind, Profile};
use freestone::{
    AccessError, Algorithm, Allocation, AllocationCreateInfo, AllocationError, CreatePoolError, CustomPool,
    DedicatedUse, Intent, Kind, PoolCreateInfo,
};

const THREADS: u64 = 8;
/// Only a test that fails works so long.
const LIMIT: Duration = Duration::from_secs(120);

/// One live allocation: the byte it was filled with, and its name.
struct Held {
    allocation: Allocation,
    pattern: u8,
    name: Option<String>,
}

/// What the threads share.
struct Shared<'a> {
    rig: &'a Rig,
    shadow: Mutex<Shadow>,
    pools: Vec<CustomPool>,
}

/// What one thread does: a program of random steps.
struct Worker<'a> {
    shared: &'a Shared<'a>,
    random: Random,
    held: Vec<Held>,
    refused: u64,
    aliases: u64,
}

impl Worker<'_> {
    fn run(&mut self, steps: u32) {
        let rig = self.shared.rig;
        for step in 0..steps {
            match self.random.below(100) {
                0..30 => self.allocate(None),
                30..42 => {
                    let index = usize::try_from(self.random.below(4)).expect("small");
                    self.allocate(self.shared.pools.get(index));
                }
                42..84 => self.free(),
                84..88 => self.alias(),
                88..90 => self.use_a_pool_of_its_own(step),
                90..92 => drop(rig.trim()),
                92..94 => rig.tick(),
                94..96 => self.change_budget(),
                96 => drop(rig.plan(&requirements(self.random.size(20), 256, Kind::Linear), &info_of(Intent::Stream))),
                97 => drop(rig.limits(Intent::Upload)),
                98 => rig.validate().expect("every invariant holds"),
                _ => drop((rig.statistics(), rig.detailed_statistics())),
            }
        }
        while !self.held.is_empty() {
            self.free();
        }
    }

    /// Asks for something, of a pool of the user's or of the default ones.
    fn allocate(&mut self, pool: Option<&CustomPool>) {
        let intent = Intent::ALL[usize::try_from(self.random.below(5)).expect("small")];
        let name = (self.random.below(6) == 0).then(|| format!("number {}", self.random.below(1000)));
        let mut info = info_of(if pool.is_some() { Intent::GpuOnly } else { intent });
        if let Some(name) = &name {
            info = info.name(name);
        }
        if let Some(pool) = pool {
            info = info.pool(pool);
        } else if self.random.below(40) == 0 {
            info = info.dedicated(DedicatedUse::Always);
        } else {
            info = info.can_alias();
        }
        let kind = if self.random.below(3) == 0 { Kind::NonLinear } else { Kind::Linear };
        // Many small ones of one size: that is where threads meet.
        let size = if self.random.below(2) == 0 { 512 } else { self.random.size(19) };
        let alignment = 1 << self.random.below(13);
        match self.shared.rig.allocate(&requirements(size, alignment, kind), &info) {
            Ok(allocation) => {
                assert_eq!(allocation.offset() % alignment, 0);
                self.hold(allocation, name);
            }
            Err(AllocationError::OutOfMemory { .. } | AllocationError::Driver { .. }) => self.refused += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn hold(&mut self, mut allocation: Allocation, name: Option<String>) {
        let rig = self.shared.rig;
        let granularity = rig.properties().buffer_image_granularity;
        self.shared.shadow.lock().expect("nobody panics").enter(&allocation, granularity);
        let pattern = u8::try_from(self.random.below(256)).expect("a byte");
        if allocation.mapped_ptr().is_some() {
            let size = allocation.size();
            allocation.fill(0, size, pattern).expect("it is mapped");
            let flushed = rig.flush(&allocation, 0, size);
            assert!(matches!(flushed, Ok(()) | Err(AccessError::Driver(_))), "{flushed:?}");
        }
        self.held.push(Held { allocation, pattern, name });
    }

    fn free(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = usize::try_from(self.random.below(self.held.len() as u64)).expect("small");
        let Held { allocation, pattern, name } = self.held.swap_remove(index);
        assert_eq!(self.shared.rig.name_of(&allocation), name);
        if allocation.mapped_ptr().is_some() {
            let size = usize::try_from(allocation.size()).expect("small");
            // SAFETY: all bytes were written by `hold`; no device writes them.
            let bytes = unsafe { allocation.slice::<u8>(0, size) }.expect("it is mapped");
            assert!(bytes.iter().all(|byte| *byte == pattern), "somebody else wrote into it");
        }
        self.shared.shadow.lock().expect("nobody panics").strike(&allocation);
        self.shared.rig.free(allocation).expect("it is alive");
    }

    /// Makes a buffer inside something that lives, and destroys it.
    fn alias(&mut self) {
        let Some(Held { allocation, .. }) = self.held.last() else { return };
        let rig = self.shared.rig;
        // SAFETY: the create-info is valid; the buffer is destroyed below, before the allocation is freed, unused.
        match unsafe { rig.create_aliasing_buffer(&buffer_info(256), allocation, 0) } {
            Ok(buffer) => {
                self.aliases += 1;
                // SAFETY: the GPU has never seen it.
                unsafe { rig.vulkan.device().destroy_buffer(buffer, None) };
            }
            Err(AllocationError::Alias(_) | AllocationError::Resource(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates a pool, fills it and destroys it, while other threads look at all pools.
    fn use_a_pool_of_its_own(&mut self, step: u32) {
        let rig = self.shared.rig;
        let algorithm = if step.is_multiple_of(2) { Algorithm::Fixed { slot_size: 4096 } } else { Algorithm::Tlsf };
        let info =
            PoolCreateInfo::for_memory_type(0).algorithm(algorithm).block_size(64 * KIB).min_block_count(step % 3);
        let pool = match rig.create_pool(&info) {
            Ok(pool) => pool,
            Err(CreatePoolError::Allocation(_)) => return self.refused += 1,
            Err(error) => panic!("{error}"),
        };
        let wishes = info_of(Intent::GpuOnly).pool(&pool);
        let live: Vec<_> =
            (0..20).filter_map(|_| rig.allocate(&requirements(4000, 64, Kind::Linear), &wishes).ok()).collect();
        for allocation in live {
            rig.free(allocation).expect("it is alive");
        }
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }

    fn change_budget(&mut self) {
        let budget = (self.random.below(3) > 0).then(|| mib(1 + self.random.below(16)));
        self.shared.rig.control().set_budget(0, budget);
        self.shared.rig.update_budget();
    }
}

fn info_of(intent: Intent) -> AllocationCreateInfo<'static> {
    AllocationCreateInfo::new(intent)
}

/// What a run of all threads came to.
#[derive(Default)]
struct Outcome {
    refused: u64,
    aliases: u64,
    further_shards: usize,
}

fn run(rig: &Rig, seed: u64, steps: u32) -> Outcome {
    let seed = seed.wrapping_add(chosen_seed());
    let infos = [
        PoolCreateInfo::for_memory_type(0).block_size(256 * KIB),
        PoolCreateInfo::for_memory_type(0).block_size(64 * KIB).max_block_count(3),
        PoolCreateInfo::for_memory_type(0).min_alignment(1024),
        PoolCreateInfo::for_memory_type(0).block_size(512 * KIB).min_block_count(1),
    ];
    let pools = infos.iter().map(|info| rig.create_pool(info).expect("the driver does not fail yet")).collect();
    let shared = Shared { rig, shadow: Mutex::default(), pools };
    break_the_driver(rig, seed);
    let start = Barrier::new(usize::try_from(THREADS).expect("few"));
    let outcomes: Vec<(u64, u64)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|number| {
                let (shared, start) = (&shared, &start);
                let random = Random(seed.wrapping_mul(1000) + number);
                scope.spawn(move || {
                    let mut worker = Worker { shared, random, held: Vec::new(), refused: 0, aliases: 0 };
                    start.wait();
                    worker.run(steps);
                    (worker.refused, worker.aliases)
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
    });
    rig.control().clear_faults();
    assert_eq!(shared.shadow.lock().expect("nobody panics").len(), 0);
    for pool in shared.pools {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    Outcome {
        refused: outcomes.iter().map(|outcome| outcome.0).sum(),
        aliases: outcomes.iter().map(|outcome| outcome.1).sum(),
        further_shards: rig.statistics().pools.iter().filter(|(index, _)| (64..1024).contains(index)).count(),
    }
}

/// Makes one call in some thirty fail, and memory slow to come and go.
fn break_the_driver(rig: &Rig, seed: u64) {
    rig.control().delay(Function::AllocateMemory, Duration::from_micros(200));
    rig.control().delay(Function::FreeMemory, Duration::from_micros(50));
    let mut random = Random(seed);
    rig.control().fail_when(move |call| {
        let pick = usize::try_from(random.below(96)).expect("small");
        call.function.failures().get(pick.checked_sub(92)?).copied()
    });
}

fn assert_nothing_left(rig: &Rig, what: &str) {
    rig.control().set_budget(0, None);
    rig.trim();
    rig.validate().unwrap_or_else(|violation| panic!("{what}: {violation}"));
    let statistics = rig.statistics();
    let total = statistics.total;
    assert_eq!((total.allocation_count, total.allocation_bytes, total.reserved_bytes()), (0, 0, 0), "{what}");
    assert_eq!(total.allocated_count, total.freed_count, "{what}");
    assert_eq!(statistics.object_count, 0, "{what}");
    assert!(statistics.heaps.iter().all(|heap| heap.usage.own == 0), "{what}: {statistics:?}");
    assert_eq!(rig.control().live(ObjectKind::DeviceMemory), 0, "{what}");
    assert_eq!(rig.control().live(ObjectKind::Buffer), 0, "{what}");
}

#[test]
fn eight_threads_do_everything_at_once() {
    const STEPS: u32 = 2500;
    let mut sum = Outcome::default();
    let mut rounds = 0;
    for (seed, profile) in (1..).zip(Profile::all()) {
        let what = format!("{} with seed {seed}", profile.name);
        let rig = Rig::new(profile);
        rig.control().allow_aliasing(true);
        let outcome = run(&rig, seed, STEPS);
        assert!(rig.control().faults_fired().len() > 10, "{what}");
        assert_nothing_left(&rig, &what);
        rig.finish();
        rounds += 1;
        sum.refused += outcome.refused;
        sum.aliases += outcome.aliases;
        sum.further_shards += outcome.further_shards;
    }
    let steps = u64::from(STEPS) * THREADS * rounds;
    let Outcome { refused, aliases, further_shards } = sum;
    eprintln!("{steps} steps, {refused} refusals, {aliases} aliases, {further_shards} further shards");
    assert!(refused > 0 && aliases > 0);
}

/// The same on a device whose largest heap is small: trims, reservations and siblings' rooms meet.
#[test]
fn eight_threads_do_everything_at_once_in_small_heaps() {
    for seed in 100..104 {
        let rig = Rig::new(common::two_heaps(mib(4), mib(2)));
        rig.control().allow_aliasing(true);
        let outcome = run(&rig, seed, 1000);
        assert!(outcome.refused > 0, "the heaps are too small");
        assert!(rig.control().heap(0).is_some_and(|heap| heap.peak_page_bytes <= mib(4)));
        assert_nothing_left(&rig, &format!("seed {seed}"));
        rig.finish();
    }
}

/// Nothing fails and nothing is slow: threads meet in the pools' locks, and shards open.
#[test]
fn shards_open_under_the_shadow_s_eye() {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let began = Instant::now();
    for round in (0..).take_while(|_| began.elapsed() < LIMIT) {
        let rig = Rig::new(Profile::discrete_rebar());
        let start = Barrier::new(8);
        let shadow = Mutex::new(Shadow::default());
        thread::scope(|scope| {
            for number in 0..8 {
                let (rig, start, shadow) = (&rig, &start, &shadow);
                scope.spawn(move || hammer(rig, start, shadow, Random(round * 100 + number)));
            }
        });
        let further = rig.statistics().pools.iter().filter(|(index, _)| (64..1024).contains(index)).count();
        assert_nothing_left(&rig, &format!("round {round}"));
        rig.finish();
        if further > 0 {
            eprintln!("round {round}: {further} further shards");
            return;
        }
    }
    assert_eq!(cores, 1, "eight threads collide on {cores} cores");
    eprintln!("NOT ASSERTED: one core, and no two threads collided");
}

/// Replaces small allocations as fast as can be; what lives at the end is entered into the shadow.
fn hammer(rig: &Rig, start: &Barrier, shadow: &Mutex<Shadow>, mut random: Random) {
    let mut held: Vec<Allocation> = Vec::new();
    start.wait();
    for _ in 0..20_000 {
        let size = 64 + random.below(2000);
        held.push(
            rig.allocate(&requirements(size, 64, Kind::Linear), &AllocationCreateInfo::gpu_only())
                .expect("there is memory"),
        );
        if held.len() > 100 {
            let index = usize::try_from(random.below(100)).expect("small");
            rig.free(held.swap_remove(index)).expect("it is alive");
        }
    }
    for allocation in &held {
        shadow.lock().expect("nobody panics").enter(allocation, 1);
    }
    start.wait();
    for allocation in held {
        rig.free(allocation).expect("it is alive");
    }
}

/// A buffer on a thread of its own is what `create_buffer` gives, so that undo meets threads too.
#[test]
fn eight_threads_create_and_destroy_buffers_with_a_driver_that_fails() {
    let rig = Rig::new(Profile::unified());
    break_the_driver(&rig, 9);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let rig = &rig;
            scope.spawn(move || {
                let mut random = Random(number);
                let mut held: Vec<(vk::Buffer, Allocation)> = Vec::new();
                for _ in 0..400 {
                    let info = buffer_info(1 + random.below(100_000));
                    // SAFETY: the create-info is valid; nothing is submitted.
                    held.extend(unsafe { rig.create_buffer(&info, &AllocationCreateInfo::upload()) }.ok());
                    if held.len() > 20 {
                        let (buffer, allocation) = held.swap_remove(usize::try_from(random.below(20)).expect("small"));
                        // SAFETY: the GPU has never seen it.
                        unsafe { rig.destroy_buffer(buffer, allocation) }.expect("it is alive");
                    }
                }
                for (buffer, allocation) in held {
                    // SAFETY: the GPU has never seen it.
                    unsafe { rig.destroy_buffer(buffer, allocation) }.expect("it is alive");
                }
            });
        }
    });
    rig.control().clear_faults();
    assert_nothing_left(&rig, "all were destroyed");
    rig.finish();
}
