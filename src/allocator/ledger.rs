//! An optional side table by allocation: name, birth and backtrace; and the report of what was never freed.
//!
//! Allocations without a name are not in the table unless the user asked for all to be tracked: what is off costs
//! nothing.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::fmt;

use super::Allocation;
use super::pools::{SHARD_COUNT, shard_or_number};
use crate::suballocator::RangeKey;
use crate::sync::{AtomicU64, Mutex, Ordering};

/// Names an allocation among all that are alive: the pool, whether it is dedicated, and its key there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LedgerKey {
    pool: u16,
    is_dedicated: bool,
    index: u32,
    generation: u32,
}

impl LedgerKey {
    pub(crate) fn new(pool: u16, is_dedicated: bool, key: RangeKey) -> Self {
        Self { pool, is_dedicated, index: key.index(), generation: key.generation() }
    }

    pub(crate) fn of(allocation: &Allocation) -> Self {
        Self::new(allocation.pool_index(), allocation.is_dedicated(), allocation.key())
    }

    /// Returns the part that it falls to.
    fn part(self) -> usize {
        shard_or_number(self.pool) % PART_COUNT
    }
}

/// What the ledger knows of one allocation.
#[derive(Debug)]
struct Entry {
    name: Box<str>,
    size: u64,
    memory_type_index: u32,
    birth: u64,
    backtrace: Option<Backtrace>,
}

/// What a new entry is made of.
#[derive(Debug)]
pub(crate) struct NewEntry<'a> {
    pub name: &'a str,
    pub size: u64,
    pub memory_type_index: u32,
}

/// Parts of the side table, each with a lock of its own: threads with shards of their own do not meet in it.
const PART_COUNT: usize = if cfg!(loom) { 1 } else { SHARD_COUNT };

/// The side table.
#[derive(Debug)]
pub(crate) struct Ledger {
    parts: [Part; PART_COUNT],
    births: Births,
    records_backtraces: bool,
}

/// How many were ever entered; alone on its cache line, as every thread writes it.
#[derive(Debug)]
#[repr(align(64))]
struct Births(AtomicU64);

/// The entries whose keys fall to one part; on cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(Mutex<BTreeMap<LedgerKey, Entry>>);

/// One allocation that was never freed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leak {
    /// The name it was given; empty where it was tracked without one.
    pub name: String,
    /// Bytes asked for.
    pub size: u64,
    /// Its memory type.
    pub memory_type_index: u32,
    /// Its number among all that were entered into the ledger, from 1.
    pub birth: u64,
    /// Where it was made, if backtraces were recorded.
    pub backtrace: Option<String>,
}

/// What was still alive when the allocator was dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeakReport {
    /// Those that have a name, or were tracked, in the order of their making.
    pub leaks: Vec<Leak>,
    /// How many allocations were alive in all.
    pub allocation_count: u64,
    /// How many bytes they occupy.
    pub allocation_bytes: u64,
}

/// The text of the report, for a log: a line for each allocation that is listed, and where it was made.
impl fmt::Display for LeakReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaks, allocation_count, allocation_bytes } = self;
        write!(
            f,
            "the allocator was dropped while {allocation_count} allocations ({allocation_bytes} bytes) were alive"
        )?;
        for Leak { name, size, memory_type_index, backtrace, .. } in leaks {
            let name = if name.is_empty() { "an allocation without a name" } else { name };
            write!(f, "\nnever freed: {name}, {size} bytes, memory type {memory_type_index}")?;
            if let Some(backtrace) = backtrace {
                write!(f, ", made at\n{backtrace}")?;
            }
        }
        Ok(())
    }
}

impl Ledger {
    /// Creates an empty ledger.
    pub(crate) fn new(records_backtraces: bool) -> Self {
        Self { parts: core::array::from_fn(|_| Part::default()), births: Births(AtomicU64::new(0)), records_backtraces }
    }

