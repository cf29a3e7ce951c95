//! Idefics3's and SmolVLM's tower: tiles of SigLIP's, squares of their patches side by side in one vector.

use super::clip::{Class, SIGLIP, squares_of};
use super::{Tower, linear};
use crate::error::Result;
use crate::image::{Processor, Seen, Split};

const IDEFICS3: Class = Class { pools: false, width: 1152, heads: 16, patch: 32, ..SIGLIP };

pub(super) fn idefics3(tower: &mut Tower<'_>) -> Result<Processor> {
    // Published files have the names of several classes here, all of them this one, and sizes of the processor's.
    for key in ["model_type", "size", "max_image_size"] {
        tower.config.raw(key);
    }
    let squares = squares_of(tower, IDEFICS3, Ok)?;
    let whole = tower.whole;
    let by = whole.size_or("scale_factor", 2)?;
    if !squares.side.is_multiple_of(by) {
        let fact = format!("is {by}, which does not divide the {} patches of a side", squares.side);
        return Err(whole.contradiction("scale_factor", &fact));
    }
    let projection = "connector.modality_projection.proj";
    let matrix = linear(projection, by * by * squares.width, tower.text_width, false);
    tower.once("projector", Seen::features(), [matrix])?;
    let settings = tower.processor("Idefics3ImageProcessor")?;
    let splits = settings.flag("do_image_splitting", true)?;
    let longest = match settings.child("size")? {
        Some(size) => size.size("longest_edge")?,
        None => {
            settings.note_default("size", "a longest edge of 1456");
            4 * 364
        }
    };
    let side = match settings.child("max_image_size")? {
        Some(size) => size.size("longest_edge")?,
        // The class has 364, which the tower of no other size could read.
        None => {
            settings.note(format!(
                "`preprocessor_config.max_image_size` is absent; tiles are taken for the tower's, {} pixels a side",
                squares.pixels
            ));
            squares.pixels
        }
    };
    if side != squares.pixels {
        let fact = format!("is {side} pixels a tile, and the tower's are {}", squares.pixels);
        return Err(settings.contradiction("max_image_size", &fact));
    }
    tower.whole.adopt(&settings);
    Ok(Processor::Split(Split {
        side,
        longest: splits.then_some(longest),
        patches: squares.side,
        features: (squares.side / by) * (squares.side / by),
    }))
}
