//! The few sizes of a model that published formulas are made of.

use crate::component::{Component, Counts};
use crate::error::Result;
use crate::model::{Group, Model, Parameters, layer_count, too_large};
use crate::op::{Linear, Op, Recurrent, RecurrentKind, Rows};
use crate::passes::Mask;

/// Sizes of a model's decoder, or of an encoder that is the whole of it, summed over its layers where formulas sum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub layers: u128,
    /// Width of what passes from layer to layer.
    pub hidden: u128,
    /// Tokens that the head tells apart, 0 without a head.
    pub vocabulary: u128,
    /// Parameters of all of the model, towers included.
    pub parameters: u128,
    /// The size that its name states.
    pub nominal: u128,
    /// Parameters without towers.
    pub own_parameters: u128,
    /// Parameters of the token table, which a tied head shares.
    pub token_table: u128,
    /// Parameters of tables of positions and the like.
    pub other_tables: u128,
    /// Whether the head is the token table.
    pub tied: bool,
    /// Elements of the matrices that a token passes, by component.
    pub matrices: Counts,
    /// Parameters of experts that a token is not routed to.
    pub idle_experts: u128,
    /// Parameters of norms, biases and the like.
    pub vectors: u128,
    /// Those of the norms of compressed queries and latents.
    pub latent_norms: u128,
    /// Parameters of states and convolutions.
    pub recurrent: u128,
    /// Layers that keep a state instead of a cache; of them those of Mamba-2, and gated delta nets.
    pub recurrences: u128,
    pub dual: u128,
    pub delta: u128,
    /// FLOPs of a token in recurrent layers by Megatron's formula, and by NeMo's.
    pub squares: u128,
    pub read_out: u128,
    /// Of the gates of shared experts, elements.
    pub shared_gates: u128,
    /// Elements of dense feed-forward matrices that lead back to the model's width, and of those that lead from it.
    pub down: u128,
    pub up: u128,
    /// Attention, equal layers together.
    pub attention: Vec<AttentionShape>,
    /// Whether any layer attends in a way that no formula speaks of: to a source, by distances, by an indexer's choice.
    pub attends_otherwise: bool,
}

/// Attention of some equal layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    pub layers: u128,
    pub heads: u128,
    pub kv_heads: u128,
    /// Width of a query and of a key.
    pub query: u128,
    pub value: u128,
    pub mask: Mask,
    pub latent: bool,
}

impl Shape {
    pub fn of(model: &Model) -> Result<Self> {
        let Parameters { total, .. } = model.parameters();
        let mut shape = Self {
            layers: layer_count(model.groups()).into(),
            hidden: model.width().into(),
            vocabulary: model.vocabulary().unwrap_or(0).into(),
            parameters: total,
            nominal: model.nominal_parameters(),
            ..Self::default()
        };
        for Group { repeat, ops, .. } in model.groups() {
            for op in ops {
                shape.add(op, (*repeat).into()).ok_or_else(too_large)?;
            }
            shape.add_recurrence(ops, (*repeat).into()).ok_or_else(too_large)?;
        }
        Ok(shape)
    }

    fn add(&mut self, op: &Op, repeat: u128) -> Option<()> {
        let parameters = op.parameters().checked_mul(repeat)?;
        add_to(&mut self.own_parameters, parameters)?;
        match op {
            // The tokens' comes first.
            Op::Table(_) if self.token_table == 0 => add_to(&mut self.token_table, parameters)?,
            Op::Table(_) => add_to(&mut self.other_tables, parameters)?,
            Op::Linear(linear) => self.add_linear(linear, repeat)?,
            Op::Attention(op) => self.attention.push(AttentionShape {
                layers: repeat,
                heads: op.heads.into(),
                kv_heads: op.kv_heads.into(),
                query: op.qk_dim.into(),
                value: op.v_dim.into(),
                mask: op.mask,
                latent: false,
            }),
            Op::Latent(op) => {
                let passed = (op.expansion_flops_per_token() / 2).checked_mul(repeat)?;
                add_to(&mut self.matrices[Component::AttentionProjections], passed)?;
                self.attention.push(AttentionShape {
                    layers: repeat,
                    heads: op.heads.into(),
                    kv_heads: op.heads.into(),
                    query: u128::from(op.nope) + u128::from(op.rope),
                    value: op.value.into(),
                    mask: op.mask,
                    latent: true,
                });
            }
            Op::Recurrent(_) => {
                add_to(&mut self.recurrent, parameters)?;
            }
            Op::Vector(vector) => {
                add_to(&mut self.vectors, parameters)?;
                if vector.module.contains("_a_layernorm") {
                    add_to(&mut self.latent_norms, parameters)?;
                }
            }
            Op::Cross(_) | Op::DistanceScores(_) | Op::Indexer(_) | Op::Local(_) => {
                self.attends_otherwise = true;
            }
            Op::Product(_) | Op::Idle(_) => {}
        }
        Some(())
    }

