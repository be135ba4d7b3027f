//! `_core.Counter` and `_core.Counted`: a corpus on its way to piece counts, in memory or in a file.

use std::borrow::Cow;
use std::num::NonZero;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::pattern::Pattern;
use super::to_py_err;
use super::training::{PieceCounts, bytes_of, watched};
use crate::count::{self, Ceiling, Document};
use crate::error::Error;
use crate::split::Splitter;

/// Counts documents, batch after batch.
#[pyclass(module = "minbpe._core")]
pub(super) struct Counter {
    inner: Option<count::Counter>,
    /// Why the compiled engine refused the pattern, if it did.
    #[pyo3(get)]
    refusal: Option<&'static str>,
}

#[pymethods]
impl Counter {
    /// `ceiling` is how many bytes counting may take, and in which directory the rest goes.
    #[new]
    fn new(pattern: Pattern, threads: usize, ceiling: Option<(usize, PathBuf)>) -> PyResult<Counter> {
        let splitter = Splitter::sequence(&pattern.0).map_err(to_py_err)?;
        let refusal = splitter.refusal();
        let counter = count::Counter::new(splitter, NonZero::new(threads));
        Ok(Counter {
            refusal,
            inner: Some(match ceiling {
                Some((bytes, directory)) => counter.with_ceiling(Ceiling { bytes, directory }),
                None => counter,
            }),
        })
    }

    /// Counts documents, each the next source: str, bytes, or the path of a file. Gives the bytes counted so far; after an
    /// exception no more can be added.
    fn add(&mut self, py: Python<'_>, documents: Vec<Bound<'_, PyAny>>, progress: Option<Py<PyAny>>) -> PyResult<u64> {
        let held: Vec<Held> = documents.iter().map(hold).collect::<PyResult<_>>()?;
        let documents: Vec<Document> = held.iter().map(Held::document).collect();
        let mut counter = self.inner.take().ok_or_else(finished)?;
        watched(py, progress.as_ref(), |progress| counter.add(&documents, progress))?;
        let given = counter.given();
        self.inner = Some(counter);
        Ok(given)
    }

    /// What was counted, without the pieces that were seen less than `min_count` times; the counter is of no more use.
    fn gather(&mut self, py: Python<'_>, min_count: u64) -> PyResult<Counted> {
        let counter = self.inner.take().ok_or_else(finished)?;
        let counted = watched(py, None, |progress| counter.gather(min_count, progress))?;
        Ok(Counted { inner: Some(counted) })
    }
}

/// What was counted, in memory or on disk.
#[pyclass(module = "minbpe._core")]
pub(super) struct Counted {
    inner: Option<count::Counted>,
}

impl Counted {
    fn get(&self) -> PyResult<&count::Counted> {
        self.inner.as_ref().ok_or_else(finished)
    }
}

#[pymethods]
impl Counted {
    /// The number of pieces, of distinct ones, and the bytes of the text that they make up.
    #[getter]
    fn kept(&self) -> PyResult<(u64, u64, u128)> {
        let tally = self.get()?.tally();
        Ok((tally.pieces, tally.distinct, tally.bytes))
    }

    /// The bytes of the distinct pieces, each once.
    #[getter]
    fn distinct_bytes(&self) -> PyResult<u64> {
        Ok(self.get()?.tally().distinct_bytes)
    }

    /// The number of pieces that were left out, and of distinct ones.
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
        let pieces = self.get()?.most_frequent();
        Ok(pieces.into_iter().map(|(bytes, count)| (PyBytes::new(py, &bytes), count)).collect())
    }

    /// The counts in memory; this object is of no more use.
    fn counts(&mut self, py: Python<'_>) -> PyResult<PieceCounts> {
        let counted = self.inner.take().ok_or_else(finished)?;
        Ok(PieceCounts { inner: watched(py, None, |progress| counted.into_counts(progress))? })
    }

    /// Calls `each` with the bytes that `PieceCounts.to_bytes` gives, a megabyte at a time; what is on disk stays there.
    fn each_chunk(&mut self, py: Python<'_>, each: &Bound<'_, PyAny>) -> PyResult<()> {
        let counted = self.inner.as_mut().ok_or_else(finished)?;
        let each = each.clone().unbind();
        let mut raised = None;
        let written = watched(py, None, |progress| {
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

fn finished() -> PyErr {
    PyValueError::new_err("this has finished: count anew")
}

/// A document of Python's, kept alive by its owner.
enum Held<'a> {
    Bytes(Cow<'a, [u8]>),
    File(PathBuf),
}

impl Held<'_> {
    fn document(&self) -> Document<'_> {
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
