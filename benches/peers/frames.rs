//! Workload c: 2,000 uploads a frame, freed three frames later in the order of their making.

use crate::callgrind;
use crate::check::{Order, check};
use crate::clock::median;
use crate::driver::Driver;
use crate::heap;
use crate::peer::Peer;
use crate::random::Random;
use crate::request::{Request, upload};
use crate::row::{Bench, Live, Row};

pub(crate) const UPLOADS: usize = 2000;
pub(crate) const IN_FLIGHT: usize = 4;
/// Frames before anything is timed.
pub(crate) const WARM_UP: usize = 8;

pub(crate) fn requests(frames: usize) -> Vec<Request> {
    let mut random = Random::new(3);
    (0..frames * UPLOADS).map(|_| upload(&mut random)).collect()
}

/// Checks a peer's results on this workload.
pub(crate) fn check_frames<P: Peer>() {
    let requests = requests(12);
    let (fill, replacements) = requests.split_at(IN_FLIGHT * UPLOADS);
    check::<P>(fill, replacements, Order::OldestFirst);
}

/// Measures a peer over so many frames; every second one operation by operation.
pub(crate) fn run<P: Peer>(frames: usize) -> Row {
    let requests = requests(frames);
    let driver = Driver::new(P::OBJECTS);
    let mut ring: [Vec<Option<Live<P>>>; IN_FLIGHT] = core::array::from_fn(|_| Vec::with_capacity(UPLOADS));
    let mut bench = Bench::<P>::new(&driver, frames * UPLOADS);
    let mut chunks = Vec::with_capacity(frames);
    let mut heap_calls = 0;
    for (frame, uploads) in requests.chunks(UPLOADS).enumerate() {
        let slots = &mut ring[frame % IN_FLIGHT];
        if frame % 2 == 1 {
            slots.drain(..).flatten().for_each(|old| bench.free_timed(old));
            slots.extend(uploads.iter().map(|request| bench.allocate_timed(request)));
            continue;
        }
        let calls = heap::calls();
        let ns = bench.time(UPLOADS, |bench| {
            slots.drain(..).flatten().for_each(|old| bench.free(old));
            slots.extend(uploads.iter().map(|request| bench.allocate(request)));
        });
        if frame >= WARM_UP {
            chunks.push(ns);
            heap_calls += heap::calls() - calls;
        }
    }
    let heap_calls = heap_calls as f64 / (chunks.len() * UPLOADS) as f64;
    let row = Row { ns_per_pair: median(&mut chunks), heap_calls, ..Row::default() };
    // In the order of their making, as a ring is freed.
    let oldest = frames % IN_FLIGHT;
    ring.rotate_left(oldest);
    let mut live: Vec<_> = ring.into_iter().flatten().collect();
    bench.finish(&mut live, row)
}

/// Runs `pairs` pairs where callgrind counts.
pub(crate) fn count<P: Peer>(pairs: usize) {
    let requests = requests(WARM_UP + pairs / UPLOADS);
    let driver = Driver::new(P::OBJECTS);
    let mut peer = P::new(&driver);
    let mut ring: [Vec<P::Handle>; IN_FLIGHT] = core::array::from_fn(|_| Vec::with_capacity(UPLOADS));
    let mut go = |requests: &[Request]| {
        for (frame, uploads) in requests.chunks(UPLOADS).enumerate() {
            let slots = &mut ring[frame % IN_FLIGHT];
            slots.drain(..).for_each(|old| peer.free(old));
            slots.extend(uploads.iter().filter_map(|request| peer.allocate(request)));
        }
    };
    go(&requests[..WARM_UP * UPLOADS]);
    callgrind::measured(&mut || go(&requests[WARM_UP * UPLOADS..]));
    ring.into_iter().flatten().for_each(|handle| peer.free(handle));
}
