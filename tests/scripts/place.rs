//! A place where a script can run without harm: a folder with links to the script and to what it reads, and a path on
//! which there is nothing but the tools that every system has, and programs that only note how they were called.
//!
//! ```text
//! PLACE/scripts/bench ──► scripts/bench         PLACE/bin/sed ──► /usr/bin/sed         PLACE/calls
//! PLACE/answers/cargo (what it does)            PLACE/bin/cargo ──► tests/scripts/fake     └ "cargo bench -q ..."
//! ```
//!
//! Invariants:
//! - P1: nothing that was written here is executed itself, only read by a shell: while a file is being written, another
//!   thread's new process may hold it open too, and the system then refuses to execute it.
//! - P2: nothing of the test's own environment comes to a script, and no program but those on the path.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What the scripts use of any system.
const TOOLS: [&str; 26] = [
    "awk", "basename", "bash", "cat", "chmod", "cp", "cut", "date", "dirname", "env", "find", "grep", "head", "ln",
    "mkdir", "mktemp", "mv", "nice", "nproc", "rm", "sed", "tail", "timeout", "touch", "tr", "uname",
];

/// How a script ended, and what it said.
#[derive(Debug)]
pub(crate) struct Ran {
    /// `None`: it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) errors: String,
}

impl Ran {
    /// Returns whether it said this, in a line of its output or of its errors.
    pub(crate) fn says(&self, words: &str) -> bool {
        self.out.contains(words) || self.errors.contains(words)
    }
}

/// A folder of its own for one test, which goes with it.
pub(crate) struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

impl Place {
    /// Makes a place with some of the scripts; the name is the test's own.
    pub(crate) fn new(name: &str, scripts: &[&str]) -> Self {
        let folder = format!("scripts-{name}-{}", std::process::id());
        let place = Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder));
        let _ = fs::remove_dir_all(&place.0);
        for folder in ["answers", "bin", "scripts", "tmp"] {
            fs::create_dir_all(place.path(folder)).expect("a writable folder");
        }
        for script in scripts {
            place.link(&format!("scripts/{script}"));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        for tool in TOOLS {
            let mut found = std::env::split_paths(&path).map(|folder| folder.join(tool));
            let found = found.find(|file| file.is_file()).unwrap_or_else(|| panic!("there is no {tool} here"));
            symlink(found, place.path("bin").join(tool)).expect("a writable folder");
        }
        place
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside)
    }

    /// Brings a file or folder of the project to the same path here.
    pub(crate) fn link(&self, inside: &str) {
        self.link_to(&Path::new(env!("CARGO_MANIFEST_DIR")).join(inside), inside);
    }

    fn link_to(&self, target: &Path, inside: &str) {
        let link = self.path(inside);
        fs::create_dir_all(link.parent().expect("a path inside")).expect("a writable folder");
        let _ = fs::remove_file(&link);
        symlink(target, link).expect("a writable folder");
    }

    /// Writes a file.
    pub(crate) fn write(&self, inside: &str, text: &str) {
        let file = self.path(inside);
        fs::create_dir_all(file.parent().expect("a path inside")).expect("a writable folder");
        fs::write(file, text).expect("a writable folder");
    }

    /// Reads a file; empty where there is none.
    pub(crate) fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).unwrap_or_default()
    }

    /// Lets a program be there that notes its calls and does what the shell makes of `answer`, where `$PLACE` is this
    /// folder. Again: it answers differently from now on.
    pub(crate) fn plays(&self, program: &str, answer: &str) {
        self.stands_in(&format!("bin/{program}"));
        self.write(&format!("answers/{program}"), answer);
    }

    /// Puts a program that notes its calls at a path; it does what one of its name on the path does.
    pub(crate) fn stands_in(&self, inside: &str) {
        self.link_to(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/fake"), inside);
    }

    /// Runs a script with these words.
    pub(crate) fn run(&self, script: &str, words: &[&str]) -> Ran {
        self.run_with(script, words, &[])
    }

    /// Runs a script with more variables in its environment.
    pub(crate) fn run_with(&self, script: &str, words: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut command = Command::new(self.path("bin/bash"));
        command.arg(format!("scripts/{script}")).args(words).current_dir(&self.0).env_clear();
        command.env("PATH", self.path("bin")).env("TMPDIR", self.path("tmp")).env("HOME", &self.0);
        command.env("PLACE", &self.0).env("LC_ALL", "C").envs(variables.iter().copied());
        let Output { status, stdout, stderr } = command.output().expect("bash runs");
        let [out, errors] = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ran { code: status.code(), out, errors }
    }

    /// Returns the calls of programs so far, in order.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(str::to_owned).collect()
    }

    /// Returns how many calls have begun with these words so far.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.calls().iter().filter(|call| call.starts_with(start)).count()
    }
}
