//! MiniMax-M3: attention over blocks of keys that an indexer chooses, and experts beside one that every token takes.
//!
//! ```text
//! embed → L × [ norm → q, k, v → norms of q, k → index → attend → out ] [ norm → feed-forward ] → norm → head
//! index         queries of a few heads and one key a token from the input → a score for every token before → the
//!               best `sparse_topk_blocks` blocks for each head, its own block always among them
//! feed-forward  dense, or router → k of E × (gate, up → down) + shared (gate, up → down)
//! ```
//!
//! `model` counts the indexer over every token in sight, and attention over the blocks that are chosen, the
//! token's own up to it. `torch` counts whole score matrices: what is not chosen is only masked.

use super::experts::{self, IN_MLP, SHARED_IN_MLP};
use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::{
    Heads, decoder, head_norms, note_prediction_layers, one_each, pre_normed, projection, rms_norm,
    text_part, tied, uncounted_kind, with_norms,
};
use super::recurrent::width;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{HeadSum, Indexer, Op};
use crate::passes::Mask;

/// `minimax_m3` is a name in a repository's own code.
pub(super) const MODEL_TYPES: &[&str] = &["minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "minimax_m3_vl" {
        return text_part(c, "minimax_m3_vl_text", build);
    }
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let heads = Heads::read_or(c, d, 4, Some(128))?;
    let indexed = indexed_layers(c, layers)?;
    let full = with_norms(heads.attention(d, false, false, Mask::Causal), head_norms(&heads));
    let chosen = if (0..layers).any(&indexed) { blocks(c, d, &heads)? } else { Vec::new() };
    let ffn = feed_forward(c)?;
    let frequency = switches(c, "moe_layer_freq", layers)?;
    let sparse = sparse_layers(c, |layer| frequency(layer).unwrap_or(true))?;
    // Other names of sizes, and what the reference implementation does not read.
    for key in ["moe_intermediate_size", "first_k_dense_replace", "n_shared_experts"] {
        c.raw(key);
    }
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = if indexed(layer) { &chosen } else { &full };
        Ok(pre_normed(d, attention.clone(), ffn.layer(sparse(layer), d, false)))
    })
}

fn feed_forward(c: &Config) -> Result<FeedForward> {
    let ffn = FeedForward {
        experts: experts::read(c, "num_local_experts", "num_experts_per_tok")?,
        dense: c.size_or("dense_intermediate_size", 12288)?,
        expert: c.size("intermediate_size")?,
        shared: c.size_or("shared_intermediate_size", 3072)?,
        correction: None,
        names: IN_MLP,
        shared_names: SHARED_IN_MLP,
    };
    Ok(ffn.corrected(CORRECTION))
}

/// What a list of one number a layer says of each, nothing where there is no list.
fn switches(
    c: &Config,
    key: &'static str,
    layers: u64,
) -> Result<impl Fn(u64) -> Option<bool> + use<>> {
    let listed = c.counts(key)?;
    if let Some(list) = &listed {
        one_each(c, key, list, layers)?;
    }
    Ok(move |layer: u64| {
        let listed = listed.as_ref()?;
        usize::try_from(layer).ok().and_then(|at| listed.get(at)).map(|number| *number > 0)
    })
}

/// Which layers look at the blocks that an indexer chooses: `layer_types`, or as published files list them in a
/// part of their own.
fn indexed_layers(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "layer_types";
    let listed = c.texts(KEY)?;
    if let Some(kinds) = &listed {
        one_each(c, KEY, kinds, layers)?;
        let known = ["full_attention", "minimax_m3_sparse"];
        if let Some(other) = kinds.iter().find(|kind| !known.contains(kind)) {
            return Err(uncounted_kind(c, KEY, other));
        }
    }
    let frequency = match c.child("sparse_attention_config")? {
        Some(part) => Some(switches(&part, "sparse_attention_freq", layers)?),
        None => None,
    };
    Ok(move |layer: u64| match (&listed, &frequency) {
        (Some(kinds), _) => {
            usize::try_from(layer).is_ok_and(|at| kinds.get(at) == Some(&"minimax_m3_sparse"))
        }
        (None, Some(frequency)) => frequency(layer).unwrap_or(false),
        (None, None) => false,
    })
}

