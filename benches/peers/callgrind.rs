//! Counts instructions: this program runs itself under callgrind, once for each workload and peer.

use std::path::Path;
use std::process::Command;

/// What is counted, behind a thin pointer.
pub(crate) struct Part<'a>(&'a mut dyn FnMut());

/// Runs the part that is counted: callgrind collects inside this function only.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn freestone_bench_counted(part: &mut Part<'_>) {
    (part.0)();
    std::hint::black_box(());
}

/// Runs a part where callgrind counts.
pub(crate) fn measured(part: &mut dyn FnMut()) {
    freestone_bench_counted(&mut Part(part));
}

/// What callgrind counted per pair.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) instructions: f64,
    /// Misses of data in a cache of 32 KiB and in one of 1 MiB behind it, where caches were simulated.
    pub(crate) first_level_misses: f64,
    pub(crate) second_level_misses: f64,
}

impl Counts {
    /// Takes off what the harness costs.
    pub(crate) fn less(self, harness: Self) -> Self {
        Self {
            instructions: self.instructions - harness.instructions,
            first_level_misses: self.first_level_misses - harness.first_level_misses,
            second_level_misses: self.second_level_misses - harness.second_level_misses,
        }
    }
}

/// Whether the machine's caches are simulated too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caches {
    Ignored,
    Simulated,
}

/// Tells whether callgrind is there and counts this program.
pub(crate) fn works() -> bool {
    instructions_per_pair("a", "nothing", 100).is_some()
}

/// Returns the instructions per pair of a workload and peer, the harness included; `None` where valgrind is missing or
/// fails.
pub(crate) fn instructions_per_pair(workload: &str, peer: &str, pairs: usize) -> Option<f64> {
    Some(count(workload, peer, pairs, Caches::Ignored)?.instructions)
}

/// Counts a workload and peer, the harness included; `None` where valgrind is missing or fails.
pub(crate) fn count(workload: &str, peer: &str, pairs: usize, caches: Caches) -> Option<Counts> {
    count_in(&std::env::current_exe().ok()?, (workload, peer), pairs, caches)
}

/// The same in another program that understands `--count`.
pub(crate) fn count_in(program: &Path, (workload, peer): (&str, &str), pairs: usize, caches: Caches) -> Option<Counts> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    if caches == Caches::Simulated {
        // The same on every machine: those of one core, the second in the place of the last.
        command.args(["--cache-sim=yes", "--D1=32768,8,64", "--LL=1048576,16,64"]);
    }
    command.arg("--toggle-collect=freestone_bench_counted").arg(program);
    command.args(["--count", workload, peer, &pairs.to_string()]);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let after = |head: &str| text.lines().find_map(|line| Some(line.split_once(head)?.1.to_owned()));
    let (events, collected) = (after("Events    :")?, after("Collected :")?);
    let of = |event: &str| {
        let position = events.split_whitespace().position(|name| name == event)?;
        // Zeros at the end are left out.
        let count = collected.split_whitespace().nth(position).map_or(Some(0.0), |count| count.parse::<f64>().ok());
        count.map(|count| count / pairs as f64)
    };
    let misses = |read, write| Some(of(read)? + of(write)?);
    Some(Counts {
        instructions: of("Ir")?,
        first_level_misses: misses("D1mr", "D1mw").unwrap_or(f64::NAN),
        second_level_misses: misses("DLmr", "DLmw").unwrap_or(f64::NAN),
    })
}
