//! The distinct pieces side by side, one cell per byte: before each piece its count, after it a border.
//!
//! A token's number is in its first and last cell. The token to the left ends in the cell before the first, the token to the right begins
//! in the cell after the last, and a merge rewrites at most four cells. Pieces lie in first-seen order, so the lower of two cells is the
//! one that comes first in the corpus.
//!
//! Tokens only grow, so a cell where a token once began can never become the last cell of that same token: first cells need no mark.

use std::ops::Range;

use super::start::Alphabet;
use super::{Pair, zeros};
use crate::count::{Piece, PieceCounts};
use crate::error::{Error, Result};
use crate::lines::on_large_pages;
use crate::processor::prefetch;
use crate::progress::Pulse;
use crate::threads::in_parts;

/// The contents of a cell. Most vocabularies fit in 16 bits, which halves the memory and the time to fetch it.
pub(super) trait Cell: Copy + Default + Eq + Send + Sync {
    /// A cell between two pieces.
    const BORDER: Self;
    /// A cell inside a token, neither its first nor its last.
    const INSIDE: Self;
    /// How many token numbers there are besides the two values above.
    const TOKENS: usize;
    /// How many cells a weight takes.
    const WEIGHT: usize;

    /// The cell for a token's number, which must be below `TOKENS`.
    fn of(token: u32) -> Self;

    /// The number in a cell.
    fn token(self) -> u32;

    /// Writes a weight into `WEIGHT` cells.
    fn write_weight(weight: u32, cells: &mut [Self]);

    /// The weight in `WEIGHT` cells.
    fn weight(cells: &[Self]) -> u32;
}

impl Cell for u16 {
    const BORDER: u16 = u16::MAX;
    const INSIDE: u16 = u16::MAX - 1;
    const TOKENS: usize = u16::MAX as usize - 1;
    const WEIGHT: usize = 2;

    fn of(token: u32) -> u16 {
        token as u16
    }

    fn token(self) -> u32 {
        u32::from(self)
    }

    fn write_weight(weight: u32, cells: &mut [u16]) {
        cells.copy_from_slice(&[weight as u16, (weight >> 16) as u16]);
    }

    fn weight(cells: &[u16]) -> u32 {
        u32::from(cells[0]) | u32::from(cells[1]) << 16
    }
}

impl Cell for u32 {
    const BORDER: u32 = u32::MAX;
    const INSIDE: u32 = u32::MAX - 1;
    const TOKENS: usize = u32::MAX as usize - 1;
    const WEIGHT: usize = 1;

    fn of(token: u32) -> u32 {
        token
    }

    fn token(self) -> u32 {
        self
    }

    fn write_weight(weight: u32, cells: &mut [u32]) {
        cells[0] = weight;
    }

    fn weight(cells: &[u32]) -> u32 {
        cells[0]
    }
}

/// Stands in for a weight that does not fit beside its piece.
const LARGE: u32 = u32::MAX;

/// The fewest bytes of pieces that a thread is given: it takes 70 us to start one.
const PART: usize = 1 << 17;

/// How many words of start bits are searched for the start of a piece before `long` is.
const REACH: usize = 8;

/// The pieces as the merges so far have left them.
pub(super) struct Cells<C> {
    cells: Vec<C>,
    /// The first cell of each part; threads work on the parts side by side.
    parts: Vec<usize>,
    /// A bit for each cell, set where a piece begins.
    starts: Vec<u64>,
    /// The first cells of pieces longer than `REACH` words of start bits.
    long: Vec<u32>,
    /// The counts that do not fit beside their pieces, by the pieces' first cells.
    large: Vec<(u32, u64)>,
    /// The length of each token in bytes, by number.
    lengths: Vec<u32>,
    /// Tokens numbered below this are single bytes.
    bytes: u32,
}

/// What is recorded about a range of cells besides their contents.
struct Laid {
    /// Start bits. The first word is the one with the bit of the range's first cell, so it may begin with bits of earlier cells.
    starts: Vec<u64>,
    long: Vec<u32>,
    large: Vec<(u32, u64)>,
}

