//! What a fuzzer's bytes go through, one function for each kind of input, and everything that can be asked of what they
//! become. A panic is a finding: whatever the bytes are, they end in an answer or in an error that is fit to read.
//!
//! `fuzz/` calls these with bytes of its own, `tests/hostile.rs` with the seeds.

use flopmeter::audio::Clip;
use flopmeter::image::Image;
use flopmeter::units::{BytesPerSecond, FlopsPerSecond};
use flopmeter::weights::gguf::{Header, Parsed, Parser};
use flopmeter::weights::ollama::Manifest;
use flopmeter::weights::safetensors::{self, Index};
use flopmeter::weights::{Tensor, Weights};
use flopmeter::{
    Adapter, Bound, Builtin, Config, Convention, Error, ErrorKind, Frozen, Hardware, Model, Phase,
    Recompute, Sequence, Step, Workload, device, flops,
};
use std::sync::Arc;

/// A function that takes a fuzzer's bytes and says whether they are answered, not refused.
pub type Entry = fn(&[u8]) -> bool;

/// Every target, by the name of its folder of seeds.
pub const ALL: &[(&str, Entry)] = &[
    ("adapter", adapter),
    ("config", config),
    ("device", device),
    ("gguf", gguf),
    ("index", index),
    ("ollama", ollama),
    ("request", request),
    ("safetensors", safetensors),
];

/// An `adapter_config.json`, of a model with gated feed-forward layers and of one with experts.
pub fn adapter(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let adapter = match Adapter::parse(text) {
        Ok(adapter) => adapter,
        Err(error) => return refused(&error),
    };
    let adapted = |config: &str| {
        let config = Config::parse(config).expect("a config");
        let base = Model::from_config(&config).expect("a model");
        match base.clone().with_adapter(&adapter) {
            Ok(adapted) => {
                let more = adapted.unmerged.parameters().total - base.parameters().total;
                assert!(adapted.parameters >= more, "{adapted:?}");
                answered(&adapted.unmerged)
            }
            Err(error) => refused(&error),
        }
    };
    [LLAMA, MIXTRAL].map(adapted).contains(&true)
}

/// A config.json.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    counted(Config::parse(text))
}

/// The name of a device, or of a model.
pub fn device(bytes: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(bytes) else { return false };
    let (total, each) = flops::estimate_flops(name, 3, 4);
    assert_eq!(total, 7.0 * each);
    let model = match Builtin::find(name) {
        Ok(_) => true,
        Err(error) => refused(&error) || Builtin::find_variant(name).is_some(),
    };
    match device::find(name) {
        Ok(device) => device.peaks().all(|(_, peak)| peak.0 > 0.0 && peak.0.is_finite()),
        Err(error) => {
            assert!([ErrorKind::Device, ErrorKind::Ambiguous].contains(&error.kind()), "{error}");
            refused(&error) || model
        }
    }
}

