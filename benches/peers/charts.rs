//! Which charts there are, drawn from the record.

use crate::chart::{Chart, Form, Scale, Series};
use crate::values::{Place, Values, file};

const PEERS: [&str; 4] = ["freestone", "gpu-alloc", "VMA", "gpu-allocator"];
const WORKLOADS: [&str; 11] =
    ["a", "a1", "b-1k", "b-10k", "b-100k", "b16-1k", "b16-10k", "c", "d", "e-large", "e-small"];

/// Writes every chart into `benches/charts`, and prints where they are.
pub(crate) fn write() {
    let values = Values::load();
    let charts = [
        ("time", time(&values)),
        ("waste", waste(&values)),
        ("traces", traces(&values)),
        ("threads", threads(&values)),
        ("growth", growth(&values)),
        ("churn", churn(&values)),
    ];
    std::fs::create_dir_all(file("charts")).expect("the folder of the benches can be written");
    for (name, chart) in charts {
        let path = file("charts").join(format!("{name}.svg"));
        if chart.series.is_empty() {
            println!("No chart of \"{}\": its figures could not be measured.\n", chart.title);
            continue;
        }
        std::fs::write(path, chart.svg()).expect("the folder of the charts can be written");
        println!("![{}](charts/{name}.svg)\n", chart.title);
    }
}

/// Returns one series for each peer that has a value.
fn series(peers: &[&str], positions: usize, value: impl Fn(&str, usize) -> Option<f64>) -> Vec<Series> {
    let all = peers.iter().map(|peer| Series {
        name: (*peer).to_owned(),
        values: (0..positions).map(|index| value(peer, index).unwrap_or(f64::NAN)).collect(),
    });
    all.filter(|series| series.values.iter().any(|value| value.is_finite())).collect()
}

fn strings(positions: &[&str]) -> Vec<String> {
    positions.iter().map(|position| (*position).to_owned()).collect()
}

fn time(values: &Values) -> Chart {
    // One run: the only one in which VMA ran too.
    let ns = |peer: &str, index: usize| values.get(Place("lab", WORKLOADS[index], "ns"), peer);
    Chart {
        title: "Time of one allocate and one free".into(),
        across: "workload (the run of vma.csv, the only one in which VMA ran too)".into(),
        positions: strings(&WORKLOADS),
        up: "nanoseconds, logarithmic".into(),
        scale: Scale::Logarithmic,
        form: Form::Bars,
        mark: None,
        highest: f64::INFINITY,
        series: series(&PEERS, WORKLOADS.len(), ns),
    }
}

fn waste(values: &Values) -> Chart {
    let workloads: Vec<&str> = WORKLOADS.into_iter().filter(|workload| *workload != "a1").collect();
    let peak = |peer: &str, index: usize| {
        let section = if peer == "VMA" { "lab" } else { "workloads" };
        values.get(Place(section, workloads[index], "peak"), peer)
    };
    Chart {
        title: "Peak reserved by peak live bytes".into(),
        across: "workload (see the tables)".into(),
        positions: strings(&workloads),
        up: "reserved / live".into(),
        scale: Scale::Linear,
        form: Form::Bars,
        mark: Some(1.0),
        highest: 2.5,
        series: series(&PEERS, workloads.len(), peak),
    }
}

/// The applications of 8 MiB and more: in a smaller one every block is many times what is alive.
const TRACES: [(&str, &str); 13] = [
    ("bevy-alien-cake-addict", "Bevy, game"),
    ("bevy-lighting", "Bevy, lighting"),
    ("bevy-ssao-resize", "Bevy, resizing"),
    ("chromium-tour", "Chromium"),
    ("datoviz-figures", "Datoviz"),
    ("gource-zink", "Gource, zink"),
    ("mpv-gpunext", "mpv"),
    ("openarena-zink", "OpenArena, zink"),
    ("pygfx-feature-demo", "pygfx"),
    ("qtquick3d-scene", "Qt Quick 3D"),
    ("supertuxkart-vulkan", "SuperTuxKart"),
    ("taichi-sims", "Taichi"),
    ("threejs-webgpu-dawn", "three.js, Dawn"),
];

fn traces(values: &Values) -> Chart {
    let peak = |peer: &str, index: usize| values.get(Place("traces", TRACES[index].0, "peak"), peer);
    Chart {
        title: "Recorded applications: peak reserved by peak live bytes".into(),
        across: String::new(),
        positions: strings(&TRACES.map(|(_, label)| label)),
        up: "reserved / live".into(),
        scale: Scale::Linear,
        form: Form::Bars,
        mark: Some(1.0),
        highest: 5.0,
        series: series(&["freestone", "gpu-alloc", "gpu-allocator"], TRACES.len(), peak),
    }
}

fn threads(values: &Values) -> Chart {
    let most = [1, 2, 4, 8, 16].into_iter();
    let rate = |peer: &str, threads: usize| values.get(Place("threads", &format!("one type {threads}"), "rate"), peer);
    let counts: Vec<usize> = most.filter(|count| rate("freestone", *count).is_some()).collect();
    let value = |peer: &str, index: usize| rate(peer, counts[index]);
    Chart {
        title: "Threads on one allocator, one memory type, 256 B to 1 MiB".into(),
        across: "threads (VMA: in another run)".into(),
        positions: counts.iter().map(ToString::to_string).collect(),
        up: "million pairs a second".into(),
        scale: Scale::Linear,
        form: Form::Bars,
        mark: None,
        highest: f64::INFINITY,
        series: series(&PEERS, counts.len(), value),
    }
}

fn growth(values: &Values) -> Chart {
    let counts = [
        (10, "10"),
        (100, "100"),
        (1000, "1,000"),
        (10_000, "10,000"),
        (100_000, "100,000"),
        (1_000_000, "1 million"),
        (10_000_000, "10 million"),
    ];
    let at = |peer: &str, count: u32| values.get(Place("scaling", &format!("live-{count}"), "ns"), peer);
    let counts: Vec<(u32, &str)> = counts.into_iter().filter(|(count, _)| at("freestone", *count).is_some()).collect();
    let ns = |peer: &str, index: usize| at(peer, counts[index].0);
    Chart {
        title: "Growth of cost with what is alive".into(),
        across: "live allocations".into(),
        positions: counts.iter().map(|(_, label)| (*label).to_owned()).collect(),
        up: "nanoseconds a pair, logarithmic".into(),
        scale: Scale::Logarithmic,
        form: Form::Lines,
        mark: None,
        highest: f64::INFINITY,
        series: series(&["freestone", "gpu-alloc", "gpu-allocator"], counts.len(), ns),
    }
}

fn churn(values: &Values) -> Chart {
    let hours: Vec<String> = (0..=24).step_by(2).map(|hour| format!("{hour:02}")).collect();
    let ratio = |peer: &str, index: usize| values.get(Place("churn", "hours", &hours[index]), peer);
    Chart {
        title: "A day of churn: reserved by live bytes".into(),
        across: "hours at 60 frames a second, two operations a frame".into(),
        positions: (0..=24).step_by(2).map(|hour: u32| hour.to_string()).collect(),
        up: "reserved / live".into(),
        scale: Scale::Linear,
        form: Form::Lines,
        mark: Some(1.0),
        highest: f64::INFINITY,
        series: series(&["freestone", "gpu-alloc"], hours.len(), ratio),
    }
}
