//! JetMoE: the queries and the output of attention are experts too.
//!
//! ```text
//! embed → L × [ norm → router → k of E × q; k, v → attend → k of E × out ]
//!             [ norm → router → k of E × (gate and up → down) ] → norm → head
//! ```
//!
//! Each expert of attention has as many query heads as there are key/value heads (arXiv:2404.07413,
//! section 2). Its matrices are counted as projections of attention.

use super::experts;
use super::parts::{decoder, pre_normed, projection, rms_norm, tied, vector};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Attention, Experts, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["jetmoe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let kv = c.size("num_key_value_heads")?;
    let dim = c.size_of(&["kv_channels", "head_dim"])?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    // The reference implementation makes its own of the two above, whatever is stated.
    let _derived = c.raw("num_attention_heads");
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |_| {
        let mlp = vec![
            experts::router("mlp.router.layer", d, experts).into(),
            experts::expert("mlp.input_linear", d, 2 * f, experts).into(),
            experts::expert("mlp.output_linear", f, d, experts).into(),
            vector("mlp.bias", d),
        ];
        Ok(pre_normed(d, attention(d, kv, dim, experts), mlp))
    })
}

fn attention(hidden: u64, kv: u64, dim: u64, experts: Experts) -> Vec<Op> {
    let (query, width) = (kv * experts.active, kv * dim);
    vec![
        experts::router("self_attention.experts.router.layer", hidden, experts).into(),
        projection("self_attention.experts.input_linear", hidden, width).experts(experts).into(),
        projection("self_attention.kv_proj", hidden, 2 * width).into(),
        Attention::new("self_attention", query, kv, dim, dim, Mask::Causal).into(),
        projection("self_attention.experts.output_linear", width, hidden).experts(experts).into(),
        vector("self_attention.experts.bias", hidden),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use crate::op::Op;

    /// JetMoE-8B.
    const JETMOE: &str = r#"{"model_type": "jetmoe", "hidden_size": 2048, "intermediate_size": 5632,
        "kv_channels": 128, "num_attention_heads": 32, "num_key_value_heads": 16,
        "num_hidden_layers": 24, "num_local_experts": 8, "num_experts_per_tok": 2,
        "vocab_size": 32000, "tie_word_embeddings": true, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn jetmoe_has_the_parameters_that_its_name_states() {
        // 24 of 2·2048·8 for routers, 8·2·2048² for q and out, 2·2048² for k and v, 8·3·2048·5632,
        // 4·2048 for norms and biases; 32000·2048 and a norm: 8.5 billion, of which two experts of
        // each kind are active.
        let expert: u128 = 2 * 2048 * 2048 + 3 * 2048 * 5632;
        let rest: u128 = 2 * 2048 * 8 + 2 * 2048 * 2048 + 4 * 2048;
        let total = 24 * (8 * expert + rest) + 32_000 * 2048 + 2048;
        let jetmoe = model(JETMOE);
        assert_eq!(jetmoe.parameters().total, total);
        assert_eq!(jetmoe.parameters().active, total - 24 * 6 * expert);
        assert!(jetmoe.unread().is_empty() && jetmoe.notes().is_empty());
    }

    #[test]
    fn heads_follow_from_the_experts() {
        let stated = JETMOE.replace("attention_heads\": 32", "attention_heads\": 6");
        let heads = |config: &str| {
            model(config).ops().find_map(|(op, _)| match op {
                Op::Attention(attention) => Some((attention.heads, attention.kv_heads)),
                _ => None,
            })
        };
        assert_eq!(heads(JETMOE), Some((32, 16)));
        assert_eq!(heads(&stated), Some((32, 16)));
    }
}
