//! `freestone`: replays recorded applications, shows how devices look to the allocator, and soaks it.
//!
//! ```text
//! main ── arguments ── files read and checked ── session: each trace replayed on a driver ── JSON, table, verdict
//!   ├── soak: random lifetimes, checked all along ── verdict
//!   └── error: one line, exit code
//! ```
//!
//! Every file is read and checked, or opened to be written, before the first trace is replayed, so that a mistyped name
//! is found in the first second. What was replayed before a failure is shown nevertheless.

mod devices;
mod driver;
mod error;
mod image_info;
mod json;
mod progress;
mod replay;
mod resources;
mod session;
mod sizes;
mod soak;
mod stage;
mod table;
mod targets;
mod timing;
mod units;
mod vulkan;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use driver::DriverChoice;
use error::CliError;
use freestone::trace::{AppMemory, Statistics, Trace};
use json::{JsonFile, Record};
use session::Settings;
use sizes::SizeChoice;
use table::Row;
use vulkan::Layers;

/// Replays recorded applications on Vulkan drivers, real or simulated.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay recorded applications and print a table.
    Replay(ReplayArguments),
    /// Print each physical device's heaps and types, and what each intent chooses and why.
    Devices(DevicesArguments),
    /// Live at random for as long as asked, check contents, invariants and counters all along, print a verdict.
    Soak(SoakArguments),
}

#[derive(Debug, Args)]
struct ReplayArguments {
    /// Recorded traces.
    #[arg(required = true, value_name = "TRACE.csv[.zst]")]
    traces: Vec<PathBuf>,
    /// The driver: "real", or "sim:PROFILE" for a simulated one: a name, or a device file.
    #[arg(long, default_value = "real", value_name = "real|sim:PROFILE")]
    driver: DriverChoice,
    /// Write the results to this file as well, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where the validation layers are missing.
    #[arg(long)]
    require_validation: bool,
    /// Make buffers and images, whose sizes are the driver's own; or allocate as many bytes as recorded (or that many
    /// percent of them), whatever the driver, to compare with what other allocators were measured with.
    #[arg(long, default_value = "created", value_name = "created|recorded[:PERCENT]")]
    sizes: SizeChoice,
}

#[derive(Debug, Args)]
struct DevicesArguments {
    /// The driver: "real", or "sim:PROFILE" for a simulated one: a name, or a device file.
    #[arg(long, default_value = "real", value_name = "real|sim:PROFILE")]
    driver: DriverChoice,
}

