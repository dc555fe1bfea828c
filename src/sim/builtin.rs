//! The devices that come with the simulation: what they have in common, and the files with what is their own.
//!
//! Four are *models*, on which most tests run:
//!
//! | model | modelled on | granularity | atom | page |
//! |---|---|---|---|---|
//! | `discrete-rebar` | AMD Radeon RX 6800 XT, resizable BAR on, Mesa RADV | 1 | 64 | 4 KiB |
//! | `discrete-bar256` | NVIDIA `GeForce` of 8 GiB, resizable BAR off | 1024 | 64 | 64 KiB |
//! | `unified` | Intel integrated graphics that share the last-level cache, Mesa ANV | 1 | 64 | 4 KiB |
//! | `noncoherent` | the worst of several embedded devices in one | 65536 | 256 | 64 KiB |
//!
//! The others are the *corpus*: memory layouts of real hardware. Each file of `src/sim/devices/` names its sources and
//! what of it is approximate; `device_file.rs` describes the format.
//!
//! # Source
//!
//! Alignments: the `hw` model under which the recorded applications were measured (256 bytes for texel, uniform and
//! storage buffers, 16 for others; 1 KiB, 4 KiB or 64 KiB for optimal images by size). Taste, between the vendors.

use super::profile::{BufferModel, DedicatedModel, Features, GIB, ImageModel, KIB, MIB, Profile, QueueFamily};
use ash::vk;

macro_rules! files {
    ($($name:literal)+) => { &[$(include_str!(concat!("devices/", $name, ".device")),)+] };
}

const MODELS: &[&str] = files!("discrete-rebar" "discrete-bar256" "unified" "noncoherent");

const CORPUS: &[&str] = files!(
    "geforce-rtx-3070" "geforce-rtx-3070-rebar" "geforce-rtx-2070" "geforce-hidden" "h100"
    "radeon-bar256" "radeon-rebar" "radeon-780m" "steam-deck" "steam-deck-one-heap" "hidden-carve-out"
    "intel-iris-xe" "intel-no-llc" "intel-arc-a770" "intel-arc-a770-bar256"
    "apple-m1" "adreno-6xx" "mali-g78" "raspberry-pi-4" "lavapipe" "swiftshader" "mock"
);

/// What a device file that says nothing would describe.
pub(super) fn base() -> Profile {
    let everything = vk::QueueFlags::GRAPHICS | vk::QueueFlags::COMPUTE | vk::QueueFlags::TRANSFER;
    Profile {
        name: String::new(),
        modelled_on: String::new(),
        sources: Vec::new(),
        approximate: Vec::new(),
        api_version: vk::API_VERSION_1_3,
        device_type: vk::PhysicalDeviceType::DISCRETE_GPU,
        vendor_id: 0x10005,
        driver_id: vk::DriverId::default(),
        heaps: Vec::new(),
        memory_types: Vec::new(),
        page_size: 4 * KIB,
        buffer_image_granularity: 1,
        non_coherent_atom_size: 64,
        min_memory_map_alignment: 64,
        max_memory_allocation_count: 4096,
        max_memory_allocation_size: 4 * GIB,
        max_buffer_size: 4 * GIB,
        device_extensions: Vec::new(),
        features: Features::NONE,
        queue_families: vec![
            QueueFamily { flags: everything, count: 2 },
            QueueFamily { flags: vk::QueueFlags::TRANSFER, count: 1 },
        ],
        rounds_sizes: true,
        buffers: BufferModel {
            alignment: 16,
            strict_usages: vk::BufferUsageFlags::UNIFORM_TEXEL_BUFFER
                | vk::BufferUsageFlags::STORAGE_TEXEL_BUFFER
                | vk::BufferUsageFlags::UNIFORM_BUFFER
                | vk::BufferUsageFlags::STORAGE_BUFFER,
            strict_alignment: 256,
            memory_type_bits: u32::MAX,
        },
        images: ImageModel {
            linear_alignment: 256,
            linear_row_alignment: 64,
            optimal_steps: vec![(0, KIB), (16 * KIB, 4 * KIB), (256 * KIB, 64 * KIB)],
            linear_memory_type_bits: u32::MAX,
            optimal_memory_type_bits: u32::MAX,
        },
        dedicated: DedicatedModel {
            prefer_attachments_from: Some(MIB),
            prefer_images_from: None,
            prefer_buffers_from: None,
            require_images_from: None,
            require_buffers_from: None,
        },
    }
}

