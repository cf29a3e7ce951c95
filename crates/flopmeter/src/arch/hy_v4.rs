//! HY-V4: latent attention to tokens that an indexer chooses, with a gate, and a residual of several streams.
//!
//! ```text
//! embed → L × [ streams → norm → queries, latent → index → attend · gate → out ]
//!             [ streams → norm → feed-forward ] → streams → norm → head
//! ```
//!
//! The indexer is DeepSeek-V3.2's, see `deepseek_sparse`; a layer may have none and look where the one before did.
//! HY-V4-VL sees images too; of it the text part is counted.
//!
//! Streams are those of `hyper_connections`, and layers do not mix them with each other.

use super::deepseek::{LatentAttention, LatentDefaults};
use super::deepseek_sparse::{index, kind_of};
use super::feed_forward::{CORRECTION, FeedForward, one_dense_layer, sparse_layers};
use super::hyper_connections::Streams;
use super::parts::{
    head, note_prediction_layers, one_each, projection, rms_norm, table, text_part, tied, vector,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};

pub(super) const MODEL_TYPES: &[&str] = &["hy_v4", "hy_v4_vl", "hy_v4_vl_text"];

const LATENT: LatentDefaults =
    LatentDefaults { nope: 192, rope: 64, value: Some(256), rank: 512, query_rank: Some(1536) };

/// The text part of the model that sees.
const LARGER: LatentDefaults = LatentDefaults { query_rank: Some(2048), ..LATENT };

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "hy_v4_vl" => text_part(c, "hy_v4_vl_text", |part| text(part, &LARGER, 32)),
        "hy_v4_vl_text" => text(c, &LARGER, 32),
        _ => text(c, &LATENT, 16),
    }
}

/// A decoder of a class that has these widths, and indexers of so many heads, where no key says it.
fn text(c: &Config, class: &LatentDefaults, heads: u64) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let mut attention = LatentAttention::read_or(c, d, class)?;
    let index = index(c, &mut attention, heads)?;
    let (heads, value) = (attention.latent.heads, attention.latent.value);
    let indexes = indexing_layers(c, layers)?;
    let streams = Streams::read(c, d, false)?;
    let ffn = FeedForward::read(c, "n_routed_experts")?
        .sharing(c, "n_shared_experts", 1)?
        .corrected(CORRECTION);
    one_dense_layer(c)?;
    let sparse = sparse_layers(c, |layer| layer > 0)?;
    let vocab = c.size("vocab_size")?;
    let tied = tied(c, false)?;
    let mut model = Builder::new(c)?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |layer| {
        let mut ops = if indexes(layer) { index.to_vec() } else { Vec::new() };
        ops.extend(attention.ops());
        ops.extend([
            projection("self_attn.gate_proj", d, heads * value).into(),
            vector("self_attn.sinks", heads),
        ]);
        Ok(streams.layer(ops, ffn.layer(sparse(layer), d, false)))
    })?;
    let last = [rms_norm("model.norm", d), head(d, vocab, tied).into()];
    model.head(streams.head().into_iter().chain(last))?;
    model.finish()
}

/// Which layers have an indexer of their own: those that `indexer_types` calls full, or the first and every fourth
/// from the second.
fn indexing_layers(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "indexer_types";
    let kinds = c.texts(KEY)?.map(|kinds| {
        kinds.into_iter().map(|kind| kind_of(c, KEY, kind)).collect::<Result<Vec<bool>>>()
    });
    let full = kinds.transpose()?;
    if let Some(full) = &full {
        one_each(c, KEY, full, layers)?;
    }
    Ok(move |layer: u64| match &full {
        Some(full) => usize::try_from(layer).is_ok_and(|at| full.get(at) == Some(&true)),
        None => layer == 0 || (layer - 1).is_multiple_of(4),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::op::Op;

    const HY: &str = r#"{"model_type": "hy_v4", "hc_mult": 4, "hidden_size": 2816, "index_head_dim": 128,
        "index_n_heads": 16, "index_topk": 2048, "intermediate_size": 6912, "kv_lora_rank": 512,
        "moe_intermediate_size": 768, "n_routed_experts": 256, "n_shared_experts": 1,
        "num_attention_heads": 32, "num_experts_per_tok": 8, "num_hidden_layers": 34, "q_lora_rank": 1536,
        "qk_nope_head_dim": 192, "qk_rope_head_dim": 64, "tie_word_embeddings": false, "v_head_dim": 256,
        "vocab_size": 120832, "dtype": "bfloat16"}"#;

    #[test]
    fn layers_share_an_indexer() {
        let indexers = |config: &str| -> u64 {
            let model = model(config);
            let indexers = model.ops().filter(|(op, _)| matches!(op, Op::Indexer(_)));
            indexers.map(|(_, repeat)| repeat).sum()
        };
        // Layers 0, 1, 5, …, 33.
        assert_eq!(indexers(HY), 10);
        assert!(model(HY).unread().is_empty() && model(HY).notes().is_empty());
        let with = |kinds: &str| {
            HY.replace("\"hc_mult\"", &format!("\"indexer_types\": [{kinds}], \"hc_mult\""))
        };
        assert_eq!(fact(&with("\"full\"")), "`indexer_types`: has 1 entries for 34 layers");
    }
}
