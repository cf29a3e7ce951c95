//! `--tp`, `--pp`, `--dp`, `--cp`, `--ep` → what each kind of rank does.

use crate::report::parallel::{ParallelismReport, RankReport, StepRankReport};
use flopmeter::device::Device;
use flopmeter::{Convention, Error, ErrorKind, Model, Parallelism, Result, Split, Step, Workload};

/// A model that is cut for a plan.
#[derive(Debug, Clone)]
pub struct Ranks {
    split: Split,
    devices: u64,
}

impl Ranks {
    /// Cuts a model.
    pub fn of(model: &Model, plan: &Parallelism, stages: &[u64], drafted: bool) -> Result<Self> {
        if drafted {
            let fact = "is not counted by ranks";
            return Err(Error::new(ErrorKind::Parallelism, "--draft", fact)
                .hint("leave the parallel sizes out, or the draft"));
        }
        let split = model.split_staged(plan, stages)?;
        Ok(Self { split, devices: devices(Some(plan), None)? })
    }

    /// How it is cut.
    pub fn plan(&self) -> &Parallelism {
        self.split.parallelism()
    }

    /// What a reader should know of them.
    pub fn notes(&self) -> Vec<String> {
        notes(&self.split, "a multiple of 64, as vLLM pads it")
    }

    /// Counts them, the device being what each is.
    pub fn report(
        &self,
        workload: &Workload,
        convention: &Convention,
        device: Option<&Device>,
    ) -> Result<(ParallelismReport, Vec<RankReport>)> {
        let ranks = self.split.ranks(workload, convention)?;
        let ranks: Vec<RankReport> =
            ranks.iter().map(|rank| RankReport::of(rank, device)).collect();
        let largest = match device.and_then(Device::memory_bytes) {
            Some(memory) => [
                self.split.largest_batch(workload, memory.into())?,
                self.split.largest_context(workload, memory.into())?,
            ],
            None => [None; 2],
        };
        Ok((ParallelismReport::of(&self.split, self.devices, &ranks, largest), ranks))
    }
}

/// A plan, and the layers of each stage where they are given: the number of stages follows them, if it is not `pipeline`.
/// Nothing if nothing is cut.
pub fn plan(
    sizes: Parallelism,
    pipeline: Option<u64>,
    stages: Vec<u64>,
) -> Option<(Parallelism, Vec<u64>)> {
    let stretches = sizes.virtual_stages.max(1);
    let follows = if stages.is_empty() { 1 } else { (stages.len() as u64).div_ceil(stretches) };
    let sizes = Parallelism { pipeline: pipeline.unwrap_or(follows), ..sizes };
    (sizes != Parallelism::NONE || !stages.is_empty()).then_some((sizes, stages))
}

/// Whether every rank's memory holds what it has to, `None` if it is not known of one.
pub(crate) fn all_fit(fits: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    fits.reduce(|all, next| Some(all? && next?)).flatten()
}

/// What a reader should know of a cut model.
fn notes(split: &Split, padded: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let padding = split.vocabulary_padding();
    if padding > 0 {
        notes.push(format!(
            "the vocabulary is padded by {padding} rows to {padded}; ranks compute them"
        ));
    }
    let replicated: Vec<String> = split.replicated().map(|it| format!("`{it}`")).collect();
    if !replicated.is_empty() {
        notes.push(format!(
            "tensor ranks have these whole, or several have the same of them: {}",
            replicated.join(", ")
        ));
    }
    if split.parallelism().expert > 1 {
        notes.push("tokens are taken to be routed evenly among the experts".into());
    }
    notes
}

/// What each kind of rank does in a step.
pub struct StepRanks {
    /// How the work is cut.
    pub plan: ParallelismReport,
    /// One of each kind.
    pub ranks: Vec<StepRankReport>,
    /// What a reader should know of them.
    pub notes: Vec<String>,
}

impl StepRanks {
    /// Cuts a model and counts it, the device being what each is.
    pub fn of(
        model: &Model,
        (plan, stages): (&Parallelism, &[u64]),
        (step, micro_batches): (&Step, u64),
        convention: &Convention,
        device: Option<&Device>,
    ) -> Result<Self> {
        let split = model.split_step_staged(plan, stages, step, convention)?;
        let ranks = split.ranks(step, micro_batches)?;
        let ranks: Vec<StepRankReport> =
            ranks.iter().map(|rank| StepRankReport::of(rank, device)).collect();
        let largest = match device.and_then(Device::memory_bytes) {
            Some(memory) => split.largest_batch(step, micro_batches, memory.into())?,
            None => None,
        };
        let multiple = format!("a multiple of 128·{}, as Megatron pads it", plan.tensor);
        let mut notes = notes(split.split(), &multiple);
        notes.push(
            "gradients are in 16 bits, and the optimizer is Adam with a copy of the weights in 32 bits: 12 bytes a parameter"
                .into(),
        );
        if ranks.iter().any(|rank| rank.memory.activations.is_none()) {
            notes.push(
                "it is not known what all ops of this model keep for the backward pass".into(),
            );
        }
        let devices = devices(Some(plan), None)?;
        let plan = ParallelismReport::of_step(&split, devices, &ranks, micro_batches, largest);
        Ok(Self { plan, ranks, notes })
    }
}

/// The number of devices of a plan, or the one that is given; both have to be the same.
pub fn devices(plan: Option<&Parallelism>, given: Option<u64>) -> Result<u64> {
    let Some(plan) = plan else { return Ok(given.unwrap_or(1)) };
    let product = plan.devices().ok_or_else(|| {
        Error::new(ErrorKind::Parallelism, "devices", "are more than 64 bits can number")
    })?;
    match given {
        Some(given) if given != product => {
            let fact = format!(
                "is {given}, and the plan takes {product}: {} data × {} context × {} tensor × {} pipeline",
                plan.data, plan.context, plan.tensor, plan.pipeline
            );
            Err(Error::new(ErrorKind::Parallelism, "--devices", fact)
                .hint("leave it out: it is the product"))
        }
        _ => Ok(product),
    }
}
