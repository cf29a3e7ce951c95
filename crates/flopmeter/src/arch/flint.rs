//! Flint: Qwen3's attention with sinks, and an expert for every token beside the routed ones.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense, or router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! The first two layers are dense unless `mlp_only_layers` says otherwise. They, every fourth layer and
//! the last attend to everything; the others slide.

use super::feed_forward::FeedForward;
use super::parts::with_norms;
use super::parts::{
    Heads, decoder, head_norms, layer_masks, one_at_most, pre_normed, rms_norm, tied, vector,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["flint"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let mut ffn = FeedForward::read(c, "num_experts")?;
    ffn.shared = c.size("shared_expert_intermediate_size")?;
    ffn.shared_names =
        ["mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj"];
    let step = c.size_or("decoder_sparse_step", 1)?;
    let dense = dense_layers(c, layers)?;
    let window = c.maybe_or("sliding_window", 513)?;
    let masks =
        layer_masks(c, window, |layer| layer >= 2 && layer % 4 != 1 && layer + 1 != layers)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        let mut attention = with_norms(attention, head_norms(&heads));
        attention.push(vector("self_attn.sinks", heads.query));
        let sparse = (layer + 1).is_multiple_of(step) && !dense.contains(&layer);
        Ok(pre_normed(d, attention, ffn.layer(sparse, d, false)))
    })
}

fn dense_layers(c: &Config, layers: u64) -> Result<Vec<u64>> {
    const KEY: &str = "mlp_only_layers";
    match c.counts(KEY)? {
        None => {
            c.note_default(KEY, "[0, 1]");
            Ok(vec![0, 1])
        }
        Some(listed) => {
            one_at_most(c, KEY, &listed, layers)?;
            Ok(listed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    /// Flint as its class has it.
    const FLINT: &str = r#"{"model_type": "flint", "hidden_size": 2048, "head_dim": 128,
        "intermediate_size": 6144, "moe_intermediate_size": 512, "num_attention_heads": 32,
        "shared_expert_intermediate_size": 1024, "num_key_value_heads": 4,
        "num_hidden_layers": 49, "num_experts": 256, "num_experts_per_tok": 6,
        "decoder_sparse_step": 1, "mlp_only_layers": [0, 1], "sliding_window": 513,
        "vocab_size": 150144, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn flint_has_the_parameters_of_its_sizes() {
        // 49 of 2·2048·(4096 + 512) + 2·128 + 32 + 2·2048, two dense layers of 3·2048·6144, 47 of
        // 2048·256 + 256·3·2048·512 + 3·2048·1024, 2·150144·2048 and a norm.
        let attention: u128 = 2 * 2048 * 4608 + 2 * 128 + 32 + 2 * 2048;
        let routed: u128 = 2048 * 256 + 256 * 3 * 2048 * 512 + 3 * 2048 * 1024;
        let total = 49 * attention + 2 * 3 * 2048 * 6144 + 47 * routed + 2 * 150_144 * 2048 + 2048;
        let flint = model(FLINT);
        assert_eq!(flint.parameters().total, total);
        assert!(flint.unread().is_empty() && flint.notes().is_empty());
        // Whole: 0 and 1, which are dense, 5, 9, …, 45 and 48.
        assert_eq!(windows(&flint), [(None, 2), (Some(513), 35), (None, 12)]);
    }

    #[test]
    fn no_more_layers_are_dense_than_there_are() {
        let many = FLINT.replace("layers\": 49", "layers\": 1");
        assert_eq!(fact(&many), "`mlp_only_layers`: has 2 entries for 1 layers");
    }
}
