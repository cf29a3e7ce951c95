//! DeepSeek-V4: a window of keys that are values too, and beside it entries that each stand for many tokens.
//!
//! ```text
//! embed → L × [ streams → norm → queries, key → attend → grouped out ] [ streams → norm → router → k of E ×
//!             (gate, up → down) + shared (gate, up → down) ] → streams → norm → head
//! attend    the window, and of some layers compressed entries: all of them where each stands for 128 tokens,
//!           the best `index_topk` that an indexer chooses where each stands for 4
//! compress  values and gates of every token → a weighted mean of each stretch, one entry
//! out       heads fall into groups, each projected by itself, then all of them together
//! ```
//!
//! `model` counts for a token the window, and the entries of stretches that ended with it or before, at most
//! `index_topk` where they are chosen; the indexer scores all. `torch` counts whole rectangles over all entries
//! that there are at the end of a pass, and does not see the indexer's sum over its heads. The mean itself is
//! element by element, and like a gate neither counts it. Streams are those of `hyper_connections`.
//!
//! The first layers choose experts by a table of the vocabulary instead of their router's scores, which weigh
//! them all the same; that table is left out of the bytes, and so is what a compressor keeps of a stretch that
//! has not ended.

use super::experts::{self, IN_MLP, SHARED_IN_MLP, correction};
use super::feed_forward::CORRECTION;
use super::hyper_connections::Streams;
use super::parts::{
    head, layer_norm, note_prediction_layers, one_each, projection, rms_norm, table, tied,
    uncounted_kind, unlike, vector,
};
use super::prediction::with_made;
use super::recurrent::width;
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Attention, HeadSum, Indexer, Linear, Op, Product};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["deepseek_v4"];

/// What published checkpoints keep whole.
const KEPT: [&str; 4] =
    ["compressor.kv_proj", "compressor.gate_proj", "indexer.kv_proj", "indexer.gate_proj"];

/// What attention sees beside its window.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Beside {
    Nothing,
    /// Entries that an indexer chooses.
    Sparse,
    /// All entries.
    Heavy,
}

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let attention = Shared::read(c, d)?;
    let streams = Streams::read(c, d, true)?;
    let beside = beside(c, layers)?;
    let hashed = hashed(c, layers)?;
    let ffn = feed_forward(c, d)?;
    let corrected =
        correction(CORRECTION, experts::read(c, "n_routed_experts", "num_experts_per_tok")?);
    let vocab = c.size("vocab_size")?;
    let tied = tied(c, false)?;
    c.note("bytes leave out what compressors keep of a stretch that has not ended".into());
    let mut model = Builder::new(c)?;
    model.keep(&KEPT)?;
    model.keep(&["scorer.weights_proj"])?;
    model.once("embedding", [table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |layer| {
        let mut ffn = ffn.clone();
        if !hashed(layer) {
            ffn.push(corrected.clone());
        }
        Ok(streams.layer(attention.ops(beside(layer)), ffn))
    })?;
    let last = [rms_norm("model.norm", d), head(d, vocab, tied).into()];
    model.head(streams.head().into_iter().chain(last))?;
    let mut further = ffn;
    further.push(corrected);
    let further = streams.layer(attention.ops(Beside::Nothing), further);
    prediction_layer(c, model.finish()?, d, &streams, further)
}

/// The model with the layer that predicts a further token: it attends to its window alone, and the embedding is added to
/// every stream of the hidden state, each of which the same matrix projects (`MTPBlock` of the published inference code).
fn prediction_layer(
    c: &Config,
    model: Model,
    d: u64,
    streams: &Streams,
    layer: Vec<Op>,
) -> Result<Model> {
    let component = Component::EmbeddingProjections;
    let mut first = vec![
        rms_norm("enorm", d),
        rms_norm("hnorm", d),
        Linear::new("e_proj", component, d, d).into(),
        Linear::new("h_proj", component, d, d).into(),
    ];
    first.extend(streams.others(Product { module: "h_proj", component, from: d, to: d }));
    let last = streams.head().into_iter().chain([rms_norm("norm", d)]).collect();
    let count = c.count("num_nextn_predict_layers")?;
    with_made(c, model, d, count, [first, layer, last])
}

