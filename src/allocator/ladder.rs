//! *Policy*: the next attempt from the last outcome, over candidate memory types.
//!
//! ```text
//!   one memory type:   existing block -> open (grow, own or dedicated) -> smaller growth
//!                      -> trim this heap's pools -> open again
//!   refused there:     the next memory type, unless spilling is forbidden
//!   all refused:       once more over the budget, where the caller allows it and only the budget was in the way
//!   too many objects:  trim all pools -> once more; from then on, or where nothing went back, existing blocks only
//!   no host memory:    trim all pools -> once more -> stop; a merely preferred dedicated allocation tries blocks first
//!   device lost:       stop
//! ```
//!
//! A fallback is *data*: the ladder yields [`Step`]s and is told what came of them; it calls nothing. `allocate` and
//! `plan` run this one machine.
//!
//! Invariants:
//! - I1: the ladder ends: every rung is left for a later one, a growth only for a strictly smaller one; a memory type's
//!   heap is trimmed at most once within the budget and once above it, all heaps at most once. A wait for another
//!   thread's opening takes no rung back: of threads that wait for each other in turn, each refusal brings one closer
//!   to its end.
//! - I2: a small resource never gets a memory object of its own: growth never goes below a page.

use ash::vk;

use super::error::AttemptKind;
use crate::block::growth::GrowthSettings;
use crate::memory_type::{Bound, Candidates, Refused};
use crate::pool::placement::Strategy;
use crate::pool::{Attempt, Refusal};

/// What the ladder asks for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Look at the pool of this memory type and tell [`Ladder::enter`].
    Enter { memory_type_index: u32 },
    /// Try this.
    Try { memory_type_index: u32, attempt: Attempt, bound: Bound },
    /// Give back the empty blocks of all pools on the heap of this memory type.
    TrimHeap { memory_type_index: u32 },
    /// Give back the empty blocks of all pools.
    TrimAll,
    /// Nothing is left to try.
    Stop(Stop),
}

/// Why the ladder ended without a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Every candidate refused.
    Exhausted,
    /// The driver reported something that no other attempt mends.
    Driver(vk::Result),
}

/// What the caller allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LadderRules {
    /// Never above the budget.
    pub within_budget: bool,
    /// Other memory types than the best may serve.
    pub may_spill: bool,
}

/// What a pool says of a request when the ladder comes to its memory type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub strategy: Strategy,
    /// Where a dedicated allocation is merely preferred: what comes after it.
    pub without_dedicated: Strategy,
    pub growth: GrowthSettings,
    /// The block that growth would open, in bytes.
    pub block_size: u64,
    /// Bytes of the range asked for.
    pub request_size: u64,
}

/// The state of one descent.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one event that the descent remembers")]
pub(crate) struct Ladder {
    rules: LadderRules,
    candidates: Candidates,
    position: usize,
    bound: Bound,
    rung: Rung,
    facts: Option<Facts>,
    was_heap_trimmed: bool,
    was_all_trimmed: bool,
    existing_only: bool,
    was_over_budget: bool,
}

/// Where the ladder stands within a memory type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Enter,
    Preferred,
    Existing,
    Open(Attempt),
    /// Existing blocks once more, as another thread's opening has ended; then this.
    LookAgain(Attempt),
    TrimHeap,
    /// All pools are trimmed, then this is tried once more; in vain where it lacks a place and no object goes back.
    TrimAll {
        retried: Attempt,
        lacks_place: bool,
    },
    Stopped(Stop),
}

impl Ladder {
    /// Begins a descent over candidates, best first.
    pub(crate) fn new(candidates: Candidates, rules: LadderRules) -> Self {
        Self {
            rules,
            candidates,
            position: 0,
            bound: Bound::WithinBudget,
            rung: Rung::Enter,
            facts: None,
            was_heap_trimmed: false,
            was_all_trimmed: false,
            existing_only: false,
            was_over_budget: false,
        }
    }

    /// Returns what is to be done now.
    pub(crate) fn step(&self) -> Step {
        let Some(memory_type_index) = self.candidate() else { return Step::Stop(Stop::Exhausted) };
        let step = |attempt| Step::Try { memory_type_index, attempt, bound: self.bound };
        match self.rung {
            Rung::Enter => Step::Enter { memory_type_index },
            Rung::Preferred => step(Attempt::Dedicated),
            Rung::Existing | Rung::LookAgain(_) => step(Attempt::Existing),
            Rung::Open(attempt) => step(attempt),
            Rung::TrimHeap => Step::TrimHeap { memory_type_index },
            Rung::TrimAll { .. } => Step::TrimAll,
            Rung::Stopped(reason) => Step::Stop(reason),
        }
    }

