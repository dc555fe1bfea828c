//! Many threads at one allocator: what they see agrees with a shadow, growth is shared, nobody waits needlessly.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Duration;

use ash::vk;
use common::{Random, Rig, Shadow, buffer_info, linear, mib, requirements};
use freestone::sim::{Function, KIB, ObjectKind, Profile};
use freestone::{
    Algorithm, Allocation, AllocationCreateInfo, AllocationError, CustomPool, Intent, Kind, PoolCreateInfo,
};

/// Only a test that fails waits so long.
const HANG: Duration = Duration::from_secs(20);

/// One live allocation, with the byte it was filled with and the buffer in it.
struct Held {
    allocation: Allocation,
    pattern: u8,
    buffer: Option<vk::Buffer>,
}

/// What one thread does: a program of random steps.
struct Worker<'a> {
    rig: &'a Rig,
    shadow: &'a Mutex<Shadow>,
    random: Random,
    held: Vec<Held>,
    refused: u64,
}

impl Worker<'_> {
    fn run(&mut self, steps: u32) {
        for _ in 0..steps {
            match self.random.below(100) {
                0..40 => self.allocate(),
                40..48 => self.create(),
                48..90 => self.free(),
                90..93 => drop(self.rig.trim()),
                93..96 => self.rig.tick(),
                96..98 => self.rig.validate().expect("every invariant holds"),
                _ => drop(self.rig.statistics()),
            }
        }
        while !self.held.is_empty() {
            self.free();
        }
    }

    fn info(&mut self) -> AllocationCreateInfo<'static> {
        let intent = Intent::ALL[usize::try_from(self.random.below(5)).expect("small")];
        let info = AllocationCreateInfo::new(intent);
        if self.random.below(8) == 0 { info.name("of a thread") } else { info }
    }

    fn allocate(&mut self) {
        let info = self.info();
        let kind = if self.random.below(3) == 0 { Kind::NonLinear } else { Kind::Linear };
        let alignment = 1 << self.random.below(17);
        let request = requirements(self.random.size(19), alignment, kind);
        match self.rig.allocate(&request, &info) {
            Ok(allocation) => {
                assert_eq!(allocation.offset() % alignment, 0);
                self.hold(allocation, None);
            }
            Err(error) => self.refuse(&error),
        }
    }

    fn create(&mut self) {
        let info = self.info();
        let size = self.random.size(16);
        // SAFETY: the create-info is valid; nothing is submitted.
        match unsafe { self.rig.create_buffer(&buffer_info(size), &info) } {
            Ok((buffer, allocation)) => self.hold(allocation, Some(buffer)),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&mut self, error: &AllocationError) {
        let is_expected = matches!(
            error,
            AllocationError::OutOfMemory { .. } | AllocationError::Driver { .. } | AllocationError::Resource(_)
        );
        assert!(is_expected, "{error}");
        self.refused += 1;
    }

    fn hold(&mut self, mut allocation: Allocation, buffer: Option<vk::Buffer>) {
        let granularity = self.rig.properties().buffer_image_granularity;
        self.shadow.lock().expect("nobody panics").enter(&allocation, granularity);
        let pattern = u8::try_from(self.random.below(256)).expect("a byte");
        if allocation.mapped_ptr().is_some() {
            let size = allocation.size();
            allocation.fill(0, size, pattern).expect("it is mapped");
            self.rig.flush(&allocation, 0, size).or_else(is_planned).expect("in bounds");
        }
        self.held.push(Held { allocation, pattern, buffer });
    }

    fn free(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let index = self.random.below(self.held.len() as u64);
        let Held { allocation, pattern, buffer } = self.held.swap_remove(usize::try_from(index).expect("small"));
        if allocation.mapped_ptr().is_some() {
            let size = usize::try_from(allocation.size()).expect("small");
            // SAFETY: all bytes were written by `hold`; no device writes them.
            let bytes = unsafe { allocation.slice::<u8>(0, size) }.expect("it is mapped");
            assert!(bytes.iter().all(|byte| *byte == pattern), "somebody else wrote into it");
        }
        self.shadow.lock().expect("nobody panics").strike(&allocation);
        match buffer {
            // SAFETY: the GPU has never seen it.
            Some(buffer) => unsafe { self.rig.destroy_buffer(buffer, allocation) }.expect("it is alive"),
            None => self.rig.free(allocation).expect("it is alive"),
        }
    }
}

