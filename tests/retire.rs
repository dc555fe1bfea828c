//! The retire queue: each resource goes exactly when its point has been passed, in whatever order points come; nothing
//! is lost on the way; what is left at the end is leaked and reported.

mod common;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use ash::vk;
use common::{Rig, buffer_info, create_info, image_info};
use freestone::sim::{ObjectKind, Profile, SimDevice};
use freestone::{
    Allocation, AllocationCreateInfo, Allocator, Buffer, Collected, EndedFrame, FrameRing, FrameRingCreateInfo, Image,
    ReleasedByDrop, RetireLeak, RetireQueue, Retired,
};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

fn buffer(rig: &Rig, size: u64) -> Buffer<&Allocator> {
    // SAFETY: the create-info is valid; nothing is submitted.
    unsafe { Buffer::new(&**rig, &buffer_info(size), &AllocationCreateInfo::gpu_only()) }.expect("there is memory")
}

/// Collects everything up to a point and returns what came, in order.
fn collect<T>(queue: &RetireQueue<T>, completed: u64, limit: usize) -> (Vec<T>, Collected) {
    let mut taken = Vec::new();
    let collected = queue.collect_with(completed, limit, |resource| taken.push(resource));
    assert_eq!(collected.released_count, taken.len());
    (taken, collected)
}

#[test]
fn points_may_come_in_any_order() {
    let queue = RetireQueue::new();
    queue.retire("seven", 7);
    queue.retire("five", 5);
    queue.retire("six", 6);
    queue.retire("six again", 6);
    assert_eq!((queue.next_point(), queue.len(), queue.is_empty()), (Some(5), 4, false));
    assert_eq!(collect(&queue, 4, 10).0, [""; 0]);
    assert_eq!(collect(&queue, 5, 10).0, ["five"]);
    assert_eq!(collect(&queue, 7, 10).0, ["six", "six again", "seven"], "lowest points first, equal ones as they came");
    assert!(queue.is_empty());
}

#[test]
fn work_is_bounded_and_what_is_left_is_said() {
    let queue = RetireQueue::with_capacity(8);
    (0..6).for_each(|number| queue.retire(number, number / 2));
    let (taken, collected) = collect(&queue, 1, 3);
    assert_eq!(taken, [0, 1, 2]);
    assert_eq!((collected.left_count, collected.next_point, collected.is_more_due), (3, Some(1), true));
    let (taken, collected) = collect(&queue, 1, 3);
    assert_eq!(taken, [3]);
    assert_eq!((collected.left_count, collected.next_point, collected.is_more_due), (2, Some(2), false));
    let (taken, collected) = collect(&queue, 2, 0);
    assert_eq!((taken.len(), collected.left_count, collected.is_more_due), (0, 2, true), "a limit of 0 takes nothing");
    assert_eq!(collect(&queue, 2, usize::MAX).0, [4, 5]);
    assert_eq!(queue.collect_with(9, 9, |_| ()), Collected::default());
}

#[test]
fn a_point_that_was_collected_is_due_at_once() {
    let queue = RetireQueue::new();
    queue.retire("ten", 10);
    assert_eq!(collect(&queue, 10, 10).0, ["ten"]);
    queue.retire("late", 3);
    assert_eq!(queue.len(), 1, "not within `retire`");
    assert_eq!(collect(&queue, 0, 10).0, ["late"], "with the next collect, whatever that is told");
    assert_eq!(collect(&queue, 100, 10).0, [""; 0]);
    queue.retire("fifty", 50);
    assert_eq!(collect(&queue, 40, 10).0, ["fifty"], "a point that nothing waited for was collected too");
}

#[test]
fn an_idle_device_does_not_complete_what_is_yet_to_come() {
    let queue = RetireQueue::new();
    queue.retire("five", 5);
    assert_eq!(collect(&queue, u64::MAX, 10).0, ["five"]);
    queue.retire("six", 6);
    assert_eq!(collect(&queue, 5, 10).0, [""; 0], "the GPU has yet to pass 6");
    assert_eq!(collect(&queue, 6, 10).0, ["six"]);
    queue.retire("the end of numbers", u64::MAX);
    assert_eq!(collect(&queue, 6, 10).0, [""; 0]);
    assert_eq!(collect(&queue, u64::MAX, 10).0, ["the end of numbers"]);
    queue.retire("seven", 7);
    assert_eq!(collect(&queue, 6, 10).0, [""; 0], "not even that point completes what is yet to come");
    queue.retire("at the next idle", u64::MAX);
    let mut released = Vec::new();
    let collected = queue.collect_with(u64::MAX, 10, |name| {
        released.push(name);
        if name == "seven" {
            queue.retire("by then submitted", 8);
        }
    });
    assert_eq!(
        (released, collected.left_count),
        (vec!["seven", "at the next idle"], 1),
        "what is retired meanwhile waits"
    );
    assert_eq!(collect(&queue, 7, 10).0, [""; 0]);
    assert_eq!(collect(&queue, 8, 10).0, ["by then submitted"]);
    queue.retire("at the last idle", u64::MAX);
    assert_eq!(collect(&queue, u64::MAX - 1, 10).0, [""; 0]);
    assert_eq!(collect(&queue, u64::MAX, 10).0, ["at the last idle"]);
}

