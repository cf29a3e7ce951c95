//! Jamba: Mamba's block in most layers, attention in one of a period; experts in one layer of another.
//!
//! ```text
//! embed → L × [ norm → (in → convolution → x_proj → dt_proj → scan → out, or q, k, v → attend → out) ]
//!             [ norm → (gate, up → down, or router → k of E × (gate, up → down)) ] → norm → head
//! ```
//!
//! Time step, B and C are normed. `model` counts the scan token by token, `torch` its read-out only.

use super::experts::{self, Names};
use super::parts::{Heads, decoder, mlp, rms_norm, tied};
use super::recurrent::{MAMBA, Selective, rank, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["jamba"];

const EXPERTS: Names = [
    "feed_forward.router",
    "feed_forward.experts.gate_proj",
    "feed_forward.experts.up_proj",
    "feed_forward.experts.down_proj",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 8, None)?;
    let mamba = Selective {
        hidden: d,
        width: width(c, "mamba_expand", c.size_or("mamba_expand", 2)?, d)?,
        state: c.size("mamba_d_state")?,
        rank: rank(c, "mamba_dt_rank", d)?,
        kernel: c.size_or("mamba_d_conv", 4)?,
        bias: c.flag("mamba_proj_bias", false)?,
        conv_bias: c.flag("mamba_conv_bias", true)?,
    };
    let attends = every(c, "attn_layer_period", 8, "attn_layer_offset", 4)?;
    let routes = every(c, "expert_layer_period", 2, "expert_layer_offset", 1)?;
    let experts = experts::read(c, "num_experts", "num_experts_per_tok")?;
    decoder(c, d, tied(c, false)?, rms_norm("model.final_layernorm", d), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        if attends(layer) {
            ops.extend(heads.attention(d, false, false, Mask::Causal));
        } else {
            ops.extend(mamba.ops(MAMBA));
            ops.push(rms_norm("mamba.dt_layernorm", mamba.rank));
            ops.push(rms_norm("mamba.b_layernorm", mamba.state));
            ops.push(rms_norm("mamba.c_layernorm", mamba.state));
        }
        ops.push(rms_norm("pre_ff_layernorm", d));
        // One expert is a dense layer.
        if routes(layer) && experts.total > 1 {
            ops.extend(experts::mixture(EXPERTS, d, f, experts));
        } else {
            ops.extend(dense(d, f));
        }
        Ok(ops)
    })
}

fn dense(d: u64, f: u64) -> [Op; 3] {
    [
        mlp("feed_forward.gate_proj", d, f).into(),
        mlp("feed_forward.up_proj", d, f).into(),
        mlp("feed_forward.down_proj", f, d).into(),
    ]
}

/// Whether a layer is the one of its period.
fn every(
    c: &Config,
    period: &'static str,
    default_period: u64,
    offset: &'static str,
    default_offset: u64,
) -> Result<impl Fn(u64) -> bool> {
    let of = c.size_or(period, default_period)?;
    let at = c.count_or(offset, default_offset)?;
    if at >= of {
        let fact = format!("is {at}, but `{period}` is {of}");
        return Err(c.contradiction(offset, &fact));
    }
    Ok(move |layer: u64| layer % of == at)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Jamba-v0.1.
    const JAMBA: &str = r#"{"model_type": "jamba", "attn_layer_offset": 4, "attn_layer_period": 8,
        "expert_layer_offset": 1, "expert_layer_period": 2, "hidden_size": 4096,
        "intermediate_size": 14336, "mamba_conv_bias": true, "mamba_d_conv": 4, "mamba_d_state": 16,
        "mamba_dt_rank": 256, "mamba_expand": 2, "mamba_proj_bias": false,
        "num_attention_heads": 32, "num_experts": 16, "num_experts_per_tok": 2,
        "num_hidden_layers": 32, "num_key_value_heads": 8, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "vocab_size": 65536}"#;

    #[test]
    fn jamba_has_as_many_parameters_as_published() {
        let jamba = model(JAMBA);
        // 52 billion, 12 of them active, in its card.
        assert_eq!(jamba.parameters().total / 100_000_000, 515);
        assert_eq!(jamba.parameters().active / 1_000_000_000, 12);
        assert!(jamba.unread().is_empty());
        assert!(jamba.notes().iter().all(|note| note.contains("is absent")), "{:?}", jamba.notes());
    }

    #[test]
    fn an_offset_lies_within_its_period() {
        assert_eq!(
            fact(&JAMBA.replace("\"attn_layer_offset\": 4", "\"attn_layer_offset\": 8")),
            "`attn_layer_offset`: is 8, but `attn_layer_period` is 8"
        );
    }
}
