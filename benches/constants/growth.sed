# Makes the growth constants of a copy of src/block/growth.rs variable; environment.rs is put behind it.
s/^pub(crate) const FIRST_BLOCK: u64 = .*;$//
s/^const BRACKETS: \[(u64, u64); 2\] = .*;$//
s/FIRST_BLOCK\.min(/constants().first.min(/
s/^const REQUEST_MULTIPLE: u64 = .*;$//
s/times(REQUEST_MULTIPLE)/times(constants().multiple)/
s/2\.\.=REQUEST_MULTIPLE/2..=constants().multiple/
s/ in BRACKETS {/ in constants().brackets {/
/^#\[cfg(test)\]$/,$d
