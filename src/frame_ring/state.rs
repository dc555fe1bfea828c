//! What a ring knows, under its lock: blocks, frames and which bytes belong to which frame. No driver call is made
//! here.
//!
//! Invariants:
//! - S1: a chunk belongs to one frame from the moment it is taken until the frame is reclaimed or cancelled.
//! - S2: a block leaves the table only when no chunk of it belongs to anybody.
//! - S3: neither `last_point` nor `completed` falls; an idle device completes the points up to `last_point`, and none
//!   that is yet to come.
//! - S4: tables only grow with what is in use at once: frames that repeat make no heap call.

use super::block::{Block, Written};
use super::cursor::{Grant, Tail, Want};
use super::error::{EndFrameError, FrameRingError};
use super::sizing::{Demand, Reshape, Sizing};
use crate::suballocator::{Algorithm, RangeKey, Request, Settings, Suballocator};

/// How many chunks a frame has room for from the start. Taste: what a frame takes in a ring of its size.
const CHUNKS_RESERVED: usize = 32;

/// How many ranges are flushed by one call. The stack holds them.
pub(super) const FLUSH_BATCH: usize = 16;

/// Everything about a ring that changes.
#[derive(Debug)]
pub(super) struct State {
    /// One region for each block; a block's number is its region's.
    suballocator: Suballocator,
    blocks: Vec<Option<Entry>>,
    frames: Vec<FrameRecord>,
    /// The block that served last: it is asked first.
    current: u32,
    demand: Demand,
    last_point: Option<u64>,
    completed: Option<u64>,
    opened_count: u64,
    closed_count: u64,
}

#[derive(Debug)]
struct Entry {
    block: Block,
    role: Role,
}

/// What a block is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// To be cut.
    Serving,
    /// To go when it is empty. It is cut only where the ring would have to grow.
    Draining,
}

#[derive(Debug)]
struct FrameRecord {
    phase: Phase,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nobody's.
    Free,
    /// Being written.
    Open,
    /// The GPU's, until the point is completed.
    EndedAt(u64),
    /// The GPU's, until whoever holds the key gives it back.
    EndedOwned,
}

/// What becomes of a frame that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is reclaimed with this point.
    At(u64),
    /// It is reclaimed by its key.
    Owned,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    key: RangeKey,
    region: u32,
    offset: u64,
    size: u64,
}

/// What to do so that a chunk can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// Open a block of so many bytes.
    Open(u64),
    /// Give the empty blocks back: one that is large enough is within the limit then.
    GiveBackEmpty,
    /// There is no room, and may be none.
    Full,
}

/// Ranges to flush, and where to go on.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) ranges: [Option<Written>; FLUSH_BATCH],
    pub(super) next_chunk: usize,
}

/// What a ring holds, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameRingStatistics {
    /// Buffers that are open.
    pub block_count: u32,
    /// Bytes of all of them.
    pub capacity: u64,
    /// Bytes that frames hold, in chunks.
    pub in_use: u64,
    /// Frames that are open, or ended and not reclaimed.
    pub frames_in_flight: u32,
    /// Buffers opened so far.
    pub opened_count: u64,
    /// Buffers given back so far.
    pub closed_count: u64,
}

impl State {
    /// Makes the state of a ring without blocks.
    pub(super) fn new(sizing: &Sizing) -> Self {
        let settings = Settings::plain(sizing.unit);
        let record = |_| FrameRecord { phase: Phase::Free, chunks: Vec::with_capacity(CHUNKS_RESERVED) };
        Self {
            suballocator: Suballocator::new(Algorithm::Linear, settings),
            blocks: Vec::new(),
            frames: (0..sizing.frame_count).map(record).collect(),
            current: 0,
            demand: Demand::default(),
            last_point: None,
            completed: None,
            opened_count: 0,
            closed_count: 0,
        }
    }

    /// Opens a frame and returns its number; `None` where all are in flight.
    pub(super) fn begin(&mut self) -> Option<u32> {
        let number = self.frames.iter().position(|frame| frame.phase == Phase::Free)?;
        self.frames[number].phase = Phase::Open;
        u32::try_from(number).ok()
    }

    /// Counts a frame; returns whether the ring's shape is to be judged.
    pub(super) fn note_frame(&mut self) -> bool {
        self.demand.note_frame()
    }

