//! What a rank holds in a step of training, and what replicas exchange of it.

use super::exchange::{Collective, Transfer};
use super::kept::Kept;
use super::{Parallelism, Stage};
use crate::component::Component;
use crate::convention::Convention;
use crate::error::Result;
use crate::model::{Group, Model, too_large};
use crate::op::{Op, Table};
use crate::stack::Stack;
use crate::training::{Step, Training, learns};
use std::iter;

/// Bytes that a rank holds in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepMemory {
    /// Weights as stored.
    pub weights: u128,
    /// Gradients of what is trained, in 16 bits.
    pub gradients: u128,
    /// Adam's states in mixed precision: weights, momentum and variance in 32 bits each, 12 bytes a parameter
    /// (Rajbhandari et al., arXiv:1910.02054, section 3.1).
    pub optimizer: u128,
    /// What is kept for the backward pass, `None` where it is not known of an op. Of stages that are alike the first,
    /// which keeps the most.
    pub activations: Option<u128>,
}

impl StepMemory {
    /// All of it, `None` if activations are not known.
    pub fn total(&self) -> Option<u128> {
        let held = self.weights.checked_add(self.gradients)?.checked_add(self.optimizer)?;
        held.checked_add(self.activations?)
    }
}

/// What a stage's ranks train and keep.
#[derive(Debug, Clone)]
pub(super) struct Share {
    pub training: Training,
    /// Parameters of a rank that are trained: those of experts apart, for they have other replicas.
    trained: Parameters,
    weight_bytes: Parameters,
    kept: Option<Kept>,
    /// Parameters of a table that is here and on another stage as the head, or the other way round, and is trained.
    tied: u128,
    /// The first of the stages of this kind, from 0.
    first: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Parameters {
    dense: u128,
    experts: u128,
}

/// What a stage has to know of the others.
#[derive(Debug)]
pub(super) struct Ends {
    /// Width of what passes from layer to layer.
    hidden: u64,
    /// Whether there are other stages and the head is the embedding's table.
    tied: bool,
    /// Whether the last of several stages has the embedding's table, or the head that it is.
    both: bool,
}

impl Ends {
    pub fn of(model: &Model, plan: &Parallelism) -> Self {
        let tied = plan.pipeline > 1 && model.ops().any(|(op, _)| op.is_tied_head());
        let further = plan.pipeline > 1 && model.prediction_layers().is_some();
        Self { hidden: model.width(), tied, both: tied || further }
    }
}

impl Share {
    pub fn of(
        stage: &Stage,
        first: u64,
        (ends, plan): (&Ends, &Parallelism),
        step: &Step,
        convention: &Convention,
    ) -> Result<Self> {
        let model = &stage.model;
        let of_further = step.clone().of_further_layers(model);
        let further = model.prediction_layers().map(|(one, count)| (one, count, &of_further));
        let learns = learns(model, step);
        let [mut trained, mut bits] = [Parameters::default(); 2];
        let mut sums = || -> Option<()> {
            for (part, times, step) in iter::once((model, 1, step)).chain(further) {
                let learns = self::learns(part, step);
                for group in groups(part) {
                    let outside = group.layers.is_empty().then_some(None);
                    let layers = group.layers.iter().map(|layer| Some(*layer)).chain(outside);
                    let repeat = layers.clone().count() as u64;
                    for op in &group.ops {
                        bits.add(op, op.stored_bits(), repeat.checked_mul(times)?)?;
                        let learning = layers.clone().filter(|layer| learns(*layer, op)).count();
                        trained.add(op, op.parameters(), times.checked_mul(learning as u64)?)?;
                    }
                }
            }
            // The copy of the embedding that layers which predict further tokens look up.
            if let Some(table) = copied_table(model).filter(|_| ends.both && !ends.tied) {
                bits.add(&table, table.stored_bits(), 1)?;
                trained.add(&table, table.parameters(), u64::from(learns(None, &table)))?;
            }
            Some(())
        };
        sums().ok_or_else(too_large)?;
        let table = table(model, ends.hidden).filter(|op| ends.both && learns(None, op));
        let step = match model.prediction_layers() {
            Some(_) => step.clone(),
            None => step.clone().predicting_no_further(),
        };
        Ok(Self {
            training: model.part_training(&step, convention)?,
            trained,
            weight_bytes: Parameters {
                dense: bits.dense.div_ceil(8),
                experts: bits.experts.div_ceil(8),
            },
            kept: Kept::of(model, ends.hidden, plan, &step),
            tied: table.map_or(0, Op::parameters),
            first,
        })
    }

    pub fn memory(
        &self,
        plan: &Parallelism,
        step: &Step,
        micro_batches: u64,
    ) -> Option<StepMemory> {
        let sharded = |from: u64| if plan.zero >= from { replicas(plan) } else { [1, 1] };
        let bytes = |of: Parameters, each: u128| {
            Some(Parameters {
                dense: of.dense.checked_mul(each)?,
                experts: of.experts.checked_mul(each)?,
            })
        };
        let activations = match self.kept {
            Some(kept) => Some(self.activations(&kept, plan, step, micro_batches)?),
            None => None,
        };
        Some(StepMemory {
            weights: self.weight_bytes.sharded(sharded(3))?,
            gradients: bytes(self.trained, 2)?.sharded(sharded(2))?,
            optimizer: bytes(self.trained, 12)?.sharded(sharded(1))?,
            activations,
        })
    }

