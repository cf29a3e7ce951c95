//! PaddleOCR-VL's tower: SigLIP's layers over images of any shape, squares of patches merged into one vector each.

use super::qwen::pixels;
use super::{Tower, attend, linear};
use crate::arch::parts::{layer_norm, table};
use crate::error::Result;
use crate::image::{Enlarged, Processor, Resized, Seen};

pub(super) fn paddleocr_vl(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let d = c.size_or("hidden_size", 1152)?;
    let f = c.size_or("intermediate_size", 4304)?;
    let layers = c.size_or("num_hidden_layers", 27)?;
    let query = c.size_or("num_attention_heads", 16)?;
    let heads = super::heads(c, d, query)?;
    let channels = c.maybe("num_channels")?.unwrap_or(3);
    let merge = c.size_or("spatial_merge_size", 2)?;
    // The class reads an image, which is one frame.
    for key in ["temporal_patch_size", "tokens_per_second"] {
        c.raw(key);
    }
    let (side, patch) = tower.patches(384, 14)?;
    let patches = linear("patch_embedding", channels * patch * patch, d, true);
    tower.once("patches", Seen::patches(0), [patches])?;
    let path = "visual.vision_model.encoder.layers";
    tower.stack("tower", path, Seen::patches(0), |builder| {
        builder.once("positions", [table("position_embedding", side * side, d)]);
        builder.layers(layers, |_| {
            Ok(vec![
                layer_norm("layer_norm1", d, true),
                linear("self_attn.q_proj", d, d, true),
                linear("self_attn.k_proj", d, d, true),
                linear("self_attn.v_proj", d, d, true),
                attend("self_attn", heads.query, heads.dim),
                linear("self_attn.out_proj", d, d, true),
                layer_norm("layer_norm2", d, true),
                linear("mlp.fc1", d, f, true),
                linear("mlp.fc2", f, d, true),
            ])
        })?;
        builder.once("norm after", [layer_norm("post_layernorm", d, true)]);
        builder.once("norm before merging", [layer_norm("projector.pre_norm", d, true)]);
        Ok(())
    })?;
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
    Ok(Processor::Resized(Resized { patch, merge, frames: 1, enlarged, least, most }))
}
