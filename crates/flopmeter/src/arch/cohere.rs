//! Command R and Aya: attention and feed-forward layer side by side, after one norm.
//!
//! ```text
//! embed → L × [ norm → ( q, k, v → attend → out ) + ( gate, up → down ) ] → norm → head
//! ```
//!
//! The norms are LayerNorms without a bias. `cohere2` slides on all layers but every fourth,
//! `cohere_compass_text` on those that `layer_types` lists.

use super::parts::{
    Heads, decoder, gated_mlp, layer_interval, layer_masks, layer_norm, tied, with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["cohere", "cohere2", "cohere_compass_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let compass = c.model_type() == "cohere_compass_text";
    let cohere2 = c.model_type() == "cohere2";
    // One weight for each head, unlike Qwen's.
    let normed = c.model_type() == "cohere" && c.flag("use_qk_norm", false)?;
    let norms = || {
        [("self_attn.q_norm", heads.query_width()), ("self_attn.k_norm", heads.kv_width())]
            .map(|(name, width)| layer_norm(name, width, false))
    };
    let window = if cohere2 || compass { c.maybe_or("sliding_window", 4096)? } else { None };
    // Compass lists its layers; without a list all of them see everything.
    let every =
        if cohere2 { layer_interval(c, window, &["sliding_window_pattern"], 4)? } else { 1 };
    let masks = layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(every))?;
    decoder(c, d, tied(c, true)?, layer_norm("model.norm", d, false), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        let mut ops = vec![layer_norm("input_layernorm", d, false)];
        ops.extend(if normed { with_norms(attention, norms()) } else { attention });
        ops.extend(gated_mlp(d, f, false));
        Ok(ops)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    #[test]
    fn aya_23_8b_has_its_published_parameters() {
        // 256,000·4096 + 32·(2·4096² + 2·4096·1024 + 3·4096·14,336 + 4096) + 4096
        let sizes = r#""model_type": "cohere", "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
            "vocab_size": 256000"#;
        assert_eq!(model(&format!("{{{sizes}}}")).parameters().total, 8_028_033_024);
        // A weight for each head's queries and keys: 32·(4096 + 1024).
        let normed = model(&format!(r#"{{"use_qk_norm": true, {sizes}}}"#));
        assert_eq!(normed.parameters().total, 8_028_033_024 + 163_840);
    }

    #[test]
    fn command_r7b_is_whole_on_every_fourth_layer() {
        let sizes = r#""model_type": "cohere2", "hidden_size": 4096, "num_hidden_layers": 32,
            "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
            "vocab_size": 256000, "sliding_window": 4096"#;
        let model = model(&format!("{{{sizes}}}"));
        assert_eq!(windows(&model), [(Some(4096), 24), (None, 8)]);
        assert_eq!(
            error(&format!(r#"{{"sliding_window_pattern": 0, {sizes}}}"#)),
            "`sliding_window_pattern`: is 0, which is no size; \
             a size is a whole number from 1 to 16777216"
        );
    }
}
