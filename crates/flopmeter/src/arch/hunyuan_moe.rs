//! Hunyuan with experts (Hunyuan-A13B): each head's query and key is normed, one expert is shared.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norm q, norm k → attend → out ]
//!             [ norm → router → k of E × (gate, up → down) + shared (gate, up → down) ] → norm → head
//! ```

use super::experts;
use super::parts::{Heads, decoder, pre_normed, rms_norm, tied, with_norms};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::passes::Mask;
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["hunyuan_v1_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let query = c.size("num_attention_heads")?;
    let kv = c.size_or("num_key_value_heads", query)?;
    let dim = c.maybe_of(&["head_dim", "attention_head_dim"])?;
    let heads = Heads::checked(c, d, query, kv, dim)?;
    let bias = c.flag("attention_bias", false)?;
    let f = c.size("intermediate_size")?;
    let total = c.size_of(&["num_experts", "num_local_experts"])?;
    let active = experts_a_token(c)?;
    one_for_all_layers(c, "num_shared_expert", 1)?;
    one_for_all_layers(c, "moe_intermediate_size", f)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let experts = experts::routed(c, "moe_topk", active(layer), total)?;
        let norms = [
            rms_norm("self_attn.query_layernorm", heads.dim),
            rms_norm("self_attn.key_layernorm", heads.dim),
        ];
        let attention = with_norms(heads.attention(d, bias, bias, Mask::Causal), norms);
        let mut mlp = experts::mixture(NAMES, d, f, experts);
        mlp.extend(experts::shared(SHARED, d, f, false));
        Ok(pre_normed(d, attention, mlp))
    })
}

const NAMES: experts::Names =
    ["mlp.gate.wg", "mlp.experts.gate_proj", "mlp.experts.up_proj", "mlp.experts.down_proj"];
const SHARED: [&str; 3] =
    ["mlp.shared_mlp.gate_proj", "mlp.shared_mlp.up_proj", "mlp.shared_mlp.down_proj"];

/// `moe_topk`: one number for all layers, or a list with one for each.
fn experts_a_token(c: &Config) -> Result<impl Fn(u64) -> u64> {
    let mut listed = Vec::new();
    let mut one = 0;
    if c.raw("moe_topk").is_some_and(Value::is_array) {
        let layers = c.size("num_hidden_layers")?;
        listed = c.counts("moe_topk")?.unwrap_or_default();
        if listed.len() as u64 != layers || listed.contains(&0) {
            return Err(c.contradiction(
                "moe_topk",
                &format!("is not a list of {layers} numbers above zero, one for each layer"),
            ));
        }
    } else {
        one = c.size_of(&["moe_topk", "num_experts_per_tok"])?;
    }
    Ok(move |layer| {
        usize::try_from(layer).ok().and_then(|at| listed.get(at)).copied().unwrap_or(one)
    })
}

/// A key of published files that may vary by layer and never does: `value` in every layer.
fn one_for_all_layers(c: &Config, key: &'static str, value: u64) -> Result<()> {
    let stated = match c.raw(key) {
        Some(Value::Array(_)) => c.counts(key)?.unwrap_or_default(),
        _ => c.count(key)?.into_iter().collect(),
    };
    match stated.iter().find(|stated| **stated != value) {
        None => Ok(()),
        Some(other) => {
            Err(c.contradiction(key, &format!("has {other} for a layer; only {value} is counted")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Hunyuan-A13B.
    const A13B: &str = r#"{"model_type": "hunyuan_v1_moe", "attention_bias": false,
        "attention_head_dim": 128, "head_dim": 128, "hidden_size": 4096,
        "intermediate_size": 3072, "moe_intermediate_size": [3072, 3072], "moe_topk": [8, 8],
        "num_attention_heads": 32, "num_experts": 64, "num_hidden_layers": 2,
        "num_key_value_heads": 8, "num_shared_expert": [1, 1], "tie_word_embeddings": true,
        "vocab_size": 128167}"#;

    #[test]
    fn two_layers_of_a13b() {
        // A layer: attention 2·4096·(4096 + 1024), q and k norms 2·128, router 4096·64, experts
        // (64 + 1)·3·4096·3072, norms 2·4096. Two of them, 128167·4096 and a norm.
        let layer: u128 = 2 * 4096 * 5120 + 2 * 128 + 4096 * 64 + 65 * 3 * 4096 * 3072 + 2 * 4096;
        let two = model(A13B);
        assert_eq!(two.parameters().total, 2 * layer + 128_167 * 4096 + 4096);
        assert!(two.unread().is_empty());
    }

    #[test]
    fn lists_that_do_not_fit_are_errors() {
        assert_eq!(
            fact(&A13B.replace("\"moe_topk\": [8, 8]", "\"moe_topk\": [8]")),
            "`moe_topk`: is not a list of 2 numbers above zero, one for each layer"
        );
        assert!(fact(&A13B.replace("[8, 8]", "[8, 65]")).starts_with("`moe_topk`: is 65, but"));
        assert_eq!(
            fact(&A13B.replace("[1, 1]", "[1, 2]")),
            "`num_shared_expert`: has 2 for a layer; only 1 is counted"
        );
    }
}
