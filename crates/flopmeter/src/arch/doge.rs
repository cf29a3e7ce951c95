//! Doge: attention that looks at the keys which their values weigh most, and many experts of rank one.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → weights of keys → attend → out ] [ norm → feed-forward ]
//!       → norm → head
//! feed-forward, dense      gate, up → down
//!               of experts the same, and beside it router → k of E × (a vector in → a vector out)
//! ```
//!
//! A key's weight is made of its values and never changes: `model` counts it once, and attention over at most
//! `keep_window_size` keys. `torch` counts the weights of the whole cache in every pass, and whole rectangles.

use super::experts::{self, expert, routed};
use super::parts::{
    Heads, decoder, gated_mlp, head_norms, pre_normed, projection, rms_norm, tied, vector,
    with_norms,
};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Attention, Linear, Op, Rows};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["doge"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read(c, d)?;
    let attention = attention(c, d, &heads)?;
    let ffn = feed_forward(c, d)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let mut ops = pre_normed(d, attention.clone(), ffn.clone());
        ops.extend([vector("input_residual", d), vector("post_attention_residual", d)]);
        Ok(ops)
    })
}

fn attention(c: &Config, d: u64, heads: &Heads) -> Result<Vec<Op>> {
    let bias = c.flag("attention_bias", false)?;
    let kept = c.size_or("keep_window_size", 2048)?;
    let cache = match c.maybe("sliding_window")? {
        Some(window) => Mask::Sliding { window },
        None => Mask::Causal,
    };
    let mask = match cache {
        Mask::Sliding { window } if window <= kept => cache,
        _ => Mask::Selected { most: kept },
    };
    let mut ops = with_norms(heads.attention(d, bias, bias, mask), head_norms(heads));
    for op in &mut ops {
        if let Op::Attention(op) = op {
            *op = Attention { cache_mask: cache, ..*op };
        }
    }
    let weights = projection("self_attn.dt_proj", heads.kv_width(), heads.kv).bias(bias);
    ops.extend([
        vector("self_attn.A", heads.kv),
        Linear { rows: Rows::Anew { cache }, ..weights }.into(),
    ]);
    Ok(ops)
}

fn feed_forward(c: &Config, d: u64) -> Result<Vec<Op>> {
    let inner = c.size("intermediate_size")?;
    let bias = c.flag("mlp_bias", false)?;
    if !c.flag("is_moe", false)? {
        // Sizes of experts that there are not.
        for key in ["num_experts", "num_experts_per_tok"] {
            c.raw(key);
        }
        return Ok(gated_mlp(d, inner, bias));
    }
    let total = c.size_or("num_experts", 16384)?;
    let active = c.size_or("num_experts_per_tok", 64)?;
    let experts = routed(c, "num_experts_per_tok", active, total)?;
    // An expert's number is a pair of keys.
    let keys = total.isqrt();
    let mut ops =
        experts::shared(["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"], d, inner, bias);
    ops.extend([
        Linear::new("mlp.router_gate", Component::MoeRouter, d, 2 * keys).into(),
        expert("mlp.down_embed", d, 1, experts).into(),
        expert("mlp.up_embed", 1, d, experts).into(),
    ]);
    Ok(ops)
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use crate::{Component, Convention, Sequence, Workload};

    const DOGE: &str = r#"{"model_type": "doge", "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 1, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 100,
        "keep_window_size": 10, "is_moe": true, "num_experts": 30, "num_experts_per_tok": 3,
        "tie_word_embeddings": false}"#;

    #[test]
    fn a_step_after_many_looks_at_few_and_weighs_one() {
        let step = Sequence { prompt: 99, cached: 99, generate: 2, count: 1 };
        let step = Workload::batch(vec![step]).unwrap();
        let of = |convention: Convention| model(DOGE).flops(&step, &convention).unwrap().decode;
        let (needed, counted) = (of(Convention::MODEL), of(Convention::TORCH));
        let pair = 2 * 8 * 8;
        assert_eq!(needed[Component::AttentionScores], 10 * pair);
        assert_eq!(counted[Component::AttentionScores], 100 * pair);
        // Weights of keys: two numbers of two heads' values, of one position and of 100.
        let projections = 2 * (2 * 64 * 64 + 2 * 64 * 16);
        assert_eq!(needed[Component::AttentionProjections], projections + 2 * 16 * 2);
        assert_eq!(counted[Component::AttentionProjections], projections + 100 * 2 * 16 * 2);
        // An expert is two vectors; five keys twice tell 25 experts of the 30 apart.
        assert_eq!(needed[Component::MoeExperts], 3 * 2 * 2 * 64);
        assert_eq!(needed[Component::MoeRouter], 2 * 64 * 10);
    }
}
