//! Molmo 2: Qwen3's or OLMo's block, and rows of the embedding that no head predicts. Its towers are not counted.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! Queries and keys are normed head by head, or all heads in one. Norms may stand after the halves instead of before them.

use super::parts::{
    Heads, decoder_of, gated_mlp, head, head_norms, pre_normed, rms_norm, text_part, tied,
    with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["molmo2", "molmo2_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "molmo2" => text_part(c, "molmo2_text", text),
        _ => text(c),
    }
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 8, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let norms = match c.text("qk_norm_type")? {
        None | Some("qwen3") => head_norms(&heads),
        Some("olmo") => [
            rms_norm("self_attn.q_norm", heads.query_width()),
            rms_norm("self_attn.k_norm", heads.kv_width()),
        ],
        Some(_) => return Err(c.contradiction("qk_norm_type", "is neither `qwen3` nor `olmo`")),
    };
    let vocab = c.size("vocab_size")?;
    let rows = vocab + c.count_or("additional_vocab_size", 128)?;
    let head = head(d, vocab, tied(c, false)?);
    decoder_of(c, rows, d, head, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, false, Mask::Causal);
        Ok(pre_normed(d, with_norms(attention, norms.clone()), gated_mlp(d, f, false)))
    })
}
