//! Towers with SigLIP's layers over images of any shape: of PaddleOCR-VL, VideoLLaMA 3 and MiniMax-M3.

use super::clip::layer;
use super::qwen::pixels;
use super::{Layers, Tower, linear};
use crate::arch::parts::{layer_norm, table};
use crate::error::Result;
use crate::image::{Enlarged, Processor, Resized, Seen};
use crate::op::Op;

impl Layers {
    /// The layers, after `first` and before `last`.
    fn run(
        &self,
        tower: &mut Tower<'_>,
        path: &'static str,
        first: Vec<Op>,
        last: Vec<Op>,
    ) -> Result<()> {
        let Self { d, f, count, heads, .. } = *self;
        tower.stack("tower", path, Seen::patches(0), |builder| {
            if !first.is_empty() {
                builder.once("before layers", first);
            }
            builder.layers(count, |_| Ok(layer(d, f, heads)))?;
            if !last.is_empty() {
                builder.once("after layers", last);
            }
            Ok(())
        })
    }
}

/// PaddleOCR-VL: positions from a table, squares of patches side by side in one vector.
pub(super) fn paddleocr_vl(tower: &mut Tower<'_>) -> Result<Processor> {
    let layers = Layers::read(&tower.config, [1152, 4304, 27, 16])?;
    let c = &tower.config;
    let merge = c.size_or("spatial_merge_size", 2)?;
    // The class reads an image, which is one frame.
    for key in ["temporal_patch_size", "tokens_per_second"] {
        c.raw(key);
    }
    let (side, patch) = tower.patches(384, 14)?;
    let d = layers.d;
    let patches = linear("patch_embedding", layers.values(patch), d, true);
    tower.once("patches", Seen::patches(0), [patches])?;
    let positions = table("position_embedding", side * side, d);
    let norms = vec![layer_norm("post_layernorm", d, true), layer_norm("pre_norm", d, true)];
    layers.run(tower, "visual.vision_model.encoder.layers", vec![positions], norms)?;
    let (square, to) = (merge * merge * d, tower.text_width);
    tower.once(
        "projector",
        Seen::features(),
        [
            linear("projector.linear_1", square, square, true),
            linear("projector.linear_2", square, to, true),
        ],
    )?;
    let settings = tower.processor("PaddleOCRVLImageProcessor")?;
    let (least, most) = pixels(&settings, 384 * 384, 1536 * 1536)?;
    tower.whole.adopt(&settings);
    let enlarged = Enlarged::BySide;
    Ok(Processor::Resized(Resized { patch, merge, frames: 1, enlarged, least, most, around: 0 }))
}

/// VideoLLaMA 3: squares of patches are averaged, if the processor says so.
pub(super) fn video_llama_3(tower: &mut Tower<'_>) -> Result<Processor> {
    let layers = Layers::read(&tower.config, [768, 3072, 12, 12])?;
    let patch = tower.config.size_or("patch_size", 16)?;
    let d = layers.d;
    let patches = linear("patch_embedding", layers.values(patch), d, true);
    tower.once("patches", Seen::patches(0), [patches])?;
    let norm = vec![layer_norm("post_layernorm", d, true)];
    layers.run(tower, "vision_model.encoder.layers", vec![], norm)?;
    let to = tower.text_width;
    tower.once(
        "projector",
        Seen::features(),
        [linear("projector.readout.0", d, to, true), linear("projector.readout.2", to, to, true)],
    )?;
    let settings = tower.processor("VideoLlama3ImageProcessor")?;
    let (least, most) = pixels(&settings, 56 * 56, 28 * 28 * 1280)?;
    let merge = settings.size_or("merge_size", 1)?;
    tower.whole.adopt(&settings);
    let enlarged = Enlarged::Never;
    Ok(Processor::Resized(Resized { patch, merge, frames: 1, enlarged, least, most, around: 0 }))
}

/// MiniMax-M3: patches are projected to the text part's width, squares of them to it again.
pub(super) fn minimax_m3(tower: &mut Tower<'_>) -> Result<Processor> {
    let layers = Layers::read(&tower.config, [1280, 5120, 32, 16])?;
    let c = &tower.config;
    let patch = c.size_or("patch_size", 14)?;
    let frames = c.size_or("temporal_patch_size", 2)?;
    let merge = c.size_or("spatial_merge_size", 2)?;
    // No table of positions is as large.
    c.raw("image_size");
    let (d, to) = (layers.d, tower.text_width);
    let inside = tower.whole.size_or("projector_hidden_size", 6144)?;
    let patches = linear("embeddings.proj", frames * layers.values(patch), d, false);
    tower.once("patches", Seen::patches(0), [patches])?;
    let norm = vec![layer_norm("pre_layrnorm", d, true)];
    layers.run(tower, "vision_tower.layers", norm, vec![])?;
    tower.once(
        "projector",
        Seen::patches(0),
        [
            linear("multi_modal_projector.linear_1", d, inside, true),
            linear("multi_modal_projector.linear_2", inside, to, true),
        ],
    )?;
    tower.once(
        "merger",
        Seen::features(),
        [
            linear("multi_modal_projector.merge_linear_1", merge * merge * to, inside, true),
            linear("multi_modal_projector.merge_linear_2", inside, to, true),
        ],
    )?;
    let settings = tower.processor("MiniMaxM3VLImageProcessor")?;
    let (least, most) = pixels(&settings, 4 * 28 * 28, 451_584)?;
    tower.whole.adopt(&settings);
    let enlarged = Enlarged::Never;
    Ok(Processor::Resized(Resized { patch, merge, frames: 1, enlarged, least, most, around: 2 }))
}