    /// What formulas say of a layer that keeps a state.
    ///
    /// ```text
    /// Megatron   Mamba-2    2·h·(2·D + 2·g·n + H) + 7·D·n + 2·D·h, D = 2·h; no convolution
    ///            delta net  2·(projections + convolution) + 8·H·v²
    /// NeMo       Mamba-2    2·projections + 2·H·p·n
    /// ```
    fn add_recurrence(&mut self, ops: &[Op], repeat: u128) -> Option<()> {
        let (mut projections, mut convolved) = (0_u128, 0_u128);
        let mut kinds = Vec::new();
        for op in ops {
            match op {
                Op::Linear(op) if op.component == Component::Recurrent => {
                    add_to(&mut projections, op.flops_per_row())?;
                }
                Op::Recurrent(Recurrent { kind: kind @ RecurrentKind::Convolution(_), .. }) => {
                    add_to(&mut convolved, kind.flops_per_token()?)?;
                }
                Op::Recurrent(op) => kinds.push(op.kind),
                _ => {}
            }
        }
        if kinds.is_empty() && convolved == 0 {
            return Some(());
        }
        add_to(&mut self.recurrences, repeat)?;
        let hidden = self.hidden;
        match *kinds {
            [RecurrentKind::Dual { heads, head, state, .. }] => {
                let (inner, state) = (u128::from(heads) * u128::from(head), u128::from(state));
                // Twice the model's width for its own inner width, in what leads there, the gate, and back.
                let wide = projections.checked_add(2 * 3 * hidden * 2 * hidden)?;
                let squares = wide.checked_sub(2 * 3 * hidden * inner)?;
                let squares = squares.checked_add(7 * 2 * hidden * state)?;
                add_to(&mut self.dual, repeat)?;
                add_to(&mut self.squares, squares.checked_mul(repeat)?)?;
                let read_out = projections.checked_add(2 * inner * state)?;
                add_to(&mut self.read_out, read_out.checked_mul(repeat)?)
            }
            [RecurrentKind::Delta { heads, value, by_channel: false, .. }] => {
                let squares = 8 * u128::from(heads) * u128::from(value) * u128::from(value);
                let squares = squares.checked_add(projections)?.checked_add(convolved)?;
                add_to(&mut self.delta, repeat)?;
                add_to(&mut self.squares, squares.checked_mul(repeat)?)
            }
            _ => Some(()),
        }
    }

    fn add_linear(&mut self, linear: &Linear, repeat: u128) -> Option<()> {
        self.tied |= linear.shared_weights && linear.rows == Rows::Sampled;
        let passed = (linear.flops_per_row() / 2).checked_mul(repeat)?;
        add_to(&mut self.matrices[linear.component], passed)?;
        let idle = linear.parameters().checked_sub(linear.active_parameters())?;
        let copies = linear.experts.map_or(1, |experts| experts.active);
        let biases = u128::from(linear.bias).checked_mul(copies.into())?;
        add_to(&mut self.idle_experts, idle.checked_mul(repeat)?)?;
        add_to(&mut self.vectors, biases.checked_mul(repeat)?)?;
        if linear.component == Component::MoeShared && linear.to == 1 {
            add_to(&mut self.shared_gates, passed)?;
        }
        if linear.component == Component::Mlp {
            let side =
                if u128::from(linear.from) == self.hidden { &mut self.up } else { &mut self.down };
            add_to(side, passed)?;
        }
        Some(())
    }

    /// Whether a dense feed-forward layer has two matrices, and no gate beside them.
    pub fn ungated(&self) -> bool {
        self.down > 0 && self.up == self.down
    }

    /// Whether any layer keeps latents.
    pub fn has_latents(&self) -> bool {
        self.attention.iter().any(|it| it.latent)
    }

    /// Queries that share a key, and the one, if they are as many in each layer.
    pub fn groups(&self) -> Option<[u128; 2]> {
        let first = self.attention.first()?;
        let equal = |it: &AttentionShape| it.heads == first.heads && it.kv_heads == first.kv_heads;
        self.attention.iter().all(equal).then_some([first.heads, first.kv_heads])
    }
}

fn add_to(sum: &mut u128, more: u128) -> Option<()> {
    *sum = sum.checked_add(more)?;
    Some(())
}
