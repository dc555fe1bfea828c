//! From a file to checked events.
//!
//! ```text
//! file ── Zstandard frames (.zst) ── lines of bounded length ── parse ── ids checked (I1) ── Event
//! ```
//!
//! Nothing in a file makes the reader panic or take memory without bound: a line has at most [`LINE_LIMIT`] bytes, a
//! Zstandard window at most 100 MiB (the decoder's own limit), and what is kept per event is a few words and a name of
//! at most [`parse::NAME_LIMIT`] bytes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::error::{Problem, TraceError, one_line, quote};
use super::event::{Event, Operation};
use super::parse;

/// Longest line, in bytes. Ours have a few hundred; by taste.
const LINE_LIMIT: u64 = 64 << 10;

/// First line of a trace this version reads, after the `#`.
const VERSION: &str = "freestone-trace 1";

/// A whole recorded workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The file's name without folder and endings.
    pub name: String,
    /// The file, for messages.
    pub file: PathBuf,
    /// What the header says.
    pub header: Header,
    /// The events, in order.
    pub events: Vec<Event>,
}

impl Trace {
    /// Reads and checks a `.csv` or `.csv.zst` file.
    ///
    /// # Errors
    /// A [`TraceError`] names the file, the line and what is wrong.
    pub fn read(file: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::collect(Reader::open(file.as_ref())?)
    }

    /// Reads and checks uncompressed text; `file` is used in messages and for the name.
    ///
    /// # Errors
    /// A [`TraceError`] names the file, the line and what is wrong.
    pub fn read_from<'a>(text: impl BufRead + 'a, file: impl Into<PathBuf>) -> Result<Self, TraceError> {
        Self::collect(Reader::new(Box::new(text), file.into()))
    }

    fn collect(mut reader: Reader<'_>) -> Result<Self, TraceError> {
        let events: Vec<Event> = reader.by_ref().collect::<Result<_, _>>()?;
        if events.is_empty() {
            return Err(TraceError::new(&reader.file, None, Problem::Empty));
        }
        Ok(Self { name: name_of(&reader.file), header: reader.header, file: reader.file, events })
    }

    /// Returns how many events are allocations.
    pub fn allocation_count(&self) -> u64 {
        self.events.iter().filter(|event| matches!(event.operation, Operation::Allocate(_))).count() as u64
    }

    /// Returns the ids that no event frees, in the order they were allocated.
    ///
    /// A replay frees them after the last event, to see what an allocator keeps of nothing.
    pub fn live_at_end(&self) -> Vec<u64> {
        let freed = |event: &&Event| matches!(event.operation, Operation::Free);
        let freed: std::collections::HashSet<u64> = self.events.iter().filter(freed).map(|event| event.id).collect();
        self.events.iter().map(|event| event.id).filter(|id| !freed.contains(id)).collect()
    }
}

/// Returns a file's name without folder and endings, in whatever case they are written.
pub(super) fn name_of(file: &Path) -> String {
    let mut name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for ending in [".zst", ".csv"] {
        let start = name.len().saturating_sub(ending.len());
        if name.get(start..).is_some_and(|last| last.eq_ignore_ascii_case(ending)) {
            name.truncate(start);
        }
    }
    name
}

/// The lines at the head of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The application, with its version.
    pub app: Option<String>,
    /// What it was doing.
    pub scenario: Option<String>,
    /// The device it was recorded on.
    pub device: Option<String>,
    /// The call that counts frames.
    pub frame_counter: Option<String>,
}

impl Header {
    fn take(&mut self, line: &str) -> Result<(), Problem> {
        let line = line.trim();
        if line.starts_with("freestone-trace") {
            return if line == VERSION { Ok(()) } else { Err(Problem::Version(quote(line))) };
        }
        let Some((key, value)) = line.split_once(':') else {
            return Ok(());
        };
        let field = match key {
            "app" => &mut self.app,
            "scenario" => &mut self.scenario,
            "device" => &mut self.device,
            "frame counter" => &mut self.frame_counter,
            _ => return Ok(()),
        };
        *field = Some(value.trim().into());
        Ok(())
    }
}

/// Reads events one after another; an error ends it.
pub struct Reader<'a> {
    file: PathBuf,
    text: Box<dyn BufRead + 'a>,
    line: u64,
    header: Header,
    ids: HashMap<u64, Life>,
    buffer: Vec<u8>,
    is_over: bool,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> core::fmt::Result {
        out.debug_struct("Reader").field("file", &self.file).field("line", &self.line).finish_non_exhaustive()
    }
}

/// Lines where an id appeared.
struct Life {
    allocated_at: u64,
    freed_at: Option<u64>,
}

impl Reader<'static> {
    /// Opens a `.csv` or `.csv.zst` file.
    ///
    /// # Errors
    /// The file cannot be opened, or its Zstandard frame does not begin.
    pub fn open(file: &Path) -> Result<Self, TraceError> {
        let fail = |problem| TraceError::new(file, None, problem);
        let opened = File::open(file).map_err(|error| fail(Problem::Open(error)))?;
        let bytes = BufReader::new(opened);
        let is_compressed = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zst"));
        let text: Box<dyn BufRead> =
            if is_compressed { Box::new(BufReader::new(Frames::new(bytes))) } else { Box::new(bytes) };
        Ok(Reader::new(text, file.into()))
    }
}

impl<'a> Reader<'a> {
    fn new(text: Box<dyn BufRead + 'a>, file: PathBuf) -> Self {
        Self { file, text, line: 0, header: Header::default(), ids: HashMap::new(), buffer: Vec::new(), is_over: false }
    }

