//! Generated programs over a whole allocator: every intent, kind and size, upkeep, budgets that change under way.

use ash::vk;
use freestone::sim::Profile;
use freestone::{
    Algorithm, AllocationCreateInfo, AllocationRequirements, DedicatedPreference, DedicatedUse, Intent, Kind,
    MemoryPriority, PoolCreateInfo,
};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::{every_device, mib, requirements, two_heaps};

/// A request with its wishes.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) size: u64,
    pub(crate) alignment: u64,
    pub(crate) is_linear: bool,
    pub(crate) intent: Intent,
    pub(crate) preference: DedicatedPreference,
    pub(crate) dedicated: DedicatedUse,
    pub(crate) within_budget: bool,
    pub(crate) may_spill: bool,
    pub(crate) more: More,
}

/// What else a request may wish for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum More {
    Nothing,
    Required(vk::MemoryPropertyFlags),
    Preferred(vk::MemoryPropertyFlags),
    Avoided(vk::MemoryPropertyFlags),
    Priority(u8),
    ShortLived,
}

impl Wish {
    pub(crate) fn requirements(&self) -> AllocationRequirements {
        let kind = if self.is_linear { Kind::Linear } else { Kind::NonLinear };
        AllocationRequirements { dedicated: self.preference, ..requirements(self.size, self.alignment, kind) }
    }

    /// Returns the flags without which no memory type will do.
    pub(crate) fn required_flags(&self) -> vk::MemoryPropertyFlags {
        if let More::Required(flags) = self.more { flags } else { vk::MemoryPropertyFlags::empty() }
    }

    /// Returns whether there may be no memory type for it.
    pub(crate) fn is_choosy(&self) -> bool {
        !self.required_flags().is_empty()
    }

    pub(crate) fn info(&self) -> AllocationCreateInfo<'static> {
        let mut info = AllocationCreateInfo::new(self.intent).dedicated(self.dedicated);
        if self.within_budget {
            info = info.within_budget();
        }
        info = match self.more {
            More::Nothing => info,
            More::Required(flags) => info.required_flags(flags),
            More::Preferred(flags) => info.preferred_flags(flags),
            More::Avoided(flags) => info.avoided_flags(flags),
            More::Priority(step) => info.priority(MemoryPriority::new(f32::from(step) / 2.0)),
            More::ShortLived => info.short_lived(),
        };
        if self.may_spill { info } else { info.without_spilling() }
    }
}

/// A custom pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolWish {
    pub(crate) intent: Intent,
    pub(crate) algorithm: Algorithm,
    pub(crate) block_size: Option<u64>,
    pub(crate) min_block_count: u32,
    pub(crate) more_blocks: u32,
    /// A power of two.
    pub(crate) min_alignment: u64,
    pub(crate) kind: Option<Kind>,
}

impl PoolWish {
    pub(crate) fn info(&self) -> PoolCreateInfo {
        let info = PoolCreateInfo::for_intent(self.intent)
            .algorithm(self.algorithm)
            .min_block_count(self.min_block_count)
            .max_block_count(self.min_block_count.saturating_add(self.more_blocks).max(1))
            .min_alignment(self.min_alignment);
        let info = self.kind.map_or(info.clone(), |kind| info.kind(kind));
        self.block_size.map_or(info.clone(), |bytes| info.block_size(bytes))
    }
}

/// One step of a program.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Allocate(Wish),
    /// Several at once, with the first one's wishes.
    AllocateMany(Vec<Wish>),
    /// Rehearses an allocation.
    Plan(Wish),
    CreatePool(PoolWish),
    DestroyPool(usize),
    /// Allocates in one of the custom pools, by number.
    AllocateInPool(usize, Wish),
    CreateBuffer(Wish),
    CreateImage(Wish),
    /// Writes to one of the live allocations, by number, and flushes it.
    Access(usize),
    /// Frees one of the live allocations, by number.
    Free(usize),
    /// Frees all but every nth, so that blocks become empty.
    FreeMost(usize),
    Trim,
    Prewarm(Intent, u64),
    Tick(u32),
    /// Changes what the driver reports as a heap's budget.
    Budget {
        heap_index: u32,
        bytes: u64,
    },
    /// Changes what others use of a heap.
    Foreign {
        heap_index: u32,
        bytes: u64,
    },
    /// Lets the nth call from here fail.
    Fail {
        n: u64,
        result: vk::Result,
    },
}

/// Sizes whose magnitudes are equally likely, up to 24 MiB.
fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0_u32..21, any::<u64>()).prop_map(|(magnitude, bits)| 1 + bits % (1 << magnitude)),
        2 => mib(1)..mib(24),
        1 => Just(mib(1)),
    ]
}

fn intent() -> impl Strategy<Value = Intent> {
    (0..Intent::ALL.len()).prop_map(|index| Intent::ALL[index])
}

fn more() -> impl Strategy<Value = More> {
    let flags = || (0_u32..16).prop_map(vk::MemoryPropertyFlags::from_raw);
    prop_oneof![
        8 => Just(More::Nothing),
        1 => flags().prop_map(More::Required),
        1 => flags().prop_map(More::Preferred),
        1 => flags().prop_map(More::Avoided),
        1 => (0_u8..3).prop_map(More::Priority),
        1 => Just(More::ShortLived),
    ]
}