/// A failure that the test itself asked for.
fn is_planned(error: freestone::AccessError) -> Result<(), freestone::AccessError> {
    if matches!(error, freestone::AccessError::Driver(_)) { Ok(()) } else { Err(error) }
}

/// Lets threads run programs, and checks what is left. Returns how many requests were refused.
fn run_workers(rig: &Rig, seed: u64, threads: u64, steps: u32) -> u64 {
    let shadow = Mutex::new(Shadow::default());
    let start = Barrier::new(usize::try_from(threads).expect("few"));
    let refused = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|number| {
                let (shadow, start) = (&shadow, &start);
                let random = Random(seed * 1000 + number);
                scope.spawn(move || {
                    let mut worker = Worker { rig, shadow, random, held: Vec::new(), refused: 0 };
                    start.wait();
                    worker.run(steps);
                    worker.refused
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no panic")).sum()
    });
    assert_eq!(shadow.lock().expect("nobody panics").len(), 0);
    refused
}

fn assert_nothing_left(rig: &Rig, what: &str) {
    rig.trim();
    rig.validate().unwrap_or_else(|violation| panic!("{what}: {violation}"));
    let statistics = rig.statistics();
    assert_eq!(statistics.total.allocation_count, 0, "{what}");
    assert_eq!(statistics.total.allocation_bytes, 0, "{what}");
    assert_eq!((statistics.total.reserved_bytes(), statistics.object_count), (0, 0), "{what}");
    assert_eq!(statistics.total.empty_bytes, 0, "{what}");
    for heap in &statistics.heaps {
        assert_eq!(heap.usage.own, 0, "{what}: {heap:?}");
    }
    assert_eq!(rig.control().live(ObjectKind::DeviceMemory), 0, "{what}");
    assert_eq!(rig.control().live(ObjectKind::Buffer), 0, "{what}");
}

#[test]
fn eight_threads_agree_with_a_shadow() {
    for (seed, profile) in (1..).zip(Profile::all()) {
        let what = format!("{} with seed {seed}", profile.name);
        let rig = Rig::new(profile);
        run_workers(&rig, seed, 8, 400);
        assert_nothing_left(&rig, &what);
        rig.finish();
    }
}

#[test]
fn eight_threads_with_failures_and_delays_agree_with_a_shadow() {
    for (seed, profile) in (100..).zip(Profile::all()) {
        let what = format!("{} with seed {seed}", profile.name);
        let rig = Rig::new(profile);
        let control = rig.control();
        control.delay(Function::AllocateMemory, Duration::from_micros(300));
        control.delay(Function::FreeMemory, Duration::from_micros(100));
        let mut random = Random(seed);
        control.fail_when(move |call| {
            let failures = call.function.failures();
            let pick = usize::try_from(random.below(64)).expect("small");
            // One call in some twenty; a lost device is another test's.
            failures.get(pick.checked_sub(60)?).copied()
        });
        let refused = run_workers(&rig, seed, 8, 250);
        assert!(refused > 0, "{what}: some failures reached their caller");
        assert!(control.faults_fired().len() > 10, "{what}");
        control.clear_faults();
        assert_nothing_left(&rig, &what);
        rig.finish();
    }
}

/// Tight heaps: reservations, trims and growth of all threads meet.
#[test]
fn eight_threads_in_a_heap_that_is_too_small_agree_with_a_shadow() {
    let mut refused = 0;
    for seed in 200..204 {
        let rig = Rig::new(common::two_heaps(mib(2), mib(1)));
        refused += run_workers(&rig, seed, 8, 300);
        assert!(rig.control().heap(0).is_some_and(|heap| heap.peak_page_bytes <= mib(2)));
        assert_nothing_left(&rig, &format!("seed {seed}"));
        rig.finish();
    }
    assert!(refused > 0, "the heaps are too small");
}

#[test]
fn sixteen_threads_on_an_empty_pool_make_at_most_two_driver_allocations() {
    for round in 0..20 {
        let rig = Rig::new(Profile::discrete_rebar());
        rig.control().delay(Function::AllocateMemory, Duration::from_millis(2));
        let start = Barrier::new(16);
        let allocations: Vec<Allocation> = thread::scope(|scope| {
            let workers: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        rig.allocate(&linear(256 + round), &AllocationCreateInfo::gpu_only()).expect("there is memory")
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().expect("no panic")).collect()
        });
        let calls = rig.control().count(Function::AllocateMemory);
        assert!(calls <= 2, "round {round}: {calls} driver allocations for one block's worth");
        for allocation in allocations {
            rig.free(allocation).expect("it is alive");
        }
        rig.finish();
    }
}