/// The first bytes of a GGUF file, read as a whole and piece by piece, as from a disk.
pub fn gguf(bytes: &[u8]) -> bool {
    let size = bytes.len() as u64;
    let (mut parser, mut given) = (Parser::default(), 0);
    let pieces = loop {
        let from = usize::try_from(parser.at()).expect("a place in the file");
        match parser.parse(&bytes[from..given], size) {
            Ok(Parsed::Header(header)) => break Ok(header),
            Ok(Parsed::More(end)) => {
                let end = usize::try_from(end).expect("a length that was read");
                assert!(end > given && end <= bytes.len(), "{end} after {given}");
                // By doubling, as a reader would.
                given = end.max(given * 2).min(bytes.len());
            }
            Err(error) => break Err(error),
        }
    };
    let whole = Header::parse(bytes, size).map(|parsed| match parsed {
        Parsed::Header(header) => header,
        Parsed::More(end) => panic!("{end} of {size} bytes are needed"),
    });
    let shown = |read: &Result<Header, Error>| match read {
        Ok(header) => format!("{header:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown(&pieces), shown(&whole));
    let header = match whole {
        Ok(header) => header,
        Err(error) => return refused(&error),
    };
    assert!(header.bytes <= size);
    let tensors = header.tensors.clone();
    counted(header.config(tensors))
}

/// `model.safetensors.index.json`.
pub fn index(bytes: &[u8]) -> bool {
    let index = match Index::parse(&bytes) {
        Ok(index) => index,
        Err(error) => return refused(&error),
    };
    for file in index.files() {
        assert!(!file.contains(['/', '\\']), "{file} lies elsewhere");
        assert!(index.names(file).is_some_and(|names| names.count() > 0));
        assert!(index.first_tensor(file).is_some());
        is_readable(&index.check(file, &[]).expect_err("a file without its tensors"));
    }
    true
}

/// A manifest of Ollama's store.
pub fn ollama(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Manifest::parse(text) {
        Ok(manifest) => {
            assert!(!manifest.blobs.is_empty());
            let is_name = |name: &str| name.bytes().all(|c| c == b'-' || c.is_ascii_alphanumeric());
            assert!(manifest.blobs.iter().all(|(name, _)| is_name(name)), "{manifest:?}");
            true
        }
        Err(error) => refused(&error),
    }
}

/// What is asked of a model: a line of figures, a `preprocessor_config.json` on one line, and a config.json.
///
/// Of the figures `640x480` is an image, `2.5s` a clip, and the others are, in this order: tokens of the prompt,
/// cached, generated, requests, tokens of the decoder, and the documents of a step's row.
pub fn request(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).ok();
    let Some((figures, files)) = text.and_then(|text| text.split_once('\n')) else { return false };
    let Some((preprocessor, config)) = files.split_once('\n') else { return false };
    let model = Config::parse(preprocessor).and_then(|preprocessor| {
        Model::from_config(&Config::parse(config)?.with_preprocessor(preprocessor))
    });
    match model.and_then(|model| figured(figures, &model)) {
        Ok(answers) => answers > 0,
        Err(error) => refused(&error),
    }
}

/// Answers to a line of figures.
fn figured(figures: &str, model: &Model) -> Result<usize, Error> {
    let (mut images, mut audio, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    for figure in figures.split_whitespace() {
        let size = figure.split_once('x').and_then(|(width, height)| {
            Some((width.parse::<u64>().ok()?, height.parse::<u64>().ok()?))
        });
        let seconds = figure.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
        match (size, seconds, figure.parse::<u64>()) {
            (Some((width, height)), _, _) => images.push(Image::new(width, height)?),
            (_, Some(seconds), _) => audio.push(Clip::new(seconds)?),
            (_, _, Ok(number)) => numbers.push(number),
            _ => {}
        }
    }
    let [prompt, cached, generate, count, decoder, ref documents @ ..] = numbers[..] else {
        return Ok(0);
    };
    let mut answers = 0;
    let mut check = |result: Result<(), Error>| match result {
        Ok(()) => answers += 1,
        Err(error) => is_readable(&error),
    };
    let batch = vec![Sequence { prompt, cached, generate, count }];
    let workload = Workload::batch(batch)?.with_images(images)?.with_audio(audio)?;
    let workload = if decoder > 0 { workload.with_decoder_prompt(decoder) } else { workload };
    ask_request(model, &workload, &mut check);
    if let Ok(uncached) = workload.without_kv_cache() {
        ask_request(model, &uncached, &mut check);
    }
    if !documents.is_empty() {
        // Most models have as many; what one lacks is refused.
        let layers = cached % 4;
        let kinds =
            [Recompute::Nothing, Recompute::Selective, Recompute::Full, Recompute::Layers(layers)];
        for recompute in kinds {
            let step = Step::packed(documents, count)?
                .recomputing(recompute)
                .freezing(Frozen::Below(layers))
                .with_reference_forwards(generate)
                .with_target(decoder);
            for convention in Convention::ALL {
                check(ask_step(model, &step, convention));
            }
            let rollout = step.predicting_further().with_rollout(prompt, generate);
            check(rollout.and_then(|step| ask_step(model, &step, &Convention::MODEL)));
        }
    }
    Ok(answers)
}

/// A safetensors file, its tensors held against a small model.
pub fn safetensors(bytes: &[u8]) -> bool {
    match safetensors_tensors(bytes).and_then(Weights::new) {
        Ok(weights) => {
            counted(Config::parse(LLAMA).map(|config| config.with_weights(Arc::new(weights))))
        }
        Err(error) => refused(&error),
    }
}

fn safetensors_tensors(bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    let file = bytes.len() as u64;
    let length = safetensors::header_length(bytes, file)?;
    let end = usize::try_from(safetensors::PREFIX + length).expect("a length within the file");
    let tensors = safetensors::tensors(&bytes[8..end], file)?;
    let held: u64 = tensors.iter().map(|tensor| tensor.bytes).sum();
    assert_eq!(end as u64 + held, file);
    Ok(tensors)
}

/// The model of the seeds of safetensors: 108 parameters.
const LLAMA: &str = r#"{"model_type": "llama", "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 3, "vocab_size": 3, "tie_word_embeddings": true,
    "torch_dtype": "bfloat16"}"#;

/// Four experts a layer.
const MIXTRAL: &str = r#"{"model_type": "mixtral", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 6, "vocab_size": 5, "num_local_experts": 4,
    "num_experts_per_tok": 2, "torch_dtype": "bfloat16"}"#;

