//! Encoding: text to ids, piece by piece, exactly as merging each piece would.
//!
//! Most pieces are tokens (19 of 20 in English); a cache holds these and the pieces merged lately. Pieces are looked up in groups, so that
//! the processor fetches their cache lines side by side; only pieces not in the cache are merged.

use std::cell::RefCell;

use crate::cache::{Cache, LONGEST};
use crate::error::{Error, Result};
use crate::lines::on_large_pages;
use crate::pipeline::{Event, Pipeline};
use crate::progress::{Look, Progress, Pulse, unwatched};
use crate::special::Matcher;
use crate::split::{Scratch, WITHIN};
use crate::staged::Work;
use crate::vocab::Vocabulary;

/// Where ids go. An error of a sink ends the encoding, and is returned; one that wants no more ids returns some error, and then the rest of
/// the text is not even split.
pub trait Sink {
    /// Whether each piece's ids come in a call of their own, which is slower.
    const PIECE_BY_PIECE: bool = false;

    /// Takes the next ids, of any number of pieces and parts of pieces; of one whole piece if `PIECE_BY_PIECE`.
    fn ids(&mut self, ids: &[u32]) -> Result<()>;

    /// Takes the id of a special token, and the length in bytes of its text: several texts may share an id.
    fn special(&mut self, id: u32, _length: usize) -> Result<()> {
        self.ids(&[id])
    }

    /// Ends one of several texts that are encoded together.
    fn end(&mut self) {}

    /// About how many bytes the sink will read of a text of `bytes` bytes.
    fn appetite(&self, bytes: usize) -> usize {
        bytes
    }
}

/// All ids, in order.
impl Sink for Vec<u32> {
    #[inline(always)]
    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        self.extend_from_slice(ids);
        Ok(())
    }
}

/// All ids, and how many there are at the end of each row.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) ids: Vec<u32>,
    pub(crate) ends: Vec<usize>,
}

impl Sink for Rows {
    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        self.ids.ids(ids)
    }

    fn end(&mut self) {
        self.ends.push(self.ids.len());
    }
}

/// Where an encoding's ids go, and what may stop it.
pub(crate) struct Output<'a, S> {
    pub(crate) sink: &'a mut S,
    /// Told about how many bytes are encoded next, between pieces and within long ones.
    pub(crate) look: &'a mut Look<'a>,
}

/// Hands over the first ids, up to a number that is at least 1.
struct UpTo<F> {
    left: usize,
    each: F,
}

impl<F: FnMut(&[u32])> Sink for UpTo<F> {
    #[inline(always)]
    fn ids(&mut self, ids: &[u32]) -> Result<()> {
        let ids = &ids[..ids.len().min(self.left)];
        self.left -= ids.len();
        (self.each)(ids);
        if self.left == 0 { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn appetite(&self, bytes: usize) -> usize {
        bytes.min(self.left.saturating_mul(BYTES_A_TOKEN))
    }
}

/// More bytes per token than nearly any text has.
const BYTES_A_TOKEN: usize = 16;

/// A buffer for the ids of `bytes` bytes of text: for a short text, what English takes; for a long one, what any script takes, on large
/// pages, because making pages takes half the time of writing the ids.
pub(crate) fn room_for(bytes: usize) -> Vec<u32> {
    const MANY: usize = 1 << 20;
    if bytes < MANY {
        return Vec::with_capacity(bytes / 4 + 4);
    }
    let mut ids = Vec::with_capacity(bytes / 2);
    on_large_pages(ids.spare_capacity_mut());
    ids
}

/// What a thread keeps between calls. This saves an allocation per call, which short texts would notice.
#[derive(Default)]
struct Buffers {
    split: Scratch,
    ids: Vec<u32>,
    pipeline: Option<Box<Pipeline>>,
    staged: Work,
}

thread_local! {
    /// The buffers that no call is using.
    #[expect(clippy::vec_box, reason = "each call moves them twice")]
    static BUFFERS: RefCell<Vec<Box<Buffers>>> = const { RefCell::new(Vec::new()) };
}

/// Lends `work` some of the thread's buffers; a call within a call, as stages make them, gets others.
fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    /// A piece of a megabyte is rare, so a buffer with room for more ids than this is freed.
    const KEPT: usize = 1 << 18;
    let mut buffers = BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default();
    let result = work(&mut buffers);
    if buffers.ids.capacity() > KEPT {
        (buffers.ids, buffers.staged) = Default::default();
    }
    BUFFERS.with_borrow_mut(|free| free.push(buffers));
    result
}

impl Vocabulary {
    /// Encodes `text` into `sink`, with special tokens treated as plain text.
    pub fn encode_ordinary(&self, text: &str, sink: &mut impl Sink) -> Result<()> {
        self.encode(text, None, sink, &mut unwatched)
    }

