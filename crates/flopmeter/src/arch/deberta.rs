//! DeBERTa, its second and third version: encoders whose queries and keys also meet vectors of distances.
//!
//! ```text
//! embed (+ positions, segments) (→ project) → norm → L × [ q, k, v → attend + q · distances + k · distances → out, norm ]
//!                                                        [ up → down, norm ] (→ pool, or dense → norm → head)
//! ```
//!
//! Each layer projects the table of distances, once for a whole batch: the first version with matrices of its own and
//! as many distances as the longest sequence has, the later ones all of them, in buckets, and with the matrices of
//! queries and keys where these are shared (`share_att_key`). A convolution over three positions may stand beside the
//! first layer of the second version. Decoders there are none.

use super::bert::{decoder_head, transform};
use super::parts::{Heads, layer_norm, mlp, projection, table, tied, vector};
use super::task::{Task, classify, everywhere, for_each_token};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{DistanceScores, Distances, Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["deberta", "deberta-v2"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::equal(c, d, &["num_attention_heads"])?;
    let f = c.size("intermediate_size")?;
    let vocab = c.size("vocab_size")?;
    let e = c.size_or("embedding_size", d)?;
    let positions = c.size_or("max_position_embeddings", 512)?;
    let attention = Attention::read(c, d, heads, positions)?;
    let mut model = Builder::new(c)?;

    let mut first = vec![table("embeddings.word_embeddings", vocab, e)];
    if c.flag("position_biased_input", true)? {
        first.push(table("embeddings.position_embeddings", positions, e));
    }
    let segments = c.count_or("type_vocab_size", 0)?;
    if segments > 0 {
        first.push(table("embeddings.token_type_embeddings", segments, e));
    }
    if e != d {
        let project = Linear::new("embeddings.embed_proj", Component::EmbeddingProjections, e, d);
        first.push(project.into());
    }
    first.push(layer_norm("embeddings.LayerNorm", d, true));
    if let Some(relative) = &attention.relative {
        // Whatever the sequence, each layer looks at the whole of it.
        first.push(vector("encoder.rel_embeddings", relative.stored * d));
        if relative.normed {
            first.push(layer_norm("encoder.LayerNorm", d, true));
        }
    }
    model.once("embedding", first);
    let convolution = convolution(c, d)?;
    model.layers(c.size("num_hidden_layers")?, |layer| {
        let mut ops = attention.ops();
        ops.extend([
            projection("attention.output.dense", d, d).bias(true).into(),
            layer_norm("attention.output.LayerNorm", d, true),
            mlp("intermediate.dense", d, f).bias(true).into(),
            mlp("output.dense", f, d).bias(true).into(),
            layer_norm("output.LayerNorm", d, true),
        ]);
        if layer == 0 {
            ops.extend(convolution.clone());
        }
        Ok(ops)
    })?;
    model.head(behind(c, d, e, vocab)?)?;
    model.finish()
}

/// What stands behind the encoder.
fn behind(c: &Config, d: u64, e: u64, vocab: u64) -> Result<Vec<Op>> {
    // The pooler is as wide as what it pools.
    c.raw("pooler_hidden_size");
    Ok(match Task::of(c)? {
        Task::Embed => vec![],
        Task::Predict => {
            // Newer heads are as wide as the model, whose table they multiply by.
            let width = if c.flag("legacy", true)? { e } else { d };
            let head =
                transform(d, width).into_iter().chain(decoder_head(width, vocab, tied(c, true)?));
            everywhere(head).collect()
        }
        Task::ClassifySequence(labels) => classify("pooler.dense", "classifier", d, labels).into(),
        Task::ClassifyTokens(labels) => vec![for_each_token("classifier", d, labels).into()],
        task @ Task::PreTrain => return task.unknown(c),
    })
}

/// The convolution whose output is added to the first layer's.
fn convolution(c: &Config, d: u64) -> Result<Vec<Op>> {
    let kernel = c.count_or("conv_kernel_size", 0)?;
    if c.model_type() == "deberta" || kernel == 0 {
        return Ok(vec![]);
    }
    if kernel.is_multiple_of(2) {
        let fact = format!("is {kernel}; around a position there is an odd number of them");
        return Err(c.contradiction("conv_kernel_size", &fact));
    }
    let groups = c.size_or("conv_groups", 1)?;
    if !d.is_multiple_of(groups) {
        let fact = format!("is {groups}, which does not divide the width {d} evenly");
        return Err(c.contradiction("conv_groups", &fact));
    }
    let inputs = super::recurrent::width(c, "conv_kernel_size", kernel, d / groups)?;
    Ok(vec![
        Linear::new("conv.conv", Component::Recurrent, inputs, d).bias(true).into(),
        layer_norm("conv.LayerNorm", d, true),
    ])
}

struct Attention {
    d: u64,
    heads: Heads,
    /// Whether queries, keys and values are one matrix, as in the first version.
    fused: bool,
    relative: Option<Relative>,
}

/// How distances are scored.
struct Relative {
    distances: Distances,
    /// Vectors in the table.
    stored: u64,
    normed: bool,
    /// Whether queries meet them, and whether keys do.
    of_queries: bool,
    of_keys: bool,
    /// Whether they are projected as tokens are.
    shared: bool,
}

impl Attention {
    fn read(c: &Config, d: u64, heads: Heads, positions: u64) -> Result<Self> {
        let fused = c.model_type() == "deberta";
        if fused && c.flag("talking_head", false)? {
            return Err(c.contradiction("talking_head", "is true, which is not counted"));
        }
        let relative = match c.flag("relative_attention", false)? {
            true => Some(Relative::read(c, fused, positions)?),
            false => {
                for key in Relative::KEYS {
                    c.raw(key);
                }
                None
            }
        };
        Ok(Self { d, heads, fused, relative })
    }

    fn ops(&self) -> Vec<Op> {
        let Self { d, heads, fused, .. } = *self;
        let mut ops: Vec<Op> = match fused {
            true => vec![
                projection("attention.self.in_proj", d, 3 * d).into(),
                vector("attention.self.q_bias", d),
                vector("attention.self.v_bias", d),
            ],
            false => {
                let three = [
                    "attention.self.query_proj",
                    "attention.self.key_proj",
                    "attention.self.value_proj",
                ];
                three.map(|module| projection(module, d, d).bias(true).into()).into()
            }
        };
        ops.push(heads.attend_in("attention.self", Mask::Full));
        if let Some(relative) = &self.relative {
            ops.extend(relative.projections(d, fused));
            for met in [relative.of_queries, relative.of_keys] {
                if met {
                    let (heads, dim) = (heads.query, heads.dim);
                    let distances = relative.distances;
                    ops.push(
                        DistanceScores { module: "attention.self", heads, dim, distances }.into(),
                    );
                }
            }
        }
        ops
    }
}

impl Relative {
    const KEYS: [&'static str; 5] = [
        "max_relative_positions",
        "norm_rel_ebd",
        "pos_att_type",
        "position_buckets",
        "share_att_key",
    ];

    fn read(c: &Config, first_version: bool, positions: u64) -> Result<Self> {
        let kinds = match c.raw("pos_att_type").and_then(|value| value.as_str()) {
            Some(text) => {
                text.to_lowercase().split('|').map(|kind| kind.trim().to_owned()).collect()
            }
            None => {
                let listed = c.texts("pos_att_type")?.unwrap_or_default();
                listed.into_iter().map(str::to_owned).collect::<Vec<String>>()
            }
        };
        let of = |kind: &str| kinds.iter().any(|known| known == kind);
        let most = above_zero(c, "max_relative_positions")?.unwrap_or(positions);
        let (distances, stored) = if first_version {
            (Distances::Reached(most), 2 * most)
        } else {
            let side = above_zero(c, "position_buckets")?.unwrap_or(most);
            (Distances::All(2 * side), 2 * side)
        };
        let normed = c.text("norm_rel_ebd")?.is_some_and(|norm| {
            !first_version && norm.to_lowercase().split('|').any(|norm| norm.trim() == "layer_norm")
        });
        let shared = c.flag("share_att_key", false)? && !first_version;
        Ok(Self { distances, stored, normed, of_queries: of("c2p"), of_keys: of("p2c"), shared })
    }

    /// What projects the vectors of distances, once for a batch.
    fn projections(&self, d: u64, first_version: bool) -> Vec<Op> {
        let project = |module| projection(module, d, d).of_distances(self.distances);
        if self.shared {
            return ["attention.self.query_proj", "attention.self.key_proj"]
                .map(|module| project(module).sharing_weights(true).into())
                .into();
        }
        let [key, query] = match first_version {
            true => ["attention.self.pos_proj", "attention.self.pos_q_proj"],
            false => ["attention.self.pos_key_proj", "attention.self.pos_query_proj"],
        };
        let of_queries = project(key).bias(!first_version);
        let of_keys = project(query).bias(true);
        [(self.of_queries, of_queries), (self.of_keys, of_keys)]
            .into_iter()
            .filter(|(met, _)| *met)
            .map(|(_, linear)| linear.into())
            .collect()
    }
}

/// A size of which −1 is a way to say that there is none.
fn above_zero(c: &Config, key: &'static str) -> Result<Option<u64>> {
    match c.raw(key).and_then(|value| value.as_i64()) {
        Some(none) if none < 1 => Ok(None),
        _ => c.maybe(key),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, parameters};
    use crate::{Convention, Sequence, Workload};

    const V3_BASE: &str = r#"{"model_type": "deberta-v2", "hidden_size": 768, "num_hidden_layers": 12,
        "num_attention_heads": 12, "intermediate_size": 3072, "vocab_size": 128100, "architectures": ["DebertaV2Model"],
        "max_position_embeddings": 512, "position_biased_input": false, "type_vocab_size": 0,
        "relative_attention": true, "max_relative_positions": -1, "position_buckets": 256,
        "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p"}"#;

    #[test]
    fn the_third_version_has_its_published_parameters() {
        // Table 128,100·768, norm 1536; distances 512·768, norm 1536. A layer: attention 4·(768² + 768), mlp
        // 2·768·3072 + 3072 + 768, two norms of 1536.
        let layer: u128 = 4 * 590_592 + 4_722_432 + 2 * 1536;
        let all = 128_100 * 768 + 1536 + 512 * 768 + 1536 + 12 * layer;
        assert_eq!(parameters(V3_BASE), all);
        // Its model card: 98M of the embedding, and 86M of the rest, which is nearer to 85M; 184M of all.
        assert_eq!((all + 500_000) / 1_000_000, 184);
        assert_eq!((128_100_u128 * 768 + 500_000) / 1_000_000, 98);
    }

    #[test]
    fn distances_are_projected_once_for_a_batch() {
        let model = model(V3_BASE);
        let projections = |sequences: Vec<Sequence>| {
            let workload = Workload::batch(sequences).expect("a workload");
            let flops = model.flops(&workload, &Convention::MODEL).expect("a count");
            flops.components()[crate::Component::AttentionProjections]
        };
        let one = Sequence::new(10, 0);
        // A token: 4 projections of 768², and once 512 distances through two of them; 12 layers.
        let token: u128 = 12 * 4 * 2 * 768 * 768;
        let once = 12 * 2 * 512 * 2 * 768 * 768;
        assert_eq!(projections(vec![one]), 10 * token + once);
        assert_eq!(projections(vec![Sequence { count: 3, ..one }]), 30 * token + once);
        assert_eq!(projections(vec![one, Sequence::new(20, 0)]), 30 * token + once);
    }

    #[test]
    fn what_is_not_counted_is_refused() {
        let first = V3_BASE.replace("deberta-v2", "deberta");
        assert_eq!(
            fact(&first.replacen('{', r#"{"talking_head": true, "#, 1)),
            "`talking_head`: is true, which is not counted"
        );
        assert_eq!(
            fact(&V3_BASE.replacen('{', r#"{"conv_kernel_size": 4, "#, 1)),
            "`conv_kernel_size`: is 4; around a position there is an odd number of them"
        );
    }
}
