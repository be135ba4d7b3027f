//! `_core.BaseEncoding`: the base class of `minbpe.Encoding`. It has the method that is called with the shortest texts, so that no Python
//! frame surrounds it: a frame takes a sixth of a call with 20 bytes.
//!
//! The method is bound to the Encoding itself and pickled with it, so a pool of processes can map it over texts.

use std::sync::OnceLock;

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::encoding::Encoder;

/// The encoder of an Encoding, and `encode_ordinary`.
#[pyclass(subclass, frozen, module = "minbpe._core")]
pub(super) struct BaseEncoding {
    /// Set once, when `__init__`, or what stands in for it, has made the vocabulary.
    encoder: OnceLock<Py<Encoder>>,
}

#[pymethods]
impl BaseEncoding {
    /// Takes whatever the `__init__` of a subclass takes.
    #[new]
    #[pyo3(signature = (*_arguments, **_options))]
    fn new(_arguments: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> BaseEncoding {
        BaseEncoding { encoder: OnceLock::new() }
    }

    /// Sets the encoder.
    fn _hold(&self, encoder: Py<Encoder>) -> PyResult<()> {
        self.encoder
            .set(encoder)
            .map_err(|_| PyAttributeError::new_err("an Encoding never changes: it has its vocabulary"))
    }

    /// Encode, treating special tokens as plain text: `encode(text, disallowed_special=())`.
    ///
    /// >>> import minbpe
    /// >>> minbpe.get_encoding("gpt2").encode_ordinary("hello world")
    /// [31373, 995]
    fn encode_ordinary<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        match self.encoder.get() {
            Some(encoder) => encoder.get().encode_ordinary(text),
            None => Err(PyAttributeError::new_err("this Encoding has no vocabulary yet: call its __init__ first")),
        }
    }
}
