//! Counting with several threads: each has a table of its own, and takes the next stretch of text from one list.
//!
//! The list is in the order of the corpus, so each thread sees positions that only rise, and its table is in first-seen order by
//! itself. Which thread counted what shows nowhere in the sum.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::Duration;

use super::counted::Counted;
use super::document::{Contents, Document};
use super::key::Seeds;
use super::runs::Runs;
use super::spill::{Ceiling, Spilled};
use super::sum::sum;
use super::table::Table;
use super::{PieceCounts, Position};
use crate::error::{Error, Result};
use crate::progress::{Progress, Pulse, unwatched};
use crate::split::{Scratch, Splitter};

/// Bytes of a document that one thread takes at once, where the pattern lets it be cut.
const STRETCH: usize = 1 << 20;
/// Less text than this is counted at once, in the caller's thread: some milliseconds by the slowest pattern.
const SMALL: usize = 1 << 16;

/// Counts the pieces of documents.
pub struct Counter {
    splitter: Splitter,
    stretch: usize,
    workers: Vec<Worker>,
    ceiling: Option<Ceiling>,
    sources: u64,
    given: u64,
    done: AtomicU64,
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
    stop: AtomicBool,
}

impl Counter {
    /// A counter of the pieces that `splitter` makes. `threads` is how many work side by side: all cores if `None`.
    pub fn new(splitter: Splitter, threads: Option<NonZero<usize>>) -> Counter {
        let threads = threads.or(std::thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let seeds = Seeds::random();
        Counter {
            splitter,
            stretch: STRETCH,
            workers: (0..threads).map(|_| Worker::new(Table::seeded(seeds))).collect(),
            ceiling: None,
            sources: 0,
            given: 0,
            done: AtomicU64::new(0),
        }
    }

    /// The same counter, which holds no more memory than `ceiling` says; the result is the same.
    pub fn with_ceiling(self, ceiling: Ceiling) -> Counter {
        let each = ceiling.bytes / self.workers.len();
        let seeds = Seeds::random();
        let worker = |_| Worker::new(Table::under(each, Runs::new(&ceiling.directory), seeds));
        let workers = self.workers.iter().map(worker).collect();
        Counter { workers, ceiling: Some(ceiling), ..self }
    }

    /// The same counter with stretches of `bytes`, for tests that want many in little text.
    #[doc(hidden)]
    pub fn with_stretch(self, bytes: usize) -> Counter {
        Counter { stretch: bytes.max(1), ..self }
    }

    /// Counts more documents; each is the next source. `progress` is told the bytes counted and the bytes given so far.
    ///
    /// `Error::Io` for a file that cannot be read, `Error::Pattern` if the pattern gives up on a text, `Error::Interrupted` if
    /// `progress` breaks; after an error the counter has counted a part only and is of no more use.
    pub fn add(&mut self, documents: &[Document<'_>], progress: &mut Progress<'_>) -> Result<()> {
        let documents: Vec<Contents> = documents.iter().map(|document| document.open()).collect::<Result<_>>()?;
        let bytes = documents.iter().map(|document| document.len()).sum::<usize>();
        let stretches = self.stretches(&documents);
        self.given += bytes as u64;
        let shared = Shared {
            splitter: &self.splitter,
            documents: &documents,
            first_source: self.sources,
            stretches: &stretches,
            next: AtomicUsize::new(0),
            done: &self.done,
            stop: AtomicBool::new(false),
        };
        self.sources += documents.len() as u64;
        if bytes < SMALL && self.stretch == STRETCH {
            return self.workers[0].run(&shared);
        }
        let wanted = self.workers.len().min(stretches.len());
        share(&mut self.workers[..wanted], &shared, self.given, progress)
    }

    /// The bytes of all documents so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// The counts of all documents.
    pub fn finish(self) -> Result<PieceCounts> {
        self.gather(1, &mut unwatched)?.into_counts(&mut unwatched)
    }

    /// The counts of all documents, without the pieces that were seen less than `min_count` times. `progress` hears of
    /// nothing but may break.
    pub fn gather<'a>(self, min_count: u64, progress: &'a mut Progress<'a>) -> Result<Counted> {
        let Counter { workers, sources, ceiling, .. } = self;
        if let Some(ceiling) = ceiling
            && !Worker::sum_fits(&workers, &ceiling)
        {
            let mut runs = Vec::with_capacity(workers.len());
            for worker in workers {
                runs.extend(worker.table.into_runs()?);
            }
            let pulse = &mut Pulse::new(progress, self.given);
            return Ok(Counted::on_disk(Spilled::gather(runs, ceiling, sources, min_count, pulse)?));
        }
        let mut tables: Vec<_> = workers.into_iter().map(|worker| worker.table).collect();
        let counts = if tables.len() == 1 { tables.remove(0).finish(sources) } else { sum(tables, sources) };
        Ok(Counted::in_memory(counts?, min_count))
    }

    /// The documents in order, the long ones cut where the pattern proves that a piece ends.
    fn stretches(&self, documents: &[Contents]) -> Vec<Stretch> {
        let mut stretches = Vec::with_capacity(documents.len());
        for (document, bytes) in documents.iter().enumerate() {
            let (mut start, mut reach) = (0, self.stretch);
            while reach < bytes.len() {
                let cut = self.splitter.cut(bytes, reach - self.stretch / 2, reach);
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
            if !interrupted && progress(shared.done.load(Relaxed), given).is_break() {
                interrupted = true;
                shared.stop.store(true, Relaxed);
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

impl Worker {
    fn new(table: Table) -> Worker {
        Worker { table, scratch: Scratch::default() }
    }

    /// Whether the tables and their sum, which is no larger, fit under the ceiling together.
    fn sum_fits(workers: &[Worker], ceiling: &Ceiling) -> bool {
        let tables = workers.iter().map(|worker| worker.table.memory()).sum::<usize>();
        let held = if workers.len() == 1 { tables } else { 2 * tables };
        held <= ceiling.bytes && !workers.iter().any(|worker| worker.table.has_spilled())
    }

    /// Counts stretches until none is left, or another worker failed.
    fn run(&mut self, shared: &Shared<'_>) -> Result<()> {
        while let Some(stretch) = shared.stretches.get(shared.next.fetch_add(1, Relaxed)) {
            let result = self.count(stretch, shared);
            if result.is_err() {
                shared.stop.store(true, Relaxed);
                return result;
            }
            if shared.stop.load(Relaxed) {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, stretch: &Stretch, shared: &Shared<'_>) -> Result<()> {
        let text = &shared.documents[stretch.document][stretch.start..stretch.end];
        let source = shared.first_source + stretch.document as u64;
        let position = |at: usize| Position { source, offset: (stretch.start + at) as u64 };
        let Worker { table, scratch } = self;
        let stopped = shared.splitter.split_bytes(text, scratch, |base, ends| {
            if let Err(error) = table.count(text, base, ends, position) {
                return ControlFlow::Break(Err(error));
            }
            shared.done.fetch_add(ends.last().map_or(0, |&end| u64::from(end)), Relaxed);
            if shared.stop.load(Relaxed) { ControlFlow::Break(Ok(())) } else { ControlFlow::Continue(()) }
        })?;
        stopped.break_value().unwrap_or(Ok(()))
    }
}
