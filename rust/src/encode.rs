//! Encoding: text to ids, piece by piece, exactly as merging each piece would.
//!
//! Most pieces are tokens (on English 19 of 20); those and what was merged lately lie in a cache. Pieces are looked up in groups, so
//! that the processor fetches their lines side by side; only what is not there is merged.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::Builder;

use crate::cache::Cache;
use crate::error::Result;
use crate::lines::on_large_pages;
use crate::pipeline::Pipeline;
use crate::special::Matcher;
use crate::split::Scratch;
use crate::vocab::Vocabulary;

/// Where ids go. It can say that it wants no more, and then the rest of the text is not even split.
pub trait Sink {
    /// Whether each piece's ids come alone, which is slower.
    const PIECE_BY_PIECE: bool = false;

    /// Takes the next ids: of whole pieces, of any number of them.
    fn ids(&mut self, vocabulary: &Vocabulary, ids: &[u32]) -> ControlFlow<()>;
    /// Takes the id of a special token, which stood for `length` bytes: several texts may share the id.
    fn special(&mut self, id: u32, length: usize) -> ControlFlow<()>;

    /// How many bytes of a text of so many it will read, about.
    fn appetite(&self, bytes: usize) -> usize {
        bytes
    }
}

/// All ids, in order.
impl Sink for Vec<u32> {
    #[inline(always)]
    fn ids(&mut self, _: &Vocabulary, ids: &[u32]) -> ControlFlow<()> {
        self.extend_from_slice(ids);
        ControlFlow::Continue(())
    }

    fn special(&mut self, id: u32, _: usize) -> ControlFlow<()> {
        self.push(id);
        ControlFlow::Continue(())
    }
}

/// How many tokens there are, up to a limit.
#[derive(Debug)]
pub struct Counted {
    /// Tokens so far; never more than the limit.
    pub tokens: usize,
    limit: usize,
}

impl Counted {
    /// Counts up to `limit` tokens, one at least.
    pub fn up_to(limit: usize) -> Counted {
        Counted { tokens: 0, limit }
    }

