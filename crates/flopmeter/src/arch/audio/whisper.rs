//! Whisper's encoder before other decoders: two convolutions of three frames, the second over every other one, and layers
//! that attend to all of a window.
//!
//! Where a mask hides what a window is filled up with, the sound alone is needed; where none does (Voxtral, GLM-ASR), all
//! of it is.

use super::{Stated, attend, heads, linear};
use crate::arch::parts::{Heads, layer_norm, table};
use crate::arch::tower::Tower;
use crate::audio::{Extractor, Hears, Steps, Tokens, Windows};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::op::Op;

const PATH: &str = "audio_tower.layers";

/// Positions of the layers: every other frame.
const HALVED: Steps = Steps::ALL.up(2);

/// What all of them state.
pub(super) struct Sizes {
    pub d: u64,
    heads: Heads,
    f: u64,
    pub layers: u64,
    pub bins: u64,
}

impl Sizes {
    fn read(c: &Config) -> Result<Self> {
        Self::read_or(c, [32, 20, 5120, 1280])
    }

    /// The same with the class's layers, heads, inner width and width.
    pub fn read_or(c: &Config, [layers, heads_or, f, d]: [u64; 4]) -> Result<Self> {
        let d = c.size_of_or(&["d_model", "hidden_size"], d)?;
        let query = c.size_of_or(&["encoder_attention_heads", "num_attention_heads"], heads_or)?;
        // In files only: every head has keys and values of its own.
        for key in ["head_dim", "num_key_value_heads"] {
            c.raw(key);
        }
        Ok(Self {
            d,
            heads: heads(c, d, query)?,
            f: c.size_of_or(&["encoder_ffn_dim", "intermediate_size"], f)?,
            layers: c.size_of_or(&["encoder_layers", "num_hidden_layers"], layers)?,
            bins: c.size_or("num_mel_bins", 128)?,
        })
    }

    /// Convolutions and layers over the rows that `hears` makes of a number of frames; `positions` rows of a table.
    fn encoder(
        &self,
        tower: &mut Tower<'_>,
        hears: fn(Steps) -> Hears,
        in_layers: Hears,
        positions: Option<u64>,
    ) -> Result<()> {
        let d = self.d;
        tower.once(
            "first convolution",
            hears(Steps::ALL),
            [linear("conv1", 3 * self.bins, d, true)],
        )?;
        let positions = positions.map(|rows| table("embed_positions", rows, d));
        let second = [linear("conv2", 3 * d, d, true)].into_iter().chain(positions);
        tower.once("second convolution", hears(HALVED), second)?;
        tower.stack("tower", PATH, in_layers, |builder| {
            builder.layers(self.layers, |_| Ok(self.layer(false)))
        })
    }

    /// A layer; `key_bias` is whether keys have one, which Whisper's have not.
    pub fn layer(&self, key_bias: bool) -> Vec<Op> {
        let (d, f) = (self.d, self.f);
        let kv = self.heads.kv_width();
        vec![
            layer_norm("self_attn_layer_norm", d, true),
            linear("self_attn.q_proj", d, d, true),
            linear("self_attn.k_proj", d, kv, key_bias),
            linear("self_attn.v_proj", d, kv, true),
            attend("self_attn", self.heads),
            linear("self_attn.out_proj", d, d, true),
            layer_norm("final_layer_norm", d, true),
            linear("fc1", d, f, true),
            linear("fc2", f, d, true),
        ]
    }
}

/// Qwen2-Audio: one window, cut off after it; pairs of positions averaged, one matrix.
pub(super) fn qwen2(tower: &mut Tower<'_>) -> Result<Extractor> {
    let sizes = Sizes::read(&tower.config)?;
    let positions = tower.config.size_or("max_source_positions", 1500)?;
    let hears = Hears::filled_by_reference;
    sizes.encoder(tower, hears, hears(HALVED), Some(positions))?;
    let (d, to) = (sizes.d, tower.text_width);
    let tokens = HALVED.down(2);
    tower.once(
        "projector",
        hears(tokens),
        [layer_norm("layer_norm", d, true), linear("multi_modal_projector.linear", d, to, true)],
    )?;
    let stated = Stated::read(tower, "WhisperFeatureExtractor")?;
    let window = stated.window(tower, positions)?;
    Ok(stated.extractor(tower, Windows::One(window), Tokens::OfClip(tokens)))
}

/// Audio Flamingo 3: windows up to ten minutes of them, two matrices.
pub(super) fn audio_flamingo(tower: &mut Tower<'_>) -> Result<Extractor> {
    flamingo(tower, "AudioFlamingo3Processor", 600)
}

/// Music Flamingo: the same up to twenty minutes, and a token before and one behind each clip.
pub(super) fn music_flamingo(tower: &mut Tower<'_>) -> Result<Extractor> {
    Ok(Extractor { around: 2, ..flamingo(tower, "MusicFlamingoProcessor", 1200)? })
}

