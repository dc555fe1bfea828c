//! Reads device files: simulated devices as data, one in each file of `src/sim/devices/`.
//!
//! ```text
//!   # what is special about it
//!   name = steam-deck                      how programs call it
//!   device = AMD Custom GPU 0405           what it is modelled on
//!   source = where the values come from    as many as there are
//!   approximate = what is not exact        as many as there are
//!   heap = 5802 MiB DEVICE_LOCAL           heaps and memory types in the driver's order
//!   memory = heap 0 DEVICE_LOCAL HOST_VISIBLE
//!   granularity = 1024                     further keys: `set_key` below
//! ```
//!
//! A line is empty, a comment, or `key = value`. Sizes are bytes, or have KiB, MiB or GiB behind them; numbers may be
//! hexadecimal. `heap`, `memory`, `source`, `approximate`, `extensions` and `features` add up; of other keys the last
//! line counts. What a file does not say is as `base` has it.
//!
//! Invariant (I1): a profile that was read has a name, heaps and types within Vulkan's limits, every type in a heap,
//! powers of two where Vulkan demands them, and limits of alignment as Vulkan promises them.

use super::builtin::base;
use super::profile::{Features, GIB, Heap, MemoryType, Profile};
use ash::vk;
use ash::vk::MemoryPropertyFlags as Flags;
use std::ffi::CStr;

/// Why a device file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
#[non_exhaustive]
pub struct ProfileError {
    /// Line of the fault, counted from 1; for what is missing, the last line.
    pub line: usize,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

/// The extensions that matter to memory: the only ones that a device file may list.
const EXTENSIONS: [&CStr; 13] = [
    c"VK_KHR_dedicated_allocation",
    c"VK_KHR_get_memory_requirements2",
    c"VK_KHR_bind_memory2",
    c"VK_KHR_maintenance3",
    c"VK_KHR_maintenance4",
    c"VK_KHR_buffer_device_address",
    c"VK_KHR_map_memory2",
    c"VK_KHR_synchronization2",
    c"VK_KHR_timeline_semaphore",
    c"VK_EXT_memory_budget",
    c"VK_EXT_memory_priority",
    c"VK_EXT_pageable_device_local_memory",
    c"VK_AMD_device_coherent_memory",
];

const FLAGS: [(&str, Flags); 8] = [
    ("DEVICE_LOCAL", Flags::DEVICE_LOCAL),
    ("HOST_VISIBLE", Flags::HOST_VISIBLE),
    ("HOST_COHERENT", Flags::HOST_COHERENT),
    ("HOST_CACHED", Flags::HOST_CACHED),
    ("LAZILY_ALLOCATED", Flags::LAZILY_ALLOCATED),
    ("PROTECTED", Flags::PROTECTED),
    ("DEVICE_COHERENT_AMD", Flags::DEVICE_COHERENT_AMD),
    ("DEVICE_UNCACHED_AMD", Flags::DEVICE_UNCACHED_AMD),
];

const KINDS: [(&str, vk::PhysicalDeviceType); 5] = [
    ("integrated", vk::PhysicalDeviceType::INTEGRATED_GPU),
    ("discrete", vk::PhysicalDeviceType::DISCRETE_GPU),
    ("virtual", vk::PhysicalDeviceType::VIRTUAL_GPU),
    ("cpu", vk::PhysicalDeviceType::CPU),
    ("other", vk::PhysicalDeviceType::OTHER),
];

const VERSIONS: [(&str, u32); 4] = [
    ("1.0", vk::API_VERSION_1_0),
    ("1.1", vk::API_VERSION_1_1),
    ("1.2", vk::API_VERSION_1_2),
    ("1.3", vk::API_VERSION_1_3),
];

const DRIVERS: [(&str, vk::DriverId); 9] = [
    ("MESA_RADV", vk::DriverId::MESA_RADV),
    ("NVIDIA_PROPRIETARY", vk::DriverId::NVIDIA_PROPRIETARY),
    ("INTEL_OPEN_SOURCE_MESA", vk::DriverId::INTEL_OPEN_SOURCE_MESA),
    ("QUALCOMM_PROPRIETARY", vk::DriverId::QUALCOMM_PROPRIETARY),
    ("ARM_PROPRIETARY", vk::DriverId::ARM_PROPRIETARY),
    ("GOOGLE_SWIFTSHADER", vk::DriverId::GOOGLE_SWIFTSHADER),
    ("MESA_LLVMPIPE", vk::DriverId::MESA_LLVMPIPE),
    ("MOLTENVK", vk::DriverId::MOLTENVK),
    ("MESA_V3DV", vk::DriverId::MESA_V3DV),
];

/// Bytes of all heaps together, at most: 1 PiB, so that no sum of sizes or of device addresses overflows. Taste.
const MAX_HEAP_BYTES: u64 = 1 << 50;

impl Profile {
    /// Reads a device file: its text, in the format of the files in `src/sim/devices/`.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], with the line and what would be right there.
    ///
    /// # Examples
    ///
    /// ```
    /// use freestone::sim::{MIB, Profile};
    ///
    /// let text = "name = tiny\nheap = 8 MiB DEVICE_LOCAL\nmemory = heap 0 DEVICE_LOCAL HOST_VISIBLE HOST_COHERENT\n";
    /// assert_eq!(Profile::parse(text)?.heaps[0].size, 8 * MIB);
    /// assert_eq!(Profile::parse("heap = 8 apples").unwrap_err().line, 1);
    /// # Ok::<(), freestone::sim::ProfileError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let mut profile = base();
        let lines = (1..).zip(text.lines().map(str::trim));
        for (line, content) in lines.filter(|(_, content)| !content.is_empty() && !content.starts_with('#')) {
            read_line(&mut profile, content).map_err(|what| ProfileError { line, what })?;
        }
        let last = text.lines().count().max(1);
        check(&profile).map_err(|what| ProfileError { line: last, what })?;
        Ok(profile)
    }
}

