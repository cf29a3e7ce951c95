//! OLMo Hybrid: three gated delta nets, normed before, for each attention, normed after.
//!
//! ```text
//! embed → L × [ norm → q, k, v, a, b, gate → convolution → delta rule → gated norm → out ] [ norm → gate, up → down ]
//!          or [ q, k, v → norms of q, k → attend → out → norm ] [ gate, up → down → norm ] → norm → head
//! ```
//!
//! `model` counts the delta rule token by token; `torch` counts it in padded chunks of 64, and a step not at
//! all: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::{
    Heads, decoder, gated_mlp, post_normed, pre_normed, rms_norm, tied, with_norms,
};
use super::recurrent::{self, Delta, Layer, mixers};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["olmo_hybrid"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read(c, d)?;
    let bias = c.flag("attention_bias", false)?;
    let layers = c.size("num_hidden_layers")?;
    // Every fourth layer attends, and where there are fewer the last one does.
    let mixers = mixers(c, layers, |layer| layer % 4 != 3 && (layers >= 4 || layer + 1 != layers))?;
    let delta = delta(c, d, heads.query)?;
    let net = net(d, &delta);
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mlp = gated_mlp(d, f, false);
        Ok(match mixers(layer) {
            Layer::Attention => {
                let norms = [
                    rms_norm("self_attn.q_norm", heads.query_width()),
                    rms_norm("self_attn.k_norm", heads.kv_width()),
                ];
                let attention = heads.attention(d, bias, bias, Mask::Causal);
                post_normed(d, with_norms(attention, norms), mlp)
            }
            _ => pre_normed(d, net.clone(), mlp),
        })
    })
}

/// Absent heads are as many as attention has, of three quarters of the width in all; values are twice
/// as wide as keys.
fn delta(c: &Config, d: u64, heads: u64) -> Result<Delta> {
    let key_heads = c.size_or("linear_num_key_heads", heads)?;
    let key = match c.maybe("linear_key_head_dim")? {
        Some(key) => key,
        None => c.size_or("linear_key_head_dim", (3 * d / (4 * key_heads)).max(1))?,
    };
    Delta {
        key_heads,
        value_heads: c.size_or("linear_num_value_heads", heads)?,
        key,
        value: c.size_or("linear_value_head_dim", 2 * key)?,
        kernel: c.size_or("linear_conv_kernel_dim", 4)?,
    }
    .checked(c)
}

fn net(d: u64, delta: &Delta) -> Vec<Op> {
    let (keys, values) = (delta.keys(), delta.values());
    let projection = |module, to| recurrent::projection(module, d, to).into();
    let mut ops = vec![
        projection("linear_attn.q_proj", keys),
        projection("linear_attn.k_proj", keys),
        projection("linear_attn.v_proj", values),
        projection("linear_attn.a_proj", delta.value_heads),
        projection("linear_attn.b_proj", delta.value_heads),
        projection("linear_attn.g_proj", values),
    ];
    ops.extend(delta.between("linear_attn.o_norm"));
    ops.push(recurrent::projection("linear_attn.o_proj", values, d).into());
    ops
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;

    #[test]
    fn absent_sizes_are_the_classs() {
        let text = r#"{"model_type": "olmo_hybrid", "hidden_size": 3840, "intermediate_size": 11008,
            "num_attention_heads": 30, "num_hidden_layers": 32, "torch_dtype": "bfloat16", "vocab_size": 100352}"#;
        let stated = text.replace(
            "\"num_hidden_layers\"",
            r#""linear_num_key_heads": 30, "linear_num_value_heads": 30, "linear_key_head_dim": 96,
               "linear_value_head_dim": 192, "linear_conv_kernel_dim": 4, "num_hidden_layers""#,
        );
        assert_eq!(model(text).parameters(), model(&stated).parameters());
        // One note for each of the five.
        assert_eq!(model(text).notes().len(), model(&stated).notes().len() + 5);
    }
}
