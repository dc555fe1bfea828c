//! Threads that need a block at once, in every order: nobody sleeps for ever, one opens at a time.

use std::sync::Arc;

use loom::cell::Cell;
use loom::thread;

use super::{GrowthTicket, Joined};
use crate::sync::{Mutex, explore};

/// A pool reduced to the bytes that its blocks have left.
#[derive(Default)]
struct Room {
    left: Mutex<u64>,
    growth: GrowthTicket,
    /// Touched by the leader alone (I1): loom panics where two do at once.
    opened: Cell<u32>,
}

const NEED: u64 = 40;

impl Room {
    fn cut(&self) -> bool {
        let mut left = self.left.lock();
        let is_enough = *left >= NEED;
        if is_enough {
            *left -= NEED;
        }
        is_enough
    }

    /// What the descent does; `block` is what an opening yields, `None` where the driver refuses.
    fn serve(&self, block: Option<u64>) -> bool {
        loop {
            if self.cut() {
                return true;
            }
            match self.growth.join(NEED, block.map_or(0, |bytes| bytes - NEED)) {
                Joined::Follower(follower) => follower.wait(),
                Joined::Alone => return block.is_some(),
                Joined::Leader(_ticket) => {
                    if self.cut() {
                        return true;
                    }
                    let Some(bytes) = block else { return false };
                    self.opened.set(self.opened.get() + 1);
                    *self.left.lock() += bytes - NEED;
                    return true;
                }
            }
        }
    }
}

/// Lets threads ask at once, each with a block that it would open; returns who was served.
fn serve_all<const N: usize>(blocks: [Option<u64>; N]) -> (Arc<Room>, [bool; N]) {
    let room = Arc::new(Room::default());
    let workers = blocks.map(|block| {
        let room = Arc::clone(&room);
        thread::spawn(move || room.serve(block))
    });
    let served = workers.map(|worker| worker.join().expect("it does not panic"));
    (room, served)
}

#[test]
fn loom_two_share_one_growth() {
    explore("growth ticket: two share a block", None, || {
        let (room, served) = serve_all([Some(100); 2]);
        assert_eq!(served, [true; 2]);
        assert_eq!((room.opened.get(), *room.left.lock()), (1, 100 - 2 * NEED));
    });
}

#[test]
fn loom_a_need_that_is_not_covered_does_not_wait() {
    explore("growth ticket: a block for one", None, || {
        let (room, served) = serve_all([Some(NEED); 2]);
        assert_eq!(served, [true; 2]);
        assert!((1..=2).contains(&room.opened.get()));
    });
}

#[test]
fn loom_a_growth_that_fails_wakes_who_waits() {
    explore("growth ticket: the first or the second is refused", None, || {
        let (_, served) = serve_all([None, Some(100)]);
        assert!(served[1], "its own driver never refuses");
    });
}

#[test]
fn loom_three_share_two_growths() {
    explore("growth ticket: three threads, room for two in a block", Some(2), || {
        let (room, served) = serve_all([Some(100); 3]);
        assert_eq!(served, [true; 3]);
        assert!((1..=2).contains(&room.opened.get()));
    });
}
