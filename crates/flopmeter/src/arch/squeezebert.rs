//! SqueezeBERT (arXiv:2006.11316): BERT, whose products run in groups of their inputs.
//!
//! ```text
//! embed + positions + segments → norm → L × [ q, k, v → attend to all → out → norm ] [ up → down → norm ]
//! (→ pool, or dense → norm → head)
//! ```
//!
//! A product in g groups has each output see one g-th of the inputs.

use super::bert::{decoder_head, embeddings, transform};
use super::parts::{Heads, layer_norm, mlp, projection, tied};
use super::task::{Task, everywhere, for_each_token, for_sequence};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["squeezebert"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let e = c.size_or("embedding_size", 768)?;
    if e != d {
        let fact = format!("is {e}, and nothing puts it into the width {d}");
        return Err(c.contradiction("embedding_size", &fact));
    }
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let embeddings = embeddings(c, vocab, 512, d)?;
    // Inputs that one output sees.
    let share = |key: &'static str, default: u64, from: u64, to: u64| -> Result<u64> {
        let groups = c.size_or(key, default)?;
        if !from.is_multiple_of(groups) || !to.is_multiple_of(groups) {
            let fact = format!("is {groups}, which does not divide {from} and {to} evenly");
            return Err(c.contradiction(key, &fact));
        }
        Ok(from / groups)
    };
    let [q, k, v] = ["q_groups", "k_groups", "v_groups"].map(|key| share(key, 4, d, d));
    let (q, k, v) = (q?, k?, v?);
    let out = share("post_attention_groups", 1, d, d)?;
    let (up, down) = (share("intermediate_groups", 4, d, f)?, share("output_groups", 4, f, d)?);

    let mut model = Builder::new(c)?;
    model.once("embedding", embeddings);
    model.layers(layers, |_| {
        Ok(vec![
            projection("attention.query", q, d).bias(true).into(),
            projection("attention.key", k, d).bias(true).into(),
            projection("attention.value", v, d).bias(true).into(),
            heads.attend_in("attention", Mask::Full),
            projection("post_attention.conv1d", out, d).bias(true).into(),
            layer_norm("post_attention.layernorm", d, true),
            mlp("intermediate.conv1d", up, f).bias(true).into(),
            mlp("output.conv1d", down, d).bias(true).into(),
            layer_norm("output.layernorm", d, true),
        ])
    })?;
    // Its pooler runs whatever stands behind it.
    let mut last: Vec<Op> = vec![for_sequence("pooler.dense", d, d).into()];
    match Task::of(c)? {
        Task::Embed => {}
        Task::Predict => {
            let head = decoder_head(d, vocab, tied(c, true)?);
            last.extend(everywhere(transform(d, d).into_iter().chain(head)));
        }
        Task::ClassifySequence(labels) => last.push(for_sequence("classifier", d, labels).into()),
        Task::ClassifyTokens(labels) => last.push(for_each_token("classifier", d, labels).into()),
        task @ Task::PreTrain => return task.unknown(c),
    }
    model.head(last)?;
    model.finish()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const SQUEEZEBERT: &str = r#"{"model_type": "squeezebert", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 30528, "embedding_size": 768,
        "max_position_embeddings": 512, "architectures": ["SqueezeBertModel"]}"#;

    #[test]
    fn it_has_the_51_million_parameters_that_are_published() {
        // (30,528 + 512 + 2)·768 + 1536. A layer: three of 768·192 + 768, one of 768² + 768, 3072·192 + 3072,
        // 768·768 + 768, two norms of 1536. A pooler of 768² + 768.
        let attention: u128 = 3 * (768 * 192 + 768) + 768 * 768 + 768;
        let layer = attention + 3072 * 192 + 3072 + 768 * 768 + 768 + 2 * 1536;
        let total = 31_042 * 768 + 1536 + 12 * layer + 768 * 768 + 768;
        assert_eq!(parameters(SQUEEZEBERT), total);
        assert_eq!(total / 1_000_000, 51);
    }

    #[test]
    fn groups_divide_the_widths() {
        let other = SQUEEZEBERT.replacen('{', r#"{"k_groups": 5, "#, 1);
        assert_eq!(fact(&other), "`k_groups`: is 5, which does not divide 768 and 768 evenly");
    }
}