    /// Returns what the header lines read so far say.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn next_event(&mut self) -> Result<Option<Event>, Problem> {
        while self.fill_line()? {
            let line = std::str::from_utf8(&self.buffer).map_err(|_| Problem::NotText)?;
            // Editors of other systems begin a file with a mark that is no text.
            let line = if self.line == 1 { line.trim_start_matches('\u{feff}') } else { line };
            let line = line.trim_end_matches(['\n', '\r']);
            if let Some(comment) = line.strip_prefix('#') {
                self.header.take(comment)?;
            } else if !line.is_empty() {
                let event = parse::event(line, self.line)?;
                note(&mut self.ids, &event)?;
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Reads the next line into the buffer; false at the end.
    fn fill_line(&mut self) -> Result<bool, Problem> {
        self.buffer.clear();
        self.line += 1;
        let mut bounded = (&mut self.text).take(LINE_LIMIT);
        let length = bounded.read_until(b'\n', &mut self.buffer).map_err(read_problem)?;
        if length as u64 == LINE_LIMIT && self.buffer.last() != Some(&b'\n') {
            return Err(Problem::LineTooLong(LINE_LIMIT));
        }
        Ok(length > 0)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.next_event();
        self.is_over = !matches!(next, Ok(Some(_)));
        next.map_err(|problem| TraceError::new(&self.file, Some(self.line), problem)).transpose()
    }
}

/// Holds the trace to I1.
fn note(ids: &mut HashMap<u64, Life>, event: &Event) -> Result<(), Problem> {
    let (id, line) = (event.id, event.line);
    match (ids.entry(id), &event.operation) {
        (Entry::Vacant(place), Operation::Allocate(_)) => {
            place.insert(Life { allocated_at: line, freed_at: None });
            Ok(())
        }
        (Entry::Vacant(_), Operation::Free) => Err(Problem::UnknownId { id }),
        (Entry::Occupied(lived), Operation::Allocate(_)) => {
            Err(Problem::IdUsedTwice { id, used_at: lived.get().allocated_at })
        }
        (Entry::Occupied(mut lived), Operation::Free) => match lived.get_mut().freed_at.replace(line) {
            None => Ok(()),
            Some(freed_at) => Err(Problem::DoubleFree { id, freed_at }),
        },
    }
}

/// Zstandard frames one after another, as one stream.
///
/// The decoder stops after a frame; `zstd -dc` reads on, and so does this, past frames that are to be skipped too (RFC
/// 8878, section 3.1.2). The decoder also leaves it to its caller to hold a frame to the size and the checksum that it
/// carries.
struct Frames<R: Read> {
    source: Source<R>,
    frame: Option<Frame>,
    has_begun: bool,
}

/// One frame, and how many bytes came out of it.
struct Frame {
    decoder: FrameDecoder,
    length: u64,
}

impl<R: Read> Frames<R> {
    fn new(source: R) -> Self {
        Self { source: Source { bytes: BufReader::new(source), error: None }, frame: None, has_begun: false }
    }

    /// Begins the next frame; false where the file ends.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.has_begun && self.source.bytes.fill_buf()?.is_empty() {
                return Ok(false);
            }
            self.has_begun = true;
            let mut decoder = FrameDecoder::new();
            match decoder.init(&mut self.source) {
                Ok(()) => {
                    self.frame = Some(Frame { decoder, length: 0 });
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.source.skip(length.into())?;
                }
                Err(error) => return Err(self.source.blame(&error)),
            }
        }
    }
}

/// The bytes of the file, with what the disk said: the decoder's own errors hide it.
struct Source<R: Read> {
    bytes: BufReader<R>,
    error: Option<io::Error>,
}

impl<R: Read> Source<R> {
    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.bytes).take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(damaged("a frame to be skipped ends early")) }
    }

    /// Returns the disk's error where there was one, else that the data are damaged.
    fn blame(&mut self, error: &dyn std::error::Error) -> io::Error {
        self.error.take().unwrap_or_else(|| damaged(&one_line(error)))
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(out).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.error = Some(error);
            }
            kind.into()
        })
    }
}

impl Frame {
    /// Reads on; 0 at the end of a frame that is whole.
    fn read(&mut self, source: &mut Source<impl Read>, out: &mut [u8]) -> io::Result<usize> {
        while self.decoder.can_collect() < out.len() && !self.decoder.is_finished() {
            let wanted = BlockDecodingStrategy::UptoBytes(out.len() - self.decoder.can_collect());
            self.decoder.decode_blocks(&mut *source, wanted).map_err(|error| source.blame(&error))?;
        }
        let length = self.decoder.read(out)?;
        self.length += length as u64;
        let is_over = length == 0 && !out.is_empty();
        let size = self.decoder.content_size();
        // 0: the frame does not say.
        if size > 0 && (self.length > size || (is_over && self.length < size)) {
            return Err(damaged("a frame has another length than its head says"));
        }
        if is_over {
            self.check_sum()?;
        }
        Ok(length)
    }

    fn check_sum(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(expected) if self.decoder.get_calculated_checksum() != Some(expected) => {
                Err(damaged("a frame's checksum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.frame.is_some() || self.begin()? {
            let Some(frame) = &mut self.frame else { break };
            let length = frame.read(&mut self.source, out)?;
            if length > 0 || out.is_empty() {
                return Ok(length);
            }
            self.frame = None;
        }
        Ok(0)
    }
}

/// Marks an error as the decoder's, not the disk's: see [`read_problem`].
fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_problem(error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::InvalidData {
        Problem::Compression(one_line(&error))
    } else {
        Problem::Read(error)
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
