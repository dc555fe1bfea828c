//! `scripts/sanitize`: what it says of three checkers, and how it runs them.

use crate::place::Place;

/// A place with a stable toolchain of this host and no nightly one.
fn place(name: &str, host: &str) -> Place {
    let place = Place::new(name, &["sanitize"]);
    place.plays("cargo", "");
    place.plays("rustc", &format!("case $* in -vV) echo 'host: {host}' ;; *) exit 1 ;; esac"));
    place.plays("rustup", "exit 1");
    place.plays("valgrind", "");
    place
}

#[test]
fn a_sanitizer_that_is_skipped_hides_no_other() {
    let place = place("skipped", "x86_64-unknown-linux-gnu");
    let ran = place.run("sanitize", &[]);
    assert_eq!(ran.code, Some(77), "{ran:?}");
    let last = ran.out.lines().last().unwrap_or_default();
    assert!(last.starts_with("address and memcheck: no finding; SKIPPED thread: "), "{ran:?}");
    assert_eq!(place.count("cargo test"), 2, "{:?}", place.calls());
    // A finding is no skipping, whoever has it.
    for finder in ["*--target*)", "*'--test-threads 1'*)"] {
        place.plays("cargo", &format!("case $* in {finder} exit 101 ;; esac"));
        let ran = place.run("sanitize", &[]);
        assert_eq!(ran.code, Some(101), "{finder}: {ran:?}");
    }
}

#[test]
fn all_three_sanitizers_may_pass() {
    let place = place("three", "x86_64-unknown-linux-gnu");
    place.write("lib/rustlib/src/rust/library/Cargo.lock", "");
    place.plays("rustc", "case $* in -vV) echo 'host: quarry' ;; *) echo \"$PLACE\" ;; esac");
    let ran = place.run("sanitize", &[]);
    assert!(ran.code == Some(0) && ran.says("address, memcheck and thread: no finding"), "{ran:?}");
    place.plays("cargo", "case $* in *build-std*) exit 101 ;; esac");
    assert_eq!(place.run("sanitize", &[]).code, Some(101));
}

/// The variable that puts valgrind in front of a test is named after the machine.
#[test]
fn memcheck_is_valgrind_s_on_every_kind_of_machine() {
    for (host, name) in [("x86_64-unknown-linux-gnu", "X86_64"), ("aarch64-unknown-linux-gnu", "AARCH64")] {
        let place = place(name, host);
        place.plays("cargo", "env | grep _RUNNER >>\"$PLACE/calls\"");
        assert_eq!(place.run("sanitize", &["memcheck"]).code, Some(0));
        let runner = format!("CARGO_TARGET_{name}_UNKNOWN_LINUX_GNU_RUNNER=valgrind ");
        assert_eq!(place.count(&runner), 1, "{:?}", place.calls());
    }
}
