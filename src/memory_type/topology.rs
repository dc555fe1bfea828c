//! *Policy*: what kind of machine this is, read from heaps and memory types only.
//!
//! The physical device's own word for itself (`deviceType`) is informational, and peers that trust it fail on
//! integrated GPUs with memory that the host cannot see. What matters is which memory is local and which of it the host
//! can reach:
//!
//! ```text
//!                         local memory            host-visible part of it        memory elsewhere
//! Unified                 all of it               some or all                    none
//! HiddenLocal             yes                     none                           yes
//! SmallBar                yes                     a heap smaller than the rest   yes or no
//! FullBar                 yes                     in (or as) the largest heap    yes
//! ```
//!
//! A software driver, a phone and an integrated GPU with one heap are `Unified`. An integrated GPU whose driver splits
//! system memory into a "local" and an "other" heap is `FullBar`, and that is right: each heap is better left to what
//! asks for it.

use ash::vk::MemoryPropertyFlags as Flags;

use crate::device::Properties;

/// How the host and the device share memory on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topology {
    /// All memory is local to the device: integrated GPUs, phones, software drivers.
    Unified,
    /// The host sees none of the device's local memory.
    HiddenLocal,
    /// The host sees a small part of the local memory, as a heap of its own ("BAR", often 256 MiB). It is precious:
    /// the driver lives there too, and what is written by the host each frame is served nowhere better.
    SmallBar {
        /// The heap that both sides reach.
        heap_index: u32,
    },
    /// The host sees all of the local memory ("resizable BAR").
    FullBar,
}

/// What the types say about one heap.
#[derive(Clone, Copy, Default)]
struct HeapTraits {
    is_used: bool,
    is_local: bool,
    is_visible_local: bool,
}

impl Topology {
    /// Reads the topology from heaps and memory types.
    pub fn of(properties: &Properties) -> Self {
        let traits = read_heaps(properties);
        if let Some(heap_index) = small_bar(properties, &traits) {
            return Self::SmallBar { heap_index };
        }
        let mut used = traits.iter().filter(|heap| heap.is_used);
        if used.clone().all(|heap| heap.is_local) {
            return Self::Unified;
        }
        if used.any(|heap| heap.is_visible_local) { Self::FullBar } else { Self::HiddenLocal }
    }

    /// Returns the small heap that host and device both reach, if the machine has one.
    pub fn small_bar_heap(self) -> Option<u32> {
        match self {
            Self::SmallBar { heap_index } => Some(heap_index),
            _ => None,
        }
    }
}

/// Collects what the memory types say about their heaps.
fn read_heaps(properties: &Properties) -> Vec<HeapTraits> {
    let mut traits = vec![HeapTraits::default(); properties.memory_heaps.len()];
    for memory_type in &properties.memory_types {
        let Some(heap) = traits.get_mut(memory_type.heap_index as usize) else {
            continue;
        };
        heap.is_used = true;
        heap.is_local |= memory_type.property_flags.contains(Flags::DEVICE_LOCAL);
        heap.is_visible_local |= memory_type.property_flags.contains(Flags::DEVICE_LOCAL | Flags::HOST_VISIBLE);
    }
    traits
}

/// Finds a visible local heap beside which there is a larger local one that is hidden.
fn small_bar(properties: &Properties, traits: &[HeapTraits]) -> Option<u32> {
    let sized = || properties.memory_heaps.iter().map(|heap| heap.size).zip(traits);
    let largest_hidden =
        sized().filter(|(_, heap)| heap.is_local && !heap.is_visible_local).map(|(size, _)| size).max()?;
    let found = sized().position(|(size, heap)| heap.is_visible_local && size < largest_hidden)?;
    u32::try_from(found).ok()
}

#[cfg(test)]
mod tests {
    use super::super::layouts;
    use super::*;

    #[test]
    fn real_devices_are_recognised() {
        let expected: &[(Topology, &[&str])] = &[
            (
                Topology::SmallBar { heap_index: 2 },
                &["geforce-rtx-3070", "geforce-rtx-2070", "radeon-bar256", "intel-arc-a770-bar256"],
            ),
            (
                Topology::FullBar,
                &[
                    "geforce-rtx-3070-rebar",
                    "h100",
                    "radeon-rebar",
                    "radeon-780m",
                    "steam-deck",
                    "intel-arc-a770",
                    "mock",
                ],
            ),
            (Topology::HiddenLocal, &["geforce-hidden", "hidden-carve-out"]),
        ];
        for device in layouts::names() {
            let found = expected.iter().find(|(_, devices)| devices.contains(&device.as_str()));
            let expected = found.map_or(Topology::Unified, |(topology, _)| *topology);
            assert_eq!(Topology::of(&layouts::of(&device)), expected, "{device}");
        }
    }

    #[test]
    fn a_device_that_says_nothing_is_no_panic() {
        assert_eq!(Topology::of(&Properties::default()), Topology::Unified);
        let mut properties = layouts::of("lavapipe");
        properties.memory_types.push(layouts::memory_type("DV@9"));
        assert_eq!(Topology::of(&properties), Topology::Unified);
    }

    #[test]
    fn a_small_bar_is_smaller_than_what_is_hidden() {
        let mut properties = layouts::of("geforce-rtx-3070");
        let hidden = properties.memory_heaps[0].size;
        properties.memory_heaps[2].size = hidden - 1;
        assert_eq!(Topology::of(&properties).small_bar_heap(), Some(2));
        properties.memory_heaps[2].size = hidden;
        assert_eq!(Topology::of(&properties), Topology::FullBar);
    }

    #[test]
    fn the_device_type_is_not_asked() {
        let mut properties = layouts::of("geforce-rtx-3070");
        properties.device_type = ash::vk::PhysicalDeviceType::INTEGRATED_GPU;
        assert_eq!(Topology::of(&properties).small_bar_heap(), Some(2));
    }
}
