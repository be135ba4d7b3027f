//! Python integers for ids, made once: a list of ids is then a list of references to them.
//!
//! Making them anew for each list costs three times as much, 32 bytes each, mostly for memory. They are still made anew in a Python without
//! the interpreter lock, where threads would contend for their reference counts, and for a list of a few ids: it is too short to prefetch,
//! and waiting for them takes longer than making them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyInt, PyList};

use crate::processor::{prefetch, prefetch_at};

/// The integers from 0 on, made once enough of them have been asked for.
pub(super) struct Integers {
    end: u64,
    ready: OnceLock<Vec<Py<PyInt>>>,
    given: AtomicUsize,
}

impl Integers {
    /// For ids below `end`.
    pub(super) fn new(end: u64) -> Integers {
        Integers { end, ready: OnceLock::new(), given: AtomicUsize::new(0) }
    }

    /// `ids` as a list.
    pub(super) fn list<'py>(&self, py: Python<'py>, ids: &[u32]) -> PyResult<Bound<'py, PyList>> {
        /// How far ahead the objects are prefetched; the references to them are prefetched twice as far ahead.
        const AHEAD: usize = 16;
        let ready = if ids.len() < AHEAD { None } else { self.ready(py, ids.len())? };
        let Some(ready) = ready else {
            return PyList::new(py, ids);
        };
        let find = |id: &u32| prefetch(ready, *id as usize);
        let fetch = |id: &u32| prefetch_at(ready[*id as usize].as_ptr());
        ids.iter().take(2 * AHEAD).for_each(find);
        ids.iter().take(AHEAD).for_each(fetch);
        let list = ids.iter().enumerate().map(|(at, &id)| {
            ids.get(at + 2 * AHEAD).map(find);
            ids.get(at + AHEAD).map(fetch);
            ready[id as usize].bind_borrowed(py).to_owned()
        });
        PyList::new(py, list)
    }

    fn ready(&self, py: Python<'_>, count: usize) -> PyResult<Option<&[Py<PyInt>]>> {
        /// Ids spread over more than this are not worth it.
        const MOST: u64 = 1 << 20;
        if let Some(ready) = self.ready.get() {
            return Ok(Some(ready));
        }
        let given = self.given.fetch_add(count, Ordering::Relaxed) + count;
        if self.end > MOST || (given as u64) < self.end / 2 || !has_lock(py)? {
            return Ok(None);
        }
        // Made before the `OnceLock` is claimed, for the sake of forks.
        let ready: Vec<Py<PyInt>> =
            (0..self.end as u32).map(|id| Ok(id.into_pyobject(py)?.unbind())).collect::<PyResult<_>>()?;
        Ok(Some(self.ready.get_or_init(|| ready)))
    }
}

/// Whether this Python has its interpreter lock; before 3.13 every Python has.
fn has_lock(py: Python<'_>) -> PyResult<bool> {
    match py.import("sys")?.getattr_opt("_is_gil_enabled")? {
        Some(enabled) => enabled.call0()?.extract(),
        None => Ok(true),
    }
}
