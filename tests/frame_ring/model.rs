//! Generated programs over a ring, against a shadow of who owns which bytes until which frame: no two frames share a
//! byte, what was pushed is what the GPU reads when the frame is over, and a failure of the driver changes nothing.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;

use ash::vk;
use freestone::sim::Profile;
use freestone::{
    Allocator, EndFrameError, EndedFrame, Frame, FrameRing, FrameRingCreateInfo, FrameRingError, FrameRingStatistics,
    FrameSlice, Reservation,
};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, prop_oneof, proptest};

use super::steps::{Step, Way, step};
use super::{gpu, make, non_coherent};
use crate::common::{Rig, mib, program, two_heaps};

pub(crate) const KIB: u64 = 1 << 10;
/// The most bytes of a ring.
pub(crate) const LIMIT: u64 = 512 * KIB;
const FRAMES: usize = 3;

/// What was pushed into a frame.
type Pushed = Vec<(FrameSlice, u8)>;

/// A ring with its shadow.
struct Model<'r> {
    world: &'r Rig,
    ring: &'r FrameRing<&'r Allocator>,
    open: Vec<(Frame<'r, &'r Allocator>, Pushed)>,
    ended: Vec<(u64, Pushed)>,
    owned: Vec<(EndedFrame, Pushed)>,
    /// Every byte that belongs to a frame: buffer and start, to the end.
    bytes: BTreeMap<(vk::Buffer, u64), u64>,
    last_point: Option<u64>,
    completed: Option<u64>,
    pushes: u64,
    /// Faults that had fired before the present step.
    fired: usize,
}

impl<'r> Model<'r> {
    fn new(world: &'r Rig, ring: &'r FrameRing<&'r Allocator>) -> Self {
        let (open, ended, owned) = (Vec::new(), Vec::new(), Vec::new());
        let bytes = BTreeMap::new();
        Self { world, ring, open, ended, owned, bytes, last_point: None, completed: None, pushes: 0, fired: 0 }
    }

    fn in_flight(&self) -> usize {
        self.open.len() + self.ended.len() + self.owned.len()
    }

    fn take(&mut self, step: Step) {
        let chosen = |frame: usize, count: usize| (count > 0).then(|| frame % count.max(1));
        self.fired = self.world.control().faults_fired().len();
        match step {
            Step::Begin => self.begin(),
            Step::Push { frame, size, alignment, way } => {
                if let Some(frame) = chosen(frame, self.open.len()) {
                    self.push(frame, size, (alignment, way));
                }
            }
            Step::End { frame, above } => {
                if let Some(frame) = chosen(frame, self.open.len()) {
                    self.end(frame, self.last_point.unwrap_or(1).saturating_add_signed(above));
                }
            }
            Step::EndOwned { frame } => {
                if let Some(frame) = chosen(frame, self.open.len()) {
                    self.end_owned(frame);
                }
            }
            Step::Cancel { frame } => {
                if let Some(frame) = chosen(frame, self.open.len()) {
                    let (frame, pushed) = self.open.swap_remove(frame);
                    drop(frame);
                    self.strike(&pushed);
                }
            }
            Step::Reclaim { below } => self.reclaim(if below == u64::MAX {
                u64::MAX
            } else {
                self.last_point.unwrap_or(0).saturating_sub(below)
            }),
            Step::ReclaimOwned { frame } => {
                if let Some(frame) = chosen(frame, self.owned.len()) {
                    let (frame, pushed) = self.owned.swap_remove(frame);
                    self.check_and_strike(&pushed);
                    self.ring.reclaim_frame(frame).expect("this ring made it");
                }
            }
            Step::Fail { n, result } => self.world.control().fail_nth(n, result),
            Step::Frames { count, size } => (0..count).for_each(|_| self.whole_frame(size)),
        }
    }

    fn whole_frame(&mut self, size: u64) {
        let before = self.open.len();
        self.begin();
        if self.open.len() > before {
            self.push(before, size, (1, Way::Copied));
            self.end(before, self.last_point.unwrap_or(1) + 1);
        }
        self.reclaim(self.last_point.unwrap_or(0).saturating_sub(1));
    }

    fn begin(&mut self) {
        match self.ring.begin_frame() {
            Ok(frame) => self.open.push((frame, Vec::new())),
            Err(FrameRingError::FramesInFlight { limit }) => {
                assert_eq!((limit as usize, self.in_flight()), (FRAMES, FRAMES));
            }
            Err(error) => panic!("{error}"),
        }
        assert!(self.in_flight() <= FRAMES);
    }

    fn push(&mut self, frame: usize, size: u64, (alignment, way): (u64, Way)) {
        let before = self.ring.statistics();
        let pattern = u8::try_from(1 + self.pushes % 251).expect("a byte");
        let into = &mut self.open[frame].0;
        let pushed = match (way, usize::try_from(size)) {
            (Way::Copied, Ok(bytes)) if size <= 2 * LIMIT => into.push_aligned(&vec![pattern; bytes], alignment),
            (Way::ByWriter, _) => return self.push_beside(frame, (size, alignment), pattern),
            _ => into.reserve(size, alignment).map(|reservation| written(reservation, pattern)),
        };
        self.note(frame, pushed, (size, alignment, pattern), &before);
    }

