//! The rules. Each returns its faults as lines that name the file.

use crate::floors::{APART, NOT_PURE, PURE, floor, is_room, may_be_unsafe};
use crate::mentions::{Mention, Mentions, collect};
use crate::sizes;
use crate::source::Source;
use std::collections::BTreeMap;
use syn::{Item, UseTree};

/// What rustfmt.toml says of the code.
const MAX_COLUMNS: usize = 120;

/// What the crate's root re-exports by name: where each name comes from.
type Exports = BTreeMap<String, Vec<String>>;

/// Returns every fault of a source tree.
pub(crate) fn faults(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let exports = sources.iter().find(|source| source.path == "lib.rs").map(|root| root_faults(root, &mut faults));
    let exports = exports.unwrap_or_default();
    let test_modules = test_modules(sources);
    let mut read = Vec::new();
    for source in sources {
        let is_test = test_modules.iter().any(|module| source.module().starts_with(module));
        match collect(source, is_test) {
            Ok(mentions) => read.push((source, mentions)),
            Err(error) => faults.push(format!("{}: {error}", source.path)),
        }
    }
    for (source, mentions) in &read {
        faults.extend(room_faults(source));
        faults.extend(import_faults(source, mentions, &exports));
        faults.extend(unsafe_faults(source, mentions));
        faults.extend(mentions.crowded.iter().map(|name| format!("{}: {name} has too many parameters", source.path)));
        faults.extend(sizes::faults(source));
        faults.extend(width_faults(source));
    }
    faults.extend(lint_faults(&read));
    faults
}

/// Returns the modules that are declared for tests only, wherever they are declared.
fn test_modules(sources: &[Source]) -> Vec<Vec<String>> {
    let mentions = sources.iter().filter_map(|source| collect(source, false).ok());
    mentions.flat_map(|mentions| mentions.test_modules).collect()
}

/// Every file belongs to a room that is on the plan.
fn room_faults(source: &Source) -> Option<String> {
    let room = source.room()?;
    (!is_room(&room)).then(|| format!("{}: {room} is on no floor; see tests/house/floors.rs", source.path))
}

/// The root holds modules in floor order and re-exports by name, and no logic. Returns what it re-exports.
fn root_faults(root: &Source, faults: &mut Vec<String>) -> Exports {
    let mut exports = Exports::new();
    let Ok(file) = syn::parse_file(&root.text) else {
        return exports;
    };
    let mut highest = 0;
    for item in &file.items {
        match item {
            Item::Mod(module) => {
                let name = module.ident.to_string();
                // The room apart stands last.
                let here = floor(&name).unwrap_or(usize::MAX);
                if here < highest {
                    faults.push(format!("lib.rs: mod {name} stands above a module of a higher floor"));
                }
                highest = here;
            }
            Item::Use(item) => exported(&item.tree, &[], &mut exports, faults),
            Item::ExternCrate(_) => {}
            Item::Struct(item) if item.attrs.iter().any(is_for_doc_tests) => {}
            _ => faults.push("lib.rs: holds modules and re-exports only, no logic".to_owned()),
        }
    }
    exports
}

/// The README's examples run as doc tests of an empty item.
fn is_for_doc_tests(attribute: &syn::Attribute) -> bool {
    matches!(&attribute.meta, syn::Meta::List(list) if list.path.is_ident("cfg") && list.tokens.to_string() == "doctest")
}

fn exported(tree: &UseTree, prefix: &[String], exports: &mut Exports, faults: &mut Vec<String>) {
    let origin = |name: &syn::Ident| {
        let path = [prefix, &[name.to_string()]].concat();
        path.into_iter().skip_while(|segment| segment == "crate" || segment == "self").collect::<Vec<_>>()
    };
    match tree {
        UseTree::Path(path) => exported(&path.tree, &origin(&path.ident), exports, faults),
        UseTree::Group(group) => group.items.iter().for_each(|tree| exported(tree, prefix, exports, faults)),
        UseTree::Name(name) if !origin(&name.ident).is_empty() => {
            exports.insert(name.ident.to_string(), origin(&name.ident));
        }
        UseTree::Rename(name) if !origin(&name.ident).is_empty() => {
            exports.insert(name.rename.to_string(), origin(&name.ident));
        }
        // A glob, or the root itself under another name.
        _ => faults.push("lib.rs: re-exports by name only, so that one can tell where a name comes from".to_owned()),
    }
}

