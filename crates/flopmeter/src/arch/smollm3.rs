//! SmolLM3: Llama's block; every fourth layer goes without rotary embedding, and it alone may slide.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, layer_interval, layer_masks, one_each, pre_normed, rms_norm, tied,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["smollm3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 4, None)?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    // A window that is stated is not in force before the switch is on.
    let stated = c.maybe("sliding_window")?;
    let window = if c.flag("use_sliding_window", false)? { stated } else { None };
    let rotary = rotary_layers(c, window)?;
    let masks = layer_masks(c, window, |layer| !rotary(layer))?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        Ok(pre_normed(d, attention, gated_mlp(d, f, mlp_bias)))
    })
}

/// Which layers have rotary embedding: 1 in `no_rope_layers` says that one has, 0 that it has not.
fn rotary_layers(c: &Config, window: Option<u64>) -> Result<impl Fn(u64) -> bool> {
    let listed = c.counts("no_rope_layers")?;
    // Where the layers are listed, it decides nothing.
    let window = window.filter(|_| listed.is_none());
    let every = layer_interval(c, window, &["no_rope_layer_interval"], 4)?;
    let layers = c.size("num_hidden_layers")?;
    if let Some(list) = &listed {
        one_each(c, "no_rope_layers", list, layers)?;
    }
    Ok(move |layer: u64| match &listed {
        Some(list) => usize::try_from(layer).is_ok_and(|at| list.get(at) != Some(&0)),
        None => !(layer + 1).is_multiple_of(every),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const SIZES: &str = r#""model_type": "smollm3", "hidden_size": 2048, "num_hidden_layers": 36,
        "num_attention_heads": 16, "num_key_value_heads": 4, "intermediate_size": 11008,
        "vocab_size": 128256"#;

    #[test]
    fn smollm3_3b_has_its_published_parameters() {
        // 128,256·2048 + 36·(2·2048² + 2·2048·512 + 3·2048·11,008 + 2·2048) + 2048
        let model = model(&format!("{{{SIZES}}}"));
        assert_eq!(model.parameters().total, 3_075_098_624);
        assert_eq!(windows(&model), [(None, 36)]);
    }

    #[test]
    fn only_layers_without_rotary_embedding_slide() {
        let on = r#""sliding_window": 512, "use_sliding_window": true"#;
        assert_eq!(windows(&model(&format!("{{{on}, {SIZES}}}"))), [(None, 27), (Some(512), 9)]);
        let off = r#""sliding_window": 512"#;
        assert_eq!(windows(&model(&format!("{{{off}, {SIZES}}}"))), [(None, 36)]);
        assert_eq!(
            error(&format!(r#"{{"no_rope_layers": [1, 0], {SIZES}}}"#)),
            "`no_rope_layers`: has 2 entries for 36 layers"
        );
    }
}
