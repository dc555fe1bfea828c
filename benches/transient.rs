//! Plans frames of 200 transients each and says how long one takes. `cargo bench --bench transient`
//!
//! Every plan is checked against the bound, and against resources that overlap, before anything is timed. Times are of
//! a whole plan: checks, groups, placement and takeovers. Each frame is timed once more for each round, and its fastest
//! round counts: what else runs on the machine is not the planner's.

use std::time::{Duration, Instant};

use ash::vk;
use freestone::{AllocationRequirements, DeviceAddress, Kind, TransientPlan, TransientRequest};

const FRAMES: u64 = 500;
const ROUNDS: usize = 9;
const KIB: u64 = 1 << 10;

/// splitmix64, as in the tests.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.below(of.len() as u64)).expect("small")]
    }
}

/// Generates a frame: render targets of one resolution and its halves, most alive for a few passes.
fn frame(seed: u64, count: u64) -> Vec<TransientRequest> {
    let mut random = Random(seed);
    let (width, height) = random.pick(&[(1280, 720), (1920, 1080), (2560, 1440), (3840_u64, 2160_u64)]);
    let passes = (count * (2 + random.below(4)) / 4).max(8);
    let mut request = || {
        let half = random.pick(&[0, 0, 0, 1, 1, 2, 3, 4]);
        let size = (width >> half) * (height >> half) * random.pick(&[1, 2, 4, 4, 4, 4, 8, 8, 8, 16]);
        let first = random.below(passes);
        let length = if random.below(10) == 0 { random.below(passes) } else { 1 + random.below(5) };
        let last = (first + length).min(passes - 1);
        let uses = u32::try_from(first).expect("small")..=u32::try_from(last).expect("small");
        let memory = vk::MemoryRequirements {
            size: size.next_multiple_of(64 * KIB),
            alignment: 64 * KIB,
            memory_type_bits: random.pick(&[0b0111, 0b0011]),
        };
        TransientRequest::new(AllocationRequirements::new(memory, Kind::NonLinear, DeviceAddress::NotNeeded), uses)
    };
    (0..count).map(|_| request()).collect()
}

/// Checks a plan, and returns its bytes as parts of the bound.
fn check(requests: &[TransientRequest]) -> f64 {
    let plan = TransientPlan::new(requests, 1).expect("sound requests");
    for (a, (one, here)) in requests.iter().zip(plan.placements()).enumerate() {
        for (other, there) in requests.iter().zip(plan.placements()).skip(a + 1) {
            let is_alive_with = one.first_use <= other.last_use && other.first_use <= one.last_use;
            let is_apart = here.offset + here.size <= there.offset || there.offset + there.size <= here.offset;
            assert!(here.page != there.page || is_apart || !is_alive_with, "{here:?} and {there:?}");
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a ratio to four digits")]
    let ratio = plan.bytes() as f64 / plan.bound() as f64;
    ratio
}

fn fastest(requests: &[TransientRequest]) -> Duration {
    let time = |_| {
        let start = Instant::now();
        let plan = TransientPlan::new(std::hint::black_box(requests), 1);
        std::hint::black_box(&plan);
        start.elapsed()
    };
    (0..ROUNDS).map(time).min().unwrap_or_default()
}

#[expect(clippy::print_stdout, reason = "a bench prints")]
fn main() {
    println!(
        "resources   plan: median       worst   bytes / bound: mean    worst   ({FRAMES} frames, fastest of {ROUNDS} rounds)"
    );
    for count in [30, 100, 200] {
        let frames: Vec<_> = (1..=FRAMES).map(|seed| frame(seed, count)).collect();
        let ratios: Vec<f64> = frames.iter().map(|requests| check(requests)).collect();
        let mut times: Vec<Duration> = frames.iter().map(|requests| fastest(requests)).collect();
        times.sort_unstable();
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        let (median, worst) = (micros(times[times.len() / 2]), micros(times[times.len() - 1]));
        let worst_ratio = ratios.iter().copied().fold(0.0, f64::max);
        #[expect(clippy::cast_precision_loss, reason = "a mean to four digits")]
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        println!("{count:9} {median:12.1} us {worst:8.1} us {mean:21.4} {worst_ratio:8.4}");
    }
}
