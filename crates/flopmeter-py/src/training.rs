//! FLOPs of a step of training.

use crate::arguments::{device, whole};
use crate::error::Result;
use crate::ranks::{Parallelism, StepRank};
use crate::shown;
use flopmeter::{Convention, Counts, TrainingFlops};
use flopmeter_report::report::training::{StepUtilizationReport, TrainingReport};
use flopmeter_report::{Machine, Trained, render};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// FLOPs of a step of training, exact.
#[pyclass(frozen, module = "flopmeter")]
pub struct StepFlops {
    trained: Trained,
    convention: Convention,
    flops: TrainingFlops,
}

impl StepFlops {
    pub fn count(trained: Trained, convention: Convention) -> Result<Self> {
        let flops = trained.count(&convention)?;
        // A plan that cannot be is refused here, and not when its ranks are asked for.
        trained.cut(&convention, &mut Vec::new())?;
        Ok(Self { trained, convention, flops })
    }

    /// A part of a total that fits.
    fn sum(&self, counts: &Counts) -> u128 {
        counts.total().unwrap_or(self.flops.executed)
    }
}

#[pymethods]
impl StepFlops {
    /// Model FLOPs: forward, and the gradients of inputs and weights.
    #[getter]
    fn total(&self) -> u128 {
        self.flops.total
    }

    /// Of the forward pass.
    #[getter]
    fn forward(&self) -> u128 {
        self.sum(&self.flops.forward)
    }

    /// Of the gradients of inputs.
    #[getter]
    fn input_gradients(&self) -> u128 {
        self.sum(&self.flops.input_gradients)
    }

    /// Of the gradients of weights.
    #[getter]
    fn weight_gradients(&self) -> u128 {
        self.sum(&self.flops.weight_gradients)
    }

    /// Of what was computed again; HFU counts it, MFU does not.
    #[getter]
    fn recomputed(&self) -> u128 {
        self.sum(&self.flops.recomputed)
    }

    /// Model FLOPs and what was computed again.
    #[getter]
    fn executed(&self) -> u128 {
        self.flops.executed
    }

    /// Tokens of the step.
    #[getter]
    fn tokens(&self) -> Result<u64> {
        Ok(self.trained.tokens()?)
    }

    /// Model FLOPs by component.
    #[getter]
    fn components<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let dict = PyDict::new(py);
        for (component, count) in self.flops.components().present() {
            dict.set_item(component.name(), count)?;
        }
        Ok(dict)
    }

    /// How the model is cut, if it is.
    #[getter]
    fn parallelism(&self) -> Result<Option<Parallelism>> {
        Ok(self.trained.cut(&self.convention, &mut Vec::new())?.parallelism.map(Parallelism))
    }

    /// What each kind of rank does, if the model is cut.
    #[getter]
    fn ranks(&self) -> Result<Vec<StepRank>> {
        let cut = self.trained.cut(&self.convention, &mut Vec::new())?;
        Ok(StepRank::all(&(cut.parallelism, cut.ranks)))
    }

    /// How they were counted.
    #[getter]
    fn convention(&self) -> &'static str {
        self.convention.id
    }

    /// How busy some devices were that took `seconds` for it.
    #[pyo3(signature = (device, seconds, *, devices = None))]
    fn utilization(
        &self,
        device: &Bound<'_, PyAny>,
        seconds: f64,
        devices: Option<&Bound<'_, PyAny>>,
    ) -> Result<StepUtilization> {
        let given = devices.map(|devices| whole("devices", devices)).transpose()?;
        let count =
            flopmeter_report::devices(self.trained.plan.as_ref().map(|(plan, _)| plan), given)?;
        let dtype = self.trained.source.model.quantization().compute;
        let machine = Some(Machine::of(self::device(device)?, count, dtype)?);
        let trained = Trained { machine, ..self.trained.clone() };
        let report = trained.report(&self.convention, Some(seconds))?;
        Ok(StepUtilization(report))
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.trained.report(&self.convention, None)?)
    }

    fn _repr_html_(&self) -> Result<String> {
        Ok(shown::html(render::training(&self.trained.report(&self.convention, None)?)))
    }

    fn __str__(&self) -> Result<String> {
        Ok(shown::text(render::training(&self.trained.report(&self.convention, None)?)))
    }

    fn __repr__(&self) -> String {
        format!(
            "StepFlops(total={}, executed={}, convention='{}', model='{}')",
            self.flops.total, self.flops.executed, self.convention.id, self.trained.source.id
        )
    }
}

/// MFU, HFU and throughput of a step. Ratios are fractions.
#[pyclass(frozen, module = "flopmeter")]
pub struct StepUtilization(TrainingReport);

impl StepUtilization {
    /// It was made with a time.
    fn of(&self, value: impl Fn(&StepUtilizationReport) -> f64) -> Option<f64> {
        self.0.utilization.as_ref().map(value)
    }
}

#[pymethods]
impl StepUtilization {
    /// Model FLOPs ÷ (time × dense peak × devices).
    #[getter]
    fn mfu(&self) -> Option<f64> {
        self.of(|it| it.mfu)
    }

    /// Executed FLOPs ÷ (time × dense peak × devices).
    #[getter]
    fn hfu(&self) -> Option<f64> {
        self.of(|it| it.hfu)
    }

    /// The time that was measured.
    #[getter]
    fn seconds(&self) -> Option<f64> {
        self.of(|it| it.seconds)
    }

    /// Tokens a second of all devices.
    #[getter]
    fn tokens_per_second(&self) -> Option<f64> {
        self.of(|it| it.tokens_per_second)
    }

    /// Tokens a second of each device.
    #[getter]
    fn tokens_per_second_per_device(&self) -> Option<f64> {
        self.of(|it| it.tokens_per_second_per_device)
    }

    /// Model FLOPs a second of each device.
    #[getter]
    fn flops_per_second_per_device(&self) -> Option<f64> {
        self.of(|it| it.flops_per_second_per_device)
    }

    /// How the model is cut, if it is.
    #[getter]
    fn parallelism(&self) -> Option<Parallelism> {
        self.0.parallelism.clone().map(Parallelism)
    }

    /// What each kind of rank does, if the model is cut, how long its links take, and whether it fits.
    #[getter]
    fn ranks(&self) -> Vec<StepRank> {
        StepRank::all(&(self.0.parallelism.clone(), self.0.ranks.clone()))
    }

    /// What to know before trusting it.
    #[getter]
    fn notes(&self) -> Vec<String> {
        shown::notes(&self.0.notes)
    }

    /// The same facts as the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn _repr_html_(&self) -> String {
        shown::html(render::training(&self.0))
    }

    fn __str__(&self) -> String {
        shown::text(render::training(&self.0))
    }

    fn __repr__(&self) -> String {
        format!(
            "StepUtilization(mfu={}, hfu={}, tokens_per_second={})",
            shown::known(self.mfu()),
            shown::known(self.hfu()),
            shown::known(self.tokens_per_second())
        )
    }
}