#[test]
fn an_allocation_is_freed_on_another_thread() {
    let rig = Rig::new(Profile::unified());
    let (sender, receiver) = std::sync::mpsc::channel::<Allocation>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let sender = sender;
            for n in 0..2000 {
                let mut allocation =
                    rig.allocate(&linear(n * 37 + 1), &AllocationCreateInfo::upload()).expect("memory");
                allocation.write(0, &[0x5a_u8]).expect("it is mapped");
                sender.send(allocation).expect("the receiver listens");
            }
        });
        scope.spawn(|| {
            for allocation in receiver {
                let mut first = [0_u8];
                // SAFETY: the sender wrote the byte; no device writes it.
                unsafe { allocation.read(0, &mut first) }.expect("it is mapped");
                assert_eq!(first, [0x5a]);
                rig.free(allocation).expect("it is alive");
            }
        });
    });
    assert_nothing_left(&rig, "all were freed");
    rig.finish();
}

#[test]
fn one_growth_is_in_flight_and_shared_by_those_who_wait() {
    let rig = Rig::new(Profile::discrete_rebar());
    let gate = rig.control().block(Function::AllocateMemory);
    let done = AtomicU32::new(0);
    let allocate = || {
        let allocation = rig.allocate(&linear(4096), &AllocationCreateInfo::gpu_only()).expect("there is memory");
        done.fetch_add(1, Ordering::SeqCst);
        allocation
    };
    let allocations: Vec<Allocation> = thread::scope(|scope| {
        let leader = scope.spawn(allocate);
        assert!(gate.wait_for_arrivals(1, HANG), "the leader asks the driver");
        let followers: Vec<_> = (0..6).map(|_| scope.spawn(allocate)).collect();
        // They have time to ask the driver too, if they were to; nothing depends on this time if they do not.
        thread::sleep(Duration::from_millis(50));
        assert_eq!((gate.arrivals(), done.load(Ordering::SeqCst)), (1, 0), "they wait for the one growth");
        gate.open();
        [leader].into_iter().chain(followers).map(|worker| worker.join().expect("no panic")).collect()
    });
    assert_eq!(rig.control().count(Function::AllocateMemory), 1);
    assert!(allocations.iter().all(|allocation| allocation.memory() == allocations[0].memory()));
    for allocation in allocations {
        rig.free(allocation).expect("it is alive");
    }
    rig.finish();
}

#[test]
fn a_request_larger_than_the_promise_grows_alone() {
    let rig = Rig::new(Profile::discrete_rebar());
    let gate = rig.control().block(Function::AllocateMemory);
    thread::scope(|scope| {
        scope.spawn(|| {
            let allocation = rig.allocate(&linear(4096), &AllocationCreateInfo::gpu_only()).expect("there is memory");
            rig.free(allocation).expect("it is alive");
        });
        assert!(gate.wait_for_arrivals(1, HANG), "the leader opens 1 MiB");
        scope.spawn(|| {
            let allocation = rig.allocate(&linear(mib(2)), &AllocationCreateInfo::gpu_only()).expect("there is memory");
            rig.free(allocation).expect("it is alive");
        });
        let came = gate.wait_for_arrivals(2, HANG);
        gate.open();
        assert!(came, "the second asks the driver while the first waits");
    });
    assert_nothing_left(&rig, "both were freed");
    rig.finish();
}

/// Those who wait for a growth that fails try for themselves, and each gets an answer.
#[test]
fn a_growth_that_fails_wakes_those_who_wait() {
    let rig = Rig::new(Profile::discrete_rebar());
    let gate = rig.control().block(Function::AllocateMemory);
    let refused = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
    rig.control().fail_when(move |call| (call.function == Function::AllocateMemory).then_some(refused));
    let is_open = AtomicBool::new(false);
    thread::scope(|scope| {
        let allocate = || {
            let error = rig.allocate(&linear(64 * KIB), &AllocationCreateInfo::gpu_only()).expect_err("no memory");
            assert!(is_open.load(Ordering::SeqCst), "{error}");
        };
        scope.spawn(allocate);
        assert!(gate.wait_for_arrivals(1, HANG));
        (0..5).for_each(|_| drop(scope.spawn(allocate)));
        is_open.store(true, Ordering::SeqCst);
        gate.open();
    });
    rig.control().clear_faults();
    assert_nothing_left(&rig, "nobody got anything");
    rig.finish();
}

