//! *Policy*: the memory types that may serve a request, best first, with reasons.
//!
//! A type is first *admitted* or rejected with a reason, then *ranked*: by how many of the user's own flags it fails,
//! then by the intent's wishes (the first wish that two types differ in decides), then by its index, since Vulkan lists
//! faster types first. For requests without flags of their own the order is computed once, when the [`Selector`] is
//! made; those with flags go through the same code on the fly.
//!
//! - I1: a candidate has a heap, all required flags, and its bit in the request.
//! - I2: a candidate has no flag that this crate does not know, and none that needs a feature or an intent nobody asked
//!   for (protected, device-coherent, RDMA-capable, lazily allocated).
//! - I3: the same question gets the same answer; nothing depends on the order of calls.
//!
//! # Source
//! Vulkan specification, "Device Memory": the order of memory types, and VUID-VkMemoryAllocateInfo.

mod candidates;
mod verdict;

use core::ops::Range;

use ash::vk::{self, MemoryPropertyFlags as Flags};

use super::intent::{Intent, Preferences, Wish};
use super::topology::Topology;
use crate::device::{Features, MemoryType, Properties};

pub(crate) use candidates::Candidates;
pub use verdict::{Rejection, TypeVerdict, Verdict};

/// Property flags that the user adds to an intent. They weigh more than the intent's own wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExtraFlags {
    /// A type without these is not taken.
    pub required: Flags,
    /// A type with more of these is better.
    pub preferred: Flags,
    /// A type with fewer of these is better.
    pub avoided: Flags,
}

impl ExtraFlags {
    /// Returns whether nothing was added.
    pub fn is_empty(&self) -> bool {
        (self.required | self.preferred | self.avoided).is_empty()
    }
}

/// A question for memory types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TypeRequest {
    /// What the memory is for.
    pub(crate) intent: Intent,
    /// Flags of the user's own.
    pub(crate) extra: ExtraFlags,
}

impl From<Intent> for TypeRequest {
    fn from(intent: Intent) -> Self {
        Self { intent, extra: ExtraFlags::default() }
    }
}

/// Property flags were required that cannot be served as the device was declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("memory with {flags:?} needs {feature}")]
pub struct UnsupportedFlags {
    /// The flags.
    pub flags: Flags,
    /// The feature that must be enabled and declared for them.
    pub feature: &'static str,
}

/// Flags that change how memory may be used, so that a type with them must be asked for.
struct Guard {
    flags: Flags,
    feature: &'static str,
    is_declared: fn(Features) -> bool,
}

/// # Source
/// VUID-VkMemoryAllocateInfo-memoryTypeIndex: -01872 (protected), -02790 (device-coherent);
/// `VK_NV_external_memory_rdma`. Lazily allocated memory needs no feature, but only transient attachments may use it.
const GUARDS: [Guard; 4] = [
    Guard { flags: Flags::PROTECTED, feature: "the feature protectedMemory", is_declared: |f| f.protected_memory },
    Guard {
        flags: Flags::from_raw(Flags::DEVICE_COHERENT_AMD.as_raw() | Flags::DEVICE_UNCACHED_AMD.as_raw()),
        feature: "the feature deviceCoherentMemory (VK_AMD_device_coherent_memory)",
        is_declared: |f| f.device_coherent_memory,
    },
    Guard {
        flags: Flags::RDMA_CAPABLE_NV,
        feature: "the feature externalMemoryRDMA (VK_NV_external_memory_rdma)",
        is_declared: |f| f.external_memory_rdma,
    },
    Guard { flags: Flags::LAZILY_ALLOCATED, feature: "Vulkan 1.0", is_declared: |_| true },
];

/// Flags that any memory may have.
const ORDINARY: Flags = Flags::from_raw(
    Flags::DEVICE_LOCAL.as_raw()
        | Flags::HOST_VISIBLE.as_raw()
        | Flags::HOST_COHERENT.as_raw()
        | Flags::HOST_CACHED.as_raw(),
);

/// The flags that this crate does not know. Written with raw bits, since `!` on the flags would drop them.
fn unknown(flags: Flags) -> Flags {
    let known = GUARDS.iter().fold(ORDINARY.as_raw(), |known, guard| known | guard.flags.as_raw());
    Flags::from_raw(flags.as_raw() & !known)
}

/// Chooses memory types. Made once for a device; shared by all threads.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    memory_types: Vec<MemoryType>,
    /// One bit for each type that has a heap with room in it.
    with_heap: u32,
    features: Features,
    topology: Topology,
    /// The order of each intent over all types, by [`Intent::ALL`].
    orders: [Candidates; Intent::ALL.len()],
}

