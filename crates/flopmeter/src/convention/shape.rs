//! The few sizes of a model that published formulas are made of.

use crate::component::{Component, Counts};
use crate::error::Result;
use crate::model::{Model, Parameters, too_large};
use crate::op::{Op, Rows};

/// Sizes of a model, summed over its layers where formulas sum.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Layers, an encoder's included.
    pub layers: u128,
    /// Width of what passes from layer to layer.
    pub hidden: u128,
    /// Tokens that the head tells apart, 0 without a head.
    pub vocabulary: u128,
    pub parameters: Parameters,
    /// Parameters of the token table, which a tied head shares.
    pub token_table: u128,
    /// Parameters of tables of positions and the like.
    pub other_tables: u128,
    /// Whether the head is the token table.
    pub tied: bool,
    /// Elements of the matrices that a token passes, by component.
    pub matrices: Counts,
    /// Attention, equal layers together.
    pub attention: Vec<AttentionShape>,
    /// Whether any layer keeps a state instead of a cache.
    pub recurs: bool,
}

/// Attention of some equal layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttentionShape {
    pub layers: u128,
    pub heads: u128,
    /// Width of a query and of a key.
    pub query: u128,
}

impl Shape {
    pub fn of(model: &Model) -> Result<Self> {
        let layers = model.groups().iter().map(|group| group.layers.len());
        let stacks = model.stacks().iter().flat_map(|stack| stack.groups());
        let layers = layers.chain(stacks.map(|group| group.layers.len())).sum::<usize>();
        let mut shape = Self {
            layers: layers as u128,
            hidden: model.width().into(),
            vocabulary: model.vocabulary().unwrap_or(0).into(),
            parameters: model.parameters(),
            token_table: 0,
            other_tables: 0,
            tied: false,
            matrices: Counts::default(),
            attention: Vec::new(),
            recurs: false,
        };
        for (op, repeat) in model.ops() {
            shape.add(op, repeat.into()).ok_or_else(too_large)?;
        }
        Ok(shape)
    }

    fn add(&mut self, op: &Op, repeat: u128) -> Option<()> {
        let attention = |heads: u64, query: u64| AttentionShape {
            layers: repeat,
            heads: heads.into(),
            query: query.into(),
        };
        match op {
            Op::Table(_) => {
                let elements = op.parameters().checked_mul(repeat)?;
                // The tokens' comes first.
                let table = if self.token_table == 0 {
                    &mut self.token_table
                } else {
                    &mut self.other_tables
                };
                *table = table.checked_add(elements)?;
            }
            Op::Linear(linear) => {
                self.tied |= linear.shared_weights && linear.rows == Rows::Sampled;
                let passed = (linear.flops_per_row() / 2).checked_mul(repeat)?;
                let sum = &mut self.matrices[linear.component];
                *sum = sum.checked_add(passed)?;
            }
            Op::Attention(op) | Op::Cross(op) => {
                self.attention.push(attention(op.heads, op.qk_dim));
            }
            Op::Latent(op) => {
                let sum = &mut self.matrices[Component::AttentionProjections];
                *sum =
                    sum.checked_add((op.expansion_flops_per_token() / 2).checked_mul(repeat)?)?;
                self.attention.push(attention(op.heads, op.nope + op.rope));
            }
            Op::Recurrent(_) => self.recurs = true,
            Op::DistanceScores(_)
            | Op::Indexer(_)
            | Op::Product(_)
            | Op::Vector(_)
            | Op::Idle(_) => {}
        }
        Some(())
    }

    /// Σ over layers of heads · width of a query.
    pub fn queries(&self) -> Option<u128> {
        let of = |it: &AttentionShape| it.layers.checked_mul(it.heads)?.checked_mul(it.query);
        self.attention.iter().try_fold(0_u128, |sum, it| sum.checked_add(of(it)?))
    }
}
