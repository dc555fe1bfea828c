//! The budget's arithmetic, its guards, and threads that race for the last bytes.

use std::sync::mpsc;
use std::thread;

use proptest::prelude::*;

use super::super::layouts::{self, MIB};
use super::*;

/// One local heap of this many bytes, and so many memory objects.
fn one_heap(size: u64, max_memory_allocation_count: u32) -> Properties {
    let mut properties = layouts::of("lavapipe");
    properties.memory_heaps[0].size = size;
    properties.max_memory_allocation_count = max_memory_allocation_count;
    properties
}

/// Takes over a report about heap 0.
fn report(budget: &Budget, usage: u64, most: u64) {
    let mut reports = [HeapBudget::default(); MAX_HEAPS];
    reports[0] = HeapBudget { usage, budget: most };
    assert!(budget.refresh(|| Some(reports)));
}

fn take(budget: &Budget, bytes: u64) -> Result<(), Refused> {
    budget.reserve(0, bytes, Bound::WithinBudget).map(Reservation::commit_whole)
}

#[test]
fn without_a_word_from_the_driver_a_fifth_of_the_heap_stays_free() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 800).unwrap();
    let refused = take(&budget, 1).unwrap_err();
    let expected = Refused::OverBudget { heap_index: 0, is_device_local: true, asked: 1, usage: 800, budget: 800 };
    assert_eq!(refused, expected);
    assert_eq!(refused.to_string(), "heap 0 (device-local): 1 bytes asked, 0 left of the budget of 800 (800 in use)");
}

#[test]
fn a_budget_of_zero_is_no_answer_and_a_large_one_is_cut() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    report(&budget, 0, 0);
    assert_eq!(budget.heap(0).budget, 800);
    report(&budget, 0, 5000);
    assert_eq!(budget.heap(0).budget, 1000);
}

/// The invariant of the design, in its own words.
#[test]
fn usage_is_the_larger_of_the_driver_s_and_ours_plus_our_growth() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 100).unwrap();
    report(&budget, 300, 600);
    assert_eq!((budget.heap(0).own, budget.heap(0).foreign), (100, 200));
    take(&budget, 300).unwrap();
    assert!(matches!(take(&budget, 1), Err(Refused::OverBudget { usage: 600, budget: 600, .. })));
    report(&budget, 50, 600);
    assert_eq!(budget.heap(0).usage(), 400, "a driver that reports less than we hold is not believed");
    drop(budget.begin_release(0, Charge::whole(100)));
    assert_eq!(budget.heap(0).remaining(), 300);
}

/// I5 among threads that refresh at once: the driver may answer the first to ask last.
#[test]
fn an_older_answer_does_not_replace_a_newer_one() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    let mut older = [HeapBudget::default(); MAX_HEAPS];
    older[0] = HeapBudget { usage: 100, budget: 900 };
    let was_answered = budget.refresh(|| {
        // Another thread asks and hears of more usage, while this answer is on its way.
        report(&budget, 700, 800);
        Some(older)
    });
    assert!(was_answered);
    assert_eq!((budget.heap(0).foreign, budget.heap(0).budget), (700, 800));
    report(&budget, 300, 900);
    assert_eq!((budget.heap(0).foreign, budget.heap(0).budget), (300, 900), "what is asked later counts");
}

#[test]
fn the_heap_s_bound_passes_over_the_budget_only() {
    let budget = Budget::new(&one_heap(1000, 64), &[Some(900)]);
    let within_heap = |bytes| budget.reserve(0, bytes, Bound::WithinHeap).map(Reservation::commit_whole);
    take(&budget, 800).unwrap();
    assert!(take(&budget, 50).is_err());
    within_heap(50).unwrap();
    assert!(matches!(within_heap(51), Err(Refused::OverLimit { usage: 850, limit: 900, .. })));
    let unlimited = Budget::new(&one_heap(1000, 64), &[]);
    let refused = unlimited.reserve(0, 1001, Bound::WithinHeap).unwrap_err();
    assert!(matches!(refused, Refused::OverHeap { own: 0, cap: 1000, .. }));
    assert_eq!(unlimited.available(0, Bound::WithinHeap, Change::default()), 1000);
}

