//! From the ends of pieces to ids, by the cache: what is not in it is put off, and merged together.
//!
//! Pieces go through in three steps. Their keys are made a group at a time, and the cache lines where they may be are fetched. Then the
//! group is looked up; what is found is written down, and what is not is remembered with its place among what was. At last all that
//! was missed is merged, many pieces side by side, and both go to the sink in the order of the text. No step waits for memory: what
//! it asks for, the next one reads.

use std::ops::ControlFlow;

use crate::cache::{self, Cache, Key};
use crate::encode::Sink;
use crate::lanes::{self, Lanes};
use crate::processor::{Work, widest};
use crate::seams::Seams;
use crate::tokens::Tokens;
use crate::vocab::Vocabulary;

/// So many pieces have their keys made before the first of them is looked up: a line needs some 100 ns to come.
const AHEAD: usize = 128;
/// In steps of so many.
const STEP: usize = 32;
/// Room for those that wait.
const RING: usize = 256;

/// Shorter pieces are looked up as they are.
const UNCUT: usize = 9;

/// So many pieces are looked up before those that were missed are merged.
const PIECES: usize = 2048;

/// A piece that is not in the cache, or has more than 15 bytes.
#[derive(Debug, Clone, Copy)]
struct Miss {
    key: Key,
    place: u32,
    /// Where a piece of more than 15 bytes begins.
    start: usize,
    /// How many ids of found pieces come before it.
    after: usize,
    /// Where its ids begin in `merged`, once they are made, and how many they are.
    first: usize,
    count: usize,
}

/// Pieces that wait to be looked up, from turn `first` to before turn `last`.
struct Ring {
    keys: [Key; RING],
    places: [u32; RING],
    /// Where pieces of more than 15 bytes begin.
    starts: [usize; RING],
    first: usize,
    last: usize,
}

impl Ring {
    /// A piece of up to 15 bytes.
    #[inline(always)]
    fn push(&mut self, cache: &Cache, text: &[u8], start: usize, end: usize) {
        self.push_key(cache, Key::new(text, start, end));
    }

    /// A longer one.
    fn push_long(&mut self, cache: &Cache, text: &[u8], start: usize, end: usize) {
        self.starts[self.last % RING] = start;
        self.push_key(cache, Key::of_long(&text[start..end]));
    }

    #[inline(always)]
    fn push_key(&mut self, cache: &Cache, key: Key) {
        let place = cache.place(key);
        cache.prefetch(place);
        (self.keys[self.last % RING], self.places[self.last % RING]) = (key, place);
        self.last += 1;
    }
}

/// What a thread needs to encode, kept between calls.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// The ids of what was found, up to `filled`.
    found: Vec<u32>,
    filled: usize,
    misses: Vec<Miss>,
    /// The ids of what was missed.
    merged: Vec<u32>,
    lanes: Lanes,
}

/// Some pieces: those of `text` from `start` on, which end at `base` + `ends`.
struct Batch<'a> {
    pipeline: &'a mut Pipeline,
    vocabulary: &'a Vocabulary,
    cache: &'a mut Cache,
    text: &'a [u8],
    base: usize,
    start: usize,
    ends: &'a [u32],
}

impl Work for Batch<'_> {
    #[inline(always)]
    fn run(self) {
        let Batch { pipeline, vocabulary, cache, text, base, start, ends } = self;
        pipeline.look_up(cache, vocabulary.tokens().seams(), text, base, start, ends);
        pipeline.merge(vocabulary, cache, text);
    }
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline { found: Vec::new(), filled: 0, misses: Vec::new(), merged: Vec::new(), lanes: Lanes::new() }
    }
}

impl Pipeline {
    /// Encodes the pieces of `text` from `base` on, which end at `base` + `ends`.
    pub(crate) fn pieces(
        &mut self,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        text: &[u8],
        base: usize,
        ends: &[u32],
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        let mut start = base;
        for ends in ends.chunks(PIECES) {
            widest(Batch { pipeline: self, vocabulary, cache, text, base, start, ends });
            start = base + ends.last().map_or(0, |&end| end as usize);
            self.deliver(vocabulary, sink)?;
        }
        ControlFlow::Continue(())
    }

    /// Looks up pieces, those of `text` from `start` on that end at `base` + `ends`.
    #[inline(always)]
    fn look_up(
        &mut self,
        cache: &Cache,
        seams: Option<&Seams>,
        text: &[u8],
        base: usize,
        mut start: usize,
        ends: &[u32],
    ) {
        let mut waiting =
            Ring { keys: [Key::default(); RING], places: [0; RING], starts: [0; RING], first: 0, last: 0 };
        for ends in ends.chunks(STEP) {
            for &end in ends {
                let end = base + end as usize;
                let length = end - start;
                if (length > cache::SHORT) | (length > UNCUT) & (text[end - 1] >= 0x80) {
                    self.cut(&mut waiting, cache, seams, text, start, end);
                } else {
                    waiting.push(cache, text, start, end);
                }
                start = end;
            }
            self.find(&mut waiting, AHEAD, cache, text);
        }
        self.find(&mut waiting, 0, cache, text);
    }

    /// A piece that is long, or can be cut.
    #[inline(never)]
    fn cut(
        &mut self,
        waiting: &mut Ring,
        cache: &Cache,
        seams: Option<&Seams>,
        text: &[u8],
        mut start: usize,
        end: usize,
    ) {
        if let Some(seams) = seams
            && let Ok(piece) = std::str::from_utf8(&text[start..end])
            && !piece.is_ascii()
        {
            let from = start;
            let mut before = None;
            for (at, character) in piece.char_indices() {
                let after = u16::try_from(u32::from(character)).ok().filter(|&after| after >= 0x80);
                if let (Some(before), Some(after)) = (before, after)
                    && !seams.crossed(before, after)
                {
                    self.push(waiting, cache, text, start, from + at);
                    start = from + at;
                }
                before = after;
            }
        }
        self.push(waiting, cache, text, start, end);
    }

