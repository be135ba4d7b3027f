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

/// So many misses are remembered, by their place in the cache, for those that are the same.
const RECENT: usize = 256;

/// A piece that is not in the cache, or has more than 15 bytes.
#[derive(Debug, Clone, Copy)]
struct Miss {
    key: Key,
    start: usize,
    place: u32,
    /// How many ids of found pieces come before it.
    after: usize,
    /// Where its ids begin in `merged`, once they are made, and how many they are.
    first: usize,
    count: usize,
    /// The number of a miss with the same bytes: its own, or of one before, which then has the ids.
    like: usize,
}

impl Miss {
    /// Whether both have the same bytes.
    fn equals(&self, other: &Miss, text: &[u8]) -> bool {
        self.key == other.key && (self.key.is_short() || self.piece(text) == other.piece(text))
    }

    fn piece<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        &text[self.start..self.start + self.key.length()]
    }
}

/// A piece that waits to be looked up.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    key: Key,
    start: usize,
    place: u32,
}

impl Waiting {
    /// The piece of these bytes; its cache line is on the way.
    #[inline(always)]
    fn new(key: Key, start: usize, cache: &Cache) -> Waiting {
        let place = cache.place(key);
        cache.prefetch(place);
        Waiting { key, start, place }
    }
}

/// What a thread needs to encode, kept between calls.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// A ring of those that wait, from turn `first` to before turn `last`.
    waiting: [Waiting; RING],
    first: usize,
    last: usize,
    /// How many pieces there were since ids were last sent on.
    pieces: usize,
    /// The ids of what was found, up to `filled`.
    found: Vec<u32>,
    filled: usize,
    misses: Vec<Miss>,
    /// The ids of what was missed.
    merged: Vec<u32>,
    lanes: Lanes,
}

/// Looks up the pieces of `text` from `start` on, which end at `base` + `ends`.
struct LookUp<'a> {
    pipeline: &'a mut Pipeline,
    cache: &'a Cache,
    seams: Option<&'a Seams>,
    text: &'a [u8],
    base: usize,
    start: usize,
    ends: &'a [u32],
}

impl Work for LookUp<'_> {
    #[inline(always)]
    fn run(self) {
        self.pipeline.look_up(self.cache, self.seams, self.text, self.base, self.start, self.ends);
    }
}

/// Looks up the pieces that still wait.
struct LookUpRest<'a> {
    pipeline: &'a mut Pipeline,
    cache: &'a Cache,
    text: &'a [u8],
}

impl Work for LookUpRest<'_> {
    #[inline(always)]
    fn run(self) {
        self.pipeline.find(0, self.cache, self.text);
    }
}

/// Makes the ids of all that was missed.
struct Merge<'a> {
    pipeline: &'a mut Pipeline,
    vocabulary: &'a Vocabulary,
    cache: &'a mut Cache,
    text: &'a [u8],
}

impl Work for Merge<'_> {
    #[inline(always)]
    fn run(self) {
        self.pipeline.merge(self.vocabulary, self.cache, self.text);
    }
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline {
            waiting: [Waiting::default(); RING],
            first: 0,
            last: 0,
            pieces: 0,
            found: Vec::new(),
            filled: 0,
            misses: Vec::new(),
            merged: Vec::new(),
            lanes: Lanes::new(),
        }
    }
}

