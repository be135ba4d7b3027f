//! `_core.Encoder` and `_core.Matcher`: what `minbpe.Encoding` is made of.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use pyo3::buffer::{Element, PyBuffer};
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString};

use super::buffer::Buffer;
use super::counted::Held;
use super::integers::Integers;
use super::text::{detached, encoding, expect_str, text_of, with_text};
use super::vocabulary::Vocabulary;
use crate::count::Document;
use crate::encode::room_for;
use crate::error::{Error, Result};
use crate::offsets::Offsets;
use crate::parallel::{Around, Row};
use crate::progress::Progress;
use crate::special;
use crate::threads::in_parallel;
use crate::tokens::get_or_make;
use crate::vocab;

/// Finds any of a set of special tokens.
#[pyclass(frozen, module = "minbpe._core")]
pub(super) struct Matcher {
    inner: special::Matcher,
}

#[pymethods]
impl Matcher {
    #[new]
    fn new(tokens: Vec<(String, u32)>) -> PyResult<Matcher> {
        Ok(Matcher { inner: special::Matcher::new(&tokens)? })
    }

    /// The first of these special tokens in `text`, or None. UnicodeEncodeError if `text` holds surrogates.
    fn search<'a>(&self, text: &'a Bound<'_, PyAny>) -> PyResult<Option<&'a str>> {
        let text = expect_str(text)?.to_str()?;
        Ok(self.inner.find(text, 0).map(|found| &text[found.start..found.end]))
    }
}

/// Encodes and decodes with one vocabulary; `minbpe.encoding` documents it.
#[pyclass(frozen, module = "minbpe._core")]
pub(super) struct Encoder {
    vocabulary: Arc<vocab::Vocabulary>,
    /// Ordinary tokens sorted by their bytes; only `encode_with_unstable` and `token_byte_values` need them.
    sorted: OnceLock<Vec<u32>>,
    /// Finds all special tokens; made by the first call that needs it.
    special: OnceLock<Py<Matcher>>,
    integers: Integers,
}

impl Encoder {
    /// Encode, treating special tokens as plain text.
    pub(super) fn encode_ordinary<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        self.list(text.py(), &text_of(text)?, None)
    }

    fn sorted(&self) -> &Vec<u32> {
        get_or_make(&self.sorted, || self.vocabulary.tokens_by_bytes())
    }

    /// The ids of all texts one after the other, and their offsets, encoded by several threads.
    fn rows(
        &self,
        py: Python<'_>,
        texts: &[Bound<'_, PyAny>],
        threads: usize,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<(Vec<u32>, Vec<u64>)> {
        // Borrowed from Python, or with surrogates repaired.
        let texts: Vec<Cow<'_, str>> = texts.iter().map(text_of).collect::<PyResult<_>>()?;
        let rows: Vec<Row<'_>> = texts.iter().map(|text| Row::Text(text)).collect();
        let special = matcher(special);
        let bytes = texts.iter().map(|text| text.len()).sum();
        encoding(py, bytes, |progress| self.vocabulary.encode_rows(&rows, [None; 2], special, threads, progress))
    }

    fn list<'py>(
        &self,
        py: Python<'py>,
        text: &str,
        special: Option<&special::Matcher>,
    ) -> PyResult<Bound<'py, PyList>> {
        if let Some(ids) = self.vocabulary.encode_short(text, special, &mut [0; _]) {
            return self.integers.list(py, ids);
        }
        let ids = encoding(py, text.len(), |progress| self.ids(text, special, progress))?;
        self.integers.list(py, &ids)
    }

    fn ids(&self, text: &str, special: Option<&special::Matcher>, progress: &mut Progress<'_>) -> Result<Vec<u32>> {
        let mut ids = room_for(text.len());
        self.vocabulary.encode(text, special, &mut ids, progress)?;
        Ok(ids)
    }

    /// Ids to decode: a buffer of u32 or u16, or any iterable of int.
    fn extract_ids(&self, ids: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        if let Ok(list) = ids.cast::<PyList>() {
            return list.iter().map(|id| self.extract_id(&id)).collect();
        }
        if let Some(numbers) = numbers::<u32>(ids).or_else(|| numbers::<u16>(ids)) {
            return numbers;
        }
        ids.try_iter()?.map(|id| self.extract_id(&id?)).collect()
    }

    fn extract_id(&self, id: &Bound<'_, PyAny>) -> PyResult<u32> {
        id.extract::<u32>().map_err(|error| {
            if error.is_instance_of::<PyOverflowError>(id.py()) {
                let highest = self.vocabulary.n_vocab() - 1;
                return Error::UnknownToken(format!("no token has the id {id}: ids go from 0 to {highest}")).into();
            }
            error
        })
    }
}