fn import_faults(source: &Source, mentions: &Mentions, exports: &Exports) -> Vec<String> {
    let Some(room) = source.room().filter(|room| room != "bin") else {
        return Vec::new();
    };
    let fault = |(mention, is_test): &(Mention, bool)| {
        let (said, reason) = match mention {
            Mention::Outside(path) => (path, outside_fault(&room, path, *is_test)?),
            Mention::Inside(path) => match exports.get(path.first().map_or("", String::as_str)) {
                // The root's own name for something of another crate.
                Some(origin) if !is_room(&origin[0]) => (path, outside_fault(&room, origin, *is_test)?),
                Some(origin) => (path, inside_fault(&room, &origin[0], *is_test)?),
                None => (path, inside_fault(&room, path.first().map_or("*", String::as_str), *is_test)?),
            },
        };
        Some(format!("{}: {}: {reason}", source.path, said.join("::")))
    };
    mentions.paths.iter().filter_map(fault).collect()
}

/// Judges a mention of `name`, which lies at the crate's root, from `room`.
fn inside_fault(room: &str, name: &str, is_test: bool) -> Option<String> {
    if name == room || (name == APART && is_test) {
        return None;
    }
    if name == "*" {
        return Some("takes in the whole root, or gives it another name".to_owned());
    }
    if !is_room(name) {
        return Some(format!("{name} is neither a room nor re-exported in lib.rs by name"));
    }
    if room == APART || room == PURE {
        return Some(format!("{room} imports nothing of the crate"));
    }
    match (floor(name), floor(room)) {
        (None, _) => Some(format!("only tests may import {name}")),
        (Some(there), Some(here)) if there > here => Some(format!("an upward import: {name} is above {room}")),
        (Some(there), Some(here)) if there == here => Some(format!("a sideways import: {name} is beside {room}")),
        _ => None,
    }
}

/// Judges a mention of another crate's path from `room`.
fn outside_fault(room: &str, path: &[String], is_test: bool) -> Option<String> {
    let segments: Vec<_> = path.iter().map(String::as_str).collect();
    if segments[0] == "freestone" {
        return Some("names the crate from outside".to_owned());
    }
    if is_test || room == APART {
        return None;
    }
    if room == PURE && NOT_PURE.contains(&segments[0]) {
        return Some(format!("{room} uses core and alloc only"));
    }
    let is_lock = match segments[..] {
        ["std", "sync", name, ..] => !matches!(name, "Arc" | "Weak"),
        ["parking_lot" | "lock_api", ..] | ["std" | "alloc", "sync"] => true,
        ["core", "sync", ..] => room != PURE,
        _ => false,
    };
    (is_lock && room != "sync").then(|| "takes locks and atomics from somewhere else than crate::sync".to_owned())
}

/// Comments are as wide as rustfmt makes the code at most, but for tables, and for what stands between fences: drawings
/// and examples.
fn width_faults(source: &Source) -> Vec<String> {
    let (mut faults, mut is_fenced) = (Vec::new(), false);
    for (line, number) in source.text.lines().zip(1..) {
        let comment = line.trim_start().strip_prefix("//").map(|text| text.trim_start_matches(['/', '!']).trim_start());
        let Some(comment) = comment else {
            is_fenced = false;
            continue;
        };
        is_fenced ^= comment.starts_with("```");
        let width = line.chars().count();
        if width > MAX_COLUMNS && !is_fenced && !comment.starts_with('|') {
            faults.push(format!("{}:{number}: a comment of {width} columns; {MAX_COLUMNS} at most", source.path));
        }
    }
    faults
}

fn unsafe_faults(source: &Source, mentions: &Mentions) -> Option<String> {
    let count = mentions.unsafe_count;
    (count > 0 && !may_be_unsafe(&source.path))
        .then(|| format!("{}: unsafe outside its rooms, {count} times", source.path))
}

/// A room without `unsafe` forbids it; one with it denies it, and each place that needs it says why it is expected.
fn lint_faults(read: &[(&Source, Mentions)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (source, mentions) in read {
        let Some(room) = source.room().filter(|room| is_room(room) && room != "bin") else {
            continue;
        };
        let is_allowed = |lint: &&String| lint.trim_start_matches('!').starts_with("allow(");
        if mentions.unsafe_lints.iter().any(|lint| is_allowed(&lint)) {
            faults.push(format!("{}: allows unsafe_code; expect it, with the reason", source.path));
        }
        if source.module().len() > 1 {
            continue;
        }
        let is_unsafe = read.iter().any(|(other, said)| said.unsafe_count > 0 && other.room().as_ref() == Some(&room));
        let wanted = if is_unsafe { "deny(unsafe_code)" } else { "forbid(unsafe_code)" };
        if !mentions.unsafe_lints.iter().any(|lint| lint.strip_prefix('!') == Some(wanted)) {
            faults.push(format!("{}: does not say #![{wanted}]", source.path));
        }
    }
    faults
}