fn feed_forward(c: &Config, d: u64) -> Result<Vec<Op>> {
    let experts = experts::read(c, "n_routed_experts", "num_experts_per_tok")?;
    let inner = c.size_of(&["moe_intermediate_size", "intermediate_size"])?;
    // As wide as one expert, however many the key says.
    if let Some(shared) = c.count("n_shared_experts")?.filter(|shared| *shared != 1) {
        return Err(c.contradiction("n_shared_experts", &format!("is {shared}; only 1 is counted")));
    }
    let bias = c.flag("mlp_bias", false)?;
    let mut ops = experts::mixture(IN_MLP, d, inner, experts);
    ops.extend(experts::shared(SHARED_IN_MLP, d, inner, bias));
    Ok(ops)
}

/// What each layer sees beside its window: `layer_types`, or what `compress_ratios` says of each layer, or two
/// layers of the heavy kind and then both by turns.
fn beside(c: &Config, layers: u64) -> Result<impl Fn(u64) -> Beside> {
    const KEY: &str = "layer_types";
    let ratios = c.counts("compress_ratios")?;
    let listed = c.texts(KEY)?;
    let kinds = match (listed, ratios) {
        (Some(names), _) => {
            let kind = |name: &str| match name {
                "sliding_attention" => Ok(Beside::Nothing),
                "compressed_sparse_attention" => Ok(Beside::Sparse),
                "heavily_compressed_attention" => Ok(Beside::Heavy),
                other => Err(uncounted_kind(c, KEY, other)),
            };
            Some((KEY, names.into_iter().map(kind).collect::<Result<Vec<Beside>>>()?))
        }
        (None, Some(ratios)) => {
            let kind = |ratio: u64| match ratio {
                0 => Ok(Beside::Nothing),
                4 => Ok(Beside::Sparse),
                128 => Ok(Beside::Heavy),
                other => {
                    let fact = format!("has a layer of {other}; only 0, 4 and 128 are counted");
                    Err(c.contradiction("compress_ratios", &fact))
                }
            };
            let kinds = ratios.into_iter().map(kind).collect::<Result<Vec<Beside>>>()?;
            Some(("compress_ratios", kinds))
        }
        (None, None) => None,
    };
    // One more is of a layer that predicts a further token.
    if let Some((key, kinds)) = &kinds
        && (kinds.len() as u64) < layers
    {
        return Err(unlike(c, key, kinds, layers));
    }
    Ok(move |layer: u64| match &kinds {
        Some((_, kinds)) => usize::try_from(layer)
            .ok()
            .and_then(|at| kinds.get(at).copied())
            .unwrap_or(Beside::Nothing),
        None if layer < 2 || layer.is_multiple_of(2) => Beside::Heavy,
        None => Beside::Sparse,
    })
}

/// Which layers choose experts by a table.
fn hashed(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "mlp_layer_types";
    let listed = c.texts(KEY)?;
    let first = match &listed {
        Some(_) => c.count("num_hash_layers")?.unwrap_or(0),
        None => c.count_or("num_hash_layers", 3)?,
    };
    if let Some(kinds) = &listed {
        one_each(c, KEY, kinds, layers)?;
    }
    let listed = listed.map(|kinds| {
        let hashed = |kind: &str| match kind {
            "hash_moe" => Ok(true),
            "moe" => Ok(false),
            other => Err(uncounted_kind(c, KEY, other)),
        };
        kinds.into_iter().map(hashed).collect::<Result<Vec<bool>>>()
    });
    let listed = listed.transpose()?;
    Ok(move |layer: u64| match &listed {
        Some(hashed) => usize::try_from(layer).is_ok_and(|at| hashed.get(at) == Some(&true)),
        None => layer < first,
    })
}

/// Attention with one head of keys that are values, and what compresses them.
struct Shared {
    hidden: u64,
    heads: u64,
    dim: u64,
    window: u64,
    query_rank: u64,
    groups: u64,
    group_rank: u64,
    sparse: u64,
    heavy: u64,
    index: Indexer,
    chosen: u64,
}

