//! Work on several threads. They live as long as a call: a pool would hang the child of a fork.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::progress::{Pulse, unwatched};

/// How many threads may be asked for on any machine: each has a table, and adding the tables up looks up each piece in all of them.
const MANY: usize = 64;

/// How many threads to start if `asked` are asked for: one for each core if `None`.
pub(crate) fn side_by_side(asked: Option<NonZero<usize>>) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    asked.map_or(cores, NonZero::get).min(cores.max(MANY))
}

/// Does `work(i)` for each i below `count` on up to `threads` threads, this one among them, and returns the results in order.
/// Where the system gives no more threads, fewer do the work.
pub fn in_parallel<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    in_parts(0..count, threads, &mut Pulse::new(&mut unwatched, 0), |i, _| Ok(work(i))).expect("nothing fails or stops")
}

/// Like `in_parallel`, for each of `parts`; the first error ends it. Only this thread calls the progress function.
pub(crate) fn in_parts<P: Send, T: Send>(
    parts: impl IntoIterator<Item = P>,
    threads: usize,
    pulse: &mut Pulse<'_>,
    work: impl Fn(P, &mut Pulse<'_>) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let parts: Vec<_> = parts.into_iter().map(|part| Mutex::new((Some(part), None))).collect();
    let (next, stopped, error) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let stop = |first: Error| {
        // The others stop because of this error, which is the one to report.
        error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(first);
        stopped.store(true, Ordering::Relaxed);
    };
    let do_some = |pulse: &mut Pulse<'_>| {
        while !stopped.load(Ordering::Relaxed)
            && let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let (part, done) = &mut *part.lock().unwrap_or_else(PoisonError::into_inner);
            match part.take().map(|part| work(part, pulse)) {
                Some(Err(error)) => stop(error),
                Some(Ok(result)) => *done = Some(result),
                None => {}
            }
        }
    };
    let beside = || {
        let unless_stopped = |_, _| match stopped.load(Ordering::Relaxed) {
            false => ControlFlow::Continue(()),
            true => ControlFlow::Break(()),
        };
        do_some(&mut Pulse::new(&mut { unless_stopped }, 0));
    };
    std::thread::scope(|scope| {
        let (running, all_done) = channel::<()>();
        let start = |_| {
            let running = running.clone();
            let work = move || {
                beside();
                drop(running);
            };
            Builder::new().spawn_scoped(scope, work).ok()
        };
        (1..threads.min(parts.len())).map_while(start).for_each(drop);
        drop(running);
        do_some(pulse);
        while all_done.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            pulse.beat().unwrap_or_else(stop);
        }
    });
    if let Some(error) = error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    let done = parts.into_iter().filter_map(|part| part.into_inner().unwrap_or_else(PoisonError::into_inner).1);
    Ok(done.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn parts_give_their_results_in_order() {
        let parts = (0..20).map(|part| vec![part; part]);
        let lengths = in_parts(parts, 20, &mut Pulse::new(&mut unwatched, 0), |part, _| Ok(part.len()));
        assert_eq!(lengths.unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_is_told_and_not_that_other_parts_stopped_for_it() {
        let work = |part, pulse: &mut Pulse<'_>| match part {
            5 => Err(Error::Corpus("full".into())),
            _ => pulse.step(1 << 20),
        };
        for _ in 0..20 {
            let error = in_parts(0..20, 20, &mut Pulse::new(&mut unwatched, 0), work).unwrap_err();
            assert!(matches!(error, Error::Corpus(_)), "{error}");
        }
    }

    #[test]
    fn what_the_caller_stops_stops_in_all_parts() {
        let forever = |_, pulse: &mut Pulse<'_>| -> Result<()> {
            loop {
                pulse.step(1)?;
            }
        };
        let error = in_parts(0..3, 3, &mut Pulse::new(&mut |_, _| ControlFlow::Break(()), 0), forever).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }

    #[test]
    fn the_caller_is_heard_while_it_waits_for_another_thread() {
        let (caller, other_runs) = (std::thread::current().id(), AtomicBool::new(false));
        let work = |_, pulse: &mut Pulse<'_>| -> Result<()> {
            if std::thread::current().id() == caller {
                while !other_runs.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                return Ok(());
            }
            other_runs.store(true, Ordering::Relaxed);
            loop {
                pulse.step(1)?;
            }
        };
        let error = in_parts(0..2, 2, &mut Pulse::new(&mut |_, _| ControlFlow::Break(()), 0), work).unwrap_err();
        assert!(matches!(error, Error::Interrupted), "{error}");
    }
}
