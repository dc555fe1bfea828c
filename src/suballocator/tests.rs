//! The shadow model: generated programs run on every algorithm and on a plain interval map, step by step.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// One step of a program. Picks are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    Allocate(Request),
    AllocateReady(Request),
    AllocateIn(u32, Request),
    Free(usize),
    FreeReady(usize),
    FreeNewest,
    FreeOldest,
    FreeStale(usize),
    AddRegion(u64),
    RemoveRegion(u32),
    Reclaim,
    Clear,
}

fn request() -> impl Strategy<Value = Request> {
    let size =
        prop_oneof![6 => 1..300u64, 3 => 1..5_000u64, 1 => 1..80_000u64, 1 => Just(u64::MAX), 1 => Just(1 << 41)];
    let alignment = prop_oneof![6 => 0..4u32, 3 => 0..9u32, 2 => 0..20u32, 1 => 0..64u32];
    let end = prop_oneof![6 => Just(None), 1 => Just(Some(End::Low)), 1 => Just(Some(End::High))];
    (size, alignment, end).prop_map(|(size, alignment, end)| Request { size, alignment: 1 << alignment, end })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => request().prop_map(Step::Allocate),
        20 => request().prop_map(Step::AllocateReady),
        3 => (0..6u32, request()).prop_map(|(region, request)| Step::AllocateIn(region, request)),
        18 => any::<usize>().prop_map(Step::Free),
        12 => any::<usize>().prop_map(Step::FreeReady),
        4 => Just(Step::FreeNewest),
        4 => Just(Step::FreeOldest),
        2 => any::<usize>().prop_map(Step::FreeStale),
        4 => prop_oneof![1..4u64, 1..2_000u64, Just(10_000)].prop_map(Step::AddRegion),
        4 => (0..6u32).prop_map(Step::RemoveRegion),
        1 => Just(Step::Reclaim),
        1 => Just(Step::Clear),
    ]
}

impl Step {
    /// The same with sizes of units instead of bytes, and regions of eight times their size: much is live then, beside
    /// what is asked for.
    fn in_units(&self, shift: u32) -> Self {
        let scaled = |request: Request| Request { size: request.size.min(1 << 20) << shift, ..request };
        match *self {
            Self::Allocate(request) => Self::Allocate(scaled(request)),
            Self::AllocateReady(request) => Self::AllocateReady(scaled(request)),
            Self::AllocateIn(region, request) => Self::AllocateIn(region, scaled(request)),
            Self::AddRegion(units) => Self::AddRegion(8 * units),
            ref other => other.clone(),
        }
    }
}

impl Suballocator {
    /// Returns the unit in bytes.
    fn unit(&self) -> u64 {
        1 << self.shift()
    }

    /// Tells whether a region exists and nothing in it is live. Slabs that are kept empty do not count.
    pub(super) fn is_region_empty(&self, region: u32) -> bool {
        regions!(self).is_empty(region)
    }
}

/// What should be there.
struct Shadow {
    subject: Suballocator,
    regions: BTreeMap<u32, u64>,
    /// By region and offset: size and key.
    live: BTreeMap<(u32, u64), (u64, RangeKey)>,
    /// Places in the order of their making.
    order: Vec<(u32, u64)>,
    stale: Vec<RangeKey>,
}