/// Threads that wait for each other's growths are refused as soon as each would be alone: none sends another back.
#[test]
fn threads_that_are_all_refused_ask_the_driver_no_more_often_than_each_alone() {
    let refused = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
    let calls = |threads: u64| {
        let rig = Rig::new(Profile::discrete_rebar());
        rig.control().fail_when(move |call| (call.function == Function::AllocateMemory).then_some(refused));
        rig.control().delay(Function::AllocateMemory, Duration::from_micros(100));
        let start = Barrier::new(usize::try_from(threads).expect("few"));
        let allocate = || rig.allocate(&linear(64 * KIB), &AllocationCreateInfo::gpu_only()).expect_err("no memory");
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    start.wait();
                    (0..20).for_each(|_| drop(allocate()));
                });
            }
        });
        rig.control().clear_faults();
        assert_nothing_left(&rig, "nobody got anything");
        let count = rig.control().count(Function::AllocateMemory);
        rig.finish();
        count
    };
    let alone = calls(1);
    let together = calls(8);
    assert!(together <= 8 * alone, "{together} calls of 8 threads, {alone} of one alone");
}

/// Of two threads that the driver has refused, one gives all empty blocks back: the other finds none, but room.
#[test]
fn what_another_thread_gave_back_is_room_for_both() {
    let rig = Rig::new(common::two_heaps(mib(64), mib(64)));
    assert_eq!(rig.prewarm(Intent::GpuOnly, mib(8)).ok(), Some(mib(8)));
    let refused = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
    (1..=2).for_each(|n| rig.control().fail_nth_of(Function::AllocateMemory, n, refused));
    rig.control().delay(Function::FreeMemory, Duration::from_millis(20));
    let gate = rig.control().block(Function::AllocateMemory);
    let info = AllocationCreateInfo::gpu_only().without_spilling().dedicated(freestone::DedicatedUse::Always);
    thread::scope(|scope| {
        let workers = [1, 2].map(|_| scope.spawn(|| rig.allocate(&linear(mib(4)), &info)));
        assert!(gate.wait_for_arrivals(2, HANG), "both ask the driver");
        gate.open();
        for worker in workers {
            let allocation = worker.join().expect("no panic").expect("8 MiB have gone back since it was refused");
            rig.free(allocation).expect("it is alive");
        }
    });
    assert_nothing_left(&rig, "both were freed");
    rig.finish();
}

/// What is opened beforehand may be gone before there is enough of it.
#[test]
fn prewarming_ends_while_another_thread_trims() {
    let rig = Rig::new(Profile::discrete_rebar());
    let opened = thread::scope(|scope| {
        let mut gate = rig.control().block(Function::AllocateMemory);
        let worker = scope.spawn(|| rig.prewarm(Intent::GpuOnly, mib(512)));
        // The driver holds up each opening until all that were there before it have been trimmed.
        for _ in 0..40 {
            let has_come = || worker.is_finished() || gate.wait_for_arrivals(1, Duration::from_millis(1));
            assert!((0..20_000).any(|_| has_come()), "it asks the driver or ends");
            rig.trim();
            let next = rig.control().block(Function::AllocateMemory);
            drop(std::mem::replace(&mut gate, next));
        }
        rig.control().fail_when(|call| {
            (call.function == Function::AllocateMemory).then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
        });
        drop(gate);
        worker.join().expect("no panic")
    });
    assert!(opened.is_ok_and(|bytes| bytes <= mib(512)), "it ends when it has opened what was asked for");
    rig.control().clear_faults();
    assert_nothing_left(&rig, "it was trimmed");
    rig.finish();
}

/// Blocks that nobody uses go back one after another: one that was prewarmed meanwhile stays.
#[test]
fn what_was_prewarmed_meanwhile_does_not_go_back() {
    let rig = Rig::new(Profile::discrete_rebar());
    let info = AllocationCreateInfo::gpu_only();
    let [first, second] = [1, 2].map(|_| rig.allocate(&linear(mib(20)), &info).expect("there is memory"));
    rig.free(first).expect("it is alive");
    let gate = rig.control().block(Function::FreeMemory);
    thread::scope(|scope| {
        scope.spawn(|| rig.free(second).expect("it is alive"));
        assert!(gate.wait_for_arrivals(1, HANG), "the allocator is idle: one block goes, and the other is next");
        let opened = rig.prewarm(Intent::GpuOnly, mib(20));
        gate.open();
        assert_eq!(opened.ok(), Some(0), "the other block has the room");
    });
    assert_eq!(rig.statistics().total.reserved_bytes(), mib(20));
    rig.trim();
    assert_nothing_left(&rig, "it was trimmed");
    rig.finish();
}

