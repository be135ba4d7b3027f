//! `_core.PieceCounts` and `_core.train`: what `minbpe.counting` and `minbpe.training` are made of.

use std::borrow::Cow;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::counted::Counted;
use super::text::text_of;
use super::vocabulary::Vocabulary;
use crate::count;
use crate::error::{Error, Result};
use crate::file::NamedFile;
use crate::progress::Progress;
use crate::train::{End, Merge, Options, Start, TieBreak};

/// How often Python hears of work in progress, and may stop it: by a signal, or by an exception from the caller's progress function.
const INTERVAL: Duration = Duration::from_millis(50);

/// Runs `work(progress)` without the interpreter lock. Ctrl-C, or an exception from `callback(done, total)`, stops it and is raised.
pub(super) fn watched<T: Send>(
    py: Python<'_>,
    callback: Option<&Py<PyAny>>,
    work: impl FnOnce(&mut Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    watched_by(py, |py, done, total| tell(py, callback, done, total), work)
}

fn tell(py: Python<'_>, callback: Option<&Py<PyAny>>, done: u64, total: u64) -> PyResult<()> {
    callback.map_or(Ok(()), |callback| callback.call1(py, (done, total)).map(drop))
}

/// As `watched`, but calls `heard` instead of a callback.
pub(super) fn watched_by<T: Send>(
    py: Python<'_>,
    mut heard: impl FnMut(Python<'_>, u64, u64) -> PyResult<()> + Send,
    work: impl FnOnce(&mut Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let mut raised = None;
    let mut last = Instant::now();
    let result = py.detach(|| {
        work(&mut |done, total| {
            if last.elapsed() < INTERVAL {
                return ControlFlow::Continue(());
            }
            let told = Python::attach(|py| match raised {
                None => heard(py, done, total).and_then(|()| py.check_signals()),
                // Work that goes on to some place after an exception hears of signals alone.
                Some(_) => py.check_signals(),
            });
            last = Instant::now();
            match told {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    raised = Some(error);
                    ControlFlow::Break(())
                }
            }
        })
    });
    result.map_err(|error| raised.unwrap_or_else(|| error.into()))
}

/// The bytes of a Python `bytes`, or the UTF-8 of a `str`; None for anything else.
pub(super) fn bytes_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Option<Cow<'a, [u8]>>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Some(Cow::Borrowed(bytes.as_bytes())));
    }
    if !value.is_instance_of::<PyString>() {
        return Ok(None);
    }
    Ok(Some(match text_of(value)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }))
}

/// Distinct pieces with their counts; `minbpe.counting` documents it.
#[pyclass(frozen, eq, module = "minbpe._core")]
#[derive(PartialEq)]
pub(super) struct PieceCounts {
    pub(super) inner: Arc<count::PieceCounts>,
}

fn wrap(counts: Result<count::PieceCounts>) -> PyResult<PieceCounts> {
    Ok(PieceCounts { inner: Arc::new(counts?) })
}

#[pymethods]
impl PieceCounts {
    #[staticmethod]
    fn from_items(items: &Bound<'_, PyAny>) -> PyResult<PieceCounts> {
        let mut raised = None;
        let items = items.try_iter()?.map_while(|item| match item.and_then(|item| item_of(&item)) {
            Ok(item) => Some(item),
            Err(error) => {
                raised = Some(error);
                None
            }
        });
        let counts = count::PieceCounts::from_items(items);
        raised.map_or_else(|| wrap(counts), Err)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, bytes: &[u8]) -> PyResult<PieceCounts> {
        wrap(py.detach(|| count::PieceCounts::from_bytes(bytes)))
    }

    /// The counts that begin at byte `start` of a file. `progress` is told the bytes read.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf, start: u64, progress: Option<Py<PyAny>>) -> PyResult<PieceCounts> {
        let file = NamedFile::open(&path, start)?;
        wrap(Ok(watched(py, progress.as_ref(), |progress| count::PieceCounts::read(file, progress))?))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.inner.to_bytes()))
    }

    /// The pieces from `start` to `stop`, or to the last, in first-seen order.
    fn items<'py>(&self, py: Python<'py>, start: usize, stop: usize) -> Vec<(Bound<'py, PyBytes>, u64)> {
        let pieces = (start..stop.min(self.inner.len())).filter_map(|index| self.inner.get(index));
        pieces.map(|piece| (PyBytes::new(py, piece.bytes), piece.count)).collect()
    }

    #[getter]
    fn total(&self) -> u64 {
        self.inner.total()
    }

    #[getter]
    fn sources(&self) -> u64 {
        self.inner.sources()
    }

    #[getter]
    fn distinct_bytes(&self) -> usize {
        self.inner.distinct_bytes()
    }

    fn corpus_bytes(&self) -> u128 {
        self.inner.corpus_bytes()
    }

    fn __len__(&self) -> usize {
        self.inner.len()
    }

    #[staticmethod]
    fn merge(py: Python<'_>, parts: Vec<PyRef<'_, PieceCounts>>) -> PyResult<PieceCounts> {
        let parts: Vec<&count::PieceCounts> = parts.iter().map(|part| &*part.inner).collect();
        wrap(Ok(watched(py, None, |progress| count::PieceCounts::merge(&parts, progress))?))
    }

    fn at_least(&self, py: Python<'_>, min_count: u64) -> PieceCounts {
        PieceCounts { inner: Arc::new(py.detach(|| self.inner.at_least(min_count))) }
    }

    /// These counts as counting returns them, without the pieces that were seen fewer than `min_count` times.
    fn counted(&self, py: Python<'_>, min_count: u64) -> Counted {
        py.detach(|| Counted::new(Arc::clone(&self.inner), min_count))
    }

    fn shift_sources(&self, py: Python<'_>, by: u64) -> PyResult<PieceCounts> {
        wrap(py.detach(|| self.inner.shift_sources(by)))
    }
}