    /// Pushes by a writer, beside another that pushes a byte before and a byte behind.
    fn push_beside(&mut self, frame: usize, (size, alignment): (u64, u64), pattern: u8) {
        let into = &self.open[frame].0;
        let mut other = into.writer();
        let first = other.push(&[pattern]);
        let before = self.ring.statistics();
        let reserved = into.writer().reserve(size, alignment);
        let after = self.ring.statistics();
        let last = other.push(&[pattern]);
        drop(other);
        // All three are lent here, and are written when all have been reserved.
        let pushed = reserved.map(|reservation| written(reservation, pattern));
        for beside in [first, last].into_iter().flatten() {
            self.note(frame, Ok(beside), (1, 1, pattern), &before);
        }
        if pushed.is_err() {
            assert_eq!(after.in_use, before.in_use);
        }
        let now = self.ring.statistics();
        self.note(frame, pushed, (size, alignment, pattern), &now);
    }

    fn note(
        &mut self,
        frame: usize,
        pushed: Result<FrameSlice, FrameRingError>,
        (size, alignment, pattern): (u64, u64, u8),
        before: &FrameRingStatistics,
    ) {
        match pushed {
            Ok(slice) => {
                self.pushes += 1;
                assert_eq!((slice.size, slice.offset % alignment, slice.offset % self.ring.alignment()), (size, 0, 0));
                self.enter(&slice);
                self.open[frame].1.push((slice, pattern));
            }
            Err(error) => {
                let after = self.ring.statistics();
                assert_eq!((after.in_use, after.frames_in_flight), (before.in_use, before.frames_in_flight), "{error}");
                self.check_refusal(&error, size, alignment);
            }
        }
    }

    fn check_refusal(&self, error: &FrameRingError, size: u64, alignment: u64) {
        match *error {
            FrameRingError::ZeroSize => assert_eq!(size, 0),
            FrameRingError::BadAlignment { asked, .. } => assert!(asked == 0 || alignment > 4096, "{error}"),
            FrameRingError::TooLarge { limit, .. } => {
                assert_eq!(limit, LIMIT);
                assert!(size.saturating_add(alignment.next_multiple_of(12)) >= LIMIT - 256 * 12, "{error}");
            }
            FrameRingError::Full { in_use, capacity, limit, .. } => {
                assert!(in_use > 0 && capacity <= limit, "{error}");
            }
            FrameRingError::Allocation(_) => {
                assert!(self.world.control().faults_fired().len() > self.fired, "{error}");
            }
            _ => panic!("{error}"),
        }
    }

    fn end(&mut self, frame: usize, point: u64) {
        let fired = self.world.control().faults_fired().len();
        match self.open[frame].0.end(point) {
            Ok(()) => {
                assert!(self.last_point.is_none_or(|last| point >= last));
                self.last_point = Some(point);
                let (mut frame, pushed) = self.open.swap_remove(frame);
                assert_eq!(frame.end(point + 1), Err(EndFrameError::AlreadyEnded));
                assert!(matches!(frame.push(&[1_u8]), Err(FrameRingError::FrameEnded)));
                self.ended.push((point, pushed));
            }
            Err(EndFrameError::OutOfOrder { point, last }) => {
                assert_eq!(Some(last), self.last_point);
                assert!(point < last);
            }
            Err(EndFrameError::AlreadyCompleted { point }) => {
                assert!(Some(point) <= self.completed);
            }
            Err(EndFrameError::Flush(_)) => assert_eq!(self.world.control().faults_fired().len(), fired + 1),
            Err(error) => panic!("{error}"),
        }
    }

    fn end_owned(&mut self, frame: usize) {
        let fired = self.world.control().faults_fired().len();
        match self.open[frame].0.end_owned() {
            Ok(key) => {
                let (_, pushed) = self.open.swap_remove(frame);
                self.owned.push((key, pushed));
            }
            Err(EndFrameError::Flush(_)) => assert_eq!(self.world.control().faults_fired().len(), fired + 1),
            Err(error) => panic!("{error}"),
        }
    }

    fn reclaim(&mut self, completed: u64) {
        self.completed = self.completed.max(if completed == u64::MAX { self.last_point } else { Some(completed) });
        let (over, left) =
            std::mem::take(&mut self.ended).into_iter().partition(|&(point, _)| Some(point) <= self.completed);
        let over: Vec<(u64, Pushed)> = over;
        self.ended = left;
        for (_, pushed) in &over {
            self.check_and_strike(pushed);
        }
        assert_eq!(self.ring.reclaim(completed) as usize, over.len());
    }