/// A small BAR keeps its last part free, whatever bound is asked for (`VulkanMemoryAllocator` #278, #390).
#[test]
fn a_small_bar_is_never_filled() {
    let budget = Budget::new(&layouts::of("radeon-bar256"), &[]);
    let mut reports = [HeapBudget::default(); MAX_HEAPS];
    reports[2] = HeapBudget { usage: 0, budget: 256 * MIB };
    budget.refresh(|| Some(reports));
    assert_eq!(budget.heap(2).remaining(), 224 * MIB);
    assert_eq!(budget.available(2, Bound::WithinHeap, Change::default()), 224 * MIB);
    assert_eq!(budget.available(0, Bound::WithinHeap, Change::default()), 7936 * MIB, "a large heap has no such part");
}

#[test]
fn some_objects_are_left_to_the_application() {
    let budget = Budget::new(&one_heap(1 << 40, 4096), &[]);
    assert_eq!(budget.max_object_count(), 3840);
    for _ in 0..3840 {
        take(&budget, 1).unwrap();
    }
    assert_eq!(take(&budget, 1), Err(Refused::TooManyObjects { count: 3840, max: 3840 }));
    drop(budget.begin_release(0, Charge::whole(1)));
    take(&budget, 1).unwrap();
    assert_eq!(Budget::new(&one_heap(1, 1), &[]).max_object_count(), 1);
    assert_eq!(Budget::new(&one_heap(1, u32::MAX), &[]).max_object_count(), u32::MAX - u32::MAX / 16);
}

#[test]
fn a_dropped_reservation_leaves_no_trace() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    let before = budget.heap(0);
    let reservation = budget.reserve(0, 700, Bound::WithinBudget).unwrap();
    assert_eq!((reservation.bytes(), budget.heap(0).own, budget.object_count()), (700, 700, 1));
    drop(reservation);
    assert_eq!((budget.heap(0), budget.object_count()), (before, 0));
}

#[test]
fn what_has_gone_is_known_by_heap_once_it_has() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 300).unwrap();
    let before = budget.released_totals();
    let release = budget.begin_release(0, Charge::whole(300));
    assert_eq!(budget.released_totals(), before, "it is under way");
    thread::scope(|scope| {
        let gone = scope.spawn(|| budget.gone_since(&before, Some(0)));
        thread::sleep(core::time::Duration::from_millis(5));
        drop(release);
        assert_eq!(gone.join().unwrap(), 300, "it was waited for");
    });
    assert_eq!([Some(1), None].map(|heap_index| budget.gone_since(&before, heap_index)), [0, 300]);
    assert_eq!(budget.gone_since(&budget.released_totals(), None), 0);
}

#[test]
fn of_what_is_charged_anew_only_what_is_charged_no_more_is_room() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 300).unwrap();
    let before = budget.released_totals();
    let [all, less, more] = [300, 200, 250].map(|committed| Charge::committed(300, committed));
    budget.recharge(0, all, all);
    assert_eq!(budget.gone_since(&before, Some(0)), 0, "nothing was given back");
    budget.recharge(0, all, less);
    budget.recharge(0, less, more);
    assert_eq!(budget.gone_since(&before, Some(0)), 100, "what is charged again is no room");
    budget.recharge(0, more, less);
    assert_eq!(budget.gone_since(&before, Some(0)), 150);
}

#[test]
fn heaps_that_do_not_exist_refuse() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    for heap_index in [1, 15, 16, u32::MAX] {
        assert!(budget.reserve(heap_index, 1, Bound::WithinHeap).is_err());
    }
    assert!(budget.reserve(16, 0, Bound::WithinHeap).is_err());
    assert_eq!(budget.heap(99), HeapUsage::default());
}

#[test]
fn lazy_memory_is_charged_by_what_it_commits() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    budget.reserve(0, 64, Bound::WithinBudget).unwrap().commit(Charge::unseen(64));
    assert_eq!((budget.heap(0).own, budget.object_count()), (64, 1), "it may commit all");
    let [little, all] = [16, u64::MAX].map(|committed| Charge::committed(64, committed));
    budget.recharge(0, Charge::unseen(64), little);
    assert_eq!(budget.heap(0).own, 16);
    budget.recharge(0, little, all);
    assert_eq!(budget.heap(0).own, 64, "no more than there is");
    drop(budget.begin_release(0, all));
    assert_eq!((budget.heap(0).own, budget.object_count()), (0, 0));
}