    /// Records what the pool of the present memory type says.
    pub(crate) fn enter(&mut self, facts: Facts) {
        self.facts = Some(facts);
        self.was_heap_trimmed = false;
        self.rung = match facts.strategy {
            Strategy::Dedicated { is_required: true } if self.existing_only => return self.next_type(),
            Strategy::Dedicated { is_required: true } => Rung::Open(Attempt::Dedicated),
            Strategy::Dedicated { is_required: false } if !self.existing_only => Rung::Preferred,
            _ => Rung::Existing,
        };
    }

    /// Records that the last attempt was refused.
    pub(crate) fn refused(&mut self, refusal: &Refusal) {
        self.was_over_budget |= matches!(refusal, Refusal::Budget(Refused::OverBudget { .. }));
        if let Some(result) = fatal_result(refusal) {
            return self.meet_fatal(result);
        }
        match self.rung {
            Rung::Preferred => self.rung = Rung::Existing,
            Rung::Existing => self.after_existing(),
            Rung::LookAgain(attempt) => self.rung = Rung::Open(attempt),
            Rung::Open(attempt) => self.after_open(attempt, refusal),
            Rung::Enter | Rung::TrimHeap | Rung::TrimAll { .. } | Rung::Stopped(_) => self.next_type(),
        }
    }

    /// Records how many bytes a trim gave back.
    pub(crate) fn trimmed(&mut self, bytes: u64) {
        match self.rung {
            Rung::TrimHeap if bytes > 0 => self.rung = Rung::Open(self.opening()),
            // Host memory may be there again without a trim; a place for an object is not.
            Rung::TrimAll { retried, lacks_place } if bytes > 0 || !lacks_place => self.rung = self.rung_of(retried),
            Rung::TrimAll { .. } => self.after_too_many(),
            _ => self.next_type(),
        }
    }

    /// Records that an opening which another thread had under way has ended: an existing block may have room now.
    pub(crate) fn look_again(&mut self) {
        if let Rung::Open(attempt) = self.rung {
            self.rung = Rung::LookAgain(attempt);
        }
    }

    /// Returns whether nothing can be opened any more: what room there is decides.
    pub(crate) fn is_existing_only(&self) -> bool {
        self.existing_only
    }

    /// Returns whether the step repeats one, for the sake of another thread's growth: its refusal is no news.
    pub(crate) fn is_looking_again(&self) -> bool {
        matches!(self.rung, Rung::LookAgain(_))
    }

    fn candidate(&self) -> Option<u32> {
        self.candidates.as_slice().get(self.position).copied().map(u32::from)
    }

    /// Returns where an attempt stands that is made once more: what is merely preferred has the blocks behind it.
    fn rung_of(&self, attempt: Attempt) -> Rung {
        let is_preferred =
            matches!(self.facts, Some(Facts { strategy: Strategy::Dedicated { is_required: false }, .. }));
        if is_preferred && attempt == Attempt::Dedicated { Rung::Preferred } else { Rung::Open(attempt) }
    }

    fn after_existing(&mut self) {
        if self.existing_only {
            return self.next_type();
        }
        self.rung = Rung::Open(self.opening());
    }

    fn after_open(&mut self, attempt: Attempt, refusal: &Refusal) {
        let is_pointless = matches!(
            refusal,
            Refusal::TooLarge { .. } | Refusal::SharedPage { .. } | Refusal::BlockLimit { .. } | Refusal::DoesNotFit
        );
        if let (Attempt::Grow { bytes }, Some(facts), false) = (attempt, self.facts, is_pointless)
            && let Some(bytes) = facts.growth.smaller(bytes, facts.request_size, bytes_left(refusal))
        {
            self.rung = Rung::Open(Attempt::Grow { bytes });
            return;
        }
        if self.was_heap_trimmed || is_pointless {
            return self.next_type();
        }
        self.was_heap_trimmed = true;
        self.rung = Rung::TrimHeap;
    }

