//! Ovis2's tower: tiles, squares of their patches side by side, and for each the probability of words that an image is
//! told in, which weigh the rows of a table.

use super::{Layers, Tower, attend, linear};
use crate::arch::parts::{layer_norm, rms_norm, table};
use crate::error::Result;
use crate::image::{Covered, Processor, Seen};

/// The most tiles that are believed; each arrangement of them is tried on an image.
const MOST_TILES: u64 = 64;

pub(super) fn ovis2(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let layers = Layers::read(c, [1024, 2816, 24, 8])?;
    let Layers { d, f, count, heads, .. } = layers;
    let bias = c.flag("qkv_bias", false)?;
    let mlp_bias = c.flag("mlp_bias", false)?;
    let words = c.size_or("vocab_size", 16_384)?;
    let indicators = c.count_or("num_visual_indicator_tokens", 5)?;
    let stride = c.size_or("hidden_stride", 1)?;
    let (side, patch) = tower.patches(224, 14)?;
    let c = &tower.config;
    if !side.is_multiple_of(stride) {
        let fact = format!("is {stride}, which does not divide the {side} patches of a side");
        return Err(c.contradiction("hidden_stride", &fact));
    }
    let Some(told) = words.checked_sub(indicators).filter(|told| *told > 0) else {
        let fact = format!("is {indicators}, and there are {words} words for images");
        return Err(c.contradiction("num_visual_indicator_tokens", &fact));
    };
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("embeddings.patch_embedding", layers.values(patch), d, true),
            rms_norm("embeddings.rms_norm", d),
            table("embeddings.position_embedding", side * side, d),
        ],
    )?;
    let path = "vision_tower.transformer.encoder.layers";
    tower.stack("tower", path, Seen::patches(0), |builder| {
        builder.layers(count, |_| {
            Ok(vec![
                rms_norm("rms_norm1", d),
                linear("attention.q_proj", d, d, bias),
                linear("attention.k_proj", d, d, bias),
                linear("attention.v_proj", d, d, bias),
                attend("attention", heads.query, heads.dim),
                linear("attention.out_proj", d, d, bias),
                rms_norm("rms_norm2", d),
                linear("ffn.gate_proj", d, f, mlp_bias),
                linear("ffn.up_proj", d, f, mlp_bias),
                linear("ffn.down_proj", f, d, mlp_bias),
            ])
        })?;
        builder.once("norm after", [rms_norm("rms_norm", d)]);
        Ok(())
    })?;
    let to = tower.text_width;
    tower.once(
        "words",
        Seen::features(),
        [
            linear("head_linear", stride * stride * d, told, false),
            layer_norm("head_norm", told, true),
            linear("visual_embeddings_table", told, to, false),
        ],
    )?;
    // Rows that no patch has a part in: they stand between the tiles.
    if indicators > 0 {
        let rows = linear("visual_embeddings_table", indicators, to, false);
        tower.once("indicators", Seen::features().for_nothing(), [rows])?;
    }
    let settings = tower.processor("Ovis2ImageProcessor")?;
    let cuts = settings.flag_or("crop_to_patches", false)?;
    let most = if cuts { settings.size_or("max_patches", 12)? } else { 1 };
    if most > MOST_TILES {
        let fact = format!("is {most}; the most that is believed is {MOST_TILES}");
        return Err(settings.contradiction("max_patches", &fact));
    }
    let least = if cuts && !settings.flag("use_covering_area_grid", true)? {
        Some(settings.size_or("min_patches", 1)?)
    } else {
        None
    };
    tower.whole.adopt(&settings);
    Ok(Processor::Covered(Covered {
        side: side * patch,
        least: least.filter(|_| most > 1),
        most,
        patches: side,
        features: (side / stride) * (side / stride),
    }))
}
