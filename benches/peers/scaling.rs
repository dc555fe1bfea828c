//! Growth of cost: what a pair costs with 10 to 10,000,000 live allocations, and with 1 to 10,000 blocks.
//!
//! The driver has heaps without end and no limit of objects. Instructions say whether the algorithm does more work;
//! misses of simulated caches say how much of the time is waiting for memory.

use freestone::{AllocationCreateInfo, CustomPool, PoolCreateInfo};

use crate::callgrind::{self, Caches, Counts};
use crate::clock::{cpu_ns, median};
use crate::driver::{Driver, KIB, MIB, Objects};
use crate::own;
use crate::peer::Peer;
use crate::random::Random;
use crate::report::short;
use crate::request::{Class, Request, Sizes, buffer_or_image};
use crate::rivals::GpuAllocator;
use crate::row::{driver_call_ns, net_ns};
use crate::values::{Place, note, note_all};
use crate::{Effort, with_peer};

const SIZES: Sizes = Sizes::LogUniform(256, MIB);
/// The largest count that callgrind gets through in a minute.
const COUNTED_UP_TO: usize = 1_000_000;
/// gpu-allocator searches linearly.
const SLOW_UP_TO: usize = 1000;
const PEERS: [&str; 3] = ["freestone", "gpu-alloc", "gpu-allocator"];
const LIVE: [usize; 7] = [10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];
const BLOCKS: [usize; 4] = [1, 10, 1000, 10_000];

/// Prints both tables.
pub(crate) fn run(effort: Effort) {
    by_live_count(effort);
    by_block_count(effort);
}

fn by_live_count(effort: Effort) {
    println!("\n### Growth of cost with the number of live allocations (256 B to 1 MiB, one at random replaced)\n");
    println!(
        "| live | peer | ns per pair | instructions | misses of 32 KiB | misses of 1 MiB |\n|---|---|---|---|---|---|"
    );
    let most = if effort.is_full { 10_000_000 } else { 100_000 };
    for count in LIVE.into_iter().filter(|count| *count <= most) {
        let name = format!("live-{count}");
        let counts_at = |peer: &str| {
            let pairs = if peer == "gpu-allocator" { 2000 } else { 20_000 };
            (count <= COUNTED_UP_TO).then(|| callgrind::count(&name, peer, pairs, Caches::Simulated)).flatten()
        };
        let harness = counts_at("nothing");
        for peer in PEERS.iter().filter(|peer| **peer != "gpu-allocator" || count <= SLOW_UP_TO) {
            let ns = with_peer!(*peer, Measured => time_replacements::<Measured>(count));
            let counts = counts_at(peer).zip(harness).map(|(counts, harness)| counts.less(harness));
            print_row(&count.to_string(), peer, ns, counts);
            record(&name, peer, ns, counts);
        }
    }
}

fn by_block_count(effort: Effort) {
    println!(
        "\n### Growth of cost with the number of nearly full blocks (8 KiB that only the middle one has room for)\n"
    );
    println!("| blocks | peer | ns per pair | instructions |\n|---|---|---|---|");
    let most = if effort.is_full { 10_000 } else { 1000 };
    let mut one = [f64::NAN; 2];
    for count in BLOCKS.into_iter().filter(|count| *count <= most) {
        let name = format!("blocks-{count}");
        let harness = callgrind::instructions_per_pair(&name, "nothing", 2000).unwrap_or(f64::NAN);
        for (peer, one) in ["freestone", "gpu-allocator"].into_iter().zip(&mut one) {
            let ns = NearlyFull::time(peer, count);
            let instructions = callgrind::instructions_per_pair(&name, peer, 2000).unwrap_or(f64::NAN) - harness;
            println!("| {count} | {peer} | {} | {} |", short(ns), short(instructions));
            note_all("scaling", &name, peer, &[("ns", ns), ("instr", instructions)]);
            if count == 1 {
                *one = ns;
            }
            note(Place("scaling", &name, "by one block"), peer, ns / *one);
        }
    }
}

