//! *Policy*: what freestone is measured by. Plain data; `verdicts` compares it with the record.
//!
//! A figure is a place in the record; a goal bounds freestone's own figure there, or its ratio to another one. Where
//! two bounds stand, the first is the goal and the second what exploration had reached before the library was written.

use crate::values::Place;

/// Which figure a goal bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measure {
    /// The figure itself.
    Figure(Place<'static>),
    /// The figure by another peer's of the same place.
    By(Place<'static>, &'static str),
    /// The figure by freestone's own at another place.
    Between(Place<'static>, Place<'static>),
    /// The figure by another peer's at another place: of another run.
    Across(Place<'static>, Place<'static>, &'static str),
}

/// On which side of the bound it must be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// One goal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    /// Whose figure: freestone's, or that of one of its pools or suballocators.
    pub(crate) own: &'static str,
    pub(crate) measure: Measure,
    pub(crate) bound: Bound,
    /// What exploration reached, where that is less than the goal.
    pub(crate) reached: Option<f64>,
}

/// Goals that belong together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) title: &'static str,
    pub(crate) goals: &'static [Goal],
}

const OWN: &str = "freestone";
const POOL: &str = "freestone, linear pool";
const RING: &str = crate::ring::NAME;
const SLABS: &str = "freestone TLSF, slabs";

const fn at_most(what: &'static str, measure: Measure, bound: f64) -> Goal {
    Goal { what, own: OWN, measure, bound: Bound::AtMost(bound), reached: None }
}

const fn at_least(what: &'static str, measure: Measure, bound: f64) -> Goal {
    Goal { what, own: OWN, measure, bound: Bound::AtLeast(bound), reached: None }
}

impl Goal {
    const fn of(self, own: &'static str) -> Self {
        Self { own, ..self }
    }

    const fn reached(self, reached: f64) -> Self {
        Self { reached: Some(reached), ..self }
    }
}

const fn workload(case: &'static str, metric: &'static str) -> Measure {
    Measure::Figure(Place("workloads", case, metric))
}

const fn instructions(case: &'static str) -> Measure {
    Measure::Figure(Place("instructions", case, "instr"))
}

const fn time_by(case: &'static str, peer: &'static str) -> Measure {
    Measure::By(Place("workloads", case, "ns"), peer)
}

/// In the one run in which VMA ran beside.
const fn time_by_vma(case: &'static str) -> Measure {
    Measure::By(Place("lab", case, "ns"), "VMA")
}

/// Of two runs: this record's, and the one in which VMA ran.
const fn time_across(case: &'static str, peer: &'static str) -> Measure {
    Measure::Across(Place("workloads", case, "ns"), Place("lab", case, "ns"), peer)
}

const VMA_RING: &str = "VMA, ring pool";
const GPU_ALLOC: &str = "gpu-alloc";
const GPU_ALLOCATOR: &str = "gpu-allocator";

