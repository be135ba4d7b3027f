//! Looking pieces up in the cache: the ids of those found are collected, the others are deferred.
//!
//! Keys are made a group of pieces at a time, and the cache lines they may be in are prefetched; then the group is looked up. A deferred
//! piece carries its bytes along, so it may outlive its text.

use std::ops::Range;

use crate::cache::{self, MOST_IDS, View};
use crate::key::{Key, SHORT, Seeds};
use crate::processor::{Baseline, Instructions, Work, widest};
use crate::tokens::Tokens;

/// Pieces of up to this many bytes are looked up without being cut.
pub(crate) const UNCUT: usize = 9;

/// In the second half of a short piece's key, the highest bits of its ninth to fifteenth byte: a piece that may be cut has one of them.
const FOREIGN: u64 = 0x0080_8080_8080_8080;

/// How many bytes of pieces that could be cut make the seams worth having: they take some 5 ms to make, and 140 KB of new Chinese text
/// loses as much without them.
const ENOUGH: usize = 1 << 17;

/// Room for deferred pieces: few enough that all of a batch stays in the processor's second-level cache.
const BATCH: usize = 1280;

/// Room for the ids found.
const ROOM: usize = 5120;

/// Ids are copied in blocks of this many; a surplus is overwritten by the next copy.
pub(crate) const BLOCK: usize = 8;

/// How many pieces have their keys made before the first of them is looked up: a cache line takes some 100 ns to arrive.
const AHEAD: usize = 128;
/// How many keys are made at a time.
const STEP: usize = 32;
/// Room for the pieces that wait.
const RING: usize = 256;

/// A ring of pieces that wait to be looked up: those at turns `first..last`. The cache lines of those before `fetched` are on the way.
struct Waiting {
    first: usize,
    fetched: usize,
    last: usize,
    keys: [Key; RING],
    /// The cache lines where the pieces belong.
    places: [u32; RING],
    /// Of pieces longer than their keys, where their bytes begin in `Batch::long`.
    bytes: [u32; RING],
}

/// Takes the first of some turns, as far as they lie side by side, and says where in the ring.
#[inline(always)]
fn take_stretch(turns: &mut Range<usize>) -> Option<Range<usize>> {
    let start = turns.start % RING;
    let end = RING.min(start + turns.len());
    turns.start += end - start;
    (start < end).then_some(start..end)
}

impl Waiting {
    /// Puts a short piece at a turn.
    #[inline(always)]
    fn put_short<I: Instructions>(&mut self, turn: usize, text: &[u8], start: usize, end: usize, cache: View<'_>) {
        let turn = turn % RING;
        self.places[turn] = cache.place(self.keys[turn].write::<I>(text, start, end));
    }

    /// Puts eight pieces at a turn and those after it, the first from `start` on; or says that they must be put one by one, for some may
    /// be long or cut, or lie elsewhere in the ring.
    #[inline(always)]
    fn put_eight<I: Instructions>(
        &mut self,
        turn: usize,
        text: &[u8],
        start: usize,
        ends: &[u32; 8],
        cache: View<'_>,
    ) -> bool {
        let turn = turn % RING;
        let (Some(keys), Some(places)) =
            (self.keys[turn..].first_chunk_mut(), self.places[turn..].first_chunk_mut::<8>())
        else {
            return false;
        };
        if !I::eight_keys(text, start, ends, Seeds::FIXED, keys, places) {
            return false;
        }
        let halves =
            keys.as_chunks().0.iter().fold([0; 2], |all, [one, other]| [all[0] | one.0[1], all[1] | other.0[1]]);
        places.iter_mut().for_each(|place| *place = cache.place_of(*place));
        (halves[0] | halves[1]) & FOREIGN == 0
    }

    /// Appends a piece or a mark.
    fn push(&mut self, key: Key, bytes: usize, cache: View<'_>) {
        let turn = self.last % RING;
        (self.keys[turn], self.places[turn], self.bytes[turn]) = (key, cache.place(key), bytes as u32);
        self.last += 1;
    }

    /// Prefetches the lines of all pieces added since the last call. A prefetch waits until the address of its page is known, and nothing
    /// after it can retire until then: issued side by side, with nothing in between, prefetches wait together.
    #[inline(always)]
    fn fetch(&mut self, cache: View<'_>) {
        let mut turns = self.fetched..self.last;
        while let Some(stretch) = take_stretch(&mut turns) {
            self.places[stretch].iter().for_each(|&place| cache.prefetch(place));
        }
        self.fetched = self.last;
    }