fn print_row(count: &str, peer: &str, ns: f64, counts: Option<Counts>) {
    let cell = |field: fn(&Counts) -> f64| counts.as_ref().map_or("-".to_owned(), |counts| short(field(counts)));
    println!(
        "| {count} | {peer} | {} | {} | {} | {} |",
        short(ns),
        cell(|counts| counts.instructions),
        cell(|counts| counts.first_level_misses),
        cell(|counts| counts.second_level_misses)
    );
}

fn record(name: &str, peer: &str, ns: f64, counts: Option<Counts>) {
    note(Place("scaling", name, "ns"), peer, ns);
    if let Some(counts) = counts {
        let misses = [("misses of 32 KiB", counts.first_level_misses), ("misses of 1 MiB", counts.second_level_misses)];
        note_all("scaling", name, peer, &misses);
        note(Place("scaling", name, "instr"), peer, counts.instructions);
    }
}

type Replacement = (usize, Request);

/// So many live allocations of a peer.
struct Crowd<P: Peer> {
    peer: P,
    live: Vec<Option<P::Handle>>,
    replacements: Vec<Replacement>,
}

impl<P: Peer> Crowd<P> {
    /// Fills a peer, and ages it by a million replacements at most.
    fn new(driver: &Driver, count: usize, aged: usize) -> Self {
        let mut random = Random::new(21);
        let mut peer = P::new(driver);
        let live = (0..count).map(|_| peer.allocate(&buffer_or_image(&mut random, SIZES, 30))).collect();
        let replacements = Vec::new();
        let mut crowd = Self { peer, live, replacements };
        for _ in 0..aged.min(2 * count) {
            let replacement = (random.below(count), buffer_or_image(&mut random, SIZES, 30));
            crowd.replace(&replacement);
        }
        let next = |_| (random.below(count), buffer_or_image(&mut random, SIZES, 30));
        crowd.replacements = (0..200_000).map(next).collect();
        crowd
    }

    #[inline]
    fn replace(&mut self, (slot, request): &Replacement) {
        if let Some(old) = self.live[*slot].take() {
            self.peer.free(old);
        }
        self.live[*slot] = self.peer.allocate(request);
    }

    fn go(&mut self, from: usize, count: usize) {
        let replacements = core::mem::take(&mut self.replacements);
        for replacement in &replacements[from..from + count] {
            self.replace(replacement);
        }
        self.replacements = replacements;
    }

    fn empty(mut self) {
        for handle in self.live.into_iter().flatten() {
            self.peer.free(handle);
        }
    }
}

fn time_replacements<P: Peer>(count: usize) -> f64 {
    let driver = Driver::new(Objects::UnlimitedAndVast);
    let (chunk, aged) = if size_of::<P::Handle>() == size_of::<<GpuAllocator as Peer>::Handle>() {
        (200, 2000)
    } else {
        (10_000, 1_000_000)
    };
    let mut crowd = Crowd::<P>::new(&driver, count, aged);
    let call_ns = driver_call_ns();
    let times = (0..20).map(|index| net_ns((&driver, call_ns), chunk, || crowd.go(index * chunk, chunk)));
    let ns = median(&mut times.collect::<Vec<_>>());
    crowd.empty();
    ns
}

/// Runs so many pairs where callgrind counts; `false` for a name that is none of this file's.
pub(crate) fn count(name: &str, peer: &str, pairs: usize) -> bool {
    let number = |head| name.strip_prefix(head).and_then(|number| number.parse().ok());
    if let Some(blocks) = number("blocks-") {
        NearlyFull::count(peer, blocks, pairs);
    } else if let Some(live) = number("live-") {
        with_peer!(peer, Counted => count_replacements::<Counted>(live, pairs));
    } else {
        return false;
    }
    true
}

fn count_replacements<P: Peer>(live: usize, pairs: usize) {
    let driver = Driver::new(Objects::UnlimitedAndVast);
    let mut crowd = Crowd::<P>::new(&driver, live, if pairs < 20_000 { 500 } else { 20_000 });
    callgrind::measured(&mut || crowd.go(0, pairs));
    crowd.empty();
}