/// I5: a driver counts what lazily allocated memory has committed, which is nothing at first, wherever it is opened.
#[test]
fn lazy_memory_hides_no_foreign_bytes() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    let open = || budget.reserve(0, 64, Bound::WithinBudget).unwrap().commit(Charge::unseen(64));
    let mut reports = [HeapBudget::default(); MAX_HEAPS];
    reports[0] = HeapBudget { usage: 150, budget: 900 };
    open();
    budget.refresh(|| {
        open();
        drop(budget.begin_release(0, Charge::unseen(64)));
        Some(reports)
    });
    assert_eq!((budget.heap(0).own, budget.heap(0).foreign), (64, 150));
    budget.recharge(0, Charge::unseen(64), Charge::committed(64, 16));
    report(&budget, 166, 900);
    assert_eq!((budget.heap(0).own, budget.heap(0).foreign), (16, 150));
}

#[test]
fn the_age_of_the_driver_s_numbers_is_known() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 1).unwrap();
    drop(budget.begin_release(0, Charge::whole(1)));
    assert_eq!((budget.refresh_count(), budget.operations_since_refresh()), (0, 2));
    report(&budget, 0, 0);
    drop(budget.reserve(0, 1, Bound::WithinBudget).unwrap());
    assert_eq!((budget.refresh_count(), budget.operations_since_refresh()), (1, 0), "nothing was opened");
    take(&budget, 1).unwrap();
    budget.recharge(0, Charge::whole(1), Charge::committed(1, 0));
    assert_eq!(budget.operations_since_refresh(), 1, "what is charged was there before");
    report(&budget, 0, 0);
    assert_eq!((budget.refresh_count(), budget.operations_since_refresh()), (2, 0));
    assert!(!budget.refresh(|| None));
    assert_eq!(budget.refresh_count(), 2);
    let was_answered = budget.refresh(|| {
        take(&budget, 1).unwrap();
        Some([HeapBudget::default(); MAX_HEAPS])
    });
    assert!(was_answered);
    assert_eq!(budget.operations_since_refresh(), 1, "who knows whether the driver has seen it");
}

/// I5: whatever other threads do while the driver is asked, foreign bytes are never estimated too low.
#[test]
fn what_happens_during_a_refresh_is_not_lost() {
    const FOREIGN: u64 = 200;
    let budget = Budget::new(&one_heap(10_000, 64), &[]);
    take(&budget, 100).unwrap();
    // Freed and taken again while the driver is asked: it saw the moment between.
    let mut reports = [HeapBudget::default(); MAX_HEAPS];
    reports[0] = HeapBudget { usage: FOREIGN, budget: 5000 };
    budget.refresh(|| {
        drop(budget.begin_release(0, Charge::whole(100)));
        take(&budget, 100).unwrap();
        Some(reports)
    });
    assert_eq!(budget.heap(0).foreign, FOREIGN);
    // Reserved before, allocated after the driver was asked.
    let reservation = budget.reserve(0, 50, Bound::WithinBudget).unwrap();
    report(&budget, FOREIGN + 100, 5000);
    reservation.commit_whole();
    assert_eq!((budget.heap(0).own, budget.heap(0).foreign), (150, FOREIGN));
    // Freed at the driver before it was asked, announced as freed after.
    let release = budget.begin_release(0, Charge::whole(50));
    report(&budget, FOREIGN + 100, 5000);
    drop(release);
    assert_eq!((budget.heap(0).own, budget.heap(0).foreign), (100, FOREIGN));
}

/// A refusal waits for a release that is under way, and then succeeds.
#[test]
fn a_refusal_waits_for_a_release_in_flight() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 800).unwrap();
    let release = budget.begin_release(0, Charge::whole(800));
    let (started, has_started) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            started.send(()).unwrap();
            take(&budget, 500)
        });
        has_started.recv().unwrap();
        // It waits by now, or comes later and finds the room.
        thread::sleep(std::time::Duration::from_millis(50));
        drop(release);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!((budget.heap(0).own, budget.object_count()), (500, 1));
}

