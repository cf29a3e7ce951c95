//! RoCBert as a decoder (`is_decoder`): BERT whose tokens are looked up three times, as words, as sounds and as
//! shapes, and projected together.
//!
//! ```text
//! words, sounds, shapes → project + positions + segments → norm → L × [ as in BERT ] → dense → norm → head
//! ```
//!
//! Without `concat_input` the three are one width and added up.

use super::bert::{decoder_alone, decoder_head, layer, transform};
use super::parts::{Heads, layer_norm, table, tied};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Linear;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["roc_bert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    decoder_alone(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;

    let mut model = Builder::new(c)?;
    let (sounds, shapes) =
        (c.size_or("pronunciation_embed_dim", 768)?, c.size_or("shape_embed_dim", 512)?);
    let mut first = vec![
        table("embeddings.word_embeddings", vocab, d),
        table(
            "embeddings.pronunciation_embed",
            c.size_or("pronunciation_vocab_size", 910)?,
            sounds,
        ),
        table("embeddings.shape_embed", c.size_or("shape_vocab_size", 24_858)?, shapes),
        table("embeddings.position_embeddings", c.size_or("max_position_embeddings", 512)?, d),
        table("embeddings.token_type_embeddings", c.size_or("type_vocab_size", 2)?, d),
    ];
    if c.flag("concat_input", true)? {
        let mut width = d;
        for (key, more) in [("enable_pronunciation", sounds), ("enable_shape", shapes)] {
            width += if c.flag(key, true)? { more } else { 0 };
        }
        let map =
            Linear::new("embeddings.map_inputs_layer", Component::EmbeddingProjections, width, d);
        first.push(map.bias(true).into());
    }
    first.push(layer_norm("embeddings.LayerNorm", d, true));
    model.once("embedding", first);
    model.layers(layers, |_| Ok(layer(heads, d, f, Mask::Causal)))?;
    let mut last = transform(d, d).to_vec();
    last.extend(decoder_head(d, vocab, tied(c, true)?));
    model.head(last)?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn what_is_concatenated_is_projected() {
        let of = |more: &str| {
            parameters(&format!(
                r#"{{"model_type": "roc_bert", "hidden_size": 60, "num_hidden_layers": 3,
                    "num_attention_heads": 6, "intermediate_size": 92, "vocab_size": 131, "is_decoder": true,
                    "pronunciation_embed_dim": 14, "shape_embed_dim": 18{more}}}"#
            ))
        };
        // (60 + 14 + 18)·60 + 60; without sounds 14·60 fewer.
        assert_eq!(of("") - of(r#", "concat_input": false"#), 92 * 60 + 60);
        assert_eq!(of("") - of(r#", "enable_pronunciation": false"#), 14 * 60);
    }
}
