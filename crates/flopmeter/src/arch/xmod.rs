//! X-MOD as a decoder (`is_decoder`): RoBERTa with a small layer for each language after each feed-forward layer.
//!
//! ```text
//! embed + positions + segments → norm → L × [ as in BERT, dense1 → dense2 of the language ] (→ norm)
//!     → dense → norm → head
//! ```
//!
//! A request is taken to be in one language: its small layers run, the others' are stored and take part in nothing.

use super::bert::{decoder_alone, decoder_head, embeddings, layer, transform};
use super::parts::{Heads, layer_norm, mlp, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Experts, Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["xmod"];

pub(super) fn build(c: &Config) -> Result<Model> {
    decoder_alone(c)?;
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 512, d)?;
    let adapters = Adapters::read(c, d)?;

    let mut model = Builder::new(c)?;
    model.once("embedding", embeddings);
    model.layers(layers, |_| {
        let mut ops = layer(heads, d, f, Mask::Causal);
        ops.extend(adapters.ops(d));
        Ok(ops)
    })?;
    let mut last = Vec::new();
    if c.flag("pre_norm", false)? {
        last.push(layer_norm("encoder.LayerNorm", d, true));
    }
    last.extend(transform(d, d));
    last.extend(decoder_head(d, vocab, tied(c, true)?));
    model.head(last)?;
    model.finish()
}

/// The layers of single languages.
struct Adapters {
    languages: u64,
    inner: u64,
    normed: bool,
}

impl Adapters {
    fn read(c: &Config, hidden: u64) -> Result<Self> {
        let languages = match c.texts("languages")? {
            Some(languages) => languages.len() as u64,
            None => {
                c.note_default("languages", "one");
                1
            }
        };
        if languages == 0 {
            return Err(c.contradiction("languages", "is empty; a model has one language or more"));
        }
        let factor = c.size_or("adapter_reduction_factor", 2)?;
        if factor > hidden {
            let fact = format!("is {factor}, more than the width {hidden}");
            return Err(c.contradiction("adapter_reduction_factor", &fact));
        }
        Ok(Self { languages, inner: hidden / factor, normed: c.flag("adapter_layer_norm", false)? })
    }

    fn ops(&self, hidden: u64) -> Vec<Op> {
        let matrices = [
            mlp("output.adapter_modules.dense1", hidden, self.inner).bias(true),
            mlp("output.adapter_modules.dense2", self.inner, hidden).bias(true),
        ];
        let mut ops: Vec<Op> = matrices.map(Op::from).to_vec();
        if self.languages > 1 {
            let others = Experts::routed(0, self.languages - 1);
            let idle = |matrix: Linear| Op::Idle(Box::new(matrix.experts(others).into()));
            ops.extend(matrices.map(idle));
        }
        if self.normed {
            ops.push(layer_norm("output.adapter_layer_norm", hidden, true));
        }
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    fn small(more: &str) -> String {
        format!(
            r#"{{"model_type": "xmod", "hidden_size": 60, "num_hidden_layers": 3, "num_attention_heads": 6,
                "intermediate_size": 92, "vocab_size": 131, "is_decoder": true, {more}}}"#
        )
    }

    #[test]
    fn a_language_more_is_stored_and_takes_part_in_nothing() {
        let of = |languages: &str| {
            let parameters = model(&small(&format!("\"languages\": [{languages}]"))).parameters();
            (parameters.total, parameters.active)
        };
        let (one, two) = (of(r#""en_XX""#), of(r#""en_XX", "de_DE""#));
        // 2·60·30 + 30 + 60 in each of three layers.
        assert_eq!(two.0 - one.0, 3 * (2 * 60 * 30 + 90));
        assert_eq!(two.1, one.1);
        assert_eq!(one.0, one.1);
    }

    #[test]
    fn no_language_and_no_width_are_errors() {
        assert_eq!(
            fact(&small(r#""languages": []"#)),
            "`languages`: is empty; a model has one language or more"
        );
        assert_eq!(
            fact(&small(r#""adapter_reduction_factor": 61"#)),
            "`adapter_reduction_factor`: is 61, more than the width 60"
        );
    }
}
