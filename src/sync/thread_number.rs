//! Numbers of threads: small ones, so that threads that live at once differ in their low bits.
//!
//! Invariants:
//! - T1: two threads that live at once never have one number, unless one of them asks while it is being torn down.
//! - T2: a thread gets the least number that is free, when it first asks; when it ends the number is free again.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

/// The numbers that are taken.
static TAKEN: Mutex<Taken> = Mutex::new(Taken { words: Vec::new() });
/// The most numbers that were ever needed at once.
static MOST: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// One more than the thread's number; 0 before it asks. It needs no teardown, so reading it is one load.
    static NUMBER: Cell<u32> = const { Cell::new(0) };
    /// Gives the number back when the thread ends.
    static LEAVING: Leaving = const { Leaving };
}

/// Returns the number of the calling thread: 0 for the first that asks, then 1, and so on.
#[inline]
pub(crate) fn thread_number() -> u32 {
    known_thread_number().unwrap_or_else(take_number)
}

/// Returns the number of the calling thread if it has asked before.
#[inline]
pub(crate) fn known_thread_number() -> Option<u32> {
    NUMBER.with(Cell::get).checked_sub(1)
}

/// Returns how many threads have had a number at once, at most.
pub(crate) fn most_threads() -> u32 {
    MOST.load(Ordering::Relaxed)
}

#[cold]
fn take_number() -> u32 {
    // A thread that is being torn down could not give a number back: it shares the first.
    if LEAVING.try_with(|_| ()).is_err() {
        return 0;
    }
    let number = TAKEN.lock().take();
    MOST.fetch_max(number + 1, Ordering::Relaxed);
    NUMBER.with(|own| own.set(number + 1));
    number
}

struct Leaving;

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(number) = NUMBER.with(|own| own.replace(0)).checked_sub(1) {
            TAKEN.lock().give_back(number);
        }
    }
}

/// One bit for each number.
struct Taken {
    words: Vec<u64>,
}

impl Taken {
    fn take(&mut self) -> u32 {
        let index = self.words.iter().position(|word| *word != u64::MAX).unwrap_or(self.words.len());
        if index == self.words.len() {
            self.words.push(0);
        }
        let bit = self.words[index].trailing_ones();
        self.words[index] |= 1 << bit;
        u32::try_from(index).expect("threads are fewer than 2^32") * u64::BITS + bit
    }

    fn give_back(&mut self, number: u32) {
        self.words[(number / u64::BITS) as usize] &= !(1 << (number % u64::BITS));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    #[test]
    fn the_least_free_number_is_taken() {
        let mut taken = Taken { words: Vec::new() };
        assert!((0..130).all(|number| taken.take() == number));
        taken.give_back(127);
        taken.give_back(5);
        assert_eq!([taken.take(), taken.take(), taken.take()], [5, 127, 130]);
    }

    /// Other tests run beside this one, so which numbers are given is not known; that they do not grow is.
    #[test]
    fn threads_that_come_and_go_do_not_use_numbers_up() {
        let numbers: Vec<u32> =
            (0..1000).map(|_| thread::spawn(thread_number).join().expect("it does not panic")).collect();
        assert!(numbers.iter().all(|&number| number < 500), "{:?}", numbers.iter().max());
        assert!(most_threads() < 500);
    }

    #[test]
    fn threads_that_live_at_once_have_numbers_of_their_own() {
        let (all, asked) = (Barrier::new(20), std::sync::Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    assert_eq!(known_thread_number(), None);
                    let number = thread_number();
                    assert_eq!((thread_number(), known_thread_number()), (number, Some(number)));
                    asked.lock().expect("nobody panics").push(number);
                    all.wait();
                });
            }
        });
        let mut asked = asked.into_inner().expect("nobody panics");
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(asked.len(), 20);
    }
}