    /// Too many objects, or no host memory: all pools are trimmed once and the attempt is made once more.
    fn meet_fatal(&mut self, result: vk::Result) {
        let retried = match self.rung {
            Rung::Open(attempt) => attempt,
            _ => Attempt::Dedicated,
        };
        match result {
            vk::Result::ERROR_TOO_MANY_OBJECTS | vk::Result::ERROR_OUT_OF_HOST_MEMORY if !self.was_all_trimmed => {
                self.was_all_trimmed = true;
                self.rung = Rung::TrimAll { retried, lacks_place: result == vk::Result::ERROR_TOO_MANY_OBJECTS };
            }
            vk::Result::ERROR_TOO_MANY_OBJECTS => self.after_too_many(),
            // Existing blocks need none.
            vk::Result::ERROR_OUT_OF_HOST_MEMORY if self.rung == Rung::Preferred => self.rung = Rung::Existing,
            _ => self.rung = Rung::Stopped(Stop::Driver(result)),
        }
    }

    /// No further memory object is to be had: what is left are the blocks that exist.
    fn after_too_many(&mut self) {
        self.existing_only = true;
        let was_existing_tried = !matches!(self.facts, Some(Facts { strategy: Strategy::Dedicated { .. }, .. }));
        let is_sharing_possible =
            !matches!(self.facts, Some(Facts { strategy: Strategy::Dedicated { is_required: true }, .. }));
        if !was_existing_tried && is_sharing_possible {
            self.rung = Rung::Existing;
            return;
        }
        self.next_type();
    }

    fn next_type(&mut self) {
        self.position += 1;
        self.rung = Rung::Enter;
        let is_last = !self.rules.may_spill || self.candidate().is_none();
        if !is_last {
            return;
        }
        let may_exceed = self.bound == Bound::WithinBudget && !self.rules.within_budget;
        if may_exceed && self.was_over_budget && !self.existing_only {
            self.bound = Bound::WithinHeap;
            self.position = 0;
            return;
        }
        self.rung = Rung::Stopped(Stop::Exhausted);
        self.position = 0;
    }

    /// Returns the attempt that opens memory for the present facts.
    fn opening(&self) -> Attempt {
        let Some(facts) = self.facts else { return Attempt::Existing };
        match (facts.strategy, facts.without_dedicated) {
            (Strategy::Dedicated { is_required: true }, _) => Attempt::Dedicated,
            (Strategy::OwnBlock, _) | (Strategy::Dedicated { .. }, Strategy::OwnBlock) => Attempt::Own,
            _ => Attempt::Grow { bytes: facts.block_size },
        }
    }
}

/// Returns the result of a refusal that is not about this heap's room.
pub(super) fn fatal_result(refusal: &Refusal) -> Option<vk::Result> {
    match refusal {
        Refusal::Budget(Refused::TooManyObjects { .. }) => Some(vk::Result::ERROR_TOO_MANY_OBJECTS),
        Refusal::Driver(error) => match error.result {
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
            | vk::Result::ERROR_MEMORY_MAP_FAILED
            | vk::Result::ERROR_FRAGMENTATION
            | vk::Result::ERROR_INVALID_OPAQUE_CAPTURE_ADDRESS => None,
            other => Some(other),
        },
        _ => None,
    }
}

/// Returns which trim may make room after a refusal, for openings that have no rungs; `None` where none does.
pub(super) fn trim_after(refusal: &Refusal) -> Option<AttemptKind> {
    match fatal_result(refusal) {
        Some(vk::Result::ERROR_TOO_MANY_OBJECTS | vk::Result::ERROR_OUT_OF_HOST_MEMORY) => Some(AttemptKind::TrimAll),
        Some(_) => None,
        None => matches!(refusal, Refusal::Budget(_) | Refusal::Driver(_)).then_some(AttemptKind::TrimHeap),
    }
}

/// Returns how many bytes the refusal says are left, where it says so.
fn bytes_left(refusal: &Refusal) -> Option<u64> {
    match refusal {
        Refusal::Budget(Refused::OverBudget { budget, usage, .. }) => Some(budget.saturating_sub(*usage)),
        Refusal::Budget(Refused::OverLimit { limit, usage, .. }) => Some(limit.saturating_sub(*usage)),
        Refusal::Budget(Refused::OverHeap { cap, own, .. }) => Some(cap.saturating_sub(*own)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
