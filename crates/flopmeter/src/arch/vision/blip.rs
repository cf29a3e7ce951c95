//! BLIP-2's tower: a ViT, and queries of its own that attend to what it gives (the Q-Former, arXiv:2301.12597).
//!
//! ```text
//! image → patches and a class → L × [ norm → q, k, v → attend → out ] [ norm → fc1 → fc2 ] → norm ┐
//! queries → norm → L × [ q, k, v → attend → out → norm ] [ q → attend to the image → out → norm ] [ up → down → norm ]
//! → project → the image's tokens
//! ```
//!
//! In every so many layers the queries attend to the image, whose keys and values are made anew there.

use super::{Tower, attend, linear};
use crate::arch::parts::{layer_norm, table, vector};
use crate::config::Config;
use crate::error::Result;
use crate::image::{Cut, Processor, Seen};
use crate::op::{Attention, Op};
use crate::passes::Mask;

pub(super) fn blip2(tower: &mut Tower<'_>) -> Result<Processor> {
    let (width, side) = vit(tower)?;
    let Some(c) = tower.whole.child("qformer_config")? else {
        return Err(tower.whole.contradiction("qformer_config", "is missing"));
    };
    let queries = tower.whole.size_or("num_query_tokens", 32)?;
    tower.whole.raw("image_text_hidden_size");
    let former = Former::read(&c, width)?;
    tower.whole.adopt(&c);
    former.put(tower, queries)?;
    let matrix = linear("language_projection", former.d, tower.text_width, true);
    tower.once("projector", Seen::queries(queries), [matrix])?;
    Ok(Processor::Square(Cut::whole(side, side, queries)))
}

/// The encoder of an image: its width, and the patches of a side.
fn vit(tower: &mut Tower<'_>) -> Result<(u64, u64)> {
    let c = &tower.config;
    c.text("model_type")?;
    let d = c.size_or("hidden_size", 1408)?;
    let f = c.size_or("intermediate_size", 6144)?;
    let layers = c.size_or("num_hidden_layers", 39)?;
    let heads = super::heads(c, d, c.size_or("num_attention_heads", 16)?)?;
    let bias = c.flag("qkv_bias", true)?;
    let (side, patch) = tower.patches(224, 14)?;
    tower.once(
        "patches",
        Seen::patches(0),
        [linear("patch_embedding", 3 * patch * patch, d, true), vector("class_embedding", d)],
    )?;
    tower.stack("tower", "vision_model.encoder.layers", Seen::patches(1), |builder| {
        builder.once("positions", [table("position_embedding", side * side + 1, d)]);
        builder.layers(layers, |_| {
            Ok(vec![
                layer_norm("layer_norm1", d, true),
                linear("self_attn.qkv", d, 3 * d, bias),
                attend("self_attn", heads.query, heads.dim),
                linear("self_attn.projection", d, d, true),
                layer_norm("layer_norm2", d, true),
                linear("mlp.fc1", d, f, true),
                linear("mlp.fc2", f, d, true),
            ])
        })?;
        builder.once("norm", [layer_norm("post_layernorm", d, true)]);
        Ok(())
    })?;
    Ok((d, side))
}

/// What attends to an image.
struct Former {
    d: u64,
    f: u64,
    layers: u64,
    heads: u64,
    /// Layers of which one attends to the image.
    every: u64,
    /// Width of the image's vectors.
    image: u64,
    /// Whether it has feed-forward layers for a text beside the queries, which nothing passes here.
    reads: bool,
}

const PATH: &str = "qformer.encoder.layer";

impl Former {
    fn read(c: &Config, image: u64) -> Result<Self> {
        c.text("model_type")?;
        for key in ["vocab_size", "max_position_embeddings", "encoder_hidden_size"] {
            c.raw(key);
        }
        let d = c.size_or("hidden_size", 768)?;
        Ok(Self {
            d,
            f: c.size_or("intermediate_size", 3072)?,
            layers: c.size_or("num_hidden_layers", 12)?,
            heads: super::heads(c, d, c.size_or("num_attention_heads", 12)?)?.query,
            every: c.size_or("cross_attention_frequency", 2)?,
            image,
            reads: c.flag("use_qformer_text_input", false)?,
        })
    }

    /// Puts its layers into the tower, by what they run over: the queries, the image, and pairs of both.
    fn put(&self, tower: &mut Tower<'_>, queries: u64) -> Result<()> {
        let Self { d, layers, every, image, .. } = *self;
        let attends = |layer: u64| layer.is_multiple_of(every);
        tower.stack("queries", PATH, Seen::queries(queries), |builder| {
            builder.once(
                "query",
                [vector("query_tokens", queries * d), layer_norm("layernorm", d, true)],
            );
            builder.layers(layers, |layer| Ok(self.of_queries(attends(layer))))
        })?;
        tower.stack("keys and values of the image", PATH, Seen::patches(1), |builder| {
            builder.layers(layers, |layer| {
                let two = ["crossattention.attention.key", "crossattention.attention.value"];
                let ops = two.map(|module| linear(module, image, d, true));
                Ok(if attends(layer) { ops.into() } else { vec![] })
            })
        })?;
        let dim = d / self.heads;
        let product = Attention::new(
            "crossattention.attention",
            self.heads,
            self.heads,
            dim,
            dim,
            Mask::Full,
        );
        tower.stack("attention to the image", PATH, Seen::queries_of(queries, 1), |builder| {
            builder.layers(layers, |layer| {
                Ok(if attends(layer) { vec![product.into()] } else { vec![] })
            })
        })
    }

    /// What runs over the queries in a layer.
    fn of_queries(&self, attends: bool) -> Vec<Op> {
        let Self { d, f, .. } = *self;
        let mut ops = vec![
            linear("attention.attention.query", d, d, true),
            linear("attention.attention.key", d, d, true),
            linear("attention.attention.value", d, d, true),
            attend("attention.attention", self.heads, d / self.heads),
            linear("attention.output.dense", d, d, true),
            layer_norm("attention.output.LayerNorm", d, true),
        ];
        if attends {
            ops.extend([
                linear("crossattention.attention.query", d, d, true),
                linear("crossattention.output.dense", d, d, true),
                layer_norm("crossattention.output.LayerNorm", d, true),
            ]);
        }
        ops.extend([
            linear("intermediate_query.dense", d, f, true),
            linear("output_query.dense", f, d, true),
            layer_norm("output_query.LayerNorm", d, true),
        ]);
        if self.reads {
            let of_text = [
                linear("intermediate.dense", d, f, true),
                linear("output.dense", f, d, true),
                layer_norm("output.LayerNorm", d, true),
            ];
            ops.extend(of_text.map(|op| Op::Idle(Box::new(op))));
        }
        ops
    }
}
