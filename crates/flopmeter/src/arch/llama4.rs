//! Llama 4: attention within chunks, and one routed and one shared expert a token.
//!
//! ```text
//! embed → L × [ norm → q, k, v → attend → out ] [ norm → feed-forward ] → norm → head
//! feed-forward, of experts router → k of E × (gate and up → down) + shared (gate, up → down)
//!               dense      gate, up → down
//! ```
//!
//! Layers with rotary embeddings attend within chunks, those without to everything. Norms of queries
//! and keys have no weights. The reference implementation runs every expert on every token.

use super::experts;
use super::parts::{
    Heads, decoder, layer_masks, mlp, one_at_most, one_each, pre_normed, rms_norm, text_part, tied,
};
use crate::config::Config;
use crate::error::Result;
use crate::model::Model;
use crate::op::{Experts, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["llama4", "llama4_text"];

pub(super) fn build(c: &Config) -> Result<Model> {
    if c.model_type() == "llama4_text" {
        return text(c);
    }
    text_part(c, "llama4_text", text)
}

fn text(c: &Config) -> Result<Model> {
    let d = c.size("hidden_size")?;
    let heads = Heads::read_or(c, d, 8, Some(128))?;
    let bias = c.flag("attention_bias", false)?;
    let layers = c.size("num_hidden_layers")?;
    let routed = routed_layers(c, layers)?;
    let experts = experts::read(c, "num_local_experts", "num_experts_per_tok")?;
    let experts = Experts { run_by_reference: experts.total, ..experts };
    let f = c.size("intermediate_size")?;
    let dense = c.size_or("intermediate_size_mlp", 16384)?;
    let chunk = c.size_or("attention_chunk_size", 8192)?;
    let chunks = chunked_layers(c, layers, chunk)?;
    decoder(c, d, tied(c, false)?, rms_norm("model.norm", d), |layer| {
        let mask = if chunks(layer) { Mask::Chunked { chunk } } else { Mask::Causal };
        let mlp = if routed(layer) { mixture(d, f, experts) } else { dense_mlp(d, dense) };
        Ok(pre_normed(d, heads.attention(d, bias, bias, mask), mlp))
    })
}

fn mixture(hidden: u64, inner: u64, experts: Experts) -> Vec<Op> {
    let mut ops: Vec<Op> = vec![
        experts::router("feed_forward.router", hidden, experts).into(),
        experts::expert("feed_forward.experts.gate_up_proj", hidden, 2 * inner, experts).into(),
        experts::expert("feed_forward.experts.down_proj", inner, hidden, experts).into(),
    ];
    let shared = [
        "feed_forward.shared_expert.gate_proj",
        "feed_forward.shared_expert.up_proj",
        "feed_forward.shared_expert.down_proj",
    ];
    ops.extend(experts::shared(shared, hidden, inner, false));
    ops
}

fn dense_mlp(hidden: u64, inner: u64) -> Vec<Op> {
    vec![
        mlp("feed_forward.gate_proj", hidden, inner).into(),
        mlp("feed_forward.up_proj", hidden, inner).into(),
        mlp("feed_forward.down_proj", inner, hidden).into(),
    ]
}

/// Which layers have experts: those that `moe_layers` lists, or every so many.
fn routed_layers(c: &Config, layers: u64) -> Result<impl Fn(u64) -> bool> {
    let listed = c.counts("moe_layers")?;
    if let Some(listed) = &listed {
        one_at_most(c, "moe_layers", listed, layers)?;
    }
    let step = match listed {
        Some(_) => c.maybe("interleave_moe_layer_step")?.unwrap_or(1),
        None => c.size_or("interleave_moe_layer_step", 1)?,
    };
    Ok(move |layer| match &listed {
        Some(listed) => listed.contains(&layer),
        None => (layer + 1).is_multiple_of(step),
    })
}

/// Which layers attend within chunks: `layer_types` says it, or `no_rope_layers` (1 for a layer that
/// does have rotary embeddings), or all but every fourth do.
fn chunked_layers(c: &Config, layers: u64, chunk: u64) -> Result<impl Fn(u64) -> bool> {
    let rotary = c.counts("no_rope_layers")?.filter(|listed| !listed.is_empty());
    if let Some(listed) = &rotary {
        one_each(c, "no_rope_layers", listed, layers)?;
    }
    let interval = match &rotary {
        None if !c.has("layer_types") => c.size_or("no_rope_layer_interval", 4)?,
        _ => c.maybe("no_rope_layer_interval")?.unwrap_or(4),
    };
    let masks = layer_masks(c, Some(chunk), move |layer| match &rotary {
        Some(rotary) => usize::try_from(layer).is_ok_and(|at| rotary.get(at) != Some(&0)),
        None => !(layer + 1).is_multiple_of(interval),
    })?;
    Ok(move |layer| masks(layer) != Mask::Causal)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};

    /// Llama-4-Scout-17B-16E's language model.
    const SCOUT: &str = r#"{"model_type": "llama4_text", "attention_chunk_size": 8192,
        "head_dim": 128, "hidden_size": 5120, "interleave_moe_layer_step": 1,
        "intermediate_size": 8192, "intermediate_size_mlp": 16384, "no_rope_layer_interval": 4,
        "num_attention_heads": 40, "num_experts_per_tok": 1, "num_hidden_layers": 48,
        "num_key_value_heads": 8, "num_local_experts": 16, "torch_dtype": "bfloat16",
        "vocab_size": 202048}"#;

    #[test]
    fn scout_has_as_many_parameters_as_its_reference_implementation() {
        // Attention 2·5120·(5120 + 1024), router 5120·16, experts (16 + 1)·3·5120·8192, norms
        // 2·5120; 48 of them, 2·202048·5120 and a norm.
        let layer: u128 = 2 * 5120 * 6144 + 5120 * 16 + 17 * 3 * 5120 * 8192 + 2 * 5120;
        assert_eq!(48 * layer + 2 * 202_048 * 5120 + 5120, 107_769_861_120);
        let whole = format!(
            r#"{{"model_type": "llama4", "torch_dtype": "bfloat16", "text_config": {SCOUT}}}"#
        );
        for text in [SCOUT, &whole] {
            let scout = model(text);
            assert_eq!(scout.model_type(), "llama4_text");
            assert_eq!(scout.parameters().total, 107_769_861_120);
            assert!(scout.unread().is_empty());
        }
    }

    #[test]
    fn every_fourth_layer_attends_to_everything() {
        let scout = model(SCOUT);
        let repeats: Vec<u64> = scout.groups().iter().map(|group| group.repeat).collect();
        assert_eq!(repeats, [1, 36, 12, 1]);
        let rotary = SCOUT
            .replace("\"no_rope_layer_interval\": 4", "\"no_rope_layers\": [1, 0, 0]")
            .replace("layers\": 48", "layers\": 3");
        let names: Vec<String> =
            model(&rotary).groups().iter().map(|group| group.name.clone()).collect();
        assert_eq!(names, ["embedding", "layer 0", "layers 1–2", "head"]);
    }

    #[test]
    fn lists_of_the_wrong_length_are_errors() {
        let rope = SCOUT.replace("no_rope_layer_interval\": 4", "no_rope_layers\": [1, 0]");
        assert_eq!(fact(&rope), "`no_rope_layers`: has 2 entries for 48 layers");
        let kinds = SCOUT.replace("\"no_rope_layer_interval\": 4", "\"layer_types\": []");
        assert_eq!(fact(&kinds), "`layer_types`: has 0 entries for 48 layers");
        let chunk = SCOUT.replace("chunk_size\": 8192", "chunk_size\": 0");
        assert_eq!(fact(&chunk), "`attention_chunk_size`: is 0, which is no size");
    }
}
