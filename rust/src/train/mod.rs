//! Training: from piece counts to merges, exactly those that the naive algorithm makes.
//!
//! The naive algorithm counts all pairs of neighbours, merges the best, and starts again. Here each of its steps is an update:
//!
//! * `start`: the tokens before the first merge;
//! * `cells`: the distinct pieces side by side in one array, in which a token keeps the cells of its bytes, so that a merge shifts nothing
//!   and finds its neighbours in one step;
//! * `spelling`: the bytes of tokens, needed with stages, where two pairs can spell the same bytes;
//! * `tallies`: the first count of all pairs;
//! * `numbers`: the number of each pair, by its tokens;
//! * `index`: the count and the places of each pair;
//! * `queue`: the best pair next, by count and tie rule;
//! * `merge`: one merge, and how it changes the counts of other pairs.
//!
//! A merge costs what it touches: a whole training is linear in the bytes of the distinct pieces, times a logarithm for the queue, however
//! long the pieces are.

mod cells;
mod index;
mod merge;
mod numbers;
mod queue;
mod spelling;
mod start;
mod tallies;

use std::collections::TryReserveError;
use std::hint::black_box;
use std::num::NonZero;
use std::ops::Deref;

use crate::count::PieceCounts;
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse};
use crate::threads::side_by_side;
use crate::tokens::MAX_BYTES;
use cells::{Cell, Cells};
use index::{Index, Wanted};
use merge::{Merged, Merger};
use queue::Queue;
use start::Alphabet;

pub use start::{Start, tokens_at_start};

/// Two neighbouring tokens, by their ids.
pub type Pair = (u32, u32);

/// Which of several pairs with the same count is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieBreak {
    /// The pair that occurs first in the text as merged so far, as in upstream minbpe.
    First,
    /// The pair with the lowest ids.
    Lowest,
}

/// How to train.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The tokens before the first merge.
    pub start: Start<'a>,
    /// The most merges to make.
    pub merges: usize,
    /// Which of several pairs with the same count is merged.
    pub tie_break: TieBreak,
    /// Pairs that occur less often are not merged. 0 means the same as 1.
    pub min_count: u64,
    /// Pairs whose token would have more bytes are not merged.
    pub max_length: usize,
    /// How many threads work side by side: all cores if `None`. The merges do not depend on it.
    pub threads: Option<NonZero<usize>>,
}

impl<'a> Options<'a> {
    /// Options with no limit but the number of merges.
    pub fn new(start: Start<'a>, merges: usize, tie_break: TieBreak) -> Options<'a> {
        Options { start, merges, tie_break, min_count: 1, max_length: usize::MAX, threads: None }
    }
}

/// One merge. Its token's id is the next one after all ids before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// The pair that is merged, by ids.
    pub pair: Pair,
    /// How often the pair occurred in the corpus; overlaps count, so "aaa" holds (a, a) twice.
    pub count: u64,
    /// In how many places it became a token, which is how many tokens the corpus lost.
    pub merged: u64,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All the merges asked for were made, or no pair is left that may be merged.
    Done,
    /// One more token would bring all tokens together past 1 GiB, the most bytes that a vocabulary can hold.
    Full,
}

/// Trains on `counts`. Makes fewer merges than asked for if no pair is left that may be merged, or if the tokens together reach 1 GiB: when
/// all pairs are equally frequent, the first two tokens of a long piece are merged again and again, and each token is longer than the last.
///
/// Each merge takes the pair with the highest count among those that the limits admit and, with stages, whose bytes are no token yet.
///
/// `progress` is told the merges made and wanted. `Error::Corpus` if a pair occurs 2^63 times or the distinct pieces pass 4 GiB,
/// `Error::Vocabulary` for options that make no sense, `Error::Pattern` if the pattern of an earlier stage gives up on a piece,
/// `Error::Interrupted` if `progress` breaks.
///
/// ```
/// use minbpe_core::{count::PieceCounts, progress::unwatched, train::{Options, Start, TieBreak, train}};
///
/// let counts = PieceCounts::from_items([("aaabdaaabac".as_bytes(), 1)])?;
/// let identity = std::array::from_fn(|id| id as u8);
/// let options = Options::new(Start::Bytes(&identity), 3, TieBreak::First);
/// let merges: Vec<_> = train(&counts, &options, &mut unwatched)?.iter().map(|merge| merge.pair).collect();
/// assert_eq!(merges, [(97, 97), (256, 97), (257, 98)]);
/// # Ok::<(), minbpe_core::error::Error>(())
/// ```
pub fn train<'a>(counts: &PieceCounts, options: &Options<'_>, progress: &'a mut Progress<'a>) -> Result<Vec<Merge>> {
    let mut merges = Vec::new();
    each_merge(counts, options, &mut |merge| merges.push(merge), progress)?;
    Ok(merges)
}

