//! Workloads d and e: a level that is streamed out and in, and holes that are slightly too small.

use crate::callgrind;
use crate::check::{Order, check};
use crate::clock::median;
use crate::driver::{Driver, KIB};
use crate::peer::Peer;
use crate::random::Random;
use crate::request::{Class, Request, level_resource};
use crate::row::{Bench, Live, Row};

const RESOURCES: usize = 20_000;
const STREAMED: usize = RESOURCES / 10;

/// Checks a peer's results on a level of so many resources.
pub(crate) fn check_level<P: Peer>(count: usize) {
    let mut random = Random::new(6);
    let requests: Vec<_> = (0..count * 3 / 2).map(|_| level_resource(&mut random)).collect();
    let (fill, replacements) = requests.split_at(count);
    check::<P>(fill, replacements, Order::Random);
}

/// Measures a peer: fills a level, then streams a tenth out and another in, `steps` times.
pub(crate) fn run_level<P: Peer>(steps: usize) -> Row {
    let mut random = Random::new(4);
    let fill: Vec<_> = (0..RESOURCES).map(|_| level_resource(&mut random)).collect();
    let driver = Driver::new(P::OBJECTS);
    let mut live: Vec<Option<Live<P>>> = Vec::with_capacity(RESOURCES);
    let mut bench = Bench::<P>::new(&driver, steps * STREAMED);
    live.extend(fill.iter().map(|request| bench.allocate(request)));
    let (mut chunks, mut ratios) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
    for step in 0..steps {
        let slots = draw_slots(&mut random);
        let requests: Vec<_> = (0..STREAMED).map(|_| level_resource(&mut random)).collect();
        let change = (slots.as_slice(), requests.as_slice());
        if step % 2 == 1 {
            stream(&mut bench, &mut live, change, Bench::free_timed, Bench::allocate_timed);
        } else {
            let pass = |bench: &mut _| stream(bench, &mut live, change, Bench::free, Bench::allocate);
            chunks.push(bench.time(STREAMED, pass));
        }
        ratios.push(bench.ratio());
    }
    let mean_ratio = ratios.iter().sum::<f64>() / ratios.len() as f64;
    let row = Row { ns_per_pair: median(&mut chunks), mean_ratio, ..Row::default() };
    bench.finish(&mut live, row)
}

/// Runs `pairs` pairs where callgrind counts, in steps that stream a tenth.
pub(crate) fn count<P: Peer>(pairs: usize) {
    let mut random = Random::new(4);
    let driver = Driver::new(P::OBJECTS);
    let mut peer = P::new(&driver);
    let mut live: Vec<_> = (0..RESOURCES).map(|_| peer.allocate(&level_resource(&mut random))).collect();
    let warm_up = 4;
    for step in 0..warm_up + pairs / STREAMED {
        let slots = draw_slots(&mut random);
        let requests: Vec<_> = (0..STREAMED).map(|_| level_resource(&mut random)).collect();
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

/// Draws `STREAMED` different slots.
fn draw_slots(random: &mut Random) -> Vec<usize> {
    let mut slots: Vec<usize> = (0..RESOURCES).collect();
    for index in 0..STREAMED {
        slots.swap(index, index + random.below(RESOURCES - index));
    }
    slots.truncate(STREAMED);
    slots
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
