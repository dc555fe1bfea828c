//! `freestone devices`: heaps, types and topology as the allocator sees them, and what each intent chooses and why.

use std::io::{self, Write};

use ash::vk;
use freestone::{
    AllocationCreateInfo, AllocationError, AllocationRequirements, Allocator, DeviceAddress, Intent, Kind, Topology,
    TypeVerdict, Verdict,
};

use crate::driver::DriverChoice;
use crate::error::CliError;
use crate::stage::Stage;
use crate::units::bytes;
use crate::vulkan::{Headless, Instance, Layers, Program, Unavailable};

/// Bytes of the resource that each intent is asked about: small, so that nothing but the type matters.
const ASKED_BYTES: u64 = 64 << 10;

/// The intents with the words that users write.
const INTENTS: [(&str, Intent); 5] = [
    ("gpu_only", Intent::GpuOnly),
    ("upload", Intent::Upload),
    ("stream", Intent::Stream),
    ("readback", Intent::Readback),
    ("transient", Intent::Transient),
];

/// Prints what the allocator sees of each of a driver's devices.
///
/// # Errors
/// No driver, an output that cannot be written, or the devices that cannot be shown, when the others were.
pub(crate) fn report(choice: &DriverChoice, out: &mut dyn Write) -> Result<(), CliError> {
    match choice {
        DriverChoice::Simulated(_) => report_device(&Stage::open(choice, Layers::Off)?, out),
        DriverChoice::Real => {
            let count = Instance::load(Program::Devices, Layers::Off)?.physical_devices()?.len();
            report_each((0..count).map(open), out)
        }
    }
}

/// Opens a device by its place in the loader's list, and tells its name even where it cannot be opened.
fn open(index: usize) -> (String, Result<Stage, CliError>) {
    let mut name = format!("device {index}");
    let stage = open_named(index, &mut name);
    (name, stage)
}

fn open_named(index: usize, name: &mut String) -> Result<Stage, CliError> {
    // An instance for each: it goes with its device.
    let instance = Instance::load(Program::Devices, Layers::Off)?;
    let physical_device = *instance.physical_devices()?.get(index).ok_or(Unavailable::NoDriver)?;
    // SAFETY: the physical device is one of this instance's, which is alive.
    let properties = unsafe { instance.raw.get_physical_device_properties(physical_device) };
    if let Ok(known) = properties.device_name_as_c_str() {
        *name = format!("{name} ({})", known.to_string_lossy());
    }
    Ok(Stage::Real(Headless::open(instance, physical_device)?))
}

