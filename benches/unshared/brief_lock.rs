//! A lock that does nothing: `scripts/bench unshared` puts it in the place of `src/sync/brief_lock.rs` in a copy of the
//! crate, and measures what locking costs one thread. Sound only there, where one thread runs.

/// Locks nothing.
#[derive(Debug)]
pub(crate) struct RawBriefLock;

pub(crate) type BriefMutex<T> = lock_api::Mutex<RawBriefLock, T>;
pub(crate) type BriefMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawBriefLock, T>;

/// Makes a mutex.
pub(crate) fn brief_mutex<T>(value: T) -> BriefMutex<T> {
    BriefMutex::new(value)
}

// SAFETY: there is one thread, so nobody else can hold the lock; no function of the crate takes it twice.
unsafe impl lock_api::RawMutex for RawBriefLock {
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
unsafe impl lock_api::RawMutexFair for RawBriefLock {
    #[inline]
    unsafe fn unlock_fair(&self) {}

    #[inline]
    unsafe fn bump(&self) {}
}
