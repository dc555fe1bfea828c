//! The command-line tool on bad input: one clear line naming file and line, exit code 2, no panic; and its soak, which
//! takes the same steps for the same seed.
#![cfg(feature = "cli")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const GOOD: &str = "0,0,0,alloc,0,buffer,36,64,f,device,none,82,vertices\n";

fn freestone(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_freestone")).args(arguments).output().expect("the tool starts")
}

/// Replays a file of this content; the name is the test's own, so that tests do not meet.
fn replay(name: &str, content: &[u8]) -> (PathBuf, Output) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, content).expect("a writable folder");
    let output = freestone(&["replay", &file.to_string_lossy(), "--driver", "sim:discrete-rebar"]);
    (file, output)
}

/// Holds the output to the rule; returns the line without the file's name.
fn complaint(file: &Path, output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(output.stdout.is_empty() && !text.contains("panicked"), "{text}");
    let start = format!("error: {}:", file.display());
    text.strip_prefix(&start).unwrap_or_else(|| panic!("{text} does not begin with {start}")).trim().into()
}

#[track_caller]
fn expect(name: &str, content: &str, start: &str) {
    let (file, output) = replay(name, content.as_bytes());
    let complaint = complaint(&file, &output);
    assert!(complaint.starts_with(start), "{complaint} does not begin with {start}");
}

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces").join(name)
}

#[test]
fn a_missing_file() {
    let file = Path::new("no/such/trace.csv.zst");
    let output = freestone(&["replay", "no/such/trace.csv.zst"]);
    assert!(complaint(file, &output).starts_with("cannot be opened: "));
}

#[test]
fn a_folder() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = freestone(&["replay", &folder.to_string_lossy()]);
    assert!(complaint(folder, &output).contains("cannot be"));
}

#[test]
fn a_folder_with_the_name_of_a_file() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("folder.csv.zst");
    fs::create_dir_all(&folder).expect("a writable folder");
    let output = freestone(&["replay", &folder.to_string_lossy(), "--driver", "sim:unified"]);
    let complaint = complaint(&folder, &output);
    assert!(complaint.contains("cannot be") && !complaint.contains("damaged"), "{complaint}");
}

#[test]
fn the_bad_one_of_several() {
    let good = recorded("vkcube.csv.zst");
    let output = freestone(&["replay", &good.to_string_lossy(), "missing.csv"]);
    assert!(complaint(Path::new("missing.csv"), &output).starts_with("cannot be opened: "));
}

#[test]
fn truncated_zstandard_at_the_beginning_in_the_middle_and_at_the_end() {
    let whole = fs::read(recorded("vkcube.csv.zst")).expect("the recorded trace");
    for length in [0, 3, 20, whole.len() / 2, whole.len() - 1] {
        let (file, output) = replay(&format!("cut{length}.csv.zst"), &whole[..length]);
        let complaint = complaint(&file, &output);
        assert!(complaint.contains("the Zstandard data are cut off or damaged"), "{length}: {complaint}");
    }
}

#[test]
fn malformed_lines() {
    expect("word.csv", "hello\n", "1: 1 columns, but an event has 5");
    expect("short.csv", &format!("# head\n{GOOD}1,2,3,alloc,4\n"), "3: 5 columns, but an alloc line has 13");
    expect("long.csv", &GOOD.replace('\n', ",\n"), "1: 14 columns");
    expect("number.csv", &GOOD.replace(",36,", ",many,"), "1: column size: \"many\" is not a whole number");
    expect("op.csv", &GOOD.replace("alloc", "realloc"), "1: column op: \"realloc\"");
    expect("kind.csv", &GOOD.replace("buffer", "texture"), "1: column kind: \"texture\"");
    expect("class.csv", &GOOD.replace("device", "vram"), "1: column class: \"vram\"");
    expect("image.csv", &GOOD.replace("buffer", "image_optimal"), "1: column name: \"vertices\" is not an image");
}

