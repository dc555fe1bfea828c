//! Which programs the tests draw: the same on every run, or others.

/// Returns what is added to a test's own seed: nothing, or `PROPTEST_RNG_SEED`, which chooses other programs.
pub(crate) fn chosen_seed() -> u64 {
    std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0)
}
