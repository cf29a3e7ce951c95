//! The parts of a model that a backward pass multiplies once more, each a model of its own that counts itself.

use super::step::{Frozen, Recompute, Step};
use crate::component::{Component, Counts};
use crate::convention::Rule;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Attention, Convolution, Linear, Op, Pieces, Recurrent, RecurrentKind, Rows};
use crate::stack::Reads;
use crate::workload::{Phase, Workload};
use std::collections::BTreeSet;

/// Parts of a model, by what the backward pass does with them.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// Products with weights whose inputs need a gradient.
    pub inputs: Model,
    /// Products of two inputs, both of which need a gradient.
    pub both: Model,
    /// Recurrences, where the reference implementation's backward pass is counted.
    pub recurrences: Vec<(RecurrentKind, u64)>,
    /// Products with weights that are trained.
    pub weights: Model,
    /// Layers that are computed again whole.
    pub recomputed: Option<Model>,
    /// Attention that is computed again without what is around it.
    pub attention: Option<Model>,
    /// Products of queries with keys.
    pub scores: Option<Model>,
}

impl Parts {
    pub fn of(model: &Model, step: &Step, rule: Rule) -> Result<Self> {
        let first = match step.frozen() {
            Frozen::Below(lowest) => reads_what_is_frozen(model, lowest),
            Frozen::Nothing | Frozen::Base => BTreeSet::new(),
        };
        let by_reference = rule == Rule::ByReference;
        let learns = learns(model, step);
        let heard = heard(model);
        let passes_on = |layer: Option<u64>, op: &Op| match step.frozen() {
            _ if chooses(op) || heard == Some(op.module()) => false,
            Frozen::Nothing | Frozen::Base => true,
            Frozen::Below(lowest) => layer.is_none_or(|layer| {
                layer > lowest || (layer == lowest && !first.contains(op.module()))
            }),
        };
        let lowest = match step.frozen() {
            Frozen::Below(lowest) => lowest,
            Frozen::Nothing | Frozen::Base => 0,
        };
        let recomputed_below = match step.recompute() {
            Recompute::Layers(count) => count,
            _ => 0,
        };
        let bounds = [lowest, lowest.saturating_add(1), recomputed_below];
        let part = |keep: &dyn Fn(Option<u64>, &Op) -> Option<Op>| model.part(&bounds, keep);
        let when = |condition: bool, op: &Op| condition.then(|| op.clone());
        let recomputed = match step.recompute() {
            Recompute::Nothing | Recompute::Selective => None,
            Recompute::Full => Some(part(&|layer, op| when(layer.is_some(), op))?),
            Recompute::Layers(count) => {
                Some(part(&|layer, op| when(layer.is_some_and(|layer| layer < count), op))?)
            }
        };
        let both = part(&|layer, op| when(!has_weights(op) && passes_on(layer, op), op))?;
        Ok(Self {
            inputs: part(&|layer, op| {
                let op = when(has_weights(op) && passes_on(layer, op), op)?;
                Some(if by_reference { without_nothing_before(op) } else { op })
            })?,
            recurrences: if by_reference { both.sums.recurrences.clone() } else { Vec::new() },
            both: if by_reference { both.part(&[], |_, op| when(!recurs(op), op))? } else { both },
            weights: part(&|layer, op| {
                let op = when(has_weights(op) && learns(layer, op), op)?;
                Some(if by_reference { with_groups_as_one(op) } else { op })
            })?,
            recomputed,
            attention: match step.recompute() {
                Recompute::Selective => Some(part(&|_, op| when(attends(op), op))?),
                _ => None,
            },
            scores: match step.recomputes_scores() {
                // Only where a gradient passes does a backward pass run.
                true => Some(part(&|layer, op| {
                    when(attends(op) && passes_on(layer, op), op).map(without_values)
                })?),
                false => None,
            },
        })
    }
}

impl Parts {
    /// Gradients of the inputs of recurrences, as the reference implementation computes them.
    pub fn recurrences(&self, workload: &Workload) -> Option<Counts> {
        let mut counts = Counts::default();
        for sequence in workload.sequences() {
            let passes = workload.passes(sequence, Phase::Prefill);
            for (kind, repeat) in &self.recurrences {
                let flops = kind.gradients_by_reference(passes)?.checked_mul((*repeat).into())?;
                let flops = flops.checked_mul(sequence.count.into())?;
                counts[Component::Recurrent] = counts[Component::Recurrent].checked_add(flops)?;
            }
        }
        Some(counts)
    }
}