fn flamingo(tower: &mut Tower<'_>, class: &str, seconds: u64) -> Result<Extractor> {
    let sizes = Sizes::read(&tower.config)?;
    let positions = tower.config.size_or("max_source_positions", 1500)?;
    let hears = Hears::filled_by_reference;
    sizes.encoder(tower, hears, hears(HALVED), Some(positions))?;
    let bias = tower.whole.flag("projector_bias", true)?;
    let (d, to) = (sizes.d, tower.text_width);
    let tokens = HALVED.down(2);
    let projector = [
        layer_norm("layer_norm", d, true),
        linear("multi_modal_projector.linear_1", d, to, bias),
        linear("multi_modal_projector.linear_2", to, to, bias),
    ];
    tower.once("projector", hears(tokens), projector)?;
    let stated = Stated::read(tower, class)?;
    let samples = stated.window(tower, positions)?;
    let most = stated.most_windows(samples, seconds)?;
    Ok(stated.extractor(tower, Windows::Several { samples, most }, Tokens::OfClip(tokens)))
}

/// Voxtral: windows, the last one filled up with silence that is heard; positions put together until they are as wide as
/// a layer's inner width.
pub(super) fn voxtral(tower: &mut Tower<'_>) -> Result<Extractor> {
    let sizes = Sizes::read(&tower.config)?;
    let positions = tower.config.size_or("max_source_positions", 1500)?;
    tower.config.raw("vocab_size");
    let hears = Hears::filled;
    sizes.encoder(tower, hears, hears(HALVED), Some(positions))?;
    let tokens = HALVED.down(together(&sizes)?);
    let to = tower.text_width;
    tower.once("norm", hears(HALVED), [layer_norm("layer_norm", sizes.d, true)])?;
    let projector = [
        linear("multi_modal_projector.linear_1", sizes.f, to, false),
        linear("multi_modal_projector.linear_2", to, to, false),
    ];
    tower.once("projector", Hears::features(), projector)?;
    let stated = Stated::read(tower, "WhisperFeatureExtractor")?;
    let window = stated.window(tower, positions)?;
    // One token says that a clip begins.
    let extractor = stated.extractor(tower, Windows::Filled(window), Tokens::OfClip(tokens));
    Ok(Extractor { around: 1, ..extractor })
}

/// GLM-ASR: rotary positions, windows whose filling nothing hides, four positions put together.
pub(super) fn glm(tower: &mut Tower<'_>) -> Result<Extractor> {
    let mut sizes = Sizes::read(&tower.config)?;
    let kv = tower.config.maybe("num_key_value_heads")?.unwrap_or(sizes.heads.kv);
    sizes.heads = sizes.heads.sharing(&tower.config, "num_key_value_heads", kv)?;
    sizes.encoder(tower, Hears::filled, Hears::filled(HALVED), None)?;
    let tokens = HALVED.down(together(&sizes)?);
    let to = tower.text_width;
    tower.once("norm", Hears::filled(HALVED), [layer_norm("norm", sizes.d, true)])?;
    tower.once(
        "projector",
        Hears::filled_by_reference(tokens),
        [
            linear("multi_modal_projector.linear_1", sizes.f, 2 * to, true),
            linear("multi_modal_projector.linear_2", 2 * to, to, true),
        ],
    )?;
    let stated = Stated::read(tower, "GlmAsrProcessor")?;
    let samples = stated.window_or_default()?;
    let most = stated.most_windows(samples, 655)?;
    Ok(stated.extractor(tower, Windows::Several { samples, most }, Tokens::OfClip(tokens)))
}

/// How many positions' widths make the inner width of a layer.
fn together(sizes: &Sizes) -> Result<u64> {
    if sizes.f.is_multiple_of(sizes.d) {
        return Ok(sizes.f / sizes.d);
    }
    let fact = format!("is {}, no multiple of the width {}", sizes.f, sizes.d);
    Err(Error::new(ErrorKind::Architecture, "`audio_config.intermediate_size`", fact))
}

/// Qwen2.5-Omni: pieces of a window that do not see each other, pairs of positions averaged, one matrix.
pub(super) fn qwen2_5_omni(tower: &mut Tower<'_>) -> Result<Extractor> {
    let sizes = Sizes::read(&tower.config)?;
    let c = &tower.config;
    c.raw("max_source_positions");
    let to = c.size_or("output_dim", 3584)?;
    let piece = 2 * c.size_or("n_window", 100)?;
    sizes.encoder(tower, Hears::filled_by_reference, Hears::sound(HALVED), None)?;
    tower.once(
        "projector",
        Hears::features(),
        [
            table("audio_bos_eos_token", 2, to),
            layer_norm("ln_post", sizes.d, true),
            linear("proj", sizes.d, to, true),
        ],
    )?;
    let stated = Stated::read(tower, "WhisperFeatureExtractor")?;
    let window = stated.window_or_default()?;
    let extractor = stated.extractor(tower, Windows::One(window), Tokens::OfClip(HALVED.down(2)));
    Ok(Extractor { piece: Some(piece), ..extractor })
}