    /// Gives the first `limit` ids of `text` to `each`, any number at a time, with special tokens treated as plain text. Nothing is read past
    /// the last of them, except the pieces that are encoded together with its own.
    ///
    /// `Error::Interrupted` where `progress` breaks.
    pub fn encode_up_to(
        &self,
        text: &str,
        limit: usize,
        each: impl FnMut(&[u32]),
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        if limit == 0 {
            return Ok(());
        }
        let mut first = UpTo { left: limit, each };
        let encoded = self.encode(text, None, &mut first, progress);
        if first.left == 0 { Ok(()) } else { encoded }
    }

    /// Encodes `text` into `sink`. What `special` finds becomes that special token, and the text before it is split as if it ended there,
    /// as tiktoken does.
    ///
    /// `Error::Interrupted` where `progress` breaks.
    pub fn encode<S: Sink>(
        &self,
        text: &str,
        special: Option<&Matcher>,
        sink: &mut S,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        if !S::PIECE_BY_PIECE
            && let Some(ids) = self.encode_short(text, special, &mut [0; _])
        {
            return sink.ids(ids);
        }
        let mut pulse = Pulse::new(progress, 0);
        let output = &mut Output { sink, look: &mut |bytes| pulse.step(bytes) };
        self.with_encoder(text.len(), output, |encoder, output| encoder.text(text, special, output))
    }

    /// Encodes bytes into `sink`: maximal stretches of valid UTF-8 as text, each maximal invalid stretch as one piece.
    ///
    /// `Error::Interrupted` where `progress` breaks.
    pub fn encode_bytes(&self, bytes: &[u8], sink: &mut impl Sink, progress: &mut Progress<'_>) -> Result<()> {
        let mut pulse = Pulse::new(progress, 0);
        let output = &mut Output { sink, look: &mut |bytes| pulse.step(bytes) };
        self.with_encoder(bytes.len(), output, |encoder, output| encoder.bytes(bytes, output))
    }

    /// Encodes `piece` as it is, without splitting. Nothing fails but what the sink refuses, or `progress`, which makes it
    /// `Error::Interrupted`.
    pub fn encode_piece(&self, piece: &[u8], sink: &mut impl Sink, progress: &mut Progress<'_>) -> Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        with_buffers(|Buffers { ids, staged, .. }| match self.last_stage() {
            None => {
                let mut pulse = Pulse::new(progress, 0);
                self.encode_part(piece, ids, &mut Output { sink, look: &mut |bytes| pulse.step(bytes) })
            }
            Some(last) => {
                ids.clear();
                last.narrower.encode_piece(piece, ids, progress)?;
                let mut pulse = Pulse::new(progress, 0);
                last.merge(self, ids, &mut staged.chain, &mut |steps| pulse.step(steps))?;
                sink.ids(ids)
            }
        })
    }

    /// Sends the ids of a piece, or of a part of one that was cut at a seam.
    pub(crate) fn encode_part(
        &self,
        piece: &[u8],
        ids: &mut Vec<u32>,
        output: &mut Output<'_, impl Sink>,
    ) -> Result<()> {
        let tokens = self.tokens();
        ids.clear();
        match tokens.whole_piece(piece) {
            Some(id) => ids.push(id),
            None => {
                tokens.merge_unless_stopped(piece, ids, output.look)?;
                ids.iter_mut().for_each(|id| *id = tokens.id(*id));
            }
        }
        output.sink.ids(ids)
    }

    /// Runs `work` with an encoder for about `bytes` bytes, then sends the ids that are still waiting.
    pub(crate) fn with_encoder<S: Sink>(
        &self,
        bytes: usize,
        output: &mut Output<'_, S>,
        work: impl FnOnce(&mut Encoder<'_>, &mut Output<'_, S>) -> Result<()>,
    ) -> Result<()> {
        with_buffers(|buffers| {
            let Buffers { split, ids, pipeline, staged } = buffers;
            let wanted = if S::PIECE_BY_PIECE { None } else { Some(output.sink.appetite(bytes)) };
            let pieces = Pieces { vocabulary: self, wanted, cache: None, pipeline, ids, staged };
            let mut encoder = Encoder { pieces, split };
            let encoded = work(&mut encoder, output);
            encoder.pieces.finish(encoded, output.sink)
        })
    }
}

