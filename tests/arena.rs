//! The arena: generated programs against a shadow of who owns which bytes, strides, limits, handles that are foreign or
//! stale, failures of every driver call, threads.

mod common;
#[expect(dead_code, reason = "the ring reads slices, the arena ranges")]
#[path = "frame_ring/gpu.rs"]
mod gpu;

use std::collections::BTreeMap;
use std::time::Duration;

use ash::vk;
use ash::vk::Handle;
use common::{Rig, create_info, mib, program, state_of};
use freestone::sim::{Function, KIB, Profile, SimDevice};
use freestone::{
    AccessError, AllocationCreateInfo, Allocator, Arena, ArenaCreateInfo, ArenaError, ArenaFreeReason, ArenaRange,
    ArenaStatistics,
};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

const USAGE: vk::BufferUsageFlags = vk::BufferUsageFlags::from_raw(
    vk::BufferUsageFlags::VERTEX_BUFFER.as_raw() | vk::BufferUsageFlags::TRANSFER_DST.as_raw(),
);

/// Strides of vertices and indices, powers of two, and numbers that are neither.
const ALIGNMENTS: [u64; 14] = [1, 2, 4, 6, 12, 16, 20, 24, 36, 44, 100, 256, 768, 4096];

fn info() -> ArenaCreateInfo {
    ArenaCreateInfo::new(USAGE).buffer_size(256 * KIB)
}

fn arena<'a>(allocator: &'a Allocator, info: &ArenaCreateInfo) -> Arena<&'a Allocator> {
    // SAFETY: the usage is valid for buffers of any size; the GPU never sees a range.
    unsafe { Arena::new(allocator, info) }.expect("a sound description")
}

/// One step of a program.
#[derive(Clone, Debug)]
enum Step {
    Allocate {
        size: u64,
        alignment: u64,
    },
    /// Frees one of the live ranges, by number.
    Free(usize),
    /// Frees all but every nth.
    FreeMost(usize),
    Trim,
    Clear,
    /// Lets the nth driver call from here fail.
    Fail(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![
        8 => (0_u32..17, any::<u64>()).prop_map(|(magnitude, bits)| 1 + bits % (1 << magnitude)),
        1 => 200 * KIB..mib(1),
    ];
    let alignment = (0..ALIGNMENTS.len()).prop_map(|index| ALIGNMENTS[index]);
    prop_oneof![
        40 => (size, alignment).prop_map(|(size, alignment)| Step::Allocate { size, alignment }),
        25 => any::<usize>().prop_map(Step::Free),
        1 => (2_usize..6).prop_map(Step::FreeMost),
        2 => Just(Step::Trim),
        1 => Just(Step::Clear),
        2 => (1_u64..4).prop_map(Step::Fail),
    ]
}

/// An arena with its shadow: who owns which bytes of which buffer.
struct Model<'a> {
    rig: &'a Rig,
    arena: Arena<&'a Allocator>,
    live: Vec<ArenaRange>,
    shadow: BTreeMap<u64, BTreeMap<u64, u64>>,
    /// Ranges from before the last `clear`.
    stale: Vec<ArenaRange>,
    max_bytes: u64,
}

impl<'a> Model<'a> {
    fn new(rig: &'a Rig, max_bytes: u64) -> Self {
        let arena = arena(rig, &info().max_bytes(max_bytes));
        Self { rig, arena, live: Vec::new(), shadow: BTreeMap::new(), stale: Vec::new(), max_bytes }
    }