/// Blocks with no room for 8 KiB, but for the middle one.
enum NearlyFull {
    Nothing(u64),
    Freestone { allocator: Box<freestone::Allocator>, pool: CustomPool, live: Vec<freestone::Allocation> },
    GpuAllocator { peer: Box<GpuAllocator>, live: Vec<<GpuAllocator as Peer>::Handle> },
}

impl NearlyFull {
    fn new(peer: &str, driver: &Driver, count: usize) -> Self {
        match peer {
            "freestone" => {
                let allocator = Box::new(own::open(driver));
                let info = PoolCreateInfo::for_memory_type(0).block_size(64 * KIB);
                let pool = allocator.create_pool(&info).expect("there is memory");
                let info = AllocationCreateInfo::gpu_only().pool(&pool);
                let request = |size| own::requirements(&Request::new(size, 256, Class::Device, true));
                let fill = |size| allocator.allocate(&request(size), &info).expect("the driver has room");
                let live =
                    (0..count).map(|index| if index == count / 2 { 48 * KIB } else { 60 * KIB }).map(fill).collect();
                Self::Freestone { allocator, pool, live }
            }
            // It has no pools: its own blocks of 256 MiB.
            "gpu-allocator" => {
                let mut peer = Box::new(GpuAllocator::new(driver));
                let mut fill =
                    |size| peer.allocate(&Request::new(size, 256, Class::Device, true)).expect("the driver has room");
                let nearly = 256 * MIB - 4 * KIB;
                let size = |index| if index == count / 2 { nearly - 12 * KIB } else { nearly };
                let live = (0..count).map(size).map(&mut fill).collect();
                Self::GpuAllocator { peer, live }
            }
            _ => Self::Nothing(0),
        }
    }

    fn pairs(&mut self, count: usize) {
        let request = Request::new(8 * KIB, 256, Class::Device, true);
        match self {
            Self::Nothing(sum) => {
                for _ in 0..count {
                    *sum = core::hint::black_box(*sum).wrapping_add(request.size);
                }
            }
            Self::Freestone { allocator, pool, .. } => {
                let (request, info) = (own::requirements(&request), AllocationCreateInfo::gpu_only().pool(pool));
                for _ in 0..count {
                    let handle = allocator.allocate(&request, &info).expect("the middle block has room");
                    assert!(allocator.free(handle).is_ok(), "an allocation of this allocator");
                }
            }
            Self::GpuAllocator { peer, .. } => {
                for _ in 0..count {
                    let handle = peer.allocate(&request).expect("the middle block has room");
                    peer.free(handle);
                }
            }
        }
    }

    fn empty(self) {
        match self {
            Self::Nothing(_) => (),
            Self::Freestone { allocator, pool, live } => {
                for handle in live {
                    assert!(allocator.free(handle).is_ok(), "an allocation of this allocator");
                }
                assert!(allocator.destroy_pool(pool).is_ok(), "nothing of it is alive");
            }
            Self::GpuAllocator { mut peer, live } => live.into_iter().for_each(|handle| peer.free(handle)),
        }
    }

    fn time(peer: &str, count: usize) -> f64 {
        let driver = Driver::new(Objects::UnlimitedAndVast);
        let mut blocks = Self::new(peer, &driver, count);
        let objects = driver.control().memory_object_count();
        assert_eq!(objects as usize, count, "each of the first resources has a block of its own");
        let pairs = if peer == "freestone" { 5000 } else { 100 };
        blocks.pairs(pairs);
        let times = (0..21).map(|_| {
            let start = cpu_ns();
            blocks.pairs(pairs);
            (cpu_ns() - start) / pairs as f64
        });
        let ns = median(&mut times.collect::<Vec<_>>());
        assert_eq!(driver.control().memory_object_count() as usize, count, "no block was opened");
        blocks.empty();
        ns
    }

    fn count(peer: &str, count: usize, pairs: usize) {
        let driver = Driver::new(Objects::UnlimitedAndVast);
        let mut blocks = Self::new(peer, &driver, count);
        callgrind::measured(&mut || blocks.pairs(pairs));
        blocks.empty();
    }
}