const ONE_THREAD: &[Goal] = &[
    at_most("a: instructions", instructions("a"), 120.0).reached(225.0),
    at_most("a: time by gpu-alloc's", time_by("a", GPU_ALLOC), 0.5).reached(0.65),
    at_most("a: time by VMA's", time_by_vma("a"), 1.0 / 14.0),
    at_most("a: time by gpu-allocator's", time_by("a", GPU_ALLOCATOR), 1.0 / 12.0),
    at_most("a: peak reserved / live", workload("a", "peak"), 1.30),
    at_most("a1: instructions", instructions("a1"), 150.0),
    at_most("a1: time by gpu-alloc's", time_by("a1", GPU_ALLOC), 1.0 / 6.0),
    at_most("a1: time by VMA's", time_by_vma("a1"), 1.0 / 9.0),
    at_most("a1: time by gpu-allocator's", time_by("a1", GPU_ALLOCATOR), 0.1),
    at_most("a1: driver allocations in all", workload("a1", "driver allocations"), 1.0),
    at_most("b, 1k: instructions", instructions("b-1k"), 250.0).reached(305.0),
    at_most("b, 1k: time by gpu-alloc's", time_by("b-1k", GPU_ALLOC), 0.95).reached(1.2),
    at_most("b, 1k: time by VMA's", time_by_vma("b-1k"), 1.0 / 7.0),
    at_most("b, 1k: time by gpu-allocator's", time_by("b-1k", GPU_ALLOCATOR), 1.0 / 200.0),
    at_most("b, 1k: peak reserved / live", workload("b-1k", "peak"), 1.35),
    at_most("b, 10k: instructions", instructions("b-10k"), 250.0).reached(305.0),
    at_most("b, 10k: time by gpu-alloc's", time_by("b-10k", GPU_ALLOC), 0.8).reached(1.0),
    at_most("b, 10k: time by VMA's", time_by_vma("b-10k"), 0.1),
    at_most("b, 10k: time by gpu-allocator's", time_by("b-10k", GPU_ALLOCATOR), 1.0 / 500.0),
    at_most("b, 10k: peak reserved / live", workload("b-10k", "peak"), 1.12),
    at_most("b, 100k: instructions", instructions("b-100k"), 260.0).reached(305.0),
    at_most("b, 100k: time by gpu-alloc's", time_by("b-100k", GPU_ALLOC), 0.7),
    at_most("b, 100k: time by VMA's", time_by_vma("b-100k"), 1.0 / 12.0),
    at_most("b, 100k: time by gpu-allocator's", time_by("b-100k", GPU_ALLOCATOR), 1.0 / 300.0),
    at_most("b, 100k: peak reserved / live", workload("b-100k", "peak"), 1.06),
    at_most("b16, 1k: instructions", instructions("b16-1k"), 260.0),
    at_most("b16, 1k: time by gpu-alloc's", time_by("b16-1k", GPU_ALLOC), 0.95),
    at_most("b16, 1k: time by VMA's", time_by_vma("b16-1k"), 0.1),
    at_most("b16, 1k: time by gpu-allocator's", time_by("b16-1k", GPU_ALLOCATOR), 1.0 / 160.0),
    at_most("b16, 1k: peak reserved / live", workload("b16-1k", "peak"), 1.20),
    at_most("b16, 10k: instructions", instructions("b16-10k"), 260.0),
    at_most("b16, 10k: time by gpu-alloc's", time_by("b16-10k", GPU_ALLOC), 0.9),
    at_most("b16, 10k: time by VMA's", time_by_vma("b16-10k"), 1.0 / 27.0),
    at_most("b16, 10k: time by gpu-allocator's", time_by("b16-10k", GPU_ALLOCATOR), 1.0 / 400.0),
    at_most("b16, 10k: peak reserved / live", workload("b16-10k", "peak"), 1.08),
];

const FRAMES_AND_LEVELS: &[Goal] = &[
    at_most("c: instructions", instructions("c"), 260.0),
    at_most("c: time by gpu-alloc's", time_by("c", GPU_ALLOC), 0.85),
    at_most("c: time by VMA's", time_by_vma("c"), 1.0 / 9.0),
    at_most("c: time by gpu-allocator's", time_by("c", GPU_ALLOCATOR), 1.0 / 17.0),
    at_most("c: peak reserved / live", workload("c", "peak"), 1.25),
    at_most("c, frame ring: instructions", instructions("c"), 40.0).of(RING),
    at_most("c, frame ring: time by that of VMA's ring pool (two runs)", time_across("c", VMA_RING), 1.0 / 17.0)
        .of(RING),
    at_most("c, frame ring: peak reserved / live", workload("c", "peak"), 1.25).of(RING),
    at_most("c, linear pool: instructions", instructions("c"), 40.0).of(POOL),
    at_most("c, linear pool: time by that of VMA's ring pool (two runs)", time_across("c", VMA_RING), 1.0 / 17.0)
        .of(POOL),
    at_most("c, linear pool: peak reserved / live", workload("c", "peak"), 1.25).of(POOL),
    at_most("d: instructions", instructions("d"), 280.0),
    at_most("d: time by gpu-alloc's", time_by("d", GPU_ALLOC), 0.8).reached(1.1),
    at_most("d: time by VMA's", time_by_vma("d"), 1.0 / 25.0),
    at_most("d: time by gpu-allocator's", time_by("d", GPU_ALLOCATOR), 1.0 / 300.0),
    at_most("d: mean reserved / live", workload("d", "mean"), 1.10),
    at_most("e, large: p99 of allocate without a driver call, ns", workload("e-large", "allocate p99"), 100.0),
    at_most("e, small: p99 of allocate without a driver call, ns", workload("e-small", "allocate p99"), 100.0),
    at_most("e, large: time by gpu-alloc's", time_by("e-large", GPU_ALLOC), 1.0),
    at_most("e, large: time by VMA's", time_by_vma("e-large"), 0.01),
    at_most("e, large: time by gpu-allocator's", time_by("e-large", GPU_ALLOCATOR), 0.01),
    at_most("e, small: time by gpu-alloc's", time_by("e-small", GPU_ALLOC), 1.0),
    at_most("e, small: time by VMA's", time_by_vma("e-small"), 0.01),
    at_most("e, small: time by gpu-allocator's", time_by("e-small", GPU_ALLOCATOR), 0.01),
    at_most("e, large: peak reserved / live", workload("e-large", "peak"), 1.15),
    at_most("e, small: peak reserved / live", workload("e-small", "peak"), 1.15),
    at_most("g, to 1 MiB: instructions", instructions("g-1M"), 220.0).of(SLABS),
    at_most("g, to 64 KiB: instructions", instructions("g-64K"), 60.0).of(SLABS),
    at_most("g, to 1 MiB: time by VMA's virtual block", time_by_vma("g-1M"), 0.42).of(SLABS),
    at_most("g, to 1 MiB: time by offset-allocator's", time_by("g-1M", "offset-allocator"), 0.78).of(SLABS),
    at_least("g: filled at the first refusal after churn", workload("g-fill", "after churn"), 0.91).of(SLABS),
];

