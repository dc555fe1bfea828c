//! The tester's side of the driver: what it is told to do, and what it has seen.
//!
//! ```text
//!   test ──► Control ──► Script (failures, delays, gates)  ──┐
//!                   └──► Accounts (budgets, limits)        ──┤
//!                                                            ▼
//!   library ──► entry point ──► State::enter ──► wait, judge, fail or carry out ──► counters, log, violations
//! ```
//!
//! One `Control` belongs to one physical device; it may be cloned and used from any thread, and outlives the device.

use super::accounts::HeapState;
use super::function::Function;
use super::handle::ObjectKind;
use super::profile::Profile;
use super::script::{Call, Gate, Script};
use super::state::{CallbackUse, Checks, State};
use super::violation::Violation;
use ash::vk;
use core::fmt;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::sync::Arc;

/// One failure that a sequence of calls may meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which of the calls that can fail, counted from 1.
    pub nth: u64,
    /// The function that is called there.
    pub function: Function,
    /// What it answers.
    pub result: vk::Result,
}

/// Everything that lives, as one comparable value: equal before and after means that nothing leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of live objects of each kind that has any.
    pub live: Vec<(ObjectKind, u64)>,
    /// For each heap: bytes, bytes in pages, lazily allocated bytes.
    pub heaps: Vec<(u64, u64, u64)>,
}

/// Commands and observes one simulated physical device, from any thread.
///
/// # Examples
///
/// ```
/// use ash::vk;
/// use freestone::sim::{Function, Profile, SimDevice};
///
/// let sim = SimDevice::new(Profile::unified());
/// sim.control().fail_nth_of(Function::AllocateMemory, 1, vk::Result::ERROR_OUT_OF_DEVICE_MEMORY);
/// let info = vk::MemoryAllocateInfo::default().allocation_size(4096).memory_type_index(1);
/// // SAFETY: the device is valid, and so is the create-info.
/// let first = unsafe { sim.device().allocate_memory(&info, None) };
/// assert_eq!(first, Err(vk::Result::ERROR_OUT_OF_DEVICE_MEMORY));
/// assert_eq!(sim.control().count(Function::AllocateMemory), 1);
/// sim.control().assert_clean();
/// ```
#[derive(Clone)]
pub struct Control {
    pub(super) state: Arc<State>,
}

/// What the driver is told to do.
impl Control {
    pub(super) fn new(profile: &Profile, checks: Checks) -> Self {
        Self { state: Arc::new(State::new(profile, checks)) }
    }

    /// Fails the `n`th call from now (1 is the next one), counted over all functions that can fail. What it asks for is
    /// judged as ever.
    pub fn fail_nth(&self, n: u64, result: vk::Result) {
        self.state.script(|script| script.fail_nth(None, n, result));
    }

    /// Fails the `n`th call of one function from now (1 is the next one).
    pub fn fail_nth_of(&self, function: Function, n: u64, result: vk::Result) {
        self.state.script(|script| script.fail_nth(Some(function), n, result));
    }

    /// Fails every call for which the predicate returns a result, until `clear_faults`. It must not use the `Control`.
    pub fn fail_when(&self, predicate: impl FnMut(&Call) -> Option<vk::Result> + Send + 'static) {
        self.state.script(|script| script.fail_when(Box::new(predicate)));
    }

    /// Runs something and returns its outcome with every failure that its calls may have met, in order.
    ///
    /// The calls are read from the log, which must be on; other threads should be quiet meanwhile.
    pub fn failures_during<R>(&self, run: impl FnOnce() -> R) -> (R, Vec<Failure>) {
        let from = self.state.log.lock().len();
        let outcome = run();
        let log = self.state.log.lock();
        let failable = log.iter().skip(from).map(|call| call.function).filter(|function| function.can_fail());
        let failures = (1..).zip(failable).flat_map(|(nth, function)| {
            function.failures().iter().map(move |result| Failure { nth, function, result: *result })
        });
        (outcome, failures.collect())
    }

    /// Asks for one of the failures that `failures_during` found: the next run of the same thing meets it.
    pub fn arm(&self, failure: &Failure) {
        self.fail_nth(failure.nth, failure.result);
    }

