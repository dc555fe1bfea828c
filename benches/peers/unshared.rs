//! The shared handle against the same code over a lock that does nothing.
//!
//! The other program is this one, built from a copy of the crate in which `benches/unshared/spin_lock.rs` stands in the
//! place of the pool's lock; `scripts/bench unshared` makes it. Both take turns, one process each.

use std::path::Path;
use std::process::Command;

use crate::callgrind::{self, Caches};
use crate::clock::median;
use crate::report::{ratio, short};
use crate::values::note_all;

const WORKLOADS: [&str; 4] = ["a", "b-1k", "b-10k", "c"];
const ROUNDS: usize = 9;

/// Prints instructions and time of both programs.
pub(crate) fn run(other: &str) {
    println!("\n### The shared handle by one over a lock that does nothing, one thread\n");
    println!("| workload | instructions: shared / unshared | ns per pair: shared / unshared |\n|---|---|---|");
    let (own, other) = (std::env::current_exe().expect("this program has a path"), Path::new(other));
    for workload in WORKLOADS {
        let harness = instructions(&own, workload, "nothing");
        let [shared, unshared] = [&own, other].map(|program| instructions(program, workload, "freestone") - harness);
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            times[0].push(nanoseconds(&own, workload));
            times[1].push(nanoseconds(other, workload));
        }
        let [shared_ns, unshared_ns] = times.map(|mut times| median(&mut times));
        let (by_instructions, by_time) = (shared / unshared, shared_ns / unshared_ns);
        println!(
            "| {workload} | {} / {} = {} | {} / {} = {} |",
            short(shared),
            short(unshared),
            ratio(by_instructions),
            short(shared_ns),
            short(unshared_ns),
            ratio(by_time)
        );
        note_all("unshared", workload, "freestone", &[("instr", by_instructions), ("ns", by_time)]);
    }
}

fn instructions(program: &Path, workload: &str, peer: &str) -> f64 {
    let counts = callgrind::count_in(program, (workload, peer), 20_000, Caches::Ignored);
    counts.expect("callgrind counts either program").instructions
}

/// Asks a program for its nanoseconds per pair, by `--ns`.
fn nanoseconds(program: &Path, workload: &str) -> f64 {
    let output = Command::new(program).args(["--ns", workload, "freestone"]).output();
    let output = output.expect("either program can be started");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("it prints a number")
}
