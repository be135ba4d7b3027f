//! Piece counts to bytes and back, for files and for pickles: some 7 bytes per piece besides its own.
//!
//! First come the number of sources and the number of pieces; then each piece in order: its length, its count, how many sources it is past
//! the piece before, its offset (relative to that of the piece before if they share a source), and its bytes. Numbers are in groups of
//! seven bits, the lowest first, the last one below 128 (LEB128).

use std::io::Read;

use super::table::{Look, Table};
use super::{Piece, PieceCounts, Position, no_memory_for_a_piece};
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse, unwatched};

/// Roughly how many bytes are handed over at once.
const CHUNK: usize = 1 << 20;

impl PieceCounts {
    /// The counts as bytes, for `from_bytes`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.distinct_bytes() + 8 * self.len());
        let gathered = self.each_chunk(&mut Pulse::new(&mut unwatched, 0), &mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        });
        gathered.expect("gathering bytes does not fail");
        bytes
    }

    /// Calls `each` with the bytes of `to_bytes` in order, a megabyte at a time. `pulse` tells how many bytes of the pieces are among them.
    pub(super) fn each_chunk(&self, pulse: &mut Pulse<'_>, each: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        pulse.total = self.distinct_bytes() as u64;
        let mut encoder = Encoder::new(self.sources(), self.len() as u64, each);
        for piece in self.iter() {
            encoder.push(piece)?;
            pulse.done += piece.bytes.len() as u64;
            pulse.step(8)?;
        }
        encoder.finish()
    }

    /// The counts that `to_bytes` wrote; `Error::Format` for bytes that it did not write.
    pub fn from_bytes(bytes: &[u8]) -> Result<PieceCounts> {
        PieceCounts::read(bytes, &mut unwatched)
    }

    /// As `from_bytes`, but reads the bytes a megabyte at a time; `progress` is told how many were read. Takes no more memory than the
    /// pieces that are read need, whatever the bytes claim.
    pub fn read<'a>(bytes: impl Read, progress: &'a mut Progress<'a>) -> Result<PieceCounts> {
        let mut table = Table::new();
        let (sources, pieces) =
            each_group(bytes, 0, &mut Pulse::new(progress, 0), |pieces, look| table.add_all(pieces, look))?;
        let counts = table.finish(sources)?;
        // If a piece occurs twice, the table has fewer pieces than were read.
        let sound = counts.len() as u64 == pieces && counts.iter().is_sorted();
        if sound { Ok(counts) } else { Err(not_counts()) }
    }
}

/// Hands the pieces that `to_bytes` wrote to `take_all`, a megabyte of them at a time, with their sources numbered from `first`. Returns
/// the number after the last source, and how many pieces were read.
pub(super) fn each_group(
    mut bytes: impl Read,
    first: u64,
    pulse: &mut Pulse<'_>,
    mut take_all: impl FnMut(&mut dyn Iterator<Item = Piece<'_>>, &mut Look<'_>) -> Result<()>,
) -> Result<(u64, u64)> {
    let mut held = Vec::new();
    let mut at_end = hold_more(&mut bytes, &mut held)?;
    let mut rest = &held[..];
    let sources = take(&mut rest).and_then(|sources| sources.checked_add(first)).ok_or_else(not_counts)?;
    let pieces = take(&mut rest).ok_or_else(not_counts)?;
    let mut before = Position { source: first, offset: 0 };
    let mut left = pieces;
    loop {
        let mut coming = std::iter::from_fn(|| {
            let mut after = rest;
            let piece = take_piece(&mut after, before).filter(|piece| left > 0 && piece.first.source < sources)?;
            (rest, before, left) = (after, piece.first, left - 1);
            Some(piece)
        });
        take_all(&mut coming, &mut |steps| pulse.step(steps))?;
        let used = held.len() - rest.len();
        pulse.done += used as u64;
        held.drain(..used);
        if at_end {
            return if left == 0 && held.is_empty() { Ok((sources, pieces)) } else { Err(not_counts()) };
        }
        pulse.step(CHUNK)?;
        at_end = hold_more(&mut bytes, &mut held)?;
        rest = &held;
    }
}

/// Reads a megabyte more, or for a piece longer than that as much as is already held; true at the end of the bytes.
fn hold_more(bytes: &mut impl Read, held: &mut Vec<u8>) -> Result<bool> {
    let more = held.len().max(CHUNK);
    held.try_reserve(more).map_err(no_memory_for_a_piece)?;
    let read = bytes.take(more as u64).read_to_end(held);
    Ok(read.map_err(unreadable)? < more)
}

/// The `Error` inside the error of a `NamedFile`, or one that names no file for other readers.
fn unreadable(error: std::io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| Error::Io(format!("cannot read piece counts: {error}")))
}

/// Turns pieces into bytes.
pub(super) struct Encoder<'a> {
    bytes: Vec<u8>,
    before: Position,
    each: &'a mut dyn FnMut(&[u8]) -> Result<()>,
}

impl<'a> Encoder<'a> {
    /// Begins with the numbers of sources and pieces; hands all bytes to `each`.
    pub(super) fn new(sources: u64, pieces: u64, each: &'a mut dyn FnMut(&[u8]) -> Result<()>) -> Self {
        let mut bytes = Vec::new();
        put(&mut bytes, sources);
        put(&mut bytes, pieces);
        Encoder { bytes, before: Position { source: 0, offset: 0 }, each }
    }

    /// Adds the next piece in first-seen order; a long one is not copied.
    pub(super) fn push(&mut self, Piece { first, bytes: piece, count }: Piece<'_>) -> Result<()> {
        let Encoder { bytes, before, each } = self;
        put(bytes, piece.len() as u64);
        put(bytes, count);
        put(bytes, first.source - before.source);
        put(bytes, if first.source == before.source { first.offset - before.offset } else { first.offset });
        *before = first;
        if piece.len() >= CHUNK {
            each(bytes)?;
            bytes.clear();
            return piece.chunks(CHUNK).try_for_each(each);
        }
        bytes.extend_from_slice(piece);
        if bytes.len() >= CHUNK {
            each(bytes)?;
            bytes.clear();
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<()> {
        (self.each)(&self.bytes)
    }
}

/// The next piece, whose position is not below `before`.
fn take_piece<'a>(rest: &mut &'a [u8], before: Position) -> Option<Piece<'a>> {
    let length = usize::try_from(take(rest)?).ok()?;
    let count = take(rest)?;
    let further = take(rest)?;
    let offset = take(rest)?;
    let offset = if further == 0 { before.offset.checked_add(offset)? } else { offset };
    let first = Position { source: before.source.checked_add(further)?, offset };
    let bytes = rest.split_off(..length)?;
    (length > 0 && count > 0).then_some(Piece { first, bytes, count })
}

pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 128 {
        bytes.push(number as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Takes a number as `put` writes it; `None` if it is cut short, passes 2^64 or could be shorter.
pub(super) fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        let bits = u64::from(byte & 127);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte < 128 {
            return (byte > 0 || shift == 0).then_some(number);
        }
    }
    None
}

fn not_counts() -> Error {
    Error::Format("these bytes are no piece counts: they were cut short or changed; count the corpus again".into())
}
