//! Frames at a block's boundary: what is allocated and freed each frame needs a block that nothing else needs.
//!
//! Sixteen cases: four sorts of frames, each over 0, 16, 63 and 300 MiB that stay alive. Driver calls are counted over
//! 300 frames, after 100.

use crate::driver::{Driver, KIB, MIB, Objects};
use crate::peer::Peer;
use crate::report::{ratio, short};
use crate::request::{Class, Request};
use crate::values::note_all;
use crate::with_peer;

const PEERS: [&str; 3] = ["freestone", "gpu-alloc", "gpu-allocator"];
const WARM_UP: u32 = 100;
const FRAMES: u32 = 300;
/// What stays alive, in MiB.
const BASES: [u64; 4] = [0, 16, 63, 300];

/// What a frame does.
#[derive(Clone, Copy, Debug)]
enum Frame {
    /// One small resource, where the blocks are full.
    AtTheEdge,
    /// 16 MiB in pieces of 64 KiB.
    Pieces,
    /// One of 40 MiB.
    Large,
    /// 12 and 9 MiB, each freed when the next frame has its own.
    Overlapping,
}

const SORTS: [(Frame, &str); 4] = [
    (Frame::AtTheEdge, "64 KiB where blocks are full"),
    (Frame::Pieces, "16 MiB in pieces of 64 KiB"),
    (Frame::Large, "40 MiB"),
    (Frame::Overlapping, "12 and 9 MiB, overlapping"),
];

/// What one case found out.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    calls_per_frame: f64,
    peak_ratio: f64,
}

/// Prints driver calls per frame, for each case and peer.
pub(crate) fn run() {
    println!("\n### Frames at a block's boundary: driver calls per frame (peak reserved / peak live)\n");
    println!("| each frame | beside, MiB | {} |\n|---|---|{}", PEERS.join(" | "), "---|".repeat(PEERS.len()));
    let mut worst = [0.0_f64; PEERS.len()];
    for (frame, name) in SORTS {
        for base in BASES {
            let outcomes = PEERS.map(|peer| with_peer!(peer, Measured => measure::<Measured>(frame, base * MIB)));
            let cells =
                outcomes.map(|outcome| format!("{} ({})", short(outcome.calls_per_frame), ratio(outcome.peak_ratio)));
            println!("| {name} | {base} | {} |", cells.join(" | "));
            for ((worst, outcome), peer) in worst.iter_mut().zip(outcomes).zip(PEERS) {
                *worst = worst.max(outcome.calls_per_frame);
                let figures = [("calls per frame", outcome.calls_per_frame), ("peak", outcome.peak_ratio)];
                note_all("boundary", &format!("{frame:?} {base}"), peer, &figures);
            }
        }
    }
    for (worst, peer) in worst.iter().zip(PEERS) {
        note_all("boundary", "worst", peer, &[("calls per frame", *worst)]);
    }
}

/// A peer, and how many bytes are alive.
struct Books<P: Peer> {
    peer: P,
    live: u64,
    peak: u64,
}

impl<P: Peer> Books<P> {
    fn allocate(&mut self, size: u64) -> (P::Handle, u64) {
        let request = Request::new(size, 256, Class::Device, true);
        self.live += size;
        self.peak = self.peak.max(self.live);
        (self.peer.allocate(&request).expect("the device has room"), size)
    }

    fn free(&mut self, (handle, size): (P::Handle, u64)) {
        self.live -= size;
        self.peer.free(handle);
    }

    fn frame(&mut self, frame: Frame, last: &mut Vec<(P::Handle, u64)>) {
        match frame {
            Frame::AtTheEdge => self.once(&[64 * KIB]),
            Frame::Pieces => self.once(&[64 * KIB; 256]),
            Frame::Large => self.once(&[40 * MIB]),
            Frame::Overlapping => {
                let now = [12 * MIB, 9 * MIB].map(|size| self.allocate(size));
                for old in core::mem::replace(last, now.into()) {
                    self.free(old);
                }
            }
        }
    }

    fn once(&mut self, sizes: &[u64]) {
        let live: Vec<_> = sizes.iter().map(|size| self.allocate(*size)).collect();
        for old in live {
            self.free(old);
        }
    }
}

fn measure<P: Peer>(frame: Frame, base: u64) -> Outcome {
    let driver = Driver::new(Objects::Promised);
    let mut books = Books { peer: P::new(&driver), live: 0, peak: 0 };
    let mut beside: Vec<_> = (0..base / (256 * KIB)).map(|_| books.allocate(256 * KIB)).collect();
    if matches!(frame, Frame::AtTheEdge) {
        fill_blocks(&driver, &mut books, &mut beside);
    }
    let (mut last, mut calls) = (Vec::new(), 0);
    for number in 0..WARM_UP + FRAMES {
        if number == WARM_UP {
            calls = driver.calls();
        }
        books.frame(frame, &mut last);
    }
    let calls = driver.calls() - calls;
    let peak_ratio = driver.control().peak_reserved_bytes() as f64 / books.peak as f64;
    for old in last.into_iter().chain(beside) {
        books.free(old);
    }
    Outcome { calls_per_frame: calls as f64 / f64::from(FRAMES), peak_ratio }
}

/// Allocates until the next small resource needs a block of its own; without anything alive there is nothing to fill.
fn fill_blocks<P: Peer>(driver: &Driver, books: &mut Books<P>, beside: &mut Vec<(P::Handle, u64)>) {
    if beside.is_empty() {
        return;
    }
    loop {
        let calls = driver.calls();
        let next = books.allocate(64 * KIB);
        if driver.calls() > calls {
            books.free(next);
            return;
        }
        beside.push(next);
    }
}
