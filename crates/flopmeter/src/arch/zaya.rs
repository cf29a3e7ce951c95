//! Zaya: attention among queries and keys that a convolution has mixed (arXiv:2510.04476), and one expert a token.
//!
//! ```text
//! embed → L × [ norm → q, k → convolution of each channel → convolution of each head → norms → attend → out ]
//!             [ norm → router → 1 of E × (gate, up → down) ] → norm → head
//! values  a half of this token's, a half of the token's before
//! router  down → + what the layer before made of it → norm → three products
//! ```
//!
//! Convolutions and the delayed half of the values, which keep a state, count under `recurrent`: `torch` counts for
//! each pass the positions that the second convolution needs of the first, and for a first pass a token before it.
//! A token may skip its expert; the reference implementation runs the first one for it, and `model` counts one for
//! every token too, which a note says.

use super::experts::{expert, routed};
use super::parts::{
    Heads, buffer, decoder_of, head, layer_norm, one_each, projection, rms_norm, tied,
    uncounted_kind, vector,
};
use super::recurrent::width;
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Convolution, Linear, Op, Padding, Recurrent, RecurrentKind};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["zaya"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 2, Some(128))?;
    let masks = masks(c)?;
    let mixed = mixed(c, d, &heads)?;
    let out = projection("self_attn.o_proj", heads.query_width(), d)
        .bias(c.flag("attention_bias", false)?);
    let experts = experts(c, d)?;
    let (vocab, rank) = (c.size("vocab_size")?, c.size_or("router_hidden_size", 256)?);
    let head = head(d, vocab, tied(c, true)?).bias(c.flag("lm_head_bias", false)?);
    c.note(
        "one expert is counted for every token; a token that skips its expert needs none".into(),
    );
    decoder_of(c, vocab, d, head, layer_norm("model.norm", 3 * d, false), |layer| {
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(mixed.clone());
        ops.extend([
            vector("self_attn.qk_norm.temp", heads.kv),
            heads.attend(masks(layer)?),
            out.into(),
            vector("post_attention_residual_scale", 4 * d),
            rms_norm("post_attention_layernorm", d),
        ]);
        if layer > 0 {
            ops.push(vector("mlp.gate.router_states_scale", rank));
        }
        ops.extend(experts.clone());
        ops.push(vector("post_mlp_residual_scale", 4 * d));
        Ok(ops)
    })
}

/// What a layer sees: everything, or a window where `layer_types` says so.
fn masks(c: &Config) -> Result<impl Fn(u64) -> Result<Mask>> {
    const KEY: &str = "layer_types";
    let layers = c.size("num_hidden_layers")?;
    let window = c.maybe("sliding_window")?;
    let listed = c.texts(KEY)?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
    }
    Ok(move |layer: u64| {
        let at = usize::try_from(layer).unwrap_or(usize::MAX);
        let kind = listed.as_ref().and_then(|listed| listed.get(at)).map_or("hybrid", |kind| *kind);
        match (kind, window) {
            ("hybrid", _) => Ok(Mask::Causal),
            ("hybrid_sliding", Some(window)) => Ok(Mask::Sliding { window }),
            ("hybrid_sliding", None) => {
                Err(c.contradiction(KEY, "has sliding layers, but no window is set"))
            }
            (other, _) => Err(uncounted_kind(c, KEY, other)),
        }
    })
}

/// Queries, keys and values, and what mixes them over time.
fn mixed(c: &Config, d: u64, heads: &Heads) -> Result<[Op; 6]> {
    let bias = c.flag("attention_bias", false)?;
    let (each, all) = (c.size_or("cca_time0", 2)?, c.size_or("cca_time1", 2)?);
    let (q, kv) = (heads.query_width(), heads.kv_width());
    let channels = q + kv;
    width(c, "cca_time1", all * heads.dim, channels)?;
    if !kv.is_multiple_of(2) {
        let fact = format!("values of {kv} cannot be of two tokens");
        return Err(c.contradiction("head_dim", &fact));
    }
    let first = Convolution {
        bias: true,
        padding: Padding::Before(all - 1),
        ..Convolution::new(channels, each)
    };
    let second = Convolution {
        group: heads.dim,
        bias: true,
        padding: Padding::Before(0),
        ..Convolution::new(channels, all)
    };
    let delayed = RecurrentKind::Delayed { from: d, to: kv / 2, bias };
    let recurrent = |module, kind| Recurrent::new(module, kind).into();
    Ok([
        projection("self_attn.qkv_proj.q_proj", d, q).bias(bias).into(),
        projection("self_attn.qkv_proj.k_proj", d, kv).bias(bias).into(),
        projection("self_attn.qkv_proj.v_proj_current", d, kv / 2).bias(bias).into(),
        recurrent("self_attn.qkv_proj.v_proj_delayed", delayed),
        recurrent("self_attn.qkv_proj.conv_qk_depthwise", RecurrentKind::Convolution(first)),
        recurrent("self_attn.qkv_proj.conv_qk_grouped", RecurrentKind::Convolution(second)),
    ])
}