const fn live(count: &'static str, metric: &'static str) -> Place<'static> {
    Place("scaling", count, metric)
}

const GROWTH_AND_TAILS: &[Goal] = &[
    at_most(
        "instructions, 100k live by 1k",
        Measure::Between(live("live-100000", "instr"), live("live-1000", "instr")),
        1.1,
    ),
    at_most("time, 100k live by 1k", Measure::Between(live("live-100000", "ns"), live("live-1000", "ns")), 3.0),
    at_most("time, 1,000 nearly full blocks by one", Measure::Figure(live("blocks-1000", "by one block")), 1.2),
    at_most("a: p99.9 of allocate, ns", workload("a", "allocate p99.9"), 150.0),
    at_most("a: p99.9 of free, ns", workload("a", "free p99.9"), 150.0),
    at_most("b, 1k: p99.9 of allocate, ns", workload("b-1k", "allocate p99.9"), 150.0),
    at_most("b, 1k: p99.9 of free, ns", workload("b-1k", "free p99.9"), 150.0),
    at_most("b, 10k: p99.9 of allocate, ns", workload("b-10k", "allocate p99.9"), 150.0),
    at_most("b, 10k: p99.9 of free, ns", workload("b-10k", "free p99.9"), 150.0),
    at_most("b, 100k: p99.9 of allocate, ns", workload("b-100k", "allocate p99.9"), 600.0),
    at_most("b, 100k: p99.9 of free, ns", workload("b-100k", "free p99.9"), 600.0),
    at_most("opening a block, p99 beside the driver, ns", Measure::Figure(Place("opening", "2 MiB", "p99")), 5000.0),
    at_most("a: host bytes per live allocation", workload("a", "host bytes"), 48.0),
    at_most("b, 1k: host bytes per live allocation", workload("b-1k", "host bytes"), 48.0),
    at_most("b, 10k: host bytes per live allocation", workload("b-10k", "host bytes"), 48.0),
    at_most("b, 100k: host bytes per live allocation", workload("b-100k", "host bytes"), 48.0),
    at_most("bytes of the handle", workload("b-1k", "handle"), 48.0),
    at_most("b, 10k: heap calls in a pair", workload("b-10k", "heap calls"), 0.001),
    at_most("b16, 10k, 90 % freed: reserved / live", workload("b16-10k", "sparse"), 6.3),
    at_most("b, 10k, 90 % freed: reserved / live", workload("b-10k", "sparse"), 13.0),
    at_most("b, 100k: driver objects", workload("b-100k", "objects"), 213.0),
];

const fn threads(case: &'static str, metric: &'static str) -> Place<'static> {
    Place("threads", case, metric)
}

