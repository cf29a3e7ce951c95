//! BERT and its kin: an encoder, or a decoder where `is_decoder` says so.
//!
//! ```text
//! embed + positions + segments → norm → L × [ q, k, v → attend → out → norm ] [ up → down → norm ]
//!     (→ pool, or dense → norm → head)
//! ```
//!
//! As an encoder each token sees all, and the class that `architectures` names says what stands behind. As a decoder it
//! is causal, with a cache; the layer before the head then runs where a token is sampled, which the reference
//! implementation runs for every token. BERT for generation has neither segments nor a layer before the head. Whether a
//! norm stands before its half or behind it changes no count.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied, vector};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op, Table};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &[
    "bert",
    "bert-generation",
    "camembert",
    "data2vec-text",
    "ernie",
    "layoutlm",
    "megatron-bert",
    "roberta",
    "roberta-prelayernorm",
    "xlm-roberta",
    "xlm-roberta-xl",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let decodes = decodes(c)?;
    let mask = if decodes { Mask::Causal } else { Mask::Full };
    let generation = c.model_type() == "bert-generation";
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 512)?;

    let mut model = Builder::new(c)?;
    let mut first = vec![
        table("embeddings.word_embeddings", vocab, d),
        table("embeddings.position_embeddings", positions, d),
    ];
    if !generation {
        let segments = c.size_or("type_vocab_size", 2)?;
        first.push(table("embeddings.token_type_embeddings", segments, d));
    }
    c.raw("task_type_vocab_size");
    if c.model_type() == "ernie" && c.flag("use_task_id", false)? {
        let tasks = c.size_or("task_type_vocab_size", 3)?;
        first.push(table("embeddings.task_type_embeddings", tasks, d));
    }
    if c.model_type() == "layoutlm" {
        first.extend(places(c, d)?);
    }
    first.push(layer_norm("embeddings.LayerNorm", d, true));
    model.once("embedding", first);
    model.layers(layers, |_| Ok(layer(heads, d, f, mask)))?;
    let mut last = Vec::new();
    if c.model_type() == "roberta-prelayernorm" {
        last.push(layer_norm("LayerNorm", d, true));
    }
    let predict = || -> Result<Vec<Op>> {
        let transform = if generation { vec![] } else { transform(d, d).into() };
        Ok(transform.into_iter().chain(decoder_head(d, vocab, tied(c, true)?)).collect())
    };
    // These classify what their pooler gives, the others have a head of two layers for it.
    let pools = matches!(c.model_type(), "bert" | "ernie" | "layoutlm" | "megatron-bert");
    let task = if decodes { None } else { Some(Task::of(c)?) };
    match task {
        None => last.extend(predict()?),
        Some(Task::Embed) if generation => {}
        Some(Task::Embed) => last.push(for_sequence("pooler.dense", d, d).into()),
        Some(Task::Predict) if !generation => {
            // LayoutLM pools beside it, which nothing uses.
            if c.model_type() == "layoutlm" {
                last.push(for_sequence("pooler.dense", d, d).into());
            }
            last.extend(everywhere(predict()?));
        }
        Some(Task::PreTrain) if pools => {
            last.push(for_sequence("pooler.dense", d, d).into());
            last.extend(everywhere(predict()?));
            last.push(for_sequence("cls.seq_relationship", d, 2).into());
        }
        Some(Task::ClassifySequence(labels)) if pools => {
            last.extend(classify("pooler.dense", "classifier", d, labels));
        }
        Some(Task::ClassifyTokens(labels)) if c.model_type() == "layoutlm" => {
            last.push(for_sequence("pooler.dense", d, d).into());
            last.push(for_each_token("classifier", d, labels).into());
        }
        Some(Task::ClassifySequence(labels)) if !generation => {
            last.extend(classify("classifier.dense", "classifier.out_proj", d, labels));
        }
        Some(Task::ClassifyTokens(labels)) if !generation => {
            last.push(for_each_token("classifier", d, labels).into());
        }
        Some(task) => return task.unknown(c),
    }
    model.head(last)?;
    model.finish()
}

/// What BERT embeds, `e` wide: words, positions, of which a class has that many where its config says nothing, and
/// segments; and the norm of their sum.
pub(super) fn embeddings(c: &Config, vocab: u64, positions: u64, e: u64) -> Result<[Op; 4]> {
    let positions = c.size_or("max_position_embeddings", positions)?;
    let segments = c.size_or("type_vocab_size", 2)?;
    Ok([
        table("embeddings.word_embeddings", vocab, e),
        table("embeddings.position_embeddings", positions, e),
        table("embeddings.token_type_embeddings", segments, e),
        layer_norm("embeddings.LayerNorm", e, true),
    ])
}

/// Tables of where a word stands on a page: its left and right edge, its upper and lower one, its height and width.
fn places(c: &Config, d: u64) -> Result<[Op; 4]> {
    let rows = c.size_or("max_2d_position_embeddings", 1024)?;
    // An edge is looked up on either side.
    let edges = |module| match table(module, rows, d) {
        Op::Table(table) => Op::Table(Table { looked_up: 2, ..table }),
        other => other,
    };
    Ok([
        edges("embeddings.x_position_embeddings"),
        edges("embeddings.y_position_embeddings"),
        table("embeddings.h_position_embeddings", rows, d),
        table("embeddings.w_position_embeddings", rows, d),
    ])
}

