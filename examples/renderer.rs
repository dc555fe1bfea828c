//! A renderer on suballocated memory, with a window: a quarry in the evening sun.
//!
//! | what | lives in |
//! |---|---|
//! | meshes, some hundred | an `Arena`: ranges of one buffer |
//! | textures | images of the allocator's blocks, filled by the `Uploader` with all their levels |
//! | camera, poses, letters | a `FrameRing`, written anew for each frame |
//! | shadow map, samples, light, bloom chain | `TransientMemory`: they share bytes where their lives do not overlap |
//! | what goes while the GPU may still use it | a `RetireQueue` |
//!
//! Sites near the camera are made in full detail and brought in while frames are drawn; those far away give theirs up.
//!
//! ```text
//!   cargo run --release --features sim --example renderer
//!       [-- --size WIDTHxHEIGHT] [--seed N] [--start SECONDS] [--frames N] [--screenshot FILE] [--exercise]
//!           [--require-validation]
//! ```
//!
//! With `--frames` the scene's time is counted in frames, 60 to a second, and the program ends after the last, whose
//! picture `--screenshot` keeps. `--exercise`, which takes 60 frames or more, resizes the window three times, takes it
//! to be minimised for a while (see `renderer/exercise.rs` for what that means), and fails if a steady frame calls the
//! driver's memory functions or the heap. Escape closes the window. It needs Vulkan 1.3, and runs under the validation
//! layers where they are installed.

#![expect(clippy::print_stdout, reason = "an example speaks to its user")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a picture is made of small numbers"
)]

#[path = "renderer/commands.rs"]
mod commands;
#[path = "renderer/exercise.rs"]
mod exercise;
#[path = "renderer/font.rs"]
mod font;
#[path = "renderer/frames.rs"]
mod frames;
mod headless;
#[path = "renderer/heap.rs"]
mod heap;
#[path = "renderer/matrix.rs"]
mod matrix;
#[path = "renderer/meshes.rs"]
mod meshes;
#[path = "renderer/noise.rs"]
mod noise;
#[path = "renderer/options.rs"]
mod options;
#[path = "renderer/overlay.rs"]
mod overlay;
#[path = "renderer/passes.rs"]
mod passes;
#[path = "renderer/pipelines.rs"]
mod pipelines;
#[path = "renderer/recipe.rs"]
mod recipe;
#[path = "renderer/renderer.rs"]
mod renderer;
#[path = "renderer/scene.rs"]
mod scene;
#[path = "renderer/screenshot.rs"]
mod screenshot;
#[path = "renderer/shapes.rs"]
mod shapes;
#[path = "renderer/streaming.rs"]
mod streaming;
#[path = "renderer/swapchain.rs"]
mod swapchain;
#[path = "renderer/targets.rs"]
mod targets;
#[path = "renderer/texture_sets.rs"]
mod texture_sets;
#[path = "renderer/textures.rs"]
mod textures;
#[path = "compute/vector.rs"]
#[expect(dead_code, reason = "the other example blends vectors, too")]
mod vector;
#[path = "renderer/window.rs"]
mod window;
#[path = "renderer/works.rs"]
mod works;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use freestone::Allocator;
use freestone::ash::vk;

use exercise::Exercise;
use headless::Vulkan;
use headless::vulkan::{Counter, Headless, Program};
use options::Options;
use renderer::{Keep, Renderer};
use window::{Next, Surface, Window};

/// Opens the window and the device, and draws until it is over.
fn start(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let mut window = Window::open(options.size)?;
    let device = Headless::load_with(Program::Renderer, options.layers, &window.extensions()?)?;
    Ok(headless::run_on(device, options.layers, |device| {
        let enabled = &device.enabled;
        if !(enabled.dynamic_rendering && enabled.synchronization2) {
            return Err(format!("{} has no Vulkan 1.3", enabled.device_name).into());
        }
        // Counts what the driver is asked for below the allocator, for `--exercise`.
        let counter = Counter::new(&device.instance.entry, &device.instance.raw, &device.device, 1);
        let vulkan = Vulkan { instance: &counter.instance, ..Vulkan::of(device) };
        run(&vulkan, &counter, &mut window, options)
    }))
}

fn run(vulkan: &Vulkan<'_>, counter: &Counter, window: &mut Window, options: &Options) -> Result<(), Box<dyn Error>> {
    // SAFETY: the device is destroyed after everything in this function; what is declared was enabled on it.
    let allocator = unsafe { Allocator::new(vulkan.allocator_info()) }?;
    println!("on {}", allocator.properties().device_name);
    let surface = Surface::new(vulkan, window)?;
    let mut renderer = Renderer::new(vulkan, &allocator, &surface, options.seed)?;
    let mut exercise =
        options.frame_count.filter(|_| options.is_exercise).map(|count| Exercise::new(count, options.size));

    let start = Instant::now();
    let (mut frame, mut drawn_extent) = (0, vk::Extent2D::default());
    while options.frame_count.is_none_or(|count| frame < count) && window.pump() == Next::Draw {
        let extent = match &mut exercise {
            Some(exercise) => exercise.before(frame, window),
            None => window.extent(),
        };
        if extent != drawn_extent {
            renderer.note_change();
            drawn_extent = extent;
        }
        let is_kept = options.frame_count == Some(frame + 1) && options.screenshot.is_some();
        let keep = if is_kept { Keep::Picture } else { Keep::Nothing };
        let before = counter.count();
        let drawn = renderer.draw(options.time(frame, start.elapsed().as_secs_f32()), extent, keep)?;
        if let Some(exercise) = &mut exercise {
            exercise.after(frame, &drawn, renderer.extent(), counter.count().since(&before))?;
        }
        if !drawn.is_shown {
            window.nap();
        }
        // The frame whose picture is wanted is drawn again where the window has changed under it.
        frame += u32::from(drawn.is_shown || !is_kept);
    }
    let seconds = start.elapsed().as_secs_f32();
    println!("{frame} frames in {seconds:.1} s, {:.1} ms each", seconds * 1000.0 / frame.max(1) as f32);
    if let Some(exercise) = exercise {
        println!("exercised: {}", exercise.finish()?);
    }
    if let Some(path) = &options.screenshot {
        renderer.write_screenshot(path)?;
        println!("picture: {}", path.display());
    }
    drop(renderer);
    everything_is_back(&allocator)
}

/// Checks that nothing is left in the allocator.
fn everything_is_back(allocator: &Allocator) -> Result<(), Box<dyn Error>> {
    allocator.trim();
    let left = allocator.statistics().total;
    if (left.allocation_count, left.reserved_bytes()) == (0, 0) {
        return Ok(());
    }
    Err(format!("not everything was given back: {left:?}").into())
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
    start(&options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
