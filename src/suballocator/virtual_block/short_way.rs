//! The ways of a [`VirtualBlock`] to its suballocator: a short one for each algorithm, and the long one behind it.
//!
//! Each algorithm has functions of its own, so that none saves registers for what another calls.

use super::super::{RangeKey, Request, StaleKey, Suballocation, Suballocator};
use super::{VirtualAllocateError, VirtualAllocation, VirtualBlock, VirtualKey};

/// Why a key frees nothing. Who holds the key makes the error of it: so it is not carried there and back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refused {
    /// It is of another block.
    Foreign,
    /// It is from before the last clear.
    Stale,
}

impl VirtualBlock {
    /// Takes a slot of TLSF, or a range, for which the long way is the common one.
    #[inline(never)]
    pub(super) fn allocate_by_rule(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        request.check()?;
        let ready = self.rule.class_of(request).and_then(|class| self.suballocator.allocate_ready(class));
        match ready.or_else(|| self.suballocator.allocate(request)) {
            Some(range) => Ok(self.hand_out(&range)),
            None => Err(self.no_room(request)),
        }
    }

    /// Takes a linear range.
    #[inline(never)]
    pub(super) fn allocate_in_line(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        self.allocate_with(request, |subject| match subject {
            Suballocator::Linear(linear) => linear.allocate_ready(request),
            _ => None,
        })
    }

    /// Takes a fixed slot.
    #[inline(never)]
    pub(super) fn allocate_fixed(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        self.allocate_with(request, |subject| match subject {
            Suballocator::Fixed(fixed) => fixed.allocate_ready(request),
            _ => None,
        })
    }

    /// Takes a range by a short way, or by the long one where that finds none.
    #[inline]
    fn allocate_with(
        &mut self,
        request: &Request,
        short_way: impl FnOnce(&mut Suballocator) -> Option<Suballocation>,
    ) -> Result<VirtualAllocation, VirtualAllocateError> {
        request.check()?;
        match short_way(&mut self.suballocator) {
            Some(range) => Ok(self.hand_out(&range)),
            None => self.allocate_further(request),
        }
    }

    /// The long way, at the end of the short one: which then saves no registers for it.
    #[cold]
    #[inline(never)]
    fn allocate_further(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        match self.suballocator.allocate(request) {
            Some(range) => Ok(self.hand_out(&range)),
            None => Err(self.no_room(request)),
        }
    }

    #[inline]
    fn hand_out(&self, range: &Suballocation) -> VirtualAllocation {
        let key = VirtualKey { block: self.id, epoch: self.epoch, range: range.key };
        VirtualAllocation { offset: range.offset, size: range.size, key }
    }

    /// Frees a slot or a range of TLSF.
    #[inline(never)]
    pub(super) fn free_by_rule(&mut self, key: &VirtualKey) -> Result<(), Refused> {
        self.check(key)?;
        if !self.suballocator.free_ready(key.range) && self.suballocator.free(key.range).is_err() {
            return Err(Refused::Stale);
        }
        self.forget(key);
        Ok(())
    }

    /// Frees a linear range.
    #[inline(never)]
    pub(super) fn free_in_line(&mut self, key: &VirtualKey) -> Result<(), Refused> {
        self.free_with(key, |subject, range| match subject {
            Suballocator::Linear(linear) => linear.free_ready(range),
            _ => false,
        })
    }

    /// Frees a fixed slot.
    #[inline(never)]
    pub(super) fn free_fixed(&mut self, key: &VirtualKey) -> Result<(), Refused> {
        self.free_with(key, |subject, range| match subject {
            Suballocator::Fixed(fixed) => fixed.free_ready(range),
            _ => false,
        })
    }

    /// Frees a range by a short way, or by the long one where that does not.
    #[inline]
    fn free_with(
        &mut self,
        key: &VirtualKey,
        short_way: impl FnOnce(&mut Suballocator, RangeKey) -> bool,
    ) -> Result<(), Refused> {
        self.check(key)?;
        if !short_way(&mut self.suballocator, key.range) {
            return self.free_further(key);
        }
        self.forget(key);
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn free_further(&mut self, key: &VirtualKey) -> Result<(), Refused> {
        self.suballocator.free(key.range).map_err(|StaleKey| Refused::Stale)?;
        self.forget(key);
        Ok(())
    }

    /// V1.
    #[inline]
    fn check(&self, key: &VirtualKey) -> Result<(), Refused> {
        if key.block != self.id {
            return Err(Refused::Foreign);
        }
        if key.epoch == self.epoch { Ok(()) } else { Err(Refused::Stale) }
    }

    /// V3.
    #[inline]
    fn forget(&mut self, key: &VirtualKey) {
        // Nearly always nobody has set any.
        if self.user_data.iter().any(|table| !table.is_empty()) {
            self.forget_user_data(key.range);
        }
    }
}
