//! The distinct pieces side by side, a cell a byte, with a border before and after each.
//!
//! A token holds its number in the first of its bytes' cells, and marked in the last: what stands left of a token is in the cell
//! before it, what stands right of it in the cell after it, and a merge rewrites at most four cells. Pieces lie in first-seen
//! order, so that the lower of two cells is the one that comes first in the corpus.

use super::Pair;
use super::start::Alphabet;
use crate::count::PieceCounts;
use crate::error::{Error, Result};
use crate::lines::on_large_pages;
use crate::processor::prefetch;
use crate::progress::Pulse;

/// A cell between two pieces.
const BORDER: u32 = u32::MAX;
/// A cell inside a token, neither its first nor its last. It is not the number of any.
const INSIDE: u32 = u32::MAX - 1;
/// Marks the last cell of a token of two bytes or more.
const LAST: u32 = 1 << 31;

/// From here on a weight is kept apart: nearly all fit in 32 bits, which halves the memory that a merge looks up for each place.
const LARGE: u32 = 1 << 31;

/// The pieces as the merges so far have left them.
pub(super) struct Cells {
    cells: Vec<u32>,
    /// Which piece a cell belongs to, as a bit for each piece's first cell and a running number every 64 cells.
    starts: Vec<Starts>,
    /// The count of each piece, if that is below `LARGE`, else its place among the large ones and `LARGE`.
    weights: Vec<u32>,
    large: Vec<u64>,
    /// The bytes of each token, by number.
    lengths: Vec<u32>,
}

#[derive(Clone, Copy, Default)]
struct Starts {
    bits: u64,
    before: u32,
}

impl Cells {
    /// Lays out the pieces of two bytes and more, as tokens of `alphabet`; the others have no pairs. `Error::Corpus` past 2^32
    /// cells, `Error::Interrupted` if `pulse` says so.
    pub(super) fn new(counts: &PieceCounts, alphabet: &Alphabet<'_>, pulse: &mut Pulse<'_>) -> Result<Cells> {
        let long = || counts.iter().filter(|piece| piece.bytes.len() > 1);
        let needed = 1 + long().map(|piece| piece.bytes.len() + 1).sum::<usize>();
        if u32::try_from(needed).is_err() {
            return Err(Error::Corpus(format!(
                "the distinct pieces hold {} bytes, and training takes 4 GiB of them: train on a part of the corpus, \
                 or with a pattern that cuts it into shorter pieces",
                counts.distinct_bytes()
            )));
        }
        let mut cells: Vec<u32> = Vec::with_capacity(needed);
        on_large_pages(cells.spare_capacity_mut());
        let mut weights = Vec::with_capacity(long().count());
        let mut large = Vec::new();
        let mut starts = vec![Starts::default(); needed.div_ceil(64)];
        let mut tokens = Vec::new();
        cells.push(BORDER);
        for piece in long() {
            pulse.step(piece.bytes.len())?;
            starts[cells.len() / 64].bits |= 1 << (cells.len() % 64);
            weights.push(match u32::try_from(piece.count) {
                Ok(small) if small < LARGE => small,
                _ => {
                    large.push(piece.count);
                    LARGE + (large.len() as u32 - 1)
                }
            });
            if alphabet.encode(piece.bytes, &mut tokens)? {
                for &token in &tokens {
                    let (start, length) = (cells.len(), alphabet.lengths()[token as usize] as usize);
                    cells.resize(start + length, INSIDE);
                    cells[start + length - 1] = token | LAST;
                    cells[start] = token;
                }
            } else {
                cells.extend(piece.bytes.iter().map(|&byte| alphabet.bytes()[usize::from(byte)]));
            }
            cells.push(BORDER);
        }
        let mut before = 0;
        for start in &mut starts {
            start.before = before;
            before += start.bits.count_ones();
        }
        Ok(Cells { cells, starts, weights, large, lengths: alphabet.lengths().to_vec() })
    }

    /// Makes the token of a merge; its number is the next.
    pub(super) fn add_token(&mut self, (left, right): Pair) -> u32 {
        self.lengths.push(self.length(left) as u32 + self.length(right) as u32);
        self.lengths.len() as u32 - 1
    }

    /// How many tokens there are, the highest number and one.
    pub(super) fn tokens(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn length(&self, token: u32) -> usize {
        self.lengths[token as usize] as usize
    }

    /// Whether `left` begins at the cell, and `right` follows it. Both are looked at always: most often both are there.
    pub(super) fn holds(&self, (left, right): Pair, at: u32) -> bool {
        let next = at as usize + self.length(left);
        (self.cells[at as usize] == left) & (self.cells.get(next) == Some(&right))
    }

    /// How many cells there are.
    pub(super) fn count(&self) -> usize {
        self.cells.len()
    }

    /// Has what is known of a cell fetched.
    pub(super) fn prefetch(&self, at: u32) {
        prefetch(&self.cells, at as usize);
        prefetch(&self.starts, at as usize / 64);
    }

    /// The piece around a cell, whose weight is fetched.
    pub(super) fn piece(&self, at: u32) -> u32 {
        let Starts { bits, before } = self.starts[at as usize / 64];
        let piece = before + (bits << (63 - at % 64)).count_ones() - 1;
        prefetch(&self.weights, piece as usize);
        piece
    }

    /// How often a piece occurs in the corpus.
    pub(super) fn weight(&self, piece: u32) -> u64 {
        let weight = self.weights[piece as usize];
        if weight < LARGE { u64::from(weight) } else { self.large[(weight - LARGE) as usize] }
    }

    /// The token that ends before the cell.
    pub(super) fn left_of(&self, at: u32) -> Option<u32> {
        Some(self.cells[at as usize - 1]).filter(|&cell| cell != BORDER).map(|cell| cell & !LAST)
    }

    /// The token that begins at the cell.
    pub(super) fn begins_at(&self, at: u32) -> Option<u32> {
        Some(self.cells[at as usize]).filter(|&cell| cell != BORDER)
    }

    /// Writes `token` over the pair that begins at the cell.
    pub(super) fn write(&mut self, (left, right): Pair, at: u32, token: u32) {
        let start = at as usize;
        let (middle, end) = (start + self.length(left), start + self.length(token));
        if self.length(left) > 1 {
            self.cells[middle - 1] = INSIDE;
        }
        if self.length(right) > 1 {
            self.cells[middle] = INSIDE;
        }
        self.cells[start] = token;
        self.cells[end - 1] = token | LAST;
    }

    /// Calls `each(cell, pair, weight)` for each two neighbours, in order.
    pub(super) fn each_pair(&self, pulse: &mut Pulse<'_>, mut each: impl FnMut(u32, Pair, u64)) -> Result<()> {
        let mut start = 1;
        for piece in 0..self.weights.len() {
            let weight = self.weight(piece as u32);
            let (mut at, mut left) = (start, self.cells[start]);
            loop {
                let next = at + self.length(left);
                let right = self.cells[next];
                if right == BORDER {
                    at = next;
                    break;
                }
                each(at as u32, (left, right), weight);
                (at, left) = (next, right);
            }
            pulse.step(at - start)?;
            start = at + 1;
        }
        Ok(())
    }
}