fn counted(config: Result<Config, Error>) -> bool {
    match config.and_then(|config| Model::from_config(&config)) {
        Ok(model) => answered(&model),
        Err(error) => refused(&error),
    }
}

fn answered(model: &Model) -> bool {
    let answers = ask(model);
    assert!(answers >= 8, "a small request always has an answer: {answers}");
    true
}

fn refused(error: &Error) -> bool {
    is_readable(error);
    false
}

/// Everything that can be asked of a model; the number of answers, or an error that is fit to read.
pub fn ask(model: &Model) -> usize {
    let mut answers = 0;
    // No image for those that see none and no clip for those that hear nothing; and towers refuse images that are too
    // thin, and clips of no frame.
    let with_images = || if model.processor().is_some() { images() } else { Vec::new() };
    let with_audio = || if model.extractor().is_some() { audio() } else { Vec::new() };
    let encodes = !model.generates() || model.sees_prompt_whole() || !model.stacks().is_empty();
    let mut check = |result: Result<(), Error>| match result {
        Ok(()) => answers += 1,
        // The config was believed, so only a request may be too large for it, or no request of what generates nothing
        // or of a model that sees a prompt whole; `torch` refuses what DoRA adds, and formulas what they do not know.
        Err(error) => assert!(
            error.kind() == ErrorKind::Overflow
                || (encodes && error.kind() == ErrorKind::Workload)
                || error.kind() == ErrorKind::Convention,
            "{error}"
        ),
    };
    for workload in workloads().into_iter().chain(with_images()).chain(with_audio()) {
        ask_request(model, &workload, &mut check);
    }
    answers + ask_of_steps(model)
}

/// Everything that can be asked of a request.
fn ask_request(model: &Model, workload: &Workload, check: &mut impl FnMut(Result<(), Error>)) {
    let rates = (FlopsPerSecond(1e12), Some(BytesPerSecond(1e10)));
    let hardware = Hardware::new(rates.0, rates.1, 2).expect("hardware");
    for convention in Convention::of_requests() {
        check(model.flops(workload, convention).map(|flops| {
            let parts = flops.prefill.total().zip(flops.decode.total());
            assert_eq!(parts.map(|(prefill, decode)| prefill + decode), Some(flops.total));
            assert_eq!(flops.components().total(), Some(flops.total));
        }));
        check(model.explain(workload, convention).map(drop));
    }
    check(model.bytes(workload).map(drop));
    check(model.explain_bytes(workload).map(drop));
    for phase in Phase::ALL {
        check(model.ideal(workload, phase, &hardware).map(|ideal| {
            let ideal = ideal.expect("the bandwidth is known");
            assert!(ideal.seconds.is_finite() && ideal.seconds >= ideal.compute_seconds);
            assert_eq!(ideal.seconds == 0.0, ideal.bound().is_none());
            assert!(matches!(ideal.bound(), None | Some(Bound::Compute | Bound::Memory)));
        }));
    }
}

