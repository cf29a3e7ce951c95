//! Qwen1.5-MoE, Qwen2-MoE and Qwen3-MoE: dense layers and layers of experts by turns.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward, dense      gate, up → down
//!               of experts router → k of E × (gate, up → down), in Qwen2 + gate × shared (gate, up → down)
//! ```
//!
//! Qwen2 has biases at q, k and v; Qwen3 has norms of each head's query and key instead.

use super::experts::{self, IN_MLP};
use super::parts::{
    Heads, decoder, gated_mlp, head_norms, layer_masks, one_at_most, pre_normed, rms_norm, tied,
    with_norms,
};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["qwen2_moe", "qwen3_moe"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "qwen2_moe" { qwen2(c) } else { qwen3(c) }
}

fn qwen2(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 16, None)?;
    let bias = c.flag("qkv_bias", true)?;
    let ffn = FeedForward::read(c)?;
    let shared = c.size("shared_expert_intermediate_size")?;
    let window = window(c)?;
    // Every second of the first `max_window_layers`, unless `layer_types` says which.
    let first = if window.is_some() { c.count_or("max_window_layers", 28)? } else { 0 };
    let masks = layer_masks(c, window, |layer| layer.is_multiple_of(2) && layer < first)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mut mlp = ffn.layer(layer, d);
        if ffn.routes(layer) {
            mlp.extend(experts::shared(SHARED, d, shared, false));
            mlp.push(shared_gate(d));
        }
        Ok(pre_normed(d, heads.attention(d, bias, false, masks(layer)), mlp))
    })
}

pub(super) const SHARED: [&str; 3] =
    ["mlp.shared_expert.gate_proj", "mlp.shared_expert.up_proj", "mlp.shared_expert.down_proj"];

/// How much of the shared expert a token takes: one number.
pub(super) fn shared_gate(hidden: u64) -> Op {
    Linear::new("mlp.shared_expert_gate", Component::MoeShared, hidden, 1).into()
}

fn qwen3(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 4, None)?;
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::read(c)?;
    let mask = window(c)?.map_or(Mask::Causal, |window| Mask::Sliding { window });
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = with_norms(heads.attention(d, bias, bias, mask), head_norms(&heads));
        Ok(pre_normed(d, attention, ffn.layer(layer, d)))
    })
}

/// A window holds only where it is switched on; most published files state one that is not.
fn window(c: &Config) -> Result<Option<u64>> {
    if c.flag("use_sliding_window", false)? {
        c.maybe_or("sliding_window", 4096)
    } else {
        let _switched_off = c.raw("sliding_window");
        Ok(None)
    }
}

/// Which layers have experts, and how wide the layers of both kinds are.
pub(super) struct FeedForward {
    experts: crate::op::Experts,
    dense_inner: u64,
    expert_inner: u64,
    /// Experts are in every `step`-th layer, …
    step: u64,
    /// … except in these.
    dense: Vec<u64>,
}

impl FeedForward {
    pub fn read(c: &Config) -> Result<Self> {
        let dense = c.counts("mlp_only_layers")?.unwrap_or_default();
        let layers = c.size("num_hidden_layers")?;
        one_at_most(c, "mlp_only_layers", &dense, layers)?;
        Ok(Self {
            experts: experts::read(c, "num_experts", "num_experts_per_tok")?,
            dense_inner: c.size("intermediate_size")?,
            expert_inner: c.size("moe_intermediate_size")?,
            step: c.size_or("decoder_sparse_step", 1)?,
            dense,
        })
    }

    pub fn routes(&self, layer: u64) -> bool {
        (layer + 1).is_multiple_of(self.step) && !self.dense.contains(&layer)
    }

    pub fn layer(&self, layer: u64, hidden: u64) -> Vec<Op> {
        if self.routes(layer) {
            experts::mixture(IN_MLP, hidden, self.expert_inner, self.experts)
        } else {
            gated_mlp(hidden, self.dense_inner, false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};

    /// Qwen3-30B-A3B.
    const QWEN3: &str = r#"{"model_type": "qwen3_moe", "attention_bias": false,
        "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 2048, "intermediate_size": 6144,
        "mlp_only_layers": [], "moe_intermediate_size": 768, "num_attention_heads": 32,
        "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 4, "sliding_window": null, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "use_sliding_window": false, "vocab_size": 151936}"#;

    #[test]
    fn qwen3_has_as_many_parameters_as_published() {
        // A layer: attention 2·2048·(4096 + 512) = 18,874,368, q and k norms 2·128, router
        // 2048·128, experts 128·3·2048·768 = 603,979,776, norms 2·2048. 48 of them, 2·151936·2048
        // and a norm.
        assert_eq!(parameters(QWEN3), 30_532_122_624);
    }

    #[test]
    fn a_list_of_dense_layers_is_taken_out() {
        // Layer 0 trades the router and its experts for 3·2048·6144.
        let less = 2048 * 128 + 603_979_776 - 3 * 2048 * 6144;
        let dense = QWEN3.replace("\"mlp_only_layers\": []", "\"mlp_only_layers\": [0]");
        assert_eq!(parameters(&dense), 30_532_122_624 - less);
        let many = QWEN3.replace("48,", "1,").replace("[]", "[0, 1]");
        assert_eq!(fact(&many), "`mlp_only_layers`: has 2 entries for 1 layers");
        let never = QWEN3.replace("sparse_step\": 1", "sparse_step\": 0");
        assert_eq!(fact(&never), "`decoder_sparse_step`: is 0, which is no size");
    }

    #[test]
    fn a_window_that_is_switched_off_is_nothing_unread() {
        let stated = QWEN3.replace("\"sliding_window\": null", "\"sliding_window\": 32768");
        let model = model(&stated);
        assert!(model.unread().is_empty());
        assert!(model.notes().is_empty());
    }

    #[test]
    fn qwen2_has_as_many_parameters_as_published() {
        // Qwen1.5-MoE-A2.7B. A layer: attention 4·2048² + 3·2048, router 2048·60, experts
        // 60·3·2048·1408, shared expert 3·2048·5632 and its gate 2048, norms 2·2048. 24 of them,
        // 2·151936·2048 and a norm.
        let layer: u128 = 4 * 2048 * 2048
            + 3 * 2048
            + 2048 * 60
            + 60 * 3 * 2048 * 1408
            + 3 * 2048 * 5632
            + 2048
            + 2 * 2048;
        assert_eq!(24 * layer + 2 * 151_936 * 2048 + 2048, 14_315_784_192);
        let qwen = r#"{"model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632,
            "max_window_layers": 21, "num_attention_heads": 16, "num_hidden_layers": 24,
            "num_key_value_heads": 16, "sliding_window": 32768, "tie_word_embeddings": false,
            "use_sliding_window": false, "vocab_size": 151936, "decoder_sparse_step": 1,
            "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632,
            "num_experts_per_tok": 4, "num_experts": 60}"#;
        assert_eq!(parameters(qwen), 14_315_784_192);
    }
}
