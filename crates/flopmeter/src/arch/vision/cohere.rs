//! Aya Vision's and Command A Vision's towers: tiles of SigLIP's, squares of their patches side by side in one vector,
//! which a gated layer projects.

use super::clip::Squares;
use super::intern::tiles;
use super::llava::{drops_class, tower_of};
use super::{Tower, linear, most_tiles};
use crate::arch::parts::layer_norm;
use crate::error::Result;
use crate::image::{Canvas, Canvases, Processor, Seen, Tiled};

const SIGLIP: &str = "siglip_vision_model";

/// Aya Vision: outputs of a layer that is chosen, normed; tiles of the nearest ratio of sides.
pub(super) fn aya(tower: &mut Tower<'_>) -> Result<Processor> {
    let (squares, outputs) = tower_of(tower, SIGLIP, "vision_feature_layer", &[-1])?;
    if outputs > 1 || (squares.class > 0 && !drops_class(tower.whole, false)?) {
        let fact = "names vectors beside those that make whole squares of patches";
        return Err(tower.whole.contradiction("vision_feature_layer", fact));
    }
    drops_class(tower.whole, false)?;
    let inside = tower.whole.size_or("alignment_intermediate_size", tower.text_width)?;
    let features = project(tower, squares, inside, true)?;
    let (least, most) = tiles(tower)?;
    Ok(Processor::Tiled(Tiled {
        side: squares.pixels,
        least,
        most,
        patches: squares.side,
        features,
        around_tile: 1,
        around: 2,
    }))
}

/// Command A Vision: tiles of the canvas that fits best, each with a token after it.
pub(super) fn cohere2(tower: &mut Tower<'_>) -> Result<Processor> {
    let squares = super::clip::squares(tower, SIGLIP, Ok)?;
    let inside = tower.whole.size_or("alignment_intermediate_size", 36_864)?;
    let features = project(tower, squares, inside, false)?;
    let settings = tower.processor("Cohere2VisionImageProcessor")?;
    let most = settings.size_or("max_patches", 12)?;
    let most = most_tiles(&settings, "max_patches", most)?;
    tower.whole.adopt(&settings);
    let kind = Canvases::Separated { features };
    Ok(Processor::Canvas(Canvas { side: squares.pixels, most, patches: squares.side, kind }))
}

/// Vectors of a tile: squares of patches, through a matrix whose one half gates the other, and one to the text's width.
fn project(tower: &mut Tower<'_>, squares: Squares, inside: u64, normed: bool) -> Result<u64> {
    let by = tower.whole.size_or("downsample_factor", 2)?;
    if !squares.side.is_multiple_of(by) {
        let fact = format!("is {by}, which does not divide the {} patches of a side", squares.side);
        return Err(tower.whole.contradiction("downsample_factor", &fact));
    }
    let (from, to) = (by * by * squares.width, tower.text_width);
    let norm = normed.then(|| layer_norm("multi_modal_projector.layernorm", from, true));
    let matrices = [
        linear("multi_modal_projector.linear_1", from, inside, true),
        linear("multi_modal_projector.linear_2", inside / 2, to, true),
    ];
    tower.once("projector", Seen::features(), norm.into_iter().chain(matrices))?;
    Ok((squares.side / by) * (squares.side / by))
}
