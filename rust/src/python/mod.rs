//! The Python module `minbpe._core`: the only place that names pyo3.
//!
//! Each file has one class, or a few that belong together. Work that takes longer than a few microseconds releases the interpreter lock.

mod base;
mod buffer;
mod counted;
mod encoding;
mod integers;
mod pattern;
mod text;
mod training;
mod vocabulary;

use pyo3::exceptions::{PyKeyboardInterrupt, PyMemoryError, PyOSError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::error::Error;
use crate::split::{PATTERNS, SEQUENCES};
use crate::vocab::UNICODE_VERSION;

/// The Python exception for an error: of a class of `minbpe.errors`, or a built-in one.
impl From<Error> for PyErr {
    fn from(error: Error) -> PyErr {
        static CLASSES: [PyOnceLock<Py<PyType>>; 6] = [const { PyOnceLock::new() }; 6];
        let (class, name, message) = match error {
            Error::Pattern(message) => (0, "PatternError", message),
            Error::Vocabulary(message) => (1, "VocabularyError", message),
            Error::SpecialToken(message) => (2, "SpecialTokenError", message),
            Error::UnknownToken(message) => (3, "UnknownTokenError", message),
            Error::Corpus(message) => (4, "CorpusError", message),
            Error::Format(message) => (5, "FormatError", message),
            Error::Memory(message) => return PyMemoryError::new_err(message),
            Error::Io(message) => return PyOSError::new_err(message),
            // The number twice, because Windows has two; from it Python picks FileNotFoundError and the like.
            Error::File(path, code, message) => {
                return PyOSError::new_err((code, message, path.into_os_string(), code));
            }
            Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
        };
        Python::attach(|py| match CLASSES[class].import(py, "minbpe.errors", name) {
            Ok(class) => PyErr::from_type(class.clone(), message),
            Err(error) => error,
        })
    }
}

/// Use only the instructions that every processor has, or again all. Tests encode both ways.
#[pyfunction]
fn use_baseline(only: bool) {
    crate::processor::use_baseline(only);
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let patterns = PyDict::new(module.py());
    for named in PATTERNS {
        patterns.set_item(named.name, named.pattern)?;
    }
    module.add("PATTERNS", patterns)?;
    let sequences = PyDict::new(module.py());
    for named in SEQUENCES {
        sequences.set_item(named.name, PyTuple::new(module.py(), named.pattern)?)?;
    }
    module.add("SEQUENCES", sequences)?;
    module.add("UNICODE_VERSION", UNICODE_VERSION)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(use_baseline, module)?)?;
    module.add_class::<buffer::Buffer>()?;
    module.add_class::<vocabulary::Vocabulary>()?;
    module.add_class::<encoding::Matcher>()?;
    module.add_class::<encoding::Encoder>()?;
    module.add_class::<base::BaseEncoding>()?;
    module.add_class::<counted::Counter>()?;
    module.add_class::<counted::Counted>()?;
    module.add_class::<counted::Survey>()?;
    module.add_class::<training::PieceCounts>()?;
    module.add_function(wrap_pyfunction!(training::tokens_at_start, module)?)?;
    module.add_function(wrap_pyfunction!(training::train, module)?)
}
