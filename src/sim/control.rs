//! The tester's side of the driver: what it is told to do, and what it has seen.
//!
//! ```text
//!   test ──► Control ──► Script (failures, delays, gates)  ──┐
//!                   └──► Accounts (budgets, limits)        ──┤
//!                                                            ▼
//!   library ──► entry point ──► State::enter ──► wait, fail or carry out ──► counters, log, violations
//! ```
//!
//! One `Control` belongs to one physical device; it may be cloned and used from any thread, and outlives the device.
//!
//! Invariants: (I1) none of the locks here is held while another is taken or while a call waits; (I2) every call is
//! counted, and logged when the log is on, before it waits or fails.

use super::accounts::{Accounts, HeapState};
use super::function::Function;
use super::handle::ObjectKind;
use super::profile::Profile;
use super::script::{Call, Gate, Script};
use super::violation::Violation;
use ash::vk;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Calls that the log keeps; older ones are dropped. Taste: about 64 MiB.
const LOG_LIMIT: usize = 1 << 20;
/// Violations that are kept with their text; all are counted. Taste.
const VIOLATION_LIMIT: usize = 4096;

/// Which costly checks the driver makes. Counters, accounts and the checks of single calls are always on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// Look for overlaps and granularity conflicts at each bind.
    pub binds: bool,
    /// Keep a log of all calls.
    pub call_log: bool,
    /// Model the host's caches over non-coherent memory. Such memory then starts as zeroes instead of uninitialised,
    /// because finding unflushed writes means comparing bytes; so this is off under Miri.
    pub host_cache: bool,
}

impl Checks {
    /// All checks; the default.
    pub const ALL: Self = Self {
        binds: true,
        call_log: true,
        host_cache: !cfg!(miri),
    };
    /// No costly check, for measuring.
    pub const NONE: Self = Self {
        binds: false,
        call_log: false,
        host_cache: false,
    };

    const fn to_bits(self) -> u32 {
        self.binds as u32 | (self.call_log as u32) << 1 | (self.host_cache as u32) << 2
    }

    const fn from_bits(bits: u32) -> Self {
        Self {
            binds: bits & 1 != 0,
            call_log: bits & 2 != 0,
            host_cache: bits & 4 != 0,
        }
    }
}

impl Default for Checks {
    fn default() -> Self {
        Self::ALL
    }
}

/// One call that came with `VkAllocationCallbacks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallbackUse {
    /// The function called.
    pub function: Function,
    /// `pUserData` of the callbacks, as a number.
    pub user_data: usize,
}

/// Everything that lives, as one comparable value: equal before and after means that nothing leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of live objects of each kind that has any.
    pub live: Vec<(ObjectKind, u64)>,
    /// For each heap: bytes, bytes in pages, lazily allocated bytes.
    pub heaps: Vec<(u64, u64, u64)>,
}

/// State shared by the tester and the driver.
pub(super) struct State {
    counts: [AtomicU64; Function::COUNT],
    failable_calls: AtomicU64,
    budget_queries: AtomicU64,
    live: [AtomicU64; ObjectKind::ALL.len()],
    is_armed: AtomicBool,
    checks: AtomicU32,
    is_aliasing_allowed: AtomicBool,
    bound_frees: AtomicU64,
    mapped_frees: AtomicU64,
    script: Mutex<Script>,
    accounts: Mutex<Accounts>,
    log: Mutex<VecDeque<Call>>,
    violations: Mutex<Vec<Violation>>,
    violation_count: AtomicU64,
    callback_uses: Mutex<Vec<CallbackUse>>,
}

impl State {
    /// Counts and logs a call, lets it wait, and returns the failure it has to answer, if any.
    pub(super) fn enter(
        &self,
        function: Function,
        size: u64,
        memory_type_index: Option<u32>,
    ) -> Option<vk::Result> {
        self.counts[function.position()].fetch_add(1, Ordering::Relaxed);
        if function.can_fail() {
            self.failable_calls.fetch_add(1, Ordering::Relaxed);
        }
        let is_armed = self.is_armed.load(Ordering::Acquire);
        let is_logging = self.checks().call_log;
        if !(is_armed || is_logging) {
            return None;
        }
        let call = Call {
            function,
            size,
            memory_type_index,
            thread: std::thread::current().id(),
        };
        if is_logging {
            self.log_call(&call);
        }
        if !is_armed {
            return None;
        }
        let pauses = self.script.lock().pauses(function);
        pauses.sit_out();
        if function.can_fail() {
            self.script.lock().fault(&call)
        } else {
            None
        }
    }

    fn log_call(&self, call: &Call) {
        let mut log = self.log.lock();
        if log.len() == LOG_LIMIT {
            log.pop_front();
        }
        log.push_back(call.clone());
    }

    pub(super) fn checks(&self) -> Checks {
        Checks::from_bits(self.checks.load(Ordering::Relaxed))
    }

    pub(super) fn is_aliasing_allowed(&self) -> bool {
        self.is_aliasing_allowed.load(Ordering::Relaxed)
    }

