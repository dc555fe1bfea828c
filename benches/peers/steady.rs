//! Workloads a, a1, b, b16: so many resources live, one at random replaced, again and again.

use crate::callgrind;
use crate::check::{Order, check};
use crate::clock::median;
use crate::driver::{Driver, KIB, MIB};
use crate::heap;
use crate::peer::Peer;
use crate::random::Random;
use crate::request::{Request, Sizes, buffer_or_image};
use crate::row::{Bench, Live, Row};

/// What is replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Steady {
    pub(crate) live_count: usize,
    pub(crate) sizes: Sizes,
    pub(crate) image_percent: usize,
}

const SMALL: Sizes = Sizes::LogUniform(256, MIB);
const LARGE: Sizes = Sizes::LogUniform(256, 16 * MIB);

/// Returns the steady workload of that name.
pub(crate) fn by_name(name: &str) -> Option<Steady> {
    let (live_count, sizes, image_percent) = match name {
        "a" => (1000, Sizes::Fixed(64 * KIB), 0),
        "a1" => (1, Sizes::Fixed(64 * KIB), 0),
        "b-1k" => (1000, SMALL, 30),
        "b-10k" => (10_000, SMALL, 30),
        "b-100k" => (100_000, SMALL, 30),
        "b16-1k" => (1000, LARGE, 30),
        "b16-10k" => (10_000, LARGE, 30),
        _ => return None,
    };
    Some(Steady { live_count, sizes, image_percent })
}

/// A replacement: the slot, and what comes into it.
type Replacement = (usize, Request);

impl Steady {
    fn requests(&self, random: &mut Random, count: usize) -> Vec<Request> {
        (0..count).map(|_| buffer_or_image(random, self.sizes, self.image_percent)).collect()
    }

    fn replacements(&self, random: &mut Random, count: usize) -> Vec<Replacement> {
        let requests = self.requests(random, count);
        requests.into_iter().map(|request| (random.below(self.live_count), request)).collect()
    }

    /// Checks a peer's results on this workload.
    pub(crate) fn check<P: Peer>(&self, replacement_count: usize) {
        let mut random = Random::new(2);
        let fill = self.requests(&mut random, self.live_count);
        check::<P>(&fill, &self.requests(&mut random, replacement_count), Order::Random);
    }

    /// Measures a peer over `pairs` pairs in 20 chunks, then over as many one by one.
    pub(crate) fn run<P: Peer>(&self, pairs: usize) -> Row {
        let mut random = Random::new(1);
        let fill = self.requests(&mut random, self.live_count);
        let replacements = self.replacements(&mut random, pairs);
        let driver = Driver::new(P::OBJECTS);
        let mut live: Vec<Option<Live<P>>> = Vec::with_capacity(self.live_count);
        let mut bench = Bench::<P>::new(&driver, pairs);
        live.extend(fill.iter().map(|request| bench.allocate(request)));
        let host_bytes = bench.host_bytes_per(self.live_count);
        let aged = replacements.iter().cycle().take((2 * self.live_count).clamp(2000, 2 * pairs));
        aged.for_each(|replacement| replace(&mut bench, &mut live, replacement));
        let heap_calls = heap::calls();
        let chunks = replacements.chunks((pairs / 20).max(1)).map(|chunk| {
            bench.time(chunk.len(), |bench| {
                for replacement in chunk {
                    replace(bench, &mut live, replacement);
                }
            })
        });
        let ns_per_pair = median(&mut chunks.collect::<Vec<_>>());
        let heap_calls = (heap::calls() - heap_calls) as f64 / pairs as f64;
        for (slot, request) in &replacements {
            if let Some(old) = live[*slot].take() {
                bench.free_timed(old);
            }
            live[*slot] = bench.allocate_timed(request);
        }
        bench.finish(&mut live, Row { ns_per_pair, host_bytes, heap_calls, ..Row::default() })
    }

    /// Runs `pairs` pairs where callgrind counts.
    pub(crate) fn count<P: Peer>(&self, pairs: usize) {
        let mut random = Random::new(1);
        let driver = Driver::new(P::OBJECTS);
        let mut peer = P::new(&driver);
        let fill = self.requests(&mut random, self.live_count);
        let mut live: Vec<_> = fill.iter().map(|request| peer.allocate(request)).collect();
        let age = self.live_count.clamp(500, 20_000);
        let replacements = self.replacements(&mut random, age + pairs);
        let mut go = |replacements: &[Replacement]| {
            for (slot, request) in replacements {
                if let Some(old) = live[*slot].take() {
                    peer.free(old);
                }
                live[*slot] = peer.allocate(request);
            }
        };
        go(&replacements[..age]);
        callgrind::measured(&mut || go(&replacements[age..]));
        live.into_iter().flatten().for_each(|handle| peer.free(handle));
    }
}

#[inline]
fn replace<P: Peer>(bench: &mut Bench<'_, P>, live: &mut [Option<Live<P>>], replacement: &Replacement) {
    let (slot, request) = replacement;
    if let Some(old) = live[*slot].take() {
        bench.free(old);
    }
    live[*slot] = bench.allocate(request);
}
