//! Mistral: Llama's block without any bias, and a window.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend, in a window → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! A window that is stated holds for every layer unless `layer_types` says which.

use super::parts::{Heads, decoder, gated_mlp, layer_masks, pre_normed, rms_norm, text_part, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["mistral", "ministral", "ministral3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    // Ministral 3 sees images too; some files give the whole the type of its text part.
    if c.has("text_config") && !c.has("hidden_size") {
        return text_part(c, c.model_type(), super::build);
    }
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let (heads, window) = match c.model_type() {
        "ministral3" => (Heads::read_or(c, d, 8, Some(128))?, c.maybe("sliding_window")?),
        _ => (Heads::read_or(c, d, 8, None)?, c.maybe_or("sliding_window", 4096)?),
    };
    let masks = layer_masks(c, window, |_| true)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        Ok(pre_normed(d, attention, gated_mlp(d, f, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const SIZES: &str = r#""hidden_size": 4096, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 32000"#;

    #[test]
    fn mistral_7b_has_its_published_parameters() {
        // 2·32,000·4096 + 32·(2·4096² + 2·4096·1024 + 3·4096·14,336 + 2·4096) + 4096
        let model = model(&format!(r#"{{"model_type": "mistral", {SIZES}}}"#));
        assert_eq!(model.parameters().total, 7_241_732_096);
    }

    #[test]
    fn an_absent_window_is_the_class_s_and_a_null_one_is_none() {
        let absent = model(&format!(r#"{{"model_type": "mistral", {SIZES}}}"#));
        assert_eq!(windows(&absent), [(Some(4096), 32)]);
        assert!(absent.notes().iter().any(|note| note.starts_with("`sliding_window` is absent")));
        let null =
            model(&format!(r#"{{"model_type": "mistral", "sliding_window": null, {SIZES}}}"#));
        assert_eq!(windows(&null), [(None, 32)]);
        let newer = model(&format!(r#"{{"model_type": "ministral3", {SIZES}}}"#));
        assert_eq!(windows(&newer), [(None, 32)]);
    }

    #[test]
    fn a_list_of_layers_must_fit_and_needs_a_window() {
        let config = |more: &str| format!(r#"{{"model_type": "ministral", {more}, {SIZES}}}"#);
        assert_eq!(
            error(&config(r#""layer_types": ["full_attention"]"#)),
            "`layer_types`: has 1 entries for 32 layers"
        );
        let sliding = vec![r#""sliding_attention""#; 32].join(",");
        assert_eq!(
            error(&config(&format!(r#""sliding_window": null, "layer_types": [{sliding}]"#))),
            "`layer_types`: has sliding layers, but no window is set; \
             check `sliding_window`, and `use_sliding_window` where there is one"
        );
    }
}
