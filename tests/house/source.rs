//! Reads a source tree, and blanks what is no code in a piece of it.

use std::path::Path;

/// One source file: its path from `src/`, with slashes, and its text.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Returns the path of the module that the file holds: `device/memory.rs` is `[device, memory]`.
    pub(crate) fn module(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let stem = stem.strip_suffix("/mod").unwrap_or(stem);
        if stem == "lib" { Vec::new() } else { stem.split('/').map(String::from).collect() }
    }

    /// Returns the room that the file belongs to; `None` for the crate's root.
    pub(crate) fn room(&self) -> Option<String> {
        self.module().into_iter().next()
    }
}

/// Reads every Rust file under `root`, in the order of their paths.
pub(crate) fn read(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    read_folder(root, "", &mut sources);
    sources.sort_by(|left, right| left.path.cmp(&right.path));
    sources
}

fn read_folder(folder: &Path, prefix: &str, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).expect("src/ can be read") {
        let entry = entry.expect("src/ can be read").path();
        let name = entry.file_name().and_then(|name| name.to_str()).expect("a file name in UTF-8").to_owned();
        let path = format!("{prefix}{name}");
        if entry.is_dir() {
            read_folder(&entry, &format!("{path}/"), sources);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            sources.push(Source { text: std::fs::read_to_string(&entry).expect("UTF-8"), path });
        }
    }
}

/// Replaces comments, strings and characters by blanks; lines stay where they are.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = not_code(rest);
        let (piece, after) = rest.split_at(length.unwrap_or(first.len_utf8()));
        match length {
            Some(_) => code.extend(piece.chars().map(|character| if character == '\n' { '\n' } else { ' ' })),
            None => code.push_str(piece),
        }
        rest = after;
    }
    code
}

/// Returns the length of the comment, string or character that `text` starts with.
fn not_code(text: &str) -> Option<usize> {
    let until = |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    if text.starts_with("//") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return Some(until("*/", 2));
    }
    if let Some(raw) = text.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return Some(until(&format!("\"{}", "#".repeat(hashes)), hashes + 2));
        }
    }
    if text.starts_with('"') {
        return Some(quoted(text, '"'));
    }
    // A lifetime has no closing quote after its first character.
    let mut after_quote = text.strip_prefix('\'')?.chars();
    let is_character = after_quote.next()? == '\\' || after_quote.next()? == '\'';
    is_character.then(|| quoted(text, '\''))
}

/// Returns the length of a literal that starts and ends with `quote`.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        if character == quote && !is_escaped {
            return at + 1;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    text.len()
}