/// As `train`, but calls `each` with every merge as soon as it is made, so an error leaves the beginning of the same training. `counts` are
/// dropped before the first merge: unless somebody else holds them, they take no memory during merging.
pub fn each_merge<'a>(
    counts: impl Deref<Target = PieceCounts>,
    options: &Options<'_>,
    each: &mut dyn FnMut(Merge),
    progress: &'a mut Progress<'a>,
) -> Result<End> {
    let alphabet = Alphabet::new(options.start)?;
    alphabet.check_room(options.merges)?;
    if alphabet.lengths.len() + options.merges <= u16::TOKENS {
        merge_all::<u16>(counts, &alphabet, options, each, progress)
    } else {
        merge_all::<u32>(counts, &alphabet, options, each, progress)
    }
}

/// A vector of zeros that may be as large as the corpus, or larger; `Error::Memory` if there is no memory for it. From the system it is
/// zero already, so it is not written once more. `vec!` would end the process, so a vector without zeros asks for the memory first.
fn zeros<T: Copy + Default>(items: usize) -> Result<Vec<T>> {
    let mut asked = Vec::<T>::new();
    asked.try_reserve_exact(items).map_err(no_memory)?;
    drop(black_box(asked));
    Ok(vec![T::default(); items])
}

fn no_memory(_: TryReserveError) -> Error {
    Error::Memory(
        "training needs more memory than there is: leave out rare pieces with a higher min_count, which stages do not take, or train on \
         a part of the corpus, or with a pattern that cuts it into shorter pieces"
            .into(),
    )
}

/// As `each_merge`, with cells wide enough for the numbers of all tokens.
fn merge_all<'a, C: Cell>(
    counts: impl Deref<Target = PieceCounts>,
    alphabet: &Alphabet<'_>,
    options: &Options<'_>,
    each: &mut dyn FnMut(Merge),
    progress: &'a mut Progress<'a>,
) -> Result<End> {
    let mut pulse = Pulse::new(progress, options.merges as u64);
    let mut cells = Cells::<C>::new(&counts, alphabet, side_by_side(options.threads), &mut pulse)?;
    let mut spelling = alphabet.spelling();
    let mut bytes: usize = alphabet.lengths.iter().map(|&length| length as usize).sum();
    let mut made = 0;
    let least = options.min_count.max(1);
    let mut floor = first_floor(&counts, alphabet.merges() + options.merges).max(least);
    drop(counts);
    let mut merger = Merger::default();
    while made < options.merges {
        let mut index = Index::new(&cells, Wanted { floor, max_length: options.max_length }, &mut pulse)?;
        let mut queue = Queue::new(options.tie_break, &mut index, &cells);
        while made < options.merges
            && let Some(best) = queue.pop(&mut index, &cells)
        {
            let count = index.count(best);
            let pair = index.take(best);
            if spelling.as_mut().is_some_and(|spelling| !spelling.add(pair.tokens)) {
                continue;
            }
            let token = cells.add_token(pair.tokens);
            bytes += cells.length(token);
            if bytes > MAX_BYTES {
                return Ok(End::Full);
            }
            let Merged { places, created } = merger.merge(pair, token, &mut cells, &mut index, &mut pulse)?;
            each(Merge { pair: alphabet.ids(pair.tokens), count, merged: places });
            made += 1;
            for &new in created {
                queue.push(new, &mut index, &cells);
            }
            pulse.done += 1;
        }
        if floor == least {
            break;
        }
        floor = (floor / 8).max(least);
    }
    Ok(End::Done)
}

/// The count below which pairs are not indexed at first. Counts never rise, so as long as the best pair has at least this count, the pairs
/// left out do not matter; once it has less, the index is rebuilt with a lower floor.
///
/// With p pairs in the corpus, the last of n merges has a count of some 1/40 to 1/55 of p / n, on English and on mixed text, at 50,000 and
/// at 100,000 merges. 1/128 leaves a margin, and spares indexing 85 % of the pairs.
fn first_floor(counts: &PieceCounts, merges: usize) -> u64 {
    let pairs: u128 = counts.iter().map(|piece| (piece.bytes.len() as u128 - 1) * u128::from(piece.count)).sum();
    u64::try_from(pairs / (128 * merges.max(1) as u128)).unwrap_or(u64::MAX).max(1)
}
