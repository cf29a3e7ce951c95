//! Llama 4's tower: tiles with a class each, four patches shuffled into one vector.

use super::{Layers, Tower, attend, linear, most_tiles};
use crate::arch::parts::{layer_norm, table, vector};
use crate::error::Result;
use crate::image::{Canvas, Canvases, Processor, Seen};

pub(super) fn llama4(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let layers = Layers::read(c, [768, 5632, 34, 16])?;
    let Layers { d, f, count, heads, .. } = layers;
    let given = c.size_or("vision_output_dim", 7680)?;
    let inside = c.size_or("projector_input_dim", 4096)?;
    let adapted = c.size_or("projector_output_dim", 4096)?;
    // The class has no bias, whatever the key says.
    c.flag("multi_modal_projector_bias", false)?;
    let ratio = c.number("pixel_shuffle_ratio")?.unwrap_or(0.5);
    let (side, patch) = tower.patches(448, 14)?;
    let features = shuffled(tower, side, ratio)?;
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("patch_embedding.linear", layers.values(patch), d, false),
            vector("class_embedding", d),
        ],
    )?;
    tower.stack("tower", "vision_model.model.layers", Seen::patches(1), |builder| {
        builder.once(
            "positions",
            [
                table("positional_embedding_vlm", side * side + 1, d),
                layer_norm("layernorm_pre", d, true),
            ],
        );
        builder.layers(count, |_| {
            Ok(vec![
                layer_norm("input_layernorm", d, true),
                linear("self_attn.q_proj", d, d, true),
                linear("self_attn.k_proj", d, d, true),
                linear("self_attn.v_proj", d, d, true),
                attend("self_attn", heads.query, heads.dim),
                linear("self_attn.o_proj", d, d, true),
                layer_norm("post_attention_layernorm", d, true),
                linear("mlp.fc1", d, f, true),
                linear("mlp.fc2", f, d, true),
            ])
        })?;
        builder.once("norm after", [layer_norm("layernorm_post", d, true)]);
        Ok(())
    })?;
    tower.once(
        "projector",
        Seen::features(),
        [
            linear("vision_adapter.mlp.fc1", f, inside, false),
            linear("vision_adapter.mlp.fc2", adapted, adapted, false),
            linear("multi_modal_projector.linear_1", given, tower.text_width, false),
        ],
    )?;
    let settings = tower.processor("Llama4ImageProcessor")?;
    let most = settings.size_or("max_patches", 16)?;
    let most = most_tiles(&settings, "max_patches", most)?;
    tower.whole.adopt(&settings);
    let kind = Canvases::Embedded { features };
    Ok(Processor::Canvas(Canvas { side: side * patch, most, patches: side, kind }))
}

/// Vectors that the patches of a tile are shuffled into.
fn shuffled(tower: &Tower<'_>, side: u64, ratio: f64) -> Result<u64> {
    // A half is the only ratio known; others whose inverse is whole are read alike.
    let by = (1.0 / ratio).round();
    if !(1.0..=64.0).contains(&by) {
        return Err(tower.config.contradiction("pixel_shuffle_ratio", "is no fraction of a side"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let by = by as u64;
    Ok((side / by) * (side / by))
}
