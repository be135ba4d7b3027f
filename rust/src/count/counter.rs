//! Counting documents, whole or in parts: they are cut into stretches for threads, whose counts are gathered in the end.

use std::io::Read;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::bytes::each_group;
use super::counted::Counted;
use super::runs::Runs;
use super::spill::{Ceiling, Spilled};
use super::sum::Sums;
use super::table::Table;
use super::work::{STRETCH, Shared, Stretch, Worker, share};
use super::{PieceCounts, Position};
use crate::document::{Contents, Document};
use crate::error::{Error, Result};
use crate::key::Seeds;
use crate::progress::{Progress, Pulse, unwatched};
use crate::split::Splitter;
use crate::threads::side_by_side;

/// Less text than this is counted at once, in the caller's thread: some milliseconds by the slowest pattern.
const SMALL: usize = 1 << 16;

/// Counts the pieces of documents.
pub struct Counter {
    splitter: Splitter,
    stretch: usize,
    workers: Vec<Worker>,
    ceiling: Option<Ceiling>,
    /// Whether nobody waits for what is counted any more: work is left where it is.
    abandoned: AtomicBool,
    /// What the workers' tables have become, once their counts are gathered.
    gathered: Option<Gathered>,
    /// Where the first byte stands that is not counted.
    reached: Position,
    /// Whether all before it is counted, and nothing after it.
    exact: bool,
    done: AtomicU64,
    pieces: Arc<AtomicU64>,
}

/// The counts of all workers, from which the result is made as often as it is asked for.
enum Gathered {
    InMemory(Arc<PieceCounts>),
    OnDisk(Vec<Runs>, Ceiling),
}

impl Counter {
    /// A counter of the pieces that `splitter` makes. `threads` is how many work side by side: all cores if `None`, and no more than
    /// there may be some use for.
    pub fn new(splitter: Splitter, threads: Option<NonZero<usize>>) -> Counter {
        let threads = side_by_side(threads);
        let seeds = Seeds::random();
        Counter {
            splitter,
            stretch: STRETCH,
            workers: (0..threads).map(|_| Worker::new(Table::seeded(seeds))).collect(),
            ceiling: None,
            abandoned: AtomicBool::new(false),
            gathered: None,
            reached: Position::default(),
            exact: true,
            done: AtomicU64::new(0),
            pieces: Arc::default(),
        }
    }

    /// The same counter, which holds no more memory than `ceiling` says; the result is the same.
    pub fn with_ceiling(self, ceiling: Ceiling) -> Counter {
        let each = ceiling.bytes / self.workers.len();
        let seeds = Seeds::random();
        let table = || Table::under(each, Runs::new(&ceiling.directory), seeds);
        let worker = |_| Worker::new(table());
        let workers = self.workers.iter().map(worker).collect();
        Counter { workers, ceiling: Some(ceiling), ..self }
    }

    /// The same counter, for a corpus that is counted up to a place which a counter has reached.
    pub fn from_place(self, reached: Position) -> Counter {
        Counter { reached, ..self }
    }

    /// The same counter with stretches of `bytes`, for tests that want many in little text.
    #[doc(hidden)]
    pub fn with_stretch(self, bytes: usize) -> Counter {
        Counter { stretch: bytes.max(1), ..self }
    }

