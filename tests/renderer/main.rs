//! The example `renderer`, run in a window without a screen: it exercises itself under the validation layers, and its
//! last picture is what it should be: at named points, and as a whole, beside a thumbnail that somebody has looked at.
//!
//! The thumbnail is written anew by `FREESTONE_UPDATE_GOLDEN=1 cargo test --test renderer` alone. Look at it then.
//!
//! Where there is no driver, no layer or no Xvfb it says so and passes, unless `FREESTONE_REQUIRE_DRIVERS` is set.
//! Other drivers than lavapipe have other heaps to show and round differently: there the example exercises itself, and
//! its picture is not compared, which is said too.

mod picture;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use picture::{Colour, Picture};

const FRAMES: &str = "90";
const SIZE: (usize, usize) = (640, 360);
/// A thumbnail's texel is the mean of so many pixels across and down.
const CELL: usize = 10;
/// Each channel of the thumbnail may be off by so much. Between two versions of lavapipe it was 3; a stone that is
/// missing, a shadow that falls elsewhere or an overlay without its paper moves some by 20 and more.
const CELL_TOLERANCE: u8 = 10;
/// All channels together may be off by so much on average; between two versions of lavapipe it was 0.04.
const MEAN_TOLERANCE: f64 = 1.0;
/// The reasons for which an example does not run at all here.
const ABSENCES: [&str; 5] = ["no Xvfb", "no driver", "no Vulkan loader", "no validation layers", "no display"];

/// What is to be seen at a point, within `off` of 255 on each channel. Each is the mean of five by five pixels.
struct Probe {
    what: &'static str,
    at: (usize, usize),
    is: Colour,
    off: u8,
}

const PROBES: [Probe; 10] = [
    Probe { what: "the sky", at: (560, 30), is: [209, 201, 199], off: 6 },
    Probe { what: "a ledge in the haze", at: (440, 90), is: [138, 119, 105], off: 8 },
    Probe { what: "the water", at: (330, 250), is: [73, 114, 130], off: 10 },
    Probe { what: "a lintel in the sun", at: (135, 205), is: [222, 198, 172], off: 10 },
    Probe { what: "the lintel's shaded side", at: (170, 222), is: [73, 55, 54], off: 10 },
    Probe { what: "a course of sandstone", at: (570, 245), is: [132, 108, 75], off: 12 },
    Probe { what: "a flame, with its bloom", at: (360, 289), is: [252, 245, 211], off: 10 },
    Probe { what: "the mast of a derrick", at: (507, 190), is: [71, 50, 36], off: 10 },
    Probe { what: "the overlay's paper", at: (90, 116), is: [57, 52, 48], off: 6 },
    Probe { what: "live bytes in a heap's bar", at: (60, 34), is: [236, 164, 86], off: 2 },
];

#[test]
fn the_picture_is_the_one_that_was_looked_at() {
    let Some(path) = run() else { return };
    let picture = Picture::read(&path);
    std::fs::remove_file(&path).expect("it was read");
    assert_eq!((picture.width, picture.height), SIZE);
    for Probe { what, at, is, off } in PROBES {
        let seen = picture.mean(at, (5, 5));
        assert!(picture::distance(seen, is) <= off, "{what} at {at:?} is {seen:?}, and not {is:?}");
    }
    compare(&picture.shrunk(CELL));
}

/// Compares a thumbnail with the golden one, or replaces that if asked to.
fn compare(thumbnail: &Picture) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/renderer/golden.png");
    if std::env::var_os("FREESTONE_UPDATE_GOLDEN").is_some() {
        thumbnail.write(&golden);
        return;
    }
    let golden = Picture::read(&golden);
    assert_eq!((golden.width, golden.height), (thumbnail.width, thumbnail.height));
    let pairs = || golden.pixels.iter().zip(&thumbnail.pixels);
    let worst = pairs().enumerate().max_by_key(|(_, (a, b))| picture::distance(**a, **b)).expect("it has pixels");
    let (index, (expected, seen)) = worst;
    let at = (index % golden.width * CELL, index / golden.width * CELL);
    assert!(picture::distance(*expected, *seen) <= CELL_TOLERANCE, "around {at:?} is {seen:?}, and not {expected:?}");
    let sum: u32 = pairs().map(|(a, b)| picture::total_distance(*a, *b)).sum();
    let count = u32::try_from(3 * golden.pixels.len()).expect("a small picture");
    let mean = f64::from(sum) / f64::from(count);
    assert!(mean <= MEAN_TOLERANCE, "on average the channels are off by {mean}");
}

/// Builds and runs the example; returns where its picture is, or `None` where there is none to compare.
fn run() -> Option<PathBuf> {
    let path = std::env::temp_dir().join(format!("freestone-renderer-{}.png", std::process::id()));
    // Tests of one file do not build examples. Cargo has finished building, and its lock is free.
    let example = ["--all-features", "--example", "renderer"];
    let built = command(env!("CARGO")).arg("build").arg("-q").args(example).output().expect("cargo runs");
    assert!(built.status.success(), "{}", text(&built));
    let (width, height) = SIZE;
    let ran = command("scripts/with-display")
        .args([env!("CARGO"), "run", "-q"])
        .args(example)
        .args(["--", "--size", &format!("{width}x{height}"), "--frames", FRAMES, "--exercise", "--require-validation"])
        .arg("--screenshot")
        .arg(&path)
        .output()
        .expect("scripts/with-display runs");
    let said = text(&ran);
    if ran.status.success() {
        assert!(said.contains("The validation layers listened and had nothing to say."), "{said}");
        assert!(said.contains("exercised: 3 resizes"), "{said}");
        let is_comparable = said.contains("on llvmpipe");
        return if is_comparable { Some(path) } else { skip("it is compared on lavapipe alone") };
    }
    let absence = ABSENCES.into_iter().find(|absence| said.contains(absence));
    let Some(absence) = absence else { panic!("{said}") };
    assert!(std::env::var_os("FREESTONE_REQUIRE_DRIVERS").is_none(), "required here: {said}");
    skip(absence)
}

/// Says on the real stderr, which the test harness does not swallow, that the picture is not compared.
fn skip(reason: &str) -> Option<PathBuf> {
    writeln!(std::io::stderr(), "SKIPPED: the renderer's picture: {reason}").expect("stderr is open");
    None
}

fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

fn text(output: &Output) -> String {
    let both = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    both.concat()
}
