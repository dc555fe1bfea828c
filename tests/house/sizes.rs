//! Measures functions: their lines from `fn` to the closing brace.

use crate::source::{Source, code_only};

const MAX_LINES: usize = 60;

/// Returns a fault for each function longer than a function may be.
pub(crate) fn faults(source: &Source) -> Vec<String> {
    let code = code_only(&source.text);
    let words = code.match_indices("fn ");
    let functions =
        words.filter(|&(at, _)| !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_'));
    functions.filter_map(|(at, _)| fault(source, &code, at)).collect()
}

fn fault(source: &Source, code: &str, at: usize) -> Option<String> {
    let length = body_end(&code[at..]).map(|end| code[at..at + end].lines().count())?;
    let name = code[at + 3..].split(|character: char| !character.is_alphanumeric() && character != '_').next()?;
    let line = code[..at].lines().count();
    (length > MAX_LINES)
        .then(|| format!("{}:{line}: {name} has {length} lines; a function has at most {MAX_LINES}", source.path))
}

/// Returns where the function's body ends, or `None` if it has none.
fn body_end(code: &str) -> Option<usize> {
    let (mut braces, mut others) = (0_u32, 0_u32);
    for (at, character) in code.char_indices() {
        match character {
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            ';' if braces == 0 && others == 0 => return None,
            '{' if others == 0 || braces > 0 => braces += 1,
            '}' if braces == 1 => return Some(at + 1),
            '}' if braces > 1 => braces -= 1,
            _ => {}
        }
    }
    None
}