fn wish() -> impl Strategy<Value = Wish> {
    let preference = prop_oneof![
        8 => Just(DedicatedPreference::None),
        1 => Just(DedicatedPreference::Preferred),
        1 => Just(DedicatedPreference::Required)
    ];
    let dedicated =
        prop_oneof![8 => Just(DedicatedUse::Auto), 1 => Just(DedicatedUse::Always), 1 => Just(DedicatedUse::Never)];
    let flags = (any::<bool>(), any::<bool>(), 0_u32..4);
    (size(), 0_u32..17, intent(), preference, dedicated, flags, more()).prop_map(
        |(size, alignment, intent, preference, dedicated, (is_linear, within_budget, spill), more)| Wish {
            size,
            alignment: 1 << alignment,
            is_linear,
            intent,
            preference,
            dedicated,
            within_budget,
            may_spill: spill > 0,
            more,
        },
    )
}

/// Steps without failures of the driver.
pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => wish().prop_map(Step::Allocate),
        12 => any::<usize>().prop_map(Step::Free),
        1 => (2_usize..8).prop_map(Step::FreeMost),
        1 => Just(Step::Trim),
        1 => (intent(), 1..mib(4)).prop_map(|(intent, bytes)| Step::Prewarm(intent, bytes)),
        1 => (1_u32..400).prop_map(Step::Tick),
        2 => (0_u32..3, 1..mib(48)).prop_map(|(heap_index, bytes)| Step::Budget { heap_index, bytes }),
        1 => (0_u32..3, 1..mib(16)).prop_map(|(heap_index, bytes)| Step::Foreign { heap_index, bytes }),
    ]
}

fn pool_wish() -> impl Strategy<Value = PoolWish> {
    let algorithm = prop_oneof![
        2 => Just(Algorithm::Tlsf),
        1 => Just(Algorithm::Linear),
        1 => (1_u64..100_000).prop_map(|slot_size| Algorithm::Fixed { slot_size }),
    ];
    let block_size = prop_oneof![Just(None), (1_u64..mib(2)).prop_map(Some)];
    let counts = (0_u32..3, prop_oneof![0_u32..3, Just(u32::MAX)]);
    let kind = prop_oneof![2 => Just(None), 1 => Just(Some(Kind::Linear)), 1 => Just(Some(Kind::NonLinear))];
    (intent(), algorithm, block_size, counts, 0_u32..10, kind).prop_map(
        |(intent, algorithm, block_size, (min_block_count, more_blocks), alignment, kind)| PoolWish {
            intent,
            algorithm,
            block_size,
            min_block_count,
            more_blocks,
            min_alignment: 1 << alignment,
            kind,
        },
    )
}

/// Steps of every kind: custom pools, resources, accesses and plans too.
pub(crate) fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => step_with_failures(),
        1 => vec(wish(), 1..6).prop_map(Step::AllocateMany),
        2 => wish().prop_map(Step::Plan),
        2 => pool_wish().prop_map(Step::CreatePool),
        1 => any::<usize>().prop_map(Step::DestroyPool),
        8 => (any::<usize>(), wish()).prop_map(|(number, wish)| Step::AllocateInPool(number, wish)),
        3 => wish().prop_map(Step::CreateBuffer),
        3 => wish().prop_map(Step::CreateImage),
        2 => any::<usize>().prop_map(Step::Access),
    ]
}

/// Steps, now and then with a failure ahead.
pub(crate) fn step_with_failures() -> impl Strategy<Value = Step> {
    let results = [
        vk::Result::ERROR_OUT_OF_DEVICE_MEMORY,
        vk::Result::ERROR_OUT_OF_HOST_MEMORY,
        vk::Result::ERROR_TOO_MANY_OBJECTS,
        vk::Result::ERROR_MEMORY_MAP_FAILED,
    ];
    let fail = (1_u64..4, 0..results.len()).prop_map(move |(n, index)| Step::Fail { n, result: results[index] });
    prop_oneof![15 => step(), 1 => fail]
}

/// Names of the models, of one whose heaps are small, and, half of the time, of a device of the corpus: a failing case
/// prints a name, not a device.
pub(crate) fn profile_name() -> impl Strategy<Value = String> {
    const MODELS: [&str; 5] = ["discrete-rebar", "discrete-bar256", "unified", "noncoherent", "two-heaps"];
    let corpus: Vec<String> = Profile::corpus().into_iter().map(|profile| profile.name).collect();
    let of_corpus = (0..corpus.len()).prop_map(move |index| corpus[index].clone());
    prop_oneof![(0..MODELS.len()).prop_map(|index| MODELS[index].to_owned()), of_corpus]
}

/// Returns the profile of one of those names.
pub(crate) fn profile(name: &str) -> Profile {
    Profile::by_name(name).unwrap_or_else(|| two_heaps(mib(40), mib(64)))
}

/// Runs some generated programs on each device, the same ones every time: where devices are drawn, one may be passed
/// by.
///
/// # Panics
/// Where one fails, with the device and the smallest program that still does.
pub(crate) fn on_every_device<S: Strategy>(cases: u32, programs: &S, run: impl Fn(Profile, S::Value)) {
    for (number, profile) in (1..).zip(every_device()) {
        // Nothing is to be kept of a failure: each run draws the same.
        let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[number; 32]);
        let outcome = TestRunner::new_with_rng(config, rng).run(programs, |program| {
            run(profile.clone(), program);
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{}: {failure}", profile.name));
    }
}
