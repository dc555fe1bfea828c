//! The rules of the house, checked on the source itself: imports only go down, rooms on one floor do not import each
//! other, `unsafe` stays in its rooms, functions stay short. ARCHITECTURE.md says why; `floors.rs` is the plan.
//!
//! A rule that nothing can break proves nothing: `planted.rs` breaks each of them and expects to be caught.

mod floors;
mod mentions;
mod planted;
mod rules;
mod sizes;
mod source;

use std::path::Path;

#[test]
fn the_source_keeps_the_rules_of_the_house() {
    let sources = source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(sources.iter().any(|source| source.path == "lib.rs"), "no src/lib.rs was read");
    let faults = rules::faults(&sources);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
