//! Kimi-Linear: Kimi's delta attention in most layers, latent attention in a few, and many small experts.
//!
//! ```text
//! embed → L × [ norm → (q, k, v → convolution → delta rule → norm · gate → out, or latent attention) ]
//!             [ norm → feed-forward ] → norm → head
//! ```
//!
//! Latent attention and the feed-forward layers are those of `deepseek`. Delta attention
//! (arXiv:2510.26692, section 3), its projections included, counts under `recurrent`: `model` counts its
//! state token by token, `torch` in chunks of 64:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::deepseek::{LatentAttention, LatentDefaults};
use super::feed_forward::{CORRECTION, FeedForward, dense_first, sparse_layers};
use super::parts::{decoder, note_prediction_layers, pre_normed, rms_norm, tied, vector};
use super::recurrent::{Layer, convolution, mixers, projection, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Op, Recurrent, RecurrentKind};

pub(super) const MODEL_TYPES: &[&str] = &["kimi_linear"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 128, rope: 64, value: Some(128), rank: 512, query_rank: None };

/// Keys of Kimi-K3, whose text part has this type too but not this class.
const OF_KIMI_K3: [&str; 3] =
    ["routed_expert_hidden_size", "attn_res_block_size", "mla_use_output_gate"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if let Some(key) = OF_KIMI_K3.into_iter().find(|key| c.has(key)) {
        return Err(c
            .contradiction(key, "is no key of the reference implementation")
            .hint("Kimi-K3's layers are not counted: its code is its repository's own"));
    }
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let latent = LatentAttention::read_or(c, d, &LATENT)?;
    let (delta, kinds) = linear(c, d, layers)?;
    let delta = delta.ops();
    let dense = dense_first(c, 1)?;
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let ffn = feed_forward(c)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = match kinds(layer) {
            Layer::Attention => latent.ops(),
            _ => delta.clone(),
        };
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })
}

/// Routed experts, and shared ones under either name; every layer after the dense ones has them.
pub(super) fn feed_forward(c: &Config) -> Result<FeedForward> {
    // Experts are taken from the best groups, which changes no size.
    c.raw("num_expert_group");
    if let Some(every) = c.maybe("moe_layer_freq")?.filter(|every| *every != 1) {
        return Err(c.contradiction("moe_layer_freq", &format!("is {every}; only 1 is counted")));
    }
    let shared = if c.has("n_shared_experts") { "n_shared_experts" } else { "num_shared_experts" };
    Ok(FeedForward::read(c, "num_experts")?.sharing(c, shared, 1)?.corrected(CORRECTION))
}

/// What each layer does.
type Kinds<'c> = Box<dyn Fn(u64) -> Layer + 'c>;

/// Delta attention and which layers have it: as published files state them, in a part of their own, or
/// flat as newer libraries do.
fn linear(c: &Config, d: u64, layers: u64) -> Result<(DeltaAttention, Kinds<'_>)> {
    let part = c.child("linear_attn_config")?;
    let read = |key, in_part, default| match &part {
        Some(part) if part.has(in_part) => part.size(in_part),
        _ => c.size_or(key, default),
    };
    let delta = DeltaAttention {
        hidden: d,
        heads: read("linear_num_heads", "num_heads", 32)?,
        head: read("linear_head_dim", "head_dim", 128)?,
        kernel: read("linear_conv_kernel_dim", "short_conv_kernel_size", 4)?,
    };
    width(c, "linear_num_heads", delta.heads, delta.head)?;
    let Some(part) = part.filter(|_| !c.has("layer_types")) else {
        return Ok((delta, Box::new(every_fourth(c, layers)?)));
    };
    if part.flag("use_full_rank_gate", false)? {
        return Err(part.contradiction("use_full_rank_gate", "is true; only false is counted"));
    }
    let (Some(attend), Some(recur)) =
        (part.counts("full_attn_layers")?, part.counts("kda_layers")?)
    else {
        return Ok((delta, Box::new(every_fourth(c, layers)?)));
    };
    // They count layers from 1.
    let missing =
        (1..=layers.min(1 << 16)).find(|layer| attend.contains(layer) == recur.contains(layer));
    if let Some(layer) = missing {
        let fact = format!("and `kda_layers` do not say of layer {layer} which one it is");
        return Err(part.contradiction("full_attn_layers", &fact));
    }
    c.adopt(&part);
    let kind = move |layer| {
        if attend.contains(&(layer + 1)) { Layer::Attention } else { Layer::Recurrent }
    };
    Ok((delta, Box::new(kind)))
}

/// Layers 4, 8, 12, … from 0 attend, unless `layer_types` says which.
fn every_fourth(c: &Config, layers: u64) -> Result<impl Fn(u64) -> Layer> {
    mixers(c, layers, |layer| layer == 0 || !layer.is_multiple_of(4))
}

/// Kimi's delta attention: its sizes.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeltaAttention {
    pub hidden: u64,
    pub heads: u64,
    /// Width of a head's queries, keys and values.
    pub head: u64,
    pub kernel: u64,
}

