//! Workload g: suballocators alone, over one range of 256 MiB.

use offset_allocator::Allocator as OffsetAllocator;

use freestone::{Algorithm, Request, VirtualAllocation, VirtualBlock, VirtualBlockCreateInfo};

use crate::callgrind;
use crate::clock::{Clock, cpu_ns, median, ticks};
use crate::driver::{KIB, MIB};
use crate::heap;
use crate::random::Random;
use crate::request::Sizes;
use crate::row::Row;

const RANGE: u64 = 256 * MIB;
/// Every size is a multiple of this.
const UNIT: u64 = 256;

/// A suballocator.
pub(crate) trait Suballocator: Sized {
    /// What frees a range.
    type Key;

    fn new(live_count: usize) -> Self;
    fn allocate(&mut self, size: u64) -> Option<Self::Key>;
    fn free(&mut self, key: Self::Key);
    /// Returns where a range starts; `None` for what hands out nothing.
    fn offset(&self, key: &Self::Key) -> Option<u64>;
}

/// Does nothing: what the harness costs.
pub(crate) struct NoRange(u64);

impl Suballocator for NoRange {
    type Key = u64;

    fn new(_live_count: usize) -> Self {
        Self(0)
    }

    #[inline(never)]
    fn allocate(&mut self, size: u64) -> Option<u64> {
        self.0 = self.0.wrapping_add(size);
        Some(self.0)
    }

    #[inline(never)]
    fn free(&mut self, key: u64) {
        self.0 = self.0.wrapping_sub(key);
    }

    fn offset(&self, _key: &u64) -> Option<u64> {
        None
    }
}

/// offset-allocator 0.2; its table of nodes is as large as the workload needs.
pub(crate) struct Offsets(OffsetAllocator);

impl Suballocator for Offsets {
    type Key = offset_allocator::Allocation;

    fn new(live_count: usize) -> Self {
        let (size, nodes) = (u32::try_from(RANGE), u32::try_from(2 * live_count + 1024));
        Self(OffsetAllocator::with_max_allocs(size.expect("256 MiB"), nodes.expect("few")))
    }

    #[inline(never)]
    fn allocate(&mut self, size: u64) -> Option<Self::Key> {
        self.0.allocate(u32::try_from(size).ok()?)
    }

    #[inline(never)]
    fn free(&mut self, key: Self::Key) {
        self.0.free(key);
    }

    fn offset(&self, key: &Self::Key) -> Option<u64> {
        Some(u64::from(key.offset))
    }
}

/// A virtual block of freestone; `KIND` says which.
pub(crate) struct Block<const KIND: u8>(VirtualBlock);

/// TLSF, every size exactly.
pub(crate) type Tlsf = Block<0>;
/// TLSF with slabs for sizes of up to 64 KiB.
pub(crate) type Slabs = Block<1>;
/// Linear: for what is freed in order.
pub(crate) type Linear = Block<2>;
/// Equal slots of 64 KiB.
pub(crate) type Fixed = Block<3>;

impl<const KIND: u8> Suballocator for Block<KIND> {
    type Key = VirtualAllocation;

    fn new(_live_count: usize) -> Self {
        let info = VirtualBlockCreateInfo::new(RANGE).unit(UNIT);
        let info = match KIND {
            0 => info,
            1 => info.slab_limit(64 * KIB),
            2 => info.algorithm(Algorithm::Linear),
            _ => info.algorithm(Algorithm::Fixed { slot_size: 64 * KIB }),
        };
        Self(VirtualBlock::new(&info).expect("the description makes sense"))
    }

    #[inline(never)]
    fn allocate(&mut self, size: u64) -> Option<VirtualAllocation> {
        self.0.allocate(&Request::new(size, 1)).ok()
    }

    #[inline(never)]
    fn free(&mut self, key: VirtualAllocation) {
        assert!(self.0.free(key.key).is_ok(), "a range of this block");
    }

    fn offset(&self, key: &VirtualAllocation) -> Option<u64> {
        Some(key.offset)
    }
}

/// In which order ranges are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Random,
    /// The oldest first.
    Fifo,
}

/// What is replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    live_count: usize,
    sizes: Sizes,
    order: Order,
}

/// Returns the workload of that name.
pub(crate) fn by_name(name: &str) -> Option<Load> {
    let (live_count, sizes, order) = match name {
        "g-1M" => (1000, Sizes::LogUniform(256, MIB), Order::Random),
        "g-64K" => (10_000, Sizes::LogUniform(256, 64 * KIB), Order::Random),
        "g-fixed" => (2000, Sizes::Fixed(64 * KIB), Order::Random),
        "g-ring" => (1000, Sizes::LogUniform(64, 64 * KIB), Order::Fifo),
        _ => return None,
    };
    Some(Load { live_count, sizes, order })
}

