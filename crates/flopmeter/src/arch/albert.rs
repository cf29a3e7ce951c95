//! ALBERT: layers that share their weights, and an embedding that is narrower than they are.
//!
//! ```text
//! embed + positions + segments → norm → project → L × [ q, k, v → attend to all → out → norm ] [ ffn → ffn → norm ]
//!     (→ pool or head)
//! ```
//!
//! `num_hidden_layers` runs are made of `num_hidden_groups` groups, each of `inner_group_num` layers. Weights of a group
//! are stored once and read once a pass; each of its runs multiplies with them again.

use super::bert::{Names, decoder_head, embeddings, layer_called, transform};
use super::parts::{Heads, tied};
use super::task::{Task, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::labels;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op, Product};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["albert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let e = c.size_or("embedding_size", 128)?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let layers = c.size("num_hidden_layers")?;
    let groups = c.size_or("num_hidden_groups", 1)?;
    let inner = c.size_or("inner_group_num", 1)?;
    if groups > layers {
        let fact = format!("is {groups}, more than the {layers} layers");
        return Err(c.contradiction("num_hidden_groups", &fact));
    }
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 512, e)?;

    let mut model = Builder::new(c)?;
    let project = Linear::new("embedding_hidden_mapping_in", Component::EmbeddingProjections, e, d);
    model.once("embedding", embeddings.into_iter().chain([project.bias(true).into()]));
    let first_of_group =
        |layer: u64| layer == 0 || (layer - 1) * groups / layers < layer * groups / layers;
    model.layers(layers.saturating_mul(inner), |at| {
        let ops = layer_called(NAMES, heads, d, f, Mask::Full);
        Ok(if first_of_group(at / inner) { ops } else { again(ops) })
    })?;
    let last: Vec<Op> = match Task::of(c)? {
        Task::Embed => vec![for_sequence("pooler", d, d).into()],
        Task::Predict => predict(e, d, vocab, tied(c, true)?).collect(),
        Task::PreTrain => {
            let pooled: [Op; 2] = [
                for_sequence("pooler", d, d).into(),
                for_sequence("sop_classifier.classifier", d, labels(c)?).into(),
            ];
            predict(e, d, vocab, tied(c, true)?).chain(pooled).collect()
        }
        Task::ClassifySequence(labels) => {
            vec![for_sequence("pooler", d, d).into(), for_sequence("classifier", d, labels).into()]
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
    };
    model.head(last)?;
    model.finish()
}

/// The head that predicts a token at every position.
fn predict(e: u64, d: u64, vocab: u64, tied: bool) -> impl Iterator<Item = Op> {
    everywhere(transform(d, e).into_iter().chain(decoder_head(e, vocab, tied)))
}

/// What the modules of a layer are called.
const NAMES: Names = [
    "attention.query",
    "attention.key",
    "attention.value",
    "attention",
    "attention.dense",
    "attention.LayerNorm",
    "ffn",
    "ffn_output",
    "full_layer_layer_norm",
];

/// A layer whose weights have been read already.
fn again(layer: Vec<Op>) -> Vec<Op> {
    let once_more = |op| match op {
        Op::Linear(Linear { module, component, from, to, .. }) => {
            Some(Op::Product(Product { module, component, from, to }))
        }
        Op::Attention(_) => Some(op),
        _ => None,
    };
    layer.into_iter().filter_map(once_more).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::{Convention, Workload};

    const BASE: &str = r#"{"model_type": "albert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "embedding_size": 128, "vocab_size": 30000,
        "max_position_embeddings": 512, "type_vocab_size": 2, "num_hidden_groups": 1, "inner_group_num": 1,
        "architectures": ["AlbertModel"]}"#;

    #[test]
    fn albert_base_has_its_published_12_million_and_multiplies_twelve_times_as_often() {
        // Embeddings 30,514·128, a norm of 256, 128·768 + 768. One layer: attention 4·(768² + 768), mlp
        // 2·768·3072 + 3072 + 768, two norms of 1536. A pooler of 768² + 768.
        let layer: u128 = 4 * 590_592 + 4_722_432 + 2 * 1536;
        let first = 30_514 * 128 + 256 + 128 * 768 + 768;
        assert_eq!(parameters(BASE), first + layer + 590_592);
        assert_eq!((parameters(BASE) + 500_000) / 1_000_000, 12);
        let flops =
            model(BASE).flops(&Workload::request(10, 1), &Convention::MODEL).expect("a count");
        let products = 12 * (4 * 768 * 768 + 2 * 768 * 3072) + 128 * 768;
        assert_eq!(flops.total, 2 * 10 * products + 12 * 4 * 768 * 100 + 2 * 768 * 768);
        // Read once: two bytes of each weight but of the table, of which a row a token.
        let bytes = model(BASE).bytes(&Workload::request(10, 1)).expect("bytes");
        let weights = parameters(BASE) - 30_514 * 128;
        assert_eq!(bytes.prefill.read, 2 * (weights + 10 * 3 * 128));
    }

    #[test]
    fn more_groups_than_layers() {
        assert_eq!(
            fact(&BASE.replace(r#"_groups": 1"#, r#"_groups": 13"#)),
            "`num_hidden_groups`: is 13, more than the 12 layers"
        );
    }
}
