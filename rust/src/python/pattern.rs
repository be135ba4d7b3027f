//! A split pattern on its way between Python and Rust: None, a `str`, or a tuple of several, each splitting the pieces of the one before.

use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

/// The regular expressions in sequence; empty where a text is one piece.
pub(super) struct Pattern(pub(super) Vec<String>);

impl<'py> FromPyObject<'_, 'py> for Pattern {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Pattern> {
        Ok(Pattern(if value.is_none() {
            vec![]
        } else if value.is_instance_of::<PyString>() {
            vec![value.extract()?]
        } else {
            value.extract()?
        }))
    }
}

impl<'py> IntoPyObject<'py> for Pattern {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match &self.0[..] {
            [] => Ok(py.None().into_bound(py)),
            [one] => Ok(PyString::new(py, one).into_any()),
            several => Ok(PyTuple::new(py, several)?.into_any()),
        }
    }
}