    fn run(mut self, steps: &[Step]) {
        for step in steps {
            self.take(step);
            self.arena.validate().unwrap_or_else(|violation| panic!("after {step:?}: {violation}"));
            self.compare();
        }
        self.rig.control().clear_faults();
        while let Some(range) = self.live.pop() {
            self.free(range);
        }
        for range in self.stale.drain(..) {
            let refused = self.arena.free(range).expect_err("it was cleared away");
            assert_eq!(refused.reason, ArenaFreeReason::Stale);
        }
        self.arena.trim();
        assert_eq!(self.arena.statistics().reserved_bytes, 0);
        assert_eq!(self.rig.control().live(freestone::sim::ObjectKind::Buffer), 0);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Allocate { size, alignment } => self.allocate(size, alignment),
            Step::Free(number) if !self.live.is_empty() => {
                let range = self.live.swap_remove(number % self.live.len());
                self.free(range);
            }
            Step::Free(_) => {}
            Step::FreeMost(keep) => {
                for (number, range) in std::mem::take(&mut self.live).into_iter().enumerate() {
                    if number % keep == 0 { self.live.push(range) } else { self.free(range) }
                }
            }
            Step::Trim => {
                let empty = self.arena.statistics().empty_bytes;
                assert_eq!(self.arena.trim(), empty);
            }
            Step::Clear => {
                self.arena.clear();
                self.shadow.clear();
                self.stale.append(&mut self.live);
            }
            Step::Fail(n) => self.rig.control().fail_nth(n, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY),
        }
    }

    fn allocate(&mut self, size: u64, alignment: u64) {
        let before = self.arena.statistics();
        match self.arena.allocate(size, alignment) {
            Ok(range) => {
                assert_eq!((range.offset() % alignment, range.size()), (0, size));
                let (start, end) = (range.offset(), range.offset() + size);
                let ranges = self.shadow.entry(range.buffer().as_raw()).or_default();
                let below = ranges.range(..end).next_back().map_or(0, |(_, &end)| end);
                assert!(below <= start, "{range:?} begins before {below}, where another ends");
                ranges.insert(start, end);
                self.live.push(range);
            }
            Err(error) => {
                assert!(matches!(error, ArenaError::ByteLimit { .. } | ArenaError::Allocation(_)), "{error}");
                let after = self.arena.statistics();
                let live = |it: ArenaStatistics| (it.range_count, it.requested_bytes, it.used_bytes);
                assert_eq!(live(after), live(before), "{error}");
                // Empty buffers may have gone, to make room below the limit.
                assert!(after.reserved_bytes <= before.reserved_bytes, "{error}");
            }
        }
    }

    fn free(&mut self, range: ArenaRange) {
        let ranges = self.shadow.get_mut(&range.buffer().as_raw()).expect("its buffer is known");
        assert_eq!(ranges.remove(&range.offset()), Some(range.offset() + range.size()));
        self.arena.free(range).expect("it is alive");
    }

    #[track_caller]
    fn compare(&self) {
        let statistics = self.arena.statistics();
        let requested: u64 = self.live.iter().map(ArenaRange::size).sum();
        assert_eq!((statistics.range_count, statistics.requested_bytes), (self.live.len() as u64, requested));
        assert!(statistics.used_bytes >= requested && statistics.used_bytes <= statistics.reserved_bytes);
        assert!(statistics.reserved_bytes <= self.max_bytes);
        let buffers = self.arena.buffers();
        assert_eq!(buffers.len(), statistics.buffer_count as usize);
        assert_eq!(self.rig.control().live(freestone::sim::ObjectKind::Buffer), buffers.len() as u64);
        for range in &self.live {
            assert!(self.arena.is_alive(range) && buffers.contains(&range.buffer()), "{range:?}");
        }
        assert!(self.stale.iter().all(|range| !self.arena.is_alive(range)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn generated_programs_share_no_byte(
        steps in vec(step(), 1..160),
        profile in 0_usize..4,
        max_bytes in prop_oneof![Just(u64::MAX), mib(1)..mib(4)],
    ) {
        let rig = Rig::new(Profile::all().remove(profile));
        Model::new(&rig, max_bytes).run(&steps);
        rig.finish();
    }
}

#[test]
fn generated_programs_share_no_byte_on_any_device() {
    program::on_every_device(2, &(vec(step(), 1..160), mib(1)..mib(4)), |profile, (steps, max_bytes)| {
        let rig = Rig::new(profile);
        Model::new(&rig, max_bytes).run(&steps);
        rig.finish();
    });
}

#[test]
fn ranges_of_one_stride_lie_side_by_side() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info());
    for stride in [12, 20, 36] {
        let ranges: Vec<ArenaRange> =
            (1..=100).map(|count| arena.allocate(count * stride, stride).expect("there is memory")).collect();
        let statistics = arena.statistics();
        assert_eq!(statistics.used_bytes, statistics.requested_bytes, "stride {stride}: no padding");
        assert_eq!(statistics.buffer_count, 1);
        for range in &ranges {
            let first = range.first_element(stride).expect("it is aligned to its stride");
            assert_eq!(u64::from(first) * stride, range.offset());
        }
        assert_eq!(ranges[1].first_element(0), None);
        assert_eq!(ranges[1].first_element(7 * stride * stride + 1), None, "no multiple of that");
        for range in ranges {
            arena.free(range).expect("it is alive");
        }
    }
    drop(arena);
    rig.finish();
}

