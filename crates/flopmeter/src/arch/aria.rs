//! Aria's text part: Llama's attention, routed experts and shared ones in every layer.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ]
//!             [ norm → router → k of E × (gate and up → down) + shared (gate, up → down) ] → norm → head
//! ```
//!
//! Experts are `intermediate_size` wide, the shared ones one matrix.

use super::experts;
use super::parts::{Heads, decoder, pre_normed, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["aria_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let experts = experts::read(c, "moe_num_experts", "moe_topk")?;
    let shared = f * c.count_or("moe_num_shared_experts", 2)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |_| {
        let mut mixture: Vec<Op> = vec![
            experts::router("mlp.router", d, experts).into(),
            experts::expert("mlp.experts.fc1", d, 2 * f, experts).into(),
            experts::expert("mlp.experts.fc2", f, d, experts).into(),
        ];
        if shared > 0 {
            mixture.extend(experts::shared(experts::SHARED_IN_MLP, d, shared, mlp_bias));
        }
        Ok(pre_normed(d, heads.attention(d, bias, bias, Mask::Causal), mixture))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;

    #[test]
    fn aria_has_the_parameters_of_its_sizes() {
        // 28 of 4·2560² + 2560·64 + 66·3·2560·1664 + 2·2560, 2·100352·2560 and a norm.
        let layer: u128 = 4 * 2560 * 2560 + 2560 * 64 + 66 * 3 * 2560 * 1664 + 2 * 2560;
        let aria = model(
            r#"{"model_type": "aria_text", "hidden_size": 2560, "intermediate_size": 1664,
                "num_attention_heads": 20, "num_key_value_heads": 20, "num_hidden_layers": 28,
                "moe_num_experts": 64, "moe_topk": 6, "moe_num_shared_experts": 2,
                "vocab_size": 100352, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
        );
        assert_eq!(aria.parameters().total, 28 * layer + 2 * 100_352 * 2560 + 2560);
        assert!(aria.unread().is_empty());
        assert!(aria.notes().iter().all(|note| note.contains("is absent")), "{:?}", aria.notes());
    }
}
