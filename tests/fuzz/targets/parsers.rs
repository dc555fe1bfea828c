//! Every parser: whatever the bytes are, the answer is a value that keeps its promises or an error that names the
//! place; never a panic, and never memory without bound.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use freestone::sim::{Profile, SimDevice};
use freestone::trace::{self, Event, Operation, Reader, Shape, Statistics, Trace, TraceError};

/// The text of a trace.
pub(crate) fn trace_text(data: &[u8]) {
    match Trace::read_from(data, "fuzzed.csv") {
        Ok(trace) => check_trace(&trace),
        Err(error) => check_error(&error),
    }
}

/// A compressed trace, as a file: the decoder is part of what is tested.
pub(crate) fn trace_compressed(data: &[u8]) {
    let file = scratch("csv.zst", data);
    // As many events as fit into a test; a frame of a few bytes may hold millions of lines.
    let reader = Reader::open(&file);
    match reader.map(|reader| reader.take(10_000).collect::<Result<Vec<_>, _>>()) {
        Ok(Ok(events)) => check_events(&events),
        Ok(Err(error)) | Err(error) => check_error(&error),
    }
}

/// The statistics beside a trace: JSON.
pub(crate) fn statistics(data: &[u8]) {
    let file = scratch("stats.json", data);
    match Statistics::read(&file) {
        Ok(statistics) => assert_eq!(statistics, Statistics::read(&file).expect("it was readable a moment ago")),
        Err(error) => check_error(&error),
    }
}

/// The name of a format.
pub(crate) fn format(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Some(format) = trace::format_from_name(name) {
        assert_eq!(trace::format_from_name(&trace::format_name(format)), Some(format), "{name}");
    }
}

/// A device as a file: what is accepted is a device that can be made.
pub(crate) fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Profile::parse(text) {
        Ok(profile) => drop(SimDevice::builder(profile).build().expect("what is accepted can be made")),
        Err(error) => assert!(error.line >= 1 && error.line <= text.lines().count().max(1), "{error}"),
    }
}

fn check_trace(trace: &Trace) {
    assert!(!trace.events.is_empty());
    assert!(trace.allocation_count() <= trace.events.len() as u64);
    let live = trace.live_at_end();
    let frees = trace.events.len() as u64 - trace.allocation_count();
    assert_eq!(live.len() as u64 + frees, trace.allocation_count());
    check_events(&trace.events);
}

/// The invariants of a trace: I1 to I4 of the module `trace`.
fn check_events(events: &[Event]) {
    let mut lives: HashMap<u64, bool> = HashMap::new();
    assert!(events.is_sorted_by_key(|event| event.line), "I4");
    for event in events {
        let Operation::Allocate(resource) = &event.operation else {
            assert_eq!(lives.insert(event.id, false), Some(true), "I1");
            continue;
        };
        assert_eq!(lives.insert(event.id, true), None, "I1");
        assert!(resource.size > 0 && resource.alignment.is_power_of_two(), "I2");
        if let Shape::Image { description, .. } = &resource.shape {
            let trace::Extent { width, height, depth } = description.extent;
            let counts = [width, height, depth, description.mip_levels, description.array_layers];
            assert!(counts.iter().all(|&count| count > 0) && !description.samples.is_empty(), "I3");
        }
    }
}

/// A message is one line that names the file, however odd the bytes.
fn check_error(error: &TraceError) {
    let message = error.to_string();
    assert!(!message.contains(['\n', '\r', '\0']), "{message:?}");
}

/// Writes the bytes to a file of this thread's, in memory where the system has such a folder.
fn scratch(ending: &str, data: &[u8]) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id()).replace(|letter: char| !letter.is_alphanumeric(), "");
    let file = folder.join(format!("freestone-fuzz-{}-{thread}.{ending}", std::process::id()));
    std::fs::write(&file, data).expect("the folder for scratch files is writable");
    file
}
