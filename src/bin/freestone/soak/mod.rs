//! `freestone soak`: random lifetimes for as long as the user likes, everything checked all along.
//!
//! ```text
//!   run ── episode (seed, seed + 1, ...) ── workers, one a thread ── things: made, filled, read back, freed
//!                  └── upsets (simulated drivers): failing calls, budgets, refusals, delays
//!                  └── audit: invariants and counters against the driver's and our own
//! ```
//!
//! Each episode has a device and an allocator of its own and is determined by its seed when one thread works: a finding
//! names the seed and the number of steps that lead to it again.

mod audit;
mod episode;
mod gpu;
mod pattern;
mod random;
mod shadow;
mod tally;
mod thing;
mod upsets;
mod wish;
mod worker;

use std::io::Write;
use std::time::{Duration, Instant};

use crate::driver::DriverChoice;
use crate::error::CliError;
use crate::stage::Stage;
use crate::vulkan::Layers;
use episode::{Limit, STEPS};
use tally::Tally;

/// What the user asks for.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) driver: DriverChoice,
    pub(crate) layers: Layers,
    /// How long.
    pub(crate) duration: Duration,
    /// How many steps of each thread at most.
    pub(crate) steps: u64,
    /// The first episode's; each further one has the next.
    pub(crate) seed: u64,
    /// Above 0.
    pub(crate) threads: u32,
}

/// Something is wrong with the allocator or the driver, and how to see it again.
#[derive(Debug, thiserror::Error)]
#[error("{what}; again: freestone soak --driver {} --seed {seed} --steps {steps} --threads {}", .settings.driver, .settings.threads)]
pub(crate) struct Finding {
    what: String,
    settings: Settings,
    seed: u64,
    steps: u64,
}

impl Settings {
    fn finding(&self, what: String, seed: u64, steps: u64) -> Finding {
        Finding { what, settings: self.clone(), seed, steps }
    }
}

/// Soaks until time or steps are over, and prints a verdict of one line.
///
/// # Errors
/// No device, a [`Finding`], or a soak that did nothing.
pub(crate) fn run(settings: &Settings, out: &mut impl Write) -> Result<(), CliError> {
    let (mut tally, mut seed, mut steps) = (Tally::default(), settings.seed, settings.steps);
    let mut stage = Stage::open(&settings.driver, settings.layers)?;
    // What the first device takes to open is not taken off the time.
    let started = Instant::now();
    let until = started + settings.duration;
    let device = loop {
        let (name, lived) = episode::run(stage, settings, seed, Limit { until, steps })?;
        tally.add(&lived);
        seed = seed.wrapping_add(1);
        steps = steps.saturating_sub(STEPS);
        if steps == 0 || Instant::now() >= until {
            break name;
        }
        stage = Stage::open(&settings.driver, settings.layers)?;
    };
    let Tally { steps, checks, .. } = tally;
    if steps == 0 || checks == 0 {
        return Err(CliError::Idle { steps, checks });
    }
    writeln!(out, "{}", verdict(settings, &device, &tally, started.elapsed()))?;
    Ok(())
}

fn verdict(settings: &Settings, device: &str, tally: &Tally, elapsed: Duration) -> String {
    let Tally { episodes, steps, allocations, refusals, failed_calls, checks, checked_bytes } = *tally;
    let Settings { seed, threads, .. } = settings;
    #[expect(clippy::cast_precision_loss, reason = "a rate, printed without fraction")]
    let rate = steps as f64 / elapsed.as_secs_f64().max(1e-3);
    format!(
        "no finding: {device}, seed {seed}, {threads} threads, {episodes} episodes, {steps} steps in {:.0} s ({rate:.0} a \
         second): {allocations} allocations, {refusals} refused, {failed_calls} driver calls failed on demand, contents \
         compared {checks} times ({} MiB)",
        elapsed.as_secs_f64(),
        checked_bytes >> 20,
    )
}

#[cfg(test)]
mod sight_tests;
