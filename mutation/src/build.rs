//! Builds the program that holds all mutants: what does not compile is left out, until the rest does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::instrument::{Left, instrument};
use crate::mutant::Mutants;

const SWITCH: &str = include_str!("switch.rs");
/// How the changed files find it: both crates have their own.
const ROOTS: [(&str, &str); 2] = [
    ("src/lib.rs", "#[doc(hidden)] #[allow(warnings)] pub mod mutation_switch;"),
    ("src/bin/freestone/main.rs", "#[path = \"../../mutation_switch.rs\"] #[allow(warnings)] mod mutation_switch;"),
];
/// Tests that need a driver, or read the source.
const OTHER_TESTS: [&str; 6] =
    ["behind_the_loader", "house", "real_drivers", "renderer", "scripts", "validation_layers"];

/// How much of the project is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it, with every test that needs no driver but the simulated one.
    Whole,
    /// The library without Vulkan, with its unit tests: what the suballocators need.
    Suballocators,
}

impl Scope {
    fn features(self) -> &'static str {
        if self == Self::Whole { "--features=sim,cli,serde" } else { "--no-default-features" }
    }

    fn targets(self) -> &'static [&'static str] {
        if self == Self::Whole { &["--lib", "--bins"] } else { &["--lib"] }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Built {
    /// Mutants that do not compile.
    pub unviable: BTreeSet<u32>,
    /// Mutants of what the compiler computes.
    pub constants: BTreeSet<u32>,
    /// The programs of tests, by name.
    pub programs: Vec<(String, PathBuf)>,
}

impl Built {
    /// Tells whether the program holds a mutant.
    pub fn holds(&self, number: u32) -> bool {
        !self.unviable.contains(&number) && !self.constants.contains(&number)
    }
}

/// A copy of the project that is changed.
pub struct Workshop<'a> {
    pub root: &'a Path,
    pub folder: PathBuf,
    pub scope: Scope,
}

impl Workshop<'_> {
    /// Writes and checks until it compiles, then builds the tests.
    pub fn build(&self, mutants: &Mutants) -> Built {
        self.copy();
        let read = |file| (file, fs::read_to_string(self.folder.join(file)).expect("the copy can be read"));
        let originals: BTreeMap<&str, String> = mutants.files().into_iter().map(read).collect();
        let (mut left, mut built) = (Left::default(), Built::default());
        loop {
            let placed = self.write(&originals, mutants, &left, &mut built);
            let all = mutants.numbers();
            built.constants =
                all.filter(|number| !placed.contains(number) && !built.unviable.contains(number)).collect();
            let errors = errors(self.cargo(&["check", "--profile=test"]));
            eprintln!("{} mutants: {} errors", placed.len(), errors.len());
            if errors.is_empty() {
                break;
            }
            self.leave_out(&errors, &mut left, &mut built);
        }
        built.programs = self.programs();
        built
    }

    /// Copies what git knows of.
    fn copy(&self) {
        let _ = fs::remove_dir_all(self.folder.join("src"));
        fs::create_dir_all(&self.folder).expect("the folder can be made");
        let script = "git ls-files -z | xargs -0 cp --parents -t \"$1\"";
        let copied =
            Command::new("bash").args(["-c", script, "copy"]).arg(&self.folder).current_dir(self.root).status();
        assert!(copied.is_ok_and(|status| status.success()), "the project can be copied");
        fs::write(self.folder.join("src/mutation_switch.rs"), SWITCH).expect("the copy can be written");
        for (file, line) in ROOTS {
            let path = self.folder.join(file);
            let text = fs::read_to_string(&path).expect("the copy can be read");
            fs::write(path, format!("{text}\n{line}\n")).expect("the copy can be written");
        }
    }

    /// Writes every file with its mutants; returns those.
    fn write(
        &self,
        originals: &BTreeMap<&str, String>,
        mutants: &Mutants,
        left: &Left,
        built: &mut Built,
    ) -> BTreeSet<u32> {
        let mut placed = BTreeSet::new();
        for (file, original) in originals {
            let changed = instrument(original, file, mutants, left);
            let path = self.folder.join(file);
            if fs::read_to_string(&path).ok().as_ref() != Some(&changed.text) {
                fs::write(path, changed.text).expect("the copy can be written");
            }
            placed.extend(changed.placed);
            built.unviable.extend(changed.unviable);
        }
        &placed - &built.unviable
    }

    fn cargo(&self, words: &[&str]) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.args(words).args([self.scope.features(), "--message-format=json"]).args(self.scope.targets());
        cargo.current_dir(&self.folder);
        cargo.stderr(Stdio::null());
        if self.scope == Scope::Whole {
            // Optimised a little, build and tests together take a third.
            cargo.env("RUSTFLAGS", "--cap-lints=allow").env("CARGO_PROFILE_DEV_OPT_LEVEL", "1");
            cargo.env("CARGO_PROFILE_TEST_OPT_LEVEL", "1").env("CARGO_TARGET_DIR", self.folder.join("target"));
        } else if std::env::var_os("CARGO_TARGET_DIR").is_none() {
            // What it needs of others is built there already.
            cargo.env("CARGO_TARGET_DIR", self.root.join("target"));
        }
        cargo
    }

    /// Leaves out what the compiler complains of.
    fn leave_out(&self, errors: &[Value], left: &mut Left, built: &mut Built) {
        let before = (left.mutants.len(), left.constant.len());
        for error in errors {
            if let Some(name) = constant_function(error) {
                left.constant.insert(name);
                continue;
            }
            for span in error["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true) {
                match self.culprit(error, span) {
                    Culprit::Mutant(number) => {
                        left.mutants.insert(number);
                        built.unviable.insert(number);
                    }
                    Culprit::Place(numbers) => left.mutants.extend(numbers),
                }
            }
        }
        let said = errors.first().and_then(|error| error["rendered"].as_str()).unwrap_or_default();
        let is_less = before != (left.mutants.len(), left.constant.len());
        assert!(is_less, "an error that is no mutant's: {}", said.chars().take(2000).collect::<String>());
    }

    /// Finds which mutant, or which place, a span of an error lies in: behind which number it stands.
    fn culprit(&self, error: &Value, span: &Value) -> Culprit {
        let file = self.folder.join(span["file_name"].as_str().unwrap_or_default());
        let text = fs::read_to_string(file).unwrap_or_default();
        let at = usize::try_from(span["byte_start"].as_u64().unwrap_or(0)).expect("a file fits into memory");
        let (before, behind) = text.split_at(at.min(text.len()));
        if error["code"]["code"] == "E0004" {
            return Culprit::Place(arms_of(behind));
        }
        let Some((head, _)) = before.rsplit_once("u32 =>") else { return Culprit::Place(Vec::new()) };
        let digits = head.rfind(|letter: char| !letter.is_ascii_digit()).map_or(0, |at| at + 1);
        match head[digits..].parse() {
            Ok(number) if number > 0 => Culprit::Mutant(number),
            _ => Culprit::Place(place_of(head)),
        }
    }

    /// Builds the tests that need no driver but the simulated one.
    fn programs(&self) -> Vec<(String, PathBuf)> {
        let mut cargo = self.cargo(&["test", "--no-run"]);
        let files = fs::read_dir(self.root.join("tests")).expect("there are tests").flatten().map(|entry| entry.path());
        let is_test = |path: &PathBuf| path.extension().is_some_and(|end| end == "rs") || path.join("main.rs").exists();
        let names = files.filter(is_test).filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
        let names = names.filter(|name| !OTHER_TESTS.contains(&name.as_str()));
        if self.scope == Scope::Whole {
            cargo.args(names.map(|name| format!("--test={name}")));
        }
        cargo.stderr(Stdio::inherit());
        let output = cargo.output().expect("cargo runs");
        assert!(output.status.success(), "the tests build");
        let artifacts = lines(&output.stdout).filter(|line| line["profile"]["test"] == true);
        let program = |line: Value| {
            let (name, kind) = (line["target"]["name"].as_str()?, line["target"]["kind"][0].as_str()?);
            let name = if kind == "test" { format!("tests/{name}") } else { kind.to_owned() };
            Some((name, line["executable"].as_str()?.into()))
        };
        artifacts.filter_map(program).collect()
    }
}

