//! One growth of a pool in flight: those whose need it covers wait for it, instead of opening a block each.
//!
//! ```text
//!   thread A   join, promising 1 MiB -> Leader ........ driver call ......... drop(ticket): wakes all
//!   thread B        join(256) -> Follower, wait ...................................... looks again
//!   thread C             join(4 MiB) -> Alone: not covered by the promise, opens memory without a ticket
//! ```
//!
//! Invariants:
//! - I1: at most one ticket of a pool exists.
//! - I2: those who wait never hold a pool's lock, and every ticket wakes them when it ends, whatever came of it.
//! - I3: the needs of those who wait for a promise never exceed it.

use crate::sync::{Condvar, Mutex};

/// The growth of one pool that is under way, if any.
#[derive(Debug, Default)]
pub(crate) struct GrowthTicket {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of the promised block that nobody counts on yet; `None` while no growth is under way.
    unclaimed: Option<u64>,
    /// Counts the growths that have ended.
    epoch: u64,
}

/// The answer to [`GrowthTicket::join`].
#[derive(Debug)]
pub(crate) enum Joined<'a> {
    /// Nothing was under way: the caller opens the next block.
    Leader(Ticket<'a>),
    /// A growth that covers the need is under way: wait for its end, and look for room again.
    Follower(Follower<'a>),
    /// A growth is under way that does not cover the need: open memory without a ticket.
    Alone,
}

/// The right to open a pool's next block; dropping it wakes all who wait.
#[derive(Debug)]
pub(crate) struct Ticket<'a> {
    growth: &'a GrowthTicket,
}

/// A claim on the promise of a growth that another thread carries out. Whoever drops it finds room elsewhere; the claim
/// ends with the growth all the same.
#[derive(Debug)]
pub(crate) struct Follower<'a> {
    growth: &'a GrowthTicket,
    epoch: u64,
}

impl GrowthTicket {
    /// Takes the ticket and promises that the block will have `promise` bytes left for others, or claims `bytes` of
    /// what is promised. The promise is known at once: nobody waits for a growth that may be too small.
    pub(crate) fn join(&self, bytes: u64, promise: u64) -> Joined<'_> {
        let mut state = self.state.lock();
        let Some(unclaimed) = state.unclaimed else {
            state.unclaimed = Some(promise);
            return Joined::Leader(Ticket { growth: self });
        };
        let Some(left) = unclaimed.checked_sub(bytes) else { return Joined::Alone };
        state.unclaimed = Some(left);
        Joined::Follower(Follower { growth: self, epoch: state.epoch })
    }
}

impl Follower<'_> {
    /// Waits for the end of the growth, whatever comes of it.
    pub(crate) fn wait(self) {
        let mut state = self.growth.state.lock();
        while state.epoch == self.epoch {
            self.growth.ended.wait(&mut state);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut state = self.growth.state.lock();
        state.unclaimed = None;
        state.epoch += 1;
        self.growth.ended.notify_all();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_need_above_the_promise_goes_alone() {
        let growth = GrowthTicket::default();
        let Joined::Leader(ticket) = growth.join(1, 100) else { panic!("nothing was under way") };
        assert!(matches!(growth.join(101, 0), Joined::Alone), "I3: from the moment that there is a ticket");
        assert!(matches!(growth.join(100, 0), Joined::Follower(_)), "all of it is covered");
        drop(ticket);
        assert!(matches!(growth.join(101, 0), Joined::Leader(_)));
    }

    #[test]
    fn the_end_of_a_growth_wakes_those_who_wait() {
        let growth = GrowthTicket::default();
        let Joined::Leader(ticket) = growth.join(1, 100) else { panic!("nothing was under way") };
        std::thread::scope(|scope| {
            let Joined::Follower(follower) = growth.join(60, 0) else { panic!("it is covered") };
            let waiter = scope.spawn(move || follower.wait());
            assert!(matches!(growth.join(60, 0), Joined::Alone), "I3: 40 bytes are left of the promise");
            std::thread::sleep(core::time::Duration::from_millis(5));
            assert!(!waiter.is_finished(), "the growth has not ended");
            drop(ticket);
            waiter.join().expect("the waiter does not panic");
        });
    }
}

#[cfg(all(test, loom))]
mod loom_tests;
