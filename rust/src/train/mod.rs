//! Training: from piece counts to merges, exactly those that the naive algorithm makes.
//!
//! The naive algorithm counts all pairs of neighbours, merges the best, and starts again. Here each of its steps is an update:
//!
//! * `start`: the tokens that are there before the first merge;
//! * `cells`: the distinct pieces side by side in one array, in which a token keeps the cells of its bytes, so that a merge
//!   shifts nothing and finds its neighbours in one step;
//! * `spelling`: what tokens spell, where stages make that two pairs can spell the same;
//! * `tallies`: the first count of all pairs;
//! * `numbers`: the number of each pair;
//! * `index`: each pair's count and where it stands;
//! * `queue`: the best pair next, by count and tie rule;
//! * `merge`: one merge, and what it changes of the other pairs' counts.
//!
//! A merge costs what it touches: the work of a whole run is linear in the bytes of the distinct pieces, times the logarithm for
//! the queue, however long a piece is.

mod cells;
mod index;
mod merge;
mod numbers;
mod queue;
mod spelling;
mod start;
mod tallies;

use std::num::NonZero;
use std::ops::Deref;

use crate::count::PieceCounts;
use crate::error::Result;
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
    /// The pair that occurs first in the text as merged so far, as upstream minbpe has it.
    First,
    /// The pair of lowest ids.
    Lowest,
}

/// How to train.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What there is before the first merge.
    pub start: Start<'a>,
    /// How many merges to make, at most.
    pub merges: usize,
    /// Which of several pairs with the same count is merged.
    pub tie_break: TieBreak,
    /// No pair that occurs less often is merged. 0 asks for no more than 1 does.
    pub min_count: u64,
    /// No pair that makes a token of more bytes is merged.
    pub max_length: usize,
    /// How many threads work side by side: all cores if `None`. The merges do not depend on it.
    pub threads: Option<NonZero<usize>>,
}

impl<'a> Options<'a> {
    /// No limits but the number of merges.
    pub fn new(start: Start<'a>, merges: usize, tie_break: TieBreak) -> Options<'a> {
        Options { start, merges, tie_break, min_count: 1, max_length: usize::MAX, threads: None }
    }
}

/// One merge. Its token's id is the next after those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merge {
    /// What is merged, by ids.
    pub pair: Pair,
    /// How often the pair stood in the corpus; overlaps count, so "aaa" holds (a, a) twice.
    pub count: u64,
    /// In how many places it became a token: by so many tokens the corpus is shorter.
    pub merged: u64,
}

/// Why a training ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All merges were made that were asked for, or no pair is left that may be merged.
    Done,
    /// With one more token the tokens would together hold more bytes than a vocabulary takes, 1 GiB.
    Full,
}

/// Trains on `counts`. Gives fewer merges than asked for once no pair is left that may be merged, or the tokens together hold 1 GiB: when all
/// pairs are equally frequent, the first two tokens of a long piece are merged again and again, and each token is longer than the last.
///
/// Each merge is of the pair of the highest count, of those that the limits admit, and where there are stages, of those whose bytes are
/// no token yet.
///
/// `progress` is told the merges made and wanted. `Error::Corpus` for a corpus of which a pair occurs 2^63 times or whose distinct
/// pieces pass 4 GiB, `Error::Vocabulary` for options that make no sense, `Error::Pattern` if the pattern of an earlier stage gave up on a piece,
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

/// As `train`, calling `each` with a merge as soon as it is made: what an error leaves is the beginning of the same training.
/// `counts` are dropped before the first merge, so those that nobody else holds take no memory while the others are made.
pub fn each_merge<'a>(
    counts: impl Deref<Target = PieceCounts>,
    options: &Options<'_>,
    each: &mut dyn FnMut(Merge),
    progress: &'a mut Progress<'a>,
) -> Result<End> {
    let alphabet = Alphabet::new(options.start)?;
    alphabet.check_room(options.merges)?;
    if alphabet.lengths().len() + options.merges <= u16::TOKENS {
        merge_all::<u16>(counts, &alphabet, options, each, progress)
    } else {
        merge_all::<u32>(counts, &alphabet, options, each, progress)
    }
}

/// As `each_merge`, with cells that hold the numbers of all tokens.
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
    let mut bytes: usize = alphabet.lengths().iter().map(|&length| length as usize).sum();
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

/// The count below which pairs are not indexed at first. Counts never rise, so as long as the best pair has at least this count,
/// the pairs left out do not matter; once it has not, the index is made anew with a lower floor.
///
/// The last of n merges has some 1/40 to 1/55 of the n-th part of all pairs, on English as on mixed text, at 50,000 and at
/// 100,000 merges; 1/128 leaves room, and spares indexing 85 % of the pairs.
fn first_floor(counts: &PieceCounts, merges: usize) -> u64 {
    let pairs: u128 = counts.iter().map(|piece| (piece.bytes.len() as u128 - 1) * u128::from(piece.count)).sum();
    u64::try_from(pairs / (128 * merges.max(1) as u128)).unwrap_or(u64::MAX).max(1)
}
