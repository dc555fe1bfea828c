//! Compares the record with the goals.

use crate::goals::{Bound, Goal, Measure, PARTS};
use crate::report::short;
use crate::values::{Place, Values};

const PEERS: [&str; 3] = ["gpu-alloc", "VMA", "gpu-allocator"];

/// How a goal came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Met,
    /// As good as exploration, but not the goal.
    AsExplored,
    Missed,
    NotMeasured,
}

/// Prints every goal with freestone's figure and the peers'.
pub(crate) fn print() {
    let values = Values::load();
    let mut counts = [0; 4];
    for part in PARTS {
        println!("\n### {}\n", part.title);
        println!(
            "| goal | bound | freestone | | {} |\n|---|---|---|---|{}",
            PEERS.join(" | "),
            "---|".repeat(PEERS.len())
        );
        for goal in part.goals {
            let figure = figure(&values, goal);
            let verdict = judge(goal, figure);
            counts[verdict as usize] += 1;
            let cells = PEERS.map(|peer| peer_cell(&values, goal, peer));
            let own = figure.map_or("-".to_owned(), precise);
            println!("| {} | {} | **{own}** | {} | {} |", goal.what, bound(goal), name(verdict), cells.join(" | "));
        }
    }
    let [met, explored, missed, not_measured] = counts;
    println!(
        "\nOf {} goals {met} are met, {explored} are missed but as good as exploration was, {missed} are missed, \
         not measured here: {not_measured}.",
        counts.iter().sum::<usize>()
    );
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::AsExplored => "as explored",
        Verdict::Missed => "missed",
        Verdict::NotMeasured => "not measured",
    }
}

/// Returns freestone's figure; `None` where it was not measured.
fn figure(values: &Values, goal: &Goal) -> Option<f64> {
    match goal.measure {
        Measure::Figure(place) => values.get(place, goal.own),
        Measure::By(place, peer) => Some(values.get(place, goal.own)? / values.get(place, peer)?),
        Measure::Between(place, basis) => Some(values.get(place, goal.own)? / values.get(basis, goal.own)?),
        Measure::Across(place, theirs, peer) => Some(values.get(place, goal.own)? / values.get(theirs, peer)?),
    }
}

fn judge(goal: &Goal, figure: Option<f64>) -> Verdict {
    let Some(figure) = figure else {
        return Verdict::NotMeasured;
    };
    let within = |bound: f64| match goal.bound {
        Bound::AtMost(_) => figure <= bound,
        Bound::AtLeast(_) => figure >= bound,
    };
    let (Bound::AtMost(bound) | Bound::AtLeast(bound)) = goal.bound;
    match goal.reached {
        _ if within(bound) => Verdict::Met,
        Some(reached) if within(reached) => Verdict::AsExplored,
        _ => Verdict::Missed,
    }
}

fn bound(goal: &Goal) -> String {
    let (sign, bound) = match goal.bound {
        Bound::AtMost(bound) => ("<=", bound),
        Bound::AtLeast(bound) => (">=", bound),
    };
    let reached = goal.reached.map_or(String::new(), |reached| format!(" (explored: {})", precise(reached)));
    format!("{sign} {}{reached}", precise(bound))
}

/// Returns a peer's own figure at the place that the goal looks at.
fn peer_cell(values: &Values, goal: &Goal, peer: &str) -> String {
    let value = match goal.measure {
        // A part of a peer is named behind a comma.
        Measure::By(place, other) | Measure::Across(_, place, other) if other.split(',').next() == Some(peer) => {
            values.get(place, other).map(|value| format!("{} {}", short(value), unit(place.2)))
        }
        Measure::By(..) | Measure::Across(..) => None,
        Measure::Figure(place) => of_peer(values, place, peer).map(precise),
        Measure::Between(place, basis) => {
            let (value, basis) = (of_peer(values, place, peer), of_peer(values, basis, peer));
            value.zip(basis).map(|(value, basis)| precise(value / basis))
        }
    };
    value.unwrap_or_else(|| "-".to_owned())
}

/// Returns the unit of a metric whose name is none.
fn unit(metric: &str) -> &str {
    if metric == "rate" { "M pairs/s" } else { metric }
}

/// VMA's figures come from the one run in which it took part.
fn of_peer(values: &Values, place: Place<'_>, peer: &str) -> Option<f64> {
    let Place(section, case, metric) = place;
    if peer != "VMA" {
        return values.get(place, peer);
    }
    match (section, case) {
        ("workloads" | "instructions", _) => values.get(Place("lab", case, metric), peer),
        ("traces", "all") => values.get(Place("lab", "traces", metric), peer),
        // The same sizes, steadily replaced.
        ("scaling", "live-1000") => values.get(Place("lab", "b-1k", metric), peer),
        ("scaling", "live-100000") => values.get(Place("lab", "b-100k", metric), peer),
        _ => values.get(place, peer),
    }
}

/// Writes small numbers with three digits, large ones briefly.
fn precise(value: f64) -> String {
    if value.fract() == 0.0 || value >= 100.0 {
        short(value)
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else if value >= 0.1 {
        format!("{value:.3}")
    } else {
        format!("{value:.4}")
    }
}
