//! A.X K2: latent attention to tokens that an indexer chooses, with gates in attention and in its norms.
//!
//! ```text
//! embed → L × [ norm · gate → queries and their gate, latent → index → attend · gate → out ]
//!             [ norm · gate → feed-forward ] → norm → head
//! gate of a norm  what is normed → a few numbers → one for each channel
//! ```
//!
//! The indexer is DeepSeek-V3.2's, see `deepseek_sparse`. Queries and gates are made of the compressed queries before
//! and after their norm. A dense layer's second norm has no gate; gates of norms count under `mlp`.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::deepseek_sparse::index;
use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::{decoder, mlp, note_prediction_layers, projection, rms_norm, tied};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;

pub(super) const MODEL_TYPES: &[&str] = &["axk2"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 64, rope: 32, value: Some(64), rank: 128, query_rank: Some(384) };

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let mut attention = LatentAttention::read_or(c, d, &LATENT)?;
    let mut ops = index(c, &mut attention, 16)?.to_vec();
    ops.extend(attention.ops().into_iter().map(|op| with_gate(op, &attention)));
    let ffn = FeedForward::read(c, "n_routed_experts")?
        .sharing(c, "n_shared_experts", 1)?
        .corrected(CORRECTION);
    let first = c.count("first_k_dense_replace")?.unwrap_or(1);
    let every = c.maybe("moe_layer_freq")?.unwrap_or(1);
    let sparse = sparse_layers(c, |layer| layer >= first && layer.is_multiple_of(every))?;
    let rank = c.size_or("gated_norm_rank", 16)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let sparse = sparse(layer);
        let mut layer = gated_norm(BEFORE_ATTENTION, d, rank).to_vec();
        layer.extend(ops.clone());
        let after = gated_norm(AFTER_ATTENTION, d, rank);
        layer.extend(after.into_iter().take(if sparse { 3 } else { 1 }));
        layer.extend(ffn.layer(sparse, d, false));
        Ok(layer)
    })
}

const BEFORE_ATTENTION: [&str; 3] =
    ["input_layernorm.norm", "input_layernorm.mlp.fc1", "input_layernorm.mlp.fc2"];
const AFTER_ATTENTION: [&str; 3] = [
    "post_attention_layernorm.norm",
    "post_attention_layernorm.mlp.fc1",
    "post_attention_layernorm.mlp.fc2",
];

fn gated_norm([norm, down, up]: [&'static str; 3], d: u64, rank: u64) -> [Op; 3] {
    [rms_norm(norm, d), mlp(down, d, rank).into(), mlp(up, rank, d).into()]
}

/// Queries and the gate of the values in one projection, of what is compressed and of what is normed.
fn with_gate(op: Op, attention: &LatentAttention) -> Op {
    let latent = attention.latent;
    match op {
        Op::Linear(queries) if queries.module == "self_attn.q_b_proj" => {
            let width = latent.heads * (latent.nope + latent.rope + latent.value);
            projection("self_attn.q_gate_proj", 2 * queries.from, width).into()
        }
        other => other,
    }
}
