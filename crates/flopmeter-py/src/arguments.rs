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
        return of_another_type(place, value, "a whole number").into();
    }
    let fact = match value.lt(0) {
        Ok(true) => format!("is {value}, and at least 0 is counted"),
        _ => format!("is more than {}", u64::MAX),
    };
    Error::new(ErrorKind::Workload, format!("`{place}`"), fact).into()
}

/// The error of a value of a type that is not taken.
#[cold]
pub fn of_another_type(place: &str, value: &Bound<'_, PyAny>, wanted: &str) -> PyErr {
    let kind = value.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("`{place}`: is of type {kind}; give {wanted}"))
}

/// Whole numbers, of which there is one at least.
pub fn some_whole(place: &str, values: &Bound<'_, PyAny>) -> Result<Vec<u64>> {
    let wanted = || of_another_type(place, values, "a list of whole numbers");
    let numbers = values.try_iter().map_err(|_| wanted())?;
    let numbers: Vec<u64> = numbers.map(|value| whole(place, &value?)).collect::<Result<_>>()?;
    if numbers.is_empty() {
        let place = format!("`{place}`");
        return Err(Error::new(ErrorKind::Workload, place, "has no value").into());
    }
    Ok(numbers)
}

/// A device, or the name of one.
pub fn device(value: &Bound<'_, PyAny>) -> Result<flopmeter::device::Device> {
    if let Ok(device) = value.cast::<Device>() {
        return Ok(device.get().found.clone());
    }
    match value.extract::<&str>() {
        Ok(name) => Ok(flopmeter::device::find(name)?),
        Err(_) => Err(of_another_type("device", value, "a Device, or the name of one").into()),
    }
}

/// A model, or the name of one.
pub fn source(value: &Bound<'_, PyAny>) -> Result<Arc<Source>> {
    if let Ok(model) = value.cast::<Model>() {
        return Ok(Arc::clone(&model.get().source));
    }
    match value.extract::<String>() {
        Ok(name) => Ok(Arc::new(value.py().detach(|| flopmeter_source::find(&name))?)),
        Err(_) => Err(of_another_type("model", value, "a Model, or the name of one").into()),
    }
}
