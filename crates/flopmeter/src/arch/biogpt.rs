//! BioGPT and XGLM: the decoder of a translation model on its own, biases throughout.
//!
//! ```text
//! embed + positions → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ] → norm → head
//! ```
//!
//! BioGPT has a learned table of positions, XGLM computes them.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["biogpt", "xglm"];

/// Rows that stand before the first position in the table of positions.
const POSITION_OFFSET: u64 = 2;

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.flag("add_cross_attention", false)? {
        return Err(c
            .contradiction("add_cross_attention", "is true, and cross-attention is not counted")
            .hint("without an encoder the layers of cross-attention are unused: say false"));
    }
    let d = c.size_of(&["hidden_size", "d_model"])?;
    let heads = Heads::equal(c, d, &["num_attention_heads", "attention_heads"])?;
    let f = c.size_of(&["intermediate_size", "ffn_dim"])?;
    let layers = c.size_of(&["num_hidden_layers", "num_layers"])?;
    let vocab = c.size("vocab_size")?;

    let mut model = Builder::new(c)?;
    let mut first = vec![table("model.embed_tokens", vocab, d)];
    if c.model_type() == "biogpt" {
        let positions = c.size_or("max_position_embeddings", 1024)? + POSITION_OFFSET;
        first.push(table("model.embed_positions", positions, d));
    }
    model.once("embedding", first);
    model.layers(layers, |_| {
        Ok(vec![
            layer_norm("self_attn_layer_norm", d, true),
            projection("self_attn.q_proj", d, d).bias(true).into(),
            projection("self_attn.k_proj", d, d).bias(true).into(),
            projection("self_attn.v_proj", d, d).bias(true).into(),
            heads.attend(Mask::Causal),
            projection("self_attn.out_proj", d, d).bias(true).into(),
            layer_norm("final_layer_norm", d, true),
            mlp("fc1", d, f).bias(true).into(),
            mlp("fc2", f, d).bias(true).into(),
        ])
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("model.layer_norm", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const BIOGPT: &str = r#"{"model_type": "biogpt", "hidden_size": 1024, "num_hidden_layers": 24,
        "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 42384,
        "max_position_embeddings": 1024}"#;

    #[test]
    fn published_totals() {
        // Embedding 42,384·1024, positions 1026·1024. A layer: norms 2·2048, products 12·1024²,
        // biases 9·1024. Last norm 2048.
        let layers = 24 * (2 * 2048 + 12 * 1024 * 1024 + 9 * 1024) + 2048;
        assert_eq!(parameters(BIOGPT), (42_384 + 1026) * 1024 + layers);
        assert_eq!(parameters(BIOGPT), 346_763_264);
        // XGLM-564M has the same layers.
        let xglm = r#"{"model_type": "xglm", "d_model": 1024, "num_layers": 24,
            "attention_heads": 16, "ffn_dim": 4096, "vocab_size": 256008}"#;
        assert_eq!(parameters(xglm), 256_008 * 1024 + layers);
        assert_eq!(parameters(xglm), 564_463_616);
    }

    #[test]
    fn what_is_not_counted_or_missing_is_refused() {
        assert_eq!(
            fact(&BIOGPT.replacen('{', r#"{"add_cross_attention": true, "#, 1)),
            "`add_cross_attention`: is true, and cross-attention is not counted"
        );
        assert_eq!(
            fact(&BIOGPT.replace("intermediate_size", "inner")),
            "`intermediate_size`: is missing"
        );
    }
}