enum Culprit {
    Mutant(u32),
    /// It is not known which of these, if any.
    Place(Vec<u32>),
}

/// Returns the name of the function that the compiler must be able to call itself.
fn constant_function(error: &Value) -> Option<String> {
    (error["code"]["code"] == "E0015").then_some(())?;
    let path = error["message"].as_str()?.split('`').nth(1)?;
    let name = path.split("::<").next()?.rsplit("::").next()?;
    Some(name.trim_end_matches('>').to_owned())
}

/// Returns the mutants that take an arm out of the match that begins here: some pattern would be without an arm.
fn arms_of(text: &str) -> Vec<u32> {
    let mut depth = 0_usize;
    let end = text.char_indices().find(|(_, letter)| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => return false,
        }
        depth == 0
    });
    let body = &text[..end.map_or(text.len(), |(at, _)| at)];
    let arms = body.split("{ 0u32 => true , ").skip(1);
    arms.filter_map(|arm| arm.split_once("u32 => false , _ =>")?.0.parse().ok()).collect()
}

/// Returns the mutants of the last place that begins in a text.
fn place_of(text: &str) -> Vec<u32> {
    let Some((_, bounds)) = text.rsplit_once("mutation_switch :: at (") else { return Vec::new() };
    let mut numbers = bounds.split([' ', ',', ')']).filter_map(|word| word.strip_suffix("u32")?.parse().ok());
    let (first, last) = (numbers.next().unwrap_or(1), numbers.next().unwrap_or(0));
    (first..=last).collect()
}

/// Runs cargo and returns the errors that it tells of.
fn errors(mut cargo: Command) -> Vec<Value> {
    let output = cargo.output().expect("cargo runs");
    let messages = lines(&output.stdout).filter(|line| line["reason"] == "compiler-message");
    let messages = messages.map(|mut line| line["message"].take()).filter(|message| message["level"] == "error");
    messages.filter(|message| message["spans"].as_array().is_some_and(|spans| !spans.is_empty())).collect()
}

fn lines(output: &[u8]) -> impl Iterator<Item = Value> {
    output.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}
