//! Trinity (AFMoE): gated attention, norms before and after each half, and experts after the first layers.
//!
//! ```text
//! embed → L × [ norm → q, k, v, gate → norms of q, k → attend → · gate → out → norm ]
//!             [ norm → feed-forward → norm ] → norm → head
//! feed-forward  dense in the first layers, then router + correction → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! Layers slide but for every fourth. The router's correction is a parameter.

use super::feed_forward::FeedForward;
use super::parts::with_norms;
use super::parts::{Heads, decoder, head_norms, layer_masks, projection, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["afmoe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let query = c.size("num_attention_heads")?;
    let heads = Heads::read_or(c, d, query, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let mut ffn = FeedForward::read(c, "num_experts")?.sharing(c, "num_shared_experts", 2)?;
    ffn.names[0] = "mlp.router.gate";
    ffn.correction = Some(vector("mlp.expert_bias", ffn.experts.total));
    let dense = c.count_or("num_dense_layers", 1)?;
    let window = c.maybe_or("sliding_window", 1024)?;
    let every = if c.has("layer_types") {
        c.maybe("global_attn_every_n_layers")?.unwrap_or(4)
    } else {
        c.size_or("global_attn_every_n_layers", 4)?
    };
    let masks = layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(every))?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(with_norms(heads.attention(d, bias, bias, masks(layer)), head_norms(&heads)));
        ops.push(projection("self_attn.gate_proj", d, heads.query_width()).into());
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.push(rms_norm("pre_mlp_layernorm", d));
        ops.extend(ffn.layer(layer >= dense, d, false));
        ops.push(rms_norm("post_mlp_layernorm", d));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    /// Trinity-Mini.
    const MINI: &str = r#"{"model_type": "afmoe", "hidden_size": 2048, "head_dim": 128,
        "intermediate_size": 6144, "moe_intermediate_size": 1024, "num_attention_heads": 32,
        "num_key_value_heads": 4, "num_hidden_layers": 32, "num_dense_layers": 2,
        "num_experts": 128, "num_experts_per_tok": 8, "num_shared_experts": 1,
        "global_attn_every_n_layers": 4, "sliding_window": 2048, "vocab_size": 200192,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn mini_has_the_parameters_that_it_is_published_with() {
        // 32 of 3·2048·4096 + 2·2048·512 + 2·128 + 4·2048, two dense layers of 3·2048·6144, 30 of
        // 2048·128 + 128 + 129·3·2048·1024, 2·200192·2048 and a norm: 26 billion.
        let attention: u128 = 3 * 2048 * 4096 + 2 * 2048 * 512 + 2 * 128 + 4 * 2048;
        let routed: u128 = 2048 * 128 + 128 + 129 * 3 * 2048 * 1024;
        let total = 32 * attention + 2 * 3 * 2048 * 6144 + 30 * routed + 2 * 200_192 * 2048 + 2048;
        let mini = model(MINI);
        assert_eq!(mini.parameters().total, total);
        assert_eq!(total / 100_000_000, 261);
        assert!(mini.unread().is_empty() && mini.notes().is_empty());
        assert_eq!(windows(&mini), [(Some(2048), 2), (Some(2048), 22), (None, 8)]);
    }

    #[test]
    fn no_layer_can_be_every_zeroth() {
        let never = MINI.replace("n_layers\": 4", "n_layers\": 0");
        assert_eq!(fact(&never), "`global_attn_every_n_layers`: is 0, which is no size");
    }
}
