//! A compute pipeline on suballocated memory, without a window: it paints a picture of the allocator's own blocks.
//!
//! A stone slab is a block of device memory, a stone on it an allocation: as wide as its bytes, the taller the older,
//! its colour says what it is for. Gaps are free ranges. Each stone's record has travelled through the very allocation
//! that it stands for before the shader sees it; while the light is gathered, allocations go on being made and freed.
//!
//! ```text
//!   cargo run --features sim --example compute [-- --out FILE] [--size WIDTHxHEIGHT] [--passes N] [--seed N]
//!                                                  [--require-validation]
//! ```
//!
//! N of `--passes` is a power of two up to 1024; width and height are 16 to 4096, and their product at most 4,000,000.
//!
//! The shaders (`shaders/*.wgsl`) are compiled by naga at start. Pixels are checked against the same algorithm on the
//! CPU. It runs under the validation layers where they are installed, and fails on a message.

#![expect(clippy::print_stdout, reason = "an example speaks to its user")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "a picture is made of small numbers"
)]

mod headless;
#[path = "compute/quarry.rs"]
mod quarry;
#[path = "compute/reference.rs"]
mod reference;
#[path = "compute/renderer.rs"]
mod renderer;
#[path = "compute/scene.rs"]
mod scene;
#[path = "compute/vector.rs"]
mod vector;

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use freestone::{Allocator, Statistics};

use headless::Vulkan;
use headless::vulkan::{Headless, Layers, Program, Unavailable};
use quarry::{Objects, Quarry};
use renderer::Renderer;
use scene::{Frame, Scene};

/// Steps that the quarry works before the picture is taken, and between two passes.
const STEPS_BEFORE: u32 = 4000;
const STEPS_BETWEEN: u32 = 40;
/// Passes where `--passes` does not say how many, and the seconds after which no further one begins.
const PASS_COUNT: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// Every so many pixels across and down, one is checked against the CPU.
const CHECK_EVERY: u32 = 16;
/// Two channels of 8 bits may differ by so much: sine, root and power are rounded differently.
const TOLERANCE: u8 = 3;
/// One pixel in so many may differ by more: a ray may pass an edge on the one and meet it on the other.
const STRAY_SHARE: usize = 50;

struct Options {
    out: PathBuf,
    size: (u32, u32),
    pass_count: Option<u32>,
    seed: u64,
    layers: Layers,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            out: std::env::temp_dir().join("freestone-compute.png"),
            size: (1280, 720),
            pass_count: None,
            seed: 12,
            layers: headless::layers_wanted(arguments),
        };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            if name == "--require-validation" {
                continue;
            }
            let value = arguments.next().ok_or_else(|| format!("{name} is no option, or lacks its value"))?;
            let unreadable = || format!("{name} {value}: no such option, or no such value");
            match name.as_str() {
                "--out" => options.out = PathBuf::from(value),
                "--size" => options.size = size_of_picture(value).ok_or_else(unreadable)?,
                "--passes" => options.pass_count = Some(power_of_two(value).ok_or_else(unreadable)?),
                "--seed" => options.seed = value.parse().map_err(|_| unreadable())?,
                _ => return Err(unreadable()),
            }
        }
        Ok(options)
    }
}

/// Reads `WIDTHxHEIGHT`, at most four million pixels.
fn size_of_picture(text: &str) -> Option<(u32, u32)> {
    let (width, height) = text.split_once('x')?;
    let (width, height) = (width.parse().ok()?, height.parse().ok()?);
    let is_possible = (16..=4096).contains(&width) && (16..=4096).contains(&height) && width * height <= 4_000_000;
    is_possible.then_some((width, height))
}

fn power_of_two(text: &str) -> Option<u32> {
    text.parse().ok().filter(|count: &u32| count.is_power_of_two() && *count <= 1024)
}

