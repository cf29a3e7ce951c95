//! Moonshine (arXiv:2410.15608): an encoder of the waveform, as long as the sound, and a decoder that attends to it.
//!
//! ```text
//! encoder  samples → three convolutions → L × [ norm → q, k, v → attend to all → o ] [ norm → fc1 → fc2 ] → norm
//! decoder  embed → L × [ norm → q, k, v → attend → o ] [ norm → q, k and v of the encoder's output → attend to it → o ]
//!              [ norm → fc1, gated → fc2 ] → norm → head
//! ```
//!
//! The reference implementation may fill the width of a head up before it multiplies.

use super::parts::{Heads, head, layer_norm, mlp, projection, table, tied};
use crate::audio::{Extractor, Hears, Steps, Tokens, Windows};
use crate::component::Component;
use crate::config::Config;
use crate::error::Result;
use crate::model::{Builder, Model};
use crate::op::{Linear, Op};
use crate::passes::Mask;

pub(super) const MODEL_TYPES: &[&str] = &["moonshine"];

/// Samples that the first convolution multiplies, and from one of its rows to the next.
const KERNEL: u64 = 127;
const STRIDE: u64 = 64;

/// Rows of the second and the third convolution.
const SECOND: Steps = Steps::ALL.within(7, 3);
const THIRD: Steps = SECOND.within(3, 2);

pub(super) fn build(c: &Config) -> Result<Model> {
    let d = c.size_or("hidden_size", 288)?;
    let vocab = c.size_or("vocab_size", 32768)?;
    // Positions are rotated.
    c.raw("max_position_embeddings");
    let layer = Layer::read(c, d)?;
    let mut model = Builder::new(c)?;
    let convolution =
        |module, from, to| Linear::new(module, Component::EmbeddingProjections, from, to);
    let convolutions = [
        (
            Steps::ALL,
            vec![convolution("conv1", KERNEL, d).into(), layer_norm("groupnorm", d, true)],
        ),
        (SECOND, vec![convolution("conv2", 7 * d, 2 * d).bias(true).into()]),
        (THIRD, vec![convolution("conv3", 3 * 2 * d, d).bias(true).into()]),
    ];
    for (steps, ops) in convolutions {
        let path = ("convolution", "model.encoder");
        model.stack(path, Component::Encoder, Hears::sound(steps).into(), |model| {
            model.once("convolution", ops);
            Ok(())
        })?;
    }
    let path = ("encoder", "model.encoder.layers");
    model.stack(path, Component::Encoder, Hears::sound(THIRD).into(), |model| {
        model.layers(c.size_or("encoder_num_hidden_layers", 6)?, |_| Ok(layer.encoding()))?;
        model.once("norm", [layer_norm("layer_norm", d, false)]);
        Ok(())
    })?;
    let settings = c.preprocessor("Wav2Vec2FeatureExtractor")?;
    let rate = settings.maybe("sampling_rate")?.unwrap_or(16_000);
    let (windows, tokens) = (Windows::Within(KERNEL), Tokens::Attended(THIRD));
    model.hear(Extractor { rate, hop: STRIDE, windows, piece: None, tokens, around: 0 });
    model.once("embedding", [table("model.decoder.embed_tokens", vocab, d)]);
    model.layers(c.size_or("decoder_num_hidden_layers", 6)?, |_| Ok(layer.decoding()))?;
    model.head([layer_norm("norm", d, false), head(d, vocab, tied(c, true)?).into()])?;
    model.finish()
}

/// The sizes of a layer, which both sides have alike.
struct Layer {
    d: u64,
    f: u64,
    heads: Heads,
    bias: bool,
    /// The multiple that the reference implementation fills a head's width up to.
    filled: u64,
}

impl Layer {
    fn read(c: &Config, d: u64) -> Result<Self> {
        let heads = c.size_or("decoder_num_attention_heads", 8)?;
        // The class cuts queries into as many heads as the decoder has keys, on both sides.
        for key in [
            "encoder_num_attention_heads",
            "encoder_num_key_value_heads",
            "decoder_num_key_value_heads",
        ] {
            if let Some(other) = c.maybe(key)?.filter(|other| *other != heads) {
                let fact = format!("is {other}, and the decoder has {heads} heads of queries");
                return Err(c.contradiction(key, &fact));
            }
        }
        Ok(Self {
            d,
            f: c.size_or("intermediate_size", 1152)?,
            heads: Heads::checked(c, d, heads, heads, c.maybe("head_dim")?)?,
            bias: c.flag("attention_bias", false)?,
            filled: c.maybe("pad_head_dim_to_multiple_of")?.unwrap_or(1),
        })
    }