/// Attention over chosen blocks, with what chooses them.
fn blocks(c: &Config, d: u64, heads: &Heads) -> Result<Vec<Op>> {
    let part = c.child("sparse_attention_config")?;
    let read = |key, in_part, default| match &part {
        Some(part) if part.has(in_part) => part.size(in_part),
        _ => c.size_or(key, default),
    };
    let index = Indexer {
        sum: HeadSum::None,
        ..Indexer::new(
            "self_attn.indexer",
            read("index_n_heads", "sparse_num_index_heads", 4)?,
            read("index_head_dim", "sparse_index_dim", 128)?,
        )
    };
    width(c, "index_n_heads", index.heads, index.dim)?;
    if !heads.query.is_multiple_of(index.heads) {
        let fact = format!("{} heads do not choose for {} evenly", index.heads, heads.query);
        return Err(c.contradiction("index_n_heads", &fact));
    }
    let size = read("index_block_size", "sparse_block_size", 128)?;
    let most = read("index_topk_blocks", "sparse_topk_blocks", 16)?;
    let local = read("index_local_blocks", "sparse_local_block", 1)?;
    if local > most {
        let fact = format!("is {most}, but {local} blocks are always among them");
        return Err(c.contradiction("index_topk_blocks", &fact));
    }
    let mask = Mask::Blocks { size, most: most - 1, own: true };
    let mut ops = vec![
        projection("self_attn.indexer.q_proj", d, index.heads * index.dim).into(),
        projection("self_attn.indexer.k_proj", d, index.dim).into(),
        rms_norm("self_attn.indexer.q_norm", index.dim),
        rms_norm("self_attn.indexer.k_norm", index.dim),
        index.into(),
    ];
    let mut attention = with_norms(heads.attention(d, false, false, mask), head_norms(heads));
    for op in &mut attention {
        if let Op::Attention(op) = op {
            op.cache_mask = Mask::Causal;
        }
    }
    ops.extend(attention);
    Ok(ops)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Component, Convention, Sequence, Workload};

    /// MiniMax-M3's text part as on the Hub, with 3 + 57 layers.
    fn m3() -> String {
        let rest = "1, ".repeat(56);
        format!(
            r#"{{"model_type": "minimax_m3", "dense_intermediate_size": 12288, "head_dim": 128,
                "hidden_size": 6144, "intermediate_size": 3072, "moe_intermediate_size": 3072,
                "moe_layer_freq": [0, 0, 0, {rest}1], "n_shared_experts": 1, "num_attention_heads": 64,
                "num_experts_per_tok": 4, "num_hidden_layers": 60, "num_key_value_heads": 4,
                "num_local_experts": 128, "rotary_dim": 64, "shared_intermediate_size": 3072,
                "sparse_attention_config": {{"sparse_attention_freq": [0, 0, 0, {rest}1],
                    "sparse_block_size": 128, "sparse_index_dim": 128, "sparse_init_block": 0,
                    "sparse_local_block": 1, "sparse_num_index_heads": 4, "sparse_topk_blocks": 16,
                    "use_sparse_attention": true}},
                "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 200064}}"#
        )
    }

    #[test]
    fn m3_has_as_many_parameters_as_its_class_gives() {
        let d: u128 = 6144;
        // q and out 2·d·8192, k and v 2·d·512, two norms of 128; the indexer 4·128 + 128 and two norms.
        let attention = 2 * d * 8192 + 2 * d * 512 + 256 + 2 * d;
        let indexer = d * 640 + 256;
        let dense = 3 * d * 12_288;
        let sparse = d * 128 + 129 * 3 * d * 3072;
        let total = 60 * attention + 57 * (indexer + sparse) + 3 * dense + 2 * 200_064 * d + d;
        // PyTorch counts 427,040,132,864 in the whole, 865,567,232 of them in what sees.
        assert_eq!(total, 427_040_132_864 - 865_567_232);
        let m3 = model(&m3());
        assert_eq!(m3.parameters().total, total);
        assert_eq!(m3.parameters().active, total - 57 * 124 * 3 * d * 3072);
        assert!(m3.unread().is_empty(), "{:?}", m3.unread());
    }

    #[test]
    fn a_token_looks_at_fifteen_blocks_and_its_own() {
        let m3 = model(&m3());
        let scores = |past: u64| {
            let step = Sequence { prompt: past, cached: past, generate: 2, count: 1 };
            let step = Workload::batch(vec![step]).unwrap();
            m3.flops(&step, &Convention::MODEL).unwrap().decode[Component::AttentionScores]
        };
        // Token 10,000 is the 16th of its block: 15·128 + 16 keys in 57 layers, all in three; and the indexer.
        let pairs = 57 * (15 * 128 + 16) + 3 * 10_000;
        assert_eq!(scores(9_999), pairs * 2 * 64 * 128 + 57 * 10_000 * 2 * 4 * 128);
        // Within sixteen blocks, all.
        assert_eq!(scores(2_047), 60 * 2_048 * 2 * 64 * 128 + 57 * 2_048 * 2 * 4 * 128);
    }

    #[test]
    fn the_whole_is_counted_by_its_text_part() {
        let whole = format!(r#"{{"model_type": "minimax_m3_vl", "text_config": {}}}"#, m3());
        assert_eq!(model(&whole).parameters(), model(&m3()).parameters());
    }

    #[test]
    fn lists_are_as_long_as_there_are_layers() {
        assert_eq!(
            fact(&m3().replace("layers\": 60", "layers\": 59")),
            "`sparse_attention_config.sparse_attention_freq`: has 60 entries for 59 layers"
        );
        assert_eq!(
            fact(
                &m3()
                    .replace("topk_blocks\": 16", "topk_blocks\": 1")
                    .replace("local_block\": 1", "local_block\": 2")
            ),
            "`index_topk_blocks`: is 1, but 2 blocks are always among them"
        );
    }
}