impl Load {
    fn sizes(&self, random: &mut Random, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.sizes.draw(random).next_multiple_of(UNIT)).collect()
    }

    fn replacements(&self, random: &mut Random, count: usize) -> Vec<(usize, u64)> {
        let sizes = self.sizes(random, count);
        let slot = |index| match self.order {
            Order::Random => random.below(self.live_count),
            Order::Fifo => index % self.live_count,
        };
        (0..count).map(slot).zip(sizes).collect()
    }

    /// Checks that no two ranges overlap and none lies outside.
    pub(crate) fn check<S: Suballocator>(&self) {
        let mut random = Random::new(12);
        let fill = self.sizes(&mut random, self.live_count);
        let mut suballocator = S::new(self.live_count);
        let mut ends = std::collections::BTreeMap::new();
        let mut live = Vec::new();
        for (slot, size) in fill.into_iter().enumerate().chain(self.replacements(&mut random, 2 * self.live_count)) {
            if slot < live.len() {
                let old: Option<S::Key> = core::mem::take(&mut live[slot]);
                let old = old.expect("filled before");
                if let Some(offset) = suballocator.offset(&old) {
                    ends.remove(&offset);
                }
                suballocator.free(old);
            } else {
                live.push(None);
            }
            let key = suballocator.allocate(size).expect("the range is a quarter full");
            if let Some(offset) = suballocator.offset(&key) {
                let end = offset + size;
                let before = ends.range(..=offset).next_back().is_none_or(|(_, end)| *end <= offset);
                let after = ends.range(offset..).next().is_none_or(|(start, _)| end <= *start);
                assert!(before && after && end <= RANGE, "{offset} to {end} overlaps or lies outside");
                ends.insert(offset, end);
            }
            live[slot] = Some(key);
        }
    }

    /// Measures a suballocator over `pairs` pairs in 20 chunks, then over as many one by one.
    pub(crate) fn run<S: Suballocator>(&self, pairs: usize) -> Row {
        let mut random = Random::new(11);
        let (fill, replacements) = (self.sizes(&mut random, self.live_count), self.replacements(&mut random, pairs));
        let mut live: Vec<Option<S::Key>> = Vec::with_capacity(self.live_count);
        let (mut allocate, mut free) = (Vec::with_capacity(pairs), Vec::with_capacity(pairs));
        let start = heap::live_bytes();
        let mut suballocator = S::new(self.live_count);
        live.extend(fill.iter().map(|size| suballocator.allocate(*size)));
        let host_bytes = (heap::live_bytes() - start) as f64 / self.live_count as f64;
        replace(&mut suballocator, &mut live, &replacements[..pairs / 10]);
        let chunks = replacements.chunks((pairs / 20).max(1)).map(|chunk| {
            let start = cpu_ns();
            replace(&mut suballocator, &mut live, chunk);
            (cpu_ns() - start) / chunk.len() as f64
        });
        let ns_per_pair = median(&mut chunks.collect::<Vec<_>>());
        for (slot, size) in &replacements {
            if let Some(old) = live[*slot].take() {
                let start = ticks();
                suballocator.free(old);
                free.push(ticks() - start);
            }
            let start = ticks();
            live[*slot] = suballocator.allocate(*size);
            allocate.push(ticks() - start);
        }
        let clock = Clock::new();
        Row {
            ns_per_pair,
            allocate: clock.percentiles(&mut allocate),
            free: clock.percentiles(&mut free),
            host_bytes,
            handle_bytes: size_of::<S::Key>() as f64,
            refused: live.iter().filter(|key| key.is_none()).count() as f64,
            ..Row::default()
        }
    }

    /// Runs `pairs` pairs where callgrind counts.
    pub(crate) fn count<S: Suballocator>(&self, pairs: usize) {
        let mut random = Random::new(11);
        let mut suballocator = S::new(self.live_count);
        let fill = self.sizes(&mut random, self.live_count);
        let mut live: Vec<Option<S::Key>> = fill.iter().map(|size| suballocator.allocate(*size)).collect();
        let age = self.live_count.clamp(500, 20_000);
        // A ring is replaced from the first slot on, before and after.
        let age = age.next_multiple_of(self.live_count);
        let replacements = self.replacements(&mut random, age + pairs);
        replace(&mut suballocator, &mut live, &replacements[..age]);
        callgrind::measured(&mut || replace(&mut suballocator, &mut live, &replacements[age..]));
    }
}

#[inline]
fn replace<S: Suballocator>(suballocator: &mut S, live: &mut [Option<S::Key>], replacements: &[(usize, u64)]) {
    for (slot, size) in replacements {
        if let Some(old) = live[*slot].take() {
            suballocator.free(old);
        }
        live[*slot] = suballocator.allocate(*size);
    }
}

/// Returns how full the range is at the first refusal, at first and in the second half of a long churn, which refills
/// to refusal after a tenth was freed at random.
pub(crate) fn fill_until_refused<S: Suballocator>(sizes: Sizes) -> (f64, f64) {
    const ROUNDS: usize = 100;
    let mut random = Random::new(13);
    let mut suballocator = S::new(200_000);
    let (mut live, mut used, mut first, mut later) = (Vec::new(), 0, 0.0, 0.0);
    for round in 0..ROUNDS {
        loop {
            let size = sizes.draw(&mut random).next_multiple_of(UNIT);
            let Some(key) = suballocator.allocate(size) else { break };
            live.push((key, size));
            used += size;
        }
        let share = used as f64 / RANGE as f64;
        match round {
            0 => first = share,
            _ if round >= ROUNDS / 2 => later += share / (ROUNDS / 2) as f64,
            _ => (),
        }
        for _ in 0..=live.len() / 10 {
            let (key, size) = live.swap_remove(random.below(live.len()));
            suballocator.free(key);
            used -= size;
        }
    }
    (first, later)
}
