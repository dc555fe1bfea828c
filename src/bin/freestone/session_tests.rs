//! What is counted at the function table agrees with what the allocator says of itself, on every simulated profile.

use super::{Made, SizeChoice, Stage, Trace, make, time};
use crate::stage::Faults;
use freestone::sim::Profile;

fn recorded(name: &str) -> Trace {
    let file = format!("{}/tests/traces/{name}.csv.zst", env!("CARGO_MANIFEST_DIR"));
    Trace::read(file).expect("a good trace")
}

fn assert_agreement(trace: &Trace, profile: Profile, sizes: SizeChoice) {
    let stage = Stage::simulated(profile);
    let mut seen = Vec::new();
    let made = make(trace, &stage, sizes, |allocator| seen.push(allocator.statistics()));
    let Made { outcome, counts } = made.expect("there is memory");
    let [at_end, trimmed] = &seen[..] else { panic!("watched twice: {seen:?}") };
    let place = format!("{} on {}, {sizes:?}", trace.name, stage.name());
    assert_eq!(counts.peak_bytes, at_end.peak_reserved_bytes, "{place}");
    assert_eq!(counts.at_end_bytes, at_end.total.reserved_bytes(), "{place}");
    assert_eq!(counts.after_trim_bytes, trimmed.total.reserved_bytes(), "{place}");
    assert_eq!((counts.after_trim_bytes, trimmed.object_count), (0, 0), "{place}");
    assert_eq!(
        (outcome.allocations, outcome.frees),
        (at_end.total.allocated_count, at_end.total.freed_count),
        "{place}"
    );
    assert_eq!(outcome.allocations, trace.allocation_count(), "{place}");
    assert!(
        counts.allocations >= u64::from(at_end.object_count) && counts.allocations < outcome.allocations,
        "{place}"
    );
    assert!(counts.peak_pages_bytes >= counts.peak_bytes && counts.peak_bytes >= outcome.peak_live_bytes, "{place}");
    assert_eq!(stage.close(), Faults::default(), "{place}");
}

#[test]
fn counts_at_the_function_table_are_those_of_the_statistics() {
    let traces = ["vkcube", "openarena-zink", "qtquick3d-scene"].map(recorded);
    for trace in &traces {
        for profile in Profile::all() {
            assert_agreement(trace, profile.clone(), SizeChoice::Created);
            assert_agreement(trace, profile, SizeChoice::Recorded { percent: 109 });
        }
    }
}

#[test]
fn a_simulated_device_creates_nearly_everything_in_nearly_the_recorded_size() {
    let trace = recorded("supertuxkart-vulkan");
    let stage = Stage::simulated(Profile::discrete_bar256());
    let made = make(&trace, &stage, SizeChoice::Created, |_| ()).expect("there is memory").outcome;
    let model = make(&trace, &stage, SizeChoice::Recorded { percent: 100 }, |_| ()).expect("there is memory").outcome;
    assert!(made.fell_back * 100 <= made.allocations, "{:?}", made.fallbacks);
    let (created, recorded) = (made.peak_live_bytes, model.peak_live_bytes);
    assert!(created.abs_diff(recorded) * 10 <= recorded, "created {created}, recorded {recorded}");
}

#[test]
fn the_timed_passes_leave_out_what_calls_the_driver() {
    let trace = recorded("openarena-zink");
    let stage = Stage::simulated(Profile::unified());
    let timed = time(&trace, &stage, SizeChoice::Created).expect("there is memory");
    let calls = timed.allocate.driver_ops() + timed.free.driver_ops();
    assert!((1..100).contains(&calls), "{calls}");
    // Of a coarse clock most operations take no tick.
    assert!(timed.allocate.percentiles().max > 0);
    assert_eq!(stage.close(), Faults::default());
}