fn read_line(profile: &mut Profile, content: &str) -> Result<(), String> {
    let (key, value) = content.split_once('=').ok_or("neither empty, a comment, nor \"key = value\"")?;
    set_key(profile, key.trim(), value.trim())
}

/// The keys of a device file.
fn set_key(profile: &mut Profile, key: &str, value: &str) -> Result<(), String> {
    match key {
        "name" => value.clone_into(&mut profile.name),
        "device" => value.clone_into(&mut profile.modelled_on),
        "source" => profile.sources.push(value.to_owned()),
        "approximate" => profile.approximate.push(value.to_owned()),
        "kind" => profile.device_type = among(&KINDS, value)?,
        "vulkan" => profile.api_version = among(&VERSIONS, value)?,
        "vendor" => profile.vendor_id = small_number(value)?,
        "driver" => profile.driver_id = among(&DRIVERS, value)?,
        "heap" => profile.heaps.push(heap(value)?),
        "memory" => profile.memory_types.push(memory_type(value)?),
        "max-allocations" => profile.max_memory_allocation_count = small_number(value)?,
        "rounds-sizes" => profile.rounds_sizes = among(&[("yes", true), ("no", false)], value)?,
        "extensions" => {
            for name in value.split_whitespace() {
                profile.device_extensions.push(extension(name)?);
            }
        }
        "features" => {
            for name in value.split_whitespace() {
                profile.features |= Features::by_name(name).ok_or_else(|| format!("no feature is called {name:?}"))?;
            }
        }
        _ => return set_size(profile, key, value),
    }
    Ok(())
}