    /// Enters a slice: nobody else has a byte of it.
    #[track_caller]
    fn enter(&mut self, slice: &FrameSlice) {
        let (start, end) = (slice.offset, slice.offset + slice.size);
        let before = self.bytes.range(..=(slice.buffer, start)).next_back();
        let after = self.bytes.range((slice.buffer, start)..).next();
        for (&(buffer, other), &other_end) in before.into_iter().chain(after) {
            let is_apart = buffer != slice.buffer || other_end <= start || end <= other;
            assert!(is_apart, "{start}..{end} overlaps {other}..{other_end}");
        }
        self.bytes.insert((slice.buffer, start), end);
    }

    fn strike(&mut self, pushed: &Pushed) {
        for (slice, _) in pushed {
            let end = self.bytes.remove(&(slice.buffer, slice.offset)).expect("it was entered");
            assert_eq!(end, slice.offset + slice.size);
        }
    }

    /// A frame's work is complete: the GPU has read what was pushed.
    fn check_and_strike(&mut self, pushed: &Pushed) {
        self.world.control().clear_faults();
        let slices: Vec<FrameSlice> = pushed.iter().map(|(slice, _)| *slice).collect();
        for (bytes, (slice, pattern)) in gpu::read(self.world, &slices).iter().zip(pushed) {
            assert!(bytes.iter().all(|byte| byte == pattern), "{slice:?} does not hold {pattern}");
        }
        self.strike(pushed);
    }

    /// Compares the ring's numbers with the shadow's.
    fn compare(&self) {
        let statistics = self.ring.statistics();
        let owned: u64 = self.bytes.iter().map(|((_, start), end)| end - start).sum();
        assert_eq!(statistics.frames_in_flight as usize, self.in_flight());
        assert!(owned <= statistics.in_use && statistics.in_use <= statistics.capacity, "{owned}: {statistics:?}");
        assert!(statistics.capacity <= LIMIT);
        assert_eq!(u64::from(statistics.block_count), statistics.opened_count - statistics.closed_count);
        if self.in_flight() == 0 {
            assert_eq!(statistics.in_use, 0);
        }
    }

    fn finish(mut self) {
        self.world.control().clear_faults();
        for number in (0..self.open.len()).rev() {
            self.end(number, self.last_point.unwrap_or(0) + 1);
        }
        self.reclaim(u64::MAX);
        for (frame, pushed) in std::mem::take(&mut self.owned) {
            self.check_and_strike(&pushed);
            self.ring.reclaim_frame(frame).expect("this ring made it");
        }
        assert_eq!(self.in_flight(), 0);
        self.compare();
        // Nothing is lost: as many frames as ever, and a push of any size.
        for _ in 0..FRAMES {
            self.begin();
        }
        assert_eq!(self.in_flight(), FRAMES);
        self.push(0, LIMIT - 4 * KIB, (1, Way::InPlace));
        assert_eq!(self.open[0].1.len(), 1);
    }
}

/// Writes a pattern to all bytes of a reservation.
fn written(Reservation { slice, bytes, .. }: Reservation<'_>, pattern: u8) -> FrameSlice {
    bytes.fill(MaybeUninit::new(pattern));
    slice
}

fn profile(name: &str) -> Profile {
    match name {
        "non-coherent only" => non_coherent(),
        "two-heaps" => two_heaps(mib(4), mib(4)),
        name => program::profile(name),
    }
}

/// Runs a program on a ring of its own, then ends what is open and looks for anything left.
fn run(profile: Profile, usage: vk::BufferUsageFlags, steps: &[Step]) {
    let world = Rig::new(profile);
    let info = FrameRingCreateInfo::new(usage | vk::BufferUsageFlags::TRANSFER_SRC)
        .frames_in_flight(3)
        .initial_size(16 * KIB)
        .max_size(LIMIT);
    let ring = make(&world, &info);
    let mut model = Model::new(&world, &ring);
    for step in steps {
        model.take(*step);
        model.compare();
    }
    model.finish();
    drop(ring);
    assert_eq!(world.statistics().total.allocation_count, 0);
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn programs_agree_with_the_shadow(
        name in prop_oneof![
            Just("unified"), Just("discrete-bar256"), Just("noncoherent"), Just("non-coherent only"), Just("two-heaps")
        ],
        usage in prop_oneof![
            Just(vk::BufferUsageFlags::UNIFORM_BUFFER), Just(vk::BufferUsageFlags::VERTEX_BUFFER),
            Just(vk::BufferUsageFlags::STORAGE_BUFFER | vk::BufferUsageFlags::SHADER_DEVICE_ADDRESS)
        ],
        steps in vec(step(), 1..150),
    ) {
        run(profile(name), usage, &steps);
    }
}

#[test]
fn programs_agree_with_the_shadow_on_every_device() {
    program::on_every_device(2, &vec(step(), 1..150), |profile, steps| {
        run(profile, vk::BufferUsageFlags::UNIFORM_BUFFER, &steps);
    });
}
