//! A lock for what is held briefly: one exchange to take it, one plain store to give it back.
//!
//! ```text
//!   free ──exchange──> held ──store──> free
//!     ▲                  │ somebody else wants it: look again 8 times, after ever longer pauses; then yield the core and
//!     ╰──────────────────╯ look 8 times more, 64 times; then sleep 50 µs at a time
//! ```
//!
//! A lock that parks its waiters must ask on unlocking whether there are any, by a second exchange: 5 ns more of 10 on
//! the machine where this was measured (November 2026), where a pair takes 24 to 34. Here those who wait look for
//! themselves. So nobody may hold it across a driver call, a callback of the user's, or a wait, but for another lock of
//! this kind, in one order for all (a pool's entry in its table, then the pool). Who holds it for many steps lets
//! others in between them ([`MutexGuard::bump`](lock_api::MutexGuard::bump)): he would have it again before they look.
//!
//! Invariants:
//! - B1: whoever changes `is_held` from false to true owns the lock until it stores false; everyone else only reads.
//! - B2: what an owner wrote is seen by the next one: the store releases, the exchange acquires.

#[cfg(not(loom))]
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[cfg(loom)]
use loom::{hint::spin_loop, thread};
#[cfg(not(loom))]
use std::thread;

#[cfg(not(loom))]
type Flag = core::sync::atomic::AtomicBool;
#[cfg(loom)]
type Flag = model::Flag;

/// Looks at the lock before the core is yielded.
const LOOKS: u32 = 8;
/// The longest pause before a look, in turns of `spin_loop`: the first is 1, each further one twice as long. A look
/// takes the cache line from the holder's core, and the holder's next exchange takes it back: waiters that look seldom
/// disturb less.
const LONGEST_PAUSE: u32 = 64;
/// Yields before a waiter sleeps: its holder has been stopped, or walks over a whole pool.
const YIELDS: u32 = 64;
/// How long a waiter sleeps then.
#[cfg_attr(loom, expect(dead_code, reason = "loom's threads have no clock"))]
const SLEEP: Duration = Duration::from_micros(50);

/// How often one who lets others in looks whether somebody came: until the line has crossed to another core and back.
const COURTESY: u32 = if cfg!(loom) { 1 } else { LONGEST_PAUSE };

/// The raw lock.
#[derive(Debug)]
pub(crate) struct RawSpinLock {
    is_held: Flag,
    /// Threads that wait: advice only, which loom need not know.
    waiting: AtomicU32,
}

/// A mutex whose waiters spin.
pub(crate) type SpinMutex<T> = lock_api::Mutex<RawSpinLock, T>;
/// The right to what a [`SpinMutex`] guards.
pub(crate) type SpinMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawSpinLock, T>;

/// Makes a mutex whose waiters spin.
#[inline]
pub(crate) fn spin_mutex<T>(value: T) -> SpinMutex<T> {
    let mutex = SpinMutex::new(value);
    if cfg!(loom) {
        // Loom's flag is made by a look, and not while threads race for it.
        let _ = mutex.is_locked();
    }
    mutex
}

// SAFETY: B1: one owner at a time, as only the exchange from false to true makes one and only the owner ends that.
unsafe impl lock_api::RawMutex for RawSpinLock {
    const INIT: Self = Self { is_held: Flag::new(false), waiting: AtomicU32::new(0) };

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.is_held.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.is_held.store(false, Ordering::Release);
    }

    fn is_locked(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }
}

// SAFETY: it is given back as `unlock` does, and taken as `lock` does.
unsafe impl lock_api::RawMutexFair for RawSpinLock {
    unsafe fn unlock_fair(&self) {
        let waiting = self.waiting.load(Ordering::Relaxed);
        // SAFETY: the caller holds it.
        unsafe { lock_api::RawMutex::unlock(self) };
        // Somebody has come in when fewer wait.
        let is_awaited = |_: &u32| waiting > 0 && self.waiting.load(Ordering::Relaxed) >= waiting;
        (0..COURTESY).take_while(is_awaited).for_each(|_| spin_loop());
    }

    #[inline]
    unsafe fn bump(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            // SAFETY: the caller holds it.
            unsafe { self.unlock_fair() };
            lock_api::RawMutex::lock(self);
        }
    }
}

