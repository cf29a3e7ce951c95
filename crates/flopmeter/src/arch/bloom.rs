//! BLOOM: GPT-2's block with ALiBi in place of positions and a norm right after the embedding.
//!
//! ```text
//! embed → norm → L × [ norm → qkv → attend → out ] [ norm → up → down ] → norm → head
//! ```

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["bloom"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["hidden_size", "n_embed"])?;
    let heads = Heads::equal(c, d, &["n_head", "num_attention_heads"])?;
    // No key says otherwise.
    let f = 4 * d;
    let layers = c.size_of(&["n_layer", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [
            table("transformer.word_embeddings", vocab, d),
            layer_norm("transformer.word_embeddings_layernorm", d, true),
        ],
    );
    model.layers(layers, |_| {
        Ok(vec![
            layer_norm("input_layernorm", d, true),
            projection("self_attention.query_key_value", d, 3 * d).bias(true).into(),
            heads.attend_in("self_attention", Mask::Causal),
            projection("self_attention.dense", d, d).bias(true).into(),
            layer_norm("post_attention_layernorm", d, true),
            mlp("mlp.dense_h_to_4h", d, f).bias(true).into(),
            mlp("mlp.dense_4h_to_h", f, d).bias(true).into(),
        ])
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("transformer.ln_f", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const BLOOM: &str = r#"{"model_type": "bloom", "hidden_size": 14336, "n_head": 112,
        "n_layer": 70, "vocab_size": 250880}"#;

    #[test]
    fn published_totals() {
        // Embedding 250880·14336 = 3_596_615_680 and its norm 28672. A layer: norms 2·28672, products
        // 12·14336², biases 3·14336 + 14336 + 57344 + 14336: 2_466_437_120. Last norm 28672.
        assert_eq!(parameters(BLOOM), 3_596_615_680 + 28_672 + 70 * 2_466_437_120 + 28_672);
        assert_eq!(parameters(BLOOM), 176_247_271_424);
        // The small ones spell their keys in another way.
        let bloom_560m = r#"{"model_type": "bloom", "n_embed": 1024, "num_attention_heads": 16,
            "n_layer": 24, "vocab_size": 250880}"#;
        assert_eq!(parameters(bloom_560m), 559_214_592);
    }

    #[test]
    fn two_spellings_must_agree() {
        assert_eq!(
            fact(&BLOOM.replace(r#""n_layer""#, r#""n_embed": 4096, "n_layer""#)),
            "`hidden_size`: is 14336, but `n_embed`, another name of it, is 4096"
        );
    }
}
