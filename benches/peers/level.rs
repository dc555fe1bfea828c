//! Workloads d, e and f: a level that is streamed out and in, holes that are slightly too small, levels one after the
//! other.

use crate::callgrind;
use crate::check::{Order, check};
use crate::clock::median;
use crate::driver::{Driver, KIB};
use crate::peer::Peer;
use crate::random::Random;
use crate::request::{Class, Request, level_resource};
use crate::row::{Bench, Live, Row};

/// A level, of which some resources go and others come, in steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Level {
    /// How many it has.
    resource_count: usize,
    /// How many of them go in a step, and come.
    streamed_count: usize,
    /// Steps for each of those that [`run`](Self::run) is asked for.
    repetitions: usize,
}

/// Returns the level of that name: one that streams, or one that goes and comes as a whole.
pub(crate) fn by_name(name: &str) -> Option<Level> {
    let (resource_count, streamed_count, repetitions) = match name {
        "d" => (20_000, 2_000, 1),
        "f" => (500, 500, 4),
        _ => return None,
    };
    Some(Level { resource_count, streamed_count, repetitions })
}

impl Level {
    /// Checks a peer's results on so many resources of a level.
    pub(crate) fn check<P: Peer>(count: usize) {
        let mut random = Random::new(6);
        let requests: Vec<_> = (0..count * 3 / 2).map(|_| level_resource(&mut random)).collect();
        let (fill, replacements) = requests.split_at(count);
        check::<P>(fill, replacements, Order::Random);
    }

    /// Measures a peer: fills the level, then streams resources out and others in, in `steps` steps or some times as
    /// many.
    pub(crate) fn run<P: Peer>(&self, steps: usize) -> Row {
        let steps = steps * self.repetitions;
        let mut random = Random::new(4);
        let fill: Vec<_> = (0..self.resource_count).map(|_| level_resource(&mut random)).collect();
        let driver = Driver::new(P::OBJECTS);
        let mut live: Vec<Option<Live<P>>> = Vec::with_capacity(self.resource_count);
        let mut bench = Bench::<P>::new(&driver, steps * self.streamed_count);
        live.extend(fill.iter().map(|request| bench.allocate(request)));
        let (mut chunks, mut ratios) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for step in 0..steps {
            let (slots, requests) = self.draw_step(&mut random);
            let change = (slots.as_slice(), requests.as_slice());
            if step % 2 == 1 {
                stream(&mut bench, &mut live, change, Bench::free_timed, Bench::allocate_timed);
            } else {
                let pass = |bench: &mut _| stream(bench, &mut live, change, Bench::free, Bench::allocate);
                chunks.push(bench.time(self.streamed_count, pass));
            }
            ratios.push(bench.ratio());
        }
        let mean_ratio = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let row = Row { ns_per_pair: median(&mut chunks), mean_ratio, ..Row::default() };
        bench.finish(&mut live, row)
    }

    /// Runs `pairs` pairs where callgrind counts, in steps.
    pub(crate) fn count<P: Peer>(&self, pairs: usize) {
        let mut random = Random::new(4);
        let driver = Driver::new(P::OBJECTS);
        let mut peer = P::new(&driver);
        let mut live: Vec<_> = (0..self.resource_count).map(|_| peer.allocate(&level_resource(&mut random))).collect();
        let warm_up = 4;
        for step in 0..warm_up + pairs / self.streamed_count {
            let (slots, requests) = self.draw_step(&mut random);
            let mut go = || {
                for slot in &slots {
                    live[*slot].take().into_iter().for_each(|old| peer.free(old));
                }
                for (slot, request) in slots.iter().zip(&requests) {
                    live[*slot] = peer.allocate(request);
                }
            };
            if step < warm_up { go() } else { callgrind::measured(&mut go) }
        }
        live.into_iter().flatten().for_each(|handle| peer.free(handle));
    }

    /// Draws different slots, and what comes into them.
    fn draw_step(&self, random: &mut Random) -> (Vec<usize>, Vec<Request>) {
        let mut slots: Vec<usize> = (0..self.resource_count).collect();
        for index in 0..self.streamed_count {
            slots.swap(index, index + random.below(self.resource_count - index));
        }
        slots.truncate(self.streamed_count);
        (slots, (0..self.streamed_count).map(|_| level_resource(random)).collect())
    }
}

/// Frees the resources in these slots, then fills them again, by the given ways to free and to allocate.
fn stream<'d, P: Peer>(
    bench: &mut Bench<'d, P>,
    live: &mut [Option<Live<P>>],
    step: (&[usize], &[Request]),
    free: impl Fn(&mut Bench<'d, P>, Live<P>),
    allocate: impl Fn(&mut Bench<'d, P>, &Request) -> Option<Live<P>>,
) {
    let (slots, requests) = step;
    for slot in slots {
        if let Some(old) = live[*slot].take() {
            free(bench, old);
        }
    }
    for (slot, request) in slots.iter().zip(requests) {
        live[*slot] = allocate(bench, request);
    }
}

/// Which of small and large resources in turn are freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holes {
    Small,
    Large,
}

/// Measures a peer: small and large resources in turn, all of one sort freed, then slightly larger ones asked for.
pub(crate) fn run_holes<P: Peer>(holes: Holes) -> Row {
    const COUNT: usize = 8000;
    let (small, large) = (4 * KIB, 256 * KIB);
    let request = |size| Request::new(size, 256, Class::Device, true);
    let driver = Driver::new(P::OBJECTS);
    let mut live: Vec<Option<Live<P>>> = Vec::with_capacity(COUNT);
    let mut bench = Bench::<P>::new(&driver, COUNT);
    for index in 0..COUNT {
        live.push(bench.allocate(&request(if index % 2 == 0 { small } else { large })));
    }
    let freed = usize::from(holes == Holes::Large);
    let size = if holes == Holes::Small { small } else { large };
    let ns_per_pair = bench.time(COUNT / 2, |bench| {
        for old in live.iter_mut().skip(freed).step_by(2) {
            if let Some(old) = old.take() {
                bench.free_timed(old);
            }
        }
        for slot in live.iter_mut().skip(freed).step_by(2) {
            *slot = bench.allocate_timed(&request(size + 256));
        }
    });
    bench.finish(&mut live, Row { ns_per_pair, ..Row::default() })
}
