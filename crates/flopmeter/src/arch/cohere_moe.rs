//! Command A+: Command R7B's block, with experts in place of all but the first feed-forward layers.
//!
//! ```text
//! embed → L × [ norm → ( q, k, v → attend → out ) + ( feed-forward ) ] → norm → head
//! feed-forward  dense in the first layers, then router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! Experts are `intermediate_size` wide. Layers slide but for every fourth after the dense ones, which
//! have a pattern of their own.

use super::experts::{self, IN_MLP, SHARED_IN_MLP};
use super::feed_forward::{FeedForward, sparse_layers};
use super::parts::{Heads, decoder, layer_masks, layer_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["cohere2_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let query = c.size("num_attention_heads")?;
    let heads = Heads::read_or(c, d, query, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward {
        experts: experts::read(c, "num_experts", "num_experts_per_tok")?,
        dense: c.maybe("prefix_dense_intermediate_size")?.unwrap_or(f),
        expert: f,
        shared: f * c.count_or("num_shared_experts", 0)?,
        correction: None,
        names: IN_MLP,
        shared_names: SHARED_IN_MLP,
    };
    // An older key, which the class takes for 0 without a word where it is absent.
    let dense = c.count("first_k_dense_replace")?.unwrap_or(0);
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let in_dense = c.maybe("prefix_dense_sliding_window_pattern")?.unwrap_or(1);
    let after = c.maybe("sliding_window_pattern")?.unwrap_or(4);
    let masks = layer_masks(c, window, |layer| match layer.checked_sub(dense) {
        None => !(layer + 1).is_multiple_of(in_dense),
        Some(layer) => !(layer + 1).is_multiple_of(after),
    })?;
    decoder(c, d, tied(c, true)?, layer_norm("model.norm", d, false), |layer| {
        let mut ops = vec![layer_norm("input_layernorm", d, false)];
        ops.extend(heads.attention(d, bias, bias, masks(layer)));
        ops.extend(ffn.layer(sparse(layer), d, false));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    const SIZES: &str = r#"{"model_type": "cohere2_moe", "hidden_size": 64, "head_dim": 16,
        "intermediate_size": 32, "num_attention_heads": 8, "num_key_value_heads": 2,
        "num_hidden_layers": 6, "num_experts": 4, "num_experts_per_tok": 2, "num_shared_experts": 1,
        "first_k_dense_replace": 1, "prefix_dense_intermediate_size": 96, "sliding_window": 8,
        "vocab_size": 100, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn the_first_layers_are_dense_and_of_their_own_width() {
        // 6 of 2·64·(128 + 32) + 64, one of 3·64·96, five of 64·4 + 5·3·64·32, 100·64 and a norm.
        let total =
            6 * (2 * 64 * 160 + 64) + 3 * 64 * 96 + 5 * (64 * 4 + 5 * 3 * 64 * 32) + 100 * 64 + 64;
        let model = model(SIZES);
        assert_eq!(model.parameters().total, total);
        assert!(model.unread().is_empty());
        assert!(model.notes().iter().all(|note| note.contains("is absent")), "{:?}", model.notes());
        // Dense and whole, three that slide, whole, one that slides.
        assert_eq!(windows(&model), [(None, 1), (Some(8), 4), (None, 1)]);
    }

    #[test]
    fn a_pattern_of_nothing_is_no_pattern() {
        let zero = SIZES.replace("\"vocab_size\"", "\"sliding_window_pattern\": 0, \"vocab_size\"");
        assert_eq!(fact(&zero), "`sliding_window_pattern`: is 0, which is no size");
    }
}
