//! What the usual keys of a config say of attention and of experts, and what shapes say of them too.

use super::roles::Roles;
use crate::arch::experts::routed;
use crate::arch::parts::{KV_HEADS, QUERY_HEADS};
use crate::config::Config;
use crate::error::Result;
use crate::op::{Experts, Latent};
use crate::passes::Mask;
use crate::weights::Part;
use std::collections::BTreeMap;

/// Where files state how many experts a token runs through.
const ACTIVE: [&str; 8] = [
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_topk",
    "moe_top_k",
    "moe_k",
    "top_k_experts",
    "num_selected_experts",
];
/// Where they state how many there are.
pub(super) const TOTAL: [&str; 5] =
    ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts"];
const HEAD_DIM: [&str; 4] = ["head_dim", "attention_head_dim", "kv_channels", "head_size"];
const MORE_QUERY_HEADS: [&str; 2] = ["attention_heads", "decoder_attention_heads"];
const MORE_KV_HEADS: [&str; 3] = ["num_kv_heads", "n_kv_heads", "multi_query_group_num"];
/// Heads of keys and values, or of latents.
#[derive(Debug, Clone, Copy)]
pub(super) enum Heads {
    Grouped { query: u64, kv: u64, dim: u64, value: u64 },
    Latent { heads: u64, rank: u64, nope: u64, rope: u64, value: u64 },
}

impl Heads {
    /// The attention over latents, if it is that.
    pub fn latent(self) -> Option<Latent> {
        match self {
            Self::Latent { heads, rank, nope, rope, value } => {
                Some(Latent::new("attention", heads, rank, nope, rope, value))
            }
            Self::Grouped { .. } => None,
        }
    }
}

/// A count under any of several keys; zero is none.
pub(super) fn count_of(c: &Config, keys: &[&'static str]) -> Result<Option<u64>> {
    let mut found = None;
    for key in keys {
        found = found.or(c.count(key)?.filter(|count| *count > 0));
    }
    Ok(found)
}

/// How many of the experts a token runs through.
pub(super) fn active(c: &Config, total: u64) -> Result<Experts> {
    let active = c.maybe_of(&ACTIVE)?.ok_or_else(|| {
        let fact = format!(
            "is missing: {total} experts are in the files, and nothing says how many a token takes"
        );
        c.contradiction(ACTIVE[0], &fact).hint("add it to the config")
    })?;
    routed(c, ACTIVE[0], active, total)
}

/// The heads of all layers.
pub(super) fn heads(
    c: &Config,
    hidden: u64,
    layers: &BTreeMap<u64, Vec<Part<'_>>>,
    roles: &Roles,
) -> Result<Heads> {
    let keys: Vec<&'static str> = QUERY_HEADS.iter().chain(&MORE_QUERY_HEADS).copied().collect();
    let query = c.maybe_of(&keys)?.ok_or_else(|| {
        c.contradiction(
            QUERY_HEADS[0],
            "is missing, and no shape tells into how many heads a layer attends",
        )
        .hint("add it to the config")
    })?;
    let latent =
        [c.maybe("kv_lora_rank")?, c.maybe("qk_nope_head_dim")?, c.maybe("qk_rope_head_dim")?];
    if let ([Some(rank), Some(nope), Some(rope)], Some(value)) = (latent, c.maybe("v_head_dim")?) {
        c.raw("num_key_value_heads");
        return Ok(Heads::Latent { heads: query, rank, nope, rope, value });
    }
    let dim = match c.maybe_of(&HEAD_DIM)? {
        Some(dim) => dim,
        None if hidden.is_multiple_of(query) => hidden / query,
        None => {
            let fact = format!("{query} heads do not divide the width {hidden} evenly");
            return Err(c
                .contradiction(QUERY_HEADS[0], &fact)
                .hint("add `head_dim` to the config"));
        }
    };
    let keys: Vec<&'static str> = KV_HEADS.iter().chain(&MORE_KV_HEADS).copied().collect();
    let stated = c.maybe_of(&keys)?;
    let shown = layers.values().flatten().find_map(|part| roles.kv_heads(part, hidden, query, dim));
    if let (Some(stated), Some(shown)) = (stated, shown)
        && stated != shown
    {
        c.note(format!("{stated} heads of keys and values are stated; the shapes have {shown}"));
    }
    let kv = shown.or(stated).unwrap_or(query);
    if !query.is_multiple_of(kv) {
        let fact = format!("{query} query heads cannot share {kv} key/value heads evenly");
        return Err(c.contradiction(QUERY_HEADS[0], &fact));
    }
    Ok(Heads::Grouped { query, kv, dim, value: c.maybe("v_head_dim")?.unwrap_or(dim) })
}

/// What tokens see in each layer.
pub(super) fn masks(c: &Config, layers: u64) -> Result<Vec<Mask>> {
    let count = usize::try_from(layers).unwrap_or(0);
    let uses = c.flag("use_sliding_window", true)?;
    let window = c.count("sliding_window")?.filter(|window| uses && *window > 0);
    let kinds = c.texts("layer_types")?.filter(|kinds| kinds.len() == count);
    let Some(window) = window else { return Ok(vec![Mask::Causal; count]) };
    let sliding = Mask::Sliding { window };
    Ok(match kinds {
        Some(kinds) => {
            let slides = |kind: &&str| kind.contains("sliding") || kind.contains("local");
            kinds.iter().map(|kind| if slides(kind) { sliding } else { Mask::Causal }).collect()
        }
        None => {
            c.note(format!("`sliding_window` {window} is taken for every layer, as no `layer_types` says otherwise"));
            vec![sliding; count]
        }
    })
}
