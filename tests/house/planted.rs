//! Planted violations: each rule is broken once in every way one might break it, and must notice.

use crate::rules::faults;
use crate::source::Source;

const LIB: &str =
    "mod sync; mod suballocator; mod device; mod memory_type; mod allocator; mod upload; mod arena; mod sim;
    pub use ash; pub use allocator::Allocator; pub use crate::device::{Features as Declared, Memory};";
const SAFE: &str = "#![forbid(unsafe_code)]\n";

fn source(path: &str, text: &str) -> Source {
    Source { path: path.to_owned(), text: text.to_owned() }
}

/// Returns the faults of a small house with one more file in it.
fn faults_with(path: &str, text: &str) -> Vec<String> {
    let rooms = ["sync", "suballocator", "device", "memory_type", "allocator", "upload", "arena", "sim"];
    let mut sources = vec![source("lib.rs", LIB)];
    for room in rooms {
        sources.push(source(&format!("{room}/mod.rs"), SAFE));
    }
    sources.retain(|source| source.path != path);
    sources.push(source(path, text));
    faults(&sources)
}

fn assert_caught(path: &str, text: &str, expected: &str) {
    let faults = faults_with(path, text);
    assert!(faults.iter().any(|fault| fault.starts_with(path) && fault.contains(expected)), "{text}: {faults:?}");
}

fn assert_clean(path: &str, text: &str) {
    let faults = faults_with(path, text);
    assert!(faults.is_empty(), "{text}: {faults:?}");
}

#[test]
fn imports_that_go_down_are_clean() {
    for text in [
        "use crate::device::Memory; use crate::sync::Mutex;",
        "use super::super::device;",
        "use crate::{Declared, Memory as M}; use std::sync::Arc;",
        "mod inner { use super::super::x::y; use super::Thing; }",
        "fn f() -> crate::device::Memory { assert!(crate::device::ok(), \"crate::allocator::no\"); u64::MAX.into() }",
        "pub(in crate::memory_type) struct S; // crate::allocator, unsafe",
    ] {
        assert_clean("memory_type/selection.rs", text);
    }
    assert_clean("suballocator/slab.rs", "use core::sync::atomic::AtomicU64; use alloc::vec::Vec; use super::Request;");
    assert_clean("bin/freestone/main.rs", "use freestone::Allocator; fn main() { unsafe { f() } }");
}

#[test]
fn upward_imports_are_caught() {
    for text in [
        "use crate::allocator::Allocator;",
        "use crate::{device::{self, Memory}, allocator::{ladder as l}};",
        "use super::super::allocator;",
        "use super::super::{sync, allocator::request};",
        "fn f() { self::super::super::allocator::go(); }",
        "fn f(a: &crate::allocator::Allocator) {}",
        "fn f(a: Box<dyn Fn(crate::allocator::Allocator)>) {}",
        "impl crate::allocator::Hook for S {}",
        "fn f() { if let crate::allocator::Kind::A = x {} }",
        "mod inner { mod deeper { use super::super::super::super::allocator::X; } }",
        "use crate::Allocator;",
        "use crate::{Allocator as A};",
        "fn f() { crate::Allocator::new(); }",
        "fn f() { assert_eq!(1, crate::allocator::LIMIT); }",
        "macro_rules! m { () => { $crate::allocator::go() }; }",
        "fn f() { log!(\"{}\", super::super::allocator::name()); }",
        "#[cfg(test)] mod tests { use crate::allocator::Allocator; }",
    ] {
        assert_caught("memory_type/selection.rs", text, "an upward import: allocator");
    }
}

#[test]
fn sideways_imports_are_caught() {
    assert_caught("upload/mod.rs", "#![forbid(unsafe_code)] use crate::arena::Arena;", "a sideways import: arena");
    assert_caught("upload/ring.rs", "use super::super::arena::Arena;", "a sideways import: arena");
}

#[test]
fn imports_that_hide_their_target_are_caught() {
    for text in [
        "use crate::*;",
        "use super::super::*;",
        "use crate as root;",
        "use crate::{self as root};",
        "extern crate self as root;",
        "m! { use crate::{sync, allocator}; }",
    ] {
        assert_caught("memory_type/selection.rs", text, "whole root");
    }
    assert_caught("memory_type/selection.rs", "use crate::Unknown;", "neither a room nor re-exported");
    assert_caught("memory_type/selection.rs", "use freestone::Allocator;", "from outside");
}

#[test]
fn the_room_apart_stays_apart() {
    assert_caught("sim/handle.rs", "use crate::sync::Mutex;", "imports nothing of the crate");
    assert_caught("sim/handle.rs", "use crate::Memory;", "imports nothing of the crate");
    assert_caught("device/memory.rs", "use crate::sim::Profile;", "only tests may import sim");
    assert_clean("device/memory.rs", "#[cfg(test)] mod tests { use crate::sim::Profile; }");
    assert_clean("sim/handle.rs", "use std::sync::Mutex; use super::Profile;");
}

#[test]
fn a_file_declared_for_tests_may_use_the_room_apart() {
    let declaration = source("device/mod.rs", "#![forbid(unsafe_code)] #[cfg(test)] mod behaviour;");
    let room = |text| source("device/behaviour.rs", text);
    let apart = source("sim/mod.rs", SAFE);
    assert_eq!(faults(&[declaration, apart, room("use crate::sim::Profile;")]), Vec::<String>::new());
    let declaration = source("device/mod.rs", "#![forbid(unsafe_code)] mod behaviour;");
    let faults = faults(&[declaration, room("use crate::sim::Profile;")]);
    assert!(faults.iter().any(|fault| fault.contains("only tests may import sim")), "{faults:?}");
}

