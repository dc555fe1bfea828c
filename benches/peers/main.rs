//! freestone beside its peers: one process, one simulated driver, the same requests for all.
//!
//! ```text
//!   cargo bench --bench peers                         tables of every workload, quick
//!   cargo bench --bench peers -- --full               more pairs, three rounds
//!   cargo bench --bench peers -- [--full] WORD        only the workloads whose name contains WORD
//!   cargo bench --bench peers -- --instructions [WORD] instructions per pair, under valgrind
//!   cargo bench --bench peers --features cli -- --traces   the recorded applications
//! ```
//!
//! Nothing is timed before its results were checked: alignment, no overlap, inside the memory object, no wrong use of
//! the driver. Rounds go from peer to peer, so that what else the machine does meets all alike.

#![expect(clippy::print_stdout, reason = "a bench prints its tables")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "statistics of counts far below 2^52"
)]

mod bare;
mod callgrind;
mod check;
mod clock;
mod driver;
mod frames;
mod heap;
mod level;
mod own;
mod peer;
mod random;
mod report;
mod request;
mod rivals;
mod row;
mod steady;
#[cfg(feature = "cli")]
mod traces;

use row::Row;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

/// Runs an expression with `$Peer` standing for the peer of that name.
macro_rules! with_peer {
    ($name:expr, $Peer:ident => $body:expr) => {
        match $name {
            "nothing" => {
                type $Peer = $crate::peer::Nothing;
                $body
            }
            "freestone" => {
                type $Peer = $crate::own::Freestone;
                $body
            }
            "freestone, linear pool" => {
                type $Peer = $crate::own::LinearPool;
                $body
            }
            "gpu-alloc" => {
                type $Peer = $crate::rivals::GpuAlloc;
                $body
            }
            "gpu-allocator" => {
                type $Peer = $crate::rivals::GpuAllocator;
                $body
            }
            "one per resource" => {
                type $Peer = $crate::peer::OnePerResource;
                $body
            }
            other => panic!("there is no peer {other:?}"),
        }
    };
}

/// Runs an expression with `$Bare` standing for the suballocator of that name.
macro_rules! with_bare {
    ($name:expr, $Bare:ident => $body:expr) => {
        match $name {
            "nothing" => {
                type $Bare = $crate::bare::NoRange;
                $body
            }
            "freestone TLSF" => {
                type $Bare = $crate::bare::Tlsf;
                $body
            }
            "freestone TLSF, slabs" => {
                type $Bare = $crate::bare::Slabs;
                $body
            }
            "freestone linear" => {
                type $Bare = $crate::bare::Linear;
                $body
            }
            "freestone fixed" => {
                type $Bare = $crate::bare::Fixed;
                $body
            }
            "offset-allocator" => {
                type $Bare = $crate::bare::Offsets;
                $body
            }
            other => panic!("there is no suballocator {other:?}"),
        }
    };
}
#[cfg(feature = "cli")]
pub(crate) use with_peer;

const WORKLOADS: [(&str, &str); 10] = [
    ("a", "a. 64 KiB, 1,000 live"),
    ("a1", "a1. 64 KiB, allocated and freed at once"),
    ("b-1k", "b. 256 B to 1 MiB, 1,000 live"),
    ("b-10k", "b. 256 B to 1 MiB, 10,000 live"),
    ("b-100k", "b. 256 B to 1 MiB, 100,000 live"),
    ("b16-1k", "b16. 256 B to 16 MiB, 1,000 live"),
    ("b16-10k", "b16. 256 B to 16 MiB, 10,000 live"),
    ("c", "c. 2,000 uploads a frame, freed 3 frames later"),
    ("d", "d. a level of 20,000 resources, a tenth streamed out and in"),
    ("e-large", "e. every large resource freed, slightly larger ones asked for"),
];
const MORE_WORKLOADS: [(&str, &str); 1] =
    [("e-small", "e. every small resource freed, slightly larger ones asked for")];
const BARE: [(&str, &str); 4] = [
    ("g-1M", "g. bare range of 256 MiB: 256 B to 1 MiB, 1,000 live"),
    ("g-64K", "g. bare range: 256 B to 64 KiB, 10,000 live"),
    ("g-fixed", "g. bare range: 64 KiB, 2,000 live"),
    ("g-ring", "g. bare range: 64 B to 64 KiB, 1,000 live, the oldest freed first"),
];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) pairs: usize,
    pub(crate) slow_pairs: usize,
    pub(crate) rounds: usize,
    is_full: bool,
}

const QUICK: Effort = Effort { pairs: 100_000, slow_pairs: 2000, rounds: 1, is_full: false };
const FULL: Effort = Effort { pairs: 200_000, slow_pairs: 10_000, rounds: 3, is_full: true };

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let effort = if arguments.contains(&"--full") { FULL } else { QUICK };
    let words: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--full").collect();
    match words.as_slice() {
        ["--count", workload, peer, pairs] => count(workload, peer, pairs.parse().expect("a number of pairs")),
        ["--instructions", word @ ..] => instructions(word.first().unwrap_or(&"")),
        ["--traces", word @ ..] => recorded(word.first().unwrap_or(&""), effort),
        words => tables(words.first().unwrap_or(&""), effort),
    }
}

fn peers_of(workload: &str, effort: Effort) -> Vec<&'static str> {
    let mut peers = vec!["freestone", "gpu-alloc", "gpu-allocator", "one per resource"];
    if workload == "c" {
        peers.insert(1, "freestone, linear pool");
    }
    // Its search is linear: minutes.
    if workload == "b-100k" || (!effort.is_full && matches!(workload, "b-10k" | "b16-10k" | "d")) {
        peers.retain(|peer| *peer != "gpu-allocator");
    }
    peers
}