/// One that ends sooner, on another heap, is not the one that was waited for, whether it began before the wait or
/// later.
#[test]
fn a_refusal_waits_for_the_release_that_helps_not_for_any() {
    let budget = Budget::new(&layouts::of("geforce-rtx-3070"), &[Some(1000)]);
    take(&budget, 1000).unwrap();
    for _ in 0..2 {
        budget.reserve(1, 1, Bound::WithinBudget).map(Reservation::commit_whole).unwrap();
    }
    let (large, small) = (budget.begin_release(0, Charge::whole(1000)), budget.begin_release(1, Charge::whole(1)));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| take(&budget, 500));
        // It waits by now, or comes later and finds the same.
        thread::sleep(std::time::Duration::from_millis(50));
        drop(budget.begin_release(1, Charge::whole(1)));
        drop(small);
        thread::sleep(std::time::Duration::from_millis(50));
        drop(large);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!((budget.heap(0).own, budget.object_count()), (500, 1));
}

/// Nothing waits for a release that would not help, and nobody waits for ever: this test would hang.
#[test]
fn a_refusal_does_not_wait_in_vain() {
    let budget = Budget::new(&one_heap(1000, 64), &[]);
    take(&budget, 400).unwrap();
    take(&budget, 400).unwrap();
    let release = budget.begin_release(0, Charge::whole(400));
    assert!(take(&budget, 401).is_err(), "400 bytes stay even after the release");
    assert!(budget.check(0, 400, Bound::WithinBudget, Change::default()).is_err(), "a check does not wait");
    drop(release);
    assert!(budget.check(0, 400, Bound::WithinBudget, Change::default()).is_ok());
}

#[test]
fn a_check_counts_what_is_only_thought_of() {
    let budget = Budget::new(&one_heap(1000, 5), &[]);
    take(&budget, 100).unwrap();
    take(&budget, 100).unwrap();
    let check = |bytes, change| budget.check(0, bytes, Bound::WithinBudget, change);
    let opened = Change { opened: 500, objects_opened: 3, ..Change::default() };
    assert_eq!(check(1, opened), Err(Refused::TooManyObjects { count: 5, max: 5 }));
    let opened = Change { objects_given_back: 1, ..opened };
    assert_eq!(check(100, opened), Ok(()));
    assert!(matches!(check(101, opened), Err(Refused::OverBudget { usage: 700, budget: 800, .. })));
    let opened = Change { given_back: 300, ..opened };
    assert_eq!(check(400, opened), Ok(()));
    assert!(matches!(check(401, opened), Err(Refused::OverBudget { usage: 400, .. })));
    assert_eq!(budget.available(0, Bound::WithinBudget, opened), 400);
    let opened = Change { objects_given_back: 0, ..opened };
    assert_eq!(budget.available(0, Bound::WithinBudget, opened), 0, "no object more");
}

#[test]
fn an_object_on_its_way_out_makes_room_on_another_heap() {
    let mut properties = layouts::of("geforce-rtx-3070");
    properties.max_memory_allocation_count = 1;
    let budget = Budget::new(&properties, &[]);
    take(&budget, 1).unwrap();
    let release = budget.begin_release(0, Charge::whole(1));
    thread::scope(|scope| {
        let waiting = scope.spawn(|| budget.reserve(1, 1, Bound::WithinBudget).map(Reservation::commit_whole));
        thread::sleep(std::time::Duration::from_millis(50));
        drop(release);
        waiting.join().unwrap().unwrap();
    });
    assert_eq!((budget.heap(0).own, budget.heap(1).own), (0, 1));
}

/// Threads race for a heap that cannot hold what they want; the bound holds at every moment, and all ends at zero.
#[test]
fn threads_never_exceed_the_bound_and_end_at_zero() {
    const LIMIT: u64 = 64;
    let budget = Budget::new(&one_heap(1000, 24), &[Some(LIMIT)]);
    thread::scope(|scope| {
        for thread_number in 0..8_u64 {
            let budget = &budget;
            scope.spawn(move || {
                for step in 0..2000 {
                    let bytes = 1 + (step * 7 + thread_number * 13) % 32;
                    let Ok(reservation) = budget.reserve(0, bytes, Bound::WithinBudget) else {
                        continue;
                    };
                    assert!(budget.heap(0).own <= LIMIT && budget.object_count() <= 23);
                    if step % 3 == 0 {
                        continue;
                    }
                    reservation.commit_whole();
                    let release = budget.begin_release(0, Charge::whole(bytes));
                    thread::yield_now();
                    drop(release);
                }
            });
        }
    });
    assert_eq!((budget.heap(0).own, budget.object_count()), (0, 0));
    assert_eq!(budget.check(0, LIMIT, Bound::WithinBudget, Change::default()), Ok(()));
}

