//! ESM: BERT's encoder over the amino acids of a protein, with norms before its halves.
//!
//! ```text
//! embed (+ positions) (→ norm) → L × [ norm → q, k, v → attend to all → out ] [ norm → up → down ] → norm (→ pool, or dense → norm → head)
//! ```
//!
//! ESM-2 rotates queries and keys instead of adding positions. Every class stores what would predict contacts from the
//! weights of attention, which no pass runs. The folding model around it is another one, and refused.

use super::bert::{decodes, layer_called, transform};
use super::parts::{Heads, head, layer_norm, table, tied, vector};
use super::task::{Task, classify, everywhere, for_each_token, for_sequence};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["esm"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if decodes(c)? {
        return Err(
            c.contradiction("is_decoder", "is true, and decoders of this type are not counted")
        );
    }
    if c.flag("is_folding_model", false)? {
        return Err(c.contradiction("is_folding_model", "is true, and what folds is not counted"));
    }
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let mut model = Builder::new(c)?;
    let mut first = vec![table("embeddings.word_embeddings", vocab, d)];
    let positions = c.size_or("max_position_embeddings", 1026)?;
    match c.text("position_embedding_type")? {
        None | Some("absolute") => {
            first.push(table("embeddings.position_embeddings", positions, d));
        }
        Some("rotary") => {}
        Some(other) => {
            let fact = format!(
                "is \"{}\"; \"absolute\" and \"rotary\" are counted",
                crate::error::shown(other)
            );
            return Err(c.contradiction("position_embedding_type", &fact));
        }
    }
    if c.flag("emb_layer_norm_before", false)? {
        first.push(layer_norm("embeddings.layer_norm", d, true));
    }
    model.once("embedding", first);
    model.layers(layers, |_| Ok(layer_called(NAMES, heads, d, f, Mask::Full)))?;
    let mut last = vec![layer_norm("encoder.emb_layer_norm_after", d, true)];
    let contacts = Linear::new("contact_head.regression", Component::Head, layers * heads.query, 1);
    last.push(Op::Idle(Box::new(contacts.bias(true).into())));
    match Task::of(c)? {
        Task::Embed => last.push(for_sequence("pooler.dense", d, d).into()),
        Task::Predict => {
            last.extend(everywhere(transform(d, d)));
            last.extend(everywhere([head(d, vocab, tied(c, true)?).into()]));
            last.push(vector("lm_head.bias", vocab));
        }
        Task::ClassifySequence(labels) => {
            last.extend(classify("classifier.dense", "classifier.out_proj", d, labels));
        }
        Task::ClassifyTokens(labels) => last.push(for_each_token("classifier", d, labels).into()),
        task @ Task::PreTrain => return task.unknown(c),
    }
    model.head(last)?;
    model.finish()
}

/// BERT's names; the norms stand before what they are named after.
const NAMES: [&str; 9] = [
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.self",
    "attention.output.dense",
    "attention.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "LayerNorm",
];

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const ESM2_8M: &str = r#"{"model_type": "esm", "hidden_size": 320, "num_hidden_layers": 6, "vocab_size": 33,
        "num_attention_heads": 20, "intermediate_size": 1280, "position_embedding_type": "rotary",
        "emb_layer_norm_before": false, "token_dropout": true, "architectures": ["EsmForMaskedLM"]}"#;

    #[test]
    fn esm_2_has_its_published_8_million() {
        // Table 33·320. A layer: attention 4·(320² + 320), mlp 2·320·1280 + 1280 + 320, two norms of 640. A norm,
        // contacts 120 + 1; before the head 320² + 320 + 640, bias 33.
        let layer: u128 = 4 * 102_720 + 820_800 + 2 * 640;
        let all = 33 * 320 + 6 * layer + 640 + 121 + 102_720 + 640 + 33;
        assert_eq!(parameters(ESM2_8M), all);
        // 8M on its model card.
        assert_eq!((all + 500_000) / 1_000_000, 8);
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        assert_eq!(
            fact(&ESM2_8M.replacen('{', r#"{"is_folding_model": true, "#, 1)),
            "`is_folding_model`: is true, and what folds is not counted"
        );
        assert_eq!(
            fact(&ESM2_8M.replace("rotary", "relative_key")),
            "`position_embedding_type`: is \"relative_key\"; \"absolute\" and \"rotary\" are counted"
        );
    }
}
