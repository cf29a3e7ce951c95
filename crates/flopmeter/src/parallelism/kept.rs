//! Activations that a layer keeps from its forward pass for its backward pass.
//!
//! Told from the ops, in 16-bit elements, and of a GPT what Korthikanti et al. print (arXiv:2205.05198, section 4): a layer
//! keeps `s·b·h·34 + 5·a·s²·b` bytes.
//!
//! ```text
//! a norm          its input                                  2 bytes an element
//! a product       its input, once for products that share it 2
//! attention       queries, keys and values                   2
//!                 probabilities s·s of each head             2, and with dropout its mask and result: 1 + 2
//! feed-forward    what goes into its activation function     2
//! dropout         a mask after attention and after the feed-forward layer, 1 byte an element each
//! the head        its input, and logits in 32 bits           2, 4
//! ```
//!
//! Flash attention keeps no probabilities, but a 32-bit sum for each query and head; selective recomputation neither.
//! Norms narrower than a layer and routers' probabilities are left out.

use super::Parallelism;
use crate::component::Component;
use crate::model::Model;
use crate::op::{Attention, Latent, Linear, Op};
use crate::training::{Recompute, Step};

/// Bytes that are kept, by what they grow with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Of layers, a token.
    pub token: u128,
    /// Of layers, a pair of positions of a row.
    pub square: u128,
    /// Of what stands outside the layers, a token.
    pub outside: u128,
}

impl Kept {
    /// What a rank keeps whose layers pass on `hidden` elements a token, `None` where it is not known of an op what it keeps.
    pub fn of(model: &Model, hidden: u64, plan: &Parallelism, step: &Step) -> Option<Self> {
        if !model.stacks().is_empty() {
            return None;
        }
        let mut kept = Self::default();
        // With the tokens shared out, what is not cut otherwise is.
        let shared_by = if plan.sequence { u128::from(plan.tensor) } else { 1 };
        for group in model.groups() {
            if group.layers.is_empty() {
                if step.drops_out() && group.ops.iter().any(|op| matches!(op, Op::Table(_))) {
                    kept.outside += u128::from(hidden) / shared_by;
                }
                for op in &group.ops {
                    kept.outside += outside(op, hidden, shared_by);
                }
                continue;
            }
            if group.ops.is_empty() {
                continue;
            }
            let layer = Layer::of(&group.ops, hidden, shared_by, step)?;
            let whole = 2 * u128::from(hidden) / shared_by;
            let again = match step.recompute() {
                Recompute::Full => group.repeat,
                Recompute::Layers(count) => {
                    group.layers.iter().filter(|layer| **layer < count).count() as u64
                }
                Recompute::Nothing | Recompute::Selective => 0,
            };
            let (again, once) = (u128::from(again), u128::from(group.repeat - again));
            kept.token += once * layer.token + again * whole;
            kept.square += once * layer.square;
        }
        if let Some((one, count)) = model.prediction_layers() {
            let (of_one, count) = (Self::of(one, hidden, plan, step)?, u128::from(count));
            kept.token += count * of_one.token;
            kept.square += count * of_one.square;
            kept.outside += count * of_one.outside;
        }
        Some(kept)
    }
}

/// What one layer keeps.
struct Layer {
    token: u128,
    square: u128,
}

impl Layer {
    fn of(ops: &[Op], hidden: u64, shared_by: u128, step: &Step) -> Option<Self> {
        let (width, dropout) = (u128::from(hidden), step.drops_out());
        let mut layer = Self { token: 0, square: 0 };
        // Inputs that products share are kept once.
        let mut read: Vec<(u64, bool)> = Vec::new();
        let mut attended = false;
        for op in ops {
            match op {
                Op::Linear(linear) => {
                    let rows = rows(linear);
                    let this = (linear.from, linear.experts.is_some());
                    let feeds = [Component::Mlp, Component::MoeShared, Component::MoeExperts]
                        .contains(&linear.component);
                    let after_attention =
                        attended && linear.component == Component::AttentionProjections;
                    let ends = linear.to == hidden && (feeds || after_attention);
                    if ends || !read.contains(&this) {
                        let shared_by = if ends || this != (hidden, false) { 1 } else { shared_by };
                        layer.token += 2 * times(rows, linear.from) / shared_by;
                    }
                    if ends {
                        // Experts that every token runs through are added to those that it is routed to.
                        let masked = dropout && linear.component != Component::MoeShared;
                        layer.token += if masked { width / shared_by } else { 0 };
                        attended = false;
                        continue;
                    }
                    read.push(this);
                    if feeds && linear.to > 1 {
                        layer.token += 2 * times(rows, linear.to);
                    }
                }
                Op::Attention(Attention { heads, kv_heads, qk_dim, v_dim, .. }) => {
                    let queries = u128::from(*heads) * u128::from(*qk_dim);
                    let others = u128::from(*kv_heads) * u128::from(qk_dim + v_dim);
                    layer.attend(*heads, queries + others, step);
                    attended = true;
                }
                Op::Latent(Latent { heads, rank, nope, rope, value, .. }) => {
                    let of_heads = u128::from(*heads) * u128::from(2 * (nope + rope) + value);
                    layer.token += 2 * u128::from(*rank);
                    layer.attend(*heads, of_heads, step);
                    attended = true;
                }
                // A norm of the width, with a bias or without.
                Op::Vector(op) if !op.buffer && [hidden, 2 * hidden].contains(&op.elements) => {
                    layer.token += 2 * width / shared_by;
                    read.clear();
                }
                Op::Vector(_) => {}
                _ => return None,
            }
        }
        Some(layer)
    }

    fn attend(&mut self, heads: u64, elements: u128, step: &Step) {
        self.token += 2 * elements;
        if step.recomputes_scores() {
            self.token += 4 * u128::from(heads);
        } else if step.recompute() != Recompute::Selective {
            self.square += u128::from(heads) * if step.drops_out() { 5 } else { 2 };
        }
    }
}

/// Rows of a product for each token of the replica: a numerator and a denominator.
fn rows(linear: &Linear) -> (u64, u64) {
    linear.experts.map_or((1, 1), |experts| (experts.active, experts.spread.shared_by))
}

fn times((rows, of): (u64, u64), width: u64) -> u128 {
    (u128::from(rows) * u128::from(width)).div_ceil(u128::from(of))
}

fn outside(op: &Op, hidden: u64, shared_by: u128) -> u128 {
    let width = u128::from(hidden) / shared_by;
    match op {
        Op::Vector(op) if [hidden, 2 * hidden].contains(&op.elements) => 2 * width,
        Op::Linear(op) if op.component == Component::Head => 2 * width + 4 * u128::from(op.to),
        Op::Linear(op) if op.component == Component::EmbeddingProjections => {
            2 * u128::from(op.from)
        }
        _ => 0,
    }
}
