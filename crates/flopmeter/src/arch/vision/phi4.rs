//! Phi-4-multimodal's tower: SigLIP's over crops, of which padding is masked, squares of patches averaged, and two
//! matrices to the text's width.

use super::clip::{layer, pool};
use super::llava::chosen;
use super::{Layers, Tower, linear, most_tiles, unstated};
use crate::arch::parts::{layer_norm, table, vector};
use crate::error::Result;
use crate::image::{Crops, Processor, Seen};

/// Patches of a crop's side: the processor counts the tokens of no other view.
const SIDE: u64 = 32;

pub(super) fn phi4_multimodal(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    c.raw("model_type");
    let layers = Layers::read(c, [1152, 4304, 27, 16])?;
    let Layers { d, f, count, heads, .. } = layers;
    let needed = chosen(c, "feature_layer", &[-2], count)?.needed;
    let (side, patch) = tower.patches(448, 14)?;
    let crops = crops(tower, side, patch)?;
    let seen = Seen::up_to(side * side).stacked();
    let embedding = linear("patch_embedding", layers.values(patch), d, true);
    tower.once("patches", seen, [embedding, table("position_embedding", side * side, d)])?;
    const PATH: &str = "embed_tokens_extend.image_embed.img_processor.encoder.layers";
    tower
        .stack("tower", PATH, seen, |builder| builder.layers(needed, |_| Ok(layer(d, f, heads))))?;
    tower.stack("layers that give nothing", PATH, seen.for_nothing(), |builder| {
        builder.layers(count - needed, |_| Ok(layer(d, f, heads)))?;
        builder.once("norm after", [layer_norm("post_layernorm", d, true)]);
        Ok(())
    })?;
    let probe = Seen::probe(side * side).stacked();
    pool(tower, d, f, heads, [seen, probe].map(Seen::for_nothing))?;
    let to = tower.text_width;
    tower.once(
        "projector",
        Seen::features(),
        [
            linear("img_projection_up", d, to, true),
            linear("img_projection_down", to, to, true),
            vector("global_img_feature_extensor", d),
            vector("sub_img_feature_extensor", d),
        ],
    )?;
    Ok(Processor::Crops(crops))
}

fn crops(tower: &Tower<'_>, side: u64, patch: u64) -> Result<Crops> {
    tower.config.raw("image_token_id");
    let settings = tower.processor("Phi4MultimodalImageProcessor")?;
    let pixels = match settings.child("size")? {
        Some(size) => size.size("height")?,
        None => {
            settings.note_default("size", "448 pixels a side");
            448
        }
    };
    let stated = settings.size_or("patch_size", 14)?;
    let at_hand = settings.has("size");
    if !at_hand && (side != SIDE || pixels != side * patch) {
        let fact = format!(
            "its crops of {pixels} pixels are not the tower's, {side} patches of {patch} a side"
        );
        return Err(unstated("size", &fact));
    }
    if side != SIDE || pixels != side * patch || stated != patch {
        let fact = format!(
            "is {pixels} pixels in patches of {stated}; a crop has {SIDE} patches a side, as its tower has"
        );
        return Err(settings.contradiction("size", &fact));
    }
    let crop = tower.config.size_or("crop_size", 448)?;
    if crop != pixels {
        let fact = format!("is {crop}, and the processor's crops are {pixels} pixels a side");
        return Err(tower.config.contradiction("crop_size", &fact));
    }
    let most = most_tiles(&settings, "dynamic_hd", settings.size_or("dynamic_hd", 36)?)?;
    tower.whole.adopt(&settings);
    Ok(Crops { side: pixels, patch, most })
}
