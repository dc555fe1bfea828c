//! Replays on a target of plain counters.

use std::collections::BTreeSet;

use super::{Created, Outcome, Prepared, Progress, Resource, Target, Trace, replay};
use freestone::trace::Class;

/// Hands out numbers; every third creation falls back, and calls of the driver can be made to happen or to fail.
#[derive(Debug, Default)]
struct Counting {
    made: u64,
    live: BTreeSet<u64>,
    calls: u64,
    refuse_after: Option<u64>,
    keeps: Option<u64>,
}

impl Target for Counting {
    type Order = (Class, u64);
    type Handle = u64;

    fn prepare(&mut self, resource: &Resource) -> Result<Prepared<Self::Order>, String> {
        let fallback = (self.made + 1).is_multiple_of(3).then(|| "every third".into());
        Ok(Prepared { order: (resource.class, resource.size), fallback })
    }

    fn create(&mut self, (class, bytes): Self::Order) -> Result<Created<u64>, String> {
        if self.refuse_after == Some(self.made) {
            return Err("out of memory".into());
        }
        self.made += 1;
        self.live.insert(self.made);
        self.calls += u64::from(class == Class::Readback);
        Ok(Created { handle: self.made, bytes })
    }

    fn destroy(&mut self, handle: u64) -> Result<(), String> {
        if self.keeps == Some(handle) {
            return Err("it is kept".into());
        }
        if self.live.remove(&handle) { Ok(()) } else { Err("unknown".into()) }
    }

    fn driver_calls(&self) -> u64 {
        self.calls
    }
}

fn trace(text: &str) -> Trace {
    Trace::read_from(text.as_bytes(), "some.csv").expect("a good trace")
}

fn run(trace: &Trace, target: &mut Counting) -> Outcome {
    replay(trace, target, Progress::hidden()).expect("nothing refused")
}

const SMALL: &str = "# freestone-trace 1
0,0,0,alloc,0,buffer,100,64,f,device,none,82,
0,0,0,alloc,1,buffer,50,64,f,readback,none,82,
0,0,0,free,0
0,0,0,alloc,7,buffer,60,64,f,upload,none,82,
";

#[test]
fn the_books_of_a_small_trace() {
    let mut target = Counting::default();
    let outcome = run(&trace(SMALL), &mut target);
    assert_eq!((outcome.allocations, outcome.frees), (3, 3));
    assert_eq!((outcome.created, outcome.fell_back), (2, 1));
    assert_eq!(outcome.fallbacks.into_iter().collect::<Vec<_>>(), [("every third".to_owned(), 1)]);
    assert_eq!(outcome.peak_live_bytes, 150);
    assert_eq!((outcome.allocate.driver_ops(), outcome.free.driver_ops()), (1, 0));
    assert!(target.live.is_empty());
}

#[test]
fn a_refusal_names_its_place_and_leaves_nothing_alive() {
    let mut target = Counting { refuse_after: Some(2), ..Counting::default() };
    let error = replay(&trace(SMALL), &mut target, Progress::hidden()).expect_err("refused");
    assert_eq!(error.to_string(), "some.csv:5: buffer of id 7 failed: out of memory");
    assert!(target.live.is_empty());
}

#[test]
fn a_free_that_is_refused_at_the_end_is_no_failed_allocation() {
    let mut target = Counting { keeps: Some(3), ..Counting::default() };
    let error = replay(&trace(SMALL), &mut target, Progress::hidden()).expect_err("refused");
    assert_eq!(error.to_string(), "some.csv:5: final free of id 7 failed: it is kept");
}

#[test]
fn live_bytes_of_a_recorded_trace_are_what_the_recorder_counted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traces/openarena-zink.csv.zst");
    let trace = Trace::read(file).expect("a good trace");
    let counted = freestone::trace::Statistics::beside(file.as_ref()).expect("readable").expect("there");
    let outcome = run(&trace, &mut Counting::default());
    assert_eq!((outcome.allocations, outcome.frees), (counted.allocs, counted.allocs));
    assert_eq!(outcome.peak_live_bytes, counted.peak_live_bytes);
}