/// The numbers of a buffer, if it is a one-dimensional buffer of `T`.
fn numbers<T: Element + Into<u32>>(buffer: &Bound<'_, PyAny>) -> Option<PyResult<Vec<u32>>> {
    let numbers = PyBuffer::<T>::get(buffer).ok()?;
    // On little-endian machines pyo3 takes `>`, big-endian, for native.
    if numbers.dimensions() != 1 || matches!(numbers.format().to_bytes(), [b'>' | b'!', ..]) {
        return None;
    }
    Some(numbers.to_vec(buffer.py()).map(|numbers| numbers.into_iter().map(Into::into).collect()))
}

fn matcher<'a>(special: Option<&'a Bound<'_, Matcher>>) -> Option<&'a special::Matcher> {
    special.map(|matcher| &matcher.get().inner)
}

#[pymethods]
impl Encoder {
    /// An encoder whose caches take at most `cache_size` bytes.
    #[new]
    #[pyo3(signature = (vocabulary, cache_size=None))]
    fn new(vocabulary: &Vocabulary, cache_size: Option<usize>) -> Encoder {
        Encoder {
            vocabulary: match cache_size {
                Some(bytes) => Arc::new(vocabulary.inner.with_cache_size(bytes)),
                None => vocabulary.inner.clone(),
            },
            sorted: OnceLock::new(),
            special: OnceLock::new(),
            integers: Integers::new(vocabulary.inner.n_vocab()),
        }
    }

