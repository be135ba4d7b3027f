//! Encoding: text to ids, piece by piece, exactly as merging each piece would.
//!
//! Most pieces are tokens (on English 19 of 20) and cost one look-up; the others are merged.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;
use crate::special::Matcher;
use crate::split::Scratch;
use crate::vocab::Vocabulary;

/// Where tokens go. It can say that it wants no more, and then the rest of the text is not even split.
pub trait Sink {
    /// Takes the tokens of one piece, as indices of `vocabulary`'s tokens.
    fn piece(&mut self, vocabulary: &Vocabulary, tokens: &[u32]) -> ControlFlow<()>;
    /// Takes a special token.
    fn special(&mut self, vocabulary: &Vocabulary, id: u32) -> ControlFlow<()>;
}

/// All ids, in order.
impl Sink for Vec<u32> {
    #[inline(always)]
    fn piece(&mut self, vocabulary: &Vocabulary, tokens: &[u32]) -> ControlFlow<()> {
        let ids = vocabulary.tokens().ids();
        self.extend(tokens.iter().map(|&token| ids[token as usize]));
        ControlFlow::Continue(())
    }

    #[inline]
    fn special(&mut self, _: &Vocabulary, id: u32) -> ControlFlow<()> {
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

    fn add(&mut self, tokens: usize) -> ControlFlow<()> {
        self.tokens = self.limit.min(self.tokens + tokens);
        if self.tokens == self.limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Sink for Counted {
    #[inline(always)]
    fn piece(&mut self, _: &Vocabulary, tokens: &[u32]) -> ControlFlow<()> {
        self.add(tokens.len())
    }

    fn special(&mut self, _: &Vocabulary, _: u32) -> ControlFlow<()> {
        self.add(1)
    }
}

/// What a thread keeps between calls: it saves an allocation a call, which short texts notice.
#[derive(Default)]
struct Buffers {
    split: Scratch,
    tokens: Vec<u32>,
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
    buffers.tokens.clear();
    buffers.tokens.shrink_to(KEPT);
    BUFFERS.with(|kept| kept.replace(buffers));
    result
}

impl Vocabulary {
    /// Encodes `text` into `sink`, special tokens as the plain text they are.
    pub fn encode_ordinary(&self, text: &str, sink: &mut impl Sink) -> Result<()> {
        with_buffers(|buffers| self.encode_stretch(text, buffers, sink)).map(|_| ())
    }

    /// Encodes `text` into `sink`; what `special` finds becomes that special token, and the text before it is split as if it ended
    /// there, as tiktoken does.
    pub fn encode(&self, text: &str, special: Option<&Matcher>, sink: &mut impl Sink) -> Result<()> {
        let Some(special) = special else { return self.encode_ordinary(text, sink) };
        with_buffers(|buffers| {
            let mut from = 0;
            while let Some(found) = special.find(text, from) {
                let flow = self.encode_stretch(&text[from..found.start], buffers, sink)?;
                if flow.is_break() || sink.special(self, found.id).is_break() {
                    return Ok(());
                }
                from = found.end;
            }
            self.encode_stretch(&text[from..], buffers, sink).map(|_| ())
        })
    }

    /// Encodes bytes: maximal stretches of valid UTF-8 as text, each maximal invalid stretch as one piece.
    pub fn encode_bytes(&self, bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        with_buffers(|buffers| {
            let Buffers { split, tokens } = buffers;
            self.tokens().expect(bytes.len());
            let flow = self
                .splitter()
                .split_bytes(bytes, split, |base, ends| self.encode_pieces(bytes, base, ends, tokens, sink));
            flow.map(|_| ())
        })
    }

    /// Encodes `piece` as it is, without splitting.
    pub fn encode_piece(&self, piece: &[u8], sink: &mut impl Sink) {
        if !piece.is_empty() {
            with_buffers(|buffers| self.encode_one(piece, &mut buffers.tokens, sink).is_break());
        }
    }

    fn encode_stretch(&self, text: &str, buffers: &mut Buffers, sink: &mut impl Sink) -> Result<ControlFlow<()>> {
        let Buffers { split, tokens } = buffers;
        self.tokens().expect(text.len());
        self.splitter().split(text, split, |base, ends| self.encode_pieces(text.as_bytes(), base, ends, tokens, sink))
    }

    #[inline]
    fn encode_pieces(
        &self,
        text: &[u8],
        base: usize,
        ends: &[u32],
        tokens: &mut Vec<u32>,
        sink: &mut impl Sink,
    ) -> ControlFlow<()> {
        let mut start = base;
        for &end in ends {
            let end = base + end as usize;
            self.encode_one(&text[start..end], tokens, sink)?;
            start = end;
        }
        ControlFlow::Continue(())
    }

    #[inline(always)]
    fn encode_one(&self, piece: &[u8], tokens: &mut Vec<u32>, sink: &mut impl Sink) -> ControlFlow<()> {
        if let Some(token) = self.tokens().whole_piece(piece) {
            return sink.piece(self, &[token]);
        }
        tokens.clear();
        self.tokens().merge(piece, tokens);
        sink.piece(self, tokens)
    }
}

/// Does `work(i)` for each i below `count` on up to `threads` threads of its own, and returns the results in order. Threads live as
/// long as the call: a pool would hang the child of a fork.
pub fn in_parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let threads = threads.min(count).max(1);
    if threads == 1 {
        return (0..count).map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let i = next.fetch_add(1, Ordering::Relaxed);
                        if i >= count {
                            return done;
                        }
                        done.push((i, work(i)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    done.sort_unstable_by_key(|&(i, _)| i);
    done.into_iter().map(|(_, result)| result).collect()
}
