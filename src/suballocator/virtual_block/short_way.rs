//! The ways of a [`VirtualBlock`] to its suballocator: a short one for each algorithm, and the long one behind it.
//!
//! Each algorithm has functions of its own, so that none saves registers for what another calls.

use super::super::{RangeKey, Request, Suballocation, Suballocator};
use super::{VirtualAllocateError, VirtualAllocation, VirtualBlock, VirtualFreeError, VirtualKey};

impl VirtualBlock {
    /// Takes a slot or a range of TLSF.
    #[inline(never)]
    pub(super) fn allocate_by_rule(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        self.allocate_with(request, |block| {
            let class = block.rule.class_of(request)?;
            block.suballocator.allocate_ready(class)
        })
    }

    /// Takes a linear range.
    #[inline(never)]
    pub(super) fn allocate_in_line(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        self.allocate_with(request, |block| match &mut block.suballocator {
            Suballocator::Linear(linear) => linear.allocate_ready(request),
            _ => None,
        })
    }

    /// Takes a fixed slot.
    #[inline(never)]
    pub(super) fn allocate_fixed(&mut self, request: &Request) -> Result<VirtualAllocation, VirtualAllocateError> {
        self.allocate_with(request, |block| match &mut block.suballocator {
            Suballocator::Fixed(fixed) => fixed.allocate_ready(request),
            _ => None,
        })
    }

    /// Takes a range by a short way, or by the long one where that finds none.
    #[inline]
    fn allocate_with(
        &mut self,
        request: &Request,
        short_way: impl FnOnce(&mut Self) -> Option<Suballocation>,
    ) -> Result<VirtualAllocation, VirtualAllocateError> {
        request.check()?;
        let Some(range) = short_way(self).or_else(|| self.suballocator.allocate(request)) else {
            return Err(self.no_room(request));
        };
        let key = VirtualKey { block: self.id, epoch: self.epoch, range: range.key };
        Ok(VirtualAllocation { offset: range.offset, size: range.size, key })
    }

    /// Frees a slot or a range of TLSF.
    #[inline(never)]
    pub(super) fn free_by_rule(&mut self, key: VirtualKey) -> Result<(), VirtualFreeError> {
        self.free_with(key, |subject, range| subject.free_ready(range, u64::MAX).is_some())
    }

    /// Frees a linear range.
    #[inline(never)]
    pub(super) fn free_in_line(&mut self, key: VirtualKey) -> Result<(), VirtualFreeError> {
        self.free_with(key, |subject, range| match subject {
            Suballocator::Linear(linear) => linear.free_ready(range),
            _ => false,
        })
    }

    /// Frees a fixed slot.
    #[inline(never)]
    pub(super) fn free_fixed(&mut self, key: VirtualKey) -> Result<(), VirtualFreeError> {
        self.free_with(key, |subject, range| match subject {
            Suballocator::Fixed(fixed) => fixed.free_ready(range),
            _ => false,
        })
    }

    /// Frees a range by a short way, or by the long one where that does not.
    #[inline]
    fn free_with(
        &mut self,
        key: VirtualKey,
        short_way: impl FnOnce(&mut Suballocator, RangeKey) -> bool,
    ) -> Result<(), VirtualFreeError> {
        if key.block != self.id {
            return Err(VirtualFreeError::Foreign(key));
        }
        let is_freed = |subject: &mut Suballocator| short_way(subject, key.range) || subject.free(key.range).is_ok();
        if key.epoch != self.epoch || !is_freed(&mut self.suballocator) {
            return Err(VirtualFreeError::Stale(key));
        }
        if self.has_user_data {
            self.forget_user_data(key.range);
        }
        Ok(())
    }
}
