//! LLaVA's projectors, two matrices from the tower's width to the text part's, and their kin.

use super::clip::{Squares, squares};
use super::{Tower, linear};
use crate::arch::parts::{layer_norm, vector};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::image::{Anyres, Cut, Layout, Processor, Seen};
use serde_json::Value;

/// What a config that names no class means.
const CLIP: &str = "clip_vision_model";
/// The most canvases that are believed.
const MOST_CANVASES: usize = 1024;

/// Layers whose outputs a projector takes: how many there are, and how many layers run for them.
pub(super) struct Chosen {
    pub outputs: u64,
    pub needed: u64,
}

/// `vision_feature_layer`: one layer or several, counted from the embedding (0) or from the last (−1).
pub(super) fn chosen(
    c: &Config,
    key: &'static str,
    default: &[i64],
    layers: u64,
) -> Result<Chosen> {
    let listed: Vec<i64> = match c.raw(key) {
        None => default.to_vec(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_i64).collect(),
        Some(one) => one.as_i64().into_iter().collect(),
    };
    let last = i64::try_from(layers).unwrap_or(i64::MAX);
    let runs = |layer: i64| {
        let run = if layer < 0 { last + 1 + layer } else { layer };
        u64::try_from(run).ok().filter(|run| *run <= layers)
    };
    let needed: Option<Vec<u64>> = listed.iter().map(|layer| runs(*layer)).collect();
    match needed.as_deref() {
        Some(needed @ [_, ..]) => Ok(Chosen {
            outputs: needed.len() as u64,
            needed: needed.iter().copied().max().unwrap_or(layers),
        }),
        _ => {
            let fact = format!("names layers that a tower of {layers} does not have");
            Err(Error::new(ErrorKind::Architecture, format!("`{key}`"), fact))
        }
    }
}

/// Whether the vector of the class is left out.
pub(super) fn drops_class(c: &Config, default: bool) -> Result<bool> {
    match c.text("vision_feature_select_strategy")? {
        None => Ok(default),
        Some("default") => Ok(true),
        Some("full") => Ok(false),
        Some(_) => {
            Err(c
                .contradiction("vision_feature_select_strategy", "is neither `default` nor `full`"))
        }
    }
}

/// The tower of squares, of `class` if the config names none, and the number of outputs that its projector takes.
pub(super) fn tower_of(
    tower: &mut Tower<'_>,
    class: &str,
    key: &'static str,
    default: &[i64],
) -> Result<(Squares, u64)> {
    let whole = tower.whole;
    let mut outputs = 0;
    let squares = squares(tower, class, |layers| {
        let chosen = chosen(whole, key, default, layers)?;
        outputs = chosen.outputs;
        Ok(chosen.needed)
    })?;
    Ok((squares, outputs))
}

/// Two matrices, the first over `outputs` vectors side by side.
fn project(tower: &mut Tower<'_>, from: u64, reads: Seen) -> Result<()> {
    let bias = tower.whole.flag("multimodal_projector_bias", true)?;
    let to = tower.text_width;
    tower.once(
        "projector",
        reads,
        [
            linear("multi_modal_projector.linear_1", from, to, bias),
            linear("multi_modal_projector.linear_2", to, to, bias),
        ],
    )
}

/// LLaVA 1.5: one square, its patches the image's tokens.
pub(super) fn llava(tower: &mut Tower<'_>) -> Result<Processor> {
    tower.whole.raw("image_seq_length");
    let (squares, outputs) = tower_of(tower, CLIP, "vision_feature_layer", &[-2])?;
    let class = if drops_class(tower.whole, true)? { 0 } else { squares.class };
    project(tower, outputs * squares.width, Seen::patches(class))?;
    let features = squares.side * squares.side + class;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, features)))
}

/// DeepSeek-VL: all layers of one square, which the processor fills up around an image.
pub(super) fn deepseek_vl(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = squares(tower, "siglip_vision_model", Ok)?;
    let (from, to) = (squares.width, tower.text_width);
    tower.once(
        "projector",
        Seen::patches(0),
        [linear("aligner.linear1", from, to, true), linear("aligner.linear2", to, to, true)],
    )?;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, squares.side * squares.side)))
}

