//! Inkling: attention with a bias that each query makes of the distance, short convolutions of keys, values and of what
//! either half returns, and experts.
//!
//! ```text
//! embed → norm → L × [ norm → q, k, v, r → convolutions of k, v → norms of q, k → attend + r · profiles → out → convolution ]
//!                    [ norm → feed-forward → convolution ] → norm → head
//! feed-forward  dense, or router → k of E × (gate, up → down) + shared × (gate, up → down)
//! ```
//!
//! Every sixth layer attends to everything; the others slide and may have other heads. A query has a number for each of
//! `rel_extent` distances, or for those of its window. The router scores the shared experts as well. The head is never
//! the embedding.

use super::experts::{self, IN_MLP, SHARED_IN_MLP};
use super::feed_forward::sparse_layers;
use super::parts::{
    Heads, gated_mlp, head, head_norms, layer_masks_of, note_prediction_layers, uncounted_kind,
};
use super::parts::{projection, rms_norm, table, text_part, vector, with_norms};
use super::recurrent::convolution;
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Experts, Linear, Op, Product};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["inkling_mm_model", "inkling_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    match c.model_type() {
        "inkling_mm_model" => text_part(c, "inkling_text", inkling),
        _ => inkling(c),
    }
}

fn inkling(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let layers = c.size("num_hidden_layers")?;
    let vocab = c.size("vocab_size")?;
    let kernel = c.size_of_or(&["conv_kernel_size", "sconv_kernel_size"], 4)?;
    let window = c.size_of_or(&["sliding_window_size", "sliding_window"], 512)?;
    let masks =
        layer_masks_of(c, layers, kinds(c)?, Some(window), |layer| !(layer + 1).is_multiple_of(6))?;
    let whole = Attention::read(c, d, kernel)?;
    let sliding = whole.in_window(c, window, [64, 16, 128])?;
    let ffn = FeedForward::read(c)?;
    let dense = c.count("dense_mlp_idx")?.unwrap_or(0);
    let sparse = sparse_layers(c, |layer| layer >= dense)?;

    let mut model = Builder::new(c)?;
    model.once(
        "embedding",
        [table("model.embed_tokens", vocab, d), rms_norm("model.embed_tokens.embed_norm", d)],
    );
    model.layers(layers, |layer| {
        let mask = masks(layer);
        let attention = if mask == Mask::Causal { &whole } else { &sliding };
        let mut ops = vec![rms_norm("input_layernorm", d)];
        ops.extend(attention.ops(d, mask));
        ops.push(convolution("attn_sconv", d, kernel, false));
        ops.push(rms_norm("post_attention_layernorm", d));
        ops.extend(ffn.ops(sparse(layer), d));
        ops.push(convolution("mlp_sconv", d, kernel, false));
        Ok(ops)
    })?;
    model.head([rms_norm("model.norm", d), head(d, vocab, false).into()])?;
    model.finish()
}

const WHOLE: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// What `layer_types` calls the layers, in the words of other types.
pub(super) fn listed_kinds(c: &Config) -> Result<Option<Vec<&'static str>>> {
    const KEY: &str = "layer_types";
    let Some(listed) = c.texts(KEY)? else { return Ok(None) };
    let kind = |kind: &str| match kind {
        "hybrid" => Ok(WHOLE),
        "hybrid_sliding" => Ok(SLIDING),
        other => Err(uncounted_kind(c, KEY, other)),
    };
    listed.into_iter().map(kind).collect::<Result<_>>().map(Some)
}

/// The same; older files list those that slide.
fn kinds(c: &Config) -> Result<Option<Vec<&'static str>>> {
    if let Some(listed) = listed_kinds(c)? {
        return Ok(Some(listed));
    }
    let Some(local) = c.counts("local_layer_ids")? else { return Ok(None) };
    let layers = c.size("num_hidden_layers")?.min(crate::model::MOST_LAYERS);
    let local: std::collections::HashSet<u64> = local.into_iter().collect();
    Ok(Some(
        (0..layers).map(|layer| if local.contains(&layer) { SLIDING } else { WHOLE }).collect(),
    ))
}

/// The attention of one kind of layer.
#[derive(Clone, Copy)]
pub(super) struct Attention {
    pub heads: Heads,
    pub kernel: u64,
    /// Numbers of a head that profiles are mixed by.
    pub mixes: u64,
    /// Distances that a profile has a number for.
    pub extent: u64,
}

impl Attention {
    pub fn read(c: &Config, hidden: u64, kernel: u64) -> Result<Self> {
        Ok(Self {
            heads: Heads::read_or(c, hidden, 8, Some(128))?,
            kernel,
            mixes: c.size_or("d_rel", 16)?,
            extent: c.size_or("rel_extent", 1024)?,
        })
    }

    /// That of layers which slide; `defaults` are their heads, those of keys and values, and their width.
    pub fn in_window(&self, c: &Config, window: u64, defaults: [u64; 3]) -> Result<Self> {
        let [query, kv, dim] = defaults;
        let query = c.size_or("swa_num_attention_heads", query)?;
        let kv = c.size_or("swa_num_key_value_heads", kv)?;
        let dim = c.size_or("swa_head_dim", dim)?;
        let heads = Heads { query, kv: query, dim }.sharing(c, "swa_num_key_value_heads", kv)?;
        Ok(Self { heads, extent: window, ..*self })
    }

