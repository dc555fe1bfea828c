//! Loom's locks and atomics in the shape of those that are used without it: the thinnest adapter.
//!
//! What differs: a lock does not poison, `Condvar::wait` borrows the guard, and loom has no `OnceLock`.

use core::cell::Cell;
use core::ops::{Deref, DerefMut};

use loom::sync::atomic::{AtomicBool, Ordering};
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};

const UNPOISONED: &str = "a model ends at the first panic";

/// A mutex as `parking_lot` has it.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

/// The right to what a [`Mutex`] guards; empty while it waits.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect(UNPOISONED)))
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|guard| MutexGuard(Some(guard)))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().expect(UNPOISONED)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("nobody looks while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("nobody looks while it waits")
    }
}

/// A condition variable as `parking_lot` has it.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let waiting = guard.0.take().expect("a guard waits once at a time");
        guard.0 = Some(self.0.wait(waiting).expect(UNPOISONED));
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A readers-writer lock as `parking_lot` has it.
#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
        self.0.read().expect(UNPOISONED)
    }

    pub(crate) fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
        self.0.write().expect(UNPOISONED)
    }
}

/// A cell that is written once: the standard library's, with loom's points of exchange around it.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    is_ready: AtomicBool,
    claim: Mutex<()>,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { is_ready: AtomicBool::new(false), claim: Mutex::new(()), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_ready.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _claim = self.claim.lock();
        let value = self.value.get_or_init(make);
        self.is_ready.store(true, Ordering::Release);
        value
    }
}

/// A box that is filled once.
#[derive(Debug)]
pub(crate) struct OnceBox<T>(OnceLock<Box<T>>);

impl<T> OnceBox<T> {
    pub(crate) fn new() -> Self {
        Self(OnceLock::new())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get().map(|value| &**value)
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
        self.0.get_or_init(make)
    }
}

loom::lazy_static! {
    static ref NUMBERED: AtomicU32 = AtomicU32::new(0);
}

loom::thread_local! {
    static NUMBER: Cell<u32> = Cell::new(0);
}

/// Returns the number of the calling thread: 0 for the first that asks, then 1, and so on.
pub(crate) fn thread_number() -> u32 {
    known_thread_number().unwrap_or_else(|| {
        let number = NUMBERED.fetch_add(1, Ordering::Relaxed);
        NUMBER.with(|own| own.set(number + 1));
        number
    })
}

/// Returns the number of the calling thread if it has asked before.
pub(crate) fn known_thread_number() -> Option<u32> {
    NUMBER.with(Cell::get).checked_sub(1)
}

/// Returns how many threads have had a number.
pub(crate) fn most_threads() -> u32 {
    NUMBERED.load(Ordering::Relaxed)
}

/// The stack of a model's thread, in words: loom's own is too small for an allocator on a simulated driver.
#[cfg(test)]
const STACK: usize = 1 << 17;

/// Begins a thread of a model.
#[cfg(test)]
pub(crate) fn spawn<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> loom::thread::JoinHandle<T> {
    loom::thread::Builder::new().stack_size(STACK).spawn(act).expect("a model has threads enough")
}

/// Runs a test's threads in every order that differs in what they see, with at most so many preemptions; says how many.
#[cfg(test)]
pub(crate) fn explore(name: &str, most_preemptions: Option<usize>, threads: impl Fn() + Copy + Send + Sync + 'static) {
    let orders = std::sync::Arc::new(core::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&orders);
    let mut model = loom::model::Builder::new();
    model.preemption_bound = most_preemptions;
    model.max_branches = 50_000;
    model.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        spawn(threads).join().expect("it does not panic");
    });
    let bound = most_preemptions.map_or("any number of".into(), |most| format!("at most {most}"));
    eprintln!("loom: {name}: {} orders, {bound} preemptions", orders.load(Ordering::Relaxed));
}