    /// Counts more documents; each is the next source, and the first the one that `reached` stands in. `progress` is told the
    /// bytes counted and the bytes given so far.
    ///
    /// `Error::Io` for a file that cannot be read, `Error::Pattern` if the pattern gives up on a text, `Error::Interrupted` if
    /// `progress` breaks: what was counted is then lost.
    pub fn add(&mut self, documents: &[Document<'_>], progress: &mut Progress<'_>) -> Result<()> {
        self.add_until(None, documents, progress)
    }

    /// As `add`, but after `deadline` no stretch is begun: `reached` tells how far it came. So it does where there is a deadline and
    /// `progress` breaks, for what is begun is then ended; if `progress` breaks again meanwhile, it is not. After an error the counter is of
    /// use only while `reached` tells a place.
    pub fn add_until(
        &mut self,
        deadline: Option<Instant>,
        documents: &[Document<'_>],
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let documents: Vec<Contents> = documents.iter().map(|document| document.open(0)).collect::<Result<_>>()?;
        let Position { source, offset } = self.reached;
        if documents.first().is_some_and(|document| (document.len() as u64) < offset) {
            let shorter = format!("document {source} is shorter than when it was counted up to its byte {offset}");
            return Err(Error::Io(format!("{shorter}: count the corpus anew")));
        }
        let stretches = self.stretches(&documents, Position { source, offset: 0 }, offset as usize);
        let end = Position { source: source + documents.len() as u64, offset: 0 };
        self.count(deadline, &documents, &stretches, end, progress)
    }

    /// Counts more of the document that `reached` stands in: of `bytes`, which follow there, all if they are the `last`, or those before
    /// the last place where the pattern proves that a piece ends. Gives how many bytes are counted then; none if no such place is there.
    ///
    /// ```
    /// use minbpe_core::{count::Counter, progress::unwatched, split::Splitter};
    /// let mut counter = Counter::new(Splitter::new(Some("[ab]+| +"))?, None);
    /// assert_eq!(counter.add_part(None, b"ab a", false, &mut unwatched)?, 3);
    /// assert_eq!(counter.add_part(None, b"aab", true, &mut unwatched)?, 3);
    /// assert_eq!(counter.finish()?.iter().map(|piece| piece.bytes).collect::<Vec<_>>(), [&b"ab"[..], b" ", b"aab"]);
    /// # Ok::<(), minbpe_core::error::Error>(())
    /// ```
    ///
    /// `deadline`, `progress` and the errors are those of `add_until`.
    pub fn add_part(
        &mut self,
        deadline: Option<Instant>,
        bytes: &[u8],
        last: bool,
        progress: &mut Progress<'_>,
    ) -> Result<usize> {
        let settled = self.splitter.settled(bytes, last);
        if settled == 0 && !last {
            return Ok(0);
        }
        let begin = self.reached;
        let end = match last {
            true => Position { source: begin.source + 1, offset: 0 },
            false => Position { offset: begin.offset + settled as u64, ..begin },
        };
        let documents = [Contents::Borrowed(&bytes[..settled])];
        let stretches = self.stretches(&documents, begin, 0);
        self.count(deadline, &documents, &stretches, end, progress)?;
        Ok(if self.reached == end { settled } else { (self.reached.offset - begin.offset) as usize })
    }

    /// Counts stretches of documents that come to their `end` together.
    fn count(
        &mut self,
        deadline: Option<Instant>,
        documents: &[Contents],
        stretches: &[Stretch],
        end: Position,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        assert!(self.gathered.is_none(), "what is counted was gathered");
        let bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum::<usize>();
        let given = self.done() + bytes as u64;
        let shared = Shared {
            splitter: &self.splitter,
            documents,
            stretches,
            next: AtomicUsize::new(0),
            done: &self.done,
            pieces: &self.pieces,
            deadline,
            stop: AtomicBool::new(false),
            abandoned: &self.abandoned,
            broken: AtomicBool::new(false),
        };
        let result = if bytes < SMALL && self.stretch == STRETCH {
            self.workers[0].run(&shared)
        } else {
            let wanted = self.workers.len().min(stretches.len());
            share(&mut self.workers[..wanted], &shared, given, progress)
        };
        self.exact &= matches!(result, Ok(()) | Err(Error::Interrupted)) && !shared.broken.load(Relaxed);
        self.reached = stretches.get(shared.next.load(Relaxed)).map_or(end, |next| next.first);
        result
    }

    /// Adds counts that `PieceCounts::to_bytes` wrote, of documents from number `first` on that come before those to be added.
    /// `progress` is told how many of their bytes were read.
    pub fn absorb<'a>(&mut self, counts: impl Read, first: u64, progress: &'a mut Progress<'a>) -> Result<()> {
        let table = &mut self.workers[0].table;
        let pulse = &mut Pulse::new(progress, 0);
        let (sources, _) = each_group(counts, first, pulse, |pieces, look| table.add_all(pieces, look))?;
        self.reached = self.reached.max(Position { source: sources, offset: 0 });
        Ok(())
    }

    /// The place up to which all is counted, which is that of a document's first byte or one where a piece must end; `None`
    /// once the work was stopped in the middle of something.
    pub fn reached(&self) -> Option<Position> {
        self.exact.then_some(self.reached)
    }

    /// How many documents are counted to their ends.
    pub fn sources(&self) -> u64 {
        self.reached.source
    }

    /// The bytes that are counted.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// The number of pieces that are counted, not those absorbed. It rises while documents are added.
    pub fn pieces(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.pieces)
    }