impl Shadow {
    fn new(algorithm: Algorithm, settings: Settings) -> Self {
        let subject = Suballocator::new(algorithm, settings);
        Self { subject, regions: BTreeMap::new(), live: BTreeMap::new(), order: Vec::new(), stale: Vec::new() }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Allocate(request) => {
                let expected = self.subject.probe(&request);
                // Every second time by the short way, if it has what is asked for at hand.
                let is_tried = self.order.len().is_multiple_of(2);
                let at_hand = is_tried.then(|| self.subject.allocate_at_hand(&request)).flatten();
                let got = at_hand.or_else(|| self.subject.allocate(&request));
                assert_eq!(expected, got.map(|got| Spot { region: got.region, offset: got.offset, size: got.size }));
                self.note(&request, got);
            }
            Step::AllocateReady(request) => self.allocate_ready(&request),
            Step::AllocateIn(region, request) => {
                let got = self.subject.allocate_in(region, &request);
                assert!(got.is_none_or(|got| got.region == region));
                if let Some(got) = got {
                    self.note(&request, Some(got));
                }
            }
            Step::FreeReady(pick) if !self.order.is_empty() => self.free_ready(pick % self.order.len()),
            Step::Free(pick) if !self.order.is_empty() => self.free(pick % self.order.len()),
            Step::FreeNewest if !self.order.is_empty() => self.free(self.order.len() - 1),
            Step::FreeOldest if !self.order.is_empty() => self.free(0),
            Step::FreeStale(pick) if !self.stale.is_empty() => {
                let key = self.stale[pick % self.stale.len()];
                if self.live.values().all(|&(_, live)| live != key) {
                    assert!(!self.subject.free_at_hand(key));
                    assert_eq!(self.subject.free(key), Err(StaleKey));
                }
            }
            Step::AddRegion(units) => self.add_region(units),
            Step::RemoveRegion(region) => self.remove_region(region),
            Step::Reclaim => self.subject.reclaim(),
            Step::Clear => {
                self.subject.clear();
                self.stale.extend(self.live.values().map(|&(_, key)| key));
                self.live.clear();
                self.order.clear();
            }
            _ => {}
        }
        self.check();
    }

    /// What the short way takes is what the long one would take.
    fn allocate_ready(&mut self, request: &Request) {
        let expected = self.subject.probe(request);
        let Some(class) = self.subject.slot_rule().class_of(request) else { return };
        if let Some(got) = self.subject.allocate_ready(class) {
            assert_eq!(expected, Some(Spot { region: got.region, offset: got.offset, size: got.size }));
            self.note(request, Some(got));
        }
    }

    /// What the short way frees is gone; what it does not free is as it was.
    fn free_ready(&mut self, index: usize) {
        let place = self.order[index];
        let (_, key) = self.live[&place];
        let empty_before = self.subject.empty_region_bytes();
        if self.subject.free_ready(key) {
            assert_eq!(self.subject.empty_region_bytes(), empty_before);
            assert_eq!((self.subject.resolve(key), self.subject.free_ready(key)), (None, false));
            self.order.remove(index);
            self.live.remove(&place);
            self.stale.push(key);
        }
    }

    fn note(&mut self, request: &Request, got: Option<Suballocation>) {
        let Some(Suballocation { region, offset, size, key }) = got else {
            return self.check_refusal(request);
        };
        assert!(size >= request.size && offset % request.alignment == 0);
        assert!(offset % self.subject.unit() == 0 && size % self.subject.unit() == 0);
        assert!(offset + size <= self.regions[&region]);
        let before = self.live.range(..(region, offset)).next_back();
        assert!(before.is_none_or(|(&(other, start), &(size, _))| other < region || start + size <= offset));
        let after = self.live.range((region, offset)..).next();
        assert!(after.is_none_or(|(&(other, start), _)| other > region || start >= offset + size));
        assert_eq!(self.subject.resolve(key), Some(Spot { region, offset, size }));
        self.live.insert((region, offset), (size, key));
        self.order.push((region, offset));
    }

    /// What an algorithm refuses although it is free is bounded.
    fn check_refusal(&self, request: &Request) {
        let (unit, largest) = (self.subject.unit(), self.subject.largest_free_range());
        match &self.subject {
            Suballocator::Tlsf(_) if request.alignment <= unit && request.size < 1 << 40 => {
                let units = align::units_for(request.size, unit.trailing_zeros());
                assert!(largest < size_class::smallest(size_class::floor(units) + 1) * unit);
                self.check_few_free_ranges(request);
            }
            Suballocator::Tlsf(_) => self.check_few_free_ranges(request),
            Suballocator::Fixed(fixed) if request.size <= fixed.slot_size => {
                assert!(largest == 0 || fixed.slot_size % request.alignment != 0);
            }
            Suballocator::Linear(_) if request.alignment <= unit && request.end != Some(End::High) => {
                assert!(largest < request.size);
            }
            _ => {}
        }
    }

    /// Where few ranges are free, TLSF has looked at all.
    fn check_few_free_ranges(&self, request: &Request) {
        let (mut count, mut can_hold) = (0, false);
        self.subject.for_each_range(&mut |RangeView { offset, size, state, .. }| {
            if state == RangeState::Free {
                let start = align::align_up(offset, request.alignment.max(self.subject.unit()));
                let room = start.and_then(|start| (offset + size).checked_sub(start));
                (count, can_hold) = (count + 1, can_hold || room.is_some_and(|room| request.size <= room));
            }
        });
        assert!(count > free_lists::LIST_LOOK_COUNT || !can_hold, "{request:?}");
    }

    fn free(&mut self, index: usize) {
        let place = self.order.remove(index);
        let (size, key) = self.live.remove(&place).expect("the order lists what is live");
        let is_region_empty = self.live.range((place.0, 0)..(place.0 + 1, 0)).next().is_none();
        let freed = Freed { region: place.0, offset: place.1, size, is_region_empty };
        if index.is_multiple_of(2) && self.subject.free_at_hand(key) {
            assert!(!is_region_empty);
        } else {
            assert_eq!(self.subject.free(key), Ok(freed));
        }
        assert_eq!(self.subject.resolve(key), None);
        assert_eq!(self.subject.free(key), Err(StaleKey));
        self.stale.push(key);
    }

    fn add_region(&mut self, units: u64) {
        if self.regions.len() >= 6 {
            return;
        }
        let size = units * self.subject.unit();
        let region = self.subject.add_region(size);
        assert_eq!(Some(region), (0..7).find(|number| !self.regions.contains_key(number)));
        self.regions.insert(region, size);
    }

    fn remove_region(&mut self, region: u32) {
        let is_in_use = self.live.range((region, 0)..(region + 1, 0)).next().is_some();
        let is_removable = self.regions.contains_key(&region) && !is_in_use;
        assert_eq!(self.subject.remove_region(region), is_removable);
        if is_removable {
            self.regions.remove(&region);
        }
    }

    fn check(&self) {
        self.subject.validate().expect("the invariants hold");
        assert_eq!(self.subject.used_bytes(), self.live.values().map(|&(size, _)| size).sum::<u64>());
        assert_eq!(self.subject.range_count(), self.live.len() as u64);
        assert_eq!(self.subject.region_bytes(), self.regions.values().sum::<u64>());
        let is_empty = |region: u32| self.live.range((region, 0)..(region + 1, 0)).next().is_none();
        let mut empty: Vec<_> = self.subject.empty_regions().collect();
        assert_eq!(self.subject.empty_region_bytes(), empty.iter().map(|&(_, size)| size).sum::<u64>());
        empty.sort_unstable();
        let expected = self.regions.iter().filter(|&(&region, _)| is_empty(region));
        assert_eq!(empty, expected.map(|(&region, &size)| (region, size)).collect::<Vec<_>>());
        for &region in self.regions.keys() {
            assert_eq!(self.subject.is_region_empty(region), is_empty(region));
        }
        self.check_tiles();
    }

    /// The walk shows every region, tiled, and exactly what is live.
    fn check_tiles(&self) {
        let (mut used, mut ends) = (BTreeMap::new(), BTreeMap::new());
        self.subject.for_each_range(&mut |RangeView { region, offset, size, state }| {
            assert_eq!(ends.insert(region, offset + size).unwrap_or(0), offset);
            assert!(size > 0);
            assert!(ends.keys().all(|&other| other <= region));
            if let RangeState::Used(key) = state {
                used.insert((region, offset), (size, key));
            }
        });
        assert_eq!(used, self.live);
        assert_eq!(ends, self.regions);
    }
}

