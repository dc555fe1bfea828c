//! The recorded applications through every peer.
//!
//! Sizes follow the `hw` model of [`freestone::trace`]: what a graphics card would ask for. The class of a resource
//! picks the memory type, its kind linear or not; who wanted memory of its own is ignored, as no other peer asks.

use std::collections::HashMap;
use std::path::PathBuf;

use freestone::trace::{self, Kind, Model, Operation, Trace};

use crate::clock::{cpu_ns, median};
use crate::driver::{Driver, Objects};
use crate::peer::Peer;
use crate::report::{ratio, short};
use crate::request::{Class, Request};
use crate::row::driver_call_ns;
use crate::values::{Place, Values, note, note_all};
use crate::{Effort, with_peer};

const PEERS: [&str; 4] = ["freestone", "gpu-alloc", "gpu-allocator", "gpu-allocator, 8 MiB blocks"];
/// Whose figures are of the one run in which VMA ran.
const OF_ANOTHER_RUN: [&str; 2] = ["VMA", "VMA, 32 MiB blocks"];
/// Steps with fewer bytes alive do not count for the mean: a small block is then many times what is alive.
const MEAN_FROM: u64 = 1 << 20;
/// Smaller applications do not count for the worst.
const WORST_FROM: u64 = 8 << 20;

/// The sizes are also replayed at these scales: where block boundaries fall is luck, and the mean over scales has less
/// of it.
const SCALES: [f64; 5] = [0.71, 0.84, 1.0, 1.09, 1.30];

/// One event, with slots instead of the recorded numbers.
#[derive(Clone, Copy, Debug)]
enum Step {
    Allocate(usize, Request),
    Free(usize),
}

/// A trace as the peers see it.
#[derive(Debug)]
struct Recording {
    name: String,
    steps: Vec<Step>,
    slots: usize,
    allocations: usize,
    peak_live: u64,
}

/// What one peer did with one trace.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    peak_reserved: u64,
    mean_ratio: f64,
    driver_allocations: u64,
    left: u64,
    left_after_trim: u64,
    ns_per_pair: f64,
}

/// Replays every trace whose name contains the word.
pub(crate) fn run(word: &str, effort: Effort) {
    let read_all =
        |scale| files().iter().map(|file| read(file, scale)).filter(|trace| trace.name.contains(word)).collect();
    let recordings: Vec<Recording> = read_all(1.0);
    println!("\n### Recorded applications: peak reserved / peak live (driver allocations)\n");
    println!("| trace | live, MiB | {} |\n|---|---|{}", PEERS.join(" | "), "---|".repeat(PEERS.len()));
    let mut sums = [Sum::default(); PEERS.len()];
    for recording in &recordings {
        let outcomes = PEERS.map(|peer| with_peer!(peer, Measured => measure::<Measured>(recording, effort)));
        let cells = PEERS.iter().zip(&outcomes).map(|(peer, outcome)| {
            let peak = outcome.peak_reserved as f64 / recording.peak_live as f64;
            note(Place("traces", &recording.name, "peak"), peer, peak);
            format!("{} ({})", ratio(peak), outcome.driver_allocations)
        });
        let cells: Vec<String> = cells.collect();
        println!("| {} | {} | {} |", recording.name, short(mib(recording.peak_live)), cells.join(" | "));
        sums.iter_mut().zip(&outcomes).for_each(|(sum, outcome)| sum.add(recording, outcome));
    }
    let scaled = SCALES.map(read_all);
    let smoothed = PEERS.map(|peer| with_peer!(peer, Measured => smoothed::<Measured>(&scaled)));
    summary(&sums, smoothed);
}

/// Prints trace, scale, peak reserved and peak live bytes, and driver allocations of freestone: for `constants`.
pub(crate) fn print_replays() {
    for (index, scale) in SCALES.into_iter().enumerate() {
        for (number, file) in files().iter().enumerate() {
            let recording = read(file, scale);
            let outcome = replay_once::<crate::own::Freestone>(&recording, Pass::Time);
            let Outcome { peak_reserved, driver_allocations, .. } = outcome;
            println!("{number},{index},{peak_reserved},{},{driver_allocations}", recording.peak_live);
        }
    }
}