/// A request as it is ranked: the intent's preferences and the user's flags, put together once.
#[derive(Clone, Copy)]
struct Ask {
    preferences: Preferences,
    required: Flags,
    /// All flags that make a guarded type acceptable.
    asked: Flags,
    extra: ExtraFlags,
}

impl Ask {
    fn new(request: &TypeRequest) -> Self {
        let (preferences, extra) = (request.intent.preferences(), request.extra);
        let required = preferences.required | extra.required;
        Self { preferences, required, asked: required | extra.preferred | preferences.welcome, extra }
    }
}

impl Selector {
    /// Ranks the types of a device for each intent.
    pub(crate) fn new(properties: &Properties, features: Features) -> Self {
        let has_heap = |index: &u32| properties.heap_of(*index).is_some_and(|heap| heap.size > 0);
        let mut selector = Self {
            memory_types: properties.memory_types.clone(),
            with_heap: indices_of(&properties.memory_types).filter(has_heap).fold(0, |bits, index| bits | 1 << index),
            features,
            topology: Topology::of(properties),
            orders: [Candidates::NONE; Intent::ALL.len()],
        };
        selector.orders = Intent::ALL.map(|intent| selector.rank(&Ask::new(&intent.into())));
        selector
    }

    /// Returns how host and device share memory.
    pub(crate) fn topology(&self) -> Topology {
        self.topology
    }

    /// Returns the type that is best of all for an intent, if any suits it.
    pub(crate) fn first(&self, intent: Intent) -> Option<u32> {
        self.orders[intent as usize].first()
    }

    /// Returns the best type for a request: the first of [`candidates`](Self::candidates), without the others.
    ///
    /// # Complexity
    /// A step for each type, without a heap call.
    pub(crate) fn best(&self, request: &TypeRequest, memory_type_bits: u32) -> Option<u32> {
        let is_allowed = |index: &u32| memory_type_bits & (1 << index) != 0;
        if request.extra.is_empty() {
            return self.orders[request.intent as usize].iter().find(is_allowed);
        }
        let ask = Ask::new(request);
        let admitted =
            indices_of(&self.memory_types).filter(is_allowed).filter(|&index| self.reject(index, &ask).is_none());
        admitted.min_by_key(|&index| (self.cost(index, &ask), index))
    }

    /// Returns the types that may serve the request, best first.
    ///
    /// # Complexity
    /// A copy of 32 bytes where every type that suits the intent suits the resource too; else a step for each such
    /// type. With flags of the user's own, the ranking is done again.
    pub(crate) fn candidates(&self, request: &TypeRequest, memory_type_bits: u32) -> Candidates {
        if request.extra.is_empty() {
            return self.orders[request.intent as usize].within(memory_type_bits);
        }
        self.rank(&Ask::new(request)).within(memory_type_bits)
    }

    /// Says of every type whether it may serve the request, in which place, and why not.
    pub(crate) fn explain(&self, request: &TypeRequest, memory_type_bits: u32) -> Vec<TypeVerdict> {
        let ask = Ask::new(request);
        let candidates = self.candidates(request, memory_type_bits);
        let verdict = |memory_type_index| match self.reject(memory_type_index, &ask) {
            Some(reason) => Verdict::Rejected(reason),
            None => match candidates.iter().position(|candidate| candidate == memory_type_index) {
                Some(rank) => self.describe(memory_type_index, rank, &ask),
                None => Verdict::Rejected(Rejection::NotInMemoryTypeBits),
            },
        };
        indices_of(&self.memory_types)
            .map(|memory_type_index| TypeVerdict { memory_type_index, verdict: verdict(memory_type_index) })
            .collect()
    }

    /// Says what a type is for a request that has no other choice.
    pub(crate) fn explain_only(&self, memory_type_index: u32, request: &TypeRequest) -> TypeVerdict {
        TypeVerdict { memory_type_index, verdict: self.describe(memory_type_index, 0, &Ask::new(request)) }
    }

    /// Refuses required flags that no type may be chosen for, naming the feature that is missing.
    ///
    /// # Errors
    /// [`UnsupportedFlags`] for flags whose feature was not declared, and for flags that this crate does not know.
    pub(crate) fn check_required(&self, required: Flags) -> Result<(), UnsupportedFlags> {
        let strange = unknown(required);
        if !strange.is_empty() {
            return Err(UnsupportedFlags { flags: strange, feature: "a version of this crate that knows them" });
        }
        match self.undeclared(required) {
            Some((flags, feature)) => Err(UnsupportedFlags { flags, feature }),
            None => Ok(()),
        }
    }

