//! BART and its kin: an encoder and a decoder that attends to it, or the decoder on its own (`…ForCausalLM`).
//!
//! ```text
//! encoder  embed + positions (→ norm) → L × [ q, k, v → attend to all → out, norm ] [ fc1 → fc2, norm ] (→ norm)
//! decoder  embed + positions (→ norm) → L × [ q, k, v → attend → out, norm ]
//!              [ q, k and v of the encoder's output → attend to it → out, norm ] [ fc1 → fc2, norm ] (→ norm) → head
//! ```
//!
//! In every so many layers of NLLB's mixture two experts of many are the feed-forward layer. BigBird-Pegasus's encoder
//! attends to blocks as BigBird's does. Whether a norm stands before its half or behind it changes no count. Of a decoder on
//! its own the layers hold cross-attention as well, which nothing passes: its weights are stored, and take part in nothing. A
//! class that labels a text reads it on both sides, and generates nothing. Whisper's encoder reads a window of sound, which
//! two convolutions make positions of, filled up however short the sound is.

pub(super) mod layer;

use super::big_bird::Sparse;
use super::experts;
use super::parts::{head, layer_norm, shared_table, table, tied};
use super::task::{BEFORE, Task, classify, for_each_token};
use crate::audio::{Extractor, Steps, Tokens, Windows};
use crate::component::Component;
use crate::config::Config;
use crate::error::{Result, shown};
use crate::model::{Builder, Model};
use crate::op::{Experts, Linear, Op};
use crate::passes::Mask;
use crate::stack::Reads;
use layer::Layer;

pub(super) const MODEL_TYPES: &[&str] = &[
    "bart",
    "bigbird_pegasus",
    "blenderbot",
    "blenderbot-small",
    "m2m_100",
    "marian",
    "mbart",
    "mvp",
    "nllb-moe",
    "pegasus",
    "plbart",
    "trocr",
    "whisper",
];

/// What sets one apart from another.
struct Kind {
    /// Positions of the table where the key is absent, and rows that stand before the first one; `None` where sines
    /// are computed.
    positions: Option<(u64, u64)>,
    /// Whether the embedding is normed.
    norm_first: bool,
    /// Whether what comes out of the layers is normed.
    norm_last: bool,
}

impl Kind {
    fn of(c: &Config) -> Result<Self> {
        let kind = |positions, offset, norm_first, norm_last| Self {
            positions: Some((positions, offset)),
            norm_first,
            norm_last,
        };
        Ok(match c.model_type() {
            "bigbird_pegasus" => kind(4096, 0, true, false),
            "blenderbot" => kind(128, 0, false, true),
            "blenderbot-small" => kind(512, 0, true, false),
            "m2m_100" | "nllb-moe" => Self { positions: None, norm_first: false, norm_last: true },
            "marian" => kind(1024, 0, false, false),
            "mbart" => kind(1024, 2, true, true),
            "pegasus" => kind(1024, 0, false, true),
            "trocr" => Self {
                positions: c.flag("use_learned_position_embeddings", true)?.then_some((512, 2)),
                norm_first: c.flag("layernorm_embedding", true)?,
                norm_last: false,
            },
            "whisper" => kind(448, 0, false, true),
            _ => kind(1024, 2, true, false),
        })
    }

    /// What stands before the layers of either side, its table first.
    fn first(&self, c: &Config, table_of_tokens: Op, d: u64) -> Result<Vec<Op>> {
        let key = match c.model_type() {
            "whisper" => "max_target_positions",
            _ => "max_position_embeddings",
        };
        let mut first = vec![table_of_tokens];
        match self.positions {
            Some((default, offset)) => {
                first.push(table("embed_positions", c.size_or(key, default)? + offset, d));
            }
            None => drop(c.raw(key)),
        }
        if self.norm_first {
            first.push(layer_norm("layernorm_embedding", d, true));
        }
        Ok(first)
    }

    /// What stands behind them.
    fn last(&self, d: u64) -> Vec<Op> {
        if self.norm_last { vec![layer_norm("layer_norm", d, true)] } else { Vec::new() }
    }
}

