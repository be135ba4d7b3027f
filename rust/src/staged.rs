//! Stages: merges that go across the pieces of earlier ones, such as superwords, which hold spaces (SuperBPE, Liu et al. 2025).
//!
//! A text is split by the pattern of the last stage, and each piece is encoded by the stages before it as a text of its own. What they
//! made is joined by the merges of the last stage alone: two tokens that an earlier stage would have joined, had its pattern not split
//! them, stay apart.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use crate::encode::{Rows, Sink};
use crate::error::{Error, Result};
use crate::special::Matcher;
use crate::split::{Flow, Scratch};
use crate::table::{PairTable, Pairs};
use crate::vocab::Vocabulary;

/// From which merge on which pattern splits text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// How many merges come before those of this stage.
    pub first_rank: usize,
    /// None: a text is one piece. Several: each splits the pieces of the one before.
    pub patterns: Vec<String>,
}

/// The last stage of a vocabulary that has several.
pub(crate) struct LastStage {
    /// The vocabulary of the stages before, without special tokens.
    narrower: Vocabulary,
    /// The merges of this stage alone.
    pairs: PairTable,
}

impl LastStage {
    /// The stage whose merges, as pairs of indices, come after those of `narrower`.
    pub(crate) fn new(narrower: Vocabulary, parents: &[(u32, u32)]) -> LastStage {
        let first = narrower.tokens().count();
        let own = &parents[first - 256..];
        let mut pairs = PairTable::with_capacity(own.len());
        for (&(left, right), merged) in own.iter().zip(first as u32..) {
            pairs.insert(left, right, merged);
        }
        LastStage { narrower, pairs }
    }

    /// The vocabulary of the stages before.
    pub(crate) fn narrower(&self) -> &Vocabulary {
        &self.narrower
    }

    /// Leaves in `work.ids` what the merges of this stage make of the ids that are there. O(n log n).
    fn merge(&self, vocabulary: &Vocabulary, work: &mut Work) {
        let tokens = vocabulary.tokens();
        let Work { ids, chain, .. } = work;
        // The stages before have no ids but those of this vocabulary.
        ids.iter_mut().for_each(|id| *id = tokens.index_of_id(*id).unwrap_or_default());
        chain.merge(self.pairs.view(), ids);
        ids.iter_mut().for_each(|id| *id = tokens.ids()[*id as usize]);
    }
}

/// What a thread keeps between calls.
#[derive(Default)]
struct Work {
    /// What the stages before make of some pieces.
    narrow: Rows,
    ids: Vec<u32>,
    chain: Chain,
}

thread_local! {
    static KEPT: RefCell<(Scratch, Work)> = RefCell::default();
}

/// Takes the thread's buffers for a while; the stages inside this one get new ones.
fn with_buffers<T>(work: impl FnOnce(&mut Scratch, &mut Work) -> T) -> T {
    /// What a piece of a megabyte needed is given back.
    const MOST: usize = 1 << 18;
    let (mut split, mut buffers) = KEPT.with(RefCell::take);
    let result = work(&mut split, &mut buffers);
    if buffers.ids.capacity().max(buffers.narrow.ids.capacity()) > MOST {
        buffers = Work::default();
    }
    KEPT.with(|kept| kept.replace((split, buffers)));
    result
}

impl Vocabulary {
    /// As `Encoder::text`, where there are several stages.
    pub(crate) fn encode_staged(
        &self,
        last: &LastStage,
        text: &str,
        special: Option<&Matcher>,
        sink: &mut impl Sink,
    ) -> Result<ControlFlow<()>> {
        with_buffers(|split, work| {
            let mut from = 0;
            loop {
                let found = special.and_then(|special| special.find(text, from));
                let stretch = &text[from..found.as_ref().map_or(text.len(), |found| found.start)];
                let flow = self.splitter().split(stretch, split, |base, ends| {
                    self.staged_pieces(last, stretch.as_bytes(), base, ends, work, sink)
                })?;
                let Some(found) = found.filter(|_| flow.is_continue()) else { return Ok(flow) };
                if sink.special(found.id, found.end - found.start).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                from = found.end;
            }
        })
    }

    /// As `Encoder::bytes`, where there are several stages.
    pub(crate) fn encode_bytes_staged(
        &self,
        last: &LastStage,
        bytes: &[u8],
        sink: &mut impl Sink,
    ) -> Result<ControlFlow<()>> {
        with_buffers(|split, work| {
            self.splitter()
                .split_bytes(bytes, split, |base, ends| self.staged_pieces(last, bytes, base, ends, work, sink))
        })
    }

