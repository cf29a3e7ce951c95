//! Ling's and Ring's hybrids: Kimi's delta attention in most layers, latent attention in a few, and many small experts.
//!
//! ```text
//! embed → L × [ norm → (q, k, v → convolution → delta rule → norm · gate → out, or latent attention · gate → out) ]
//!             [ norm → feed-forward ] → norm → head
//! ```
//!
//! As in `kimi_linear`, but the gates of delta attention are of full rank, and each head of latent attention has one.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::feed_forward::{dense_first, sparse_layers};
use super::kimi_linear::{DeltaAttention, feed_forward};
use super::parts::projection as attention_projection;
use super::parts::{decoder, note_prediction_layers, pre_normed, rms_norm, tied};
use super::recurrent::{Layer, mixers, projection, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;

pub(super) const MODEL_TYPES: &[&str] = &["bailing_hybrid"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 128, rope: 64, value: Some(128), rank: 512, query_rank: None };

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let latent = LatentAttention::read_or(c, d, &LATENT)?;
    let delta = delta(c, d)?;
    let inner = delta.heads * delta.head;
    let delta = delta.between(
        [projection("self_attn.forget_gate.f_proj", d, inner).into()],
        [projection("self_attn.g_proj", d, inner).into()],
    );
    let group = c.size_or("layer_group_size", 6)?;
    let mixers = mixers(c, layers, |layer| !(layer + 1).is_multiple_of(group))?;
    let dense = dense_first(c, 2)?;
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let ffn = feed_forward(c)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = match mixers(layer) {
            Layer::Attention => {
                let mut ops = latent.ops();
                ops.push(attention_projection("self_attn.g_proj", d, latent.latent.heads).into());
                ops
            }
            _ => delta.clone(),
        };
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })
}

/// Heads of delta attention are as many as of latent attention, and `head_dim` wide; a file that newer libraries save
/// has names of their own for both, and another width under the old one.
fn delta(c: &Config, hidden: u64) -> Result<DeltaAttention> {
    let delta = DeltaAttention {
        hidden,
        heads: match c.maybe("linear_num_heads")? {
            Some(heads) => heads,
            None => c.size("num_attention_heads")?,
        },
        head: match c.maybe("linear_head_dim")? {
            Some(head) => head,
            None => c.size_or("head_dim", 128)?,
        },
        kernel: match c.maybe("linear_conv_kernel_dim")? {
            Some(kernel) => kernel,
            None => c.size_or("short_conv_kernel_size", 4)?,
        },
    };
    c.raw("short_conv_kernel_size");
    width(c, "head_dim", delta.heads, delta.head)?;
    Ok(delta)
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use crate::op::{Op, RecurrentKind};

    #[test]
    fn a_saved_file_has_another_width_under_the_old_name() {
        let published = r#"{"model_type": "bailing_hybrid", "head_dim": 128, "hidden_size": 2560,
            "intermediate_size": 6144, "kv_lora_rank": 512, "layer_group_size": 6,
            "moe_intermediate_size": 768, "num_attention_heads": 32, "num_experts": 512,
            "num_experts_per_tok": 8, "num_hidden_layers": 42, "num_shared_experts": 1, "q_lora_rank": null,
            "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "short_conv_kernel_size": 4,
            "tie_word_embeddings": false, "v_head_dim": 128, "vocab_size": 157184, "dtype": "bfloat16"}"#;
        let saved = published.replace(
            "\"head_dim\": 128",
            "\"head_dim\": 64, \"linear_head_dim\": 128, \"linear_num_heads\": 32",
        );
        assert_eq!(model(published).parameters(), model(&saved).parameters());
        let rules = |config: &str| -> u64 {
            let model = model(config);
            let rule = RecurrentKind::Delta { heads: 32, key: 128, value: 128, by_channel: true };
            let rules = model.ops().filter_map(|(op, repeat)| match op {
                Op::Recurrent(op) if op.kind == rule => Some(repeat),
                _ => None,
            });
            rules.sum()
        };
        // Five of six.
        assert_eq!([rules(published), rules(&saved)], [35, 35]);
    }
}
