//! DBRX: queries, keys and values in one matrix, and fine-grained experts in every layer.
//!
//! ```text
//! embed → L × [ norm → qkv → attend → out ] [ norm → router → k of E × (w1, v1 → w2) ] → norm → head
//! ```

use super::experts;
use super::parts::{Heads, head, layer_norm, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["dbrx"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["d_model", "hidden_size"])?;
    let layers = c.size_of(&["n_layers", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;
    let (attention, ffn) = (c.part("attn_config")?, c.part("ffn_config")?);
    let kv = attention.size_or("kv_n_heads", 1)?;
    c.adopt(&attention);
    let heads = Heads::equal(c, d, &["n_heads", "num_attention_heads"])?.sharing(
        &attention,
        "kv_n_heads",
        kv,
    )?;
    // Newer libraries save it at the top as well, and the reference implementation takes the other.
    if let Some(stated) = c.maybe("num_key_value_heads")?.filter(|stated| *stated != kv) {
        return Err(c.contradiction(
            "num_key_value_heads",
            &format!("is {stated}, but `attn_config.kv_n_heads` is {kv}"),
        ));
    }
    if tied(c, false)? {
        return Err(c.contradiction("tie_word_embeddings", "is true, which this type cannot be"));
    }
    let f = ffn.size("ffn_hidden_size")?;
    let (active, total) = (ffn.size_or("moe_top_k", 1)?, ffn.size_or("moe_num_experts", 4)?);
    let experts = experts::routed(&ffn, "moe_top_k", active, total)?;
    c.adopt(&ffn);
    let norm = |module| layer_norm(module, d, false);
    let mut model = Builder::new(c)?;
    model.once("embedding", [table("transformer.wte", vocab, d)]);
    model.layers(layers, |_| {
        let mut ops = vec![
            norm("norm_attn_norm.norm_1"),
            projection("norm_attn_norm.attn.Wqkv", d, heads.fused_width()).into(),
            heads.attend_in("norm_attn_norm.attn", Mask::Causal),
            projection("norm_attn_norm.attn.out_proj", d, d).into(),
            norm("norm_attn_norm.norm_2"),
        ];
        ops.extend(experts::mixture(NAMES, d, f, experts));
        Ok(ops)
    })?;
    model.head([norm("transformer.norm_f"), head(d, vocab, false).into()])?;
    model.finish()
}

const NAMES: experts::Names =
    ["ffn.router.layer", "ffn.experts.mlp.w1", "ffn.experts.mlp.v1", "ffn.experts.mlp.w2"];

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// DBRX-instruct.
    const DBRX: &str = r#"{"model_type": "dbrx", "d_model": 6144, "n_heads": 48, "n_layers": 40,
        "vocab_size": 100352, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "attn_config": {"kv_n_heads": 8},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}}"#;

    #[test]
    fn dbrx_has_as_many_parameters_as_published() {
        // Attention 6144·(6144 + 2·1024) + 6144², router 6144·16, experts 16·3·6144·10752, norms
        // 2·6144; 40 of them, 2·100352·6144 and a norm: 132 billion, of which 36 active.
        let layer: u128 = 6144 * 8192 + 6144 * 6144 + 6144 * 16 + 16 * 3 * 6144 * 10_752 + 2 * 6144;
        assert_eq!(40 * layer + 2 * 100_352 * 6144 + 6144, 131_596_523_520);
        let dbrx = model(DBRX);
        assert_eq!(dbrx.parameters().total, 131_596_523_520);
        assert!(dbrx.unread().is_empty() && dbrx.notes().is_empty());
    }

    #[test]
    fn the_spelling_that_newer_libraries_use_is_the_same() {
        let newer = DBRX
            .replace("d_model", "hidden_size")
            .replace("\"n_heads", "\"num_attention_heads")
            .replace("n_layers", "num_hidden_layers");
        assert_eq!(parameters(&newer), 131_596_523_520);
    }

    #[test]
    fn parts_that_are_missing_or_do_not_fit_are_errors() {
        assert_eq!(fact(&DBRX.replace("ffn_config", "ffn")), "`ffn_config`: is missing");
        assert_eq!(
            fact(&DBRX.replace("kv_n_heads\": 8", "kv_n_heads\": 7")),
            "`attn_config.kv_n_heads`: 48 query heads cannot share 7 key/value heads evenly"
        );
    }
}
