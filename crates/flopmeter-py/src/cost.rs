//! FLOPs and bytes of a request.

use crate::arguments::{device, whole};
use crate::error::Result;
use crate::explain::Explanation;
use crate::plot::Chart;
use crate::ranks::{Parallelism, Rank};
use crate::request::Maybe;
use crate::shown;
use crate::utilization::Utilization;
use flopmeter_report::render;
use flopmeter_report::report::BytesReport;
use flopmeter_report::{Machine, Ranks, Request};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// FLOPs of a request, exact.
#[pyclass(frozen, module = "flopmeter")]
pub struct Flops {
    pub request: Request,
    flops: flopmeter::Flops,
}

impl Flops {
    pub fn count(request: Request) -> Result<Self> {
        let flops = request.source.model.flops(&request.workload, &request.convention)?;
        Ok(Self { request, flops })
    }
}

#[pymethods]
impl Flops {
    /// All of them.
    #[getter]
    fn total(&self) -> u128 {
        self.flops.total
    }

    /// Those of the passes over the prompts.
    #[getter]
    fn prefill(&self) -> u128 {
        // A part of a total that fits.
        self.flops.prefill.total().unwrap_or(self.flops.total)
    }

    /// Those of the passes that generate, after the first token.
    #[getter]
    fn decode(&self) -> u128 {
        self.flops.decode.total().unwrap_or(self.flops.total)
    }

    /// By component.
    #[getter]
    fn components<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (dict, counts) = (PyDict::new(py), self.flops.components());
        for component in self.request.components() {
            dict.set_item(component.name(), counts[component])?;
        }
        Ok(dict)
    }

    /// How they were counted.
    #[getter]
    fn convention(&self) -> &'static str {
        self.request.convention.id
    }

    /// What the same requests move and hold.
    #[getter]
    fn bytes(&self) -> Result<Bytes> {
        let bytes = self.request.source.model.bytes(&self.request.workload)?;
        Ok(Bytes(BytesReport::of(&bytes)))
    }

    /// How busy some devices were that took `seconds` for it.
    #[pyo3(signature = (device, seconds, *, devices = None))]
    fn utilization(
        &self,
        device: &Bound<'_, PyAny>,
        seconds: f64,
        devices: Option<&Bound<'_, PyAny>>,
    ) -> Result<Utilization> {
        self.on(device, Some(seconds), devices)
    }

    /// What a roofline allows some devices: the same without a measured time.
    #[pyo3(signature = (device, *, devices = None))]
    fn roofline(
        &self,
        device: &Bound<'_, PyAny>,
        devices: Option<&Bound<'_, PyAny>>,
    ) -> Result<Utilization> {
        self.on(device, None, devices)
    }

    /// How the model is cut, if it is.
    #[getter]
    fn parallelism(&self) -> Result<Option<Parallelism>> {
        Ok(self.request.cut(&self.request.convention, None)?.0.map(Parallelism))
    }

    /// What each kind of rank does, if the model is cut.
    #[getter]
    fn ranks(&self) -> Result<Vec<Rank>> {
        Ok(Rank::all(&self.request.cut(&self.request.convention, None)?))
    }

    /// The arithmetic, formula by formula.
    pub fn explain(&self) -> Result<Explanation> {
        Ok(Explanation(self.request.explain(None)?))
    }

    /// What a prompt and the token after it cost, over the length of the prompt.
    #[pyo3(signature = (lengths = None))]
    fn chart(&self, lengths: Maybe<'_, '_>) -> Result<Chart> {
        Chart::context(&self.request, lengths)
    }

    /// The same, drawn: by matplotlib if it is installed, else as SVG.
    #[pyo3(signature = (lengths = None, *, theme = "light", ax = None))]
    fn plot<'py>(
        &self,
        py: Python<'py>,
        lengths: Maybe<'_, '_>,
        theme: &str,
        ax: Option<Bound<'py, PyAny>>,
    ) -> Result<Bound<'py, PyAny>> {
        self.chart(lengths)?.drawn(py, theme, ax)
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.request.report(None)?)
    }

    fn _repr_html_(&self) -> Result<String> {
        Ok(shown::html(render::summary(&self.request.report(None)?)))
    }

    fn __str__(&self) -> Result<String> {
        Ok(shown::text(render::summary(&self.request.report(None)?)))
    }

    fn __repr__(&self) -> String {
        let Self { flops, request } = self;
        format!(
            "Flops(total={}, prefill={}, decode={}, convention='{}', model='{}')",
            flops.total,
            self.prefill(),
            self.decode(),
            request.convention.id,
            request.source.id
        )
    }
}

impl Flops {
    fn on(
        &self,
        name: &Bound<'_, PyAny>,
        seconds: Option<f64>,
        devices: Option<&Bound<'_, PyAny>>,
    ) -> Result<Utilization> {
        let given = devices.map(|devices| whole("devices", devices)).transpose()?;
        let count = flopmeter_report::devices(self.request.ranks.as_ref().map(Ranks::plan), given)?;
        let dtype = self.request.source.model.quantization().compute;
        let machine = Machine::of(device(name)?, count, dtype)?;
        Utilization::new(Request { machine: Some(machine), ..self.request.clone() }, seconds)
    }
}

/// Bytes that a request moves and holds.
#[pyclass(frozen, module = "flopmeter")]
pub struct Bytes(pub BytesReport);

#[pymethods]
impl Bytes {
    /// Of the weights.
    #[getter]
    fn weights(&self) -> u128 {
        self.0.weights
    }

    /// That a token adds to the KV cache.
    #[getter]
    fn kv_cache_per_token(&self) -> u128 {
        self.0.kv_cache_per_token
    }

    /// Of the KV cache at its largest.
    #[getter]
    fn kv_cache(&self) -> u128 {
        self.0.kv_cache
    }

    /// Read in all passes.
    #[getter]
    fn read(&self) -> u128 {
        self.0.read
    }

    /// Written in all passes.
    #[getter]
    fn written(&self) -> u128 {
        self.0.written
    }

    /// The same facts as in the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn __repr__(&self) -> String {
        format!(
            "Bytes(weights={}, kv_cache={}, read={}, written={})",
            self.0.weights, self.0.kv_cache, self.0.read, self.0.written
        )
    }
}
