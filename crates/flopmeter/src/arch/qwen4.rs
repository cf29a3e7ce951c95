//! Qwen4-Exp: gated delta nets and attention to chosen blocks by turns, between residual streams that a gate mixes.
//!
//! ```text
//! embed → L × [ (n-grams +) streams → delta net, or q and gate, k, v → index → attend → · gate → out ]
//!             [ streams → router → k of E × (gate, up → down) + gate × shared (gate, up → down) ] → streams → head
//! streams   norm → a few numbers → how much of each channel of each stream is read; and a weight for each to be
//!           written with
//! n-grams   rows that a token and those before it hash to → keys for each stream, a value → gate → convolution
//! index     queries and one key a token → a score for each block of keys that is whole → the best of them
//! ```
//!
//! Delta nets and gated attention are those of `qwen_next`. `model` counts attention over the chosen blocks and the
//! tokens of the one that is not whole; `torch` counts whole score matrices, but the indexer query by query, over
//! what each sees. Streams count under `connections`, n-grams under `embedding.projections` and their convolution
//! under `recurrent`.

use super::experts::{self, IN_MLP};
use super::parts::{
    Heads, head, note_prediction_layers, one_each, projection, rms_norm, text_part, tied,
    uncounted_kind,
};
use super::primes::primes_from;
use super::qwen_moe::{SHARED, shared_gate};
use super::qwen_next::{gated_attention, separate};
use super::recurrent::{Delta, width};
use crate::component::Component;
use crate::config::Config;
use crate::dtype::Dtype;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{
    Convolution, HeadSum, Indexer, Linear, Op, Padding, Recurrent, RecurrentKind, Storage, Table,
};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["qwen4_exp", "qwen4_exp_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "qwen4_exp" { text_part(c, "qwen4_exp_text", text) } else { text(c) }
}

fn text(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let attends = attending(c, layers)?;
    let streams = Streams::read(c, d)?;
    let net = separate(d, &delta(c)?);
    let attention = if (0..layers).any(&attends) { attention(c, d)? } else { Vec::new() };
    let ngrams = ngrams(c, d, &streams, layers, &attends)?;
    let ffn = feed_forward(c, d)?;
    let vocab = c.size("vocab_size")?;
    let tied = tied(c, false)?;
    let mut model = Builder::new(c)?;
    model.once("embedding", [super::parts::table("model.embed_tokens", vocab, d)]);
    model.layers(layers, |layer| {
        let found = ngrams.iter().find(|(at, _)| *at == layer);
        let mut ops = found.map_or(Vec::new(), |(_, ops)| ops.clone());
        ops.extend(streams.connection(ATTENTION));
        ops.extend(if attends(layer) { attention.clone() } else { net.clone() });
        ops.extend(streams.connection(MLP));
        ops.extend(ffn.clone());
        Ok(ops)
    })?;
    let [norm, down, up, _] = streams.connection(LAST);
    model.head([norm, down, up, head(d, vocab, tied).into()])?;
    model.finish()
}

/// The streams of the residual.
#[derive(Debug, Clone, Copy)]
struct Streams {
    count: u64,
    width: u64,
    rank: u64,
}

