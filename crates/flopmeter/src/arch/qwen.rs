//! Qwen2, Qwen3 and Hunyuan: Llama's block, Qwen2 with biases of q, k and v, the others with norms of
//! queries and keys.
//!
//! ```text
//! embed → L × [ norm → q, k, v (→ norms of q, k) → attend → out ] [ norm → gate, up → down ] → norm → head
//! ```

use super::parts::{
    Heads, decoder, gated_mlp, head_norms, layer_masks, note_prediction_layers, pre_normed,
    rms_norm, tied, with_norms,
};
use super::prediction::{MIMO, with_layers};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["hunyuan_v1_dense", "hunyuan_vl_text", "mimo", "qwen2", "qwen3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "mimo" => mimo(c),
        "qwen2" => qwen2(c),
        "qwen3" => qwen3(c),
        _ => hunyuan(c),
    }
}

fn qwen2(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let masks = qwen_masks(c)?;
    model(c, d, |layer| heads.attention(d, true, false, masks(layer)))
}

/// MiMo-7B: Qwen2, and a layer like its own that predicts further tokens.
fn mimo(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, None)?;
    let count = c.count("num_nextn_predict_layers")?;
    let attention = heads.attention(d, true, false, Mask::Causal);
    let layer = pre_normed(d, attention, gated_mlp(d, c.size("intermediate_size")?, false));
    with_layers(c, qwen2(c)?, d, count, &MIMO, layer)
}

fn qwen3(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 32, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let masks = qwen_masks(c)?;
    model(c, d, |layer| {
        with_norms(heads.attention(d, bias, bias, masks(layer)), head_norms(&heads))
    })
}

fn hunyuan(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let query = c.size("num_attention_heads")?;
    let kv = c.size_or("num_key_value_heads", query)?;
    let dim = c.maybe_of(&["head_dim", "attention_head_dim"])?;
    let heads = Heads::checked(c, d, query, kv, dim)?;
    let bias = c.flag("attention_bias", false)?;
    let norms = ["self_attn.query_layernorm", "self_attn.key_layernorm"];
    model(c, d, |_| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        with_norms(attention, norms.map(|name| rms_norm(name, heads.dim)))
    })
}

fn model(c: &Config, d: u64, attention: impl Fn(u64) -> Vec<Op>) -> Result<Model> {
    let f = c.size("intermediate_size")?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        Ok(pre_normed(d, attention(layer), gated_mlp(d, f, false)))
    })
}

/// Qwen's windows: off unless switched on, and then only from layer `max_window_layers` on.
fn qwen_masks(c: &Config) -> Result<impl Fn(u64) -> Mask> {
    let window = if c.flag("use_sliding_window", false)? {
        c.maybe_or("sliding_window", 4096)?
    } else {
        c.maybe("sliding_window")?;
        None
    };
    let first = c.count("max_window_layers")?;
    if first.is_none() && window.is_some() && !c.has("layer_types") {
        c.note_default("max_window_layers", "28");
    }
    layer_masks(c, window, move |layer| layer >= first.unwrap_or(28))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model, windows};

    const QWEN2_7B: &str = r#""model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "intermediate_size": 18944,
        "vocab_size": 152064, "sliding_window": 131072"#;

    #[test]
    fn qwen2_7b_has_its_published_parameters() {
        // 2·152,064·3584
        // + 28·(2·3584² + 2·3584·512 + 3584 + 2·512 + 3·3584·18,944 + 2·3584) + 3584
        assert_eq!(model(&format!("{{{QWEN2_7B}}}")).parameters().total, 7_615_616_512);
    }

    #[test]
    fn qwen3_0_6b_has_its_published_parameters() {
        // 151,936·1024
        // + 28·(2·1024·2048 + 2·1024·1024 + 2·128 + 3·1024·3072 + 2·1024) + 1024
        let model = model(
            r#"{"model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "head_dim": 128,
                "num_attention_heads": 16, "num_key_value_heads": 8, "intermediate_size": 3072,
                "vocab_size": 151936, "tie_word_embeddings": true}"#,
        );
        assert_eq!(model.parameters().total, 596_049_920);
    }

    #[test]
    fn a_window_is_off_until_it_is_switched_on_and_spares_the_first_layers() {
        assert_eq!(windows(&model(&format!("{{{QWEN2_7B}}}"))), [(None, 28)]);
        let on = r#""use_sliding_window": true, "max_window_layers": 21"#;
        assert_eq!(
            windows(&model(&format!("{{{on}, {QWEN2_7B}}}"))),
            [(None, 21), (Some(131_072), 7)]
        );
        let error = error(&format!(r#"{{"use_sliding_window": "no", {QWEN2_7B}}}"#));
        assert_eq!(error, "`use_sliding_window`: is the text \"no\", not true or false");
    }
}
