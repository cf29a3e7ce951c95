//! dots.llm1: Qwen3's attention and DeepSeek's feed-forward layers.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense in the first layers, then router + correction → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! Layers from `max_window_layers` on slide, which in the published models is none.

use super::experts::DenseFirst;
use super::parts::{
    Heads, decoder, head_norms, layer_masks, pre_normed, rms_norm, tied, with_norms,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["dots1"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let bias = c.flag("attention_bias", false)?;
    // The class has no number of shared experts to fall back on.
    c.size("n_shared_experts")?;
    let ffn = DenseFirst::read(c, 0, 0)?.corrected();
    let window = c.maybe_or("sliding_window", 4096)?;
    let first = if window.is_some() && !c.has("layer_types") {
        c.count_or("max_window_layers", 62)?
    } else {
        0
    };
    let masks = layer_masks(c, window, |layer| layer >= first)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        let attention = with_norms(attention, head_norms(&heads));
        Ok(pre_normed(d, attention, ffn.layer(layer, d, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    /// dots.llm1.
    const DOTS: &str = r#"{"model_type": "dots1", "hidden_size": 4096, "intermediate_size": 10944,
        "moe_intermediate_size": 1408, "num_attention_heads": 32, "num_key_value_heads": 32,
        "num_hidden_layers": 62, "n_routed_experts": 128, "n_shared_experts": 2,
        "num_experts_per_tok": 6, "first_k_dense_replace": 1, "max_window_layers": 62,
        "sliding_window": null, "vocab_size": 152064, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn dots_has_as_many_parameters_as_its_name_states() {
        // 62 of 4·4096² + 2·128 + 2·4096, one dense layer of 3·4096·10944, 61 of 4096·128 +
        // 130·3·4096·1408, 2·152064·4096 and a norm: 142 billion.
        let attention: u128 = 4 * 4096 * 4096 + 2 * 128 + 2 * 4096;
        let routed: u128 = 4096 * 128 + 130 * 3 * 4096 * 1408;
        let total = 62 * attention + 3 * 4096 * 10_944 + 61 * routed + 2 * 152_064 * 4096 + 4096;
        let dots = model(DOTS);
        assert_eq!(dots.parameters().total, total);
        assert!(dots.unread().is_empty());
        assert!(dots.notes().iter().all(|note| note.contains("is absent")), "{:?}", dots.notes());
    }

    #[test]
    fn later_layers_slide_if_a_window_is_set() {
        let window = DOTS.replace("\"sliding_window\": null", "\"sliding_window\": 512");
        let late = window.replace("max_window_layers\": 62", "max_window_layers\": 60");
        assert_eq!(windows(&model(&window)), [(None, 1), (None, 61)]);
        assert_eq!(windows(&model(&late)), [(None, 1), (None, 59), (Some(512), 2)]);
    }

    #[test]
    fn shared_experts_have_to_be_stated() {
        let absent = DOTS.replace("n_shared_experts", "shared");
        assert_eq!(fact(&absent), "`n_shared_experts`: is missing");
    }
}
