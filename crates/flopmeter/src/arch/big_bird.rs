//! BigBird (arXiv:2007.14062): BERT's layers, whose tokens see the blocks beside them, both ends and some that are drawn.
//!
//! ```text
//! embed + positions + segments → norm → L × [ q, k, v → attend to blocks → out → norm ] [ up → down → norm ] → pool, head
//! ```
//!
//! Which blocks are drawn changes no count. A short text is attended to whole. So is everything that the reference
//! implementation reads after a short text, until it is told otherwise; `torch` counts it as told.

use super::bert::{decoder_head, embeddings, transform};
use super::parts::{Heads, layer_norm, mlp, projection, tied};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, Model};
use crate::op::{Linear, Local, Op, Pieces};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["big_bird"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.flag("is_decoder", false)? {
        return Err(
            c.contradiction("is_decoder", "is true, and decoders of this type are not counted")
        );
    }
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 4096, d)?;
    let bias = c.flag("use_bias", true)?;
    let sparse = Sparse::read(c)?;
    let mut model = Builder::new(c)?;
    model.once("embedding", embeddings);
    let filled = |linear| filled(linear, sparse);
    model.layers(c.size("num_hidden_layers")?, |_| {
        Ok(vec![
            filled(projection("attention.self.query", d, d).bias(bias)),
            filled(projection("attention.self.key", d, d).bias(bias)),
            filled(projection("attention.self.value", d, d).bias(bias)),
            attend("attention.self", heads, sparse),
            filled(projection("attention.output.dense", d, d).bias(true)),
            layer_norm("attention.output.LayerNorm", d, true),
            filled(mlp("intermediate.dense", d, f).bias(true)),
            filled(mlp("output.dense", f, d).bias(true)),
            layer_norm("output.LayerNorm", d, true),
        ])
    })?;
    let last = behind(c, d, vocab)?;
    model.head(last)?;
    model.finish()
}

/// Attention to blocks, some of which are drawn.
#[derive(Clone, Copy)]
pub(super) struct Sparse {
    block: u64,
    random: u64,
}

impl Sparse {
    /// `None` if a token sees everything.
    pub fn read(c: &Config) -> Result<Option<Self>> {
        let block = c.size_or("block_size", 64)?;
        let random = c.count_or("num_random_blocks", 3)?;
        match c.text("attention_type")? {
            None | Some("block_sparse") => Ok(Some(Self { block, random })),
            Some("original_full") => Ok(None),
            Some(other) => {
                let fact =
                    format!("is \"{}\"; block_sparse and original_full are counted", shown(other));
                Err(c.contradiction("attention_type", &fact))
            }
        }
    }

    const fn pieces(self) -> Pieces {
        Pieces::Drawn { block: self.block, random: self.random }
    }
}

/// A projection of an encoder whose sequence is filled up to whole blocks.
pub(super) fn filled(linear: Linear, sparse: Option<Sparse>) -> Op {
    match sparse {
        Some(it) => linear.filled_beyond(it.block, it.pieces().longest_whole()).into(),
        None => linear.into(),
    }
}

/// Its attention.
pub(super) fn attend(module: &'static str, heads: Heads, sparse: Option<Sparse>) -> Op {
    match sparse {
        Some(it) => {
            Local { module, heads: heads.query, dim: heads.dim, pieces: it.pieces() }.into()
        }
        None => heads.attend_in(module, Mask::Full),
    }
}

/// What stands behind the layers; a pooler runs whatever does.
fn behind(c: &Config, d: u64, vocab: u64) -> Result<Vec<Op>> {
    if c.texts("architectures")?
        .is_some_and(|it| it.iter().any(|class| class.ends_with("ForQuestionAnswering")))
    {
        let fact = "names a class that leaves the question out, and how long that is a request does not state";
        return Err(c.contradiction("architectures", fact));
    }
    let predict = || -> Result<Vec<Op>> {
        let head = decoder_head(d, vocab, tied(c, true)?);
        Ok(everywhere(transform(d, d).into_iter().chain(head)).collect())
    };
    let mut last: Vec<Op> = vec![for_sequence("pooler", d, d).into()];
    match Task::of(c)? {
        Task::Embed => {}
        Task::Predict => last.extend(predict()?),
        Task::PreTrain => {
            last.extend(predict()?);
            last.push(for_sequence("cls.seq_relationship", d, 2).into());
        }
        Task::ClassifySequence(labels) => {
            last.extend(classify("classifier.dense", "classifier.out_proj", d, labels));
        }
        Task::ClassifyTokens(labels) => last.push(for_each_token("classifier", d, labels).into()),
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::{Component, Convention, Workload};

    const BASE: &str = r#"{"model_type": "big_bird", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 50358, "type_vocab_size": 2,
        "max_position_embeddings": 4096, "block_size": 64, "num_random_blocks": 3, "attention_type": "block_sparse",
        "architectures": ["BigBirdForMaskedLM"]}"#;

    #[test]
    fn base_has_the_parameters_of_its_sizes() {
        // Tables of 50,358, 4096 and 2, a norm; layers of four squares, 2·768·3072 + 3072 + 768 and two norms; a pooler
        // and a head of a square each, its norm, and a bias.
        let square: u128 = 768 * 768 + 768;
        let layer = 4 * square + 4_722_432 + 2 * 1536;
        let total = 54_456 * 768 + 1536 + 12 * layer + 2 * square + 1536 + 50_358;
        assert_eq!(parameters(BASE), total);
    }

    #[test]
    fn a_token_of_a_long_text_sees_few_blocks() {
        let base = model(BASE);
        let scores = |tokens: u64| {
            let request = Workload::request(tokens, 1);
            let flops = base.flops(&request, &Convention::MODEL).expect("a count");
            flops.prefill[Component::AttentionScores] / (12 * 2 * 768)
        };
        // (5 + 2·3)·64 = 704 tokens are attended to whole.
        assert_eq!(scores(704), 704 * 704);
        // 64 blocks of 64: two see everything, two see 4 + 3 blocks, the others 5 + 3.
        assert_eq!(scores(4096), 2 * 64 * 4096 + 2 * 64 * 7 * 64 + 60 * 64 * 8 * 64);
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        assert_eq!(
            fact(&BASE.replace("block_sparse", "sparse")),
            "`attention_type`: is \"sparse\"; block_sparse and original_full are counted"
        );
        assert_eq!(
            fact(&BASE.replacen('{', r#"{"is_decoder": true, "#, 1)),
            "`is_decoder`: is true, and decoders of this type are not counted"
        );
    }
}