pub(super) fn build(c: &Config) -> Result<Model> {
    let kind = Kind::of(c)?;
    let d = c.size_of(&["d_model", "hidden_size"])?;
    let vocab = c.size("vocab_size")?;
    let task = task(c)?;
    let whole = task.is_some() || is_whole(c)?;
    let mut model = Builder::new(c)?;
    let rows = if !whole {
        // Of the encoder's sizes none is the decoder's.
        for key in ENCODER_KEYS {
            c.raw(key);
        }
        match c.model_type() {
            "marian" => c.maybe("decoder_vocab_size")?.unwrap_or(vocab),
            _ => vocab,
        }
    } else if c.model_type() == "whisper" {
        hear(c, &mut model, d)?;
        vocab
    } else {
        read(c, &mut model, &kind, vocab, d)?
    };
    // Tokens of two vocabularies are in two tables.
    let same_table = whole && c.model_type() != "whisper" && rows == vocab;
    let tokens = if same_table { shared_table } else { table }("embed_tokens", rows, d);
    model.once("embedding", kind.first(c, tokens, d)?);
    let layer = Layer::read(c, d, "decoder_attention_heads", "decoder_ffn_dim")?;
    let sparse = sparse_layers(c, "decoder_sparse_step")?;
    let mask = if task.is_some() { BEFORE } else { Mask::Causal };
    model.layers(c.size("decoder_layers")?, |at| {
        Ok(match whole {
            true => layer.decoding(mask, sparse(at)),
            false => layer.decoding_alone(sparse(at)),
        })
    })?;
    let mut last = kind.last(d);
    if let Some(task) = task {
        last.extend(labelling(task, d));
        model.head(last)?;
        return model.finish();
    }
    // This one's decoder on its own has an embedding that no head shares, whatever the config says.
    let alone = !whole && c.model_type() == "bigbird_pegasus";
    let rows = if c.model_type() == "marian" && whole { rows } else { vocab };
    last.push(head(d, rows, tied(c, true)? && !alone).into());
    model.head(last)?;
    model.finish()
}

const ENCODER_KEYS: [&str; 6] = [
    "classifier_proj_size",
    "encoder_attention_heads",
    "encoder_ffn_dim",
    "encoder_layers",
    "max_source_positions",
    "num_mel_bins",
];

/// Whether a config is that of an encoder-decoder that generates.
pub(super) fn is_whole(c: &Config) -> Result<bool> {
    let named = c.texts("architectures")?.unwrap_or_default();
    if let Some(other) = named.iter().find(|name| OTHER_HEADS.iter().any(|end| name.ends_with(end)))
    {
        let fact = format!("names `{}`, whose head is not counted", shown(other));
        return Err(c.contradiction("architectures", &fact).hint(
            "the whole generates as …ForConditionalGeneration, the decoder alone as …ForCausalLM",
        ));
    }
    let causal = named.iter().any(|name| name.ends_with("ForCausalLM"));
    Ok(c.flag("is_encoder_decoder", c.model_type() != "trocr")? && !causal)
}

const OTHER_HEADS: [&str; 3] =
    ["ForSequenceClassification", "ForQuestionAnswering", "ForAudioClassification"];

/// What a class does that reads a text on both sides and labels it, `None` for one that generates.
pub(super) fn task(c: &Config) -> Result<Option<Task>> {
    let named = c.texts("architectures")?.unwrap_or_default();
    let labels = |end| named.iter().any(|name| name.ends_with(end));
    match labels("ForSequenceClassification") || labels("ForQuestionAnswering") {
        true => Task::of(c).map(Some),
        false => Ok(None),
    }
}

/// What stands behind a decoder that has read the text again: labels of all of it, or of each token.
pub(super) fn labelling(task: Task, d: u64) -> Vec<Op> {
    match task {
        Task::ClassifySequence(labels) => {
            classify("classification_head.dense", "classification_head.out_proj", d, labels).into()
        }
        Task::ClassifyTokens(labels) => vec![for_each_token("qa_outputs", d, labels).into()],
        Task::Embed | Task::Predict | Task::PreTrain => Vec::new(),
    }
}

