//! Reads the source for its public operations, so that a table of them can be held against it.

use std::collections::BTreeSet;
use std::path::Path;

/// Finds the public functions of a folder of the source, as `Type::function`. What a macro gives to types is named for
/// each of `made_by_macros`.
pub(crate) fn public_operations(folder: &str, made_by_macros: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder), made_by_macros, &mut found);
    found
}

/// Holds a table against what was found.
#[track_caller]
pub(crate) fn assert_complete<'a>(found: &BTreeSet<String>, table: impl Iterator<Item = &'a str>) {
    let table: BTreeSet<String> = table.map(str::to_owned).collect();
    let none = Vec::<&String>::new();
    assert_eq!(found.difference(&table).collect::<Vec<_>>(), none, "not in the table");
    assert_eq!(table.difference(found).collect::<Vec<_>>(), none, "not in the source");
}

fn collect_folder(folder: &Path, made_by_macros: &[&str], found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("the source is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect_folder(&path, made_by_macros, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            collect(&std::fs::read_to_string(&path).expect("the file can be read"), made_by_macros, found);
        }
    }
}

fn collect(text: &str, made_by_macros: &[&str], found: &mut BTreeSet<String>) {
    let mut owners: Vec<&str> = Vec::new();
    for line in text.lines() {
        if line.starts_with("impl") {
            owners = owner_of(line).into_iter().collect();
        } else if line.starts_with("macro_rules!") {
            owners = made_by_macros.to_vec();
        } else if line == "}" {
            owners.clear();
        }
        if let Some(name) = public_function(line.trim_start()) {
            found.extend(owners.iter().map(|owner| format!("{owner}::{name}")));
        }
    }
}

/// Returns the name of the public function that a line begins.
fn public_function(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// Returns the type whose block a line begins: `Arena` for `impl<A: AllocatorRef> Arena<A> {`.
fn owner_of(line: &str) -> Option<&str> {
    let mut rest = line.strip_prefix("impl")?;
    if rest.starts_with('<') {
        let mut depth = 0;
        let end = rest.find(|letter| {
            depth += i32::from(letter == '<') - i32::from(letter == '>');
            depth == 0
        })?;
        rest = &rest[end + 1..];
    }
    rest.trim_start().split(|letter: char| !letter.is_alphanumeric()).next().filter(|_| !line.contains(" for "))
}
