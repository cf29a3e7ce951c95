//! Errors of the core as Python's exceptions.

use crate::words::in_python;
use flopmeter::{Error, ErrorKind};
use pyo3::create_exception;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;

create_exception!(flopmeter, BaseError, PyValueError, "Why flopmeter gives no number.");

/// One class for each kind.
macro_rules! kinds {
    ($($kind:ident $name:ident)*) => {
        $(create_exception!(flopmeter.errors, $name, BaseError);)*

        fn class(py: Python<'_>, kind: ErrorKind) -> Bound<'_, PyAny> {
            match kind {
                $(ErrorKind::$kind => py.get_type::<$name>().into_any(),)*
                _ => py.get_type::<BaseError>().into_any(),
            }
        }

        /// Puts the classes into a module, each with the sentence that the core has for its kind.
        pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
            let base = module.py().get_type::<BaseError>();
            base.setattr("__name__", "Error")?;
            base.setattr("__qualname__", "Error")?;
            module.add("Error", base)?;
            $(module.add(stringify!($name), module.py().get_type::<$name>())?;)*
            for &(kind, sentence) in ErrorKind::ALL {
                class(module.py(), kind).setattr("__doc__", sentence)?;
            }
            Ok(())
        }
    };
}

kinds! {
    Syntax ConfigSyntaxError
    Config ConfigError
    Architecture ArchitectureError
    Quantization QuantizationError
    Adapter AdapterError
    Model ModelError
    Place PlaceError
    Network NetworkError
    Access AccessError
    Weights WeightsError
    Workload WorkloadError
    Speculation SpeculationError
    Parallelism ParallelismError
    Convention ConventionError
    Dtype DtypeError
    Device DeviceError
    Ambiguous AmbiguousError
    Peak PeakError
    Table TableError
    Measurement MeasurementError
    Overflow CountOverflowError
}

/// An error of the core, or of Python.
pub enum Failure {
    Core(Error),
    Python(PyErr),
}

/// What a function that Python calls gives back.
pub type Result<T> = std::result::Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Core(error)
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Python(error) => error,
            Failure::Core(error) => {
                Python::attach(|py| raised(py, &error).unwrap_or_else(|error| error))
            }
        }
    }
}

/// Its text is the core's; place, fact, hints and candidates stand by themselves as well.
fn raised(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let mut text = in_python(&error.to_string());
    for candidate in error.candidate_list() {
        text += &format!("\n  {candidate}");
    }
    let value = class(py, error.kind()).call1((text,))?;
    value.setattr("place", in_python(error.place()))?;
    value.setattr("fact", in_python(error.fact()))?;
    let hints: Vec<String> = error.hints().iter().map(|hint| in_python(hint)).collect();
    value.setattr("hints", PyTuple::new(py, hints)?)?;
    value.setattr("candidates", PyTuple::new(py, error.candidate_list())?)?;
    Ok(PyErr::from_value(value))
}