/// A connection's norm, its mix and what it writes with.
type Names = [&'static str; 4];

const ATTENTION: Names = [
    "attn_hyper_connection.hc_norm",
    "attn_hyper_connection.input_mix_weight_down",
    "attn_hyper_connection.input_mix_weight_up",
    "attn_hyper_connection.block_inject_weight",
];
const MLP: Names = [
    "mlp_hyper_connection.hc_norm",
    "mlp_hyper_connection.input_mix_weight_down",
    "mlp_hyper_connection.input_mix_weight_up",
    "mlp_hyper_connection.block_inject_weight",
];
const LAST: Names = [
    "model.hyper_connection_mixer.hc_norm",
    "model.hyper_connection_mixer.input_mix_weight_down",
    "model.hyper_connection_mixer.input_mix_weight_up",
    "",
];

impl Streams {
    fn read(c: &Config, d: u64) -> Result<Self> {
        let count = c.size_or("hc_count", 4)?;
        Ok(Self {
            count,
            width: width(c, "hc_count", count, d)?,
            rank: c.size_or("hc_lowrank", 320)?,
        })
    }

    fn connection(&self, [norm, down, up, write]: Names) -> [Op; 4] {
        let Self { count, width, rank } = *self;
        let product = |module, from, to| Linear::new(module, Component::Connections, from, to);
        [
            rms_norm(norm, width),
            product(down, width, rank).into(),
            product(up, rank, width).into(),
            product(write, width, count).into(),
        ]
    }
}

/// Which layers attend: those that `layer_types` lists, or every `full_attention_interval`-th.
fn attending(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    const KEY: &str = "layer_types";
    let every = c.maybe("full_attention_interval")?.unwrap_or(4);
    let kind = |name: &str| match name {
        "linear_attention" => Ok(false),
        "indexed_attention" | "full_attention" => Ok(true),
        other => Err(uncounted_kind(c, KEY, other)),
    };
    let listed =
        c.texts(KEY)?.map(|names| names.into_iter().map(kind).collect::<Result<Vec<bool>>>());
    let listed = listed.transpose()?;
    if let Some(listed) = &listed {
        one_each(c, KEY, listed, layers)?;
    }
    Ok(move |layer: u64| match &listed {
        Some(listed) => usize::try_from(layer).is_ok_and(|at| listed.get(at) == Some(&true)),
        None => (layer + 1).is_multiple_of(every),
    })
}

fn delta(c: &Config) -> Result<Delta> {
    Delta {
        key_heads: c.size_or("linear_num_key_heads", 16)?,
        value_heads: c.size_or("linear_num_value_heads", 32)?,
        key: c.size_or("linear_key_head_dim", 128)?,
        value: c.size_or("linear_value_head_dim", 128)?,
        kernel: c.size_or("linear_conv_kernel_dim", 4)?,
    }
    .checked(c)
}

/// Gated attention over chosen blocks, and what chooses them.
fn attention(c: &Config, d: u64) -> Result<Vec<Op>> {
    let heads = Heads::read_or(c, d, 2, Some(256))?;
    let bias = c.flag("attention_bias", false)?;
    let (index_heads, dim) = (c.size("indexer_n_heads")?, c.size("indexer_head_dim")?);
    if c.size("indexer_kv_heads")? != 1 {
        return Err(
            c.contradiction("indexer_kv_heads", "is not 1, the only number that is counted")
        );
    }
    let (budget, size) = (c.size("indexer_budget")?, c.size("indexer_compress_ratio")?);
    if !budget.is_multiple_of(size) {
        let fact = format!("is {budget}, which blocks of {size} do not divide evenly");
        return Err(c.contradiction("indexer_budget", &fact));
    }
    let keys = width(c, "indexer_n_heads", index_heads + 1, dim)?;
    let index = Indexer {
        mask: Mask::Compressed { every: size, most: None },
        sum: HeadSum::None,
        only_pairs: true,
        ..Indexer::new("self_attn.indexer", index_heads, dim)
    };
    let mask = Mask::Blocks { size, most: budget / size, own: false };
    let mut ops = vec![
        projection("self_attn.indexer.index_qk_proj", d, keys).into(),
        rms_norm("self_attn.indexer.q_layernorm", dim),
        rms_norm("self_attn.indexer.k_layernorm", dim),
        index.into(),
    ];
    for mut op in gated_attention(d, &heads, bias) {
        if let Op::Attention(op) = &mut op {
            op.mask = mask;
        }
        ops.push(op);
    }
    Ok(ops)
}

fn feed_forward(c: &Config, d: u64) -> Result<Vec<Op>> {
    let experts = experts::read(c, "num_experts", "num_experts_per_tok")?;
    let mut ops = experts::mixture(IN_MLP, d, c.size("moe_intermediate_size")?, experts);
    let shared = c.size("shared_expert_intermediate_size")?;
    ops.extend(experts::shared(SHARED, d, shared, false));
    ops.push(shared_gate(d));
    Ok(ops)
}

/// The most tables of n-grams that are believed.
const MOST_TABLES: u64 = 4096;
/// The largest such table that is believed, in rows.
const LARGEST_TABLE: u64 = 1 << 30;

/// What layers of `ple_layer_ids`, which count from 1, add of n-grams.
fn ngrams(
    c: &Config,
    d: u64,
    streams: &Streams,
    layers: u64,
    attends: &impl Fn(u64) -> bool,
) -> Result<Vec<(u64, Vec<Op>)>> {
    const KEY: &str = "ple_layer_ids";
    let mut ids = c.counts(KEY)?.unwrap_or_default();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        // Sizes of what is not there.
        for key in NGRAMS {
            c.raw(key);
        }
        return Ok(Vec::new());
    }
    if let Some(id) = ids.iter().find(|id| !(1..=layers).contains(*id) || attends(**id - 1)) {
        let fact = format!("has {id}, which is no layer with a delta net, counted from 1");
        return Err(c.contradiction(KEY, &fact));
    }
    let embedding = c.size_or("ple_embed_dim", d)?;
    let size = c.size_or("ngram_size", 3)?;
    let tables = (size - 1).saturating_mul(c.size_or("heads_per_ngram", 8)?);
    let all = tables.saturating_mul(ids.len() as u64);
    if tables == 0 || all > MOST_TABLES || !embedding.is_multiple_of(tables) {
        let fact = format!("and `ngram_size` make {tables} tables, for a width of {embedding}");
        return Err(c.contradiction("heads_per_ngram", &fact));
    }
    let base = match c.raw("ngram_vocab_size_base").and_then(serde_json::Value::as_u64) {
        Some(base) => base,
        None => {
            c.note_default("ngram_vocab_size_base", "20000000");
            20_000_000
        }
    };
    if base > LARGEST_TABLE {
        let fact = format!("is {base}; the largest that is believed is {LARGEST_TABLE}");
        return Err(c.contradiction("ngram_vocab_size_base", &fact));
    }
    let divisor = c.size_or("make_ngram_vocab_size_divisible_by", 128)?;
    let kernel = c.size_or("ple_conv_kernel_size", 4)?;
    // Each table has a number of rows of its own, the next prime.
    let rows = primes_from(base, usize::try_from(all).unwrap_or_default());
    let per_layer = rows.chunks(usize::try_from(tables).unwrap_or(1));
    let layer = |(id, rows): (u64, &[u64])| {
        let rows = rows.iter().sum::<u64>().next_multiple_of(divisor);
        (id - 1, ngram_layer(d, streams, embedding, tables, rows, [kernel, size]))
    };
    Ok(ids.into_iter().zip(per_layer).map(layer).collect())
}