/// The encoder of a text, and how many tokens the decoder knows.
fn read(c: &Config, model: &mut Builder<'_>, kind: &Kind, vocab: u64, d: u64) -> Result<u64> {
    c.raw("classifier_proj_size");
    if c.model_type() == "mvp" && c.flag("use_prompt", false)? {
        return Err(c.contradiction("use_prompt", "is true, and prompts of layers are not counted"));
    }
    let blocks = match c.model_type() {
        "bigbird_pegasus" => Some(Sparse::read(c)?),
        _ => None,
    };
    let layer = Layer::read(c, d, "encoder_attention_heads", "encoder_ffn_dim")?;
    let sparse = sparse_layers(c, "encoder_sparse_step")?;
    model.stack(ENCODER, Component::Encoder, Reads::Prompt, |model| {
        model.once("embedding", kind.first(c, table("shared", vocab, d), d)?);
        model.layers(c.size("encoder_layers")?, |at| {
            Ok(match blocks {
                Some(blocks) => layer.encoding_in_blocks(blocks),
                None => layer.encoding(sparse(at)),
            })
        })?;
        model.once("norm", kind.last(d));
        Ok(())
    })?;
    let shared = c.model_type() != "marian" || c.flag("share_encoder_decoder_embeddings", true)?;
    match c.maybe("decoder_vocab_size")? {
        Some(rows) if !shared => Ok(rows),
        _ => Ok(vocab),
    }
}

/// The experts of each layer that has some.
fn sparse_layers(c: &Config, step: &'static str) -> Result<impl Fn(u64) -> Option<Experts>> {
    let (step, experts) = match c.model_type() {
        "nllb-moe" => (c.count_or(step, 4)?, c.size_or("num_experts", 128)?),
        _ => (0, 2),
    };
    // The reference implementation reads the mask of the chosen ones as their numbers, and runs as many as there are.
    let experts =
        Experts { run_by_reference: experts, ..experts::routed(c, "num_experts", 2, experts)? };
    Ok(move |layer: u64| (step > 0 && (layer + 1).is_multiple_of(step)).then_some(experts))
}

/// The encoder of a window of sound: two convolutions of three positions each, the second over every other one.
fn hear(c: &Config, model: &mut Builder<'_>, d: u64) -> Result<()> {
    c.raw("classifier_proj_size");
    let positions = c.size_or("max_source_positions", 1500)?;
    let bins = c.size_or("num_mel_bins", 80)?;
    // Whisper's frames are of 16 kHz and of 10 ms unless a file says otherwise, and none of them is a token.
    let settings = c.preprocessor("WhisperFeatureExtractor")?;
    let rate = settings.maybe("sampling_rate")?.unwrap_or(16_000);
    let hop = settings.maybe("hop_length")?.unwrap_or(160);
    let windows = Windows::One(2 * positions * hop);
    let tokens = Tokens::OfClip(Steps::ALL.times(0));
    model.hear(Extractor { rate, hop, windows, piece: None, tokens, around: 0 });
    let layer = Layer::read(c, d, "encoder_attention_heads", "encoder_ffn_dim")?;
    let convolution = |module, from| {
        Linear::new(module, Component::EmbeddingProjections, 3 * from, d).bias(true).into()
    };
    model.stack(ENCODER, Component::Encoder, Reads::Window(2 * positions), |model| {
        model.once("first convolution", [convolution("conv1", bins)]);
        Ok(())
    })?;
    model.stack(ENCODER, Component::Encoder, Reads::Window(positions), |model| {
        let table = table("model.encoder.embed_positions", positions, d);
        model.once("second convolution", [convolution("conv2", d), table]);
        model.layers(c.size("encoder_layers")?, |_| Ok(layer.encoding(None)))?;
        model.once("norm", [layer_norm("layer_norm", d, true)]);
        Ok(())
    })
}

const ENCODER: (&str, &str) = ("encoder", "model.encoder.layers");

#[cfg(test)]
mod tests {
    use super::super::testing::{fact, model};
    use crate::audio::Clip;
    use crate::{Convention, Model, Workload};

