//! What the tester's and the driver's side share: counters, books, script, log, violations.
//!
//! Invariants: (I1) none of the locks here is held while another is taken or while a call waits; (I2) every call is
//! counted, and logged when the log is on, before it waits or fails.

use super::accounts::Accounts;
use super::function::Function;
use super::handle::ObjectKind;
use super::profile::Profile;
use super::script::{Call, Script};
use super::violation::Violation;
use ash::vk;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use parking_lot::{Mutex, MutexGuard};
use std::collections::VecDeque;

/// Calls that the log keeps; older ones are dropped. Taste: about 64 MiB.
const LOG_LIMIT: usize = 1 << 20;
/// Violations that are kept with their text; all are counted. Taste.
const VIOLATION_LIMIT: usize = 4096;

/// How long a wait without a limit lasts, unless the tester sets another time. Taste.
const PATIENCE: Duration = Duration::from_secs(10);

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
    pub const ALL: Self = Self { binds: true, call_log: true, host_cache: !cfg!(miri) };
    /// No costly check, for measuring.
    pub const NONE: Self = Self { binds: false, call_log: false, host_cache: false };

    pub(super) const fn to_bits(self) -> u32 {
        self.binds as u32 | (self.call_log as u32) << 1 | (self.host_cache as u32) << 2
    }

    pub(super) const fn from_bits(bits: u32) -> Self {
        Self { binds: bits & 1 != 0, call_log: bits & 2 != 0, host_cache: bits & 4 != 0 }
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

/// State shared by the tester and the driver.
pub(super) struct State {
    pub(super) counts: [AtomicU64; Function::COUNT],
    pub(super) failable_calls: AtomicU64,
    pub(super) budget_queries: AtomicU64,
    pub(super) live: [AtomicU64; ObjectKind::ALL.len()],
    pub(super) is_armed: AtomicBool,
    pub(super) checks: AtomicU32,
    pub(super) is_aliasing_allowed: AtomicBool,
    pub(super) patience: Mutex<Duration>,
    pub(super) bound_frees: AtomicU64,
    pub(super) mapped_frees: AtomicU64,
    pub(super) script: Mutex<Script>,
    pub(super) accounts: Mutex<Accounts>,
    pub(super) log: Mutex<VecDeque<Call>>,
    pub(super) violations: Mutex<Vec<Violation>>,
    pub(super) violation_count: AtomicU64,
    pub(super) callback_uses: Mutex<Vec<CallbackUse>>,
}

impl State {
    pub(super) fn new(profile: &Profile, checks: Checks) -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; Function::COUNT],
            failable_calls: AtomicU64::new(0),
            budget_queries: AtomicU64::new(0),
            live: [const { AtomicU64::new(0) }; ObjectKind::ALL.len()],
            is_armed: AtomicBool::new(false),
            checks: AtomicU32::new(checks.to_bits()),
            is_aliasing_allowed: AtomicBool::new(false),
            patience: Mutex::new(PATIENCE),
            bound_frees: AtomicU64::new(0),
            mapped_frees: AtomicU64::new(0),
            script: Mutex::new(Script::default()),
            accounts: Mutex::new(Accounts::new(profile)),
            log: Mutex::new(VecDeque::new()),
            violations: Mutex::new(Vec::new()),
            violation_count: AtomicU64::new(0),
            callback_uses: Mutex::new(Vec::new()),
        }
    }

    /// Counts and logs a call, lets it wait, and returns the failure it has to answer, if any.
    pub(super) fn enter(&self, function: Function, size: u64, memory_type_index: Option<u32>) -> Option<vk::Result> {
        self.counts[function.position()].fetch_add(1, Ordering::Relaxed);
        if function.can_fail() {
            self.failable_calls.fetch_add(1, Ordering::Relaxed);
        }
        let is_armed = self.is_armed.load(Ordering::Acquire);
        let is_logging = self.checks().call_log;
        if !(is_armed || is_logging) {
            return None;
        }
        let call = Call { function, size, memory_type_index, thread: std::thread::current().id() };
        if is_logging {
            self.log_call(&call);
        }
        if !is_armed {
            return None;
        }
        let pauses = self.script.lock().pauses(function);
        pauses.sit_out();
        if function.can_fail() { self.script.lock().fault(&call) } else { None }
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

    pub(super) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock()
    }

    /// Records a wrong use of the interface.
    pub(super) fn violate(&self, rule: &'static str, function: Function, message: String) {
        self.violation_count.fetch_add(1, Ordering::Relaxed);
        let mut violations = self.violations.lock();
        if violations.len() < VIOLATION_LIMIT {
            violations.push(Violation { rule, function, message });
        }
    }

    pub(super) fn count_budget_query(&self) {
        self.budget_queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_free(&self, is_bound: bool, is_mapped: bool) {
        self.bound_frees.fetch_add(u64::from(is_bound), Ordering::Relaxed);
        self.mapped_frees.fetch_add(u64::from(is_mapped), Ordering::Relaxed);
    }

    pub(super) fn born(&self, kind: ObjectKind) {
        self.live[kind.position()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn died(&self, kind: ObjectKind, count: u64) {
        self.live[kind.position()].fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn used_callbacks(&self, function: Function, user_data: usize) {
        self.callback_uses.lock().push(CallbackUse { function, user_data });
    }

    /// Changes the script.
    pub(super) fn script(&self, change: impl FnOnce(&mut Script)) {
        let mut script = self.script.lock();
        change(&mut script);
        self.is_armed.store(script.is_armed(), Ordering::Release);
    }
}