fn settings(unit: u64, slab_limit: u64) -> Settings {
    Settings { slab_limit, high_end_from: 64 * unit, sliver_shift: 5, ..Settings::plain(unit) }
}

fn run(algorithm: Algorithm, settings: Settings, program: &[Step]) {
    let mut shadow = Shadow::new(algorithm, settings);
    shadow.run(&Step::AddRegion(1_000));
    for step in program {
        shadow.run(step);
    }
    while !shadow.order.is_empty() {
        shadow.free(shadow.order.len() / 2);
    }
    shadow.check();
    shadow.subject.reclaim();
    (0..6).for_each(|region| shadow.remove_region(region));
    shadow.check();
    assert_eq!(shadow.subject.region_bytes(), 0);
}

#[test]
fn a_key_says_what_it_was_made_of() {
    let key = RangeKey::new(3, 7);
    assert_eq!((key.index(), key.generation()), (3, 7));
}

/// A region needs an entry of three words and a range or a bit; the tables may be half empty.
#[test]
fn the_host_pays_for_each_region() {
    for algorithm in [Algorithm::Tlsf, Algorithm::Linear, Algorithm::Fixed { slot_size: 4 }] {
        let mut subject = Suballocator::new(algorithm, settings(4, 0));
        let before = subject.host_bytes();
        (0..1_000).for_each(|_| _ = subject.add_region(64));
        let paid = subject.host_bytes() - before;
        assert!((25_000..250_000).contains(&paid), "{paid} bytes for 1,000 regions of {algorithm:?}");
    }
}

