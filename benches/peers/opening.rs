//! What it costs to open a block, beside the driver.

use crate::clock::{Clock, Percentiles, ticks};
use crate::driver::{self, Driver, MIB, Objects};
use crate::peer::Peer;
use crate::report::short;
use crate::request::{Class, Request};
use crate::values::note_all;
use crate::with_peer;

const PEERS: [&str; 3] = ["freestone", "gpu-alloc", "gpu-allocator"];
const OPENINGS: usize = 300;

/// Of 300 openings three decide the 99th percentile, and each may be another program's doing.
const ROUNDS: usize = 10;

/// Prints the time of the allocations that opened a block, the driver's own taken off.
pub(crate) fn run() {
    println!("\n### Opening a block: nanoseconds beside the driver\n");
    println!(
        "2 MiB resources until {OPENINGS} blocks were opened, {ROUNDS} times; the driver's own time, the median of a call, is \
         taken off.\n"
    );
    println!("| peer | p50 | p99 | largest object, MiB |\n|---|---|---|---|");
    let driver_ns = driver_allocation_ns();
    for peer in PEERS {
        let (percentiles, largest) = with_peer!(peer, Measured => measure::<Measured>());
        let (p50, p99) = ((percentiles.p50 - driver_ns).max(0.0), (percentiles.p99 - driver_ns).max(0.0));
        println!("| {peer} | {} | {} | {} |", short(p50), short(p99), short(largest));
        note_all("opening", "2 MiB", peer, &[("p50", p50), ("p99", p99)]);
    }
}

/// Measures one `vkAllocateMemory` of the simulated driver with as many objects alive.
fn driver_allocation_ns() -> f64 {
    let driver = Driver::new(Objects::UnlimitedAndVast);
    let mut samples = Vec::new();
    for _ in 0..3 {
        samples.extend(driver::time_allocations(&driver, OPENINGS));
    }
    Clock::new().percentiles(&mut samples).p50
}

fn measure<P: Peer>() -> (Percentiles, f64) {
    let mut samples = Vec::with_capacity(OPENINGS * ROUNDS);
    let largest = (0..ROUNDS).map(|_| open_blocks::<P>(&mut samples)).max().unwrap_or(0);
    (Clock::new().percentiles(&mut samples), largest as f64 / MIB as f64)
}

/// Allocates until so many blocks were opened, notes how long each of those allocations took, and returns the bytes of
/// the largest block.
fn open_blocks<P: Peer>(samples: &mut Vec<u64>) -> u64 {
    let driver = Driver::new(Objects::UnlimitedAndVast);
    let mut peer = P::new(&driver);
    let request = Request::new(2 * MIB, 256, Class::Device, true);
    let (mut live, enough) = (Vec::with_capacity(1 << 16), samples.len() + OPENINGS);
    while samples.len() < enough {
        let calls = driver.calls();
        let start = ticks();
        let handle = peer.allocate(&request);
        let elapsed = ticks() - start;
        if driver.calls() == calls + 1 {
            samples.push(elapsed);
        }
        live.push(handle.expect("the driver has room"));
    }
    let largest = driver.sim.memory_objects().iter().map(|object| object.size).max().unwrap_or(0);
    for handle in live {
        peer.free(handle);
    }
    largest
}
