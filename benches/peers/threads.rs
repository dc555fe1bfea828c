//! Threads that share one allocator: each with resources of its own, and one that frees what another allocated.
//!
//! A run lasts a fixed time, and counts how many pairs all threads together got done in it. Beside each figure stands
//! how many cores the threads had: on a shared machine a second thread may find no second core, and then nothing can
//! scale. A figure whose threads were starved is printed, but does not go into the record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

use crate::Effort;
use crate::clock::median;
use crate::cores::{self, Cores, Share, Watch};
use crate::driver::{Driver, MIB};
use crate::own::Freestone;
use crate::random::Random;
use crate::report::{ratio, short};
use crate::request::{Class, Request, Sizes, buffer_or_image};
use crate::rivals::{GpuAlloc, GpuAllocator};
use crate::shared::{Locked, Nothing, Shared};
use crate::values::note_all;
use crate::wishes::{Flagged, Named, OnePool, OwnPool, Urgent, Wishing};

const PEERS: [&str; 3] = ["freestone", "gpu-alloc", "gpu-allocator"];
/// Where resources are handed over, what the channel takes alone stands beside the peers.
const WITH_CHANNEL: [&str; 4] = ["freestone", "gpu-alloc", "gpu-allocator", "channel alone"];
/// freestone, asked for more than memory.
const WITH_WISHES: [&str; 6] = ["freestone", "a name", "flags", "a priority", "a pool each", "one pool for all"];
/// Resources that each thread keeps alive.
const LIVE: usize = 1000;
/// Pairs between two looks at the clock.
const STRIDE: usize = 64;
/// What each thread replaces, again and again.
const REPLACEMENTS: usize = 200 * STRIDE;
/// Resources that are handed to another thread at once.
const BATCH: usize = 64;
const SIZES: Sizes = Sizes::LogUniform(256, MIB);

/// What the threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Each thread replaces its own resources, all of one memory type.
    OneType,
    /// The same over three memory types.
    MixedTypes,
    /// One half of the threads allocates, the other half frees.
    HandOver,
    /// The same, and what is handed over is allocated and freed together.
    HandOverTogether,
    /// As with one type, and each request has a wish.
    Wishes,
}

const WORKS: [(Work, &str, &str); 5] = [
    (Work::OneType, "one type", "each thread its own 1,000 resources of 256 B to 1 MiB, one memory type"),
    (Work::MixedTypes, "mixed types", "the same, three memory types"),
    (Work::HandOver, "hand-over", "allocated on one thread, freed on another, batches of 64 through a channel"),
    (
        Work::HandOverTogether,
        "hand-over together",
        "the same, each batch by `allocate_many` and `free_many`, or under one lock",
    ),
    (Work::Wishes, "wishes", "as the first, of freestone, with a wish for each"),
];

impl Work {
    fn peers(self) -> &'static [&'static str] {
        match self {
            Self::OneType | Self::MixedTypes => &PEERS,
            Self::HandOver | Self::HandOverTogether => &WITH_CHANNEL,
            Self::Wishes => &WITH_WISHES,
        }
    }

    fn is_hand_over(self) -> bool {
        matches!(self, Self::HandOver | Self::HandOverTogether)
    }

    /// Frees a batch that was handed over.
    fn free<S: Shared>(self, peer: &S, mut batch: Vec<S::Handle>) {
        if self == Self::HandOverTogether {
            peer.free_many(&mut batch);
        } else {
            for handle in batch {
                peer.free(handle);
            }
        }
    }
}

/// What a run of some threads found out.
#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    pairs_per_second: f64,
    /// Pairs of all threads together.
    pairs: f64,
    cores: Cores,
    /// Peak reserved by peak live bytes.
    reserved: f64,
}

/// Prints a table for each kind of work whose name contains `word`.
pub(crate) fn run(word: &str, effort: Effort) {
    let machine = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "\nThis machine has {machine} cores, shared with whatever else runs. *Cores*: CPU time of the threads by wall time; \
         *waited*: share of their time in which they were ready and had no core. Medians of the {} \
         rounds of each row that waited least; *starved*: even these had not the cores that the machine has, so the figure says nothing of the \
         peer.\n",
        effort.thread_rounds / 2
    );
    // The first in the process finds cold code.
    measure::<Freestone>(Work::OneType, 1);
    for (work, name, title) in WORKS.into_iter().filter(|(_, name, _)| name.contains(word)) {
        println!("\n### Threads: {title}\n");
        println!(
            "| threads | peer | million pairs/s | by one thread | cores | waited | peak reserved / live |\n|---|---|---|---|---|---|---|"
        );
        table(work, name, machine, effort);
    }
}