/// Whether an op's parameters are trained in a step, by its layer.
pub(crate) fn learns(model: &Model, step: &Step) -> impl Fn(Option<u64>, &Op) -> bool + use<> {
    // Modules that an adapter's file has whole, and that are trained beside it.
    let copies: BTreeSet<&str> = model.ops().filter_map(|(op, _)| copied(op)).collect();
    // Layers that predict further tokens look a token up in the model's table, and project it on their own.
    let borrows = model.ops().any(|(op, _)| matches!(op, Op::Table(table) if table.shared));
    let frozen = step.frozen();
    move |layer, op| match frozen {
        _ if chooses(op) => false,
        Frozen::Nothing => true,
        // What stands outside and is no layer is the embedding before them, or the head after them.
        Frozen::Below(lowest) => {
            layer.map_or_else(|| !embeds(op, borrows), |layer| layer >= lowest)
        }
        Frozen::Base => is_adapter(op) || copies.contains(op.module()),
    }
}

/// What the reference implementation does otherwise than the counts here: in models of a type that have such an op, and why.
pub(super) struct Unlike {
    model_type: &'static str,
    with: fn(&Op) -> bool,
    pub why: &'static str,
}

impl Unlike {
    pub fn is(&self, model: &Model) -> bool {
        self.model_type == model.model_type() && model.ops().any(|(op, _)| (self.with)(op))
    }
}

const fn unlike(model_type: &'static str, with: fn(&Op) -> bool, why: &'static str) -> Unlike {
    Unlike { model_type, with, why }
}

const ANY: fn(&Op) -> bool = |_| true;
const IN_PART: &str = "layers that read another's keys and values are computed again in part";
const TWICE: &str = "what a hybrid layer is made of is computed again twice";
const GROUPS: &str = "the counter takes its grouped convolutions' weights for those of one group";
const POOLED: &str = "what it pools of the text is read by nothing, and has no gradient";
const NO_KERNEL: &str = "autograd cannot run it without its kernel";

/// Whose layers it does not compute again one by one.
pub(super) const RECOMPUTED_UNLIKE: [Unlike; 4] = [
    unlike("gemma4_text", ANY, IN_PART),
    unlike("gemma4_unified_text", ANY, IN_PART),
    unlike("zamba", ANY, TWICE),
    unlike("zamba2", ANY, TWICE),
];

/// Whose backward pass is unlike twice the forward pass.
pub(super) const UNLIKE: [Unlike; 12] = [
    unlike("big_bird", leaves_pooled, POOLED),
    unlike("convbert", ANY, GROUPS),
    unlike("deberta-v2", ANY, GROUPS),
    unlike("deepseek_v4", ANY, "some of its compressed entries have no gradient"),
    unlike("hrm_text", ANY, "all but the last of its cycles run without a gradient"),
    unlike("layoutlm", labels_tokens, POOLED),
    unlike("longt5", sums_up, "its sums of tokens are products with what has no gradient"),
    unlike("minimax", ANY, "the first block of its attention has a state that is no input"),
    unlike(
        "pegasus_x",
        ANY,
        "what its last layer makes of the vectors beside the text is read by nothing, and has no gradient",
    ),
    unlike("rwkv", ANY, NO_KERNEL),
    unlike("squeezebert", ANY, GROUPS),
    unlike("xlstm", ANY, NO_KERNEL),
];

/// Whether it is a head over every token.
fn labels_tokens(op: &Op) -> bool {
    matches!(op, Op::Linear(op) if op.component == Component::Head && op.rows == Rows::All)
}

/// Whether it is a head that takes no pooled vector.
fn leaves_pooled(op: &Op) -> bool {
    labels_tokens(op) || op.module() == "classifier.out_proj"
}

/// Whether it attends to sums of tokens.
fn sums_up(op: &Op) -> bool {
    let Op::Local(op) = op else { return false };
    matches!(op.pieces, Pieces::Neighbours { summaries: Some(_), .. })
}

