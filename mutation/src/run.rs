//! Runs the tests: once each to see what it reaches, then for every mutant those that reach it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::build::Built;
use crate::mutant::Mutants;
use crate::score::Outcome;

/// So many tests run first; each step after it has four times as many. A program is not stopped by its first failure.
const FIRST: usize = 12;
/// Tests that take longer run last, each alone.
const LONG: Duration = Duration::from_millis(200);
/// A changed program that takes so much of the processor is thought to run for ever.
const CPU_SECONDS: u64 = 20;
/// One that waits so long, too: the longest test takes a fifth.
const PATIENCE: Duration = Duration::from_secs(40);
const MEMORY_BYTES: u64 = 8 << 30;

/// A test of one of the programs.
#[derive(Debug)]
struct Test {
    program: usize,
    name: String,
    time: Duration,
}

/// The tests, and for every mutant those that reach it, the quickest first.
pub struct Tests<'a> {
    built: &'a Built,
    folder: &'a Path,
    tests: Vec<Test>,
    reaching: BTreeMap<u32, Vec<usize>>,
    /// How many mutants of a file a test has killed so far.
    kills: Mutex<BTreeMap<(String, usize), u32>>,
}

impl<'a> Tests<'a> {
    /// Runs every test alone, with nothing changed. One that fails then is left out.
    pub fn record(built: &'a Built, folder: &'a Path) -> Self {
        let notes = folder.join("target/reached");
        let _ = fs::remove_dir_all(&notes);
        fs::create_dir_all(&notes).expect("the folder can be made");
        let listed = built.programs.iter().enumerate();
        let names: Vec<_> =
            listed.flat_map(|(program, (_, path))| list(path).map(move |name| (program, name))).collect();
        let recorded = Mutex::new(Vec::new());
        in_parallel(names.len(), |index| {
            let (program, name) = &names[index];
            let notes = notes.join(index.to_string());
            let begun = Instant::now();
            let mut command = command(&built.programs[*program].1, folder, &[name]);
            if wait(command.env("MUTANTS_REACHED", &notes)) == Some(true) {
                let test = Test { program: *program, name: name.clone(), time: begun.elapsed() };
                recorded.lock().expect("nobody panics here").push((test, reached(&notes)));
            } else {
                eprintln!("left out, as it fails where nothing is changed: {} {name}", built.programs[*program].0);
            }
        });
        let mut recorded = recorded.into_inner().expect("nobody panics here");
        recorded.sort_by_key(|(test, _)| test.time);
        let mut reaching = BTreeMap::<u32, Vec<usize>>::new();
        for (index, (_, numbers)) in recorded.iter().enumerate() {
            numbers.iter().for_each(|number| reaching.entry(*number).or_default().push(index));
        }
        let tests = recorded.into_iter().map(|(test, _)| test).collect();
        Self { built, folder, tests, reaching, kills: Mutex::default() }
    }

    pub fn len(&self) -> usize {
        self.tests.len()
    }

    /// Tries mutants; `done` hears of each.
    pub fn try_all(&self, numbers: &[u32], mutants: &Mutants, done: impl Fn(u32, Outcome) + Sync) {
        in_parallel(numbers.len(), |index| {
            let number = numbers[index];
            done(number, self.attempt(number, &mutants.get(number).file));
        });
    }

    fn attempt(&self, number: u32, file: &str) -> Outcome {
        let Some(reaching) = self.reaching.get(&number) else { return Outcome::Unreached };
        for (program, tests) in self.steps(&self.ordered(reaching, file)) {
            match self.run(number, file, program, &tests) {
                Some(true) => {}
                Some(false) => return Outcome::Killed,
                None => return Outcome::TimedOut,
            }
        }
        Outcome::Survived
    }