fn table(work: Work, name: &str, machine: usize, effort: Effort) {
    let counts = [1, 2, 4, 8, 16].into_iter().filter(|count| *count <= (2 * machine).max(2));
    let peers = work.peers();
    let mut alone = vec![f64::NAN; peers.len()];
    for threads in counts {
        let mut rounds = vec![Vec::new(); peers.len()];
        for _ in 0..4 * effort.thread_rounds {
            // Enough rounds, half of them with the cores that they need: no more are waited for.
            let has_cores = |rounds: &Vec<Outcome>| {
                let with_cores = rounds.iter().filter(|outcome| !is_starved(outcome, threads, machine)).count();
                rounds.len() >= effort.thread_rounds && 2 * with_cores >= effort.thread_rounds
            };
            if rounds.iter().all(has_cores) {
                break;
            }
            for (peer, rounds) in peers.iter().zip(&mut rounds) {
                rounds.push(by_name(peer, work, threads));
            }
        }
        for ((peer, rounds), alone) in peers.iter().zip(rounds).zip(&mut alone) {
            let outcome = join(rounds, effort.thread_rounds / 2);
            let is_starved = is_starved(&outcome, threads, machine);
            if threads == 1 {
                *alone = outcome.pairs_per_second;
            }
            let scale = outcome.pairs_per_second / *alone;
            println!(
                "| {threads} | {peer}{} | {} | {} | {} | {} | {} |",
                if is_starved { ", starved" } else { "" },
                ratio(outcome.pairs_per_second / 1e6),
                ratio(scale),
                ratio(outcome.cores.used),
                percent(outcome.cores.kept_waiting),
                ratio(outcome.reserved)
            );
            let rate = if is_starved { f64::NAN } else { outcome.pairs_per_second / 1e6 };
            record(&format!("{name} {threads}"), peer, &outcome, (rate, if is_starved { f64::NAN } else { scale }));
            if work == Work::OneType && threads > 1 {
                extra(threads, peer, &outcome);
            }
        }
    }
}

fn record(case: &str, peer: &str, outcome: &Outcome, (rate, scale): (f64, f64)) {
    let figures = [("rate", rate), ("scale", scale), ("cores", outcome.cores.used), ("peak", outcome.reserved)];
    note_all("threads", case, peer, &figures);
}

/// Prints what the same resources take when one thread allocates them all, in as many pairs.
fn extra(threads: usize, peer: &str, outcome: &Outcome) {
    let pairs = (outcome.pairs / threads as f64) as usize;
    let alone = match peer {
        "freestone" => reserved_by_one::<Freestone>(threads, pairs),
        "gpu-alloc" => reserved_by_one::<Locked<GpuAlloc>>(threads, pairs),
        _ => return,
    };
    println!("| | {peer}, all by one thread | | | | | {} |", ratio(alone));
    note_all("threads", &format!("one type {threads}"), peer, &[("extra", outcome.reserved / alone - 1.0)]);
}

/// Takes so many rounds that waited least for a core, and of these the median of each figure.
fn join(mut rounds: Vec<Outcome>, count: usize) -> Outcome {
    rounds.sort_by(|a, b| a.cores.kept_waiting.total_cmp(&b.cores.kept_waiting));
    rounds.truncate(count);
    let over = |field: fn(&Outcome) -> f64| median(&mut rounds.iter().map(field).collect::<Vec<_>>());
    let kept_waiting = over(|outcome| outcome.cores.kept_waiting);
    Outcome {
        pairs_per_second: over(|outcome| outcome.pairs_per_second),
        pairs: over(|outcome| outcome.pairs),
        cores: Cores { used: over(|outcome| outcome.cores.used), kept_waiting },
        reserved: over(|outcome| outcome.reserved),
    }
}

/// Tells whether the threads had fewer cores than an idle machine would have given them.
fn is_starved(outcome: &Outcome, threads: usize, machine: usize) -> bool {
    let by_nature = 1.0 - machine.min(threads) as f64 / threads as f64;
    outcome.cores.kept_waiting > by_nature + 0.15
}

fn by_name(peer: &str, work: Work, threads: usize) -> Outcome {
    match peer {
        "freestone" => measure::<Freestone>(work, threads),
        "gpu-alloc" => measure::<Locked<GpuAlloc>>(work, threads),
        "gpu-allocator" => measure::<Locked<GpuAllocator>>(work, threads),
        "channel alone" => measure::<Nothing>(work, threads),
        "a name" => measure::<Wishing<Named>>(work, threads),
        "flags" => measure::<Wishing<Flagged>>(work, threads),
        "a priority" => measure::<Wishing<Urgent>>(work, threads),
        "a pool each" => measure::<Wishing<OwnPool>>(work, threads),
        "one pool for all" => measure::<Wishing<OnePool>>(work, threads),
        other => panic!("there is no peer {other:?} for threads"),
    }
}