/// Means over all scales.
#[derive(Clone, Copy, Debug, Default)]
struct Smoothed {
    /// Sum of peak reserved by sum of peak live bytes.
    sum: f64,
    /// The worst trace of 8 MiB and more.
    worst: f64,
    driver_allocations: f64,
}

fn smoothed<P: Peer>(scaled: &[Vec<Recording>]) -> Smoothed {
    let mut mean = Smoothed::default();
    for recordings in scaled {
        let mut sum = Sum::default();
        for recording in recordings {
            sum.add(recording, &replay_once::<P>(recording, Pass::Time));
        }
        mean.sum += sum.ratio() / scaled.len() as f64;
        mean.worst += sum.worst / scaled.len() as f64;
        mean.driver_allocations += sum.driver_allocations as f64 / scaled.len() as f64;
    }
    mean
}

fn summary(sums: &[Sum], smoothed: [Smoothed; PEERS.len()]) {
    println!("\n### Recorded applications: all together\n");
    println!(
        "| peer | sum peak reserved / sum peak live (smoothed) | worst of 8 MiB up (smoothed) | mean over events (geo. mean) \
         | driver allocations (smoothed) | left when empty, MiB (after trim) | ns per pair | by gpu-alloc's |\n\
         |---|---|---|---|---|---|---|---|"
    );
    let basis = sums.get(1).map_or(f64::NAN, Sum::ns_per_pair);
    for ((peer, sum), smoothed) in PEERS.iter().zip(sums).zip(smoothed) {
        println!(
            "| {peer} | {:.3} ({:.3}) | {:.3} ({:.3}) | {} | {} ({:.0}) | {} ({}) | {} | {} |",
            sum.ratio(),
            smoothed.sum,
            sum.worst,
            smoothed.worst,
            ratio((sum.log_ratio / sum.traces as f64).exp()),
            sum.driver_allocations,
            smoothed.driver_allocations,
            short(mib(sum.left)),
            short(mib(sum.left_after_trim)),
            short(sum.ns_per_pair()),
            ratio(sum.ns_per_pair() / basis),
        );
        let figures = [
            ("sum", sum.ratio()),
            ("sum smoothed", smoothed.sum),
            ("worst", sum.worst),
            ("worst smoothed", smoothed.worst),
            ("driver allocations", sum.driver_allocations as f64),
            ("driver allocations smoothed", smoothed.driver_allocations),
            ("left", mib(sum.left)),
            ("left after trim", mib(sum.left_after_trim)),
            ("ns", sum.ns_per_pair()),
        ];
        note_all("traces", "all", peer, &figures);
    }
    of_another_run();
}

fn of_another_run() {
    let values = Values::load();
    for peer in OF_ANOTHER_RUN {
        let figure = |metric| values.get(Place("lab", "traces", metric), peer).unwrap_or(f64::NAN);
        let by_gpu_alloc = figure("ns") / values.get(Place("lab", "traces", "ns"), "gpu-alloc").unwrap_or(f64::NAN);
        println!(
            "| {peer} (`vma.csv`) | {:.3} | {:.3} | - | {} | {} | {} | {} |",
            figure("sum"),
            figure("worst"),
            short(figure("driver allocations")),
            short(figure("left")),
            short(figure("ns")),
            ratio(by_gpu_alloc),
        );
    }
}

/// Outcomes of one peer, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    peak_reserved: u64,
    peak_live: u64,
    worst: f64,
    log_ratio: f64,
    driver_allocations: u64,
    left: u64,
    left_after_trim: u64,
    ns: f64,
    pairs: usize,
    traces: usize,
}

impl Sum {
    fn add(&mut self, recording: &Recording, outcome: &Outcome) {
        self.peak_reserved += outcome.peak_reserved;
        self.peak_live += recording.peak_live;
        if recording.peak_live >= WORST_FROM {
            self.worst = self.worst.max(outcome.peak_reserved as f64 / recording.peak_live as f64);
        }
        self.log_ratio += outcome.mean_ratio.ln();
        self.driver_allocations += outcome.driver_allocations;
        self.left += outcome.left;
        self.left_after_trim += outcome.left_after_trim;
        self.ns += outcome.ns_per_pair * recording.allocations as f64;
        self.pairs += recording.allocations;
        self.traces += 1;
    }

    fn ratio(&self) -> f64 {
        self.peak_reserved as f64 / self.peak_live as f64
    }

    fn ns_per_pair(&self) -> f64 {
        self.ns / self.pairs as f64
    }
}