    const SMALL: &str = r#"{"model_type": "bart", "d_model": 60, "decoder_layers": 3,
        "decoder_attention_heads": 6, "decoder_ffn_dim": 92, "vocab_size": 131,
        "max_position_embeddings": 64, "architectures": ["BartForCausalLM"]}"#;

    #[test]
    fn weights_of_cross_attention_are_stored_and_take_part_in_nothing() {
        let bart = model(SMALL);
        // Embedding 131·60, positions 66·60, a norm of 120. A layer: attention 4·(60² + 60), mlp
        // 2·60·92 + 92 + 60, two norms of 120.
        let active: u128 = 197 * 60 + 120 + 3 * (4 * 3660 + 11_192 + 240);
        assert_eq!(bart.parameters().active, active);
        assert_eq!(bart.parameters().total, active + 3 * (4 * 3660 + 120));
    }

    #[test]
    fn a_whole_has_an_encoder_and_a_decoder_that_attends_to_it() {
        let sizes =
            r#"{"encoder_layers": 2, "encoder_attention_heads": 5, "encoder_ffn_dim": 70, "#;
        let whole =
            SMALL.replacen('{', sizes, 1).replace("ForCausalLM", "ForConditionalGeneration");
        let bart = model(&whole);
        // Beside the decoder's: positions and a norm once more, layers of attention 4·(60² + 60), mlp
        // 2·60·70 + 70 + 60, two norms of 120.
        let encoder = 66 * 60 + 120 + 2 * (4 * 3660 + 8530 + 240);
        assert_eq!(bart.parameters().total, model(SMALL).parameters().total + encoder);
        assert_eq!(bart.parameters().active, bart.parameters().total);
        let told = whole.replacen('{', r#"{"is_encoder_decoder": false, "#, 1);
        assert_eq!(model(&told).parameters(), model(SMALL).parameters());
    }

    #[test]
    fn whisper_reads_one_window_however_short_the_clip() {
        let whisper = model(
            r#"{"model_type": "whisper", "d_model": 60, "encoder_layers": 2, "decoder_layers": 3,
                "encoder_attention_heads": 6, "decoder_attention_heads": 6, "encoder_ffn_dim": 92,
                "decoder_ffn_dim": 92, "vocab_size": 131, "architectures": ["WhisperForConditionalGeneration"]}"#,
        );
        let request = Workload::request(4, 9);
        let hearing = |seconds: &[f64]| {
            let clips =
                seconds.iter().map(|seconds| Clip::new(*seconds).expect("a clip")).collect();
            let workload = request.clone().with_audio(clips).expect("a workload");
            whisper.flops(&workload, &Convention::MODEL)
        };
        let without = whisper.flops(&request, &Convention::MODEL).expect("a count");
        assert_eq!(hearing(&[0.4]).expect("a count"), without);
        assert_eq!(hearing(&[30.0]).expect("a count"), without);
        let fact = |seconds| hearing(seconds).expect_err("too long").to_string();
        let hint = "a longer recording is a request for each window: a batch of them";
        let long = format!("audio: is `31 s`, and the encoder reads a window of 30 s; {hint}");
        assert_eq!(fact(&[31.0]), long);
        let two = format!("audio: is 2 clips, and the encoder reads one window; {hint}");
        assert_eq!(fact(&[1.0, 2.0]), two);
    }

    #[test]
    fn a_class_that_labels_a_text_reads_it_on_both_sides() {
        let sizes = r#"{"encoder_layers": 2, "encoder_attention_heads": 5, "encoder_ffn_dim": 70, "num_labels": 3, "#;
        let told = |end| SMALL.replacen('{', sizes, 1).replace("ForCausalLM", end);
        let whole = model(&told("ForConditionalGeneration"));
        let labels = model(&told("ForSequenceClassification"));
        // A head of 60² + 60 and three labels, instead of the table.
        assert_eq!(labels.parameters().total, whole.parameters().total + 3660 + 3 * 61);
        assert!(labels.encodes_only());
        let flops = |model: &Model, workload: &Workload| {
            model.flops(workload, &Convention::MODEL).expect("a count").total
        };
        let text = Workload::request(10, 1);
        let generates = text.clone().with_decoder_prompt(10);
        // The same on both sides, the head aside: a token of 131 there, 60 and three labels here.
        let difference = flops(&labels, &text) + 2 * 60 * 131 - flops(&whole, &generates);
        assert_eq!(difference, 2 * (60 * 60 + 60 * 3));
        let error =
            labels.flops(&Workload::request(10, 2), &Convention::MODEL).expect_err("it labels");
        assert!(error.to_string().starts_with("generate: is 2"), "{error}");
    }

    #[test]
    fn other_heads_are_refused() {
        assert_eq!(
            fact(&SMALL.replace("BartForCausalLM", "WhisperForAudioClassification")),
            "`architectures`: names `WhisperForAudioClassification`, whose head is not counted"
        );
    }
}