    /// Takes a chunk for a frame: a comfortable one, one that is just enough, or, as the last resort before the ring
    /// grows, one of a block that is to go.
    pub(super) fn take_chunk(&mut self, frame: u32, want: &Want, sizing: &Sizing) -> Option<Grant> {
        let comfortable = sizing.chunk_size(want.chunk, self.suballocator.region_bytes());
        let chunk = self.cut(comfortable, sizing.unit, Role::Serving);
        let chunk = chunk.or_else(|| self.cut(want.chunk, sizing.unit, Role::Serving));
        let chunk = chunk.or_else(|| self.cut(want.chunk, sizing.unit, Role::Draining))?;
        let entry = self.blocks.get(chunk.region as usize).and_then(Option::as_ref);
        let source = entry.expect("S2: what was cut is of a block in the table").block.source(chunk.region);
        self.frames[frame as usize].chunks.push(chunk);
        self.demand.note_chunk(chunk.size, self.suballocator.used_bytes());
        Some(Grant { source, offset: chunk.offset, size: chunk.size })
    }

    /// Cuts a chunk from the block that served last, else from the first of that role that has room.
    fn cut(&mut self, size: u64, unit: u64, role: Role) -> Option<Chunk> {
        let Self { suballocator, blocks, current, .. } = self;
        let request = Request::new(size, unit);
        let has_role = |region: &u32| matches!(blocks.get(*region as usize), Some(Some(entry)) if entry.role == role);
        let mut regions = [*current].into_iter().chain((0..).take(blocks.len())).filter(has_role);
        let taken = regions.find_map(|region| suballocator.allocate_in(region, &request))?;
        if role == Role::Serving {
            *current = taken.region;
        }
        Some(Chunk { key: taken.key, region: taken.region, offset: taken.offset, size: taken.size })
    }

    /// Says what to do where no block has room for a chunk.
    pub(super) fn growth(&self, needed: u64, sizing: &Sizing) -> Growth {
        let capacity = self.suballocator.region_bytes();
        let empty = self.suballocator.empty_region_bytes();
        match (sizing.block_size(needed, capacity), sizing.block_size(needed, capacity - empty)) {
            (Some(size), _) => Growth::Open(size),
            (None, Some(_)) if empty > 0 => Growth::GiveBackEmpty,
            _ => Growth::Full,
        }
    }

    /// Returns the error that says that there is no room.
    pub(super) fn full(&self, size: u64, sizing: &Sizing) -> FrameRingError {
        let (in_use, capacity) = (self.suballocator.used_bytes(), self.suballocator.region_bytes());
        FrameRingError::Full { size, in_use, capacity, limit: sizing.limit }
    }

    /// Takes a block in; it serves from now on.
    pub(super) fn add_block(&mut self, block: Block) {
        let region = self.suballocator.add_region(block.size());
        let index = region as usize;
        if index >= self.blocks.len() {
            self.blocks.resize_with(index + 1, || None);
        }
        self.blocks[index] = Some(Entry { block, role: Role::Serving });
        self.current = region;
        self.opened_count += 1;
    }

    /// Lets all blocks go but the one that serves now.
    pub(super) fn drain_others(&mut self) {
        for (region, entry) in (0..).zip(&mut self.blocks) {
            if let Some(entry) = entry {
                entry.role = if region == self.current { Role::Serving } else { Role::Draining };
            }
        }
    }

    /// Judges the shape by all blocks, those that were to go too, and begins another window. A block that is to be kept
    /// alone serves from now on.
    pub(super) fn judge(&mut self, sizing: &Sizing) -> Reshape {
        for entry in self.blocks.iter_mut().flatten() {
            entry.role = Role::Serving;
        }
        let sized = |(region, entry): (u32, &Option<Entry>)| entry.as_ref().map(|entry| (region, entry.block.size()));
        let blocks = (0..).zip(&self.blocks).filter_map(sized);
        let reshape = sizing.reshape(blocks, &self.demand);
        self.demand.next_window(self.suballocator.used_bytes());
        if let Reshape::KeepOnly(region) = reshape {
            self.current = region;
            self.drain_others();
        }
        reshape
    }

    /// Takes the empty ones out of the blocks that drain (S2).
    pub(super) fn take_drained(&mut self) -> Vec<Block> {
        self.take_empty(|entry| entry.role == Role::Draining)
    }

    /// Takes all blocks out in which nothing is in use (S2).
    pub(super) fn take_all_empty(&mut self) -> Vec<Block> {
        self.take_empty(|_| true)
    }

