//! Workload c through a frame ring: the same uploads, each a piece of its frame; frames are given back whole.

use ash::vk;
use freestone::{Allocator, FrameRing, FrameRingCreateInfo, FrameSlice};

use crate::callgrind;
use crate::clock::{cpu_ns, median};
use crate::driver::{Driver, MIB, Objects};
use crate::frames::{IN_FLIGHT, UPLOADS, WARM_UP, requests};
use crate::heap;
use crate::own;
use crate::request::Request;
use crate::row::Row;

/// The name in tables.
pub(crate) const NAME: &str = "freestone, frame ring";

type Ring<'a> = FrameRing<&'a Allocator>;

fn open(allocator: &Allocator) -> Ring<'_> {
    let usage = vk::BufferUsageFlags::UNIFORM_BUFFER | vk::BufferUsageFlags::TRANSFER_SRC;
    let frames = u32::try_from(IN_FLIGHT).expect("a few");
    let info = FrameRingCreateInfo::new(usage).frames_in_flight(frames).initial_size(92 * MIB).max_size(512 * MIB);
    // SAFETY: the usage is valid; nothing is submitted; allocator and device outlive the ring.
    unsafe { FrameRing::new(allocator, &info) }.expect("the device has room for a ring")
}

/// Plays one frame: what is four frames old is given back first.
#[inline(never)]
fn play(ring: &Ring<'_>, number: u64, uploads: &[Request], mut visit: impl FnMut(FrameSlice)) {
    ring.reclaim(number.saturating_sub(IN_FLIGHT as u64));
    let mut frame = ring.begin_frame().expect("at most four frames are in flight");
    for upload in uploads {
        visit(frame.reserve(upload.size, upload.alignment).expect("the ring may grow so far").slice);
    }
    frame.end(number).expect("frames end in order");
}

/// Checks that no two pieces of frames in flight overlap, and that each is aligned.
pub(crate) fn check() {
    let driver = Driver::new(Objects::Promised);
    let allocator = own::open(&driver);
    let ring = open(&allocator);
    let mut flying: Vec<(u64, FrameSlice)> = Vec::new();
    for (number, uploads) in (1..).zip(requests(IN_FLIGHT + 4).chunks(UPLOADS)) {
        flying.retain(|&(of, _)| of + IN_FLIGHT as u64 > number);
        play(&ring, number, uploads, |slice| flying.push((number, slice)));
        let mut places: Vec<_> = flying.iter().map(|(_, slice)| (slice.buffer, slice.offset, slice.size)).collect();
        places.sort_unstable();
        assert!(places.windows(2).all(|pair| pair[0].0 != pair[1].0 || pair[0].1 + pair[0].2 <= pair[1].1));
        assert!(places.iter().all(|(_, offset, _)| offset % 256 == 0));
    }
}

/// Measures so many frames.
pub(crate) fn run(frames: usize) -> Row {
    let requests = requests(frames);
    let driver = Driver::new(Objects::Promised);
    let allocator = own::open(&driver);
    let ring = open(&allocator);
    let (mut chunks, mut heap_calls, mut capacity) = (Vec::with_capacity(frames), 0, 0);
    for (number, uploads) in (1..).zip(requests.chunks(UPLOADS)) {
        let (calls, start) = (heap::calls(), cpu_ns());
        play(&ring, number, uploads, |slice| {
            std::hint::black_box(slice);
        });
        let ns = (cpu_ns() - start) / UPLOADS as f64;
        // A ring has found its shape after some 50 frames.
        if chunks.len() < frames / 2 && number > frames as u64 / 2 {
            chunks.push(ns);
            heap_calls += heap::calls() - calls;
        }
        capacity = capacity.max(ring.statistics().capacity);
    }
    let bytes: Vec<u64> =
        requests.chunks(UPLOADS).map(|uploads| uploads.iter().map(|upload| upload.size).sum()).collect();
    let peak_live = bytes.windows(IN_FLIGHT).map(|window| window.iter().sum::<u64>()).max().unwrap_or(1);
    Row {
        heap_calls: heap_calls as f64 / (chunks.len() * UPLOADS) as f64,
        ns_per_pair: median(&mut chunks),
        peak_ratio: capacity as f64 / peak_live as f64,
        driver_allocations: ring.statistics().opened_count as f64,
        ..Row::default()
    }
}

/// Runs `pairs` uploads where callgrind counts, when the ring has found its shape.
pub(crate) fn count(pairs: usize) {
    let settled = WARM_UP * 20;
    let requests = requests(settled + pairs / UPLOADS);
    let driver = Driver::new(Objects::Promised);
    let allocator = own::open(&driver);
    let ring = open(&allocator);
    let (first, later) = requests.split_at(settled * UPLOADS);
    let go = |from: u64, requests: &[Request]| {
        for (number, uploads) in (from..).zip(requests.chunks(UPLOADS)) {
            play(&ring, number, uploads, |slice| {
                std::hint::black_box(slice);
            });
        }
    };
    go(1, first);
    callgrind::measured(&mut || go(1 + settled as u64, later));
}
