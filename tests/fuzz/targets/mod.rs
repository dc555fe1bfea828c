//! What each fuzz target does with its bytes; `fuzz/fuzz_targets` names them for the fuzzer.

pub(crate) mod allocator;
#[cfg(feature = "cli")]
pub(crate) mod parsers;
pub(crate) mod suballocators;
