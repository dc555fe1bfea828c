//! The workloads of one thread: their tables, and their instructions.

use crate::row::Row;
use crate::values::{Place, note};
use crate::{
    Effort, FULL, bare, callgrind, driver, frames, level, report, request, ring, scaling, steady, with_bare, with_peer,
};

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
const MORE_WORKLOADS: [(&str, &str); 2] = [
    ("e-small", "e. every small resource freed, slightly larger ones asked for"),
    ("f", "f. a level of 500 resources, unloaded and loaded, again and again"),
];
const BARE: [(&str, &str); 4] = [
    ("g-1M", "g. bare range of 256 MiB: 256 B to 1 MiB, 1,000 live"),
    ("g-64K", "g. bare range: 256 B to 64 KiB, 10,000 live"),
    ("g-fixed", "g. bare range: 64 KiB, 2,000 live"),
    ("g-ring", "g. bare range: 64 B to 64 KiB, 1,000 live, the oldest freed first"),
];

fn peers_of(workload: &str, effort: Effort) -> Vec<&'static str> {
    let mut peers = vec!["freestone", "gpu-alloc", "gpu-allocator", "one per resource"];
    if workload == "c" {
        peers.insert(1, "freestone, linear pool");
        peers.insert(1, ring::NAME);
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

/// Prints a table for each workload whose name contains the word.
pub(crate) fn tables(word: &str, effort: Effort) {
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
        peers.iter().zip(&rows).for_each(|(peer, rows)| finish(workload, peer, rows));
    }
    for (workload, title) in bare_workloads(word) {
        report::head(title);
        let load = bare::by_name(workload).expect("a name of the table");
        for peer in bare_of(workload) {
            with_bare!(peer, Bare => load.check::<Bare>());
            let rows: Vec<Row> =
                (0..effort.rounds).map(|_| with_bare!(peer, Bare => load.run::<Bare>(effort.pairs))).collect();
            finish(workload, peer, &rows);
        }
    }
    if "g-fill".contains(word) {
        fills();
    }
}

fn finish(workload: &str, peer: &str, rounds: &[Row]) {
    let row = Row::join(rounds);
    report::row(peer, &row);
    row.note(workload, peer);
}

fn fills() {
    println!("\n### g. how full a range of 256 MiB is at the first refusal, 256 B to 1 MiB\n");
    println!("| suballocator | from empty | after churn |\n|---|---|---|");
    for peer in ["freestone TLSF", "freestone TLSF, slabs", "offset-allocator"] {
        let sizes = request::Sizes::LogUniform(256, driver::MIB);
        let (first, later) = with_bare!(peer, Bare => bare::fill_until_refused::<Bare>(sizes));
        println!("| {peer} | {first:.3} | {later:.3} |");
        note(Place("workloads", "g-fill", "from empty"), peer, first);
        note(Place("workloads", "g-fill", "after churn"), peer, later);
    }
}

fn check(workload: &str, peer: &str) {
    if peer == ring::NAME {
        return ring::check();
    }
    let is_slow = peer == "gpu-allocator";
    with_peer!(peer, Checked => match (workload, steady::by_name(workload)) {
        (_, Some(steady)) => steady.check::<Checked>(if is_slow { 1000 } else { 2 * steady.live_count }),
        ("c", _) => frames::check_frames::<Checked>(),
        _ => level::Level::check::<Checked>(if is_slow { 1000 } else { 8000 }),
    });
}

/// Measures one workload with one peer.
pub(crate) fn run(workload: &str, peer: &str, effort: Effort) -> Row {
    if peer == ring::NAME {
        return ring::run(if effort.is_full { 600 } else { 200 });
    }
    let is_slow = peer == "gpu-allocator";
    let pairs = if is_slow { effort.slow_pairs } else { effort.pairs };
    with_peer!(peer, Measured => match (workload, steady::by_name(workload), level::by_name(workload)) {
        (_, Some(steady), _) => steady.run::<Measured>(pairs),
        (_, _, Some(level)) => level.run::<Measured>(if is_slow { 20 } else if effort.is_full { 200 } else { 60 }),
        ("c", ..) => frames::run::<Measured>(if effort.is_full { 400 } else { 80 }),
        ("e-large", ..) => level::run_holes::<Measured>(level::Holes::Large),
        ("e-small", ..) => level::run_holes::<Measured>(level::Holes::Small),
        _ => panic!("there is no workload {workload:?}"),
    })
}

/// Runs so many pairs where callgrind counts.
pub(crate) fn count(workload: &str, peer: &str, pairs: usize) {
    if let Some(load) = bare::by_name(workload) {
        with_bare!(peer, Bare => load.count::<Bare>(pairs));
    } else if let Some(steady) = steady::by_name(workload) {
        with_peer!(peer, Counted => steady.count::<Counted>(pairs));
    } else if peer == ring::NAME {
        ring::count(pairs);
    } else if workload == "c" {
        with_peer!(peer, Counted => frames::count::<Counted>(pairs));
    } else if let Some(level) = level::by_name(workload) {
        with_peer!(peer, Counted => level.count::<Counted>(pairs));
    } else if !scaling::count(workload, peer, pairs) {
        panic!("there is no count of instructions for {workload:?}");
    }
}

/// Prints the instructions per pair of the workloads whose name contains the word.
pub(crate) fn instructions(word: &str) {
    println!("\n### Instructions per pair (callgrind, the harness taken off)\n");
    let is_counted = |name| steady::by_name(name).is_some() || level::by_name(name).is_some() || name == "c";
    let counted = workloads(word).filter(|(name, _)| is_counted(name));
    for (workload, _) in counted {
        let peers = peers_of(workload, FULL).into_iter().filter(|peer| {
            // Ten seconds of its own become minutes under valgrind.
            *peer != "one per resource" && !(workload == "d" && *peer == "gpu-allocator")
        });
        instructions_of(workload, peers.collect());
    }
    for (workload, _) in bare_workloads(word) {
        instructions_of(workload, bare_of(workload));
    }
}

fn instructions_of(workload: &str, peers: Vec<&str>) {
    let pairs = 20_000;
    let harness = callgrind::instructions_per_pair(workload, "nothing", pairs).expect("callgrind works");
    let counts = peers.into_iter().map(|peer| {
        let pairs = if peer == "gpu-allocator" && workload != "c" { 4000 } else { pairs };
        let count = callgrind::instructions_per_pair(workload, peer, pairs).map_or(f64::NAN, |count| count - harness);
        note(Place("instructions", workload, "instr"), peer, count);
        format!("{peer} {}", report::short(count))
    });
    println!("* {workload}: {}", counts.collect::<Vec<_>>().join(", "));
}
