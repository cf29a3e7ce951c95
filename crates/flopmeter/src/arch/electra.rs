//! ELECTRA, RemBERT and RoFormer: BERT's layers, and an embedding that has a width of its own. Encoders, or decoders
//! where `is_decoder` says so.
//!
//! ```text
//! embed + positions + segments → norm → project → L × [ as in BERT ] (→ dense → norm → head)
//! ```
//!
//! ELECTRA and RoFormer leave the projection out where both widths are one, and their head is as wide as the
//! embedding. RemBERT's head has a third width, and never shares the table. RoFormer rotates queries and keys instead
//! of adding positions; its table of sines is stored.

use super::bert::{decoder_head, decodes, layer, transform};
use super::parts::{Heads, head, layer_norm, table, tied};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["electra", "rembert", "roformer"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let decodes = decodes(c)?;
    let mask = if decodes { Mask::Causal } else { Mask::Full };
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let widths = Widths::read(c, d)?;
    let e = widths.embedding;

    let mut model = Builder::new(c)?;
    let mut first = vec![table("embeddings.word_embeddings", vocab, e)];
    let positions =
        c.size_or("max_position_embeddings", if widths.rotates { 1536 } else { 512 })?;
    first.push(if widths.rotates {
        table("encoder.embed_positions", positions, heads.dim)
    } else {
        table("embeddings.position_embeddings", positions, e)
    });
    first.push(table("embeddings.token_type_embeddings", c.size_or("type_vocab_size", 2)?, e));
    first.push(layer_norm("embeddings.LayerNorm", e, true));
    if widths.projects {
        let project = Linear::new("embeddings_project", Component::EmbeddingProjections, e, d);
        first.push(project.bias(true).into());
    }
    model.once("embedding", first);
    model.layers(layers, |_| Ok(layer(heads, d, f, mask)))?;
    let predict = || -> Result<Vec<Op>> {
        let mut ops = transform(d, widths.head).to_vec();
        if widths.rotates {
            ops.extend(decoder_head(e, vocab, tied(c, true)?));
        } else {
            let tied = widths.may_tie && tied(c, true)?;
            ops.push(head(widths.head, vocab, tied).bias(true).into());
        }
        Ok(ops)
    };
    let last = if decodes { predict()? } else { behind(c, d, predict)? };
    model.head(last)?;
    model.finish()
}

/// What stands behind an encoder.
fn behind(c: &Config, d: u64, predict: impl FnOnce() -> Result<Vec<Op>>) -> Result<Vec<Op>> {
    Ok(match (Task::of(c)?, c.model_type()) {
        (Task::Embed, "rembert") => vec![for_sequence("pooler.dense", d, d).into()],
        (Task::Embed, _) => vec![],
        (Task::Predict, _) => everywhere(predict()?).collect(),
        // Whether each token was replaced.
        (Task::PreTrain, "electra") => vec![
            for_each_token("discriminator_predictions.dense", d, d).into(),
            for_each_token("discriminator_predictions.dense_prediction", d, 1).into(),
        ],
        (task @ Task::PreTrain, _) => return task.unknown(c),
        (Task::ClassifySequence(labels), "rembert") => {
            classify("pooler.dense", "classifier", d, labels).into()
        }
        (Task::ClassifySequence(labels), _) => {
            classify("classifier.dense", "classifier.out_proj", d, labels).into()
        }
        (Task::ClassifyTokens(labels), _) => vec![for_each_token("classifier", d, labels).into()],
    })
}

/// What is as wide as the layers in BERT, and here may not be.
struct Widths {
    embedding: u64,
    head: u64,
    projects: bool,
    may_tie: bool,
    rotates: bool,
}

impl Widths {
    fn read(c: &Config, hidden: u64) -> Result<Self> {
        if c.model_type() == "rembert" {
            // The keys of an embedding that is tied, which this one's is not.
            c.raw("tie_word_embeddings");
            return Ok(Self {
                embedding: c.size_or("input_embedding_size", 256)?,
                head: c.size_or("output_embedding_size", 1664)?,
                projects: true,
                may_tie: false,
                rotates: false,
            });
        }
        let rotates = c.model_type() == "roformer";
        // Null is RoFormer's way to say that both are one.
        let embedding = match rotates {
            true => c.size_or("embedding_size", hidden)?,
            false => c.size_or("embedding_size", 128)?,
        };
        let projects = embedding != hidden;
        Ok(Self { embedding, head: embedding, projects, may_tie: true, rotates })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::parameters;

    const REMBERT: &str = r#"{"model_type": "rembert", "hidden_size": 1152, "num_hidden_layers": 32,
        "num_attention_heads": 18, "intermediate_size": 4608, "vocab_size": 250300,
        "input_embedding_size": 256, "output_embedding_size": 1664, "is_decoder": true}"#;

    #[test]
    fn rembert_has_its_published_575_million_and_a_head() {
        // Embedding (250,300 + 512 + 2)·256, a norm of 512, 256·1152 + 1152. A layer: attention 4·(1152² + 1152),
        // mlp 2·1152·4608 + 4608 + 1152, two norms of 2304. Head: 1152·1664 + 1664, a norm, 1664·250,300 + 250,300.
        let layer: u128 = 4 * (1152 * 1152 + 1152) + 2 * 1152 * 4608 + 4608 + 1152 + 2 * 2304;
        let body = 250_814 * 256 + 512 + 256 * 1152 + 1152 + 32 * layer;
        let head = 1152 * 1664 + 1664 + 2 * 1664 + 1665 * 250_300;
        assert_eq!(parameters(REMBERT), body + head);
        // The 575 million that its paper fine-tunes (arXiv:2010.12821).
        assert_eq!((body + 500_000) / 1_000_000, 575);
    }

    #[test]
    fn as_an_encoder_it_has_a_pooler_where_it_would_have_a_head() {
        let told = r#"{"architectures": ["RemBertModel"], "#;
        let encoder = REMBERT.replace("true", "false").replacen('{', told, 1);
        let head = 1152 * 1664 + 1664 + 2 * 1664 + 1665 * 250_300;
        assert_eq!(parameters(&encoder), parameters(REMBERT) - head + 1152 * 1152 + 1152);
    }
}
