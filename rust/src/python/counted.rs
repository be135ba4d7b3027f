//! `_core.Counter`, `_core.Counted` and `_core.Survey`: a corpus on its way to piece counts, in memory or in a file.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::pattern::Pattern;
use super::training::{PieceCounts, bytes_of, watched, watched_by};
use crate::count::{self, Ceiling, Document, Position, Tally};
use crate::error::Error;
use crate::file::NamedFile;
use crate::split::Splitter;

/// Counts documents, batch after batch.
#[pyclass(module = "minbpe._core")]
pub(super) struct Counter {
    inner: count::Counter,
    /// Why the compiled engine refused the pattern, if it did.
    #[pyo3(get)]
    refusal: Option<&'static str>,
}

#[pymethods]
impl Counter {
    /// `ceiling` is how many bytes counting may take, and the directory where the rest goes; `reached` is the place up to which the corpus
    /// is already counted: a number of documents, and of bytes of the next.
    #[new]
    fn new(
        pattern: Pattern,
        threads: usize,
        ceiling: Option<(usize, PathBuf)>,
        reached: (u64, u64),
    ) -> PyResult<Counter> {
        let splitter = Splitter::new(&pattern.0)?;
        let refusal = splitter.refusal();
        let (source, offset) = reached;
        let counter = count::Counter::new(splitter, NonZero::new(threads)).from_place(Position { source, offset });
        Ok(Counter {
            refusal,
            inner: match ceiling {
                Some((bytes, directory)) => counter.with_ceiling(Ceiling { bytes, directory }),
                None => counter,
            },
        })
    }

    /// Counts documents (str, bytes, or the path of a file), each the next source; the first is the one in which `reached` lies. Stops
    /// soon after `seconds`, and returns how many of them are done. With `seconds`, an exception still lets work in progress finish, so
    /// that `reached` tells how far counting came, unless a second one comes meanwhile; without, an exception ends counting at once.
    /// `progress` is told the bytes counted, the bytes given so far, and the pieces counted.
    fn add(
        &mut self,
        py: Python<'_>,
        documents: Vec<Bound<'_, PyAny>>,
        seconds: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let deadline = seconds.and_then(after);
        let held: Vec<Held> = documents.iter().map(hold).collect::<PyResult<_>>()?;
        let documents: Vec<Document> = held.iter().map(Held::document).collect();
        let counter = &mut self.inner;
        let first = counter.sources();
        let heard = with_pieces(progress, counter.pieces());
        watched_by(py, heard, |progress| counter.add_until(deadline, &documents, progress))?;
        Ok(counter.sources() - first)
    }