#[test]
fn the_short_way_serves_from_a_slab() {
    let mut subject = Suballocator::new(Algorithm::Tlsf, settings(64, 4_096));
    subject.add_region(64 << 10);
    let request = Request::new(64, 1);
    let class = subject.slot_rule().class_of(&request).expect("slots serve it");
    assert_eq!(subject.allocate_ready(class), None, "there is no slab");
    let first = subject.allocate(&request).expect("it has room");
    let second = subject.allocate_ready(class).expect("the slab has 63 slots");
    let lone = subject.allocate(&request.end(End::Low)).expect("it has room");
    assert_eq!((first.offset, second.offset, second.size), (0, 64, 64));
    assert!(!subject.free_ready(lone.key), "a range is not freed this way");
    assert!(subject.free_ready(first.key), "another slot is used");
    assert!(!subject.free_ready(first.key), "it is stale");
    assert_eq!(subject.allocate_ready(class), Some(first));
    assert_eq!((subject.range_count(), subject.used_bytes()), (3, 192));
    for key in [lone.key, second.key] {
        subject.free(key).expect("the key is live");
    }
    assert!(!subject.free_ready(first.key), "its slab would be empty");
    assert!(subject.free(first.key).expect("the key is live").is_region_empty);
    assert_eq!(subject.allocate_ready(class).map(|slot| slot.offset), Some(0), "the slab was kept");
    subject.validate().expect("the invariants hold");
}

#[test]
fn the_short_way_of_a_line_serves_from_its_gap() {
    let mut subject = Suballocator::new(Algorithm::Linear, settings(64, 0));
    subject.add_region(1_024);
    let request = Request::new(128, 64);
    assert_eq!(subject.allocate_at_hand(&request), None, "its region is not in use");
    let first = subject.allocate(&request).expect("it has room");
    let second = subject.allocate_at_hand(&request).expect("the region is in use and has room");
    assert_eq!((second.offset, second.size, subject.used_bytes()), (128, 128, 256));
    assert_eq!(subject.allocate_at_hand(&request.end(End::High)), None, "the other end is the long way's");
    assert_eq!(subject.allocate_at_hand(&Request::new(769, 64)), None, "the gap has less");
    assert!(subject.free_at_hand(second.key), "the region stays in use");
    assert!(!subject.free_at_hand(second.key), "it is stale");
    assert!(!subject.free_at_hand(first.key), "it is the last one of its region");
    assert_eq!((subject.range_count(), subject.used_bytes()), (1, 128));
    subject.validate().expect("the invariants hold");
}

#[test]
fn algorithms_without_slabs_have_no_short_way() {
    for algorithm in [Algorithm::Linear, Algorithm::Fixed { slot_size: 64 }] {
        let mut subject = Suballocator::new(algorithm, settings(64, 4_096));
        subject.add_region(64 << 10);
        let keys = [(); 2].map(|()| subject.allocate(&Request::new(64, 1)).expect("it has room").key);
        assert_eq!((subject.slot_rule().class_of(&Request::new(64, 1)), subject.allocate_ready(0)), (None, None));
        assert_eq!((subject.free_ready(keys[0]), subject.range_count()), (false, 2));
    }
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..250)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn tlsf_agrees_with_its_shadow(program in program(), shift in 0..17u32) {
        run(Algorithm::Tlsf, settings(1 << shift, 0), &program);
    }

    #[test]
    fn tlsf_with_slabs_agrees_with_its_shadow(program in program(), shift in 0..17u32, limit in 1..6_000u64) {
        run(Algorithm::Tlsf, settings(1 << shift, limit.max(8 << shift)), &program);
    }

    #[test]
    fn tlsf_with_large_slots_agrees_with_its_shadow(
        program in program(), shift in 0..13u32, limit in 1..32u64, large_slot_shift in 2..9u32,
    ) {
        let settings = Settings { large_slot_shift, ..settings(1 << shift, limit << shift) };
        run(Algorithm::Tlsf, settings, &program.iter().map(|step| step.in_units(shift)).collect::<Vec<_>>());
    }

    #[test]
    fn linear_agrees_with_its_shadow(program in program(), shift in 0..17u32) {
        run(Algorithm::Linear, settings(1 << shift, 0), &program);
    }

    #[test]
    fn fixed_agrees_with_its_shadow(program in program(), shift in 0..9u32, slot_size in 1..5_000u64) {
        run(Algorithm::Fixed { slot_size }, settings(1 << shift, 0), &program);
    }

    #[test]
    fn the_same_calls_give_the_same_placement(program in program(), limit in 0..3_000u64) {
        let placements = || {
            let mut shadow = Shadow::new(Algorithm::Tlsf, settings(4, limit));
            shadow.run(&Step::AddRegion(5_000));
            for step in &program {
                shadow.run(step);
            }
            shadow.order
        };
        prop_assert_eq!(placements(), placements());
    }
}