impl Shared {
    fn read(c: &Config, hidden: u64) -> Result<Self> {
        let (heads, dim) = (c.size("num_attention_heads")?, c.size_or("head_dim", 512)?);
        if let Some(kv) = c.maybe("num_key_value_heads")?.filter(|kv| *kv != 1) {
            let fact = format!("is {kv}, but all {heads} heads share one");
            return Err(c.contradiction("num_key_value_heads", &fact));
        }
        let groups = c.size_or("o_groups", 8)?;
        let queries = width(c, "head_dim", heads, dim)?;
        if !queries.is_multiple_of(groups) {
            let fact = format!("{groups} groups do not divide the width {queries} evenly");
            return Err(c.contradiction("o_groups", &fact));
        }
        let group_rank = c.size_or("o_lora_rank", 1024)?;
        width(c, "o_lora_rank", groups, group_rank)?;
        let (index_heads, index_dim) =
            (c.size_or("index_n_heads", 64)?, c.size_or("index_head_dim", 128)?);
        width(c, "index_n_heads", index_heads, index_dim)?;
        let rates = c.child("compress_rates")?;
        let rate = |key: &'static str, older: &'static str, default| match (&rates, c.maybe(older)?)
        {
            (_, Some(rate)) => Ok(rate),
            (Some(rates), None) => rates.size(key),
            (None, None) => Ok(default),
        };
        let sparse = rate("compressed_sparse_attention", "compress_rate_csa", 4)?;
        let index = Indexer {
            mask: Mask::Compressed { every: sparse, most: None },
            sum: HeadSum::Elements,
            ..Indexer::new("self_attn.compressor.indexer", index_heads, index_dim)
        };
        Ok(Self {
            hidden,
            heads,
            dim,
            window: c.size_or("sliding_window", 128)?,
            query_rank: c.size_or("q_lora_rank", 1024)?,
            groups,
            group_rank,
            sparse,
            heavy: rate("heavily_compressed_attention", "compress_rate_hca", 128)?,
            index,
            chosen: c.size_or("index_topk", 512)?,
        })
    }

    fn ops(&self, beside: Beside) -> Vec<Op> {
        let Self { hidden, dim, query_rank, .. } = *self;
        let queries = self.heads * dim;
        let groups = self.groups * self.group_rank;
        let mut ops = vec![
            projection("self_attn.q_a_proj", hidden, query_rank).into(),
            rms_norm("self_attn.q_a_norm", query_rank),
            projection("self_attn.q_b_proj", query_rank, queries).into(),
            projection("self_attn.kv_proj", hidden, dim).into(),
            rms_norm("self_attn.kv_norm", dim),
        ];
        match beside {
            Beside::Nothing => {}
            Beside::Heavy => {
                ops.extend(self.compressor(dim, self.heavy));
                ops.push(self.attend(Mask::Compressed { every: self.heavy, most: None }));
            }
            Beside::Sparse => {
                // Two series, one for the stretch that a token is in and one for the next.
                ops.extend(self.compressor(2 * dim, self.sparse));
                ops.extend(self.indexer());
                let most = Some(self.chosen);
                ops.push(self.attend(Mask::Compressed { every: self.sparse, most }));
            }
        }
        ops.extend([
            self.attend(Mask::Sliding { window: self.window }),
            vector("self_attn.sinks", self.heads),
            projection("self_attn.o_a_proj", queries / self.groups, groups).into(),
            projection("self_attn.o_b_proj", groups, hidden).into(),
        ]);
        ops
    }

    fn attend(&self, mask: Mask) -> Op {
        let attention = Attention::new("self_attn", self.heads, 1, self.dim, self.dim, mask);
        Attention { keys_are_values: true, ..attention }.into()
    }

    /// Values and gates of `width` a token, `every` of which make an entry.
    fn compressor(&self, width: u64, every: u64) -> [Op; 4] {
        [
            projection("self_attn.compressor.kv_proj", self.hidden, width).into(),
            projection("self_attn.compressor.gate_proj", self.hidden, width).into(),
            vector("self_attn.compressor.position_bias", every * width),
            rms_norm("self_attn.compressor.kv_norm", self.dim),
        ]
    }

