//! The ladder without a device: it ends whatever it hears, and its orders are what the file's head says.

use ash::vk::MemoryPropertyFlags as Flags;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy as _, any, prop_oneof, proptest};

use super::*;
use crate::device::{DriverError, Features, MemoryHeap, MemoryType, Properties};
use crate::memory_type::{Intent, Selector};

const MIB: u64 = 1 << 20;

/// Returns so many candidates, in the order of their indices.
fn candidates(count: usize) -> Candidates {
    let heap = MemoryHeap { size: 1 << 30, flags: vk::MemoryHeapFlags::DEVICE_LOCAL };
    let memory_type = MemoryType { property_flags: Flags::DEVICE_LOCAL, heap_index: 0 };
    let properties =
        Properties { memory_heaps: vec![heap], memory_types: vec![memory_type; count], ..Properties::default() };
    Selector::new(&properties, Features::default()).candidates(&Intent::GpuOnly.into(), u32::MAX)
}

fn facts(strategy: Strategy) -> Facts {
    let growth = GrowthSettings::for_heap(1 << 30, u64::MAX);
    Facts { strategy, without_dedicated: Strategy::Shared, growth, block_size: MIB, request_size: 300 << 10 }
}

const DEFAULT: LadderRules = LadderRules { within_budget: false, may_spill: true };

fn driver(result: vk::Result) -> Refusal {
    Refusal::Driver(DriverError { call: "vkAllocateMemory", result })
}

fn over_budget(left: u64) -> Refusal {
    Refusal::Budget(Refused::OverBudget {
        heap_index: 0,
        is_device_local: true,
        asked: MIB,
        usage: 100,
        budget: 100 + left,
    })
}

fn too_many() -> Refusal {
    Refusal::Budget(Refused::TooManyObjects { count: 4, max: 4 })
}

/// Runs a ladder to its end; `refuse` answers each attempt, every trim gives `trimmed` bytes back.
fn climb(
    mut ladder: Ladder,
    strategy: Strategy,
    trimmed: u64,
    mut refuse: impl FnMut(Attempt, Bound) -> Refusal,
) -> (Vec<Step>, Stop) {
    let mut steps = Vec::new();
    loop {
        let step = ladder.step();
        match step {
            Step::Enter { .. } => ladder.enter(facts(strategy)),
            Step::Try { attempt: Attempt::Existing, .. } => ladder.refused(&Refusal::DoesNotFit),
            Step::Try { attempt, bound, .. } => ladder.refused(&refuse(attempt, bound)),
            Step::TrimHeap { .. } | Step::TrimAll => ladder.trimmed(trimmed),
            Step::Stop(reason) => return (steps, reason),
        }
        if !matches!(step, Step::Enter { .. }) {
            steps.push(step);
        }
        assert!(steps.len() < 1000, "I1: {steps:?}");
    }
}

fn attempt(memory_type_index: u32, attempt: Attempt, bound: Bound) -> Step {
    Step::Try { memory_type_index, attempt, bound }
}

fn grow(memory_type_index: u32, kibibytes: u64, bound: Bound) -> Step {
    attempt(memory_type_index, Attempt::Grow { bytes: kibibytes << 10 }, bound)
}

#[test]
fn a_driver_that_refuses_is_asked_for_halves_after_a_trim_too_and_then_the_next_type() {
    let bound = Bound::WithinBudget;
    let of_type = |index| {
        let halves = [grow(index, 1024, bound), grow(index, 512, bound), grow(index, 320, bound)];
        let mut steps = vec![attempt(index, Attempt::Existing, bound)];
        steps.extend(halves);
        steps.push(Step::TrimHeap { memory_type_index: index });
        steps.extend(halves);
        steps
    };
    let refuse = |_, _| driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    let (steps, stop) = climb(Ladder::new(candidates(2), DEFAULT), Strategy::Shared, MIB, refuse);
    assert_eq!(steps, [of_type(0), of_type(1)].concat());
    assert_eq!(stop, Stop::Exhausted);
}

#[test]
fn a_refusal_that_says_what_is_left_is_asked_for_just_that() {
    let (heap_index, is_device_local, asked, left) = (0, true, MIB, 400 << 10);
    for refused in [
        Refused::OverBudget { heap_index, is_device_local, asked, usage: 100, budget: 100 + left },
        Refused::OverLimit { heap_index, is_device_local, asked, usage: 100, limit: 100 + left },
        Refused::OverHeap { heap_index, is_device_local, asked, own: 100, cap: 100 + left },
    ] {
        let refuse = |_, _| Refusal::Budget(refused);
        let rules = LadderRules { within_budget: true, ..DEFAULT };
        let (steps, _) = climb(Ladder::new(candidates(1), rules), Strategy::Shared, 0, refuse);
        let bound = Bound::WithinBudget;
        // 384 KiB are the whole pages of what is left; 320 those of the request.
        let opened = [grow(0, 1024, bound), grow(0, 384, bound), grow(0, 320, bound)];
        assert_eq!(steps[1..4], opened, "{refused}");
    }
}

