//! `_core.Vocabulary`: what `minbpe.Vocabulary` holds.

use std::sync::Arc;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use super::pattern::Pattern;
use crate::error::Result;
use crate::split::Engine;
use crate::staged::Stage;
use crate::vocab;

/// A vocabulary; `minbpe.vocabulary` documents it.
#[pyclass(frozen, module = "minbpe._core")]
pub(super) struct Vocabulary {
    pub(super) inner: Arc<vocab::Vocabulary>,
}

type Special = Vec<(String, u32)>;

fn wrap(vocabulary: Result<vocab::Vocabulary>) -> PyResult<Vocabulary> {
    Ok(Vocabulary { inner: Arc::new(vocabulary?) })
}

#[pymethods]
impl Vocabulary {
    #[staticmethod]
    fn from_merges(
        py: Python<'_>,
        byte_ids: [u32; 256],
        merges: Vec<(u32, u32)>,
        ids: Vec<u32>,
        special: Special,
        stages: Vec<(usize, Pattern)>,
    ) -> PyResult<Vocabulary> {
        let stages: Vec<Stage> =
            stages.into_iter().map(|(first_rank, Pattern(patterns))| Stage { first_rank, patterns }).collect();
        wrap(py.detach(|| vocab::Vocabulary::from_stages(&byte_ids, &merges, &ids, special, &stages)))
    }

    #[staticmethod]
    fn from_ranks(ranks: &Bound<'_, PyDict>, special: Special, pattern: Pattern) -> PyResult<Vocabulary> {
        let mut pairs = Vec::with_capacity(ranks.len());
        for (bytes, rank) in ranks {
            let bytes =
                bytes.cast::<PyBytes>().map_err(|_| PyTypeError::new_err("the keys of mergeable_ranks are bytes"))?;
            pairs.push((bytes.as_bytes().to_vec(), rank.extract::<u32>()?));
        }
        wrap(ranks.py().detach(|| vocab::Vocabulary::from_ranks(pairs, special, pattern.0)))
    }

    #[staticmethod]
    fn from_table(
        table: &[u8],
        extra: Vec<(u32, u32, u32)>,
        special: Special,
        pattern: Option<String>,
    ) -> PyResult<Vocabulary> {
        wrap(vocab::Vocabulary::from_table(table, &extra, special, pattern))
    }

    fn with_special(&self, special: Special) -> PyResult<Vocabulary> {
        wrap(self.inner.with_special(special))
    }

    fn truncate(&self, py: Python<'_>, count: usize) -> PyResult<Vocabulary> {
        wrap(py.detach(|| self.inner.truncate(count)))
    }

    fn __len__(&self) -> usize {
        self.inner.tokens().count()
    }

    #[getter]
    fn n_vocab(&self) -> u64 {
        self.inner.n_vocab()
    }

    #[getter]
    fn pattern(&self) -> Pattern {
        Pattern(self.inner.splitter().patterns().to_vec())
    }

    /// The first rank and the pattern of each stage.
    fn stages<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.inner.stages().into_iter().map(|stage| (stage.first_rank, Pattern(stage.patterns))))
    }

    #[getter]
    fn by_rank(&self) -> bool {
        self.inner.tokens().by_rank()
    }

    /// Which engine splits, the slowest if there are several stages: "whole", "compiled" or "backtracking".
    #[getter]
    fn engine(&self) -> &'static str {
        let engines = self.inner.after_each_stage().into_iter().map(|stage| stage.splitter().engine());
        match engines.max() {
            None | Some(Engine::Whole) => "whole",
            Some(Engine::Compiled) => "compiled",
            Some(Engine::Backtracking) => "backtracking",
        }
    }

    /// The patterns of each stage that the compiled engine refused, and why.
    fn refusals(&self) -> Vec<(Pattern, &'static str)> {
        let splitters = self.inner.after_each_stage().into_iter().map(|stage| stage.splitter());
        splitters.filter_map(|each| Some((Pattern(each.patterns().to_vec()), each.refusal()?))).collect()
    }

    fn special(&self) -> Special {
        self.inner.special().to_vec()
    }

    fn byte_ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.inner.byte_ids())
    }

    fn merges<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.inner.merges())
    }

    /// The ids of the tokens after the 256 bytes, by rank.
    fn ids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.inner.tokens().ids()[256..])
    }

    /// Each ordinary token's bytes and id: the 256 bytes first, the others by rank.
    fn items<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, u32)> {
        let tokens = self.inner.tokens();
        (0..).zip(tokens.ids()).map(|(index, &id)| (PyBytes::new(py, tokens.bytes(index)), id)).collect()
    }

    /// The bytes of the token with this id, special tokens included.
    fn bytes_of_id<'py>(&self, py: Python<'py>, id: u32) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, self.inner.bytes_of_id(id)?))
    }

    /// The id of the ordinary token with these bytes.
    fn id_of_bytes(&self, bytes: &[u8]) -> Option<u32> {
        self.inner.tokens().find(bytes)
    }

    /// The pieces into which the pattern splits `data`.
    fn split<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        Ok(self.inner.splitter().pieces(data)?.into_iter().map(|piece| PyBytes::new(py, piece)).collect())
    }

    fn canonical<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.canonical())
    }
}
