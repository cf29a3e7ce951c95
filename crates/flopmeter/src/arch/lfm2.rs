//! LFM2 and LFM3: short gated convolutions in most layers, attention in a few; dense or with experts.
//!
//! ```text
//! embed → L × [ norm → (in (B, C, x) → B · x → convolution → · C → out, or q, k, v → norms of q, k → attend → out) ]
//!             [ norm → feed-forward ] → norm → head
//! feed-forward, dense      w1, w3 → w2
//!               of experts router → k of E × (gate, up → down)
//! ```
//!
//! A convolution's layer, its two projections included, counts under `recurrent`. `torch` counts the
//! convolution with its padding: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::experts::{self, Names};
use super::parts::{
    Heads, decoder, head_norms, mlp, one_each, projection, rms_norm, tied, uncounted_kind,
    with_norms,
};
use super::recurrent::{self, Layer, convolution, mixers, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Op;
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["lfm2", "lfm2_moe", "lfm3"];

const EXPERTS: Names = [
    "feed_forward.gate",
    "feed_forward.experts.w1",
    "feed_forward.experts.w3",
    "feed_forward.experts.w2",
];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "lfm2" => dense(c),
        "lfm2_moe" => sparse(c),
        _ => third(c),
    }
}

/// LFM3: some layers attend within a window, each head has a gate, and norms follow both halves of a layer.
fn third(c: &Config) -> Result<Model> {
    const KEY: &str = "layer_types";
    let d = c.size("hidden_size")?;
    let inner = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let layers = c.size("num_hidden_layers")?;
    let kernel = c.size_or("conv_L_cache", 7)?;
    let conv_bias = c.flag("conv_bias", false)?;
    let bias = c.flag("attention_bias", false)?;
    let gated = c.flag_or("use_attention_gate", true)?;
    let sandwiched = c.flag_or("use_sandwich_norm", true)?;
    let window = c.maybe_or("sliding_window", 256)?;
    let listed = c.texts(KEY)?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
    }
    let kind = |layer: u64| match &listed {
        Some(listed) => {
            usize::try_from(layer).ok().and_then(|at| listed.get(at)).map_or("", |kind| *kind)
        }
        None if layer % 4 == 2 => "full_attention",
        None if layer.is_multiple_of(4) && layer > 0 => "sliding_attention",
        None => "conv",
    };
    let attention = |mask| {
        let mut ops = with_norms(heads.attention(d, bias, bias, mask), head_norms(&heads));
        if gated {
            ops.push(projection("self_attn.g_proj", d, heads.query).into());
        }
        ops
    };
    decoder(c, d, tied(c, true)?, rms_norm("model.norm", d), |layer| {
        let mixer = match (kind(layer), window) {
            ("conv", _) => short_convolution(d, kernel, conv_bias).to_vec(),
            ("full_attention", _) => attention(Mask::Causal),
            ("sliding_attention", Some(window)) => attention(Mask::Sliding { window }),
            ("sliding_attention", None) => {
                return Err(c.contradiction(KEY, "has sliding layers, but no window is set"));
            }
            (other, _) => return Err(uncounted_kind(c, KEY, other)),
        };
        let mut ops = vec![rms_norm("operator_norm", d)];
        ops.extend(mixer);
        ops.push(rms_norm("ffn_norm", d));
        ops.extend(feed_forward(d, inner));
        if sandwiched {
            ops.extend([rms_norm("post_operator_norm", d), rms_norm("post_ffn_norm", d)]);
        }
        Ok(ops)
    })
}

fn short_convolution(d: u64, kernel: u64, bias: bool) -> [Op; 3] {
    [
        recurrent::projection("conv.in_proj", d, 3 * d).bias(bias).into(),
        convolution("conv.conv", d, kernel, bias),
        recurrent::projection("conv.out_proj", d, d).bias(bias).into(),
    ]
}

fn dense(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let inner = adjusted(c, c.size_of(&["intermediate_size", "block_ff_dim"])?)?;
    // Without either list every layer attends.
    let attends = c.counts("full_attn_idxs")?;
    let recurs = |layer| attends.as_ref().is_some_and(|attends| !attends.contains(&layer));
    alternating(c, d, recurs, |_| feed_forward(d, inner))
}

fn sparse(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let inner = c.size("intermediate_size")?;
    let f = c.size("moe_intermediate_size")?;
    let experts = experts::read(c, "num_experts", "num_experts_per_tok")?;
    let dense = c.count_or("num_dense_layers", 2)?;
    let biased = c.flag("use_expert_bias", true)?;
    if !c.has("layer_types") {
        return Err(c
            .contradiction("layer_types", "is missing")
            .hint("a config of type `lfm2_moe` states it"));
    }
    alternating(
        c,
        d,
        |_| true,
        |layer| {
            if layer < dense {
                return feed_forward(d, inner);
            }
            let mut ops = experts::mixture(EXPERTS, d, f, experts);
            if biased {
                ops.push(experts::correction("feed_forward.expert_bias", experts));
            }
            ops
        },
    )
}

