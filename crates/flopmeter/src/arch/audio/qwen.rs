//! Qwen3's encoder: pieces of a second, which three convolutions over frames and frequencies make short, and layers that
//! attend within windows of several pieces.

use super::whisper::Sizes;
use super::{Stated, linear};
use crate::arch::parts::layer_norm;
use crate::arch::tower::Tower;
use crate::audio::{Extractor, Hears, Sees, Steps, Tokens, Windows};
use crate::error::Result;

/// What becomes of frames, and of frequencies, in each convolution: of every other one.
const HALVED: [Steps; 3] = [Steps::ALL.up(2), Steps::ALL.up(2).up(2), Steps::ALL.up(2).up(2).up(2)];

/// Positions of a whole piece, as the processors count them whatever its length.
const OF_PIECE: u64 = 13;

/// Frames of a piece, and the widths of a position before and after the two matrices behind the layers.
struct Pieces {
    frames: u64,
    from: u64,
    to: u64,
}

/// Qwen3-Omni: a piece is as long as the longest of the clips.
pub(super) fn omni(tower: &mut Tower<'_>) -> Result<Extractor> {
    tower.config.raw("max_source_positions");
    let pieces = encoder(tower, [32, 20, 5120, 1280], Hears::filled_by_reference)?;
    project(tower, &pieces, ["proj1", "proj2"])?;
    let stated = Stated::read(tower, "WhisperFeatureExtractor")?;
    Ok(extractor(stated, tower, 0, pieces.frames))
}

/// Qwen3-ASR: every piece is filled up, and so is a clip of less than half a second.
pub(super) fn asr(tower: &mut Tower<'_>) -> Result<Extractor> {
    let pieces = encoder(tower, [24, 16, 4096, 1024], Hears::whole_by_reference)?;
    project(tower, &pieces, ["linear_1", "linear_2"])?;
    let stated = Stated::read(tower, "Qwen3ASRFeatureExtractor")?;
    let least = stated.settings.count_or("min_length", 8000)?;
    Ok(extractor(stated, tower, least, pieces.frames))
}

/// Convolutions and layers; `defaults` are layers, heads, inner width and width of the class.
fn encoder(tower: &mut Tower<'_>, defaults: [u64; 4], hears: fn(Steps) -> Hears) -> Result<Pieces> {
    let sizes = Sizes::read_or(&tower.config, defaults)?;
    let c = &tower.config;
    // How many pieces go through the convolutions at a time.
    c.raw("conv_chunksize");
    let frames = 2 * c.size_or("n_window", 50)?;
    if HALVED[2].of(frames) != OF_PIECE {
        let fact =
            format!("is {}, and the processor counts {OF_PIECE} tokens for a piece", frames / 2);
        return Err(c.contradiction("n_window", &fact));
    }
    let window = c.size_or("n_window_infer", 800)?;
    if window < frames {
        let fact = format!("is {window}, less than a piece of {frames} frames");
        return Err(c.contradiction("n_window_infer", &fact));
    }
    let channels = c.size_or("downsample_hidden_size", 480)?;
    let to = c.size_or("output_dim", 3584)?;
    let (d, layers) = (sizes.d, sizes.layers);
    let modules = ["conv2d1", "conv2d2", "conv2d3"];
    for (at, (steps, module)) in HALVED.into_iter().zip(modules).enumerate() {
        let from = if at == 0 { 1 } else { channels };
        let frequencies = steps.of(sizes.bins);
        let convolution = linear(module, 9 * from, channels, true);
        tower.once(module, hears(steps.times(frequencies)), [convolution])?;
    }
    let out = linear("conv_out", channels * HALVED[2].of(sizes.bins), d, false);
    tower.once("conv_out", hears(HALVED[2]), [out])?;
    let windows = Sees::Windows(OF_PIECE * (window / frames));
    let in_layers = Hears::sound(HALVED[2]).seeing(windows);
    tower.stack("tower", "audio_tower.layers", in_layers, |builder| {
        builder.layers(layers, |_| Ok(sizes.layer(true)))
    })?;
    tower.once("norm", Hears::features(), [layer_norm("ln_post", d, true)])?;
    Ok(Pieces { frames, from: d, to })
}

/// Two matrices.
fn project(tower: &mut Tower<'_>, pieces: &Pieces, modules: [&'static str; 2]) -> Result<()> {
    let Pieces { from, to, .. } = *pieces;
    let [first, second] = modules;
    let matrices = [linear(first, from, from, true), linear(second, from, to, true)];
    tower.once("projector", Hears::features(), matrices)
}

fn extractor(stated: Stated, tower: &Tower<'_>, least: u64, piece: u64) -> Extractor {
    let extractor = stated.extractor(tower, Windows::AtLeast(least), Tokens::OfPieces(HALVED[2]));
    Extractor { piece: Some(piece), ..extractor }
}
