//! What a test tells the driver to do wrong: failures, delays and gates.
//!
//! A call first waits (delays, then gates, no lock held), then may fail. Gates order events without a clock: the test
//! blocks a function, waits until a call has arrived, does what must happen meanwhile, and opens the gate.
//!
//! Invariant (I1): `Script` is locked for short looks only, never while a call waits.

use super::function::Function;
use ash::vk;
use core::fmt;
use core::time::Duration;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::ThreadId;

/// One call into the driver, as the log and the failure predicates see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function called.
    pub function: Function,
    /// Bytes asked for, where the function has a size: memory, mappings, buffers; else 0.
    pub size: u64,
    /// Memory type asked for by `vkAllocateMemory`.
    pub memory_type_index: Option<u32>,
    /// Thread that called.
    pub thread: ThreadId,
}

type Predicate = Box<dyn FnMut(&Call) -> Option<vk::Result> + Send>;

enum Fault {
    /// Fires once, on the call that counts `left` down to zero.
    Nth { function: Option<Function>, left: u64, result: vk::Result },
    /// Fires on each call for which the predicate answers.
    When(Predicate),
}

impl Fault {
    fn fires(&mut self, call: &Call) -> Option<vk::Result> {
        match self {
            Self::When(predicate) => predicate(call),
            Self::Nth { function, .. } if function.is_some_and(|wanted| wanted != call.function) => None,
            Self::Nth { left: 0, .. } => None,
            Self::Nth { left, result, .. } => {
                *left -= 1;
                (*left == 0).then_some(*result)
            }
        }
    }
}

/// Waits that a call has to sit out before it is carried out.
#[derive(Default)]
pub(super) struct Pauses {
    delay: Duration,
    gates: Vec<Arc<GateState>>,
}

impl Pauses {
    /// Sleeps, then waits until every gate is open.
    pub(super) fn sit_out(self) {
        if !self.delay.is_zero() {
            std::thread::sleep(self.delay);
        }
        for gate in self.gates {
            gate.pass();
        }
    }
}

/// All failures, delays and gates now in force.
#[derive(Default)]
pub(super) struct Script {
    faults: Vec<Fault>,
    delays: Vec<(Function, Duration)>,
    gates: Vec<(Function, Arc<GateState>)>,
    fired: Vec<(Function, vk::Result)>,
}

impl Script {
    pub(super) fn fail_nth(&mut self, function: Option<Function>, n: u64, result: vk::Result) {
        self.faults.push(Fault::Nth { function, left: n, result });
    }

    pub(super) fn fail_when(&mut self, predicate: Predicate) {
        self.faults.push(Fault::When(predicate));
    }

    pub(super) fn delay(&mut self, function: Function, delay: Duration) {
        self.delays.retain(|(delayed, _)| *delayed != function);
        if !delay.is_zero() {
            self.delays.push((function, delay));
        }
    }

    pub(super) fn block(&mut self, function: Function) -> Gate {
        let state = Arc::new(GateState::default());
        self.gates.push((function, Arc::clone(&state)));
        Gate { state }
    }

    pub(super) fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Tells whether any call could be held up or failed.
    pub(super) fn is_armed(&self) -> bool {
        !(self.faults.is_empty() && self.delays.is_empty() && self.gates.is_empty())
    }

    /// Returns the failures that were answered so far, in order.
    pub(super) fn fired(&self) -> &[(Function, vk::Result)] {
        &self.fired
    }

    /// Collects the waits of a call to `function`.
    pub(super) fn pauses(&mut self, function: Function) -> Pauses {
        self.gates.retain(|(_, gate)| !gate.is_open());
        let delay =
            self.delays.iter().find(|(delayed, _)| *delayed == function).map_or(Duration::ZERO, |(_, delay)| *delay);
        let blocking = self.gates.iter().filter(|(blocked, _)| *blocked == function);
        Pauses { delay, gates: blocking.map(|(_, gate)| Arc::clone(gate)).collect() }
    }

    /// Asks every fault about the call; the first that fires decides, but all of them count it.
    pub(super) fn fault(&mut self, call: &Call) -> Option<vk::Result> {
        let mut answer = None;
        for fault in &mut self.faults {
            let fired = fault.fires(call);
            answer = answer.or(fired);
        }
        self.faults.retain(|fault| !matches!(fault, Fault::Nth { left: 0, .. }));
        if let Some(result) = answer {
            self.fired.push((call.function, result));
        }
        answer
    }
}

#[derive(Default)]
struct GateState {
    /// (calls that arrived, the gate is open)
    state: Mutex<(u64, bool)>,
    changed: Condvar,
}

impl GateState {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.0 += 1;
        self.changed.notify_all();
        while !state.1 {
            self.changed.wait(&mut state);
        }
    }

    fn is_open(&self) -> bool {
        self.state.lock().1
    }

    fn open(&self) {
        self.state.lock().1 = true;
        self.changed.notify_all();
    }
}

/// Holds up every call of one function until it is opened or dropped.
#[must_use = "a gate opens when it is dropped"]
pub struct Gate {
    state: Arc<GateState>,
}

impl Gate {
    /// Returns how many calls have arrived at the gate so far.
    pub fn arrivals(&self) -> u64 {
        self.state.state.lock().0
    }

    /// Waits until that many calls have arrived; `false` when `timeout` passed first.
    pub fn wait_for_arrivals(&self, count: u64, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        let mut state = self.state.state.lock();
        while state.0 < count {
            if self.state.changed.wait_until(&mut state, deadline).timed_out() {
                return state.0 >= count;
            }
        }
        true
    }

    /// Lets the waiting calls and all later ones through.
    pub fn open(&self) {
        self.state.open();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("arrivals", &self.arrivals()).field("is_open", &self.state.is_open()).finish()
    }
}