    /// Takes back every failure that was asked for and has not happened.
    pub fn clear_faults(&self) {
        self.state.script(Script::clear_faults);
    }

    /// Lets every call of one function take at least this long; zero ends that. No lock is held meanwhile.
    pub fn delay(&self, function: Function, delay: Duration) {
        self.state.script(|script| script.delay(function, delay));
    }

    /// Holds up every call of one function until the gate is opened or dropped. No lock is held meanwhile.
    pub fn block(&self, function: Function) -> Gate {
        let mut gate = None;
        self.state.script(|script| gate = Some(script.block(function)));
        gate.unwrap_or_else(|| unreachable!("the closure ran"))
    }

    /// Refuses allocations of more than `bytes` with `ERROR_OUT_OF_DEVICE_MEMORY`; `None` ends that.
    pub fn refuse_allocations_above(&self, bytes: Option<u64>) {
        self.state.accounts().size_limit = bytes.unwrap_or(u64::MAX);
    }

    /// Refuses further memory objects of a device above this count with `ERROR_TOO_MANY_OBJECTS`.
    pub fn refuse_objects_above(&self, count: u32) {
        self.state.accounts().object_limit = count;
    }

    /// Sets the budget that a heap reports, in bytes; `None`: its size without the foreign usage.
    pub fn set_budget(&self, heap_index: u32, budget: Option<u64>) {
        self.with_heap(heap_index, |heap| heap.fixed_budget = budget);
    }

    /// Sets what other processes hold of a heap, in bytes; the driver has only the rest to give.
    pub fn set_foreign_usage(&self, heap_index: u32, bytes: u64) {
        self.with_heap(heap_index, |heap| heap.foreign_usage = bytes);
    }

    /// Lets other processes take so much of a heap that exactly these bytes are left.
    pub fn leave_free(&self, heap_index: u32, bytes: u64) {
        self.state.accounts().leave(heap_index, bytes);
    }

    /// Sets how much of lazily allocated memory counts as committed, in percent.
    pub fn set_lazy_commitment(&self, percent: u64) {
        self.state.accounts().lazy_percent = percent.min(100);
    }

    /// Says whether resources may overlap in memory; not allowed at first. `VK_IMAGE_CREATE_ALIAS_BIT` on both allows
    /// it too.
    pub fn allow_aliasing(&self, is_allowed: bool) {
        self.state.is_aliasing_allowed.store(is_allowed, Ordering::Relaxed);
    }

    /// Sets how long a wait without a limit lasts before it is recorded as endless; ten seconds at first. Waits that
    /// have begun keep the time that they began with.
    pub fn set_patience(&self, patience: Duration) {
        *self.state.patience.lock() = patience;
    }

    /// Chooses the costly checks from now on.
    pub fn set_checks(&self, checks: Checks) {
        self.state.checks.store(checks.to_bits(), Ordering::Relaxed);
    }

    fn with_heap(&self, heap_index: u32, change: impl FnOnce(&mut HeapState)) {
        if let Some(heap) = self.state.accounts().heaps.get_mut(heap_index as usize) {
            change(heap);
        }
    }
}

/// What the driver has seen.
impl Control {
    /// Returns how often a function was called, failures included.
    pub fn count(&self, function: Function) -> u64 {
        self.state.counts[function.position()].load(Ordering::Relaxed)
    }

    /// Returns how many calls of functions that can fail there were.
    pub fn failable_calls(&self) -> u64 {
        self.state.failable_calls.load(Ordering::Relaxed)
    }

