//! Muse Glimmer: Llama's layers with gated attention, norms around each half, and heads that are normed without weights.
//!
//! ```text
//! embed → norm → L × [ norm → q, k, v → norms of q, k → attend · gate → out → norm ] [ norm → gate, up → down → norm ]
//! → norm → head
//! ```
//!
//! The gate is one number for each element of a head. Every fourth layer from the last one back attends to everything,
//! and the others slide.

use super::parts::{Heads, decoder, gated_mlp, layer_masks, projection, rms_norm, text_part, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["muse_glimmer", "muse_glimmer_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "muse_glimmer" {
        for key in ["out_hidden_size", "projector_hidden_size"] {
            c.raw(key);
        }
        return text_part(c, "muse_glimmer_text", build);
    }
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let heads = Heads::read_or(c, d, 2, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let window = c.maybe_or("sliding_window", 2048)?;
    let masks = layer_masks(c, window, |layer| !(layers - 1 - layer).is_multiple_of(4))?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(heads.attention(d, bias, bias, masks(layer)));
        ops.extend([
            projection("self_attn.gate_proj", d, heads.query_width()).into(),
            rms_norm("post_attention_layernorm", d),
            rms_norm("pre_feedforward_layernorm", d),
        ]);
        ops.extend(gated_mlp(d, f, false));
        ops.push(rms_norm("post_feedforward_layernorm", d));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, windows};

    #[test]
    fn as_its_class_has_it() {
        let muse = model(
            r#"{"model_type": "muse_glimmer_text", "hidden_size": 6656, "intermediate_size": 19968,
                "num_hidden_layers": 52, "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128,
                "sliding_window": 2048, "vocab_size": 202048, "tie_word_embeddings": false}"#,
        );
        let d: u128 = 6656;
        // q, gate and out 3·d·4096, k and v 2·d·256, 3·d·19,968, four norms; two tables and a norm.
        let layer = 3 * d * 4096 + 2 * d * 256 + 3 * d * 19_968 + 4 * d;
        assert_eq!(muse.parameters().total, 52 * layer + 2 * 202_048 * d + d);
        let full: u64 =
            windows(&muse).iter().filter(|(window, _)| window.is_none()).map(|(_, n)| n).sum();
        assert_eq!(full, 13);
        assert!(muse.unread().is_empty(), "{:?}", muse.unread());
    }
}
