//! Memory layouts of real devices, written by hand, to test the policies on.
//!
//! Sources: device reports and drivers' own source as of 2025, sizes rounded. A type is written by letters and the
//! number of its heap: `D` device-local, `V` host-visible, `C` coherent, `K` cached, `L` lazily allocated, `P` protected,
//! `A` AMD device-coherent and uncached, `N` RDMA-capable, `U` a bit that nobody knows.

use ash::vk::{self, MemoryPropertyFlags as Flags};

use crate::device::{MemoryHeap, MemoryType, Properties};

/// One MiB, in bytes.
pub(super) const MIB: u64 = 1 << 20;

/// One layout.
pub(super) struct Layout {
    pub(super) name: &'static str,
    /// Sizes in MiB; a local heap has a positive number, another a negative one.
    heaps: &'static [i64],
    types: &'static str,
}

/// A discrete NVIDIA GPU before resizable BAR.
pub(super) const NVIDIA: Layout =
    Layout { name: "nvidia", heaps: &[8192, -16384, 246], types: "-0@1 D@0 VC@1 VCK@1 DVC@2" };

/// The same with resizable BAR.
pub(super) const NVIDIA_REBAR: Layout =
    Layout { name: "nvidia rebar", heaps: &[8192, -16384], types: "-0@1 D@0 VC@1 VCK@1 DVC@0" };

/// A discrete NVIDIA GPU behind a driver that shows no local memory to the host.
pub(super) const NVIDIA_HIDDEN: Layout =
    Layout { name: "nvidia hidden", heaps: &[4096, -8192], types: "-0@1 D@0 VC@1 VCK@1" };

/// A discrete AMD GPU with 256 MiB of BAR (Mesa), which lists every type once more as device-coherent.
pub(super) const AMD_BAR256: Layout =
    Layout { name: "amd bar256", heaps: &[7936, -16384, 256], types: "D@0 VC@1 DVC@2 VCK@1 DA@0 VCA@1 DVCA@2 VCKA@1" };

/// A discrete AMD GPU with resizable BAR, or an integrated one, whose memory the driver splits into two heaps (Mesa).
pub(super) const AMD_SPLIT: Layout =
    Layout { name: "amd split", heaps: &[-5461, 10923], types: "D@1 VC@0 DVC@1 VCK@0" };

/// An integrated GPU whose own memory the host cannot see.
pub(super) const HIDDEN_CARVE_OUT: Layout =
    Layout { name: "hidden carve-out", heaps: &[512, -7680], types: "D@0 VC@1 VCK@1" };

/// An integrated Intel GPU that shares the processor's cache.
pub(super) const INTEL: Layout = Layout { name: "intel", heaps: &[12288], types: "DVC@0 DVCK@0" };

/// An integrated Intel GPU whose cached memory is not coherent.
pub(super) const INTEL_NO_LLC: Layout =
    Layout { name: "intel without shared cache", heaps: &[12288], types: "DVC@0 DVK@0" };

/// Apple silicon through `MoltenVK`.
pub(super) const APPLE: Layout = Layout { name: "apple", heaps: &[10922], types: "D@0 DVCK@0 DL@0" };

/// A Qualcomm Adreno.
pub(super) const ADRENO: Layout = Layout { name: "adreno", heaps: &[5632], types: "D@0 DVC@0 DVK@0 DVCK@0 DP@0 DL@0" };

/// An Arm Mali.
pub(super) const MALI: Layout = Layout { name: "mali", heaps: &[7680], types: "DVC@0 DVCK@0 DL@0 DP@0" };

/// A Raspberry Pi: no cached type.
pub(super) const RASPBERRY_PI: Layout = Layout { name: "raspberry pi", heaps: &[3072], types: "DVC@0" };

/// lavapipe and `SwiftShader`.
pub(super) const SOFTWARE: Layout = Layout { name: "software", heaps: &[2048], types: "DVCK@0" };

/// The Khronos mock driver.
pub(super) const MOCK: Layout = Layout { name: "mock", heaps: &[-7629, 7629], types: "VC@0 VK@0 DVCK@1 DL@1 DP@1 D@1" };

/// All of them.
pub(super) const ALL: [Layout; 14] = [
    NVIDIA,
    NVIDIA_REBAR,
    NVIDIA_HIDDEN,
    AMD_BAR256,
    AMD_SPLIT,
    HIDDEN_CARVE_OUT,
    INTEL,
    INTEL_NO_LLC,
    APPLE,
    ADRENO,
    MALI,
    RASPBERRY_PI,
    SOFTWARE,
    MOCK,
];

impl Layout {
    /// The layout as a driver would report it.
    pub(super) fn properties(&self) -> Properties {
        Properties {
            device_name: self.name.into(),
            memory_types: self.types.split(' ').map(memory_type).collect(),
            memory_heaps: self.heaps.iter().map(|&size| heap(size)).collect(),
            ..Properties::default()
        }
    }
}

/// Reads a type such as `DVC@0`.
pub(super) fn memory_type(written: &str) -> MemoryType {
    let (letters, heap) = written.split_once('@').unwrap();
    let property_flags = letters.chars().fold(Flags::empty(), |flags, letter| flags | flag(letter));
    MemoryType { property_flags, heap_index: heap.parse().unwrap() }
}

fn flag(letter: char) -> Flags {
    match letter {
        'D' => Flags::DEVICE_LOCAL,
        'V' => Flags::HOST_VISIBLE,
        'C' => Flags::HOST_COHERENT,
        'K' => Flags::HOST_CACHED,
        'L' => Flags::LAZILY_ALLOCATED,
        'P' => Flags::PROTECTED,
        'A' => Flags::DEVICE_COHERENT_AMD | Flags::DEVICE_UNCACHED_AMD,
        'N' => Flags::RDMA_CAPABLE_NV,
        'U' => Flags::from_raw(1 << 20),
        _ => Flags::empty(),
    }
}

fn heap(size: i64) -> MemoryHeap {
    let flags = if size > 0 { vk::MemoryHeapFlags::DEVICE_LOCAL } else { vk::MemoryHeapFlags::empty() };
    MemoryHeap { size: size.unsigned_abs() * MIB, flags }
}
