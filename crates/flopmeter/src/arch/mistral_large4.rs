//! Mistral Large 4: latent attention to tokens that an indexer chooses, no positions on every fourth layer, and experts.
//!
//! ```text
//! embed → L × [ norm → queries, latent → index → attend → out ] [ norm → feed-forward ] → norm → head
//! ```
//!
//! The indexer is DeepSeek-V3.2's, see `deepseek_sparse`, but its queries come from the input. On a layer without
//! positions the whole of a key comes from the latent. Queries are scaled by their position, each head in its own way.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::deepseek_sparse::{index_of, indexing_layers};
use super::feed_forward::{FeedForward, dense_first, sparse_layers};
use super::parts::{
    head, layer_norm, one_each, pre_normed, rms_norm, table, text_part, tied, vector,
};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Builder, Model};
use crate::op::Op;

pub(super) const MODEL_TYPES: &[&str] = &["mistral_large4", "mistral_large4_text"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 64, rope: 64, value: Some(128), rank: 512, query_rank: None };

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "mistral_large4" => text_part(c, "mistral_large4_text", text),
        _ => text(c),
    }
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    own_latents(c)?;
    let mut rotated = LatentAttention::read_or(c, d, &LATENT)?;
    // The class compresses no queries, whatever the key says.
    rotated.query_rank = None;
    let [queries, others @ ..] = index_of(c, &mut rotated, d, 32)?;
    let index_heads = c.size_or("index_n_heads", 32)?;
    let mut plain = rotated;
    plain.latent.nope += plain.latent.rope;
    plain.latent.rope = 0;
    let indexes = indexing_layers(c, true)?;
    let rotates = rotating_layers(c, layers)?;
    let ffn = FeedForward::read(c, "n_routed_experts")?.sharing(c, "n_shared_experts", 1)?;
    let dense = dense_first(c, 1)?;
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let vocab = c.size("vocab_size")?;
    let tied = tied(c, false)?;
    let mut model = Builder::new(c)?;
    // What each frequency of the rotation is changed by is learned.
    let frequencies = vector("model.rotary_emb.alpha", rotated.latent.rope / 2);
    model.once("embedding", [table("model.embed_tokens", vocab, d), frequencies]);
    model.layers(layers, |layer| {
        let mut ops: Vec<Op> = Vec::new();
        if indexes(layer) {
            ops.extend([layer_norm("self_attn.indexer.q_input_norm", d, true), queries.clone()]);
            ops.extend(others.clone());
            ops.push(vector("self_attn.indexer.softmax_scaling", 2 * index_heads));
        }
        let attention = if rotates(layer) { &rotated } else { &plain };
        ops.extend(attention.ops());
        ops.push(vector("self_attn.softmax_scaling", 2 * attention.latent.heads));
        Ok(pre_normed(d, ops, ffn.layer(sparse(layer), d, false)))
    })?;
    model.head([rms_norm("model.norm", d), head(d, vocab, tied).into()])?;
    model.finish()
}

/// Refuses layers that read another layer's latents: no published model has them.
fn own_latents(c: &Config) -> Result<()> {
    const KEY: &str = "kv_source_layers";
    match c.counts(KEY)? {
        Some(sources) if !(0..).zip(&sources).all(|(layer, source)| layer == *source) => {
            let fact = "has layers that read another's latents, which is not counted yet";
            Err(Error::new(ErrorKind::Architecture, format!("`{KEY}`"), fact))
        }
        _ => Ok(()),
    }
}

/// Which layers rotate queries and keys: those that `no_rope_layers` marks, or all but every so many.
fn rotating_layers(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "no_rope_layers";
    let listed = c.counts(KEY)?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
    }
    let every = match listed {
        Some(_) => c.maybe("no_rope_layer_interval")?.unwrap_or(4),
        None => c.size_or("no_rope_layer_interval", 4)?,
    };
    Ok(move |layer: u64| match &listed {
        Some(listed) => usize::try_from(layer).is_ok_and(|at| listed.get(at) != Some(&0)),
        None => !(layer + 1).is_multiple_of(every),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{error, model};
    use crate::op::Op;

    const SMALL: &str = r#"{"model_type": "mistral_large4_text", "hidden_size": 64, "intermediate_size": 96,
        "moe_intermediate_size": 32, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2,
        "num_attention_heads": 4, "num_hidden_layers": 9, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4, "v_head_dim": 8, "vocab_size": 100, "dtype": "bfloat16""#;

    #[test]
    fn every_fourth_layer_keeps_no_rotated_part() {
        let model = model(&format!("{SMALL}}}"));
        let ropes = model.ops().filter_map(|(op, repeat)| match op {
            Op::Latent(latent) => Some((latent.nope, latent.rope, repeat)),
            _ => None,
        });
        let mut ropes: Vec<_> = ropes.collect();
        ropes.sort_unstable();
        // Layers 3 and 7 of nine; the first of the others is dense.
        assert_eq!(ropes, [(8, 4, 1), (8, 4, 6), (12, 0, 2)]);
    }

    #[test]
    fn layers_that_read_another_s_latents_are_refused() {
        assert_eq!(
            error(&format!(r#"{SMALL}, "kv_source_layers": [0, 0, 2, 3, 4, 5, 6, 7, 8]}}"#)),
            "`kv_source_layers`: has layers that read another's latents, which is not counted yet"
        );
    }
}
