//! What can be changed: the list that cargo-mutants makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// A line and a column, both from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Span {
    pub start: Position,
}

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Genre {
    BinaryOperator,
    UnaryOperator,
    FnValue,
    MatchArm,
    MatchArmGuard,
    StructField,
}

/// One place, and what would stand there instead.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    pub file: String,
    pub genre: Genre,
    pub name: String,
    pub replacement: String,
    pub span: Span,
}

/// The numbers of the mutants of one file, by what is changed and where that begins.
pub type Places = BTreeMap<(Genre, Position), Vec<u32>>;

/// All mutants. A mutant's number is its place in the list, from 1; those of one place follow each other.
pub struct Mutants {
    list: Vec<Mutant>,
}

impl From<Vec<Mutant>> for Mutants {
    fn from(mut list: Vec<Mutant>) -> Self {
        list.sort_by(|a, b| (&a.file, a.span.start, a.genre, &a.name).cmp(&(&b.file, b.span.start, b.genre, &b.name)));
        Self { list }
    }
}

impl Mutants {
    /// Asks cargo-mutants, with what the user said of files. What formats an error or an object is left alone: no
    /// behaviour hangs on a text.
    pub fn of(root: &Path, words: &[String]) -> Self {
        let output = Command::new("cargo")
            .args([
                "mutants",
                "--list",
                "--json",
                "--exclude",
                "**/{tests,loom_tests}.rs",
                "--exclude",
                "**/tests/*.rs",
            ])
            .args(["--exclude", "src/sync/model.rs", "--exclude-re", "(Debug|Display) for"])
            .args(words)
            .current_dir(root)
            .output()
            .expect("cargo-mutants runs");
        let said = String::from_utf8_lossy(&output.stderr);
        let list: Result<Vec<Mutant>, _> = serde_json::from_slice(&output.stdout);
        Self::from(list.unwrap_or_else(|error| panic!("no list of mutants: {error}\n{said}")))
    }

    pub fn get(&self, number: u32) -> &Mutant {
        &self.list[number as usize - 1]
    }

    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        1..=u32::try_from(self.list.len()).expect("so many mutants nobody runs")
    }

    /// Returns the places of a file.
    pub fn places(&self, file: &str) -> Places {
        let mut places = Places::new();
        for (number, mutant) in self.numbers().zip(&self.list).filter(|(_, mutant)| mutant.file == file) {
            places.entry((mutant.genre, mutant.span.start)).or_default().push(number);
        }
        places
    }

    /// Returns the files that have mutants.
    pub fn files(&self) -> Vec<&str> {
        let mut files: Vec<_> = self.list.iter().map(|mutant| mutant.file.as_str()).collect();
        files.dedup();
        files
    }
}
