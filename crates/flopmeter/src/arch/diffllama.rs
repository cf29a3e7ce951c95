//! DiffLlama: Llama whose heads attend in pairs, one taken from the other (arXiv:2410.05258).
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend, attend, difference → norm → out ] [ norm → gate, up → down ] → norm → head
//! ```
//!
//! A pair of heads has two maps of scores and one head of values, twice as wide as a head: as many products as
//! two plain heads have. That is what `model` counts. The reference implementation multiplies each map with each
//! half of the values, and makes both maps twice; `torch` counts all of it.

use super::parts::{Heads, decoder, gated_mlp, pre_normed, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["diffllama"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let inner = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    if !heads.kv.is_multiple_of(2) {
        let fact = format!("{} heads of keys and values do not make pairs", heads.kv);
        return Err(c.contradiction("num_key_value_heads", &fact));
    }
    let bias = c.flag("attention_bias", false)?;
    let mut attention = heads.attention(d, bias, bias, Mask::Causal);
    for op in &mut attention {
        if let Op::Attention(op) = op {
            op.runs_by_reference = 2;
        }
    }
    attention.push(vector("self_attn.lambda", 4 * heads.dim));
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        Ok(pre_normed(d, attention.clone(), gated_mlp(d, inner, false)))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Component, Convention, Workload};

    #[test]
    fn the_reference_multiplies_twice_what_a_pair_of_heads_needs() {
        let config = r#"{"model_type": "diffllama", "hidden_size": 64, "intermediate_size": 96,
            "num_hidden_layers": 1, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 100}"#;
        let of = |convention: Convention| {
            let flops = model(config).flops(&Workload::request(1, 1), &convention).unwrap();
            [Component::AttentionScores, Component::AttentionValues].map(|part| flops.prefill[part])
        };
        // Four pairs: two maps of 8 wide keys, one value that is 16 wide.
        assert_eq!(of(Convention::MODEL), [4 * 2 * 2 * 8, 4 * 2 * 16]);
        // Eight heads, twice.
        assert_eq!(of(Convention::TORCH), [2 * 8 * 2 * 8; 2]);
        assert_eq!(
            fact(&config.replace("value_heads\": 2", "value_heads\": 1")),
            "`num_key_value_heads`: 1 heads of keys and values do not make pairs"
        );
    }
}
