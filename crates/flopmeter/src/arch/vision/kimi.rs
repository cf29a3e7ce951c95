//! Kimi K2.5's tower, MoonViT: images of any shape, squares of patches side by side in one vector.

use super::{Tower, attend, linear};
use crate::arch::parts::{layer_norm, table};
use crate::error::Result;
use crate::image::{Limited, Processor, Seen};

pub(super) fn kimi_k25(tower: &mut Tower<'_>) -> Result<Processor> {
    // The keys are transformers', and those of the repository's own code.
    let c = &tower.config;
    let d = c.size_of_or(&["hidden_size", "vt_hidden_size"], 1152)?;
    let f = c.size_of_or(&["intermediate_size", "vt_intermediate_size"], 4304)?;
    let layers = c.size_of_or(&["num_hidden_layers", "vt_num_hidden_layers"], 27)?;
    let query = c.size_of_or(&["num_attention_heads", "vt_num_attention_heads"], 16)?;
    let heads = super::heads(c, d, query)?;
    let patch = c.size_or("patch_size", 14)?;
    let rows = c.size_of_or(&["pos_emb_height", "init_pos_emb_height"], 64)?;
    let columns = c.size_of_or(&["pos_emb_width", "init_pos_emb_width"], 64)?;
    let merge = match c.counts("merge_kernel_size")?.as_deref() {
        None => {
            c.note_default("merge_kernel_size", "2 by 2");
            2
        }
        Some(&[height, width]) if height == width && height > 0 => height,
        Some(_) => return Err(c.contradiction("merge_kernel_size", "is no side of a square")),
    };
    // The norm before the projector has a key of its own, though what it norms is the tower's.
    let normed = match c.maybe("mm_hidden_size")? {
        Some(normed) => normed,
        None => tower.whole.size_or("projection_hidden_size", 1152)?,
    };
    for other in ["pos_emb_time", "init_pos_emb_time", "text_hidden_size"] {
        c.raw(other);
    }
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("patch_embed.proj", 3 * patch * patch, d, true),
            table("patch_embed.pos_emb.position_embeddings", rows * columns, d),
        ],
    )?;
    tower.stack("tower", "vision_tower.layers", Seen::patches(0), |builder| {
        builder.layers(layers, |_| {
            Ok(vec![
                layer_norm("norm1", d, true),
                linear("attn.q_proj", d, d, true),
                linear("attn.k_proj", d, d, true),
                linear("attn.v_proj", d, d, true),
                attend("attn", heads.query, heads.dim),
                linear("attn.proj", d, d, true),
                layer_norm("norm2", d, true),
                linear("mlp.fc1", d, f, true),
                linear("mlp.fc2", f, d, true),
            ])
        })?;
        builder.once("norm after", [layer_norm("final_layernorm", d, true)]);
        Ok(())
    })?;
    let square = merge * merge * d;
    tower.once(
        "projector",
        Seen::features(),
        [
            layer_norm("mm_projector.pre_norm", normed, true),
            linear("mm_projector.in_proj", square, square, true),
            linear("mm_projector.out_proj", square, tower.text_width, true),
        ],
    )?;
    let settings = tower.processor("Kimi_K25ImageProcessor")?;
    let most = settings.size_or("max_patches", 16_384)?;
    let side = match settings.child("size")? {
        Some(size) => size.size("max_height")?,
        None => {
            settings.note_default("size", "at most 512 patches a side");
            512
        }
    };
    tower.whole.adopt(&settings);
    Ok(Processor::Limited(Limited { patch, merge, most, side }))
}