const THREADS: &[Goal] = &[
    at_least("2 threads by one, one memory type", Measure::Figure(threads("one type 2", "scale")), 1.7),
    at_least(
        "4 threads by 2, one memory type",
        Measure::Between(threads("one type 4", "rate"), threads("one type 2", "rate")),
        1.0,
    ),
    at_least("16 threads by one, one memory type (16 cores)", Measure::Figure(threads("one type 16", "scale")), 10.0),
    at_most("b, 1k: shared handle by a lock that does nothing, instructions", unshared("b-1k", "instr"), 1.15),
    at_most("b, 1k: shared handle by a lock that does nothing, time", unshared("b-1k", "ns"), 1.15),
    at_most("a: shared handle by a lock that does nothing, time", unshared("a", "ns"), 1.15),
    at_most("c: shared handle by a lock that does nothing, time", unshared("c", "ns"), 1.15),
    at_most("extra reserved bytes at 2 threads", Measure::Figure(threads("one type 2", "extra")), 0.20),
    at_least(
        "freed on another thread, rate by gpu-alloc's",
        Measure::By(threads("hand-over 2", "rate"), GPU_ALLOC),
        3.0,
    ),
];

const fn unshared(workload: &'static str, metric: &'static str) -> Measure {
    Measure::Figure(Place("unshared", workload, metric))
}

const fn behaviour(case: &'static str, metric: &'static str) -> Measure {
    Measure::Figure(Place("behaviour", case, metric))
}

const BEHAVIOUR: &[Goal] = &[
    at_most("W1: p99 of B while A waits 20 ms, us", behaviour("W1", "p99 of allocate and free in us"), 5.0),
    at_most("W2: peak reserved / budget", behaviour("W2", "peak reserved / budget"), 1.0),
    at_most("W3: driver objects for 5,000 small resources", behaviour("W3", "driver objects"), 64.0),
    at_most(
        "W3: MiB over the budget before another type",
        behaviour("W3", "MiB over the budget before another type"),
        0.0,
    ),
    at_most("W4: budget queries on the path", behaviour("W4", "budget queries"), 0.0),
    at_most("W5: 1,000 nearly full blocks by one", Measure::Figure(live("blocks-1000", "by one block")), 1.2),
    at_most("W6: failed driver calls at a full BAR heap", behaviour("W6", "driver calls that failed"), 0.0),
    at_least("W7: of 1,024 served, objects above 32 MiB refused", behaviour("W7", "served"), 1024.0),
    at_most("W8: host bytes per page", behaviour("W8", "host bytes per page"), 0.004),
    at_most(
        "W9: driver calls a frame, worst of 16 cases",
        Measure::Figure(Place("boundary", "worst", "calls per frame")),
        0.0,
    ),
];

const fn traces(metric: &'static str) -> Place<'static> {
    Place("traces", "all", metric)
}

const APPLICATIONS: &[Goal] = &[
    at_most("sum of peak reserved / sum of peak live", Measure::Figure(traces("sum")), 1.15),
    at_most("the same, smoothed", Measure::Figure(traces("sum smoothed")), 1.15).reached(1.157),
    at_most("worst of 8 MiB and more", Measure::Figure(traces("worst")), 1.35),
    at_most("the same, smoothed", Measure::Figure(traces("worst smoothed")), 1.35).reached(1.364),
    at_most("driver allocations", Measure::Figure(traces("driver allocations")), 250.0),
    at_most("the same, smoothed", Measure::Figure(traces("driver allocations smoothed")), 250.0),
    at_most("time by gpu-alloc's", Measure::By(traces("ns"), GPU_ALLOC), 1.0),
    at_most("MiB left after trim", Measure::Figure(traces("left after trim")), 0.0),
    at_most("sum, judged on the trace left out", Measure::Figure(Place("growth constants", "left out", "sum")), 1.17),
    at_most(
        "worst, judged on the trace left out",
        Measure::Figure(Place("growth constants", "left out", "worst")),
        1.40,
    ),
    at_most(
        "driver allocations, the same",
        Measure::Figure(Place("growth constants", "left out", "driver allocations")),
        280.0,
    ),
];

/// Every goal.
pub(crate) const PARTS: [Part; 6] = [
    Part { title: "One thread: steady replacement", goals: ONE_THREAD },
    Part { title: "One thread: frames, levels, holes, bare ranges", goals: FRAMES_AND_LEVELS },
    Part { title: "Growth, tails, host memory, objects", goals: GROWTH_AND_TAILS },
    Part { title: "Threads", goals: THREADS },
    Part { title: "Behaviour towards the driver", goals: BEHAVIOUR },
    Part { title: "Recorded applications", goals: APPLICATIONS },
];
