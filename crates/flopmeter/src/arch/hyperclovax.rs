//! HyperCLOVA X: Llama's block, normed before and after each half.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out → norm ] [ norm → gate, up → down → norm ] → norm → head
//! ```
//!
//! The norms of what comes out are left out where `use_post_norm` is false.

use super::parts::{Heads, decoder, gated_mlp, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["hyperclovax"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let after = c.flag("use_post_norm", true)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(heads.attention(d, bias, bias, Mask::Causal));
        ops.extend(after.then(|| rms_norm("post_norm1", d)));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.extend(gated_mlp(d, f, mlp_bias));
        ops.extend(after.then(|| rms_norm("post_norm2", d)));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn norms_of_what_comes_out_may_be_left_out() {
        let config = r#"{"model_type": "hyperclovax", "hidden_size": 2048, "num_hidden_layers": 24,
            "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
            "intermediate_size": 7168, "vocab_size": 110592, "use_post_norm": false,
            "tie_word_embeddings": true}"#;
        // 110,592·2048 + 24·(2·2048² + 2·2048·1024 + 3·2048·7168 + 2·2048) + 2048
        let total: u128 = 110_592 * 2048
            + 24 * (2 * 2048 * 2048 + 2 * 2048 * 1024 + 3 * 2048 * 7168 + 2 * 2048)
            + 2048;
        assert_eq!(parameters(config), total);
        assert_eq!(parameters(&config.replace("false", "true")), total + 24 * 2 * 2048);
    }
}