/// Keys of the layers' n-grams.
const NGRAMS: [&str; 7] = [
    "ple_embed_dim",
    "ple_conv_kernel_size",
    "ngram_size",
    "heads_per_ngram",
    "ngram_vocab_size_base",
    "make_ngram_vocab_size_divisible_by",
    "split_ngram_parts",
];

fn ngram_layer(
    d: u64,
    streams: &Streams,
    embedding: u64,
    tables: u64,
    rows: u64,
    [kernel, dilation]: [u64; 2],
) -> Vec<Op> {
    let project = |module, to| Linear::new(module, Component::EmbeddingProjections, embedding, to);
    let convolution = Convolution {
        dilation,
        padding: Padding::Before(0),
        ..Convolution::new(streams.width, kernel)
    };
    vec![
        Op::Table(Table {
            module: "ple.ple_embedding.ngram_embedding",
            rows,
            width: embedding / tables,
            looked_up: tables,
            shared: false,
            storage: Storage::plain(Dtype::Bf16),
        }),
        project("ple.key_proj", streams.width).into(),
        project("ple.value_proj", d).into(),
        rms_norm("ple.norm_key", streams.width),
        rms_norm("ple.norm_query", streams.width),
        rms_norm("ple.norm_conv", streams.width),
        Recurrent::new("ple.conv1d", RecurrentKind::Convolution(convolution)).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::op::Op;

    const QWEN: &str = r#"{"model_type": "qwen4_exp_text", "hidden_size": 60, "num_hidden_layers": 4,
        "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 14, "linear_num_key_heads": 3,
        "linear_num_value_heads": 6, "linear_key_head_dim": 10, "linear_value_head_dim": 12,
        "linear_conv_kernel_dim": 4, "num_experts": 7, "num_experts_per_tok": 3,
        "moe_intermediate_size": 34, "shared_expert_intermediate_size": 46, "hc_count": 3, "hc_lowrank": 7,
        "indexer_n_heads": 5, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 6,
        "indexer_compress_ratio": 3, "ple_layer_ids": [2], "ple_embed_dim": 48, "ngram_size": 3,
        "heads_per_ngram": 2, "ngram_vocab_size_base": 200, "make_ngram_vocab_size_divisible_by": 16,
        "ple_conv_kernel_size": 3, "tie_word_embeddings": false, "vocab_size": 131}"#;

    #[test]
    fn tables_of_ngrams_have_as_many_rows_as_the_next_primes() {
        let qwen = model(QWEN);
        let tables: Vec<(u64, u64, u64)> = qwen
            .ops()
            .filter_map(|(op, _)| match op {
                Op::Table(table) => Some((table.rows, table.width, table.looked_up)),
                _ => None,
            })
            .collect();
        // 211 + 223 + 227 + 229 = 890, up to a multiple of 16; four tables share the width of 48.
        assert_eq!(tables, [(131, 60, 1), (896, 12, 4)]);
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        assert_eq!(
            fact(&QWEN.replace("[2]", "[4]")),
            "`ple_layer_ids`: has 4, which is no layer with a delta net, counted from 1"
        );
        assert_eq!(
            fact(&QWEN.replace("budget\": 6", "budget\": 7")),
            "`indexer_budget`: is 7, which blocks of 3 do not divide evenly"
        );
        assert_eq!(
            fact(&QWEN.replace("per_ngram\": 2", "per_ngram\": 9999999")),
            "`heads_per_ngram`: and `ngram_size` make 19999998 tables, for a width of 48"
        );
    }
}
