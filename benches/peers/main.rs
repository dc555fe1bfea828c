//! freestone beside its peers: one process, one simulated driver, the same requests for all.
//!
//! ```text
//!   cargo bench --bench peers                    tables of every workload, quick
//!   cargo bench --bench peers -- OPTION [WORD]   one of the sections below; WORD: only names that contain it
//!
//!   --instructions   instructions per pair, under valgrind      --traces      the recorded applications (feature cli)
//!   --threads        threads that share one allocator           --growth      cost with what is alive, and with blocks
//!   --behaviour      W1 to W9, block boundaries, openings       --churn       a day of frames, levels in and out
//!   --unshared EXE   against a build whose lock does nothing    --constants EXE  growth constants, leave-one-trace-out
//!   --goals, --charts   what the record says                --replays      what the recorded applications do
//!   --ns WORKLOAD PEER  time of one workload                --count WORKLOAD PEER PAIRS  for callgrind
//!
//!   --full           more pairs and rounds                      --record      into benches/values.csv
//! ```
//!
//! `scripts/bench` runs all of them and writes `benches/README.md`.
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
mod behaviour;
mod boundary;
mod callgrind;
mod chart;
mod charts;
mod check;
mod churn;
mod clock;
#[cfg(feature = "cli")]
mod constants;
mod cores;
mod driver;
mod frames;
mod goals;
mod heap;
mod level;
mod opening;
mod own;
mod peer;
mod random;
mod report;
mod request;
mod ring;
mod rivals;
mod row;
mod scaling;
mod shared;
mod steady;
mod threads;
#[cfg(feature = "cli")]
mod traces;
mod unshared;
mod values;
mod verdicts;
mod wishes;
mod workloads;

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
            "gpu-allocator, 8 MiB blocks" => {
                type $Peer = $crate::rivals::GpuAllocator<true>;
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
pub(crate) use {with_bare, with_peer};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) pairs: usize,
    pub(crate) slow_pairs: usize,
    pub(crate) rounds: usize,
    pub(crate) thread_rounds: usize,
    pub(crate) is_full: bool,
}

const QUICK: Effort = Effort { pairs: 200_000, slow_pairs: 2000, rounds: 3, thread_rounds: 4, is_full: false };
const FULL: Effort = Effort { pairs: 400_000, slow_pairs: 10_000, rounds: 5, thread_rounds: 16, is_full: true };

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let effort = if has("--full") { FULL } else { QUICK };
    let rest = arguments.iter().map(String::as_str).filter(|word| !matches!(*word, "--full" | "--record"));
    let rest: Vec<&str> = rest.collect();
    let word = rest.get(1).copied().unwrap_or("");
    require_callgrind(rest.first().copied().unwrap_or(""), has("--record"));
    match rest.as_slice() {
        ["--count", workload, peer, pairs] => {
            workloads::count(workload, peer, pairs.parse().expect("a number of pairs"));
        }
        ["--instructions", ..] => workloads::instructions(word),
        [option @ ("--traces" | "--replays" | "--constants"), ..] => recorded(option, word, effort),
        ["--threads", ..] => threads::run(word, effort),
        ["--ns", workload, peer] => println!("{}", workloads::run(workload, peer, QUICK).ns_per_pair),
        ["--unshared", other] => unshared::run(other),
        ["--goals", ..] => verdicts::print(),
        ["--charts", ..] => charts::write(),
        ["--churn", ..] => churn::run(),
        ["--growth", ..] => scaling::run(effort),
        ["--behaviour", ..] => {
            behaviour::run();
            boundary::run();
            opening::run();
        }
        words => workloads::tables(words.first().unwrap_or(&""), effort),
    }
    if has("--record") {
        values::save();
    }
}

/// Ends the program where a section is nothing without callgrind, or a record of it would take older figures out.
fn require_callgrind(section: &str, is_recorded: bool) {
    let is_needed = matches!(section, "--instructions" | "--unshared") || section == "--growth" && is_recorded;
    assert!(!is_needed || callgrind::works(), "{section}: valgrind is missing, or cannot run this program");
}

#[cfg(feature = "cli")]
fn recorded(option: &str, word: &str, effort: Effort) {
    match option {
        "--replays" => traces::print_replays(),
        "--constants" => constants::run(word),
        _ => traces::run(word, effort),
    }
}

#[cfg(not(feature = "cli"))]
fn recorded(_option: &str, _word: &str, _effort: Effort) {
    println!(
        "the recorded applications are read by the feature cli: cargo bench --bench peers --features cli -- --traces"
    );
}
