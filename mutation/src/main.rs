//! Changes the library in one place after another and sees whether a test notices.
//!
//! ```text
//! cargo-mutants: the list ──> instrument: all of it in one program ──> build: what does not compile is left out
//!                                                                           │
//!                  score <── run: for each mutant the tests that reach it <─┘ run: which test reaches what
//! ```
//!
//! What can be changed, and into what, is cargo-mutants' business. It builds the program once for each mutant; this
//! builds it once for all of them, and runs no test that never comes to the changed place. Constants are left: what the
//! compiler computes cannot ask which mutant is active.

mod build;
mod instrument;
mod mutant;
mod run;
mod score;

use std::path::Path;
use std::process::ExitCode;

use build::{Scope, Workshop};
use mutant::Mutants;
use run::Tests;
use score::{Outcome, Results};

/// What a short run changes: a file whose every mutant is killed.
const SHORT: [&str; 2] = ["--file", "src/suballocator/align.rs"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project lies above");
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["score"] => {
            score::print(&root.join("target/mutation/results.txt"));
            ExitCode::SUCCESS
        }
        ["short"] => {
            let is_clean = run(root, "target/mutation-short", Scope::Suballocators, &SHORT.map(str::to_owned));
            if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        _ => {
            run(root, "target/mutation", Scope::Whole, &words);
            ExitCode::SUCCESS
        }
    }
}

/// Tries what the words choose; tells whether a test has noticed each mutant.
fn run(root: &Path, folder: &str, scope: Scope, words: &[String]) -> bool {
    let mutants = Mutants::of(root, words);
    let workshop = Workshop { root, folder: root.join(folder), scope };
    let built = workshop.build(&mutants);
    let tests = Tests::record(&built, &workshop.folder);
    let results = Results::new(&workshop.folder.join("results.txt"), &mutants);
    built.constants.iter().for_each(|number| results.note(*number, Outcome::Constant));
    built.unviable.iter().for_each(|number| results.note(*number, Outcome::Unviable));
    let numbers: Vec<u32> = mutants.numbers().filter(|number| built.holds(*number)).collect();
    eprintln!("{} mutants in one program, {} tests", numbers.len(), tests.len());
    tests.try_all(&numbers, &mutants, |number, outcome| results.note(number, outcome));
    score::print(results.path())
}
