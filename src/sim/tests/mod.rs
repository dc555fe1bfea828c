//! What the simulated driver promises, through `ash`, as its users see it.

mod allocate_chain;
mod answers;
mod aspects;
mod barriers;
mod bind_versions;
mod binds;
mod command_rules;
mod commands;
mod descriptors;
mod early;
mod edges;
mod functions;
mod loans;
mod lost;
mod memory;
mod objects;
mod peer;
mod pending;
mod refused;
mod seen;
mod steering;
mod versions;
mod wrong_handles;

use super::{SimDevice, Violation};
use ash::vk;
use core::fmt::Write as _;

/// Returns the rules of the violations so far and forgets them.
fn rules(sim: &SimDevice) -> Vec<&'static str> {
    sim.control().take_violations().iter().map(|violation: &Violation| violation.rule).collect()
}

fn allocate(sim: &SimDevice, size: u64, memory_type_index: u32) -> Result<vk::DeviceMemory, vk::Result> {
    let info = vk::MemoryAllocateInfo::default().allocation_size(size).memory_type_index(memory_type_index);
    // SAFETY: the device and the create-info are valid.
    unsafe { sim.device().allocate_memory(&info, None) }
}

fn free(sim: &SimDevice, memory: vk::DeviceMemory) {
    // SAFETY: a wrong handle is the driver's to find.
    unsafe { sim.device().free_memory(memory, None) };
}

fn buffer(sim: &SimDevice, size: u64) -> vk::Buffer {
    let usage = vk::BufferUsageFlags::TRANSFER_SRC | vk::BufferUsageFlags::TRANSFER_DST;
    let info = vk::BufferCreateInfo::default().size(size).usage(usage);
    // SAFETY: the device and the create-info are valid.
    unsafe { sim.device().create_buffer(&info, None) }.unwrap()
}

fn destroy_buffer(sim: &SimDevice, buffer: vk::Buffer) {
    // SAFETY: a wrong handle is the driver's to find.
    unsafe { sim.device().destroy_buffer(buffer, None) };
}

fn image_info(side: u32) -> vk::ImageCreateInfo<'static> {
    vk::ImageCreateInfo::default()
        .image_type(vk::ImageType::TYPE_2D)
        .format(vk::Format::R8G8B8A8_UNORM)
        .extent(vk::Extent3D { width: side, height: side, depth: 1 })
        .mip_levels(1)
        .array_layers(1)
        .samples(vk::SampleCountFlags::TYPE_1)
        .usage(vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_SRC | vk::ImageUsageFlags::TRANSFER_DST)
}

fn image(sim: &SimDevice, info: &vk::ImageCreateInfo<'_>) -> vk::Image {
    // SAFETY: the device and the create-info are valid.
    unsafe { sim.device().create_image(info, None) }.unwrap()
}

fn destroy_image(sim: &SimDevice, image: vk::Image) {
    // SAFETY: a wrong handle is the driver's to find.
    unsafe { sim.device().destroy_image(image, None) };
}

fn bind_buffer(sim: &SimDevice, buffer: vk::Buffer, memory: vk::DeviceMemory, offset: u64) -> Result<(), vk::Result> {
    // SAFETY: a wrong binding is the driver's to find.
    unsafe { sim.device().bind_buffer_memory(buffer, memory, offset) }
}

fn bind_image(sim: &SimDevice, image: vk::Image, memory: vk::DeviceMemory, offset: u64) -> Result<(), vk::Result> {
    // SAFETY: a wrong binding is the driver's to find.
    unsafe { sim.device().bind_image_memory(image, memory, offset) }
}

fn map(sim: &SimDevice, memory: vk::DeviceMemory, offset: u64, size: u64) -> Result<*mut u8, vk::Result> {
    // SAFETY: a wrong mapping is the driver's to find.
    unsafe { sim.device().map_memory(memory, offset, size, vk::MemoryMapFlags::empty()) }.map(<*mut _>::cast)
}

/// The rule that no test breaks, since it would be a bug of the simulation. It is put together below, so that this file
/// does not count as its test.
const UNTESTED: &str = "panic";

/// Returns the sources of a folder: file names and texts, in order.
fn sources(folder: &std::path::Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let name = |path: &std::path::Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut read: Vec<_> = files.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
    read.sort();
    read
}

/// Returns where a rule is named: files, with the functions for tests.
fn places(read: &[(String, String)], rule: &str, has_functions: bool) -> Vec<String> {
    let quoted = format!("\"{rule}\"");
    let place = |(file, text): &(String, String)| {
        let at = text.find(&quoted)?;
        let enclosing = text[..at].rsplit("\nfn ").next().filter(|body| !body.contains("\n}\n"));
        let function = enclosing.and_then(|body| body.split('(').next()).filter(|_| has_functions);
        Some(function.map_or(format!("`{file}`"), |function| format!("`{file}`: `{function}`")))
    };
    read.iter().filter_map(place).collect()
}

/// Every rule in the sources is broken by some test here, and stands with both in `RULES.md`, which
/// `UPDATE_GOLDEN=1 cargo test --all-features --lib every_rule` writes anew.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_rule_has_a_test_and_a_line_in_the_table() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim");
    let (read, tests) = (sources(&folder), sources(&folder.join("tests")));
    let is_rule = |text: &&str| text.starts_with("VUID-vk") || text.starts_with("VUID-Vk") || text.starts_with("SIM-");
    let named = read.iter().flat_map(|(_, text)| text.split('"')).filter(is_rule).filter(|rule| !rule.contains(' '));
    let rules: std::collections::BTreeSet<&str> = named.collect();
    let mut table = format!("{} rules.\n\n| rule | checked in | broken by |\n|---|---|---|\n", rules.len());
    for rule in &rules {
        let checked = places(&read, rule, false).join(", ");
        let broken = places(&tests, rule, true).join(", ");
        let is_excused = *rule == format!("SIM-{UNTESTED}");
        assert!(is_excused || !broken.is_empty(), "no test breaks {rule}");
        let broken = if is_excused { "no test" } else { &broken };
        writeln!(table, "| `{rule}` | {checked} | {broken} |").unwrap();
    }
    let file = folder.join("RULES.md");
    let written = std::fs::read_to_string(&file).unwrap();
    let (head, rest) = written.split_once("## The table\n\n").unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, format!("{head}## The table\n\n{table}")).unwrap();
    } else {
        assert_eq!(rest, table, "UPDATE_GOLDEN=1 writes the table anew");
    }
}
