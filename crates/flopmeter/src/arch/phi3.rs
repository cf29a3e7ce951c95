//! Phi-3 and Phi-4: Llama's block, its projections fused, and a window on every layer or on none.
//!
//! ```text
//! embed → L × [ norm → qkv → attend → out ] [ norm → gate_up → down ] → norm → head
//! ```
//!
//! Of Phi-4 multimodal, the language model is counted without the adapters that come with images and speech.

use super::parts::{Heads, decoder, fused_gated_mlp, layer_masks, pre_normed};
use super::parts::{projection, rms_norm, tied};
use super::tower::with_towers;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["phi3", "phi4_multimodal"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = match c.model_type() {
        "phi4_multimodal" => Heads::read_or(c, d, 8, None)?,
        _ => Heads::read(c, d)?,
    };
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let masks = layer_masks(c, c.maybe("sliding_window")?, |_| true)?;
    let text = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = vec![
            projection("self_attn.qkv_proj", d, q + 2 * kv).into(),
            heads.attend(masks(layer)),
            projection("self_attn.o_proj", q, d).into(),
        ];
        Ok(pre_normed(d, attention, fused_gated_mlp(d, f)))
    })?;
    with_towers(c, text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const PHI_3_MINI: &str = r#""model_type": "phi3", "hidden_size": 3072, "num_hidden_layers": 32,
        "num_attention_heads": 32, "intermediate_size": 8192, "vocab_size": 32064"#;

    #[test]
    fn phi_3_mini_has_its_published_parameters() {
        // 2·32,064·3072 + 32·(4·3072² + 3·3072·8192 + 2·3072) + 3072
        let model = model(&format!(r#"{{"sliding_window": 2047, {PHI_3_MINI}}}"#));
        assert_eq!(model.parameters().total, 3_821_079_552);
        assert_eq!(windows(&model), [(Some(2047), 32)]);
    }

    #[test]
    fn a_window_of_nothing_is_refused() {
        assert_eq!(
            error(&format!(r#"{{"sliding_window": 0, {PHI_3_MINI}}}"#)),
            "`sliding_window`: is 0, which is no size; \
             a size is a whole number from 1 to 16777216"
        );
    }
}