    /// Returns how many calls there were in all.
    pub fn total_calls(&self) -> u64 {
        self.state.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Returns how often memory budgets were queried.
    pub fn budget_queries(&self) -> u64 {
        self.state.budget_queries.load(Ordering::Relaxed)
    }

    /// Returns the log of calls, in the order in which they came.
    pub fn calls(&self) -> Vec<Call> {
        self.state.log.lock().iter().cloned().collect()
    }

    /// Empties the log of calls and returns it.
    pub fn take_calls(&self) -> Vec<Call> {
        core::mem::take(&mut *self.state.log.lock()).into()
    }

    /// Returns the failures that were answered on the tester's demand, in order.
    pub fn faults_fired(&self) -> Vec<(Function, vk::Result)> {
        self.state.script.lock().fired().to_vec()
    }

    /// Returns the state of a heap, or `None` if there is no such heap.
    pub fn heap(&self, heap_index: u32) -> Option<HeapState> {
        self.state.accounts().heaps.get(heap_index as usize).copied()
    }

    /// Returns the bytes of all live memory objects, as asked for.
    pub fn reserved_bytes(&self) -> u64 {
        self.state.accounts().bytes
    }

    /// Returns the bytes of all live memory objects, each rounded to the driver's page.
    pub fn reserved_page_bytes(&self) -> u64 {
        self.state.accounts().page_bytes
    }

    /// Returns the largest value that `reserved_bytes` has had.
    pub fn peak_reserved_bytes(&self) -> u64 {
        self.state.accounts().peak_bytes
    }

    /// Returns the largest value that `reserved_page_bytes` has had.
    pub fn peak_reserved_page_bytes(&self) -> u64 {
        self.state.accounts().peak_page_bytes
    }

    /// Returns the number of live memory objects.
    pub fn memory_object_count(&self) -> u32 {
        self.state.accounts().object_count
    }

    /// Returns the largest number of memory objects alive at one time.
    pub fn peak_memory_object_count(&self) -> u32 {
        self.state.accounts().peak_object_count
    }

    /// Lets all peaks start again from the present values.
    pub fn reset_peaks(&self) {
        self.state.accounts().reset_peaks();
    }

    /// Returns the number of live objects of a kind.
    pub fn live(&self, kind: ObjectKind) -> u64 {
        self.state.live[kind.position()].load(Ordering::Relaxed)
    }

    /// Returns everything that lives, to be compared with a later snapshot.
    pub fn snapshot(&self) -> Snapshot {
        let live = ObjectKind::ALL.iter().map(|kind| (*kind, self.live(*kind))).filter(|(_, count)| *count > 0);
        let accounts = self.state.accounts();
        let heaps = accounts.heaps.iter().map(|heap| (heap.bytes, heap.page_bytes, heap.lazy_bytes));
        Snapshot { live: live.collect(), heaps: heaps.collect() }
    }

    /// Returns the calls that came with `VkAllocationCallbacks`, in order.
    pub fn callback_uses(&self) -> Vec<CallbackUse> {
        self.state.callback_uses.lock().clone()
    }

    /// Returns how often memory was freed with live resources still bound to it: legal if they are not used again.
    pub fn bound_frees(&self) -> u64 {
        self.state.bound_frees.load(Ordering::Relaxed)
    }

    /// Returns how often memory was freed while it was mapped: legal, it is unmapped implicitly.
    pub fn mapped_frees(&self) -> u64 {
        self.state.mapped_frees.load(Ordering::Relaxed)
    }

    /// Returns every wrong use so far, at most the first 4096.
    pub fn violations(&self) -> Vec<Violation> {
        self.state.violations.lock().clone()
    }

    /// Returns the number of wrong uses so far.
    pub fn violation_count(&self) -> u64 {
        self.state.violation_count.load(Ordering::Relaxed)
    }

    /// Returns every wrong use so far and forgets them.
    pub fn take_violations(&self) -> Vec<Violation> {
        self.state.violation_count.store(0, Ordering::Relaxed);
        core::mem::take(&mut *self.state.violations.lock())
    }

    /// Checks that nothing wrong was done.
    ///
    /// # Panics
    ///
    /// With every violation in its message, when there is any.
    #[track_caller]
    pub fn assert_clean(&self) {
        let violations = self.violations();
        let lines: Vec<String> = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        assert!(lines.is_empty(), "the driver was used wrongly {} times:{}", self.violation_count(), lines.concat());
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("calls", &self.total_calls())
            .field("snapshot", &self.snapshot())
            .field("violations", &self.violation_count())
            .finish()
    }
}
