//! The pools of other classes than the default ones, those of a priority or of the short-lived: by memory type and
//! class, each with its shards. None ever goes, so finding one takes no lock.

use std::sync::Arc;

use super::NumberedPool;
use super::chunks::Chunks;
use super::shards::Shards;
use crate::pool::BlockClass;
use crate::sync::{AtomicU32, OnceLock, Ordering};

/// The pools of a memory type and class.
#[derive(Debug)]
pub(super) struct ClassPools {
    pub(super) memory_type_index: u32,
    pub(super) class: BlockClass,
    pub(super) shards: Shards<Arc<NumberedPool>>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Classes {
    entries: Chunks<OnceLock<ClassPools>>,
    len: AtomicU32,
}

impl Classes {
    pub(super) fn new() -> Self {
        Self { entries: Chunks::new(), len: AtomicU32::new(0) }
    }

    /// Returns the pools of a memory type and class, if there are any.
    ///
    /// # Complexity
    /// A step for each that there is: a program knows few priorities.
    pub(super) fn get(&self, memory_type_index: u32, class: BlockClass) -> Option<&ClassPools> {
        let mut entries = (0..self.len()).filter_map(|number| self.entries.get(number)?.get());
        entries.find(|entry| (entry.memory_type_index, entry.class) == (memory_type_index, class))
    }

    /// Adds the first pool of a memory type and class that has none. One caller at a time.
    pub(super) fn insert(&self, first: Arc<NumberedPool>) -> Option<&ClassPools> {
        let (memory_type_index, class) = (first.settings().memory_type_index, first.settings().class);
        let entry = self.entries.get_or_make(self.len(), OnceLock::new)?;
        let entry = entry.get_or_init(|| ClassPools { memory_type_index, class, shards: Shards::new(first) });
        self.len.fetch_add(1, Ordering::Release);
        Some(entry)
    }

    fn len(&self) -> usize {
        self.len.load(Ordering::Acquire) as usize
    }
}
