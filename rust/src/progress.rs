//! How long-running work reports its progress, and learns that it is no longer wanted.

use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// Called with (done, total) every few milliseconds of work, from the thread that asked for it; breaks to stop the work.
pub type Progress<'a> = dyn FnMut(u64, u64) -> ControlFlow<()> + 'a;

/// A progress function that never stops the work.
pub fn unwatched(_done: u64, _total: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Told how many steps of long work come next; an error ends the work.
pub(crate) type Look<'a> = dyn FnMut(usize) -> Result<()> + 'a;

/// How many steps, of some nanoseconds each, lie between two calls of a progress function: a millisecond or two.
const STEPS: usize = 1 << 17;

/// Calls a progress function once in many small steps.
pub(crate) struct Pulse<'a> {
    progress: &'a mut Progress<'a>,
    steps: usize,
    /// How much is done, as the next call reports it.
    pub(crate) done: u64,
    /// How much there is to do.
    pub(crate) total: u64,
}

impl<'a> Pulse<'a> {
    /// Nothing done yet, of `total`.
    pub(crate) fn new(progress: &'a mut Progress<'a>, total: u64) -> Self {
        Pulse { progress, steps: 0, done: 0, total }
    }

    /// Counts `steps` more; `Error::Interrupted` if the work is to stop.
    pub(crate) fn step(&mut self, steps: usize) -> Result<()> {
        self.steps += steps;
        if self.steps < STEPS { Ok(()) } else { self.beat() }
    }

    /// Calls the progress function now.
    pub(crate) fn beat(&mut self) -> Result<()> {
        self.steps = 0;
        match (self.progress)(self.done, self.total) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Interrupted),
        }
    }
}
