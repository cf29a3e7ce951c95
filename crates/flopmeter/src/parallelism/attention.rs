//! Attention, cut by its heads.

use super::cutter::{Cut, Cutter, unknown};
use super::size;
use crate::component::Component;
use crate::error::Result;
use crate::op::{Attention, Latent, Linear, Op};

/// Heads of an attention, and the widths that its projections may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heads {
    module: &'static str,
    pub query: u64,
    key_value: u64,
    key: u64,
    value: u64,
    latent: bool,
}

impl Cutter<'_> {
    /// Projections before attention by their heads, the one after it by what it reads of them.
    pub(super) fn cut_attention(&mut self, ops: &[&Op], cuts: &mut [Cut]) -> Result<()> {
        let heads: Vec<Heads> = ops.iter().filter_map(|op| Heads::of(op)).collect();
        let mut waiting: Option<Heads> = None;
        let mut projected = false;
        for (op, cut) in ops.iter().zip(cuts) {
            if let Some(attention) = Heads::of(op) {
                if waiting.is_some() || !projected {
                    return Err(unknown("tensor", op.module()));
                }
                (waiting, projected) = (Some(attention), false);
            }
            let Op::Linear(linear) = op else { continue };
            if linear.component != Component::AttentionProjections || chooses(linear) {
                continue;
            }
            if let Some(attention) = waiting
                && linear.from == attention.query * attention.value
            {
                *cut = Cut::Inputs(self.share("heads", attention.query)? * attention.value);
                waiting = None;
                continue;
            }
            for attention in &heads {
                let Some(share) = attention.share_of(linear.to, self.plan.tensor) else { continue };
                *cut = Cut::Outputs(share);
                projected = true;
                if attention.key_value < self.plan.tensor && share * self.plan.tensor != linear.to {
                    self.replicated.insert(linear.module);
                }
                break;
            }
        }
        match waiting {
            Some(_) => {
                Err(unknown("tensor", heads.last().map_or("attention", |heads| heads.module)))
            }
            None => Ok(()),
        }
    }

    /// A rank's heads. Those of keys and values that are too few are repeated.
    pub(super) fn heads(&self, attention: &Attention) -> Result<Attention> {
        let ranks = self.plan.tensor;
        let Attention { heads, kv_heads, .. } = *attention;
        let kept = |ranks: u64| kv_heads.is_multiple_of(ranks) || ranks.is_multiple_of(kv_heads);
        if !kept(ranks) {
            let fact =
                format!("{kv_heads} KV heads can neither be shared evenly by {ranks} nor repeated");
            return Err(size::uneven("tensor", fact, ranks, |ranks| {
                kept(ranks) && heads.is_multiple_of(ranks)
            }));
        }
        let kv_heads = kv_heads.div_ceil(ranks);
        Ok(Attention { heads: self.share("heads", heads)?, kv_heads, ..*attention })
    }
}

impl Heads {
    pub fn of(op: &Op) -> Option<Self> {
        match *op {
            Op::Attention(Attention { module, heads, kv_heads, qk_dim, v_dim, .. })
            | Op::Cross(Attention { module, heads, kv_heads, qk_dim, v_dim, .. }) => Some(Self {
                module,
                query: heads,
                key_value: kv_heads,
                key: qk_dim,
                value: v_dim,
                latent: false,
            }),
            Op::Latent(Latent { module, heads, nope, rope, value, .. }) => Some(Self {
                module,
                query: heads,
                key_value: heads,
                key: nope + rope,
                value,
                latent: true,
            }),
            _ => None,
        }
    }

    /// A rank's share of a projection of this width, `None` if it is of no heads.
    ///
    /// Queries, gates of each head or of each value, keys, values, and those that are stored side by side.
    fn share_of(&self, width: u64, ranks: u64) -> Option<u64> {
        let Self { query, key_value, key, value, .. } = *self;
        let own = [query / ranks, key_value.div_ceil(ranks)];
        let of = |[query, key_value]: [u64; 2]| {
            let both = key_value * (key + value);
            [
                query * key,
                2 * query * key,
                query * key + both,
                2 * query * key + both,
                key_value * key,
                key_value * value,
                both,
                query * value,
                query,
            ]
        };
        // Keys and values of a latent are made in its own op.
        let last = if self.latent { 2 } else { 9 };
        let widths = of([query, key_value]).into_iter().zip(of(own)).take(last);
        widths.into_iter().find(|(whole, _)| *whole == width).map(|(_, share)| share)
    }
}

/// Whether it is of what chooses keys, which every rank does for itself.
fn chooses(linear: &Linear) -> bool {
    linear.module.split('.').any(|part| part == "indexer")
}
