//! Qwen's towers: images of any shape, squares of patches merged into one vector each.

use super::{Tower, linear};
use crate::arch::parts::{Heads, layer_norm, rms_norm, table};
use crate::config::Config;
use crate::error::Result;
use crate::image::{Enlarged, Processor, Resized, Seen};
use crate::op::{Attention, Op};
use crate::passes::Mask;

const PATH: &str = "visual.blocks";

const QWEN2: Defaults = Defaults { width: 1280, heads: 16, layers: 32, patch: 14 };
const QWEN2_5: Defaults = Defaults { width: 3584, ..QWEN2 };
const QWEN3: Defaults = Defaults { width: 1152, heads: 16, layers: 27, patch: 16 };

/// What all of them state, and towers like them.
pub(super) struct Sizes {
    pub width: u64,
    pub heads: Heads,
    pub layers: u64,
    pub patch: u64,
    pub merge: u64,
    pub channels: u64,
    /// Numbers of a patch: channels, pixels, frames.
    pub from: u64,
}

/// What a class takes where its config states nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults {
    pub width: u64,
    pub heads: u64,
    pub layers: u64,
    pub patch: u64,
}

impl Sizes {
    /// `width` is the key that the tower's is stated under.
    pub fn read(c: &Config, width: &'static str, default: Defaults) -> Result<Self> {
        let width = c.size_or(width, default.width)?;
        let query = c.size_of_or(&["num_heads", "num_attention_heads"], default.heads)?;
        let heads = super::heads(c, width, query)?;
        let layers = c.size_of_or(&["depth", "num_hidden_layers"], default.layers)?;
        let patch = c.size_or("patch_size", default.patch)?;
        let merge = c.size_or("spatial_merge_size", 2)?;
        // Another name of the patch's size, in files only.
        c.raw("spatial_patch_size");
        let frames = c.size_or("temporal_patch_size", 2)?;
        let channels = c.maybe_of(&["in_channels", "in_chans"])?.unwrap_or(3);
        let from = channels * frames * patch * patch;
        Ok(Self { width, heads, layers, patch, merge, channels, from })
    }

    /// Attention and the norm before it.
    fn attention(&self, norm: Op) -> Vec<Op> {
        let d = self.width;
        let Heads { query, kv, dim } = self.heads;
        vec![
            norm,
            linear("attn.qkv", d, d + 2 * kv * dim, true),
            Attention::new("attn", query, kv, dim, dim, Mask::Full).into(),
            linear("attn.proj", d, d, true),
        ]
    }

    /// The width of a merged square.
    pub fn square(&self) -> u64 {
        self.merge * self.merge * self.width
    }

    fn processor(&self, tower: &Tower<'_>) -> Result<Processor> {
        let settings = tower.processor("Qwen2VLImageProcessor")?;
        let (least, most) = pixels(&settings, 56 * 56, 28 * 28 * 1280)?;
        tower.whole.adopt(&settings);
        let (patch, merge, enlarged) = (self.patch, self.merge, Enlarged::Never);
        Ok(Processor::Resized(Resized {
            patch,
            merge,
            frames: 1,
            enlarged,
            least,
            most,
            around: 0,
        }))
    }
}

/// The least and greatest number of pixels: under either of two names, or the class's.
pub(super) fn pixels(settings: &Config, least: u64, most: u64) -> Result<(u64, u64)> {
    let size = settings.child("size")?;
    let pixels =
        |key: &'static str, edge: &'static str, default: u64| match (settings.maybe(key)?, &size) {
            (Some(pixels), _) => Ok(pixels),
            (None, Some(size)) => size.size_of(&[edge, key]),
            (None, None) => settings.size_or(key, default),
        };
    Ok((pixels("min_pixels", "shortest_edge", least)?, pixels("max_pixels", "longest_edge", most)?))
}

/// Qwen2-VL: its `hidden_size` is the text part's.
pub(super) fn qwen2(tower: &mut Tower<'_>) -> Result<Processor> {
    let sizes = Sizes::read(&tower.config, "embed_dim", QWEN2)?;
    let ratio = tower.config.size_or("mlp_ratio", 4)?;
    let to = tower.config.size_or("hidden_size", 3584)?;
    let (d, f) = (sizes.width, ratio * sizes.width);
    tower.once("patches", Seen::patches(0), [linear("patch_embed.proj", sizes.from, d, false)])?;
    tower.stack("tower", PATH, Seen::patches(0), |builder| {
        builder.layers(sizes.layers, |_| {
            let mut ops = sizes.attention(layer_norm("norm1", d, true));
            ops.push(layer_norm("norm2", d, true));
            ops.extend([linear("mlp.fc1", d, f, true), linear("mlp.fc2", f, d, true)]);
            Ok(ops)
        })
    })?;
    merge(tower, &sizes, layer_norm("merger.ln_q", d, true), to)?;
    sizes.processor(tower)
}

/// Qwen2.5-VL: most layers attend within windows.
pub(super) fn qwen2_5(tower: &mut Tower<'_>) -> Result<Processor> {
    let sizes = Sizes::read(&tower.config, "hidden_size", QWEN2_5)?;
    windowed(tower, &sizes)
}

