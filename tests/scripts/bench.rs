//! `scripts/bench`, and the bench itself: what could not be measured or drawn fails, and leaves the tables that are
//! there.

use std::path::PathBuf;
use std::process::Command;

use crate::place::Place;

const README: &str = "benches/README.md";

/// Has every bench built, but for those of some folder.
fn cargo(but: &str) -> String {
    let line = r#"{"target":{"kind":["bench"]},"executable":"'"$PLACE/bin/peers"'"}"#;
    format!("case $PWD in *{but}) exit 101 ;; esac; echo '{line}'")
}

/// A place with tables of each section, what a copy of the crate takes, and a bench that measures whatever it is asked.
fn place(name: &str) -> Place {
    let place = Place::new(name, &["bench"]);
    let sections = ["instructions", "traces", "unshared", "constants", "goals", "charts"];
    let tables = sections.map(|name| format!("<!-- begin {name} -->\nold {name}\n<!-- end {name} -->\n"));
    place.write(README, &tables.concat());
    for file in ["src/block/growth.rs", "src/sync/spin_lock.rs", "benches/unshared/spin_lock.rs", "Cargo.toml"] {
        place.write(file, "");
    }
    for file in ["benches/constants/growth.sed", "benches/constants/environment.rs", "Cargo.lock", "README.md"] {
        place.write(file, "");
    }
    place.write("tests/traces/one", "");
    place.plays("cargo", &cargo("/nowhere"));
    for program in ["git", "rustc"] {
        place.plays(program, "echo quarry");
    }
    place.plays("peers", "echo \"new $1\"");
    place
}

/// Tells which of these sections still are as they were.
fn kept(place: &Place, sections: &[&str]) -> Vec<bool> {
    let text = place.read(README);
    let is_kept = |name: &&str| text.contains(&format!("<!-- begin {name} -->\nold {name}\n<!-- end {name} -->\n"));
    sections.iter().map(is_kept).collect()
}

#[test]
fn what_was_measured_is_written() {
    let place = place("written");
    let ran = place.run("bench", &["quick", "traces", "unshared", "constants"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let text = place.read(README);
    for line in ["new --traces", "new --unshared", "new --constants", "new --goals", "new --charts"] {
        assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
    }
    assert_eq!(kept(&place, &["instructions", "traces"]), [true, false], "{text}");
}

/// Builds the bench itself, which tests of one file do not; `scripts/test` has built it before.
fn built() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-q", "--all-features", "--bench", "peers", "--message-format=json"]);
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut messages = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let program = messages.rfind(|message| message["target"]["kind"][0] == "bench");
    let program = program.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    program["executable"].as_str().expect("a path").into()
}

#[test]
fn the_bench_fails_without_valgrind() {
    let (place, program) = (Place::new("program", &[]), built());
    for section in ["--instructions", "--unshared"] {
        let mut command = Command::new(&program);
        command.args([section, "other"]).current_dir(place.path("")).env_clear().env("PATH", place.path("bin"));
        let output = command.output().expect("it starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains("valgrind is missing"), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

/// What the bench has said until it fails is no table.
#[test]
fn without_valgrind_the_counts_of_instructions_stay() {
    let place = place("valgrind");
    place.plays("peers", "echo '| half a table'; case $1 in --instructions) exit 101 ;; esac");
    let ran = place.run("bench", &["instructions", "traces"]);
    assert!(ran.code == Some(1) && ran.says("failed: instructions"), "{ran:?}");
    assert_eq!(kept(&place, &["instructions", "traces"]), [true, false], "the others are measured");
}

#[test]
fn without_a_copy_of_the_crate_nothing_is_compared_with_it() {
    for (section, copy) in [("unshared", "unlocked"), ("constants", "variable")] {
        let place = place(section);
        // It cannot be built.
        place.plays("cargo", &cargo(&format!("/copies/{copy}")));
        let ran = place.run("bench", &[section]);
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        // It cannot be made.
        place.plays("cargo", &cargo("/nowhere"));
        std::fs::remove_file(place.path("Cargo.lock")).expect("it is there");
        let ran = place.run("bench", &[section]);
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        assert_eq!(place.count(&format!("peers --{section}")), 0, "{:?}", place.calls());
        assert_eq!(kept(&place, &[section, "goals", "charts"]), [true; 3]);
    }
}

#[test]
fn goals_that_cannot_be_drawn_stay() {
    let place = place("goals");
    place.plays("peers", "case $1 in --goals) exit 101 ;; *) echo \"new $1\" ;; esac");
    let ran = place.run("bench", &["traces"]);
    assert!(ran.code == Some(1) && ran.says("failed: goals"), "{ran:?}");
    assert_eq!(kept(&place, &["traces", "goals", "charts"]), [false, true, false], "{}", place.read(README));
}

#[test]
fn a_section_that_there_is_not_is_refused_before_the_first_is_measured() {
    let place = place("section");
    let ran = place.run("bench", &["traces", "granite"]);
    assert!(ran.code == Some(2) && ran.says("there is no section granite; there are instructions "), "{ran:?}");
    assert_eq!(place.calls().len(), 0, "nothing is built first");
}
