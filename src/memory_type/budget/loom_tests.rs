//! Reservations, releases and refreshes that meet, in every order.

use std::sync::Arc;

use loom::thread;

use super::super::layouts;
use super::*;
use crate::sync::explore;

const BOUND: Bound = Bound::WithinBudget;

/// A budget of 1000 bytes on heap 0, of which so many are held, and one object of heap 1.
fn budget(held: u64) -> Arc<Budget> {
    let budget = Budget::new(&layouts::of("geforce-rtx-3070"), &[Some(1000)]);
    budget.reserve(0, held, BOUND).expect("it fits").commit_whole();
    budget.reserve(1, 1, BOUND).expect("it fits").commit_whole();
    Arc::new(budget)
}

fn spawn(budget: &Arc<Budget>, act: impl FnOnce(&Budget) + 'static) -> thread::JoinHandle<()> {
    let budget = Arc::clone(budget);
    thread::spawn(move || act(&budget))
}

#[test]
fn loom_a_reservation_meets_a_release() {
    explore("budget: a reservation and a release", None, || {
        let budget = budget(1000);
        let releasing = spawn(&budget, |budget| drop(budget.begin_release(0, Charge::whole(1000))));
        let got = budget.reserve(0, 500, BOUND).map(Reservation::commit_whole);
        releasing.join().expect("it does not panic");
        let expected = if got.is_ok() { 500 } else { 0 };
        assert_eq!((budget.heap(0).own, budget.object_count()), (expected, 1 + u32::from(got.is_ok())));
    });
}

/// A release of another heap, which ends sooner, does not turn the wait for the one that helps into a refusal.
#[test]
fn loom_a_reservation_waits_for_the_release_that_helps() {
    explore("budget: a reservation between two releases", Some(3), || {
        let budget = budget(1000);
        let (other, helping) = (Arc::clone(&budget), Arc::clone(&budget));
        let begun = Arc::new(Mutex::new(false));
        let sets = Arc::clone(&begun);
        let workers = [
            thread::spawn(move || {
                let release = helping.begin_release(0, Charge::whole(1000));
                *sets.lock() = true;
                drop(release);
            }),
            thread::spawn(move || drop(other.begin_release(1, Charge::whole(1)))),
        ];
        let has_begun = *begun.lock();
        let got = budget.reserve(0, 500, BOUND).map(Reservation::commit_whole);
        assert!(got.is_ok() || !has_begun, "the release had begun: {got:?}");
        for worker in workers {
            worker.join().expect("it does not panic");
        }
        assert_eq!(budget.object_count(), u32::from(got.is_ok()));
    });
}

#[test]
fn loom_two_reservations_never_exceed_the_bound() {
    explore("budget: two reservations, one dropped", None, || {
        let budget = budget(0);
        let dropping = spawn(&budget, |budget| {
            let got = budget.reserve(0, 600, BOUND);
            assert!(budget.heap(0).own <= 1000);
            drop(got);
        });
        let got = budget.reserve(0, 600, BOUND).map(Reservation::commit_whole);
        dropping.join().expect("it does not panic");
        assert_eq!(budget.heap(0).own, if got.is_ok() { 600 } else { 0 });
    });
}

/// I5: whatever the driver saw when it was asked, foreign bytes are not estimated too low.
#[test]
fn loom_a_refresh_never_misses_foreign_bytes() {
    const FOREIGN: u64 = 100;
    explore("budget: a refresh, an opening and a release", Some(3), || {
        let budget = budget(0);
        let driver = Arc::new(Mutex::new(FOREIGN));
        let seen = Arc::clone(&driver);
        let opening = spawn(&budget, move |budget| {
            let reservation = budget.reserve(0, 50, BOUND).expect("it fits");
            *seen.lock() += 50;
            reservation.commit_whole();
            let release = budget.begin_release(0, Charge::whole(50));
            *seen.lock() -= 50;
            drop(release);
        });
        budget.refresh(|| {
            let mut reports = [HeapBudget::default(); MAX_HEAPS];
            reports[0] = HeapBudget { usage: *driver.lock(), budget: 5000 };
            Some(reports)
        });
        assert!(budget.heap(0).foreign >= FOREIGN);
        opening.join().expect("it does not panic");
        assert_eq!(budget.heap(0).own, 0);
    });
}
