//! MPT: no biases at all, not even in the norms, and ALiBi in place of positions.
//!
//! ```text
//! embed → L × [ norm → qkv → attend → out ] [ norm → up → down ] → norm → head
//! ```
//!
//! The reference implementation leaves aside what MosaicML's own code shapes by other keys; a file that
//! uses one of them is refused, since its weights would be others than those that are counted.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["mpt"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["d_model", "hidden_size"])?;
    let heads = Heads::equal(c, d, &["n_heads", "num_attention_heads"])?;
    let f = feed_forward_width(c, d)?;
    let layers = c.size_of(&["n_layers", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;
    refuse_other_attention(c, heads)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", [table("transformer.wte", vocab, d)]);
    model.layers(layers, |_| {
        Ok(vec![
            layer_norm("norm_1", d, false),
            projection("attn.Wqkv", d, 3 * d).into(),
            heads.attend_in("attn", Mask::Causal),
            projection("attn.out_proj", d, d).into(),
            layer_norm("norm_2", d, false),
            mlp("ffn.up_proj", d, f).into(),
            mlp("ffn.down_proj", f, d).into(),
        ])
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("transformer.norm_f", d, false), head(d, vocab, tied).into()])?;
    model.finish()
}

/// Four times the width, whatever `expansion_ratio` says: the reference implementation never reads it.
fn feed_forward_width(c: &Config, d: u64) -> Result<u64> {
    match c.number("expansion_ratio")? {
        Some(4.0) => {}
        Some(ratio) => c.note(format!(
            "`expansion_ratio` is {ratio}, but the reference implementation of `mpt` always takes 4"
        )),
        None => c.note_default("expansion_ratio", "4"),
    }
    Ok(4 * d)
}

fn refuse_other_attention(c: &Config, heads: Heads) -> Result<()> {
    if !c.flag("no_bias", true)? {
        return Err(c
            .contradiction("no_bias", "is false, but `mpt` is counted without biases")
            .hint("the reference implementation has none either"));
    }
    let Some(attention) = c.child("attn_config")? else { return Ok(()) };
    let kind = attention.text("attn_type")?.unwrap_or("multihead_attention");
    let kv = attention.maybe("kv_n_heads")?.unwrap_or(heads.query);
    if kind != "multihead_attention" || kv != heads.query {
        return Err(attention
            .contradiction("attn_type", "is not \"multihead_attention\" of as many keys as queries")
            .hint("the reference implementation of `mpt` has no other"));
    }
    if attention.flag("qk_ln", false)? {
        return Err(attention
            .contradiction("qk_ln", "is true, but `mpt` is counted without norms of q and k"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    const MPT_7B: &str = r#"{"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32,
        "expansion_ratio": 4, "vocab_size": 50432, "no_bias": true,
        "attn_config": {"attn_type": "multihead_attention", "alibi": true}}"#;

    #[test]
    fn published_totals() {
        // Embedding 50432·4096 = 206_569_472. A layer: norms 2·4096, products 12·4096²:
        // 201_334_784. Last norm 4096.
        assert_eq!(parameters(MPT_7B), 206_569_472 + 32 * 201_334_784 + 4096);
        assert_eq!(parameters(MPT_7B), 6_649_286_656);
    }

    #[test]
    fn a_ratio_that_nobody_reads_is_said() {
        let model = model(&MPT_7B.replace(r#"_ratio": 4"#, r#"_ratio": 2"#));
        assert_eq!(model.parameters().total, 6_649_286_656);
        assert!(model.notes().iter().any(|note| note.contains("`expansion_ratio` is 2")));
    }

    #[test]
    fn attention_that_the_reference_lacks_is_an_error() {
        let attention =
            "`attn_config.attn_type`: is not \"multihead_attention\" of as many keys as queries";
        assert_eq!(fact(&MPT_7B.replace("multihead", "multiquery")), attention);
        assert_eq!(fact(&MPT_7B.replace(r#""alibi""#, r#""kv_n_heads": 8, "alibi""#)), attention);
        assert_eq!(
            fact(&MPT_7B.replace(r#""no_bias": true"#, r#""no_bias": false"#)),
            "`no_bias`: is false, but `mpt` is counted without biases"
        );
    }
}