    /// Enters an allocation.
    pub(crate) fn enter(&self, key: LedgerKey, entry: &NewEntry<'_>) {
        let backtrace = self.records_backtraces.then(Backtrace::force_capture);
        let birth = self.births.0.fetch_add(1, Ordering::Relaxed) + 1;
        let NewEntry { name, size, memory_type_index } = *entry;
        let entry = Entry { name: name.into(), size, memory_type_index, birth, backtrace };
        self.part(key).lock().insert(key, entry);
    }

    /// Names an allocation, which is entered where it is not yet; one that is, keeps its number and its backtrace.
    pub(crate) fn rename(&self, key: LedgerKey, entry: &NewEntry<'_>) {
        let name: Box<str> = entry.name.into();
        let old = self.part(key).lock().get_mut(&key).map(|known| core::mem::replace(&mut known.name, name));
        if old.is_none() {
            self.enter(key, entry);
        }
    }

    /// Strikes an allocation out.
    pub(crate) fn strike(&self, key: LedgerKey) {
        // Name and backtrace are dropped after the lock.
        let _entry = self.part(key).lock().remove(&key);
    }

    /// Returns the name of an allocation.
    pub(crate) fn name(&self, key: LedgerKey) -> Option<String> {
        self.part(key).lock().get(&key).map(|entry| entry.name.to_string())
    }

    /// Returns the bytes of bookkeeping on the host: entries and names, backtraces left out.
    pub(crate) fn host_bytes(&self) -> usize {
        let bytes = |entries: &BTreeMap<LedgerKey, Entry>| {
            let names: usize = entries.values().map(|entry| entry.name.len()).sum();
            entries.len() * size_of::<(LedgerKey, Entry)>() + names
        };
        self.parts.iter().map(|part| bytes(&part.0.lock())).sum()
    }

    /// Lists what stands in the ledger, in the order in which it was entered.
    pub(crate) fn leaks(&self) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for part in &self.parts {
            leaks.extend(part.0.lock().values().map(Entry::leak));
        }
        leaks.sort_by_key(|leak| leak.birth);
        leaks
    }

    fn part(&self, key: LedgerKey) -> &Mutex<BTreeMap<LedgerKey, Entry>> {
        &self.parts[key.part()].0
    }
}

impl Entry {
    fn leak(&self) -> Leak {
        let captured = self.backtrace.as_ref().filter(|trace| trace.status() == BacktraceStatus::Captured);
        Leak {
            name: self.name.to_string(),
            size: self.size,
            memory_type_index: self.memory_type_index,
            birth: self.birth,
            backtrace: captured.map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What threads with a shard each name, or with a custom pool each, lies apart; what lies in one pool, together.
    #[test]
    fn shards_and_neighbouring_pools_have_parts_of_their_own() {
        let part = |pool, index| LedgerKey::new(pool, false, RangeKey::new(index, 1)).part();
        let parts =
            |pools: core::iter::StepBy<core::ops::Range<u16>>| pools.map(|pool| part(pool, 7)).collect::<Vec<_>>();
        let all: Vec<_> = (0..SHARD_COUNT).collect();
        assert_eq!(parts((5..1024).step_by(64)), all, "the shards of memory type 5");
        assert_eq!(parts((1024..1040).step_by(1)), all, "the first custom pools");
        assert_eq!((part(1023, 1), part(1023, 9), part(1024, 1), part(1040, 1)), (15, 15, 0, 0));
    }

    #[test]
    fn the_host_pays_for_entries_and_for_their_names() {
        let ledger = Ledger::new(false);
        assert_eq!(ledger.host_bytes(), 0);
        let entry = size_of::<(LedgerKey, Entry)>();
        for (number, name) in (1..).zip(["a mesh", "", "a texture"]) {
            let key = LedgerKey::new(number, false, RangeKey::new(1, 1));
            ledger.enter(key, &NewEntry { name, size: 1, memory_type_index: 0 });
        }
        assert_eq!(ledger.host_bytes(), 3 * entry + 6 + 9);
        ledger.strike(LedgerKey::new(3, false, RangeKey::new(1, 1)));
        assert_eq!(ledger.host_bytes(), 2 * entry + 6);
    }
}
