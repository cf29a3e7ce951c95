//! Devices, by the names that their drivers print.

use crate::error::Result;
use crate::shown;
use flopmeter::Dtype;
use flopmeter::device::{self, Device as Found};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::collections::BTreeMap;

/// A device: its dense peaks, its bandwidth, its memory.
#[pyclass(frozen, module = "flopmeter")]
pub struct Device {
    pub found: Found,
}

#[pymethods]
impl Device {
    /// The device that a driver, a data sheet or an id names. What several devices answer to is an error that lists them.
    #[new]
    fn new(name: &str) -> Result<Self> {
        Ok(Self { found: device::find(name)? })
    }

    /// A device that no table has: dense peaks in FLOP/s by dtype, bandwidth in bytes a second, memory in bytes.
    #[staticmethod]
    #[pyo3(signature = (peak, bandwidth = None, memory_bytes = None))]
    fn custom(
        peak: BTreeMap<String, f64>,
        bandwidth: Option<f64>,
        memory_bytes: Option<u64>,
    ) -> Result<Self> {
        let peak: Vec<(Dtype, f64)> = peak
            .iter()
            .map(|(dtype, peak)| Ok((dtype.parse()?, *peak)))
            .collect::<flopmeter::Result<_>>()?;
        Ok(Self { found: Found::custom(&peak, bandwidth, memory_bytes)? })
    }

    /// The device that this process would run on: PyTorch's, JAX's, or the first that a driver's library tells of.
    #[staticmethod]
    fn detect(py: Python<'_>) -> Result<Bound<'_, PyAny>> {
        Ok(py.import("flopmeter._detect")?.call_method0("detect")?)
    }

    /// Its id in the table.
    #[getter]
    fn id(&self) -> &str {
        self.found.id()
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.found.name()
    }

    /// Its maker.
    #[getter]
    fn vendor(&self) -> &str {
        self.found.vendor()
    }

    /// Bytes of its memory, if they are known.
    #[getter]
    fn memory_bytes(&self) -> Option<u64> {
        self.found.memory_bytes()
    }

    /// Bytes a second that its memory gives at most, if that is known.
    #[getter]
    fn bandwidth(&self) -> Option<f64> {
        self.found.bandwidth().ok().map(|rate| rate.0)
    }

    /// Dense peaks in FLOP/s, by dtype.
    #[getter]
    fn peaks<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (dtype, peak) in self.found.peaks() {
            dict.set_item(dtype.name(), peak.0)?;
        }
        Ok(dict)
    }

    /// The dense peak in FLOP/s for a dtype; one that is not known is an error.
    #[pyo3(signature = (dtype = "bf16"))]
    fn peak(&self, dtype: &str) -> Result<f64> {
        Ok(self.found.peak(dtype.parse()?)?.0)
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &flopmeter_report::report::device::RowReport::of(&self.found))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.found == other.found
    }

    fn __hash__(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        self.found.id().hash(&mut hasher);
        hasher.finish()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyTuple>> {
        let again = py.import("flopmeter._flopmeter")?.getattr("_device")?;
        let listed = device::find(self.id()).is_ok_and(|listed| listed == self.found);
        let peaks = (!listed).then(|| self.peaks(py)).transpose()?;
        let made_of = (self.id(), peaks, self.bandwidth(), self.memory_bytes());
        Ok(PyTuple::new(py, [again, made_of.into_pyobject(py)?.into_any()])?)
    }

    fn __repr__(&self) -> String {
        format!("<flopmeter.Device {} ({})>", self.found.id(), self.found.name())
    }
}

/// Makes a device again that was sent to another process: one of the table, or one of other peaks.
#[pyfunction]
pub fn _device(
    id: &str,
    peaks: Option<BTreeMap<String, f64>>,
    bandwidth: Option<f64>,
    memory_bytes: Option<u64>,
) -> Result<Device> {
    match peaks {
        Some(peaks) => Device::custom(peaks, bandwidth, memory_bytes),
        None => Device::new(id),
    }
}

/// The ids of all devices in the table.
#[pyfunction]
fn devices() -> Vec<&'static str> {
    Found::all().iter().map(Found::id).collect()
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Device>()?;
    module.add_function(wrap_pyfunction!(_device, module)?)?;
    module.add_function(wrap_pyfunction!(devices, module)?)
}
