//! What the simulated driver promises, through `ash`, as its users see it.

mod bind_versions;
mod binds;
mod command_rules;
mod commands;
mod functions;
mod memory;
mod objects;
mod peer;
mod steering;
mod wrong_handles;

use super::{SimDevice, Violation};
use ash::vk;

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
        .usage(vk::ImageUsageFlags::SAMPLED | vk::ImageUsageFlags::TRANSFER_DST)
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

/// Every rule in the sources is broken by some test here, but for two: `SIM-panic` would be a bug of the simulation, and
/// `SIM-endless-wait` takes ten seconds.
#[test]
#[cfg_attr(miri, ignore = "reads files")]
fn every_rule_has_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim");
    let text = |folder: std::path::PathBuf| {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let sources = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        sources.map(|path| std::fs::read_to_string(path).unwrap()).collect::<String>()
    };
    let (sources, tests) = (text(folder.clone()), text(folder.join("tests")));
    let is_rule = |text: &&str| text.starts_with("VUID-vk") || text.starts_with("VUID-Vk") || text.starts_with("SIM-");
    let rules = sources.split('"').filter(is_rule).filter(|rule| !rule.contains(' '));
    let mut untested: Vec<_> = rules.filter(|rule| !tests.contains(&format!("\"{rule}\""))).collect();
    untested.sort_unstable();
    // Put together here, so that this file does not count as their test.
    assert_eq!(untested, ["endless-wait", "panic"].map(|name| format!("SIM-{name}")));
}
