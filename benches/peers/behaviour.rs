//! Behaviour towards the driver: W1 to W9 of the goals, each peer where it applies.
//!
//! What a peer has no notion of (a budget, a pool of its own) is marked with a dash. Only W1 and W5 look at a clock;
//! all else is counted by the simulated driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use freestone::sim::Function;
use freestone::{AllocationCreateInfo, PoolCreateInfo};

use crate::clock::{Clock, ticks};
use crate::driver::{Driver, KIB, MIB, Objects};
use crate::own::{self, Freestone};
use crate::peer::Peer;
use crate::report::short;
use crate::request::{Class, Request};
use crate::rivals::{GpuAlloc, GpuAllocator};
use crate::shared::{Locked, Shared};
use crate::values::{Place, note};
use crate::{heap, with_peer};

const PEERS: [&str; 3] = ["freestone", "gpu-alloc", "gpu-allocator"];
const DASH: f64 = f64::NAN;

/// Prints one row for each scenario but W5 and W9, which have tables of their own.
pub(crate) fn run() {
    println!("\n### Behaviour towards the driver\n");
    println!("| | scenario | what is counted | {} |\n|---|---|---|{}", PEERS.join(" | "), "---|".repeat(PEERS.len()));
    let waits = [while_driver_is_busy::<Freestone>(), while_driver_is_busy::<Locked<GpuAlloc>>()];
    let waits = [waits[0], waits[1], while_driver_is_busy::<Locked<GpuAllocator>>()];
    row("W1", "256 B while another thread waits 20 ms in vkAllocateMemory", "p99 of allocate and free in us", waits);
    let within = [reserved_within_budget(), DASH, DASH];
    row("W2", "within_budget, budget of 64 MiB, 5,000 x 64 KiB", "peak reserved / budget", within);
    let over = PEERS.map(|peer| with_peer!(peer, Measured => over_budget::<Measured>()));
    row("W3", "the same without that flag, another type would do", "driver objects", over.map(|over| over.0));
    row("W3", "the same", "MiB over the budget before another type", over.map(|over| over.1));
    let queries = PEERS.map(|peer| with_peer!(peer, Measured => budget_queries::<Measured>()));
    row("W4", "3,000 x allocate and free", "budget queries", queries);
    let bar = PEERS.map(|peer| with_peer!(peer, Measured => full_bar::<Measured>()));
    row("W6", "1,200 x 256 KiB for a BAR heap of 256 MiB, system memory would do", "served", bar.map(|bar| bar.0));
    row("W6", "the same", "driver calls that failed", bar.map(|bar| bar.1));
    let small = PEERS.map(|peer| with_peer!(peer, Measured => small_objects_only::<Measured>()));
    row("W7", "1,024 x 1 MiB, objects above 32 MiB refused", "served", small);
    row("W8", "granularity 1024, a block of 256 MiB", "host bytes per page", [bytes_per_page(), DASH, DASH]);
}

fn row(name: &str, scenario: &str, counted: &str, values: [f64; PEERS.len()]) {
    println!("| {name} | {scenario} | {counted} | {} |", values.map(short).join(" | "));
    for (peer, value) in PEERS.iter().zip(values) {
        note(Place("behaviour", name, counted), peer, value);
    }
}

/// Returns the 99th percentile in microseconds of allocate and free on thread B, begun while thread A waits for the
/// driver.
fn while_driver_is_busy<S: Shared>() -> f64 {
    let driver = Driver::new(Objects::Promised);
    let peer = S::new(&driver);
    let small = Request::new(256, 256, Class::Device, true);
    let keeps_the_block = peer.allocate(&small).expect("the device has room");
    driver.control().delay(Function::AllocateMemory, Duration::from_millis(20));
    let (mut samples, served) = (Vec::with_capacity(1 << 20), AtomicBool::new(false));
    for round in 0..5 {
        // Above the block size of every peer.
        let large = Request::new((300 + round) * MIB, 256, Class::Device, true);
        let calls = driver.allocations();
        served.store(false, Ordering::Release);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let handle = peer.allocate(&large).expect("the device has room");
                served.store(true, Ordering::Release);
                peer.free(handle);
            });
            while driver.allocations() == calls {
                std::thread::yield_now();
            }
            // The driver is surely busy so long; what begins later may begin after its answer.
            let busy = Instant::now();
            while busy.elapsed() < Duration::from_millis(18) && !served.load(Ordering::Acquire) {
                let start = ticks();
                let handle = peer.allocate(&small).expect("the device has room");
                peer.free(handle);
                samples.push(ticks() - start);
            }
        });
    }
    peer.free(keeps_the_block);
    Clock::new().percentiles(&mut samples).p99 / 1000.0
}

const BUDGET: u64 = 64 * MIB;