/// The points of what an idle moment let go are not completed by it: work at the same points may be submitted behind
/// it.
#[test]
fn an_idle_device_does_not_complete_the_points_it_has_not_passed() {
    let queue = RetireQueue::new();
    // Frame 9 is being recorded when the window is resized.
    queue.retire("old attachment", 9);
    assert_eq!(collect(&queue, u64::MAX, 10).0, ["old attachment"]);
    queue.retire("used by frame 9", 9);
    assert_eq!(collect(&queue, 8, 10).0, [""; 0], "9 was submitted behind the idle moment");
    assert_eq!(collect(&queue, 9, 10).0, ["used by frame 9"]);
    // What is retired later hides nothing, whatever its point.
    queue.retire("at 90", 90);
    queue.retire("at the next idle", u64::MAX);
    let (taken, collected) = collect(&queue, u64::MAX, 1);
    assert_eq!((taken, collected.is_more_due), (vec!["at 90"], true));
    queue.retire("at 60", 60);
    queue.retire("at 50", 50);
    assert_eq!(collect(&queue, 50, 10).0, ["at the next idle", "at 50"], "it was idle");
    assert_eq!(collect(&queue, 60, 10).0, ["at 60"]);
}

#[test]
fn releasing_may_retire_more() {
    let queue = RetireQueue::new();
    queue.retire(1, 1);
    let collected = queue.collect_with(1, usize::MAX, |number| queue.retire(number + 1, 1));
    assert_eq!((collected.released_count, collected.left_count, collected.is_more_due), (1, 1, true), "and it ends");
    assert_eq!(collect(&queue, 0, 10).0, [2]);
}

#[test]
fn what_is_retired_during_a_collect_hides_nothing() {
    let queue = RetireQueue::new();
    queue.retire(1, 1);
    queue.retire(2, 2);
    let mut released = Vec::new();
    let collected = queue.collect_with(2, usize::MAX, |number| {
        released.push(number);
        if number == 1 {
            queue.retire(9, 0);
        }
    });
    assert_eq!((released, collected.left_count, collected.is_more_due), (vec![1, 2], 1, true));
    assert_eq!(collect(&queue, 0, 10).0, [9]);
    queue.retire(7, 7);
    queue.retire(100, u64::MAX);
    let collected = queue.collect_with(u64::MAX, usize::MAX, |number| {
        if number == 7 {
            queue.retire(8, 8);
        }
    });
    assert_eq!((collected.left_count, collected.next_point, collected.is_more_due), (1, Some(8), false));
    assert_eq!(collect(&queue, 8, 10).0, [8]);
}

/// A collect within a collect is a later call: it takes what was retired meanwhile, and what is left of the rest.
#[test]
fn a_collect_within_a_collect_takes_what_is_left() {
    let queue = RetireQueue::new();
    (1..4).for_each(|number| queue.retire(number, number));
    let mut inner = Vec::new();
    let outer = queue.collect_with(3, usize::MAX, |number| {
        queue.retire(number * 10, 0);
        inner.extend(collect(&queue, 3, usize::MAX).0);
    });
    assert_eq!((outer.released_count, outer.left_count), (1, 0));
    assert_eq!(inner, [2, 3, 10]);
}

#[test]
fn a_panic_while_releasing_loses_nothing_else() {
    let queue = RetireQueue::new();
    (0..3).for_each(|number| queue.retire(number, 1));
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        queue.collect_with(1, 10, |number| assert_eq!(number, 0, "on purpose"));
    }));
    assert!(caught.is_err());
    assert_eq!(collect(&queue, 1, 10).0, [2], "0 was released, 1 was in the hands of whoever panicked");
}

