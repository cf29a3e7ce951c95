//! Zamba and Zamba2: Mamba's or Mamba-2's block in every layer, and before some of them a transformer that
//! they share.
//!
//! ```text
//! embed → L × [ (shared transformer of what comes in and of the embedding → linear) + → norm → Mamba → ] → norm → head
//! shared transformer  norm → q, k, v of 2·d → attend → out → norm → gate, up → down
//! ```
//!
//! Zamba2 has several transformers by turns, and adapters of low rank at them that no two layers share.
//! Shared weights are stored once and read for each layer that runs them; the linear layer after them counts
//! under `mlp`. `model` counts the scan token by token; `torch` counts Mamba's read-out only, and Mamba-2 in padded
//! chunks: [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::parts::{Heads, decoder, mlp, one_each, projection, rms_norm, tied, uncounted_kind};
use super::recurrent::{Dual, MAMBA, Selective, rank, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["zamba", "zamba2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "zamba" { first(c) } else { second(c) }
}

fn first(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let mamba = Selective {
        hidden: d,
        width: width(c, "mamba_expand", c.size_or("mamba_expand", 2)?, d)?,
        state: c.size("mamba_d_state")?,
        rank: rank(c, "mamba_dt_rank", d)?,
        kernel: c.size_or("mamba_d_conv", 4)?,
        bias: c.flag("mamba_proj_bias", false)?,
        conv_bias: c.flag("mamba_conv_bias", true)?,
    };
    let heads = c.size_or("n_mamba_heads", 2)?;
    if !mamba.width.is_multiple_of(heads) {
        let fact = format!("{heads} heads do not divide the width {} evenly", mamba.width);
        return Err(c.contradiction("n_mamba_heads", &fact));
    }
    let query = c.size("num_attention_heads")?;
    let kv = c.maybe_or("num_key_value_heads", 16)?.unwrap_or(query);
    let dim = c.maybe("attention_head_dim")?;
    let shared = Shared {
        heads: Heads::checked(c, 2 * d, query, kv, dim)?,
        inner: c.size("intermediate_size")?,
        fused: false,
        bias: false,
        hidden: d,
        adapters: [None; 2],
    };
    let period = c.size_or("attn_layer_period", 6)?;
    let offset = c.count_or("attn_layer_offset", 4)?;
    // The third layer is the first; then one in each period.
    let by_rule = |layer: u64| match layer.checked_sub(3) {
        Some(after) => after % period == offset,
        None => layer == 2,
    };
    let listed = listed(c, layers)?;
    let hybrid = |layer| listed.as_ref().map_or_else(|| by_rule(layer), |list| at(list, layer));
    build_of(c, d, &mamba.ops(MAMBA), &shared, 1, hybrid)
}

fn second(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let bias = c.flag("add_bias_linear", false)?;
    let inner = width(c, "mamba_expand", c.size_or("mamba_expand", 2)?, d)?;
    let heads = c.size("n_mamba_heads")?;
    if !inner.is_multiple_of(heads) {
        let fact = format!("{heads} heads do not divide the width {inner} evenly");
        return Err(c.contradiction("n_mamba_heads", &fact));
    }
    let mamba = Dual {
        hidden: d,
        heads,
        head: inner / heads,
        groups: c.size_or("mamba_ngroups", 1)?,
        state: c.size("mamba_d_state")?,
        chunk: c.size_or("chunk_size", 256)?,
        kernel: c.size_or("mamba_d_conv", 4)?,
        // Whatever `use_conv_bias` states.
        conv_bias: true,
        in_bias: bias,
        out_bias: bias,
        normed: true,
    }
    .checked(c, "mamba_ngroups")?;
    let query = c.size("num_attention_heads")?;
    let kv = c.maybe("num_key_value_heads")?.unwrap_or(query);
    let heads = Heads::checked(c, 2 * d, query, kv, None)?;
    let rank = c.size_or("adapter_rank", 128)?;
    let adapted = c.flag("use_shared_attention_adapter", false)?;
    if adapted && heads.kv != heads.query {
        let fact = "is not the number of query heads, which adapters of attention need";
        return Err(c.contradiction("num_key_value_heads", fact));
    }
    let shared = Shared {
        heads,
        inner: c.maybe("intermediate_size")?.unwrap_or(4 * d),
        fused: true,
        bias,
        hidden: d,
        adapters: [adapted.then_some(rank), Some(rank)],
    };
    // Sizes that follow from others.
    for key in INERT {
        c.raw(key);
    }
    let blocks = c.size_or("num_mem_blocks", 1)?;
    let Some(list) = listed(c, layers)? else {
        return Err(c
            .contradiction("layers_block_type", "is missing")
            .hint("a config of type `zamba2` states it"));
    };
    build_of(c, d, &mamba.ops(MAMBA), &shared, blocks, |layer| at(&list, layer))
}

const INERT: [&str; 7] = [
    "attention_hidden_size",
    "attention_head_dim",
    "hybrid_layer_ids",
    "kv_channels",
    "mamba_headdim",
    "num_query_groups",
    "ffn_hidden_size",
];

/// Which layers run a shared transformer, as the config lists them.
fn listed(c: &Config, layers: u64) -> Result<Option<Vec<bool>>> {
    const KEY: &str = "layers_block_type";
    let Some(names) = c.texts(KEY)? else { return Ok(None) };
    one_each(c, KEY, &names, layers)?;
    let kind = |name: &str| match name {
        "hybrid" => Ok(true),
        "mamba" | "linear_attention" => Ok(false),
        other => Err(uncounted_kind(c, KEY, other)),
    };
    names.into_iter().map(kind).collect::<Result<_>>().map(Some)
}

fn at(list: &[bool], layer: u64) -> bool {
    usize::try_from(layer).is_ok_and(|at| list.get(at) == Some(&true))
}

fn build_of(
    c: &Config,
    d: u64,
    mamba: &[Op],
    shared: &Shared,
    blocks: u64,
    hybrid: impl Fn(u64) -> bool,
) -> Result<Model> {
    let tied = tied(c, true)?;
    // The reference implementation shares nothing where the head is not the embedding.
    let blocks = if tied { blocks } else { u64::MAX };
    let mut hybrids = 0;
    decoder(c, d, tied, rms_norm("model.final_layernorm", d), |layer| {
        let mut ops = Vec::new();
        if hybrid(layer) {
            ops.extend(shared.ops(hybrids >= blocks));
            hybrids += 1;
        }
        ops.push(rms_norm("input_layernorm", d));
        ops.extend(mamba.iter().cloned());
        Ok(ops)
    })
}

/// A transformer that layers share.
struct Shared {
    heads: Heads,
    hidden: u64,
    inner: u64,
    /// Whether gate and up are one matrix.
    fused: bool,
    bias: bool,
    /// Ranks of the adapters at attention and at gate and up.
    adapters: [Option<u64>; 2],
}

impl Shared {
    /// `again` where another layer has the weights.
    fn ops(&self, again: bool) -> Vec<Op> {
        let Self { hidden: d, inner, bias, .. } = *self;
        let (q, kv, wide) = (self.heads.query_width(), self.heads.kv_width(), 2 * d);
        let shared = |linear: Linear| Op::from(linear.sharing_weights(again));
        let ffn = |module, from, to| {
            // A bias is shared with its matrix.
            shared(mlp(module, from, to).bias(bias && !again))
        };
        let mut ops = Vec::new();
        if !again {
            ops.push(rms_norm("shared_transf.input_layernorm", wide));
            ops.push(rms_norm("shared_transf.pre_ff_layernorm", d));
        }
        ops.push(shared(projection("shared_transf.self_attn.q_proj", wide, q)));
        ops.push(shared(projection("shared_transf.self_attn.k_proj", wide, kv)));
        ops.push(shared(projection("shared_transf.self_attn.v_proj", wide, kv)));
        let [attention, feed_forward] = self.adapters;
        if let Some(rank) = attention {
            for [down, up] in ADAPTERS {
                ops.push(projection(down, wide, rank).into());
                ops.push(projection(up, rank, wide).into());
            }
        }
        ops.push(self.heads.attend_in("shared_transf.self_attn", Mask::Causal));
        ops.push(shared(projection("shared_transf.self_attn.o_proj", q, d)));
        if self.fused {
            ops.push(ffn("shared_transf.feed_forward.gate_up_proj", d, 2 * inner));
        } else {
            ops.push(ffn("shared_transf.feed_forward.gate_proj", d, inner));
            ops.push(ffn("shared_transf.feed_forward.up_proj", d, inner));
        }
        if let Some(rank) = feed_forward {
            ops.push(mlp("shared_transf.feed_forward.gate_up_proj_adapter.0", d, rank).into());
            ops.push(
                mlp("shared_transf.feed_forward.gate_up_proj_adapter.1", rank, 2 * inner).into(),
            );
        }
        ops.push(ffn("shared_transf.feed_forward.down_proj", inner, d));
        ops.push(mlp("linear", d, d).into());
        ops
    }
}

const ADAPTERS: [[&str; 2]; 3] = [
    ["shared_transf.self_attn.linear_q_adapter.0", "shared_transf.self_attn.linear_q_adapter.1"],
    ["shared_transf.self_attn.linear_k_adapter.0", "shared_transf.self_attn.linear_k_adapter.1"],
    ["shared_transf.self_attn.linear_v_adapter.0", "shared_transf.self_attn.linear_v_adapter.1"],
];

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const ZAMBA: &str = r#"{"model_type": "zamba", "hidden_size": 64, "num_hidden_layers": 9,
        "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 4,
        "attn_layer_period": 3, "attn_layer_offset": 1, "mamba_d_state": 16, "vocab_size": 131}"#;

    #[test]
    fn shared_weights_are_counted_once() {
        // A hybrid layer that is not the first costs a linear layer and nothing more.
        let list = |kinds: &str| {
            ZAMBA
                .replace(
                    "\"hidden_size\"",
                    &format!("\"layers_block_type\": [{kinds}], \"hidden_size\""),
                )
                .replace("layers\": 9", "layers\": 3")
        };
        let one = parameters(&list(r#""mamba", "hybrid", "mamba""#));
        let two = parameters(&list(r#""mamba", "hybrid", "hybrid""#));
        assert_eq!(two - one, 64 * 64);
        assert_eq!(
            fact(&list(r#""mamba", "hybrid""#)),
            "`layers_block_type`: has 2 entries for 3 layers"
        );
    }
}
