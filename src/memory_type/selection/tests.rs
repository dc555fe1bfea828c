//! What each intent chooses on the memory of real devices, and what is never chosen.

use proptest::prelude::*;

use super::super::layouts::{self, MIB};
use super::*;
use crate::device::MemoryHeap;

fn selector(device: &str) -> Selector {
    Selector::new(&layouts::of(device), Features::default())
}

/// The candidates of an intent where the resource may lie anywhere.
fn chosen(selector: &Selector, intent: Intent) -> Vec<u8> {
    selector.candidates(&intent.into(), u32::MAX).as_slice().to_vec()
}

/// Checks the order of each intent, in the order of [`Intent::ALL`].
fn check(device: &str, expected: [&[u8]; 5]) {
    let selector = selector(device);
    for (intent, expected) in Intent::ALL.into_iter().zip(expected) {
        assert_eq!(chosen(&selector, intent), expected, "{intent} on {device}");
    }
}

#[test]
fn a_small_bar_is_for_streaming_only() {
    check("geforce-rtx-3070", [&[1, 0, 2, 3, 4], &[2, 3, 4], &[4, 2, 3], &[3, 2, 4], &[1, 0, 2, 3, 4]]);
    check("radeon-bar256", [&[0, 1, 3, 2], &[1, 3, 2], &[2, 1, 3], &[3, 1, 2], &[0, 1, 3, 2]]);
}

#[test]
fn a_full_bar_is_ordinary_local_memory() {
    check("geforce-rtx-3070-rebar", [&[1, 4, 0, 2, 3], &[2, 3, 4], &[4, 2, 3], &[3, 2, 4], &[1, 4, 0, 2, 3]]);
    check("intel-arc-a770", [&[0, 2, 1], &[1, 2], &[2, 1], &[1, 2], &[0, 2, 1]]);
}

/// Peers that ask for local visible memory on an integrated GPU fail here (`VulkanMemoryAllocator` #520).
#[test]
fn hidden_local_memory_leaves_the_host_with_the_other_heap() {
    check("geforce-hidden", [&[1, 0, 2, 3], &[2, 3], &[2, 3], &[3, 2], &[1, 0, 2, 3]]);
    check("hidden-carve-out", [&[0, 1, 2], &[1, 2], &[1, 2], &[2, 1], &[0, 1, 2]]);
}

/// Reading back through write-combined memory is 87 times slower (gpu-allocator #311).
#[test]
fn readback_takes_cached_memory_even_where_it_is_not_coherent() {
    check("intel-iris-xe", [&[0, 1, 2], &[1, 2], &[1, 2], &[2, 1], &[0, 1, 2]]);
    check("intel-no-llc", [&[0, 1], &[0, 1], &[0, 1], &[1, 0], &[0, 1]]);
}

/// A cached type is a wish, never a demand (`VulkanMemoryAllocator` #362).
#[test]
fn one_type_serves_everything() {
    check("raspberry-pi-4", [&[0]; 5]);
    check("lavapipe", [&[0]; 5]);
}

/// Lazily allocated memory is usable, and only for transient attachments (wgpu #8533).
#[test]
fn transient_attachments_take_lazy_memory_and_nothing_else_does() {
    check("apple-m1", [&[0, 1, 2], &[1, 2], &[1, 2], &[1, 2], &[3, 0, 1, 2]]);
    check("adreno-6xx", [&[0, 1, 2, 3], &[2, 3, 1], &[2, 3, 1], &[3, 1, 2], &[5, 0, 1, 2, 3]]);
    check("mali-g78", [&[0, 1], &[0, 1], &[0, 1], &[1, 0], &[2, 0, 1]]);
    check("mock", [&[5, 2, 0, 1], &[0, 1, 2], &[2, 0, 1], &[2, 1, 0], &[3, 5, 2, 0, 1]]);
}

#[test]
fn the_host_must_reach_what_it_writes_or_reads() {
    assert_eq!(Intent::ALL.map(Intent::needs_host_access), [false, true, true, true, false]);
}