    /// Whether waiting pieces must be looked up before more are added.
    fn is_full(&self) -> bool {
        self.last - self.first >= RING - STEP
    }
}

/// A piece that was not found, or is longer than a key; or a mark.
#[derive(Clone, Copy, Default)]
pub(crate) struct Deferred {
    pub(crate) key: Key,
    /// The cache line where the piece belongs.
    pub(crate) place: u32,
    /// How many ids of found pieces come before it.
    pub(crate) after: u32,
    bytes: u32,
}

impl Deferred {
    /// The bytes of the piece. `long` has the bytes of all pieces longer than a key; `short` is room for those of any other.
    #[inline(always)]
    pub(crate) fn bytes<'b>(&self, long: &'b [u8], short: &'b mut [u8; 16]) -> &'b [u8] {
        if !self.key.is_short() {
            return &long[self.bytes as usize..][..self.key.length()];
        }
        *short = self.key.bytes();
        &short[..self.key.length() & 15]
    }

    /// Whether it is a mark, put between pieces by `Batch::mark`.
    pub(crate) fn is_mark(&self) -> bool {
        self.key == Key::MARK
    }

    /// Whether both have the same bytes.
    pub(crate) fn equals(&self, other: &Deferred, long: &[u8]) -> bool {
        self.key == other.key
            && (self.key.is_short() || self.bytes(long, &mut [0; 16]) == other.bytes(long, &mut [0; 16]))
    }
}

/// How many ids were found, and how many pieces deferred.
#[derive(Clone, Copy, Default)]
struct Filled {
    found: usize,
    deferred: usize,
}

/// Where looking up stopped: before the piece, or the part of one, that begins at `start`, with `used` ends done.
pub(crate) struct Stopped {
    pub(crate) start: usize,
    pub(crate) used: usize,
    /// The end of that piece or part, if it is too long to be deferred. Otherwise there was no room, or nothing was left.
    pub(crate) too_long: Option<usize>,
}

/// Pieces that were looked up, and some that still wait.
pub(crate) struct Batch {
    waiting: Waiting,
    found: [u32; ROOM + BLOCK],
    deferred: [Deferred; BATCH],
    filled: Filled,
    /// The bytes of the pieces longer than a key.
    long: Vec<u8>,
    /// How many bytes this batch has ever seen in pieces that could be cut.
    foreign: usize,
}

/// Looks up the pieces of `text` from `start` on, which end at `ends`, as long as there is room. The last of them wait.
pub(crate) struct LookUp<'a> {
    pub(crate) batch: &'a mut Batch,
    pub(crate) cache: View<'a>,
    pub(crate) tokens: &'a Tokens,
    pub(crate) text: &'a [u8],
    pub(crate) start: usize,
    pub(crate) ends: &'a [u32],
}

impl Work for LookUp<'_> {
    type Done = Stopped;

    #[inline(always)]
    fn run<I: Instructions>(self) -> Stopped {
        let LookUp { batch, cache, tokens, text, mut start, ends } = self;
        for (used, group) in (0..).step_by(STEP).zip(ends.chunks(STEP)) {
            if !batch.has_room() {
                return Stopped { start, used, too_long: None };
            }
            // A copy, so that it stays in a register.
            let mut last = batch.waiting.last;
            for (used, few) in (used..).step_by(8).zip(group.chunks(8)) {
                if let Ok(ends) = few.try_into()
                    && batch.waiting.put_eight::<I>(last, text, start, ends, cache)
                {
                    start = ends[7] as usize;
                    last += 8;
                    continue;
                }
                for (at, &end) in few.iter().enumerate() {
                    let end = end as usize;
                    let length = end - start;
                    if length > UNCUT && (length > SHORT || text[end - 1] >= 0x80) {
                        batch.waiting.last = last;
                        let too_long;
                        (start, too_long) = widest(PutParts { batch, cache, tokens, text, start, end });
                        if start < end {
                            return Stopped { start, used: used + at, too_long };
                        }
                        last = batch.waiting.last;
                    } else {
                        batch.waiting.put_short::<I>(last, text, start, end, cache);
                        last += 1;
                        start = end;
                    }
                }
            }
            batch.waiting.last = last;
            batch.find::<I>(AHEAD, cache);
        }
        Stopped { start, used: ends.len(), too_long: None }
    }
}