impl RawSpinLock {
    /// Waits for the lock and takes it.
    #[cold]
    #[inline(never)]
    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut rounds = 0;
        while !self.is_had_soon() {
            rounds += 1;
            if rounds <= YIELDS { thread::yield_now() } else { sleep() }
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes the lock if it is given back within some looks.
    fn is_had_soon(&self) -> bool {
        (0..LOOKS).any(|look| {
            (0..LONGEST_PAUSE.min(1 << look)).for_each(|_| spin_loop());
            !self.is_held.load(Ordering::Relaxed) && lock_api::RawMutex::try_lock(self)
        })
    }
}

#[cfg(not(loom))]
fn sleep() {
    thread::sleep(SLEEP);
}

#[cfg(loom)]
fn sleep() {
    thread::yield_now();
}

/// Loom's flag, made when it is first looked at: loom has no constants.
#[cfg(loom)]
mod model {
    use core::ops::Deref;

    use loom::sync::atomic::AtomicBool;

    #[derive(Debug)]
    pub(crate) struct Flag(std::sync::OnceLock<AtomicBool>);

    impl Flag {
        pub(super) const fn new(_is_set: bool) -> Self {
            Self(std::sync::OnceLock::new())
        }
    }

    impl Deref for Flag {
        type Target = AtomicBool;

        fn deref(&self) -> &AtomicBool {
            self.0.get_or_init(|| AtomicBool::new(false))
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_counts_exactly() {
        let counter = SpinMutex::new(0_u64);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..20_000).for_each(|_| *counter.lock() += 1));
            }
        });
        assert_eq!(*counter.lock(), 80_000);
    }

    #[test]
    fn a_held_lock_is_not_had_twice() {
        let value = SpinMutex::new(());
        let held = value.lock();
        assert!(value.is_locked() && value.try_lock().is_none());
        drop(held);
        assert!(!value.is_locked() && value.try_lock().is_some());
    }

    #[test]
    fn who_lets_others_in_has_it_again_and_counts_exactly() {
        let counter = SpinMutex::new(0_u64);
        let count = || {
            let mut held = counter.lock();
            for _ in 0..20_000 {
                *held += 1;
                SpinMutexGuard::bump(&mut held);
            }
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(count))));
        assert_eq!(*counter.lock(), 80_000);
    }

    #[test]
    fn a_waiter_comes_in_between() {
        let value = SpinMutex::new(0);
        let mut held = value.lock();
        let began = std::time::Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| *value.lock() = 7);
            while *held == 0 && began.elapsed() < Duration::from_secs(60) {
                SpinMutexGuard::bump(&mut held);
            }
            assert_eq!((*held, value.is_locked()), (7, true), "somebody was let in, and it is held again");
            drop(held);
        });
    }

    #[test]
    fn a_waiter_outlasts_a_slow_holder() {
        let value = SpinMutex::new(0);
        let mut held = value.lock();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| *value.lock());
            thread::sleep(20 * SLEEP);
            *held = 7;
            drop(held);
            assert_eq!(waiter.join().expect("the waiter does not panic"), 7);
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::Arc;

    use loom::cell::Cell;
    use loom::thread;

    use super::{SpinMutex, SpinMutexGuard, spin_mutex};
    use crate::sync::explore;

    /// Loom's cell panics where two threads reach it at once, or one does not see what the other wrote.
    fn add(counter: &SpinMutex<Cell<u32>>) {
        let held = counter.lock();
        held.set(held.get() + 1);
    }

    #[test]
    fn loom_one_owner_at_a_time_who_sees_what_the_last_one_wrote() {
        explore("spin lock: lock and lock", None, || {
            let counter = Arc::new(spin_mutex(Cell::new(0)));
            let other = Arc::clone(&counter);
            let worker = thread::spawn(move || add(&other));
            add(&counter);
            worker.join().expect("it does not panic");
            assert_eq!(counter.lock().get(), 2);
        });
    }

    #[test]
    fn loom_who_lets_others_in_has_it_again() {
        explore("spin lock: bump and lock", Some(3), || {
            let counter = Arc::new(spin_mutex(Cell::new(0)));
            let other = Arc::clone(&counter);
            let worker = thread::spawn(move || add(&other));
            let mut held = counter.lock();
            held.set(held.get() + 1);
            SpinMutexGuard::bump(&mut held);
            held.set(held.get() + 1);
            drop(held);
            worker.join().expect("it does not panic");
            assert_eq!(counter.lock().get(), 3);
        });
    }

    #[test]
    fn loom_who_does_not_wait_gets_it_or_not() {
        explore("spin lock: lock and try_lock", None, || {
            let counter = Arc::new(spin_mutex(Cell::new(0)));
            let other = Arc::clone(&counter);
            let worker = thread::spawn(move || {
                let held = other.try_lock();
                held.as_deref().map(|value| value.set(value.get() + 1)).is_some()
            });
            add(&counter);
            let was_had = worker.join().expect("it does not panic");
            assert_eq!(counter.lock().get(), 1 + u32::from(was_had));
        });
    }
}
