//! K-EXAONE: EXAONE 4's attention under norms before each half, and DeepSeek's feed-forward layers.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense, or router + correction → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! Three layers in four slide; which are dense `mlp_layer_types` says, or else the first are.

use super::exaone4::sliding_layers;
use super::feed_forward::{CORRECTION, FeedForward, dense_first, sparse_layers};
use super::parts::{Heads, decoder, head_norms, layer_masks, note_prediction_layers, pre_normed};
use super::parts::{rms_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["exaone_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let ffn = FeedForward::read(c, "num_experts")?
        .sharing(c, "num_shared_experts", 1)?
        .corrected(CORRECTION);
    let dense = dense_first(c, 1)?;
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let masks = layer_masks(c, window, sliding_layers(c, window)?)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        let attention = with_norms(attention, head_norms(&heads));
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    /// K-EXAONE-236B-A23B.
    const EXAONE: &str = r#"{"model_type": "exaone_moe", "hidden_size": 6144, "head_dim": 128,
        "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_attention_heads": 64,
        "num_key_value_heads": 8, "num_hidden_layers": 48, "num_experts": 128,
        "num_experts_per_tok": 8, "num_shared_experts": 1, "first_k_dense_replace": 1,
        "sliding_window": 128, "sliding_window_pattern": "LLLG", "vocab_size": 153600,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn k_exaone_has_the_parameters_that_its_name_states() {
        // 48 of 2·6144·(8192 + 1024) + 2·128 + 2·6144, one dense layer of 3·6144·18432, 47 of
        // 6144·128 + 129·3·6144·2048, 2·153600·6144 and a norm: 236 billion.
        let attention: u128 = 2 * 6144 * 9216 + 2 * 128 + 2 * 6144;
        let routed: u128 = 6144 * 128 + 129 * 3 * 6144 * 2048;
        let total = 48 * attention + 3 * 6144 * 18_432 + 47 * routed + 2 * 153_600 * 6144 + 6144;
        let exaone = model(EXAONE);
        assert_eq!(exaone.parameters().total, total);
        assert_eq!(total / 1_000_000_000, 236);
        assert!(exaone.unread().is_empty() && exaone.notes().is_empty());
        assert_eq!(windows(&exaone), [(Some(128), 1), (Some(128), 35), (None, 12)]);
    }

    #[test]
    fn a_list_of_layers_has_one_entry_each_of_a_known_kind() {
        let with = |list: &str| {
            EXAONE.replace("\"head_dim\"", &format!("\"mlp_layer_types\": {list}, \"head_dim\""))
        };
        assert_eq!(fact(&with("[\"dense\"]")), "`mlp_layer_types`: has 1 entries for 48 layers");
        let short = with("[\"thin\"]").replace("layers\": 48", "layers\": 1");
        assert_eq!(
            fact(&short),
            "`mlp_layer_types`: has a layer that is neither dense nor sparse: \"thin\""
        );
        assert_eq!(fact(&with("3")), "`mlp_layer_types`: is 3, not a list of texts");
    }
}
