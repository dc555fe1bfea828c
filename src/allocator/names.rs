//! Names of allocations, for people: given when they are made, or later.

use super::ledger::{LedgerKey, NewEntry};
use super::{AccessError, Allocation, Allocator};

impl Allocator {
    /// Returns the name that an allocation was given, while it is alive; empty where it is tracked without one.
    pub fn name_of(&self, allocation: &Allocation) -> Option<String> {
        let is_own = self.owns(allocation) && allocation.is_in_ledger();
        is_own.then(|| self.ledger.name(LedgerKey::of(allocation))).flatten()
    }

    /// Names an allocation, or names it anew: as [`AllocationCreateInfo::name`](super::AllocationCreateInfo::name) does
    /// for one that is yet to be made. The name shows in the map of memory and in the report of what was never freed.
    ///
    /// # Errors
    /// `Foreign` where another allocator made it; then it keeps its name.
    ///
    /// # Complexity
    /// O(log n) in the allocations that have names or are tracked; freeing one that has a name costs as much.
    pub fn set_name(&self, allocation: &mut Allocation, name: &str) -> Result<(), AccessError> {
        if !self.owns(allocation) {
            return Err(AccessError::Foreign);
        }
        let (size, memory_type_index) = (allocation.size(), allocation.memory_type_index());
        self.ledger.rename(LedgerKey::of(allocation), &NewEntry { name, size, memory_type_index });
        allocation.note_in_ledger();
        Ok(())
    }
}
