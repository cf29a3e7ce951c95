//! What Python's callers give, as the core takes it.

use crate::device::Device;
use crate::error::{Failure, Result};
use crate::model::Model;
use flopmeter::{Error, ErrorKind};
use flopmeter_source::Source;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;
use std::sync::Arc;

/// A whole number, of Python or of NumPy.
pub fn whole(place: &str, value: &Bound<'_, PyAny>) -> Result<u64> {
    match value.extract::<u64>() {
        Ok(number) if !value.is_instance_of::<PyBool>() => Ok(number),
        _ => Err(no_number(place, value)),
    }
}

#[cold]
fn no_number(place: &str, value: &Bound<'_, PyAny>) -> Failure {
    let is_whole = value.hasattr("__index__").unwrap_or(false);
    if !is_whole || value.is_instance_of::<PyBool>() {
        let kind = value.get_type();
        let kind = kind.name().map(|name| name.to_string()).unwrap_or_default();
        let text = format!("`{place}`: is of type {kind}; give a whole number");
        return PyTypeError::new_err(text).into();
    }
    let fact = match value.lt(0) {
        Ok(true) => format!("is {value}, and at least 0 is counted"),
        _ => format!("is more than {}", u64::MAX),
    };
    Error::new(ErrorKind::Workload, format!("`{place}`"), fact).into()
}

/// A device, or the name of one.
pub fn device(value: &Bound<'_, PyAny>) -> Result<flopmeter::device::Device> {
    if let Ok(device) = value.cast::<Device>() {
        return Ok(device.get().found.clone());
    }
    match value.extract::<&str>() {
        Ok(name) => Ok(flopmeter::device::find(name)?),
        Err(_) => {
            let kind = value.get_type().name()?.to_string();
            let text = format!("`device`: is of type {kind}; give a Device, or the name of one");
            Err(PyTypeError::new_err(text).into())
        }
    }
}

/// A model, or the name of one.
pub fn source(value: &Bound<'_, PyAny>) -> Result<Arc<Source>> {
    if let Ok(model) = value.cast::<Model>() {
        return Ok(Arc::clone(&model.get().source));
    }
    match value.extract::<String>() {
        Ok(name) => Ok(Arc::new(value.py().detach(|| flopmeter_source::find(&name))?)),
        Err(_) => {
            let kind = value.get_type().name()?.to_string();
            let text = format!("`model`: is of type {kind}; give a Model, or the name of one");
            Err(PyTypeError::new_err(text).into())
        }
    }
}
