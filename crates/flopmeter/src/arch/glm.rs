//! GLM-4: Llama's block with biases of q, k and v and a fused gate; `glm4` adds a norm after each half.
//!
//! ```text
//! glm    embed → L × [ norm → q, k, v → attend → out ] [ norm → gate_up → down ] → norm → head
//! glm4   embed → L × [ norm → q, k, v → attend → out → norm ] [ norm → gate_up → down → norm ] → norm → head
//! ```

use super::parts::{Heads, decoder, fused_gated_mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["glm", "glm4"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 2, Some(128))?;
    let bias = c.flag("attention_bias", true)?;
    let normed_after = c.model_type() == "glm4";
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let mut attention = heads.attention(d, bias, false, Mask::Causal);
        let mut mlp = fused_gated_mlp(d, f);
        if normed_after {
            attention.push(rms_norm("post_self_attn_layernorm", d));
            mlp.push(rms_norm("post_mlp_layernorm", d));
        }
        Ok(pre_normed(d, attention, mlp))
    })
}
