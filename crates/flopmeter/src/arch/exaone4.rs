//! EXAONE 4: norms after each half and of each head's queries and keys; three layers in four may slide.
//!
//! ```text
//! embed → L × [ q, k, v → norms of q, k → attend → out → norm ] [ gate, up → down → norm ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, head_norms, layer_interval, layer_masks, post_normed,
};
use super::parts::{rms_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["exaone4"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let slides = sliding_layers(c, window)?;
    let masks = layer_masks(c, window, slides)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, false, false, masks(layer));
        let attention = with_norms(attention, head_norms(&heads));
        Ok(post_normed(d, attention, gated_mlp(d, f, false)))
    })
}

/// `sliding_window_pattern`: every which layer is global, or the layers spelled out, L for local and G
/// for global, over and over; the last layer of a spelled pattern is global in any case.
pub(super) fn sliding_layers(c: &Config, window: Option<u64>) -> Result<impl Fn(u64) -> bool> {
    let layers = c.size("num_hidden_layers")?;
    let pattern = match c.raw("sliding_window_pattern") {
        Some(Value::String(letters)) => {
            let local: Option<Vec<bool>> = letters
                .chars()
                .map(|letter| match letter {
                    'L' => Some(true),
                    'G' => Some(false),
                    _ => None,
                })
                .collect();
            let local = local.filter(|local| !local.is_empty()).ok_or_else(|| {
                c.contradiction("sliding_window_pattern", "is not made of the letters L and G")
            })?;
            Pattern::Spelled(local)
        }
        // 0 is what the class saves where none slides.
        Some(number) if number.as_u64() == Some(0) => Pattern::GlobalEvery(0),
        // Absent, the class has one global layer in four.
        _ => Pattern::GlobalEvery(layer_interval(c, window, &["sliding_window_pattern"], 4)?),
    };
    Ok(move |layer: u64| match &pattern {
        Pattern::GlobalEvery(0) => false,
        Pattern::GlobalEvery(every) => !(layer + 1).is_multiple_of(*every),
        Pattern::Spelled(local) => {
            let kind = usize::try_from(layer).ok().and_then(|at| local.get(at % local.len()));
            layer + 1 < layers && kind == Some(&true)
        }
    })
}

enum Pattern {
    GlobalEvery(u64),
    Spelled(Vec<bool>),
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const EXAONE_4_32B: &str = r#""model_type": "exaone4", "hidden_size": 5120,
        "num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8,
        "head_dim": 128, "intermediate_size": 27392, "vocab_size": 102400"#;

    #[test]
    fn exaone_4_32b_has_its_published_parameters() {
        // 2·102,400·5120 + 64·(2·5120² + 2·5120·1024 + 2·128 + 3·5120·27,392 + 2·5120) + 5120
        let model = model(&format!(r#"{{"sliding_window_pattern": "LLLG", {EXAONE_4_32B}}}"#));
        assert_eq!(model.parameters().total, 32_003_216_384);
        assert_eq!(windows(&model), [(Some(4096), 48), (None, 16)]);
    }

    #[test]
    fn the_last_layer_of_a_spelled_pattern_is_global() {
        let local = model(&format!(r#"{{"sliding_window_pattern": "L", {EXAONE_4_32B}}}"#));
        assert_eq!(windows(&local), [(Some(4096), 63), (None, 1)]);
        let off = model(&format!(r#"{{"sliding_window_pattern": 0, {EXAONE_4_32B}}}"#));
        assert_eq!(windows(&off), [(None, 64)]);
        for pattern in ["", "LXLG"] {
            let config = format!(r#"{{"sliding_window_pattern": "{pattern}", {EXAONE_4_32B}}}"#);
            assert_eq!(
                error(&config),
                "`sliding_window_pattern`: is not made of the letters L and G"
            );
        }
    }
}
