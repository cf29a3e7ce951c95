//! Dots3-Note: latent attention of two sizes, within a window in most layers and to chosen tokens in the others.
//!
//! ```text
//! embed → L × [ norm → queries, latent → (index →) attend · gate → out ] [ norm → feed-forward ] → norm → head
//! ```
//!
//! The indexer is DeepSeek-V3.2's, see `deepseek_sparse`. A windowed layer's cache keeps window − 1 latents, which
//! `torch` expands in every pass. Published files state the sizes of windowed layers under `swa_…`, newer libraries
//! under `per_layer_config`; what sees and what hears is not counted.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::deepseek_sparse::index;
use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::{
    decoder, note_other_parts, note_prediction_layers, one_each, pre_normed, projection, rms_norm,
    text_part, tied, uncounted_kind,
};
use super::recurrent::width;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::Latent;
use crate::passes::Mask;
use std::collections::BTreeMap;

pub(super) const MODEL_TYPES: &[&str] = &["dots3_note", "dots3_note_text"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 128, rope: 64, value: Some(128), rank: 512, query_rank: Some(1024) };

/// What a layer sees.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sees {
    All,
    Chosen,
    Window,
}

pub(super) fn build(c: &Config) -> Result<Model> {
    // Published files keep the text part at the top.
    if c.has("text_config") {
        return text_part(c, "dots3_note_text", text);
    }
    if c.model_type() == "dots3_note" {
        note_other_parts(c);
    }
    text(c)
}

fn text(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let sees = sees(c, layers)?;
    let mut attention = LatentAttention::read_or(c, d, &LATENT)?;
    let full = attention;
    let index = index(c, &mut attention, 64)?;
    let window = c.size_of_or(&["sliding_window", "sliding_window_size"], 512)?;
    let windowed = windowed(c, full, layers, &sees)?;
    let ffn = feed_forward(c)?;
    let sparse = sparse(c, layers)?;
    let sparse = sparse_layers(c, sparse)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let (before, mut own) = match sees(layer) {
            Sees::All => (Vec::new(), full),
            Sees::Chosen => (index.to_vec(), attention),
            Sees::Window => (Vec::new(), windowed.get(&layer).copied().unwrap_or(full)),
        };
        if sees(layer) == Sees::Window {
            own.latent.mask = Mask::Sliding { window };
        }
        let mut ops = before;
        ops.extend(own.ops());
        ops.extend([
            rms_norm("self_attn.k_rope_only_layernorm", own.latent.rope),
            projection("self_attn.g_proj", d, own.latent.heads).into(),
        ]);
        Ok(pre_normed(d, ops, ffn.layer(sparse(layer), d, false)))
    })
}

fn feed_forward(c: &Config) -> Result<FeedForward> {
    let shared = c.size_of_or(
        &["shared_experts_intermediate_size", "moe_shared_expert_intermediate_size"],
        1536,
    )?;
    let count = c.count_or("n_shared_experts", 1)?;
    let ffn = FeedForward::read(c, "n_routed_experts")?.corrected(CORRECTION);
    Ok(FeedForward { shared: width(c, "n_shared_experts", shared, count)?, ..ffn })
}

/// Which layers have experts where `mlp_layer_types` does not say it: after the first, every so many, or those that
/// a list says.
fn sparse(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "moe_layer_freq";
    let first = c.count("first_k_dense_replace")?.unwrap_or(1);
    let listed = match c.raw(KEY) {
        Some(value) if value.is_array() => c.counts(KEY)?,
        _ => None,
    };
    let every = if listed.is_some() { 1 } else { c.maybe(KEY)?.unwrap_or(1) };
    if let Some(list) = &listed {
        one_each(c, KEY, list, layers)?;
    }
    Ok(move |layer: u64| {
        let has = match &listed {
            Some(list) => {
                usize::try_from(layer).is_ok_and(|at| list.get(at).is_some_and(|n| *n > 0))
            }
            None => layer.is_multiple_of(every),
        };
        layer >= first && has
    })
}

/// What each layer sees: as `layer_types` lists it, or the first two and every fourth from the second all that is
/// chosen, the others a window. `use_dsa` says whether full attention means what is chosen.
fn sees(c: &Config, layers: u64) -> Result<impl Fn(u64) -> Sees> {
    const KEY: &str = "layer_types";
    let chosen = match c.raw("use_dsa") {
        Some(_) => Some(c.flag("use_dsa", true)?),
        None if c.has("per_layer_config") => None,
        None => Some(true),
    };
    let slides = c.flag("use_sliding_window", true)?;
    let kind = |name: &str| match (name, chosen) {
        ("sliding_attention", _) => Ok(Sees::Window),
        ("full_attention", Some(true)) | ("indexed_attention", Some(true) | None) => {
            Ok(Sees::Chosen)
        }
        ("full_attention", Some(false) | None) | ("indexed_attention", Some(false)) => {
            Ok(Sees::All)
        }
        (other, _) => Err(uncounted_kind(c, KEY, other)),
    };
    let listed =
        c.texts(KEY)?.map(|names| names.into_iter().map(kind).collect::<Result<Vec<Sees>>>());
    let listed = listed.transpose()?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
    }
    let full = if chosen == Some(false) { Sees::All } else { Sees::Chosen };
    Ok(move |layer: u64| match &listed {
        Some(listed) => {
            usize::try_from(layer).ok().and_then(|at| listed.get(at).copied()).unwrap_or(full)
        }
        None if !slides || layer < 2 || layer % 4 == 1 => full,
        None => Sees::Window,
    })
}