#[test]
fn a_range_larger_than_a_buffer_gets_one_of_its_own() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info());
    let small = arena.allocate(1000, 4).expect("there is memory");
    let large = arena.allocate(mib(3) + 2, 36).expect("there is memory");
    assert_ne!(small.buffer(), large.buffer());
    assert_eq!((large.offset(), arena.statistics().reserved_bytes), (0, 256 * KIB + mib(3) + 4));
    arena.free(large).expect("it is alive");
    let before = rig.control().total_calls();
    let next = arena.allocate(300 * KIB, 4).expect("what the large one left serves");
    assert_eq!(rig.control().total_calls(), before);
    arena.free(next).expect("it is alive");
    assert_eq!(arena.trim(), mib(3) + 4);
    arena.free(small).expect("it is alive");
    assert_eq!((arena.trim(), arena.trim()), (256 * KIB, 0));
    drop(arena);
    rig.finish();
}

#[test]
fn the_limits_hold_and_empty_buffers_make_room_below_them() {
    let rig = Rig::new(Profile::discrete_rebar());
    let few = arena(&rig, &info().max_buffer_count(1));
    let first = few.allocate(200 * KIB, 4).expect("the one buffer");
    let refused = few.allocate(100 * KIB, 4).expect_err("there may be one buffer");
    let expected = "no room for 102400 bytes: the arena has all 1 buffers that it may, 57344 bytes free in pieces";
    assert_eq!(refused.to_string(), expected);
    few.free(first).expect("it is alive");
    let large = few.allocate(mib(1), 4).expect("the empty buffer makes room for a larger one");
    assert_eq!(few.statistics().buffer_count, 1);
    few.free(large).expect("it is alive");
    drop(few);

    let small = arena(&rig, &info().max_bytes(300 * KIB));
    let first = small.allocate(200 * KIB, 4).expect("the usual buffer");
    let second = small.allocate(44 * KIB, 4).expect("its rest");
    let third = small.allocate(40 * KIB, 4).expect("a smaller buffer, as large as may be");
    assert_eq!(small.statistics().reserved_bytes, 300 * KIB);
    let refused = small.allocate(20 * KIB, 4).expect_err("the limit is reached");
    assert!(matches!(refused, ArenaError::ByteLimit { reserved: 307_200, limit: 307_200, .. }), "{refused}");
    let refused = small.allocate(301 * KIB, 4).expect_err("more than the limit");
    assert!(matches!(refused, ArenaError::ByteLimit { size: 308_224, .. }), "{refused}");
    for range in [first, second, third] {
        small.free(range).expect("it is alive");
    }
    let all = small.allocate(300 * KIB, 4).expect("both empty buffers make room");
    assert_eq!((small.statistics().buffer_count, small.statistics().reserved_bytes), (1, 300 * KIB));
    small.free(all).expect("it is alive");
    drop(small);
    rig.finish();
}

