//! Counting with several threads: each has a table of its own, and takes the next stretch of text from one list.
//!
//! The list is in the order of the corpus, so each thread sees positions that only rise, and its table is in first-seen order by
//! itself. Which thread counted what shows nowhere in the sum.

use std::io::Read;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::bytes::each_group;
use super::counted::Counted;
use super::document::{Contents, Document};
use super::key::Seeds;
use super::runs::Runs;
use super::spill::{Ceiling, Spilled};
use super::sum::Sums;
use super::table::Table;
use super::{PieceCounts, Position};
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse, unwatched};
use crate::split::{Scratch, Splitter};
use crate::threads::side_by_side;

/// Bytes of a document that one thread takes at once, where the pattern lets it be cut.
const STRETCH: usize = 1 << 20;
/// Less text than this is counted at once, in the caller's thread: some milliseconds by the slowest pattern.
const SMALL: usize = 1 << 16;
/// A stretch that is no longer is counted to its end when the work is to stop, so that where it stopped is known. Of a longer one, which
/// its pattern proves no cut of, so much is let go at a time.
const FINISHED: usize = 4 * STRETCH;

/// Counts the pieces of documents.
pub struct Counter {
    splitter: Splitter,
    stretch: usize,
    workers: Vec<Worker>,
    ceiling: Option<Ceiling>,
    /// Whether nobody waits for what is counted any more: work is left where it is.
    abandoned: Arc<AtomicBool>,
    /// What the workers' tables have become, once their counts are gathered.
    gathered: Option<Gathered>,
    /// Where the first byte stands that is not counted.
    reached: Position,
    /// Whether all before it is counted, and nothing after it.
    exact: bool,
    done: AtomicU64,
}

/// The counts of all workers, from which the result is made as often as it is asked for.
enum Gathered {
    InMemory(Arc<PieceCounts>),
    OnDisk(Vec<Runs>, Ceiling),
}

struct Worker {
    table: Table,
    scratch: Scratch,
}

/// A part of a document that is counted by itself.
struct Stretch {
    document: usize,
    start: usize,
    end: usize,
}

/// What the threads of one call share.
struct Shared<'a> {
    splitter: &'a Splitter,
    documents: &'a [Contents<'a>],
    first_source: u64,
    stretches: &'a [Stretch],
    next: AtomicUsize,
    done: &'a AtomicU64,
    deadline: Option<Instant>,
    stop: AtomicBool,
    abandoned: &'a AtomicBool,
    /// Whether a stretch was left before its end.
    broken: AtomicBool,
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
            abandoned: Arc::default(),
            gathered: None,
            reached: Position::default(),
            exact: true,
            done: AtomicU64::new(0),
        }
    }

    /// The same counter, which holds no more memory than `ceiling` says; the result is the same.
    pub fn with_ceiling(self, ceiling: Ceiling) -> Counter {
        let each = ceiling.bytes / self.workers.len();
        let seeds = Seeds::random();
        let table = || Table::under(each, Runs::new(&ceiling.directory), seeds, Arc::clone(&self.abandoned));
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
        assert!(self.gathered.is_none(), "what is counted was gathered");
        let documents: Vec<Contents> = documents.iter().map(|document| document.open()).collect::<Result<_>>()?;
        let Position { source: first_source, offset } = self.reached;
        if documents.first().is_some_and(|document| (document.len() as u64) < offset) {
            let shorter =
                format!("document {first_source} is shorter than when it was counted up to its byte {offset}");
            return Err(Error::Io(format!("{shorter}: count the corpus anew")));
        }
        let stretches = self.stretches(&documents, offset as usize);
        let bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum::<usize>();
        let given = self.done() + bytes as u64;
        let shared = Shared {
            splitter: &self.splitter,
            documents: &documents,
            first_source,
            stretches: &stretches,
            next: AtomicUsize::new(0),
            done: &self.done,
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
        self.reached = match stretches.get(shared.next.load(Relaxed)) {
            Some(next) => Position { source: first_source + next.document as u64, offset: next.start as u64 },
            None => Position { source: first_source + documents.len() as u64, offset: 0 },
        };
        result
    }

    /// Adds counts that `PieceCounts::to_bytes` wrote, of documents from number `first` on that come before those to be added.
    /// `progress` is told how many of their bytes were read.
    pub fn absorb<'a>(&mut self, counts: impl Read, first: u64, progress: &'a mut Progress<'a>) -> Result<()> {
        let table = &mut self.workers[0].table;
        let pulse = &mut Pulse::new(progress, 0);
        let (sources, _) = each_group(counts, first, pulse, |pieces| table.add_all(pieces))?;
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

    /// The documents in order, of the first what follows `offset`, the long ones cut where the pattern proves that a piece ends.
    fn stretches(&self, documents: &[Contents], offset: usize) -> Vec<Stretch> {
        let mut stretches = Vec::with_capacity(documents.len());
        for (document, bytes) in documents.iter().enumerate() {
            let mut start = if document == 0 { offset } else { 0 };
            let mut reach = start + self.stretch;
            while reach < bytes.len() {
                let cut = self.splitter.cut(bytes, reach - self.stretch / 2, reach);
                bytes.let_go(reach - self.stretch / 2..reach);
                if let Some(end) = cut.filter(|&end| start < end && end < bytes.len()) {
                    stretches.push(Stretch { document, start, end });
                    start = end;
                    reach = end;
                }
                reach += self.stretch;
            }
            stretches.push(Stretch { document, start, end: bytes.len() });
        }
        stretches
    }
}