    /// Attention between its projections, `[q, k, v, o]` being their modules.
    fn attention(&self, [q, k, v, o]: [&'static str; 4], attend: Op) -> Vec<Op> {
        let (d, inner) = (self.d, self.heads.query_width());
        let onto = |module| projection(module, d, inner).bias(self.bias);
        let (k, v) = match attend {
            Op::Cross(_) => (onto(k).of_source(), onto(v).of_source()),
            _ => (onto(k), onto(v)),
        };
        let attend = match attend {
            Op::Attention(mut op) => {
                op.filled_by_reference = self.filled;
                op.into()
            }
            Op::Cross(mut op) => {
                op.filled_by_reference = self.filled;
                Op::Cross(op)
            }
            other => other,
        };
        vec![onto(q).into(), k.into(), v.into(), attend, projection(o, inner, d).into()]
    }

    fn itself(&self, norm: &'static str, mask: Mask) -> Vec<Op> {
        let modules =
            ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"];
        let mut ops = vec![layer_norm(norm, self.d, false)];
        ops.extend(self.attention(modules, self.heads.attend(mask)));
        ops
    }

    /// The feed-forward half, its first matrix as wide as the second one's input so many times.
    fn feed_forward(&self, norm: &'static str, gates: u64) -> [Op; 3] {
        let (d, f) = (self.d, self.f);
        let (up, down) = (mlp("mlp.fc1", d, gates * f).bias(true), mlp("mlp.fc2", f, d).bias(true));
        [layer_norm(norm, d, false), up.into(), down.into()]
    }

    fn encoding(&self) -> Vec<Op> {
        let mut ops = self.itself("input_layernorm", Mask::Full);
        ops.extend(self.feed_forward("post_attention_layernorm", 1));
        ops
    }

    fn decoding(&self) -> Vec<Op> {
        let modules = [
            "encoder_attn.q_proj",
            "encoder_attn.k_proj",
            "encoder_attn.v_proj",
            "encoder_attn.o_proj",
        ];
        let mut ops = self.itself("input_layernorm", Mask::Causal);
        ops.push(layer_norm("post_attention_layernorm", self.d, false));
        ops.extend(self.attention(modules, self.heads.attend_across("encoder_attn")));
        ops.extend(self.feed_forward("final_layernorm", 2));
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::audio::Clip;
    use crate::{Convention, Workload};

    /// moonshine-tiny.
    const TINY: &str = r#"{"model_type": "moonshine", "hidden_size": 288, "intermediate_size": 1152, "vocab_size": 32768,
        "encoder_num_hidden_layers": 6, "decoder_num_hidden_layers": 6, "encoder_num_attention_heads": 8,
        "decoder_num_attention_heads": 8, "pad_head_dim_to_multiple_of": 8,
        "architectures": ["MoonshineForConditionalGeneration"]}"#;

    #[test]
    fn tiny_has_its_27_million_parameters() {
        // Convolutions 127·288, a norm of 576, 7·288·576 + 576, 3·576·288 + 288. A layer: attention 4·288², and of the
        // encoder 2·288·1152 + 1152 + 288 and two norms; of the decoder attention once more, 3·288·1152 + 2·1152 + 288
        // and three norms. A norm on either side, and a table.
        let convolutions: u128 = 127 * 288 + 576 + 7 * 288 * 576 + 576 + 3 * 576 * 288 + 288;
        let attention = 4 * 288 * 288;
        let encoder = attention + 2 * 288 * 1152 + 1152 + 288 + 2 * 288;
        let decoder = 2 * attention + 3 * 288 * 1152 + 2 * 1152 + 288 + 3 * 288;
        let total = convolutions + 6 * (encoder + decoder) + 2 * 288 + 32768 * 288;
        assert_eq!(model(TINY).parameters().total, total);
        // "27M" in its card.
        assert_eq!((total + 500_000) / 1_000_000, 27);
    }

    #[test]
    fn a_request_says_how_long_the_sound_is() {
        let tiny = model(TINY);
        let request = Workload::request(1, 9);
        let error = tiny.flops(&request, &Convention::MODEL).expect_err("no sound").to_string();
        assert!(error.starts_with("audio: is 0 clips, and the encoder reads one"), "{error}");
        let heard = |seconds: f64| {
            let clip = Clip::new(seconds).expect("a clip");
            let workload = request.clone().with_audio(vec![clip]).expect("a workload");
            tiny.flops(&workload, &Convention::MODEL).map(|flops| flops.total)
        };
        assert!(heard(10.0).expect("a count") > 5 * heard(1.0).expect("a count"));
        // 640 samples are 9 rows of the first convolution, 1 of the second and none of the third.
        let error = heard(0.04).expect_err("too short").to_string();
        assert!(error.starts_with("audio: `0.04 s` leaves nothing"), "{error}");
    }

    #[test]
    fn both_sides_have_as_many_heads() {
        let other = TINY
            .replace(r#""encoder_num_attention_heads": 8"#, r#""encoder_num_attention_heads": 4"#);
        assert_eq!(
            fact(&other),
            "`encoder_num_attention_heads`: is 4, and the decoder has 8 heads of queries"
        );
    }
}