    /// Orders tests: first those that have killed most of a file, by the time they take, then the quickest.
    fn ordered(&self, tests: &[usize], file: &str) -> Vec<usize> {
        let kills = self.kills.lock().expect("nobody panics here");
        let worth = |test: usize| {
            let count = kills.get(&(file.to_owned(), test)).copied().unwrap_or(0);
            f64::from(count) / (self.tests[test].time.as_secs_f64() + 0.02)
        };
        let mut by_worth: Vec<_> = tests.iter().map(|test| (worth(*test), *test)).collect();
        by_worth.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        by_worth.into_iter().map(|(_, test)| test).collect()
    }

    /// Divides tests into what one program runs at a time.
    fn steps(&self, tests: &[usize]) -> Vec<(usize, Vec<usize>)> {
        let (long, mut short): (Vec<usize>, Vec<usize>) = tests.iter().partition(|test| self.tests[**test].time > LONG);
        let mut steps = Vec::new();
        let mut count = FIRST;
        while !short.is_empty() {
            let rest = short.split_off(count.min(short.len()));
            let mut by_program = BTreeMap::<usize, Vec<usize>>::new();
            short.into_iter().for_each(|test| by_program.entry(self.tests[test].program).or_default().push(test));
            steps.extend(by_program);
            (short, count) = (rest, 4 * count);
        }
        steps.extend(long.into_iter().map(|test| (self.tests[test].program, vec![test])));
        steps
    }

    /// Runs tests of one program with a mutant; tells whether all passed, or nothing where they do not end.
    fn run(&self, number: u32, file: &str, program: usize, tests: &[usize]) -> Option<bool> {
        let names: Vec<&str> = tests.iter().map(|test| self.tests[*test].name.as_str()).collect();
        let mut command = command(&self.built.programs[program].1, self.folder, &names);
        let printed = self.folder.join(format!("target/reached/printed-{number}"));
        command.env("MUTANT", number.to_string()).stdout(fs::File::create(&printed).expect("a file can be made"));
        let passed = wait(&mut command);
        if passed == Some(false) {
            self.learn(file, program, &fs::read_to_string(&printed).unwrap_or_default());
        }
        let _ = fs::remove_file(&printed);
        passed
    }

    /// Learns from what a program printed which of its tests kill mutants of a file.
    fn learn(&self, file: &str, program: usize, printed: &str) {
        let failed = printed.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let mut kills = self.kills.lock().expect("nobody panics here");
        for name in failed {
            let found = self.tests.iter().position(|test| test.program == program && test.name == name);
            found.into_iter().for_each(|test| *kills.entry((file.to_owned(), test)).or_default() += 1);
        }
    }
}

fn list(program: &Path) -> impl Iterator<Item = String> + use<> {
    let output = Command::new(program).args(["--list", "--format=terse"]).output().expect("a program of tests runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    names.into_iter()
}

fn command(program: &Path, folder: &Path, names: &[impl AsRef<str>]) -> Command {
    let mut command = Command::new("prlimit");
    command.args([format!("--cpu={CPU_SECONDS}"), format!("--as={MEMORY_BYTES}")]).arg(program);
    command.args(["--exact", "--test-threads=1"]).args(names.iter().map(AsRef::as_ref));
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
    // The same programs each time; what fails is not made smaller, nor kept for the next mutant.
    command.env("PROPTEST_RNG_SEED", "20261123").env("PROPTEST_MAX_SHRINK_ITERS", "0");
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// Waits for a program and tells whether it succeeded; nothing where it does not end.
fn wait(command: &mut Command) -> Option<bool> {
    let mut child = command.spawn().expect("a program of tests runs");
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().expect("a child of this process") {
            return Some(status.success());
        }
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Reads which mutants a test comes to.
fn reached(notes: &Path) -> Vec<u32> {
    let text = fs::read_to_string(notes).unwrap_or_default();
    let places = text.lines().filter_map(|line| line.split_once(' '));
    let places = places.filter_map(|(first, last)| Some(first.parse::<u32>().ok()?..=last.parse().ok()?));
    let mut numbers: Vec<u32> = places.flatten().collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// Does work by number on twice as many threads as there are processors: some tests wait, and some for ever.
fn in_parallel(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from) * 2;
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < count) {
                    work(index);
                }
            });
        }
    });
}
