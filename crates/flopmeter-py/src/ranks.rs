//! What each kind of rank does.

use crate::cost::Bytes;
use crate::error::Result;
use crate::shown;
use flopmeter_report::render::{self, Document};
use flopmeter_report::report::parallel::{
    ParallelismReport, RankReport, StepMemoryReport, StepRankReport, StepTransferReport,
    TransferReport,
};
use pyo3::prelude::*;

/// How a model is cut.
#[pyclass(frozen, module = "flopmeter")]
pub struct Parallelism(pub ParallelismReport);

#[pymethods]
impl Parallelism {
    /// How many devices it takes.
    #[getter]
    fn devices(&self) -> u64 {
        self.0.devices
    }

    /// FLOPs of all ranks, what several compute included.
    #[getter]
    fn flops(&self) -> u128 {
        self.0.flops
    }

    /// Of a step: the time that stages wait, over the time that they work.
    #[getter]
    fn bubble(&self) -> Option<f64> {
        self.0.bubble
    }

    /// The most sequences that fit, with a device whose memory is known.
    #[getter]
    fn largest_batch(&self) -> Option<u64> {
        self.0.largest_batch
    }

    /// Of requests: the most tokens of each that fit, likewise.
    #[getter]
    fn largest_context(&self) -> Option<u64> {
        self.0.largest_context
    }

    /// What several tensor ranks have the same of.
    #[getter]
    fn replicated(&self) -> Vec<&'static str> {
        self.0.replicated.clone()
    }

    /// The same facts as in the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.0)
    }

    fn __repr__(&self) -> String {
        let plan = &self.0;
        format!(
            "Parallelism(devices={}, tp={}, pp={}, dp={}, cp={}, ep={})",
            plan.devices, plan.tensor, plan.pipeline, plan.data, plan.context, plan.expert
        )
    }
}

/// One of some ranks that do the same in a request.
#[pyclass(frozen, module = "flopmeter")]
pub struct Rank {
    plan: ParallelismReport,
    rank: RankReport,
}

impl Rank {
    /// Those of a plan, one of each kind.
    pub fn all((plan, ranks): &(Option<ParallelismReport>, Vec<RankReport>)) -> Vec<Self> {
        let Some(plan) = plan else { return Vec::new() };
        ranks.iter().map(|rank| Self { plan: plan.clone(), rank: rank.clone() }).collect()
    }

    fn document(&self) -> Document {
        let blocks = render::ranks(Some(&self.plan), std::slice::from_ref(&self.rank));
        Document { head: Vec::new(), blocks, notes: Vec::new() }
    }
}

#[pymethods]
impl Rank {
    /// Which it is.
    #[getter]
    fn name(&self) -> &str {
        &self.rank.name
    }

    /// How many are like it.
    #[getter]
    fn count(&self) -> u64 {
        self.rank.count
    }

    /// Parameters that it holds.
    #[getter]
    fn parameters(&self) -> u128 {
        self.rank.parameters
    }

    /// FLOPs that it computes.
    #[getter]
    fn flops(&self) -> u128 {
        self.rank.flops.total
    }

    /// Those of the passes over the prompts.
    #[getter]
    fn prefill(&self) -> u128 {
        self.rank.flops.prefill
    }

    /// Those of the passes that generate.
    #[getter]
    fn decode(&self) -> u128 {
        self.rank.flops.decode
    }

    /// Bytes that it moves and holds.
    #[getter]
    fn bytes(&self) -> Bytes {
        Bytes(self.rank.bytes.clone())
    }

    /// Whether the memory of a device holds what it has to, if that is known.
    #[getter]
    fn fits(&self) -> Option<bool> {
        self.rank.fits
    }

    /// What it sends, collective by collective.
    #[getter]
    fn sent(&self) -> Vec<Transfer> {
        self.rank.sent.iter().map(Transfer::from).collect()
    }

    /// The same facts as in the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.rank)
    }

    fn _repr_html_(&self) -> String {
        shown::html(self.document())
    }

    fn __str__(&self) -> String {
        shown::text(self.document())
    }

    fn __repr__(&self) -> String {
        format!(
            "Rank(name='{}', count={}, flops={}, parameters={})",
            self.rank.name, self.rank.count, self.rank.flops.total, self.rank.parameters
        )
    }
}

/// One of some ranks that do the same in a step of training.
#[pyclass(frozen, module = "flopmeter")]
pub struct StepRank {
    plan: ParallelismReport,
    rank: StepRankReport,
}