/// A tick asks the driver about one lazily allocated object after another: the others go back while it does.
#[test]
fn lazy_memory_goes_back_while_a_tick_looks_at_others() {
    let rig = Rig::new(Profile::noncoherent());
    let info = AllocationCreateInfo::transient();
    let [first, second] =
        [1, 2].map(|_| rig.allocate(&requirements(64 * KIB, 256, Kind::NonLinear), &info).expect("there is memory"));
    assert_eq!(second.memory_type_index(), 4, "the lazily allocated type");
    let gate = rig.control().block(Function::GetDeviceMemoryCommitment);
    thread::scope(|scope| {
        scope.spawn(|| rig.tick());
        assert!(gate.wait_for_arrivals(1, HANG), "the tick asks for the first one's commitment");
        rig.free(second).expect("it is alive");
        let live = rig.control().live(ObjectKind::DeviceMemory);
        gate.open();
        assert_eq!(live, 1, "nobody looks at the second one");
    });
    rig.free(first).expect("it is alive");
    assert_nothing_left(&rig, "both were freed");
    rig.finish();
}

/// A reservation that is refused waits for a release under way instead of failing.
#[test]
fn a_release_in_flight_is_waited_for() {
    let rig = Rig::new(common::two_heaps(mib(64), mib(64)));
    let info = AllocationCreateInfo::gpu_only().without_spilling();
    let large = rig.allocate(&linear(mib(60)), &info.dedicated(freestone::DedicatedUse::Always)).expect("memory");
    let gate = rig.control().block(Function::FreeMemory);
    thread::scope(|scope| {
        scope.spawn(|| rig.free(large).expect("it is alive"));
        assert!(gate.wait_for_arrivals(1, HANG), "the driver frees 60 MiB");
        let waiting = scope.spawn(|| rig.allocate(&linear(mib(40)), &info).expect("60 MiB are on their way"));
        thread::sleep(Duration::from_millis(20));
        assert!(!waiting.is_finished(), "it waits");
        gate.open();
        rig.free(waiting.join().expect("no panic")).expect("it is alive");
    });
    assert_nothing_left(&rig, "both were freed");
    rig.finish();
}

/// Lets a thread each allocate so many bytes in a pool, one after another: so many are in the driver, the others wait
/// for them or are refused, before it answers. Returns what came of each.
fn allocate_behind_a_gate<const N: usize>(
    rig: &Rig,
    pool: &CustomPool,
    (sizes, opener_count): ([u64; N], u64),
) -> [Result<Allocation, AllocationError>; N] {
    let info = AllocationCreateInfo::gpu_only().pool(pool);
    thread::scope(|scope| {
        // Of the closure's own: it opens before the threads are joined if an assertion fails.
        let gate = rig.control().block(Function::AllocateMemory);
        let info = &info;
        let workers = (1..).zip(sizes).map(|(number, size)| {
            let worker = scope.spawn(move || rig.allocate(&linear(size), info));
            assert!(gate.wait_for_arrivals(opener_count.min(number), HANG), "it asks the driver");
            worker
        });
        let workers: Vec<_> = workers.collect();
        // Time to be refused, for those who do not ask the driver.
        thread::sleep(Duration::from_millis(30));
        gate.open();
        let outcomes: Vec<_> = workers.into_iter().map(|worker| worker.join().expect("no panic")).collect();
        outcomes.try_into().unwrap_or_else(|_| unreachable!("one for each"))
    })
}

/// All the blocks that a pool may have are on their way, and the last has room: not that of the thread with the ticket.
#[test]
fn at_the_block_limit_the_blocks_on_their_way_are_waited_for() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = PoolCreateInfo::for_memory_type(0).block_size(mib(1)).max_block_count(2);
    let pool = rig.create_pool(&pool).expect("a pool");
    let sizes = [900 * KIB, 600 * KIB, 300 * KIB];
    let [leader, alone, third] = allocate_behind_a_gate(&rig, &pool, (sizes, 2)).map(|outcome| outcome.expect("room"));
    assert_eq!(alone.memory(), third.memory());
    for allocation in [leader, alone, third] {
        rig.free(allocation).expect("it is alive");
    }
    rig.destroy_pool(pool).expect("nothing of it is alive");
    assert_nothing_left(&rig, "all were freed");
    rig.finish();
}