/// ViP-LLaVA: outputs of several layers, normed.
pub(super) fn vipllava(tower: &mut Tower<'_>) -> Result<Processor> {
    tower.whole.raw("image_seq_length");
    let key = if tower.whole.has("vision_feature_layers") {
        "vision_feature_layers"
    } else {
        "vision_feature_layer"
    };
    let (squares, outputs) = tower_of(tower, CLIP, key, &[-2, -5, -8, -11, 6])?;
    let (from, to) = (outputs * squares.width, tower.text_width);
    tower.once(
        "projector",
        Seen::patches(0),
        [
            layer_norm("multi_modal_projector.projector_layernorm", from, true),
            linear("multi_modal_projector.linear_1", from, to, true),
            linear("multi_modal_projector.linear_2", to, to, true),
        ],
    )?;
    let features = squares.side * squares.side;
    Ok(Processor::Square(Cut::whole(squares.side, squares.side, features)))
}

/// LLaVA-NeXT: tiles of the best canvas and a view of the whole, with a vector that ends each row.
pub(super) fn llava_next(tower: &mut Tower<'_>) -> Result<Processor> {
    tower.whole.raw("image_seq_length");
    let (squares, outputs) = tower_of(tower, CLIP, "vision_feature_layer", &[-2])?;
    let class = if drops_class(tower.whole, true)? { 0 } else { squares.class };
    let canvases =
        canvases(tower.whole, &[(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)])?;
    anyres(tower, squares, outputs, class, canvases, Layout::All { extra: class })
}

/// LLaVA-NeXT-Video: the same for images; frames of videos are pooled, by default without weights.
pub(super) fn llava_next_video(tower: &mut Tower<'_>) -> Result<Processor> {
    let whole = tower.whole;
    if whole.text("spatial_pool_mode")? == Some("conv") {
        return Err(
            whole.contradiction("spatial_pool_mode", "is `conv`, whose weights are not counted")
        );
    }
    whole.raw("spatial_pool_stride");
    whole.raw("video_seq_length");
    llava_next(tower)
}

/// LLaVA-OneVision: the same, with at most so many patches.
pub(super) fn llava_onevision(tower: &mut Tower<'_>) -> Result<Processor> {
    let (squares, outputs) = tower_of(tower, "siglip_vision_model", "vision_feature_layer", &[-1])?;
    let class = if drops_class(tower.whole, false)? { 0 } else { squares.class };
    // One to six tiles of 384 pixels down and across.
    let sides = || (1..=6).map(|tiles| 384 * tiles);
    let all: Vec<(u64, u64)> =
        sides().flat_map(|down| sides().map(move |across| (down, across))).collect();
    let canvases = canvases(tower.whole, &all)?;
    let ratio = tower.whole.text("vision_aspect_ratio")?.unwrap_or("anyres_max_9");
    let tiles = ratio.strip_prefix("anyres_max_").and_then(|most| most.parse().ok());
    let Some(tiles) = tiles.filter(|tiles| (1..=1 << 16).contains(tiles)) else {
        return Err(tower
            .whole
            .contradiction("vision_aspect_ratio", "is none of `anyres_max_9` and its like"));
    };
    anyres(tower, squares, outputs, class, canvases, Layout::AtMost { tiles })
}

fn anyres(
    tower: &mut Tower<'_>,
    squares: Squares,
    outputs: u64,
    class: u64,
    canvases: Vec<(u64, u64)>,
    layout: Layout,
) -> Result<Processor> {
    project(tower, outputs * squares.width, Seen::patches(class))?;
    let newline = vector("image_newline", tower.text_width);
    tower.once("ends of rows", Seen::features(), [newline])?;
    Ok(Processor::Anyres(Anyres { side: squares.pixels, patches: squares.side, canvases, layout }))
}

/// `image_grid_pinpoints`: height and width of each canvas.
fn canvases(c: &Config, default: &[(u64, u64)]) -> Result<Vec<(u64, u64)>> {
    const KEY: &str = "image_grid_pinpoints";
    let listed = match c.raw(KEY) {
        None => {
            c.note_default(KEY, &format!("{} canvases", default.len()));
            return Ok(default.to_vec());
        }
        Some(Value::Array(listed)) => listed,
        Some(_) => {
            return Err(c
                .contradiction(KEY, "is no list")
                .hint("it lists height and width of each canvas"));
        }
    };
    if listed.is_empty() || listed.len() > MOST_CANVASES {
        return Err(c.contradiction(
            KEY,
            &format!("has {} canvases; from 1 to {MOST_CANVASES} are believed", listed.len()),
        ));
    }
    let side = |side: &Value| side.as_u64().filter(|side| (1..=1 << 24).contains(side));
    let canvas = |canvas: &Value| match canvas.as_array().map(Vec::as_slice) {
        Some([height, width]) => Some((side(height)?, side(width)?)),
        _ => None,
    };
    let canvases: Option<Vec<(u64, u64)>> = listed.iter().map(canvas).collect();
    canvases
        .ok_or_else(|| c.contradiction(KEY, "has a canvas that is no height and width in pixels"))
}