    #[inline(always)]
    fn add(&mut self, tokens: usize) -> ControlFlow<()> {
        self.tokens = self.limit.min(self.tokens + tokens);
        if self.tokens == self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Sink for Counted {
    #[inline(always)]
    fn ids(&mut self, _: &Vocabulary, ids: &[u32]) -> ControlFlow<()> {
        self.add(ids.len())
    }

    fn special(&mut self, _: u32, _: usize) -> ControlFlow<()> {
        self.add(1)
    }

    fn appetite(&self, bytes: usize) -> usize {
        bytes.min(self.limit.saturating_mul(BYTES_A_TOKEN))
    }
}

/// More than nearly any text has.
pub(crate) const BYTES_A_TOKEN: usize = 16;

/// Room for the ids of so many bytes of text: of few, what English takes; of many, what any script does, and on large pages, for half of the
/// time of writing them goes into making pages.
pub(crate) fn room_for(bytes: usize) -> Vec<u32> {
    const MANY: usize = 1 << 20;
    if bytes < MANY {
        return Vec::with_capacity(bytes / 4 + 4);
    }
    let mut ids = Vec::with_capacity(bytes / 2);
    on_large_pages(ids.spare_capacity_mut());
    ids
}

/// What a thread keeps between calls: it saves an allocation a call, which short texts notice.
#[derive(Default)]
struct Buffers {
    split: Scratch,
    ids: Vec<u32>,
    pipeline: Option<Box<Pipeline>>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = RefCell::default();
}

/// Takes the thread's buffers for a while; a call within a call gets new ones.
fn with_buffers<T>(work: impl FnOnce(&mut Buffers) -> T) -> T {
    /// A piece of a megabyte is rare: what it needed is given back.
    const KEPT: usize = 1 << 18;
    let mut buffers = BUFFERS.with(RefCell::take);
    let result = work(&mut buffers);
    buffers.ids.clear();
    buffers.ids.shrink_to(KEPT);
    BUFFERS.with(|kept| kept.replace(buffers));
    result
}

impl Vocabulary {
    /// Encodes `text` into `sink`, special tokens as the plain text they are.
    pub fn encode_ordinary(&self, text: &str, sink: &mut impl Sink) -> Result<()> {
        self.encode(text, None, sink)
    }

    /// Encodes `text` into `sink`; what `special` finds becomes that special token, and the text before it is split as if it ended
    /// there, as tiktoken does.
    pub fn encode(&self, text: &str, special: Option<&Matcher>, sink: &mut impl Sink) -> Result<()> {
        if let Some(last) = self.last_stage() {
            return self.encode_staged(last, text, special, sink);
        }
        self.with_encoder(text.len(), sink, |encoder, split, sink| {
            let mut from = 0;
            while let Some(found) = special.and_then(|special| special.find(text, from)) {
                let flow = encoder.stretch(&text[from..found.start], split, sink)?;
                if flow.is_break() || sink.special(found.id, found.end - found.start).is_break() {
                    return Ok(());
                }
                from = found.end;
            }
            encoder.stretch(&text[from..], split, sink).map(|_| ())
        })
    }

    /// Encodes bytes: maximal stretches of valid UTF-8 as text, each maximal invalid stretch as one piece.
    pub fn encode_bytes(&self, bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        if let Some(last) = self.last_stage() {
            return self.encode_bytes_staged(last, bytes, sink);
        }
        self.with_encoder(bytes.len(), sink, |encoder, split, sink| {
            let flow =
                self.splitter().split_bytes(bytes, split, |base, ends| encoder.pieces(bytes, base, ends, sink))?;
            if flow.is_continue() {
                let _ = encoder.finish(bytes, sink);
            }
            Ok(())
        })
    }

    /// Encodes `piece` as it is, without splitting.
    pub fn encode_piece(&self, piece: &[u8], sink: &mut impl Sink) {
        if let Some(last) = self.last_stage() {
            return self.encode_piece_staged(last, piece, sink);
        }
        if !piece.is_empty() {
            self.with_encoder(0, sink, |encoder, _, sink| encoder.piece(piece, sink).is_break());
        }
    }

    /// Does `work` with the thread's buffers, and a cache if there is one for so many bytes.
    fn with_encoder<S: Sink, T>(
        &self,
        bytes: usize,
        sink: &mut S,
        work: impl FnOnce(&mut Encoder<'_>, &mut Scratch, &mut S) -> T,
    ) -> T {
        with_buffers(|buffers| {
            let cache = if S::PIECE_BY_PIECE { None } else { self.tokens().take_cache(sink.appetite(bytes)) };
            let pipeline = cache.map(|cache| (cache, buffers.pipeline.take().unwrap_or_default()));
            let mut encoder = Encoder { vocabulary: self, pipeline, ids: &mut buffers.ids };
            let result = work(&mut encoder, &mut buffers.split, sink);
            if let Some((cache, mut pipeline)) = encoder.pipeline {
                pipeline.clear();
                self.tokens().give_back(cache);
                buffers.pipeline = Some(pipeline);
            }
            result
        })
    }
}

/// Encodes pieces: through the cache if there is one, else one by one.
struct Encoder<'a> {
    vocabulary: &'a Vocabulary,
    pipeline: Option<(Cache, Box<Pipeline>)>,
    ids: &'a mut Vec<u32>,
}

impl Encoder<'_> {
    fn stretch(&mut self, text: &str, split: &mut Scratch, sink: &mut impl Sink) -> Result<ControlFlow<()>> {
        let (splitter, bytes) = (self.vocabulary.splitter(), text.as_bytes());
        let flow = splitter.split(text, split, |base, ends| self.pieces(bytes, base, ends, sink))?;
        Ok(if flow.is_break() { flow } else { self.finish(bytes, sink) })
    }

    /// The pieces of `text` from `base` on, which end at `base` + `ends`.
    fn pieces(&mut self, text: &[u8], base: usize, ends: &[u32], sink: &mut impl Sink) -> ControlFlow<()> {
        if let Some((cache, pipeline)) = &mut self.pipeline {
            return pipeline.pieces(self.vocabulary, cache, text, base, ends, sink);
        }
        let mut start = base;
        ends.iter().try_for_each(|&end| {
            let piece = &text[start..base + end as usize];
            start = base + end as usize;
            self.piece(piece, sink)
        })
    }

    /// The text ends.
    fn finish(&mut self, text: &[u8], sink: &mut impl Sink) -> ControlFlow<()> {
        match &mut self.pipeline {
            Some((cache, pipeline)) => pipeline.finish(self.vocabulary, cache, text, sink),
            None => ControlFlow::Continue(()),
        }
    }

    /// A piece of any length, by itself.
    fn piece(&mut self, piece: &[u8], sink: &mut impl Sink) -> ControlFlow<()> {
        let tokens = self.vocabulary.tokens();
        self.ids.clear();
        match tokens.whole_piece(piece) {
            Some(token) => self.ids.push(token),
            None => tokens.merge(piece, self.ids),
        }
        self.ids.iter_mut().for_each(|id| *id = tokens.ids()[*id as usize]);
        sink.ids(self.vocabulary, self.ids)
    }
}

/// Does `work(i)` for each i below `count` on up to `threads` threads, this one among them, and returns the results in order. Threads
/// live as long as the call: a pool would hang the child of a fork. Where the system gives no more threads, fewer do the work.
pub fn in_parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let do_some = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            if i >= count {
                return done;
            }
            done.push((i, work(i)));
        }
    };
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let others = (1..threads.min(count)).map_while(|_| Builder::new().spawn_scoped(scope, do_some).ok());
        let others: Vec<_> = others.collect();
        let mut done = do_some();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|&(i, _)| i);
    done.into_iter().map(|(_, result)| result).collect()
}
