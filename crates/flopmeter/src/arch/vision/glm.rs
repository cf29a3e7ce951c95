//! GLM's towers: images of any shape, squares of patches convolved into one vector each, then a gated layer.

use super::qwen::{Defaults, Sizes};
use super::{Tower, attend, linear};
use crate::arch::parts::{layer_norm, rms_norm, table};
use crate::error::Result;
use crate::image::{Enlarged, Processor, Resized, Seen};

const GLM4V: Defaults = Defaults { width: 1536, heads: 12, layers: 24, patch: 14 };
const GLM_OCR: Defaults = Defaults { width: 1024, heads: 16, ..GLM4V };

/// GLM-4.1V, 4.5V and 4.6V: positions from a table; layers as wide inside as the text part, and a merger wider still.
pub(super) fn glm4v(tower: &mut Tower<'_>) -> Result<Processor> {
    let sizes = Sizes::read(&tower.config, "hidden_size", GLM4V)?;
    let bias = tower.config.flag("attention_bias", false)?;
    let to = tower.config.size_or("out_hidden_size", 4096)?;
    let inside = tower.config.size_or("intermediate_size", 13_696)?;
    let (side, _) = tower.patches(336, GLM4V.patch)?;
    let d = sizes.width;
    tower.once(
        "patches",
        Seen::patches(0),
        [
            linear("patch_embed.proj", sizes.from, d, true),
            rms_norm("post_conv_layernorm", d),
            table("embeddings.position_embedding", side * side, d),
        ],
    )?;
    layers(tower, &sizes, to, [bias, false, false], false)?;
    merge(tower, &sizes, to, inside)?;
    processor(tower, &sizes)
}

/// GLM-4.6V's under another name; its processor may want sides of several squares.
pub(super) fn glmga(tower: &mut Tower<'_>) -> Result<Processor> {
    let settings = tower.processor("GlmgaImageProcessor")?;
    if settings.maybe("patch_expand_factor")?.is_some_and(|factor| factor != 1) {
        return Err(
            settings.contradiction("patch_expand_factor", "is other than 1, which is not counted")
        );
    }
    tower.whole.adopt(&settings);
    glm4v(tower)
}

/// GLM-OCR: queries and keys are normed, and positions only rotate them.
pub(super) fn glm_ocr(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let sizes = Sizes::read(c, "hidden_size", GLM_OCR)?;
    let bias = c.flag("attention_bias", true)?;
    let to = c.size_or("out_hidden_size", 1536)?;
    let inside = c.size_or("intermediate_size", 4096)?;
    // Another tower's table has as many rows as it says.
    c.raw("image_size");
    let patches = linear("patch_embed.proj", sizes.from, sizes.width, true);
    tower.once("patches", Seen::patches(0), [patches])?;
    layers(tower, &sizes, inside, [bias; 3], true)?;
    merge(tower, &sizes, to, to * sizes.channels)?;
    processor(tower, &sizes)
}

/// The layers, with biases of queries, keys and values, of what follows attention, and of the feed-forward part.
fn layers(
    tower: &mut Tower<'_>,
    sizes: &Sizes,
    inside: u64,
    [qkv, out, mlp]: [bool; 3],
    normed: bool,
) -> Result<()> {
    let (d, heads) = (sizes.width, sizes.heads);
    tower.stack("tower", "visual.blocks", Seen::patches(0), |builder| {
        builder.layers(sizes.layers, |_| {
            let mut ops = vec![rms_norm("norm1", d), linear("attn.qkv", d, 3 * d, qkv)];
            if normed {
                ops.extend([
                    rms_norm("attn.q_norm", heads.dim),
                    rms_norm("attn.k_norm", heads.dim),
                ]);
            }
            ops.extend([
                attend("attn", heads.query, heads.dim),
                linear("attn.proj", d, d, out),
                rms_norm("norm2", d),
                linear("mlp.gate_proj", d, inside, mlp),
                linear("mlp.up_proj", d, inside, mlp),
                linear("mlp.down_proj", inside, d, mlp),
            ]);
            Ok(ops)
        })?;
        builder.once("norm after", [rms_norm("post_layernorm", d)]);
        Ok(())
    })
}

/// A convolution over each square of patches, a matrix, and a gated layer of `inside`.
fn merge(tower: &mut Tower<'_>, sizes: &Sizes, to: u64, inside: u64) -> Result<()> {
    tower.once(
        "merger",
        Seen::features(),
        [
            linear("downsample", sizes.square(), to, true),
            linear("merger.proj", to, to, false),
            layer_norm("merger.post_projection_norm", to, true),
            linear("merger.gate_proj", to, inside, false),
            linear("merger.up_proj", to, inside, false),
            linear("merger.down_proj", inside, to, false),
        ],
    )
}

fn processor(tower: &Tower<'_>, sizes: &Sizes) -> Result<Processor> {
    let settings = tower.processor("Glm4vImageProcessor")?;
    let (least, most) = match settings.child("size")? {
        Some(size) => (size.size("shortest_edge")?, size.size("longest_edge")?),
        None => {
            settings.note_default("size", "12544 to 11760000 pixels, each counted twice");
            (112 * 112, 28 * 28 * 15_000)
        }
    };
    let frames = settings.size_or("temporal_patch_size", 2)?;
    tower.whole.adopt(&settings);
    let (patch, merge) = (sizes.patch, sizes.merge);
    Ok(Processor::Resized(Resized {
        patch,
        merge,
        frames,
        enlarged: Enlarged::Whole,
        least,
        most,
        around: 0,
    }))
}
