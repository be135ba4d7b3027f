//! From piece ends to ids, through the cache; pieces that are not in it are deferred, and merged together.
//!
//! A batch of some thousand pieces is looked up. Then the deferred ones are merged, many side by side; all ids are put in the order of the
//! text, and go to the sink. No step waits for memory: each prefetches what the next one reads. Nor does a batch need a long text: ends of
//! texts and special tokens are marks between pieces, so pieces of many texts are merged together.

use crate::cache::Cache;
use crate::encode::{Output, Sink};
use crate::error::Result;
use crate::lookup::{BLOCK, Batch, LookUp};
use crate::misses::Misses;
use crate::processor::{Instructions, Work, widest};
use crate::vocab::Vocabulary;

/// Something that stands between pieces.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// A special token: its id, and the length in bytes of its text.
    Special(u32, usize),
    /// The end of a text.
    End,
}

impl Event {
    /// Passes the event to the sink.
    pub(crate) fn tell(self, sink: &mut impl Sink) -> Result<()> {
        match self {
            Event::Special(id, length) => sink.special(id, length),
            Event::End => {
                sink.end();
                Ok(())
            }
        }
    }
}

/// What a thread needs to encode, kept between calls.
#[derive(Default)]
pub(crate) struct Pipeline {
    batch: Batch,
    /// The event that each mark in the batch stands for.
    events: Vec<Event>,
    misses: Misses,
    /// All ids of the batch, in the order of the text.
    ordered: Vec<u32>,
    /// How many of the ordered ids come before each mark.
    marks: Vec<usize>,
}

/// Looks up the rest of the batch. If any pieces are deferred, makes their ids, and puts all ids in order.
struct Complete<'a> {
    pipeline: &'a mut Pipeline,
    vocabulary: &'a Vocabulary,
    cache: &'a mut Cache,
}

impl Work for Complete<'_> {
    type Done = ();

    #[inline(always)]
    fn run<I: Instructions>(self) {
        let Pipeline { batch, misses, .. } = self.pipeline;
        batch.find::<I>(0, self.cache.view());
        let (deferred, long) = batch.deferred();
        if deferred.is_empty() {
            return;
        }
        misses.make(deferred, long, self.vocabulary.tokens(), self.cache);
        self.pipeline.order();
    }
}

impl Pipeline {
    /// Encodes the pieces that `text` begins with, which end at `ends`. Some of them wait until the batch is full; `send` flushes it. `ids`
    /// is a buffer for long pieces.
    pub(crate) fn pieces(
        &mut self,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        text: &[u8],
        mut ends: &[u32],
        ids: &mut Vec<u32>,
        output: &mut Output<'_, impl Sink>,
    ) -> Result<()> {
        let tokens = vocabulary.tokens();
        let mut start = 0;
        loop {
            let batch = &mut self.batch;
            let stopped = widest(LookUp { batch, cache: cache.view(), tokens, text, start, ends });
            start = stopped.start;
            ends = &ends[stopped.used..];
            if ends.is_empty() {
                break;
            }
            self.send(vocabulary, cache, output.sink)?;
            if let Some(end) = stopped.too_long {
                vocabulary.encode_part(&text[start..end], ids, output)?;
                start = end;
                if ends.first().is_some_and(|&whole| whole as usize == end) {
                    ends = &ends[1..];
                }
            }
        }
        self.send_if_full(vocabulary, cache, output.sink)
    }

    /// Puts an event after the pieces so far.
    pub(crate) fn mark(
        &mut self,
        event: Event,
        vocabulary: &Vocabulary,
        cache: &mut Cache,
        sink: &mut impl Sink,
    ) -> Result<()> {
        self.batch.mark(cache.view());
        self.events.push(event);
        self.send_if_full(vocabulary, cache, sink)
    }

    /// Empties the batch, and drops what still waits of a text that is not wanted to its end.
    pub(crate) fn clear(&mut self) {
        self.batch.clear();
        self.events.clear();
        self.marks.clear();
    }

    fn send_if_full(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, sink: &mut impl Sink) -> Result<()> {
        if self.batch.has_room() {
            return Ok(());
        }
        self.send(vocabulary, cache, sink)
    }

    /// Looks up the rest of the batch, and sends its ids.
    pub(crate) fn send(&mut self, vocabulary: &Vocabulary, cache: &mut Cache, sink: &mut impl Sink) -> Result<()> {
        widest(Complete { pipeline: self, vocabulary, cache });
        let found = self.batch.found();
        let sent = if self.batch.deferred().0.is_empty() {
            sink.ids(&found[..found.len() - BLOCK])
        } else {
            self.deliver(sink)
        };
        self.clear();
        sent
    }

    /// Gives the ids of the batch to the sink, and at each mark its event.
    fn deliver(&self, sink: &mut impl Sink) -> Result<()> {
        let mut from = 0;
        for (&event, &to) in self.events.iter().zip(&self.marks) {
            sink.ids(&self.ordered[from..to])?;
            from = to;
            event.tell(sink)?;
        }
        sink.ids(&self.ordered[from..])
    }

    /// Puts the ids that were found and those that were made in the order of their pieces.
    #[inline(always)]
    fn order(&mut self) {
        let Pipeline { batch, misses, ordered, marks, .. } = self;
        let (found, (deferred, _)) = (batch.found(), batch.deferred());
        let ids = found.len() - BLOCK + misses.total();
        misses.pad(BLOCK);
        ordered.resize(ids + BLOCK, 0);
        let (mut from, mut to) = (0, 0);
        for (number, piece) in deferred.iter().enumerate() {
            let count = piece.after as usize - from;
            copy(&found[from..], &mut ordered[to..], count);
            from = piece.after as usize;
            to += count;
            if piece.is_mark() {
                marks.push(to);
                continue;
            }
            copy(misses.ids_from(number), &mut ordered[to..], misses.count(number));
            to += misses.count(number);
        }
        copy(&found[from..], &mut ordered[to..], found.len() - BLOCK - from);
        ordered.truncate(ids);
    }
}

/// Copies `count` ids and up to seven more.
#[inline(always)]
fn copy(from: &[u32], to: &mut [u32], count: usize) {
    let blocks = to.as_chunks_mut::<BLOCK>().0.iter_mut().zip(from.as_chunks::<BLOCK>().0);
    blocks.take(count.div_ceil(BLOCK)).for_each(|(to, from)| *to = *from);
}