/// The sizes of windowed layers.
fn windowed(
    c: &Config,
    full: LatentAttention,
    layers: u64,
    sees: &impl Fn(u64) -> Sees,
) -> Result<BTreeMap<u64, LatentAttention>> {
    let slide = (0..layers.min(1 << 12)).filter(|layer| sees(*layer) == Sees::Window);
    if let Some(parts) = c.child("per_layer_config")? {
        let parts = parts.children();
        let own = |layer: u64| parts.iter().find(|(name, _)| name.parse() == Ok(layer));
        return slide
            .map(|layer| match own(layer) {
                Some((_, part)) => Ok((layer, overridden(full, part)?)),
                None => Ok((layer, full)),
            })
            .collect();
    }
    let (head, nope) = (c.size_or("swa_head_dim", 256)?, c.size_or("swa_qk_nope_head_dim", 192)?);
    let rope = match c.maybe("swa_qk_rope_head_dim")? {
        Some(rope) => rope,
        None if head > nope => head - nope,
        None => {
            let fact = format!("is {head}, which leaves nothing beside {nope}");
            return Err(c.contradiction("swa_head_dim", &fact));
        }
    };
    c.raw("swa_num_key_value_heads");
    let mut same = full;
    same.query_rank = Some(c.size_or("swa_q_lora_rank", 1024)?);
    same.latent = Latent {
        heads: c.size_or("swa_num_attention_heads", 64)?,
        rank: c.size_or("swa_kv_lora_rank", 1024)?,
        nope,
        rope,
        value: c.size_or("swa_v_head_dim", 128)?,
        ..full.latent
    };
    Ok(slide.map(|layer| (layer, same)).collect())
}

/// The same attention with what a part of the config says otherwise.
fn overridden(mut attention: LatentAttention, part: &Config) -> Result<LatentAttention> {
    let latent = attention.latent;
    let or = |key, own| Ok(part.maybe(key)?.unwrap_or(own));
    attention.query_rank = part.maybe("q_lora_rank")?.or(attention.query_rank);
    attention.latent = Latent {
        heads: or("num_attention_heads", latent.heads)?,
        rank: or("kv_lora_rank", latent.rank)?,
        nope: or("qk_nope_head_dim", latent.nope)?,
        rope: or("qk_rope_head_dim", latent.rope)?,
        value: or("v_head_dim", latent.value)?,
        ..latent
    };
    Ok(attention)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// A file as published, four layers of it.
    const DOTS: &str = r#"{"model_type": "dots3_note", "hidden_size": 60, "num_hidden_layers": 4,
        "intermediate_size": 92, "moe_intermediate_size": 34, "n_routed_experts": 10, "n_shared_experts": 1,
        "num_experts_per_tok": 3, "moe_shared_expert_intermediate_size": 46, "num_attention_heads": 6,
        "num_key_value_heads": 6, "q_lora_rank": 22, "kv_lora_rank": 26, "qk_nope_head_dim": 14,
        "qk_rope_head_dim": 6, "v_head_dim": 18, "index_topk": 8, "index_n_heads": 5, "index_head_dim": 16,
        "swa_num_attention_heads": 4, "swa_num_key_value_heads": 4, "swa_q_lora_rank": 24,
        "swa_kv_lora_rank": 30, "swa_head_dim": 20, "swa_qk_nope_head_dim": 12, "swa_v_head_dim": 16,
        "sliding_window_size": 7, "tie_word_embeddings": false, "vocab_size": 131, "vision_config": {}}"#;

    #[test]
    fn published_names_and_those_of_newer_libraries_give_one_model() {
        let own = r#"{"num_attention_heads": 4, "q_lora_rank": 24, "kv_lora_rank": 30, "v_head_dim": 16,
            "qk_nope_head_dim": 12, "qk_rope_head_dim": 8}"#;
        let swa = DOTS.find("\"swa_num_attention").zip(DOTS.find("\"sliding_window_size"));
        let (from, to) = swa.expect("both keys");
        let newer = format!(
            "{}\"per_layer_config\": {{\"2\": {own}, \"3\": {own}}}, {}",
            &DOTS[..from],
            &DOTS[to..]
        );
        let (published, newer) = (model(DOTS), model(&newer));
        assert_eq!(published.groups(), newer.groups());
        assert!(published.unread().is_empty(), "{:?}", published.unread());
        // Two layers see what is chosen, two a window.
        let names: Vec<&str> = published.groups().iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["embedding", "layer 0", "layer 1", "layers 2–3", "head"]);
    }

    #[test]
    fn a_windowed_layer_needs_a_rotary_part() {
        assert_eq!(
            fact(&DOTS.replace("swa_head_dim\": 20", "swa_head_dim\": 12")),
            "`swa_head_dim`: is 12, which leaves nothing beside 12"
        );
    }
}