fn reserved_within_budget() -> f64 {
    let driver = Driver::new(Objects::Promised);
    let allocator = own::open(&driver);
    driver.control().set_budget(0, Some(BUDGET));
    allocator.update_budget();
    let request = own::requirements(&Request::new(64 * KIB, 256, Class::Device, true));
    let info = AllocationCreateInfo::gpu_only().within_budget();
    let live: Vec<_> = (0..5000).map_while(|_| allocator.allocate(&request, &info).ok()).collect();
    assert!(live.len() as u64 >= BUDGET / (64 * KIB) * 9 / 10, "{} fit", live.len());
    for old in live {
        assert!(allocator.free(old).is_ok(), "an allocation of this allocator");
    }
    driver.control().peak_reserved_bytes() as f64 / BUDGET as f64
}

/// Returns the driver objects at the end, and the MiB over the budget when the second memory type was first used.
fn over_budget<P: Peer>() -> (f64, f64) {
    let driver = Driver::new(Objects::Promised);
    driver.control().set_budget(0, Some(BUDGET));
    let mut peer = P::new(&driver);
    let request = Request::new(64 * KIB, 256, Class::Device, true).or(Class::Upload);
    let heap_bytes = |heap| driver.control().heap(heap).map_or(0, |heap| heap.bytes);
    let (mut live, mut over) = (Vec::new(), None);
    for _ in 0..5000 {
        live.extend(peer.allocate(&request));
        if heap_bytes(1) > 0 {
            over = over.or(Some(heap_bytes(0).saturating_sub(BUDGET)));
        }
    }
    let over = over.unwrap_or_else(|| heap_bytes(0).saturating_sub(BUDGET));
    let objects = driver.control().peak_memory_object_count();
    for handle in live {
        peer.free(handle);
    }
    (f64::from(objects), over as f64 / MIB as f64)
}

fn budget_queries<P: Peer>() -> f64 {
    let driver = Driver::new(Objects::Promised);
    let mut peer = P::new(&driver);
    let queries = driver.control().budget_queries();
    for index in 0..3000 {
        let request = Request::new(256 + index * 500, 256, Class::Upload, true);
        let handle = peer.allocate(&request).expect("the device has room");
        peer.free(handle);
    }
    (driver.control().budget_queries() - queries) as f64
}

/// Returns how many were served, and how many calls of the driver failed.
fn full_bar<P: Peer>() -> (f64, f64) {
    let driver = Driver::new(Objects::Promised);
    let mut peer = P::new(&driver);
    let request = Request::new(256 * KIB, 256, Class::Stream, true).or(Class::Upload);
    let live: Vec<_> = (0..1200).filter_map(|_| peer.allocate(&request)).collect();
    let objects = u64::from(driver.control().memory_object_count());
    let failed = driver.allocations() - driver.control().count(Function::FreeMemory) - objects;
    let served = live.len();
    for handle in live {
        peer.free(handle);
    }
    (served as f64, failed as f64)
}

fn small_objects_only<P: Peer>() -> f64 {
    let driver = Driver::new(Objects::Promised);
    driver.control().refuse_allocations_above(Some(32 * MIB));
    let mut peer = P::new(&driver);
    let request = Request::new(MIB, 256, Class::Device, true);
    let live: Vec<_> = (0..1024).filter_map(|_| peer.allocate(&request)).collect();
    let served = live.len();
    for handle in live {
        peer.free(handle);
    }
    served as f64
}

/// Returns what a page of `bufferImageGranularity` costs on the host's heap: a block of 256 MiB against one of 1 MiB.
fn bytes_per_page() -> f64 {
    let host_bytes = |block_size| {
        let driver = Driver::new(Objects::Promised);
        let granularity = driver.sim.profile().buffer_image_granularity;
        assert_eq!(granularity, 1024, "the profile has pages that kinds must not share");
        let allocator = own::open(&driver);
        let before = heap::live_bytes();
        let pool = allocator.create_pool(&PoolCreateInfo::for_memory_type(0).block_size(block_size)).expect("a pool");
        let info = AllocationCreateInfo::gpu_only().pool(&pool);
        let request = |index| own::requirements(&Request::new(500, 1, Class::Device, index % 2 == 0));
        let live: Vec<_> = (0..64).map(|index| allocator.allocate(&request(index), &info).expect("room")).collect();
        let bytes = heap::live_bytes() - before;
        for old in live {
            assert!(allocator.free(old).is_ok(), "an allocation of this allocator");
        }
        assert!(allocator.destroy_pool(pool).is_ok(), "nothing of it is alive");
        bytes as f64
    };
    (host_bytes(256 * MIB) - host_bytes(MIB)).max(0.0) / (255.0 * 1024.0)
}