impl<C: Cell> Cells<C> {
    /// Lays out the pieces of two or more bytes as tokens of `alphabet`, in parts for at most `threads` threads; shorter pieces have no
    /// pairs. `Error::Corpus` past 2^32 cells, `Error::Memory` if there is too little, `Error::Interrupted` if `pulse` says so.
    pub(super) fn new(
        counts: &PieceCounts,
        alphabet: &Alphabet<'_>,
        threads: usize,
        pulse: &mut Pulse<'_>,
    ) -> Result<Cells<C>> {
        let ranges = counts.ranges(threads.min(counts.distinct_bytes() / PART));
        let mut parts = Vec::with_capacity(ranges.len());
        let mut needed = 0;
        for pieces in &ranges {
            parts.push(needed);
            needed += pieces_of(counts, pieces).map(|piece| C::WEIGHT + piece.bytes.len() + 1).sum::<usize>();
        }
        check_room(needed, counts.distinct_bytes())?;
        let mut cells: Vec<C> = zeros(needed)?;
        on_large_pages(&mut cells);
        let mut rest = &mut cells[..];
        let mut work = Vec::with_capacity(ranges.len());
        for (pieces, (&start, &end)) in ranges.iter().zip(parts.iter().zip(parts[1..].iter().chain([&needed]))) {
            work.push((pieces, start, rest.split_off_mut(..end - start).unwrap_or_default()));
        }
        let laid = in_parts(work, threads, pulse, |(pieces, start, cells), pulse| {
            lay(pieces_of(counts, pieces), alphabet, start, cells, pulse)
        })?;
        let mut starts = zeros::<u64>(needed.div_ceil(64))?;
        let (mut long, mut large) = (Vec::new(), Vec::new());
        for (laid, &start) in laid.iter().zip(&parts) {
            for (bits, more) in starts[start / 64..].iter_mut().zip(&laid.starts) {
                *bits |= more;
            }
            long.extend(&laid.long);
            large.extend(&laid.large);
        }
        let bytes = alphabet.lengths.iter().take_while(|&&length| length == 1).count() as u32;
        Ok(Cells { cells, parts, starts, long, large, lengths: alphabet.lengths.to_vec(), bytes })
    }

    /// Adds the token that a merge makes, and returns its number, the next one free.
    pub(super) fn add_token(&mut self, (left, right): Pair) -> u32 {
        self.lengths.push(self.length(left) as u32 + self.length(right) as u32);
        self.lengths.len() as u32 - 1
    }

    /// How many tokens there are: the highest number plus one.
    pub(super) fn tokens(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn length(&self, token: u32) -> usize {
        self.lengths[token as usize] as usize
    }

    /// Whether `left` begins at the cell and `right` follows it. Both are always compared, because most often both match.
    pub(super) fn holds(&self, (left, right): Pair, at: u32) -> bool {
        let next = at as usize + self.length(left);
        (self.cells[at as usize] == C::of(left)) & (self.cells.get(next) == Some(&C::of(right)))
    }

    /// How many cells there are.
    pub(super) fn count(&self) -> usize {
        self.cells.len()
    }

    /// Prefetches the first cell of a pair, its start bits, and the cell after the pair: in Chinese text that one lies in the next cache
    /// line one time in three.
    pub(super) fn prefetch(&self, at: u32, length: u32) {
        prefetch(&self.cells, at as usize);
        prefetch(&self.cells, (at + length) as usize);
        prefetch(&self.starts, at as usize / 64);
    }

    /// The first cell of the piece that contains a cell. Prefetches the piece's weight.
    pub(super) fn piece_around(&self, at: u32) -> u32 {
        let (word, bit) = (at as usize / 64, at % 64);
        let before = if word > 0 { self.starts[word - 1] } else { 0 };
        let near = self.starts[word] << (63 - bit) | before >> 1 >> bit;
        let start = if near > 0 { at - near.leading_zeros() } else { self.far_start(at) };
        prefetch(&self.cells, start as usize - C::WEIGHT);
        start
    }

    /// As `piece_around`, for a cell more than 64 cells into its piece.
    #[cold]
    fn far_start(&self, at: u32) -> u32 {
        let word = at as usize / 64;
        let words = self.starts[word.saturating_sub(REACH)..word].iter().rev();
        match (1..).zip(words).find(|&(_, &bits)| bits > 0) {
            Some((back, bits)) => (word - back) as u32 * 64 + bits.ilog2(),
            None => self.long[self.long.partition_point(|&start| start <= at) - 1],
        }
    }

    /// How often the piece that begins at a cell occurs in the corpus.
    pub(super) fn weight(&self, start: u32) -> u64 {
        let weight = C::weight(&self.cells[start as usize - C::WEIGHT..start as usize]);
        if weight < LARGE { u64::from(weight) } else { self.large_weight(start) }
    }

    #[cold]
    fn large_weight(&self, start: u32) -> u64 {
        let at = self.large.binary_search_by_key(&start, |&(start, _)| start);
        self.large[at.expect("a piece that was laid out")].1
    }

    /// The token that ends just before a cell, which must not be the first of its piece.
    pub(super) fn left_of(&self, at: u32) -> u32 {
        self.cells[at as usize - 1].token()
    }

    /// The token that begins at the cell; `None` for a border.
    pub(super) fn begins_at(&self, at: u32) -> Option<u32> {
        Some(self.cells[at as usize]).filter(|&cell| cell != C::BORDER).map(C::token)
    }

    /// Writes `token` over the pair that begins at the cell.
    pub(super) fn write(&mut self, (left, right): Pair, at: u32, token: u32) {
        let start = at as usize;
        let (middle, end) = (start + self.length(left), start + self.length(token));
        if self.length(left) > 1 {
            self.cells[middle - 1] = C::INSIDE;
        }
        if self.length(right) > 1 {
            self.cells[middle] = C::INSIDE;
        }
        self.cells[start] = C::of(token);
        self.cells[end - 1] = C::of(token);
    }

    /// How many parts the cells are divided into.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Calls `each(cell, pair, weight)` for each pair of neighbours in a part, in order.
    pub(super) fn each_pair(
        &self,
        part: usize,
        pulse: &mut Pulse<'_>,
        mut each: impl FnMut(u32, Pair, u64),
    ) -> Result<()> {
        let mut start = self.parts[part] + C::WEIGHT;
        let end = self.parts.get(part + 1).copied().unwrap_or(self.cells.len());
        while start < end {
            let weight = self.weight(start as u32);
            let (mut at, mut left) = (start, self.cells[start].token());
            loop {
                // The length of a single byte is known: before the first merge there is no waiting for the table.
                let next = at + if left < self.bytes { 1 } else { self.length(left) };
                let right = self.cells[next];
                if right == C::BORDER {
                    at = next;
                    break;
                }
                each(at as u32, (left, right.token()), weight);
                (at, left) = (next, right.token());
            }
            pulse.step(at - start)?;
            start = at + 1 + C::WEIGHT;
        }
        Ok(())
    }
}

/// The pieces of a range that are long enough to have pairs.
fn pieces_of<'a>(counts: &'a PieceCounts, range: &Range<usize>) -> impl Iterator<Item = Piece<'a>> {
    range.clone().filter_map(|index| counts.get(index)).filter(|piece| piece.bytes.len() > 1)
}

