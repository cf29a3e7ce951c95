//! What the command says of a step of training, as values.

use super::parallel::{ParallelismReport, StepRankReport};
use super::{AdapterReport, DeviceReport, ModelReport, by_name};
use flopmeter::{Component, Counts, Frozen, Recompute, Step, TrainingFlops};
use serde::Serialize;

/// The JSON of `train`.
#[derive(Debug, Serialize)]
pub struct TrainingReport {
    pub model: ModelReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterReport>,
    pub step: StepReport,
    pub convention: &'static str,
    pub flops: StepFlopsReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilization: Option<StepUtilizationReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<ParallelismReport>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<StepRankReport>,
    pub notes: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct StepReport {
    /// Null where a row holds several documents.
    pub sequence: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packed: Vec<DocumentsReport>,
    pub batch: u64,
    pub accumulate: u64,
    pub tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    pub frozen: String,
    pub recompute: String,
    pub flash: bool,
    pub mtp: bool,
    pub reference_forwards: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutReport>,
}

#[derive(Debug, Serialize)]
pub struct DocumentsReport {
    pub tokens: u64,
    pub count: u64,
}

#[derive(Debug, Serialize)]
pub struct RolloutReport {
    pub prompt: u64,
    pub generate: u64,
}

#[derive(Debug, Serialize)]
pub struct StepFlopsReport {
    pub total: u128,
    pub forward: u128,
    pub input_gradients: u128,
    pub weight_gradients: u128,
    pub without_gradient: u128,
    pub recomputed: u128,
    pub executed: u128,
    pub per_token: f64,
    #[serde(serialize_with = "by_name")]
    pub components: Vec<(Component, u128)>,
    /// By component: forward, the gradients of inputs and of weights.
    #[serde(skip)]
    pub passes: [Counts; 3],
}

/// Ratios are fractions.
#[derive(Debug, Serialize)]
pub struct StepUtilizationReport {
    pub mfu: f64,
    pub hfu: f64,
    pub seconds: f64,
    pub tokens_per_second: f64,
    pub tokens_per_second_per_device: f64,
    pub flops_per_second_per_device: f64,
}

impl StepReport {
    pub fn of(step: &Step, accumulate: u64, tokens: u64) -> Self {
        let documents = step.documents();
        let one = match documents {
            [(length, 1)] => Some(*length),
            _ => None,
        };
        let each = documents.iter().map(|&(tokens, count)| DocumentsReport { tokens, count });
        Self {
            sequence: one,
            packed: if one.is_some() { Vec::new() } else { each.collect() },
            batch: step.rows() / accumulate.max(1),
            accumulate,
            tokens,
            target: step.target(),
            frozen: match step.frozen() {
                Frozen::Nothing => "nothing".into(),
                Frozen::Base => "base".into(),
                Frozen::Below(layers) => format!("embedding and {layers} layers"),
            },
            recompute: recomputed(step.recompute()),
            flash: step.recomputes_scores(),
            mtp: step.predicts_further(),
            reference_forwards: step.reference_forwards(),
            rollout: step
                .rollout_lengths()
                .map(|(prompt, generate)| RolloutReport { prompt, generate }),
        }
    }
}

/// What is computed again, as `--recompute` takes it.
pub fn recomputed(recompute: Recompute) -> String {
    match recompute {
        Recompute::Nothing => "none".into(),
        Recompute::Selective => "selective".into(),
        Recompute::Full => "full".into(),
        Recompute::Layers(layers) => layers.to_string(),
    }
}

impl StepFlopsReport {
    pub fn of(flops: &TrainingFlops, components: &[Component], tokens: u64) -> Self {
        // Parts of a total that fits.
        let sum = |counts: &Counts| counts.total().unwrap_or(flops.executed);
        Self {
            total: flops.total,
            forward: sum(&flops.forward),
            input_gradients: sum(&flops.input_gradients),
            weight_gradients: sum(&flops.weight_gradients),
            without_gradient: sum(&flops.without_gradient),
            recomputed: sum(&flops.recomputed),
            executed: flops.executed,
            per_token: flops.total as f64 / tokens as f64,
            components: components
                .iter()
                .map(|component| (*component, flops.components()[*component]))
                .collect(),
            passes: [flops.forward, flops.input_gradients, flops.weight_gradients],
        }
    }
}

impl StepUtilizationReport {
    /// Why a ratio may be above 1, if one is. It is shown as it is.
    pub fn above_one(&self) -> Option<String> {
        (self.mfu > 1.0 || self.hfu > 1.0).then(|| {
            "a ratio above 1 means that the step was not timed whole (batch, accumulation), the device is another, or \
             the work ran in a narrower dtype than the one whose peak was taken"
                .into()
        })
    }
}
