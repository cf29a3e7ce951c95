//! InternVL's tower: tiles with a class each, squares of patches side by side in one vector.

use super::{Layers, Tower, attend, linear, most_tiles};
use crate::arch::parts::{layer_norm, rms_norm, table, vector};
use crate::error::Result;
use crate::image::{Processor, Seen, Tiled};

pub(super) fn internvl(tower: &mut Tower<'_>) -> Result<Processor> {
    tiles_of(tower, false)
}

/// Qianfan-OCR: InternVL's, whose queries, keys and values have biases unless the config says otherwise.
pub(super) fn qianfan_ocr(tower: &mut Tower<'_>) -> Result<Processor> {
    tiles_of(tower, true)
}

fn tiles_of(tower: &mut Tower<'_>, biased: bool) -> Result<Processor> {
    let c = &tower.config;
    let layers = Layers::read(c, [1024, 4096, 24, 16])?;
    let Layers { d, f, count, heads, .. } = layers;
    let bias = c.flag("attention_bias", biased)?;
    let normed = c.flag("use_qk_norm", false)?;
    let masked = u64::from(c.flag("use_mask_token", false)?);
    let absolute = c.flag("use_absolute_position_embeddings", true)?;
    let pooled = c.flag("use_mean_pooling", true)?;
    let rms = c.text("norm_type")? == Some("rms_norm");
    let norm = move |module| if rms { rms_norm(module, d) } else { layer_norm(module, d, true) };
    let (side, patch) = tower.patches(448, 14)?;
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("patch_embeddings.projection", layers.values(patch), d, true),
            vector("embeddings.cls_token", d),
            vector("embeddings.mask_token", masked * d),
        ],
    )?;
    tower.stack("tower", "vision_tower.encoder.layer", Seen::patches(1), |builder| {
        if absolute {
            builder
                .once("positions", [table("embeddings.position_embeddings", side * side + 1, d)]);
        }
        builder.layers(count, |_| {
            let mut ops = vec![
                norm("layernorm_before"),
                linear("attention.q_proj", d, d, bias),
                linear("attention.k_proj", d, d, bias),
                linear("attention.v_proj", d, d, bias),
            ];
            if normed {
                ops.extend([rms_norm("attention.q_norm", d), rms_norm("attention.k_norm", d)]);
            }
            ops.extend([
                attend("attention", heads.query, heads.dim),
                linear("attention.projection_layer", d, d, true),
                norm("layernorm_after"),
                linear("mlp.fc1", d, f, true),
                linear("mlp.fc2", f, d, true),
                vector("lambda_1", d),
                vector("lambda_2", d),
            ]);
            Ok(ops)
        })?;
        if !pooled {
            builder.once("norm after", [layer_norm("layernorm", d, true)]);
        }
        Ok(())
    })?;
    let whole = tower.whole;
    let ratio = whole.number("downsample_ratio")?.unwrap_or(0.5);
    let by = (1.0 / ratio).trunc();
    if !(1.0..=64.0).contains(&by) {
        return Err(whole.contradiction("downsample_ratio", "is no fraction of a side"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let by = by as u64;
    let (from, to) = (by * by * d, tower.text_width);
    tower.once(
        "projector",
        Seen::features(),
        [
            layer_norm("multi_modal_projector.layer_norm", from, true),
            linear("multi_modal_projector.linear_1", from, to, true),
            linear("multi_modal_projector.linear_2", to, to, true),
        ],
    )?;
    whole.raw("image_seq_length");
    let (least, most) = tiles(tower)?;
    Ok(Processor::Tiled(Tiled {
        side: side * patch,
        least,
        most,
        patches: side,
        features: (side / by) * (side / by),
        around_tile: 0,
        around: 2,
    }))
}

/// The fewest and the most tiles of GOT-OCR2's processor, which others use too.
pub(super) fn tiles(tower: &Tower<'_>) -> Result<(u64, u64)> {
    let settings = tower.processor("GotOcr2ImageProcessor")?;
    let least = settings.size_or("min_patches", 1)?;
    let most = settings.size_or("max_patches", 12)?;
    tower.whole.adopt(&settings);
    Ok((least, most_tiles(&settings, "max_patches", most)?))
}
