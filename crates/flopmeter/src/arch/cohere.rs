//! Command R and Aya: attention and feed-forward layer side by side, after one norm.
//!
//! ```text
//! embed → L × [ norm → ( q, k, v → attend → out ) + ( gate, up → down ) ] → norm → head
//! ```
//!
//! The norms are LayerNorms without a bias. `cohere2` slides on all layers but every fourth.

use super::parts::{Heads, decoder, gated_mlp, layer_masks, layer_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["cohere", "cohere2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let cohere2 = c.model_type() == "cohere2";
    // One weight for each head, unlike Qwen's.
    let normed = !cohere2 && c.flag("use_qk_norm", false)?;
    let norms = || {
        [("self_attn.q_norm", heads.query_width()), ("self_attn.k_norm", heads.kv_width())]
            .map(|(name, width)| layer_norm(name, width, false))
    };
    let window = if cohere2 { c.maybe_or("sliding_window", 4096)? } else { None };
    let every = if cohere2 { c.maybe("sliding_window_pattern")?.unwrap_or(4) } else { 1 };
    let masks: Box<dyn Fn(u64) -> Mask> = if cohere2 {
        Box::new(layer_masks(c, window, |layer| (layer + 1) % every != 0)?)
    } else {
        Box::new(|_| Mask::Causal)
    };
    decoder(c, d, tied(c, true)?, layer_norm("model.norm", d, false), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        let mut ops = vec![layer_norm("input_layernorm", d, false)];
        ops.extend(if normed { with_norms(attention, norms()) } else { attention });
        ops.extend(gated_mlp(d, f, false));
        Ok(ops)
    })
}
