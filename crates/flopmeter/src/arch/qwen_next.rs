//! Qwen3-Next and Qwen3.5: three gated delta nets for each attention with a gate at its output.
//!
//! ```text
//! embed → L × [ norm → (in → convolution → delta rule → gated norm → out, or q and gate, k, v → attend → · gate → out) ]
//!             [ norm → feed-forward ] → norm → head
//! feed-forward, dense      gate, up → down
//!               of experts router → k of E × (gate, up → down) + gate × shared (gate, up → down)
//! ```
//!
//! Projections of the delta nets are two fused ones in Qwen3-Next and four in Qwen3.5. `model` counts the
//! delta rule token by token; `torch` counts it in padded chunks of 64, and a step not at all:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::experts::{self, IN_MLP};
use super::parts::{
    Heads, decoder, gated_mlp, head_norms, note_prediction_layers, pre_normed, projection,
    rms_norm, text_part, tied,
};
use super::prediction::with_qwens_layer;
use super::qwen_moe::{FeedForward, SHARED, shared_gate};
use super::recurrent::{self, Delta, Layer, mixers};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] =
    &["qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "qwen3_next" => next(c),
        "qwen3_5" => text_part(c, "qwen3_5_text", dense),
        "qwen3_5_moe" => text_part(c, "qwen3_5_moe_text", sparse),
        "qwen3_5_text" => dense(c),
        _ => sparse(c),
    }
}

fn next(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let ffn = FeedForward::read(c)?;
    let shared = c.size("shared_expert_intermediate_size")?;
    alternating(
        c,
        d,
        2,
        |delta| fused(d, delta),
        |layer| {
            let mut mlp = ffn.layer(layer, d);
            if ffn.routes(layer) {
                mlp.extend(experts::shared(SHARED, d, shared, false));
                mlp.push(shared_gate(d));
            }
            mlp
        },
    )
}

fn dense(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    alternating(c, d, 4, |delta| separate(d, delta), |_| gated_mlp(d, f, false))
}

fn sparse(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("moe_intermediate_size")?;
    let shared = c.size("shared_expert_intermediate_size")?;
    let experts = experts::read(c, "num_experts", "num_experts_per_tok")?;
    alternating(
        c,
        d,
        2,
        |delta| separate(d, delta),
        |_| {
            let mut mlp = experts::mixture(IN_MLP, d, f, experts);
            mlp.extend(experts::shared(SHARED, d, shared, false));
            mlp.push(shared_gate(d));
            mlp
        },
    )
}

/// Delta nets and attention by turns; `kv` is the class's number of KV heads.
fn alternating(
    c: &Config,
    d: u64,
    kv: u64,
    net: impl Fn(&Delta) -> Vec<Op>,
    mlp: impl Fn(u64) -> Vec<Op>,
) -> Result<Model> {
    let heads = Heads::read_or(c, d, kv, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    let layers = c.size("num_hidden_layers")?;
    // Every fourth layer attends, unless `layer_types` says which.
    let every = c.maybe("full_attention_interval")?.unwrap_or(4);
    let mixers = mixers(c, layers, |layer| !(layer + 1).is_multiple_of(every))?;
    let delta = Delta {
        key_heads: c.size("linear_num_key_heads")?,
        value_heads: c.size("linear_num_value_heads")?,
        key: c.size("linear_key_head_dim")?,
        value: c.size("linear_value_head_dim")?,
        kernel: c.size_or("linear_conv_kernel_dim", 4)?,
    }
    .checked(c)?;
    note_prediction_layers(c)?;
    if let Some(count) = c.count("mtp_num_hidden_layers")?.filter(|count| *count > 0) {
        c.note(format!(
            "layers that predict further tokens are left out of the model (`mtp_num_hidden_layers`: {count})"
        ));
    }
    let net = net(&delta);
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mixer = match mixers(layer) {
            Layer::Attention => gated_attention(d, &heads, bias),
            _ => net.clone(),
        };
        Ok(pre_normed(d, mixer, mlp(layer)))
    })?;
    // Its feed-forward part is that of the last layer.
    let further = pre_normed(d, gated_attention(d, &heads, bias), mlp(layers - 1));
    with_qwens_layer(c, model, d, further)
}

