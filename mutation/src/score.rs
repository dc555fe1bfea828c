//! What became of each mutant, one line each in a file, and the table by file of the library.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::mutant::Mutants;

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Killed,
    /// Some test no longer ends: killed, too.
    TimedOut,
    Survived,
    /// No test comes there: survived, too.
    Unreached,
    /// It does not compile.
    Unviable,
    /// It stands in what the compiler computes: not tried.
    Constant,
}

const WORDS: [(Outcome, &str); 6] = [
    (Outcome::Killed, "killed"),
    (Outcome::TimedOut, "timeout"),
    (Outcome::Survived, "survived"),
    (Outcome::Unreached, "unreached"),
    (Outcome::Unviable, "unviable"),
    (Outcome::Constant, "constant"),
];

/// The file of results.
pub struct Results<'a> {
    mutants: &'a Mutants,
    path: PathBuf,
    file: Mutex<File>,
}

impl<'a> Results<'a> {
    pub fn new(path: &Path, mutants: &'a Mutants) -> Self {
        let file = Mutex::new(File::create(path).expect("results can be written"));
        Self { mutants, path: path.to_owned(), file }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn note(&self, number: u32, outcome: Outcome) {
        let word = WORDS.iter().find(|entry| entry.0 == outcome).map_or("", |entry| entry.1);
        let mut file = self.file.lock().expect("nobody panics here");
        writeln!(file, "{word} {}", self.mutants.get(number).name).expect("results can be written");
    }
}

/// Prints the table, and what survived; tells whether nothing did.
pub fn print(path: &Path) -> bool {
    let text = fs::read_to_string(path).expect("there are results");
    let mut table = BTreeMap::<&str, [usize; 6]>::new();
    let mut survivors = Vec::new();
    for (word, name) in text.lines().filter_map(|line| line.split_once(' ')) {
        let column = WORDS.iter().position(|entry| entry.1 == word).expect("a line of results");
        let file = name.split_once(':').map_or(name, |(file, _)| file);
        table.entry(file.trim_start_matches("src/").trim_end_matches(".rs")).or_default()[column] += 1;
        if [Outcome::Survived, Outcome::Unreached].contains(&WORDS[column].0) {
            survivors.push(format!("{word} {name}"));
        }
    }
    println!("| file | tried | killed | survived | does not build | constant |\n|---|---|---|---|---|---|");
    let mut sum = [0; 6];
    for (file, counts) in &table {
        println!("{}", row(&format!("`{file}`"), counts));
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    println!("{}\n", row("all", &sum));
    survivors.sort();
    for line in &survivors {
        println!("{line}");
    }
    survivors.is_empty()
}

fn row(name: &str, counts: &[usize; 6]) -> String {
    let [killed, timed_out, survived, unreached, unviable, constant] = counts;
    let tried = killed + timed_out + survived + unreached;
    format!("| {name} | {tried} | {} | {} | {unviable} | {constant} |", killed + timed_out, survived + unreached)
}