fn measure<P: Peer>(recording: &Recording, effort: Effort) -> Outcome {
    let mut outcome = replay_once::<P>(recording, Pass::Memory);
    let rounds = if effort.rounds > 1 { 15 } else { 5 };
    let times = (0..rounds).map(|_| replay_once::<P>(recording, Pass::Time).ns_per_pair);
    outcome.ns_per_pair = median(&mut times.collect::<Vec<_>>());
    outcome
}

/// What a replay looks at: memory after each step, or the time of all steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Memory,
    Time,
}

fn replay_once<P: Peer>(recording: &Recording, pass: Pass) -> Outcome {
    let driver = Driver::new(Objects::Promised);
    let mut peer = P::new(&driver);
    let mut live: Vec<Option<(P::Handle, u64)>> = (0..recording.slots).map(|_| None).collect();
    let (mut live_bytes, mut ratios) = (0, (0.0, 0_u32));
    let (start, calls) = (cpu_ns(), driver.calls());
    for step in &recording.steps {
        match step {
            Step::Allocate(slot, request) => {
                let handle = peer.allocate(request).expect("the device has room for every recorded application");
                live[*slot] = Some((handle, request.size));
                live_bytes += request.size;
            }
            Step::Free(slot) => {
                let (handle, size) = live[*slot].take().expect("a trace frees what it has allocated");
                peer.free(handle);
                live_bytes -= size;
            }
        }
        if pass == Pass::Memory && live_bytes >= MEAN_FROM {
            ratios = (ratios.0 + driver.reserved() as f64 / live_bytes as f64, ratios.1 + 1);
        }
    }
    let elapsed = (cpu_ns() - start) - (driver.calls() - calls) as f64 * driver_call_ns();
    let left = driver.reserved();
    peer.trim();
    Outcome {
        peak_reserved: driver.control().peak_reserved_bytes(),
        mean_ratio: if ratios.1 > 0 { ratios.0 / f64::from(ratios.1) } else { 1.0 },
        driver_allocations: driver.allocations(),
        left,
        left_after_trim: driver.reserved(),
        ns_per_pair: elapsed / recording.allocations as f64,
    }
}

/// Turns a trace into steps; what it leaves alive is freed at the end, in the order of its making.
fn read(file: &PathBuf, scale: f64) -> Recording {
    let trace = Trace::read(file).expect("the project's own traces are good");
    let model = Model { offset_alignment: 256, granularity: 1024, memory_type_bits: !0 };
    let (mut slots, mut live_bytes, mut peak_live) = (HashMap::new(), 0, 0);
    let (mut steps, mut sizes) = (Vec::with_capacity(2 * trace.events.len()), Vec::new());
    for event in &trace.events {
        match &event.operation {
            Operation::Allocate(resource) => {
                let needed = model.requirements(resource).expect("recorded sizes are far below 64 bits");
                let class = class_of(resource.class);
                let request = Request::new(
                    (needed.size as f64 * scale).ceil() as u64,
                    needed.alignment,
                    class,
                    resource.kind() != Kind::ImageOptimal,
                );
                slots.insert(event.id, sizes.len());
                steps.push(Step::Allocate(sizes.len(), request));
                sizes.push(Some(request.size));
                live_bytes += request.size;
            }
            Operation::Free => {
                let slot = slots[&event.id];
                steps.push(Step::Free(slot));
                live_bytes -= sizes[slot].take().unwrap_or(0);
            }
        }
        peak_live = peak_live.max(live_bytes);
    }
    let left = sizes.iter().enumerate().filter(|(_, size)| size.is_some());
    steps.extend(left.map(|(slot, _)| Step::Free(slot)));
    Recording { name: trace.name, steps, slots: sizes.len(), allocations: sizes.len(), peak_live }
}

fn class_of(class: trace::Class) -> Class {
    match class {
        trace::Class::Device => Class::Device,
        trace::Class::Upload => Class::Upload,
        trace::Class::DeviceUpload => Class::Stream,
        trace::Class::Readback => Class::Readback,
    }
}

fn files() -> Vec<PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces");
    let entries = std::fs::read_dir(folder).expect("the traces are part of the project");
    let is_trace = |path: &PathBuf| path.to_string_lossy().ends_with(".csv.zst");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_trace).collect();
    files.sort();
    files
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
