//! OLMo: Llama's block whose norms have no parameters; OLMo 2 norms what comes out of each half instead,
//! and queries and keys across all heads; OLMo 3 slides on all layers but every fourth.
//!
//! ```text
//! olmo           embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! olmo2, olmo3   embed → L × [ q, k, v → norms of q, k → attend → out → norm ] [ gate, up → down → norm ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, layer_masks, post_normed, pre_normed, rms_norm, tied, with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["olmo", "olmo2", "olmo3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let tied = tied(c, false)?;
    if c.model_type() == "olmo" {
        // Its norms are there, without parameters.
        return decoder(c, d, tied, rms_norm("model.norm", 0), |_| {
            let attention = heads.attention(d, bias, bias, Mask::Causal);
            Ok(pre_normed(0, attention, gated_mlp(d, f, false)))
        });
    }
    let window = match c.model_type() {
        "olmo3" => c.maybe_or("sliding_window", 4096)?,
        _ => None,
    };
    let masks = layer_masks(c, window, |layer| (layer + 1) % 4 != 0)?;
    decoder(c, d, tied, rms_norm("model.norm", d), |layer| {
        let attention = with_norms(
            heads.attention(d, bias, bias, masks(layer)),
            [
                rms_norm("self_attn.q_norm", heads.query_width()),
                rms_norm("self_attn.k_norm", heads.kv_width()),
            ],
        );
        Ok(post_normed(d, attention, gated_mlp(d, f, false)))
    })
}
