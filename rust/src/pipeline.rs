//! From the ends of pieces to ids, by the cache: what is not in it is put off, and merged together.
//!
//! Keys are made of pieces a group at a time, and the cache lines where they may be are fetched. Then the group is looked up; what is found
//! is written down, and what is not is put off. When there is room for no more, all that was put off is merged, many pieces side by side, all
//! ids are put in the order of the text, and go to the sink. No step waits for memory: what it asks for, the next one reads. Nor does it
//! wait for a long text: what is put off has its bytes with it, so pieces of many texts are merged together.

use std::ops::ControlFlow;

use crate::cache::{self, Cache, Key, MOST_IDS, View};
use crate::encode::Sink;
use crate::lanes::{self, Lanes};
use crate::processor::{Work, widest};
use crate::seams::Seams;
use crate::table::PairTable;
use crate::tokens::Tokens;
use crate::vocab::Vocabulary;

/// Shorter pieces are looked up as they are.
const UNCUT: usize = 9;

/// A batch ends when it has no room for more pieces put off: all of it stays in the processor's second cache.
const BATCH: usize = 1280;

/// Or for more ids found.
const ROOM: usize = 5120;

/// Ids are copied in blocks of so many: what is copied too much is overwritten by the next.
const BLOCK: usize = 8;

/// So many pieces have their keys made before the first of them is looked up: a line needs some 100 ns to come.
const AHEAD: usize = 128;
/// In steps of so many.
const STEP: usize = 32;
/// Room for those that wait.
const RING: usize = 256;

/// So many pieces are remembered, by their place in the cache, for those that are the same.
const RECENT: usize = 256;

/// A piece that was not found.
#[derive(Debug, Clone, Copy, Default)]
struct Deferred {
    key: Key,
    place: u32,
    /// How many ids of found pieces come before it in the batch.
    after: u32,
    /// Where its ids begin in `made`, and how many they are.
    first: u32,
    count: u32,
    /// Where its bytes begin in `long`, if they are more than its key holds.
    bytes: u32,
    /// The number of a piece with the same bytes that has the ids: its own, or one before it.
    like: u32,
}

impl Deferred {
    fn long_piece<'l>(&self, long: &'l [u8]) -> &'l [u8] {
        &long[self.bytes as usize..][..self.key.length()]
    }

    /// Whether both have the same bytes.
    fn equals(&self, other: &Deferred, long: &[u8]) -> bool {
        self.key == other.key && (self.key.is_short() || self.long_piece(long) == other.long_piece(long))
    }
}

/// What stands between pieces.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A special token, which stood for so many bytes.
    Special(u32, usize),
    /// The end of a text.
    End,
}

/// An event, and how many ids of found pieces and how many pieces put off come before it.
#[derive(Debug, Clone, Copy)]
struct Mark {
    after: u32,
    deferred: u32,
    event: Event,
}

/// A piece that waits to be looked up.
#[derive(Debug, Clone, Copy, Default)]
struct Waiting {
    key: Key,
    place: u32,
    bytes: u32,
}

impl Waiting {
    /// Of this key; its cache line is on the way.
    #[inline(always)]
    fn new(key: Key, bytes: u32, cache: View<'_>) -> Waiting {
        let place = cache.place(key);
        cache.prefetch(place);
        Waiting { key, place, bytes }
    }
}

/// How many ids were found, and pieces put off.
#[derive(Debug, Clone, Copy, Default)]
struct Filled {
    found: usize,
    deferred: usize,
}

/// What a thread needs to encode, kept between calls.
#[derive(Debug)]
pub(crate) struct Pipeline {
    /// A ring of those that wait, from turn `first` to before turn `last`.
    waiting: [Waiting; RING],
    first: usize,
    last: usize,
    /// The ids of what was found.
    found: [u32; ROOM + BLOCK],
    deferred: [Deferred; BATCH],
    filled: Filled,
    /// The bytes of those put off that are longer than a key.
    long: Vec<u8>,
    marks: Vec<Mark>,
    /// The numbers of those put off whose ids must be made.
    misses: Vec<u32>,
    /// The ids of those put off.
    made: Vec<u32>,
    /// All ids of the batch.
    ordered: Vec<u32>,
    lanes: Lanes,
}

/// Where looking up has stopped: at the start of a piece, after so many of the ends.
struct Stopped {
    start: usize,
    used: usize,
    /// The end of what comes next, if that is too long to be put off.
    too_long: Option<usize>,
}

/// Looks up the pieces of `text` from `start` on, which end at `base` + `ends`, as long as there is room.
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
    type Done = Stopped;

    #[inline(always)]
    fn run(self) -> Stopped {
        self.pipeline.look_up(self.cache, self.seams, self.text, self.base, self.start, self.ends)
    }
}

