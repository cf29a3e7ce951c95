//! DeepSeek-V3.2 and GLM-5: DeepSeek-V3 with an indexer that chooses which tokens attention looks at.
//!
//! ```text
//! embed → L × [ norm → queries, latent → index → attend → out ] [ norm → feed-forward ] → norm → head
//! index         q from the compressed queries, one key and a weight for each head from the input →
//!               a score for every token before (see `op::Indexer`) → the best `index_topk`
//! ```
//!
//! The rest is as in `deepseek`. A layer of GLM-5 may have no indexer and look where the one before did.
//!
//! `torch` counts whole score matrices: the reference implementation masks what is not chosen. `model`
//! counts the indexer over every token in sight, and attention over min(tokens in sight, `index_topk`).

use super::deepseek::{DEEPSEEK, LatentAttention, LatentDefaults};
use super::feed_forward::{CORRECTION, FeedForward, dense_first, sparse_layers};
use super::parts::tied;
use super::parts::{
    decoder, layer_norm, note_prediction_layers, one_each, pre_normed, projection, rms_norm,
};
use super::prediction::with_prediction_layers;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::Model;
use crate::op::{Indexer, Op};
use serde_json::Value;

pub(super) const MODEL_TYPES: &[&str] = &["deepseek_v32", "glm_moe_dsa"];

const GLM5: LatentDefaults =
    LatentDefaults { nope: 192, rope: 64, value: Some(256), rank: 512, query_rank: Some(2048) };

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let glm = c.model_type() == "glm_moe_dsa";
    let mut attention = LatentAttention::read_or(c, d, if glm { &GLM5 } else { &DEEPSEEK })?;
    let index = index(c, &mut attention, if glm { 32 } else { 64 })?;
    let indexes = indexing_layers(c, glm)?;
    let ffn = FeedForward::read(c, "n_routed_experts")?
        .sharing(c, "n_shared_experts", 1)?
        .corrected(CORRECTION);
    // What the checkpoint's own code reads for layers of experts; only every one is counted.
    if let Some(every) = c.maybe("moe_layer_freq")?.filter(|every| *every != 1) {
        return Err(c.contradiction("moe_layer_freq", &format!("is {every}; only 1 is counted")));
    }
    let dense = dense_first(c, 3)?;
    let sparse = sparse_layers(c, |layer| layer >= dense)?;
    let layer = |indexes: bool, sparse: bool| {
        let mut ops = if indexes { index.to_vec() } else { Vec::new() };
        ops.extend(attention.ops());
        pre_normed(d, ops, ffn.layer(sparse, d, false))
    };
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |at| {
        Ok(layer(indexes(at), sparse(at)))
    })?;
    // Where layers share an indexer, the one after them has its own nevertheless, as the files of GLM-5.2 do. Their
    // config says that a step which drafts several tokens chooses keys once.
    if c.flag("index_share_for_mtp_iteration", false)? {
        c.note("each drafted token is counted with keys chosen for it; `index_share_for_mtp_iteration` has the first one's serve all".into());
    }
    with_prediction_layers(c, model, d, layer(true, true))
}

/// An indexer, with `heads` where the config has no number of them; attention sees what it chooses.
pub(super) fn index(c: &Config, attention: &mut LatentAttention, heads: u64) -> Result<[Op; 5]> {
    let Some(rank) = attention.query_rank else {
        let fact = "is null, but the indexer reads compressed queries";
        return Err(c.contradiction("q_lora_rank", fact));
    };
    index_of(c, attention, rank, heads)
}

/// The same of a class whose indexer reads queries from vectors of the width `from`.
pub(super) fn index_of(
    c: &Config,
    attention: &mut LatentAttention,
    from: u64,
    heads: u64,
) -> Result<[Op; 5]> {
    attention.latent = attention.latent.selecting(c.size_or("index_topk", 2048)?);
    let heads = c.size_or("index_n_heads", heads)?;
    let dim = c.size_or("index_head_dim", 128)?;
    Ok([
        projection("self_attn.indexer.wq_b", from, heads * dim).into(),
        projection("self_attn.indexer.wk", attention.hidden, dim).into(),
        layer_norm("self_attn.indexer.k_norm", dim, true),
        projection("self_attn.indexer.weights_proj", attention.hidden, heads).into(),
        Indexer::new("self_attn.indexer", heads, dim).into(),
    ])
}

