//! Llama and every `model_type` that has its block: grouped queries, a gated feed-forward layer, two norms.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```

use super::parts::{Heads, decoder, gated_mlp, layer_masks, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["llama", "mistral", "ministral", "ministral3", "smollm3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read(c, d)?;
    let f = c.size("intermediate_size")?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    // A window that is stated holds for every layer unless `layer_types` says which.
    let masks = layer_masks(c, c.maybe("sliding_window")?, |_| c.model_type() != "llama")?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(heads.attention(d, bias, bias, masks(layer)));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.extend(gated_mlp(d, f, mlp_bias));
        Ok(ops)
    })
}
