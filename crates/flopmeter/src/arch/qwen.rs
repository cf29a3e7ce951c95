//! Qwen2, Qwen3 and Hunyuan: Llama's block, Qwen2 with biases of q, k and v, the others with norms of
//! queries and keys.
//!
//! ```text
//! embed → L × [ norm → q, k, v (→ norms of q, k) → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, head_norms, layer_masks, pre_normed, rms_norm, tied, with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["qwen2", "qwen3", "hunyuan_v1_dense"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "qwen2" => qwen2(c),
        "qwen3" => qwen3(c),
        _ => hunyuan(c),
    }
}

fn qwen2(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let masks = qwen_masks(c)?;
    model(c, d, |layer| heads.attention(d, true, false, masks(layer)))
}

fn qwen3(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let masks = qwen_masks(c)?;
    model(c, d, |layer| {
        with_norms(heads.attention(d, bias, bias, masks(layer)), head_norms(&heads))
    })
}

fn hunyuan(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let query = c.size("num_attention_heads")?;
    let kv = c.maybe("num_key_value_heads")?.unwrap_or(query);
    let dim = c.maybe_of(&["head_dim", "attention_head_dim"])?;
    let heads = Heads::checked(c, d, query, kv, dim)?;
    let bias = c.flag("attention_bias", false)?;
    let norms = ["self_attn.query_layernorm", "self_attn.key_layernorm"];
    model(c, d, |_| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        with_norms(attention, norms.map(|name| rms_norm(name, heads.dim)))
    })
}

fn model(c: &Config, d: u64, attention: impl Fn(u64) -> Vec<Op>) -> Result<Model> {
    let f = c.size("intermediate_size")?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        Ok(pre_normed(d, attention(layer), gated_mlp(d, f, false)))
    })
}

/// Qwen's windows: off unless switched on, and then only from layer `max_window_layers` on.
fn qwen_masks(c: &Config) -> Result<impl Fn(u64) -> Mask> {
    let first = c.count("max_window_layers")?.unwrap_or(28);
    let window = if c.flag("use_sliding_window", false)? {
        c.maybe_or("sliding_window", 4096)?
    } else {
        c.maybe("sliding_window")?;
        None
    };
    layer_masks(c, window, move |layer| layer >= first)
}
