//! Put into the changed program: says which place is changed, or notes which places are reached.
#![allow(missing_docs, unreachable_pub)]

extern crate std; // the library without Vulkan does not name it

use std::format;
use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};

/// Nothing is known yet; nothing is changed, and what is reached is noted.
const UNKNOWN: u32 = u32::MAX;
const NOTING: u32 = u32::MAX - 1;

static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
static REACHED: [AtomicU8; 1 << 15] = [const { AtomicU8::new(0) }; 1 << 15];

/// Returns the number of the mutant that is active if it is from `first` to `last`, else 0.
#[inline(always)]
pub fn at(first: u32, last: u32) -> u32 {
    let active = ACTIVE.load(Relaxed);
    if active >= NOTING {
        return noted(first, last);
    }
    if first <= active && active <= last { active } else { 0 }
}

#[cold]
#[inline(never)]
fn noted(first: u32, last: u32) -> u32 {
    if ACTIVE.load(Relaxed) == UNKNOWN {
        let active = std::env::var("MUTANT").map_or(0, |number| number.parse().expect("a number"));
        ACTIVE.store(if std::env::var_os("MUTANTS_REACHED").is_some() { NOTING } else { active }, Relaxed);
        return at(first, last);
    }
    if REACHED[first as usize].swap(1, Relaxed) == 0 {
        static LIST: OnceLock<Mutex<File>> = OnceLock::new();
        let list = LIST.get_or_init(|| {
            let path = std::env::var_os("MUTANTS_REACHED").expect("a path");
            Mutex::new(File::options().create(true).append(true).open(path).expect("a file that can be written"))
        });
        let line = format!("{first} {last}\n");
        list.lock().expect("nobody panics here").write_all(line.as_bytes()).expect("a file that can be written");
    }
    0
}
