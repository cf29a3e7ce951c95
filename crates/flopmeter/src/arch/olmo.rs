//! OLMo: Llama's block whose norms have no parameters; OLMo 2 norms what comes out of each half instead,
//! and queries and keys across all heads; OLMo 3 slides on all layers but every fourth.
//!
//! ```text
//! olmo           embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! olmo2, olmo3   embed → L × [ q, k, v → norms of q, k → attend → out → norm ] [ gate, up → down → norm ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, layer_masks, post_normed, pre_normed, rms_norm, tied, with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["olmo", "olmo2", "olmo3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let tied = tied(c, false)?;
    if c.model_type() == "olmo" {
        // Its norms are there, without parameters.
        return decoder(c, d, tied, rms_norm("model.norm", 0), |_| {
            let attention = heads.attention(d, bias, bias, Mask::Causal);
            Ok(pre_normed(0, attention, gated_mlp(d, f, false)))
        });
    }
    let window = match c.model_type() {
        "olmo3" => c.maybe_or("sliding_window", 4096)?,
        _ => None,
    };
    let masks = layer_masks(c, window, |layer| !(layer + 1).is_multiple_of(4))?;
    decoder(c, d, tied, rms_norm("model.norm", d), |layer| {
        let attention = with_norms(
            heads.attention(d, bias, bias, masks(layer)),
            [
                rms_norm("self_attn.q_norm", heads.query_width()),
                rms_norm("self_attn.k_norm", heads.kv_width()),
            ],
        );
        Ok(post_normed(d, attention, gated_mlp(d, f, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    #[test]
    fn olmo_1b_has_no_parameters_in_its_norms() {
        // 50,304·2048 + 16·(4·2048² + 3·2048·8192)
        let model = model(
            r#"{"model_type": "olmo", "hidden_size": 2048, "num_hidden_layers": 16,
                "num_attention_heads": 16, "intermediate_size": 8192, "vocab_size": 50304,
                "tie_word_embeddings": true}"#,
        );
        assert_eq!(model.parameters().total, 1_176_764_416);
    }

    #[test]
    fn olmo_3_7b_slides_on_three_layers_in_four() {
        // 2·100,278·4096 + 32·(4·4096² + 2·4096 + 3·4096·11,008 + 2·4096) + 4096
        let model = model(
            r#"{"model_type": "olmo3", "hidden_size": 4096, "num_hidden_layers": 32,
                "num_attention_heads": 32, "intermediate_size": 11008, "vocab_size": 100278,
                "sliding_window": 4096}"#,
        );
        assert_eq!(model.parameters().total, 7_298_011_136);
        assert_eq!(windows(&model), [(Some(4096), 24), (None, 8)]);
    }

    #[test]
    fn a_kind_of_layer_that_is_not_known_is_refused() {
        let config = r#"{"model_type": "olmo3", "hidden_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 64, "vocab_size": 64,
            "layer_types": ["linear_attention"]}"#;
        assert_eq!(
            error(config),
            "`layer_types`: has a layer of a kind that is not counted: \"linear_attention\""
        );
    }
}