/// The keys whose value is a size, or decides about types and sizes of resources.
fn set_size(profile: &mut Profile, key: &str, value: &str) -> Result<(), String> {
    match key {
        "page" => profile.page_size = size(value)?,
        "granularity" => profile.buffer_image_granularity = size(value)?,
        "atom" => profile.non_coherent_atom_size = size(value)?,
        "map-alignment" => profile.min_memory_map_alignment = size(value)?,
        "max-allocation-size" => profile.max_memory_allocation_size = size(value)?,
        "max-buffer-size" => profile.max_buffer_size = size(value)?,
        "buffer-alignment" => profile.buffers.alignment = size(value)?,
        "buffer-types" => profile.buffers.memory_type_bits = type_bits(value)?,
        "linear-types" => profile.images.linear_memory_type_bits = type_bits(value)?,
        "optimal-types" => profile.images.optimal_memory_type_bits = type_bits(value)?,
        "prefer-attachments-from" => profile.dedicated.prefer_attachments_from = threshold(value)?,
        "prefer-images-from" => profile.dedicated.prefer_images_from = threshold(value)?,
        "prefer-buffers-from" => profile.dedicated.prefer_buffers_from = threshold(value)?,
        "require-images-from" => profile.dedicated.require_images_from = threshold(value)?,
        "require-buffers-from" => profile.dedicated.require_buffers_from = threshold(value)?,
        _ => return Err(format!("no key is called {key:?}")),
    }
    Ok(())
}

/// Holds a profile to I1. Of memory objects Vulkan promises 4096; fewer make a test short.
fn check(profile: &Profile) -> Result<(), String> {
    let (heaps, types) = (profile.heaps.len(), profile.memory_types.len());
    let is_lost = |kind: &&MemoryType| kind.heap_index as usize >= heaps;
    if profile.name.is_empty() {
        return Err("no \"name\" is given".to_owned());
    }
    if heaps == 0 || heaps > vk::MAX_MEMORY_HEAPS || types == 0 || types > vk::MAX_MEMORY_TYPES {
        return Err(format!("{heaps} heaps and {types} memory types; Vulkan has 1 to 16 and 1 to 32"));
    }
    if let Some(kind) = profile.memory_types.iter().find(is_lost) {
        return Err(format!("a memory type lies in heap {} of {heaps}", kind.heap_index));
    }
    let room = profile.heaps.iter().try_fold(MAX_HEAP_BYTES, |room, heap| room.checked_sub(heap.size));
    if room.is_none() {
        return Err(format!("the heaps have more than {MAX_HEAP_BYTES} bytes in all, for which there is no room"));
    }
    for (what, value) in [
        ("page", profile.page_size),
        ("granularity", profile.buffer_image_granularity),
        ("atom", profile.non_coherent_atom_size),
        ("map-alignment", profile.min_memory_map_alignment),
        ("buffer-alignment", profile.buffers.alignment),
    ] {
        if !value.is_power_of_two() {
            return Err(format!("{what} is {value}, which is no power of two"));
        }
    }
    for (what, value, allowed) in [
        ("granularity", profile.buffer_image_granularity, 1..=131_072),
        ("atom", profile.non_coherent_atom_size, 1..=256),
        ("map-alignment", profile.min_memory_map_alignment, 64..=u64::MAX),
        ("max-allocations", profile.max_memory_allocation_count.into(), 1..=u64::MAX),
    ] {
        if !allowed.contains(&value) {
            return Err(format!("{what} is {value}; Vulkan has {} to {}", allowed.start(), allowed.end()));
        }
    }
    check_object_size(profile)
}

/// A memory object may be smaller than the 1 GiB that Vulkan promises where programs can ask for the limit.
fn check_object_size(profile: &Profile) -> Result<(), String> {
    let can_say = profile.api_version >= vk::API_VERSION_1_1 || profile.has_extension(c"VK_KHR_maintenance3");
    let size = profile.max_memory_allocation_size;
    if can_say || size >= GIB {
        return Ok(());
    }
    Err(format!("max-allocation-size is {size}; Vulkan 1.0 without VK_KHR_maintenance3 has {GIB} and more"))
}

fn among<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, String> {
    let found = table.iter().find(|(listed, _)| *listed == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = table.iter().map(|(listed, _)| *listed).collect();
        format!("{name:?} is none of {}", names.join(", "))
    })
}

fn extension(name: &str) -> Result<&'static CStr, String> {
    let found = EXTENSIONS.iter().find(|listed| listed.to_bytes() == name.as_bytes());
    found.copied().ok_or_else(|| format!("{name} is no extension that the simulation knows"))
}

fn number(text: &str) -> Result<u64, String> {
    let read = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    read.map_err(|_| format!("{text:?} is not a number of 64 bits"))
}

