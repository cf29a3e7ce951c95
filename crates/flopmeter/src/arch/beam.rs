//! Beam: attention with a gate at its output and norms on both sides of either half, most layers of experts.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → · gate → out → norm ] [ norm → feed-forward → norm ]
//!     → norm → head
//! feed-forward  dense in the first three layers, then router → k of E × (gate, up → down)
//! ```
//!
//! Every sixth layer and the last attend to everything; the others slide. The router's correction is a buffer.

use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::with_norms;
use super::parts::{Heads, decoder, head_norms, layer_masks, projection, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["beam"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let heads = Heads::read_or(c, d, 8, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::read(c, "num_experts")?.corrected(CORRECTION);
    let sparse = sparse_layers(c, |layer| layer >= 3)?;
    let window = c.maybe_or("sliding_window", 512)?;
    let masks =
        layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(6) && layer + 1 != layers)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(with_norms(heads.attention(d, bias, bias, masks(layer)), head_norms(&heads)));
        ops.push(projection("self_attn.gate_proj", d, heads.query_width()).into());
        ops.push(vector("self_attn.gate_bias", heads.query));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.push(rms_norm("pre_feedforward_layernorm", d));
        ops.extend(ffn.layer(sparse(layer), d, false));
        ops.push(rms_norm("post_feedforward_layernorm", d));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, windows};

    #[test]
    fn the_last_layer_sees_everything_and_three_are_dense() {
        let beam = model(
            r#"{"model_type": "beam", "hidden_size": 64, "intermediate_size": 96, "moe_intermediate_size": 32,
                "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
                "num_experts": 8, "num_experts_per_tok": 2, "vocab_size": 100, "sliding_window": 8,
                "tie_word_embeddings": false}"#,
        );
        let of = |window| {
            windows(&beam)
                .iter()
                .filter(|(of, _)| *of == window)
                .map(|(_, count)| count)
                .sum::<u64>()
        };
        assert_eq!((of(None), of(Some(8))), (2, 6));
        // 3·3·64·96 dense; 5 of a router of 64·8 and 8 experts of 3·64·32; each layer 2·64·64 (q, o), 2·64·32 (k, v),
        // a gate 64·64, norms of heads 32, four bias numbers, four norms; embedding, head and a norm.
        let layer: u128 = 3 * 64 * 64 + 2 * 64 * 32 + 32 + 4 + 4 * 64;
        let feed_forward = 3 * 3 * 64 * 96 + 5 * (64 * 8 + 8 * 3 * 64 * 32);
        assert_eq!(beam.parameters().total, 8 * layer + feed_forward + 2 * 6400 + 64);
    }
}