/// Lays out `pieces` in `cells`, which have room for them and begin at cell number `start`.
fn lay<'a, C: Cell>(
    pieces: impl Iterator<Item = Piece<'a>>,
    alphabet: &Alphabet<'_>,
    start: usize,
    mut cells: &mut [C],
    pulse: &mut Pulse<'_>,
) -> Result<Laid> {
    let mut laid =
        Laid { starts: vec![0; (start % 64 + cells.len()).div_ceil(64)], long: Vec::new(), large: Vec::new() };
    let (mut tokens, mut next) = (Vec::new(), start);
    for piece in pieces {
        pulse.step(piece.bytes.len())?;
        let length = piece.bytes.len();
        let (weight, rest) = cells.split_at_mut(C::WEIGHT);
        let (inside, rest) = rest.split_at_mut(length);
        let first = next + C::WEIGHT;
        laid.starts[first / 64 - start / 64] |= 1 << (first % 64);
        if length > 64 * REACH {
            laid.long.push(first as u32);
        }
        let small = u32::try_from(piece.count).unwrap_or(LARGE);
        if small == LARGE {
            laid.large.push((first as u32, piece.count));
        }
        C::write_weight(small, weight);
        if alphabet.encode(piece.bytes, &mut tokens)? {
            let mut at = 0;
            for &token in &tokens {
                let length = alphabet.lengths[token as usize] as usize;
                inside[at..at + length].fill(C::INSIDE);
                inside[at] = C::of(token);
                inside[at + length - 1] = C::of(token);
                at += length;
            }
        } else {
            for (cell, &byte) in inside.iter_mut().zip(piece.bytes) {
                *cell = C::of(alphabet.bytes[usize::from(byte)]);
            }
        }
        rest[0] = C::BORDER;
        cells = &mut rest[1..];
        next = first + length + 1;
    }
    Ok(laid)
}

/// `Error::Corpus` if the cells that pieces of `bytes` need are more than can be numbered.
fn check_room(cells: usize, bytes: usize) -> Result<()> {
    if u32::try_from(cells).is_ok() {
        return Ok(());
    }
    Err(Error::Corpus(format!(
        "the distinct pieces hold {bytes} bytes, and training takes 4 GiB of them: leave out the rare ones with a higher min_count, \
         which stages do not take, or train on a part of the corpus, or with a pattern that cuts it into shorter pieces"
    )))
}

#[cfg(test)]
mod tests {
    use super::check_room;

    #[test]
    fn more_cells_than_can_be_numbered_are_an_error_that_names_every_way_out() {
        assert!(check_room(0xffff_ffff, 1).is_ok());
        let refused = check_room(1 << 32, 4_000_000_000).unwrap_err().to_string();
        for said in ["4000000000 bytes", "higher min_count", "a part of the corpus", "shorter pieces"] {
            assert!(refused.contains(said), "{refused}");
        }
    }
}