fn small_number(text: &str) -> Result<u32, String> {
    u32::try_from(number(text)?).map_err(|_| format!("{text} does not fit into 32 bits"))
}

/// Reads `12`, `0xC` or `12 MiB`.
fn size(text: &str) -> Result<u64, String> {
    let (amount, unit) = text.split_once(' ').unwrap_or((text, "bytes"));
    let shift = among(&[("bytes", 0), ("KiB", 10), ("MiB", 20), ("GiB", 30)], unit.trim())?;
    number(amount)?.checked_mul(1 << shift).ok_or_else(|| format!("{text} does not fit into 64 bits"))
}

/// Reads a size, or `never`.
fn threshold(text: &str) -> Result<Option<u64>, String> {
    if text == "never" { Ok(None) } else { size(text).map(Some) }
}

/// Reads `16 GiB DEVICE_LOCAL`, or a size alone.
fn heap(text: &str) -> Result<Heap, String> {
    let (bytes, flags) = match text.strip_suffix("DEVICE_LOCAL") {
        Some(bytes) => (bytes.trim_end(), vk::MemoryHeapFlags::DEVICE_LOCAL),
        None => (text, vk::MemoryHeapFlags::empty()),
    };
    Ok(Heap { size: size(bytes)?, flags, budget: None, foreign_usage: 0 })
}

/// Reads `heap 1 HOST_VISIBLE HOST_COHERENT`.
fn memory_type(text: &str) -> Result<MemoryType, String> {
    let mut words = text.strip_prefix("heap ").ok_or("a memory type begins with \"heap\" and a number")?.split(' ');
    let heap_index = small_number(words.next().unwrap_or(""))?;
    let mut property_flags = Flags::empty();
    for word in words.filter(|word| !word.is_empty()) {
        property_flags |= among(&FLAGS, word)?;
    }
    Ok(MemoryType { property_flags, heap_index })
}