/// Makes the ids of all that was put off, and puts all in order.
struct Complete<'a> {
    pipeline: &'a mut Pipeline,
    vocabulary: &'a Vocabulary,
    cache: &'a mut Cache,
}

/// Looks up the pieces that still wait.
struct LookUpRest<'a> {
    pipeline: &'a mut Pipeline,
    cache: &'a Cache,
}

impl Work for LookUpRest<'_> {
    type Done = ();

    #[inline(always)]
    fn run(self) {
        self.pipeline.find(0, self.cache.view());
    }
}

impl Work for Complete<'_> {
    type Done = ();

    #[inline(always)]
    fn run(self) {
        let tokens = self.vocabulary.tokens();
        self.pipeline.fetch(tokens.pairs(), self.cache);
        self.pipeline.merge(tokens, self.cache);
        self.pipeline.order();
    }
}

impl Default for Pipeline {
    fn default() -> Pipeline {
        Pipeline {
            waiting: [Waiting::default(); _],
            first: 0,
            last: 0,
            found: [0; _],
            deferred: [Deferred::default(); _],
            filled: Filled::default(),
            long: Vec::new(),
            marks: Vec::new(),
            misses: Vec::new(),
            made: Vec::new(),
            ordered: Vec::new(),
            lanes: Lanes::new(),
        }
    }
}

impl Pipeline {
    /// Encodes the pieces of `text` from `base` on, which end at `base` + `ends`. Some of them wait for the batch to be full; `send`
    /// ends it. `ids` is a buffer for long pieces.
    #[expect(clippy::too_many_arguments, reason = "what a text is made of, and what a thread has")]
    pub(crate) fn pieces(
        &mut self,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        text: &[u8],
        base: usize,
        mut ends: &[u32],
        ids: &mut Vec<u32>,
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        let seams = vocabulary.tokens().seams();
        let mut start = base;
        loop {
            let stopped = widest(LookUp { pipeline: self, cache, seams, text, base, start, ends });
            start = stopped.start;
            ends = &ends[stopped.used..];
            if ends.is_empty() {
                break;
            }
            self.send(vocabulary, cache, sink)?;
            if let Some(end) = stopped.too_long {
                vocabulary.encode_part(&text[start..end], ids, sink)?;
                start = end;
                if ends.first().is_some_and(|&whole| base + whole as usize == end) {
                    ends = &ends[1..];
                }
            }
        }
        self.send_if_full(vocabulary, cache, sink)
    }

    /// A special token stands here, for `length` bytes.
    pub(crate) fn special(
        &mut self,
        id: u32,
        length: usize,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        self.mark(Event::Special(id, length), cache);
        self.send_if_full(vocabulary, cache, sink)
    }

    /// A text ends here.
    pub(crate) fn end(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, sink: &mut impl Sink) -> ControlFlow<()> {
        self.mark(Event::End, cache);
        self.send_if_full(vocabulary, cache, sink)
    }

    fn mark(&mut self, event: Event, cache: &Cache) {
        widest(LookUpRest { pipeline: self, cache });
        let Filled { found, deferred } = self.filled;
        self.marks.push(Mark { after: found as u32, deferred: deferred as u32, event });
    }

    /// Forgets what waits, of a text that is not wanted to its end.
    pub(crate) fn clear(&mut self) {
        self.first = self.last;
        self.filled = Filled::default();
        self.long.clear();
        self.marks.clear();
        self.misses.clear();
        self.made.clear();
    }

    fn send_if_full(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, sink: &mut impl Sink) -> ControlFlow<()> {
        if self.has_room() && self.marks.len() < BATCH {
            return ControlFlow::Continue(());
        }
        self.send(vocabulary, cache, sink)
    }

    /// Sends on the ids of the batch.
    pub(crate) fn send(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, sink: &mut impl Sink) -> ControlFlow<()> {
        widest(LookUpRest { pipeline: self, cache });
        let Filled { found, deferred } = self.filled;
        if deferred > 0 {
            widest(Complete { pipeline: self, vocabulary, cache });
        }
        let ids = if deferred == 0 { &self.found[..found] } else { &self.ordered[..] };
        let (mut from, mut number, mut made) = (0, 0, 0);
        for mark in &self.marks {
            let before = &self.deferred[number..mark.deferred as usize];
            made += before.iter().map(|piece| piece.count as usize).sum::<usize>();
            number = mark.deferred as usize;
            let to = mark.after as usize + made;
            sink.ids(vocabulary, &ids[from..to])?;
            from = to;
            match mark.event {
                Event::Special(id, length) => sink.special(id, length)?,
                Event::End => sink.end(),
            }
        }
        sink.ids(vocabulary, &ids[from..])?;
        self.clear();
        ControlFlow::Continue(())
    }