fn run(vulkan: &Vulkan<'_>, options: &Options) -> Result<(), Box<dyn Error>> {
    let objects = Objects::default();
    let info = vulkan.allocator_info().memory_callbacks(objects.callbacks());
    // SAFETY: the device is destroyed after everything in this function; what is declared was enabled on it.
    let allocator = unsafe { Allocator::new(info) }?;
    println!("on {}", allocator.properties().device_name);

    let mut quarry = Quarry::new(&allocator, options.seed);
    quarry.work(STEPS_BEFORE)?;
    let scene = Scene::of(quarry.blocks(&objects));
    report("when the picture was taken", &allocator.statistics());

    let pass_count = options.pass_count.unwrap_or(PASS_COUNT);
    let frame = scene.frame(options.size, pass_count);
    let mut renderer = Renderer::new(vulkan, &allocator, &scene, frame)?;
    quarry.carry(vulkan, &scene, renderer.stones())?;
    let (start, mut passes) = (Instant::now(), 0);
    while passes < pass_count && (options.pass_count.is_some() || start.elapsed() < PATIENCE) {
        quarry.work(STEPS_BETWEEN)?;
        renderer.add_pass(passes)?;
        passes += 1;
    }
    println!("{passes} passes of {pass_count} in {:.1} s", start.elapsed().as_secs_f64());
    let pixels = renderer.develop()?;
    report("when it was painted", &allocator.statistics());

    check(&scene, &Frame { pass_index: passes, ..frame }, &pixels)?;
    write_png(&options.out, options.size, &pixels)?;
    drop((renderer, quarry));
    allocator.trim();
    let left = allocator.statistics().total;
    if (left.allocation_count, left.reserved_bytes()) != (0, 0) {
        return Err(format!("not everything was given back: {left:?}").into());
    }
    println!("picture: {}", options.out.display());
    Ok(())
}

/// Prints what the allocator holds.
fn report(when: &str, statistics: &Statistics) {
    let total = &statistics.total;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "{when}: {} allocations ({:.1} MiB) in {} blocks and {} dedicated objects ({:.1} MiB); {} allocations so far",
        total.allocation_count,
        mib(total.allocation_bytes),
        total.block_count,
        total.dedicated_count,
        mib(total.reserved_bytes()),
        total.allocated_count,
    );
}

/// Compares some pixels with the CPU's, after as many passes as the frame says.
fn check(scene: &Scene, frame: &Frame, pixels: &[u32]) -> Result<(), String> {
    let lines: Vec<u32> = (CHECK_EVERY / 2..frame.height).step_by(CHECK_EVERY as usize).collect();
    let columns: Vec<u32> = (CHECK_EVERY / 2..frame.width).step_by(CHECK_EVERY as usize).collect();
    let strays_in = |y: u32| {
        let differs = |x: u32| {
            let [red, green, blue, _] = pixels[(y * frame.width + x) as usize].to_le_bytes();
            let expected = reference::pixel(scene, frame, x, y);
            expected.iter().zip([red, green, blue]).any(|(a, b)| a.abs_diff(b) > TOLERANCE)
        };
        columns.iter().filter(|&&x| differs(x)).count()
    };
    let thread_count = std::thread::available_parallelism().map_or(1, usize::from);
    let strays: usize = std::thread::scope(|scope| {
        let share = |part: usize| lines.iter().skip(part).step_by(thread_count).map(|&y| strays_in(y)).sum::<usize>();
        let workers: Vec<_> = (0..thread_count).map(|part| scope.spawn(move || share(part))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or(usize::MAX / thread_count)).sum()
    });
    let count = lines.len() * columns.len();
    if strays > count / STRAY_SHARE {
        return Err(format!("{strays} of {count} pixels differ from the CPU's by more than {TOLERANCE} of 255"));
    }
    println!("{count} pixels compared with the CPU's: {} within {TOLERANCE} of 255", count - strays);
    Ok(())
}

fn write_png(path: &Path, (width, height): (u32, u32), pixels: &[u32]) -> Result<(), Box<dyn Error>> {
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let bytes: Vec<u8> = pixels.iter().flat_map(|pixel| pixel.to_le_bytes().into_iter().take(3)).collect();
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::from(2);
        }
    };
    match Headless::load(Program::Compute, options.layers) {
        Ok(device) => headless::run_on(device, options.layers, |device| run(&Vulkan::of(device), &options)),
        Err(reason) => {
            let hint = match reason {
                Unavailable::NoLoader(_) | Unavailable::NoDriver => "; scripts/vulkan-setup installs a software driver",
                _ => "",
            };
            eprintln!("error: {reason}{hint}");
            ExitCode::FAILURE
        }
    }
}