    /// A piece waits, of any length.
    #[inline(always)]
    fn push(&mut self, waiting: &mut Ring, cache: &Cache, text: &[u8], start: usize, end: usize) {
        if waiting.last - waiting.first >= RING - STEP {
            self.find(waiting, AHEAD, cache, text);
        }
        if end - start <= cache::SHORT {
            waiting.push(cache, text, start, end);
        } else {
            waiting.push_long(cache, text, start, end);
        }
    }

    /// Looks up the pieces that wait, but for the last `kept`.
    #[inline(always)]
    fn find(&mut self, waiting: &mut Ring, kept: usize, cache: &Cache, text: &[u8]) {
        let mut filled = self.filled;
        let last = waiting.first.max(waiting.last.saturating_sub(kept));
        let most = filled + (last - waiting.first + 1) * cache::MOST_IDS;
        if self.found.len() < most {
            self.found.resize(most.next_power_of_two(), 0);
        }
        let found = &mut self.found[..most];
        for turn in waiting.first..last {
            let (key, place) = (waiting.keys[turn % RING], waiting.places[turn % RING]);
            if key.is_short()
                && let Some((ids, count)) = cache.get(place, key)
            {
                found[filled..filled + cache::MOST_IDS].copy_from_slice(&ids);
                filled += count;
            } else {
                let start = waiting.starts[turn % RING];
                let mut miss = Miss { key, place, start, after: filled, first: self.merged.len(), count: 0 };
                if !key.is_short()
                    && let Some(ids) = cache.get_long(place, key, &text[start..start + key.length()])
                {
                    self.merged.extend(ids.iter().map(|&id| u32::from_le_bytes(id)));
                    miss.count = ids.len();
                }
                self.misses.push(miss);
            }
        }
        waiting.first = last;
        self.filled = filled;
    }

    /// Makes the ids of all that was missed.
    #[inline(always)]
    fn merge(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, text: &[u8]) {
        let Pipeline { misses, merged, lanes, .. } = self;
        let tokens = vocabulary.tokens();
        let mut next = 0;
        while next < misses.len() || !lanes.idle() {
            while next < misses.len() && !lanes.full() {
                let miss = &mut misses[next];
                if miss.count == 0 {
                    miss.first = merged.len();
                    if !begin(miss, next, tokens, cache, text, lanes, merged) {
                        miss.count = merged.len() - miss.first;
                    }
                }
                next += 1;
            }
            lanes.round(tokens.pairs(), |index, found| {
                let miss = &mut misses[index];
                (miss.first, miss.count) = (merged.len(), found.len());
                merged.extend(found.iter().map(|&token| tokens.id(token)));
                let ids = &merged[miss.first..];
                if miss.key.is_short() {
                    cache.insert(miss.place, miss.key, ids);
                } else {
                    cache.insert_long(miss.place, miss.key, &text[miss.start..][..miss.key.length()], ids);
                }
            });
        }
    }

    /// Sends all ids on, in the order of the text.
    fn deliver(&mut self, vocabulary: &Vocabulary, sink: &mut impl Sink) -> ControlFlow<()> {
        let mut from = 0;
        let flow = self.misses.iter().try_for_each(|miss| {
            sink.ids(vocabulary, &self.found[from..miss.after])?;
            from = miss.after;
            sink.ids(vocabulary, &self.merged[miss.first..][..miss.count])
        });
        let flow = match flow {
            ControlFlow::Continue(()) => sink.ids(vocabulary, &self.found[from..self.filled]),
            broken => broken,
        };
        self.filled = 0;
        self.misses.clear();
        self.merged.clear();
        flow
    }
}

/// Gives a piece to a lane, or appends its ids to `merged` if that is not needed; whether it did the first.
#[inline(always)]
fn begin(
    miss: &Miss,
    index: usize,
    tokens: &Tokens,
    cache: &mut Cache,
    text: &[u8],
    lanes: &mut Lanes,
    merged: &mut Vec<u32>,
) -> bool {
    let (key, place) = (miss.key, miss.place);
    if key.is_short() {
        let bytes = key.bytes();
        let piece = &bytes[..key.length()];
        // One just like it may have come before.
        if let Some((ids, count)) = cache.get(place, key) {
            merged.extend_from_slice(&ids[..count]);
            return false;
        }
        if tokens.by_rank()
            && let Some(token) = tokens.whole_piece(piece)
        {
            merged.push(tokens.id(token));
            return false;
        }
        lanes.start(index, piece, tokens.pairs());
        return true;
    }
    let piece = &text[miss.start..][..key.length()];
    if let Some(ids) = cache.get_long(place, key, piece) {
        merged.extend(ids.iter().map(|&id| u32::from_le_bytes(id)));
        return false;
    }
    if let Some(token) = tokens.whole_piece(piece) {
        merged.push(tokens.id(token));
    } else if piece.len() <= lanes::LONGEST {
        lanes.start(index, piece, tokens.pairs());
        return true;
    } else {
        tokens.merge(piece, merged);
        merged[miss.first..].iter_mut().for_each(|id| *id = tokens.id(*id));
    }
    cache.insert_long(place, key, piece, &merged[miss.first..]);
    false
}