/// Queues the parts of a piece that may be cut, or is long. Returns where it stopped, and the end of the next part if that is too long to
/// be deferred.
struct PutParts<'a> {
    batch: &'a mut Batch,
    cache: View<'a>,
    tokens: &'a Tokens,
    text: &'a [u8],
    start: usize,
    end: usize,
}

impl Work for PutParts<'_> {
    type Done = (usize, Option<usize>);

    #[inline(always)]
    fn run<I: Instructions>(self) -> (usize, Option<usize>) {
        let PutParts { batch, cache, tokens, text, start, end } = self;
        let foreign = text[end - 1] >= 0x80;
        batch.foreign = batch.foreign.saturating_add(if foreign { end - start } else { 0 });
        let seams = if foreign && batch.foreign >= ENOUGH { tokens.seams() } else { None };
        let mut cuts = seams.map(|seams| seams.cuts(text, start, end));
        let mut at = start;
        while at < end {
            let next = match &mut cuts {
                Some(cuts) => cuts.next_end(),
                None => end,
            };
            if next - at > cache::LONGEST {
                return (at, Some(next));
            }
            if batch.waiting.is_full() {
                if !batch.has_room() {
                    break;
                }
                batch.find::<I>(AHEAD, cache);
            }
            if next - at <= SHORT {
                batch.waiting.put_short::<I>(batch.waiting.last, text, at, next, cache);
                batch.waiting.last += 1;
            } else {
                let bytes = batch.long.len();
                batch.long.extend_from_slice(&text[at..next]);
                batch.waiting.push(Seeds::FIXED.long(&text[at..next]), bytes, cache);
            }
            at = next;
        }
        (at, None)
    }
}

impl Default for Batch {
    fn default() -> Batch {
        let (keys, places, bytes) = ([Key::default(); _], [0; _], [0; _]);
        let waiting = Waiting { first: 0, fetched: 0, last: 0, keys, places, bytes };
        let (found, deferred, filled) = ([0; _], [Deferred::default(); _], Filled::default());
        Batch { waiting, found, deferred, filled, long: Vec::new(), foreign: 0 }
    }
}

impl Batch {
    /// Puts a mark between the pieces so far and those to come: an empty piece, which is always deferred.
    pub(crate) fn mark(&mut self, cache: View<'_>) {
        if self.waiting.is_full() {
            self.find::<Baseline>(AHEAD, cache);
        }
        self.waiting.push(Key::MARK, 0, cache);
    }

    /// Whether there is room for all that waits, and for as many pieces again: that many may come before the next check.
    pub(crate) fn has_room(&self) -> bool {
        self.filled.found <= ROOM - 2 * RING * MOST_IDS && self.filled.deferred <= BATCH - 2 * RING
    }

    /// The ids found, in order, and `BLOCK` numbers after them.
    pub(crate) fn found(&self) -> &[u32] {
        &self.found[..self.filled.found + BLOCK]
    }

    /// The deferred pieces, in order, and the bytes of the long ones.
    pub(crate) fn deferred(&self) -> (&[Deferred], &[u8]) {
        (&self.deferred[..self.filled.deferred], &self.long)
    }

    /// Empties the batch.
    pub(crate) fn clear(&mut self) {
        self.waiting.first = self.waiting.last;
        self.waiting.fetched = self.waiting.last;
        self.filled = Filled::default();
        self.long.clear();
    }

    /// Looks up the pieces that wait, except the last `kept`.
    #[inline(always)]
    pub(crate) fn find<I: Instructions>(&mut self, kept: usize, cache: View<'_>) {
        let Batch { waiting, found, deferred, filled, .. } = self;
        waiting.fetch(cache);
        let Waiting { first, last, keys, places, bytes, .. } = waiting;
        let end = (*first).max(last.saturating_sub(kept));
        let Filled { found: mut next, deferred: mut put_off } = *filled;
        let mut turns = *first..end;
        while let Some(stretch) = take_stretch(&mut turns) {
            let waiting = keys[stretch.clone()].iter().zip(&places[stretch.clone()]).zip(&bytes[stretch]);
            for ((key, &place), &bytes) in waiting {
                if let Some((ids, count)) = cache.get::<I>(place, key) {
                    found[next..next + MOST_IDS].copy_from_slice(&cache::unpacked(ids));
                    next += count;
                } else {
                    deferred[put_off] = Deferred { key: *key, place, bytes, after: next as u32 };
                    put_off += 1;
                }
            }
        }
        *first = end;
        *filled = Filled { found: next, deferred: put_off };
    }
}
