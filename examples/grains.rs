//! Coarse or fine: what each way to cut device memory costs on a recorded application, in bytes, time, bookkeeping and
//! driver calls.
//!
//! ```text
//!   cargo run --release --features cli --example grains [-- TRACE.csv.zst] [--svg FILE]
//! ```
//!
//! | grain | how memory is cut |
//! |---|---|
//! | dedicated | a memory object for each resource |
//! | fixed slots | pools of equal slots, a power of two each |
//! | linear | one pool for each memory type, cut front to back |
//! | TLSF, large | one pool for each memory type, cut to any size, in blocks of 64 MiB |
//! | TLSF | the same, in blocks that grow with what is alive |
//! | the combination | the library's default: the same, and blocks of their own or dedicated memory where those pay |
//!
//! The application runs on a simulated graphics card, so it needs no driver and gives the same bytes on every machine.
//! Sizes are what a card would ask for (`freestone::trace::Model`). Every range is checked against all others first.

#![expect(clippy::print_stdout, reason = "an example speaks to its user")]

#[path = "grains/chart.rs"]
mod chart;
#[path = "grains/grain.rs"]
mod grain;
#[path = "grains/replay.rs"]
mod replay;
#[path = "grains/workload.rs"]
mod workload;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use grain::Grain;
use replay::Outcome;
use workload::Workload;

/// An engine whose window is resized again and again: 10,000 resources of all sizes and lives.
const DEFAULT_TRACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/bevy-ssao-resize.csv.zst");

struct Options {
    trace: PathBuf,
    svg: Option<PathBuf>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { trace: DEFAULT_TRACE.into(), svg: None };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--svg" => options.svg = Some(arguments.next().ok_or("--svg needs the name of a file")?.into()),
                flag if flag.starts_with('-') => return Err(format!("{flag}: unknown; there is --svg FILE")),
                _ => options.trace = argument.into(),
            }
        }
        Ok(options)
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let workload = Workload::read(&options.trace)?;
    let outcomes = Grain::ALL.map(|grain| (grain, replay::measure(&workload, grain)));
    print_table(&workload, &outcomes);
    if let Some(file) = &options.svg {
        std::fs::write(file, chart::draw(&workload, &outcomes))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        println!("\nThe chart is in {}.", file.display());
    }
    Ok(())
}

fn print_table(workload: &Workload, outcomes: &[(Grain, Outcome)]) {
    println!("{}: {}\n", workload.name, workload.summary());
    let head = ["reserved at most", "wasted (mean)", "time per pair", "bookkeeping", "driver calls"];
    println!("{:<16}{}", "", head.map(|title| format!("{title:>18}")).concat());
    for (grain, outcome) in outcomes {
        let reserved = replay::mib(outcome.peak_reserved);
        let cells = outcome.figures().map(|figure| figure.label);
        println!("{:<16}{reserved:>18}{}", grain.name(), cells.map(|cell| format!("{cell:>18}")).concat());
    }
    println!(
        "\nwasted: reserved but not alive, on the average over all events\na pair: an allocation and its free, on a driver \
         whose calls take less than a microsecond\nbookkeeping: host memory at its most\ndriver calls: vkAllocateMemory \
         and vkFreeMemory; each takes microseconds to milliseconds on a real driver"
    );
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