#[test]
fn the_pure_room_stays_pure() {
    for text in ["use ash::vk;", "fn f() { std::mem::drop(1) }", "use crate::ash::vk;", "fn f() { log::debug!(\"\") }"]
    {
        assert_caught("suballocator/tlsf.rs", text, "core and alloc only");
    }
    assert_caught("suballocator/tlsf.rs", "use crate::sync::Mutex;", "imports nothing of the crate");
    assert_clean("suballocator/tlsf.rs", "#[cfg(test)] mod tests { use std::collections::BTreeMap; }");
}

#[test]
fn locks_from_elsewhere_are_caught() {
    for text in [
        "use std::sync::Mutex;",
        "use std::{sync::{Arc, RwLock}};",
        "use core::sync::atomic::AtomicU32;",
        "fn f() { parking_lot::Mutex::new(1); }",
        "use std::sync;",
    ] {
        assert_caught("memory_type/budget.rs", text, "else than crate::sync");
    }
}

#[test]
fn unsafe_outside_its_rooms_is_caught() {
    for text in [
        "fn f() { unsafe { g() } }",
        "unsafe fn f() {}",
        "trait T { unsafe fn f(); }",
        "unsafe impl Send for S {}",
        "unsafe trait T {}",
        "unsafe extern \"C\" { fn f(); }",
        "extern \"C\" { fn f(); }",
        "#[unsafe(no_mangle)] fn f() {}",
        "fn f() { assert!(unsafe { g() }); }",
        "macro_rules! m { () => { unsafe { g() } }; }",
    ] {
        assert_caught("memory_type/budget.rs", text, "unsafe outside its rooms");
        assert_caught("allocator/ladder.rs", text, "unsafe outside its rooms");
    }
    assert_clean(
        "memory_type/budget.rs",
        "fn f() { let x = \"unsafe {\"; /* unsafe */ log!(r#\"unsafe\"#, '\"', \"\\\"unsafe\"); }",
    );
}

#[test]
fn a_room_says_what_it_thinks_of_unsafe() {
    assert_caught("memory_type/mod.rs", "fn f() {}", "does not say #![forbid(unsafe_code)]");
    assert_caught(
        "device/mod.rs",
        "#![forbid(unsafe_code)] fn f() { unsafe { g() } }",
        "does not say #![deny(unsafe_code)]",
    );
    assert_caught("allocator/mod.rs", "#![deny(unsafe_code)] fn f() {}", "does not say #![forbid(unsafe_code)]");
    assert_caught(
        "memory_type/mod.rs",
        "#![forbid(unsafe_code)] #[allow(unsafe_code)] fn f() {}",
        "allows unsafe_code",
    );
    let expected = "#![deny(unsafe_code)] #[expect(unsafe_code, reason = \"r\")] fn f() { unsafe { g() } }";
    assert_clean("device/mod.rs", expected);
}

#[test]
fn a_room_that_is_on_no_floor_is_caught() {
    assert_caught("util/mod.rs", SAFE, "is on no floor");
    assert_caught("macros.rs", SAFE, "is on no floor");
}

#[test]
fn logic_or_disorder_in_the_root_is_caught() {
    assert_caught("lib.rs", "mod device; fn f() {}", "no logic");
    assert_caught("lib.rs", "mod device; mod sync;", "stands above");
    assert_caught("lib.rs", "mod sim; mod sync;", "stands above");
    assert_caught("lib.rs", "mod device; pub use device::*;", "by name only");
    assert_caught("lib.rs", "mod device; use crate::{self as root};", "by name only");
    assert_clean("lib.rs", "#[cfg(doctest)] #[doc = include_str!(\"../README.md\")] struct Readme;");
}

#[test]
fn long_and_crowded_functions_are_caught() {
    let long = |lines: usize| {
        format!("struct S;\nimpl S {{\n fn f(&self) -> [u8; 4] {{\n{} }}\n}}", "  g('{');\n".repeat(lines))
    };
    assert_caught("memory_type/budget.rs", &long(70), "budget.rs:3: f has 72 lines");
    assert_clean("memory_type/budget.rs", &long(58));
    assert_caught("memory_type/budget.rs", &long(59), "f has 61 lines");
    let crowded = "fn f(a: A, b: A, c: A, d: A, e: A, g: A, h: A) {}";
    assert_caught("memory_type/budget.rs", crowded, "f has too many parameters");
    assert_clean("memory_type/budget.rs", &crowded.replacen("fn", "extern \"system\" fn", 1));
}

#[test]
fn a_comment_that_is_too_wide_is_caught() {
    let comment = |prefix: &str, width: usize| format!("{prefix}{}", "é".repeat(width - prefix.len()));
    for prefix in ["//! ", "/// ", "    // "] {
        let text = format!("{}\nfn f() {{}}", comment(prefix, 121));
        let found = faults_with("memory_type/budget.rs", &text).join("\n");
        assert!(found.contains("budget.rs:1: a comment of 121 columns"), "{found}");
    }
    let fenced = format!("//! ```text\n{}\n//! ```", comment("//! ", 200));
    let texts = [comment("//! ", 120), fenced, comment("//! |", 200)].map(|text| format!("{text}\n"));
    for text in &texts {
        assert_clean("memory_type/budget.rs", text);
    }
    assert_caught("memory_type/budget.rs", &format!("{}{}\n", texts[1], comment("//! ", 121)), "a comment of 121");
}

#[test]
fn a_file_that_is_no_rust_is_caught() {
    assert_caught("memory_type/budget.rs", "fn f() { let }", "expected");
}