/// A piece and its count, or an error that shows the item.
fn item_of(item: &Bound<'_, PyAny>) -> PyResult<(Vec<u8>, u64)> {
    let (piece, count): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item
        .extract()
        .map_err(|_| PyTypeError::new_err(format!("each item is a piece and its count, not {}", shown(item))))?;
    let bytes = bytes_of(&piece)?
        .ok_or_else(|| PyTypeError::new_err(format!("a piece is bytes or str, not {}", shown(&piece))))?;
    let count = count.extract().map_err(|error: PyErr| {
        let (piece, count) = (shown(&piece), shown(&count));
        if !error.is_instance_of::<PyOverflowError>(item.py()) {
            return PyTypeError::new_err(format!("the count of {piece} must be an int, not {count}"));
        }
        Error::Corpus(format!("the count of {piece} is {count}: counts are whole numbers from 0 to 2^63 - 1")).into()
    })?;
    Ok((bytes.into_owned(), count))
}

/// A value as an error message shows it.
fn shown(value: &Bound<'_, PyAny>) -> String {
    value.repr().map_or_else(|_| "an object without a repr".into(), |repr| repr.to_string_lossy().into_owned())
}

/// What training starts from.
#[derive(FromPyObject)]
#[expect(clippy::large_enum_variant, reason = "there is one, for the length of a call")]
pub(super) enum Begin<'py> {
    Vocabulary(Bound<'py, Vocabulary>),
    Bytes([u8; 256]),
    /// A vocabulary that gets a further stage.
    Stage((Bound<'py, Vocabulary>,)),
}

impl Begin<'_> {
    fn start(&self) -> Start<'_> {
        match self {
            Begin::Vocabulary(vocabulary) => Start::Vocabulary(&vocabulary.get().inner),
            Begin::Bytes(byte_order) => Start::Bytes(byte_order),
            Begin::Stage((vocabulary,)) => Start::Stage(&vocabulary.get().inner),
        }
    }
}

/// How many tokens the corpus has before the first merge.
#[pyfunction]
pub(super) fn tokens_at_start(py: Python<'_>, counts: &Bound<'_, PieceCounts>, start: Begin<'_>) -> PyResult<u128> {
    let (counts, start) = (&counts.get().inner, start.start());
    watched(py, None, |progress| crate::train::tokens_at_start(counts, start, progress))
}

/// Appends to `learned` the merges that training on `counted` makes: left id, right id, count, and in how many places each was made.
/// `learned` holds all merges so far each time `progress` is called, and when an exception ends the training. `counted` cannot be used
/// afterwards. Returns whether training ended because a vocabulary can hold no more bytes.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "Python passes each option by itself")]
pub(super) fn train(
    py: Python<'_>,
    counted: &Bound<'_, Counted>,
    start: Begin<'_>,
    merges: usize,
    lowest: bool,
    min_count: u64,
    max_length: usize,
    threads: usize,
    progress: Option<Py<PyAny>>,
    learned: &Bound<'_, PyList>,
) -> PyResult<bool> {
    let counts = counted.borrow_mut().take(py)?;
    let start = start.start();
    let tie_break = if lowest { TieBreak::Lowest } else { TieBreak::First };
    let threads = NonZero::new(threads);
    let options = Options { start, merges, tie_break, min_count, max_length, threads };
    let fresh = Mutex::new(Vec::new());
    let learned = learned.clone().unbind();
    let hand_over = |py: Python<'_>| {
        let merges = std::mem::take(&mut *fresh.lock().unwrap_or_else(PoisonError::into_inner));
        let learned = learned.bind(py);
        merges.into_iter().try_for_each(|Merge { pair, count, merged }| learned.append((pair.0, pair.1, count, merged)))
    };
    let mut each = |merge| fresh.lock().unwrap_or_else(PoisonError::into_inner).push(merge);
    let heard = |py: Python<'_>, done: u64, total: u64| {
        hand_over(py)?;
        tell(py, progress.as_ref(), done, total)
    };
    let end = watched_by(py, heard, |progress| crate::train::each_merge(counts, &options, &mut each, progress))?;
    hand_over(py)?;
    Ok(end == End::Full)
}