/// Which layers have an indexer of their own: all of DeepSeek's. GLM-5's are listed in `indexer_types`,
/// or spelled in `index_topk_pattern`, F for full and S for shared, or every so many after the first.
pub(super) fn indexing_layers(c: &Config, glm: bool) -> Result<impl Fn(u64) -> bool> {
    let layers = c.size("num_hidden_layers")?;
    let mut listed: Option<Vec<bool>> = None;
    let (mut every, mut offset) = (1, 0);
    if glm {
        let key = if c.has("indexer_types") { "indexer_types" } else { "index_topk_pattern" };
        // The key of the rule may stand beside the list that it made.
        let _spelled = c.raw("index_topk_pattern");
        let kinds = match c.raw(key) {
            Some(Value::String(letters)) => {
                letters.chars().map(|kind| kind_of(c, key, kind.encode_utf8(&mut [0; 4]))).collect()
            }
            _ => c
                .texts(key)?
                .unwrap_or_default()
                .into_iter()
                .map(|kind| kind_of(c, key, kind))
                .collect(),
        };
        let kinds: Result<Vec<bool>> = kinds;
        if c.has(key) {
            let kinds = kinds?;
            one_each(c, key, &kinds, layers)?;
            listed = Some(kinds);
        }
        every = c.count("index_topk_freq")?.unwrap_or(1).max(1);
        offset = c.count("index_skip_topk_offset")?.unwrap_or(2);
    }
    Ok(move |layer: u64| match &listed {
        Some(full) => usize::try_from(layer).is_ok_and(|at| full.get(at) == Some(&true)),
        None => (layer + 1).saturating_sub(offset).is_multiple_of(every),
    })
}

pub(super) fn kind_of(c: &Config, key: &str, kind: &str) -> Result<bool> {
    match kind {
        "full" | "F" => Ok(true),
        "shared" | "S" => Ok(false),
        other => {
            let fact = format!("has a layer that is neither full nor shared: \"{}\"", shown(other));
            Err(c.contradiction(key, &fact))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Convention, Workload};

    /// DeepSeek-V3.2 without its further prediction layer.
    const V32: &str = r#"{"model_type": "deepseek_v32", "attention_bias": false,
        "first_k_dense_replace": 3, "hidden_size": 7168, "index_head_dim": 128, "index_n_heads": 64,
        "index_topk": 2048, "intermediate_size": 18432, "kv_lora_rank": 512,
        "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256,
        "n_shared_experts": 1, "num_attention_heads": 128, "num_experts_per_tok": 8,
        "num_hidden_layers": 61, "num_key_value_heads": 128, "q_lora_rank": 1536,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "tie_word_embeddings": false,
        "torch_dtype": "bfloat16", "v_head_dim": 128, "vocab_size": 129280}"#;

    #[test]
    fn v32_has_an_indexer_more_than_v3() {
        // V3 (see `deepseek`) and 61 of 1536·64·128 + 7168·128 + 2·128 + 7168·64.
        let v3: u128 = 671_026_419_200 - 58 * 256;
        let indexer: u128 = 1536 * 64 * 128 + 7168 * 128 + 2 * 128 + 7168 * 64;
        let v32 = model(V32);
        assert_eq!(v32.parameters().total, v3 + 61 * indexer);
        assert!(v32.unread().is_empty() && v32.notes().is_empty());
    }

    #[test]
    fn attention_looks_at_no_more_than_the_indexer_chooses() {
        let v32 = model(V32);
        let step = |past: u64| {
            let step = Workload::batch(vec![crate::Sequence {
                prompt: past,
                cached: past,
                generate: 2,
                count: 1,
            }]);
            v32.flops(&step.unwrap(), &Convention::MODEL).unwrap().decode
        };
        // A step that sees 4096 tokens and one that sees 8192: the absorbed form scores the best 2048
        // of both, each 2·128·(512 + 64), and the indexer all of them, each 2·64·(128 + 1).
        let scores = |past: u64| step(past)[crate::Component::AttentionScores];
        assert_eq!(scores(8191) - scores(4095), 61 * 4096 * 2 * 64 * 129);
        assert_eq!(scores(4095), 61 * (2048 * 2 * 128 * 576 + 4096 * 2 * 64 * 129));
        let values = step(8191)[crate::Component::AttentionValues];
        assert_eq!(values, 61 * 2048 * 2 * 128 * 512);
    }

    #[test]
    fn layers_of_glm_share_an_indexer() {
        let glm = V32.replace("deepseek_v32", "glm_moe_dsa");
        let with = |keys: &str| glm.replace("\"index_topk\"", &format!("{keys}, \"index_topk\""));
        let indexers = |config: &str| {
            let model = model(config);
            let indexes = |group: &&crate::model::Group| {
                group.ops.iter().any(|op| matches!(op, crate::op::Op::Indexer(_)))
            };
            model.groups().iter().filter(indexes).map(|group| group.repeat).sum::<u64>()
        };
        assert_eq!(indexers(&glm), 61);
        // Layers 0, 1, 5, 9, …, 57.
        assert_eq!(indexers(&with("\"index_topk_freq\": 4")), 16);
        let pattern = format!("\"index_topk_pattern\": \"F{}\"", "SSF".repeat(20));
        assert_eq!(indexers(&with(&pattern)), 21);
        assert_eq!(
            fact(&with("\"index_topk_pattern\": \"FS\"")),
            "`index_topk_pattern`: has 2 entries for 61 layers"
        );
        assert_eq!(
            fact(&with("\"indexer_types\": [\"half\"]")),
            "`indexer_types`: has a layer that is neither full nor shared: \"half\""
        );
        assert_eq!(
            fact(&glm.replace("rank\": 1536", "rank\": null")),
            "`q_lora_rank`: is null, but the indexer reads compressed queries"
        );
    }
}
