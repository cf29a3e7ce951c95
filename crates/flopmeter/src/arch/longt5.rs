//! LongT5 (arXiv:2112.07916): T5, whose encoder attends to what is less than a block away, and perhaps to sums of blocks
//! of the whole text.
//!
//! ```text
//! encoder  embed → L × [ norm → q, k, v (→ sums → norm → k, v) → attend near (and to sums) → o ] [ norm → wi → wo ] → norm
//! decoder  as in T5
//! ```
//!
//! Sums are made anew in every layer; the reference implementation makes them by a product, which `torch` counts with the
//! scores.

use super::bart::is_whole;
use super::parts::{head, projection, rms_norm, shared_table, table, tied, vector};
use super::t5::{DECODER_MLP, ENCODER_MLP, Stack, encoder_alone};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, Model};
use crate::op::{Local, Op, Pieces, Summaries};
use crate::passes::Mask;
use crate::stack::Reads;

pub(super) const MODEL_TYPES: &[&str] = &["longt5"];

pub(super) fn build(c: &Config) -> Result<Model> {
    let encoder_alone = encoder_alone(c)? || !is_whole(c)?;
    let stack = Stack::read(c)?;
    let (vocab, d) = (c.size("vocab_size")?, stack.d);
    let layers = c.size("num_layers")?;
    let decoder_layers = c.size_or("num_decoder_layers", layers)?;
    let pieces = pieces(c, d)?;
    let encoder = |model: &mut Builder<'_>| {
        model.once("embedding", [table("shared", vocab, d)]);
        model.layers(layers, |layer| Ok(encoding(&stack, layer, pieces)))?;
        model.once("norm", [rms_norm("final_layer_norm", d)]);
        Ok(())
    };
    let mut model = Builder::new(c)?;
    if encoder_alone {
        encoder(&mut model)?;
        return model.finish();
    }
    model.stack(("encoder", "encoder.block"), Component::Encoder, Reads::Prompt, encoder)?;
    model.once("embedding", [shared_table("embed_tokens", vocab, d)]);
    model.layers(decoder_layers, |layer| {
        let mut ops = stack.self_attention(layer, Mask::Causal);
        ops.extend(stack.cross_attention());
        ops.extend(stack.feed_forward(DECODER_MLP, false));
        Ok(ops)
    })?;
    let tied = tied(c, true)?;
    model.head([rms_norm("final_layer_norm", d), head(d, vocab, tied).into()])?;
    model.finish()
}

/// What a token of the encoder sees.
fn pieces(c: &Config, width: u64) -> Result<Pieces> {
    const KEY: &str = "encoder_attention_type";
    let block = c.size_or("local_radius", 127)? + 1;
    let summaries = match c.text(KEY)? {
        Some("transient-global") => {
            Some(Summaries { every: c.size_or("global_block_size", 16)?, width })
        }
        None | Some("local") => {
            c.raw("global_block_size");
            None
        }
        Some(other) => {
            let fact = format!("is \"{}\"; local and transient-global are counted", shown(other));
            return Err(c.contradiction(KEY, &fact));
        }
    };
    Ok(Pieces::Neighbours { block, summaries })
}

/// Modules of attention: its own, queries, keys, values, what comes out, and biases of distances.
type Names = [&'static str; 6];

const LOCAL: Names = [
    "layer.0.LocalSelfAttention",
    "layer.0.LocalSelfAttention.q",
    "layer.0.LocalSelfAttention.k",
    "layer.0.LocalSelfAttention.v",
    "layer.0.LocalSelfAttention.o",
    "layer.0.LocalSelfAttention.relative_attention_bias",
];

const TRANSIENT: Names = [
    "layer.0.TransientGlobalSelfAttention",
    "layer.0.TransientGlobalSelfAttention.q",
    "layer.0.TransientGlobalSelfAttention.k",
    "layer.0.TransientGlobalSelfAttention.v",
    "layer.0.TransientGlobalSelfAttention.o",
    "layer.0.TransientGlobalSelfAttention.relative_attention_bias",
];

/// A layer of the encoder.
fn encoding(stack: &Stack, layer: u64, pieces: Pieces) -> Vec<Op> {
    let (d, heads, inner) = (stack.d, stack.heads, stack.heads.query_width());
    let Pieces::Neighbours { summaries, .. } = pieces else { return Vec::new() };
    let [attention, q, k, v, o, biases] = if summaries.is_some() { TRANSIENT } else { LOCAL };
    let mut ops = vec![
        rms_norm("layer.0.layer_norm", d),
        projection(q, d, inner).into(),
        projection(k, d, inner).into(),
        projection(v, d, inner).into(),
    ];
    let table = stack.buckets * heads.query;
    if layer == 0 {
        ops.push(vector(biases, table));
    }
    if let Some(Summaries { every, .. }) = summaries {
        let of_sums =
            |module| projection(module, d, inner).of_sums(every).sharing_weights(true).into();
        let norm = "layer.0.TransientGlobalSelfAttention.global_input_layer_norm";
        ops.extend([rms_norm(norm, d), of_sums(k), of_sums(v)]);
        if layer == 0 {
            let module = "layer.0.TransientGlobalSelfAttention.global_relative_attention_bias";
            ops.push(vector(module, table));
        }
    }
    ops.extend([
        Local { module: attention, heads: heads.query, dim: heads.dim, pieces }.into(),
        projection(o, inner, d).into(),
    ]);
    ops.extend(stack.feed_forward(ENCODER_MLP, false));
    ops
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, parameters};

    const BASE: &str = r#"{"model_type": "longt5", "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_layers": 12,
        "num_heads": 12, "vocab_size": 32128, "feed_forward_proj": "gated-gelu", "local_radius": 127,
        "global_block_size": 16, "encoder_attention_type": "transient-global", "tie_word_embeddings": false,
        "relative_attention_num_buckets": 32}"#;

    #[test]
    fn base_with_sums_has_the_parameters_of_its_sizes() {
        // Table and head 2·32,128·768; 36 attentions of 4·768² and a norm, 24 feed-forward layers of 3·768·2048 and a
        // norm, a norm of sums in 12 layers, two last norms, three tables of 32·12.
        let attention: u128 = 4 * 768 * 768 + 768;
        let mlp = 3 * 768 * 2048 + 768;
        let all = 2 * 32_128 * 768 + 36 * attention + 24 * mlp + 12 * 768 + 2 * 768 + 3 * 32 * 12;
        assert_eq!(parameters(BASE), all);
        // "250M" in table 2 of its paper.
        assert_eq!((all + 5_000_000) / 10_000_000, 25);
    }

    #[test]
    fn other_attentions_are_refused() {
        assert_eq!(
            fact(&BASE.replace("transient-global", "full")),
            "`encoder_attention_type`: is \"full\"; local and transient-global are counted"
        );
    }
}
