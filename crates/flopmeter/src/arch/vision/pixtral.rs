//! Pixtral's tower: images of any shape, side by side in one sequence, none seeing another. And the projectors after it,
//! which merge squares of patches into one vector each.

use super::{Tower, attend, linear};
use crate::arch::parts::{Heads, rms_norm};
use crate::config::Config;
use crate::error::Result;
use crate::image::{Longest, Processor, Seen};
use serde_json::Value;

/// The tower's width, pixels of a patch, and the longest side in pixels.
struct Pixtral {
    width: u64,
    patch: u64,
    longest: u64,
}

fn pixtral(tower: &mut Tower<'_>) -> Result<Pixtral> {
    let c = &tower.config;
    let d = c.size_or("hidden_size", 1024)?;
    let f = c.size_or("intermediate_size", 4096)?;
    let layers = c.size_or("num_hidden_layers", 24)?;
    let query = c.size_or("num_attention_heads", 16)?;
    let channels = c.maybe("num_channels")?.unwrap_or(3);
    let dim = c.maybe("head_dim")?;
    let heads = Heads::checked(c, d, query, query, dim)?;
    let (side, patch) = tower.patches(1024, 16)?;
    let width = heads.query_width();
    tower.once(
        "patches",
        Seen::filled(),
        [linear("patch_conv", channels * patch * patch, d, false), rms_norm("ln_pre", d)],
    )?;
    tower.stack("tower", "vision_tower.transformer.layers", Seen::side_by_side(), |builder| {
        builder.layers(layers, |_| {
            Ok(vec![
                rms_norm("attention_norm", d),
                linear("attention.q_proj", d, width, false),
                linear("attention.k_proj", d, width, false),
                linear("attention.v_proj", d, width, false),
                attend("attention", heads.query, heads.dim),
                linear("attention.o_proj", width, d, false),
                rms_norm("ffn_norm", d),
                linear("feed_forward.gate_proj", d, f, false),
                linear("feed_forward.up_proj", d, f, false),
                linear("feed_forward.down_proj", f, d, false),
            ])
        })
    })?;
    Ok(Pixtral { width: d, patch, longest: side * patch })
}

/// Mistral 3: every row of squares ends in a token.
pub(super) fn mistral3(tower: &mut Tower<'_>) -> Result<Processor> {
    let seen = pixtral(tower)?;
    let outputs = match tower.whole.raw("vision_feature_layer") {
        Some(Value::Array(layers)) => layers.len() as u64,
        _ => 1,
    };
    let bias = tower.whole.flag("multimodal_projector_bias", false)?;
    let merge = project(tower, &seen, outputs, bias)?;
    let settings = tower.processor("PixtralImageProcessor")?;
    let edge = edge(&settings, &seen)?;
    tower.whole.adopt(&settings);
    // Its own processor takes squares for patches, whatever the settings are.
    let unit = seen.patch * merge;
    Ok(Processor::Longest(Longest { patch: seen.patch, merge, unit, edge, ends: true }))
}

/// LightOnOCR: nothing between the squares.
pub(super) fn lighton_ocr(tower: &mut Tower<'_>) -> Result<Processor> {
    let seen = pixtral(tower)?;
    let merge = project(tower, &seen, 1, false)?;
    let settings = tower.processor("PixtralImageProcessor")?;
    let edge = edge(&settings, &seen)?;
    let unit = match settings.child("patch_size")? {
        Some(patch) => patch.size("height")?,
        None => settings.size_or("patch_size", 16)?,
    };
    tower.whole.adopt(&settings);
    Ok(Processor::Longest(Longest { patch: seen.patch, merge, unit, edge, ends: false }))
}

/// A norm, a matrix that merges squares, and two to the text part's width. Gives the patches of a square's side.
fn project(tower: &mut Tower<'_>, seen: &Pixtral, outputs: u64, bias: bool) -> Result<u64> {
    let merge = tower.whole.size_or("spatial_merge_size", 2)?;
    let (d, to) = (seen.width, tower.text_width);
    tower.once(
        "projector",
        Seen::features(),
        [
            rms_norm("multi_modal_projector.norm", d),
            linear("multi_modal_projector.patch_merger.merging_layer", merge * merge * d, d, false),
            linear("multi_modal_projector.linear_1", outputs * d, to, bias),
            linear("multi_modal_projector.linear_2", to, to, bias),
        ],
    )?;
    Ok(merge)
}

/// The most pixels of a side.
fn edge(settings: &Config, seen: &Pixtral) -> Result<u64> {
    match settings.child("size")? {
        Some(size) => size.size("longest_edge"),
        // As the models' own processors have it.
        None => {
            settings.note_default("size", &format!("the tower's {}", seen.longest));
            Ok(seen.longest)
        }
    }
}
