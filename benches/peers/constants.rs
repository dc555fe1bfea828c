//! Growth constants by leave-one-trace-out: what would have been chosen without each application, judged on that one.
//!
//! The other program is this one, built from a copy of the crate whose growth constants come from the environment
//! (`scripts/bench constants` makes it). A set of constants costs the sum of peak reserved by the sum of peak live
//! bytes, and 1 % of that for 20 driver calls, and what the worst application of 8 MiB and more has above 1.35; all
//! smoothed.

use std::process::Command;

use crate::values::note_all;

/// First block in KiB, multiple of the request, borders of the brackets in MiB.
type Constants = [u64; 5];

/// What the library has: only the first border, as its largest block is reached before the second.
const CHOSEN: Constants = [1024, 3, 16, 64, 256];
const FIRSTS: [u64; 3] = [512, 1024, 2048];
const MULTIPLES: [u64; 3] = [1, 2, 3];
const BORDERS: [[u64; 3]; 5] = [[4, 16, 64], [6, 24, 96], [10, 40, 160], [16, 64, 256], [32, 128, 512]];
const WORST_FROM: f64 = 8.0 * 1024.0 * 1024.0;

/// One application at one scale.
#[derive(Clone, Copy, Debug)]
struct Replay {
    trace: usize,
    scale: usize,
    reserved: f64,
    live: f64,
    calls: f64,
}

/// Sums over applications, the mean over scales.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    sum: f64,
    worst: f64,
    calls: f64,
}

impl Figures {
    fn of<'a>(replays: impl Iterator<Item = &'a Replay>, scales: usize) -> Self {
        let mut by_scale = vec![(0.0, 0.0, 0.0, 0.0_f64); scales];
        for replay in replays {
            let (reserved, live, calls, worst) = &mut by_scale[replay.scale];
            *reserved += replay.reserved;
            *live += replay.live;
            *calls += replay.calls;
            if replay.live >= WORST_FROM {
                *worst = worst.max(replay.reserved / replay.live);
            }
        }
        let mean = |of: fn(&(f64, f64, f64, f64)) -> f64| by_scale.iter().map(of).sum::<f64>() / scales as f64;
        Self { sum: mean(|scale| scale.0 / scale.1), worst: mean(|scale| scale.3), calls: mean(|scale| scale.2) }
    }

    /// What it costs, with so many of all applications counted.
    fn cost(&self, share: f64) -> f64 {
        self.sum + self.calls / share / 2000.0 + (self.worst - 1.35).max(0.0)
    }
}

/// Prints what the library's constants reach, and what constants reach on the application they were chosen without.
pub(crate) fn run(program: &str) {
    let sets: Vec<Constants> = FIRSTS
        .into_iter()
        .flat_map(|first| MULTIPLES.map(|multiple| (first, multiple)))
        .flat_map(|(first, multiple)| BORDERS.map(|[one, two, three]| [first, multiple, one, two, three]))
        .collect();
    let replays: Vec<Vec<Replay>> = sets.iter().map(|constants| replay(program, constants)).collect();
    let count = |of: fn(&Replay) -> usize| replays[0].iter().map(of).max().map_or(0, |most| most + 1);
    let (traces, scales) = (count(|replay| replay.trace), count(|replay| replay.scale));
    let share = (traces - 1) as f64 / traces as f64;
    let without =
        |index: usize, trace: usize| Figures::of(replays[index].iter().filter(|replay| replay.trace != trace), scales);
    let (mut left_out, mut choices) = (Vec::new(), vec![0; sets.len()]);
    for trace in 0..traces {
        let cost = |index: &usize| without(*index, trace).cost(share);
        let best = (0..sets.len()).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
        choices[best] += 1;
        left_out.extend(replays[best].iter().filter(|replay| replay.trace == trace).copied());
    }
    let left_out = Figures::of(left_out.iter(), scales);
    let at = |wanted: &Constants| sets.iter().position(|constants| constants == wanted).expect("it is one of the sets");
    let chosen = Figures::of(replays[at(&CHOSEN)].iter(), scales);
    let cost = |index: &usize| Figures::of(replays[*index].iter(), scales).cost(1.0);
    let best = (0..sets.len()).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(0);
    let best_figures = Figures::of(replays[best].iter(), scales);
    println!(
        "\n### Growth constants by leave-one-trace-out: {} sets of constants, {traces} applications, smoothed\n",
        sets.len()
    );
    println!("| | constants | sum reserved / live | worst | driver allocations |\n|---|---|---|---|---|");
    print_row("the library's", &words(&CHOSEN), &chosen);
    print_row("best of all sets on all applications", &words(&sets[best]), &best_figures);
    print_row("chosen on all others, judged on the one left out", "see below", &left_out);
    println!();
    for (constants, count) in sets.iter().zip(choices).filter(|(_, count)| *count > 0) {
        println!("* chosen for {count} of {traces}: {}", words(constants));
    }
    note("left out", &left_out);
    note("the library's", &chosen);
}

fn print_row(name: &str, constants: &str, figures: &Figures) {
    println!("| {name} | {constants} | {:.3} | {:.3} | {:.0} |", figures.sum, figures.worst, figures.calls);
}

fn note(case: &str, figures: &Figures) {
    let figures = [("sum", figures.sum), ("worst", figures.worst), ("driver allocations", figures.calls)];
    note_all("growth constants", case, "freestone", &figures);
}

fn words([first, multiple, one, two, three]: &Constants) -> String {
    format!("first {first} KiB, {multiple} x the request, borders at {one}, {two}, {three} MiB")
}

/// Asks the other program for every application at every scale, by `--replays`.
fn replay(program: &str, constants: &Constants) -> Vec<Replay> {
    let given = constants.map(|number| number.to_string()).join(",");
    let output = Command::new(program).arg("--replays").env("FREESTONE_GROWTH", given).output();
    let output = output.expect("the other program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let rows = text.lines().map(|line| {
        let numbers: Vec<f64> = line.split(',').filter_map(|number| number.parse().ok()).collect();
        let [trace, scale, reserved, live, calls] = numbers[..] else { panic!("five numbers, not {line:?}") };
        Replay { trace: trace as usize, scale: scale as usize, reserved, live, calls }
    });
    rows.collect()
}
