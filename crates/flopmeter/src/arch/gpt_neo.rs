//! GPT-Neo: GPT-2's block with separate projections and layers that see only a window.
//!
//! ```text
//! embed + positions → L × [ norm → q, k, v → attend → out ] [ norm → fc → proj ] → norm → head
//! ```
//!
//! A local layer masks what lies outside its window and keeps it in the cache.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, MOST_LAYERS, Model};
use crate::op::{Attention, Op};
use crate::passes::Mask;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["gpt_neo"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_heads", "num_attention_heads"])?;
    // Absent or null means four times the width.
    let f = c.size_or("intermediate_size", 4 * d)?;
    let layers = c.size_of(&["num_layers", "num_hidden_layers"])?;
    let vocab = c.size("vocab_size")?;
    let positions = c.size_or("max_position_embeddings", 2048)?;
    let window = c.size_or("window_size", 256)?;
    let local = local_layers(c, layers)?;

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [table("transformer.wte", vocab, d), table("transformer.wpe", positions, d)],
    );
    model.layers(layers, |layer| {
        let mask = match usize::try_from(layer).ok().and_then(|at| local.get(at)) {
            Some(true) => Mask::Sliding { window },
            _ => Mask::Causal,
        };
        Ok(vec![
            layer_norm("ln_1", d, true),
            projection("attn.attention.q_proj", d, d).into(),
            projection("attn.attention.k_proj", d, d).into(),
            projection("attn.attention.v_proj", d, d).into(),
            attend(heads, mask),
            projection("attn.attention.out_proj", d, d).bias(true).into(),
            layer_norm("ln_2", d, true),
            mlp("mlp.c_fc", d, f).bias(true).into(),
            mlp("mlp.c_proj", f, d).bias(true).into(),
        ])
    })?;
    let tied = tied(c, true)?;
    model.head([layer_norm("transformer.ln_f", d, true), head(d, vocab, tied).into()])?;
    model.finish()
}

/// The cache stays whole whatever the mask hides.
fn attend(heads: Heads, mask: Mask) -> Op {
    let Heads { query, kv, dim } = heads;
    let attention = Attention::new("attn.attention", query, kv, dim, dim, mask);
    Attention { cache_mask: Mask::Causal, ..attention }.into()
}

/// Whether each layer is local, from `attention_types`: patterns of kinds and how often each comes.
fn local_layers(c: &Config, layers: u64) -> Result<Vec<bool>> {
    let listed = c.texts("attention_layers")?;
    let patterns = match (c.raw("attention_types"), &listed) {
        (Some(types), _) => patterns(types).ok_or_else(|| {
            c.contradiction("attention_types", "is no list of patterns of kinds with their numbers")
                .hint(r#"for example [[["global", "local"], 12]]"#)
        })?,
        (None, Some(kinds)) => vec![(kinds.clone(), 1)],
        (None, None) => {
            c.note_default("attention_types", r#"[[["global", "local"], 12]]"#);
            vec![(vec!["global", "local"], 12)]
        }
    };
    // A stranger may state any number of repetitions; one layer too many is enough to refuse them.
    let kinds: Vec<&str> = patterns
        .iter()
        .flat_map(|(kinds, times)| kinds.iter().cycle().take(kinds.len().saturating_mul(*times)))
        .zip(0..=MOST_LAYERS)
        .map(|(kind, _)| *kind)
        .collect();
    if kinds.len() as u64 != layers {
        let fact = format!("does not describe {layers} layers");
        return Err(c.contradiction("attention_types", &fact).hint("check `num_layers`"));
    }
    // Files carry the expanded list too; the reference implementation makes it anew.
    if listed.is_some_and(|listed| listed != kinds) {
        return Err(c.contradiction("attention_layers", "is not what `attention_types` makes"));
    }
    kinds
        .into_iter()
        .map(|kind| match kind {
            "global" => Ok(false),
            "local" => Ok(true),
            other => Err(c.contradiction(
                "attention_types",
                &format!("has a kind of layer that is not counted: \"{}\"", shown(other)),
            )),
        })
        .collect()
}

fn patterns(types: &Value) -> Option<Vec<(Vec<&str>, usize)>> {
    let pattern = |item| match Value::as_array(item)?.as_slice() {
        [kinds, times] => {
            let kinds = kinds.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
            Some((kinds, usize::try_from(times.as_u64()?).ok()?))
        }
        _ => None,
    };
    types.as_array()?.iter().map(pattern).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::op::Op;
    use crate::passes::Mask;

    const GPT_NEO_125M: &str = r#"{"model_type": "gpt_neo", "hidden_size": 768, "num_heads": 12,
        "num_layers": 12, "intermediate_size": null, "window_size": 256, "vocab_size": 50257,
        "max_position_embeddings": 2048, "attention_types": [[["global", "local"], 6]]}"#;

    #[test]
    fn published_total() {
        // Embeddings (50257 + 2048)·768 = 40_170_240. A layer: norms 2·1536, q, k, v and out
        // 4·768·768 + 768, mlp 768·3072 + 3072 and 3072·768 + 768: 7_085_568. Last norm 1536.
        assert_eq!(parameters(GPT_NEO_125M), 40_170_240 + 12 * 7_085_568 + 1536);
        assert_eq!(parameters(GPT_NEO_125M), 125_198_592);
    }

    #[test]
    fn every_other_layer_is_local_and_its_cache_whole() {
        let model = model(GPT_NEO_125M);
        let masks: Vec<_> = model
            .ops()
            .filter_map(|(op, repeat)| match op {
                Op::Attention(op) => Some((op.mask, op.cache_mask, repeat)),
                _ => None,
            })
            .collect();
        let local = Mask::Sliding { window: 256 };
        assert_eq!(masks, [(Mask::Causal, Mask::Causal, 6), (local, Mask::Causal, 6)]);
    }

    #[test]
    fn patterns_that_do_not_fit_are_errors() {
        let with =
            |types: &str| fact(&GPT_NEO_125M.replace(r#"[[["global", "local"], 6]]"#, types));
        let wrong_number = "`attention_types`: does not describe 12 layers";
        assert_eq!(with(r#"[[["global", "local"], 7]]"#), wrong_number);
        assert_eq!(with(r#"[[["global", "local"], 18446744073709551615]]"#), wrong_number);
        assert_eq!(with(r#"[[[], 18446744073709551615]]"#), wrong_number);
        assert_eq!(with("null"), wrong_number);
        assert_eq!(
            with(r#"[[["remote"], 12]]"#),
            "`attention_types`: has a kind of layer that is not counted: \"remote\""
        );
        for types in ["7", "[7]", "[[7, 7]]", r#"[[["global"], -1]]"#, r#"[["global", 12]]"#] {
            assert_eq!(
                with(types),
                "`attention_types`: is no list of patterns of kinds with their numbers"
            );
        }
    }
}