/// One step of a random program.
#[derive(Clone, Debug)]
enum Step {
    Reserve { bytes: u64, bound: Bound },
    Commit,
    RollBack,
    BeginRelease,
    EndRelease,
    Refresh { foreign: u64, most: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let bound = prop_oneof![Just(Bound::WithinBudget), Just(Bound::WithinHeap)];
    prop_oneof![
        4 => (1..400_u64, bound).prop_map(|(bytes, bound)| Step::Reserve { bytes, bound }),
        3 => Just(Step::Commit),
        1 => Just(Step::RollBack),
        2 => Just(Step::BeginRelease),
        2 => Just(Step::EndRelease),
        1 => (0..500_u64, 0..1500_u64).prop_map(|(foreign, most)| Step::Refresh { foreign, most }),
    ]
}

/// What a program holds, in plain numbers: the shadow of the budget.
#[derive(Default)]
struct Shadow<'a> {
    pending: Vec<Reservation<'a>>,
    held: Vec<u64>,
    leaving: Vec<(u64, ReleaseInFlight<'a>)>,
}

impl Shadow<'_> {
    fn own(&self) -> u64 {
        let pending: u64 = self.pending.iter().map(Reservation::bytes).sum();
        pending + self.held.iter().sum::<u64>() + self.leaving.iter().map(|(bytes, _)| bytes).sum::<u64>()
    }

    fn objects(&self) -> usize {
        self.pending.len() + self.held.len() + self.leaving.len()
    }
}

/// Reserves, and checks what was granted or refused against the invariants (I1, I2, I3). Nothing is asked for that
/// would wait, since one thread plays all parts.
fn reserve_checked<'a>(budget: &'a Budget, shadow: &mut Shadow<'a>, bytes: u64, bound: Bound) {
    let usage = budget.heap(0);
    let fits = bytes <= usage.remaining_within(bound) && budget.object_count() < budget.max_object_count();
    if !fits && !shadow.leaving.is_empty() {
        assert!(budget.check(0, bytes, bound, Change::default()).is_err());
        return;
    }
    match budget.reserve(0, bytes, bound) {
        Ok(reservation) => {
            shadow.pending.push(reservation);
            let after = budget.heap(0);
            assert!(after.own <= after.cap && after.usage() <= after.limit.unwrap_or(u64::MAX));
            assert!(bound == Bound::WithinHeap || after.usage() <= after.budget);
        }
        Err(_) => assert!(!fits, "{bytes} bytes would have fitted {usage:?}"),
    }
}

proptest! {
    /// Any program of reservations, releases and refreshes keeps the invariants and ends at zero.
    #[test]
    fn programs_keep_the_invariants(
        steps in prop::collection::vec(any_step(), 1..120), limit in prop::option::of(300..1200_u64)
    ) {
        let budget = Budget::new(&one_heap(1000, 16), &[limit]);
        let mut shadow = Shadow::default();
        for step in steps {
            match step {
                Step::Reserve { bytes, bound } => reserve_checked(&budget, &mut shadow, bytes, bound),
                Step::Commit => if let Some(reservation) = shadow.pending.pop() {
                    shadow.held.push(reservation.bytes());
                    reservation.commit_whole();
                },
                Step::RollBack => drop(shadow.pending.pop()),
                Step::BeginRelease => if let Some(bytes) = shadow.held.pop() {
                    shadow.leaving.push((bytes, budget.begin_release(0, Charge::whole(bytes))));
                },
                Step::EndRelease => drop(shadow.leaving.pop()),
                Step::Refresh { foreign, most } => {
                    let held: u64 = shadow.held.iter().sum();
                    report(&budget, held + foreign, most);
                    prop_assert!(budget.heap(0).foreign >= foreign);
                }
            }
            prop_assert_eq!(budget.heap(0).own, shadow.own());
            prop_assert_eq!(budget.object_count() as usize, shadow.objects());
        }
        for bytes in std::mem::take(&mut shadow.held) {
            drop(budget.begin_release(0, Charge::whole(bytes)));
        }
        drop(shadow);
        prop_assert_eq!((budget.heap(0).own, budget.object_count()), (0, 0));
    }
}
