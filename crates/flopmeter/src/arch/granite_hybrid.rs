//! Granite 4: Mamba-2's block or attention, then experts and a feed-forward layer that every token takes.
//!
//! ```text
//! embed → L × [ norm → (in → convolution → scan → out, or q, k, v → attend → out) ]
//!             [ norm → router → k of E × (gate and up → down) + (gate and up → down) ] → norm → head
//! ```
//!
//! The small ones have no experts; the feed-forward layer is then `mlp`, and `moe.shared` beside
//! experts. `model` counts the scan token by token; `torch` counts it in padded chunks:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::experts;
use super::parts::{Heads, decoder, mlp, pre_normed, rms_norm, tied};
use super::recurrent::{Dual, Layer, MAMBA, mixers};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["granitemoehybrid"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let layers = c.size("num_hidden_layers")?;
    let mixers = mixers(c, layers, |_| true)?;
    let mamba = Dual::read(c, d, None)?;
    let ffn = feed_forward(c, d)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mixer = match mixers(layer) {
            Layer::Attention => heads.attention(d, bias, bias, Mask::Causal),
            _ => mamba.ops(MAMBA),
        };
        Ok(pre_normed(d, mixer, ffn.clone()))
    })
}

fn feed_forward(c: &Config, d: u64) -> Result<Vec<Op>> {
    let shared = c.size("shared_intermediate_size")?;
    let (up, down) = ("shared_mlp.input_linear", "shared_mlp.output_linear");
    if c.count_or("num_local_experts", 8)? == 0 {
        // Of experts that are not there.
        for key in ["num_experts_per_tok", "intermediate_size"] {
            c.raw(key);
        }
        return Ok(vec![mlp(up, d, 2 * shared).into(), mlp(down, shared, d).into()]);
    }
    let f = c.size("intermediate_size")?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    Ok(vec![
        experts::router("block_sparse_moe.router.layer", d, experts).into(),
        experts::expert("block_sparse_moe.input_linear", d, 2 * f, experts).into(),
        experts::expert("block_sparse_moe.output_linear", f, d, experts).into(),
        Linear::new(up, Component::MoeShared, d, 2 * shared).into(),
        Linear::new(down, Component::MoeShared, shared, d).into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const TINY: &str = r#"{"model_type": "granitemoehybrid", "hidden_size": 1536,
        "intermediate_size": 512, "shared_intermediate_size": 1024, "num_local_experts": 62,
        "num_experts_per_tok": 6, "num_attention_heads": 12, "num_key_value_heads": 4,
        "num_hidden_layers": 2, "layer_types": ["mamba", "attention"], "mamba_n_heads": 48,
        "mamba_d_state": 128, "mamba_d_head": 64, "mamba_n_groups": 1, "mamba_expand": 2,
        "mamba_d_conv": 4, "mamba_chunk_size": 256, "vocab_size": 100352,
        "tie_word_embeddings": true}"#;

    #[test]
    fn layers_are_as_listed() {
        let granite = model(TINY);
        let names: Vec<&str> = granite.groups().iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["embedding", "layer 0", "layer 1", "head"]);
        assert!(granite.unread().is_empty());
        assert_eq!(
            fact(&TINY.replace("\"mamba\", ", "")),
            "`layer_types`: has 1 entries for 2 layers"
        );
        assert_eq!(
            fact(&TINY.replace("\"mamba\", ", "\"moe\", ")),
            "`layer_types`: has a layer of a kind that is not counted: \"moe\""
        );
    }
}
