//! Llama 3.2 Vision's tower: the tiles of an image see each other, twice, and the text part's layers see them.

use super::{Tower, attend, linear, most_tiles};
use crate::arch::parts::{layer_norm, table, vector};
use crate::error::Result;
use crate::image::{Canvas, Canvases, Processor, Seen};
use crate::op::{Attention, Op};
use crate::passes::Mask;

pub(super) fn mllama(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let d = c.size_or("hidden_size", 1280)?;
    let f = c.size_or("intermediate_size", 5120)?;
    let layers = c.size_or("num_hidden_layers", 32)?;
    let global = c.size_or("num_global_layers", 8)?;
    let query = c.size_of_or(&["attention_heads", "num_attention_heads"], 16)?;
    let heads = super::heads(c, d, query)?;
    let channels = c.maybe("num_channels")?.unwrap_or(3);
    let given = c.size_or("vision_output_dim", 7680)?;
    let tiles = c.size_or("max_num_tiles", 4)?;
    c.raw("intermediate_layers_indices");
    c.raw("supported_aspect_ratios");
    let tiles = most_tiles(c, "max_num_tiles", tiles)?;
    let (side, patch) = tower.patches(448, 14)?;
    let positions = side * side + 1;
    // Of every arrangement of tiles, and one for none.
    let arrangements = 1 + (1..=tiles).map(|columns| tiles / columns).sum::<u64>();
    tower.once(
        "patches",
        Seen::tiles(side * side, tiles),
        [
            linear("patch_embedding", channels * patch * patch, d, false),
            vector("class_embedding", d),
        ],
    )?;
    tower.once(
        "arrangement of tiles",
        Seen::once(),
        [
            table("gated_positional_embedding.tile_embedding", arrangements, tiles * positions * d),
            table("pre_tile_positional_embedding.embedding", arrangements, tiles * d),
            table("post_tile_positional_embedding.embedding", arrangements, tiles * d),
        ],
    )?;
    let layer = |gates: &[Op]| {
        let mut ops = vec![
            layer_norm("input_layernorm", d, true),
            linear("self_attn.q_proj", d, d, false),
            linear("self_attn.k_proj", d, d, false),
            linear("self_attn.v_proj", d, d, false),
            attend("self_attn", heads.query, heads.dim),
            linear("self_attn.o_proj", d, d, false),
            layer_norm("post_attention_layernorm", d, true),
            linear("mlp.fc1", d, f, true),
            linear("mlp.fc2", f, d, true),
        ];
        ops.extend_from_slice(gates);
        ops
    };
    tower.stack(
        "tower",
        "vision_model.transformer.layers",
        Seen::together(positions, tiles),
        |builder| {
            builder.once(
                "positions",
                [
                    vector("gated_positional_embedding.gate", 1),
                    vector("gated_positional_embedding.embedding", positions * d),
                    vector("pre_tile_positional_embedding.gate", 1),
                    layer_norm("layernorm_pre", d, true),
                ],
            );
            builder.layers(layers, |_| Ok(layer(&[])))?;
            builder.once(
                "between",
                [
                    layer_norm("layernorm_post", d, true),
                    vector("post_tile_positional_embedding.gate", 1),
                ],
            );
            Ok(())
        },
    )?;
    let path = "vision_model.global_transformer.layers";
    tower.stack("tower, gated", path, Seen::together(positions, tiles), |builder| {
        builder.layers(global, |_| Ok(layer(&[vector("gate_attn", 1), vector("gate_ffn", 1)])))
    })?;
    // The reference implementation multiplies the mask of tiles with itself.
    let mask: Op = Attention::new("aspect_ratio_mask", 1, 1, 1, 0, Mask::Full).into();
    tower.once("mask", Seen::together(positions, tiles).for_nothing(), [mask])?;
    let to = tower.text_width;
    tower.once(
        "projector",
        Seen::tiles(positions, tiles),
        [linear("multi_modal_projector", given, to, true)],
    )?;
    Ok(Processor::Canvas(Canvas {
        side: side * patch,
        most: tiles,
        patches: side,
        kind: Canvases::Attended,
    }))
}