fn bare_of(workload: &str) -> Vec<&'static str> {
    let mut peers = vec!["freestone TLSF", "freestone TLSF, slabs", "offset-allocator"];
    match workload {
        "g-fixed" => peers.push("freestone fixed"),
        "g-ring" => peers.push("freestone linear"),
        _ => (),
    }
    peers
}

fn workloads(word: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    WORKLOADS.into_iter().chain(MORE_WORKLOADS).filter(move |(name, _)| name.contains(word))
}

fn bare_workloads(word: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    BARE.into_iter().filter(move |(name, _)| name.contains(word))
}

fn tables(word: &str, effort: Effort) {
    for (workload, title) in workloads(word) {
        report::head(title);
        let peers = peers_of(workload, effort);
        let mut rows: Vec<Vec<Row>> = vec![Vec::new(); peers.len()];
        for peer in &peers {
            check(workload, peer);
        }
        for _ in 0..effort.rounds {
            for (peer, rows) in peers.iter().zip(&mut rows) {
                rows.push(run(workload, peer, effort));
            }
        }
        peers.iter().zip(&rows).for_each(|(peer, rows)| report::row(peer, &Row::join(rows)));
    }
    for (workload, title) in bare_workloads(word) {
        report::head(title);
        let load = bare::by_name(workload).expect("a name of the table");
        for peer in bare_of(workload) {
            with_bare!(peer, Bare => load.check::<Bare>());
            let rows: Vec<Row> =
                (0..effort.rounds).map(|_| with_bare!(peer, Bare => load.run::<Bare>(effort.pairs))).collect();
            report::row(peer, &Row::join(&rows));
        }
    }
    if "g-fill".contains(word) {
        fills();
    }
}

fn fills() {
    println!("\n### g. how full a range of 256 MiB is at the first refusal, 256 B to 1 MiB\n");
    println!("| suballocator | from empty | after churn |\n|---|---|---|");
    for peer in ["freestone TLSF", "freestone TLSF, slabs", "offset-allocator"] {
        let sizes = request::Sizes::LogUniform(256, driver::MIB);
        let (first, later) = with_bare!(peer, Bare => bare::fill_until_refused::<Bare>(sizes));
        println!("| {peer} | {first:.3} | {later:.3} |");
    }
}

fn check(workload: &str, peer: &str) {
    let is_slow = peer == "gpu-allocator";
    with_peer!(peer, Checked => match (workload, steady::by_name(workload)) {
        (_, Some(steady)) => steady.check::<Checked>(if is_slow { 1000 } else { 2 * steady.live_count }),
        ("c", _) => frames::check_frames::<Checked>(),
        _ => level::check_level::<Checked>(if is_slow { 1000 } else { 8000 }),
    });
}

fn run(workload: &str, peer: &str, effort: Effort) -> Row {
    let is_slow = peer == "gpu-allocator";
    let pairs = if is_slow { effort.slow_pairs } else { effort.pairs };
    with_peer!(peer, Measured => match (workload, steady::by_name(workload)) {
        (_, Some(steady)) => steady.run::<Measured>(pairs),
        ("c", _) => frames::run::<Measured>(if effort.is_full { 400 } else { 80 }),
        ("d", _) => level::run_level::<Measured>(if is_slow { 20 } else if effort.is_full { 200 } else { 60 }),
        ("e-large", _) => level::run_holes::<Measured>(level::Holes::Large),
        ("e-small", _) => level::run_holes::<Measured>(level::Holes::Small),
        _ => panic!("there is no workload {workload:?}"),
    })
}

fn count(workload: &str, peer: &str, pairs: usize) {
    if let Some(load) = bare::by_name(workload) {
        with_bare!(peer, Bare => load.count::<Bare>(pairs));
    } else if let Some(steady) = steady::by_name(workload) {
        with_peer!(peer, Counted => steady.count::<Counted>(pairs));
    } else if workload == "c" {
        with_peer!(peer, Counted => frames::count::<Counted>(pairs));
    } else {
        panic!("there is no count of instructions for {workload:?}");
    }
}

fn instructions(word: &str) {
    println!("\n### Instructions per pair (callgrind, the harness taken off)\n");
    let counted = workloads(word).filter(|(name, _)| steady::by_name(name).is_some() || *name == "c");
    for (workload, _) in counted {
        let peers = peers_of(workload, FULL).into_iter().filter(|peer| *peer != "one per resource");
        instructions_of(workload, peers.collect());
    }
    for (workload, _) in bare_workloads(word) {
        instructions_of(workload, bare_of(workload));
    }
}

fn instructions_of(workload: &str, peers: Vec<&str>) {
    let pairs = 20_000;
    let Some(harness) = callgrind::instructions_per_pair(workload, "nothing", pairs) else {
        println!("{workload}: SKIPPED: valgrind is missing or failed");
        return;
    };
    let counts = peers.into_iter().map(|peer| {
        let pairs = if peer == "gpu-allocator" && workload != "c" { 4000 } else { pairs };
        let count = callgrind::instructions_per_pair(workload, peer, pairs).map_or(f64::NAN, |count| count - harness);
        format!("{peer} {}", report::short(count))
    });
    println!("* {workload}: {}", counts.collect::<Vec<_>>().join(", "));
}

#[cfg(feature = "cli")]
fn recorded(word: &str, effort: Effort) {
    traces::run(word, effort);
}

#[cfg(not(feature = "cli"))]
fn recorded(_word: &str, _effort: Effort) {
    println!(
        "the recorded applications are read by the feature cli: cargo bench --bench peers --features cli -- --traces"
    );
}