#[test]
fn what_may_lie_in_no_type_that_suits_gets_none() {
    let suitable = chosen(&selector("steam-deck"), Intent::Upload).iter().fold(0, |bits, index| bits | 1 << index);
    for memory_type_bits in [0, !suitable] {
        assert!(selector("steam-deck").candidates(&Intent::Upload.into(), memory_type_bits).is_empty());
    }
}

#[test]
fn flags_that_are_added_twice_are_added() {
    let (none, both) = (Flags::empty(), Flags::HOST_CACHED);
    for [required, preferred, avoided] in
        [[both, none, none], [none, both, none], [none, none, both], [both, both, none], [none, both, both]]
    {
        let extra = ExtraFlags { required, preferred, avoided };
        assert!(!extra.is_empty(), "{extra:?}");
    }
    assert!(ExtraFlags::default().is_empty());
}

/// Device-coherent types are not taken because they happen to fit (wgpu #718).
#[test]
fn guarded_types_need_the_feature_and_the_wish() {
    let coherent = TypeRequest {
        intent: Intent::GpuOnly,
        extra: ExtraFlags { required: Flags::DEVICE_COHERENT_AMD, ..ExtraFlags::default() },
    };
    let properties = layouts::of("radeon-bar256");
    let declared = Features { device_coherent_memory: true, ..Features::default() };
    let (without, with) = (Selector::new(&properties, Features::default()), Selector::new(&properties, declared));
    assert!(without.candidates(&coherent, u32::MAX).is_empty());
    assert_eq!(with.candidates(&coherent, u32::MAX).as_slice(), [4, 5, 7, 6]);
    assert!(!with.candidates(&coherent, u32::MAX).is_empty());
    assert_eq!(chosen(&with, Intent::Stream), [2, 1, 3], "the feature alone changes nothing");
    let refused = without.check_required(Flags::DEVICE_COHERENT_AMD).unwrap_err();
    assert!(refused.to_string().contains("VK_AMD_device_coherent_memory"), "{refused}");
    assert_eq!(with.check_required(Flags::DEVICE_COHERENT_AMD), Ok(()));
}

#[test]
fn required_flags_without_their_feature_are_an_error() {
    let selector = selector("mock");
    for flags in [Flags::PROTECTED, Flags::DEVICE_UNCACHED_AMD, Flags::RDMA_CAPABLE_NV, Flags::from_raw(1 << 20)] {
        assert_eq!(selector.check_required(flags | Flags::DEVICE_LOCAL).unwrap_err().flags, flags);
    }
    let fine = Flags::LAZILY_ALLOCATED | Flags::HOST_VISIBLE | Flags::HOST_CACHED | Flags::HOST_COHERENT;
    assert_eq!(selector.check_required(fine), Ok(()));
}

#[test]
fn protected_memory_can_be_asked_for() {
    let declared = Features { protected_memory: true, ..Features::default() };
    let selector = Selector::new(&layouts::of("adreno-6xx"), declared);
    let extra = ExtraFlags { required: Flags::PROTECTED, ..ExtraFlags::default() };
    let request = TypeRequest { intent: Intent::GpuOnly, extra };
    assert_eq!(selector.candidates(&request, u32::MAX).as_slice(), [4]);
    assert!(!chosen(&selector, Intent::GpuOnly).contains(&4));
}

#[test]
fn flags_of_the_user_outweigh_the_intent() {
    let selector = selector("geforce-rtx-3070");
    let extra = |required, preferred, avoided| ExtraFlags { required, preferred, avoided };
    let ask =
        |extra| selector.candidates(&TypeRequest { intent: Intent::GpuOnly, extra }, u32::MAX).as_slice().to_vec();
    let none = Flags::empty();
    assert_eq!(ask(extra(Flags::DEVICE_LOCAL | Flags::HOST_VISIBLE, none, none)), [4]);
    assert_eq!(ask(extra(none, Flags::HOST_CACHED, none)), [3, 1, 0, 2, 4]);
    assert_eq!(ask(extra(none, none, Flags::DEVICE_LOCAL)), [0, 2, 3, 1, 4]);
}

#[test]
fn only_types_of_the_resource_are_candidates() {
    let selector = selector("geforce-rtx-3070");
    assert_eq!(selector.candidates(&Intent::Stream.into(), 0b01100).as_slice(), [2, 3]);
    assert!(selector.candidates(&Intent::Stream.into(), 0b00011).is_empty());
    assert!(selector.candidates(&Intent::Stream.into(), 0).is_empty());
}

