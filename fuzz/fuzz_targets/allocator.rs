//! The whole allocator over the simulated driver: see `tests/fuzz/targets/allocator.rs`.
#![no_main]

#[path = "../../tests/fuzz/targets/allocator.rs"]
mod allocator;
#[path = "../../tests/common/mod.rs"]
mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| allocator::allocator(data));
