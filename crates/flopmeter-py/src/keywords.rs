//! Keywords that a function takes beside its first arguments, each read where it is needed.
//!
//! Several functions take the same ones, and a signature of PyO3 belongs to one function.

use crate::arguments::{of_another_type, whole};
use crate::error::Result;
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PyDict;

/// What was given by name, and is not None. These are few: looking through them is faster than asking a dict for all that
/// may be among them.
pub struct Keywords<'py>(Vec<(PyBackedStr, Bound<'py, PyAny>)>);

impl<'py> Keywords<'py> {
    /// Takes what is of some `known` names; those of a function's first arguments are among them, to be offered.
    pub fn new(given: Option<&Bound<'py, PyDict>>, known: &[&[&str]]) -> Result<Self> {
        let Some(given) = given else { return Ok(Self(Vec::new())) };
        let mut taken = Vec::with_capacity(given.len());
        for (name, value) in given {
            let text: PyBackedStr = name.extract()?;
            if !known.iter().any(|names| names.contains(&&*text)) {
                return Err(unknown(&name, &text, &known.concat())?.into());
            }
            if !value.is_none() {
                taken.push((text, value));
            }
        }
        Ok(Self(taken))
    }

    /// A value, if it is given and not None.
    pub fn get(&self, name: &str) -> Option<&Bound<'py, PyAny>> {
        self.0.iter().find(|(given, _)| **given == *name).map(|(_, value)| value)
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        self.get(name).map(|value| whole(name, value)).transpose()
    }

    /// Whole numbers.
    pub fn numbers(&self, name: &str) -> Result<Option<Vec<u64>>> {
        let Some(values) = self.each(name)? else { return Ok(None) };
        values.map(|value| whole(name, &value?)).collect::<Result<_>>().map(Some)
    }

    /// Whether something holds, if that is said: by True or False, for the text "no" is as true as any.
    pub fn truth(&self, name: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let truth = value.extract().map(Some);
        truth.map_err(|_| of_another_type(name, value, "True or False").into())
    }

    /// Whether something holds; nothing does that is not given.
    pub fn holds(&self, name: &str) -> Result<bool> {
        Ok(self.truth(name)?.unwrap_or(false))
    }

    /// A value of another type.
    pub fn read<T: FromPyObjectOwned<'py>>(&self, name: &str) -> Result<Option<T>> {
        self.get(name).map(|value| extracted(name, value)).transpose()
    }

    /// Values to be read one by one.
    pub fn each(
        &self,
        name: &str,
    ) -> Result<Option<impl Iterator<Item = PyResult<Bound<'py, PyAny>>>>> {
        let Some(values) = self.get(name) else { return Ok(None) };
        let all = values.try_iter().map_err(|error| named(name, values.py(), &error))?;
        Ok(Some(all))
    }
}

/// A value of a type that is asked for by name.
pub fn extracted<'py, T: FromPyObjectOwned<'py>>(
    name: &str,
    value: &Bound<'py, PyAny>,
) -> Result<T> {
    value.extract().map_err(|error: T::Error| named(name, value.py(), &error.into()).into())
}

/// What Python says of a value does not say which it is.
fn named(name: &str, py: Python<'_>, error: &PyErr) -> PyErr {
    PyTypeError::new_err(format!("`{name}`: {}", error.value(py)))
}

/// None of the keywords, and the one that was likely meant.
fn unknown(name: &Bound<'_, PyAny>, text: &str, known: &[&str]) -> PyResult<PyErr> {
    let matches = name.py().import("difflib")?.getattr("get_close_matches")?;
    let near: Vec<String> = matches.call1((name, known.to_vec(), 1))?.extract()?;
    let meant = near.first().map(|near| format!(", did you mean '{near}'?")).unwrap_or_default();
    Ok(PyTypeError::new_err(format!("unexpected keyword argument '{text}'{meant}")))
}
