//! MobileBERT (arXiv:2004.02984): layers that are narrower than what passes between them.
//!
//! ```text
//! embed → [ the token before ∥ itself ∥ the token behind ] → project → + positions + segments → norm
//! L × [ narrow (→ narrow for q and k) → q, k, v → attend → out → norm ] F × [ up → down → norm ] → widen → norm
//! (→ pool, or dense → norm → head)
//! ```
//!
//! Values are made of the wide vectors, queries and keys of narrow ones. The head is the table of tokens beside a matrix
//! of its own, since the model is wider than its embedding.

use super::bert::transform;
use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied, vector};
use super::task::{Task, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["mobilebert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let e = c.size_or("embedding_size", 128)?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 512)?;
    let segments = c.size_or("type_vocab_size", 2)?;
    let layers = c.size("num_hidden_layers")?;
    let layer = Layer::read(c, d)?;

    let mut model = Builder::new(c)?;
    let trigrams = if c.flag("trigram_input", true)? { 3 } else { 1 };
    let project = Linear::new(
        "embeddings.embedding_transformation",
        Component::EmbeddingProjections,
        trigrams * e,
        d,
    );
    let project: Op = project.bias(true).into();
    // It is stored where nothing runs through it, too.
    let runs = trigrams > 1 || e != d;
    model.once(
        "embedding",
        [
            table("embeddings.word_embeddings", vocab, e),
            table("embeddings.position_embeddings", positions, d),
            table("embeddings.token_type_embeddings", segments, d),
            if runs { project } else { Op::Idle(Box::new(project)) },
            layer_norm("embeddings.LayerNorm", d, true),
        ],
    );
    model.layers(layers, |_| Ok(layer.ops()))?;
    model.head(behind(c, d, e, vocab)?)?;
    model.finish()
}

/// What stands behind the layers.
fn behind(c: &Config, d: u64, e: u64, vocab: u64) -> Result<Vec<Op>> {
    let pooler = match c.flag("classifier_activation", true)? {
        true => vec![Op::from(for_sequence("pooler.dense", d, d))],
        false => vec![],
    };
    let predict = || -> Result<Vec<Op>> {
        if e > d {
            let fact = format!("is {e}, wider than the model's {d}");
            return Err(c.contradiction("embedding_size", &fact));
        }
        let tied = tied(c, true)?;
        let mut ops = transform(d, d).to_vec();
        ops.push(head(e, vocab, tied).into());
        if d > e {
            let wider = Linear::new("cls.predictions.dense", Component::Head, d - e, vocab);
            ops.push(wider.sampled().into());
        }
        // Two biases, which are one where the head is the table.
        ops.push(vector("cls.predictions.bias", if tied { vocab } else { 2 * vocab }));
        Ok(everywhere(ops).collect())
    };
    let with = |pooler: Vec<Op>, last: Vec<Op>| pooler.into_iter().chain(last).collect();
    Ok(match Task::of(c)? {
        Task::Embed => pooler,
        Task::Predict => predict()?,
        Task::PreTrain => {
            let mut last = predict()?;
            last.push(for_sequence("cls.seq_relationship", d, 2).into());
            with(pooler, last)
        }
        Task::ClassifySequence(labels) => {
            with(pooler, vec![for_sequence("classifier", d, labels).into()])
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
    })
}

struct Layer {
    d: u64,
    /// Width within the layer.
    narrow: u64,
    /// Whether the layer has a width of its own.
    narrows: bool,
    /// Whether queries, keys and values are all made of the layer's narrow input.
    narrow_values: bool,
    /// Whether there is a matrix that narrows what queries and keys are made of.
    narrow_queries: bool,
    heads: Heads,
    f: u64,
    feed_forwards: u64,
}

impl Layer {
    fn read(c: &Config, d: u64) -> Result<Self> {
        let narrows = c.flag("use_bottleneck", true)?;
        let stated = c.size_or("intra_bottleneck_size", 128)?;
        let narrow = if narrows { stated } else { d };
        let narrow_values = c.flag("use_bottleneck_attention", false)?;
        let narrow_queries = c.flag("key_query_shared_bottleneck", true)?;
        if narrows && !narrow_values && !narrow_queries {
            let fact = "is false, and queries of wide vectors are not counted";
            return Err(c.contradiction("key_query_shared_bottleneck", fact));
        }
        Ok(Self {
            d,
            narrow,
            narrows,
            narrow_values,
            narrow_queries,
            heads: Heads::equal(c, narrow, &["num_attention_heads"])?,
            f: c.size("intermediate_size")?,
            feed_forwards: c.size_or("num_feedforward_networks", 4)?,
        })
    }

    fn ops(&self) -> Vec<Op> {
        let Self { d, narrow, heads, f, .. } = *self;
        let mut ops = Vec::new();
        if self.narrows {
            ops.extend([
                mlp("bottleneck.input.dense", d, narrow).bias(true).into(),
                layer_norm("bottleneck.input.LayerNorm", narrow, true),
            ]);
        }
        if self.narrows && self.narrow_queries {
            let of_queries = [
                projection("bottleneck.attention.dense", d, narrow).bias(true).into(),
                layer_norm("bottleneck.attention.LayerNorm", narrow, true),
            ];
            // They are stored where nothing runs through them, too.
            ops.extend(of_queries.map(|op| match self.narrow_values {
                true => Op::Idle(Box::new(op)),
                false => op,
            }));
        }
        let values = if self.narrow_values { narrow } else { d };
        ops.extend([
            projection("attention.self.query", narrow, narrow).bias(true).into(),
            projection("attention.self.key", narrow, narrow).bias(true).into(),
            projection("attention.self.value", values, narrow).bias(true).into(),
            heads.attend_in("attention.self", Mask::Full),
            projection("attention.output.dense", narrow, narrow).bias(true).into(),
            layer_norm("attention.output.LayerNorm", narrow, true),
        ]);
        for _ in 0..self.feed_forwards {
            ops.extend([
                mlp("intermediate.dense", narrow, f).bias(true).into(),
                mlp("output.dense", f, narrow).bias(true).into(),
                layer_norm("output.LayerNorm", narrow, true),
            ]);
        }
        if self.narrows {
            ops.extend([
                mlp("output.bottleneck.dense", narrow, d).bias(true).into(),
                layer_norm("output.bottleneck.LayerNorm", d, true),
            ]);
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const MOBILEBERT: &str = r#"{"model_type": "mobilebert", "hidden_size": 512, "num_hidden_layers": 24,
        "num_attention_heads": 4, "intermediate_size": 512, "vocab_size": 30522, "embedding_size": 128,
        "intra_bottleneck_size": 128, "num_feedforward_networks": 4, "max_position_embeddings": 512,
        "classifier_activation": false, "architectures": ["MobileBertModel"]}"#;

    #[test]
    fn it_has_the_25_million_parameters_that_its_paper_states() {
        // Tokens 30,522·128, positions and segments 514·512, 3·128·512 + 512, a norm. A layer: two of 512·128 + 128 and
        // a norm of 256; q, k, out 128² + 128, v 512·128 + 128, a norm; four of 2·128·512 + 512 + 128 and a norm;
        // 128·512 + 512 and a norm of 1024.
        let first: u128 = 30_522 * 128 + 514 * 512 + 384 * 512 + 512 + 1024;
        let attention = 3 * (128 * 128 + 128) + 512 * 128 + 128 + 256;
        let feed_forward = 4 * (2 * 128 * 512 + 512 + 128 + 256);
        let layer = 2 * (512 * 128 + 128 + 256) + attention + feed_forward + 128 * 512 + 512 + 1024;
        assert_eq!(parameters(MOBILEBERT), first + 24 * layer);
        // "25.3M" in table 1, which has the pooler's 512² + 512 and two labels beside.
        assert_eq!((first + 24 * layer) / 100_000, 245);
    }

    #[test]
    fn queries_of_wide_vectors_are_refused() {
        let other = MOBILEBERT.replacen('{', r#"{"key_query_shared_bottleneck": false, "#, 1);
        assert_eq!(
            fact(&other),
            "`key_query_shared_bottleneck`: is false, and queries of wide vectors are not counted"
        );
    }
}