/// Runs the workers side by side while the caller's thread watches.
fn share(workers: &mut [Worker], shared: &Shared<'_>, given: u64, progress: &mut Progress<'_>) -> Result<()> {
    std::thread::scope(|scope| {
        let (finished, all_finished) = channel::<()>();
        let mut handles = Vec::with_capacity(workers.len());
        for worker in workers {
            let finished = finished.clone();
            let started = Builder::new().spawn_scoped(scope, move || {
                let result = worker.run(shared);
                drop(finished);
                result
            });
            handles.push(started.map_err(|error| {
                shared.stop.store(true, Relaxed);
                Error::Io(format!("cannot start a thread to count with: {error}; ask for fewer threads"))
            })?);
        }
        drop(finished);
        let mut interrupted = false;
        while all_finished.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            if progress(shared.done.load(Relaxed), given).is_break() {
                shared.abandoned.store(interrupted || shared.deadline.is_none(), Relaxed);
                shared.stop.store(true, Relaxed);
                interrupted = true;
            }
        }
        let mut result = if interrupted { Err(Error::Interrupted) } else { Ok(()) };
        for handle in handles {
            match handle.join() {
                Ok(outcome) => result = result.and(outcome),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result
    })
}

impl Gathered {
    /// Takes the workers, unless it is stopped before.
    fn of(
        workers: &mut Vec<Worker>,
        ceiling: Option<&Ceiling>,
        sources: u64,
        pulse: &mut Pulse<'_>,
    ) -> Result<Gathered> {
        if let Some(ceiling) = ceiling.filter(|ceiling| !Worker::sum_fits(workers, ceiling)) {
            workers.iter_mut().try_for_each(|worker| worker.table.spill(&mut |steps| pulse.step(steps)))?;
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

impl Worker {
    fn new(table: Table) -> Worker {
        Worker { table, scratch: Scratch::default() }
    }

    fn take_tables(workers: &mut Vec<Worker>) -> impl Iterator<Item = Table> {
        std::mem::take(workers).into_iter().map(|worker| worker.table)
    }

    /// Whether the tables and their sum, which is no larger, fit under the ceiling together.
    fn sum_fits(workers: &[Worker], ceiling: &Ceiling) -> bool {
        let tables = workers.iter().map(|worker| worker.table.memory()).sum::<usize>();
        let held = if workers.len() == 1 { tables } else { 2 * tables };
        held <= ceiling.bytes && !workers.iter().any(|worker| worker.table.has_spilled())
    }

    /// Counts stretches until none is left, or all are to stop.
    fn run(&mut self, shared: &Shared<'_>) -> Result<()> {
        while let Some(stretch) = shared.stretches.get(shared.next.fetch_add(1, Relaxed)) {
            let result = self.count(stretch, shared);
            if result.is_err() {
                shared.stop.store(true, Relaxed);
                return result;
            }
            if shared.stop.load(Relaxed) || shared.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, stretch: &Stretch, shared: &Shared<'_>) -> Result<()> {
        let document = &shared.documents[stretch.document];
        let text = &document[stretch.start..stretch.end];
        let source = shared.first_source + stretch.document as u64;
        let position = |at: usize| Position { source, offset: (stretch.start + at) as u64 };
        let Worker { table, scratch } = self;
        let mut behind = 0;
        let stopped = shared.splitter.split_bytes(text, scratch, |base, ends| {
            if let Err(error) = table.count(text, base, ends, position) {
                shared.broken.store(true, Relaxed);
                return ControlFlow::Break(Err(error));
            }
            shared.done.fetch_add(ends.last().map_or(0, |&end| u64::from(end)), Relaxed);
            if base - behind >= FINISHED {
                document.let_go(stretch.start + behind..stretch.start + base);
                behind = base;
            }
            let ended = text.len() <= FINISHED && !shared.abandoned.load(Relaxed);
            if ended || !shared.stop.load(Relaxed) {
                return ControlFlow::Continue(());
            }
            shared.broken.store(true, Relaxed);
            ControlFlow::Break(Ok(()))
        })?;
        document.let_go(stretch.start..stretch.end);
        stopped.break_value().unwrap_or(Ok(()))
    }
}