    /// Counts more of the document in which `reached` lies. `data` follows there: if it is the document's `last`, all of it is counted,
    /// else the part before the last place where the pattern proves that a piece ends. Returns how many bytes were counted, 0 if there is
    /// no such place. `seconds`, `progress` and exceptions are as for `add`.
    fn add_part(
        &mut self,
        py: Python<'_>,
        data: &[u8],
        last: bool,
        seconds: Option<f64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<usize> {
        let deadline = seconds.and_then(after);
        let counter = &mut self.inner;
        let heard = with_pieces(progress, counter.pieces());
        watched_by(py, heard, |progress| counter.add_part(deadline, data, last, progress))
    }

    /// Adds the counts that begin at byte `start` of a file, of documents numbered from `first`; returns the number after the last.
    /// `progress` is told the bytes read.
    fn absorb(
        &mut self,
        py: Python<'_>,
        path: PathBuf,
        start: u64,
        first: u64,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<u64> {
        let file = NamedFile::open(&path, start)?;
        let counter = &mut self.inner;
        watched(py, progress.as_ref(), |progress| counter.absorb(file, first, progress))?;
        Ok(counter.sources())
    }

    /// How many documents are counted completely, and how many bytes of the next; None after an exception that left no such place.
    #[getter]
    fn reached(&self) -> Option<(u64, u64)> {
        let Position { source, offset } = self.inner.reached()?;
        Some((source, offset))
    }

    /// The bytes counted.
    #[getter]
    fn done(&self) -> u64 {
        self.inner.done()
    }

    /// The pieces counted.
    #[getter]
    fn pieces(&self) -> u64 {
        self.inner.pieces().load(Relaxed)
    }

    /// What was counted, without the pieces that were seen fewer than `min_count` times. Nothing can be added afterwards, but it may be
    /// called again, with another number too, and also after an exception. `progress` is told how many bytes of the threads' tables, or of
    /// runs, were read, where there are several.
    fn gather(&mut self, py: Python<'_>, min_count: u64, progress: Option<Py<PyAny>>) -> PyResult<Counted> {
        let counter = &mut self.inner;
        let counted = watched(py, progress.as_ref(), |progress| counter.gather(min_count, progress))?;
        Ok(Counted { inner: Some(counted) })
    }
}

/// What was counted, in memory or on disk.
#[pyclass(module = "minbpe._core")]
pub(super) struct Counted {
    inner: Option<count::Counted>,
}

impl Counted {
    pub(super) fn new(counts: Arc<count::PieceCounts>, min_count: u64) -> Counted {
        Counted { inner: Some(count::Counted::in_memory(counts, min_count)) }
    }

    /// The counts in memory. This object cannot be used afterwards.
    pub(super) fn take(&mut self, py: Python<'_>) -> PyResult<Arc<count::PieceCounts>> {
        let mut counted = self.inner.take().ok_or_else(finished)?;
        watched(py, None, |progress| counted.counts(progress))
    }

    fn get(&self) -> PyResult<&count::Counted> {
        self.inner.as_ref().ok_or_else(finished)
    }
}

#[pymethods]
impl Counted {
    /// The number of pieces, the number of distinct ones, and the bytes of the text that they make up.
    #[getter]
    fn kept(&self) -> PyResult<(u64, u64, u128)> {
        Ok(kept(&self.get()?.tally()))
    }

    /// The bytes of the distinct pieces, each once.
    #[getter]
    fn distinct_bytes(&self) -> PyResult<u64> {
        Ok(self.get()?.tally().distinct_bytes)
    }

    /// The number of pieces that were left out, and the number of distinct ones.
    #[getter]
    fn dropped(&self) -> PyResult<(u64, u64)> {
        let dropped = self.get()?.dropped();
        Ok((dropped.pieces, dropped.distinct))
    }

    #[getter]
    fn sources(&self) -> PyResult<u64> {
        Ok(self.get()?.sources())
    }

    #[getter]
    fn spilled(&self) -> PyResult<bool> {
        Ok(self.get()?.has_spilled())
    }

    #[getter]
    fn most_frequent<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyBytes>, u64)>> {
        Ok(with_bytes(py, &self.get()?.most_frequent()))
    }

    /// Loads the counts into memory, where this object keeps them. `progress` is told the bytes that are read from disk.
    fn counts(&mut self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<PieceCounts> {
        let counted = self.inner.as_mut().ok_or_else(finished)?;
        Ok(PieceCounts { inner: watched(py, progress.as_ref(), |progress| counted.counts(progress))? })
    }

    /// Calls `each` with the bytes of `PieceCounts.to_bytes`, a megabyte at a time; counts on disk stay there. `progress` is told how many
    /// bytes of the pieces, or of their runs on disk, are among them.
    fn each_chunk(&mut self, py: Python<'_>, each: &Bound<'_, PyAny>, progress: Option<Py<PyAny>>) -> PyResult<()> {
        let counted = self.inner.as_mut().ok_or_else(finished)?;
        let each = each.clone().unbind();
        let mut raised = None;
        let written = watched(py, progress.as_ref(), |progress| {
            counted.each_chunk(progress, &mut |chunk| {
                let called = Python::attach(|py| each.call1(py, (PyBytes::new(py, chunk),)));
                called.map(drop).map_err(|error| {
                    raised = Some(error);
                    Error::Interrupted
                })
            })
        });
        raised.map_or(written, Err)
    }
}

/// The totals of the piece counts in a file.
#[pyclass(frozen, module = "minbpe._core")]
pub(super) struct Survey {
    inner: count::Survey,
}

#[pymethods]
impl Survey {
    /// Reads the counts that begin at byte `start` of a file; `progress` is told the bytes read.
    #[new]
    fn new(py: Python<'_>, path: PathBuf, start: u64, progress: Option<Py<PyAny>>) -> PyResult<Survey> {
        let file = NamedFile::open(&path, start)?;
        let inner = watched(py, progress.as_ref(), |progress| count::Survey::read(file, progress))?;
        Ok(Survey { inner })
    }

    /// As `Counted.kept`.
    #[getter]
    fn kept(&self) -> (u64, u64, u128) {
        kept(&self.inner.tally)
    }

    #[getter]
    fn distinct_bytes(&self) -> u64 {
        self.inner.tally.distinct_bytes
    }

    #[getter]
    fn sources(&self) -> u64 {
        self.inner.sources
    }

    #[getter]
    fn most_frequent<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u64)> {
        with_bytes(py, &self.inner.most_frequent)
    }
}

/// What calls `callback` with (done, total, pieces) as counting reports (done, total).
fn with_pieces(
    callback: Option<Py<PyAny>>,
    pieces: Arc<AtomicU64>,
) -> impl FnMut(Python<'_>, u64, u64) -> PyResult<()> + Send {
    move |py, done, total| {
        callback.as_ref().map_or(Ok(()), |callback| callback.call1(py, (done, total, pieces.load(Relaxed))).map(drop))
    }
}

/// The time in `seconds` from now, if there is such a time.
fn after(seconds: f64) -> Option<Instant> {
    Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

fn kept(tally: &Tally) -> (u64, u64, u128) {
    (tally.pieces, tally.distinct, tally.bytes)
}

fn with_bytes<'py>(py: Python<'py>, pieces: &[(Vec<u8>, u64)]) -> Vec<(Bound<'py, PyBytes>, u64)> {
    pieces.iter().map(|(bytes, count)| (PyBytes::new(py, bytes), *count)).collect()
}

fn finished() -> PyErr {
    PyValueError::new_err("this has finished: count anew")
}

/// A document from Python, whose owner keeps it alive.
pub(super) enum Held<'a> {
    Bytes(Cow<'a, [u8]>),
    File(PathBuf),
}

impl Held<'_> {
    pub(super) fn document(&self) -> Document<'_> {
        match self {
            Held::Bytes(bytes) => Document::Bytes(bytes),
            Held::File(path) => Document::File(path),
        }
    }
}

fn hold<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Held<'a>> {
    match bytes_of(value)? {
        Some(bytes) => Ok(Held::Bytes(bytes)),
        None => Ok(Held::File(value.extract()?)),
    }
}
