//! CWM and Granite with windows: Llama's block that slides on all layers but the first of every four.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! `layer_types` may say otherwise. Granite's attention has a sink for each head, which no product sees.

use super::parts::{Heads, decoder, gated_mlp, layer_masks, pre_normed, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["cwm", "granite_swa"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let granite = c.model_type() == "granite_swa";
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = match granite {
        true => Heads::read_or(c, d, 4, None)?,
        false => Heads::read_or(c, d, 8, Some(128))?,
    };
    let bias = granite && c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let window = c.maybe_or("sliding_window", if granite { 128 } else { 8192 })?;
    let masks = layer_masks(c, window, |layer| !layer.is_multiple_of(4))?;
    decoder(c, d, tied(c, granite)?, rms_norm("model.norm", d), |layer| {
        let mut attention = heads.attention(d, bias, bias, masks(layer));
        if granite {
            attention.push(vector("self_attn.sinks", heads.query));
        }
        Ok(pre_normed(d, attention, gated_mlp(d, f, mlp_bias)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const CWM: &str = r#""model_type": "cwm", "hidden_size": 6144, "num_hidden_layers": 64,
        "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128,
        "intermediate_size": 21504, "vocab_size": 128256"#;

    #[test]
    fn cwm_32b_has_the_parameters_of_its_matrices_and_slides_on_three_layers_of_four() {
        // 2·128,256·6144 + 64·(2·6144² + 2·6144·1024 + 3·6144·21,504 + 2·6144) + 6144
        let layer: u128 = 2 * 6144 * 6144 + 2 * 6144 * 1024 + 3 * 6144 * 21_504 + 2 * 6144;
        let cwm = model(&format!("{{{CWM}}}"));
        assert_eq!(cwm.parameters().total, 2 * 128_256 * 6144 + 64 * layer + 6144);
        assert_eq!(windows(&cwm), [(None, 16), (Some(8192), 48)]);
    }

    #[test]
    fn a_list_of_layers_must_fit() {
        assert_eq!(
            error(&format!(r#"{{"layer_types": ["full_attention"], {CWM}}}"#)),
            "`layer_types`: has 1 entries for 64 layers"
        );
    }
}
