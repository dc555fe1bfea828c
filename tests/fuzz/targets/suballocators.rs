//! Every suballocator, through the virtual block: what is live agrees with a plain interval map.

use std::collections::BTreeMap;

use arbitrary::{Error, Result, Unstructured};
use freestone::{
    Algorithm, End, Request, VirtualAllocation, VirtualBlock, VirtualBlockCreateInfo, VirtualFreeError, VirtualRange,
    VirtualRangeState,
};

/// The most steps of one program: enough to fill and empty a block several times.
const MAX_STEPS: u32 = 200;

/// The most slots of a block: each is walked over whenever all is compared.
const MAX_SLOTS: u64 = 4096;

/// All is compared after so many steps, and at the end: what is broken stays broken, and programs run that much faster.
const STEPS_PER_CHECK: u32 = 16;
/// The block's invariants are looked at after so many steps; a fuzzer, which has the time for more programs, looks less
/// often.
const STEPS_PER_VALIDATE: u32 = if cfg!(test) { 1 } else { STEPS_PER_CHECK };

/// TLSF without slabs.
pub(crate) fn tlsf(data: &[u8]) {
    ignore_end(run(data, |info, _, _| Ok(info)));
}

/// TLSF with slabs in front of it.
pub(crate) fn slab(data: &[u8]) {
    ignore_end(run(data, |info, _, u| Ok(info.slab_limit(u.int_in_range(1..=8192)?))));
}

/// Bump, stack, double stack and ring: the order of frees decides which.
pub(crate) fn linear(data: &[u8]) {
    ignore_end(run(data, |info, _, _| Ok(info.algorithm(Algorithm::Linear))));
}

/// Slots of one size.
pub(crate) fn fixed(data: &[u8]) {
    ignore_end(run(data, |info, size, u| slots(info, size, u.int_in_range(1..=1024)?)));
}

/// Any algorithm on a block of any size, where keys are stale or another block's as often as not.
pub(crate) fn virtual_block(data: &[u8]) {
    let any = |info: VirtualBlockCreateInfo, size: u64, u: &mut Unstructured<'_>| {
        let info = match u.int_in_range(0..=4)? {
            0 => info.algorithm(Algorithm::Linear),
            1 => slots(info, size, u.arbitrary()?)?,
            2 => info.slab_limit(u.arbitrary()?),
            _ => info,
        };
        Ok(if u.ratio(1, 4)? { info.unit(u.arbitrary()?) } else { info })
    };
    ignore_end(run(data, any));
}

/// Asks for slots, unless there were so many that walking over them would be all that a program does.
fn slots(info: VirtualBlockCreateInfo, size: u64, slot_size: u64) -> Result<VirtualBlockCreateInfo> {
    if size / slot_size.max(1) > MAX_SLOTS {
        return Err(Error::IncorrectFormat);
    }
    Ok(info.algorithm(Algorithm::Fixed { slot_size }))
}

/// A program ends where its bytes do.
fn ignore_end(outcome: Result<()>) {
    let _ = outcome;
}

