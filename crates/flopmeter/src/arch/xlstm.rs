//! xLSTM-7B (arXiv:2503.13427): nothing but matrix memories.
//!
//! ```text
//! embed → L × [ norm → q, k, v, gates → memory → norm · gate → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! `model` counts the memory token by token; `torch` counts whole chunks, and what is left step by step:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::{decoder_of, head, layer_norm, mlp};
use super::recurrent::projection;
use crate::config::Config;
use crate::error::{Error, Result, shown};
use crate::model::Model;
use crate::op::{Recurrent, RecurrentKind};

pub(super) const MODEL_TYPES: &[&str] = &["xlstm"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["hidden_size", "embedding_dim"])?;
    let heads = c.size_or("num_heads", 8)?;
    let key = share(c, "qk_dim_factor", 0.5, d, heads)?;
    let value = share(c, "v_dim_factor", 1.0, d, heads)?;
    let inner = inner(c, d)?;
    let bias = c.flag("use_bias", false)?;
    let memory = RecurrentKind::Matrix { heads, key, value, chunk: chunk(c)? };
    let (keys, values) = (heads * key, heads * value);
    let layer = vec![
        layer_norm("norm_mlstm", d, bias),
        projection("mlstm_layer.q", d, keys).bias(bias).into(),
        projection("mlstm_layer.k", d, keys).bias(bias).into(),
        projection("mlstm_layer.v", d, values).bias(bias).into(),
        projection("mlstm_layer.ogate_preact", d, values).bias(bias).into(),
        projection("mlstm_layer.igate_preact", d, heads).bias(true).into(),
        projection("mlstm_layer.fgate_preact", d, heads).bias(true).into(),
        Recurrent::new("mlstm_layer.mlstm_backend", memory).into(),
        layer_norm("mlstm_layer.multihead_norm", values, bias),
        projection("mlstm_layer.out_proj", values, d).bias(bias).into(),
        layer_norm("norm_ffn", d, bias),
        mlp("ffn.proj_up_gate", d, inner).bias(bias).into(),
        mlp("ffn.proj_up", d, inner).bias(bias).into(),
        mlp("ffn.proj_down", inner, d).bias(bias).into(),
    ];
    let vocab = c.size("vocab_size")?;
    // The reference implementation never ties them, whatever the key says.
    let _unheeded = c.flag("tie_word_embeddings", false)?;
    let norm = layer_norm("backbone.out_norm", d, false);
    decoder_of(c, vocab, d, head(d, vocab, false), norm, |_| Ok(layer.clone()))
}

/// Width of a head's share of the model's width times a factor.
fn share(c: &Config, key: &'static str, default: f64, d: u64, heads: u64) -> Result<u64> {
    let width = scaled(c, key, default, d)?;
    if width == 0 || !width.is_multiple_of(heads) {
        let fact = format!("makes a width of {width}, which {heads} heads do not divide evenly");
        return Err(c.contradiction(key, &fact));
    }
    Ok(width / heads)
}

/// Width of a feed-forward layer: rounded up to a multiple.
fn inner(c: &Config, d: u64) -> Result<u64> {
    let multiple = c.size_or("ffn_round_up_to_multiple_of", 64)?;
    let width = scaled(c, "ffn_proj_factor", 2.667, d)?;
    let rounded = width.next_multiple_of(multiple);
    if rounded == 0 {
        return Err(c.contradiction("ffn_proj_factor", "makes no width"));
    }
    Ok(rounded)
}

/// The model's width times a factor, whatever is behind the point cut off.
fn scaled(c: &Config, key: &'static str, default: f64, d: u64) -> Result<u64> {
    let factor = match c.number(key)? {
        Some(factor) => factor,
        None => {
            c.note_default(key, &default.to_string());
            default
        }
    };
    let width = d as f64 * factor;
    // A width that is believed is a number that a double holds exactly.
    if !(0.0..=WIDEST).contains(&width) {
        let fact = format!("is {factor}; no width from 0 to {WIDEST} comes of it");
        return Err(c.contradiction(key, &fact));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(width as u64)
}

/// The widest that a layer is believed to be inside.
const WIDEST: f64 = (1 << 24) as f64;

/// Tokens of a chunk, where the reference implementation runs what is counted here.
fn chunk(c: &Config) -> Result<u64> {
    let chunk = c.size_or("chunk_size", 64)?;
    // Prompts that are longer than this are cut, and each piece has a rest of its own.
    let piece = c.size_or("max_inference_chunksize", 16384)?;
    if chunk == 1 || !piece.is_multiple_of(chunk) {
        let fact =
            format!("is {chunk}, which is 1 or does not divide the pieces of {piece} evenly");
        return Err(c.contradiction("chunk_size", &fact).hint("check `max_inference_chunksize`"));
    }
    let is = |key, wanted: &str| -> Result<Option<String>> {
        Ok(c.text(key)?.filter(|text| *text != wanted).map(shown))
    };
    if let Some(mode) = is("weight_mode", "single")? {
        return Err(unlike(c, "weight_mode", &mode, "single"));
    }
    if is("mode", "inference")?.is_some_and(|mode| !mode.starts_with("train")) {
        return Err(unlike(c, "mode", "neither", "inference"));
    }
    Ok(chunk)
}

fn unlike(c: &Config, key: &str, value: &str, counted: &str) -> Error {
    c.contradiction(key, &format!("is \"{value}\"; only \"{counted}\" is counted"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// xLSTM-7B as on the Hub.
    const XLSTM: &str = r#"{"model_type": "xlstm", "embedding_dim": 4096, "num_heads": 8,
        "num_blocks": 32, "vocab_size": 50304, "qk_dim_factor": 0.5, "v_dim_factor": 1.0,
        "ffn_proj_factor": 2.667, "ffn_round_up_to_multiple_of": 64, "chunk_size": 64,
        "max_inference_chunksize": 16384, "use_bias": false, "weight_mode": "single",
        "dtype": "bfloat16"}"#;

    #[test]
    fn factors_make_the_widths_of_the_published_tensors() {
        // q, k 4096·2048, v, output gate and output 4096·4096, two gates of 8 with biases, norms
        // 3·4096, gate, up, down 3·4096·10944.
        let block: u128 =
            2 * 4096 * 2048 + 3 * 4096 * 4096 + 2 * (4096 * 8 + 8) + 3 * 4096 + 3 * 4096 * 10_944;
        let total = 32 * block + 2 * 50_304 * 4096 + 4096;
        assert_eq!(total / 10_000_000, 686);
        assert_eq!(parameters(XLSTM), total);
        assert!(model(XLSTM).unread().is_empty() && model(XLSTM).notes().is_empty());
    }

    #[test]
    fn what_the_reference_implementation_would_run_otherwise_is_an_error() {
        assert_eq!(
            fact(&XLSTM.replace("single", "fused")),
            "`weight_mode`: is \"fused\"; only \"single\" is counted"
        );
        assert_eq!(
            fact(&XLSTM.replace("chunk_size\": 64", "chunk_size\": 48")),
            "`chunk_size`: is 48, which is 1 or does not divide the pieces of 16384 evenly"
        );
        assert_eq!(
            fact(&XLSTM.replace("0.5", "0.3")),
            "`qk_dim_factor`: makes a width of 1228, which 8 heads do not divide evenly"
        );
        assert_eq!(
            fact(&XLSTM.replace("2.667", "-1")),
            "`ffn_proj_factor`: is -1; no width from 0 to 16777216 comes of it"
        );
    }
}
