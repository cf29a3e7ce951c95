//! DistilBERT: BERT's layers without segments and without a pooler.
//!
//! ```text
//! embed + positions → norm → L × [ q, k, v → attend to all → out → norm ] [ lin1 → lin2 → norm ] (→ head)
//! ```

use super::bert::{Names, layer_called};
use super::parts::{Heads, head, layer_norm, table, tied};
use super::task::{Task, classify, everywhere, for_each_token};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["distilbert"];

/// What the modules of a layer are called.
const NAMES: Names = [
    "attention.q_lin",
    "attention.k_lin",
    "attention.v_lin",
    "attention",
    "attention.out_lin",
    "sa_layer_norm",
    "ffn.lin1",
    "ffn.lin2",
    "output_layer_norm",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_of(&["dim", "hidden_size"])?;
    let f = c.size("hidden_dim")?;
    let layers = c.size_of(&["n_layers", "num_hidden_layers"])?;
    let heads = Heads::equal(c, d, &["n_heads", "num_attention_heads"])?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 512)?;

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [
            table("embeddings.word_embeddings", vocab, d),
            table("embeddings.position_embeddings", positions, d),
            layer_norm("embeddings.LayerNorm", d, true),
        ],
    );
    model.layers(layers, |_| Ok(layer_called(NAMES, heads, d, f, Mask::Full)))?;
    let last: Vec<Op> = match Task::of(c)? {
        Task::Embed => vec![],
        Task::Predict => {
            let project =
                Linear { module: "vocab_projector", ..head(d, vocab, tied(c, true)?).bias(true) };
            let transform = for_each_token("vocab_transform", d, d).into();
            everywhere([transform, layer_norm("vocab_layer_norm", d, true), project.into()])
                .collect()
        }
        Task::ClassifySequence(labels) => {
            classify("pre_classifier", "classifier", d, labels).into()
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
    fn distilbert_has_its_published_66_million() {
        let base = r#"{"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6,
            "n_heads": 12, "vocab_size": 30522, "max_position_embeddings": 512,
            "architectures": ["DistilBertModel"]}"#;
        // Embeddings (30,522 + 512)·768, their norm 1536. A layer: attention 4·(768² + 768), mlp
        // 2·768·3072 + 3072 + 768, two norms of 1536.
        let layer: u128 = 4 * 590_592 + 4_722_432 + 2 * 1536;
        assert_eq!(parameters(base), 31_034 * 768 + 1536 + 6 * layer);
        assert_eq!(parameters(base), 66_362_880);
        // Before the head 768² + 768 and a norm; 30,522 biases.
        let predicts = base.replace("DistilBertModel", "DistilBertForMaskedLM");
        assert_eq!(parameters(&predicts), 66_362_880 + 590_592 + 1536 + 30_522);
        // Two labels.
        let classifies = base.replace("DistilBertModel", "DistilBertForSequenceClassification");
        assert_eq!(parameters(&classifies), 66_362_880 + 590_592 + 2 * 769);
    }
}
