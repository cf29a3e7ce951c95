//! Kolibri: norms before and after each half, and experts in every layer.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out → norm ]
//!             [ norm → router + correction → k of E × (gate, up → down) + shared (gate, up → down) → norm ] → norm → head
//! ```
//!
//! Four layers in five slide.

use super::feed_forward::{CORRECTION, FeedForward};
use super::parts::{Heads, decoder, head_norms, layer_masks, rms_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["kolibri1"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let mut ffn = FeedForward::all_sparse(c, "num_local_experts")?.corrected(CORRECTION);
    ffn.shared = c.size("shared_expert_intermediate_size")?;
    let window = c.maybe_or("sliding_window", 513)?;
    let masks = layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(5))?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(with_norms(attention, head_norms(&heads)));
        ops.push(rms_norm("post_self_attn_layernorm", d));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.extend(ffn.layer(true, d, false));
        ops.push(rms_norm("post_mlp_layernorm", d));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, windows};

    #[test]
    fn kolibri_has_the_parameters_of_its_sizes() {
        // 50 of 2·2560·(6144 + 512) + 2·128 + 4·2560 + 2560·384 + 385·3·2560·512, 2·128000·2560
        // and a norm: 78 billion.
        let layer: u128 = 2 * 2560 * 6656 + 2 * 128 + 4 * 2560 + 2560 * 384 + 385 * 3 * 2560 * 512;
        let kolibri = model(
            r#"{"model_type": "kolibri1", "hidden_size": 2560, "head_dim": 128,
                "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512,
                "num_attention_heads": 48, "num_key_value_heads": 4, "num_hidden_layers": 50,
                "num_experts": 384, "num_experts_per_tok": 6, "sliding_window": 513,
                "vocab_size": 128000, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
        );
        assert_eq!(kolibri.parameters().total, 50 * layer + 2 * 128_000 * 2560 + 2560);
        assert!(kolibri.unread().is_empty() && kolibri.notes().is_empty());
        assert_eq!(windows(&kolibri), [(Some(513), 40), (None, 10)]);
    }
}