/// One step in one convention.
fn ask_step(model: &Model, step: &Step, convention: &Convention) -> Result<(), Error> {
    let flops = model.training(step, convention)?.flops(step)?;
    assert_eq!(flops.components().total(), Some(flops.total));
    assert!(flops.executed >= flops.total);
    Ok(())
}

/// Steps of every kind, in every convention; one that does not apply is refused.
fn ask_of_steps(model: &Model) -> usize {
    let step = |step: Result<Step, Error>| step.expect("a step");
    let small = || step(Step::packed(&[7, 5, 7], 3));
    let steps = [
        small().recomputing(Recompute::Selective).recomputing_scores(),
        small().recomputing(Recompute::Layers(1)).freezing(Frozen::Below(1)),
        small().with_reference_forwards(2).recomputing(Recompute::Full),
        step(step(Step::new(9, 1)).with_rollout(4, 5)),
        step(Step::new(1 << 40, 1 << 20)),
        step(Step::new(u64::MAX, 1)),
    ];
    let mut answers = 0;
    for (step, convention) in steps
        .iter()
        .flat_map(|step| Convention::ALL.iter().map(move |convention| (step, convention)))
    {
        match ask_step(model, step, convention) {
            Ok(()) => answers += 1,
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    ErrorKind::Overflow | ErrorKind::Convention | ErrorKind::Workload
                ),
                "{error}"
            ),
        }
    }
    answers
}

/// Requests of every kind.
fn workloads() -> Vec<Workload> {
    let batch = |sequences| Workload::batch(sequences).expect("a batch");
    vec![
        Workload::request(100, 20),
        Workload::request(1, 1),
        Workload::request(0, 0),
        Workload::request(1 << 40, 1 << 20),
        Workload::request(u64::MAX, 1),
        Workload::request(7, 5).without_kv_cache().expect("nothing is cached"),
        batch(vec![
            Sequence { prompt: 90, cached: 30, generate: 4, count: 3 },
            Sequence::new(5, 9),
        ]),
        batch(vec![Sequence { prompt: 9, cached: 9, generate: 2, count: u64::MAX }]),
    ]
}

/// Requests with clips of every kind.
fn audio() -> Vec<Workload> {
    let of = |seconds: &[f64]| -> Workload {
        let clips = seconds.iter().map(|seconds| Clip::new(*seconds).expect("a clip"));
        Workload::request(9, 3).with_audio(clips.collect()).expect("a workload")
    };
    vec![
        of(&[12.5]),
        of(&[1e-9]),
        of(&[16_777_216.0, 1e-9, 30.0]),
        of(&(1..400).map(|tenths| f64::from(tenths) / 10.0).collect::<Vec<_>>()),
    ]
}

/// Requests with images of every kind.
fn images() -> Vec<Workload> {
    let of = |sizes: &[(u64, u64)]| -> Workload {
        let images =
            sizes.iter().map(|(width, height)| Image::new(*width, *height).expect("an image"));
        Workload::request(9, 3).with_images(images.collect()).expect("a workload")
    };
    vec![
        of(&[(640, 480)]),
        of(&[(1, 1), (3, 2), (1 << 24, 1 << 24)]),
        of(&[(1 << 24, 1)]),
        of(&(1..400).map(|side| (side, 401 - side)).collect::<Vec<_>>()),
    ]
}

/// An error has a place and a fact, and a stranger's text in them stays on its line.
pub fn is_readable(error: &Error) {
    assert!(!error.place().is_empty() && !error.fact().is_empty(), "{error:?}");
    let text = error.place().chars().chain(error.fact().chars());
    assert!(text.filter(|c| c.is_control()).count() == 0, "{error:?}");
}