fn run(
    data: &[u8],
    adapt: impl Fn(VirtualBlockCreateInfo, u64, &mut Unstructured<'_>) -> Result<VirtualBlockCreateInfo>,
) -> Result<()> {
    let mut bytes = Unstructured::new(data);
    let u = &mut bytes;
    let unit = 1 << u.int_in_range(0..=8)?;
    let count = if u.ratio(1, 8)? { 1 << u.int_in_range(0..=40)? } else { u.int_in_range(1..=4096)? };
    let info = adapt(VirtualBlockCreateInfo::new(count * unit).unit(unit), count * unit, u)?;
    let Ok(block) = VirtualBlock::new(&info) else { return Ok(()) };
    let mut model = Model { block, info, unit, live: Vec::new(), ranges: BTreeMap::new(), written: 0 };
    for number in 1..=MAX_STEPS {
        let Ok(step) = u.arbitrary::<u8>() else { break };
        if model.take(step, u).is_err() {
            break;
        }
        if number.is_multiple_of(STEPS_PER_VALIDATE) {
            model.validate();
        }
        if number.is_multiple_of(STEPS_PER_CHECK) {
            model.check();
        }
    }
    model.check();
    while let Some((range, user_data)) = model.live.pop() {
        model.free(range, user_data);
    }
    model.check();
    assert!(model.block.is_empty());
    Ok(())
}

/// The block with what should be in it.
struct Model {
    block: VirtualBlock,
    info: VirtualBlockCreateInfo,
    /// What offsets are multiples of, unless the block was given another unit.
    unit: u64,
    live: Vec<(VirtualAllocation, u64)>,
    /// By offset: size and what was stored with it.
    ranges: BTreeMap<u64, (u64, u64)>,
    written: u64,
}

impl Model {
    fn take(&mut self, step: u8, u: &mut Unstructured<'_>) -> Result<()> {
        match step % 16 {
            0..8 => {
                let request = request(u, self.unit)?;
                // Some alike: a slab is worth its while, and a program of few bytes fills a block.
                (0..1 << ((step >> 4) & 3)).for_each(|_| self.allocate(&request));
            }
            8..11 if !self.live.is_empty() => {
                let index = u.choose_index(self.live.len())?;
                let (range, user_data) = self.live.remove(index);
                self.free(range, user_data);
            }
            11 | 12 if !self.live.is_empty() => {
                let index = if step & 16 == 0 { 0 } else { self.live.len() - 1 };
                let (range, user_data) = self.live.remove(index);
                self.free(range, user_data);
            }
            13 if !self.live.is_empty() => {
                let index = u.choose_index(self.live.len())?;
                self.store(index);
            }
            14 if step & 0b11_0000 == 0 => self.free_foreign(&request(u, self.unit)?),
            15 if step & 0b111_0000 == 0 => self.clear(),
            _ => {}
        }
        Ok(())
    }

    fn allocate(&mut self, request: &Request) {
        let expected = self.block.probe(request);
        let found = self.block.allocate(request);
        let spot = found.as_ref().map(|range| (range.offset, range.size)).map_err(Clone::clone);
        assert_eq!(expected, spot, "a probe says what an allocation does");
        let Ok(range) = found else { return };
        let end = range.offset + range.size;
        assert!(range.size >= request.size && end <= self.block.statistics().size);
        assert_eq!(range.offset % request.alignment, 0);
        let before = self.ranges.range(..=range.offset).next_back();
        assert!(before.is_none_or(|(start, (size, _))| start + size <= range.offset), "overlaps the one before");
        let after = self.ranges.range(range.offset..).next();
        assert!(after.is_none_or(|(start, _)| end <= *start), "overlaps the one after");
        assert_eq!(self.block.user_data(&range.key), Some(0), "nothing is stored with a new range");
        self.ranges.insert(range.offset, (range.size, 0));
        self.live.push((range, 0));
    }

    fn free(&mut self, range: VirtualAllocation, user_data: u64) {
        let VirtualAllocation { offset, size, key } = range;
        assert_eq!(self.block.range(&key), Some((offset, size)));
        assert_eq!(self.block.user_data(&key), Some(user_data));
        assert_eq!(self.ranges.remove(&offset), Some((size, user_data)));
        assert_eq!(self.block.free(key), Ok(()));
    }

    /// A key of another block comes back, and nothing changes.
    fn free_foreign(&mut self, request: &Request) {
        let mut other = VirtualBlock::new(&self.info).expect("one was made of it before");
        let Ok(range) = other.allocate(request) else { return };
        let Err(VirtualFreeError::Foreign(key)) = self.block.free(range.key) else { panic!("a foreign key was taken") };
        assert_eq!(other.free(key), Ok(()));
    }

    /// Every key is stale afterwards; some are tried.
    fn clear(&mut self) {
        self.block.clear();
        self.ranges.clear();
        for (range, _) in self.live.drain(..) {
            assert_eq!(self.block.range(&range.key), None);
            assert!(matches!(self.block.free(range.key), Err(VirtualFreeError::Stale(_))));
        }
    }

    fn store(&mut self, index: usize) {
        self.written += 1;
        let (range, user_data) = &mut self.live[index];
        assert!(self.block.set_user_data(&range.key, self.written));
        *user_data = self.written;
        self.ranges.insert(range.offset, (range.size, self.written));
    }

    #[track_caller]
    fn validate(&self) {
        self.block.validate().expect("the invariants hold");
    }

    fn check(&self) {
        self.validate();
        let statistics = self.block.statistics();
        let used: u64 = self.ranges.values().map(|(size, _)| size).sum();
        assert_eq!(statistics.used_bytes, used);
        assert_eq!(statistics.free_bytes, statistics.size - used);
        assert_eq!(statistics.allocation_count, self.ranges.len() as u64);
        let (mut end, mut found) = (0, BTreeMap::new());
        self.block.for_each_range(|VirtualRange { offset, size, state }| {
            assert_eq!(offset, end, "ranges tile the block");
            end = offset + size;
            if let VirtualRangeState::Used { user_data } = state {
                found.insert(offset, (size, user_data));
            }
        });
        assert_eq!(end, statistics.size);
        assert_eq!(found, self.ranges);
    }
}

/// A request whose magnitude is as likely as any other; now and then one that cannot be.
fn request(u: &mut Unstructured<'_>, unit: u64) -> Result<Request> {
    let magnitude = if u.ratio(1, 32)? { u.int_in_range(0..=63)? } else { u.int_in_range(0..=12)? };
    let size = u.int_in_range(0..=unit << magnitude.min(50))?;
    let alignment = if u.ratio(1, 32)? { u.arbitrary()? } else { 1 << u.int_in_range(0..=12)? };
    let request = Request::new(size, alignment);
    Ok(match u.int_in_range(0..=7)? {
        0 => request.end(End::Low),
        1 => request.end(End::High),
        _ => request,
    })
}