#[derive(Debug, Args)]
struct SoakArguments {
    /// The driver: "real", or "sim:PROFILE" for a simulated one, which is told to fail at random.
    #[arg(long, default_value = "real", value_name = "real|sim:PROFILE")]
    driver: DriverChoice,
    /// Stop after so many minutes [default: 1; with --steps, no end but theirs].
    #[arg(long, value_parser = minutes, value_name = "N")]
    minutes: Option<Duration>,
    /// Stop after so many steps of each thread.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    steps: u64,
    /// Begin with this episode; with one thread, the same seed takes the same steps.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Let so many threads share the allocator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=8), value_name = "N")]
    threads: u32,
    /// Fail where the validation layers are missing.
    #[arg(long)]
    require_validation: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(arguments: &Arguments) -> Result<(), CliError> {
    match &arguments.command {
        Command::Replay(arguments) => replay_all(arguments, &mut io::stdout().lock()),
        Command::Devices(arguments) => devices::report(&arguments.driver, &mut io::stdout().lock()),
        Command::Soak(arguments) => {
            let SoakArguments { ref driver, minutes, steps, seed, threads, require_validation } = *arguments;
            let (driver, layers) = (driver.clone(), layers(driver, require_validation)?);
            let usual = if steps == u64::MAX { MINUTE } else { LONGEST };
            let duration = minutes.unwrap_or(usual);
            soak::run(&soak::Settings { driver, layers, duration, steps, seed, threads }, &mut io::stdout().lock())
        }
    }
}

/// Says what is wanted of the layers. They listen to real drivers only: a run without them must not pass for one with.
fn layers(driver: &DriverChoice, is_required: bool) -> Result<Layers, CliError> {
    match driver {
        DriverChoice::Simulated(_) if is_required => Err(CliError::NoLayersInside),
        _ if is_required => Ok(Layers::Required),
        _ => Ok(Layers::IfPresent),
    }
}

/// How long a soak lasts if nothing is said.
const MINUTE: Duration = Duration::from_secs(60);
/// A million minutes: far beyond any use, and well inside what a clock can count.
const LONGEST: Duration = Duration::from_secs(60_000_000);

/// Reads a number of minutes, with a fraction or without.
fn minutes(text: &str) -> Result<Duration, String> {
    let minutes: f64 = text.parse().map_err(|_| "not a number of minutes")?;
    let duration = Duration::try_from_secs_f64(minutes * 60.0).map_err(|error| error.to_string())?;
    if minutes > 0.0 && duration <= LONGEST { Ok(duration) } else { Err("not between 0 and a million minutes".into()) }
}

fn replay_all(arguments: &ReplayArguments, out: &mut dyn Write) -> Result<(), CliError> {
    let layers = layers(&arguments.driver, arguments.require_validation)?;
    let recordings = arguments.traces.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    let json = arguments.json.as_deref().map(JsonFile::open).transpose()?;
    let settings = Settings { driver: arguments.driver.clone(), layers, sizes: arguments.sizes };
    let mut rows = Vec::new();
    let replayed = recordings.into_iter().try_for_each(|(trace, app)| {
        let (record, fallbacks) = session::replay(&trace, &settings)?;
        rows.push(Row { record, app, fallbacks });
        Ok(())
    });
    replayed.and(show(&rows, json, out))
}

/// Reads a trace, and what the recorded application's own allocator took, where that is known.
fn read(file: &Path) -> Result<(Trace, Option<AppMemory>), CliError> {
    let trace = Trace::read(file)?;
    let statistics = Statistics::beside(file)?;
    Ok((trace, statistics.map(|statistics| statistics.app_device_memory)))
}

/// Writes the records and prints the table, whichever of the two fails, and judges what was replayed. Where nothing
/// was, older records stay.
fn show(rows: &[Row], json: Option<JsonFile>, out: &mut dyn Write) -> Result<(), CliError> {
    let records: Vec<Record> = rows.iter().map(|row| row.record.clone()).collect();
    // The file first: whoever closes the pipe that reads the table still gets it.
    let written = match json {
        Some(json) if rows.is_empty() => {
            json.leave();
            Ok(())
        }
        Some(json) => json.write(&records),
        None => Ok(()),
    };
    let printed = if rows.is_empty() { Ok(()) } else { table::write(rows, out) };
    written?;
    // Before a closed pipe, which is no fault: faults are told to whoever reads only the first line, too.
    verdict(&records)?;
    Ok(printed?)
}

/// Turns what the driver or the layers complained about into an exit code.
fn verdict(records: &[Record]) -> Result<(), CliError> {
    let messages = records.iter().map(|record| record.validation_messages).sum();
    let violations = records.iter().map(|record| record.violations).sum();
    if messages == 0 && violations == 0 { Ok(()) } else { Err(CliError::Faults { messages, violations }) }
}

#[cfg(test)]
mod recorded_resources_tests;

#[cfg(test)]
mod tests {
    use super::{Arguments, CliError, Command, DriverChoice, Parser, Record, Row, io, show, verdict};
    use clap::CommandFactory;
    use std::collections::BTreeMap;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_arguments_of_a_replay() {
        let line = ["freestone", "replay", "a.csv", "b.csv.zst", "--driver", "sim:unified", "--require-validation"];
        let Command::Replay(replay) = Arguments::parse_from(line).command else { panic!("a replay") };
        assert_eq!((replay.traces.len(), replay.driver), (2, DriverChoice::Simulated("unified".into())));
        assert!(replay.require_validation && replay.json.is_none());
        assert!(Arguments::try_parse_from(["freestone", "replay"]).is_err());
        assert!(Arguments::try_parse_from(["freestone", "replay", "a.csv", "--driver", "gpu"]).is_err());
    }

    #[test]
    fn one_message_or_violation_is_a_fault() {
        let (clean, loud) = (Record::default(), Record { validation_messages: 1, ..Record::default() });
        assert!(verdict(std::slice::from_ref(&clean)).is_ok());
        assert!(verdict(&[clean.clone(), loud]).is_err());
        assert!(verdict(&[Record { violations: 1, ..clean }]).is_err());
    }
    struct ClosedPipe;

    impl io::Write for ClosedPipe {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_hides_no_fault() {
        let row = |violations| {
            let record = Record { violations, ..Record::default() };
            Row { record, app: None, fallbacks: BTreeMap::new() }
        };
        assert!(matches!(show(&[row(0)], None, &mut ClosedPipe), Err(CliError::Output(_))));
        let faults = show(&[row(0), row(3)], None, &mut ClosedPipe);
        assert!(matches!(faults, Err(CliError::Faults { messages: 0, violations: 3 })));
    }
}