#[test]
fn bytes_that_are_no_text() {
    let (file, output) = replay("binary.csv", b"\xff\xfe\x00\x01\n");
    assert!(complaint(&file, &output).starts_with("1: not text"));
    let (file, output) = replay("plain.csv.zst", GOOD.as_bytes());
    assert!(complaint(&file, &output).contains("the Zstandard data are cut off or damaged"));
}

#[test]
fn sizes_and_alignments_that_vulkan_has_not() {
    expect("size.csv", &format!("# head\n\n{}", GOOD.replace(",36,", ",0,")), "3: size 0 for id 0");
    expect("alignment.csv", &GOOD.replace(",64,", ",48,"), "1: alignment 48 for id 0 is no power of two");
    expect("alignment0.csv", &GOOD.replace(",64,", ",0,"), "1: alignment 0 for id 0");
}

#[test]
fn lines_that_contradict_each_other() {
    expect("unknown.csv", &format!("{GOOD}5,0,0,free,7\n"), "2: free of id 7, which no line above allocates");
    expect("double.csv", &format!("{GOOD}5,0,0,free,0\n6,0,0,free,0\n"), "3: free of id 0, which line 2 frees already");
    expect("twice.csv", &format!("{GOOD}{GOOD}"), "2: id 0 is used twice: line 1 allocates it already");
}

