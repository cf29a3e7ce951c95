//! Towers that hear, and what puts their vectors into the text part's width.
//!
//! ```text
//! sound → frames → convolutions → L × [ norm → q, k, v → attend → out ] [ norm → up → down ] → projector ┐
//! text → embed ───────────────────────────────────────────────────────────────────────────────────────────┴→ layers
//! ```
//!
//! A tower is [stacks](crate::Stack), one for each number of rows that it works on. How a clip becomes frames, and how
//! many tokens those are, is its [`Extractor`].

mod qwen;
mod whisper;

use super::parts::Heads;
use super::tower::{self, Found, Tower, heads};
use crate::audio::{Extractor, Tokens, Windows};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::op::{Attention, Linear, Op};
use crate::passes::Mask;

/// How a family builds its tower.
type Build = fn(&mut Tower<'_>) -> Result<Extractor>;

/// The types whose tower is counted, and where their configs keep what it is: the one list.
const TOWERS: &[(&str, &str, Build)] = &[
    ("audioflamingo3", "audio_config", whisper::audio_flamingo),
    ("glmasr", "audio_config", whisper::glm),
    ("musicflamingo", "audio_config", whisper::music_flamingo),
    ("qwen2_5_omni_thinker", "audio_config", whisper::qwen2_5_omni),
    ("qwen2_audio", "audio_config", whisper::qwen2),
    ("qwen3_asr", "audio_config", qwen::asr),
    ("qwen3_omni_moe_thinker", "audio_config", qwen::omni),
    ("voxtral", "audio_config", whisper::voxtral),
];

/// Every `model_type` whose audio tower is counted.
pub fn audio_tower_types() -> impl Iterator<Item = &'static str> {
    TOWERS.iter().map(|(model_type, ..)| *model_type)
}

/// The tower that hears of a whole config, if its type's is counted.
pub(super) fn tower(c: &Config, text_width: u64) -> Result<Found<'_, Extractor>> {
    let known = TOWERS.iter().find(|(model_type, ..)| *model_type == c.model_type());
    let Some((_, key, build)) = known else { return Ok(Found::Unknown) };
    // Some files say of the whole what is the text part's.
    for key in ["hidden_size", "vocab_size"] {
        c.raw(key);
    }
    tower::found(c, key, Component::Audio, text_width, build)
}

/// What a feature extractor states: samples a second, samples from a frame to the next, and seconds of a window.
struct Stated {
    settings: Config,
    rate: u64,
    hop: u64,
}

impl Stated {
    fn read(tower: &Tower<'_>, class: &str) -> Result<Self> {
        let settings = tower.processor(class)?;
        let rate = settings.size_or("sampling_rate", 16_000)?;
        let hop = settings.size_or("hop_length", 160)?;
        Ok(Self { settings, rate, hop })
    }

    /// Samples of a window of as many frames as the tower has positions for, twice; of the stated seconds, where those
    /// are stated.
    fn window(&self, tower: &Tower<'_>, positions: u64) -> Result<u64> {
        let Some(seconds) = self.settings.maybe("chunk_length")? else {
            return Ok(2 * positions * self.hop);
        };
        let samples = seconds * self.rate;
        if samples / self.hop != 2 * positions {
            let fact = format!(
                "is {positions}, and a window of {seconds} seconds is {} frames",
                samples / self.hop
            );
            return Err(tower.config.contradiction("max_source_positions", &fact));
        }
        Ok(samples)
    }

    /// Samples of a window of the stated seconds, or the class's 30.
    fn window_or_default(&self) -> Result<u64> {
        Ok(self.settings.size_or("chunk_length", 30)? * self.rate)
    }

    /// Windows that make up the most seconds of a clip.
    fn most_windows(&self, window: u64, seconds: u64) -> Result<u64> {
        Ok((self.settings.size_or("max_audio_len", seconds)? * self.rate / window).max(1))
    }

    fn extractor(self, tower: &Tower<'_>, windows: Windows, tokens: Tokens) -> Extractor {
        tower.whole.adopt(&self.settings);
        Extractor { rate: self.rate, hop: self.hop, windows, piece: None, tokens, around: 0 }
    }
}

/// A product of the tower.
fn linear(module: &'static str, from: u64, to: u64, bias: bool) -> Op {
    Linear::new(module, Component::Audio, from, to).bias(bias).into()
}

/// Attention of every row to all that it sees.
fn attend(module: &'static str, heads: Heads) -> Op {
    Attention::new(module, heads.query, heads.kv, heads.dim, heads.dim, Mask::Full).into()
}