    /// The guarded flags among these whose feature was not declared.
    fn undeclared(&self, flags: Flags) -> Option<(Flags, &'static str)> {
        let guard = GUARDS.iter().find(|guard| flags.intersects(guard.flags) && !(guard.is_declared)(self.features))?;
        Some((flags & guard.flags, guard.feature))
    }

    /// Admits a type or says why not (I1, I2). The request's type bits are looked at last, by the caller.
    fn reject(&self, memory_type_index: u32, ask: &Ask) -> Option<Rejection> {
        let MemoryType { property_flags: flags, heap_index } = self.memory_types[memory_type_index as usize];
        if self.with_heap & (1 << memory_type_index) == 0 {
            return Some(Rejection::NoHeap { heap_index });
        }
        let strange = unknown(flags);
        if !strange.is_empty() {
            return Some(Rejection::UnknownFlags(strange));
        }
        if let Some((flags, feature)) = self.undeclared(flags) {
            return Some(Rejection::FeatureNotDeclared { flags, feature });
        }
        let is_surprise = |guard: &&Guard| flags.intersects(guard.flags) && !ask.asked.intersects(guard.flags);
        if let Some(guard) = GUARDS.iter().find(is_surprise) {
            return Some(Rejection::NotAskedFor(flags & guard.flags));
        }
        let lacking = without(ask.required, flags);
        if lacking.is_empty() { None } else { Some(Rejection::Lacks(lacking)) }
    }

    /// Orders the admitted types by cost, then by index (I3).
    fn rank(&self, ask: &Ask) -> Candidates {
        let mut costs = [(u32::MAX, 0); vk::MAX_MEMORY_TYPES];
        let mut count = 0;
        for memory_type_index in indices_of(&self.memory_types).filter(|&index| self.reject(index, ask).is_none()) {
            costs[count] = (self.cost(memory_type_index, ask), memory_type_index);
            count += 1;
        }
        let admitted = &mut costs[..count];
        admitted.sort_unstable();
        admitted.iter().fold(Candidates::NONE, |mut ranked, &(_, memory_type_index)| {
            ranked.push(memory_type_index);
            ranked
        })
    }

    /// What speaks against a type: the user's flags that it fails, then one bit for each wish, the weightiest highest.
    fn cost(&self, memory_type_index: u32, ask: &Ask) -> u32 {
        let MemoryType { property_flags: flags, heap_index } = self.memory_types[memory_type_index as usize];
        let own = without(ask.extra.preferred, flags).as_raw().count_ones()
            + (ask.extra.avoided & flags).as_raw().count_ones();
        ask.preferences.wishes.iter().fold(own, |cost, wish| {
            let is_fulfilled = match wish {
                Wish::Has(wanted) => flags.contains(*wanted),
                Wish::Lacks(unwanted) => !flags.intersects(*unwanted),
                Wish::OutsideSmallBar => self.topology.small_bar_heap() != Some(heap_index),
            };
            cost << 1 | u32::from(!is_fulfilled)
        })
    }

    /// What a candidate has and lacks, for a report.
    fn describe(&self, memory_type_index: u32, rank: usize, ask: &Ask) -> Verdict {
        let MemoryType { property_flags: flags, heap_index } = self.memory_types[memory_type_index as usize];
        let (mut wanted, mut unwanted) = (ask.extra.preferred, ask.extra.avoided);
        let mut is_precious = false;
        for wish in ask.preferences.wishes {
            match wish {
                Wish::Has(more) => wanted |= *more,
                Wish::Lacks(more) => unwanted |= *more,
                Wish::OutsideSmallBar => {
                    is_precious = self.topology.small_bar_heap() == Some(heap_index);
                }
            }
        }
        Verdict::Candidate {
            rank: u32::try_from(rank).unwrap_or(u32::MAX),
            lacking: without(wanted, flags),
            unwelcome: unwanted & flags,
            is_precious,
        }
    }
}

/// Returns the indices of memory types: of as many as Vulkan can have.
fn indices_of(types: &[MemoryType]) -> Range<u32> {
    0..u32::try_from(types.len().min(vk::MAX_MEMORY_TYPES)).unwrap_or(0)
}

/// The flags of `wanted` that `present` does not have; unknown bits are kept.
fn without(wanted: Flags, present: Flags) -> Flags {
    Flags::from_raw(wanted.as_raw() & !present.as_raw())
}

#[cfg(test)]
mod tests;