#[test]
fn buffers_images_and_both_in_one_queue() {
    let rig = Rig::new(Profile::unified());
    let live = |kind| rig.control().live(kind);
    let mixed: RetireQueue<Retired<&Allocator>> = RetireQueue::new();
    // SAFETY: the create-info is valid; nothing is submitted.
    let image = unsafe { Image::new(&*rig, &image_info(16), &AllocationCreateInfo::gpu_only()) }.expect("an image");
    mixed.retire(image.into(), 2);
    mixed.retire(buffer(&rig, 100).into(), 1);
    assert_eq!(mixed.collect(1).released_count, 1);
    assert_eq!((live(ObjectKind::Buffer), live(ObjectKind::Image)), (0, 1));
    assert_eq!(mixed.collect_up_to(2, 1).left_count, 0);
    assert_eq!((live(ObjectKind::Buffer), live(ObjectKind::Image)), (0, 0));
    drop(mixed);
    rig.finish();
}

/// Whatever an application retires, in one queue, by value.
enum Garbage<'a> {
    Owned(Retired<&'a Allocator>),
    Pair(vk::Buffer, Allocation),
    Frame(EndedFrame),
}

#[test]
fn pairs_frames_and_owned_resources_in_one_queue() {
    let rig = Rig::new(Profile::unified());
    let info = FrameRingCreateInfo::new(vk::BufferUsageFlags::UNIFORM_BUFFER);
    // SAFETY: the usage is valid; nothing is submitted.
    let frames = unsafe { FrameRing::new(&*rig, &info) }.expect("a ring");
    let queue = RetireQueue::new();
    let mut frame = frames.begin_frame().expect("the first frame");
    frame.push(&[1_u8]).expect("there is room");
    queue.retire(Garbage::Frame(frame.end_owned().expect("open")), 2);
    drop(frame);
    // SAFETY: the create-info is valid; nothing is submitted.
    let made = unsafe { rig.create_buffer(&buffer_info(64), &AllocationCreateInfo::upload()) };
    let (handle, memory) = made.expect("there is memory");
    queue.retire(Garbage::Pair(handle, memory), 1);
    queue.retire(Garbage::Owned(buffer(&rig, 64).into()), 3);
    for completed in 1..=3 {
        let collected = queue.collect_with(completed, 10, |garbage| match garbage {
            Garbage::Owned(owned) => drop(owned),
            // SAFETY: the GPU has never seen it.
            Garbage::Pair(buffer, memory) => unsafe { rig.destroy_buffer(buffer, memory) }.expect("it is alive"),
            Garbage::Frame(frame) => frames.reclaim_frame(frame).expect("this ring made it"),
        });
        assert_eq!(collected.released_count, 1);
        assert_eq!(frames.statistics().frames_in_flight, u32::from(completed < 2));
    }
    drop((frames, queue));
    rig.finish();
}

#[test]
fn an_undrained_queue_leaks_and_reports() {
    let leaks = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&leaks);
    let vulkan = SimDevice::new(Profile::unified());
    // SAFETY: the objects belong together, and the device outlives the allocator.
    let allocator = unsafe { Allocator::new(create_info(&vulkan).on_leak(|_| ())) }.expect("an allocator");
    let allocator = Arc::new(allocator);
    let queue = RetireQueue::new().on_leak(move |leak: &RetireLeak| heard.lock().expect("nobody panics").push(*leak));
    for point in [9, 4, 6] {
        // SAFETY: the create-info is valid; nothing is submitted.
        let made = unsafe { Buffer::new(Arc::clone(&allocator), &buffer_info(64), &AllocationCreateInfo::gpu_only()) };
        queue.retire(made.expect("a buffer"), point);
    }
    queue.collect(4);
    drop(queue);
    {
        let leaks = leaks.lock().expect("nobody panics");
        let [leak] = leaks[..] else { panic!("one report, not {leaks:?}") };
        assert_eq!((leak.count, leak.oldest_point, leak.completed_point), (2, 6, 4));
    }
    assert_eq!(vulkan.control().live(ObjectKind::Buffer), 2, "the GPU may still use them");
    assert_eq!(Arc::strong_count(&allocator), 3, "and they keep their allocator");
    // What the leaked buffers keep alive cannot be freed any more: device and allocator stay.
    std::mem::forget((allocator, vulkan));
}

/// Keeps what is logged.
struct Ear(Mutex<Vec<String>>);

