//! How busy devices were with a request, and what they could have done.

use crate::arguments::{device, whole};
use crate::error::Result;
use crate::explain::Explanation;
use crate::plot::Chart;
use crate::ranks::{Parallelism, Rank};
use crate::request::Maybe;
use crate::shown;
use flopmeter_report::render;
use flopmeter_report::report::{Report, UtilizationReport};
use flopmeter_report::{Machine, Request};
use pyo3::prelude::*;

/// MFU, MBU and the roofline of a request. Ratios are fractions; what is not known, or was not measured, is None.
#[pyclass(frozen, module = "flopmeter")]
pub struct Utilization {
    request: Request,
    seconds: Option<f64>,
    report: Report,
}

impl Utilization {
    pub fn new(request: Request, seconds: Option<f64>) -> Result<Self> {
        let report = request.report(seconds)?;
        Ok(Self { request, seconds, report })
    }

    fn of<T>(&self, ratio: impl Fn(&UtilizationReport) -> Option<T>) -> Option<T> {
        self.report.utilization.as_ref().and_then(ratio)
    }
}

#[pymethods]
impl Utilization {
    /// Model FLOPs ÷ (time × dense peak × devices).
    #[getter]
    fn mfu(&self) -> Option<f64> {
        self.of(|it| it.mfu)
    }

    /// Bytes ÷ (time × bandwidth × devices).
    #[getter]
    fn mbu(&self) -> Option<f64> {
        self.of(|it| it.mbu)
    }

    /// The time that was measured.
    #[getter]
    fn seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// The shortest time that the hardware allows.
    #[getter]
    fn ideal_seconds(&self) -> Option<f64> {
        self.of(|it| it.ideal_seconds)
    }

    /// The shortest time ÷ the time that was measured.
    #[getter]
    fn of_ideal(&self) -> Option<f64> {
        self.of(|it| it.of_ideal)
    }

    /// The side that binds: `"compute"` or `"memory"`.
    #[getter]
    fn bound(&self) -> Option<&'static str> {
        self.of(|it| it.bound)
    }

    /// Whether weights and KV cache fit the memory of the devices.
    #[getter]
    fn fits(&self) -> Option<bool> {
        self.report.device.as_ref().and_then(|device| device.fits)
    }

    /// The model FLOPs.
    #[getter]
    fn flops(&self) -> u128 {
        self.report.flops.total
    }

    /// What to know before trusting it.
    #[getter]
    fn notes(&self) -> Vec<String> {
        shown::notes(&self.report.notes)
    }

    /// How the model is cut, if it is.
    #[getter]
    fn parallelism(&self) -> Option<Parallelism> {
        self.report.parallelism.clone().map(Parallelism)
    }

    /// What each kind of rank does, if the model is cut, how long its links take, and whether it fits.
    #[getter]
    fn ranks(&self) -> Vec<Rank> {
        Rank::all(&(self.report.parallelism.clone(), self.report.ranks.clone()))
    }

    /// The arithmetic, formula by formula, down to the ratios.
    fn explain(&self) -> Result<Explanation> {
        Ok(Explanation(self.request.explain(self.seconds)?))
    }

    /// The roofline of the devices, and where the phases are under it, for each of some batches.
    #[pyo3(signature = (batches = None))]
    fn chart(&self, batches: Maybe<'_, '_>) -> Result<Chart> {
        Chart::roofline(&self.request, batches)
    }

    /// The same, drawn: by matplotlib if it is installed, else as SVG.
    #[pyo3(signature = (batches = None, *, theme = "light", ax = None))]
    fn plot<'py>(
        &self,
        py: Python<'py>,
        batches: Maybe<'_, '_>,
        theme: &str,
        ax: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.chart(batches)?.drawn(py, theme, ax)
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.report)
    }

    fn _repr_html_(&self) -> String {
        shown::html(render::summary(&self.report))
    }

    fn __str__(&self) -> String {
        shown::text(render::summary(&self.report))
    }

    fn __repr__(&self) -> String {
        format!(
            "Utilization(mfu={}, mbu={}, seconds={}, ideal_seconds={}, bound={})",
            shown::known(self.mfu()),
            shown::known(self.mbu()),
            shown::known(self.seconds),
            shown::known(self.ideal_seconds()),
            shown::known(self.bound().map(|side| format!("'{side}'")))
        )
    }
}

/// FLOPs ÷ (time × dense peak of a dtype × devices): the MFU of model FLOPs, the HFU of executed ones.
#[pyfunction]
#[pyo3(signature = (flops, device, seconds, devices = None, dtype = "bf16"))]
fn mfu(
    flops: u128,
    device: &Bound<'_, PyAny>,
    seconds: f64,
    devices: Option<&Bound<'_, PyAny>>,
    dtype: &str,
) -> Result<f64> {
    let count = devices.map_or(Ok(1), |devices| whole("devices", devices))?;
    let machine = Machine::of(self::device(device)?, count, dtype.parse()?)?;
    Ok(machine.hardware.flops_utilization(flops, seconds)?)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Utilization>()?;
    module.add_function(wrap_pyfunction!(mfu, module)?)
}
