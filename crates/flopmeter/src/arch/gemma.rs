//! Gemma: Llama's block with a head that is the embedding table. Gemma 2 norms what comes out of each half
//! too and slides on every other layer; Gemma 3 norms queries and keys and slides on five layers in six.
//!
//! ```text
//! gemma    embed → L × [ norm → q, k, v → attend → out ] [ norm → gate, up → down ] → norm → head
//! gemma2   embed → L × [ norm → q, k, v → attend → out → norm ] [ norm → gate, up → down → norm ] → norm → head
//! gemma3   the same, with norms of q, k before attention
//! ```
//!
//! Gemma 3's larger sizes see images too; `gemma3` counts their text part.

use super::parts::{
    Heads, decoder, decoder_of, gated_mlp, head_norms, layer_masks, pre_normed, rms_norm,
    text_part, tied, with_norms,
};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["gemma", "gemma2", "gemma3_text", "gemma3"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "gemma" => gemma(c),
        "gemma2" => gemma2(c),
        "gemma3" => text_part(c, "gemma3_text", gemma3),
        _ => gemma3(c),
    }
}

fn gemma(c: &Config) -> Result<Model> {
    causal(c)?;
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 16, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |_| {
        let attention = heads.attention(d, bias, bias, Mask::Causal);
        Ok(pre_normed(d, attention, gated_mlp(d, f, false)))
    })
}

fn gemma2(c: &Config) -> Result<Model> {
    causal(c)?;
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 4, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let masks = layer_masks(c, window, |layer| layer % 2 == 0)?;
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        Ok(normed_around(d, heads.attention(d, bias, bias, masks(layer)), f))
    })
}

fn gemma3(c: &Config) -> Result<Model> {
    causal(c)?;
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    // Published files leave out what the class has by itself: heads, vocabulary.
    let query = c.size_or("num_attention_heads", 8)?;
    let kv = c.size_or("num_key_value_heads", 4)?;
    let heads = Heads::checked(c, d, query, kv, Some(c.size_or("head_dim", 256)?))?;
    let vocab = c.size_or("vocab_size", 262_208)?;
    let bias = c.flag("attention_bias", false)?;
    let window = c.maybe_or("sliding_window", 4096)?;
    let every =
        c.maybe_of(&["sliding_window_pattern", "_sliding_window_pattern"])?.unwrap_or(6);
    let masks = layer_masks(c, window, |layer| (layer + 1) % every != 0)?;
    decoder_of(c, vocab, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        let attention = heads.attention(d, bias, bias, masks(layer));
        Ok(normed_around(d, with_norms(attention, head_norms(&heads)), f))
    })
}

/// A layer with norms before and after each half.
fn normed_around(d: u64, attention: Vec<Op>, f: u64) -> Vec<Op> {
    let mut ops = vec![rms_norm("input_layernorm", d)];
    ops.extend(attention);
    ops.push(rms_norm("post_attention_layernorm", d));
    ops.push(rms_norm("pre_feedforward_layernorm", d));
    ops.extend(gated_mlp(d, f, false));
    ops.push(rms_norm("post_feedforward_layernorm", d));
    ops
}

/// Embedding models made of Gemma see what follows, too.
fn causal(c: &Config) -> Result<()> {
    if c.flag("use_bidirectional_attention", false)? {
        return Err(Error::new(
            ErrorKind::Architecture,
            "`use_bidirectional_attention`",
            "is true; only causal attention of this type is counted",
        ));
    }
    Ok(())
}
