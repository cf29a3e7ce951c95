//! Pixtral's tower: images of any shape, side by side in one sequence, none seeing another.

use super::{Tower, attend, linear};
use crate::arch::parts::{Heads, rms_norm};
use crate::error::Result;
use crate::image::Seen;

/// The tower's width, pixels of a patch, and the longest side in pixels.
pub(super) struct Pixtral {
    pub width: u64,
    pub patch: u64,
    pub longest: u64,
}

pub(super) fn pixtral(tower: &mut Tower<'_>) -> Result<Pixtral> {
    let c = &tower.config;
    let d = c.size_or("hidden_size", 1024)?;
    let f = c.size_or("intermediate_size", 4096)?;
    let layers = c.size_or("num_hidden_layers", 24)?;
    let query = c.size_or("num_attention_heads", 16)?;
    let channels = c.maybe("num_channels")?.unwrap_or(3);
    let dim = c.maybe("head_dim")?;
    let heads = Heads::checked(c, d, query, query, dim)?;
    let (side, patch) = tower.patches(1024, 16)?;
    let width = heads.query_width();
    tower.once(
        "patches",
        Seen::filled(),
        [linear("patch_conv", channels * patch * patch, d, false), rms_norm("ln_pre", d)],
    )?;
    tower.stack("tower", "vision_tower.transformer.layers", Seen::side_by_side(), |builder| {
        builder.layers(layers, |_| {
            Ok(vec![
                rms_norm("attention_norm", d),
                linear("attention.q_proj", d, width, false),
                linear("attention.k_proj", d, width, false),
                linear("attention.v_proj", d, width, false),
                attend("attention", heads.query, heads.dim),
                linear("attention.o_proj", width, d, false),
                rms_norm("ffn_norm", d),
                linear("feed_forward.gate_proj", d, f, false),
                linear("feed_forward.up_proj", d, f, false),
                linear("feed_forward.down_proj", f, d, false),
            ])
        })
    })?;
    Ok(Pixtral { width: d, patch, longest: side * patch })
}
