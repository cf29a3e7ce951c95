//! GLM-4: Llama's block with biases of q, k and v and a fused gate; `glm4` adds a norm after each half.
//!
//! ```text
//! glm    embed → L × [ norm → q, k, v → attend → out ] [ norm → gate_up → down ] → norm → head
//! glm4   embed → L × [ norm → q, k, v → attend → out → norm ] [ norm → gate_up → down → norm ] → norm → head
//! ```
//!
//! The text parts of GLM-4V and GLM-OCR are `glm4`'s block; the latter has no biases.

use super::parts::{Heads, decoder, fused_gated_mlp, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["glm", "glm4", "glm4v_text", "glm_ocr_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let (heads, bias) = match c.model_type() {
        "glm4v_text" => (Heads::read_or(c, d, 2, None)?, true),
        "glm_ocr_text" => (Heads::read_or(c, d, 8, None)?, false),
        _ => (Heads::read_or(c, d, 2, Some(128))?, c.flag("attention_bias", true)?),
    };
    let normed_after = c.model_type() != "glm";
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

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model};

    const GLM_4_9B: &str = r#""hidden_size": 4096, "num_hidden_layers": 40, "num_attention_heads": 32,
        "num_key_value_heads": 2, "intermediate_size": 13696, "vocab_size": 151552"#;

    #[test]
    fn glm_4_9b_has_its_published_parameters() {
        // 2·151,552·4096
        // + 40·(2·4096² + 2·4096·256 + 4096 + 2·256 + 3·4096·13,696 + 2·4096) + 4096
        let older = model(&format!(r#"{{"model_type": "glm", {GLM_4_9B}}}"#));
        assert_eq!(older.parameters().total, 9_399_951_360);
        // Two norms a layer more: 40·2·4096.
        let newer = model(&format!(r#"{{"model_type": "glm4", {GLM_4_9B}}}"#));
        assert_eq!(newer.parameters().total, 9_399_951_360 + 327_680);
    }

    #[test]
    fn a_size_that_is_a_text_is_refused() {
        assert_eq!(
            error(&format!(r#"{{"model_type": "glm4", "head_dim": "128", {GLM_4_9B}}}"#)),
            "`head_dim`: is the text \"128\", not a whole number; \
             a size is a whole number from 1 to 16777216"
        );
    }
}