/// What the threads of one run share.
struct Run<'a, S: Shared> {
    peer: &'a S,
    start: &'a Barrier,
    stop: &'a AtomicBool,
    shares: &'a Mutex<Vec<Share>>,
}

impl<S: Shared> Clone for Run<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Shared> Copy for Run<'_, S> {}

impl<S: Shared> Run<'_, S> {
    /// Waits for the others, then repeats a step of so many pairs until time is up; returns the number of pairs.
    fn repeat(&self, mut step: impl FnMut() -> usize) -> usize {
        self.start.wait();
        let (watch, mut pairs) = (Watch::new(), 0);
        while !self.stop.load(Ordering::Relaxed) {
            pairs += step();
        }
        self.shares.lock().expect("no thread panics").push(watch.read());
        // Memory is looked at while all is still alive.
        self.start.wait();
        pairs
    }
}

fn measure<S: Shared>(work: Work, threads: usize) -> Outcome {
    let driver = Driver::new(crate::driver::Objects::Unlimited);
    let peer = S::new(&driver);
    let (start, stop, shares) = (Barrier::new(threads + 1), AtomicBool::new(false), Mutex::default());
    let run = Run { peer: &peer, start: &start, stop: &stop, shares: &shares };
    let (mut outcome, live) = (Outcome::default(), Mutex::new(0));
    std::thread::scope(|scope| {
        let spawned: Vec<_> = match work {
            _ if work.is_hand_over() && threads > 1 => (0..threads / 2)
                .flat_map(|pair| {
                    let (sender, receiver) = sync_channel(8);
                    let sends = scope.spawn(move || hand_out(run, work, pair, &sender));
                    [sends, scope.spawn(move || take_back(run, work, &receiver))]
                })
                .collect(),
            _ if work.is_hand_over() => vec![scope.spawn(move || hand_to_itself(run, work))],
            _ => {
                let live = &live;
                (0..threads).map(|thread| scope.spawn(move || churn(run, work, thread, live))).collect()
            }
        };
        start.wait();
        std::thread::sleep(Duration::from_millis(30));
        stop.store(true, Ordering::Relaxed);
        start.wait();
        // By the threads' own clocks: this one may be woken late.
        let shares = shares.lock().expect("no thread panics");
        outcome.cores = cores::of_all(&shares);
        let pairs: usize = spawned.into_iter().map(|thread| thread.join().expect("no thread panics")).sum();
        outcome.pairs = pairs as f64;
        outcome.pairs_per_second = outcome.pairs / cores::seconds(&shares);
    });
    outcome.reserved =
        driver.control().peak_reserved_bytes() as f64 / live.into_inner().map_or(f64::NAN, |live| live as f64);
    outcome
}

fn draw(random: &mut Random, work: Work) -> Request {
    let request = buffer_or_image(random, SIZES, 30);
    match work {
        Work::MixedTypes => {
            let class = [Class::Device, Class::Upload, Class::Readback][random.below(3)];
            Request { class, ..request }
        }
        _ => request,
    }
}

/// Replaces a thread's own resources at random; adds its peak of live bytes to the sum.
fn churn<S: Shared>(run: Run<'_, S>, work: Work, thread: usize, live_bytes: &Mutex<u64>) -> usize {
    let mut random = Random::new(100 + thread as u64);
    let allocate = |request: &Request| run.peer.allocate(request).expect("the device has room");
    let fill: Vec<Request> = (0..LIVE).map(|_| draw(&mut random, work)).collect();
    let mut live: Vec<Option<S::Handle>> = fill.iter().map(|request| Some(allocate(request))).collect();
    let mut sizes: Vec<u64> = fill.iter().map(|request| request.size).collect();
    let replacements: Vec<_> = (0..REPLACEMENTS).map(|_| (random.below(LIVE), draw(&mut random, work))).collect();
    let mut strides = replacements.chunks(STRIDE).cycle();
    let (mut now, mut peak) = (sizes.iter().sum::<u64>(), 0);
    let pairs = run.repeat(|| {
        for (slot, request) in strides.next().into_iter().flatten() {
            if let Some(old) = live[*slot].take() {
                run.peer.free(old);
            }
            live[*slot] = Some(allocate(request));
            now = now + request.size - core::mem::replace(&mut sizes[*slot], request.size);
        }
        peak = now.max(peak);
        STRIDE
    });
    *live_bytes.lock().expect("no thread panics") += peak;
    live.into_iter().flatten().for_each(|handle| run.peer.free(handle));
    pairs
}

