//! XLM and FlauBERT: norms behind each half (in FlauBERT's larger ones before it), and no gate.
//!
//! ```text
//! embed + positions (+ languages) → norm → L × [ q, k, v → attend → out → norm ] [ up → down → norm ] (→ head)
//! ```
//!
//! Every product has a bias. With `causal` they are decoders, and the reference implementation keeps no cache when it
//! generates. Without, their tokens see what follows them, and the class that `architectures` names says what stands
//! behind.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use super::task::{Task, everywhere, for_each_token, for_sequence};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["flaubert", "xlm"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let decodes = c.flag("causal", false)?;
    if c.flag("asm", false)? {
        return Err(c.contradiction("asm", "is true, and an adaptive softmax is not counted"));
    }
    let d = c.size_of(&["emb_dim", "hidden_size"])?;
    let heads = Heads::equal(c, d, &["n_heads", "num_attention_heads"])?;
    let layers = c.size_of(&["n_layers", "num_hidden_layers"])?;
    let vocab = c.size_of(&["vocab_size", "n_words"])?;
    let positions = c.size_or("max_position_embeddings", 512)?;
    let languages = c.size_or("n_langs", 1)?;
    let mask = if decodes { Mask::Causal } else { Mask::Full };

    let mut model = Builder::new(c)?;
    if decodes {
        model.keep_no_cache();
    }
    let mut first = vec![
        table("transformer.embeddings", vocab, d),
        table("transformer.position_embeddings", positions, d),
    ];
    if languages > 1 && c.flag("use_lang_emb", true)? {
        first.push(table("transformer.lang_embeddings", languages, d));
    }
    first.push(layer_norm("transformer.layer_norm_emb", d, true));
    model.once("embedding", first);
    model.layers(layers, |_| {
        Ok(vec![
            projection("attentions.q_lin", d, d).bias(true).into(),
            projection("attentions.k_lin", d, d).bias(true).into(),
            projection("attentions.v_lin", d, d).bias(true).into(),
            heads.attend_in("attentions", mask),
            projection("attentions.out_lin", d, d).bias(true).into(),
            layer_norm("layer_norm1", d, true),
            mlp("ffns.lin1", d, 4 * d).bias(true).into(),
            mlp("ffns.lin2", 4 * d, d).bias(true).into(),
            layer_norm("layer_norm2", d, true),
        ])
    })?;
    let predict = || -> Result<Op> { Ok(head(d, vocab, tied(c, true)?).bias(true).into()) };
    model.head(if decodes { vec![predict()?] } else { behind(c, d, predict)? })?;
    model.finish()
}

/// What stands behind an encoder.
fn behind(c: &Config, d: u64, predict: impl FnOnce() -> Result<Op>) -> Result<Vec<Op>> {
    let named = c.texts("architectures")?.unwrap_or_default();
    if named.iter().any(|class| class.ends_with("ForQuestionAnswering")) {
        let fact = "names a search for the best spans, which is not counted";
        return Err(c.contradiction("architectures", fact).hint("…ForQuestionAnsweringSimple is"));
    }
    Ok(match Task::of(c)? {
        Task::Embed => vec![],
        Task::Predict => everywhere([predict()?]).collect(),
        Task::ClassifySequence(labels) if c.flag("summary_use_proj", true)? => {
            let to = if c.flag("summary_proj_to_labels", true)? { labels } else { d };
            vec![for_sequence("sequence_summary.summary", d, to).into()]
        }
        Task::ClassifySequence(_) => vec![],
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    fn clm(more: &str) -> String {
        format!(
            r#"{{"model_type": "xlm", "emb_dim": 1024, "n_layers": 6, "n_heads": 8, "n_words": 64699,
                "max_position_embeddings": 512{more}}}"#
        )
    }

    #[test]
    fn xlm_clm_counts_languages_where_there_are_several() {
        // (64,699 + 512)·1024 + 2048 + 6·(4·(1024² + 1024) + 2·4096·1024 + 4096 + 1024 + 4096) + 64,699
        let layer: u128 = 4 * (1024 * 1024 + 1024) + 2 * 4096 * 1024 + 4096 + 1024 + 4096;
        let total = 65_211 * 1024 + 2048 + 6 * layer + 64_699;
        assert_eq!(parameters(&clm(r#", "causal": true"#)), total);
        assert_eq!(parameters(&clm(r#", "causal": true, "n_langs": 2"#)), total + 2 * 1024);
        // Without `causal` it is an encoder, and its class has the same head.
        let encoder = model(&clm(r#", "architectures": ["XLMWithLMHeadModel"]"#));
        assert_eq!(encoder.parameters().total, total);
        assert!(encoder.encodes_only());
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        assert_eq!(
            fact(&clm(r#", "architectures": ["XLMForQuestionAnswering"]"#)),
            "`architectures`: names a search for the best spans, which is not counted"
        );
        assert_eq!(
            fact(&clm(r#", "causal": true, "asm": true"#)),
            "`asm`: is true, and an adaptive softmax is not counted"
        );
    }
}