/// Reads numbers of memory types.
fn type_bits(text: &str) -> Result<u32, String> {
    let mut bits = 0;
    for word in text.split_whitespace() {
        let index = small_number(word)?;
        bits |= 1_u32.checked_shl(index).ok_or_else(|| format!("there is no memory type {index}"))?;
    }
    Ok(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = small\nheap = 0x10 MiB\nheap = 1 GiB DEVICE_LOCAL\nmemory = heap 1 DEVICE_LOCAL\n";

    #[track_caller]
    fn expect(more: &str, line: usize, what: &str) {
        let error = Profile::parse(&format!("{SMALL}{more}")).unwrap_err();
        assert_eq!((error.line, error.what.as_str()), (line, what));
    }

    #[test]
    fn reads_what_is_written() {
        let text =
            format!("# a comment\n\n{SMALL}max-allocations = 7\nprefer-images-from = 4 KiB\noptimal-types = 0\n");
        let profile = Profile::parse(&text).unwrap();
        assert_eq!((profile.name.as_str(), profile.heaps.len()), ("small", 2));
        assert_eq!((profile.heaps[0].size, profile.heaps[1].size), (16 << 20, 1 << 30));
        assert!(profile.heaps[0].flags.is_empty());
        assert_eq!(profile.memory_types, [MemoryType { property_flags: Flags::DEVICE_LOCAL, heap_index: 1 }]);
        assert_eq!((profile.max_memory_allocation_count, profile.images.optimal_memory_type_bits), (7, 1));
        assert_eq!(profile.dedicated.prefer_images_from, Some(4096));
        let wishes = "prefer-buffers-from = 1\nrequire-images-from = 2\nrequire-buffers-from = 3";
        let dedicated = Profile::parse(&format!("{SMALL}{wishes}")).unwrap().dedicated;
        let read = [dedicated.prefer_buffers_from, dedicated.require_images_from, dedicated.require_buffers_from];
        assert_eq!(read, [1, 2, 3].map(Some));
        let never = Profile::parse(&format!("{SMALL}prefer-attachments-from = never")).unwrap();
        assert_eq!(never.dedicated.prefer_attachments_from, None);
        let exact = Profile::parse(&format!("{SMALL}rounds-sizes = no")).unwrap();
        assert!(profile.rounds_sizes && !exact.rounds_sizes);
    }

    #[test]
    fn extensions_and_features_add_up() {
        let lines = "extensions = VK_KHR_bind_memory2\nextensions = VK_EXT_memory_budget\nfeatures = maintenance4\n";
        let profile = Profile::parse(&format!("{SMALL}{lines}")).unwrap();
        assert_eq!(profile.device_extensions, [c"VK_KHR_bind_memory2", c"VK_EXT_memory_budget"]);
        assert_eq!(profile.features, Features::MAINTENANCE4);
    }

    #[test]
    fn every_mistake_names_its_line() {
        expect("hello", 5, "neither empty, a comment, nor \"key = value\"");
        expect("\n# a comment\npages = 4", 7, "no key is called \"pages\"");
        expect("page = 4 pounds", 5, "\"pounds\" is none of bytes, KiB, MiB, GiB");
        expect("page = many", 5, "\"many\" is not a number of 64 bits");
        expect("atom = 0xFFFFFFFFFFFFFFFF KiB", 5, "0xFFFFFFFFFFFFFFFF KiB does not fit into 64 bits");
        expect("vendor = 0x100000000", 5, "0x100000000 does not fit into 32 bits");
        expect("memory = 1 DEVICE_LOCAL", 5, "a memory type begins with \"heap\" and a number");
        expect("optimal-types = 32", 5, "there is no memory type 32");
        expect("extensions = VK_KHR_swapchain", 5, "VK_KHR_swapchain is no extension that the simulation knows");
        expect("features = teleportation", 5, "no feature is called \"teleportation\"");
        expect("rounds-sizes = often", 5, "\"often\" is none of yes, no");
        expect("vulkan = 2.0", 5, "\"2.0\" is none of 1.0, 1.1, 1.2, 1.3");
    }

    #[test]
    fn what_vulkan_forbids_is_refused() {
        expect("memory = heap 2", 5, "a memory type lies in heap 2 of 2");
        expect("atom = 48", 5, "atom is 48, which is no power of two");
        expect("granularity = 0", 5, "granularity is 0, which is no power of two");
        expect("granularity = 0x40000", 5, "granularity is 262144; Vulkan has 1 to 131072");
        expect("atom = 512", 5, "atom is 512; Vulkan has 1 to 256");
        expect("map-alignment = 32", 5, "map-alignment is 32; Vulkan has 64 to 18446744073709551615");
        let small = "max-allocation-size = 7536\nvulkan = 1.";
        let what = "max-allocation-size is 7536; Vulkan 1.0 without VK_KHR_maintenance3 has 1073741824 and more";
        expect(&format!("{small}0"), 6, what);
        assert!(Profile::parse(&format!("{SMALL}{small}1")).is_ok());
        let heaps = "heap = 17179869183 GiB\nheap = 17179869183 GiB";
        expect(heaps, 6, "the heaps have more than 1125899906842624 bytes in all, for which there is no room");
        expect("max-allocations = 0", 5, "max-allocations is 0; Vulkan has 1 to 18446744073709551615");
        expect("name =", 5, "no \"name\" is given");
        let counts = |heaps, types| {
            let (heap, memory) = ("heap = 1 MiB\n".repeat(heaps), "memory = heap 0\n".repeat(types));
            Profile::parse(&format!("name = many\n{heap}{memory}")).map(drop).map_err(|error| error.what)
        };
        assert_eq!([counts(1, 1), counts(16, 32)], [Ok(()), Ok(())]);
        for (heaps, types) in [(0, 1), (1, 0), (17, 1), (1, 33)] {
            assert!(counts(heaps, types).is_err(), "{heaps} heaps, {types} types");
        }
        let empty = Profile::parse("name = empty").unwrap_err();
        assert_eq!(empty.what, "0 heaps and 0 memory types; Vulkan has 1 to 16 and 1 to 32");
        assert_eq!(Profile::parse("").unwrap_err().line, 1);
    }
}
