//! MPNet: BERT's layers without segments, and one table of distances for all of them.
//!
//! ```text
//! embed + positions → norm → L × [ q, k, v → attend to all → o → norm ] [ up → down → norm ] (→ pool or head)
//! ```

use super::bert::{Names, decoder_head, layer_called, transform};
use super::parts::{Heads, layer_norm, table, tied, vector};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["mpnet"];

/// What the modules of a layer are called.
const NAMES: Names = [
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn",
    "attention.attn.o",
    "attention.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 512)?;
    let buckets = c.size_or("relative_attention_num_buckets", 32)?;

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [
            table("embeddings.word_embeddings", vocab, d),
            table("embeddings.position_embeddings", positions, d),
            layer_norm("embeddings.LayerNorm", d, true),
            // Every pass makes of all of it what its positions are apart.
            vector("encoder.relative_attention_bias", buckets * heads.query),
        ],
    );
    model.layers(layers, |_| Ok(layer_called(NAMES, heads, d, f, Mask::Full)))?;
    let last: Vec<Op> = match Task::of(c)? {
        Task::Embed => vec![for_sequence("pooler.dense", d, d).into()],
        Task::Predict => {
            let head = decoder_head(d, vocab, tied(c, true)?);
            everywhere(transform(d, d).into_iter().chain(head)).collect()
        }
        Task::ClassifySequence(labels) => {
            classify("classifier.dense", "classifier.out_proj", d, labels).into()
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    };
    model.head(last)?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    #[test]
    fn all_mpnet_base_v2_has_its_published_parameters() {
        let base = r#"{"model_type": "mpnet", "hidden_size": 768, "num_hidden_layers": 12,
            "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30527,
            "max_position_embeddings": 514, "relative_attention_num_buckets": 32,
            "architectures": ["MPNetModel"]}"#;
        // As BERT without segments, and 32·12 distances; a pooler of 768² + 768.
        let layer: u128 = 4 * 590_592 + 4_722_432 + 2 * 1536;
        assert_eq!(parameters(base), 31_041 * 768 + 1536 + 384 + 12 * layer + 590_592);
        assert_eq!(parameters(base), 109_486_464);
    }
}
