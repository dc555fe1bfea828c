//! `scripts/soak`, `scripts/fuzz` and `scripts/loom`: they run what was just built, from seeds that are whole, and do
//! not pass with nothing done.

use std::fs;

use crate::place::Place;

/// Makes what a fuzzer's build makes, in the folder that it is told.
const FUZZ_BUILD: &str = r#"
while [ $# != 0 ] && [ "$1" != --target-dir ]; do shift; done
[ $# = 0 ] || for target in "$PLACE"/fuzz/fuzz_targets/*; do
    name=$(basename "$target" .rs)
    mkdir -p "$2/quarry/release" && ln -sf "$PLACE/bin/fuzzer" "$2/quarry/release/$name"
    echo 'echo Done' >"$PLACE/answers/$name"
done"#;

fn fuzzing(name: &str) -> Place {
    let place = Place::new(name, &["fuzz"]);
    for folder in ["fuzz/fuzz_targets", "fuzz/dictionaries", "src/sim/devices", "tests/traces"] {
        place.link(folder);
    }
    place.plays("cargo", FUZZ_BUILD);
    place.plays("rustc", "echo 'host: quarry'");
    place.plays("fuzzer", "");
    place
}

/// What is longer than the fuzzer's longest input is cut off there.
#[test]
fn seeds_of_the_fuzzer_are_whole() {
    let place = fuzzing("seeds");
    let ran = place.run("fuzz", &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let mut seeds = 0;
    for call in place.calls().iter().filter(|call| call.contains("-max_len=")) {
        let word = |start| call.split(' ').find_map(|word| word.strip_prefix(start)).expect("a word that starts so");
        let most: u64 = word("-max_len=").parse().expect("a number");
        let folder = format!("fuzz/corpus/{}", word("fuzz/corpus/"));
        for seed in fs::read_dir(place.path(&folder)).expect("a folder of seeds").flatten() {
            let size = seed.metadata().expect("a file").len();
            assert!(size <= most, "{} has {size} bytes, of which the fuzzer reads {most}", seed.path().display());
            seeds += 1;
        }
    }
    assert!(seeds >= fs::read_dir(place.path("src/sim/devices")).expect("devices").count(), "{seeds}");
    let targets = fs::read_dir(place.path("fuzz/fuzz_targets")).expect("targets").count();
    assert_eq!(place.calls().iter().filter(|call| call.contains("-max_len=")).count(), targets);
}

#[test]
fn the_fuzzer_runs_what_was_just_built() {
    let place = fuzzing("fuzz-target");
    // What an earlier run has built.
    place.stands_in("fuzz/target/quarry/release/tlsf");
    place.write("answers/tlsf", "echo Done");
    let elsewhere = place.path("elsewhere");
    let variables = [("CARGO_TARGET_DIR", elsewhere.to_str().expect("a path that is text"))];
    let ran = place.run_with("fuzz", &["tlsf"], &variables);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = ["elsewhere", "fuzz/target"].map(|folder| place.count(&format!("{folder}/quarry/release/tlsf ")));
    assert_eq!(runs, [1, 0], "{:?}", place.calls());
    // What was not built is not run.
    place.plays("cargo", "");
    fs::remove_dir_all(&elsewhere).expect("it is there");
    let ran = place.run_with("fuzz", &["tlsf"], &variables);
    assert!(ran.code == Some(1) && ran.says("fuzz: there is no "), "{ran:?}");
}

fn soaking(name: &str) -> Place {
    let place = Place::new(name, &["soak"]);
    place.plays(
        "cargo",
        r#"folder=${CARGO_TARGET_DIR:-target}/debug
        mkdir -p "$folder" && ln -sf "$PLACE/bin/freestone" "$folder/freestone""#,
    );
    for program in ["freestone", "renice"] {
        place.plays(program, "");
    }
    place.stands_in("scripts/with-driver");
    place
}

#[test]
fn the_soak_runs_what_was_just_built() {
    let place = soaking("soak-target");
    place.stands_in("target/debug/freestone");
    let elsewhere = place.path("elsewhere");
    let elsewhere = elsewhere.to_str().expect("a path that is text");
    let ran = place.run_with("soak", &["0.001", "soak"], &[("CARGO_TARGET_DIR", elsewhere)]);
    assert!(ran.code == Some(0) && ran.says("0 failed"), "{ran:?}");
    assert!(place.count("elsewhere/debug/freestone soak ") > 10, "{:?}", place.calls());
    let on_drivers: Vec<_> =
        place.calls().into_iter().filter(|call| call.starts_with("scripts/with-driver ")).collect();
    let tool = format!(" {elsewhere}/debug/freestone soak ");
    assert!(!on_drivers.is_empty() && on_drivers.iter().all(|call| call.contains(&tool)), "{on_drivers:?}");
    assert_eq!(place.count("target/debug/freestone"), 0);
}

/// A word that nothing has in its name is a mistake of whoever asks, not a pass.
#[test]
fn a_long_run_of_nothing_does_not_pass() {
    let place = soaking("nothing");
    for script in ["scripts/fuzz", "scripts/loom"] {
        place.link(script);
    }
    let ran = place.run("soak", &["0.001", "granite"]);
    assert!(ran.code == Some(2) && ran.says("nothing here has \"granite\" in its name"), "{ran:?}");
    assert_eq!((place.count("target/debug/freestone"), place.count("scripts/")), (0, 0));

    let before = place.calls().len();
    let ran = place.run("fuzz", &["tlsf", "granite"]);
    assert!(ran.code == Some(2) && ran.says("there is no target granite; there are tlsf "), "{ran:?}");
    assert_eq!(place.calls().len(), before, "nothing is built first");

    place.plays("cargo", "echo '0 tests, 0 benchmarks'");
    let ran = place.run("loom", &["granite"]);
    assert!(ran.code == Some(2) && ran.says("there is no case whose name contains loom_granite"), "{ran:?}");
    place.plays("cargo", "echo 'sync::tests::loom_two: test'");
    assert_eq!(place.run("loom", &["two"]).code, Some(0));
    assert_eq!(place.count("cargo test --lib --release loom_two -- --nocapture"), 1, "{:?}", place.calls());
}
