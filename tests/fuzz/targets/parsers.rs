//! Every parser: whatever the bytes are, the answer is a value that keeps its promises or an error that names the
//! place; never a panic, and never memory without bound.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arbitrary::Unstructured;
use ash::vk;
use freestone::sim::{Profile, SimDevice};
use freestone::trace::{self, Event, Operation, Reader, Shape, Statistics, Trace, TraceError};
use freestone::{
    AllocationCreateInfo, AllocationRequirements, Allocator, AllocatorCreateInfo, DeviceAddress, Intent, Kind,
};

/// The text of a trace.
pub(crate) fn trace_text(data: &[u8]) {
    let file = Path::new("fuzzed.csv");
    match Trace::read_from(data, file) {
        Ok(trace) => check_trace(&trace),
        Err(error) => check_error(&error, file),
    }
}

/// A compressed trace, as a file: the decoder is part of what is tested.
pub(crate) fn trace_compressed(data: &[u8]) {
    let file = scratch("csv.zst", data);
    // As many events as fit into a test; a frame of a few bytes may hold millions of lines.
    let reader = Reader::open(&file);
    match reader.map(|reader| reader.take(10_000).collect::<Result<Vec<_>, _>>()) {
        Ok(Ok(events)) => check_events(&events),
        Ok(Err(error)) | Err(error) => check_error(&error, &file),
    }
}

/// The statistics beside a trace: JSON.
pub(crate) fn statistics(data: &[u8]) {
    let file = scratch("stats.json", data);
    match Statistics::read(&file) {
        Ok(statistics) => assert_eq!(statistics, Statistics::read(&file).expect("it was readable a moment ago")),
        Err(error) => check_error(&error, &file),
    }
}

/// The name of a format.
pub(crate) fn format(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Some(format) = trace::format_from_name(name) {
        assert_eq!(trace::format_from_name(&trace::format_name(format)), Some(format), "{name}");
    }
}

/// A device as a file: what is accepted is a device that can be made, and that an allocator serves or refuses.
///
/// Bytes that are no text stand for a device whose every line makes sense, which mutated text hardly ever is.
pub(crate) fn profile(data: &[u8]) {
    let text = std::str::from_utf8(data).map_or_else(|_| odd_device(&mut Unstructured::new(data)), str::to_owned);
    match Profile::parse(&text) {
        Ok(profile) => serve(SimDevice::builder(profile).build().expect("what is accepted can be made")),
        Err(error) => assert!(error.line >= 1 && error.line <= text.lines().count().max(1), "{error}"),
    }
}

/// Returns a device of the corpus with other limits, and perhaps more heaps and memory types.
fn odd_device(u: &mut Unstructured<'_>) -> String {
    const KEYS: [&str; 12] = [
        "page",
        "granularity",
        "atom",
        "map-alignment",
        "max-allocation-size",
        "max-allocations",
        "buffer-alignment",
        "prefer-images-from",
        "prefer-buffers-from",
        "require-images-from",
        "heap",
        "memory",
    ];
    const FLAGS: [&str; 5] = ["DEVICE_LOCAL", "HOST_VISIBLE", "HOST_COHERENT", "HOST_CACHED", "LAZILY_ALLOCATED"];
    let mut text = include_str!("../../../src/sim/devices/mali-g78.device").to_owned();
    let line = |u: &mut Unstructured<'_>| -> arbitrary::Result<String> {
        let key = *u.choose(&KEYS)?;
        if key == "memory" {
            let words = FLAGS.into_iter().filter(|_| u.arbitrary().unwrap_or(false)).collect::<Vec<_>>().join(" ");
            return Ok(format!("memory = heap {} {words}\n", u.int_in_range(0..=3)?));
        }
        let power = 1_u64 << u.int_in_range(0..=63)?;
        let value = if u.ratio(1, 8)? { u.arbitrary()? } else { power };
        // Others would be refused; of objects, and of the bytes of one, there may be fewer than Vulkan promises.
        let value = match key {
            "granularity" => value.min(131_072),
            "atom" => value.min(256),
            "map-alignment" => value.max(64),
            "max-allocations" => value.clamp(1, u64::from(u32::MAX)),
            "max-allocation-size" => value.max(1 << 16),
            _ => value,
        };
        let place = if key == "heap" && u.arbitrary()? { " DEVICE_LOCAL" } else { "" };
        Ok(format!("{key} = {value}{place}\n"))
    };
    while let Ok(line) = line(u) {
        text.push_str(&line);
        if u.is_empty() {
            break;
        }
    }
    text
}

/// Asks for memory of every intent, however odd the device is.
fn serve(vulkan: SimDevice) {
    let (entry, instance) = (vulkan.entry(), vulkan.instance());
    let info = AllocatorCreateInfo::new(entry, instance, vulkan.physical_device(), vulkan.device())
        .api_version(vulkan.api_version());
    // SAFETY: the objects belong together and outlive the allocator; no feature is declared.
    if let Ok(allocator) = unsafe { Allocator::new(info) } {
        let requirements = vk::MemoryRequirements { size: 1000, alignment: 64, memory_type_bits: !0 };
        for (intent, kind) in Intent::ALL.into_iter().zip([Kind::Linear, Kind::NonLinear].into_iter().cycle()) {
            let requirements = AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded);
            if let Ok(allocation) = allocator.allocate(&requirements, &AllocationCreateInfo::new(intent)) {
                allocator.free(allocation).expect("it is alive");
            }
        }
        allocator.validate().expect("every invariant holds");
    }
    let violations = vulkan.finish();
    assert!(violations.is_empty(), "{violations:?}");
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
fn check_error(error: &TraceError, file: &Path) {
    let message = error.to_string();
    assert!(message.starts_with(&format!("{}:", file.display())), "{message:?}");
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