    /// Looks up the pieces of `text` from `start` on, which end at `base` + `ends`, as long as there is room.
    #[inline(always)]
    fn look_up(
        &mut self,
        cache: &Cache,
        seams: Option<&Seams>,
        text: &[u8],
        base: usize,
        mut start: usize,
        ends: &[u32],
    ) -> Stopped {
        let (mut used, view) = (0, cache.view());
        for group in ends.chunks(STEP) {
            if !self.has_room() {
                return Stopped { start, used, too_long: None };
            }
            // A copy, so that it stays in a register.
            let mut last = self.last;
            for &end in group {
                let end = base + end as usize;
                let length = end - start;
                if length > UNCUT && (length > cache::SHORT || text[end - 1] >= 0x80) {
                    self.last = last;
                    let too_long;
                    (start, too_long) = self.cut(view, seams, text, start, end);
                    if start < end {
                        return Stopped { start, used, too_long };
                    }
                    last = self.last;
                } else {
                    self.waiting[last % RING] = Waiting::new(Key::new(text, start, end), 0, view);
                    last += 1;
                    start = end;
                }
                used += 1;
            }
            self.last = last;
            self.find(AHEAD, cache.view());
        }
        Stopped { start, used, too_long: None }
    }

    /// Whether there is room for what waits, and for as much again: so much may come before it is asked once more.
    fn has_room(&self) -> bool {
        self.filled.found <= ROOM - 2 * RING * MOST_IDS && self.filled.deferred <= BATCH - 2 * RING
    }

    /// Puts in line the parts of a piece that may be cut, or is long. Returns where the first of them begins for which there was no room, and
    /// its end if there never is.
    #[inline(never)]
    fn cut(
        &mut self,
        cache: View<'_>,
        seams: Option<&Seams>,
        text: &[u8],
        start: usize,
        end: usize,
    ) -> (usize, Option<usize>) {
        let (mut at, mut too_long) = (start, None);
        let part = |end: usize| {
            if end - at > cache::LONGEST {
                too_long = Some(end);
                return ControlFlow::Break(());
            }
            if self.last - self.first >= RING - STEP {
                if !self.has_room() {
                    return ControlFlow::Break(());
                }
                self.find(AHEAD, cache);
            }
            self.waiting[self.last % RING] = if end - at <= cache::SHORT {
                Waiting::new(Key::new(text, at, end), 0, cache)
            } else {
                let bytes = self.long.len();
                self.long.extend_from_slice(&text[at..end]);
                Waiting::new(Key::of_long(&text[at..end]), bytes as u32, cache)
            };
            self.last += 1;
            at = end;
            ControlFlow::Continue(())
        };
        // What comes of it is told by `at`.
        let _ = match seams.filter(|_| text[end - 1] >= 0x80) {
            Some(seams) => seams.cut(text, start, end, part),
            None => std::iter::once(end).try_for_each(part),
        };
        (at, too_long)
    }

    /// Looks up the pieces that wait, but for the last `kept`.
    #[inline(always)]
    fn find(&mut self, kept: usize, cache: View<'_>) {
        let Pipeline { waiting, first, last, found, deferred, filled, .. } = self;
        let end = (*first).max(last.saturating_sub(kept));
        let Filled { found: mut next, deferred: mut put_off } = *filled;
        for turn in *first..end {
            let Waiting { key, place, bytes } = waiting[turn % RING];
            if key.is_short()
                && let Some((ids, count)) = cache.get(place, key)
            {
                found[next..next + MOST_IDS].copy_from_slice(&cache::unpacked(ids));
                next += count;
            } else {
                deferred[put_off] = Deferred { key, place, bytes, after: next as u32, ..Deferred::default() };
                put_off += 1;
            }
        }
        *first = end;
        *filled = Filled { found: next, deferred: put_off };
    }

    /// Takes what the cache has of the long pieces put off; the others, and the short ones, are misses.
    #[inline(always)]
    fn fetch(&mut self, pairs: &PairTable, cache: &mut Cache) {
        let Pipeline { deferred, filled, long, misses, made, .. } = self;
        for (number, piece) in deferred[..filled.deferred].iter_mut().enumerate() {
            (piece.first, piece.like) = (made.len() as u32, number as u32);
            if !piece.key.is_short()
                && let Some(ids) = cache.get_long(piece.place, piece.key, piece.long_piece(long))
            {
                made.extend(ids.iter().map(|&id| u32::from_le_bytes(id)));
                piece.count = ids.len() as u32;
                continue;
            }
            cache.prefetch(piece.place ^ 1);
            pairs.prefetch_bytes(&piece.key.bytes());
            misses.push(number as u32);
        }
    }

