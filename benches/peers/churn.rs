//! A long churn: a day of frames, two operations each, then levels unloaded and loaded.

use crate::driver::{Driver, MIB, Objects};
use crate::peer::Peer;
use crate::random::Random;
use crate::report::{ratio, short};
use crate::request::level_resource;
use crate::rivals::GpuAlloc;
use crate::values::{Place, note};

/// Resources of a level.
const RESOURCES: usize = 10_000;
/// At 60 Hz.
const FRAMES_PER_HOUR: usize = 60 * 60 * 60;
/// What is kept over a change of level: one in so many.
const KEPT: usize = 20;

/// What happened to one peer.
#[derive(Debug, Default)]
struct Story {
    /// Reserved by live bytes after the load, then after each hour.
    hours: Vec<f64>,
    calls_per_thousand_frames: f64,
    unloaded: f64,
    unloaded_mib: f64,
    loaded_again: f64,
    left_mib: f64,
    left_after_trim_mib: f64,
    peak: f64,
}

/// The whole day takes a few seconds.
const HOURS: usize = 24;

/// Prints reserved by live bytes over the day, and what levels leave behind.
pub(crate) fn run() {
    let stories = [tell::<crate::own::Freestone>(), tell::<GpuAlloc>()];
    let frames = HOURS * FRAMES_PER_HOUR;
    println!("\n### A long churn: {frames} frames, in each one of 10,000 resources freed and one allocated\n");
    println!("gpu-allocator is left out: it would take minutes.\n");
    println!("| | freestone | gpu-alloc |\n|---|---|---|");
    for hour in [0, 1, 2, 4, 8, 12, 16, 20, HOURS] {
        line(&format!("reserved / live after {hour} h"), &stories, |story| ratio(story.hours[hour]));
    }
    line("driver calls per 1,000 frames, the first hour left out", &stories, |story| {
        ratio(story.calls_per_thousand_frames)
    });
    line("peak reserved / peak live", &stories, |story| ratio(story.peak));
    line("level unloaded, 5 % stay: reserved / live (MiB)", &stories, |story| {
        format!("{} ({})", ratio(story.unloaded), short(story.unloaded_mib))
    });
    line("next level loaded: reserved / live", &stories, |story| ratio(story.loaded_again));
    line("all freed: MiB left (after trim)", &stories, |story| {
        format!("{} ({})", short(story.left_mib), short(story.left_after_trim_mib))
    });
    for (peer, story) in ["freestone", "gpu-alloc"].into_iter().zip(&stories) {
        for (hour, ratio) in story.hours.iter().enumerate() {
            note(Place("churn", "hours", &format!("{hour:02}")), peer, *ratio);
        }
        note(Place("churn", "all", "last by first hour"), peer, story.hours[HOURS] / story.hours[1]);
        note(Place("churn", "all", "calls per 1000 frames"), peer, story.calls_per_thousand_frames);
        note(Place("churn", "all", "left after trim"), peer, story.left_after_trim_mib);
    }
}

fn line(name: &str, stories: &[Story; 2], cell: impl Fn(&Story) -> String) {
    println!("| {name} | {} | {} |", cell(&stories[0]), cell(&stories[1]));
}

/// A level in a peer.
struct Level<'a, P: Peer> {
    peer: P,
    driver: &'a Driver,
    random: Random,
    live: Vec<Option<(P::Handle, u64)>>,
    live_bytes: u64,
    peak_live: u64,
}

impl<P: Peer> Level<'_, P> {
    fn load(&mut self, slot: usize) {
        let request = level_resource(&mut self.random);
        let handle = self.peer.allocate(&request).expect("the device has room");
        self.live[slot] = Some((handle, request.size));
        self.live_bytes += request.size;
        self.peak_live = self.peak_live.max(self.live_bytes);
    }

    fn unload(&mut self, slot: usize) {
        if let Some((handle, size)) = self.live[slot].take() {
            self.live_bytes -= size;
            self.peer.free(handle);
        }
    }

    fn ratio(&self) -> f64 {
        self.driver.reserved() as f64 / self.live_bytes as f64
    }
}

fn tell<P: Peer>() -> Story {
    let driver = Driver::new(Objects::Promised);
    let mut level = Level {
        peer: P::new(&driver),
        driver: &driver,
        random: Random::new(31),
        live: (0..RESOURCES).map(|_| None).collect(),
        live_bytes: 0,
        peak_live: 0,
    };
    (0..RESOURCES).for_each(|slot| level.load(slot));
    let mut story = Story { hours: vec![level.ratio()], ..Story::default() };
    let mut calls_before = 0;
    for hour in 0..HOURS {
        for _ in 0..FRAMES_PER_HOUR {
            let slot = level.random.below(RESOURCES);
            level.unload(slot);
            level.load(slot);
        }
        story.hours.push(level.ratio());
        if hour == 0 {
            calls_before = driver.calls();
        }
    }
    let frames = ((HOURS - 1) * FRAMES_PER_HOUR) as f64;
    story.calls_per_thousand_frames = (driver.calls() - calls_before) as f64 / frames * 1000.0;
    (0..RESOURCES).filter(|slot| slot % KEPT > 0).for_each(|slot| level.unload(slot));
    (story.unloaded, story.unloaded_mib) = (level.ratio(), mib(driver.reserved()));
    (0..RESOURCES).filter(|slot| slot % KEPT > 0).for_each(|slot| level.load(slot));
    story.loaded_again = level.ratio();
    story.peak = driver.control().peak_reserved_bytes() as f64 / level.peak_live as f64;
    (0..RESOURCES).for_each(|slot| level.unload(slot));
    story.left_mib = mib(driver.reserved());
    level.peer.trim();
    story.left_after_trim_mib = mib(driver.reserved());
    story
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}