/// Whether it is a decoder. One that attends to an encoder is refused.
pub(super) fn decodes(c: &Config) -> Result<bool> {
    let decodes = c.flag("is_decoder", false)?;
    if decodes && c.flag("add_cross_attention", false)? {
        return Err(
            c.contradiction("add_cross_attention", "is true, and cross-attention is not counted")
        );
    }
    Ok(decodes)
}

/// Refuses encoders, and decoders that attend to one.
pub(super) fn decoder_alone(c: &Config) -> Result<()> {
    if !decodes(c)? {
        return Err(c
            .contradiction("is_decoder", "is not true, and encoders of this type are not counted")
            .hint("as a decoder it sees what came before only, and keeps a cache"));
    }
    Ok(())
}

/// A layer of width `d` and inner width `f`.
pub(super) fn layer(heads: Heads, d: u64, f: u64, mask: Mask) -> Vec<Op> {
    layer_called(BERT, heads, d, f, mask)
}

/// What the modules of a layer are called, in the order in which they run.
pub(super) type Names = [&'static str; 9];

const BERT: Names = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.self",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
];

/// The same under other names.
pub(super) fn layer_called(names: Names, heads: Heads, d: u64, f: u64, mask: Mask) -> Vec<Op> {
    let [query, key, value, attention, out, norm, up, down, last_norm] = names;
    vec![
        projection(query, d, d).bias(true).into(),
        projection(key, d, d).bias(true).into(),
        projection(value, d, d).bias(true).into(),
        heads.attend_in(attention, mask),
        projection(out, d, d).bias(true).into(),
        layer_norm(norm, d, true),
        mlp(up, d, f).bias(true).into(),
        mlp(down, f, d).bias(true).into(),
        layer_norm(last_norm, d, true),
    ]
}

/// A head of two biases, which are one where it is the embedding.
pub(super) fn decoder_head(width: u64, vocab: u64, tied: bool) -> [Op; 2] {
    [head(width, vocab, tied).bias(!tied).into(), vector("lm_head.bias", vocab)]
}

/// What stands before that head: a layer of its own from `d` to `width`, and a norm.
pub(super) fn transform(d: u64, width: u64) -> [Op; 2] {
    let dense = Linear::new("lm_head.dense", Component::Head, d, width).bias(true);
    [dense.sampled().into(), layer_norm("lm_head.layer_norm", width, true)]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const BERT: &str = r#"{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30522,
        "max_position_embeddings": 512, "is_decoder": true}"#;

    #[test]
    fn bert_base_has_its_published_parameters_without_the_pooler() {
        // Embeddings (30,522 + 512 + 2)·768, their norm 1536. A layer: attention 4·(768² + 768), mlp
        // 2·768·3072 + 3072 + 768, two norms of 1536. Before the head 768² + 768 + 1536, bias 30,522.
        let layer: u128 = 4 * 590_592 + 4_722_432 + 2 * 1536;
        let head = 590_592 + 1536 + 30_522;
        assert_eq!(parameters(BERT), 31_036 * 768 + 1536 + 12 * layer + head);
        assert_eq!(parameters(BERT), 109_514_298);
    }

    #[test]
    fn an_encoder_has_what_its_class_has_behind_it() {
        let encoder = |class: &str| {
            let told = format!(r#"{{"architectures": ["{class}"], "#);
            parameters(&BERT.replace("true", "false").replacen('{', &told, 1))
        };
        // The decoder's 109,514,298 without a head, and a pooler of 768² + 768.
        let body = 109_514_298 - (590_592 + 1536 + 30_522);
        assert_eq!(encoder("BertModel"), body + 590_592);
        assert_eq!(encoder("BertModel"), 109_482_240);
        assert_eq!(encoder("BertForMaskedLM"), 109_514_298);
        // Where no `is_decoder` makes it one, PyTorch counts the same forward pass of either.
        assert_eq!(encoder("BertLMHeadModel"), 109_514_298);
        // The pooler, and two labels.
        assert_eq!(encoder("BertForSequenceClassification"), 109_482_240 + 2 * 769);
        assert_eq!(encoder("BertForTokenClassification"), body + 2 * 769);
        assert_eq!(encoder("BertForPreTraining"), 109_514_298 + 590_592 + 2 * 769);
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        let told = r#"{"architectures": ["BertForNextSentencePrediction"], "#;
        assert_eq!(
            fact(&BERT.replace("true", "false").replacen('{', told, 1)),
            "`architectures`: names `BertForNextSentencePrediction`, whose head is not counted"
        );
        assert_eq!(
            fact(&BERT.replacen('{', r#"{"add_cross_attention": true, "#, 1)),
            "`add_cross_attention`: is true, and cross-attention is not counted"
        );
    }
}
