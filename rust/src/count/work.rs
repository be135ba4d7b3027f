//! Threads that count stretches of text side by side: each has a table of its own, and takes the next stretch from a shared list.
//!
//! The list is in corpus order, so each thread sees only rising positions, and its table is in first-seen order by itself. The sum does not
//! show which thread counted what.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::Position;
use super::spill::Ceiling;
use super::table::Table;
use crate::document::Contents;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::split::{Scratch, Splitter};

/// How many bytes of a document a thread takes at once, where the pattern allows a cut.
pub(super) const STRETCH: usize = 1 << 20;
/// A stretch no longer than this is counted to its end when the work is to stop, so that it is known how far counting came. Of a longer
/// one, in which the pattern proves no cut, this many bytes are released at a time.
const FINISHED: usize = 4 * STRETCH;

/// What one thread works with.
pub(super) struct Worker {
    pub(super) table: Table,
    scratch: Scratch,
}

/// A part of a document that is counted by itself.
pub(super) struct Stretch {
    pub(super) document: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The position of its first byte.
    pub(super) first: Position,
}

/// What the threads of one call share.
pub(super) struct Shared<'a> {
    pub(super) splitter: &'a Splitter,
    pub(super) documents: &'a [Contents<'a>],
    pub(super) stretches: &'a [Stretch],
    pub(super) next: AtomicUsize,
    pub(super) done: &'a AtomicU64,
    pub(super) pieces: &'a AtomicU64,
    pub(super) deadline: Option<Instant>,
    pub(super) stop: AtomicBool,
    pub(super) abandoned: &'a AtomicBool,
    /// Whether a stretch was left before its end.
    pub(super) broken: AtomicBool,
}

/// Runs the workers side by side while the caller's thread watches.
pub(super) fn share(
    workers: &mut [Worker],
    shared: &Shared<'_>,
    given: u64,
    progress: &mut Progress<'_>,
) -> Result<()> {
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

impl Worker {
    pub(super) fn new(table: Table) -> Worker {
        Worker { table, scratch: Scratch::default() }
    }

    pub(super) fn take_tables(workers: &mut Vec<Worker>) -> impl Iterator<Item = Table> {
        std::mem::take(workers).into_iter().map(|worker| worker.table)
    }

    /// Whether the tables and their sum, which is no larger, fit under the ceiling together.
    pub(super) fn sum_fits(workers: &[Worker], ceiling: &Ceiling) -> bool {
        let tables = workers.iter().map(|worker| worker.table.memory()).sum::<usize>();
        let held = if workers.len() == 1 { tables } else { 2 * tables };
        held <= ceiling.bytes && !workers.iter().any(|worker| worker.table.has_spilled())
    }

    /// Counts stretches until none is left or the work is to stop.
    pub(super) fn run(&mut self, shared: &Shared<'_>) -> Result<()> {
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
        let position = |at: usize| Position { offset: stretch.first.offset + at as u64, ..stretch.first };
        let Worker { table, scratch } = self;
        let mut look = |_| if shared.abandoned.load(Relaxed) { Err(Error::Interrupted) } else { Ok(()) };
        let (mut behind, mut stopped) = (0, false);
        let counted = shared.splitter.split_bytes(text, scratch, |base, ends| {
            if let Err(error) = table.count(text, base, ends, position, &mut look) {
                shared.broken.store(true, Relaxed);
                return Err(error);
            }
            shared.done.fetch_add(ends.last().map_or(0, |&end| u64::from(end)), Relaxed);
            shared.pieces.fetch_add(ends.len() as u64, Relaxed);
            if base - behind >= FINISHED {
                document.let_go(stretch.start + behind..stretch.start + base);
                behind = base;
            }
            let ended = text.len() <= FINISHED && !shared.abandoned.load(Relaxed);
            if ended || !shared.stop.load(Relaxed) {
                return Ok(());
            }
            shared.broken.store(true, Relaxed);
            stopped = true;
            Err(Error::Interrupted)
        });
        if !stopped {
            counted?;
        }
        document.let_go(stretch.start..stretch.end);
        Ok(())
    }
}