    fn take_empty(&mut self, is_chosen: impl Fn(&Entry) -> bool) -> Vec<Block> {
        let mut taken = Vec::new();
        for (region, slot) in (0..).zip(&mut self.blocks) {
            let is_chosen = slot.as_ref().is_some_and(&is_chosen);
            if is_chosen && self.suballocator.remove_region(region) {
                taken.extend(slot.take().map(|entry| entry.block));
            }
        }
        self.closed_count += taken.len() as u64;
        taken
    }

    /// Takes every block out, whatever is in use: the ring's end.
    pub(super) fn take_everything(&mut self) -> impl Iterator<Item = Block> + '_ {
        self.blocks.drain(..).flatten().map(|entry| entry.block)
    }

    /// Checks that a frame may end so.
    ///
    /// # Errors
    /// `OutOfOrder`, `AlreadyCompleted`, `IdlePoint`.
    pub(super) fn check_ending(&self, ending: Ending) -> Result<(), EndFrameError> {
        let Ending::At(point) = ending else { return Ok(()) };
        if point == u64::MAX {
            return Err(EndFrameError::IdlePoint);
        }
        if let Some(last) = self.last_point.filter(|last| point < *last) {
            return Err(EndFrameError::OutOfOrder { point, last });
        }
        if self.completed.is_some_and(|completed| point <= completed) {
            return Err(EndFrameError::AlreadyCompleted { point });
        }
        Ok(())
    }

    /// Ends a frame: from now on its bytes are the GPU's.
    ///
    /// # Errors
    /// As [`check_ending`](Self::check_ending); the frame is open still.
    pub(super) fn end(&mut self, frame: u32, ending: Ending) -> Result<(), EndFrameError> {
        self.check_ending(ending)?;
        self.frames[frame as usize].phase = match ending {
            Ending::Owned => Phase::EndedOwned,
            Ending::At(point) => {
                self.last_point = Some(point);
                Phase::EndedAt(point)
            }
        };
        Ok(())
    }

    /// Collects what a frame wrote to memory that must be flushed, from one of its chunks on. Chunks that continue one
    /// another are one range; what is left of the last is none.
    pub(super) fn written(&self, frame: u32, first_chunk: usize, tail: Tail) -> Batch {
        let chunks = &self.frames[frame as usize].chunks;
        let mut batch = Batch { ranges: [None; FLUSH_BATCH], next_chunk: first_chunk };
        for range in &mut batch.ranges {
            let Some(&Chunk { region, offset, size, .. }) = chunks.get(batch.next_chunk) else { break };
            let mut end = offset + size;
            batch.next_chunk += 1;
            while let Some(next) =
                chunks.get(batch.next_chunk).filter(|next| (next.region, next.offset) == (region, end))
            {
                end += next.size;
                batch.next_chunk += 1;
            }
            if (tail.region, tail.end) == (region, end) {
                end = tail.position.max(offset);
            }
            let entry = self.blocks.get(region as usize).and_then(Option::as_ref);
            *range = entry.and_then(|entry| entry.block.written(offset, end - offset));
        }
        batch
    }

    /// Takes a frame's bytes back: its work is complete, or it was never submitted.
    pub(super) fn release(&mut self, frame: u32) {
        let Self { suballocator, frames, .. } = self;
        let record = &mut frames[frame as usize];
        record.phase = Phase::Free;
        for chunk in record.chunks.drain(..) {
            let freed = suballocator.free(chunk.key);
            debug_assert!(freed.is_ok(), "S1: a chunk is its frame's until it is released");
        }
    }

    /// Takes back every frame that ended with a point up to `completed`; returns how many.
    pub(super) fn reclaim(&mut self, completed: u64) -> u32 {
        let heard = if completed == u64::MAX { self.last_point } else { Some(completed) };
        self.completed = self.completed.max(heard);
        let mut count = 0;
        for number in (0..).take(self.frames.len()) {
            let phase = self.frames[number as usize].phase;
            if matches!(phase, Phase::EndedAt(point) if Some(point) <= self.completed) {
                self.release(number);
                count += 1;
            }
        }
        count
    }

    /// Returns the numbers.
    pub(super) fn statistics(&self) -> FrameRingStatistics {
        let count = |is_counted: usize| u32::try_from(is_counted).unwrap_or(u32::MAX);
        FrameRingStatistics {
            block_count: count(self.blocks.iter().flatten().count()),
            capacity: self.suballocator.region_bytes(),
            in_use: self.suballocator.used_bytes(),
            frames_in_flight: count(self.frames.iter().filter(|frame| frame.phase != Phase::Free).count()),
            opened_count: self.opened_count,
            closed_count: self.closed_count,
        }
    }
}

#[cfg(test)]
mod tests;