/// The number of a format that no simulated driver knows is asked about all the same: it falls back.
#[test]
fn formats_by_a_number_that_vulkan_has_not() {
    let image = |number: &str| {
        let description = format!("2d:format{number}:1x1x1:m1:l1:s1");
        GOOD.replace("buffer", "image_optimal").replace(",82,vertices", &format!(",6,{description}"))
    };
    for number in ["-2147483648", "-1", "2147483648"] {
        expect(&format!("format{number}.csv"), &image(number), &format!("1: column name: \"2d:format{number}:"));
    }
    let (_, output) = replay("format2147483647.csv", image("2147483647").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 of 1 fell back"), "{output:?}");
}

#[test]
fn no_events_and_another_version() {
    expect("empty.csv", "", "holds no event");
    expect("header.csv", "# freestone-trace 1\n", "holds no event");
    expect("version.csv", "# freestone-trace 9\n", "1: \"freestone-trace 9\" is not a format");
}

#[test]
fn wrong_arguments_are_2_too() {
    for arguments in [&["replay"][..], &[], &["replay", "x.csv", "--driver", "gpu"], &["play", "x.csv"]] {
        let output = freestone(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_simulated_profile_that_there_is_not_is_2() {
    let trace = recorded("vkcube.csv.zst");
    let trace = trace.to_string_lossy();
    for arguments in [&["replay", &trace, "--driver", "sim:card"][..], &["devices", "--driver", "sim:card"]] {
        let output = freestone(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.starts_with("error: there is no simulated profile \"card\"; there are discrete-rebar, "),
            "{text}"
        );
    }
}

#[test]
fn a_device_file_of_the_user_s_own() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own.device");
    let driver = format!("sim:{}", file.display());
    fs::write(&file, "name = own\nheap = 64 MiB DEVICE_LOCAL\nmemory = heap 0 DEVICE_LOCAL\n")
        .expect("a writable folder");
    let output = freestone(&["devices", "--driver", &driver]);
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("own (Vulkan 1.3)"), "{output:?}");
    fs::write(&file, "name = own\nheap = 64 pounds\n").expect("a writable folder");
    let output = freestone(&["devices", "--driver", &driver]);
    assert_eq!(complaint(&file, &output), "line 2: \"pounds\" is none of bytes, KiB, MiB, GiB");
    let unnamed = freestone(&["devices", "--driver", "sim:own.txt"]);
    assert!(String::from_utf8_lossy(&unnamed.stderr).contains("name of a device file ends in .device"), "{unnamed:?}");
    let missing = freestone(&["devices", "--driver", "sim:no/such.device"]);
    assert!(complaint(Path::new("no/such.device"), &missing).contains("os error 2"));
}

#[test]
fn a_device_file_of_any_version() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("old.device");
    let driver = format!("sim:{}", file.display());
    let trace = recorded("vkcube.csv.zst").to_string_lossy().into_owned();
    for version in ["1.0", "1.0\nextensions = VK_KHR_dedicated_allocation", "1.1", "1.2", "1.3"] {
        let text = format!("name = old\nvulkan = {version}\nheap = 1 GiB DEVICE_LOCAL\n");
        fs::write(&file, text + "memory = heap 0 DEVICE_LOCAL HOST_VISIBLE HOST_COHERENT\n")
            .expect("a writable folder");
        let soak = ["soak", "--minutes", "5", "--steps", "300", "--driver", &driver];
        for arguments in [&["devices", "--driver", &driver][..], &["replay", &trace, "--driver", &driver], &soak] {
            let output = freestone(arguments);
            assert_eq!(output.status.code(), Some(0), "{version}: {arguments:?}: {output:?}");
        }
    }
}

#[test]
fn a_replay_writes_table_and_json() {
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vkcube.json");
    let (trace, file) = (recorded("vkcube.csv.zst"), json.to_string_lossy());
    let output = freestone(&["replay", &trace.to_string_lossy(), "--driver", "sim:unified", "--json", &file]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("vkcube"), "{output:?}");
    let records: serde_json::Value = serde_json::from_slice(&fs::read(&json).expect("written")).expect("JSON");
    let record = &records[0];
    let number = |name: &str| record[name].as_u64().unwrap_or_else(|| panic!("{name} in {record}"));
    assert_eq!((&record["trace"], &record["driver"]), (&"vkcube".into(), &"sim:unified".into()));
    assert_eq!((number("allocations"), number("frees"), number("created"), number("fell_back")), (5, 5, 5, 0));
    assert_eq!((number("violations"), number("validation_messages")), (0, 0));
    assert!(number("peak_reserved_bytes") >= number("peak_live_bytes") && number("driver_allocations") > 0);
    assert!(number("peak_reserved_pages_bytes") >= number("peak_reserved_bytes"));
    assert_eq!(number("reserved_after_trim_bytes"), 0);
    assert!(record["allocate_ns"]["p99"].is_u64() && record["free_ns"]["max"].is_u64() && number("driver_ops") > 0);
}

#[test]
fn a_json_file_that_cannot_be_written_is_2() {
    let trace = recorded("vkcube.csv.zst");
    let arguments = ["replay", &trace.to_string_lossy(), "--driver", "sim:unified", "--json", "no/such/folder/x.json"];
    let output = freestone(&arguments);
    let complaint = complaint(Path::new("no/such/folder/x.json"), &output);
    assert!(complaint.starts_with("cannot be written: ") && complaint.contains("check that its folder exists"));
}

/// Writes a trace of one buffer that no device has room for: its replay fails.
fn hopeless(name: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, GOOD.replace(",36,", ",99999999999999,")).expect("a writable folder");
    file
}

#[test]
fn bad_files_are_found_before_the_first_replay() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (first, second, statistics) =
        (hopeless("first.csv"), folder.join("second.csv"), folder.join("second.stats.json"));
    fs::write(&second, GOOD).expect("a writable folder");
    fs::write(&statistics, "none").expect("a writable folder");
    let [first, second] = [&first, &second].map(|file| file.to_string_lossy().into_owned());
    let output = freestone(&["replay", &first, &second, "--driver", "sim:unified"]);
    let complaint_of_statistics = complaint(&statistics, &output);
    assert!(complaint_of_statistics.starts_with("1: not the statistics of a trace"), "{complaint_of_statistics}");
    let output = freestone(&["replay", &first, "--driver", "sim:unified", "--json", "no/such/folder/x.json"]);
    assert!(complaint(Path::new("no/such/folder/x.json"), &output).starts_with("cannot be written: "));
}

