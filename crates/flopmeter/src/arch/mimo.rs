//! MiMo-V2-Flash: values narrower than keys, and twice the key/value heads where a layer slides.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward  dense in the first layer, then router + correction → k of E × (gate, up → down)
//! ```
//!
//! The first layer and every sixth attend to everything. The others slide, and their heads have sinks.

use super::feed_forward::{CORRECTION, FeedForward, sparse_layers};
use super::parts::{Heads, decoder, layer_masks, note_prediction_layers, pre_normed, projection};
use super::parts::{rms_norm, tied, vector};
use super::prediction::with_prediction_layers;
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Attention, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["mimo_v2_flash"];

pub(super) fn build(c: &Config) -> Result<Model> {
    note_prediction_layers(c)?;
    let d = c.size("hidden_size")?;
    let whole = Heads::read_or(c, d, 4, Some(192))?;
    let sliding = whole.sharing(c, "num_key_value_heads", 2 * whole.kv)?;
    let value = c.size_or("v_head_dim", 128)?;
    // Published files state these for the layers that slide; the reference implementation derives them.
    for (key, derived) in [
        ("swa_num_attention_heads", sliding.query),
        ("swa_num_key_value_heads", sliding.kv),
        ("swa_head_dim", sliding.dim),
        ("swa_v_head_dim", value),
    ] {
        if let Some(stated) = c.maybe(key)?.filter(|stated| *stated != derived) {
            return Err(c.contradiction(key, &format!("is {stated}; only {derived} is counted")));
        }
    }
    if let Some(count) = c.count("n_shared_experts")?.filter(|count| *count > 0) {
        let fact = format!("is {count}, but the model has no shared experts");
        return Err(c.contradiction("n_shared_experts", &fact));
    }
    let bias = c.flag("attention_bias", false)?;
    let ffn = FeedForward::read(c, "n_routed_experts")?.corrected(CORRECTION);
    let sparse = sparse_layers(c, |layer| layer > 0)?;
    let slides = |layer: u64| layer > 0 && !(layer + 1).is_multiple_of(6);
    let masks = layer_masks(c, window(c)?, slides)?;
    same_as(c, "hybrid_layer_pattern", |layer| masks(layer) != Mask::Causal)?;
    same_as(c, "moe_layer_freq", &sparse)?;
    let sliding = |mask| {
        let mut ops = attention(d, sliding, value, bias, mask);
        ops.push(vector("self_attn.sinks", sliding.query));
        ops
    };
    let model = decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let attention = match masks(layer) {
            Mask::Causal => attention(d, whole, value, bias, Mask::Causal),
            mask => sliding(mask),
        };
        Ok(pre_normed(d, attention, ffn.layer(sparse(layer), d, false)))
    })?;
    // Dense and sliding, each with its own: the model card's 0.33B.
    let mask = window(c)?.map_or(Mask::Causal, |window| Mask::Sliding { window });
    with_prediction_layers(c, model, d, pre_normed(d, sliding(mask), ffn.layer(false, d, false)))
}

fn attention(hidden: u64, heads: Heads, value: u64, bias: bool, mask: Mask) -> Vec<Op> {
    let Heads { query, kv, dim } = heads;
    vec![
        projection("self_attn.q_proj", hidden, query * dim).bias(bias).into(),
        projection("self_attn.k_proj", hidden, kv * dim).bias(bias).into(),
        projection("self_attn.v_proj", hidden, kv * value).bias(bias).into(),
        Attention::new("self_attn", query, kv, dim, value, mask).into(),
        projection("self_attn.o_proj", query * value, hidden).into(),
    ]
}

/// `sliding_window` counts a token itself; the older `sliding_window_size` does not, and goes before.
fn window(c: &Config) -> Result<Option<u64>> {
    match c.maybe("sliding_window_size")? {
        Some(before) => {
            let _older = c.raw("sliding_window");
            Ok(Some(before + 1))
        }
        None => c.size_or("sliding_window", 129).map(Some),
    }
}

/// Refuses a list of published files, 1 for each layer of a kind, that says otherwise than the layers
/// that are built: the reference implementation does not read it.
fn same_as(c: &Config, key: &'static str, built: impl Fn(u64) -> bool) -> Result<()> {
    let listed = c.counts(key)?.unwrap_or_default();
    match (0..).zip(&listed).find(|(layer, kind)| built(*layer) != (**kind != 0)) {
        None => Ok(()),
        Some((layer, kind)) => Err(c
            .contradiction(key, &format!("has {kind} for layer {layer}, which is built otherwise"))
            .hint("list the layers in `layer_types` and `mlp_layer_types`")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model, windows};

    /// MiMo-V2-Flash, with lists for two layers of its 48.
    const MIMO: &str = r#"{"model_type": "mimo_v2_flash", "hidden_size": 4096, "head_dim": 192,
        "v_head_dim": 128, "intermediate_size": 16384, "moe_intermediate_size": 2048,
        "num_attention_heads": 64, "num_key_value_heads": 4, "num_hidden_layers": 48,
        "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": null,
        "sliding_window": 128, "sliding_window_size": 128, "swa_num_key_value_heads": 8,
        "hybrid_layer_pattern": [0, 1], "moe_layer_freq": [0, 1], "vocab_size": 152576,
        "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#;

    #[test]
    fn mimo_has_the_parameters_of_its_sizes() {
        // q and out 4096·64·(192 + 128) in 48 layers; k and v 4096·320, four heads in 9 layers and
        // eight in 39, which have 64 sinks; norms 2·4096; one dense layer of 3·4096·16384, 47 of
        // 4096·256 + 256·3·4096·2048; 2·152576·4096 and a norm: 308 billion.
        let attention: u128 =
            48 * (4096 * 64 * 320 + 2 * 4096) + 9 * 4 * 4096 * 320 + 39 * (8 * 4096 * 320 + 64);
        let routed: u128 = 4096 * 256 + 256 * 3 * 4096 * 2048;
        let total = attention + 3 * 4096 * 16_384 + 47 * routed + 2 * 152_576 * 4096 + 4096;
        let mimo = model(MIMO);
        assert_eq!(mimo.parameters().total, total);
        assert!(mimo.unread().is_empty() && mimo.notes().is_empty());
        assert_eq!(windows(&mimo), [(None, 1), (Some(129), 39), (None, 8)]);
    }

    #[test]
    fn what_the_reference_implementation_does_not_read_must_agree_with_it() {
        assert_eq!(
            fact(&MIMO.replace("heads\": 8", "heads\": 16")),
            "`swa_num_key_value_heads`: is 16; only 8 is counted"
        );
        assert_eq!(
            fact(&MIMO.replace("freq\": [0, 1]", "freq\": [1, 1]")),
            "`moe_layer_freq`: has 1 for layer 0, which is built otherwise"
        );
        assert_eq!(
            fact(&MIMO.replace("\"n_shared_experts\": null", "\"n_shared_experts\": 1")),
            "`n_shared_experts`: is 1, but the model has no shared experts"
        );
    }
}
