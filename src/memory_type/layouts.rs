//! Memory layouts of real devices, to test the policies on: those of the simulation's corpus, as a driver reports them.

use ash::vk::{self, MemoryPropertyFlags as Flags};

use crate::device::{MemoryHeap, MemoryType, Properties};
use crate::sim::Profile;

/// One MiB, in bytes.
pub(super) const MIB: u64 = 1 << 20;

/// Returns the layout of a device of the corpus.
#[track_caller]
pub(super) fn of(name: &str) -> Properties {
    let profile = Profile::by_name(name).unwrap_or_else(|| panic!("the corpus has no {name}"));
    let memory_type =
        |kind: &crate::sim::MemoryType| MemoryType { property_flags: kind.property_flags, heap_index: kind.heap_index };
    Properties {
        device_name: profile.name,
        memory_types: profile.memory_types.iter().map(memory_type).collect(),
        memory_heaps: profile.heaps.iter().map(|heap| MemoryHeap { size: heap.size, flags: heap.flags }).collect(),
        ..Properties::default()
    }
}

/// Returns the names of all devices of the corpus.
pub(super) fn names() -> Vec<String> {
    Profile::corpus().into_iter().map(|profile| profile.name).collect()
}

/// Reads a type such as `DVC@0`: `D` device-local, `V` host-visible, `C` coherent, `K` cached, `N` RDMA-capable, `U` a
/// bit that nobody knows; then the number of its heap.
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
        'N' => Flags::RDMA_CAPABLE_NV,
        'U' => vk::MemoryPropertyFlags::from_raw(1 << 20),
        _ => Flags::empty(),
    }
}