/// Convolutions and attention by turns; `recurs` says where where no list does.
fn alternating(
    c: &Config,
    d: u64,
    recurs: impl Fn(u64) -> bool,
    ffn: impl Fn(u64) -> Vec<Op>,
) -> Result<Model> {
    let heads = Heads::read_or(c, d, 8, None)?;
    let layers = c.size("num_hidden_layers")?;
    let mixers = mixers(c, layers, recurs)?;
    let kernel = c.size_or("conv_L_cache", 3)?;
    let bias = c.flag("conv_bias", false)?;
    let tied = c.flag("tie_embedding", c.flag("tie_word_embeddings", true)?)?;
    // Other names of sizes above, which the reference implementation does not read.
    for key in ["block_dim", "conv_dim", "conv_dim_out", "num_heads"] {
        c.raw(key);
    }
    decoder(c, d, tied, rms_norm("model.embedding_norm", d), |layer| {
        let mut ops = vec![rms_norm("operator_norm", d)];
        if mixers(layer) == Layer::Attention {
            ops.extend(attention(d, &heads));
        } else {
            ops.extend(short_convolution(d, kernel, bias));
        }
        ops.push(rms_norm("ffn_norm", d));
        ops.extend(ffn(layer));
        Ok(ops)
    })
}

fn attention(d: u64, heads: &Heads) -> [Op; 7] {
    let (q, kv) = (heads.query_width(), heads.kv_width());
    [
        projection("self_attn.q_proj", d, q).into(),
        projection("self_attn.k_proj", d, kv).into(),
        projection("self_attn.v_proj", d, kv).into(),
        rms_norm("self_attn.q_layernorm", heads.dim),
        rms_norm("self_attn.k_layernorm", heads.dim),
        heads.attend(Mask::Causal),
        projection("self_attn.out_proj", q, d).into(),
    ]
}

fn feed_forward(d: u64, inner: u64) -> Vec<Op> {
    vec![
        mlp("feed_forward.w1", d, inner).into(),
        mlp("feed_forward.w3", d, inner).into(),
        mlp("feed_forward.w2", inner, d).into(),
    ]
}

/// Two thirds of the stated width, times a factor, rounded up to a multiple, unless that is switched off.
fn adjusted(c: &Config, stated: u64) -> Result<u64> {
    const FACTOR: &str = "block_ffn_dim_multiplier";
    let multiple = c.size_or("block_multiple_of", 256)?;
    if !c.flag("block_auto_adjust_ff_dim", true)? {
        c.raw(FACTOR);
        return Ok(stated);
    }
    let factor = c.number(FACTOR)?;
    let share = 2 * stated / 3;
    let (Some(factor), Ok(share)) = (factor, u32::try_from(share)) else {
        return Ok(share.max(1));
    };
    let wide = (factor * f64::from(share)).floor();
    if !(1.0..=f64::from(u32::MAX)).contains(&wide) {
        return Err(c.contradiction(FACTOR, &format!("is {factor}, which makes no width")));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the range above
    let wide = wide as u64;
    width(c, FACTOR, wide.div_ceil(multiple), multiple)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// LFM2-1.2B.
    const LFM2: &str = r#"{"model_type": "lfm2", "block_auto_adjust_ff_dim": true,
        "block_ffn_dim_multiplier": 1.0, "block_multiple_of": 256, "conv_L_cache": 3,
        "conv_bias": false, "full_attn_idxs": [2, 5, 8, 10, 12, 14], "hidden_size": 2048,
        "block_ff_dim": 12288, "num_attention_heads": 32, "num_hidden_layers": 16,
        "num_key_value_heads": 8, "vocab_size": 65536}"#;

    #[test]
    fn lfm2_has_as_many_parameters_as_published() {
        // Feed-forward 3·2048·8192 and norms 2·2048; convolution 4·2048² + 3·2048; attention
        // 2·2048·(2048 + 512) + 2·64. 10 and 6 of them, 65536·2048 and a norm.
        let rest: u128 = 3 * 2048 * 8192 + 2 * 2048;
        let convolution: u128 = 4 * 2048 * 2048 + 3 * 2048;
        let attention: u128 = 2 * 2048 * (2048 + 512) + 128;
        let total = 16 * rest + 10 * convolution + 6 * attention + 65_536 * 2048 + 2048;
        assert_eq!(total, 1_170_340_608);
        let lfm2 = model(LFM2);
        assert_eq!(lfm2.parameters().total, total);
        assert!(lfm2.unread().is_empty());
    }

    #[test]
    fn a_factor_that_makes_no_width_is_an_error() {
        assert_eq!(
            fact(&LFM2.replace("multiplier\": 1.0", "multiplier\": 0.0")),
            "`block_ffn_dim_multiplier`: is 0, which makes no width"
        );
        assert!(
            fact(&LFM2.replace("multiplier\": 1.0", "multiplier\": 5e3"))
                .contains("the largest that is believed")
        );
    }
}
