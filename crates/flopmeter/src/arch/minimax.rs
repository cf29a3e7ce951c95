//! MiniMax-01: lightning attention and attention by turns, and experts in every layer.
//!
//! ```text
//! embed → L × [ norm → (q, k, v → state → norm · gate → out, or q, k, v → attend → out) ]
//!             [ norm → router → k of E × (gate, up → down) ] → norm → head
//! ```
//!
//! Experts are `intermediate_size` wide. Lightning attention, its projections included, counts under
//! `recurrent`. `model` counts its state token by token; `torch` counts blocks of a first pass as well:
//! [`RecurrentKind::by_reference`](crate::op::RecurrentKind::by_reference).

use super::experts;
use super::mixtral::BLOCK_SPARSE;
use super::parts::{Heads, decoder, pre_normed, rms_norm, tied};
use super::recurrent::{Layer, mixers, projection, width};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Op, Recurrent, RecurrentKind};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["minimax"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let f = c.size("intermediate_size")?;
    let heads = Heads::read_or(c, d, 8, None)?;
    width(c, "head_dim", heads.query, heads.dim)?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    let layers = c.size("num_hidden_layers")?;
    // Every second layer, the first included, attends unless `layer_types` says which.
    let mixers = mixers(c, layers, |layer| layer % 2 == 1)?;
    let lightning = lightning(d, &heads, c.size_or("block_size", 256)?);
    // A window is masked and never cut from the cache.
    let mask = c.maybe("sliding_window")?.map_or(Mask::Causal, |window| Mask::Sliding { window });
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mixer = match mixers(layer) {
            Layer::Attention => whole_cache(heads.attention(d, false, false, mask)),
            _ => lightning.clone(),
        };
        Ok(pre_normed(d, mixer, experts::mixture(BLOCK_SPARSE, d, f, experts)))
    })
}

fn whole_cache(mut ops: Vec<Op>) -> Vec<Op> {
    for op in &mut ops {
        if let Op::Attention(op) = op {
            op.cache_mask = Mask::Causal;
        }
    }
    ops
}

fn lightning(d: u64, heads: &Heads, block: u64) -> Vec<Op> {
    let width = heads.query_width();
    let state = RecurrentKind::Lightning { heads: heads.query, head: heads.dim, block };
    vec![
        projection("self_attn.qkv_proj", d, 3 * width).into(),
        Recurrent::new("self_attn", state).into(),
        rms_norm("self_attn.norm", width),
        projection("self_attn.output_gate", d, width).into(),
        projection("self_attn.out_proj", width, d).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    const MINIMAX: &str = r#"{"model_type": "minimax", "hidden_size": 64, "intermediate_size": 96,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 5,
        "num_local_experts": 8, "num_experts_per_tok": 2, "vocab_size": 131}"#;

    #[test]
    fn every_second_layer_attends() {
        let minimax = model(MINIMAX);
        let names: Vec<&str> = minimax.groups().iter().map(|group| group.name.as_str()).collect();
        assert_eq!(names, ["embedding", "layers 0, 2, 4", "layers 1, 3", "head"]);
        assert!(minimax.unread().is_empty());
    }

    #[test]
    fn a_width_beyond_belief_is_an_error() {
        let wide = MINIMAX.replace("\"vocab_size\"", "\"head_dim\": 16777216, \"vocab_size\"");
        assert!(fact(&wide).starts_with("`head_dim`: makes a width of 67108864"));
    }
}
