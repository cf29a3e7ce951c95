//! Towers that see images, and what puts their vectors into the text part's width.
//!
//! ```text
//! image → patches → L × [ norm → q, k, v → attend to all → out ] [ norm → up → down ] → projector ┐
//! text → embed ──────────────────────────────────────────────────────────────────────────────────┴→ layers
//! ```
//!
//! A tower is [stacks](crate::Stack), one for each number of rows that it works on: patches, windows of them, squares that
//! are merged. How an image becomes patches is its [`Processor`].

mod blip;
pub(super) mod clip;
mod cohere;
mod gemma4;
mod glm;
mod idefics;
mod idefics2;
mod intern;
mod kimi;
mod lfm;
mod llama4;
mod llava;
mod mllama;
mod native;
mod ovis;
mod phi4;
mod pixtral;
mod qwen;

use super::parts::Heads;
use super::tower::{self, Found, Tower, heads};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::image::Processor;
use crate::op::{Attention, Linear, Op};
use crate::passes::Mask;

/// How a family builds its tower.
type Build = fn(&mut Tower<'_>) -> Result<Processor>;

/// The types whose tower is counted: the one list.
const TOWERS: &[(&str, Build)] = &[
    ("aya_vision", cohere::aya),
    ("blip-2", blip::blip2),
    ("clip", clip::clip),
    ("cohere2_vision", cohere::cohere2),
    ("deepseek_vl", llava::deepseek_vl),
    ("exaone4_5", qwen::exaone4_5),
    ("gemma3", clip::gemma3),
    ("gemma4", gemma4::gemma4),
    ("glm46v", glm::glm4v),
    ("glm4v", glm::glm4v),
    ("glm4v_moe", glm::glm4v),
    ("glm_ocr", glm::glm_ocr),
    ("glmga", glm::glmga),
    ("idefics2", idefics2::idefics2),
    ("idefics3", idefics::idefics3),
    ("internvl", intern::internvl),
    ("kimi_k25", kimi::kimi_k25),
    ("lfm2_vl", lfm::lfm2_vl),
    ("lighton_ocr", pixtral::lighton_ocr),
    ("llama4", llama4::llama4),
    ("llava", llava::llava),
    ("llava_next", llava::llava_next),
    ("llava_next_video", llava::llava_next_video),
    ("llava_onevision", llava::llava_onevision),
    ("minimax_m3_vl", native::minimax_m3),
    ("mistral3", pixtral::mistral3),
    ("mistral_large4", pixtral::mistral3),
    ("mllama", mllama::mllama),
    ("ovis2", ovis::ovis2),
    ("paddleocr_vl", native::paddleocr_vl),
    ("paligemma", clip::paligemma),
    ("phi4_multimodal", phi4::phi4_multimodal),
    ("qianfan_ocr", intern::qianfan_ocr),
    ("qwen2_5_vl", qwen::qwen2_5),
    ("qwen2_vl", qwen::qwen2),
    ("qwen3_5", qwen::qwen3_5),
    ("qwen3_5_moe", qwen::qwen3_5),
    ("qwen3_vl", qwen::qwen3_vl),
    ("qwen3_vl_moe", qwen::qwen3_vl),
    ("qwen4_exp", qwen::qwen3_5),
    ("siglip", clip::siglip),
    ("smolvlm", idefics::idefics3),
    ("video_llama_3", native::video_llama_3),
    ("vipllava", llava::vipllava),
];

/// Every `model_type` whose vision tower is counted.
pub fn tower_types() -> impl Iterator<Item = &'static str> {
    TOWERS.iter().map(|(model_type, _)| *model_type)
}

impl Tower<'_> {
    /// The side of a square in pixels: a number, or height and width that are the same.
    pub fn side(&self, key: &'static str) -> Result<u64> {
        match self.config.counts(key) {
            Ok(Some(sides)) => match sides[..] {
                [height, width] if height == width && height > 0 => Ok(height),
                _ => Err(self.config.contradiction(key, "is no side of a square")),
            },
            _ => self.config.size(key),
        }
    }

    /// Patches of the side of a square image.
    pub fn patches(&self, default_image: u64, default_patch: u64) -> Result<(u64, u64)> {
        for (key, default) in [("image_size", default_image), ("patch_size", default_patch)] {
            if !self.config.has(key) {
                self.config.note_default(key, &default.to_string());
            }
        }
        let side = |key, default| if self.config.has(key) { self.side(key) } else { Ok(default) };
        let (image, patch) =
            (side("image_size", default_image)?, side("patch_size", default_patch)?);
        if patch > image {
            return Err(self
                .config
                .contradiction("patch_size", &format!("is {patch}, of an image of {image}")));
        }
        Ok((image / patch, patch))
    }
}