    fn ops(&self, d: u64, mask: Mask) -> Vec<Op> {
        let Self { heads, kernel, mixes, extent } = *self;
        let mut ops = with_norms(heads.attention(d, false, false, mask), head_norms(&heads));
        let mixed = heads.query * mixes;
        ops.extend([
            convolution("self_attn.k_sconv", heads.kv_width(), kernel, false),
            convolution("self_attn.v_sconv", heads.kv_width(), kernel, false),
            projection("self_attn.r_proj", d, mixed).into(),
            vector("self_attn.rel_logits_proj", mixes * extent),
            // Every head mixes the same profiles.
            Op::Product(Product {
                module: "self_attn.rel_logits_proj",
                component: Component::AttentionProjections,
                from: mixed,
                to: extent,
            }),
        ]);
        ops
    }
}

/// Feed-forward layers of both kinds.
struct FeedForward {
    experts: Experts,
    shared: u64,
    dense: u64,
    expert: u64,
}

impl FeedForward {
    fn read(c: &Config) -> Result<Self> {
        let stated = c.size("intermediate_size")?;
        // Where the width of dense layers has a key of its own, this one is the experts'.
        let (dense, expert) = match c.maybe("dense_intermediate_size")? {
            Some(dense) => (dense, stated),
            None => (stated, c.size("moe_intermediate_size")?),
        };
        Ok(Self {
            experts: experts::read(c, "n_routed_experts", "num_experts_per_tok")?,
            shared: c.size_or("n_shared_experts", 2)?,
            dense,
            expert,
        })
    }

    fn ops(&self, sparse: bool, d: u64) -> Vec<Op> {
        if !sparse {
            let mut ops = gated_mlp(d, self.dense, false);
            ops.push(vector("mlp.global_scale", 1));
            return ops;
        }
        let mut ops = experts::mixture(IN_MLP, d, self.expert, self.experts);
        let scored = self.experts.total + self.shared;
        ops[0] = Linear::new(IN_MLP[0], Component::MoeRouter, d, scored).into();
        ops.push(vector("mlp.gate.global_scale", 1));
        ops.push(experts::correction("mlp.gate.e_score_correction_bias", self.experts));
        ops.extend(experts::shared(SHARED_IN_MLP, d, self.shared * self.expert, false));
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    fn small(more: &str) -> String {
        format!(
            r#"{{"model_type": "inkling_text", "hidden_size": 64, "num_hidden_layers": 6, "num_attention_heads": 4,
                "num_key_value_heads": 2, "head_dim": 16, "swa_num_attention_heads": 4, "swa_num_key_value_heads": 1,
                "swa_head_dim": 8, "sliding_window_size": 8, "d_rel": 3, "rel_extent": 10, "vocab_size": 100,
                "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 2, "conv_kernel_size": 4,
                "intermediate_size": 96{more}}}"#
        )
    }

    #[test]
    fn widths_of_both_kinds_go_by_two_names() {
        let new = model(&small(r#", "moe_intermediate_size": 32, "dense_mlp_idx": 1"#));
        let old = small(r#", "dense_intermediate_size": 96, "dense_mlp_idx": 1"#)
            .replace("\"intermediate_size\": 96", "\"intermediate_size\": 32");
        assert_eq!(new.parameters(), model(&old).parameters());
        // The whole layer: q, o 2·64·64, k, v 2·64·32, r 64·12, profiles 3·10, norms 2·16, convolutions (2·32)·4.
        let whole: u128 = 2 * 64 * 64 + 2 * 64 * 32 + 64 * 12 + 30 + 32 + 64 * 4;
        // Five that slide: q, o 2·64·32, k, v 2·64·8, r 64·12, profiles 3·8, norms 2·8, convolutions (2·8)·4.
        let sliding = 2 * 64 * 32 + 2 * 64 * 8 + 64 * 12 + 24 + 16 + 16 * 4;
        let dense = 3 * 64 * 96 + 1;
        let sparse = 64 * 10 + 1 + 10 * 3 * 64 * 32;
        // Each layer has two norms and two convolutions of 64·4; two tables, two norms.
        let total =
            whole + 5 * sliding + dense + 5 * sparse + 6 * (2 * 64 + 2 * 256) + 2 * 6400 + 2 * 64;
        assert_eq!(new.parameters().total, total);
    }

    #[test]
    fn layers_that_slide_are_listed_in_two_ways() {
        let experts = r#", "moe_intermediate_size": 32"#;
        let of = |more: &str| {
            let found = windows(&model(&small(&format!("{experts}{more}"))));
            found.iter().filter(|(window, _)| window.is_some()).map(|(_, count)| count).sum::<u64>()
        };
        assert_eq!(of(""), 5);
        assert_eq!(of(r#", "local_layer_ids": [0, 3]"#), 2);
        let listed = r#", "layer_types": ["hybrid", "hybrid", "hybrid_sliding", "hybrid", "hybrid", "hybrid"]"#;
        assert_eq!(of(listed), 1);
        assert_eq!(
            fact(&small(&format!(r#"{experts}, "layer_types": ["full_attention"]"#))),
            "`layer_types`: has a layer of a kind that is not counted: \"full_attention\""
        );
    }
}
