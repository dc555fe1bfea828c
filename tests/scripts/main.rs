//! The scripts, each in a place of its own where programs only note how they were called: what is missing, fails or is
//! interrupted is said, counts, and destroys nothing. Nothing is fetched or installed here, and of the project's own
//! programs the bench alone is built.
//!
//! Linux only: there the scripts install drivers, and there is what they use of a system.
#![cfg(target_os = "linux")]

mod bench;
mod long_runs;
mod place;
mod sanitize;
mod setup;

use place::Place;

/// `bash -n` takes the second name for an argument of the first script.
#[test]
fn every_script_is_parsed() {
    let place = Place::new("parse", &["test", "with-display"]);
    place.link(".ci/run");
    place.write("scripts/with-fault", "if true\n");
    let ran = place.run("test", &["scripts parse"]);
    assert!(ran.code == Some(1) && ran.says("0 passed, 1 failed") && ran.says("scripts/with-fault: line"), "{ran:?}");
    place.write("scripts/with-fault", "true\n");
    let ran = place.run("test", &["scripts parse"]);
    assert!(ran.code == Some(0) && ran.says("1 passed, 0 failed"), "{ran:?}");
}