#[test]
fn every_type_is_explained() {
    let mut properties = layouts::of("adreno-6xx");
    properties.memory_types.extend(["DU@0", "DN@0", "D@3"].map(layouts::memory_type));
    let selector = Selector::new(&properties, Features::default());
    let said = selector.explain(&Intent::Stream.into(), !0b10);
    let words: Vec<String> = said
        .iter()
        .map(|type_verdict| match type_verdict.verdict {
            Verdict::Candidate { rank, .. } => format!("{rank}"),
            Verdict::Rejected(reason) => reason.to_string(),
        })
        .collect();
    assert_eq!(words[0], "lacks HOST_VISIBLE");
    assert_eq!((words[2].as_str(), words[3].as_str()), ("0", "1"));
    assert_eq!(words[1], "is not allowed for the resource");
    assert_eq!(words[4], "is PROTECTED, and the feature protectedMemory was not declared");
    assert_eq!(words[5], "is LAZILY_ALLOCATED, which was not asked for");
    assert!(words[6].starts_with("has unknown flags"), "{}", words[6]);
    assert!(words[7].starts_with("is RDMA_CAPABLE_NV, and"), "{}", words[7]);
    assert_eq!(words[8], "is of heap 3, which does not exist or is empty");
}

#[test]
fn a_candidate_s_failings_are_named() {
    let said = selector("geforce-rtx-3070").explain(&Intent::Readback.into(), u32::MAX);
    let expected =
        Verdict::Candidate { rank: 2, lacking: Flags::HOST_CACHED, unwelcome: Flags::DEVICE_LOCAL, is_precious: true };
    assert_eq!(said[4].verdict, expected);
}

#[test]
fn intents_are_indexed_as_they_are_listed() {
    for (index, intent) in Intent::ALL.into_iter().enumerate() {
        assert_eq!(intent as usize, index);
    }
}

/// A layout that no device has: any flags, heaps that may not exist.
fn any_properties() -> impl Strategy<Value = Properties> {
    let memory_type = (0..0x400_u32, 0..4_u32)
        .prop_map(|(flags, heap_index)| MemoryType { property_flags: Flags::from_raw(flags), heap_index });
    let heap = (0..3_u64).prop_map(|size| MemoryHeap { size: size * 256 * MIB, ..MemoryHeap::default() });
    (prop::collection::vec(memory_type, 0..=32), prop::collection::vec(heap, 0..=3))
        .prop_map(|(memory_types, memory_heaps)| Properties { memory_types, memory_heaps, ..Properties::default() })
}

fn any_features() -> impl Strategy<Value = Features> {
    (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(protected_memory, device_coherent_memory, rdma)| {
        Features { protected_memory, device_coherent_memory, external_memory_rdma: rdma, ..Features::default() }
    })
}

fn any_request() -> impl Strategy<Value = TypeRequest> {
    let flags = || prop_oneof![2 => Just(0), 1 => 0..0x400_u32].prop_map(Flags::from_raw);
    (0..Intent::ALL.len(), flags(), flags(), flags()).prop_map(|(intent, required, preferred, avoided)| TypeRequest {
        intent: Intent::ALL[intent],
        extra: ExtraFlags { required, preferred, avoided },
    })
}

