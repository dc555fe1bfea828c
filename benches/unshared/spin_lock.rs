//! A lock that does nothing: `scripts/bench unshared` puts it in the place of `src/sync/spin_lock.rs` in a copy of the
//! crate, and measures what locking costs one thread. Sound only there, where one thread runs.

/// Locks nothing.
#[derive(Debug)]
pub(crate) struct RawSpinLock;

pub(crate) type SpinMutex<T> = lock_api::Mutex<RawSpinLock, T>;
pub(crate) type SpinMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawSpinLock, T>;

/// Makes a mutex.
pub(crate) fn spin_mutex<T>(value: T) -> SpinMutex<T> {
    SpinMutex::new(value)
}

// SAFETY: there is one thread, so nobody else can hold the lock; no function of the crate takes it twice.
unsafe impl lock_api::RawMutex for RawSpinLock {
    const INIT: Self = Self;

    type GuardMarker = lock_api::GuardSend;

    #[inline]
    fn lock(&self) {}

    #[inline]
    fn try_lock(&self) -> bool {
        true
    }

    #[inline]
    unsafe fn unlock(&self) {}
}

// SAFETY: as above.
unsafe impl lock_api::RawMutexFair for RawSpinLock {
    #[inline]
    unsafe fn unlock_fair(&self) {}

    #[inline]
    unsafe fn bump(&self) {}
}