    /// Merges the misses.
    #[inline(always)]
    fn merge(&mut self, tokens: &Tokens, cache: &mut Cache) {
        let Pipeline { deferred, long, misses, made, lanes, .. } = self;
        let mut recent = [u32::MAX; RECENT];
        let mut next = 0;
        while next < misses.len() || !lanes.idle() {
            while next < misses.len() && !lanes.full() {
                let number = misses[next] as usize;
                let recent = &mut recent[deferred[number].place as usize % RECENT];
                let (before, rest) = deferred.split_at_mut(number);
                let piece = &mut rest[0];
                if let Some(other) = before.get(*recent as usize).filter(|other| other.equals(piece, long)) {
                    piece.like = other.like;
                } else {
                    *recent = number as u32;
                    piece.first = made.len() as u32;
                    if !begin(piece, number, tokens, cache, long, lanes, made) {
                        piece.count = made.len() as u32 - piece.first;
                    }
                }
                next += 1;
            }
            lanes.round(tokens.pairs(), |number, found| {
                let piece = &mut deferred[number];
                (piece.first, piece.count) = (made.len() as u32, found.len() as u32);
                made.extend(found.iter().map(|&token| tokens.id(token)));
                let ids = &made[piece.first as usize..];
                if piece.key.is_short() {
                    cache.insert(piece.place, piece.key, ids);
                } else {
                    cache.insert_long(piece.place, piece.key, piece.long_piece(long), ids);
                }
            });
        }
        for &number in misses.iter() {
            let like = deferred[deferred[number as usize].like as usize];
            let piece = &mut deferred[number as usize];
            (piece.first, piece.count) = (like.first, like.count);
        }
    }

    /// Puts found and made ids in the order of their pieces.
    #[inline(always)]
    fn order(&mut self) {
        let Pipeline { found, deferred, filled, made, ordered, .. } = self;
        let deferred = &deferred[..filled.deferred];
        let ids = filled.found + deferred.iter().map(|piece| piece.count as usize).sum::<usize>();
        made.resize(made.len() + BLOCK, 0);
        ordered.resize(ids + BLOCK, 0);
        let (mut from, mut to) = (0, 0);
        for piece in deferred {
            let count = piece.after as usize - from;
            copy(&found[from..], &mut ordered[to..], count);
            from = piece.after as usize;
            to += count;
            copy(&made[piece.first as usize..], &mut ordered[to..], piece.count as usize);
            to += piece.count as usize;
        }
        copy(&found[from..], &mut ordered[to..], filled.found - from);
        ordered.truncate(ids);
    }
}

/// Copies `count` ids and up to seven more.
#[inline(always)]
fn copy(from: &[u32], to: &mut [u32], count: usize) {
    let blocks = to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(from.as_chunks::<BLOCK>().0);
    blocks.take(count.div_ceil(BLOCK)).for_each(|(to, from)| *to = *from);
}

/// Gives a piece to a lane, or appends its ids to `made` if that is not needed; whether it did the first.
#[inline(always)]
fn begin(
    piece: &Deferred,
    number: usize,
    tokens: &Tokens,
    cache: &mut Cache,
    long: &[u8],
    lanes: &mut Lanes,
    made: &mut Vec<u32>,
) -> bool {
    let (key, place) = (piece.key, piece.place);
    if key.is_short() {
        let bytes = key.bytes();
        let piece = &bytes[..key.length()];
        // One just like it may have come before.
        if let Some((ids, count)) = cache.get_back(place, key) {
            made.extend_from_slice(&cache::unpacked(ids)[..count]);
            return false;
        }
        if tokens.by_rank()
            && let Some(token) = tokens.whole_piece(piece)
        {
            made.push(tokens.id(token));
            return false;
        }
        lanes.start(number, piece, tokens.pairs());
        return true;
    }
    let piece = piece.long_piece(long);
    cache.get_back(place, key);
    if let Some(ids) = cache.get_long(place, key, piece) {
        made.extend(ids.iter().map(|&id| u32::from_le_bytes(id)));
        return false;
    }
    let first = made.len();
    if let Some(token) = tokens.whole_piece(piece) {
        made.push(tokens.id(token));
    } else if piece.len() <= lanes::LONGEST {
        lanes.start(number, piece, tokens.pairs());
        return true;
    } else {
        tokens.merge(piece, made);
        made[first..].iter_mut().for_each(|id| *id = tokens.id(*id));
    }
    cache.insert_long(place, key, piece, &made[first..]);
    false
}
