//! Text from Python: the UTF-8 that a `str` holds, with surrogates repaired.

use std::borrow::Cow;

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::training::watched;
use crate::error::Result;
use crate::progress::{Progress, unwatched};

/// Below this length, releasing the interpreter lock costs more than it gains.
const WORTH_DETACHING: usize = 1024;

/// Shorter texts are encoded in some ten milliseconds at most.
const WORTH_WATCHING: usize = 1 << 20;

/// `value` as a `str`, or a TypeError that says what it is.
pub(super) fn expect_str<'a, 'py>(value: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyString>> {
    value.cast::<PyString>().map_err(|_| {
        let class = value.get_type().name().map_or_else(|_| "an object".to_string(), |name| name.to_string());
        PyTypeError::new_err(format!("expected str, got {class}"))
    })
}

/// The text of `value`. Surrogate pairs are joined and lone surrogates become U+FFFD, as
/// `value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")` makes them.
pub(super) fn text_of<'a>(value: &'a Bound<'_, PyAny>) -> PyResult<Cow<'a, str>> {
    let value = expect_str(value)?;
    match value.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(value.py()) => {
            let units = value.call_method1("encode", ("utf-16", "surrogatepass"))?;
            Ok(Cow::Owned(units.call_method1("decode", ("utf-16", "replace"))?.extract()?))
        }
        Err(error) => Err(error),
    }
}

/// Runs `work` on the text of `value`, as `encoding` does.
pub(super) fn with_text<T: Send>(
    value: &Bound<'_, PyAny>,
    work: impl FnOnce(&str, &mut Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    let text = text_of(value)?;
    encoding(value.py(), text.len(), |progress| work(&text, progress))
}

/// Runs `work`, which encodes `length` bytes: without the interpreter lock if they are many, and if that takes long, until a signal's
/// handler raises an exception, as Ctrl-C does.
pub(super) fn encoding<T: Send>(
    py: Python<'_>,
    length: usize,
    work: impl FnOnce(&mut Progress<'_>) -> Result<T> + Send,
) -> PyResult<T> {
    if length < WORTH_WATCHING || !in_main_thread(py)? {
        return Ok(detached(py, length, || work(&mut unwatched))?);
    }
    watched(py, None, work)
}

/// Whether this is the thread that Python gives signals to: another one would only wait for the interpreter lock.
fn in_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    threading.call_method0("get_ident")?.eq(main)
}

/// Runs `work`, without the interpreter lock if what it is for, a text or ids, has a large `length`.
pub(super) fn detached<T: Send>(py: Python<'_>, length: usize, work: impl FnOnce() -> T + Send) -> T {
    if length < WORTH_DETACHING { work() } else { py.detach(work) }
}
