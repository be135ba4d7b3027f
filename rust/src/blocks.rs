//! Merging long pieces in blocks, joined where the seam between them proves to hold.
//!
//! If the tokens of two neighbouring stretches are exact and the seam between them holds (`Rules::seam_holds`), they are exact for both
//! together. So blocks may be merged in whatever way is quick, and a wrong guess costs only time: some tokens are dropped and their bytes
//! merged again. Text that repeats is merged once, and the tokens of its period are copied. All other text goes through lanes, in blocks of
//! 31 bytes or up to a place that no token crosses. In random letters every second seam between these fails; there a few tokens on both
//! sides are merged once more, again side by side.

use std::ops::Range;

use crate::error::Result;
use crate::lanes::{LONGEST, Lanes};
use crate::merge::{Rules, SHORT, merge_by_heap, merge_short};
use crate::processor::{Instructions, Work, widest};
use crate::progress::Look;
use crate::table::Pairs;

/// How many of the bytes merged last are merged again with the next block: more than most tokens have.
const OVERLAP: usize = 12;

/// The fewest bytes that are merged again on each side of a seam that fails.
const MARGIN: usize = 6;

/// The fewest blocks that are merged side by side, and the most.
const BLOCKS: Range<usize> = 4..128;

/// Appends the tokens of `piece` to `out`. Each token must have one pair of parents. Nothing fails but `look`.
pub(crate) fn merge_in_blocks(rules: &Rules<'_>, piece: &[u8], out: &mut Vec<u32>, look: &mut Look<'_>) -> Result<()> {
    let first = out.len();
    let mut blocks = Blocks { rules, piece, out, first, done: 0, last: Block::default(), length: SHORT };
    while blocks.done < piece.len() {
        let before = blocks.done;
        if blocks.next_is_new(look)? {
            blocks.side_by_side(look)?;
        }
        look(blocks.done.abs_diff(before))?;
    }
    Ok(())
}

/// A piece that is being merged.
struct Blocks<'a> {
    rules: &'a Rules<'a>,
    piece: &'a [u8],
    /// From `first` on, the tokens of the piece's bytes up to `done`.
    out: &'a mut Vec<u32>,
    first: usize,
    done: usize,
    last: Block,
    /// How long the next block is: longer where tokens are longer.
    length: usize,
}

/// The block that was last merged on its own: its tokens, and where they begin in the output.
#[derive(Default)]
struct Block {
    bytes: Range<usize>,
    tokens: Vec<u32>,
    place: usize,
}

