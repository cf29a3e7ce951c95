//! Falcon in its three layouts, which differ in the heads of keys and values and in the norms.
//!
//! ```text
//! parallel    embed → L × [ norm → ( qkv → attend → out ) + ( up → down ) ] → norm → head
//! two norms   embed → L × [ ( norm → qkv → attend → out ) + ( norm → up → down ) ] → norm → head
//! sequential  embed → L × [ norm → qkv → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! Keys and values: one head for all (Falcon-7B), one for each query head (Falcon-RW), or
//! `num_kv_heads` in the new decoder architecture (Falcon-11B, 40B and 180B).

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["falcon"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["hidden_size", "n_embed"])?;
    let new = c.flag_or("new_decoder_architecture", false)?;
    let heads = heads(c, d, new)?;
    // Absent or null means four times the width.
    let f = c.size_or("ffn_hidden_size", 4 * d)?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let bias = c.flag("bias", false)?;
    let (first_norm, second_norm) = norms(c, new)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("transformer.word_embeddings", vocab, d)]);
    model.layers(layers, |_| {
        let (qkv, out) = ("self_attention.query_key_value", "self_attention.dense");
        let mut ops = vec![
            layer_norm(first_norm, d, true),
            projection(qkv, d, heads.fused_width()).bias(bias).into(),
            heads.attend_in("self_attention", Mask::Causal),
            projection(out, d, d).bias(bias).into(),
        ];
        ops.extend(second_norm.map(|module| layer_norm(module, d, true)));
        ops.push(mlp("mlp.dense_h_to_4h", d, f).bias(bias).into());
        ops.push(mlp("mlp.dense_4h_to_h", f, d).bias(bias).into());
        Ok(ops)
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("transformer.ln_f", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

/// `num_kv_heads` counts in the new architecture only; before, it was `multi_query`, yes or no.
fn heads(c: &Config, d: u64, new: bool) -> Result<Heads> {
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let kv = if new {
        c.flag("multi_query", true)?;
        c.size_or("num_kv_heads", heads.query)?
    } else {
        c.maybe("num_kv_heads")?;
        if c.flag_or("multi_query", true)? { 1 } else { heads.query }
    };
    heads.sharing(c, "num_kv_heads", kv)
}

/// The norm of a layer, and the one before its feed-forward half if that has one of its own.
fn norms(c: &Config, new: bool) -> Result<(&'static str, Option<&'static str>)> {
    const KEY: &str = "num_ln_in_parallel_attn";
    if !c.flag("parallel_attn", true)? {
        c.maybe(KEY)?;
        return Ok(("input_layernorm", Some("post_attention_layernorm")));
    }
    let number = if new { c.size_or(KEY, 2)? } else { c.maybe(KEY)?.unwrap_or(1) };
    match number {
        1 => Ok(("input_layernorm", None)),
        2 if new => Ok(("ln_attn", Some("ln_mlp"))),
        other => Err(c
            .contradiction(KEY, &format!("is {other}, which no layout of Falcon has here"))
            .hint("it is 1, or 2 where `new_decoder_architecture` is true")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const FALCON_7B: &str = r#"{"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32,
        "num_attention_heads": 71, "multi_query": true, "new_decoder_architecture": false,
        "parallel_attn": true, "bias": false, "vocab_size": 65024}"#;
    const FALCON_40B: &str = r#"{"model_type": "falcon", "hidden_size": 8192,
        "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8,
        "new_decoder_architecture": true, "parallel_attn": true, "bias": false,
        "vocab_size": 65024}"#;

    #[test]
    fn published_totals() {
        // Embedding 65024·4544 = 295_469_056. A layer: norm 2·4544, qkv 4544·(71 + 2)·64, out 4544²,
        // mlp 8·4544²: 207_070_080. Last norm 9088.
        assert_eq!(parameters(FALCON_7B), 295_469_056 + 32 * 207_070_080 + 9088);
        assert_eq!(parameters(FALCON_7B), 6_921_720_704);
        // 65024·8192 + 60·(4·8192 + 8192·(128 + 16)·64 + 9·8192²) + 2·8192
        assert_eq!(parameters(FALCON_40B), 41_303_293_952);
    }

    #[test]
    fn heads_and_norms_that_no_layout_has_are_errors() {
        assert_eq!(
            fact(&FALCON_40B.replace(r#"kv_heads": 8"#, r#"kv_heads": 7"#)),
            "`num_kv_heads`: 128 query heads cannot share 7 key/value heads evenly"
        );
        let two_norms = r#""num_ln_in_parallel_attn": 2, "bias""#;
        assert_eq!(
            fact(&FALCON_7B.replace(r#""bias""#, two_norms)),
            "`num_ln_in_parallel_attn`: is 2, which no layout of Falcon has here"
        );
    }
}