fn read_all(files: &[&str]) -> Vec<Profile> {
    files.iter().filter_map(|text| Profile::parse(text).ok()).collect()
}

/// A test below reads every file, so the first branch is the only one.
fn model(index: usize) -> Profile {
    Profile::parse(MODELS[index]).unwrap_or_else(|error| unreachable!("{error}"))
}

impl Profile {
    /// Returns the four models, in the order in which an instance lists them.
    pub fn all() -> Vec<Self> {
        read_all(MODELS)
    }

    /// Returns the memory layouts of real hardware.
    ///
    /// # Examples
    ///
    /// ```
    /// use freestone::sim::Profile;
    ///
    /// let deck = Profile::corpus().into_iter().find(|profile| profile.name == "steam-deck").unwrap();
    /// assert_eq!((deck.heaps.len(), deck.memory_types.len()), (2, 11));
    /// println!("{}: {:?}, but {:?} are approximate", deck.modelled_on, deck.sources, deck.approximate);
    /// ```
    pub fn corpus() -> Vec<Self> {
        read_all(CORPUS)
    }

    /// Returns the model or the device of the corpus of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut devices = MODELS.iter().chain(CORPUS).filter_map(|text| Self::parse(text).ok());
        devices.find(|profile| profile.name == name)
    }

    /// Returns a discrete card whose whole memory the host can map; it also lists AMD's device-coherent types.
    pub fn discrete_rebar() -> Self {
        model(0)
    }

    /// Returns a discrete card of which the host sees 256 MiB, with a granularity of 1 KiB.
    pub fn discrete_bar256() -> Self {
        model(1)
    }

    /// Returns an integrated device: one heap that processor and GPU share.
    pub fn unified() -> Self {
        model(2)
    }

    /// Returns an embedded device with non-coherent, lazily allocated and protected memory, and coarse pages and atoms.
    pub fn noncoherent() -> Self {
        model(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_can_be_read_and_names_its_sources() {
        let mut names = BTreeSet::new();
        for text in MODELS.iter().chain(CORPUS) {
            let profile = Profile::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert!(!profile.sources.is_empty() && !profile.modelled_on.is_empty(), "{}", profile.name);
            assert!(Profile::by_name(&profile.name).is_some());
            assert!(names.insert(profile.name), "two devices of one name");
        }
        assert!(names.len() > 20);
    }

    /// Vulkan promises host-visible coherent memory and device-local memory; so do the files.
    #[test]
    fn every_device_keeps_what_vulkan_promises() {
        for profile in Profile::all().into_iter().chain(Profile::corpus()) {
            let has = |wanted| profile.memory_types.iter().any(|kind| kind.property_flags.contains(wanted));
            let coherent = vk::MemoryPropertyFlags::HOST_VISIBLE | vk::MemoryPropertyFlags::HOST_COHERENT;
            assert!(has(coherent) && has(vk::MemoryPropertyFlags::DEVICE_LOCAL), "{}", profile.name);
            for kind in &profile.memory_types {
                let is_local = kind.property_flags.contains(vk::MemoryPropertyFlags::DEVICE_LOCAL);
                let heap = profile.heaps[kind.heap_index as usize];
                assert_eq!(is_local, heap.flags.contains(vk::MemoryHeapFlags::DEVICE_LOCAL), "{}", profile.name);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "reads a folder")]
    fn every_file_of_the_folder_is_listed() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sim/devices");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(files, MODELS.len() + CORPUS.len());
    }
}