    pub(super) fn accounts(&self) -> parking_lot::MutexGuard<'_, Accounts> {
        self.accounts.lock()
    }

    /// Records a wrong use of the interface.
    pub(super) fn violate(&self, rule: &'static str, function: Function, message: String) {
        self.violation_count.fetch_add(1, Ordering::Relaxed);
        let mut violations = self.violations.lock();
        if violations.len() < VIOLATION_LIMIT {
            violations.push(Violation {
                rule,
                function,
                message,
            });
        }
    }

    pub(super) fn count_budget_query(&self) {
        self.budget_queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_free(&self, is_bound: bool, is_mapped: bool) {
        self.bound_frees
            .fetch_add(u64::from(is_bound), Ordering::Relaxed);
        self.mapped_frees
            .fetch_add(u64::from(is_mapped), Ordering::Relaxed);
    }

    pub(super) fn born(&self, kind: ObjectKind) {
        self.live[kind.position()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn died(&self, kind: ObjectKind, count: u64) {
        self.live[kind.position()].fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn used_callbacks(&self, function: Function, user_data: usize) {
        self.callback_uses.lock().push(CallbackUse {
            function,
            user_data,
        });
    }

    fn script(&self, change: impl FnOnce(&mut Script)) {
        let mut script = self.script.lock();
        change(&mut script);
        self.is_armed.store(script.is_armed(), Ordering::Release);
    }
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
        let state = State {
            counts: [const { AtomicU64::new(0) }; Function::COUNT],
            failable_calls: AtomicU64::new(0),
            budget_queries: AtomicU64::new(0),
            live: [const { AtomicU64::new(0) }; ObjectKind::ALL.len()],
            is_armed: AtomicBool::new(false),
            checks: AtomicU32::new(checks.to_bits()),
            is_aliasing_allowed: AtomicBool::new(false),
            bound_frees: AtomicU64::new(0),
            mapped_frees: AtomicU64::new(0),
            script: Mutex::new(Script::default()),
            accounts: Mutex::new(Accounts::new(profile)),
            log: Mutex::new(VecDeque::new()),
            violations: Mutex::new(Vec::new()),
            violation_count: AtomicU64::new(0),
            callback_uses: Mutex::new(Vec::new()),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// Fails the `n`th call from now (1 is the next one), counted over all functions that can fail.
    pub fn fail_nth(&self, n: u64, result: vk::Result) {
        self.state.script(|script| script.fail_nth(None, n, result));
    }

    /// Fails the `n`th call of one function from now (1 is the next one).
    pub fn fail_nth_of(&self, function: Function, n: u64, result: vk::Result) {
        self.state
            .script(|script| script.fail_nth(Some(function), n, result));
    }

    /// Fails every call for which the predicate returns a result, until `clear_faults`. It must not use the `Control`.
    pub fn fail_when(&self, predicate: impl FnMut(&Call) -> Option<vk::Result> + Send + 'static) {
        self.state
            .script(|script| script.fail_when(Box::new(predicate)));
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
        self.state
            .script(|script| gate = Some(script.block(function)));
        gate.unwrap_or_else(|| unreachable!("the closure ran"))
    }

    /// Refuses allocations of more than `bytes` with `ERROR_OUT_OF_DEVICE_MEMORY`; `None` ends that.
    pub fn refuse_allocations_above(&self, bytes: Option<u64>) {
        self.state.accounts().size_limit = bytes.unwrap_or(u64::MAX);
    }

    /// Refuses further memory objects above this count with `ERROR_TOO_MANY_OBJECTS`.
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

    /// Sets how much of lazily allocated memory counts as committed, in percent.
    pub fn set_lazy_commitment(&self, percent: u64) {
        self.state.accounts().lazy_percent = percent.min(100);
    }

    /// Says whether resources may overlap in memory; not allowed at first. `VK_IMAGE_CREATE_ALIAS_BIT` on both allows it too.
    pub fn allow_aliasing(&self, is_allowed: bool) {
        self.state
            .is_aliasing_allowed
            .store(is_allowed, Ordering::Relaxed);
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
        self.state
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .sum()
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
        self.state
            .accounts()
            .heaps
            .get(heap_index as usize)
            .copied()
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
        let live = ObjectKind::ALL
            .iter()
            .map(|kind| (*kind, self.live(*kind)))
            .filter(|(_, count)| *count > 0);
        let accounts = self.state.accounts();
        let heaps = accounts
            .heaps
            .iter()
            .map(|heap| (heap.bytes, heap.page_bytes, heap.lazy_bytes));
        Snapshot {
            live: live.collect(),
            heaps: heaps.collect(),
        }
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
        let lines: Vec<String> = violations
            .iter()
            .map(|violation| format!("\n  {violation}"))
            .collect();
        assert!(
            lines.is_empty(),
            "the driver was used wrongly {} times:{}",
            self.violation_count(),
            lines.concat()
        );
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
