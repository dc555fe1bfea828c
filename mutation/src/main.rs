//! Changes the library in one place after another and sees whether a test notices.
//!
//! ```text
//! cargo-mutants: the list ──> instrument: all of it in one program ──> build: what does not compile is left out
//!                                                                           │
//!                  score <── run: for each mutant the tests that reach it <─┘ run: which test reaches what
//! ```
//!
//! What can be changed, and into what, is cargo-mutants' business. It builds the program once for each mutant, which takes
//! a day here; this builds it once for all of them, and runs no test that never comes to the changed place. Constants are
//! left: what the compiler computes cannot ask which mutant is active.

mod build;
mod instrument;
mod mutant;
mod run;
mod score;

use std::path::Path;

use build::Workshop;
use mutant::Mutants;
use run::Tests;
use score::{Outcome, Results};

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the project lies above");
    let folder = root.join("target/mutation");
    let results = folder.join("results.txt");
    if words == ["score"] {
        score::print(&results);
        return;
    }
    let mutants = Mutants::of(root, &words);
    let workshop = Workshop { root, folder };
    let built = workshop.build(&mutants);
    let tests = Tests::record(&built, &workshop.folder);
    let results = Results::new(&results, &mutants);
    built.constants.iter().for_each(|number| results.note(*number, Outcome::Constant));
    built.unviable.iter().for_each(|number| results.note(*number, Outcome::Unviable));
    let numbers: Vec<u32> = mutants.numbers().filter(|number| built.holds(*number)).collect();
    eprintln!("{} mutants in one program, {} tests", numbers.len(), tests.len());
    tests.try_all(&numbers, &mutants, |number, outcome| results.note(number, outcome));
    score::print(results.path());
}