/// Encodes texts, one after the other.
pub(crate) struct Encoder<'a> {
    pieces: Pieces<'a>,
    split: &'a mut Scratch,
}

impl Encoder<'_> {
    /// Encodes a text; what `special` finds in it becomes that special token.
    pub(crate) fn text(
        &mut self,
        text: &str,
        special: Option<&Matcher>,
        output: &mut Output<'_, impl Sink>,
    ) -> Result<()> {
        let splitter = self.pieces.vocabulary.splitter();
        let mut from = 0;
        loop {
            let found = special.and_then(|special| special.find(text, from));
            let stretch = &text[from..found.as_ref().map_or(text.len(), |found| found.start)];
            splitter.split(stretch, self.split, |base, ends| {
                self.pieces.encode(&stretch.as_bytes()[base..], ends, output)
            })?;
            let Some(found) = found else { return Ok(()) };
            self.mark(Event::Special(found.id, found.end - found.start), output)?;
            from = found.end;
        }
    }

    /// Encodes bytes: maximal stretches of valid UTF-8 as text, each maximal invalid stretch as one piece.
    pub(crate) fn bytes(&mut self, bytes: &[u8], output: &mut Output<'_, impl Sink>) -> Result<()> {
        let splitter = self.pieces.vocabulary.splitter();
        splitter.split_bytes(bytes, self.split, |base, ends| self.pieces.encode(&bytes[base..], ends, output))
    }

    /// Encodes a text that is one piece.
    pub(crate) fn piece(&mut self, piece: &[u8], output: &mut Output<'_, impl Sink>) -> Result<()> {
        self.pieces.encode(piece, &[piece.len() as u32], output)
    }

    /// Puts a special token, or the end of a text, after the pieces so far.
    pub(crate) fn mark(&mut self, event: Event, output: &mut Output<'_, impl Sink>) -> Result<()> {
        let Pieces { vocabulary, cache, pipeline, .. } = &mut self.pieces;
        match (cache, pipeline) {
            (Some(cache), Some(pipeline)) => pipeline.mark(event, vocabulary, cache, output.sink),
            _ => event.tell(output.sink),
        }
    }
}

/// Encodes pieces: by stages where there are several, through the cache if there is one, else one by one.
struct Pieces<'a> {
    vocabulary: &'a Vocabulary,
    /// How many bytes to request a cache for; `None` once it was requested, or if there shall be none.
    wanted: Option<usize>,
    cache: Option<Box<Cache>>,
    /// Always there if there is a cache.
    pipeline: &'a mut Option<Box<Pipeline>>,
    ids: &'a mut Vec<u32>,
    staged: &'a mut Work,
}

impl Pieces<'_> {
    /// Encodes the pieces that `text` begins with, which end at `ends`.
    fn encode(&mut self, text: &[u8], ends: &[u32], output: &mut Output<'_, impl Sink>) -> Result<()> {
        (output.look)(ends.last().map_or(WITHIN, |&end| end as usize))?;
        if let Some(last) = self.vocabulary.last_stage() {
            return last.pieces(self.vocabulary, text, ends, self.ids, self.staged, output);
        }
        // Making a cache takes longer than encoding a megabyte of one letter, which has no use for one: it serves pieces that are short, or
        // that may be cut between characters.
        let serves = |end: usize| end <= LONGEST || text[end - 1] >= 0x80;
        if let Some(bytes) = self.wanted
            && ends.iter().any(|&end| serves(end as usize))
        {
            self.wanted = None;
            self.cache = self.vocabulary.caches.take(self.vocabulary.tokens(), bytes);
        }
        if let Some(cache) = &mut self.cache {
            let pipeline = self.pipeline.get_or_insert_default();
            return pipeline.pieces(self.vocabulary, cache, text, ends, self.ids, output);
        }
        let mut start = 0;
        ends.iter().try_for_each(|&end| {
            let piece = &text[start..end as usize];
            start = end as usize;
            self.vocabulary.encode_part(piece, self.ids, output)
        })
    }

    /// Sends the ids still waiting, unless encoding failed, and gives the cache back.
    fn finish(self, mut encoded: Result<()>, sink: &mut impl Sink) -> Result<()> {
        if let (Some(mut cache), Some(pipeline)) = (self.cache, self.pipeline) {
            encoded = encoded.and_then(|()| pipeline.send(self.vocabulary, &mut cache, sink));
            pipeline.clear();
            self.vocabulary.caches.give_back(cache);
        }
        encoded
    }
}
