//! Hy3 (Hunyuan 3): each head's query and key is normed, and all layers but the first have experts.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense, or router + correction → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! `mlp_layer_types` may say otherwise.

use super::feed_forward::{FeedForward, one_dense_layer, sparse_layers};
use super::parts::with_norms;
use super::parts::{
    Heads, decoder, head_norms, note_prediction_layers, pre_normed, rms_norm, tied,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["hy_v3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 8, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let ffn = FeedForward::read(c, "num_experts")?
        .sharing(c, "num_shared_experts", 1)?
        .corrected("mlp.e_score_correction_bias");
    one_dense_layer(c)?;
    let sparse = sparse_layers(c, |layer| layer > 0)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        let attention = with_norms(attention, head_norms(&heads));
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, mlp_bias)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Hy3-preview.
    const HY3: &str = r#"{"model_type": "hy_v3", "hidden_size": 4096, "head_dim": 128,
        "intermediate_size": 13312, "moe_intermediate_size": 1536, "num_attention_heads": 64,
        "num_key_value_heads": 8, "num_hidden_layers": 80, "num_experts": 192,
        "num_experts_per_tok": 8, "num_shared_experts": 1, "first_k_dense_replace": 1,
        "vocab_size": 120832, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn hy3_has_the_parameters_of_its_sizes() {
        // 80 of 2·4096·(8192 + 1024) + 2·128 + 2·4096, one dense layer of 3·4096·13312, 79 of
        // 4096·192 + 193·3·4096·1536, 2·120832·4096 and a norm: 295 billion.
        let attention: u128 = 2 * 4096 * 9216 + 2 * 128 + 2 * 4096;
        let routed: u128 = 4096 * 192 + 193 * 3 * 4096 * 1536;
        let total = 80 * attention + 3 * 4096 * 13_312 + 79 * routed + 2 * 120_832 * 4096 + 4096;
        let hy3 = model(HY3);
        assert_eq!(hy3.parameters().total, total);
        assert!(hy3.unread().is_empty() && hy3.notes().is_empty());
    }

    #[test]
    fn more_dense_layers_have_to_be_listed() {
        let two = HY3.replace("replace\": 1", "replace\": 2");
        assert_eq!(fact(&two), "`first_k_dense_replace`: is 2; only 1 is counted");
    }
}
