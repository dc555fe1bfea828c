//! The simulated driver behind the real loader (`examples/driver`): it judges programs that end without a word, too,
//! and takes the device that it is told, whatever bytes its name has.
//!
//! `scripts/with-driver` builds it. Where there is no loader the tests say so and pass, unless
//! `FREESTONE_REQUIRE_DRIVERS` is set. Linux only: elsewhere a file's name must be text.
#![cfg(all(target_os = "linux", feature = "cli"))]

#[path = "../src/bin/freestone/vulkan/mod.rs"]
mod vulkan;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output};

use ash::vk;
use vulkan::{Headless, Layers, Program};

/// Says to the test's own program that it is the one that ends without destroying anything, and what it does before.
const ENDING: &str = "FREESTONE_TEST_ENDING";

/// Tells whether there is a loader; where there is none, says so on the real stderr, which the test harness does not
/// swallow.
fn has_loader() -> bool {
    // SAFETY: the library found under the loader's well-known name is a Vulkan loader, whose initialisers are sound.
    let Err(error) = (unsafe { ash::Entry::load() }) else { return true };
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let said = writeln!(std::io::stderr(), "SKIPPED: {name}: no Vulkan loader: {error}");
    let is_required = std::env::var_os("FREESTONE_REQUIRE_DRIVERS").is_some();
    assert!(!is_required && said.is_ok(), "drivers are required here: {error}");
    false
}

/// Prepares a program's run on a simulated device behind the loader.
fn on(device: &OsStr, program: &Path) -> Command {
    let mut driver = OsString::from("sim:");
    driver.push(device);
    let mut command = Command::new("scripts/with-driver");
    command.arg(driver).args(["--layers", "none"]).arg(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("FREESTONE_ICD_LENIENT");
    command
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Ends the process with instance and device alive, with a mistake before or without.
fn end(is_wrong: bool) -> ! {
    let headless = Headless::load(Program::Test, Layers::Off).expect("the simulated driver");
    if is_wrong {
        // SAFETY: a buffer of no bytes is the mistake; the simulated driver notes it and does nothing else.
        let _ = unsafe { headless.device.create_buffer(&vk::BufferCreateInfo::default(), None) };
    }
    std::mem::forget(headless);
    std::process::exit(0)
}

#[test]
fn a_program_that_destroys_no_instance_is_judged_at_its_end() {
    if let Some(word) = std::env::var_os(ENDING) {
        end(word == "wrong");
    }
    if !has_loader() {
        return;
    }
    let own = std::env::current_exe().expect("the path of this program");
    let ending = |word: &str| {
        let mut command = on(OsStr::new("noncoherent"), &own);
        let name = "a_program_that_destroys_no_instance_is_judged_at_its_end";
        command.args(["--exact", name, "--nocapture"]).env(ENDING, word).output().expect("it starts")
    };
    let right = ending("right");
    assert_eq!(right.status.code(), Some(0), "{}", text(&right));
    let wrong = ending("wrong");
    assert_eq!(wrong.status.signal(), Some(libc::SIGABRT), "{}", text(&wrong));
    assert!(text(&wrong).contains("freestone_icd: VUID-VkBufferCreateInfo-size-00912"), "{}", text(&wrong));
}

#[test]
fn a_device_s_name_need_not_be_text() {
    if !has_loader() {
        return;
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(OsStr::from_bytes(b"odd-\xFF.device"));
    let tool = Path::new(env!("CARGO_BIN_EXE_freestone"));
    let devices = |device: &Path| on(device.as_os_str(), tool).args(["devices", "--driver", "real"]).output();
    let device = "name = odd\nheap = 1 GiB DEVICE_LOCAL\nmemory = heap 0 DEVICE_LOCAL HOST_VISIBLE HOST_COHERENT\n";
    fs::write(&file, device).expect("a writable folder");
    let shown = devices(&file).expect("it starts");
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown));
    let names: Vec<_> = text(&shown).lines().filter(|line| line.contains("(Vulkan ")).map(str::to_owned).collect();
    assert!(names.len() == 1 && names[0].starts_with("odd "), "{names:?}");
    let missing = devices(&file.with_extension("none")).expect("it starts");
    assert_ne!(missing.status.code(), Some(0), "{}", text(&missing));
    assert!(text(&missing).contains("no device of that name"), "{}", text(&missing));
}