/// What no policy may do, on any device that is known. `tests/golden/memory_types.txt` shows the choices themselves.
#[test]
fn no_device_is_served_badly() {
    for device in layouts::names() {
        let (properties, selector) = (layouts::of(&device), selector(&device));
        let first = |intent: Intent| properties.flags_of(selector.best(&intent.into(), u32::MAX).expect("a type"));
        let has = |wanted: Flags| (0..32).any(|index| properties.flags_of(index).contains(wanted));
        let cached = Flags::HOST_VISIBLE | Flags::HOST_CACHED;
        assert!(!has(cached) || first(Intent::Readback).contains(cached), "{device}: reads what is not cached");
        assert_eq!(
            first(Intent::Transient).contains(Flags::LAZILY_ALLOCATED),
            has(Flags::LAZILY_ALLOCATED),
            "{device}"
        );
        assert!(first(Intent::GpuOnly).contains(Flags::DEVICE_LOCAL), "{device}");
        assert!(first(Intent::Upload).contains(Flags::HOST_COHERENT), "{device}");
        let visible_local = Flags::DEVICE_LOCAL | Flags::HOST_VISIBLE;
        assert!(!has(visible_local) || first(Intent::Stream).contains(visible_local), "{device}");
        for intent in Intent::ALL {
            let bar = selector.topology().small_bar_heap();
            let is_in_bar = |index: u32| bar == Some(properties.memory_types[index as usize].heap_index);
            let order = selector.candidates(&intent.into(), u32::MAX);
            for (place, index) in order.iter().enumerate() {
                let flags = properties.flags_of(index);
                let guarded = Flags::PROTECTED | Flags::DEVICE_COHERENT_AMD | Flags::DEVICE_UNCACHED_AMD;
                assert!(!flags.intersects(guarded), "{device}: {intent} takes {flags:?}");
                assert!(intent == Intent::Transient || !flags.contains(Flags::LAZILY_ALLOCATED), "{device}: {intent}");
                // The small BAR is the last resort of every intent but the one it is for.
                let is_last = order.iter().skip(place).all(is_in_bar);
                assert!(intent == Intent::Stream || !is_in_bar(index) || is_last, "{device}: {intent} floods the BAR");
            }
        }
    }
}

proptest! {
    /// I1 and I2 on any layout: a candidate is what was asked for and nothing more, and each type is there once.
    #[test]
    fn candidates_keep_the_invariants(
        properties in any_properties(), features in any_features(), request in any_request(), bits in any::<u32>()
    ) {
        let selector = Selector::new(&properties, features);
        let candidates = selector.candidates(&request, bits);
        let ask = Ask::new(&request);
        let mut seen = 0_u32;
        for index in candidates.iter() {
            let flags = properties.flags_of(index);
            prop_assert!(bits & (1 << index) != 0 && seen & (1 << index) == 0);
            seen |= 1 << index;
            prop_assert!(properties.heap_of(index).is_some_and(|heap| heap.size > 0));
            prop_assert!(flags.contains(ask.required) && unknown(flags).is_empty());
            let is_asked = |guarded: Flags| !flags.intersects(guarded) || ask.asked.intersects(guarded);
            prop_assert!(GUARDS.iter().all(|guard| is_asked(guard.flags)));
            prop_assert!(features.protected_memory || !flags.contains(Flags::PROTECTED));
        }
    }

    /// I3, and that the explanation is about the same order as the answer.
    #[test]
    fn the_explanation_agrees_with_the_answer(
        properties in any_properties(), features in any_features(), request in any_request(), bits in any::<u32>()
    ) {
        let selector = Selector::new(&properties, features);
        let candidates = selector.candidates(&request, bits);
        prop_assert_eq!(candidates, Selector::new(&properties, features).candidates(&request, bits));
        prop_assert_eq!(candidates.first(), selector.best(&request, bits));
        let said = selector.explain(&request, bits);
        prop_assert_eq!(said.len(), properties.memory_types.len());
        for type_verdict in said {
            let place = candidates.iter().position(|index| index == type_verdict.memory_type_index);
            match type_verdict.verdict {
                Verdict::Candidate { rank, .. } => prop_assert_eq!(place, Some(rank as usize)),
                Verdict::Rejected(_) => prop_assert_eq!(place, None),
            }
        }
    }

    /// The precomputed order is the one that is computed on the fly.
    #[test]
    fn the_table_holds_what_ranking_yields(properties in any_properties(), features in any_features(), bits in any::<u32>()) {
        let selector = Selector::new(&properties, features);
        for intent in Intent::ALL {
            let order = selector.rank(&Ask::new(&intent.into()));
            let ranked = order.within(bits);
            prop_assert_eq!(selector.candidates(&intent.into(), bits), ranked);
            prop_assert_eq!(selector.best(&intent.into(), bits), ranked.first());
            prop_assert_eq!(selector.first(intent), order.first());
        }
    }
}
