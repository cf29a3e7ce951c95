//! Idefics2's tower: SigLIP's over images of any shape, and some vectors for each that attend to its patches.
//!
//! ```text
//! image  patches → L × [ SigLIP's layer ] → norm → gate, up → down
//! vectors        → N × [ q of them, k and v of patches and vectors → attend → out ] [ norm → gate, up → down ] → norm
//! ```

use super::clip::layer;
use super::{Layers, Tower, linear};
use crate::arch::parts::{layer_norm, rms_norm, table, vector};
use crate::error::Result;
use crate::image::{Bounded, Processor, Seen};
use crate::op::Attention;
use crate::passes::Mask;

pub(super) fn idefics2(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    // Published files have a name of their own here.
    c.raw("model_type");
    let layers = Layers::read(c, [768, 3072, 12, 12])?;
    let Layers { d, f, count, heads, .. } = layers;
    let (side, patch) = tower.patches(224, 32)?;
    let embedding = linear("patch_embedding", layers.values(patch), d, true);
    tower.once(
        "patches",
        Seen::largest(0),
        [embedding, table("position_embedding", side * side, d)],
    )?;
    tower.stack("tower", "vision_model.encoder.layers", Seen::largest(0), |builder| {
        builder.layers(count, |_| Ok(layer(d, f, heads)))?;
        builder.once("norm after", [layer_norm("post_layernorm", d, true)]);
        Ok(())
    })?;
    let (width, inside) = (tower.text_width, text_inside(tower)?);
    tower.once(
        "projection",
        Seen::largest(0),
        [
            linear("modality_projection.gate_proj", d, inside, false),
            linear("modality_projection.up_proj", d, inside, false),
            linear("modality_projection.down_proj", inside, width, false),
        ],
    )?;
    let features = resample(tower, width)?;
    bounded(tower, patch, features)
}

/// The width of the text part's feed-forward layers.
fn text_inside(tower: &Tower<'_>) -> Result<u64> {
    tower.whole.part("text_config")?.size_or("intermediate_size", 14336)
}

/// The vectors that attend to an image; how many they are.
fn resample(tower: &mut Tower<'_>, d: u64) -> Result<u64> {
    let c = tower.whole.part("perceiver_config")?;
    // It is the text part's, whatever this says.
    for key in ["model_type", "hidden_size"] {
        c.raw(key);
    }
    let vectors = c.size_or("resampler_n_latents", 64)?;
    let depth = c.size_or("resampler_depth", 3)?;
    let query = c.size_or("resampler_n_heads", 16)?;
    let dim = c.size_or("resampler_head_dim", 96)?;
    let kv = c.size_or("num_key_value_heads", 4)?;
    if !query.is_multiple_of(kv) {
        let fact = format!("is {kv}, which does not divide the {query} heads of queries evenly");
        return Err(c.contradiction("num_key_value_heads", &fact));
    }
    tower.whole.adopt(&c);
    const PATH: &str = "connector.perceiver_resampler.layers";
    tower.stack("keys and values", PATH, Seen::largest(vectors), |builder| {
        builder.layers(depth, |_| {
            Ok(["self_attn.k_proj", "self_attn.v_proj"]
                .map(|it| linear(it, d, kv * dim, false))
                .into())
        })
    })?;
    let attention = Attention::new("self_attn", query, kv, dim, dim, Mask::Full);
    tower.stack("vectors", PATH, Seen::queries_of_largest(vectors, vectors), |builder| {
        builder.once("vectors", [vector("latents", vectors * d)]);
        builder.layers(depth, |_| {
            Ok(vec![
                rms_norm("input_latents_norm", d),
                rms_norm("input_context_norm", d),
                linear("self_attn.q_proj", d, query * dim, false),
                attention.into(),
                linear("self_attn.o_proj", query * dim, d, false),
                rms_norm("post_attention_layernorm", d),
                linear("mlp.gate_proj", d, 4 * d, false),
                linear("mlp.up_proj", d, 4 * d, false),
                linear("mlp.down_proj", 4 * d, d, false),
            ])
        })?;
        builder.once("norm", [rms_norm("norm", d)]);
        Ok(())
    })?;
    Ok(vectors)
}

fn bounded(tower: &Tower<'_>, patch: u64, features: u64) -> Result<Processor> {
    let settings = tower.processor("Idefics2ImageProcessor")?;
    let quarters = settings.flag("do_image_splitting", false)?;
    let (shortest, longest) = match settings.child("size")? {
        Some(size) => (size.size("shortest_edge")?, size.size("longest_edge")?),
        None => {
            settings.note_default("size", "sides of 378 to 980");
            (378, 980)
        }
    };
    if shortest < patch {
        let fact =
            format!("has a shortest edge of {shortest}, and a patch is {patch} pixels a side");
        return Err(settings.contradiction("size", &fact));
    }
    tower.whole.adopt(&settings);
    Ok(Processor::Bounded(Bounded { shortest, longest, patch, features, quarters }))
}