/// Modules of the lowest layer that is trained, whose inputs nothing that is trained has touched: those before its first
/// norm, which is trained, and before its attention.
fn reads_what_is_frozen(model: &Model, lowest: u64) -> BTreeSet<&'static str> {
    let layer = model.groups().iter().find(|group| group.layers.contains(&lowest));
    let ops = layer.into_iter().flat_map(|group| &group.ops);
    ops.take_while(|op| matches!(op, Op::Linear(_))).map(Op::module).collect()
}

/// The module that multiplies sound itself, which needs no gradient.
fn heard(model: &Model) -> Option<&'static str> {
    let first = model.stacks.first().filter(|stack| matches!(stack.reads(), Reads::Window(_)))?;
    let op = first.groups().iter().flat_map(|group| &group.ops).next();
    op.filter(|op| matches!(op, Op::Linear(_))).map(Op::module)
}

/// Whether it multiplies with weights. Latent attention does both: what expands it is its weights'.
fn has_weights(op: &Op) -> bool {
    match op {
        Op::Linear(_) | Op::Latent(_) => true,
        Op::Recurrent(op) => {
            matches!(op.kind, RecurrentKind::Convolution(_) | RecurrentKind::Delayed { .. })
        }
        Op::Idle(op) => has_weights(op),
        Op::Attention(_)
        | Op::Cross(_)
        | Op::DistanceScores(_)
        | Op::Indexer(_)
        | Op::Local(_)
        | Op::Product(_)
        | Op::Table(_)
        | Op::Vector(_) => false,
    }
}

/// Whether it is a recurrence.
fn recurs(op: &Op) -> bool {
    matches!(op, Op::Recurrent(_))
}

/// Whether it is attention over keys and values.
fn attends(op: &Op) -> bool {
    match op {
        Op::Attention(_) | Op::Cross(_) | Op::Latent(_) | Op::Local(_) => true,
        Op::Idle(op) => attends(op),
        _ => false,
    }
}

/// Whether all it does is choose keys: a choice has no gradient.
fn chooses(op: &Op) -> bool {
    op.module().split('.').any(|part| part == "indexer")
}

/// Whether it is a table, a head that is one, or what projects a vector of one that is not borrowed.
fn embeds(op: &Op, borrows: bool) -> bool {
    match op {
        Op::Table(_) => true,
        Op::Linear(op) => {
            op.shared_weights || (!borrows && op.component == Component::EmbeddingProjections)
        }
        _ => false,
    }
}

/// Whether an adapter brought it.
pub(super) fn is_adapter(op: &Op) -> bool {
    matches!(op, Op::Linear(op) if op.component == Component::Adapter)
}

/// The module that this is a trained copy of.
fn copied(op: &Op) -> Option<&'static str> {
    match op {
        Op::Idle(op) => Some(op.module()),
        _ => None,
    }
}

/// A delayed projection whose first input, nothing, needs no gradient.
fn without_nothing_before(op: Op) -> Op {
    match op {
        Op::Recurrent(Recurrent {
            module, kind: RecurrentKind::Delayed { from, to, .. }, ..
        }) => Linear::new(module, Component::Recurrent, from, to).into(),
        other => other,
    }
}

/// Attention that multiplies queries with keys alone. Of a latent one the values are left in.
fn without_values(op: Op) -> Op {
    match op {
        Op::Attention(op) => Op::Attention(Attention { v_dim: 0, ..op }),
        Op::Cross(op) => Op::Cross(Attention { v_dim: 0, ..op }),
        Op::Idle(op) => Op::Idle(Box::new(without_values(*op))),
        other => other,
    }
}

/// A convolution whose channels are all of one group: the counter's formula for the gradient of its weights knows no
/// groups, and multiplies every channel with every other.
fn with_groups_as_one(mut op: Op) -> Op {
    if let Op::Recurrent(recurrent) = &mut op
        && let RecurrentKind::Convolution(convolution) = recurrent.kind
    {
        let dense = Convolution { group: convolution.channels, ..convolution };
        recurrent.kind = RecurrentKind::Convolution(dense);
    }
    op
}