impl Pipeline {
    /// Encodes the pieces of `text` from `base` on, which end at `base` + `ends`. Some of them wait for more; `finish` ends a text.
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
            let seams = vocabulary.tokens().seams();
            widest(LookUp { pipeline: self, cache, seams, text, base, start, ends });
            start = base + ends.last().map_or(0, |&end| end as usize);
            self.pieces += ends.len();
            if self.pieces >= PIECES {
                self.send(vocabulary, cache, text, sink)?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Encodes what still waits.
    pub(crate) fn finish(
        &mut self,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        text: &[u8],
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        widest(LookUpRest { pipeline: self, cache, text });
        self.send(vocabulary, cache, text, sink)
    }

    /// Forgets what waits, of a text that was not finished.
    pub(crate) fn clear(&mut self) {
        self.first = self.last;
        (self.pieces, self.filled) = (0, 0);
        self.misses.clear();
        self.merged.clear();
    }

    /// Sends on the ids of all that was looked up, in the order of the text.
    fn send(
        &mut self,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        text: &[u8],
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        if !self.misses.is_empty() {
            widest(Merge { pipeline: self, vocabulary, cache, text });
        }
        let mut from = 0;
        for miss in &self.misses {
            sink.ids(vocabulary, &self.found[from..miss.after])?;
            from = miss.after;
            let Miss { first, count, .. } = self.misses[miss.like];
            sink.ids(vocabulary, &self.merged[first..first + count])?;
        }
        sink.ids(vocabulary, &self.found[from..self.filled])?;
        (self.pieces, self.filled) = (0, 0);
        self.misses.clear();
        self.merged.clear();
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
        for ends in ends.chunks(STEP) {
            // A copy, so that it stays in a register.
            let mut last = self.last;
            for &end in ends {
                let end = base + end as usize;
                let length = end - start;
                if length > UNCUT && (length > cache::SHORT || text[end - 1] >= 0x80) {
                    self.last = last;
                    self.cut(cache, seams, text, start, end);
                    last = self.last;
                } else {
                    self.waiting[last % RING] = Waiting::new(Key::new(text, start, end), start, cache);
                    last += 1;
                }
                start = end;
            }
            self.last = last;
            self.find(AHEAD, cache, text);
        }
    }

    /// A piece that is long, or can be cut.
    #[inline(never)]
    fn cut(&mut self, cache: &Cache, seams: Option<&Seams>, text: &[u8], mut start: usize, end: usize) {
        if let Some(seams) = seams.filter(|_| text[end - 1] >= 0x80) {
            seams.cut(text, start, end, |part| {
                self.push(cache, text, start, part);
                start = part;
            });
        }
        self.push(cache, text, start, end);
    }

    /// A piece waits, of any length.
    #[inline(always)]
    fn push(&mut self, cache: &Cache, text: &[u8], start: usize, end: usize) {
        if self.last - self.first >= RING - STEP {
            self.find(AHEAD, cache, text);
        }
        let key =
            if end - start <= cache::SHORT { Key::new(text, start, end) } else { Key::of_long(&text[start..end]) };
        self.waiting[self.last % RING] = Waiting::new(key, start, cache);
        self.last += 1;
    }

    /// Looks up the pieces that wait, but for the last `kept`.
    #[inline(always)]
    fn find(&mut self, kept: usize, cache: &Cache, text: &[u8]) {
        let Pipeline { waiting, first, last, found, filled, misses, merged, .. } = self;
        let end = (*first).max(last.saturating_sub(kept));
        let most = *filled + (end - *first + 1) * cache::MOST_IDS;
        if found.len() < most {
            found.resize(most.next_power_of_two(), 0);
        }
        let mut next = *filled;
        for turn in *first..end {
            let Waiting { key, start, place } = waiting[turn % RING];
            if key.is_short()
                && let Some((ids, count)) = cache.get(place, key)
            {
                found[next..next + cache::MOST_IDS].copy_from_slice(&cache::unpacked(ids));
                next += count;
                continue;
            }
            let mut miss = Miss { key, start, place, after: next, first: merged.len(), count: 0, like: misses.len() };
            if !key.is_short()
                && let Some(ids) = cache.get_long(place, key, &text[start..start + key.length()])
            {
                merged.extend(ids.iter().map(|&id| u32::from_le_bytes(id)));
                miss.count = ids.len();
            }
            misses.push(miss);
        }
        (*first, *filled) = (end, next);
    }

    /// Makes the ids of all that was missed.
    #[inline(always)]
    fn merge(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, text: &[u8]) {
        let Pipeline { misses, merged, lanes, .. } = self;
        let tokens = vocabulary.tokens();
        let mut recent = [usize::MAX; RECENT];
        let mut next = 0;
        while next < misses.len() || !lanes.idle() {
            while next < misses.len() && !lanes.full() {
                let recent = &mut recent[misses[next].place as usize % RECENT];
                let (before, rest) = misses.split_at_mut(next);
                let miss = &mut rest[0];
                if miss.count > 0 {
                } else if let Some(other) = before.get(*recent).filter(|other| other.equals(miss, text)) {
                    miss.like = other.like;
                } else {
                    *recent = next;
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
                    cache.insert_long(miss.place, miss.key, miss.piece(text), ids);
                }
            });
        }
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
        if let Some((ids, count)) = cache.get_back(place, key) {
            merged.extend_from_slice(&cache::unpacked(ids)[..count]);
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
    let piece = miss.piece(text);
    cache.get_back(place, key);
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