impl Blocks<'_> {
    /// Merges the next block, which begins a little before the end of what is done. Returns whether its text differs from the last block's
    /// and its tokens are not long.
    fn next_is_new(&mut self, look: &mut Look<'_>) -> Result<bool> {
        let (before, place) = (self.last.bytes.clone(), self.last.place);
        let (kept, start) = self.back_to(self.done.saturating_sub(OVERLAP), self.out.len(), self.done);
        let end = (start + self.length).max(self.done + self.length / 2).min(self.piece.len());
        let repeats = self.piece[start..end] == self.piece[before.clone()];
        let follows = before.end == self.done && before.start < start;
        self.merge_from(kept, start, end, look)?;
        if repeats && follows && self.last.place == kept && self.repeat(start - before.start, place) {
            return Ok(false);
        }
        match self.last.tokens.len() {
            ..8 => self.length *= 2,
            32.. => self.length = SHORT,
            _ => (),
        }
        Ok(self.length == SHORT && !repeats && before.end > 0)
    }

    /// Goes back from the token `kept`, which begins at `start`, to the one that begins at `goal` or before.
    fn back_to(&self, goal: usize, mut kept: usize, mut start: usize) -> (usize, usize) {
        while start > goal {
            kept -= 1;
            start -= self.rules.length(self.out[kept]);
        }
        (kept, start)
    }

    /// Merges the bytes from `start`, where the token `kept` begins, to `end`.
    fn merge_from(&mut self, mut kept: usize, mut start: usize, end: usize, look: &mut Look<'_>) -> Result<()> {
        loop {
            if self.piece[start..end] != self.piece[self.last.bytes.clone()] {
                self.last.tokens.clear();
                let (pairs, bytes, tokens) = (self.rules.pairs, &self.piece[start..end], &mut self.last.tokens);
                if bytes.len() <= SHORT {
                    merge_short(pairs, bytes, tokens);
                } else {
                    merge_by_heap(pairs, bytes, tokens, look)?;
                }
            }
            self.last.bytes = start..end;
            if kept == self.first || self.rules.seam_holds(self.out[kept - 1], self.last.tokens[0]) {
                break;
            }
            // Each try goes back twice as far, so that a dispute over all that is done costs n log n and not n squared.
            (kept, start) = self.back_to(end.saturating_sub((end - start) * 2), kept, start);
        }
        self.out.truncate(kept);
        self.last.place = kept;
        self.out.extend_from_slice(&self.last.tokens);
        self.done = end;
        Ok(())
    }

    /// Copies the tokens of one period, which begin at `place`, for as long as the text repeats what was `period` bytes before. Returns
    /// whether it does.
    ///
    /// The last block and the one before it have the same bytes and tokens, so the tokens of a period are already followed by themselves,
    /// within a block or at the seam between the two: all seams of the copies are among those that hold.
    fn repeat(&mut self, period: usize, place: usize) -> bool {
        let (ahead, behind) = (&self.piece[self.done..], &self.piece[self.done - period..]);
        let chunks = ahead.as_chunks::<64>().0.iter().zip(behind.as_chunks::<64>().0);
        let times = 64 * chunks.take_while(|(ahead, behind)| ahead == behind).count() / period;
        self.out.truncate(self.last.place);
        let end = self.out.len() + times * (self.out.len() - place);
        while self.out.len() < end {
            let count = (end - self.out.len()).min(self.out.len() - place);
            self.out.extend_from_within(place..place + count);
        }
        self.last.place = end;
        self.out.extend_from_slice(&self.last.tokens);
        self.done += times * period;
        self.last.bytes = self.last.bytes.start + times * period..self.done;
        times > 0
    }

    /// Merges a stretch of blocks in lanes, if enough text is left.
    fn side_by_side(&mut self, look: &mut Look<'_>) -> Result<()> {
        let count = ((self.piece.len() - self.done) / LONGEST).min(BLOCKS.end);
        if count < BLOCKS.start {
            return Ok(());
        }
        // A part for each block, and between any two of them one for what is merged once more.
        let mut parts = vec![Part::default(); 2 * count - 1];
        let (mut start, mut apart) = (self.done, false);
        for block in parts.iter_mut().step_by(2) {
            let cut = self.cut(start);
            let end = cut.unwrap_or(start + LONGEST);
            (block.bytes, block.apart) = (start..end, apart);
            (start, apart) = (end, cut.is_some());
        }
        let mut tokens = Vec::with_capacity(count * LONGEST);
        widest(SideBySide { pairs: self.rules.pairs, piece: self.piece, parts: &mut parts, tokens: &mut tokens });
        for block in 1..count {
            if let [left, between, right] = &mut parts[2 * block - 2..][..3]
                && !right.apart
                && !self.rules.seam_holds(tokens[left.tokens.end - 1], tokens[right.tokens.start])
            {
                between.take(left, right, |token| self.rules.length(tokens[token]));
            }
        }
        widest(SideBySide { pairs: self.rules.pairs, piece: self.piece, parts: &mut parts, tokens: &mut tokens });
        for part in parts.into_iter().filter(|part| !part.bytes.is_empty()) {
            let tokens = &tokens[part.tokens];
            if part.apart || self.rules.seam_holds(self.out[self.out.len() - 1], tokens[0]) {
                self.out.extend_from_slice(tokens);
                self.done = part.bytes.end;
            } else {
                let (kept, start) = self.back_to(self.done.saturating_sub(OVERLAP), self.out.len(), self.done);
                self.merge_from(kept, start, part.bytes.end, look)?;
            }
        }
        Ok(())
    }

    /// The last place in the second half of the block from `start` on that no token crosses.
    fn cut(&self, start: usize) -> Option<usize> {
        let from = start + LONGEST / 2;
        Some(from + self.rules.meetings?.last_cut(&self.piece[from..start + LONGEST])?)
    }
}

/// A part of a stretch: its bytes, and which of the stretch's tokens are its own.
#[derive(Clone, Default)]
struct Part {
    bytes: Range<usize>,
    tokens: Range<usize>,
    /// Whether no token crosses its beginning.
    apart: bool,
}

impl Part {
    /// Takes over the tokens of a few bytes on both sides, unless they are so long that a block could lose all its bytes. A block of 31
    /// bytes may lose some on both sides; a shorter one has at least 16 and ends at a cut, so it can lose some on its left only.
    fn take(&mut self, left: &mut Part, right: &mut Part, length: impl Fn(usize) -> usize) {
        let (mut first, mut start) = (left.tokens.end, left.bytes.end);
        while left.bytes.end - start < MARGIN {
            first -= 1;
            start -= length(first);
        }
        let (mut last, mut end) = (right.tokens.start, right.bytes.start);
        while end - right.bytes.start < MARGIN {
            end += length(last);
            last += 1;
        }
        if left.bytes.end - start <= LONGEST / 2 && end - right.bytes.start <= LONGEST / 2 {
            self.bytes = start..end;
            (left.bytes.end, left.tokens.end) = (start, first);
            (right.bytes.start, right.tokens.start) = (end, last);
        }
    }
}

/// Merges all parts that have bytes but no tokens yet.
struct SideBySide<'a> {
    pairs: Pairs<'a>,
    piece: &'a [u8],
    parts: &'a mut [Part],
    tokens: &'a mut Vec<u32>,
}

impl Work for SideBySide<'_> {
    type Done = ();

    #[inline(always)]
    fn run<I: Instructions>(self) {
        let SideBySide { pairs, piece, parts, tokens } = self;
        let mut lanes = Lanes::default();
        let mut next = 0;
        while next < parts.len() || !lanes.idle() {
            while next < parts.len() && !lanes.full() {
                let part = &parts[next];
                if part.tokens.is_empty() && !part.bytes.is_empty() {
                    lanes.start(next, &piece[part.bytes.clone()], pairs);
                }
                next += 1;
            }
            lanes.round(pairs, |part, found| {
                parts[part].tokens = tokens.len()..tokens.len() + found.len();
                tokens.extend_from_slice(found);
            });
        }
    }
}