/// Attention whose output is scaled by a gate, which the projection of the queries makes, too.
pub(super) fn gated_attention(d: u64, heads: &Heads, bias: bool) -> Vec<Op> {
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let mut ops: Vec<Op> = vec![
        projection("self_attn.q_proj", d, 2 * q).bias(bias).into(),
        projection("self_attn.k_proj", d, kv).bias(bias).into(),
        projection("self_attn.v_proj", d, kv).bias(bias).into(),
    ];
    ops.extend(head_norms(heads));
    ops.push(heads.attend(Mask::Causal));
    ops.push(projection("self_attn.o_proj", q, d).bias(bias).into());
    ops
}

fn fused(d: u64, delta: &Delta) -> Vec<Op> {
    let (keys, values) = (delta.keys(), delta.values());
    let mut ops: Vec<Op> = vec![
        recurrent::projection("linear_attn.in_proj_qkvz", d, 2 * keys + 2 * values).into(),
        recurrent::projection("linear_attn.in_proj_ba", d, 2 * delta.value_heads).into(),
    ];
    ops.extend(delta.between("linear_attn.norm"));
    ops.push(recurrent::projection("linear_attn.out_proj", values, d).into());
    ops
}

pub(super) fn separate(d: u64, delta: &Delta) -> Vec<Op> {
    let (keys, values) = (delta.keys(), delta.values());
    let mut ops: Vec<Op> = vec![
        recurrent::projection("linear_attn.in_proj_qkv", d, 2 * keys + values).into(),
        recurrent::projection("linear_attn.in_proj_z", d, values).into(),
        recurrent::projection("linear_attn.in_proj_b", d, delta.value_heads).into(),
        recurrent::projection("linear_attn.in_proj_a", d, delta.value_heads).into(),
    ];
    ops.extend(delta.between("linear_attn.norm"));
    ops.push(recurrent::projection("linear_attn.out_proj", values, d).into());
    ops
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Qwen3-Next-80B-A3B.
    const NEXT: &str = r#"{"model_type": "qwen3_next", "attention_bias": false,
        "decoder_sparse_step": 1, "full_attention_interval": 4, "head_dim": 256,
        "hidden_size": 2048, "intermediate_size": 5120, "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
        "linear_value_head_dim": 128, "mlp_only_layers": [], "moe_intermediate_size": 512,
        "num_attention_heads": 16, "num_experts": 512, "num_experts_per_tok": 10,
        "num_hidden_layers": 48, "num_key_value_heads": 2,
        "shared_expert_intermediate_size": 512, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "vocab_size": 151936}"#;

    #[test]
    fn qwen3_next_has_as_many_parameters_as_published() {
        // Delta net: in 2048·(12288 + 64), convolution 8192·4, time step and A 64, norm 128, out
        // 4096·2048. Attention: 2048·(8192 + 2·512) + 4096·2048 + 2·256. Feed-forward: router
        // 2048·512, experts 513·3·2048·512, gate 2048. Norms 2·2048.
        let delta: u128 = 2048 * 12_352 + 8192 * 4 + 64 + 128 + 4096 * 2048;
        let attention: u128 = 2048 * (8192 + 1024) + 4096 * 2048 + 512;
        let rest: u128 = 2048 * 512 + 513 * 3 * 2048 * 512 + 2048 + 4096;
        let total = 36 * delta + 12 * attention + 48 * rest + 2 * 151_936 * 2048 + 2048;
        // 80 billion, 3 of them active, in its card.
        assert_eq!(total / 1_000_000_000, 79);
        let next = model(NEXT);
        assert_eq!(next.parameters().total, total);
        assert!(next.unread().is_empty() && next.notes().is_empty());
    }

    #[test]
    fn heads_are_shared_evenly() {
        assert_eq!(
            fact(&NEXT.replace("\"linear_num_key_heads\": 16", "\"linear_num_key_heads\": 12")),
            "`linear_num_value_heads`: 32 value heads cannot share 12 key heads evenly"
        );
    }
}
