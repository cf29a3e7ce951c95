//! Speech2Text, fairseq's S2T (arXiv:2010.05171): BART's layers, and an encoder as long as the sound.
//!
//! ```text
//! encoder  frames → [ convolution of stride 2, gated ] … → L × [ norm → q, k, v → attend to all → out ] [ norm → fc1 → fc2 ] → norm
//! decoder  embed → L × [ as BART's ] → norm → head
//! ```

use super::bart::layer::Layer;
use super::parts::{head, layer_norm, table, tied};
use crate::audio::{Extractor, Hears, Steps, Tokens, Windows};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["speech_to_text"];

/// Samples of a frame: 25 milliseconds at 16 kHz, one every ten.
const FRAME: u64 = 400;
const HOP: u64 = 160;

/// Convolutions whose numbers of rows are known.
const MOST_CONVOLUTIONS: usize = 4;

/// The most channels that a convolution is believed to read.
const MOST_CHANNELS: u64 = 1 << 24;

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size("d_model")?;
    let vocab = c.size("vocab_size")?;
    // Sines are computed.
    for key in ["max_source_positions", "max_target_positions", "hidden_size", "num_hidden_layers"]
    {
        c.raw(key);
    }
    let encoder = Layer::read(c, d, "encoder_attention_heads", "encoder_ffn_dim")?;
    let decoder = Layer::read(c, d, "decoder_attention_heads", "decoder_ffn_dim")?;
    let mut model = Builder::new(c)?;
    let mut steps = Steps::ALL;
    for convolution in convolutions(c, d)? {
        steps = steps.up(2);
        let path = ("convolution", "model.encoder.conv");
        model.stack(path, Component::Encoder, Hears::sound(steps).into(), |model| {
            model.once("convolution", [convolution]);
            Ok(())
        })?;
    }
    let path = ("encoder", "model.encoder.layers");
    model.stack(path, Component::Encoder, Hears::sound(steps).into(), |model| {
        model.layers(c.size("encoder_layers")?, |_| Ok(encoder.encoding(None)))?;
        model.once("norm", [layer_norm("layer_norm", d, true)]);
        Ok(())
    })?;
    let settings = c.preprocessor("Speech2TextFeatureExtractor")?;
    let rate = settings.maybe("sampling_rate")?.unwrap_or(16_000);
    let (windows, tokens) = (Windows::Within(FRAME), Tokens::Attended(steps));
    model.hear(Extractor { rate, hop: HOP, windows, piece: None, tokens, around: 0 });
    model.once("embedding", [table("model.decoder.embed_tokens", vocab, d)]);
    model.layers(c.size("decoder_layers")?, |_| Ok(decoder.decoding(Mask::Causal, None)))?;
    model.head([layer_norm("layer_norm", d, true), head(d, vocab, tied(c, true)?).into()])?;
    model.finish()
}

/// The convolutions, each of twice as many channels as its gate lets through.
fn convolutions(c: &Config, d: u64) -> Result<Vec<Op>> {
    const KEY: &str = "conv_kernel_sizes";
    let count = c.size_or("num_conv_layers", 2)?;
    let kernels = match c.counts(KEY)? {
        Some(kernels) => kernels,
        None => {
            c.note_default(KEY, "5 and 5");
            vec![5, 5]
        }
    };
    if kernels.len() as u64 != count || kernels.len() > MOST_CONVOLUTIONS {
        let fact = format!("has {} entries for {count} convolutions", kernels.len());
        return Err(c.contradiction(KEY, &fact));
    }
    if let Some(even) = kernels.iter().find(|kernel| **kernel % 2 == 0) {
        let fact = format!("has {even}; around a position there is an odd number of them");
        return Err(c.contradiction(KEY, &fact));
    }
    let channels = c.size_or("conv_channels", 1024)?;
    let mut from = c.size_or("input_feat_per_channel", 80)? * c.size_or("input_channels", 1)?;
    if from > MOST_CHANNELS {
        let fact = format!("makes {from} channels; the most that is believed is {MOST_CHANNELS}");
        return Err(c.contradiction("input_channels", &fact));
    }
    let last = kernels.len().saturating_sub(1);
    let convolution = kernels.iter().enumerate().map(|(at, kernel)| {
        let to = if at < last { channels } else { 2 * d };
        let op = Linear::new("conv", Component::EmbeddingProjections, kernel * from, to);
        from = channels / 2;
        op.bias(true).into()
    });
    Ok(convolution.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::audio::Clip;
    use crate::{Convention, Model, Workload};

    /// s2t-small-librispeech-asr.
    const SMALL: &str = r#"{"model_type": "speech_to_text", "d_model": 256, "encoder_layers": 12, "decoder_layers": 6,
        "encoder_attention_heads": 4, "decoder_attention_heads": 4, "encoder_ffn_dim": 2048, "decoder_ffn_dim": 2048,
        "vocab_size": 10000, "num_conv_layers": 2, "conv_kernel_sizes": [5, 5], "conv_channels": 1024,
        "input_feat_per_channel": 80, "input_channels": 1, "architectures": ["Speech2TextForConditionalGeneration"]}"#;

    #[test]
    fn small_has_the_parameters_of_its_sizes() {
        // Convolutions 5·80·1024 + 1024 and 5·512·512 + 512; layers of attention 4·(256² + 256), which the decoder has
        // twice, 2·256·2048 + 2048 + 256 and norms of 512; a norm on either side; a table that is the head.
        let convolutions: u128 = 5 * 80 * 1024 + 1024 + 5 * 512 * 512 + 512;
        let (attention, mlp) = (4 * (256 * 256 + 256), 2 * 256 * 2048 + 2048 + 256);
        let layers = 12 * (attention + mlp + 2 * 512) + 6 * (2 * attention + mlp + 3 * 512);
        assert_eq!(model(SMALL).parameters().total, convolutions + layers + 2 * 512 + 10_000 * 256);
    }

    #[test]
    fn the_encoder_is_as_long_as_the_sound() {
        let small = model(SMALL);
        let encoder = |model: &Model, seconds: f64| {
            let clip = Clip::new(seconds).expect("a clip");
            let workload = Workload::request(1, 1).with_audio(vec![clip]).expect("a workload");
            let flops = model.flops(&workload, &Convention::MODEL).expect("a count");
            flops.prefill[crate::Component::Encoder]
        };
        // A second is (16,000 − 400)/160 + 1 = 98 frames, of which the convolutions leave 49 and 25.
        let linear: u128 =
            49 * 5 * 80 * 1024 + 25 * 5 * 512 * 512 + 25 * 12 * (4 * 256 * 256 + 2 * 256 * 2048);
        assert_eq!(encoder(&small, 1.0), 2 * linear + 12 * 2 * 2 * 256 * 25 * 25);
    }

    #[test]
    fn kernels_are_odd() {
        let other = SMALL.replace("[5, 5]", "[5, 4]");
        assert_eq!(
            fact(&other),
            "`conv_kernel_sizes`: has 4; around a position there is an odd number of them"
        );
    }
}