fn experts(c: &Config, d: u64) -> Result<Vec<Op>> {
    let total = c.size_or("num_experts", 16)?;
    let active = c.size_or("num_experts_per_tok", 1)?;
    if active != 1 {
        let fact = format!("is {active}; only 1 is counted");
        return Err(c.contradiction("num_experts_per_tok", &fact));
    }
    let experts = routed(c, "num_experts_per_tok", active, total)?;
    let inner = c.size("moe_intermediate_size")?;
    let rank = c.size_or("router_hidden_size", 256)?;
    let router = |module, from, to| Linear::new(module, Component::MoeRouter, from, to);
    Ok(vec![
        router("mlp.gate.down_proj", d, rank).bias(true).into(),
        rms_norm("mlp.gate.router_mlp.norm", rank),
        router("mlp.gate.router_mlp.fc1", rank, rank).bias(true).into(),
        router("mlp.gate.router_mlp.fc2", rank, rank).bias(true).into(),
        // One more is to skip.
        router("mlp.gate.router_mlp.out_proj", rank, total + 1).into(),
        buffer("mlp.gate.balancing_biases", total + 1),
        expert("mlp.experts.gate_proj", d, inner, experts).into(),
        expert("mlp.experts.up_proj", d, inner, experts).into(),
        expert("mlp.experts.down_proj", inner, d, experts).into(),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// ZAYA1-8B.
    const ZAYA: &str = r#"{"model_type": "zaya", "attention_bias": false, "cca_time0": 2, "cca_time1": 2,
        "head_dim": 128, "hidden_size": 2048, "lm_head_bias": false, "moe_intermediate_size": 2048,
        "num_attention_heads": 8, "num_experts": 16, "num_experts_per_tok": 1, "num_hidden_layers": 40,
        "num_key_value_heads": 2, "router_hidden_size": 256, "tie_word_embeddings": true,
        "vocab_size": 262272, "dtype": "bfloat16"}"#;

    #[test]
    fn zaya_has_as_many_parameters_as_its_name_says() {
        let d: u128 = 2048;
        // q, k and both halves of v d·1536, out 1024·d; each channel's three, and 257 of 1280 channels; two scales.
        let attention = d * 1536 + 1024 * d + 1280 * (3 + 257) + 2;
        let router = d * 256 + 256 + 256 + 2 * (256 * 256 + 256) + 256 * 17;
        let layer = attention + 2 * d + 8 * d + router + 16 * 3 * d * 2048;
        let total = 40 * layer + 39 * 256 + 262_272 * d + 3 * d;
        assert_eq!(total / 100_000_000, 88);
        let zaya = model(ZAYA);
        assert_eq!(zaya.parameters().total, total);
        assert_eq!(zaya.parameters().active, total - 40 * 15 * 3 * d * 2048);
        assert!(zaya.unread().is_empty());
    }

    #[test]
    fn what_is_not_counted_is_an_error() {
        assert_eq!(
            fact(&ZAYA.replace("per_tok\": 1", "per_tok\": 2")),
            "`num_experts_per_tok`: is 2; only 1 is counted"
        );
        let listed =
            |kind: &str| {
                let kinds = vec![format!("\"{kind}\""); 40].join(", ");
                fact(&ZAYA.replace(
                    "\"cca_time0\"",
                    &format!("\"layer_types\": [{kinds}], \"cca_time0\""),
                ))
            };
        assert_eq!(
            listed("hybrid_sliding"),
            "`layer_types`: has sliding layers, but no window is set"
        );
        assert_eq!(
            listed("mamba"),
            "`layer_types`: has a layer of a kind that is not counted: \"mamba\""
        );
    }
}