#[test]
fn what_makes_no_sense_is_named() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info());
    let refused = |size, alignment| arena.allocate(size, alignment).expect_err("it makes no sense");
    assert!(matches!(refused(0, 4), ArenaError::ZeroSize));
    assert!(matches!(refused(4, 0), ArenaError::ZeroAlignment));
    for alignment in [4, 12, 1 << 63, u64::MAX] {
        let error = refused(u64::MAX, alignment);
        assert!(matches!(error, ArenaError::TooLarge { size: u64::MAX, .. }), "{error}");
    }
    assert_eq!(arena.statistics().buffer_count, 0);
    let far = arena.allocate(8, u64::MAX).expect("offset 0 is a multiple of every number");
    assert_eq!(far.offset(), 0);
    arena.free(far).expect("it is alive");
    for size in [0, u64::MAX] {
        // SAFETY: the usage is valid; no arena is made.
        let refused = unsafe { Arena::new(&*rig, &info().buffer_size(size)) }.expect_err("no size for a buffer");
        assert!(matches!(refused, ArenaError::BufferSize { .. }), "{refused}");
    }
    drop(arena);
    rig.finish();
}

#[test]
fn foreign_and_stale_ranges_come_back_and_change_nothing() {
    let rig = Rig::new(Profile::discrete_rebar());
    let (one, mut other) = (arena(&rig, &info()), arena(&rig, &info()));
    let range = one.allocate(1000, 20).expect("there is memory");
    let twin = other.allocate(1000, 20).expect("there is memory");
    let (before, buffer) = (other.statistics(), range.buffer());
    let refused = other.free(range).expect_err("it is another arena's");
    assert_eq!((refused.reason, refused.range.buffer()), (ArenaFreeReason::Foreign, buffer));
    assert_eq!(refused.to_string(), "the range belongs to another arena; the range is handed back");
    assert!(other.statistics() == before && other.is_alive(&twin) && !other.is_alive(&refused.range));
    one.free(refused.range).expect("it is alive");
    other.clear();
    let next = other.allocate(1000, 20).expect("there is room");
    assert_eq!((next.buffer(), next.offset()), (twin.buffer(), twin.offset()), "the same bytes");
    let refused = other.free(twin).expect_err("it went with the others");
    assert_eq!(refused.reason, ArenaFreeReason::Stale);
    assert!(other.is_alive(&next), "whoever has the bytes now keeps them");
    other.free(next).expect("it is alive");
    drop((one, other));
    rig.finish();
}

/// A place in the index counts 2^21 lives before its number begins anew; a key from before a `clear` stays stale.
#[test]
fn a_stale_range_stays_stale_when_its_place_has_lived_two_million_times() {
    let rig = Rig::new(Profile::discrete_rebar());
    let mut arena = arena(&rig, &info());
    let old = arena.allocate(64, 4).expect("there is memory");
    arena.clear();
    for _ in 0..1 << 21 {
        let range = arena.allocate(64, 4).expect("there is room");
        assert!(!arena.is_alive(&old));
        arena.free(range).expect("it is alive");
    }
    drop(arena);
    rig.finish();
}

#[test]
fn each_failure_of_a_growth_leaves_everything_as_it_was() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let arena = arena(&rig, &info().memory(AllocationCreateInfo::upload()));
        let kept = arena.allocate(256 * KIB, 4).expect("there is memory");
        let grow = || arena.allocate(100 * KIB, 12);
        let (range, failures) = rig.control().failures_during(grow);
        arena.free(range.expect("there is memory")).expect("it is alive");
        arena.trim();
        rig.trim();
        assert!(failures.iter().any(|failure| failure.function == Function::CreateBuffer), "{failures:?}");
        let mut failed = 0;
        for failure in failures {
            let before = (arena.statistics(), state_of(&rig));
            rig.control().arm(&failure);
            match grow() {
                Err(error) => {
                    failed += 1;
                    assert!(matches!(error, ArenaError::Allocation(_)), "{failure:?}: {error}");
                    assert_eq!((arena.statistics(), state_of(&rig)), before, "{failure:?}");
                }
                Ok(range) => arena.free(range).expect("it is alive"),
            }
            rig.control().clear_faults();
            arena.trim();
            rig.trim();
            let again = grow().unwrap_or_else(|error| panic!("{failure:?}, once; then: {error}"));
            arena.free(again).expect("it is alive");
            arena.trim();
            rig.trim();
        }
        assert!(failed > 0, "some failure was not survived");
        arena.free(kept).expect("it is alive");
        drop(arena);
        rig.finish();
    }
}