impl DeltaAttention {
    /// With gates of low rank.
    pub fn ops(&self) -> Vec<Op> {
        let Self { hidden, head, .. } = *self;
        let width = self.heads * head;
        let forget = [
            projection("self_attn.forget_gate.f_a_proj", hidden, head).into(),
            projection("self_attn.forget_gate.f_b_proj", head, width).into(),
        ];
        let gate = [
            projection("self_attn.g_a_proj", hidden, head).into(),
            projection("self_attn.g_b_proj", head, width).into(),
        ];
        self.between(forget, gate)
    }

    /// With the projections of the forget gate and of the output's gate.
    pub fn between(
        &self,
        forget: impl IntoIterator<Item = Op>,
        gate: impl IntoIterator<Item = Op>,
    ) -> Vec<Op> {
        let Self { hidden, heads, head, kernel } = *self;
        let width = heads * head;
        let rule = RecurrentKind::Delta { heads, key: head, value: head, by_channel: true };
        let mut ops = vec![
            projection("self_attn.q_proj", hidden, width).into(),
            projection("self_attn.k_proj", hidden, width).into(),
            projection("self_attn.v_proj", hidden, width).into(),
            convolution("self_attn.conv1d", 3 * width, kernel, false),
        ];
        ops.extend(forget);
        ops.extend([
            vector("self_attn.forget_gate.dt_bias", width),
            vector("self_attn.forget_gate.A_log", heads),
            projection("self_attn.b_proj", hidden, heads).into(),
            Recurrent::new("self_attn", rule).into(),
        ]);
        ops.extend(gate);
        ops.extend([
            rms_norm("self_attn.o_norm", head),
            projection("self_attn.o_proj", width, hidden).into(),
        ]);
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Kimi-Linear-48B-A3B as on the Hub.
    const KIMI: &str = r#"{"model_type": "kimi_linear", "first_k_dense_replace": 1, "head_dim": 72,
        "hidden_size": 2304, "intermediate_size": 9216, "kv_lora_rank": 512,
        "linear_attn_config": {"full_attn_layers": [4, 8, 12, 16, 20, 24, 27], "head_dim": 128,
            "kda_layers": [1, 2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19, 21, 22, 23, 25, 26],
            "num_heads": 32, "short_conv_kernel_size": 4},
        "mla_use_nope": true, "model_max_length": 1048576, "moe_intermediate_size": 1024,
        "moe_layer_freq": 1, "num_attention_heads": 32, "num_expert_group": 1, "num_experts": 256,
        "num_experts_per_token": 8, "num_hidden_layers": 27, "num_key_value_heads": 32,
        "num_nextn_predict_layers": 0, "num_shared_experts": 1, "q_lora_rank": null,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "tie_word_embeddings": false,
        "topk_group": 1, "dtype": "bfloat16", "v_head_dim": 128, "vocab_size": 163840}"#;

    #[test]
    fn kimi_has_as_many_parameters_as_its_name_says() {
        // Delta attention: q, k, v, out 4·2304·4096, convolution 3·4096·4, two gates of
        // 2304·128 + 128·4096, 4096 + 32, b 2304·32, norm 128.
        let delta: u128 = 4 * 2304 * 4096
            + 3 * 4096 * 4
            + 2 * (2304 * 128 + 128 * 4096)
            + 4096
            + 32
            + 2304 * 32
            + 128;
        // Latent: q 2304·32·192, kv_a 2304·576, norm 512, kv_b 512·32·256, out 4096·2304.
        let latent: u128 = 2304 * 32 * 192 + 2304 * 576 + 512 + 512 * 32 * 256 + 4096 * 2304;
        let routed: u128 = 2304 * 256 + 257 * 3 * 2304 * 1024;
        let total = 20 * delta
            + 7 * latent
            + 27 * 2 * 2304
            + 3 * 2304 * 9216
            + 26 * routed
            + 2 * 163_840 * 2304
            + 2304;
        let kimi = model(KIMI);
        assert_eq!(kimi.parameters().total, total);
        // 48B-A3B, by 48 of what are 49.1.
        assert_eq!(total / 100_000_000, 491);
        assert_eq!(kimi.parameters().active, total - 26 * 248 * 3 * 2304 * 1024);
        assert!(kimi.unread().is_empty() && kimi.notes().is_empty());
    }

    #[test]
    fn every_layer_is_said_to_be_of_one_kind() {
        assert_eq!(
            fact(&KIMI.replace("24, 27]", "24, 26, 27]")),
            "`linear_attn_config.full_attn_layers`: and `kda_layers` do not say of layer 26 which one it is"
        );
        assert_eq!(
            fact(&KIMI.replace("25, 26]", "25]")),
            "`linear_attn_config.full_attn_layers`: and `kda_layers` do not say of layer 26 which one it is"
        );
    }

    #[test]
    fn the_text_part_of_kimi_k3_is_not_taken_for_it() {
        let k3 = KIMI.replace("\"head_dim\": 72", "\"routed_expert_hidden_size\": 3584");
        assert_eq!(
            fact(&k3),
            "`routed_expert_hidden_size`: is no key of the reference implementation"
        );
    }
}
