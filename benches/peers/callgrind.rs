//! Counts instructions: this program runs itself under callgrind, once for each workload and peer.

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

/// Returns the instructions per pair of a workload and peer, the harness included; `None` where valgrind is missing or
/// fails.
pub(crate) fn instructions_per_pair(workload: &str, peer: &str, pairs: usize) -> Option<f64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"]);
    command.arg("--toggle-collect=freestone_bench_counted").arg(std::env::current_exe().ok()?);
    command.args(["--count", workload, peer, &pairs.to_string()]);
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split("Collected :").nth(1))?;
    let count: f64 = count.trim().replace(',', "").parse().ok()?;
    Some(count / pairs as f64)
}