    /// Of the micro-batches that are under way at once on the first of these stages.
    fn activations(
        &self,
        kept: &Kept,
        plan: &Parallelism,
        step: &Step,
        micro_batches: u64,
    ) -> Option<u128> {
        let row = u128::from(step.row_tokens()?);
        let tokens = row / u128::from(plan.context);
        let rows = u128::from(step.rows() / micro_batches);
        let [under_way, of] = under_way(plan, self.first, micro_batches).map(u128::from);
        let layers = kept.token.checked_mul(tokens)?;
        let layers = layers.checked_add(kept.square.checked_mul(tokens.checked_mul(row)?)?)?;
        let layers = layers.checked_mul(rows)?.checked_mul(under_way)?.div_ceil(of);
        layers.checked_add(kept.outside.checked_mul(tokens)?.checked_mul(rows)?)
    }

    /// What replicas exchange of gradients and weights (Rajbhandari et al., arXiv:1910.02054, section 7): all gradients are
    /// added up; or a part of them each, and the weights gathered that come of it; or weights gathered forward and
    /// backward, and gradients added up, for each micro-batch.
    pub fn exchange(
        &self,
        plan: &Parallelism,
        micro_batches: u64,
        sent: &mut Vec<Transfer>,
    ) -> Option<()> {
        let [dense, experts] = replicas(plan);
        let kinds = [
            (dense, self.trained.dense, self.weight_bytes.dense, ["gradients", "weights"]),
            (
                experts,
                self.trained.experts,
                self.weight_bytes.experts,
                ["gradients of experts", "weights of experts"],
            ),
        ];
        for (ranks, trained, weights, [gradients, gathered]) in kinds {
            let changed = trained.checked_mul(2)?;
            let times = u128::from(micro_batches);
            let by = match plan.zero {
                0 => [
                    (Collective::AllReduce, gradients, changed),
                    (Collective::AllGather, gathered, 0),
                ],
                1 | 2 => [
                    (Collective::ReduceScatter, gradients, changed),
                    (Collective::AllGather, gathered, changed),
                ],
                _ => [
                    (Collective::ReduceScatter, gradients, changed.checked_mul(times)?),
                    (Collective::AllGather, gathered, weights.checked_mul(2 * times)?),
                ],
            };
            for (collective, of, bytes) in by {
                let bytes = collective.sent(bytes, ranks)?;
                if bytes > 0 {
                    sent.push(Transfer { collective, of, ranks, sent: [bytes, 0] });
                }
            }
        }
        if self.tied > 0 {
            let (collective, of) = (Collective::AllReduce, "gradients of the tied table");
            let bytes = collective.sent(self.tied.checked_mul(2)?, 2)?;
            sent.push(Transfer { collective, of, ranks: 2, sent: [bytes, 0] });
        }
        Some(())
    }
}

impl Parameters {
    fn add(&mut self, op: &Op, count: u128, repeat: u64) -> Option<()> {
        let routed = matches!(op, Op::Linear(op) if op.experts.is_some());
        let sum = if routed { &mut self.experts } else { &mut self.dense };
        *sum = sum.checked_add(count.checked_mul(repeat.into())?)?;
        Some(())
    }

    /// A rank's part where replicas have one each, rounded up.
    fn sharded(self, [dense, experts]: [u64; 2]) -> Option<u128> {
        let dense = self.dense.div_ceil(dense.into());
        dense.checked_add(self.experts.div_ceil(experts.into()))
    }
}

/// Ranks that have the same dense weights, and the same experts.
fn replicas(plan: &Parallelism) -> [u64; 2] {
    [plan.data * plan.context, plan.ranks() / (plan.expert * plan.expert_tensor())]
}

/// Groups of a stage, those of what reads for it included.
fn groups(model: &Model) -> impl Iterator<Item = &Group> {
    model.stacks().iter().flat_map(Stack::groups).chain(model.groups())
}

/// The embedding's table of a stage, or its head, whose rows are those of the padded vocabulary either way.
fn table(model: &Model, hidden: u64) -> Option<&Op> {
    let outside = model.groups().iter().filter(|group| group.layers.is_empty());
    outside.flat_map(|group| &group.ops).find(|op| match op {
        Op::Table(op) => op.width == hidden,
        Op::Linear(op) => op.component == Component::Head && op.from == hidden,
        _ => false,
    })
}

/// The table that layers which predict further tokens share, as one of their own.
fn copied_table(model: &Model) -> Option<Op> {
    let (one, _) = model.prediction_layers()?;
    one.groups().iter().flat_map(|group| &group.ops).find_map(|op| match op {
        Op::Table(table) => Some(Op::Table(Table { shared: false, ..table.clone() })),
        _ => None,
    })
}

/// Micro-batches whose activations a stage keeps at once, a numerator and a denominator: of one that runs forward and
/// backward by turns as many as there are stages from it on; of interleaved ones Megatron's warm-up and one more.
fn under_way(plan: &Parallelism, stage: u64, micro_batches: u64) -> [u64; 2] {
    let Parallelism { pipeline, virtual_stages, .. } = *plan;
    let after = pipeline - 1 - stage.min(pipeline - 1);
    if virtual_stages == 1 {
        return [(after + 1).min(micro_batches), 1];
    }
    let chunks = 2 * after + (virtual_stages - 1) * pipeline + 1;
    [chunks.min(micro_batches.saturating_mul(virtual_stages)), virtual_stages]
}
