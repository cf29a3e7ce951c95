//! LFM2-VL's tower: SigLIP 2's over images of any shape, squares of patches side by side in one vector.

use super::clip::{layer, pool};
use super::{Layers, Tower, linear, most_tiles, unstated};
use crate::arch::parts::{layer_norm, table};
use crate::error::Result;
use crate::image::{Processor, Seen, Tiles, Viewed};
use crate::op::{Attention, Op};
use crate::passes::Mask;

/// The most patches of the side of a square that is believed.
const MOST_MERGED: u64 = 64;

pub(super) fn lfm2_vl(tower: &mut Tower<'_>) -> Result<Processor> {
    let by = tower.whole.size_or("downsample_factor", 2)?;
    if by > MOST_MERGED {
        let fact = format!("is {by}; the most that is believed is {MOST_MERGED}");
        return Err(tower.whole.contradiction("downsample_factor", &fact));
    }
    let viewed = viewed(tower, by)?;
    let most = viewed.filled();
    let d = patches(tower, viewed.patch, most)?;
    let inside = tower.whole.size_or("projector_hidden_size", 2560)?;
    let bias = tower.whole.flag("projector_bias", true)?;
    let normed = tower.whole.flag("projector_use_layernorm", true)?;
    let from = by * by * d;
    let mut projector = vec![
        linear("multi_modal_projector.linear_1", from, inside, bias),
        linear("multi_modal_projector.linear_2", inside, tower.text_width, bias),
    ];
    if normed {
        projector.insert(0, layer_norm("multi_modal_projector.layer_norm", from, true));
    }
    tower.once("projector", Seen::features_up_to(most / (by * by)), projector)?;
    Ok(Processor::Viewed(viewed))
}

/// SigLIP 2's tower, each image's patches filled up to `most`; its width.
fn patches(tower: &mut Tower<'_>, patch: u64, most: u64) -> Result<u64> {
    let c = &tower.config;
    // Published files have the names of several classes here.
    c.raw("model_type");
    let layers = Layers::read(c, [768, 3072, 12, 12])?;
    let Layers { d, f, count, heads, .. } = layers;
    let positions = c.size_or("num_patches", 256)?;
    let pooled = c.flag("vision_use_head", true)?;
    let stated = c.size_or("patch_size", 16)?;
    if stated != patch && !tower.processor("")?.has("encoder_patch_size") {
        let fact = format!("its {patch} pixels a side are not the tower's {stated}");
        return Err(unstated("encoder_patch_size", &fact));
    }
    if stated != patch {
        let fact = format!("is {stated}, and the processor's patches are {patch} pixels a side");
        return Err(c.contradiction("patch_size", &fact));
    }
    let seen = Seen::up_to(most);
    let embedding = linear("patch_embedding", layers.values(patch), d, true);
    tower.once("patches", seen, [embedding, table("position_embedding", positions, d)])?;
    let between: Op = Attention::new("position_embedding", 1, 1, d, 0, Mask::Full).into();
    tower.once("positions", Seen::between(most, positions), [between])?;
    let path = "vision_tower.vision_model.encoder.layers";
    tower.stack("tower", path, seen, |builder| {
        builder.layers(count, |_| Ok(layer(d, f, heads)))?;
        builder.once("norm after", [layer_norm("post_layernorm", d, true)]);
        Ok(())
    })?;
    if pooled {
        pool(tower, d, f, heads, [seen, Seen::probe(most)].map(Seen::for_nothing))?;
    }
    Ok(d)
}

/// How the processor cuts.
fn viewed(tower: &Tower<'_>, by: u64) -> Result<Viewed> {
    // Published configs have the processor's settings too.
    for key in ["encoder_patch_size", "max_num_patches", "tile_size", "vision_feature_layer"] {
        tower.whole.raw(key);
    }
    let settings = tower.processor("Lfm2VlImageProcessor")?;
    settings.raw("max_num_patches");
    let patch = settings.size_or("encoder_patch_size", 16)?;
    let merge = settings.size_or("downsample_factor", 2)?;
    if merge != by {
        let fact = format!("is {merge}, and the projector's is {by}");
        return Err(settings.contradiction("downsample_factor", &fact));
    }
    let vectors =
        [settings.size_or("min_image_tokens", 64)?, settings.size_or("max_image_tokens", 256)?];
    let tolerance = settings.number("max_pixels_tolerance")?.unwrap_or(2.0);
    let splits = settings.flag("do_image_splitting", true)?;
    let side = settings.size_or("tile_size", 512)?;
    let least = settings.size_or("min_tiles", 2)?;
    let most = most_tiles(&settings, "max_tiles", settings.size_or("max_tiles", 10)?)?;
    let viewed = settings.flag("use_thumbnail", true)?;
    let tiles = (splits && most > 1).then_some(Tiles { side, least, most, viewed });
    if tiles.is_some() && (least < 2 || least > most) {
        let fact = format!("is {least}; an image that is cut becomes 2 to {most} tiles");
        return Err(settings.contradiction("min_tiles", &fact));
    }
    if tiles.is_some() && !side.is_multiple_of(patch * merge) {
        let fact = format!("is {side}, in which squares of {patch} · {merge} pixels do not fit");
        return Err(settings.contradiction("tile_size", &fact));
    }
    tower.whole.adopt(&settings);
    Ok(Viewed { patch, merge, vectors, tolerance, tiles })
}