/// EXAONE 4.5: the same, with heads that share keys and values.
pub(super) fn exaone4_5(tower: &mut Tower<'_>) -> Result<Processor> {
    let mut sizes = Sizes::read(&tower.config, "hidden_size", QWEN2_5)?;
    sizes.heads.kv = tower.config.size_or("num_key_value_heads", 8)?;
    if !sizes.heads.query.is_multiple_of(sizes.heads.kv) {
        let fact =
            format!("is {}, which does not divide the {} heads", sizes.heads.kv, sizes.heads.query);
        return Err(tower.config.contradiction("num_key_value_heads", &fact));
    }
    windowed(tower, &sizes)
}

fn windowed(tower: &mut Tower<'_>, sizes: &Sizes) -> Result<Processor> {
    let c = &tower.config;
    let f = c.size_or("intermediate_size", 3420)?;
    let to = c.size_or("out_hidden_size", 3584)?;
    let window = c.size_or("window_size", 112)?;
    let whole = match c.counts("fullatt_block_indexes")? {
        Some(listed) => listed,
        None => {
            c.note_default("fullatt_block_indexes", "7, 15, 23 and 31");
            vec![7, 15, 23, 31]
        }
    };
    let squares = window / sizes.merge / sizes.patch;
    if squares == 0 {
        return Err(c.contradiction(
            "window_size",
            &format!("is {window}, less than a square of merged patches"),
        ));
    }
    let d = sizes.width;
    let attends_to_all = whole.iter().filter(|layer| **layer < sizes.layers);
    let mut listed: Vec<u64> = attends_to_all.copied().collect();
    listed.sort_unstable();
    listed.dedup();
    let full = listed.len() as u64;
    tower.once("patches", Seen::patches(0), [linear("patch_embed.proj", sizes.from, d, false)])?;
    let layer = |_| {
        let mut ops = sizes.attention(rms_norm("norm1", d));
        ops.push(rms_norm("norm2", d));
        ops.extend([
            linear("mlp.gate_proj", d, f, true),
            linear("mlp.up_proj", d, f, true),
            linear("mlp.down_proj", f, d, true),
        ]);
        Ok(ops)
    };
    let windows = Seen::windows(squares * sizes.merge);
    tower.stack("tower, in windows", PATH, windows, |builder| {
        builder.layers(sizes.layers - full, layer)
    })?;
    tower
        .stack("tower, over all", PATH, Seen::patches(0), |builder| builder.layers(full, layer))?;
    merge(tower, sizes, rms_norm("merger.ln_q", d), to)?;
    sizes.processor(tower)
}

/// Qwen3-VL: outputs of some layers are merged for the text part's first layers, too.
pub(super) fn qwen3_vl(tower: &mut Tower<'_>) -> Result<Processor> {
    let c = &tower.config;
    let deep = match c.counts("deepstack_visual_indexes")? {
        Some(listed) => listed.len() as u64,
        None => {
            c.note_default("deepstack_visual_indexes", "three layers");
            3
        }
    };
    qwen3(tower, deep)
}

/// Qwen3.5: the last layer's alone. Its files list no others, and the class reads no list.
pub(super) fn qwen3_5(tower: &mut Tower<'_>) -> Result<Processor> {
    tower.config.raw("deepstack_visual_indexes");
    qwen3(tower, 0)
}

/// Positions from a table, and mergers of the last layer's output and of `deep` others'.
fn qwen3(tower: &mut Tower<'_>, deep: u64) -> Result<Processor> {
    let c = &tower.config;
    let sizes = Sizes::read(c, "hidden_size", QWEN3)?;
    let f = c.size_or("intermediate_size", 4304)?;
    let to = c.size_or("out_hidden_size", 3584)?;
    let positions = c.size_or("num_position_embeddings", 2304)?;
    let (d, square) = (sizes.width, sizes.square());
    tower.once("patches", Seen::patches(0), [linear("patch_embed.proj", sizes.from, d, true)])?;
    tower.stack("tower", PATH, Seen::patches(0), |builder| {
        builder.once("positions", [table("pos_embed", positions, d)]);
        builder.layers(sizes.layers, |_| {
            let mut ops = sizes.attention(layer_norm("norm1", d, true));
            ops.push(layer_norm("norm2", d, true));
            ops.extend([
                linear("mlp.linear_fc1", d, f, true),
                linear("mlp.linear_fc2", f, d, true),
            ]);
            Ok(ops)
        })
    })?;
    tower.stack("mergers", "visual.deepstack_merger_list", Seen::features(), |builder| {
        builder.once(
            "merger",
            [
                layer_norm("merger.norm", d, true),
                linear("merger.linear_fc1", square, square, true),
                linear("merger.linear_fc2", square, to, true),
            ],
        );
        builder.layers(deep, |_| {
            Ok(vec![
                layer_norm("norm", square, true),
                linear("linear_fc1", square, square, true),
                linear("linear_fc2", square, to, true),
            ])
        })
    })?;
    sizes.processor(tower)
}

/// Two matrices from a merged square to the text part's width.
fn merge(tower: &mut Tower<'_>, sizes: &Sizes, norm: Op, to: u64) -> Result<()> {
    let square = sizes.square();
    tower.once(
        "merger",
        Seen::features(),
        [
            norm,
            linear("merger.mlp.0", square, square, true),
            linear("merger.mlp.2", square, to, true),
        ],
    )
}