/// Allocates batches, and sends them away until time is up.
fn hand_out<S: Shared>(run: Run<'_, S>, work: Work, pair: usize, sender: &SyncSender<Vec<S::Handle>>) -> usize {
    let mut batches = Batches::new(work, pair);
    let mut waiting = None;
    let _ = run.repeat(|| {
        let batch = waiting.take().unwrap_or_else(|| batches.allocate(run.peer));
        match sender.try_send(batch) {
            Ok(()) => (),
            Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) => {
                waiting = Some(batch);
                std::thread::yield_now();
            }
        }
        0
    });
    waiting.into_iter().flatten().for_each(|handle| run.peer.free(handle));
    0
}

/// Frees the batches that come; a pair counts when it is freed.
fn take_back<S: Shared>(run: Run<'_, S>, work: Work, receiver: &Receiver<Vec<S::Handle>>) -> usize {
    let pairs = run.repeat(|| {
        let Ok(batch) = receiver.try_recv() else {
            std::thread::yield_now();
            return 0;
        };
        let count = batch.len();
        work.free(run.peer, batch);
        count
    });
    receiver.iter().flatten().for_each(|handle| run.peer.free(handle));
    pairs
}

/// The same work on one thread, channel included.
fn hand_to_itself<S: Shared>(run: Run<'_, S>, work: Work) -> usize {
    let (sender, receiver) = sync_channel(8);
    let mut batches = Batches::new(work, 0);
    run.repeat(|| {
        // Four batches in flight, as between two threads.
        for _ in 0..4 {
            assert!(sender.try_send(batches.allocate(run.peer)).is_ok(), "the channel is empty");
        }
        for batch in receiver.try_iter() {
            work.free(run.peer, batch);
        }
        4 * BATCH
    })
}

/// The same requests again and again, in batches.
struct Batches {
    work: Work,
    requests: Vec<Request>,
    next: usize,
}

impl Batches {
    fn new(work: Work, pair: usize) -> Self {
        let mut random = Random::new(200 + pair as u64);
        Self { work, requests: (0..100 * BATCH).map(|_| draw(&mut random, work)).collect(), next: 0 }
    }

    fn allocate<S: Shared>(&mut self, peer: &S) -> Vec<S::Handle> {
        let from = self.next;
        self.next = (from + BATCH) % self.requests.len();
        let requests = &self.requests[from..from + BATCH];
        let batch = if self.work == Work::HandOverTogether {
            peer.allocate_many(requests)
        } else {
            requests.iter().map(|request| peer.allocate(request)).collect()
        };
        batch.expect("the device has room")
    }
}

/// Returns peak reserved by live bytes of what `threads` threads keep alive in so many pairs each, allocated by one
/// thread in turns.
fn reserved_by_one<S: Shared>(threads: usize, pairs: usize) -> f64 {
    let driver = Driver::new(crate::driver::Objects::Unlimited);
    let peer = S::new(&driver);
    let mut parts: Vec<Part<S>> = (0..threads).map(|thread| Part::new(&peer, thread)).collect();
    for pair in 0..pairs {
        for part in &mut parts {
            part.replace_one(&peer, pair);
        }
    }
    let peak: u64 = parts.iter().map(|part| part.peak).sum();
    parts.into_iter().flat_map(|part| part.live).flatten().for_each(|handle| peer.free(handle));
    driver.control().peak_reserved_bytes() as f64 / peak as f64
}

/// What one of several threads would keep alive.
struct Part<S: Shared> {
    replacements: Vec<(usize, Request)>,
    live: Vec<Option<S::Handle>>,
    sizes: Vec<u64>,
    now: u64,
    peak: u64,
}

impl<S: Shared> Part<S> {
    fn new(peer: &S, thread: usize) -> Self {
        let mut random = Random::new(100 + thread as u64);
        let requests: Vec<Request> = (0..LIVE).map(|_| draw(&mut random, Work::OneType)).collect();
        let sizes: Vec<u64> = requests.iter().map(|request| request.size).collect();
        let next = |_| (random.below(LIVE), draw(&mut random, Work::OneType));
        let (replacements, now) = ((0..REPLACEMENTS).map(next).collect(), sizes.iter().sum());
        Self {
            replacements,
            live: requests.iter().map(|request| peer.allocate(request)).collect(),
            sizes,
            now,
            peak: now,
        }
    }

    fn replace_one(&mut self, peer: &S, pair: usize) {
        let (slot, request) = self.replacements[pair % REPLACEMENTS];
        if let Some(old) = self.live[slot].take() {
            peer.free(old);
        }
        self.live[slot] = peer.allocate(&request);
        self.now = self.now + request.size - core::mem::replace(&mut self.sizes[slot], request.size);
        self.peak = self.now.max(self.peak);
    }
}

/// Writes a share in percent; a dash where it is not known.
fn percent(share: f64) -> String {
    if share.is_finite() { format!("{} %", short((share * 100.0).round())) } else { "-".into() }
}
