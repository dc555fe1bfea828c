//! What can be wrong with a recorded trace; each message is one line that names the file and the line.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be replayed, where, and why.
///
/// Displays as `FILE:LINE: what is wrong and what to do`, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {problem}", .file.display(), Place(.line))]
pub struct TraceError {
    /// The file as it was named by the user.
    pub file: PathBuf,
    /// The line, from 1; `None` where the fault has none (a missing file, say).
    pub line: Option<u64>,
    /// What is wrong.
    pub problem: Problem,
}

impl TraceError {
    pub(super) fn new(file: &Path, line: Option<u64>, problem: Problem) -> Self {
        Self { file: file.into(), line, problem }
    }
}

struct Place<'a>(&'a Option<u64>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(out, ":{line}"))
    }
}

/// What is wrong with a trace. Each variant says what one can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file cannot be opened. Check the path.
    #[error("cannot be opened: {0}; check the path")]
    Open(io::Error),
    /// The file cannot be read on. Check what it is, and the disk.
    #[error("cannot be read: {0}; check that it is a file, and its disk")]
    Read(io::Error),
    /// The Zstandard data end early or are damaged. Fetch the file again.
    #[error("the Zstandard data are cut off or damaged ({0}); fetch the file again")]
    Compression(String),
    /// The line is not UTF-8 text. Is it a trace? A compressed one must end in `.zst`.
    #[error("not text; a trace is a .csv, or one under Zstandard whose name ends in .csv.zst")]
    NotText,
    /// The line is longer than any event.
    #[error("the line is longer than {0} bytes; a trace has one event a line")]
    LineTooLong(u64),
    /// Recorded by another version of the format.
    #[error("\"{0}\" is not a format this version reads; it reads \"freestone-trace 1\"")]
    Version(String),
    /// No event at all.
    #[error("holds no event; a trace has one event a line after its header")]
    Empty,
    /// A line has more or fewer columns than its operation asks for.
    #[error("{found} columns, but {op} has {expected}; is the line cut off, or a comma in a name?")]
    ColumnCount {
        /// The operation.
        op: &'static str,
        /// Columns found.
        found: usize,
        /// Columns that belong there.
        expected: usize,
    },
    /// A column's text is not what belongs there.
    #[error("column {column}: \"{text}\" is not {expected}")]
    Column {
        /// Name of the column, as in the trace's header.
        column: &'static str,
        /// The text found, cut to a readable length.
        text: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A resource of no bytes; Vulkan has none.
    #[error("size 0 for id {id}: a resource that had memory has at least 1 byte")]
    ZeroSize {
        /// The allocation.
        id: u64,
    },
    /// An alignment that Vulkan does not allow.
    #[error("alignment {alignment} for id {id} is no power of two")]
    Alignment {
        /// The allocation.
        id: u64,
        /// The alignment.
        alignment: u64,
    },
    /// A debug name longer than any that is kept. Shorten it.
    #[error("the name of id {id} has {bytes} bytes; shorten it to {limit} or fewer")]
    NameTooLong {
        /// The allocation.
        id: u64,
        /// Bytes of its name.
        bytes: usize,
        /// Bytes that a name may have.
        limit: usize,
    },
    /// A free of what was never allocated.
    #[error("free of id {id}, which no line above allocates")]
    UnknownId {
        /// The allocation.
        id: u64,
    },
    /// A second free.
    #[error("free of id {id}, which line {freed_at} frees already")]
    DoubleFree {
        /// The allocation.
        id: u64,
        /// Line of the first free.
        freed_at: u64,
    },
    /// A second allocation under one id.
    #[error("id {id} is used twice: line {used_at} allocates it already")]
    IdUsedTwice {
        /// The allocation.
        id: u64,
        /// Line of the first allocation.
        used_at: u64,
    },
    /// A `.stats.json` that is not what one looks like. Without it the trace is replayed all the same.
    #[error("not the statistics of a trace: {0}; fetch the file again, or move it away")]
    Statistics(String),
}

/// Longest text that a message quotes, in characters: enough to recognise it. By taste.
const QUOTED: usize = 40;

/// Returns the start of a text, fit for one line of a message.
pub(super) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED).is_some() {
        quoted.push_str("...");
    }
    quoted
}

/// Returns an error's text and its sources' on one line.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}
