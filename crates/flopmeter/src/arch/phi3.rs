//! Phi-3 and Phi-4: Llama's block, its projections fused, and a window on every layer or on none.
//!
//! ```text
//! embed → L × [ norm → qkv → attend → out ] [ norm → gate_up → down ] → norm → head
//! ```

use super::parts::{Heads, decoder, fused_gated_mlp, layer_masks, pre_normed};
use super::parts::{projection, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["phi3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let masks = layer_masks(c, c.maybe("sliding_window")?, |_| true)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = vec![
            projection("self_attn.qkv_proj", d, q + 2 * kv).into(),
            heads.attend(masks(layer)),
            projection("self_attn.o_proj", q, d).into(),
        ];
        Ok(pre_normed(d, attention, fused_gated_mlp(d, f)))
    })
}