impl log::Log for Ear {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().expect("nobody panics").push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

static EAR: Ear = Ear(Mutex::new(Vec::new()));

#[test]
fn what_an_undrained_queue_leaks_is_logged_where_nobody_listens() {
    log::set_logger(&EAR).expect("no other test of this program sets one");
    log::set_max_level(log::LevelFilter::Warn);
    let queue = RetireQueue::new();
    (0..37).for_each(|resource| queue.retire(resource, 1_234_567 + resource));
    assert_eq!(collect(&queue, 1_234_570, 100).0, [0, 1, 2, 3]);
    drop(queue);
    let heard = EAR.0.lock().expect("nobody panics");
    let own: Vec<_> = heard.iter().filter(|text| text.contains("1234571")).collect();
    let [text] = own[..] else { panic!("one report, not {heard:?}") };
    assert!(text.starts_with("WARN") && text.contains("33") && text.contains("1234570"), "{text}");
}

#[test]
fn a_queue_is_quiet_where_nothing_is_left_or_a_panic_is_under_way() {
    let reports = Arc::new(AtomicU64::new(0));
    let count = |reports: &Arc<AtomicU64>| {
        let reports = Arc::clone(reports);
        RetireQueue::new().on_leak(move |_| {
            reports.fetch_add(1, Ordering::Relaxed);
        })
    };
    let drained = count(&reports);
    drained.retire(1, 1);
    collect(&drained, 1, 1);
    drop(drained);
    let left = count(&reports);
    left.retire(1, 1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _queue = left;
        panic!("on purpose");
    }));
    assert!(caught.is_err());
    assert_eq!(reports.load(Ordering::Relaxed), 0);
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicU64>);

impl ReleasedByDrop for Counted {}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn threads_retire_and_collect_at_once() {
    const EACH: u64 = 2_000;
    let (drops, queue) = (Arc::new(AtomicU64::new(0)), RetireQueue::new());
    std::thread::scope(|scope| {
        for thread in 0..3_u64 {
            let (queue, drops) = (&queue, &drops);
            scope.spawn(move || {
                (0..EACH).for_each(|number| queue.retire(Counted(Arc::clone(drops)), number * 3 + thread));
            });
        }
        let queue = &queue;
        scope.spawn(move || {
            (0..EACH).for_each(|number| {
                queue.collect_up_to(number * 2, 7);
            });
        });
    });
    let dropped = drops.load(Ordering::Relaxed);
    assert_eq!(dropped + queue.len() as u64, 3 * EACH);
    queue.collect(u64::MAX);
    assert_eq!(drops.load(Ordering::Relaxed), 3 * EACH);
}

/// One step of a program.
#[derive(Clone, Copy, Debug)]
enum Step {
    Retire { point: u64 },
    Collect { completed: u64, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let limit = prop_oneof![1 => 0_usize..6, 1 => any::<usize>()];
    let point = prop_oneof![20 => 0_u64..40, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    prop_oneof![
        3 => point.clone().prop_map(|point| Step::Retire { point }),
        1 => (point, limit).prop_map(|(completed, limit)| Step::Collect { completed, limit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// The shadow is the set of what waits, by era (an idle device ends one), point and number.
    #[test]
    fn programs_agree_with_the_shadow(steps in vec(step(), 1..120)) {
        let queue = RetireQueue::new();
        let (mut shadow, mut completed, mut era) = (BTreeSet::new(), 0, 0);
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Step::Retire { point } => {
                    queue.retire(number, point);
                    shadow.insert((era, point.max(completed), number));
                }
                Step::Collect { completed: heard, limit } => {
                    (completed, era) = if heard == u64::MAX { (completed, era + 1) } else { (completed.max(heard), era) };
                    let is_due = |(retired, point, _): &&(u64, u64, usize)| *retired < era || *point <= completed;
                    let due: Vec<_> = shadow.iter().filter(is_due).copied().collect();
                    let expected: Vec<_> = due.iter().take(limit).map(|(.., number)| *number).collect();
                    let (taken, collected) = collect(&queue, heard, limit);
                    assert_eq!(taken, expected);
                    shadow.retain(|key| !due.iter().take(limit).any(|taken| taken == key));
                    assert_eq!(collected.left_count, shadow.len());
                    assert_eq!(collected.is_more_due, due.len() > limit);
                    let point_of = |(retired, point, _)| if retired < era { completed.min(point) } else { point };
                    assert_eq!(collected.next_point, shadow.first().copied().map(point_of));
                }
            }
            assert_eq!(queue.len(), shadow.len());
        }
        let (mut left, _) = collect(&queue, u64::MAX, usize::MAX);
        left.sort_unstable();
        let mut waiting: Vec<_> = shadow.iter().map(|(.., number)| *number).collect();
        waiting.sort_unstable();
        assert_eq!(left, waiting, "nothing is lost");
    }
}