/// The tower that sees of a whole config, if its type's is counted.
pub(super) fn tower(c: &Config, text_width: u64) -> Result<Found<'_, Processor>> {
    let known = TOWERS.iter().find(|(model_type, _)| *model_type == c.model_type());
    let Some((_, build)) = known else { return Ok(Found::Unknown) };
    tower::found(c, "vision_config", Component::Vision, text_width, build)
}

/// What most towers' configs say of their layers.
#[derive(Debug, Clone, Copy)]
struct Layers {
    /// Width of a patch's vector.
    d: u64,
    /// Width inside a layer.
    f: u64,
    count: u64,
    heads: Heads,
    /// Values of a pixel.
    channels: u64,
}

impl Layers {
    /// From the config, or as a class has them: width, width inside, layers and heads.
    fn read(c: &Config, [d, f, count, heads]: [u64; 4]) -> Result<Self> {
        let d = c.size_or("hidden_size", d)?;
        let f = c.size_or("intermediate_size", f)?;
        let count = c.size_or("num_hidden_layers", count)?;
        let heads = self::heads(c, d, c.size_or("num_attention_heads", heads)?)?;
        let channels = c.maybe("num_channels")?.unwrap_or(3);
        Ok(Self { d, f, count, heads, channels })
    }

    /// Values of a square patch, so many pixels a side.
    fn values(&self, patch: u64) -> u64 {
        self.channels * patch * patch
    }
}

/// The most tiles that are believed.
const MOST_TILES: u64 = 256;

/// A number of tiles that is believed.
fn most_tiles(c: &Config, key: &'static str, tiles: u64) -> Result<u64> {
    if tiles > MOST_TILES {
        let fact = format!("is {tiles}; the most that is believed is {MOST_TILES}");
        return Err(c.contradiction(key, &fact));
    }
    Ok(tiles)
}

/// The error of a setting of a processor that is not at hand, and whose default no tower of this size goes with: the text
/// part is counted.
fn unstated(key: &str, fact: &str) -> Error {
    let place = format!("`preprocessor_config.{key}`");
    Error::new(ErrorKind::Architecture, place, format!("is absent, and {fact}"))
}

/// A product of the tower.
pub(super) fn linear(module: &'static str, from: u64, to: u64, bias: bool) -> Op {
    Linear::new(module, Component::Vision, from, to).bias(bias).into()
}

/// Attention of every patch to every other of its tile.
pub(super) fn attend(module: &'static str, heads: u64, dim: u64) -> Op {
    Attention::new(module, heads, heads, dim, dim, Mask::Full).into()
}

#[cfg(test)]
mod tests {
    use super::super::testing::model;
    use crate::dtype::Dtype;
    use crate::op::{Op, Storage};

    #[test]
    fn a_tower_that_a_scheme_leaves_out_in_any_spelling_is_stored_plainly() {
        let plain = |left_out: &str| {
            let model = model(&format!(
                r#"{{"model_type": "llava", "dtype": "bfloat16",
                    "quantization_config": {{"quant_method": "modelopt", "quant_algo": "NVFP4",
                        "ignore": [{left_out}]}},
                    "vision_config": {{"model_type": "clip_vision_model", "hidden_size": 32,
                        "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                        "image_size": 4, "patch_size": 2}},
                    "text_config": {{"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1,
                        "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 32}}}}"#
            ));
            let stacks = model.stacks().iter().flat_map(|stack| stack.groups());
            let matrices = stacks.flat_map(|group| &group.ops).filter_map(|op| match op {
                Op::Linear(linear) => Some(linear.storage == Storage::plain(Dtype::Bf16)),
                _ => None,
            });
            matrices.collect::<Vec<bool>>()
        };
        // Patches, a layer that is needed, one that is not, and two of the projector.
        assert_eq!(plain(r#""lm_head", "model.vision_tower*""#), [true; 1 + 6 + 6 + 2]);
        // Without it, the method means the matrices of layers.
        assert_eq!(plain(r#""lm_head""#).iter().filter(|plain| **plain).count(), 1 + 2);
    }
}