    fn indexer(&self) -> [Op; 7] {
        let Indexer { heads, dim, .. } = self.index;
        [
            projection("self_attn.compressor.indexer.kv_proj", self.hidden, 2 * dim).into(),
            projection("self_attn.compressor.indexer.gate_proj", self.hidden, 2 * dim).into(),
            vector("self_attn.compressor.indexer.position_bias", self.sparse * 2 * dim),
            layer_norm("self_attn.compressor.indexer.kv_norm", dim, false),
            projection("self_attn.compressor.indexer.q_b_proj", self.query_rank, heads * dim)
                .into(),
            projection("self_attn.compressor.indexer.scorer.weights_proj", self.hidden, heads)
                .into(),
            self.index.into(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::{Component, Convention, Sequence, Workload};

    /// DeepSeek-V4-Flash as on the Hub, its last stretch being that of a prediction layer.
    const FLASH: &str = r#"{"model_type": "deepseek_v4", "attention_bias": false, "compress_ratios": [0, 0,
        4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4,
        128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 128, 4, 0], "expert_dtype": "fp4",
        "hc_mult": 4, "head_dim": 512, "hidden_size": 4096, "index_head_dim": 128, "index_n_heads": 64,
        "index_topk": 512, "moe_intermediate_size": 2048, "n_routed_experts": 256, "n_shared_experts": 1,
        "num_attention_heads": 64, "num_experts_per_tok": 6, "num_hash_layers": 3,
        "num_hidden_layers": 43, "num_key_value_heads": 1, "num_nextn_predict_layers": 1, "o_groups": 8,
        "o_lora_rank": 1024, "q_lora_rank": 1024, "qk_rope_head_dim": 64, "sliding_window": 128,
        "quantization_config": {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8",
            "scale_fmt": "ue8m0", "weight_block_size": [128, 128]},
        "tie_word_embeddings": false, "torch_dtype": "bfloat16", "vocab_size": 129280}"#;

    #[test]
    fn flash_has_as_many_parameters_as_its_class_gives() {
        let d: u128 = 4096;
        // q_a, norm, q_b 1024·64·512, key and norm, out in 8 groups of 4096·1024 and 8·1024·d, sinks.
        let attention =
            d * 1024 + 1024 + 1024 * 32_768 + d * 512 + 512 + 4096 * 8192 + 8192 * d + 64;
        let compressor = |width: u128, every: u128| 2 * d * width + every * width + 512;
        // Its own compressor of 2·128, queries 1024·64·128, weights d·64.
        let indexer = 2 * d * 256 + 4 * 256 + 128 + 1024 * 8192 + d * 64;
        // Twice: 24 numbers of four streams, as many biases, three scales.
        let streams = 2 * (24 * 4 * d + 24 + 3);
        let experts = d * 256 + 257 * 3 * d * 2048;
        let total = 43 * (attention + streams + experts + 2 * d)
            + 21 * (compressor(1024, 4) + indexer)
            + 20 * compressor(512, 128)
            + 4 * 4 * d
            + 4
            + 1
            + d
            + 2 * 129_280 * d;
        // 284 billion, 13 of them active, in the model's card.
        assert_eq!(total, 284_332_230_231);
        let flash = model(FLASH);
        assert_eq!(flash.parameters().total, total);
        assert_eq!(flash.parameters().active / 1_000_000_000, 13);
        assert!(flash.unread().is_empty());
    }

    #[test]
    fn experts_are_narrower_than_the_rest_and_compressors_wider() {
        let weights = |config: &str| model(config).bytes(&Workload::request(1, 1)).unwrap().weights;
        // A 4-bit expert has a byte for 32 elements, an 8-bit one four for 128·128.
        let [inner, outer] = [4096_u128, 2048].map(|width| width / 128);
        let expert = |bits: u128| 3 * 4096 * 2048 * bits / 8;
        let narrow = 43 * 256 * (expert(4) + 3 * 4096 * 2048 / 32);
        let wide = 43 * 256 * (expert(8) + 3 * inner * outer * 4);
        let fp8 = FLASH.replace("\"expert_dtype\": \"fp4\",", "");
        assert_eq!(weights(&fp8) - weights(FLASH), wide - narrow);
        assert!(
            fact(&FLASH.replace("fp4", "fp6"))
                .starts_with("`quantization_config.expert_dtype`: is")
        );
    }

    #[test]
    fn entries_are_seen_once_their_stretch_has_ended() {
        let flash = model(FLASH);
        let scores = |past: u64| {
            let step = Sequence { prompt: past, cached: past, generate: 2, count: 1 };
            let step = Workload::batch(vec![step]).unwrap();
            flash.flops(&step, &Convention::MODEL).unwrap().decode[Component::AttentionScores]
        };
        // Tokens 5120 and 5124 have 1280 and 1281 entries of 4 before them, 512 of which are chosen, and 40 of
        // 128: the indexer alone scores one more.
        assert_eq!(scores(5123) - scores(5119), 21 * 2 * 64 * (128 + 1));
        assert_eq!(scores(5122), scores(5119));
        // Token 128: the window is full, 32 entries of 4 and one of 128 have ended.
        let seen = 43 * 128 + 21 * 32 + 20;
        assert_eq!(scores(127), seen * 2 * 64 * 512 + 21 * 32 * 2 * 64 * (128 + 1));
    }

    #[test]
    fn stretches_of_other_lengths_are_an_error() {
        assert_eq!(
            fact(&FLASH.replace("[0, 0,", "[0, 8,")),
            "`compress_ratios`: has a layer of 8; only 0, 4 and 128 are counted"
        );
        assert_eq!(
            fact(&FLASH.replace("value_heads\": 1", "value_heads\": 8")),
            "`num_key_value_heads`: is 8, but all 64 heads share one"
        );
    }
}