#[test]
fn a_budget_that_refuses_is_exceeded_only_when_all_types_have_refused() {
    let refuse = |_, bound| match bound {
        Bound::WithinBudget => over_budget(0),
        Bound::WithinHeap => driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
    };
    let (steps, _) = climb(Ladder::new(candidates(3), DEFAULT), Strategy::OwnBlock, 0, refuse);
    let bounds: Vec<(u32, Bound)> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Try { memory_type_index, attempt: Attempt::Own, bound } => Some((*memory_type_index, *bound)),
            _ => None,
        })
        .collect();
    let of = |bound| (0..3).map(move |index| (index, bound));
    assert_eq!(bounds, of(Bound::WithinBudget).chain(of(Bound::WithinHeap)).collect::<Vec<_>>());
    let strict = LadderRules { within_budget: true, ..DEFAULT };
    let (steps, _) = climb(Ladder::new(candidates(3), strict), Strategy::OwnBlock, 0, |_, _| over_budget(0));
    assert!(steps.iter().all(|step| !matches!(step, Step::Try { bound: Bound::WithinHeap, .. })), "{steps:?}");
}

#[test]
fn what_only_the_budget_does_not_refuse_is_not_tried_above_it() {
    let refuse = |_, _| driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    let (steps, _) = climb(Ladder::new(candidates(2), DEFAULT), Strategy::OwnBlock, 0, refuse);
    assert!(steps.iter().all(|step| !matches!(step, Step::Try { bound: Bound::WithinHeap, .. })), "{steps:?}");
}

#[test]
fn too_many_objects_leaves_existing_blocks_only() {
    let bound = Bound::WithinBudget;
    let (steps, stop) = climb(Ladder::new(candidates(3), DEFAULT), Strategy::Shared, 0, |_, _| too_many());
    let expected = [
        attempt(0, Attempt::Existing, bound),
        grow(0, 1024, bound),
        Step::TrimAll,
        attempt(1, Attempt::Existing, bound),
        attempt(2, Attempt::Existing, bound),
    ];
    assert_eq!((steps.as_slice(), stop), (expected.as_slice(), Stop::Exhausted));
}

#[test]
fn too_many_objects_lets_a_preferred_dedicated_allocation_share_in_every_type() {
    let bound = Bound::WithinBudget;
    let preferred = Strategy::Dedicated { is_required: false };
    let (steps, _) = climb(Ladder::new(candidates(2), DEFAULT), preferred, 0, |_, _| too_many());
    let expected = [
        attempt(0, Attempt::Dedicated, bound),
        Step::TrimAll,
        attempt(0, Attempt::Existing, bound),
        attempt(1, Attempt::Existing, bound),
    ];
    assert_eq!(steps, expected);
    let required = Strategy::Dedicated { is_required: true };
    let (steps, _) = climb(Ladder::new(candidates(2), DEFAULT), required, 0, |_, _| too_many());
    assert_eq!(steps, [attempt(0, Attempt::Dedicated, bound), Step::TrimAll], "it never shares");
}

#[test]
fn the_attempt_that_met_too_many_objects_is_made_once_more_where_a_trim_gave_one_back() {
    let bound = Bound::WithinBudget;
    let (steps, stop) = climb(Ladder::new(candidates(2), DEFAULT), Strategy::Shared, MIB, |_, _| too_many());
    let expected = [
        attempt(0, Attempt::Existing, bound),
        grow(0, 1024, bound),
        Step::TrimAll,
        grow(0, 1024, bound),
        attempt(1, Attempt::Existing, bound),
    ];
    assert_eq!((steps.as_slice(), stop), (expected.as_slice(), Stop::Exhausted));
}

/// What is refused for bytes then, lacks no place for an object: other types and the budget's excess come as ever.
#[test]
fn a_place_that_a_trim_made_is_there_for_every_type() {
    let mut refusals = [too_many()].into_iter().chain(core::iter::repeat(over_budget(0)));
    let refuse = |_, _| refusals.next().expect("it never ends");
    let (steps, _) = climb(Ladder::new(candidates(2), DEFAULT), Strategy::OwnBlock, MIB, refuse);
    let own: Vec<(u32, Bound)> = steps
        .iter()
        .filter_map(|step| match *step {
            Step::Try { memory_type_index, attempt: Attempt::Own, bound } => Some((memory_type_index, bound)),
            _ => None,
        })
        .collect();
    let of = |bound| [0, 0, 0, 1, 1].map(|memory_type_index| (memory_type_index, bound));
    let above = [0, 0, 1, 1].map(|memory_type_index| (memory_type_index, Bound::WithinHeap));
    assert_eq!(own, [of(Bound::WithinBudget).as_slice(), &above].concat(), "each heap is trimmed once");
}