#[test]
fn what_was_replayed_before_a_failure_is_shown() {
    let (good, bad) = (recorded("vkcube.csv.zst"), hopeless("later.csv"));
    let json = Path::new(env!("CARGO_TARGET_TMPDIR")).join("some.json");
    fs::write(&json, "0".repeat(9999)).expect("a writable folder");
    let [good, bad, file] = [&good, &bad, &json].map(|file| file.to_string_lossy().into_owned());
    let output = freestone(&["replay", &good, &bad, "--driver", "sim:unified", "--json", &file]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("vkcube"), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(&format!("error: {bad}:1: ")), "{output:?}");
    let records: serde_json::Value = serde_json::from_slice(&fs::read(&json).expect("written")).expect("JSON");
    assert_eq!(records.as_array().map(Vec::len), Some(1));
}

#[test]
fn a_request_that_nothing_can_serve_names_its_place() {
    let content = GOOD.replace(",36,", ",99999999999999,");
    let (file, output) = replay("huge.csv", content.as_bytes());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with(&format!("error: {}:1: buffer of id 0 failed: ", file.display())), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// Soaks for some steps; returns the exit code and the verdict, without the time that it took.
fn soak(arguments: &[&str]) -> (Option<i32>, String) {
    let output = freestone(&[&["soak"], arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (before, rest) = text.split_once(" steps in ").expect("a verdict");
    let (_, after) = rest.split_once("): ").expect("a verdict");
    (output.status.code(), format!("{before}: {after}"))
}

#[test]
fn a_soak_is_the_same_for_the_same_seed() {
    let run = |seed| soak(&["--driver", "sim:noncoherent", "--minutes", "5", "--steps", "600", "--seed", seed]);
    let (code, first) = run("7");
    assert_eq!(code, Some(0));
    assert!(first.starts_with("no finding: sim:noncoherent, seed 7, 1 threads, 1 episodes, 600: "), "{first}");
    assert!(!first.contains(", 0 driver calls failed") && !first.contains(" compared 0 times"), "{first}");
    assert_eq!(run("7").1, first);
    assert_ne!(run("8").1, first.replace("seed 7", "seed 8"));
}

#[test]
fn a_soak_of_several_threads_and_episodes() {
    let arguments = ["--driver", "sim:discrete-bar256", "--minutes", "5", "--steps", "4100", "--threads", "2"];
    let (code, verdict) = soak(&arguments);
    assert_eq!(code, Some(0));
    assert!(verdict.starts_with("no finding: sim:discrete-bar256, seed 1, 2 threads, 2 episodes, 8200: "), "{verdict}");
}

#[test]
fn a_soak_ends_with_its_time() {
    let started = Instant::now();
    let (code, verdict) = soak(&["--driver", "sim:unified", "--minutes", "0.01"]);
    assert!(started.elapsed() >= Duration::from_millis(600), "{verdict}");
    let episodes = verdict.strip_prefix("no finding: sim:unified, seed 1, 1 threads, ").expect("a verdict");
    let (episodes, _) = episodes.split_once(" episodes, ").expect("a verdict");
    assert!(code == Some(0) && episodes.parse::<u64>().is_ok_and(|count| count >= 1), "{verdict}");
}

/// Time too short for a single step, and steps that compare nothing, are no verdict.
#[test]
fn a_soak_that_did_nothing_is_no_soak() {
    let output = freestone(&["soak", "--minutes", "0.000000001", "--driver", "sim:unified"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{output:?}");
    assert!(text.starts_with("error: nothing was soaked: 0 steps, contents compared 0 times"), "{text}");
}

#[test]
fn steps_alone_are_not_ended_by_the_minute_of_a_soak_without_them() {
    let (code, verdict) = soak(&["--driver", "sim:unified", "--steps", "300"]);
    assert!(code == Some(0) && verdict.contains(", 1 episodes, 300: "), "{verdict}");
}

/// The layers listen to no simulated driver: who asks for them gets an answer, not a run without them.
#[test]
fn layers_cannot_be_required_of_a_simulated_driver() {
    let trace = recorded("vkcube.csv.zst").to_string_lossy().into_owned();
    let driver = ["--driver", "sim:unified", "--require-validation"];
    for command in [&["soak", "--steps", "300"][..], &["replay", &trace]] {
        let output = freestone(&[command, &driver].concat());
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.stdout.is_empty() && output.status.code() == Some(2), "{output:?}");
        assert!(text.starts_with("error: \"--require-validation\" is for real drivers"), "{text}");
    }
}

#[test]
fn what_cannot_be_soaked_is_2() {
    for arguments in [
        &["soak", "--minutes", "0"][..],
        &["soak", "--minutes", "-1"],
        &["soak", "--minutes", "inf"],
        &["soak", "--minutes", "soon"],
        &["soak", "--threads", "0"],
        &["soak", "--steps", "0"],
        &["soak", "--driver", "sim:card"],
    ] {
        let output = freestone(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(output.stdout.is_empty() && !text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_replay_of_nothing_leaves_older_records() {
    let (bad, json) = (hopeless("only.csv"), Path::new(env!("CARGO_TARGET_TMPDIR")).join("older.json"));
    fs::write(&json, "[1]").expect("a writable folder");
    let [bad, file] = [&bad, &json].map(|path| path.to_string_lossy().into_owned());
    let output = freestone(&["replay", &bad, "--driver", "sim:unified", "--json", &file]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read_to_string(&json).expect("still there"), "[1]");
    fs::remove_file(&json).expect("it is there");
    assert_eq!(freestone(&["replay", &bad, "--driver", "sim:unified", "--json", &file]).status.code(), Some(1));
    assert!(!json.exists(), "a file that nothing was written to is none");
}

/// Whatever the case of its ending, a trace has its statistics beside it; and no sum of theirs is too large.
#[test]
fn statistics_of_any_size_lie_beside_a_trace_of_any_ending() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let most = u64::MAX;
    let statistics = format!(
        r#"{{"app": "a", "allocs": 3, "frees": 1, "peak_live_bytes": 9,
        "app_device_memory": {{"vkAllocateMemory": {most}, "peak_live_objects": 2, "peak_live_bytes": {most}}}}}"#
    );
    let traces = ["upper1.csv.ZST", "upper2.CSV.zst"].map(|name| {
        let file = folder.join(name);
        fs::copy(recorded("vkcube.csv.zst"), &file).expect("a writable folder");
        fs::write(folder.join(format!("{}.stats.json", &name[..6])), &statistics).expect("a writable folder");
        file.to_string_lossy().into_owned()
    });
    let output = freestone(&["replay", &traces[0], &traces[1], "--driver", "sim:unified"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in ["upper1 ", "upper2 ", "all "] {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        assert!(line.contains(&most.to_string()), "{line}");
    }
}

/// A device without room for what one intent is asked about is shown nevertheless, and says so.
#[test]
fn an_intent_without_room_hides_no_other() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("narrow.device");
    let text = "name = narrow\nheap = 1 GiB DEVICE_LOCAL\nheap = 4 KiB\nmemory = heap 0 DEVICE_LOCAL\n";
    fs::write(&file, format!("{text}memory = heap 1 HOST_VISIBLE HOST_COHERENT\n")).expect("a writable folder");
    let driver = format!("sim:{}", file.display());
    let output = freestone(&["devices", "--driver", &driver]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for start in ["  gpu_only: type 0", "  upload: no memory for", "  readback: no memory for", "  transient: type 0"] {
        assert!(text.lines().any(|line| line.starts_with(start)), "{start:?} is not in\n{text}");
    }
}