/// Prints each device that can be opened; then fails with the names of those that could not.
fn report_each(
    devices: impl Iterator<Item = (String, Result<Stage, CliError>)>,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut failed = Vec::new();
    for (name, stage) in devices {
        match stage.and_then(|stage| report_device(&stage, out)) {
            Ok(()) => {}
            // Nobody reads what would follow; what failed before is told nevertheless.
            Err(output @ CliError::Output(_)) if failed.is_empty() => return Err(output),
            Err(CliError::Output(_)) => break,
            Err(error) => failed.push(format!("{name}: {error}")),
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(CliError::Devices(failed.join("; "))) }
}

fn report_device(stage: &Stage, out: &mut dyn Write) -> Result<(), CliError> {
    let counter = stage.counter();
    let allocator = stage.allocator(&counter)?;
    write_memory(&allocator, out)?;
    for (word, intent) in INTENTS {
        write_intent(&allocator, word, intent, out)?;
    }
    Ok(())
}

fn write_memory(allocator: &Allocator, out: &mut dyn Write) -> io::Result<()> {
    let properties = allocator.properties();
    let version = properties.api_version;
    let (major, minor) = (vk::api_version_major(version), vk::api_version_minor(version));
    writeln!(out, "{} (Vulkan {major}.{minor})", properties.device_name)?;
    writeln!(out, "  topology: {}", topology(allocator.topology()))?;
    for (index, heap) in (0..).zip(&properties.memory_heaps) {
        let usage = allocator.heap_usage(index);
        let budget = if properties.has_memory_budget { "budget" } else { "taken for the budget" };
        let place = if heap.is_device_local() { "local to the device" } else { "off the device" };
        writeln!(out, "  heap {index}: {}, {place}, {} {budget}", bytes(heap.size), bytes(usage.budget))?;
    }
    for (index, memory_type) in properties.memory_types.iter().enumerate() {
        writeln!(out, "  type {index}: heap {}, {}", memory_type.heap_index, flags(memory_type.property_flags))?;
    }
    let largest = match properties.max_memory_allocation_size {
        u64::MAX => "unknown size".to_owned(),
        size => bytes(size),
    };
    writeln!(
        out,
        "  bufferImageGranularity {}, nonCoherentAtomSize {}, at most {} memory objects of at most {largest}",
        properties.buffer_image_granularity, properties.non_coherent_atom_size, properties.max_memory_allocation_count
    )
}

fn topology(topology: Topology) -> String {
    match topology {
        Topology::Unified => "unified: all memory is local to the device".into(),
        Topology::HiddenLocal => "hidden: the host sees none of the local memory".into(),
        Topology::SmallBar { heap_index } => {
            format!("small BAR: the host sees only heap {heap_index} of the local memory")
        }
        Topology::FullBar => "full BAR: the host sees all of the local memory".into(),
        other => format!("{other:?}"),
    }
}

fn flags(flags: vk::MemoryPropertyFlags) -> String {
    if flags.is_empty() { "no flags".into() } else { format!("{flags:?}") }
}

/// Writes what an intent chooses, then every other type with the reason against it.
fn write_intent(allocator: &Allocator, word: &str, intent: Intent, out: &mut dyn Write) -> Result<(), CliError> {
    let requirements = vk::MemoryRequirements { size: ASKED_BYTES, alignment: 1, memory_type_bits: u32::MAX };
    // Only an image may lie in lazily allocated memory.
    let kind = if intent == Intent::Transient { Kind::NonLinear } else { Kind::Linear };
    let requirements = AllocationRequirements::new(requirements, kind, DeviceAddress::NotNeeded);
    let verdicts = match allocator.plan(&requirements, &AllocationCreateInfo::new(intent)) {
        Ok(plan) => {
            writeln!(out, "  {word}: type {}", plan.memory_type_index)?;
            plan.verdicts
        }
        Err(AllocationError::NoMemoryType { verdicts, .. }) => {
            writeln!(out, "  {word}: no type")?;
            verdicts
        }
        // The others are asked all the same.
        Err(error) => {
            writeln!(out, "  {word}: {}", error.to_string().replace(['\n', '\r'], " "))?;
            return Ok(());
        }
    };
    let mut others: Vec<&TypeVerdict> = verdicts.iter().filter(|verdict| rank(verdict) != Some(0)).collect();
    others.sort_by_key(|verdict| (rank(verdict).unwrap_or(u32::MAX), verdict.memory_type_index));
    for verdict in others {
        writeln!(out, "    {}", reason(verdict))?;
    }
    Ok(())
}

fn rank(verdict: &TypeVerdict) -> Option<u32> {
    match verdict.verdict {
        Verdict::Candidate { rank, .. } => Some(rank),
        _ => None,
    }
}

/// Says why a type is not the first choice.
fn reason(verdict: &TypeVerdict) -> String {
    let Verdict::Candidate { lacking, unwelcome, is_precious, .. } = verdict.verdict else {
        return verdict.to_string();
    };
    let mut against = Vec::new();
    if !lacking.is_empty() {
        against.push(format!("lacks {lacking:?}"));
    }
    if !unwelcome.is_empty() {
        against.push(format!("has {unwelcome:?}, which is better left to others"));
    }
    if is_precious {
        against.push("lies in the small heap that host and device share".into());
    }
    if against.is_empty() {
        against.push("is no better, and listed later".into());
    }
    format!("{verdict}: {}", against.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{CliError, DriverChoice, Stage, Unavailable, report, report_each};
    use freestone::sim::Profile;

    fn reported(profile: &str) -> String {
        let mut out = Vec::new();
        report(&DriverChoice::Simulated(profile.into()), &mut out).expect("a simulated device");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn a_card_with_a_small_bar() {
        let text = reported("discrete-bar256");
        for line in [
            "discrete-bar256 (Vulkan 1.3)",
            "  topology: small BAR: the host sees only heap 2 of the local memory",
            "  type 4: heap 2, DEVICE_LOCAL | HOST_VISIBLE | HOST_COHERENT",
            "  gpu_only: type 1",
            "  upload: type 2",
            "  stream: type 4",
            "  readback: type 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains("type 0 lacks HOST_VISIBLE"), "{text}");
    }

    #[test]
    fn each_type_that_is_not_the_first_choice_has_its_reason() {
        let text = reported("discrete-bar256");
        for line in [
            "    type 0 is choice 2: lacks DEVICE_LOCAL",
            "    type 3 is choice 2: has HOST_CACHED, which is better left to others",
            "    type 2 is choice 3: lacks DEVICE_LOCAL, has HOST_VISIBLE, which is better left to others",
            "    type 0 lacks HOST_VISIBLE",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.contains(", lies in the small heap that host and device share"), "{text}");
    }

    /// Only images may lie in lazily allocated memory: what is asked for transient resources is one.
    #[test]
    fn lazily_allocated_memory_is_for_transient_images_alone() {
        let text = reported("noncoherent");
        assert!(text.lines().any(|line| line == "  transient: type 4"), "{text}");
    }

    #[test]
    fn a_device_that_cannot_be_opened_is_named_and_hides_no_other() {
        let devices = [
            ("device 0 (old card)".into(), Err(CliError::Vulkan(Unavailable::NoDriver))),
            ("device 1".into(), Ok(Stage::simulated(Profile::unified()))),
        ];
        let mut out = Vec::new();
        let error = report_each(devices.into_iter(), &mut out).expect_err("one of two");
        assert!(error.to_string().contains("device 0 (old card): no driver"), "{error}");
        assert!(String::from_utf8(out).expect("text").starts_with("unified (Vulkan"));
    }

    #[test]
    fn every_type_of_every_profile_has_a_line_for_each_intent() {
        for profile in Profile::all() {
            let text = reported(&profile.name);
            let types = profile.memory_types.len();
            let heads = text.lines().filter(|line| line.starts_with("  type ")).count();
            let reasons = text.lines().filter(|line| line.starts_with("    type ")).count();
            assert_eq!((heads, reasons), (types, 5 * (types - 1)), "{text}");
        }
    }
}