impl StepRank {
    /// Those of a plan, one of each kind.
    pub fn all((plan, ranks): &(Option<ParallelismReport>, Vec<StepRankReport>)) -> Vec<Self> {
        let Some(plan) = plan else { return Vec::new() };
        ranks.iter().map(|rank| Self { plan: plan.clone(), rank: rank.clone() }).collect()
    }

    fn document(&self) -> Document {
        let blocks = render::step_ranks(Some(&self.plan), std::slice::from_ref(&self.rank));
        Document { head: Vec::new(), blocks, notes: Vec::new() }
    }
}

#[pymethods]
impl StepRank {
    /// Which it is.
    #[getter]
    fn name(&self) -> &str {
        &self.rank.name
    }

    /// How many are like it.
    #[getter]
    fn count(&self) -> u64 {
        self.rank.count
    }

    /// Parameters that it holds.
    #[getter]
    fn parameters(&self) -> u128 {
        self.rank.parameters
    }

    /// FLOPs that it computes.
    #[getter]
    fn flops(&self) -> u128 {
        self.rank.flops.total
    }

    /// The same, and what it computes again.
    #[getter]
    fn executed(&self) -> u128 {
        self.rank.flops.executed
    }

    /// Bytes that it holds.
    #[getter]
    fn memory(&self) -> StepMemory {
        StepMemory::from(&self.rank.memory)
    }

    /// Whether the memory of a device holds what it has to, if that is known.
    #[getter]
    fn fits(&self) -> Option<bool> {
        self.rank.fits
    }

    /// What it sends, collective by collective.
    #[getter]
    fn sent(&self) -> Vec<Transfer> {
        self.rank.sent.iter().map(Transfer::from).collect()
    }

    /// The same facts as in the command's JSON.
    fn to_dict<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        shown::dict(py, &self.rank)
    }

    fn _repr_html_(&self) -> String {
        shown::html(self.document())
    }

    fn __str__(&self) -> String {
        shown::text(self.document())
    }

    fn __repr__(&self) -> String {
        format!(
            "StepRank(name='{}', count={}, flops={}, parameters={})",
            self.rank.name, self.rank.count, self.rank.flops.total, self.rank.parameters
        )
    }
}

/// Bytes that a rank holds in a step. What it is not known that an op keeps is None.
#[pyclass(frozen, eq, module = "flopmeter", get_all)]
#[derive(PartialEq, Eq)]
pub struct StepMemory {
    /// Of the weights.
    weights: u128,
    /// Of their gradients.
    gradients: u128,
    /// Of the optimizer's states.
    optimizer: u128,
    /// That the forward pass keeps for the backward pass.
    activations: Option<u128>,
    /// All of them.
    total: Option<u128>,
}

impl From<&StepMemoryReport> for StepMemory {
    fn from(report: &StepMemoryReport) -> Self {
        let &StepMemoryReport { weights, gradients, optimizer, activations, total } = report;
        Self { weights, gradients, optimizer, activations, total }
    }
}

#[pymethods]
impl StepMemory {
    fn __repr__(&self) -> String {
        format!(
            "StepMemory(weights={}, gradients={}, optimizer={}, activations={}, total={})",
            self.weights,
            self.gradients,
            self.optimizer,
            shown::known(self.activations),
            shown::known(self.total)
        )
    }
}

/// What a rank sends by a collective.
#[pyclass(frozen, eq, module = "flopmeter", get_all)]
#[derive(PartialEq)]
pub struct Transfer {
    /// The collective.
    collective: &'static str,
    /// What is sent.
    of: &'static str,
    /// Among how many ranks.
    ranks: u64,
    /// How many bytes.
    bytes: u128,
    /// How long the links of a device take for them, if they are known.
    seconds: Option<f64>,
}

impl From<&TransferReport> for Transfer {
    fn from(report: &TransferReport) -> Self {
        let &TransferReport { collective, of, ranks, seconds, .. } = report;
        Self { collective, of, ranks, bytes: report.bytes(), seconds }
    }
}

impl From<&StepTransferReport> for Transfer {
    fn from(report: &StepTransferReport) -> Self {
        let &StepTransferReport { collective, of, ranks, bytes, seconds } = report;
        Self { collective, of, ranks, bytes, seconds }
    }
}

#[pymethods]
impl Transfer {
    fn __repr__(&self) -> String {
        let seconds = shown::known(self.seconds);
        format!(
            "Transfer(collective='{}', of='{}', ranks={}, bytes={}, seconds={seconds})",
            self.collective, self.of, self.ranks, self.bytes
        )
    }
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Parallelism>()?;
    module.add_class::<Rank>()?;
    module.add_class::<StepRank>()?;
    module.add_class::<StepMemory>()?;
    module.add_class::<Transfer>()
}