    /// As `encode_piece`, where there are several stages: no stage splits.
    pub(crate) fn encode_piece_staged(&self, last: &LastStage, piece: &[u8], sink: &mut impl Sink) {
        if piece.is_empty() {
            return;
        }
        with_buffers(|_, work| {
            work.ids.clear();
            last.narrower.encode_piece(piece, &mut work.ids);
            last.merge(self, work);
            // There is no more to give, whether or not the sink wants it.
            let _ = sink.ids(self, &work.ids);
        });
    }

    /// Appends the ids of a piece that the pattern of the last stage made; the stages before split it.
    pub(crate) fn encode_widest_piece(&self, piece: &[u8], out: &mut Vec<u32>) -> Result<()> {
        let Some(last) = self.last_stage() else {
            self.encode_piece(piece, out);
            return Ok(());
        };
        with_buffers(|_, work| {
            work.ids.clear();
            last.narrower.encode_bytes(piece, &mut work.ids)?;
            last.merge(self, work);
            out.extend_from_slice(&work.ids);
            Ok(())
        })
    }

    /// `Error::Vocabulary` if there are several stages, for `what` has no meaning there.
    pub(crate) fn refuse_stages(&self, what: &str) -> Result<()> {
        match self.last_stage() {
            None => Ok(()),
            Some(_) => Err(Error::Vocabulary(format!(
                "{what} follows tiktoken, which knows no stages, and this vocabulary has {}: use encode or encode_bytes",
                self.stages().len()
            ))),
        }
    }

    /// The pieces of `text` from `base` on, which end at `base` + `ends`.
    fn staged_pieces(
        &self,
        last: &LastStage,
        text: &[u8],
        base: usize,
        ends: &[u32],
        work: &mut Work,
        sink: &mut impl Sink,
    ) -> Flow {
        // By the stages before, all pieces together: what is merged there is merged side by side.
        let Work { narrow, .. } = work;
        narrow.clear();
        let length = ends.last().map_or(0, |&end| end as usize);
        let narrowed = last.narrower.with_encoder(length, narrow, |encoder, narrow| {
            let mut start = base;
            ends.iter().try_fold(ControlFlow::Continue(()), |_, &end| {
                let piece = &text[start..base + end as usize];
                start = base + end as usize;
                Ok(if encoder.bytes(piece, narrow)?.is_continue() {
                    encoder.end(narrow)
                } else {
                    ControlFlow::Break(())
                })
            })
        });
        if let Err(error) = narrowed {
            return ControlFlow::Break(Err(error));
        }
        let mut start = 0;
        for row in 0..work.narrow.ends.len() {
            let end = work.narrow.ends[row];
            work.ids.clear();
            work.ids.extend_from_slice(&work.narrow.ids[start..end]);
            last.merge(self, work);
            if sink.ids(self, &work.ids).is_break() {
                return ControlFlow::Break(Ok(()));
            }
            start = end;
        }
        ControlFlow::Continue(())
    }
}

/// Tokens in a row of which some are joined: each knows its neighbours, and a heap has the merges by rank, then place. A merge in the
/// heap is out of date when its two tokens no longer stand there.
#[derive(Default)]
struct Chain {
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Chain {
    /// Joins the tokens that have a merge, the lowest first and of equal ones the leftmost.
    fn merge(&mut self, pairs: Pairs<'_>, tokens: &mut Vec<u32>) {
        const GONE: u32 = u32::MAX;
        let Chain { next, previous, heap } = self;
        let n = tokens.len();
        let found = tokens.windows(2).zip(0..).filter_map(|(two, at)| Some(Reverse((pairs.get(two[0], two[1])?, at))));
        heap.clear();
        heap.extend(found);
        if heap.is_empty() {
            return;
        }
        next.clear();
        next.extend(1..=n as u32);
        previous.clear();
        previous.extend((0..n as u32).map(|at| at.wrapping_sub(1)));
        while let Some(Reverse((merged, place))) = heap.pop() {
            let at = place as usize;
            let right = next[at] as usize;
            if tokens[at] == GONE || right >= n || pairs.get(tokens[at], tokens[right]) != Some(merged) {
                continue;
            }
            tokens[at] = merged;
            tokens[right] = GONE;
            let beyond = next[right];
            next[at] = beyond;
            if (beyond as usize) < n {
                previous[beyond as usize] = place;
                heap.extend(pairs.get(merged, tokens[beyond as usize]).map(|later| Reverse((later, place))));
            }
            if at > 0 {
                let left = previous[at];
                heap.extend(pairs.get(tokens[left as usize], merged).map(|later| Reverse((later, left))));
            }
        }
        tokens.retain(|&token| token != GONE);
    }
}