#[test]
fn a_buffer_that_is_too_large_now_is_tried_as_large_as_its_range() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info().buffer_size(mib(8)));
    rig.control().refuse_allocations_above(Some(mib(2)));
    let range = arena.allocate(mib(1), 4).expect("a buffer of its size");
    assert_eq!(arena.statistics().reserved_bytes, mib(1));
    arena.free(range).expect("it is alive");
    drop(arena);
    rig.finish();
}

#[test]
fn what_the_host_writes_lies_where_the_range_does() {
    for profile in Profile::all() {
        let rig = Rig::new(profile);
        let stream = arena(&rig, &info().memory(AllocationCreateInfo::stream()));
        let mut ranges: Vec<ArenaRange> =
            (0..50_u64).map(|n| stream.allocate(12 * (n + 1), 12).expect("there is memory")).collect();
        for (n, range) in (0_u32..).zip(&mut ranges) {
            let values = vec![n; 3 * (n as usize + 1)];
            stream.write(range, 0, &values).expect("it is mapped");
        }
        for (n, range) in (0_u32..).zip(&ranges) {
            let start = range.mapped_ptr().expect("it is mapped").cast::<u32>();
            // SAFETY: the words of the range, which were written above; nobody writes them while the slice lives.
            let words = unsafe { std::slice::from_raw_parts(start.as_ptr(), 3 * (n as usize + 1)) };
            assert!(words.iter().all(|&word| word == n), "{words:?}");
        }
        let past = stream.write(&mut ranges[0], 8, &[1_u32, 2]);
        assert!(matches!(past, Err(AccessError::OutOfBounds { offset: 8, len: 8, size: 12 })), "{past:?}");
        let far = stream.write(&mut ranges[0], u64::MAX, &[1_u32]);
        assert!(matches!(far, Err(AccessError::OutOfBounds { .. })), "{far:?}");
        let other = arena(&rig, &info().memory(AllocationCreateInfo::stream()));
        let foreign = other.write(&mut ranges[0], 0, &[1_u32]);
        assert!(matches!(foreign, Err(AccessError::Foreign)), "{foreign:?}");
        drop((stream, other));
        rig.finish();
    }
}

#[test]
fn what_the_host_writes_is_flushed_where_it_lies() {
    let mut profile = Profile::noncoherent();
    "incoherent".clone_into(&mut profile.name);
    for memory_type in &mut profile.memory_types {
        memory_type.property_flags &= !vk::MemoryPropertyFlags::HOST_COHERENT;
    }
    let rig = Rig::new(profile);
    let info = ArenaCreateInfo::new(USAGE | vk::BufferUsageFlags::TRANSFER_SRC).buffer_size(256 * KIB);
    let arena = arena(&rig, &info.memory(AllocationCreateInfo::stream()));
    let mut ranges = [3000, 3000].map(|size| arena.allocate(size, 4).expect("there is memory"));
    arena.write(&mut ranges[1], 0, &[7_u8; 3000]).expect("it is mapped");
    arena.write(&mut ranges[1], 1000, &[9_u8; 1000]).expect("it is mapped");
    let seen = gpu::read_ranges(&rig, &[(ranges[1].buffer(), ranges[1].offset(), 3000)]);
    assert!(seen[0].iter().zip(0..).all(|(&byte, at)| byte == if (1000..2000).contains(&at) { 9 } else { 7 }));
    for range in ranges {
        arena.free(range).expect("it is alive");
    }
    drop(arena);
    rig.finish();
}

