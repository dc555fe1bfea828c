//! The fuzz targets of `fuzz/`, driven by proptest: a short form that needs no fuzzer.
//!
//! A fuzzer is better at it; these runs show that the targets work, look at every invariant after each step, shrink
//! what they find, and keep it (in `tests/proptest-regressions/main.txt`). A finding of the fuzzer's becomes a test
//! here or in `samples`.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "cli")]
mod samples;
mod targets;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use targets::{allocator, suballocators};

/// Bytes: most often few.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![7 => vec(any::<u8>(), 0..256), 1 => vec(any::<u8>(), 0..2048)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn tlsf(data in bytes()) {
        suballocators::tlsf(&data);
    }

    #[test]
    fn slab(data in bytes()) {
        suballocators::slab(&data);
    }

    #[test]
    fn linear(data in bytes()) {
        suballocators::linear(&data);
    }

    #[test]
    fn fixed(data in bytes()) {
        suballocators::fixed(&data);
    }

    #[test]
    fn virtual_block(data in bytes()) {
        suballocators::virtual_block(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn allocator(data in bytes()) {
        allocator::allocator(&data);
    }
}