    fn encode<'py>(
        &self,
        text: &Bound<'py, PyAny>,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.list(text.py(), &text_of(text)?, matcher(special))
    }

    /// The matcher of all special tokens, made before the `OnceLock` is claimed, as in `get_or_make`.
    fn matcher(&self, py: Python<'_>) -> PyResult<&Py<Matcher>> {
        if let Some(special) = self.special.get() {
            return Ok(special);
        }
        let special = Py::new(py, Matcher::new(self.vocabulary.special().to_vec())?)?;
        Ok(self.special.get_or_init(|| special))
    }

    /// The ids of `text`, or None if it holds a special token, or surrogates.
    fn encode_if_plain<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyList>>> {
        let Ok(plain) = expect_str(text)?.to_str() else { return Ok(None) };
        if self.matcher(text.py())?.get().inner.find(plain, 0).is_some() {
            return Ok(None);
        }
        self.list(text.py(), plain, None).map(Some)
    }

    #[pyo3(signature = (text, special=None))]
    fn encode_buffer(&self, text: &Bound<'_, PyAny>, special: Option<&Bound<'_, Matcher>>) -> PyResult<Buffer> {
        let special = matcher(special);
        with_text(text, |text, progress| self.ids(text, special, progress)).map(Buffer::from)
    }

    /// The ids of several texts, each as a list.
    #[pyo3(signature = (texts, threads, special=None))]
    fn encode_batch<'py>(
        &self,
        py: Python<'py>,
        texts: Vec<Bound<'_, PyAny>>,
        threads: usize,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<Vec<Bound<'py, PyList>>> {
        let (ids, offsets) = self.rows(py, &texts, threads, special)?;
        let row = |o: &[u64]| self.integers.list(py, &ids[o[0] as usize..o[1] as usize]);
        offsets.windows(2).map(row).collect()
    }

    /// The ids of several texts one after the other, and their offsets.
    #[pyo3(signature = (texts, threads, special=None))]
    fn encode_batch_flat(
        &self,
        py: Python<'_>,
        texts: Vec<Bound<'_, PyAny>>,
        threads: usize,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<(Buffer, Buffer)> {
        let (ids, offsets) = self.rows(py, &texts, threads, special)?;
        Ok((ids.into(), offsets.into()))
    }

    /// Encodes the rows of an Arrow column: row i is `data[offsets[i]..offsets[i + 1]]`, any bytes. Returns flat ids and their offsets;
    /// each row has the ids `around` it before and after its own.
    #[pyo3(signature = (data, offsets, threads, around=[None; 2]))]
    fn encode_rows(
        &self,
        py: Python<'_>,
        data: PyBuffer<u8>,
        offsets: PyBuffer<i64>,
        threads: usize,
        around: Around,
    ) -> PyResult<(Buffer, Buffer)> {
        let (data, offsets) = (data.to_vec(py)?, offsets.to_vec(py)?);
        let rows: Option<Vec<&[u8]>> =
            offsets.windows(2).map(|o| data.get(usize::try_from(o[0]).ok()?..usize::try_from(o[1]).ok()?)).collect();
        let rows = rows.ok_or_else(|| Error::Corpus("the column's offsets do not lie within its data".into()))?;
        let (ids, offsets) = encoding(py, data.len(), |progress| {
            let rows: Vec<Row<'_>> = rows.into_iter().map(Row::Bytes).collect();
            self.vocabulary.encode_rows(&rows, around, None, threads, progress)
        })?;
        Ok((ids.into(), offsets.into()))
    }

    /// The ids of the contents of files, given by their paths or as bytes, one after the other, and their offsets.
    fn encode_files(&self, py: Python<'_>, files: Vec<Bound<'_, PyAny>>, threads: usize) -> PyResult<(Buffer, Buffer)> {
        let mut held = Vec::with_capacity(files.len());
        for file in &files {
            held.push(match file.cast::<PyBytes>() {
                Ok(bytes) => Held::Bytes(Cow::Borrowed(bytes.as_bytes())),
                Err(_) => Held::File(file.extract()?),
            });
        }
        let files: Vec<Document<'_>> = held.iter().map(Held::document).collect();
        let encode = |progress: &mut Progress<'_>| self.vocabulary.encode_files(&files, threads, progress);
        let (ids, offsets) = encoding(py, usize::MAX, encode)?;
        Ok((ids.into(), offsets.into()))
    }

    /// The ids of the beginning of `data`, as far as they do not depend on what follows, and how many bytes that is; of all of it, if it is
    /// the document's `last`.
    fn encode_stretch(&self, py: Python<'_>, data: &[u8], last: bool, threads: usize) -> PyResult<(Buffer, usize)> {
        let stretch = |progress: &mut Progress<'_>| self.vocabulary.encode_stretch(data, last, threads, progress);
        let (ids, end) = encoding(py, data.len(), stretch)?;
        Ok((ids.into(), end))
    }

    fn encode_bytes<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let ids = encoding(py, data.len(), |progress| {
            let mut ids = Vec::new();
            self.vocabulary.encode_bytes(data, &mut ids, progress).map(|()| ids)
        })?;
        self.integers.list(py, &ids)
    }

    fn encode_bytes_as_tiktoken<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let ids = encoding(py, data.len(), |progress| self.vocabulary.encode_bytes_as_tiktoken(data, progress))?;
        self.integers.list(py, &ids)
    }

    fn encode_piece<'py>(&self, py: Python<'py>, piece: &[u8]) -> PyResult<Bound<'py, PyList>> {
        let ids = encoding(py, piece.len(), |progress| {
            let mut ids = Vec::new();
            self.vocabulary.encode_piece(piece, &mut ids, progress).map(|()| ids)
        })?;
        self.integers.list(py, &ids)
    }

    #[pyo3(signature = (text, special=None))]
    fn encode_with_unstable(
        &self,
        text: &Bound<'_, PyAny>,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<(Vec<u32>, Vec<Vec<u32>>)> {
        let special = matcher(special);
        let (ids, completions) = with_text(text, |text, progress| {
            self.vocabulary.encode_with_unstable(text, special, self.sorted(), progress)
        })?;
        Ok((ids, completions.into_iter().collect()))
    }

    /// The ids of `text`, and for each the offsets (start, end) of the characters, or bytes, that it covers wholly or in part.
    #[pyo3(signature = (text, characters, special=None))]
    fn encode_with_offsets(
        &self,
        text: &Bound<'_, PyAny>,
        characters: bool,
        special: Option<&Bound<'_, Matcher>>,
    ) -> PyResult<(Vec<u32>, Offsets)> {
        let special = matcher(special);
        let encode = |text: &str, progress: &mut Progress<'_>| {
            self.vocabulary.encode_with_offsets(text, special, characters, progress)
        };
        with_text(text, encode)
    }

    /// How many tokens `text` has, at most `limit`.
    fn count(&self, text: &Bound<'_, PyAny>, limit: usize) -> PyResult<usize> {
        with_text(text, |text, progress| {
            let mut tokens = 0;
            self.vocabulary.encode_up_to(text, limit, |ids| tokens += ids.len(), progress)?;
            Ok(tokens)
        })
    }

    /// The first `limit` ids of `text`.
    fn encode_up_to<'py>(&self, text: &Bound<'py, PyAny>, limit: usize) -> PyResult<Bound<'py, PyList>> {
        let first = with_text(text, |text, progress| {
            let mut first = Vec::new();
            self.vocabulary.encode_up_to(text, limit, |ids| first.extend_from_slice(ids), progress)?;
            Ok(first)
        })?;
        self.integers.list(text.py(), &first)
    }

    /// The longest prefix of `text` that lies within the first `limit` tokens and ends on a character.
    fn truncate<'py>(&self, text: &Bound<'py, PyAny>, limit: usize) -> PyResult<Bound<'py, PyString>> {
        let copy = text_of(text)?;
        let cut = |progress: &mut Progress<'_>| self.vocabulary.truncated(&copy, limit, progress);
        let end = encoding(text.py(), copy.len(), cut)?;
        Ok(PyString::new(text.py(), &copy[..end]))
    }

    fn decode_bytes<'py>(&self, ids: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let (py, ids) = (ids.py(), self.extract_ids(ids)?);
        let mut bytes = Vec::new();
        detached(py, ids.len(), || self.vocabulary.decode(&ids, &mut bytes))?;
        Ok(PyBytes::new(py, &bytes))
    }

    fn decode_bytes_batch<'py>(
        &self,
        py: Python<'py>,
        batch: Vec<Bound<'py, PyAny>>,
        threads: usize,
    ) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let rows: Vec<Vec<u32>> = batch.iter().map(|ids| self.extract_ids(ids)).collect::<PyResult<_>>()?;
        let decoded: Result<Vec<Vec<u8>>> = py.detach(|| {
            in_parallel(rows.len(), threads, |i| {
                let mut bytes = Vec::new();
                self.vocabulary.decode(&rows[i], &mut bytes).map(|()| bytes)
            })
            .into_iter()
            .collect()
        });
        Ok(decoded?.iter().map(|bytes| PyBytes::new(py, bytes)).collect())
    }

    fn decode_token<'py>(&self, id: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = self.vocabulary.bytes_of_id(self.extract_id(id)?)?;
        Ok(PyBytes::new(id.py(), bytes))
    }

    /// The bytes of all ordinary tokens, sorted.
    fn sorted_bytes<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        self.sorted().iter().map(|&token| PyBytes::new(py, self.vocabulary.tokens().bytes(token))).collect()
    }
}