#[test]
fn what_is_mapped_can_be_written_unless_atoms_are_shared() {
    let visible = vk::MemoryPropertyFlags::DEVICE_LOCAL | vk::MemoryPropertyFlags::HOST_VISIBLE;
    let only = |flags: vk::MemoryPropertyFlags| {
        let mut profile = Profile::noncoherent();
        "of one kind".clone_into(&mut profile.name);
        profile.memory_types.retain(|memory_type| memory_type.property_flags == flags);
        profile
    };
    let (coherent, incoherent) = (only(visible | vk::MemoryPropertyFlags::HOST_COHERENT), only(visible));
    for (profile, memory, expected) in [
        (&coherent, AllocationCreateInfo::gpu_only(), true),
        (&coherent, AllocationCreateInfo::stream(), true),
        (&incoherent, AllocationCreateInfo::gpu_only(), false),
        (&incoherent, AllocationCreateInfo::stream(), true),
    ] {
        let rig = Rig::new(profile.clone());
        let arena = arena(&rig, &info().memory(memory));
        let range = arena.allocate(100, 4).expect("there is memory");
        assert_eq!(range.mapped_ptr().is_some(), expected, "{memory:?}");
        arena.free(range).expect("it is alive");
        drop(arena);
        rig.finish();
    }
}

#[test]
fn device_addresses_are_the_buffers_and_the_offset() {
    let rig = Rig::new(Profile::discrete_rebar());
    let usage = USAGE | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS;
    let addressed = arena(&rig, &ArenaCreateInfo::new(usage).buffer_size(256 * KIB));
    let ranges: Vec<ArenaRange> = (1..5).map(|n| addressed.allocate(n * 1000, 36).expect("there is memory")).collect();
    for range in &ranges {
        // SAFETY: the buffer is alive, bound, and has that usage.
        let base = unsafe { rig.buffer_device_address(range.buffer()) }.expect("the feature is declared");
        assert_eq!(range.device_address(), Some(base + range.offset()));
    }
    let plain = arena(&rig, &info());
    let range = plain.allocate(100, 4).expect("there is memory");
    assert_eq!(range.device_address(), None);
    drop((addressed, plain));
    rig.finish();
}

/// A thread that an existing buffer can serve does not wait for one that grows; one that cannot be served does, and
/// then takes what the other has made.
#[test]
fn nobody_waits_for_a_buffer_that_he_does_not_need() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info());
    let first = arena.allocate(200 * KIB, 4).expect("there is memory");
    let gate = rig.control().block(Function::CreateBuffer);
    std::thread::scope(|scope| {
        let grower = scope.spawn(|| arena.allocate(100 * KIB, 4).expect("there is memory"));
        assert!(gate.wait_for_arrivals(1, Duration::from_secs(20)), "one thread makes a buffer");
        let fits = arena.allocate(10 * KIB, 4).expect("the first buffer has room");
        assert_eq!(fits.buffer(), first.buffer());
        let patient = scope.spawn(|| arena.allocate(110 * KIB, 4).expect("what was made meanwhile"));
        gate.open();
        let (grown, served) = (grower.join().expect("no panic"), patient.join().expect("no panic"));
        assert_eq!(grown.buffer(), served.buffer(), "one buffer for both");
        assert_eq!(arena.statistics().buffer_count, 2);
    });
    drop(arena);
    rig.finish();
}

