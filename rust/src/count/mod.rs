//! Counting: a corpus as its distinct pieces, each with its count and where it was first seen.
//!
//! All that training needs of a corpus, and far less of it: English text of 120 MB has 435,051 distinct pieces. Two
//! `PieceCounts` merge by adding counts and keeping the lower position, which is commutative and associative, so the
//! threads, the chunks and the machines that counted leave no trace in the result.

mod counter;
mod document;
mod table;

pub use counter::Counter;
pub use document::Document;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::{Error, Result};
use table::Table;

/// Where a piece was first seen. Positions order pieces as reading the sources one after the other would.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The document or file, by its place in the list of inputs.
    pub source: u64,
    /// The byte in it.
    pub offset: u64,
}

/// A distinct piece of a corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece<'a> {
    /// Where it was first seen.
    pub first: Position,
    /// Its bytes, at least one.
    pub bytes: &'a [u8],
    /// How often it was seen, at least once.
    pub count: u64,
}

/// The distinct pieces of a corpus in the order in which they were first seen. Immutable; the sum of all counts is below 2^63.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PieceCounts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    counts: Vec<u64>,
    firsts: Vec<Position>,
    total: u64,
}

impl PieceCounts {
    /// Counts that are there already, in the order given, as if the pieces stood one after the other in one source. The
    /// counts of a piece that is given twice add up; a count of 0 is no piece.
    ///
    /// `Error::Corpus` for an empty piece, and for counts that add up past 2^63.
    pub fn from_items<B: AsRef<[u8]>>(items: impl IntoIterator<Item = (B, u64)>) -> Result<PieceCounts> {
        let mut table = Table::new();
        let mut first = Position { source: 0, offset: 0 };
        for (bytes, count) in items {
            let bytes = bytes.as_ref();
            if bytes.is_empty() {
                return Err(Error::Corpus("an empty piece has no bytes to merge: leave it out".into()));
            }
            if count > 0 {
                table.add(Piece { bytes, count, first })?;
                first.offset += bytes.len() as u64;
            }
        }
        table.finish()
    }

    /// The sum of all `parts`: counts add up, the lower position stays. `Error::Corpus` past 2^63.
    ///
    /// Linear in the pieces: the parts are read side by side in order of position, so the first sight of a piece is its lowest
    /// and the result is in order as it grows.
    pub fn merge(parts: &[&PieceCounts]) -> Result<PieceCounts> {
        let mut table = Table::new();
        let mut queues: Vec<_> = parts.iter().map(|part| part.iter()).collect();
        let mut heads = BinaryHeap::with_capacity(queues.len());
        for (which, queue) in queues.iter_mut().enumerate() {
            heads.extend(queue.next().map(|piece| Reverse((piece, which))));
        }
        while let Some(Reverse((piece, which))) = heads.pop() {
            table.add(piece)?;
            heads.extend(queues[which].next().map(|piece| Reverse((piece, which))));
        }
        table.finish()
    }

    /// The same counts with `by` added to each source number: what to do before merging counts that were made apart, so that
    /// the sources of the one come after those of the other.
    pub fn shift_sources(&self, by: u64) -> Result<PieceCounts> {
        let mut shifted = self.clone();
        for first in &mut shifted.firsts {
            first.source = first.source.checked_add(by).ok_or_else(|| {
                Error::Corpus(format!("source {} and {by} more pass 2^64: shift by less", first.source))
            })?;
        }
        Ok(shifted)
    }

    /// The number of distinct pieces.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no piece at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The number of pieces of the corpus: the sum of all counts.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The bytes of all distinct pieces together.
    pub fn distinct_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The piece at `index` in first-seen order.
    pub fn get(&self, index: usize) -> Option<Piece<'_>> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(Piece { bytes: &self.bytes[start..end], count: self.counts[index], first: self.firsts[index] })
    }

    /// All pieces in first-seen order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Piece<'_>> {
        (0..self.len()).map(|index| self.get(index).expect("an index below the length"))
    }

    /// The counts as bytes, for `from_bytes`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 32 * self.len());
        for piece in self.iter() {
            for number in [piece.bytes.len() as u64, piece.count, piece.first.source, piece.first.offset] {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
            bytes.extend_from_slice(piece.bytes);
        }
        bytes
    }

    /// The value that `to_bytes` wrote; `Error::Corpus` for bytes that it did not write.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<PieceCounts> {
        let mut table = Table::new();
        let mut read = 0;
        while !bytes.is_empty() {
            let (piece, rest) = take_piece(bytes).ok_or_else(not_counts)?;
            table.add(piece)?;
            bytes = rest;
            read += 1;
        }
        let counts = table.finish()?;
        if counts.len() == read && counts.iter().is_sorted() { Ok(counts) } else { Err(not_counts()) }
    }
}

/// The first piece of what `to_bytes` wrote, and the rest.
fn take_piece(bytes: &[u8]) -> Option<(Piece<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(32)?;
    let number = |at: usize| Some(u64::from_le_bytes(head[at..at + 8].try_into().ok()?));
    let (bytes, rest) = rest.split_at_checked(usize::try_from(number(0)?).ok()?)?;
    let count = number(8)?;
    let first = Position { source: number(16)?, offset: number(24)? };
    (!bytes.is_empty() && count > 0).then_some((Piece { bytes, count, first }, rest))
}

fn not_counts() -> Error {
    Error::Corpus("these bytes are no piece counts: they were cut short or changed; count the corpus again".into())
}