#[test]
fn what_must_be_dedicated_is_so_after_a_trim_too() {
    let required = Strategy::Dedicated { is_required: true };
    let refuse = |_, _| driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    let (steps, _) = climb(Ladder::new(candidates(1), DEFAULT), required, MIB, refuse);
    let dedicated = attempt(0, Attempt::Dedicated, Bound::WithinBudget);
    assert_eq!(steps, [dedicated, Step::TrimHeap { memory_type_index: 0 }, dedicated]);
}

#[test]
fn after_another_thread_s_growth_existing_blocks_are_looked_at_again() {
    let mut ladder = Ladder::new(candidates(1), DEFAULT);
    ladder.enter(facts(Strategy::Shared));
    ladder.refused(&Refusal::DoesNotFit);
    assert_eq!(ladder.step(), grow(0, 1024, Bound::WithinBudget));
    ladder.look_again();
    assert_eq!(ladder.step(), attempt(0, Attempt::Existing, Bound::WithinBudget));
    assert!(ladder.is_looking_again());
}

/// Otherwise two threads that are refused in turn would send each other back for ever.
#[test]
fn a_growth_that_was_waited_for_in_vain_takes_no_rung_back() {
    let bound = Bound::WithinBudget;
    let climb = |waits: usize| {
        let (mut ladder, mut steps) = (Ladder::new(candidates(1), DEFAULT), Vec::new());
        ladder.enter(facts(Strategy::Shared));
        while let Step::Try { attempt, .. } = ladder.step() {
            if matches!(attempt, Attempt::Grow { .. }) {
                (0..waits).for_each(|_| {
                    ladder.look_again();
                    assert!(ladder.is_looking_again());
                    ladder.refused(&Refusal::DoesNotFit);
                });
            }
            steps.push(ladder.step());
            ladder.refused(&driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
        }
        steps
    };
    assert_eq!(climb(0)[1..], [grow(0, 1024, bound), grow(0, 512, bound), grow(0, 320, bound)]);
    assert_eq!(climb(3), climb(0));
}

#[test]
fn out_of_host_memory_is_retried_once() {
    let exhausted = vk::Result::ERROR_OUT_OF_HOST_MEMORY;
    for trimmed in [MIB, 0] {
        let mut count = 0;
        let refuse = |_, _| {
            count += 1;
            driver(exhausted)
        };
        let (steps, stop) = climb(Ladder::new(candidates(3), DEFAULT), Strategy::Shared, trimmed, refuse);
        assert_eq!((count, stop), (2, Stop::Driver(exhausted)), "{steps:?}");
    }
}

#[test]
fn what_is_merely_preferred_comes_to_blocks_after_all_pools_were_trimmed() {
    let (exhausted, refused) = (vk::Result::ERROR_OUT_OF_HOST_MEMORY, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
    let bound = Bound::WithinBudget;
    let dedicated = attempt(0, Attempt::Dedicated, bound);
    for second in [exhausted, refused] {
        let mut results = [exhausted, second].into_iter().chain(core::iter::repeat(exhausted));
        let refuse = |_, _| driver(results.next().expect("it never ends"));
        let preferred = Strategy::Dedicated { is_required: false };
        let (steps, stop) = climb(Ladder::new(candidates(2), DEFAULT), preferred, 0, refuse);
        let expected =
            [dedicated, Step::TrimAll, dedicated, attempt(0, Attempt::Existing, bound), grow(0, 1024, bound)];
        assert_eq!((steps.as_slice(), stop), (expected.as_slice(), Stop::Driver(exhausted)));
    }
}

#[test]
fn other_results_stop_at_once() {
    for result in [vk::Result::ERROR_DEVICE_LOST, vk::Result::ERROR_UNKNOWN, vk::Result::NOT_READY] {
        let (steps, stop) = climb(Ladder::new(candidates(3), DEFAULT), Strategy::OwnBlock, MIB, |_, _| driver(result));
        assert_eq!((steps.len(), stop), (2, Stop::Driver(result)));
    }
}

#[test]
fn a_trim_follows_what_it_may_mend() {
    let trims = [
        (over_budget(0), Some(AttemptKind::TrimHeap)),
        (driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY), Some(AttemptKind::TrimHeap)),
        (driver(vk::Result::ERROR_OUT_OF_HOST_MEMORY), Some(AttemptKind::TrimAll)),
        (too_many(), Some(AttemptKind::TrimAll)),
        (driver(vk::Result::ERROR_DEVICE_LOST), None),
        (Refusal::BlockLimit { max: 1 }, None),
        (Refusal::TooLarge { limit: 1 }, None),
    ];
    for (refusal, trim) in trims {
        assert_eq!(trim_after(&refusal), trim, "{refusal:?}");
    }
}

#[test]
fn no_candidate_is_the_end() {
    assert_eq!(Ladder::new(candidates(0), DEFAULT).step(), Step::Stop(Stop::Exhausted));
}

fn refusal() -> impl proptest::strategy::Strategy<Value = Refusal> {
    prop_oneof![
        4 => (0..2 * MIB).prop_map(over_budget),
        2 => proptest::strategy::Just(driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY)),
        1 => proptest::strategy::Just(driver(vk::Result::ERROR_OUT_OF_HOST_MEMORY)),
        1 => proptest::strategy::Just(driver(vk::Result::ERROR_TOO_MANY_OBJECTS)),
        1 => proptest::strategy::Just(too_many()),
        1 => proptest::strategy::Just(Refusal::TooLarge { limit: 1 }),
        1 => proptest::strategy::Just(Refusal::BlockLimit { max: 1 }),
        1 => proptest::strategy::Just(Refusal::DoesNotFit),
        1 => (0..MIB).prop_map(|left| Refusal::Budget(Refused::OverLimit {
            heap_index: 0, is_device_local: false, asked: MIB, usage: 7, limit: 7 + left
        })),
        1 => (0..MIB).prop_map(|left| Refusal::Budget(Refused::OverHeap {
            heap_index: 0, is_device_local: false, asked: MIB, own: 7, cap: 7 + left
        })),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// I1: whatever is answered, the ladder ends; and it never trims all twice, nor exceeds a budget it must keep.
    #[test]
    fn it_ends_whatever_it_hears(
        count in 0_usize..8,
        (within_budget, may_spill) in any::<(bool, bool)>(),
        strategy in 0_usize..4,
        trims in vec(0_u64..3, 1..4),
        refusals in vec(refusal(), 1..12),
    ) {
        let strategies = [
            Strategy::Shared,
            Strategy::OwnBlock,
            Strategy::Dedicated { is_required: true },
            Strategy::Dedicated { is_required: false },
        ];
        let mut next = 0;
        let refuse = |_, _| {
            next += 1;
            refusals[next % refusals.len()].clone()
        };
        let ladder = Ladder::new(candidates(count), LadderRules { within_budget, may_spill });
        let (steps, _) = climb(ladder, strategies[strategy], trims[0], refuse);
        assert!(steps.iter().filter(|step| **step == Step::TrimAll).count() <= 1, "{steps:?}");
        let is_above = |step: &Step| matches!(step, Step::Try { bound: Bound::WithinHeap, .. });
        assert!(!(within_budget && steps.iter().any(is_above)), "{steps:?}");
        let is_elsewhere = |step: &Step| matches!(step, Step::Try { memory_type_index, .. } if *memory_type_index > 0);
        assert!(may_spill || !steps.iter().any(is_elsewhere), "{steps:?}");
        for index in 0..8 {
            let heap_trims = steps.iter().filter(|step| **step == Step::TrimHeap { memory_type_index: index });
            assert!(heap_trims.count() <= 2, "{steps:?}");
        }
    }
}

/// What is merely preferred has blocks behind it: once those were tried, a trim does not bring the preference back.
#[test]
fn after_a_trim_the_attempt_that_was_made_is_made_again() {
    let preferred = Strategy::Dedicated { is_required: false };
    let refuse = |attempt, _| match attempt {
        Attempt::Dedicated => driver(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
        _ => too_many(),
    };
    let (steps, _) = climb(Ladder::new(candidates(1), DEFAULT), preferred, MIB, refuse);
    let trimmed = steps.iter().position(|step| *step == Step::TrimAll).expect("an object may make way");
    assert_eq!(steps[trimmed + 1], steps[trimmed - 1], "{steps:?}");
    assert!(matches!(steps[trimmed - 1], Step::Try { attempt: Attempt::Grow { .. }, .. }), "{steps:?}");
    let required = Strategy::Dedicated { is_required: true };
    let (steps, _) = climb(Ladder::new(candidates(1), DEFAULT), required, MIB, |_, _| too_many());
    assert!(steps.iter().all(|step| !matches!(step, Step::Try { attempt: Attempt::Existing, .. })), "{steps:?}");
}