/// What is refused a usual buffer gets one of its own size; what is refused that is refused.
#[test]
fn a_buffer_of_just_its_size_is_asked_for_once() {
    let rig = Rig::new(Profile::discrete_rebar());
    let arena = arena(&rig, &info());
    let refused = vk::Result::ERROR_OUT_OF_DEVICE_MEMORY;
    let usual = arena.allocate(16, 4).map(|range| arena.free(range)).expect("there is memory");
    usual.expect("it is alive");
    arena.trim();
    for (size, is_served) in [(16, true), (mib(64), false)] {
        rig.control().fail_nth_of(Function::CreateBuffer, 1, refused);
        let made = arena.allocate(size, 4);
        rig.control().clear_faults();
        assert_eq!(made.is_ok(), is_served, "{size}: {made:?}");
        if let Ok(range) = made {
            arena.free(range).expect("it is alive");
        }
        arena.trim();
    }
    drop(arena);
    rig.finish();
}

/// A range may be as large as the largest buffer that the arena makes.
#[test]
fn the_largest_range_is_the_largest_buffer() {
    let mut profile = Profile::discrete_rebar();
    profile.max_buffer_size = mib(8);
    let rig = Rig::new(profile);
    let arena = arena(&rig, &info());
    let range = arena.allocate(mib(8), 4).expect("a buffer of its own holds it");
    let refused = arena.allocate(mib(8) + 1, 4);
    assert!(matches!(refused, Err(ArenaError::TooLarge { largest, .. }) if largest == mib(8)), "{refused:?}");
    arena.free(range).expect("it is alive");
    drop(arena);
    rig.finish();
}

/// Of a buffer whose bytes are more than can be counted, only what can be counted is made.
#[test]
fn the_largest_buffer_is_one_that_can_be_counted() {
    let mut profile = common::two_heaps(1 << 50, mib(64));
    (profile.max_buffer_size, profile.max_memory_allocation_size) = (u64::MAX, u64::MAX);
    let rig = Rig::new(profile);
    let usage = vk::BufferUsageFlags::STORAGE_BUFFER;
    let most = ((1 << 42) - 1) * 4;
    let more = ArenaCreateInfo::new(usage).buffer_size(most + 4);
    // SAFETY: the usage is valid; nothing is made.
    let refused = unsafe { Arena::new(&*rig, &more) }.map(|_| ()).expect_err("it cannot be counted");
    assert!(matches!(refused, ArenaError::BufferSize { largest, .. } if largest == most), "{refused}");
    let arena = arena(&rig, &ArenaCreateInfo::new(usage).buffer_size(most));
    let range = arena.allocate(16, 4).expect("there is memory");
    assert_eq!(arena.statistics().reserved_bytes, most);
    assert!(matches!(arena.allocate(most + 1, 4), Err(ArenaError::TooLarge { .. })));
    arena.free(range).expect("it is alive");
    drop(arena);
    rig.finish();
}

#[test]
fn threads_share_an_arena() {
    let vulkan = SimDevice::new(Profile::discrete_rebar());
    // SAFETY: the objects belong together and outlive the allocator.
    let allocator = unsafe { Allocator::new(create_info(&vulkan)) }.expect("a simulated device serves");
    let arena = arena(&allocator, &info());
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let arena = &arena;
            scope.spawn(move || {
                let mut random = common::Random(seed);
                let mut live = Vec::new();
                for _ in 0..800 {
                    let alignment = ALIGNMENTS[usize::try_from(random.below(14)).expect("small")];
                    live.push(arena.allocate(random.size(14), alignment).expect("there is memory"));
                    if live.len() > 40 {
                        let number = usize::try_from(random.below(40)).expect("small");
                        arena.free(live.swap_remove(number)).expect("it is alive");
                    }
                    if random.below(100) == 0 {
                        arena.trim();
                    }
                }
                for range in live {
                    arena.free(range).expect("it is alive");
                }
            });
        }
    });
    arena.validate().expect("every invariant holds");
    assert_eq!((arena.statistics().range_count, arena.statistics().used_bytes), (0, 0));
    drop(arena);
    drop(allocator);
    assert!(vulkan.finish().is_empty());
}