    /// The counts of all documents.
    pub fn finish(mut self) -> Result<PieceCounts> {
        let mut counted = self.gather(1, &mut unwatched)?;
        drop(self);
        let counts = counted.counts(&mut unwatched)?;
        drop(counted);
        Ok(Arc::unwrap_or_clone(counts))
    }

    /// The counts of all documents, without the pieces that were seen less than `min_count` times. `progress` hears how many bytes are
    /// read of what threads or runs have counted, where there are several of them.
    ///
    /// Nothing is added from then on, but counts may be gathered again: stopping it loses nothing, nor does losing the result.
    /// After another error `reached` tells no place any more.
    pub fn gather<'a>(&mut self, min_count: u64, progress: &'a mut Progress<'a>) -> Result<Counted> {
        let sources = self.reached.source + u64::from(self.reached.offset > 0);
        let pulse = &mut Pulse::new(progress, 0);
        let gathered = match &mut self.gathered {
            Some(gathered) => gathered,
            none => {
                let gathered = Gathered::of(&mut self.workers, self.ceiling.as_ref(), sources, pulse);
                self.exact &= matches!(gathered, Ok(_) | Err(Error::Interrupted));
                none.insert(gathered?)
            }
        };
        match gathered {
            Gathered::InMemory(counts) => Ok(Counted::in_memory(Arc::clone(counts), min_count)),
            Gathered::OnDisk(runs, ceiling) => {
                Ok(Counted::on_disk(Spilled::gather(runs, ceiling.clone(), sources, min_count, pulse)?))
            }
        }
    }

    /// The documents in order, of the first, which begins at `origin`, what follows its first `skipped` bytes; the long ones cut where
    /// the pattern proves that a piece ends.
    fn stretches(&self, documents: &[Contents], origin: Position, skipped: usize) -> Vec<Stretch> {
        let mut stretches = Vec::with_capacity(documents.len());
        for (document, bytes) in documents.iter().enumerate() {
            let stretch = |start: usize, end: usize| {
                let before = if document == 0 { origin.offset } else { 0 };
                let first = Position { source: origin.source + document as u64, offset: before + start as u64 };
                Stretch { document, start, end, first }
            };
            let mut start = if document == 0 { skipped } else { 0 };
            let mut reach = start + self.stretch;
            while reach < bytes.len() {
                let cut = self.splitter.cut(bytes, reach - self.stretch / 2, reach);
                bytes.let_go(reach - self.stretch / 2..reach);
                if let Some(end) = cut.filter(|&end| start < end && end < bytes.len()) {
                    stretches.push(stretch(start, end));
                    start = end;
                    reach = end;
                }
                reach += self.stretch;
            }
            stretches.push(stretch(start, bytes.len()));
        }
        stretches
    }
}

impl Gathered {
    /// Takes the workers, unless it is stopped before.
    fn of(
        workers: &mut Vec<Worker>,
        ceiling: Option<&Ceiling>,
        sources: u64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Gathered> {
        let look = &mut |steps| pulse.step(steps);
        workers.iter_mut().try_for_each(|worker| worker.table.settle(look))?;
        if let Some(ceiling) = ceiling.filter(|ceiling| !Worker::sum_fits(workers, ceiling)) {
            workers.iter_mut().try_for_each(|worker| worker.table.spill(look))?;
            let runs = Worker::take_tables(workers).filter_map(Table::into_runs);
            return Ok(Gathered::OnDisk(runs.collect(), ceiling.clone()));
        }
        let sums = match &workers[..] {
            [_] => None,
            several => Some(Sums::of(&several.iter().map(|worker| &worker.table).collect::<Vec<_>>(), pulse)?),
        };
        let mut tables = Worker::take_tables(workers);
        let counts = match sums {
            Some(sums) => sums.merge(tables.collect(), sources),
            None => tables.next().expect("the only one").finish(sources),
        };
        Ok(Gathered::InMemory(Arc::new(counts?)))
    }
}