/// The only block that a pool may have is on its way, has no room for two, or never comes: the second thread is
/// refused, or opens the block itself.
#[test]
fn at_the_block_limit_a_block_that_never_comes_leaves_its_place() {
    for (fails, served) in [(false, [true, false]), (true, [false, true])] {
        let rig = Rig::new(Profile::discrete_rebar());
        let pool = PoolCreateInfo::for_memory_type(0).block_size(mib(1)).max_block_count(1);
        let pool = rig.create_pool(&pool).expect("a pool");
        if fails {
            rig.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
        }
        let outcomes = allocate_behind_a_gate(&rig, &pool, ([900 * KIB, 901 * KIB], 1));
        assert_eq!(outcomes.each_ref().map(Result::is_ok), served, "{outcomes:?}");
        for allocation in outcomes.into_iter().flatten() {
            rig.free(allocation).expect("it is alive");
        }
        rig.destroy_pool(pool).expect("nothing of it is alive");
        assert_nothing_left(&rig, "all were freed");
        rig.finish();
    }
}

/// Threads that want more than the blocks of a pool hold: each is served or refused, and nobody sleeps for ever.
#[test]
fn threads_at_a_block_limit_all_come_to_an_end() {
    let rig = Rig::new(Profile::discrete_rebar());
    let pool = PoolCreateInfo::for_memory_type(0).block_size(256 * KIB).max_block_count(2);
    let pool = rig.create_pool(&pool).expect("a pool");
    rig.control().delay(Function::AllocateMemory, Duration::from_micros(200));
    let mut random = Random(7);
    rig.control().fail_when(move |call| {
        let is_unlucky = call.function == Function::AllocateMemory && random.below(4) == 0;
        is_unlucky.then_some(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)
    });
    let work = &|seed| {
        let mut random = Random(seed);
        for _ in 0..300 {
            let size = (40 + random.below(140)) * KIB;
            if let Ok(allocation) = rig.allocate(&linear(size), &AllocationCreateInfo::gpu_only().pool(&pool)) {
                rig.free(allocation).expect("it is alive");
            }
            if random.below(16) == 0 {
                rig.trim();
            }
        }
    };
    thread::scope(|scope| (0..8).for_each(|seed| drop(scope.spawn(move || work(seed)))));
    rig.control().clear_faults();
    rig.validate().expect("every invariant holds");
    rig.destroy_pool(pool).expect("nothing of it is alive");
    assert_nothing_left(&rig, "all were freed");
    rig.finish();
}

/// The promise of a block of slots is counted in slots: who needs a further one does not wait for it.
#[test]
fn a_slot_that_a_growth_will_not_have_is_not_waited_for() {
    let rig = Rig::new(Profile::discrete_rebar());
    let slots = Algorithm::Fixed { slot_size: mib(1) };
    let pool = rig.create_pool(&PoolCreateInfo::for_memory_type(0).algorithm(slots).block_size(mib(2)));
    let pool = pool.expect("a pool");
    let outcomes = allocate_behind_a_gate(&rig, &pool, ([4 * KIB; 2], 1));
    assert_eq!(rig.control().count(Function::AllocateMemory), 1, "two slots are enough for two");
    // Two slots of the first block are taken by now: the next has a slot for one thread beside the first.
    let more = allocate_behind_a_gate(&rig, &pool, ([4 * KIB; 3], 1));
    assert_eq!(rig.control().count(Function::AllocateMemory), 3);
    for allocation in outcomes.into_iter().chain(more) {
        rig.free(allocation.expect("a slot")).expect("it is alive");
    }
    let single = rig.create_pool(&PoolCreateInfo::for_memory_type(0).algorithm(slots).block_size(mib(1)));
    let single = single.expect("a pool");
    for allocation in allocate_behind_a_gate(&rig, &single, ([4 * KIB; 3], 3)) {
        rig.free(allocation.expect("a slot")).expect("it is alive");
    }
    for pool in [pool, single] {
        rig.destroy_pool(pool).expect("nothing of it is alive");
    }
    assert_nothing_left(&rig, "all were freed");
    rig.finish();
}
