//! Numbers that numpy, torch and Arrow read without a copy, through Python's buffer protocol.

#![expect(unsafe_code, reason = "Python's buffer protocol hands out pointers")]

use std::ffi::{CStr, c_int, c_void};

use pyo3::exceptions::{PyBufferError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A read-only array of u32 or u64.
#[pyclass(frozen, module = "minbpe._core")]
pub(super) struct Buffer {
    numbers: Numbers,
    format: &'static CStr,
    shape: [isize; 1],
    strides: [isize; 1],
}

enum Numbers {
    U32(Vec<u32>),
    U64(Vec<u64>),
}

impl From<Vec<u32>> for Buffer {
    fn from(numbers: Vec<u32>) -> Buffer {
        Buffer { format: c"I", shape: [numbers.len() as isize], strides: [4], numbers: Numbers::U32(numbers) }
    }
}

impl From<Vec<u64>> for Buffer {
    fn from(numbers: Vec<u64>) -> Buffer {
        Buffer { format: c"Q", shape: [numbers.len() as isize], strides: [8], numbers: Numbers::U64(numbers) }
    }
}

#[pymethods]
impl Buffer {
    fn __len__(&self) -> usize {
        self.shape[0] as usize
    }

    /// The numbers as little-endian integers of `width` bytes, 2 or 4, in which each must fit.
    fn pack<'py>(&self, py: Python<'py>, width: usize) -> PyResult<Bound<'py, PyBytes>> {
        fn write<const WIDTH: usize>(bytes: &mut [u8], numbers: &Numbers) {
            let places = bytes.as_chunks_mut().0.iter_mut();
            let low = |number: u64| *number.to_le_bytes().first_chunk::<WIDTH>().expect("no more than 8 bytes");
            match numbers {
                Numbers::U32(numbers) => places.zip(numbers).for_each(|(to, &from)| *to = low(from.into())),
                Numbers::U64(numbers) => places.zip(numbers).for_each(|(to, &from)| *to = low(from)),
            }
        }
        PyBytes::new_with(py, width * self.__len__(), |bytes| {
            match width {
                2 => write::<2>(bytes, &self.numbers),
                4 => write::<4>(bytes, &self.numbers),
                _ => return Err(PyValueError::new_err(format!("{width} bytes a number: 2 or 4 are known"))),
            }
            Ok(())
        })
    }

    /// Fills `view` as the buffer protocol asks.
    ///
    /// # Safety
    /// Python calls it with a `view` that is null or valid for writing.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("there is no view to fill"));
        }
        if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("the buffer is read-only: copy it to change it"));
        }
        let this = slf.get();
        let start: *const c_void = match &this.numbers {
            Numbers::U32(numbers) => numbers.as_ptr().cast(),
            Numbers::U64(numbers) => numbers.as_ptr().cast(),
        };
        let asked = |flag: c_int| flags & flag == flag;
        let (shape, strides, format) = (this.shape.as_ptr(), this.strides.as_ptr(), this.format.as_ptr());
        // SAFETY: `view` is valid for writing. All it points to is static or belongs to the object, which is frozen, never moved by Python,
        // and alive as long as `view.obj`, a new reference to it. Tests: tests/test_encoding_batches.py reads buffers in every form.
        unsafe {
            *view = ffi::Py_buffer {
                buf: start.cast_mut(),
                len: this.shape[0] * this.strides[0],
                readonly: 1,
                itemsize: this.strides[0],
                format: if asked(ffi::PyBUF_FORMAT) { format.cast_mut() } else { std::ptr::null_mut() },
                ndim: 1,
                shape: if asked(ffi::PyBUF_ND) { shape.cast_mut() } else { std::ptr::null_mut() },
                strides: if asked(ffi::PyBUF_STRIDES) { strides.cast_mut() } else { std::ptr::null_mut() },
                suboffsets: std::ptr::null_mut(),
                internal: std::ptr::null_mut(),
                obj: slf.clone().into_any().into_ptr(),
            };
        }
        Ok(())
    }
}
