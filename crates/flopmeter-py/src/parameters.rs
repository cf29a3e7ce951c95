//! How many parameters a model has.

use pyo3::prelude::*;
use pyo3::types::PyDict;

/// How many parameters a model has.
#[pyclass(frozen, eq, hash, module = "flopmeter", get_all)]
#[derive(PartialEq, Eq, Hash)]
pub struct Parameters {
    /// All of them.
    pub total: u128,
    /// Those that one token goes through.
    pub active: u128,
    /// Those of the embedding.
    pub embedding: u128,
    /// All but those of the embedding.
    pub non_embedding: u128,
}

#[pymethods]
impl Parameters {
    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        dict.set_item("total", self.total)?;
        dict.set_item("active", self.active)?;
        dict.set_item("embedding", self.embedding)?;
        dict.set_item("non_embedding", self.non_embedding)?;
        Ok(dict)
    }

    fn __repr__(&self) -> String {
        format!(
            "Parameters(total={}, active={}, embedding={}, non_embedding={})",
            self.total, self.active, self.embedding, self.non_embedding
        )
    }
}
